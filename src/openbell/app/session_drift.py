"""Whether a model of the session desk still forecasts as in its walk: armed by the walk, watched since the training."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import polars as pl

from openbell.app.session_data import prepared
from openbell.core.errors import BadInput
from openbell.core.session import probability
from openbell.research.session_drift import WATCHED, DriftWatch, armed

if TYPE_CHECKING:
    from openbell.app.home import Home
    from openbell.app.session_training import SessionTraining


def drift_watch(home: Home, training: SessionTraining, model: str) -> DriftWatch:
    """The drift watch of a model of `training`, armed by its walk as the settings say.

    Raises
    ------
    DataMissing
        Where the walk is too short for the window.
    """
    wanted = home.settings.session
    return armed(
        training.evidence("walk").filter(pl.col("model") == model),
        window=wanted.drift_window,
        false_alarms=wanted.drift_false_alarms,
        seed=home.settings.train.seed,
    )


def drift_since(home: Home, training: SessionTraining, model: str | None = None) -> tuple[DriftWatch, pl.DataFrame]:
    """The watch, and the rolling scores of every session since the training whose outcome is known by now.

    The model is the one that was fitted then and has seen none of these sessions. The frame is empty where there is no
    such session yet.

    Raises
    ------
    BadInput
        Where the settings name another cut-off, label or base than the training was made with.
    """
    name = model or training.leader
    for key in ("base", "cutoff", "label"):
        made, wanted = training.payload[key], getattr(home.settings.session, key)
        if made != wanted:
            raise BadInput(f"{training.product} was trained with session.{key} {made}; the settings name {wanted}.")
    watch, fitted = drift_watch(home, training, name), training.model(name)
    begins = pl.lit(dt.date.fromisoformat(training.payload["session"]))
    known = pl.col("label").is_not_null() & (pl.col("session") >= begins)
    later = prepared(home, product=training.product).rows.filter(known)
    if later.is_empty():
        return watch, pl.DataFrame(schema=dict(WATCHED))
    said = fitted.probabilities(later)
    columns = [pl.Series(probability(each), said[:, at]) for at, each in enumerate(fitted.classes)]
    return watch, watch.watched(later.with_columns(columns))
