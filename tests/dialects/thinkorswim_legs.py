"""Tickets in one line, so that tables of them can be written and read by hand.

``SPX SELL 1 VERTICAL -2.45 | 260520 -1C5900 +1C5910``: underlying, side, quantity, strategy, premium (points, above 0
paid; ``none``), then the legs, each behind the day it expires on (yymmdd, ``------`` where the text names none).
"""

from __future__ import annotations

from openbell.core.ticket import Ticket


def summary(ticket: Ticket) -> str:
    premium = "none" if ticket.premium is None else f"{ticket.premium:g}"
    words, day = [ticket.underlying, ticket.side, str(ticket.quantity), ticket.strategy, premium, "|"], ""
    for leg in ticket.legs:
        its = f"{leg.expiry:%y%m%d}" if leg.expiry else "------"
        words += [its] * (its != day) + [f"{leg.ratio:+d}{leg.right[0]}{leg.strike:g}"]
        day = its
    return " ".join(words)
