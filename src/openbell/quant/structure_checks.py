"""Whether legs are the structure they are called, and whether their premium is possible: each refusal a sentence."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from openbell.core.errors import BadInput, unknown
from openbell.quant import structures as names
from openbell.quant.legs import CALL, PUT, UNDERLYING, Legs, netted
from openbell.quant.payoffs import profile
from openbell.quant.structures import STRUCTURES

#: Structures that orders name and the desk does not propose; their sides may be bought or sold, in calls or in puts.
BUTTERFLY, VERTICAL = "BUTTERFLY", "VERTICAL"
#: Structures that are sold: their premium is a credit.
CREDIT = frozenset({names.IRON_CONDOR, names.IRON_BUTTERFLY})
_WORDS = {CALL: "call", PUT: "put", UNDERLYING: "of the underlying"}


def check_structure(structure: str, legs: Legs, premium: float) -> None:
    """Refuse legs that are not one unit of `structure`, or a premium at which it could only win or only lose.

    The order of the legs plays no part. Known are the ten of `STRUCTURES`, and ``BUTTERFLY`` (wings may be unequal) and
    ``VERTICAL``, each bought or sold.

    Parameters
    ----------
    legs : one unit: ratios as in `STRUCTURES`. premium : points per unit, above 0 paid, below 0 received.

    Raises
    ------
    BadInput
        Whose sentence says what was received: an unknown name, the wrong number or kind of legs, a width of zero,
        strikes out of order, expiries that do not fit, a debit where a credit belongs, a premium not below the width.
    """
    if structure not in _SHAPES:
        raise unknown("structure", structure, _SHAPES)
    if not math.isfinite(premium):
        raise BadInput(f"The premium of {_one(structure)} must be a number of points; was {premium}.")
    _check_legs(structure, legs)
    _SHAPES[structure](structure, legs)
    _check_sign(structure, legs, premium)
    if len(np.unique(legs.expiry)) == 1:
        check_premium(legs, premium, _said(structure))
    else:
        _check_far_premium(structure, legs, premium)


def check_premium(legs: Legs, premium: float, called: str = "position") -> None:
    """Refuse a premium at which the options `legs` of one expiry could only win or could not win at expiry.

    The premium must lie strictly between the least and the most that the legs can pay.
    """
    bare = profile(legs, 0.0)
    least, most = -bare.max_loss + 0.0, bare.max_profit + 0.0
    if least < premium < most:
        return
    if premium >= most and most <= 0:
        raise BadInput(
            f"This {called} pays at most {most:g} points at expiry, so it must bring in a credit of more than "
            f"{abs(most):g}; the premium was {_premium(premium)}."
        )
    if premium >= most:
        raise BadInput(
            f"This {called} pays at most {most:g} points at expiry, so a debit must be below that; "
            f"the premium was {_premium(premium)} and it could never win."
        )
    if least < 0:
        raise BadInput(
            f"This {called} can cost at most {abs(least):g} points at expiry, so a credit must be below that; "
            f"the premium was {_premium(premium)}. No market pays that: is the price one of another unit, or stale?"
        )
    raise BadInput(
        f"This {called} pays at least {least:g} points at expiry, so it must cost a debit of more than that; "
        f"the premium was {_premium(premium)}. Is its sign wrong? A debit is positive and a credit negative."
    )


def _said(structure: str) -> str:
    return structure.lower().replace("_", " ")


def _one(structure: str) -> str:
    return f"{'an' if structure[0] in 'AEIO' else 'a'} {_said(structure)}"


def _a(structure: str) -> str:
    return _one(structure)[0].upper() + _one(structure)[1:]


def _premium(premium: float) -> str:
    if premium == 0:
        return "0"
    return f"a {'debit' if premium > 0 else 'credit'} of {abs(premium):g}"


def _check_legs(structure: str, legs: Legs) -> None:
    """The number, rights and ratios of the legs, for the structures that have only one form."""
    if (legs.right == UNDERLYING).any():
        raise BadInput(f"{_a(structure)} consists of options; one leg was the underlying itself.")
    if structure not in STRUCTURES:
        return
    parts = STRUCTURES[structure]
    if len(legs.right) != len(parts):
        raise BadInput(f"{_a(structure)} has {len(parts)} legs; {len(legs.right)} were given.")
    wanted = sorted((part.right, part.ratio) for part in parts)
    given = sorted(zip(legs.right.tolist(), legs.ratio.tolist(), strict=True))
    if wanted != given:
        raise BadInput(f"{_a(structure)} is {_listed(wanted)}; given were {_listed(given)}.")


def _listed(legs: list[tuple[int, int]]) -> str:
    return ", ".join(f"{ratio:+d} {_WORDS[right]}" for right, ratio in legs)


def _strike(legs: Legs, right: int, sign: int) -> float:
    """The one strike of the legs with this right and this sign of ratio."""
    return float(legs.strike[(legs.right == right) & (np.sign(legs.ratio) == sign)][0])


def _one_expiry(structure: str, legs: Legs) -> None:
    days = np.unique(legs.expiry)
    if len(days) > 1:
        raise BadInput(
            f"All legs of {_one(structure)} expire on one day; these do on {', '.join(str(day) for day in days)}."
        )


def _width(structure: str, called: str, width: float, low: float, high: float) -> None:
    """`width` above 0, or the sentence: equal strikes have none, and crossed ones are another structure."""
    if width > 0:
        return
    if width == 0:
        raise BadInput(f"The {called} of this {_said(structure)} has a width of 0: both strikes are {low:g}.")
    raise BadInput(
        f"The {called} of this {_said(structure)} is the wrong way round: {low:g} should lie below {high:g}."
    )


def _iron(structure: str, legs: Legs) -> None:
    _one_expiry(structure, legs)
    long_put, short_put = _strike(legs, PUT, 1), _strike(legs, PUT, -1)
    short_call, long_call = _strike(legs, CALL, -1), _strike(legs, CALL, 1)
    _width(structure, "put wing", short_put - long_put, long_put, short_put)
    _width(structure, "call wing", long_call - short_call, short_call, long_call)
    if structure == names.IRON_BUTTERFLY and short_put != short_call:
        raise BadInput(
            f"An iron butterfly sells its put and its call at one strike; these are {short_put:g} and {short_call:g}, "
            "which is an iron condor."
        )
    if structure == names.IRON_CONDOR:
        _width(structure, "body", short_call - short_put, short_put, short_call)


def _spread(right: int) -> Callable[[str, Legs], None]:
    def check(structure: str, legs: Legs) -> None:
        _one_expiry(structure, legs)
        bought, sold = _strike(legs, right, 1), _strike(legs, right, -1)
        low, high = (bought, sold) if right == CALL else (sold, bought)
        _width(structure, "spread", high - low, low, high)

    return check


def _straddle(structure: str, legs: Legs) -> None:
    _one_expiry(structure, legs)
    put, call = _strike(legs, PUT, 1), _strike(legs, CALL, 1)
    if put != call:
        raise BadInput(f"A long straddle has one strike; these are {put:g} and {call:g}, which is a strangle.")


def _strangle(structure: str, legs: Legs) -> None:
    _one_expiry(structure, legs)
    put, call = _strike(legs, PUT, 1), _strike(legs, CALL, 1)
    _width(structure, "body", call - put, put, call)


def _calendar(structure: str, legs: Legs) -> None:
    sold, bought = legs.ratio < 0, legs.ratio > 0
    near, far = legs.expiry[sold][0], legs.expiry[bought][0]
    if not far > near:
        raise BadInput(
            f"The bought leg of {_one(structure)} must expire after the sold one; they expire on {far} and {near}."
        )
    long_strike, short_strike = float(legs.strike[bought][0]), float(legs.strike[sold][0])
    if structure == names.CALENDAR_SPREAD and long_strike != short_strike:
        raise BadInput(
            f"A calendar spread has one strike; these are {long_strike:g} and {short_strike:g}, which is a diagonal."
        )


def _vertical(structure: str, legs: Legs) -> None:
    _one_expiry(structure, legs)
    if len(legs.right) != 2 or len(set(legs.right.tolist())) != 1 or sorted(legs.ratio.tolist()) != [-1, 1]:
        given = sorted(zip(legs.right.tolist(), legs.ratio.tolist(), strict=True))
        raise BadInput(f"A vertical is one option bought and one of the same right sold; given were {_listed(given)}.")
    low, high = float(legs.strike.min()), float(legs.strike.max())
    _width(structure, "spread", high - low, low, high)


def _butterfly(structure: str, legs: Legs) -> None:
    _one_expiry(structure, legs)
    order = np.argsort(legs.strike, kind="stable")
    ratio, strike = legs.ratio[order].tolist(), legs.strike[order]
    if ratio not in ([1, -2, 1], [-1, 2, -1]) or len(set(legs.right.tolist())) != 1:
        given = sorted(zip(legs.right.tolist(), legs.ratio.tolist(), strict=True))
        raise BadInput(
            "A butterfly is one option at each outer strike against two of the same right at the middle one; given "
            f"were {_listed(given)}, by strike {', '.join(f'{each:+d}' for each in ratio)}."
        )
    _width(structure, "lower wing", float(strike[1] - strike[0]), float(strike[0]), float(strike[1]))
    _width(structure, "upper wing", float(strike[2] - strike[1]), float(strike[1]), float(strike[2]))


def _single(structure: str, legs: Legs) -> None:
    _one_expiry(structure, legs)


def _check_sign(structure: str, legs: Legs, premium: float) -> None:
    """A credit for what is sold and a debit for the rest of the ten; the others are judged by their payoff."""
    if structure in CREDIT and not premium < 0:
        raise BadInput(
            f"{_a(structure)} is sold for a credit, so its premium must be below 0; was {_premium(premium)}. "
            "At these prices there is nothing to earn."
        )
    bought_above = structure == names.DIAGONAL_SPREAD and _strike(legs, CALL, 1) > _strike(legs, CALL, -1)
    if structure in STRUCTURES and structure not in CREDIT and not bought_above and not premium > 0:
        raise BadInput(
            f"{_a(structure)} is bought for a debit, so its premium must be above 0; was {_premium(premium)}. "
            "Are its quotes crossed, or bid and ask exchanged?"
        )


def _check_far_premium(structure: str, legs: Legs, premium: float) -> None:
    """With a far leg: a credit must be below what the sold leg can cost more than the bought one, strike to strike."""
    width = max(_strike(legs, CALL, 1) - _strike(legs, CALL, -1), 0.0)
    if premium < 0 and -premium >= width:
        raise BadInput(
            f"This {_said(structure)} can cost at most {width:g} points at the near expiry, so a credit must be below "
            f"that; the premium was {_premium(premium)}."
        )
    top = float(netted(legs).strike.max())
    if premium >= top:
        raise BadInput(f"The premium {premium:g} of this {_said(structure)} is not below its largest strike {top:g}.")


_SHAPES: Mapping[str, Callable[[str, Legs], None]] = MappingProxyType(
    {
        names.IRON_CONDOR: _iron,
        names.IRON_BUTTERFLY: _iron,
        names.LONG_CALL: _single,
        names.LONG_PUT: _single,
        names.BULL_CALL_SPREAD: _spread(CALL),
        names.BEAR_PUT_SPREAD: _spread(PUT),
        names.LONG_STRADDLE: _straddle,
        names.LONG_STRANGLE: _strangle,
        names.CALENDAR_SPREAD: _calendar,
        names.DIAGONAL_SPREAD: _calendar,
        VERTICAL: _vertical,
        BUTTERFLY: _butterfly,
    }
)
