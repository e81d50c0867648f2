"""Text into orders, for ``/parse``: what each can make and lose, and the reason where that cannot be said."""

from __future__ import annotations

import dataclasses
from typing import Any

from openbell.app.api.answers import breakevens, strategy_word
from openbell.core.errors import BadInput
from openbell.core.ticket import Prophecy, Reading, Ticket
from openbell.core.types import Right, Side
from openbell.quant.ticket_profile import RiskReward, risk_reward


def reading_answer(reading: Reading) -> dict[str, Any]:
    """The answer of ``/parse``."""
    return {
        "dialect": reading.dialect,
        "trades": [trade_answer(each, reading.prophecy) for each in reading.tickets],
        "refusals": [dataclasses.asdict(each) for each in reading.refusals],
        "said": {name: getattr(value, "value", value) for name, value in dataclasses.asdict(reading.prophecy).items()},
    }


def trade_answer(ticket: Ticket, prophecy: Prophecy) -> dict[str, Any]:
    """One order with the fields of S1.19; `premium` is above 0 paid, below 0 received."""
    found, why = _payoff(ticket)
    action = ("BUY" if ticket.side is Side.BUY else "SELL") if ticket.status.value != "FILLED" else None
    return {
        "symbol": ticket.underlying,
        "strategy": strategy_word(ticket.strategy),
        "action": action or ("BOT" if ticket.side is Side.BUY else "SOLD"),
        "quantity": ticket.quantity,
        "strikes": [leg.strike for leg in ticket.legs],
        "option_type": _option_type(ticket),
        "premium": ticket.premium,
        "expiry": ticket.expiries[0].isoformat() if ticket.expiries else None,
        "multiplier": ticket.multiplier,
        "legs": [
            {
                "ratio": leg.ratio,
                "right": leg.right.value,
                "strike": leg.strike,
                "expiry": None if leg.expiry is None else leg.expiry.isoformat(),
            }
            for leg in ticket.legs
        ],
        "risk": None if found is None else found.risk_usd,
        "reward": None if found is None else found.reward_usd,
        "risk_unlimited": found is not None and found.risk_unlimited,
        "reward_unlimited": found is not None and found.reward_unlimited,
        "risk_reward_ratio": None if found is None else found.ratio,
        "breakevens": breakevens(() if found is None else found.breakevens),
        "breakeven_points": [] if found is None else list(found.breakevens),
        "not_computed": why,
        "short_term": prophecy.short_term,
        "long_term": prophecy.long_term,
        "flags": list(ticket.flags),
        "status": ticket.status.value,
        "order_type": ticket.order_type.value,
    }


def _payoff(ticket: Ticket) -> tuple[RiskReward | None, str | None]:
    try:
        return risk_reward(ticket), None
    except BadInput as refused:
        return None, str(refused)


def _option_type(ticket: Ticket) -> str:
    rights = {leg.right for leg in ticket.legs}
    return "CALL/PUT" if len(rights) > 1 else Right(next(iter(rights))).value
