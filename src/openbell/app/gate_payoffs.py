"""What a proposed order can make and lose: exact where its legs end on one day, by valuation where they do not."""

from __future__ import annotations

import math
from dataclasses import dataclass

from openbell.core.assessment import NO_ODDS, Asked, Payoff, PriceOdds
from openbell.core.errors import BadInput
from openbell.core.ticket import Ticket
from openbell.core.time import Sessions
from openbell.quant.distributions import Lognormal
from openbell.quant.odds import probability_of_profit
from openbell.quant.payoffs import Profile, profile_by_valuation
from openbell.quant.ticket_profile import checked, legs_of, profile_of
from openbell.quant.valuation import far_value

YEAR_SECONDS = 365 * 86_400.0


@dataclass(frozen=True, slots=True)
class Bounds:
    """One unit's payoff; `refused` is the sentence where the order cannot be, and `odds` what a valuation says."""

    payoff: Payoff
    odds: PriceOdds = NO_ODDS
    refused: str | None = None
    notes: tuple[str, ...] = ()


def bounds_of(asked: Asked, commission_usd: float, sessions: Sessions) -> Bounds:
    """What one unit of the order can make and lose, USD before costs."""
    ticket = asked.ticket
    cost = commission_usd * sum(abs(leg.ratio) for leg in ticket.legs)
    nothing = Payoff(None, None, (), cost)
    try:
        checked(ticket)
        if len({leg.expiry for leg in ticket.legs}) == 1:
            return Bounds(_payoff(profile_of(ticket), ticket, cost))
        return _valued(asked, cost, sessions)
    except BadInput as why:
        return Bounds(nothing, refused=str(why))


def _payoff(profile: Profile, ticket: Ticket, cost: float) -> Payoff:
    return Payoff(
        None if profile.max_loss_unlimited else round(profile.max_loss * ticket.multiplier, 6),
        None if profile.max_profit_unlimited else round(profile.max_profit * ticket.multiplier, 6),
        tuple(round(each, 6) for each in profile.breakevens),
        cost,
    )


def _valued(asked: Asked, cost: float, sessions: Sessions) -> Bounds:
    """Legs that end on different days, at the near expiry: the far ones by Black at the volatility of the market."""
    ticket, market = asked.ticket, asked.market
    if not ticket.dated:
        raise BadInput(f"Some legs of this {ticket.strategy.lower()} have no expiry. Name it for all.")
    if market is None or market.volatility is None:
        raise BadInput(
            f"The legs of this {ticket.strategy.lower()} end on different days, so its far legs must be valued; there "
            f"is no volatility of {ticket.underlying} to do it with."
        )
    sigma = market.volatility
    legs = legs_of(ticket)
    profile = profile_by_valuation(legs, ticket.premium or 0.0, far_value(lambda *_: sigma))
    note = f"Its far legs are valued at the near expiry with one volatility of {sigma:.1%} (modelled)."
    near = ticket.expiries[0]
    left = (sessions.close(near) - asked.at).total_seconds() / YEAR_SECONDS if near in sessions else 0.0
    if left <= 0:
        return Bounds(_payoff(profile, ticket, cost), notes=(note,))
    chance = probability_of_profit(profile, Lognormal(market.price, sigma * math.sqrt(left)))
    return Bounds(_payoff(profile, ticket, cost), PriceOdds(None, chance, basis="market volatility"), notes=(note,))
