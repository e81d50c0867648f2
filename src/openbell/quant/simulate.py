"""Markets made up by a generator, with or without an edge that is known because it was put there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from openbell.core.errors import BadInput

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

#: Volatility of a calm, a usual and a wild market, and the daily chances to go from one to another.
REGIME_SCALE = np.array([0.7, 1.0, 1.9])
REGIME_CHANCES = np.array([[0.985, 0.014, 0.001], [0.008, 0.984, 0.008], [0.004, 0.026, 0.970]])
#: GARCH(1, 1) on unit variance: persistence 0.97.
GARCH_ALPHA, GARCH_BETA = 0.07, 0.90
#: Degrees of freedom of all shocks.
STUDENT_FREEDOM = 5.0
#: Part of the variance of a day that is the night before it.
OVERNIGHT_SHARE = 0.25
#: Sessions of the volume's own mean in the visible signal, and the persistence of what moves the volume.
SIGNAL_SESSIONS = 20
SIGNAL_PERSISTENCE = 0.8
BURN_IN = 100
SECTORS = 8


@dataclass(frozen=True, eq=False)
class SimulatedMarket:
    """Bars of `n` names over `t` sessions.

    Attributes
    ----------
    open, high, low, close : shape (t, n), USD. volume : shape (t, n), whole shares as floats.
    sector : shape (n,), numbers from 0. regime : shape (t,), 0 calm, 1 usual, 2 wild.
    signal : shape (t, n), the visible signal at the close of each session; see `visible_signal`.
    """

    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    sector: Integers
    regime: Integers
    signal: Floats


def visible_signal(volume: Floats, sessions: int = SIGNAL_SESSIONS) -> Floats:
    """Log volume less its mean over the last `sessions` sessions, the session itself included.

    Parameters
    ----------
    volume : shape (t, n), above 0.

    Returns
    -------
    Shape (t, n); known at the close of its session. The first rows use the sessions there are.
    """
    logs = np.log(volume)
    summed = np.cumsum(logs, axis=0)
    summed[sessions:] = summed[sessions:] - summed[:-sessions]
    counts = np.minimum(np.arange(1, len(logs) + 1), sessions)[:, None]
    signal: Floats = logs - summed / counts
    return signal


def centred_ranks(values: Floats) -> Floats:
    """Ranks within each row, from -1/2 to 1/2; ties go by position. Shape as `values` (t, n)."""
    order = np.argsort(np.argsort(values, axis=1, kind="stable"), axis=1, kind="stable")
    ranks: Floats = (order + 0.5) / values.shape[1] - 0.5
    return ranks


def mean_rank_ic(signal: Floats, outcome: Floats) -> float:
    """Mean over rows of the Spearman correlation between `signal` and `outcome`, each of shape (t, n), no ties."""
    left, right = centred_ranks(signal), centred_ranks(outcome)
    return float(np.mean((left * right).sum(axis=1) / (left * left).sum(axis=1)))


def _shocks(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Student-t shocks of unit variance, symmetric about 0."""
    shocks: Floats = rng.standard_t(STUDENT_FREEDOM, shape) * np.sqrt((STUDENT_FREEDOM - 2) / STUDENT_FREEDOM)
    return shocks


def _clustered(shocks: Floats) -> tuple[Floats, Floats]:
    """GARCH(1, 1) over the rows of unit-variance `shocks` (t, k): the innovations, and their standard deviations."""
    variance = np.ones(shocks.shape[1])
    deviations = np.empty_like(shocks)
    for t in range(len(shocks)):
        deviations[t] = np.sqrt(variance)
        # The square is bounded, so that one fat tail does not put the variance out of the world for a year.
        square = variance * np.minimum(shocks[t] ** 2, 16.0)
        variance = (1 - GARCH_ALPHA - GARCH_BETA) + GARCH_ALPHA * square + GARCH_BETA * variance
    return shocks * deviations, deviations


def _regimes(rng: np.random.Generator, sessions: int) -> Integers:
    limits = np.cumsum(REGIME_CHANCES, axis=1)
    draws = rng.random(sessions)
    states = np.empty(sessions, dtype=np.int64)
    state = 1
    for t in range(sessions):
        state = min(int(np.searchsorted(limits[state], draws[t])), 2)
        states[t] = state
    return states


