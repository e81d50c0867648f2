"""The pieces of one alert, and what they say together: strikes, strategy, expiry, size and price."""

from __future__ import annotations

import datetime as dt
import math
import re
from dataclasses import dataclass, field
from typing import Any

from openbell.core.errors import BadInput
from openbell.core.ticket import OrderType, Status
from openbell.core.types import Right, Side
from openbell.dialects.resolving import days_on, undated, with_year

_STRATEGY = {
    "ironcondor": "IRON CONDOR", "ic": "IRON CONDOR", "ironbutterfly": "IRON BUTTERFLY", "ironfly": "IRON BUTTERFLY",
    "ibf": "IRON BUTTERFLY", "butterfly": "BUTTERFLY", "bfly": "BUTTERFLY", "fly": "BUTTERFLY", "flies": "BUTTERFLY",
    "condor": "CONDOR", "vertical": "VERTICAL", "spread": "VERTICAL", "straddle": "STRADDLE", "strangle": "STRANGLE",
    "calendar": "CALENDAR", "diagonal": "DIAGONAL",
}  # fmt: skip
#: Verticals by their short names: the right, and whether they are opened for a credit.
_SHORT = {
    "cds": (Right.CALL, False), "pds": (Right.PUT, False), "ccs": (Right.CALL, True), "pcs": (Right.PUT, True),
    "bps": (Right.PUT, True), "bcs": (Right.CALL, False),
}  # fmt: skip
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_BY_COUNT = {1: "SINGLE", 2: "VERTICAL", 3: "BUTTERFLY"}


class Misplaced(BadInput):
    """A piece that cannot be, with its place in the alert."""

    def __init__(self, position: int, why: str) -> None:
        super().__init__(why)
        self.position = position


@dataclass
class Pieces:
    """What one alert says, as written; the head decides, and the comment only where nothing else it could be."""

    side: Side
    closes: bool
    status: Status
    symbol: str
    symbol_at: int
    comment: str
    sizes: list[int] = field(default_factory=list)
    strikes: list[float] = field(default_factory=list)
    right: Right | None = None
    structure: str | None = None
    credit: bool | None = None
    days: list[str] = field(default_factory=list)
    prices: list[float] = field(default_factory=list)
    at_market: bool = False

    def strategy(self) -> tuple[str, tuple[str, ...]]:
        """The strategy that is named, or that the number of strikes settles; then it is flagged."""
        if self.structure is not None:
            named = _STRATEGY.get(re.sub(r"[\s-]", "", self.structure))
            if named in ("CALENDAR", "DIAGONAL"):
                raise BadInput(
                    f"A {self.structure} has two expiries, which an alert does not name. Write it as an order text."
                )
            return named or "VERTICAL", ()
        called = _BY_COUNT.get(len(self.strikes))
        if called is None or self.right is None:
            raise BadInput(
                f"{len(self.strikes)} strikes {'of one right ' if self.right else ''}may be several structures; name "
                "it, for example `iron condor`."
            )
        if called == "SINGLE":
            return called, ()
        many = f"{len(self.strikes)} strikes of {self.right.value.lower()}s"
        return called, (f"The structure is not named; {many} were read as a {called.lower()}.",)

    def expiry(self, at: dt.datetime | None) -> tuple[dt.date | None, tuple[str, ...]]:
        """The one day that is written, and what was resolved of it."""
        if not self.days:
            found, flag = undated(self.symbol, at)
            return found, (flag,)
        if len(set(self.days)) > 1:
            raise BadInput(
                f"The alert names {len(set(self.days))} days, {' and '.join(self.days)}; which is the expiry?"
            )
        found, flag = _day(self.days[0], at, self.symbol)
        if found is None and at is not None:
            raise BadInput(flag)
        return found, (flag,) if flag else ()

    def quantity(self) -> tuple[int, tuple[str, ...]]:
        """The one size that is written; 1 where there is none."""
        if not self.sizes:
            return 1, ("No number of units is written; read as 1.",)
        if len(set(self.sizes)) > 1:
            raise BadInput(f"The alert names several sizes, {' and '.join(str(each) for each in self.sizes)}.")
        if self.sizes[0] <= 0:
            raise BadInput(
                f"An alert's number of units must be 1 or more, as its verb says the side; was {self.sizes[0]}."
            )
        return self.sizes[0], ()

    def premium(self, strategy: str) -> tuple[float | None, OrderType, tuple[str, ...]]:
        """Points paid above 0 or received below 0, from the verb, or from `credit` and `debit` where wings allow it."""
        if self.at_market and self.prices:
            raise BadInput(f"The alert names a price, {self.prices[0]:g}, and the market.")
        if self.at_market:
            return None, OrderType.MARKET, ()
        if not self.prices:
            return None, OrderType.LIMIT, ("No price is written.",)
        if len(set(self.prices)) > 1:
            raise BadInput(f"The alert names {len(set(self.prices))} prices; which is the limit?")
        price = self.prices[0]
        if price == 0 or not math.isfinite(price) or (price < 0 and self.credit is not True):
            raise BadInput(f"An alert's price must be above 0, as its verb says whether it is paid; was {price:g}.")
        credit = self.side is Side.SELL if self.credit is None else self.credit
        if credit != (self.side is Side.SELL) and not (strategy in ("BUTTERFLY", "CONDOR") and self._broken()):
            raise BadInput(
                f"A {strategy.lower()} that is {'bought' if self.side is Side.BUY else 'sold'} cannot be for a "
                f"{'credit' if credit else 'debit'}: the price contradicts the verb."
            )
        return (-abs(price) if credit else price), OrderType.LIMIT, ()

    def _broken(self) -> bool:
        levels = sorted(self.strikes)
        return not math.isclose(levels[1] - levels[0], levels[-1] - levels[-2])


