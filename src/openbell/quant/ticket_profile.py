"""What a proposed order can make and lose: its legs, its profile at expiry, and the refusal of what cannot be.

The API form of an order (S1.21) has strikes in any order and a positive premium; `instruction` makes a ticket of it.
Points per unit unless the name says USD; USD are points x multiplier x quantity.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from numbers import Real
from types import MappingProxyType

import numpy as np

from openbell.core.errors import BadInput, unknown
from openbell.core.ladders import BOUGHT, ladder, right_of, rungs
from openbell.core.ticket import STRATEGIES, Status, Ticket
from openbell.core.types import Right, Side
from openbell.quant.legs import CALL, PUT, Legs
from openbell.quant.payoffs import Profile, Terminal, profile, terminal
from openbell.quant.structure_checks import check_premium
from openbell.quant.ticket_shapes import check_shape, said

HIGHEST_STRIKE, MOST_UNITS = 10_000_000.0, 1_000_000
_SIDES: Mapping[str, tuple[Side, Status]] = MappingProxyType(
    {
        "BUY": (Side.BUY, Status.ORDER),
        "SELL": (Side.SELL, Status.ORDER),
        "BOT": (Side.BUY, Status.FILLED),
        "SOLD": (Side.SELL, Status.FILLED),
    }
)


@dataclass(frozen=True, slots=True)
class RiskReward:
    """What a whole order can lose and make at expiry, before costs.

    `risk_usd` and `reward_usd` are positive, None where unlimited. `ratio` is reward over risk; None where the reward
    is unlimited, 0 where only the risk is. `breakevens` are prices of the underlying, rising. Float noise below a
    millionth is rounded away.
    """

    risk_usd: float | None
    reward_usd: float | None
    ratio: float | None
    breakevens: tuple[float, ...]

    @property
    def risk_unlimited(self) -> bool:
        """Whether the loss has no bound."""
        return self.risk_usd is None

    @property
    def reward_unlimited(self) -> bool:
        """Whether the profit has no bound."""
        return self.reward_usd is None


def legs_of(ticket: Ticket) -> Legs:
    """The legs of one unit as arrays; an expiry that is not known is NaT."""
    days = [leg.expiry for leg in ticket.legs]
    return Legs(
        right=np.array([CALL if leg.right is Right.CALL else PUT for leg in ticket.legs], dtype=np.int8),
        strike=np.array([leg.strike for leg in ticket.legs], dtype=np.float64),
        ratio=np.array([leg.ratio for leg in ticket.legs], dtype=np.int64),
        expiry=np.array([np.datetime64("NaT") if day is None else day for day in days], dtype="datetime64[D]"),
    )


def profile_of(ticket: Ticket) -> Profile:
    """Exact profile at expiry of one unit of an order whose legs expire on one day, points.

    Raises
    ------
    BadInput
        Where the order has no price, or legs of several days: `quant.payoffs.profile_by_valuation` values those.
    """
    if ticket.premium is None:
        raise _unpriced(ticket)
    if len({leg.expiry for leg in ticket.legs}) > 1 and not ticket.dated:
        raise BadInput(f"Some legs of this {said(ticket)} on {ticket.underlying} have no expiry. Name it for all.")
    return _profile(ticket, ticket.premium)


def risk_reward(ticket: Ticket) -> RiskReward:
    """What the whole order can lose and make at expiry; the order must stand (`checked`) and expire on one day."""
    found = profile_of(checked(ticket))
    usd = ticket.multiplier * ticket.quantity
    return RiskReward(
        risk_usd=None if found.max_loss_unlimited else round(found.max_loss * usd, 6),
        reward_usd=None if found.max_profit_unlimited else round(found.max_profit * usd, 6),
        ratio=None if found.max_profit_unlimited else found.reward_to_risk,
        breakevens=tuple(round(each, 6) for each in found.breakevens),
    )


def checked(ticket: Ticket) -> Ticket:
    """The same ticket, if it can be: its legs are its strategy and its price is one at which it can win and lose.

    Raises
    ------
    BadInput
        With a sentence that says what was received: another number or kind of legs, a width of 0, no price, a premium
        at or above the width, a price of 0, a debit where only a credit can win, a size nobody trades.
    """
    _check_size(ticket.quantity, [leg.strike for leg in ticket.legs])
    check_shape(ticket)
    if ticket.premium is None:
        raise _unpriced(ticket)
    if not math.isfinite(ticket.premium):
        raise BadInput(f"The premium of this {said(ticket)} must be a number of points; was {ticket.premium}.")
    if len({leg.expiry for leg in ticket.legs}) == 1:
        _check_price(ticket, ticket.premium)
        return ticket
    most = sum(abs(leg.ratio) * leg.strike for leg in ticket.legs)
    if abs(ticket.premium) >= most:
        raise BadInput(
            f"The premium {ticket.premium:g} of this {said(ticket)} is not below the sum of its strikes, {most:g}; no "
            "options are worth that. Is the price one of another unit?"
        )
    return ticket


def _check_price(ticket: Ticket, premium: float) -> None:
    """`check_premium`, where a premium that only rounding holds off the width counts as the width."""
    bare = _profile(ticket, 0.0)
    least, most = -bare.max_loss, bare.max_profit
    near = 1e-9 * max(leg.strike for leg in ticket.legs)
    if least + near < premium < most - near:
        return
    bounds = [bound for bound in (least, most) if abs(bound - premium) <= near]
    check_premium(legs_of(ticket), bounds[0] if bounds else premium, said(ticket))


def _profile(ticket: Ticket, premium: float) -> Profile:
    """`profile` of the legs at a premium; legs of one day are remembered, since who asks of an order asks often."""
    if len({leg.expiry for leg in ticket.legs}) > 1:
        return profile(legs_of(ticket), premium)
    return _single(tuple((leg.ratio, leg.right, leg.strike) for leg in ticket.legs), premium)


@lru_cache(maxsize=4_096)
def _single(terms: tuple[tuple[int, Right, float], ...], premium: float) -> Profile:
    """The profile of options of one day, whichever it is; read-only, for it is shared."""
    found = _terminal(terms).profile(premium)
    for array in (found.kinks, found.values):
        array.setflags(write=False)
    return found


@lru_cache(maxsize=4_096)
def _terminal(terms: tuple[tuple[int, Right, float], ...]) -> Terminal:
    """What these options pay on their day; the same legs are asked about at many premiums."""
    ratios, rights, strikes = zip(*terms, strict=True)
    legs = Legs(
        right=np.array([CALL if right is Right.CALL else PUT for right in rights], dtype=np.int8),
        strike=np.array(strikes, dtype=np.float64),
        ratio=np.array(ratios, dtype=np.int64),
        expiry=np.full(len(terms), np.datetime64("NaT"), dtype="datetime64[D]"),
    )
    return terminal(legs)


def instruction(
    symbol: str,
    strategy: str,
    strikes: Sequence[float],
    premium: float,
    action: str,
    quantity: int = 1,
    option_type: str | None = None,
    expiry: dt.date | None = None,
    *,
    multiplier: float = 100.0,
) -> Ticket:
    """The checked ticket of an order in the API form (S1.21).

    Parameters
    ----------
    strategy : a word of `STRATEGIES` in any case, such as ``Iron Condor``, that strikes and one expiry settle.
    strikes : in any order; the lowest takes the lowest place. premium : points per unit, above 0; `action` says
        whether it is paid (BUY, BOT) or received (SELL, SOLD). quantity : units, 1 or more.
    option_type : CALL or PUT; CALL/PUT or None for what has both. A butterfly or condor without one is read as calls,
        and flagged.

    Raises
    ------
    BadInput
        On an unknown word, a premium, a quantity or strikes that cannot be; the sentence says what was received.
    """
    called = strategy_named(strategy)
    side, status = side_of(action)
    if isinstance(quantity, bool) or not isinstance(quantity, int) or quantity <= 0:
        raise BadInput(
            f"The quantity must be a whole number of 1 or more; was {_shown(quantity)}. `action` says the side."
        )
    price, levels = _price(premium), _strikes(called, strikes)
    _check_size(quantity, levels)
    right, flags = right_of(called, levels, option_type)
    legs, way = ladder(called, levels, right, side, expiry), 1 if side is Side.BUY else -1
    ticket = Ticket(
        _symbol(symbol), side, quantity, called, legs, way * price, multiplier, status=status, flags=flags
    )  # fmt: skip
    return checked(ticket)


def strategy_named(word: str) -> str:
    """The strategy that `word` names in the API form, as tickets carry it; another word is refused with the nearest."""
    plain = re.sub(r"[\s_-]+", "", str(word)).upper()
    for name in STRATEGIES:
        if name.replace(" ", "") == plain:
            if name in BOUGHT:
                return name
            raise BadInput(
                f"Strikes and a premium do not settle the legs of a {name.lower()}. Write the order as text, with the "
                "expiry of each leg."
            )
    raise unknown("strategy", str(word), [name.title() for name in BOUGHT])


def side_of(action: str) -> tuple[Side, Status]:
    """The side and the status that the word `action` says: BUY, SELL, or BOT and SOLD of what was filled."""
    word = str(action).strip().upper()
    if word not in _SIDES:
        raise unknown("action", str(action), _SIDES)
    return _SIDES[word]


def _unpriced(ticket: Ticket) -> BadInput:
    return BadInput(
        f"This {said(ticket)} on {ticket.underlying} has no limit price ({ticket.order_type.value}), so what it can "
        "make and lose is not known. Name the price per unit."
    )


def _check_size(quantity: int, strikes: Sequence[float]) -> None:
    if quantity > MOST_UNITS:
        raise BadInput(f"An order of {_shown(quantity)} units is above the {MOST_UNITS:,} that are understood.")
    if max(strikes) > HIGHEST_STRIKE:
        raise BadInput(f"A strike of {max(strikes):g} is above the {HIGHEST_STRIKE:,.0f} that are understood.")


def _symbol(text: str) -> str:
    symbol = str(text).strip().lstrip("$").upper()
    if not re.fullmatch(r"/?[A-Z][A-Z0-9.]{0,9}", symbol):
        raise BadInput(f"`{text}` is no symbol; write one like SPX, BRK.B or /ESZ26.")
    return symbol


def _number(value: object) -> bool:
    """Whether `value` is a finite number that a float can hold; True and False are none."""
    try:
        return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(float(value))
    except OverflowError:
        return False


def _shown(value: object) -> str:
    """`value` as a sentence shows it; an endless whole number is not written out."""
    return "a number of more than 15 digits" if isinstance(value, int) and abs(value) >= 10**15 else repr(value)


def _price(premium: float) -> float:
    if not _number(premium) or not premium > 0:
        raise BadInput(
            f"The premium must be a number of points above 0; was {_shown(premium)}. `action` says whether it is "
            "paid or received; an order that is bought for a credit is written as text, with its price as `@-.40cr`."
        )
    return float(premium)


def _strikes(called: str, strikes: Sequence[float]) -> list[float]:
    """The strikes from the lowest up, one for each leg."""
    given = list(strikes)
    bad = [each for each in given if not _number(each) or not each > 0]
    if bad:
        raise BadInput(f"Each strike must be a number above 0; among them was {_shown(bad[0])}.")
    return rungs(called, [float(each) for each in given])
