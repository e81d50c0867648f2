"""Chains of sessions that none was kept of: listed contracts, quotes, Greeks, volume and open interest, all modelled.

Values are those of the surface, quotes lie a modelled half-spread on both sides of them, volume and open interest are
expectations. Everything says so: ``modelled`` is true and ``source`` begins with "modelled".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from openbell.core.errors import BadInput
from openbell.core.quotes import QUOTES
from openbell.core.time import MOMENT, Sessions
from openbell.market.calendars import sessions as calendar_of
from openbell.market.chain_activity import ROUND, open_interest_terms, round_terms, volume_terms
from openbell.market.contracts import WEEKLY, option_class
from openbell.market.surface_scalars import FITTED, SurfaceScalars
from openbell.quant.listing import FRIDAY, Expiries, expiries, programme, strike_increment
from openbell.quant.surface_values import SurfaceValues, at_the_money_volatility, surface_greeks, surface_values
from openbell.quant.surfaces import Surfaces

Floats = NDArray[np.float64]

SOURCE = "modelled: surface and spread fitted on real chains"
#: Expiries further away are not modelled, calendar days.
HORIZON_DAYS = 400
#: Strikes reach this far from the spot, and to the delta of 0.01 where that is further; never beyond deviations at
#: which nothing is quoted. Every increment is listed near the money, every fifth beyond.
REACH, DELTA_DEVIATIONS, FURTHEST_DEVIATIONS = 0.25, 2.4, 8.0
DENSE, SPARSE = 0.10, 5
#: Sessions of the underlying's mean volume, itself included, that the day's is relative to.
VOLUME_SESSIONS = 20
COLUMNS = tuple(name for name in QUOTES if name != "known_at")


@dataclass(frozen=True, slots=True, eq=False)
class DayFacts:
    """What volume and open interest follow, (n,) beside the sessions of the surfaces.

    Attributes
    ----------
    relative_volume : of the underlying to its mean; NaN where it is unknown, and then the chain has no volume.
    change : log return of the underlying that day. anchor : where the spot has stood of late, points.
    """

    relative_volume: Floats
    change: Floats
    anchor: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Contracts:
    """c listed contracts, each on one session: row of the surfaces, +1 or -1, points, datetime64[D], bool, points."""

    row: NDArray[np.int64]
    right: Floats
    strike: Floats
    expiry: np.ndarray
    am: np.ndarray
    increment: Floats


def day_facts(surfaces: Surfaces, bars: pl.DataFrame, scalars: SurfaceScalars = FITTED) -> DayFacts:
    """The facts of each session of `surfaces` out of ``session``, ``close`` and, where there is one, ``volume``.

    Causal: each uses bars up to its session. A session without a bar has NaN.
    """
    rows = bars.sort("session")
    if "volume" not in rows.columns:
        rows = rows.with_columns(pl.lit(None, dtype=pl.Float64).alias("volume"))
    volume = pl.when(pl.col("volume") > 0).then(pl.col("volume").cast(pl.Float64))
    made = rows.select(
        pl.col("session").cast(pl.Date),
        (volume / volume.rolling_mean(VOLUME_SESSIONS, min_samples=VOLUME_SESSIONS // 2)).alias("relative"),
        pl.col("close").log().diff().alias("change"),
        pl.col("close").ewm_mean(half_life=scalars.anchor, adjust=True).alias("anchor"),
    )
    asked = pl.DataFrame({"session": pl.Series(surfaces.sessions.astype("datetime64[D]"))})
    found = asked.join(made, on="session", how="left", maintain_order="left")
    number = [
        found[name].fill_null(float("nan")).to_numpy().astype(np.float64) for name in ("relative", "change", "anchor")
    ]
    return DayFacts(*number)


def listed_contracts(
    surfaces: Surfaces, rows: ArrayLike, underlying: str, *, calendar: Sessions | None = None
) -> Contracts:
    """The contracts that are listed on the sessions `rows` of the surfaces, ordered by session, expiry, strike, right.

    Sessions without a surface have none.
    """
    asked = np.atleast_1d(np.asarray(rows, dtype=np.int64))
    known = np.array((calendar or calendar_of()).dates, dtype="datetime64[D]")
    board = expiries(known, programme(underlying))
    row, expiry = _pairs(surfaces, asked, board)
    days = surfaces.sessions.astype("datetime64[D]")
    date = board.date[expiry]
    ahead = (date - days[row]).astype(np.int64)
    spot = surfaces.spot[row]
    deviation = at_the_money_volatility(surfaces, row, ahead, calendar=known_clock(surfaces, known)) * np.sqrt(
        ahead / 365
    )
    priced = np.isfinite(deviation)
    row, expiry, ahead, spot, deviation = (each[priced] for each in (row, expiry, ahead, spot, deviation))
    increment = strike_increment(spot, ahead, programme(underlying))
    pair, strike = _strikes(spot, deviation, increment)
    both = np.repeat(pair, 2)
    return Contracts(
        row=row[both],
        right=np.tile([1.0, -1.0], len(pair)),
        strike=np.repeat(strike, 2),
        expiry=board.date[expiry][both],
        am=board.am[expiry][both],
        increment=increment[both],
    )


def known_clock(surfaces: Surfaces, known: np.ndarray) -> np.ndarray | None:
    """The sessions that a clock counts, from the surfaces' first one on; None without a clock."""
    if not np.isfinite(surfaces.displacement):
        return None
    days = surfaces.sessions.astype("datetime64[D]")
    return np.asarray(np.concatenate([days, known[known > days[-1]]])[: len(surfaces.clock)])


