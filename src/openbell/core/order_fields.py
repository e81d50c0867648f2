"""An order as the fields that the service is asked with (S1.21, S1.22), only where they mean the very same order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from openbell.core.assessment import Answer
from openbell.core.errors import BadInput
from openbell.core.ladders import BOUGHT, has_both_rights, ladder
from openbell.core.ticket import Ticket
from openbell.core.types import Right, Side

_SIDES = {"BUY": Side.BUY, "BOT": Side.BUY, "SELL": Side.SELL, "SOLD": Side.SELL}
_FORESEEN = ("short_term", "long_term", "target1", "target2")


def fields_of_parsed(parsed: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of the one order in an answer of ``/parse``, with what its message foresees of its symbol.

    Raises
    ------
    BadInput
        Where the text was refused, holds another number of orders, or one that these fields cannot say.
    """
    trades, refusals = parsed.get("trades"), parsed.get("refusals")
    if not isinstance(trades, list) or not isinstance(refusals, list):
        raise BadInput("The answer to the text cannot be used: it has no list of trades.")
    if refusals:
        raise BadInput(f"The text is refused: {refusals[0].get('why')}")
    if len(trades) != 1:
        raise BadInput(f"The text holds {len(trades)} orders; check each alone, or all in a batch.")
    trade = trades[0]
    if trade.get("multiplier") != 100:
        raise BadInput("The order's points are not 100 USD each, which the service cannot be told.")
    legs = [(each["ratio"], each["right"], float(each["strike"])) for each in trade["legs"]]
    days = {each["expiry"] for each in trade["legs"]}
    form = _form(trade["symbol"], trade["strategy"], trade["action"], trade["quantity"], trade["premium"], legs, days)
    said = parsed.get("said") or {}
    if said.get("symbol") not in (None, trade["symbol"]):
        return form  # what the message foresees is about another symbol
    named = {"predicted_price": said.get("predicted_close")} | {name: said.get(name) for name in _FORESEEN}
    return form | {name: value for name, value in named.items() if value is not None}


def fields_of_ticket(ticket: Ticket) -> dict[str, Any]:
    """The fields of a ticket; one that they cannot say is refused."""
    if not isinstance(ticket, Ticket):
        raise BadInput(f"An order is a text, a Ticket or a mapping of fields; was {type(ticket).__name__}.")
    if ticket.multiplier != 100.0:
        raise BadInput(f"The order's points are {ticket.multiplier:g} USD each, which the service cannot be told.")
    filled = ticket.status.value == "FILLED"
    action = {Side.BUY: ("BUY", "BOT"), Side.SELL: ("SELL", "SOLD")}[ticket.side][filled]
    legs = [(leg.ratio, leg.right.value, leg.strike) for leg in ticket.legs]
    days = {None if leg.expiry is None else leg.expiry.isoformat() for leg in ticket.legs}
    return _form(ticket.underlying, ticket.strategy, action, ticket.quantity, ticket.premium, legs, days)


def _form(
    symbol: str,
    strategy: str,
    action: str,
    quantity: int,
    premium: float | None,
    legs: list[tuple[int, str, float]],
    days: set[Any],
) -> dict[str, Any]:
    """The fields, if strikes and action settle these legs and the price has the sign that the action says."""
    name = strategy.replace("_", " ").upper()
    if name not in BOUGHT or len(days) != 1:
        raise BadInput(f"The service judges orders whose strikes settle them; this {name.lower()} is none.")
    side = _SIDES.get(action)
    if side is None or premium is None or premium == 0 or (premium > 0) != (side is Side.BUY):
        price = "no price" if premium is None else f"a price of {premium:g} (below 0: received)"
        raise BadInput(f"The order to {action} has {price}, which the service cannot be told.")
    strikes, rights = [strike for _, _, strike in legs], sorted({right for _, right, _ in legs})
    right = None if has_both_rights(name) else Right(rights[0])
    meant = ladder(name, strikes, right, side)
    if sorted((leg.ratio, leg.right.value, leg.strike) for leg in meant) != sorted(legs):
        shown = ", ".join(f"{ratio:+d} {kind.lower()} {strike:g}" for ratio, kind, strike in legs)
        raise BadInput(f"The service cannot be told these legs of a {name.lower()}: {shown}.")
    form = {
        "symbol": symbol,
        "strategy": name.title(),
        "strikes": strikes,
        "premium": abs(premium),
        "action": action,
        "quantity": quantity,
        "option_type": "CALL/PUT" if right is None else right.value,
        "expiry": next(iter(days)),
    }
    return {field: value for field, value in form.items() if value is not None}


def fault_of_answer(asked: Mapping[str, Any], answered: Mapping[str, Any]) -> str | None:
    """Why `answered` is no answer to `asked`, or none that a gate can give; None where it is one."""
    odds, threshold, quantity = answered.get("win_probability", ""), answered.get("threshold"), answered.get("quantity")
    most = asked.get("quantity", 1)
    if answered.get("verdict") not in tuple(Answer):
        return f"its verdict is {answered.get('verdict')!r}"
    if odds is not None and not _is_probability(odds):
        return f"its win_probability is {odds!r}"
    if threshold is not None and not _is_probability(threshold):
        return f"its threshold is {threshold!r}"
    if isinstance(quantity, bool) or not isinstance(quantity, int) or not 0 <= quantity <= most:
        return f"its quantity is {quantity!r} of {most!r}"
    for name in ("symbol", "strategy"):
        if _plain(answered.get(name)) != _plain(asked.get(name)):
            return f"it is about the {name} {answered.get(name)!r}, and {asked.get(name)!r} was asked"
    return None


def _is_probability(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0.0 <= value <= 1.0


def _plain(word: Any) -> str:
    return "".join(each for each in str(word).upper() if each.isalnum() or each in "./")
