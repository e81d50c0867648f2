"""The companion's JSON (Annex F): what it foresees, and its example trades as orders.

``timestamp, spot_price, trend, predicted_close, strength, range, targets[2], levels{...}, example_trades{butterfly
{strikes, type, price, action}, iron_condor, vertical, sonar}``, with the symbol beside them. Its file is somebody
else's: other fields are no fault, but in a trade, where they could change it, they are.
"""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

from openbell.core.errors import BadInput
from openbell.core.ladders import BOUGHT, ladder, right_of
from openbell.core.ticket import Prophecy, Reading, Refusal, Ticket
from openbell.dialects.json_form import ACTIONS
from openbell.dialects.json_values import Fields
from openbell.dialects.places import shortened
from openbell.dialects.resolving import undated

NAME = "companion"
_SYMBOL_FIELDS = ("symbol", "ticker", "underlying")


def is_companion(found: Any) -> bool:
    """Whether a parsed document has the companion's form."""
    return isinstance(found, dict) and ("example_trades" in found or {"spot_price", "predicted_close"} <= set(found))


def of_document(found: dict[str, Any], *, at: dt.datetime | None = None) -> Reading:
    """The prophecy and the example trades of a parsed document; `at` is its moment."""
    refusals: list[Refusal] = []
    prophecy = Prophecy()
    try:
        prophecy = _prophecy(Fields(found, "the document"))
    except BadInput as error:
        refusals.append(Refusal(shortened(json.dumps(found)), 0, str(error)))
    tickets = []
    trades = found.get("example_trades")
    if trades is not None and not isinstance(trades, dict):
        refusals.append(Refusal(shortened(json.dumps(trades)), 0, "`example_trades` must be an object of trades."))
        trades = None
    for name, trade in (trades or {}).items():
        try:
            tickets.append(_ticket(str(name), trade, prophecy.symbol, at))
        except BadInput as error:
            refusals.append(Refusal(shortened(json.dumps(trade)), 0, f"In example_trades.{name}: {error}"))
    return Reading(tuple(tickets), tuple(refusals), prophecy, NAME)


def _prophecy(found: Fields) -> Prophecy:
    named = [field for field in _SYMBOL_FIELDS if found.has(field)]
    targets = found.numbers("targets") if found.has("targets") else []
    if len(targets) > 2:
        raise BadInput(f"`targets` has at most two prices; {len(targets)} were given.")
    return Prophecy(
        symbol=found.symbol(named[0]) if named else None,
        price=found.number("spot_price", optional=True),
        predicted_close=found.number("predicted_close", optional=True),
        target1=targets[0] if targets else None,
        target2=targets[1] if len(targets) > 1 else None,
    )


def _ticket(name: str, trade: Any, symbol: str | None, at: dt.datetime | None) -> Ticket:
    fields = Fields.of(trade, name)
    strategy = name.replace("_", " ").strip().upper()
    if strategy not in BOUGHT:
        raise BadInput(f"`{name}` is no trade whose strikes settle its legs, such as butterfly or iron_condor.")
    if symbol is None:
        raise BadInput("The document names no symbol, so it is not known what the trade is on.")
    side, status = ACTIONS[fields.name("action", tuple(ACTIONS))]
    price = fields.number("price")
    if not price > 0:
        raise BadInput(f"`price` must be above 0, as `action` says whether it is paid; was {price:g}.")
    strikes = _strikes(fields)
    right, flags = right_of(strategy, strikes, fields.text("type"))
    expiry = fields.day("expiry")
    if expiry is None:
        expiry, told = undated(symbol, at)
        flags = (*flags, told)
    quantity = fields.whole("quantity") if fields.has("quantity") else 1
    fields.done()
    return Ticket(
        symbol, side, quantity, strategy, ladder(strategy, strikes, right, side, expiry),
        price if side.value == "BUY" else -price, status=status,
        flags=flags,
    )  # fmt: skip


def _strikes(fields: Fields) -> list[float]:
    """A list of numbers, or a text as 5905/5855/5805."""
    if not fields.is_text("strikes"):
        return fields.numbers("strikes")
    text = fields.text("strikes")
    try:
        return [float(each) for each in text.replace(",", "").split("/")]
    except ValueError:
        raise BadInput(f"`strikes` must be numbers as 5905/5855/5805; was {text[:60]!r}.") from None
