"""Markets made up by a generator, with or without an edge that is known because it was put there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from openbell.core.errors import BadInput, unknown

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
#: Which of two things no selection of names can have: a rank above the others, or a mean return above theirs.
Neutral = Literal["rank", "mean"]

#: Volatility of a calm, a usual and a wild market, and the daily chances to go from one to another.
REGIME_SCALE = np.array([0.7, 1.0, 1.9])
REGIME_CHANCES = np.array([[0.985, 0.014, 0.001], [0.008, 0.984, 0.008], [0.004, 0.026, 0.970]])
#: GARCH(1, 1) on unit variance: persistence 0.97.
GARCH_ALPHA, GARCH_BETA = 0.07, 0.90
#: Degrees of freedom of all shocks.
STUDENT_FREEDOM = 5.0
#: Part of the variance of a day that is the night before it.
OVERNIGHT_SHARE = 0.25
#: Daily standard deviation that a unit of the common factor and of a sector's factor brings.
MARKET_DEVIATION, SECTOR_DEVIATION = 0.009, 0.005
#: A simple return of a night or a day is held within this on both sides alike: a price never reaches 0, no mean moves.
SIMPLE_LIMIT = 0.45
#: Sessions of the volume's own mean in the visible signal, and the persistence of what moves the volume.
SIGNAL_SESSIONS = 20
SIGNAL_PERSISTENCE = 0.8
BURN_IN = 100
SECTORS = 8
SESSIONS_PER_YEAR = 252


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
    drift_sharpe: float = 0.0,
    neutral: Neutral = "rank",
    persistence: float = SIGNAL_PERSISTENCE,
    signal_sessions: int = SIGNAL_SESSIONS,
) -> SimulatedMarket:
    r"""A market with clustered volatility, fat tails, one common factor, sector factors and volatility regimes.

    The return of a name is ``beta m + gamma s + e`` with GARCH(1, 1) Student-t innovations. Signs are symmetric. Volume
    follows a latent AR(1) and the size of the move of the same session, never its direction.

    Parameters
    ----------
    sessions, names : the size; at least 30 sessions and 5 names.
    sectors : how many; 8 where there are as many names.
    seed : of numpy's generator; the same seed gives the same numbers.
    edge : mean daily rank IC (Spearman) between `signal` at the close of session t and the return from the open of
        t+1 to the open of t+2; at most 0.5 in size. It enters as a drift in proportion to the rank of the signal and
        to the name's own volatility, half in the session t+1 and half in the night after it, every session anew.
    drift_sharpe : annual Sharpe ratio of the equal-weight market that is rebalanced every session, no bill rate taken
        off; at most 5 in size. Every name gets the same return a session, so that no selection of names earns it.
    neutral : what no predictor has without an edge. ``"rank"``: log returns are symmetric, so that whatever is known
        before a return, its rank among the names is as likely high as low: rank IC 0 at every horizon; a name's mean
        simple return is half its variance, though, and a portfolio of volatile names earns it. ``"mean"``: simple
        returns are symmetric about the same mean for every name, given the past and at the open too, so that every
        fully invested portfolio has the same expected return and its mean active return is 0 before costs: the null
        of a tournament. Held over many sessions a volatile name is then likelier to end low (and further up when it
        does not), so that ranks over long horizons go against volatility.
    persistence : of the latent AR(1) in the volume, in [0, 1). signal_sessions : of the signal's own mean, at least 2.

    Returns
    -------
    SimulatedMarket; ``high >= max(open, close) >= min(open, close) >= low > 0`` in every bar.

    Notes
    -----
    The drift of a session follows the signal of the session before it. Whoever holds names for a week earns, from open
    to open, the drifts of five signals, of which only the first was known: of the first session's edge a part that is
    the mean autocorrelation of the signal's rank over lags 0 to 4. Measured with ``neutral="mean"`` on the top fifth of
    60 names at equal weights, rebalanced every fifth open: with the defaults that part is 0.58, 72 % of the names
    change each week, and edges of 0.03 and 0.05 have an active Sharpe ratio of 1.0 and 1.9 before costs; with
    ``persistence=0.95, signal_sessions=60`` it is 0.81, 46 %, and 1.9 and 3.1: an edge that outlives its costs.
    """
    if sessions < 30 or names < 5:
        raise BadInput(f"A generated market needs at least 30 sessions and 5 names; was {sessions} and {names}.")
    if not abs(edge) <= 0.5:
        raise BadInput(f"The planted edge is a rank IC and must lie in [-0.5, 0.5]; was {edge}.")
    groups = min(SECTORS, names) if sectors is None else sectors
    if not 1 <= groups <= names:
        raise BadInput(f"There must be 1 to {names} sectors; was {sectors}.")
    _check_more(drift_sharpe, neutral, persistence, signal_sessions)
    rng = np.random.default_rng(seed)
    total = sessions + BURN_IN
    sector = np.arange(names) % groups
    regime = _regimes(rng, total)
    night, day, deviation = (_returns if neutral == "rank" else _simple_returns)(rng, regime, sector)
    volume = _volume(rng, day + night, deviation, persistence)
    signal = visible_signal(volume, signal_sessions)
    drift = _drift(drift_sharpe, neutral, night, day) if drift_sharpe else 0.0
    if edge:
        _plant(edge, signal, night, day, deviation)
    if neutral == "mean":
        night, day = np.log1p(night + OVERNIGHT_SHARE * drift), np.log1p(day + (1 - OVERNIGHT_SHARE) * drift)
    elif drift_sharpe:
        night, day = night + OVERNIGHT_SHARE * np.log1p(drift), day + (1 - OVERNIGHT_SHARE) * np.log1p(drift)
    opens, high, low, close = (price[BURN_IN:] for price in _prices(rng, night, day, deviation))
    return SimulatedMarket(opens, high, low, close, volume[BURN_IN:], sector, regime[BURN_IN:], signal[BURN_IN:])


def _check_more(drift_sharpe: float, neutral: str, persistence: float, signal_sessions: int) -> None:
    if not abs(drift_sharpe) <= 5.0:
        raise BadInput(f"`drift_sharpe` is an annual Sharpe ratio and must lie in [-5, 5]; was {drift_sharpe}.")
    if neutral not in ("rank", "mean"):
        raise unknown("kind of neutral market", neutral, ("rank", "mean"))
    if not 0.0 <= persistence < 1.0:
        raise BadInput(f"`persistence` must lie in [0, 1); was {persistence}.")
    if signal_sessions < 2:
        raise BadInput(f"`signal_sessions` must be at least 2; was {signal_sessions}.")


def _drift(drift_sharpe: float, neutral: str, night: Floats, day: Floats) -> float:
    """Simple return a session that gives the equal-weight market its Sharpe ratio, by its own deviation here."""
    simple = np.expm1(night + day) if neutral == "rank" else (1 + night) * (1 + day) - 1
    deviation = float(simple[BURN_IN:].mean(axis=1).std(ddof=1))
    return float(drift_sharpe / np.sqrt(SESSIONS_PER_YEAR) * deviation)


def _returns(rng: np.random.Generator, regime: Integers, sector: Integers) -> tuple[Floats, Floats, Floats]:
    """Log returns overnight and in the session, and their standard deviation given the past; each (t, n)."""
    total, names = len(regime), len(sector)
    groups = int(sector.max()) + 1
    beta = rng.uniform(0.7, 1.3, names)
    own = rng.uniform(0.010, 0.018, names)
    factors, factor_deviation = _clustered(_shocks(rng, (total, 1 + groups)))
    idiosyncratic, own_deviation = _clustered(_shocks(rng, (total, names)))
    scale = REGIME_SCALE[regime][:, None]
    returns = scale * _summed(factors, idiosyncratic, beta, own, sector)
    deviation = scale * _deviation(factor_deviation, own_deviation, beta, own, sector)
    # The night is an independent part of the same day: the split must not tell the rest of it.
    noise = rng.standard_normal((total, names)) * deviation * np.sqrt(OVERNIGHT_SHARE * (1 - OVERNIGHT_SHARE))
    night = OVERNIGHT_SHARE * returns + noise
    return night, returns - night, deviation


def _summed(factors: Floats, idiosyncratic: Floats, beta: Floats, own: Floats, sector: Integers) -> Floats:
    """Return of each name out of the common factor, its sector's and its own innovation; shape (t, n)."""
    market, group = MARKET_DEVIATION * factors[:, :1], SECTOR_DEVIATION * factors[:, 1:][:, sector]
    total: Floats = beta * market + group + own * idiosyncratic
    return total