def collected(tree: Any, text: str) -> Pieces:
    """The pieces of one parsed alert; two answers to one question in its head are refused."""
    verb, rest = tree.children[0], list(tree.children[1:])
    words = verb.lower().split()
    pieces = Pieces(
        side=Side.BUY if words[0][0] == "b" else Side.SELL,
        closes=words[-1] in ("close", "btc", "stc"),
        status=Status.FILLED if words[0] in ("bought", "sold", "bot") else Status.ORDER,
        symbol="",
        symbol_at=0,
        comment="",
    )
    head: list[Any] = []
    tail: list[Any] = []
    for child in rest:
        kind = getattr(child, "data", None)
        if kind is None:
            pieces.symbol, pieces.symbol_at = child.upper().lstrip("$"), child.start_pos
        elif kind == "size":
            pieces.sizes.append(_whole(child.children[0]))
        elif kind == "comment":
            pieces.comment = _comment(text[child.children[0].start_pos :])
            tail = [each for each in child.children if hasattr(each, "data")]
        else:
            head.append(child)
    if pieces.symbol.startswith("/"):
        raise Misplaced(pieces.symbol_at, f"An alert does not say how much a point of {pieces.symbol} is worth.")
    _strikes(pieces, head)
    _take(pieces, head)
    _refuse_shares(pieces)
    for piece in head:
        _trend(pieces, piece)
        _price(pieces, piece)
    _fill(pieces, tail)
    return pieces


def _refuse_shares(pieces: Pieces) -> None:
    """No strikes: shares where nothing speaks of an option, else an order that is not settled."""
    if pieces.strikes:
        return
    ladders = [each for each in pieces.days if "/" in each and not _is_day(each)]
    if ladders and pieces.structure is None and pieces.right is None:
        raise Misplaced(
            pieces.symbol_at, f"The alert on {pieces.symbol} names {ladders[0]} and neither call, put nor structure."
        )
    if pieces.structure is None and pieces.right is None:
        raise Misplaced(
            pieces.symbol_at,
            f"The alert on {pieces.symbol} names no strike and neither call nor put, so it is about shares, not an "
            "option. Openbell's gate judges options.",
        )
    called = " ".join(each for each in (pieces.right.value.lower() if pieces.right else "", pieces.structure) if each)
    raise Misplaced(
        pieces.symbol_at, f"The {called} on {pieces.symbol} names no strikes, so its legs are not known. Name them."
    )


def _comment(text: str) -> str:
    """The words after the order, without mentions."""
    return " ".join(re.sub(r"<(@[&!]?|#|a?:\w+:)[0-9]+>", " ", text).split()).rstrip(",;:|!()[]").rstrip()


def _whole(token: str) -> int:
    digits = re.sub(r"[^0-9+-]", "", token)
    if len(digits) > 9:
        raise BadInput(f"`{token[:20]}` units are more than any alert means.")
    return int(digits)


