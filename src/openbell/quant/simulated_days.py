"""Made-up trading days, bar by bar: clustered volatility, a busy open, and an edge of a stated size or none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from openbell.core.errors import BadInput

#: Yearly volatility of the whole day, and the part of a day's variance that falls between a close and the next open.
VOLATILITY, OVERNIGHT = 0.18, 0.25
_DAYS_A_YEAR = 252
#: Of the logarithm of a day's volatility: first-order autocorrelation and standard deviation of its news.
_PERSISTENCE, _NEWS = 0.95, 0.12


@dataclass(frozen=True, slots=True, eq=False)
class Days:
    """Bars of each day, every array of shape (sessions, bars); prices in USD, volume in shares."""

    open: np.ndarray
    high: np.ndarray
    low: np.ndarray
    close: np.ndarray
    volume: np.ndarray


def simulated_days(sessions: int, bars: int, early: int, *, seed: int, edge: float = 0.0, start: float = 100.0) -> Days:
    """`sessions` days of `bars` bars; `edge` is the correlation of the first `early` bars' return with the rest's.

    Log prices are a martingale but for the edge: the return of the rest of the day is
    ``edge * z * s + sqrt(1 - edge**2) * e``, where z is the standardised return of the early bars, s the rest's own
    volatility and e its noise, so that neither volatility nor the spread of days tells that something was planted.
    High and low are those of a Brownian bridge between open and close of each bar.

    Raises
    ------
    BadInput
        For an `edge` outside (-1, 1), or `early` outside 1 to `bars` - 1.
    """
    if not -1.0 < edge < 1.0:
        raise BadInput(f"The edge is a correlation within (-1, 1); was {edge}.")
    if not 0 < early < bars:
        raise BadInput(f"The early part of a day of {bars} bars has 1 to {bars - 1} of them; was {early}.")
    rng = np.random.default_rng(seed)
    daily = VOLATILITY / np.sqrt(_DAYS_A_YEAR) * np.exp(_clustered(rng, sessions))
    shape = _busy(bars)
    sigma = daily[:, None] * np.sqrt((1.0 - OVERNIGHT) * shape)[None, :]
    noise = sigma * rng.standard_normal((sessions, bars))
    returns = _with_edge(noise, sigma, early, edge)
    gap = daily * np.sqrt(OVERNIGHT) * rng.standard_normal(sessions)
    closes = np.log(start) + np.cumsum(gap + returns.sum(axis=1)) - returns.sum(axis=1)
    close = closes[:, None] + np.cumsum(returns, axis=1)
    opens = close - returns
    high, low = _extremes(rng, opens, close, sigma)
    busy = np.exp(0.3 * rng.standard_normal((sessions, bars))) * shape[None, :] * bars
    volume = np.round(1e5 * busy * (daily / daily.mean())[:, None])
    return Days(np.exp(opens), np.exp(high), np.exp(low), np.exp(close), volume)


def _clustered(rng: np.random.Generator, sessions: int) -> np.ndarray:
    """Logarithm of each day's volatility over its level, with the mean of its exponential's square at 1."""
    news = _NEWS * rng.standard_normal(sessions)
    found, level = np.empty(sessions), 0.0
    for day in range(sessions):
        level = _PERSISTENCE * level + news[day]
        found[day] = level
    return found - _NEWS**2 / (1.0 - _PERSISTENCE**2)


def _busy(bars: int) -> np.ndarray:
    """Part of a day's variance in each bar: much at the open, little at noon, some more at the close; sums to 1."""
    at = (np.arange(bars) + 0.5) / bars
    shape = 1.0 + 3.0 * np.exp(-8.0 * at) + 1.2 * np.exp(-12.0 * (1.0 - at))
    found: np.ndarray = shape / shape.sum()
    return found


def _with_edge(noise: np.ndarray, sigma: np.ndarray, early: int, edge: float) -> np.ndarray:
    """`noise` whose later part leans with the earlier one, by the correlation `edge`, at the same variance."""
    known = noise[:, :early].sum(axis=1) / np.sqrt((sigma[:, :early] ** 2).sum(axis=1))
    rest, spread = noise[:, early:], sigma[:, early:]
    total = np.sqrt((spread**2).sum(axis=1))
    own = rest.sum(axis=1) / total
    lean = edge * known + (np.sqrt(1.0 - edge**2) - 1.0) * own
    # The whole shift falls on each bar by its part of the variance: within the day it is a drift.
    return np.concatenate([noise[:, :early], rest + (lean * total)[:, None] * spread**2 / (total**2)[:, None]], axis=1)


def _extremes(
    rng: np.random.Generator, opens: np.ndarray, close: np.ndarray, sigma: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """High and low of a Brownian bridge from `opens` to `close` with volatility `sigma`, all in logarithms."""
    move = close - opens
    up, down = (-2.0 * sigma**2 * np.log(rng.uniform(size=move.shape)) for _ in range(2))
    high = opens + 0.5 * (move + np.sqrt(move**2 + up))
    low = opens + 0.5 * (move - np.sqrt(move**2 + down))
    return high, low
