"""The legs of each strategy in the order that order strings name them; what contradicts itself is refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeAlias

from openbell.core.ladders import an
from openbell.core.types import Right
from openbell.dialects.order_words import (
    CALL,
    PUT,
    Contradiction,
    Expiry,
    Words,
    check_unratioed,
    check_worth,
    expiry_of,
    far_and_near,
    far_first,
    ratio_of,
    right_of,
    said,
    shown,
    sizes_of,
    strikes_of,
)  # fmt: skip

#: One leg of a unit that is bought, before `Words.sign`: ratio, right, strike, expiry.
Drawn: TypeAlias = tuple[int, Right, float, Expiry]


def _single(words: Words) -> tuple[list[Drawn], list[str]]:
    check_unratioed(words)
    if len(words.strikes) != 1:
        raise Contradiction(
            "strikes",
            f"The text names {len(words.strikes)} strikes, {shown(words.strikes)}, and no strategy; which legs are "
            "meant would be a guess.",
        )
    if len(words.rights) > 1:
        raise Contradiction("rights", f"A single option is a call or a put; the text says {'/'.join(words.rights)}.")
    right, expiry = right_of(words), expiry_of(words)
    check_worth(words)
    return [(1, right, words.strikes[0], expiry)], []


def _vertical(words: Words) -> tuple[list[Drawn], list[str]]:
    """Price decides which leg is bought: a debit buys the dearer one. Without a price, verb and order must agree."""
    (first, second), right, expiry = strikes_of(words, 2), right_of(words), expiry_of(words)
    sizes_of(words, (1, -1))
    if words.ratios is not None and len(set(map(abs, words.ratios))) > 1:
        raise Contradiction("ratios", f"A vertical buys as many as it sells; the text says {ratio_of(words)}.")
    if first == second:
        raise Contradiction("strikes", f"A vertical has two strikes; both are {first:g}.")
    dear = min(first, second) if right is CALL else max(first, second)
    ordered = dear == first  # a BUY of the dear leg first pays, a SELL of it first receives
    if words.agrees is None and not ordered:
        raise Contradiction(
            "strikes",
            "Without a price it is not clear whether this vertical pays: the verb and the order of "
            f"{shown(words.strikes)} {right} contradict each other. Name the price.",
        )
    size = 1 if words.ratios is None else abs(words.ratios[0])
    agrees = words.agrees is not False
    drawn = [(size if (each == dear) == agrees else -size, right, each, expiry) for each in (first, second)]
    if drawn[0][0] > 0:
        return drawn, []
    way = "debit, so the dearer" if (words.premium or 0) > 0 else "credit, so the cheaper"
    return drawn, [
        f"The order of the strikes {shown(words.strikes)} {right} says otherwise, but the price is a {way} option is "
        "the one that is bought."
    ]


def _ladder(words: Words, usual: tuple[int, ...]) -> tuple[list[Drawn], list[str]]:
    """Butterfly or condor: strikes that rise or fall throughout."""
    strikes, sizes, expiry = strikes_of(words, len(usual)), sizes_of(words, usual), expiry_of(words)
    if list(strikes) not in (sorted(set(strikes)), sorted(set(strikes), reverse=True)):
        raise Contradiction(
            "strikes", f"The strikes of a {said(words)} rise or fall throughout; these are {shown(strikes)}."
        )
    if sum(sizes) and not words.unbalanced:
        raise Contradiction(
            "ratios",
            f"The wings and the body of a {said(words)} have the same size; in {ratio_of(words)} they have not, and "
            "the word has no `~`.",
        )
    flags: list[str] = []
    even = sizes == usual and abs(abs(strikes[1] - strikes[0]) - abs(strikes[-1] - strikes[-2])) < 1e-9
    if words.rights or words.strategy != "BUTTERFLY" or not even:
        right = right_of(words)
    else:
        right = CALL
        flags.append("The text says neither CALL nor PUT; with equal wings both pay the same, so it was read as calls.")
    if even and words.agrees is False:
        flags.append(f"{an(words.strategy)} with equal wings is never worth less than nothing, yet the price says so.")
    return [(size, right, strike, expiry) for size, strike in zip(sizes, strikes, strict=True)], flags


def _wings(words: Words) -> tuple[tuple[float, float], tuple[float, float], bool]:
    """Calls, puts, and whether the calls are named first; each pair as it stands."""
    fly, rights = words.strategy == "IRON BUTTERFLY", words.rights
    rights = rights[::2] if len(rights) == 4 and rights[::2] == rights[1::2] else rights
    if rights and sorted(rights) != [CALL, PUT]:
        raise Contradiction(
            "rights",
            f"{an(words.strategy)} has two calls and two puts; the text says {'/'.join(words.rights)} for the strikes "
            f"{shown(words.strikes)}.",
        )
    strikes = strikes_of(words, *((3, 4) if fly else (4,)))
    if len(strikes) == 3:
        strikes = (strikes[0], strikes[1], strikes[1], strikes[2])
    first, second = (strikes[0], strikes[1]), (strikes[2], strikes[3])
    calls_first = rights[0] is CALL if rights else sum(first) > sum(second)
    calls, puts = (first, second) if calls_first else (second, first)
    if calls[0] == calls[1] or puts[0] == puts[1]:
        raise Contradiction("strikes", f"A wing of this {said(words)} has a width of 0: {shown(words.strikes)}.")
    if min(calls) < max(puts):
        raise Contradiction(
            "strikes", f"The calls {shown(calls)} of this {said(words)} must not begin below the puts {shown(puts)}."
        )
    if fly and min(calls) != max(puts):
        raise Contradiction(
            "strikes",
            f"An iron butterfly has its inner call and put at one strike; these are {min(calls):g} and {max(puts):g}.",
        )
    return calls, puts, calls_first


def _iron(words: Words) -> tuple[list[Drawn], list[str]]:
    """Calls short first, then puts short first, as a sale says them; or four strikes in a row."""
    (calls, puts, calls_first), expiry = _wings(words), expiry_of(words)
    sizes = sizes_of(words, (1, -1, 1, -1))
    if abs(sizes[0]) == abs(sizes[1]) and abs(sizes[2]) == abs(sizes[3]):
        check_worth(words)
    elif not words.unbalanced:
        raise Contradiction(
            "ratios", f"The sizes {ratio_of(words)} are unequal within a wing, and the word has no `~`."
        )
    inner = {CALL: min(calls), PUT: max(puts)}
    named = [(CALL, calls), (PUT, puts)] if calls_first else [(PUT, puts), (CALL, calls)]
    each = [(right, strike) for right, pair in named for strike in pair]
    drawn = [
        (abs(size) if strike == inner[right] else -abs(size), right, strike, expiry)
        for size, (right, strike) in zip(sizes, each, strict=True)
    ]
    flags = []
    if any(ratio < 0 for ratio, *_ in (drawn[0], drawn[2])):
        flags.append(
            f"The order of the strikes {shown(words.strikes)} is not short leg first; the inner options were read as "
            f"the {'long' if words.sign > 0 else 'short'} ones."
        )
    if inner[CALL] == inner[PUT] and words.strategy != "IRON BUTTERFLY":
        flags.append(f"The inner call and put are both at {inner[CALL]:g}: this {said(words)} is an iron butterfly.")
    return drawn, flags


def _calendar(words: Words) -> tuple[list[Drawn], list[str]]:
    """A bought calendar holds the far option; the price decides where the text names the near one first."""
    (strike,), right = strikes_of(words, 1), right_of(words)
    sizes = sizes_of(words, (1, -1))
    first, second = far_and_near(words)
    is_far_first = (first.order or 0) > (second.order or 0)
    flags = []
    if not is_far_first:
        if words.agrees is not True:
            far_first(words)
        flags.append("The near expiry is named first; the price says that the far one is the one the verb speaks of.")
        sizes = (-sizes[0], -sizes[1])
    elif words.agrees is False:
        flags.append("The far option of this calendar is worth less than the near one, says the price.")
    return [(sizes[0], right, strike, first), (sizes[1], right, strike, second)], flags


def _diagonal(words: Words) -> tuple[list[Drawn], list[str]]:
    strikes, right, expiries = strikes_of(words, 2), right_of(words), far_first(words)
    if strikes[0] == strikes[1]:
        raise Contradiction("strikes", f"A diagonal has two strikes; both are {strikes[0]:g}, which is a calendar.")
    return [
        (size, right, strike, expiry)
        for size, strike, expiry in zip(sizes_of(words, (1, -1)), strikes, expiries, strict=True)
    ], []


def _double(words: Words) -> tuple[list[Drawn], list[str]]:
    """Two far options, then two near ones; the far are bought. Rights are one for all, or call and put of each."""
    calendar = words.strategy == "DOUBLE CALENDAR"
    strikes, (far, near) = strikes_of(words, *((2, 4) if calendar else (4,))), far_first(words)
    rights, two = words.rights, len(strikes) == 2
    if len(rights) == 1:
        rights = rights * 4
    elif two and len(rights) == 2:
        rights = rights * 2
    if len(rights) != 4 or rights[:2] != rights[2:]:
        raise Contradiction(
            "rights",
            f"{an(words.strategy)} names one right for all, or one for each leg, the far two and the near two alike; "
            f"the text says {'/'.join(words.rights) or 'none'}.",
        )
    strikes = strikes * 2 if two else strikes
    if calendar and strikes[:2] != strikes[2:]:
        raise Contradiction(
            "strikes", f"A double calendar has the same two strikes far and near; these are {shown(strikes)}."
        )
    sizes = sizes_of(words, (1, 1, -1, -1))
    return list(zip(sizes, rights, strikes, (far, far, near, near), strict=True)), []


def _roll(words: Words) -> tuple[list[Drawn], list[str]]:
    """One vertical against another: the first is bought, the second sold."""
    strikes, right = strikes_of(words, 4), right_of(words)
    first, second = (words.expiries[0],) * 2 if len(words.expiries) == 1 else far_first(words)
    if strikes[0] == strikes[1] or strikes[2] == strikes[3]:
        raise Contradiction("strikes", f"Each vertical of a roll has two strikes; these are {shown(strikes)}.")
    sizes = sizes_of(words, (1, -1, -1, 1))
    told = (
        "A vertical roll was read as its four legs: the first vertical on the side of the verb, the second against it."
    )
    return [
        (size, right, strike, expiry)
        for size, strike, expiry in zip(sizes, strikes, (first, first, second, second), strict=True)
    ], [told]


def _both(words: Words) -> tuple[list[Drawn], list[str]]:
    """Straddle and strangle: a call and a put on the same side."""
    check_unratioed(words)
    one = words.strategy == "STRADDLE"
    strikes, expiry = strikes_of(words, 1 if one else 2), expiry_of(words)
    rights = words.rights or ((CALL, PUT) if strikes[0] >= strikes[-1] else (PUT, CALL))
    if sorted(rights) != [CALL, PUT]:
        raise Contradiction(
            "rights", f"{an(words.strategy)} is a call and a put; the text says {'/'.join(words.rights)}."
        )
    levels = dict(zip(rights, strikes * 2 if one else strikes, strict=True))
    if not one and levels[CALL] <= levels[PUT]:
        raise Contradiction(
            "strikes",
            f"The call of a strangle lies above its put; here they are {levels[CALL]:g} and {levels[PUT]:g}. Write "
            "other pairs as CUSTOM.",
        )
    check_worth(words)
    return [(1, right, levels[right], expiry) for right in rights], []


def _ratioed(words: Words) -> tuple[list[Drawn], list[str]]:
    """A bought back-ratio is long the many and short the few, a bought ratio spread the other way round."""
    strikes, right, expiry = strikes_of(words, 2), right_of(words), expiry_of(words)
    sizes = sizes_of(words, (-1, 1) if words.strategy == "BACKRATIO" else (1, -1))
    if words.ratios is None or not abs(sizes[0]) < abs(sizes[1]):
        raise Contradiction(
            "ratios",
            f"{an(words.strategy)} names its two sizes before the word, the smaller first, such as 1/2; the text says "
            f"{ratio_of(words) or 'none'}.",
        )
    if strikes[0] == strikes[1]:
        raise Contradiction("strikes", f"{an(words.strategy)} has two strikes; both are {strikes[0]:g}.")
    return [(size, right, strike, expiry) for size, strike in zip(sizes, strikes, strict=True)], []


def _opposed(words: Words) -> tuple[list[Drawn], list[str]]:
    """Combo: call bought, put sold. Collar: put bought, call sold; the shares it guards are not in the ticket."""
    check_unratioed(words)
    collar = words.strategy == "COLLAR"
    strikes, expiry = strikes_of(words, *((2,) if collar else (1, 2))), expiry_of(words)
    wanted = (PUT, CALL) if collar else (CALL, PUT)
    if words.rights != wanted:
        raise Contradiction(
            "rights",
            f"A bought {said(words)} holds the {wanted[0].lower()}, which is named first: {'/'.join(wanted)}; the text "
            f"says {'/'.join(words.rights) or 'none'}.",
        )
    strikes = strikes * 2 if len(strikes) == 1 else strikes
    if collar and strikes[0] >= strikes[1]:
        raise Contradiction("strikes", f"The put of a collar lies below its call; these are {shown(strikes)}.")
    flags = ["A collar guards shares; the ticket carries its options only."] if collar else []
    return [(1, wanted[0], strikes[0], expiry), (-1, wanted[1], strikes[1], expiry)], flags


def _custom(words: Words) -> tuple[list[Drawn], list[str]]:
    """Legs as they stand: a ratio and a strike for each, rights and days for each or one for all."""
    number = len(words.strikes)
    if words.ratios is None or len(words.ratios) != number:
        raise Contradiction(
            "ratios",
            f"A custom order has a ratio for each of its {number} strikes; the text says {ratio_of(words) or 'none'}.",
        )
    if len(words.rights) not in (1, number):
        raise Contradiction(
            "rights",
            f"A custom order has one right for each of its {number} strikes; the text says "
            f"{'/'.join(words.rights) or 'none'}.",
        )
    if len(words.expiries) not in (1, number):
        raise Contradiction(
            "expiries",
            f"A custom order has an expiry for each of its {number} strikes; {len(words.expiries)} are named.",
        )
    rights = words.rights * number if len(words.rights) == 1 else words.rights
    expiries = words.expiries * number if len(words.expiries) == 1 else words.expiries
    if all(size > 0 for size in words.ratios):
        check_worth(words)
    return list(zip(words.ratios, rights, words.strikes, expiries, strict=True)), []


DRAWN: Mapping[str, Callable[[Words], tuple[list[Drawn], list[str]]]] = MappingProxyType(
    {
        "SINGLE": _single,
        "VERTICAL": _vertical,
        "BUTTERFLY": lambda words: _ladder(words, (1, -2, 1)),
        "CONDOR": lambda words: _ladder(words, (1, -1, -1, 1)),
        "IRON CONDOR": _iron,
        "IRON BUTTERFLY": _iron,
        "SONAR": _iron,
        "CALENDAR": _calendar,
        "DIAGONAL": _diagonal,
        "DOUBLE DIAGONAL": _double,
        "DOUBLE CALENDAR": _double,
        "STRADDLE": _both,
        "STRANGLE": _both,
        "BACKRATIO": _ratioed,
        "RATIO": _ratioed,
        "COLLAR": _opposed,
        "COMBO": _opposed,
        "CUSTOM": _custom,
        "VERT ROLL": _roll,
    }
)
