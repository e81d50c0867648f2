"""Expiry and strikes by rule (S0 Annex D): by the rank of the volatility, the strength of the trend, and deltas."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

import numpy as np
import polars as pl

from openbell.core.errors import DataMissing, unknown
from openbell.quant.legs import CALL, PUT, Legs
from openbell.quant.listing import Expiries, Programme, nearest_expiry, strike_increment
from openbell.quant.option_account import Contracts
from openbell.quant.structures import (
    BEAR_PUT_SPREAD,
    BULL_CALL_SPREAD,
    CALENDAR_SPREAD,
    DIAGONAL_SPREAD,
    IRON_BUTTERFLY,
    IRON_CONDOR,
    LONG_CALL,
    LONG_PUT,
    LONG_STRADDLE,
    LONG_STRANGLE,
    STRUCTURES,
)
from openbell.research.option_orders import Entry, NoTrade
from openbell.research.option_quotes import DELTA, Spots, SurfaceQuotes

#: Features that the serving rules read.
INPUTS = ("iv_rank", "adx_14", "trend_regime", "rsi_14")
VERY_STRONG, STRONG, MODERATE, WEAK = "VERY_STRONG", "STRONG", "MODERATE", "WEAK"
#: Calendars and diagonals: days to the near and the far expiry, and the least days between them.
NEAR_DAYS, FAR_DAYS, APART_DAYS = 21, 45, 14
#: Strikes of a modelled chain lie within this share of the spot.
REACH = 0.25

Features = Mapping[str, float | None]


@dataclass(frozen=True, slots=True, eq=False)
class Strikes:
    """Live contracts (a bid above 0, an ask above it) of one expiry and right, rising by strike; arrays (k,)."""

    strike: np.ndarray
    delta: np.ndarray
    morning: np.ndarray


class DayChain(Protocol):
    """What is listed and quoted at one close."""

    @property
    def spot(self) -> float:
        """Close of the underlying, points."""
        ...

    def expiry(self, days: int, after: np.datetime64) -> np.datetime64 | None:
        """The listed expiry nearest `days` calendar days from the chain's session, later than `after`."""
        ...

    def strikes(self, expiry: np.datetime64, right: int) -> Strikes:
        """The live contracts of one expiry and right."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class ModelledChain:
    """The chain that is listed on the session in the place `row` of modelled surfaces."""

    quotes: SurfaceQuotes
    row: int
    listed: Expiries
    programme: Programme | str = "SPX"

    @property
    def spot(self) -> float:
        """Close of the underlying, points."""
        return float(self.quotes.surfaces.spot[self.row])

    def expiry(self, days: int, after: np.datetime64) -> np.datetime64 | None:
        """The listed expiry nearest `days` calendar days from the chain's session, later than `after`."""
        session = self.quotes.surfaces.sessions[[self.row]]
        found = int(nearest_expiry(self.listed, session, np.array([days]), np.array([after]))[0])
        return None if found < 0 else self.listed.date[found]

    def strikes(self, expiry: np.datetime64, right: int) -> Strikes:
        """Listed strikes within `REACH` of the spot that have a bid."""
        place = int(np.searchsorted(self.listed.date, expiry))
        days = int((expiry - self.quotes.surfaces.sessions[self.row]).astype(np.int64))
        step = float(strike_increment(self.spot, days, self.programme))
        strike = np.arange(np.ceil(self.spot * (1 - REACH) / step), self.spot * (1 + REACH) / step) * step
        shape = strike.shape
        morning = np.full(shape, bool(self.listed.am[place]))
        quoted = self.quotes.quote(
            self.row, Contracts(np.full(shape, right, dtype=np.int8), strike, np.full(shape, expiry), morning)
        )
        live = (quoted.bid > 0) & (quoted.ask > quoted.bid)
        return Strikes(strike[live], quoted.greeks[live, DELTA], morning[live])


@dataclass(frozen=True, slots=True, eq=False)
class QuotedChain:
    """The rows of a table of quotes (``core.quotes.QUOTES``) of one session; `spot` is the close of that session."""

    quotes: pl.DataFrame
    spot: float

    def expiry(self, days: int, after: np.datetime64) -> np.datetime64 | None:
        """The quoted expiry nearest `days` calendar days from the chain's session, later than `after`."""
        session = self.quotes["session"].to_numpy().astype("datetime64[D]")[0]
        dates = np.unique(self.quotes["expiry"].to_numpy().astype("datetime64[D]"))
        board = Expiries.of_chain(session, dates)
        found = int(nearest_expiry(board, np.array([session]), np.array([days]), np.array([after]))[0])
        return None if found < 0 else dates[found]

    def strikes(self, expiry: np.datetime64, right: int) -> Strikes:
        """The contracts with a bid, an ask above it and a delta of our own; AM ones where there are no others."""
        live = self.quotes.filter(
            (pl.col("expiry") == expiry.item())
            & (pl.col("right") == ("CALL" if right == CALL else "PUT"))
            & (pl.col("bid") > 0)
            & (pl.col("ask") > pl.col("bid"))
            & pl.col("delta").is_finite()
        ).with_columns((pl.col("settlement") == "AM").alias("morning"))
        one = live.sort("strike", "morning").unique("strike", keep="first", maintain_order=True)
        if one["morning"].n_unique() > 1:
            one = one.filter(~pl.col("morning"))
        return Strikes(one["strike"].to_numpy(), one["delta"].to_numpy(), one["morning"].to_numpy())


