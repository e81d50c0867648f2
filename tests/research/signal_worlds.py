"""Decisions of the signals desk with a known truth, and models small enough to be fitted in a moment."""

import datetime as dt

import numpy as np
import polars as pl

from openbell.core.declare import discover
from openbell.core.signal import DECISIONS

FIRST = dt.datetime(2020, 1, 6, 21, tzinfo=dt.UTC)
FEATURES = ("edge_1d", "noise_1d", "sparse_1h")
MODELS = discover().models
SMALL = {
    "xgboost_classifier": {"n_estimators": 8, "max_depth": 3},
    "random_forest_classifier": {"n_estimators": 8, "max_depth": 4},
    "lstm_classifier": {"sequence_length": 3, "hidden_size": 4, "epochs": 2, "learning_rate": 0.03},
}


class Everything:
    """A ledger that holds every configuration."""

    def __contains__(self, fingerprint: str) -> bool:
        return True


def decisions(
    *, sessions: int = 60, symbols: int = 3, skill: float = 0.0, horizon: int = 1, hold: float = 0.3, seed: int = 0
) -> pl.DataFrame:
    """One decision a day and symbol; with the probability `skill` the label is the sign of the feature ``edge``.

    A label is known `horizon` + 1 sessions later; those of the last ones are not known.
    """
    rng = np.random.default_rng(seed)
    n = sessions * symbols
    day = np.repeat(np.arange(sessions), symbols)
    edge, noise = rng.normal(size=(2, n))
    luck = rng.choice([-1, 0, 1], n, p=[(1 - hold) / 2, hold, (1 - hold) / 2])
    label = np.where(rng.random(n) < skill, np.sign(edge).astype(int), luck)
    at = [FIRST + dt.timedelta(days=int(each)) for each in range(sessions + horizon + 1)]
    open_ = day + horizon + 1 >= sessions
    frame = pl.DataFrame(
        {
            "symbol": [f"S{each}" for each in range(symbols)] * sessions,
            "session": [at[each].date() for each in day],
            "as_of": [at[each] for each in day],
            "close": 100.0 + rng.normal(size=n),
            "sigma": rng.uniform(0.01, 0.02, n),
            "label": pl.Series(label, dtype=pl.Int8).set(pl.Series(open_), None),
            "label_known_at": [None if late else at[each + horizon + 1] for each, late in zip(day, open_, strict=True)],
            "edge_1d": edge,
            "noise_1d": noise,
            "sparse_1h": pl.Series(rng.normal(size=n)).set(pl.Series(rng.random(n) < 0.3), None),
        }
    )
    floats = pl.col(FEATURES).cast(pl.Float32)
    return frame.with_columns(floats).cast(dict(DECISIONS)).sort("as_of", "symbol")
