"""Whether the legs of a proposed order are the strategy it is called; each refusal a sentence."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from openbell.core.errors import BadInput, unknown
from openbell.core.ticket import Ticket, TicketLeg
from openbell.core.types import Right


def check_shape(ticket: Ticket) -> None:
    """Refuse legs that are not the ticket's strategy; their order plays no part, and either side may be bought.

    Wings may be unequal, and so may the sizes of the legs: what that costs is what the payoff says.

    Raises
    ------
    BadInput
        On an unknown strategy, another number or kind of legs, equal strikes where there must be a width, strikes that
        are out of order, or expiries that do not fit.
    """
    if ticket.strategy not in _SHAPES:
        raise unknown("strategy", ticket.strategy, _SHAPES)
    _SHAPES[ticket.strategy](said(ticket), ticket.legs)


def said(ticket: Ticket) -> str:
    """The ticket's strategy as a sentence says it."""
    return ticket.strategy.lower()


def _a(called: str) -> str:
    return f"{'An' if called[0] in 'aeio' else 'A'} {called}"


def _listed(legs: Sequence[TicketLeg]) -> str:
    return ", ".join(f"{leg.ratio:+d} {leg.right.value.lower()} {leg.strike:g}" for leg in legs)


def _count(called: str, legs: Sequence[TicketLeg], wanted: int) -> None:
    if len(legs) != wanted:
        raise BadInput(
            f"{_a(called)} has {wanted} leg{'s' if wanted > 1 else ''}; {len(legs)} were given: {_listed(legs)}."
        )


def _one_right(called: str, legs: Sequence[TicketLeg]) -> None:
    if len({leg.right for leg in legs}) > 1:
        raise BadInput(f"{_a(called)} is all calls or all puts; given were {_listed(legs)}.")


def _one_expiry(called: str, legs: Sequence[TicketLeg]) -> None:
    days = sorted({leg.expiry.isoformat() if leg.expiry else "an unnamed day" for leg in legs})
    if len(days) > 1:
        raise BadInput(f"All legs of {_a(called).lower()} expire on one day; these do on {' and '.join(days)}.")


def _two_expiries(called: str, legs: Sequence[TicketLeg]) -> None:
    """Two different days; a day that is not named yet may be any."""
    days = {leg.expiry for leg in legs}
    if None not in days and len(days) != 2:
        raise BadInput(
            f"{_a(called)} expires on two days, the near and the far one; these legs do on "
            f"{', '.join(str(day) for day in sorted(day for day in days if day))}."
        )


def _opposite(called: str, legs: Sequence[TicketLeg]) -> None:
    if (legs[0].ratio > 0) == (legs[1].ratio > 0):
        raise BadInput(f"{_a(called)} buys one option and sells the other; given were {_listed(legs)}.")


def _width(called: str, part: str, low: TicketLeg, high: TicketLeg) -> None:
    if low.strike == high.strike:
        raise BadInput(f"The {part} of this {called} has a width of 0: both strikes are {low.strike:g}.")
    if low.strike > high.strike:
        raise BadInput(
            f"The {part} of this {called} is the wrong way round: {low.strike:g} should lie below {high.strike:g}."
        )


def _sorted(legs: Sequence[TicketLeg]) -> list[TicketLeg]:
    return sorted(legs, key=lambda leg: leg.strike)


def _single(called: str, legs: Sequence[TicketLeg]) -> None:
    _count("single option", legs, 1)


def _vertical(called: str, legs: Sequence[TicketLeg]) -> None:
    _count(called, legs, 2)
    _one_right(called, legs)
    _opposite(called, legs)
    _one_expiry(called, legs)
    if legs[0].ratio != -legs[1].ratio:
        raise BadInput(f"{_a(called)} buys as many as it sells; given were {_listed(legs)}, which is a ratio spread.")
    _width(called, "spread", *_sorted(legs))


def _ratio(called: str, legs: Sequence[TicketLeg]) -> None:
    _count(called, legs, 2)
    _one_right(called, legs)
    _opposite(called, legs)
    _one_expiry(called, legs)
    if legs[0].ratio == -legs[1].ratio:
        raise BadInput(f"{_a(called)} buys and sells unequal numbers; given were {_listed(legs)}, which is a vertical.")
    _width(called, "spread", *_sorted(legs))