def trend_strength(features: Features) -> str:
    """VERY_STRONG, STRONG, MODERATE or WEAK, by ADX, RSI and the trend's regime."""
    adx, rsi, trend = _value(features, "adx_14"), _value(features, "rsi_14"), _value(features, "trend_regime")
    if adx > 30 and ((rsi > 65 and trend >= 4) or (rsi < 35 and trend <= 0)):
        return VERY_STRONG
    if adx > 25 and ((rsi > 60 and trend >= 3) or (rsi < 40 and trend <= 1)):
        return STRONG
    return MODERATE if adx > 20 else WEAK


def target_days(structure: str, features: Features) -> int:
    """Calendar days to the (near) expiry that the rules ask for."""
    iv, very = _value(features, "iv_rank"), trend_strength(features) == VERY_STRONG
    if structure in (IRON_CONDOR, IRON_BUTTERFLY):
        return 7 if iv > 70 else 14 if iv > 50 else 21
    if structure in (LONG_CALL, LONG_PUT):
        return 45 if iv < 30 and very else 30 if iv < 40 else 21
    if structure in (BULL_CALL_SPREAD, BEAR_PUT_SPREAD):
        return 30 if very else 21
    return NEAR_DAYS if structure in (CALENDAR_SPREAD, DIAGONAL_SPREAD) else 30


def _value(features: Features, name: str) -> float:
    value = features.get(name)
    return float("nan") if value is None else float(value)


@dataclass(frozen=True, slots=True, eq=False)
class _Leg:
    """A leg of the rules: `pick` gives its strike among the live ones; `far` is the later expiry."""

    right: int
    ratio: int
    pick: Callable[[Strikes, float], int]
    far: bool = False


def _delta(target: float) -> Callable[[Strikes, float], int]:
    """The contract whose delta is nearest in size; the lower strike of two."""
    return lambda live, spot: int(np.argmin(np.abs(np.abs(live.delta) - target)))


def _money(share: float = 1.0) -> Callable[[Strikes, float], int]:
    """The strike nearest `share` of the spot; the lower of two."""
    return lambda live, spot: int(np.argmin(np.abs(live.strike - share * spot)))


def _condor(features: Features) -> tuple[_Leg, ...]:
    short, long = (0.20, 0.10) if _value(features, "iv_rank") > 70 else (0.25, 0.15)
    return (
        _Leg(PUT, +1, _delta(long)), _Leg(PUT, -1, _delta(short)),
        _Leg(CALL, -1, _delta(short)), _Leg(CALL, +1, _delta(long)),
    )  # fmt: skip


def _butterfly(features: Features) -> tuple[_Leg, ...]:
    wing = 0.07 if _value(features, "iv_rank") > 75 else 0.05
    return (
        _Leg(PUT, +1, _money(1 - wing)), _Leg(PUT, -1, _money()),
        _Leg(CALL, -1, _money()), _Leg(CALL, +1, _money(1 + wing)),
    )  # fmt: skip


def _bought(right: int) -> Callable[[Features], tuple[_Leg, ...]]:
    def legs(features: Features) -> tuple[_Leg, ...]:
        iv = _value(features, "iv_rank")
        return (_Leg(right, +1, _delta(0.50 if iv < 30 else 0.40 if iv < 40 else 0.30)),)

    return legs


def _vertical(right: int) -> Callable[[Features], tuple[_Leg, ...]]:
    def legs(features: Features) -> tuple[_Leg, ...]:
        long, short = (0.50, 0.30) if _value(features, "iv_rank") < 50 else (0.60, 0.25)
        return _Leg(right, +1, _delta(long)), _Leg(right, -1, _delta(short))

    return legs


def _straddle(features: Features) -> tuple[_Leg, ...]:
    return _Leg(CALL, +1, _money()), _Leg(PUT, +1, _money())


def _strangle(features: Features) -> tuple[_Leg, ...]:
    target = 0.35 if _value(features, "iv_rank") < 30 else 0.25
    return _Leg(PUT, +1, _delta(target)), _Leg(CALL, +1, _delta(target))


def _calendar(features: Features) -> tuple[_Leg, ...]:
    right = CALL if _value(features, "rsi_14") > 50 else PUT
    return _Leg(right, -1, _money()), _Leg(right, +1, _money(), far=True)


def _diagonal(features: Features) -> tuple[_Leg, ...]:
    right = CALL if _value(features, "rsi_14") > 55 else PUT
    return _Leg(right, -1, _delta(0.30)), _Leg(right, +1, _delta(0.50), far=True)


