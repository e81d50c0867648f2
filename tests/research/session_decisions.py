"""Sessions at their cut-off with a known truth, and models small enough to be fitted in a moment."""

import datetime as dt

import numpy as np
import polars as pl

from openbell.core.declare import Model, collect
from openbell.core.session import CLASSES, DECISIONS
from openbell.models import lightgbm, linear, xgboost
from openbell.research.session_models import session_candidate

FIRST = dt.date(2020, 1, 6)
FEATURES = ("edge", "noise", "gappy")
MODELS = collect([lightgbm, linear, xgboost], Model)
SMALL = {
    "lightgbm_classifier": {"n_estimators": 8},
    "xgboost_classifier": {"n_estimators": 8, "max_depth": 3},
}


class Everything:
    """A ledger that holds every configuration."""

    def __contains__(self, fingerprint: str) -> bool:
        return True


def sessions(
    *,
    n: int = 120,
    products: tuple[str, ...] = ("ES",),
    label: str = "direction_from_cutoff",
    skill: float = 0.0,
    shares: tuple[float, ...] | None = None,
    open_last: int = 0,
    seed: int = 0,
) -> pl.DataFrame:
    """One decision a session and product; with the probability `skill` the label is the quantile of ``edge``.

    An outcome is known at the close of its own session; the last `open_last` sessions have none yet. `shares` are those
    of the classes where luck decides.
    """
    rng = np.random.default_rng(seed)
    k, rows = len(CLASSES[label]), n * len(products)
    day = np.repeat(np.arange(n), len(products))
    edge, noise, gappy = rng.normal(size=(3, rows))
    told = np.searchsorted([-0.43, 0.43] if k == 3 else [0.0] if k == 2 else [-0.67, 0.0, 0.67], edge)
    luck = rng.choice(k, rows, p=shares)
    code = np.where(rng.random(rows) < skill, told, luck)
    dates = [FIRST + dt.timedelta(days=int(each)) for each in day]
    is_open = pl.Series(day >= n - open_last)
    at = [dt.datetime.combine(each, dt.time(14, 15), dt.UTC) for each in dates]
    close = pl.Series([dt.datetime.combine(each, dt.time(21), dt.UTC) for each in dates])
    frame = pl.DataFrame(
        {
            "symbol": list(products) * n,
            "session": dates,
            "as_of": at,
            "price": 100.0 + rng.normal(size=rows),
            "atr": rng.uniform(0.5, 1.5, rows),
            "entry_at": at,
            "entry": 100.0,
            "exit_at": close,
            "exit": 100.0 + rng.normal(size=rows),
            "label": pl.Series(code, dtype=pl.Int8).set(is_open, None),
            "label_known_at": close.set(is_open, None),
            "edge": edge,
            "noise": noise,
            "gappy": pl.Series(gappy).set(pl.Series(rng.random(rows) < 0.3), None),
        }
    )
    return frame.cast(dict(DECISIONS)).sort("session", "symbol")


def candidates(*names: str):
    """Small candidates of these names."""
    return [session_candidate(name, MODELS, parameters=SMALL) for name in names]
