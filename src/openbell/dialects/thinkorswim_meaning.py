"""The ticket that the parts of a thinkorswim order mean, or the fault in them, with its place."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from typing import Any

from openbell.core.ticket import Condition, OrderType, Status, Ticket
from openbell.core.types import Right, Side
from openbell.dialects.strategies import Contradiction, Expiry, Words, strategy_word, structure
from openbell.dialects.thinkorswim_dates import Fault, expiries_of, settlement_of
from openbell.dialects.thinkorswim_parts import Parts

MOST_UNITS = 1_000_000
HIGHEST_STRIKE = 10_000_000.0
HIGHEST_PRICE = 1_000_000.0
MULTIPLIERS = (1, 10, 100, 1000)
LONGEST_NUMBER = 25
_SYMBOL = re.compile(r"[A-Z]{1,6}[0-9]{0,2}([./][A-Z])?")
_SIDES = {"BUY": (Side.BUY, False), "SELL": (Side.SELL, False), "BOT": (Side.BUY, True), "SOLD": (Side.SELL, True)}
_VENUES = frozenset(
    {
        "CBOE", "C2", "PHLX", "MIAX", "PEARL", "EMLD", "BATS", "ISE", "BOX", "AMEX", "ARCA", "NYSE", "NASDAQ", "EDGX",
        "GEMINI", "MRX", "GEMX", "MEMX", "BEST", "SMART", "CME", "CBOT", "NYMEX", "COMEX", "CFE", "XCME", "XCBT",
    }
)  # fmt: skip
#: Words behind an order that go on with it: a right or a strike first, or a price beside other terms of an order.
_GOES_ON = re.compile(
    r"(?:[0-9.,/]+\s+)?(?:CALL|PUT)\b|(?=.*(?<!<)@\s*[+-]?\s?\$?\.?[0-9])(?=.*\b(?:CALL|PUT|LMT|MKT)\b)",
    re.IGNORECASE | re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Line:
    """What the first order of a line says for all of it."""

    number: str | None = None
    status: Status | None = None


def ticket(parts: Parts, text: str, at: dt.datetime | None, line: Line) -> Ticket:
    """The order that `parts` of `text` mean; `Fault` where they contradict themselves."""
    side, status = _side(parts, line)
    quantity, strategy, unbalanced = _quantity(parts, side), *_strategy(parts)
    symbol, multiplier = _symbol(parts)
    premium = _premium(parts, side)
    kind, trigger, condition = _kind(parts, premium, status)
    expiries, told = expiries_of(parts, symbol, at)
    settlement, mixed = settlement_of(parts, expiries)
    found = _structure(parts, strategy, side, expiries, premium, unbalanced)
    tags = [_number_tag(each) for each in parts.before if each.type == "TAG"]
    exchange, comment = _tail(parts, text)
    return Ticket(
        underlying=symbol, side=side, quantity=quantity, strategy=found.strategy, legs=found.legs, premium=premium,
        multiplier=float(multiplier), settlement=settlement, order_type=kind, status=status, trigger=trigger,
        condition=condition, time_in_force=_force(parts), exchange=exchange,
        series="/".join(each.strip("() ") for each in parts.series) or None,
        number=tags[0] if tags else line.number, comment=comment, flags=(*found.flags, *told, *mixed),
    )  # fmt: skip


def number(token: Any, most: float, what: str) -> float:
    """The number of a token, above 0 and at most `most`."""
    plain = str(token).replace(",", "").replace("$", "").replace(" ", "").lstrip("+-")
    if len(plain) > LONGEST_NUMBER:
        raise Fault(token, f"{what} of {len(plain)} digits is not read.")
    value = float(plain)
    if value > most:
        raise Fault(token, f"{what} of {plain} is above the {most:,.0f} that are understood.")
    return value


def _number_tag(token: Any) -> str:
    return str(token)[1:]


def _side(parts: Parts, line: Line) -> tuple[Side, Status]:
    for each in parts.before:
        if each.type == "DEAD":
            raise Fault(each, f"The order is marked `{each}`, so it is none to be judged.")
    side, filled = _SIDES[str(parts.verb).upper()]
    marks = {str(each).upper(): each for each in parts.before if each.type == "STATUS"}
    if len(marks) > 1:
        raise Fault(marks["FILLED"], "The order is marked both WORKING and FILLED.")
    if filled and "WORKING" in marks:
        raise Fault(parts.verb, f"`{parts.verb}` says that the order is filled, WORKING that it is not.")
    if filled or "FILLED" in marks:
        return side, Status.FILLED
    return side, Status.WORKING if "WORKING" in marks else line.status or Status.ORDER


def _quantity(parts: Parts, side: Side) -> int:
    token, plain = parts.quantity, str(parts.quantity).replace(" ", "")
    value = int(number(token, MOST_UNITS, "A quantity"))
    if plain[0] in "+-" and (plain[0] == "+") != (side is Side.BUY):
        raise Fault(
            token,
            f"`{parts.verb} {plain}` contradicts itself: a {'bought' if side is Side.BUY else 'sold'} quantity has a "
            f"{'+' if side is Side.BUY else '-'}.",
        )
    if value == 0:
        raise Fault(token, "A quantity of 0 is no order.")
    return value


def _strategy(parts: Parts) -> tuple[str, bool]:
    """The strategy as the shapes know it, and whether a ``~`` says that it is unbalanced."""
    if len(parts.strategies) > 1:
        raise Fault(parts.strategies[1], f"The order is called both {parts.strategies[0]} and {parts.strategies[1]}.")
    strangers = parts.words if parts.future is not None else parts.words[:-1]
    if strangers:
        called = " ".join(strangers)
        if parts.strategies:
            raise Fault(strangers[0], f"`{called}` stands where only a symbol belongs, behind {parts.strategies[0]}.")
        try:
            strategy_word(called)
        except Contradiction as error:
            raise Fault(strangers[0], str(error)) from None
    if not parts.strategies:
        return "SINGLE", False
    try:
        return strategy_word(parts.strategies[0]), parts.strategies[0].startswith("~")
    except Contradiction as error:
        raise Fault(parts.strategies[0], str(error)) from None


def _symbol(parts: Parts) -> tuple[str, int]:
    """The underlying and its currency units per point."""
    if parts.future is not None:
        if parts.per_point is None:
            raise Fault(parts.future, f"An option on {parts.future} needs its multiplier, such as 1/50.")
        per_point = int(number(str(parts.per_point).split("/")[1].strip(), 1e6, "A multiplier"))
        if not per_point:
            raise Fault(parts.per_point, "A multiplier of 0 is none.")
        return str(parts.future).split(":")[0].upper(), per_point
    token = parts.words[-1]
    symbol = str(token).upper()
    if not _SYMBOL.fullmatch(symbol) or symbol in ("CALL", "PUT"):
        raise Fault(token, f"`{token}` is no symbol; write one like SPX or BRK/B.")
    if parts.multiplier is None:
        return symbol, 100
    value = number(parts.multiplier, 1e6, "A multiplier")
    if value not in MULTIPLIERS:
        raise Fault(parts.multiplier, f"`{parts.multiplier}` stands where the multiplier belongs, 100 or 10.")
    return symbol, int(value)


def _premium(parts: Parts, side: Side) -> float | None:
    """Points per unit, above 0 paid."""
    if not parts.prices:
        return None
    if len(parts.prices) > 1:
        raise Fault(parts.prices[1][0], f"The order has two prices, {parts.prices[0][0]} and {parts.prices[1][0]}.")
    ((amount, money),) = parts.prices
    value = number(amount, HIGHEST_PRICE, "A price")
    paid = value if (side is Side.BUY) != str(amount).startswith("-") else -value
    credit = money is not None and str(money).upper().startswith("CR")
    if money is not None and paid and (paid < 0) != credit:
        way = "pays" if paid > 0 else "receives"
        turned = f"-{amount}".replace("--", "").replace("-+", "-")
        raise Fault(
            money,
            f"`{parts.verb}` at {amount} {way}, yet the price says `{money}`; the other way round is written "
            f"@{turned}{'cr' if credit else 'db'}.",
        )
    return paid + 0.0


def _kind(parts: Parts, premium: float | None, status: Status) -> tuple[OrderType, float | None, Condition | None]:
    """Type, trigger and condition; each order has a price, or a word that says why not."""
    condition = _condition(parts)
    words = {str(each).upper() for each in parts.kinds}
    closes = [each for each in parts.forces if each in ("MOC", "LOC")]
    at_market = "MKT" in words or "MOC" in closes
    place = parts.kinds[0] if parts.kinds else parts.prices[0][0] if parts.prices else parts.verb
    if len(parts.stops) > 1:
        raise Fault(parts.stops[1][0], "The order has two stops.")
    if at_market and (premium is not None or "LMT" in words or parts.stops or "LOC" in closes):
        raise Fault(place, "A market order has no price and no stop beside it.")
    if parts.stops:
        kind, trigger = _stop(parts, premium, condition)
    else:
        kind, trigger = (OrderType.MARKET if at_market else OrderType.LIMIT), None
        if premium is None and not at_market:
            raise Fault(parts.verb, "The order names no price, such as @1.25, and neither MKT nor STP.")
    if status is Status.FILLED and (premium is None or trigger is not None or condition is not None or parts.stops):
        raise Fault(parts.verb, "A fill has a price, and neither a stop nor a condition.")
    return kind, trigger, condition


def _stop(parts: Parts, premium: float | None, condition: Condition | None) -> tuple[OrderType, float | None]:
    word, amount = parts.stops[0]
    limited = "LMT" in str(word).upper()
    if limited and (premium is None or amount is None):
        raise Fault(word, "A stop limit order has a limit price, @1.20, and a trigger, STPLMT 1.30.")
    if not limited and (premium is not None or parts.kinds):
        raise Fault(word, "A stop order has no limit price; with one it is written STPLMT.")
    if amount is None:
        if condition is None:
            raise Fault(word, "A stop order names its trigger, STP .65, or a condition, WHEN ….")
        return OrderType.STOP, None
    trigger = number(amount, HIGHEST_PRICE, "A trigger")
    if str(amount).startswith("-") or not trigger:
        raise Fault(amount, f"A trigger is above 0; was {amount}.")
    return OrderType.STOP_LIMIT if limited else OrderType.STOP, trigger


def _condition(parts: Parts) -> Condition | None:
    if not parts.conditions:
        return None
    if len(parts.conditions) > 1 or (parts.comment is not None and re.match(r"(AND|OR)\b", parts.comment, re.I)):
        raise Fault(parts.conditions[-1][0], "The order has more than one condition; one is understood.")
    symbol, measure, direction, amount = parts.conditions[0]
    level = number(amount, HIGHEST_STRIKE, "A level")
    if str(amount).startswith("-") or not level:
        raise Fault(amount, f"The level of a condition is above 0; was {amount}.")
    return Condition(str(symbol).upper(), str(measure).upper(), str(direction).upper().endswith("ABOVE"), level)


def _force(parts: Parts) -> str | None:
    said = sorted({str(each).upper() for each in parts.forces})
    if said == ["EXT", "GTC"]:
        return "GTC_EXT"
    if len(said) > 1:
        raise Fault(parts.forces[-1], f"The order is to stand both {' and '.join(said)}.")
    return said[0] if said else None


def _structure(
    parts: Parts, strategy: str, side: Side, expiries: tuple[Expiry, ...], premium: float | None, unbalanced: bool
) -> Any:
    """The legs; a contradiction gets the place of the words at fault."""
    strikes = tuple(number(each, HIGHEST_STRIKE, "A strike") for each in parts.strikes)
    for token, strike in zip(parts.strikes, strikes, strict=True):
        if not strike:
            raise Fault(token, "A strike is above 0; was 0.")
    words = Words(strategy, side, strikes, _rights(parts), expiries, premium, _ratios(parts), unbalanced)
    places = {
        "strategy": parts.strategies, "strikes": parts.strikes, "rights": parts.rights or parts.strikes,
        "expiries": [day for day, _ in parts.expiries], "ratios": [parts.ratios] if parts.ratios else parts.strategies,
        "premium": [amount for amount, _ in parts.prices],
    }  # fmt: skip
    try:
        return structure(words)
    except Contradiction as error:
        raise Fault((*places[error.part], parts.verb)[0], str(error)) from None


def _rights(parts: Parts) -> tuple[Right, ...]:
    """The rights behind the strikes, or the one before the strategy: ``SELL -1 Call Vertical SPX …``."""
    if parts.leading is not None:
        if parts.rights:
            raise Fault(parts.rights[0], f"The order names its right twice, {parts.leading} and {parts.rights[0]}.")
        return (Right(str(parts.leading).upper()),)
    for each in parts.rights:
        if each.type == "WORD":
            raise Fault(each, f"`{each}` is a leg of shares, which a ticket of options cannot carry.")
    return tuple(Right(str(each).upper()) for each in parts.rights)


def _ratios(parts: Parts) -> tuple[int, ...] | None:
    if parts.ratios is None:
        return None
    sizes = [each.strip() for each in str(parts.ratios).split("/")]
    if any(len(each) > 5 for each in sizes) or not all(int(each) for each in sizes):
        raise Fault(
            parts.ratios, f"Each part of a ratio is a whole number from 1 to 999, or below 0; was {parts.ratios}."
        )
    return tuple(int(each) for each in sizes)


def _tail(parts: Parts, text: str) -> tuple[str | None, str | None]:
    """Exchange and comment; tags such as ``[TO OPEN]`` stay with the comment."""
    venues, tags = [str(each) for each in parts.venues], []
    for each in parts.brackets:
        word = str(each).strip("[]")
        if word.upper() in ("AM", "PM"):
            raise Fault(each, f"`{each}` stands behind the price; it belongs behind the expiry that settles so.")
        (venues if word in _VENUES else tags).append(word if word in _VENUES else str(each))
    if parts.comment is not None:
        _check_comment(parts)
        tags.append(text[parts.comment.start_pos :].strip())
    return " ".join(venues) or None, " ".join(tags) or None


def _check_comment(parts: Parts) -> None:
    """Refuse words behind an order that go on with it: what the order says there would be passed over."""
    unsaid = not parts.rights and parts.leading is None
    if _GOES_ON.match(parts.comment) or (unsaid and re.search(r"\b(?:CALL|PUT)\b", parts.comment, re.ASCII)):
        raise Fault(parts.comment, "Behind the order's terms stands more of an order, which is in no place to be read.")