def modelled_chain(
    surfaces: Surfaces,
    rows: ArrayLike,
    facts: DayFacts,
    underlying: str,
    *,
    calendar: Sessions | None = None,
    scalars: SurfaceScalars = FITTED,
) -> pl.DataFrame:
    """Quotes of every listed contract on the sessions `rows` of the surfaces.

    Parameters
    ----------
    rows : sessions, by their row; about 15,000 contracts each for an index, so a year takes some 3 GB: see
        `modelled_chains` for one part after the other.
    facts : see `day_facts`. calendar : of the exchange; New York's where not given.

    Returns
    -------
    pl.DataFrame
        The columns of ``QUOTES`` without ``known_at``. Bids under the least half-spread are 0; such a contract has no
        mid, volatility or Greeks, as in a real chain. Third Fridays settle on the close wherever such a contract was
        listed. American contracts carry the European value: an early exercise is not in their price.

    Raises
    ------
    BadInput
        On facts of another length, or a session that is not one of the calendar.
    """
    if len(facts.change) != len(surfaces.sessions):
        raise BadInput(f"The facts are of {len(facts.change)} sessions, the surfaces of {len(surfaces.sessions)}.")
    open_days = calendar or calendar_of()
    made = listed_contracts(surfaces, rows, underlying, calendar=open_days)
    clock = known_clock(surfaces, np.array(open_days.dates, dtype="datetime64[D]"))
    values = surface_values(surfaces, made.row, made.right, made.strike, made.expiry, calendar=clock)
    greeks = surface_greeks(surfaces, made.row, made.right, made.strike, values)
    third = _third_friday(made.expiry, np.array(open_days.dates, dtype="datetime64[D]"))
    traded, held = _activity(surfaces, made, values, facts, third, programme(underlying).name, scalars)
    bid = np.maximum(values.value - values.half_spread, 0.0)
    quoted = bid > 0
    numbers = {
        "strike": made.strike,
        "bid": bid,
        "ask": values.value + values.half_spread,
        "last": np.where(quoted, values.value, np.nan),
        "volume": traded,
        "open_interest": held,
        "spot": surfaces.spot[made.row],
        "years": values.years,
        "forward": values.forward,
        "discount": values.discount,
        "mid": np.where(quoted, values.value, np.nan),
        "iv": np.where(quoted, values.volatility, np.nan),
        **{n: np.where(quoted, getattr(greeks, n), np.nan) for n in ("delta", "gamma", "theta", "vega", "rho")},
    }
    return _frame(surfaces, made, numbers, underlying.upper(), open_days)


def modelled_chains(
    surfaces: Surfaces,
    rows: ArrayLike,
    facts: DayFacts,
    underlying: str,
    *,
    sessions_each: int = 63,
    calendar: Sessions | None = None,
    scalars: SurfaceScalars = FITTED,
) -> Iterator[pl.DataFrame]:
    """`modelled_chain` of `rows`, some sessions at a time."""
    asked = np.atleast_1d(np.asarray(rows, dtype=np.int64))
    for start in range(0, len(asked), sessions_each):
        part = asked[start : start + sessions_each]
        yield modelled_chain(surfaces, part, facts, underlying, calendar=calendar, scalars=scalars)


def _pairs(surfaces: Surfaces, rows: NDArray[np.int64], board: Expiries) -> tuple[np.ndarray, np.ndarray]:
    """Row of the surfaces and index of the expiry, of every expiry that is listed on every session asked for."""
    days = surfaces.sessions.astype("datetime64[D]")[rows][:, None]
    last = days + HORIZON_DAYS
    if np.isfinite(surfaces.displacement):
        reach = len(surfaces.clock) - len(surfaces.sessions)
        later = board.sessions[board.sessions > surfaces.sessions.astype("datetime64[D]")[-1]][:reach]
        last = np.minimum(last, later[-1] if len(later) else surfaces.sessions[-1].astype("datetime64[D]"))
    listed = (board.listed_from[None] <= days) & (board.date[None] > days) & (board.date[None] <= last)
    at, expiry = np.nonzero(listed)
    return rows[at], expiry


