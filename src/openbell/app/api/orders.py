"""What a request says, as an order and a prophecy; what cannot be is refused with the library's own sentence."""

from __future__ import annotations

import bisect
import datetime as dt
from collections.abc import Mapping

from openbell.app.api.problems import Problem
from openbell.app.api.schemas import TradeInstruction, TradeRequest
from openbell.core.errors import BadInput
from openbell.core.ticket import Prophecy, Scale, Ticket
from openbell.core.time import Sessions, utc
from openbell.quant.ticket_profile import RiskReward, instruction, risk_reward, strategy_named

#: What a trade of each strategy does where the request does not say: S1.05.
ACTIONS: Mapping[str, str] = {
    "BUTTERFLY": "BUY",
    "IRON CONDOR": "SELL",
    "IRON BUTTERFLY": "SELL",
    "VERTICAL": "SELL",
    "SONAR": "SELL",
}
#: How far a stated risk or reward may lie from the computed one: a part of it, or so many USD.
STATED_SHARE, STATED_USD = 0.005, 1.0


def strategy_of(word: str) -> str:
    """The strategy as tickets carry it; an unknown one is a `Problem` 400."""
    try:
        return strategy_named(word)
    except BadInput as unknown:
        raise Problem(400, str(unknown)) from None


def instructed(request: TradeInstruction) -> Ticket:
    """The order whose risk and reward are asked."""
    _not_of_a_future(request.symbol)
    return instruction(
        request.symbol,
        strategy_of(request.strategy),
        request.strikes,
        request.premium,
        request.action,
        request.quantity,
        request.option_type,
    )


def proposed(request: TradeRequest, at: dt.datetime, sessions: Sessions) -> tuple[Ticket, RiskReward]:
    """The order whose odds are asked, with its expiry and what was resolved of it in its flags, and what it can make.

    Risk and reward come first (S1.22): what cannot be computed is refused before anything else is asked.
    """
    _not_of_a_future(request.symbol)
    strategy = strategy_of(request.strategy)
    action = request.action or ACTIONS.get(strategy)
    if action is None:
        raise Problem(422, f"A {strategy.lower()} is bought as often as sold: name `action`, BUY or SELL.")
    ticket = instruction(
        request.symbol,
        strategy,
        request.strikes,
        request.premium,
        action,
        request.quantity,
        request.option_type,
        request.expiry,
    )
    if request.expiry is None:
        session = next_session(sessions, at)
        ticket = ticket.expiring(session, f"No expiry was given, so it was read as {session}.")
    payoff = risk_reward(ticket)
    _check_stated(request, payoff)
    return ticket, payoff


def next_session(sessions: Sessions, at: dt.datetime) -> dt.date:
    """The session that is open at `at`, or the next one that opens: where an order without an expiry ends."""
    place = bisect.bisect_right(sessions.closes, utc(at))
    if place >= len(sessions.dates):
        raise BadInput(f"The calendar of {sessions.exchange} ends on {sessions.dates[-1]}; name the expiry.")
    return sessions.dates[place]


def prophecy_of(request: TradeRequest, symbol: str) -> Prophecy:
    """What the request says of the underlying."""
    return Prophecy(
        symbol=symbol,
        predicted_close=request.predicted_price,
        short_term=request.short_term,
        long_term=request.long_term,
        target1=request.target1,
        target2=request.target2,
        scale=scale_of(request.short_term, request.long_term),
    )


def scale_of(short_term: float | None, long_term: float | None) -> Scale | None:
    """Whether these numbers are price levels or scores between -1 and 1; None where neither is given.

    One of each contradicts itself and is refused.
    """
    given = [value for value in (short_term, long_term) if value is not None]
    if not given:
        return None
    scores = [-1.0 <= value <= 1.0 for value in given]
    if all(scores):
        return Scale.SCORE
    if any(scores) or any(value <= 0 for value in given):
        raise BadInput(
            f"`short_term` {short_term} and `long_term` {long_term} must both be prices above 1, or both be scores "
            "between -1 and 1."
        )
    return Scale.LEVEL


def _check_stated(request: TradeRequest, found: RiskReward) -> None:
    """Refuse a stated risk or reward that is not the order's own: one of the two was meant for another trade."""
    for name, stated, own in (("risk", request.risk, found.risk_usd), ("reward", request.reward, found.reward_usd)):
        if stated is None:
            continue
        if own is None or abs(abs(stated) - own) > max(STATED_USD, STATED_SHARE * own):
            shown = "unlimited" if own is None else f"{own:,.2f} USD"
            raise BadInput(f"`{name}` was {stated:,.2f}, but that of this order is {shown}. Leave it out, or mend it.")


def _not_of_a_future(symbol: str) -> None:
    if symbol.strip().startswith("/"):
        raise BadInput(
            f"Options on the future {symbol} have a multiplier of their own, which this form cannot say; "
            "their points are not 100 USD each. Send the text of the order to /parse."
        )
