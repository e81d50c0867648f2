"""Who speaks at the signals desk: the champion in office, or the best of the newest training, and what it needs."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from openbell.app.production import in_office
from openbell.app.signals_data import DESK, engine
from openbell.app.signals_training import SignalsTraining, needed_signals
from openbell.app.trainings import named
from openbell.core.errors import BadInput
from openbell.core.time import Sessions
from openbell.quant.barriers import BARRIER
from openbell.quant.signal_rule import end_of_life

if TYPE_CHECKING:
    from openbell.app.home import Home
    from openbell.research.bar_features import BarFeatures
    from openbell.research.signal_models import SignalModel
    from openbell.store.experiments import Experiment


@dataclass(frozen=True, eq=False)
class LiveModel:
    """A model with everything that the desk has to know of it.

    Attributes
    ----------
    model : its members, calibrators and conformal sets. features : the engine of its columns. version : its label.
    proven : whether its walk-forward knew more than the base rates. barrier : distance of stop and target in
    volatilities of the horizon. half_life_seconds : of its signals, None where that is not known.
    made_of : hashes of data, training, model and settings. training : whose record it is. log_loss : of its
    walk-forward, which drift is measured from.
    """

    model: SignalModel
    features: BarFeatures
    version: str
    proven: bool
    barrier: float
    horizon_bars: int
    half_life_seconds: float | None
    made_of: Mapping[str, Any]
    training: SignalsTraining = field(repr=False)
    sessions: Sessions = field(repr=False)
    log_loss: float | None = None

    def ends(self, as_of: dt.datetime, session: dt.date) -> dt.datetime:
        """Until when a signal lives that is made at `as_of` of a bar of `session`."""
        within = self.training.payload["base"] != "1d"
        return end_of_life(as_of, session, self.sessions, self.half_life_seconds, within_session=within)


def live_signals(home: Home, as_of: dt.datetime, version: str | None = None) -> LiveModel:
    """Who speaks at `as_of`: the `version` named, an A/B test's control, the champion, or the newest training's best.

    Raises
    ------
    BadInput
        Without a training, or where the model was made for another base than the settings name.
    """
    running = running_test(home)
    wanted = version or (running.definition.control.version if running else None)
    training, name = _named(home, wanted) if wanted else _speaker(home, as_of)
    base = training.payload["base"]
    if base != home.settings.signals.base:
        raise BadInput(
            f"{training.version(name)} was trained on bars of {base}, and signals.base is "
            f"{home.settings.signals.base}. Set it to {base}, or train again."
        )
    return LiveModel(
        model=training.model(name),
        features=engine(home),
        version=training.version(name),
        proven=training.proven(name),
        barrier=BARRIER,
        horizon_bars=int(training.payload["horizon_bars"]),
        half_life_seconds=training.payload["half_life_seconds"].get(name),
        made_of={
            "training": training.payload["training"],
            "data": training.payload["data"],
            "model": training.payload["manifests"][name],
            "settings": home.settings.hash,
        },
        training=training,
        sessions=home.sessions,
        log_loss=training.scores.models.filter(pl.col("model") == name)["log_loss"].item(),
    )


def live_challenger(home: Home, as_of: dt.datetime) -> LiveModel | None:
    """The test arm of the desk's A/B test, while one runs; its control arm is what `live_signals` gives then."""
    running = running_test(home)
    return None if running is None else live_signals(home, as_of, running.definition.test.version)


def running_test(home: Home) -> Experiment | None:
    """The desk's A/B test, where one was begun and not stopped."""
    scheme, _, file = home.settings.store.predictions.partition(":///")
    if scheme == "sqlite" and not Path(file).is_file():
        return None
    found = home.experiments.latest(DESK)
    return found if found is not None and found.running else None


def _speaker(home: Home, as_of: dt.datetime) -> tuple[SignalsTraining, str]:
    office = in_office(home, as_of, DESK)
    if office is not None:
        return _named(home, office.version)
    training = needed_signals(home, as_of)
    return training, training.leader


def _named(home: Home, version: str) -> tuple[SignalsTraining, str]:
    """The training of a registered version, and the candidate in it."""
    payload, folder, name = named(home, DESK, version)
    return SignalsTraining(payload, folder), name
