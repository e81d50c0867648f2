"""The metrics that only the log tells: accuracy by pair, calibration, drift; of outcomes that were joined."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl

from openbell.app.api.metrics import Metrics
from openbell.app.api.routes_state import LEAST_OUTCOMES
from openbell.quant.reliability import expected_calibration_error
from openbell.research.gate_drift import feature_drift
from openbell.store.prediction_measures import Chosen
from openbell.store.predictions import Predictions

#: How far back the log is read, how much of that counts as now, and how many rows are read at most.
LOOK_BACK_DAYS, RECENT_DAYS, MOST_ROWS = 90, 20, 20_000
_PAGE = 1_000


@dataclass(frozen=True, slots=True)
class LogFigures:
    """Brings the metrics of the log up to date. `now` is the clock."""

    log: Predictions
    now: Callable[[], dt.datetime]

    def __call__(self, metrics: Metrics) -> None:
        """Set accuracy, calibration and drift; what cannot be said for want of outcomes is left out."""
        since = self.now() - dt.timedelta(days=LOOK_BACK_DAYS)
        metrics.judge(self.log.accuracy(Chosen(since=since), minimum=LEAST_OUTCOMES).to_dicts(), LEAST_OUTCOMES)
        rows = self._rows(since)
        judged = rows.filter(pl.col("win").is_not_null())
        if judged.height >= LEAST_OUTCOMES:
            metrics.calibration.set(calibration_error(judged))
        drift = probability_drift(rows)
        if drift is not None:
            metrics.drift.set(drift)

    def _rows(self, since: dt.datetime) -> pl.DataFrame:
        """Day, probability and win of the newest rows in which a model spoke."""
        found: list[tuple[dt.date, float, bool | None]] = []
        cursor = None
        while len(found) < MOST_ROWS:
            page = self.log.history(Chosen(since=since), limit=_PAGE, cursor=cursor)
            found += [
                (row.prediction.day, row.prediction.probability, row.win)
                for row in page.rows
                if row.prediction.probability is not None
            ]
            cursor = page.cursor
            if cursor is None:
                break
        return pl.DataFrame(
            found, schema={"session": pl.Date, "probability": pl.Float64, "win": pl.Boolean}, orient="row"
        )


def calibration_error(judged: pl.DataFrame) -> float:
    """Expected calibration error of ``probability`` against ``win``, in [0, 1]."""
    odds = judged["probability"].to_numpy()
    won = judged["win"].cast(pl.Int64).to_numpy()
    return expected_calibration_error(np.column_stack([1.0 - odds, odds]), won, bins=10, kind="classwise")


def probability_drift(rows: pl.DataFrame) -> float | None:
    """Kolmogorov-Smirnov distance of the last 20 days' probabilities from those before; None on fewer days."""
    if rows["session"].n_unique() <= RECENT_DAYS:
        return None
    found = feature_drift(rows, ["probability"], recent_days=RECENT_DAYS)["distance"][0]
    return None if found is None or not math.isfinite(found) else float(found)