def _strikes(spot: Floats, deviation: Floats, increment: Floats) -> tuple[NDArray[np.int64], Floats]:
    """Index of the pair and the strike of everything listed, rising by pair and strike."""
    reach = np.minimum(FURTHEST_DEVIATIONS * deviation, np.maximum(-np.log(1 - REACH), DELTA_DEVIATIONS * deviation))
    ends = [spot * np.exp(-reach), spot * (1 - DENSE), spot * (1 + DENSE), spot * np.exp(reach)]
    low, dense_low, dense_high, high = (each / increment for each in ends)
    dense_low, dense_high = np.maximum(low, dense_low), np.minimum(high, dense_high)
    first, last = np.ceil(dense_low), np.floor(dense_high)
    under = np.ceil(low / SPARSE), np.ceil(first / SPARSE) - 1
    over = np.floor(last / SPARSE) + 1, np.floor(high / SPARSE)
    parts = [(under[0], under[1], SPARSE), (first, last, 1), (over[0], over[1], SPARSE)]
    pairs, strikes = [], []
    for start, stop, step in parts:
        count = np.maximum(stop - start + 1, 0).astype(np.int64)
        pair = np.repeat(np.arange(len(spot)), count)
        within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        pairs.append(pair)
        strikes.append((start[pair] + within) * step * increment[pair])
    pair, strike = np.concatenate(pairs), np.concatenate(strikes)
    good = strike > 0
    order = np.lexsort((strike[good], pair[good]))
    return pair[good][order], strike[good][order]


def _activity(
    surfaces: Surfaces,
    made: Contracts,
    values: SurfaceValues,
    facts: DayFacts,
    third: Floats,
    kind: str,
    scalars: SurfaceScalars,
) -> tuple[Floats, Floats]:
    """Expected volume and open interest, whole contracts; NaN where a fact is missing."""
    deviation = values.at_the_money_volatility * np.sqrt(values.years)
    away = np.log(made.strike / values.forward) / deviation
    shift = np.log(facts.anchor / surfaces.spot)[made.row] / deviation
    weekday = (made.expiry.astype(np.int64) + 3) % 7
    terms = (made.right, values.years * 365, third, np.maximum(third, weekday == FRIDAY))
    step = made.strike / made.increment
    level = 0.0 if kind == "SPX" else scalars.stock_activity
    volume = volume_terms(away, *terms, step, facts.change[made.row]) @ np.array(scalars.volume)
    held = open_interest_terms(away - shift, *terms) @ np.array(scalars.open_interest)
    held += np.column_stack(round_terms(step)) @ np.array(scalars.volume)[list(ROUND)]
    return np.rint(np.exp(volume + level) * facts.relative_volume[made.row]), np.rint(np.exp(held + level))


def _third_friday(expiry: np.ndarray, known: np.ndarray) -> Floats:
    """Whether each expiry is a third Friday, or the Thursday before one that is a holiday."""
    number = (expiry - expiry.astype("datetime64[M]")).astype(np.int64) + 1
    weekday = (expiry.astype(np.int64) + 3) % 7
    friday = (weekday == FRIDAY) & (number >= 15) & (number <= 21)
    before = (weekday == FRIDAY - 1) & (number >= 14) & (number <= 20) & ~np.isin(expiry + 1, known)
    return (friday | before).astype(np.float64)


def _frame(
    surfaces: Surfaces, made: Contracts, numbers: dict[str, Floats], underlying: str, open_days: Sessions
) -> pl.DataFrame:
    used = np.unique(made.row)
    dates = surfaces.sessions.astype("datetime64[D]")[used].tolist()
    moments = pl.DataFrame(
        {"_row": used, "session": dates, "quote_at": [open_days.close(each) for each in dates]},
        schema={"_row": pl.Int64, "session": pl.Date, "quote_at": MOMENT},
    )
    facts = {am: option_class(underlying if am else WEEKLY.get(underlying, underlying)) for am in (True, False)}
    named = [
        pl.when(pl.col("_am")).then(pl.lit(str(on_open))).otherwise(pl.lit(str(on_close))).alias(name)
        for name, on_open, on_close in (
            ("root", facts[True].root, facts[False].root),
            ("settlement", facts[True].settlement.value, facts[False].settlement.value),
        )
    ]
    frame = pl.DataFrame(
        {"_row": made.row, "_am": made.am, "_call": made.right > 0, "expiry": made.expiry, **numbers}
    ).join(moments, on="_row", how="left", maintain_order="left")
    return frame.with_columns(
        *named,
        pl.when(pl.col("_call")).then(pl.lit("CALL")).otherwise(pl.lit("PUT")).alias("right"),
        pl.lit(underlying).alias("underlying"),
        pl.lit(facts[False].exercise.value).alias("exercise"),
        pl.lit(facts[False].multiplier).alias("multiplier"),
        pl.lit(None, dtype=pl.Float64).alias("vendor_iv"),
        pl.lit(None, dtype=pl.Float64).alias("vendor_delta"),
        pl.lit(True).alias("modelled"),
        pl.lit(SOURCE).alias("source"),
        *(pl.col(name).fill_nan(None) for name in numbers),
    ).select(pl.col(name).cast(QUOTES[name]) for name in COLUMNS)
