"""The legs of strategies that their strikes settle, whatever order the strikes are named in."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from openbell.core.errors import BadInput, unknown
from openbell.core.ticket import TicketLeg
from openbell.core.types import Right, Side

_IRON = ((-1, Right.PUT), (1, Right.PUT), (1, Right.CALL), (-1, Right.CALL))
#: What a buyer, who pays, holds at each strike from the lowest up; None stands for the order's one right. The vertical
#: is the one of calls; of puts it is the other way round. Selling turns every sign.
BOUGHT: Mapping[str, tuple[tuple[int, Right | None], ...]] = MappingProxyType(
    {
        "SINGLE": ((1, None),),
        "VERTICAL": ((1, None), (-1, None)),
        "BUTTERFLY": ((1, None), (-2, None), (1, None)),
        "CONDOR": ((1, None), (-1, None), (-1, None), (1, None)),
        "IRON CONDOR": _IRON,
        "IRON BUTTERFLY": _IRON,
        "SONAR": _IRON,
        "STRADDLE": ((1, Right.PUT), (1, Right.CALL)),
        "STRANGLE": ((1, Right.PUT), (1, Right.CALL)),
    }
)


def has_both_rights(strategy: str) -> bool:
    """Whether `strategy` has puts and calls by its nature."""
    return all(own is not None for _, own in BOUGHT[strategy])


def an(strategy: str) -> str:
    """`strategy` as a sentence begins with it: ``An iron condor``."""
    return f"A{'n' if strategy[0] in 'AEIO' else ''} {strategy.lower()}"


def rungs(strategy: str, strikes: Sequence[float]) -> list[float]:
    """The strike of each leg from the lowest up; an iron butterfly may name its middle once, a straddle its strike.

    Raises
    ------
    BadInput
        On a strategy that strikes alone do not settle, or another number of strikes.
    """
    if strategy not in BOUGHT:
        raise unknown("strategy that its strikes settle,", strategy, BOUGHT)
    levels = sorted(float(each) for each in strikes)
    if strategy == "IRON BUTTERFLY" and len(levels) == 3:
        levels.insert(1, levels[1])
    if strategy == "STRADDLE" and len(levels) == 1:
        levels *= 2
    if len(levels) != len(BOUGHT[strategy]):
        count = {"IRON BUTTERFLY": 3, "STRADDLE": 1}.get(strategy, len(BOUGHT[strategy]))
        shown = f": {', '.join(f'{each:g}' for each in strikes)}" if len(strikes) else ""
        raise BadInput(
            f"{an(strategy)} has {count} strike{'s' if count > 1 else ''}; {len(strikes)} "
            f"{'was' if len(strikes) == 1 else 'were'} given{shown}."
        )
    return levels


def ladder(
    strategy: str, strikes: Sequence[float], right: Right | None, side: Side, expiry: dt.date | None = None
) -> tuple[TicketLeg, ...]:
    """The legs of one unit, rising by strike: bought for a debit or sold for a credit.

    `right` is that of strategies of one right; the others do not read it.
    """
    levels, pattern = rungs(strategy, strikes), BOUGHT[strategy]
    if right is None and not has_both_rights(strategy):
        raise BadInput(f"{an(strategy)} is of calls or of puts; neither was given.")
    if strategy == "VERTICAL" and right is Right.PUT:
        pattern = pattern[::-1]
    way = 1 if side is Side.BUY else -1
    return tuple(
        TicketLeg(way * ratio, own or right or Right.CALL, strike, expiry)
        for (ratio, own), strike in zip(pattern, levels, strict=True)
    )


def right_of(strategy: str, strikes: Sequence[float], kind: str | None) -> tuple[Right | None, tuple[str, ...]]:
    """The right of an order's legs from its option type `kind`, and what was assumed; None where both belong.

    A butterfly or condor without a type is read as calls, as in the reference values of S1.17, and flagged.
    """
    levels = rungs(strategy, strikes)
    word = "" if kind is None else str(kind).strip().upper()
    if has_both_rights(strategy):
        if word not in ("", "CALL/PUT", "PUT/CALL"):
            raise BadInput(f"{an(strategy)} has puts and calls; the option type was {kind!r}. Leave it out.")
        return None, ()
    if word in ("CALL/PUT", "PUT/CALL"):
        raise BadInput(f"{an(strategy)} is all calls or all puts; the option type was {kind!r}.")
    if word:
        if word not in {each.value for each in Right}:
            raise unknown("option type", str(kind), [each.value for each in Right])
        return Right(word), ()
    if strategy not in ("BUTTERFLY", "CONDOR"):
        raise BadInput(f"{an(strategy)} needs an option type: CALL or PUT.")
    same = math.isclose(levels[1] - levels[0], levels[-1] - levels[-2])
    told = "puts pay the same" if same else "with unequal wings puts would pay otherwise; name it if they are meant"
    return Right.CALL, (f"No option type was given, so it was read as calls; {told}.",)
