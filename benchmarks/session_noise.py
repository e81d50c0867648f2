"""What the whole way of the session desk, from labels to an account, finds in labels that were shuffled: nothing.

Days are made up in which a feature does know something of the rest of the day. The desk's own walk learns from the true
labels, and from the same labels shuffled among the sessions, seed after seed; its calls are followed after the cut-off.

    python -m benchmarks session_noise
"""

from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl

from openbell.core.declare import Model, collect
from openbell.core.session import CLASSES
from openbell.core.time import MOMENT
from openbell.models import lightgbm, linear, xgboost
from openbell.quant.day_blocks import DayBlocks
from openbell.research.session_account import booked, sharpe_estimate
from openbell.research.session_models import session_candidate
from openbell.research.session_noise import Noise, noise
from openbell.research.session_trades import followed
from openbell.research.session_walk import walk

LABEL = "direction_from_cutoff"
FEATURES = ("edge", "noise", "trend")
MODELS = collect([lightgbm, linear, xgboost], Model)
#: Small trees: enough to learn what is planted, and to find patterns where there is none.
SMALL = {
    "lightgbm_classifier": {"n_estimators": 30, "num_leaves": 7},
    "xgboost_classifier": {"n_estimators": 30, "max_depth": 3},
}


class _Everything:
    """A ledger that holds every configuration: nothing is chosen here."""

    def __contains__(self, fingerprint: str) -> bool:
        return True


def market(sessions: int, *, knows: float = 0.25, seed: int = 0) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Two bars a session, before and after the cut-off, and decisions whose feature ``edge`` knows of the second."""
    rng = np.random.default_rng(seed)
    days = [dt.date(2010, 1, 4) + dt.timedelta(days=at + 2 * (at // 5)) for at in range(sessions)]
    early, late = rng.normal(0, 0.004, sessions), rng.normal(0, 0.009, sessions)
    opened = 100.0 * np.exp(np.concatenate([[0.0], np.cumsum(early + late)[:-1]]))
    cut, close = opened * np.exp(early), opened * np.exp(early + late)
    at = [[dt.datetime.combine(day, dt.time(hour, 15), dt.UTC) for day in days] for hour in (15, 21)]
    bars = pl.concat(
        pl.DataFrame(
            {"symbol": "ES", "freq": "1h", "session": days, "at": pl.Series(ends, dtype=MOMENT), "open": first,
             "high": np.maximum(first, last), "low": np.minimum(first, last), "close": last}
        )
        for ends, first, last in ((at[0], opened, cut), (at[1], cut, close))
    ).sort("at")  # fmt: skip
    moments = {name: pl.Series(each, dtype=MOMENT) for name, each in
               (("as_of", at[0]), ("entry_at", at[0]), ("exit_at", at[1]), ("label_known_at", at[1]))}  # fmt: skip
    rows = pl.DataFrame(
        {"symbol": "ES", "session": days, **moments, "price": cut, "atr": 0.01 * opened, "entry": cut, "exit": close,
         "label": pl.Series(late > 0, dtype=pl.Int8), "edge": knows * late / 0.009 + rng.normal(size=sessions),
         "noise": rng.normal(size=sessions), "trend": early}
    )  # fmt: skip
    return bars, rows


def sharpe_of(rows: pl.DataFrame, bars: pl.DataFrame, name: str, *, bp: float = 0.0) -> float:
    """Sharpe ratio, over a rate of 0, of the account that follows what was learnt from `rows`; 0 without a trade."""
    sessions = rows.height
    asked = session_candidate(name, MODELS, parameters=SMALL)
    given = walk(
        rows, FEATURES, CLASSES[LABEL], [asked], ledger=_Everything(), min_train_sessions=sessions // 3,
        refit_sessions=sessions // 3, min_confidence=0.5,
    )  # fmt: skip
    found = followed(given.forecasts, bars)
    regimes = found.days.select("session", pl.lit("").alias("regime"))
    _, daily = booked(found, regimes, bp=bp, capital_usd=100_000.0)
    value = sharpe_estimate(DayBlocks.of(daily["session"].to_numpy(), replications=1), daily["return"].to_numpy()).value
    return 0.0 if value is None else value


def shuffled_noise(name: str, *, sessions: int = 1000, seeds: int = 20, bp: float = 0.0) -> Noise:
    """The Sharpe ratio of the true labels, and of labels shuffled `seeds` times."""
    bars, rows = market(sessions)
    return noise(rows, lambda each: sharpe_of(each, bars, name, bp=bp), seeds=range(seeds))


def main() -> None:
    """Print all readings."""
    for name in ("logistic", "lightgbm_classifier", "xgboost_classifier"):
        for words, bp in (("no costs", 0.0), ("3 bp a side", 3.0)):
            print(f"{name}, {words}: {shuffled_noise(name, bp=bp).line}", flush=True)


if __name__ == "__main__":
    main()