def simulated_market(
    sessions: int,
    names: int,
    *,
    seed: int,
    edge: float = 0.0,
    sectors: int | None = None,
) -> SimulatedMarket:
    r"""A market with clustered volatility, fat tails, one common factor, sector factors and volatility regimes.

    The return of a name is ``beta m + gamma s + e`` with GARCH(1, 1) Student-t innovations and zero drift. Signs are
    symmetric: whatever is known before a return, its rank among the names is as likely high as low, so that without
    an edge every predictor has rank IC 0 at every horizon. Volume follows a latent AR(1) and the size of the move of
    the same session, never its direction.

    Parameters
    ----------
    sessions, names : the size; at least 30 sessions and 5 names.
    sectors : how many; 8 where there are as many names.
    seed : of numpy's generator; the same seed gives the same numbers.
    edge : mean daily rank IC (Spearman) between `signal` at the close of session t and the return from the open of
        t+1 to the open of t+2; at most 0.5 in size. It enters as a drift in proportion to the rank of the signal and
        to the name's own volatility, half in the session t+1 and half in the night after it.

    Returns
    -------
    SimulatedMarket; ``high >= max(open, close) >= min(open, close) >= low > 0`` in every bar.
    """
    if sessions < 30 or names < 5:
        raise BadInput(f"A generated market needs at least 30 sessions and 5 names; was {sessions} and {names}.")
    if not abs(edge) <= 0.5:
        raise BadInput(f"The planted edge is a rank IC and must lie in [-0.5, 0.5]; was {edge}.")
    groups = min(SECTORS, names) if sectors is None else sectors
    if not 1 <= groups <= names:
        raise BadInput(f"There must be 1 to {names} sectors; was {sectors}.")
    rng = np.random.default_rng(seed)
    total = sessions + BURN_IN
    sector = np.arange(names) % groups
    regime = _regimes(rng, total)
    night, day, deviation = _returns(rng, regime, sector)
    volume = _volume(rng, day + night, deviation)
    signal = visible_signal(volume)
    if edge:
        _plant(edge, signal, night, day, deviation)
    opens, high, low, close = (price[BURN_IN:] for price in _prices(rng, night, day, deviation))
    return SimulatedMarket(opens, high, low, close, volume[BURN_IN:], sector, regime[BURN_IN:], signal[BURN_IN:])


def _returns(rng: np.random.Generator, regime: Integers, sector: Integers) -> tuple[Floats, Floats, Floats]:
    """Log returns overnight and in the session, and their standard deviation given the past; each (t, n)."""
    total, names = len(regime), len(sector)
    groups = int(sector.max()) + 1
    beta = rng.uniform(0.7, 1.3, names)
    own = rng.uniform(0.010, 0.018, names)
    factors, factor_deviation = _clustered(_shocks(rng, (total, 1 + groups)))
    idiosyncratic, own_deviation = _clustered(_shocks(rng, (total, names)))
    scale = REGIME_SCALE[regime][:, None]
    market, group = 0.009 * factors[:, :1], 0.005 * factors[:, 1:][:, sector]
    returns = scale * (beta * market + group + own * idiosyncratic)
    variance = (0.009 * beta * factor_deviation[:, :1]) ** 2 + (0.005 * factor_deviation[:, 1:][:, sector]) ** 2
    deviation = scale * np.sqrt(variance + (own * own_deviation) ** 2)
    # The night is an independent part of the same day: the split must not tell the rest of it.
    noise = rng.standard_normal((total, names)) * deviation * np.sqrt(OVERNIGHT_SHARE * (1 - OVERNIGHT_SHARE))
    night = OVERNIGHT_SHARE * returns + noise
    return night, returns - night, deviation


def _volume(rng: np.random.Generator, returns: Floats, deviation: Floats) -> Floats:
    """Whole shares: a level of the name, a latent AR(1), and more in sessions that move; shape (t, n)."""
    total, names = returns.shape
    shocks = rng.standard_normal((total, names)) * np.sqrt(1 - SIGNAL_PERSISTENCE**2)
    latent = np.empty((total, names))
    state = rng.standard_normal(names)
    for t in range(total):
        state = SIGNAL_PERSISTENCE * state + shocks[t]
        latent[t] = state
    level = rng.normal(14.0, 0.8, names)
    busy = np.minimum(np.abs(returns) / deviation, 4.0)
    shares: Floats = np.maximum(np.round(np.exp(level + 0.35 * latent + 0.15 * busy)), 1.0)
    return shares


def _plant(edge: float, signal: Floats, night: Floats, day: Floats, deviation: Floats) -> None:
    """Add the drift whose expected daily rank IC is `edge`, in place.

    The size follows from the response of the rank IC to a small drift, measured on these very returns: the noise of
    the returns is in both terms of the difference and cancels, so that what is measured in the end is `edge` and the
    noise that any market has.
    """
    ranks = centred_ranks(signal) * np.sqrt(12.0)
    drift = (ranks * deviation)[:-2]
    outcome = day[1:-1] + night[2:]
    before = mean_rank_ic(signal[:-2], outcome)
    size = edge
    for _ in range(3):
        gained = mean_rank_ic(signal[:-2], outcome + size * drift) - before
        size *= edge / gained
    day[1:-1] += 0.5 * size * drift
    night[2:] += 0.5 * size * drift


def _prices(
    rng: np.random.Generator, night: Floats, day: Floats, deviation: Floats
) -> tuple[Floats, Floats, Floats, Floats]:
    """Open, high, low and close out of the two parts of each return; shape (t, n)."""
    steps = night + day
    steps[0] += np.log(rng.uniform(20.0, 200.0, night.shape[1]))
    closes = np.cumsum(steps, axis=0)
    opens = closes - day
    reach = np.abs(rng.standard_normal((2, *night.shape))) * 0.4 * deviation
    high = np.maximum(opens, closes) + reach[0]
    low = np.minimum(opens, closes) - reach[1]
    o, h, lo, c = np.exp(opens), np.exp(high), np.exp(low), np.exp(closes)
    # exp is monotone but rounds: equal logs must not end up a bit apart.
    return o, np.maximum(h, np.maximum(o, c)), np.minimum(lo, np.minimum(o, c)), c
