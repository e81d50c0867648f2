"""An option trade that someone proposes, as its text says it, and what was said beside it."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from enum import StrEnum

from openbell.core.errors import BadInput
from openbell.core.types import Right, Settlement, Side


class Status(StrEnum):
    """How far an order has come when it is written down."""

    ORDER = "ORDER"
    WORKING = "WORKING"
    FILLED = "FILLED"


class OrderType(StrEnum):
    """At which price an order may be filled."""

    LIMIT = "LMT"
    MARKET = "MKT"
    STOP = "STP"
    STOP_LIMIT = "STPLMT"


@dataclass(frozen=True, slots=True)
class TicketLeg:
    """One leg of one unit, seen by whoever trades it: `ratio` +2 is two long, -1 one short.

    `expiry` is None where the text names none and nothing settles it. `root` is the option's own root where it differs
    from the underlying's symbol, for example ``/EW5U26`` on ``/ESZ26``.
    """

    ratio: int
    right: Right
    strike: float
    expiry: dt.date | None = None
    root: str | None = None

    def __post_init__(self) -> None:
        if self.ratio == 0:
            raise BadInput("A leg with ratio 0 is no leg; write a signed whole number.")
        if not self.strike > 0:
            raise BadInput(f"A strike must be above 0; was {self.strike}.")


@dataclass(frozen=True, slots=True)
class Condition:
    """A trigger: the order becomes live when `measure` of `symbol` is at or above (`above`) or below `level`."""

    symbol: str
    measure: str
    above: bool
    level: float


@dataclass(frozen=True, slots=True)
class Ticket:
    """One proposed, working or filled option order.

    Attributes
    ----------
    underlying : symbol in upper case, for example ``SPX`` or ``/ESZ26``. side, quantity : of the whole, quantity > 0.
    strategy : one of `STRATEGIES`, upper case. legs : of one unit, signed from the trader's side, so a SELL has the
        signs of a BUY reversed.
    premium : points per unit, above 0 paid (debit), below 0 received (credit), 0 even; None for an order without a
        limit.
    multiplier : currency units per point, 100 for American equity and index options.
    settlement : AM or PM where the text says so, else None.
    trigger : points, of a stop order. condition : of a conditional order.
    flags : sentences on everything that was resolved, not read: a year, an expiry, an order of strikes.
    number, exchange, time_in_force, series, comment : as written, None where absent. series : ``Weeklys`` …
    """

    underlying: str
    side: Side
    quantity: int
    strategy: str
    legs: tuple[TicketLeg, ...]
    premium: float | None
    multiplier: float = 100.0
    settlement: Settlement | None = None
    order_type: OrderType = OrderType.LIMIT
    status: Status = Status.ORDER
    trigger: float | None = None
    condition: Condition | None = None
    time_in_force: str | None = None
    exchange: str | None = None
    series: str | None = None
    number: str | None = None
    comment: str | None = None
    flags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.quantity <= 0:
            raise BadInput(f"An order needs a quantity of 1 or more; was {self.quantity}.")
        if not self.legs:
            raise BadInput(f"The {self.strategy} on {self.underlying} has no legs; name its strikes.")
        if not self.multiplier > 0:
            raise BadInput(f"A multiplier must be above 0; was {self.multiplier}.")

    @property
    def expiries(self) -> tuple[dt.date, ...]:
        """The distinct expiries that are known, earliest first."""
        return tuple(sorted({leg.expiry for leg in self.legs if leg.expiry is not None}))

    @property
    def dated(self) -> bool:
        """Whether every leg has an expiry."""
        return all(leg.expiry is not None for leg in self.legs)

    def expiring(self, expiry: dt.date, flag: str) -> Ticket:
        """The same order where every leg without an expiry has this one; `flag` says why."""
        legs = tuple(replace(leg, expiry=leg.expiry or expiry) for leg in self.legs)
        return replace(self, legs=legs, flags=(*self.flags, flag))


#: Strategy words as tickets carry them. SONAR is an iron condor with narrower wings and a richer premium.
STRATEGIES = (
    "SINGLE", "VERTICAL", "BUTTERFLY", "CONDOR", "IRON CONDOR", "IRON BUTTERFLY", "SONAR", "CALENDAR", "DIAGONAL",
    "DOUBLE DIAGONAL", "DOUBLE CALENDAR", "STRADDLE", "STRANGLE", "BACKRATIO", "RATIO", "COLLAR", "COMBO", "CUSTOM",
)  # fmt: skip


class Scale(StrEnum):
    """What a short-term or long-term number is: a price level, or a score between -1 and 1."""

    LEVEL = "LEVEL"
    SCORE = "SCORE"


@dataclass(frozen=True, slots=True)
class Prophecy:
    """What a message says of the underlying beside its orders; None where it says nothing. Raw values, points or score.

    `scale` classifies `short_term` and `long_term`; None where neither is given.
    """

    symbol: str | None = None
    days_to_expiry: int | None = None
    price: float | None = None
    predicted_close: float | None = None
    short_term: float | None = None
    long_term: float | None = None
    target1: float | None = None
    target2: float | None = None
    scale: Scale | None = None


#: A message that says nothing beside its orders.
SILENCE = Prophecy()


@dataclass(frozen=True, slots=True)
class Refusal:
    """Text that is no order, or one that contradicts itself: where (offset in the text), and why in a sentence."""

    text: str
    position: int
    why: str


@dataclass(frozen=True, slots=True)
class Reading:
    """Everything read out of one text, in its order. Text around orders is no fault; an order that fails is refused."""

    tickets: tuple[Ticket, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    prophecy: Prophecy = SILENCE
    dialect: str = ""


@dataclass(frozen=True, slots=True)
class MarketState:
    """The market of one symbol at one moment: `volatility` is of the next 30 days, per year, a fraction (VIX / 100).

    `source` names where it comes from. `volatility` is None where the source has none.
    """

    symbol: str
    price: float
    observed_at: dt.datetime
    source: str
    volatility: float | None = None