_LEGS: Mapping[str, Callable[[Features], tuple[_Leg, ...]]] = MappingProxyType(
    {
        IRON_CONDOR: _condor,
        IRON_BUTTERFLY: _butterfly,
        LONG_CALL: _bought(CALL),
        LONG_PUT: _bought(PUT),
        BULL_CALL_SPREAD: _vertical(CALL),
        BEAR_PUT_SPREAD: _vertical(PUT),
        LONG_STRADDLE: _straddle,
        LONG_STRANGLE: _strangle,
        CALENDAR_SPREAD: _calendar,
        DIAGONAL_SPREAD: _diagonal,
    }
)


#: The two legs that are to have one strike.
_SHARED: Mapping[str, tuple[int, int]] = MappingProxyType(
    {IRON_BUTTERFLY: (1, 2), LONG_STRADDLE: (0, 1), CALENDAR_SPREAD: (0, 1)}
)


def modelled_chains(
    quotes: SurfaceQuotes, listed: Expiries, programme: Programme | str = "SPX"
) -> Callable[[int], ModelledChain]:
    """For the session in each place, the modelled chain of the close before it."""
    return lambda row: ModelledChain(quotes, row - 1, listed, programme)


def quoted_chains(quotes: pl.DataFrame, spots: Spots) -> Callable[[int], QuotedChain]:
    """For the session in each place, the rows of `quotes` of the close before it."""
    by_day = quotes.partition_by("session", as_dict=True)

    def chain(row: int) -> QuotedChain:
        day = spots.sessions[row - 1].item()
        if (day,) not in by_day:
            raise DataMissing(f"There is no chain of {day}; decide nothing on such a session, or import it.")
        return QuotedChain(by_day[(day,)], float(spots.close[row - 1]))

    return chain


def served(structure: str, features: Features, chain: DayChain, *, after: np.datetime64) -> Entry | NoTrade:
    """`structure` with the expiry and the strikes of the serving rules on `chain`, or why it cannot be had.

    Parameters
    ----------
    features : those of `INPUTS`, of the close of the chain. after : every expiry lies after this day, the fill's.

    Returns
    -------
    Entry or NoTrade
        Only contracts with live quotes are chosen; another expiry is never taken for the sake of a strike, and legs
        whose strikes would coincide are no trade (checks 20 and 22). Strikes of a calendar are those that both
        expiries have.
    """
    if structure not in _LEGS:
        raise unknown("structure", structure, STRUCTURES)
    wanted = _LEGS[structure](features)
    near = chain.expiry(target_days(structure, features), after)
    if near is None:
        return NoTrade(
            f"{structure}: no listed expiry lies near the {target_days(structure, features)} days asked for."
        )
    dates = {False: near}
    if any(leg.far for leg in wanted):
        far = chain.expiry(FAR_DAYS, near + np.timedelta64(APART_DAYS, "D"))
        if far is None:
            return NoTrade(
                f"{structure}: no expiry more than {APART_DAYS} days after {near} lies near {FAR_DAYS} days."
            )
        dates[True] = far
    live = [chain.strikes(dates[leg.far], leg.right) for leg in wanted]
    if structure in _SHARED:
        live = _shared(live, _SHARED[structure])
    empty = [leg for leg, each in zip(wanted, live, strict=True) if not len(each.strike)]
    if empty:
        return NoTrade(f"{structure}: no contract of {dates[empty[0].far]} has a live quote.")
    at = [leg.pick(each, chain.spot) for leg, each in zip(wanted, live, strict=True)]
    strike = np.array([each.strike[place] for each, place in zip(live, at, strict=True)])
    if (why := _disorder(structure, strike)) is not None:
        return NoTrade(why)
    legs = Legs(
        np.array([leg.right for leg in wanted], dtype=np.int8),
        strike,
        np.array([leg.ratio for leg in wanted], dtype=np.int64),
        np.array([dates[leg.far] for leg in wanted], dtype="datetime64[D]"),
    )
    return Entry(structure, legs, np.array([each.morning[place] for each, place in zip(live, at, strict=True)]))


def _shared(live: list[Strikes], of: tuple[int, int]) -> list[Strikes]:
    """The live contracts, of the two legs `of` those alone whose strike both have."""
    common = np.intersect1d(live[of[0]].strike, live[of[1]].strike)
    kept = [np.isin(each.strike, common) | (place not in of) for place, each in enumerate(live)]
    return [
        Strikes(each.strike[mask], each.delta[mask], each.morning[mask]) for each, mask in zip(live, kept, strict=True)
    ]


def _disorder(structure: str, strike: np.ndarray) -> str | None:
    """Why these strikes are not the structure, if so."""
    rising = {
        IRON_CONDOR: (0, 1, 2, 3), BULL_CALL_SPREAD: (0, 1), BEAR_PUT_SPREAD: (1, 0), LONG_STRANGLE: (0, 1),
    }  # fmt: skip
    if structure == IRON_BUTTERFLY:
        fits = bool(strike[0] < strike[1] == strike[2] < strike[3])
    elif structure == LONG_STRADDLE:
        fits = bool(strike[0] == strike[1])
    elif structure == DIAGONAL_SPREAD:
        fits = bool(strike[0] != strike[1])
    else:
        fits = bool((np.diff(strike[list(rising.get(structure, (0,)))]) > 0).all())
    return None if fits else f"{structure}: the live strikes {strike.tolist()} lie so that its legs fall together."