def _deviation(factors: Floats, idiosyncratic: Floats, beta: Floats, own: Floats, sector: Integers) -> Floats:
    """Standard deviation of `_summed`, out of those of its parts; shape (t, n)."""
    variance = (MARKET_DEVIATION * beta * factors[:, :1]) ** 2 + (SECTOR_DEVIATION * factors[:, 1:][:, sector]) ** 2
    deviation: Floats = np.sqrt(variance + (own * idiosyncratic) ** 2)
    return deviation


def _parts(rng: np.random.Generator, innovations: Floats, deviations: Floats) -> tuple[Floats, Floats]:
    """Night and day of each innovation (t, k): uncorrelated, the day symmetric about 0 whatever the night was.

    A night of the whole market would tell its day if only the names' own noise parted them: a portfolio that is
    rebalanced at the open would earn that.
    """
    noise = rng.standard_normal(innovations.shape) * np.sqrt(OVERNIGHT_SHARE * (1 - OVERNIGHT_SHARE))
    night = OVERNIGHT_SHARE * innovations + noise * deviations
    sign = 2.0 * rng.integers(0, 2, innovations.shape) - 1.0
    return night, sign * (innovations - night)


def _simple_returns(rng: np.random.Generator, regime: Integers, sector: Integers) -> tuple[Floats, Floats, Floats]:
    """Simple returns overnight and in the session, symmetric about 0 given the past, and `_deviation`; each (t, n)."""
    total, names = len(regime), len(sector)
    beta, own = rng.uniform(0.7, 1.3, names), rng.uniform(0.010, 0.018, names)
    factors, factor_deviation = _clustered(_shocks(rng, (total, 1 + int(sector.max()) + 1)))
    idiosyncratic, own_deviation = _clustered(_shocks(rng, (total, names)))
    common, alone = _parts(rng, factors, factor_deviation), _parts(rng, idiosyncratic, own_deviation)
    scale = REGIME_SCALE[regime][:, None]
    night, day = (
        np.clip(scale * _summed(factor, idiosyncratic, beta, own, sector), -SIMPLE_LIMIT, SIMPLE_LIMIT)
        for factor, idiosyncratic in zip(common, alone, strict=True)
    )
    return night, day, scale * _deviation(factor_deviation, own_deviation, beta, own, sector)


def _volume(rng: np.random.Generator, returns: Floats, deviation: Floats, persistence: float) -> Floats:
    """Whole shares: a level of the name, a latent AR(1), and more in sessions that move; shape (t, n)."""
    total, names = returns.shape
    shocks = rng.standard_normal((total, names)) * np.sqrt(1 - persistence**2)
    latent = np.empty((total, names))
    state = rng.standard_normal(names)
    for t in range(total):
        state = persistence * state + shocks[t]
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
