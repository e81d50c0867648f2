"""Orders, ways to spoil them, and an eye on what is read that knows nothing of the grammar."""

from __future__ import annotations

import random
import re

from openbell.core.ticket import Status, Ticket
from openbell.core.types import Right, Side
from openbell.quant.ticket_shapes import check_shape

SEEDS = (
    "BUY +1 Butterfly SPX 100 22 May 25 5905/5855/5805 CALL @24.82 LMT",
    "SELL -1 Vertical SPX 5900/5910 CALL @2.45 LMT",
    "SOLD -1 IRON CONDOR SPX 100 (Weeklys) 3 FEB 17 2320/2330/2150/2140 CALL/PUT @1.20 [CBOE]",
    "#522 FILLED BOT 2 BUTTERFLY SPX 100 15 JAN 21 [AM] 3645/3630/3600 PUT @-.40cr CBOE",
    "SELL -2 IRON CONDOR SPX 100 (Weeklys) 28 JUL 23 4450/4460/4450/4440 CALL/PUT @9.60 LMT",
    "SELL 1 SPX 15 NOV 5850/5875/5900 Butterfly for 2.0 credit",
    "BUY 2 SPX 15 NOV 5800/5900/6000/6100 Iron Condor for 3.5 debit",
    "SOLD -6 1/2 BACKRATIO QQQ 100 16 OCT 26 285/290 CALL @-.52db CBOE",
    "BOT +1 CALENDAR SPX 100 (Weeklys) 30 NOV 26/20 NOV 26 7550 PUT @5.80",
    "SOLD -2 DIAGONAL GLD 100 11 SEP 20/21 AUG 20 175/180 PUT @-.42db CBOE",
    "SOLD -3 DBL DIAG SPX 100 20 JAN 26/16 JAN 26 6990/6830/6980/6840 CALL/PUT/CALL/PUT @12.05",
    "BOT +2 1/3/2 ~BUTTERFLY SPX 100 (Weeklys) 21 AUG 20 3405/3420/3450 CALL @.80 CBOE",
    "BOT +1 1/-1/1/-1 CUSTOM SPY 100 20 FEB 26 665/675/705/695 CALL/CALL/PUT/PUT @14.45",
    "BOT +2 BUTTERFLY /ESZ26 1/50 SEP 26 (Wk5) /EW5U26 7750/7650/7550 PUT @21.25 CME",
    "BOT +1 CONDOR SPX 18 SEP 20 3,470/3,475/3,490/3,555 CALL @-.95cr CBOE (2 of 4)",
    "WORKING SELL -5 TSLA 100 15 JAN 21 1020 CALL STP .65 GTC",
    "WORKING SELL -1 BUTTERFLY NFLX 4 SEP 20 550/570/590 CALL MKT WHEN NFLX MARK AT OR BELOW 550.00",
    "BUY +1 STRADDLE NFLX 100 4 AUG 23 435 CALL/PUT @12.68 LMT",
    "SOLD -1 STRANGLE NVDA 100 1 APR 21 580/520 CALL/PUT @3.2",
    "SOLD -4 GLD 6 NOV 20 172 PUT @.38 BATS & SOLD -2 GLD 13 NOV 20 186.5 CALL @.39 BATS",
)
PIECES = (
    "BUY", "SELL", "BOT", "SOLD", "+1", "-1", "1", "0", "-10", "VERTICAL", "BUTTERFLY", "CONDOR", "IRON CONDOR",
    "IRON BUTTERFLY", "STRANGLE", "CALENDAR", "DIAGONAL", "DBL DIAG", "CUSTOM", "BACKRATIO", "COMBO", "~BUTTERFLY",
    "SPX", "100", "1/2", "1/-1", "1/3/2", "(Weeklys)", "[AM]", "[PM]", "20 FEB 26", "31 FEB 26", "15 NOV", "SEP 26",
    "20 FEB 26/13 FEB 26", "65", "65/70", "70/65", "65/70/75", "65/70/60/55", "-65", "CALL", "PUT", "CALL/PUT",
    "PUT/CALL", "@1.25", "@-1.25", "@-.4cr", "@.4cr", "@.4db", "@0", "for 2 credit", "for 2 debit", "LMT", "MKT",
    "STP 1", "STPLMT 2", "GTC", "MOC", "CBOE", "WORKING", "FILLED", "CANCELED", "&", ";", "\n", "/", "@", "0DTE",
    "/ESZ26", "1/50", "/EW5U26", "WHEN SPX MARK AT OR ABOVE 5",
)  # fmt: skip
_CHARACTERS = "0123456789+-./,@&;:()[]~#$ \t\n\x00\x0cABCDPSUTcdrblt\u2212\u00a0\u017f\u212a\u0661🙂"


