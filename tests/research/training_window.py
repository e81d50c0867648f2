"""A training window of generated rows, a ledger in memory, and a model whose worth is known."""

import datetime as dt
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from openbell.core.declare import Model
from openbell.research.fitting import fingerprint
from openbell.research.inner import TrainingRows

START = dt.date(2020, 1, 1)


def window(
    sessions: int = 60, names: int = 12, *, horizon: int = 3, seed: int = 0, classes: int = 0, noise: float = 1.0
) -> TrainingRows:
    """Rows whose target is the column ``signal`` plus noise; its label is known `horizon` sessions later."""
    rng = np.random.default_rng(seed)
    n = sessions * names
    number = np.repeat(np.arange(sessions), names)
    as_of = [dt.datetime(2020, 1, 1, 13, tzinfo=dt.UTC) + dt.timedelta(days=int(each)) for each in number]
    keys = pl.DataFrame(
        {
            "session": [START + dt.timedelta(days=int(each)) for each in number],
            "symbol": [f"S{i:02d}" for i in range(names)] * sessions,
            "as_of": as_of,
            "label_known_at": [each + dt.timedelta(days=horizon - 1, hours=8) for each in as_of],
        },
        schema_overrides={"as_of": pl.Datetime("us", "UTC"), "label_known_at": pl.Datetime("us", "UTC")},
    )
    signal, other = rng.normal(size=(2, n))
    target = signal + noise * rng.normal(size=n)
    if classes:
        target = np.digitize(target, np.quantile(target, np.arange(1, classes) / classes)).astype(np.float64)
    frame = pl.DataFrame({"signal": signal, "other": other, "idle": rng.normal(size=n)})
    return TrainingRows(frame.cast(pl.Float32), target, keys)


FIT_AT = dt.datetime(2023, 1, 1, tzinfo=dt.UTC)


class Ledger:
    """Knows what was recorded, and how often each."""

    def __init__(self) -> None:
        self.trials: list = []

    def record(self, tried, *, at) -> int:
        assert at.tzinfo is not None
        new = [each for each in tried if each.identity not in {one.identity for one in self.trials}]
        self.trials += new
        return len(new)

    def __contains__(self, print_: str) -> bool:
        return any(each.fingerprint == print_ for each in self.trials)


def counted(model: Model, parameters=None, members=()) -> Ledger:
    """A ledger that holds this configuration."""
    from openbell.store.trials import Trial

    ledger = Ledger()
    print_ = fingerprint(model, parameters or {}, members)
    ledger.record([Trial("stocks", "tuning", model.name, print_, "recipe")], at=FIT_AT)
    return ledger


@dataclass
class Leaning:
    """Scores by ``signal`` leaning towards ``other``: `lean` 0 is right, 1 is worthless."""

    lean: float
    sequential: bool = False
    classes: tuple = ()

    def predict(self, frame: pl.DataFrame, keys: pl.DataFrame) -> np.ndarray:
        assert keys.height == frame.height
        return (1 - self.lean) * frame["signal"].to_numpy() + self.lean * frame["other"].to_numpy()


@dataclass
class Fits:
    """A `fit` that is quick, watches the contract, and can be told to stop, to fail, or to take time."""

    stop_at: int | None = None
    fails: object = None
    seconds: float = 0.0
    clock: float = 0.0
    seen: list = field(default_factory=list)

    def __call__(self, model, frame, target, parameters, *, ledger, sample_weight, keys, members) -> Leaning:
        assert fingerprint(model, parameters, members) in ledger
        assert frame.height == len(target) == keys.height
        self.seen.append((dict(parameters), keys, sample_weight))
        self.clock += self.seconds * frame.height
        if self.stop_at is not None and len(self.seen) >= self.stop_at:
            raise KeyboardInterrupt
        if self.fails is not None and self.fails(parameters):
            raise ValueError("this one does not converge")
        return Leaning({**model.settings, **parameters}["lean"], model.sequential)

    def now(self) -> float:
        return self.clock


def build(*, lean: float = 0.5, depth: int = 3, kind: str = "a", fixed: int = 1) -> None:
    """Never built: the fits above are handed in."""


SEARCH = {
    "lean": {"low": 0.01, "high": 1.0, "log": True},
    "depth": {"low": 2, "high": 8, "step": 2},
    "kind": {"choices": ["a", None, (1, 2)]},
}


def leaning(**changes) -> Model:
    """The declared model of `Fits`."""
    said = {"name": "leaning", "module": __name__, "doc": "Leaning.", "build": build, "search": SEARCH}
    return Model(**{**said, "settings": {"lean": 0.5, "depth": 4, "kind": "a", "fixed": 1}, **changes})
