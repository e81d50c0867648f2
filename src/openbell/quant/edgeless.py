"""A market in which no option strategy has an edge: prices are the exact expectations of the path's own law.

The underlying plus its displacement is a martingale with lognormal steps, ``S + d = (S_0 + d) exp(W(v) - v / 2)``, run
on a variance clock v that is drawn once from the seed and known to everybody. Black's formula on displaced forward and
strike is then the conditional expectation of every payoff, on every day, exactly; at mid nothing has an expected gain,
held or closed early, and after costs everything has an expected loss. The displacement tilts the smile.

References
----------
Rubinstein (1983), Displaced diffusion option pricing, Journal of Finance 38, 213-217.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from openbell.core.errors import BadInput
from openbell.quant.listing import strike_increment
from openbell.quant.surfaces import Surfaces

Floats = NDArray[np.float64]

SESSIONS_PER_YEAR = 252
#: Log volatility: persistence from day to day, daily shock, chance and size of a storm.
PERSISTENCE, SHOCK, STORM_CHANCE, STORM = 0.97, 0.07, 1 / 200, 0.7
BURN_IN = 250
#: Share of a session's variance that passes before its open, and steps of its day (the highs and lows are theirs).
NIGHT, STEPS = 0.25, 12
#: Sessions after the last one that the clock knows where none are handed in.
LATER = 420
#: Correlation of the benchmark's returns, and its volatility as a share.
ALIKE, CALMER = 0.8, 0.8
#: Strikes of the volatility index, in deviations.
REACH, STRIKES = 8.0, 161
#: Coefficients of `spread_kernel` under which quotes have no spread.
FREE = (-np.inf, 0.0, 0.0, 0.0, -np.inf, 1.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True, eq=False)
class EdgelessMarket:
    """One made-up market.

    Attributes
    ----------
    surfaces : with a displacement and a clock; `parameters` only repeat the 30-day level, nothing is priced by them.
    calendar : (m,) datetime64[D], the sessions that the clock counts; the first n are those of the surfaces.
    bars, benchmark : ``session``, ``open``, ``high``, ``low``, ``close``, ``volume``.
    volatility_index, volatility_index_3m : ``session``, ``close`` in points (20 is 20 %): the rate of the variance swap
        over the next 30 and 93 calendar days, out of the option prices.
    """

    surfaces: Surfaces
    calendar: np.ndarray
    bars: pl.DataFrame
    volatility_index: pl.DataFrame
    volatility_index_3m: pl.DataFrame
    benchmark: pl.DataFrame


def edgeless_surfaces(
    sessions: ArrayLike,
    seed: int,
    *,
    start: float = 1000.0,
    volatility: float = 0.16,
    rate: float = 0.0,
    tilt: float = 0.5,
    later: ArrayLike | None = None,
    spread: np.ndarray | None = None,
) -> EdgelessMarket:
    """A market without an edge on `sessions`.

    Parameters
    ----------
    sessions : (n,) dates, rising strictly. later : the sessions after them that options may expire on; the next 420
        weekdays where not given.
    start : points, the close before the first session. volatility : its median, per year.
    rate : per year, and as much dividend yield: forwards are the spot, so that one displaced law fits all expiries.
    tilt : displacement as a share of `start`; 0 gives a flat smile.
    spread : coefficients of `spread_kernel`; without them quotes have no spread.

    Raises
    ------
    BadInput
        On sessions that do not rise, numbers that make no market, or a seed whose path reaches 0 (shorten it, or lower
        `tilt` or `volatility`: such a law has no end that is above 0).
    """
    calendar, n = _calendar(sessions, later)
    if not (start > 0 and volatility > 0 and tilt >= 0 and abs(rate) < 1):
        raise BadInput(
            f"A market needs a start and a volatility above 0, a tilt of 0 or more and a rate under 1; had {start}, "
            f"{volatility}, {tilt} and {rate}."
        )
    # A generator for each thing drawn: more sessions then change nothing of the earlier ones.
    draws = [np.random.default_rng(each) for each in np.random.SeedSequence(seed).spawn(6)]
    variance = _variance(len(calendar), volatility, draws[0], draws[1]) / (1.0 + tilt) ** 2
    clock = np.cumsum(variance)
    displacement = tilt * start
    steps, others = (each.standard_normal((n, STEPS + 1)) for each in draws[2:4])
    others = ALIKE * steps + np.sqrt(1.0 - ALIKE**2) * others
    own = _bars(steps, variance[:n], start + displacement) - displacement
    if not np.all(own > 0):
        raise BadInput(
            f"The path of seed {seed} falls to 0 within its {n} sessions. Take fewer sessions or a lower `tilt`."
        )
    other = _bars(others, variance[:n] * ((1.0 + tilt) * CALMER) ** 2, start / 2)
    days, closes = calendar[:n], own[:, 3]
    indices = [_index(days, calendar, clock, closes, displacement, span) for span in (30, 93)]
    level = (indices[0]["close"].to_numpy() / 100) ** 2
    flat = np.column_stack([level, level, *(np.full(n, each) for each in (1.0, -0.1, 0.5, 0.4))])
    surfaces = Surfaces(
        sessions=days,
        spot=closes,
        settle=own[:, 0].copy(),
        rate=np.full(n, float(rate)),
        dividend_yield=np.full(n, float(rate)),
        parameters=flat,
        spread=np.array(FREE if spread is None else spread, dtype=np.float64),
        increment=strike_increment(closes, 30.0),
        modelled=np.ones(n, dtype=bool),
        displacement=displacement,
        clock=clock,
    )
    return EdgelessMarket(
        surfaces=surfaces,
        calendar=calendar,
        bars=_frame(days, own, _volume(own, draws[4])),
        volatility_index=indices[0],
        volatility_index_3m=indices[1],
        benchmark=_frame(days, other, _volume(other, draws[5])),
    )


def _calendar(sessions: ArrayLike, later: ArrayLike | None) -> tuple[np.ndarray, int]:
    days = np.asarray(sessions, dtype="datetime64[D]")
    if days.ndim != 1 or len(days) < 2 or np.any(np.diff(days) <= np.timedelta64(0, "D")):
        raise BadInput(
            "A market needs two sessions or more that rise strictly; hand in dates of an exchange's calendar."
        )
    after = np.asarray(
        np.busday_offset(days[-1], np.arange(1, LATER + 1), roll="backward") if later is None else later,
        dtype="datetime64[D]",
    )
    if len(after) and (after[0] <= days[-1] or np.any(np.diff(after) <= np.timedelta64(0, "D"))):
        raise BadInput(f"`later` must rise strictly and begin after {days[-1]}, the last of `sessions`.")
    return np.concatenate([days, after]), len(days)


def _variance(count: int, volatility: float, daily: np.random.Generator, storms: np.random.Generator) -> Floats:
    """Variance of each session, (count,): calm and storms come in clusters."""
    total = count + BURN_IN
    shocks = SHOCK * daily.standard_normal(total) + STORM * (storms.random(total) < STORM_CHANCE)
    # The mean of the storms is taken out, so that the median stays near the one asked for.
    shocks -= STORM * STORM_CHANCE
    weights = PERSISTENCE ** np.arange(BURN_IN)
    log = np.convolve(shocks, weights)[BURN_IN:total]
    return np.asarray((volatility * np.exp(log)) ** 2 / SESSIONS_PER_YEAR)


def _bars(normal: Floats, variance: Floats, start: float) -> Floats:
    """Open, high, low and close, (n, 4), of a lognormal martingale whose close before the first session is `start`."""
    shares = np.concatenate([[NIGHT], np.full(STEPS, (1.0 - NIGHT) / STEPS)])
    piece = variance[:, None] * shares
    log = np.cumsum((np.sqrt(piece) * normal - 0.5 * piece).ravel()).reshape(normal.shape)
    levels = start * np.exp(log)
    return np.column_stack([levels[:, 0], levels.max(axis=1), levels.min(axis=1), levels[:, -1]])


def _volume(bars: Floats, draws: np.random.Generator) -> Floats:
    """Shares of each session: more on days that move, days alike in clusters."""
    moved = np.abs(np.diff(np.log(bars[:, 3]), prepend=np.log(bars[0, 0])))
    busy = np.convolve(0.15 * draws.standard_normal(len(bars)), 0.8 ** np.arange(30))[: len(bars)]
    return np.asarray(np.rint(3e9 * np.exp(busy + 12.0 * moved)))


def _index(
    days: np.ndarray, calendar: np.ndarray, clock: Floats, spot: Floats, displacement: float, span: int
) -> pl.DataFrame:
    """Square root of the variance swap's rate over `span` calendar days, in points, by its strip of options.

    ``2 / T`` times the integral of the out-of-the-money values over ``K^2``; the clock runs evenly between sessions.
    """
    from scipy.integrate import simpson

    from openbell.quant.black import prices

    number = calendar.astype(np.int64)
    ahead = np.interp(days.astype(np.int64) + span, number, clock) - clock[: len(days)]
    deviation = np.sqrt(ahead) * (spot + displacement) / spot
    k = np.linspace(-REACH, REACH, STRIKES) * deviation[:, None]
    strike = spot[:, None] * np.exp(k)
    right = np.where(k < 0, -1.0, 1.0)
    value = prices(right, (spot + displacement)[:, None], strike + displacement, 1.0, np.sqrt(ahead)[:, None])
    # By halves: the values have a kink at the forward.
    middle = STRIKES // 2
    halves = [slice(None, middle + 1), slice(middle, None)]
    strip = sum(np.asarray(simpson(value[:, each] / strike[:, each], x=k[:, each], axis=1)) for each in halves)
    rate = 2.0 * strip / (span / 365.0)
    return pl.DataFrame({"session": pl.Series(days), "close": 100.0 * np.sqrt(rate)})


def _frame(days: np.ndarray, bars: Floats, volume: Floats) -> pl.DataFrame:
    named = {name: bars[:, i] for i, name in enumerate(("open", "high", "low", "close"))}
    return pl.DataFrame({"session": pl.Series(days), **named, "volume": volume})
