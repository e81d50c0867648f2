"""A small stream: features of one column, a model whose members a test may break, the real desk and store."""

import datetime as dt
import itertools
import json
import threading
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl

from openbell.app.stream.deciding import Deciding
from openbell.app.stream.keeping import Keeping
from openbell.app.stream.metrics import StreamMetrics
from openbell.app.stream.outcomes import Outcomes
from openbell.app.stream.running import Limits, Parts, Stream
from openbell.app.stream.sources import Replay
from openbell.app.stream.speaking import Speaker
from openbell.core.declare import discover
from openbell.core.time import Sessions
from openbell.store.signals import Signals, Which

OPENS = [dt.datetime(2024, 3, day, 13, 30, tzinfo=dt.UTC) for day in (11, 12, 13)]
SESSIONS = Sessions(
    "XNYS",
    tuple(each.date() for each in OPENS),
    tuple(OPENS),
    tuple(each + dt.timedelta(hours=6, minutes=30) for each in OPENS),
)
CATALOGUE = discover()
MINUTE = dt.timedelta(minutes=1)
REFUSED = dict.fromkeys(("symbol", "at", "reason", "sentence"), pl.String)


def bars(symbols=("AAA", "BBB"), minutes=12, first=1, day=0, seed=3) -> pl.DataFrame:
    """Bars of one session, whose closes wander."""
    rng, rows = np.random.default_rng(seed), []
    for symbol in symbols:
        close = 100.0 * np.exp(np.cumsum(rng.normal(0, 0.002, first + minutes)))
        for number in range(first, first + minutes):
            price, before = close[number - 1], close[max(number - 2, 0)]
            rows.append(
                {
                    "symbol": symbol, "session": SESSIONS.dates[day], "at": OPENS[day] + number * MINUTE,
                    "open": before, "high": max(price, before) * 1.001, "low": min(price, before) * 0.999,
                    "close": price, "volume": 100.0, "bid": None, "ask": None,
                }
            )  # fmt: skip
    return pl.DataFrame(rows, schema_overrides={"bid": pl.Float64, "ask": pl.Float64})


def message(row: dict, **other) -> str:
    """A bar as JSON."""
    told = {name: row[name] for name in ("symbol", "open", "high", "low", "close", "volume")}
    return json.dumps(told | {"at": row["at"].isoformat()} | other)


@dataclass
class Features:
    """``x`` is 1 at every third bar of a symbol, -1 at the one after, else 0; bars out of order are refused."""

    last: dict = field(default_factory=dict)
    count: dict = field(default_factory=dict)
    refused: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=REFUSED))

    def advance(self, frame: pl.DataFrame) -> pl.DataFrame:
        rows, refused = [], []
        for row in frame.iter_rows(named=True):
            symbol, bad = row["symbol"], row["high"] < max(row["open"], row["close"]) or row["volume"] < 0
            if bad or row["at"] <= self.last.get(symbol, OPENS[0] - MINUTE):
                reason = "faulty" if bad else "late"
                refused.append((symbol, str(row["at"]), reason, f"It is {reason}."))
                continue
            self.last[symbol] = row["at"]
            self.count[symbol] = self.count.get(symbol, 0) + 1
            x = {0: 1.0, 1: -1.0}.get(self.count[symbol] % 3, 0.0)
            rows.append((symbol, row["session"], row["at"], row["close"], 0.002, x))
        schema = {
            "symbol": pl.String, "session": pl.Date, "as_of": pl.Datetime("us", "UTC"), "close": pl.Float64,
            "sigma": pl.Float64, "x": pl.Float64,
        }  # fmt: skip
        self.refused = pl.DataFrame(refused, schema=REFUSED, orient="row")
        return pl.DataFrame(rows, schema=schema, orient="row")

    def snapshot(self, folder: Path) -> None:
        told = {"last": {name: at.isoformat() for name, at in self.last.items()}, "count": self.count}
        (folder / "state.json").write_text(json.dumps(told))

    @classmethod
    def restored(cls, folder: Path) -> "Features":
        told = json.loads((folder / "state.json").read_text())
        return cls({name: dt.datetime.fromisoformat(at) for name, at in told["last"].items()}, told["count"])


