"""The Sharpe ratio of the last weeks, beside how often it cries wolf."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import polars as pl
from numpy.typing import NDArray

from openbell.core.declare import check
from openbell.core.types import Book, Decision, Market, Outcome, Verdict

SESSIONS_PER_YEAR = 252
SESSIONS_PER_WEEK = 5
GOOD_SHARPE = 2.0


@check()
def rolling_sharpe(
    decision: Decision,
    book: Book,
    market: Market,
    *,
    min_live_sharpe_threshold: float = 0.5,
    min_live_sharpe_lookback_weeks: int = 6,
    armed: bool = False,
) -> Verdict:
    """Annualised Sharpe ratio over the last weeks against a threshold: advisory, unless `armed`.

    Its word comes with its own false-alarm rate for a strategy whose true Sharpe ratio is 2, and with how long it
    takes to notice that such an edge is gone, because over a few weeks the ratio is mostly noise.
    """
    name = "rolling_sharpe"
    length = min_live_sharpe_lookback_weeks * SESSIONS_PER_WEEK
    alarm = {
        "false_alarm_per_look": false_alarm_per_look(GOOD_SHARPE, length, min_live_sharpe_threshold),
        "false_alarm_per_year": false_alarm_per_year(GOOD_SHARPE, length, min_live_sharpe_threshold),
        "detection_delay_sessions": detection_delay(GOOD_SHARPE, length, min_live_sharpe_threshold),
        "limit": min_live_sharpe_threshold,
    }
    caveat = (
        f" The alarm is false in {alarm['false_alarm_per_look']:.0%} of looks, and at least once in "
        f"{alarm['false_alarm_per_year']:.1%} of years, for a strategy with a true Sharpe ratio of {GOOD_SHARPE:g}."
    )
    returns = _returns(book.equity)[-length:]
    if len(returns) < length or not np.all(np.isfinite(returns)) or not returns.std() > 0:
        why = f"There are {len(returns)} usable daily returns; a Sharpe ratio over {length} sessions has no value yet."
        return Verdict(name, Outcome.ALLOW, why + caveat, measured=alarm)
    value = float(returns.mean() / returns.std(ddof=1) * math.sqrt(SESSIONS_PER_YEAR))
    low = value < min_live_sharpe_threshold
    mode = "armed" if armed else "advisory"
    why = (
        f"The Sharpe ratio of the last {length} sessions is {value:.2f}, {'below' if low else 'not below'} "
        f"{min_live_sharpe_threshold:g} ({mode})." + caveat
    )
    outcome = Outcome.BLOCK if low and armed else Outcome.ALLOW
    return Verdict(name, outcome, why, measured={"rolling_sharpe": value, **alarm})


def _returns(equity: pl.DataFrame) -> NDArray[np.float64]:
    curve = equity.sort("session")
    flow = pl.col("flow_usd") if "flow_usd" in curve.columns else pl.lit(0.0)
    value = pl.col("equity_usd")
    return curve.select((value / (value.shift(1) + flow) - 1.0).alias("return"))["return"][1:].to_numpy()


@lru_cache(maxsize=64)
def false_alarm_per_look(true_sharpe: float, sessions: int, threshold: float) -> float:
    """Probability that the measured ratio lies below `threshold` at one look; both ratios annualised.

    Exact for independent normal daily returns: the t statistic of `sessions` returns follows a non-central t with
    ``sessions - 1`` degrees of freedom and non-centrality ``true_sharpe * sqrt(sessions / 252)``.
    """
    from scipy.stats import nct

    root = math.sqrt(sessions / SESSIONS_PER_YEAR)
    return float(nct.cdf(threshold * root, sessions - 1, true_sharpe * root))


@lru_cache(maxsize=64)
def false_alarm_per_year(
    true_sharpe: float, sessions: int, threshold: float, paths: int = 2_000, seed: int = 0
) -> float:
    """Fraction of simulated years of 252 daily looks with at least one measured ratio below `threshold`."""
    low = _looks(true_sharpe, sessions, SESSIONS_PER_YEAR, paths, seed) < threshold
    return float(low.any(axis=1).mean())


@lru_cache(maxsize=64)
def detection_delay(true_sharpe: float, sessions: int, threshold: float, paths: int = 2_000, seed: int = 1) -> float:
    """Median sessions until the first alarm after an edge of `true_sharpe` has gone to 0, at most a year.

    Only simulated strategies that had no alarm on the day the edge went are counted.
    """
    drift = np.r_[np.full(sessions, true_sharpe), np.zeros(SESSIONS_PER_YEAR)]
    looks = _looks(drift, sessions, SESSIONS_PER_YEAR + 1, paths, seed)
    quiet = looks[looks[:, 0] >= threshold, 1:] < threshold
    first = np.where(quiet.any(axis=1), quiet.argmax(axis=1) + 1, SESSIONS_PER_YEAR)
    return float(np.median(first)) if first.size else float("nan")


def _looks(
    annual_sharpe: float | NDArray[np.float64], sessions: int, looks: int, paths: int, seed: int
) -> NDArray[np.float64]:
    """Measured annualised ratios, shape (paths, looks), of normal returns with unit daily volatility."""
    noise = np.random.default_rng(seed).standard_normal((paths, sessions + looks - 1))
    returns = noise + np.asarray(annual_sharpe) / math.sqrt(SESSIONS_PER_YEAR)
    sums = np.cumsum(np.pad(returns, ((0, 0), (1, 0))), axis=1)
    squares = np.cumsum(np.pad(returns**2, ((0, 0), (1, 0))), axis=1)
    mean = (sums[:, sessions:] - sums[:, :-sessions]) / sessions
    variance = ((squares[:, sessions:] - squares[:, :-sessions]) - sessions * mean**2) / (sessions - 1)
    ratios: NDArray[np.float64] = mean / np.sqrt(variance) * math.sqrt(SESSIONS_PER_YEAR)
    return ratios