def _strikes(pieces: Pieces, head: list[Any]) -> None:
    """Which numbers are strikes: those with their right, else slashed ones that are no day, else the one number."""
    found = [each for each in head if each.data in ("strikes", "legged")]
    slashed = [each for each in head if each.data == "slashed"]
    numbers = [each for each in head if each.data == "number"]
    rights = [_right(each.children[0]) for each in head if each.data == "right"]
    named = [str(each.children[0]) for each in head if each.data == "structure"]
    other_days = [each for each in head if each.data in ("iso", "daymonth", "monthday", "dte")]
    if len(found) == 1 and len(numbers) == 1 and not slashed and not other_days and _is_day(found[0].children[0]):
        # ``SPY 450 12/15 calls``: the day stands before the right
        pieces.strikes, pieces.days = [_amount(numbers[0].children[0])], [str(found[0].children[0])]
        pieces.right, found, numbers = _right(found[0].children[1]), [], []
    elif not found and (rights or named):
        found, slashed = _unmarked(slashed, numbers, bool(other_days))
        numbers = [] if found and found[0].data == "number" else numbers
    if len(found) > 1:
        shown = " and ".join(" ".join(each.children) for each in found)
        raise Misplaced(found[1].children[0].start_pos, f"The alert names strikes twice: {shown}.")
    if numbers:
        token = numbers[0].children[0]
        raise Misplaced(
            token.start_pos, f"It is not clear what `{token}` is: a strike goes with c or p, a price with @."
        )
    for each in found:
        _named(pieces, each)
    pieces.days += [str(each.children[0]) for each in slashed]
    for each in rights:
        _set_right(pieces, each)


def _unmarked(slashed: list[Any], numbers: list[Any], dated: bool) -> tuple[list[Any], list[Any]]:
    """Strikes without their right beside them, and what is left of the slashed numbers."""
    ladders = [each for each in slashed if not _is_day(each.children[0])]
    if ladders:
        return ladders, [each for each in slashed if each not in ladders]
    if numbers:
        return numbers, slashed
    if dated and slashed:
        return slashed, []
    return [], slashed


def _named(pieces: Pieces, piece: Any) -> None:
    token = piece.children[0]
    if piece.data == "legged":
        parts = [(_amount(each[:-1]), _right(each[-1])) for each in re.sub(r"\s", "", token).split("/")]
        pieces.strikes = [strike for strike, _ in parts]
        kinds = {right for _, right in parts}
        if len(kinds) == 1:
            _set_right(pieces, kinds.pop())
        else:
            _check_iron(parts)
        return
    pieces.strikes = [_amount(each) for each in token.split("/")]
    if len(piece.children) > 1:
        _set_right(pieces, _right(piece.children[1]))


def _check_iron(parts: list[tuple[float, Right]]) -> None:
    """Puts below calls, as a strangle, straddle or iron structure has them: then the strikes settle the legs."""
    puts = [strike for strike, right in parts if right is Right.PUT]
    calls = [strike for strike, right in parts if right is Right.CALL]
    if len(puts) != len(calls) or max(puts) > min(calls):
        raise BadInput(
            f"The alert has puts at {', '.join(f'{each:g}' for each in puts)} and calls at "
            f"{', '.join(f'{each:g}' for each in calls)}, which no named structure has."
        )


def _set_right(pieces: Pieces, right: Right) -> None:
    if pieces.right not in (None, right):
        raise BadInput("The alert says call and put of the same strikes; which is it?")
    pieces.right = right


def _right(word: str) -> Right:
    return Right.CALL if word[0].lower() == "c" else Right.PUT


def _amount(token: str) -> float:
    plain = token.replace("$", "")
    if not re.fullmatch(r"[0-9]{1,3}(,[0-9]{3})+(\.[0-9]+)?|[0-9]+(\.[0-9]+)?|\.[0-9]+", plain) or len(plain) > 15:
        raise Misplaced(getattr(token, "start_pos", 0), f"`{plain[:20]}` is no number; write it like 5905 or 5,855.50.")
    value = float(plain.replace(",", ""))
    if value == 0:
        raise Misplaced(getattr(token, "start_pos", 0), "A strike of 0 is no strike.")
    return value


def _take(pieces: Pieces, head: list[Any]) -> None:
    """The pieces of the head other than strikes."""
    for piece in head:
        token, kind = piece.children[0], piece.data
        if kind in ("iso", "daymonth", "monthday", "dte"):
            pieces.days.append(str(token))
        elif kind == "structure":
            _structure(pieces, token.lower(), token.start_pos)
        elif kind == "sign":
            _sign(pieces, token.lower()[0] == "c", token.start_pos)
        elif kind == "times":
            pieces.sizes.append(_whole(token))