class Model:
    """Three members; `broken` maps one to what it does instead of answering. Its votes name whom they heard."""

    features = ("x",)

    def __init__(self, broken=None, rows=1) -> None:
        self.broken, self.heard, self.asked = broken if broken is not None else {}, [], []
        self.members = {name: SimpleNamespace(history_rows=1) for name in ("trees", "forest")}
        self.members["net"] = SimpleNamespace(history_rows=rows)
        self.release = threading.Event()

    def matrix(self, frame):
        return frame.select(self.features).to_numpy()

    def say(self, name, features, keys):
        self.asked.append((name, keys))
        fault = self.broken.get(name)
        if callable(fault):
            return fault(features, keys)
        values = features["x"].to_numpy() if isinstance(features, pl.DataFrame) else features[:, 0]
        return probabilities(np.nan_to_num(values))

    def vote(self, said):
        self.heard.append(sorted(said))
        mean = np.mean(list(said.values()), axis=0)
        return SimpleNamespace(probabilities=mean, in_set=mean > 0.5)


def probabilities(x) -> np.ndarray:
    """BUY for 1, SELL for -1, HOLD for 0."""
    x = np.asarray(x, dtype=float)
    return np.column_stack([0.1 + 0.7 * (x < 0), 0.1 + 0.7 * (x == 0), 0.1 + 0.7 * (x > 0)])


def live(model, version="toy@1#aa"):
    """The model with all the desk knows of it."""
    return SimpleNamespace(
        model=model, version=version, proven=True, barrier=1.0, horizon_bars=5, made_of={},
    )  # fmt: skip


class Clock:
    """Seconds that pass only where somebody waits."""

    def __init__(self) -> None:
        self.now, self.paused = 0.0, []

    def seconds(self) -> float:
        return self.now

    def pause(self, seconds: float) -> None:
        self.paused.append(seconds)
        self.now += seconds


@dataclass
class Running:
    """A stream with everything a test looks at."""

    stream: Stream
    told: list
    said: list
    metrics: StreamMetrics
    signals: Signals
    models: list

    def close(self) -> None:
        for each in self.stream.parts.speakers:
            each.close()
        self.signals.close()


def running(
    folder: Path, source=None, models=None, *, symbols=("AAA", "BBB"), grace=2.0, snapshot=1000, seconds=5.0, every=1,
    arm_of=None, clock=None, publisher=None, limits=None, settings=None, keep_holds=False,
) -> Running:  # fmt: skip
    """A stream in `folder`, resumed where something was kept there."""
    models = models or [Model()]
    time, told, said = Clock(), [], []
    signals = Signals.open(f"sqlite:///{folder}/signals.db")
    keeping = Keeping(folder / "kept")
    keeping.folder.mkdir(parents=True, exist_ok=True)
    kept = keeping.found()
    one = Features() if kept is None else Features.restored(kept.folder / "features-0")
    speakers = tuple(
        Speaker(live(each, f"toy@{number}#aa"), seconds, 60.0, None, lambda at, _: at + 2 * MINUTE)
        for number, each in zip(itertools.count(1), models)
    )
    versions = tuple(each.version for each in speakers)
    checks = CATALOGUE.checks_of("signals")
    desk = CATALOGUE.desks["signals"]
    metrics = StreamMetrics()
    parts = Parts(
        source=source or Replay(bars(), "1m", 0.0, seconds=time.seconds, pause=time.pause),
        features=(one,) * len(models),
        speakers=speakers,
        decides=lambda frame: np.ones(frame.height, dtype=bool),
        deciding=Deciding(desk, {**desk.settings, **(settings or {})}, checks, limits or {}, 100_000.0),
        signals=signals,
        standing=lambda at: [each.signal for some in signals.active_many(None, at).values() for each in some],
        known=lambda at: signals.page(Which(model_versions=versions, first=at, last=at), 1000).rows,
        outcomes=Outcomes(CATALOGUE.labels["direction_1"], SESSIONS, within_session=True),
        keeping=keeping,
        metrics=metrics,
        sessions=SESSIONS,
        limits=Limits(3, 0.1, keep_holds),
        symbols=frozenset(symbols),
        clock=clock,
        seconds=time.seconds,
        emit=said.append,
        tell=told.append,
        publisher=publisher,
        arm_of=arm_of,
        grace_seconds=grace,
        snapshot_moments=snapshot,
    )
    return Running(Stream(parts, kept), told, said, metrics, signals, models)


def stored(signals: Signals) -> list[tuple]:
    """What the store holds, without its ids."""
    rows = signals.table().sort("created_at", "symbol", "model_version")
    return [
        (row["symbol"], row["created_at"], str(row["call"]), str(row["status"])) for row in rows.iter_rows(named=True)
    ]