def _winged(number: int) -> Callable[[str, Sequence[TicketLeg]], None]:
    """Of one right, the outer legs against the inner ones: butterflies with three legs, condors with four."""

    def check(called: str, legs: Sequence[TicketLeg]) -> None:
        _count(called, legs, number)
        _one_right(called, legs)
        _one_expiry(called, legs)
        rising = _sorted(legs)
        _width(called, "lower wing", *rising[:2])
        _width(called, "upper wing", *rising[-2:])
        if number == 4:
            _width(called, "body", *rising[1:3])
        bought = [leg.ratio > 0 for leg in rising]
        if bought[0] != bought[-1] or any(inner == bought[0] for inner in bought[1:-1]):
            raise BadInput(
                f"{_a(called)} has its outer strikes on one side and its inner ones on the other; given were "
                f"{_listed(rising)}."
            )

    return check


def _iron(called: str, legs: Sequence[TicketLeg]) -> None:
    _count(called, legs, 4)
    _one_expiry(called, legs)
    (puts, calls) = ([leg for leg in legs if leg.right is right] for right in (Right.PUT, Right.CALL))
    if len(puts) != 2:
        raise BadInput(f"{_a(called)} has two puts and two calls; given were {_listed(legs)}.")
    (long_put, short_put), (short_call, long_call) = _sorted(puts), _sorted(calls)
    _width(called, "put wing", long_put, short_put)
    _width(called, "call wing", short_call, long_call)
    signs = [leg.ratio > 0 for leg in (long_put, short_put, short_call, long_call)]
    if signs[0] != signs[3] or signs[1] != signs[2] or signs[0] == signs[1]:
        raise BadInput(
            f"{_a(called)} has its outer strikes on one side and its inner ones on the other; given were "
            f"{_listed([long_put, short_put, short_call, long_call])}."
        )
    if short_put.strike > short_call.strike:
        raise BadInput(
            f"The body of this {called} is the wrong way round: the inner put {short_put.strike:g} should not lie "
            f"above the inner call {short_call.strike:g}."
        )
    if called == "iron butterfly" and short_put.strike != short_call.strike:
        raise BadInput(
            f"An iron butterfly has its inner put and call at one strike; these are {short_put.strike:g} and "
            f"{short_call.strike:g}, which is an iron condor."
        )


def _same_side(called: str, legs: Sequence[TicketLeg]) -> None:
    """A put and a call, both bought or both sold: at one strike a straddle, at two a strangle."""
    _count(called, legs, 2)
    _one_expiry(called, legs)
    one = legs[0].strike == legs[1].strike
    if legs[0].right is legs[1].right or (legs[0].ratio > 0) != (legs[1].ratio > 0):
        raise BadInput(f"{_a(called)} is a put and a call on the same side; given were {_listed(legs)}.")
    if one != (called == "straddle"):
        other = "straddle" if one else "strangle"
        raise BadInput(f"{_a(called)} has {'two strikes' if one else 'one'}; given were {_listed(legs)}: a {other}.")


def _far(called: str, legs: Sequence[TicketLeg]) -> None:
    """One option against another of the same right that expires on another day."""
    _count(called, legs, 2)
    _one_right(called, legs)
    _opposite(called, legs)
    _two_expiries(called, legs)
    if called == "calendar" and legs[0].strike != legs[1].strike:
        raise BadInput(f"A calendar has one strike; given were {_listed(legs)}, which is a diagonal.")


def _double_far(called: str, legs: Sequence[TicketLeg]) -> None:
    _count(called, legs, 4)
    _two_expiries(called, legs)
    if sorted(leg.ratio > 0 for leg in legs) != [False, False, True, True]:
        raise BadInput(f"{_a(called)} buys two options and sells two; given were {_listed(legs)}.")


def _put_against_call(called: str, legs: Sequence[TicketLeg]) -> None:
    _count(called, legs, 2)
    if legs[0].right is legs[1].right:
        raise BadInput(f"{_a(called)} is a put against a call; given were {_listed(legs)}.")
    _opposite(called, legs)


def _any(called: str, legs: Sequence[TicketLeg]) -> None:
    """A custom order is what its legs say."""


_SHAPES: Mapping[str, Callable[[str, Sequence[TicketLeg]], None]] = MappingProxyType(
    {
        "SINGLE": _single,
        "VERTICAL": _vertical,
        "BUTTERFLY": _winged(3),
        "CONDOR": _winged(4),
        "IRON CONDOR": _iron,
        "IRON BUTTERFLY": _iron,
        "SONAR": _iron,
        "CALENDAR": _far,
        "DIAGONAL": _far,
        "DOUBLE DIAGONAL": _double_far,
        "DOUBLE CALENDAR": _double_far,
        "STRADDLE": _same_side,
        "STRANGLE": _same_side,
        "BACKRATIO": _ratio,
        "RATIO": _ratio,
        "COLLAR": _put_against_call,
        "COMBO": _put_against_call,
        "CUSTOM": _any,
    }
)
