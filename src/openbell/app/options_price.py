"""`openbell options price`: what a structure is worth, how it moves, what it pays, and how likely that is."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from openbell.app.options_price_market import (
    MarketNow,
    bars_of,
    chain_market,
    modelled_market,
    stated_market,
)
from openbell.core.errors import BadInput, DataMissing
from openbell.core.time import Sessions
from openbell.quant.empirical import Empirical, empirical
from openbell.quant.legs import CALL, Legs
from openbell.quant.margin import Requirement, requirement
from openbell.quant.odds import Odds, Touch, odds, probability_of_touch
from openbell.quant.payoffs import Profile, profile_by_valuation
from openbell.quant.structure_checks import check_structure
from openbell.quant.structure_legs import legs_of
from openbell.quant.valuation import Valuation, value

if TYPE_CHECKING:
    from openbell.app.home import Home

_YEAR_SECONDS = 365 * 86_400


@dataclass(frozen=True, slots=True)
class Asked:
    """What to price. `as_of` is the session decided for; prices are those of the close before it.

    `premium` is what is paid (below 0: received), points; None takes the quotes, else the value.
    """

    underlying: str
    structure: str
    strikes: tuple[float, ...]
    expiries: tuple[dt.date, ...]
    as_of: dt.date | None = None
    spot: float | None = None
    iv: float | None = None
    rate: float | None = None
    dividend_yield: float | None = None
    premium: float | None = None
    settlement: str = "PM"


@dataclass(frozen=True, slots=True, eq=False)
class Priced:
    """One structure, priced. Money is points per unit; USD is points times `multiplier`."""

    asked: Asked
    session: dt.date
    market: MarketNow
    legs: Legs
    years: np.ndarray
    values: Valuation
    quotes: tuple[np.ndarray, np.ndarray] | None
    premium: float
    premium_from: str
    profile: Profile
    density: Odds
    history: Odds | None
    history_sessions: int
    no_history: str
    touches: tuple[tuple[Touch, Touch | None], ...]
    margin: Requirement
    multiplier: float
    notes: tuple[str, ...] = field(default=())


def price(asked: Asked, home: Home) -> Priced:
    """Price what is `asked` on stated numbers, else on the stored chain, else on the modelled surface."""
    legs = legs_of(asked.structure, asked.strikes, asked.expiries)
    session = _session(asked, home)
    before = home.sessions.shift(session, -1)
    _check_expiries(legs, before, home.sessions)
    market = _market(asked, home, session, before)
    years = _years(legs, market, home.sessions, asked.settlement)
    volatility = market.volatility(legs, years)
    carry = {"rate": market.rate, "dividend_yield": market.dividend_yield}
    values = value(legs, np.array([market.spot]), years, volatility, **carry)
    _check_moneyness(legs, market)
    each = values.value[:, 0] / legs.ratio
    quotes = market.bid_and_ask(legs, each, years)
    premium, premium_from = _premium(asked, legs, each, quotes)
    check_structure(asked.structure, legs, premium)
    profile = profile_by_valuation(legs, premium, market.far, years=years)
    near = int(np.argmin(legs.expiry))
    expiry, left = legs.expiry[near].item(), float(years[near])
    discount = math.exp(-market.rate * left)
    density = market.distribution(expiry, left)
    sample, no_history = _history(asked, home, session, before, expiry, market.spot)
    multiplier, broad, american = _contract(asked.underlying)
    held = requirement(legs, market.spot, _marks(each, quotes), broad_index=broad, multiplier=multiplier)
    return Priced(
        asked=asked,
        session=session,
        market=market,
        legs=legs,
        years=years,
        values=values,
        quotes=quotes,
        premium=premium,
        premium_from=premium_from,
        profile=profile,
        density=odds(profile, density, discount),
        history=None if sample is None else odds(profile, sample, discount),
        history_sessions=0 if sample is None else sample.sessions,
        no_history=no_history,
        touches=tuple(
            (
                probability_of_touch(level, market.spot, density),
                None if sample is None else probability_of_touch(level, market.spot, sample),
            )
            for level in profile.breakevens
            if level > 0
        ),
        margin=replace(held, premium_usd=premium * multiplier),
        multiplier=multiplier,
        notes=(*market.notes, *american),
    )


def _session(asked: Asked, home: Home) -> dt.date:
    if asked.as_of is not None:
        home.sessions.index(asked.as_of)
        return asked.as_of
    if not home.tables.exists("bars"):
        raise BadInput(
            f"There are no bars in {home.path} that would say which session is next. Say it with --as-of DATE."
        )
    return home.decision_session(None)


def _check_expiries(legs: Legs, before: dt.date, sessions: Sessions) -> None:
    """Each expiry a session after the quotes; a holiday is refused with its neighbours."""
    for expiry in sorted({day.item() for day in legs.expiry}):
        sessions.index(expiry)
        if expiry <= before:
            raise BadInput(f"The expiry {expiry} is not after {before}, the session of the prices: it is over.")


def _market(asked: Asked, home: Home, session: dt.date, before: dt.date) -> MarketNow:
    if asked.iv is not None:
        spot = asked.spot
        if spot is None:
            rows = bars_of(home.view(session), asked.underlying)
            known = rows.filter(rows["session"] == before)
            if not known.height:
                raise DataMissing(
                    f"There is no close of {asked.underlying} on {before}. Import its bars or state --spot."
                )
            spot = float(known["close"][0])
        at = home.sessions.close(before)
        return stated_market(asked.underlying, at, spot, asked.iv, asked.rate, asked.dividend_yield)
    view = home.view(session)
    found = chain_market(view, asked.underlying, before, asked.settlement)
    if found is None:
        found = modelled_market(home, view, asked.underlying, before)
    stated = {name: getattr(asked, name) for name in ("spot", "rate", "dividend_yield")}
    stated = {name: number for name, number in stated.items() if number is not None}
    if not stated:
        return found
    # Quotes, and smiles around a forward, belong to the numbers they came with.
    told = f"Stated, in place of the {found.source}'s: {', '.join(f'{n} {v:g}' for n, v in stated.items())}."
    return replace(found, **stated, quotes={}, slices={}, notes=(*found.notes, told))


def _years(legs: Legs, market: MarketNow, sessions: Sessions, settlement: str) -> np.ndarray:
    """(n,) from the quotes to the moment of each expiry; what a chain settles only one way settles that way."""
    from openbell.market.contracts import expiry_moment

    if settlement not in ("AM", "PM"):
        raise BadInput(f"`{settlement}` is no settlement. Write AM (on the open) or PM (on the close).")
    days = [day.item() for day in legs.expiry]
    moments = [expiry_moment(day, market.settlements.get(day, settlement), sessions) for day in days]
    return np.array([(moment - market.quote_at).total_seconds() / _YEAR_SECONDS for moment in moments])


#: Strikes further than this many times from the spot belong to another underlying, or to prices before a split.
_FARTHEST = 3.0


def _check_moneyness(legs: Legs, market: MarketNow) -> None:
    bad = legs.strike[(legs.strike > _FARTHEST * market.spot) | (legs.strike < market.spot / _FARTHEST)]
    if len(bad):
        raise BadInput(
            f"The strike {bad[0]:g} is more than {_FARTHEST:g} times away from the spot {market.spot:g} of "
            f"{market.underlying}. Do they belong to the same underlying, and to the same side of a split?"
        )


def _premium(
    asked: Asked, legs: Legs, each: np.ndarray, quotes: tuple[np.ndarray, np.ndarray] | None
) -> tuple[float, str]:
    if asked.premium is not None:
        return asked.premium, "stated"
    if quotes is None:
        return float(legs.ratio @ each), "the model's value"
    bid, ask = quotes
    missing = ~(np.isfinite(bid) & np.isfinite(ask)) | ((legs.ratio < 0) & ~(bid > 0))
    if missing.any():
        at = int(np.flatnonzero(missing)[0])
        raise DataMissing(
            f"There is no quote to trade the {legs.strike[at]:g} {'call' if legs.right[at] == CALL else 'put'} of "
            f"{legs.expiry[at]} at. Choose a strike and an expiry of the chain, or state --premium."
        )
    return float(legs.ratio @ np.where(legs.ratio > 0, ask, bid)), "bought at the ask, sold at the bid"


def _marks(each: np.ndarray, quotes: tuple[np.ndarray, np.ndarray] | None) -> np.ndarray:
    if quotes is None:
        return each
    mid = 0.5 * (quotes[0] + quotes[1])
    return np.where(np.isfinite(mid), mid, each)


def _history(
    asked: Asked, home: Home, session: dt.date, before: dt.date, expiry: dt.date, spot: float
) -> tuple[Empirical | None, str]:
    """What the underlying did over as many sessions, or the sentence why that is not known."""
    length = home.sessions.index(expiry) - home.sessions.index(before)
    closes = bars_of(home.view(session), asked.underlying)["adjusted"].to_numpy()
    if not len(closes):
        return None, f"There are no bars of {asked.underlying} in {home.path}, so nothing is known of its past."
    try:
        return empirical(closes, length, spot), ""
    except DataMissing as missing:
        return None, str(missing)


def _contract(underlying: str) -> tuple[float, bool, tuple[str, ...]]:
    """USD per point, whether the options are on a broad index, and what to say of early exercise."""
    from openbell.core.types import Exercise
    from openbell.market.contracts import CLASSES, option_class

    found = option_class(underlying)
    broad = underlying in {each.underlying for each in CLASSES.values()} - {"VIX"}
    told = f"Options on {underlying} may be exercised early; the values and Greeks here leave that right out."
    return found.multiplier, broad, (told,) if found.exercise is Exercise.AMERICAN else ()