def mutant(chance: random.Random) -> str:
    """One order, spoiled one to three times: a word dropped, doubled, swapped or put in, or a letter changed."""
    text = chance.choice(SEEDS)
    for _ in range(chance.choice((1, 1, 2, 3))):
        words = text.split(" ")
        at = chance.randrange(len(words))
        kind = chance.randrange(8)
        if kind == 0:
            del words[at]
        elif kind == 1:
            words.insert(at, chance.choice(words))
        elif kind == 2:
            other = chance.randrange(len(words))
            words[at], words[other] = words[other], words[at]
        elif kind == 3:
            words.insert(at, chance.choice(PIECES))
        elif kind == 4:
            words[at] = chance.choice(PIECES)
        text = " ".join(words)
        if kind >= 5:
            place = chance.randrange(len(text) + 1)
            keep = place + chance.randint(0, 1)
            text = text[:place] + ("" if kind == 5 else chance.choice(_CHARACTERS)) + text[keep:]
    return text


_HEAD = re.compile(r"(?<![A-Za-z])(BUY|SELL|BOT|SOLD)\s+([+-]?)\s?([0-9,]+)(?=\s)", re.IGNORECASE | re.ASCII)
_PRICE = re.compile(r"@\s*(-?)\s?\$?([0-9.,]+)\s*((?:cr|db)(?![A-Za-z]))?", re.IGNORECASE | re.ASCII)
_PLAIN = str.maketrans({"\u2212": "-", "\u2013": "-", "\u2014": "-", "\u00a0": " ", "\u202f": " "})


def contradiction(text: str, ticket: Ticket) -> str | None:
    """What the text says against a ticket that was read from it, or None. `text` holds one order."""
    check_shape(ticket)
    plain = text.translate(_PLAIN)
    heads = list(_HEAD.finditer(plain))
    if not heads:
        return "no verb"
    verb, sign, quantity = heads[0][1].upper(), heads[0][2], int(heads[0][3].replace(",", ""))
    bought = verb in ("BUY", "BOT")
    body = plain[heads[0].end() :]
    prices = [] if re.search(r"\bSTP", body, re.IGNORECASE) else _PRICE.findall(body)
    price = float(prices[0][1].replace(",", "").rstrip(".")) if prices else None
    facts = {
        "the sign is against the verb": sign == ("-" if bought else "+"),
        "the side is not the verb's": (ticket.side is Side.BUY) != bought,
        "the quantity is another": ticket.quantity != quantity or quantity == 0,
        "a fill that works": verb in ("BOT", "SOLD") and "WORKING" in plain[: heads[0].start()].upper().split(),
        "a fill is no fill": (verb in ("BOT", "SOLD")) and ticket.status is not Status.FILLED,
        "the price is another": price is not None and ticket.premium is not None and abs(ticket.premium) != price,
        "a price is lost": bool(prices) and ticket.premium is None and ticket.comment is None,
        "a call from nowhere": _has(ticket, Right.CALL) and "CALL" not in body.upper() and "PUT" in _before_price(body),
        "a put from nowhere": _has(ticket, Right.PUT) and "PUT" not in body.upper() and "CALL" in _before_price(body),
        "a strike from nowhere": any(leg.strike not in _numbers(body) for leg in ticket.legs),
        "a day from nowhere": any(
            leg.expiry is not None and not re.search(rf"\b0?{leg.expiry.day}\s?{leg.expiry:%b}", body, re.IGNORECASE)
            for leg in ticket.legs
        )
        and not any("the message is of" in flag for flag in ticket.flags),
        "one option twice": len({(leg.right, leg.strike, leg.expiry) for leg in ticket.legs}) < len(ticket.legs)
        and all(leg.root is None for leg in ticket.legs),
    }
    if price and ticket.premium is not None:
        minus, word = prices[0][0], prices[0][2].lower()
        facts["a sign is turned"] = (ticket.premium > 0) != (bought != bool(minus))
        facts["cr or db against the sign"] = bool(word) and (word == "cr") != (ticket.premium < 0)
    return next((fault for fault, is_so in facts.items() if is_so), None)


def _numbers(body: str) -> set[float]:
    return {float(each) for each in re.findall(r"[0-9]+(?:\.[0-9]+)?|\.[0-9]+", body.replace(",", ""), re.ASCII)}


def _has(ticket: Ticket, right: Right) -> bool:
    return any(leg.right is right for leg in ticket.legs)


def _before_price(body: str) -> str:
    return re.split(r"@|\bfor\b", body, maxsplit=1)[0].upper()