def _fill(pieces: Pieces, tail: list[Any]) -> None:
    """From the comment, what the head lacks and nothing else could mean: a price with its @, a size as x5, an nDTE."""
    prices = [
        each for each in tail if each.data in ("price", "market", "range", "broken") and each.children[0][0] == "@"
    ]
    sizes = [each for each in tail if each.data == "times"]
    if not pieces.prices and not pieces.at_market and prices:
        if len(prices) > 1:
            raise Misplaced(prices[1].children[0].start_pos, "The comment names several prices; which is the limit?")
        _price(pieces, prices[0])
    if not pieces.days:
        pieces.days += [str(each.children[0]) for each in tail if each.data == "dte"]
    if not pieces.sizes and sizes:
        pieces.sizes += [_whole(each.children[0]) for each in sizes]


def _structure(pieces: Pieces, word: str, position: int) -> None:
    if word in _SHORT:
        right, credit = _SHORT[word]
        _set_right(pieces, right)
        _sign(pieces, credit, position)
        word = "vertical"
    if word == "spread" and pieces.structure is not None:
        return  # ``butterfly spread``
    if pieces.structure not in (None, word, "spread"):
        raise Misplaced(position, f"The alert names two structures, {pieces.structure} and {word}.")
    pieces.structure = word


def _sign(pieces: Pieces, credit: bool, position: int) -> None:
    if pieces.credit not in (None, credit):
        raise Misplaced(position, "The alert says credit and debit; which is it?")
    pieces.credit = credit


def _trend(pieces: Pieces, piece: Any) -> None:
    """A bull or bear spread says whether it is for a credit: of calls the bull pays, of puts the bear does."""
    if piece.data != "trend":
        return
    token = piece.children[0]
    if pieces.right is None or pieces.structure not in ("spread", "vertical"):
        raise Misplaced(token.start_pos, f"`{token}` goes with a spread of calls or of puts.")
    _sign(pieces, (token.lower() == "bull") == (pieces.right is Right.PUT), token.start_pos)


def _price(pieces: Pieces, piece: Any) -> None:
    """Take the price that `piece` is, where it is one."""
    token, kind = piece.children[0], piece.data
    if kind == "market":
        pieces.at_market = True
    elif kind == "range":
        raise Misplaced(token.start_pos, f"`{token}` is a range of prices; a limit is one price.")
    elif kind == "broken":
        raise Misplaced(token.start_pos, f"The price `{token}` is broken by a blank, so it is not clear which it is.")
    elif kind == "price":
        digits = re.sub(r"[^0-9.+-]", "", token)
        if len(digits) > 12:
            raise Misplaced(token.start_pos, f"`{token[:24]}` is no price of an option.")
        pieces.prices.append(float(digits))


def _is_day(token: str) -> bool:
    """Whether ``a/b`` or ``a/b/c`` can be month, day and year."""
    found = re.fullmatch(r"([0-9]{1,2})/([0-9]{1,2})(?:/([0-9]{2}|20[0-9]{2}))?", token)
    if not found:
        return False
    try:
        dt.date(_year(found[3]) if found[3] else 2024, int(found[1]), int(found[2]))
    except ValueError:
        return False
    return True


def _year(text: str) -> int:
    digits = text.lstrip("'")
    return int(digits) + (2000 if len(digits) == 2 else 0)


def _day(text: str, at: dt.datetime | None, symbol: str) -> tuple[dt.date | None, str]:
    """The day that `text` writes, and the sentence on what was resolved, empty where all of it is written."""
    dte = re.fullmatch(r"([0-9]+)\s?-?dte", text, re.IGNORECASE)
    if dte:
        return days_on(int(dte[1][:6]), at)
    year, month, day = _parts(text)
    try:
        if year is not None:
            return dt.date(year, month, day), ""
        return with_year(month, day, at, symbol)
    except ValueError:
        raise BadInput(f"`{text}` is no day; write an expiry like 12/09 or 12/09/2022.") from None


def _parts(text: str) -> tuple[int | None, int, int]:
    """Year (None where it is not written), month and day."""
    iso = re.fullmatch(r"([0-9]{4})-([0-9]{2})-([0-9]{2})", text)
    if iso:
        return int(iso[1]), int(iso[2]), int(iso[3])
    if "/" in text:
        month, day, *rest = text.replace("$", "").split("/")
        if not re.fullmatch(r"[0-9]{1,2}/[0-9]{1,2}(/[0-9]{2}|/20[0-9]{2})?", text):
            raise BadInput(f"`{text}` is no day; write an expiry like 12/09 or 12/09/2022.")
        return (_year(rest[0]) if rest else None), int(month), int(day)
    name = re.search(r"[a-z]{3}", text, re.IGNORECASE)
    numbers = re.findall(r"[0-9]+", text)
    month = _MONTHS.index(name[0].lower()) + 1 if name else 0
    return (_year(numbers[1]) if len(numbers) > 1 else None), month, int(numbers[0])
