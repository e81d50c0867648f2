"""The types that flow between rooms. Frozen; their names are the field's own."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from types import MappingProxyType
from typing import Any

import numpy as np
import polars as pl

from openbell.core.errors import BadInput, DataMissing
from openbell.core.hashing import digest
from openbell.core.time import utc


class Kind(StrEnum):
    """What an instrument is."""

    STOCK = "STOCK"
    ETF = "ETF"
    INDEX = "INDEX"
    OPTION = "OPTION"
    FUTURE = "FUTURE"


class Right(StrEnum):
    """Call or put."""

    CALL = "CALL"
    PUT = "PUT"


class Exercise(StrEnum):
    """When an option may be exercised."""

    AMERICAN = "AMERICAN"
    EUROPEAN = "EUROPEAN"


class Settlement(StrEnum):
    """Whether an option settles on the open or on the close of its last day."""

    AM = "AM"
    PM = "PM"


@dataclass(frozen=True, slots=True)
class Instrument:
    """Something that has a price. `key` never changes, whatever its ticker becomes."""

    key: str
    kind: Kind
    multiplier: float = 1.0
    currency: str = "USD"
    sector: str | None = None
    underlying: str | None = None
    expiry: dt.date | None = None
    strike: float | None = None
    right: Right | None = None
    exercise: Exercise | None = None
    settlement: Settlement | None = None

    def __post_init__(self) -> None:
        if not self.key:
            raise BadInput("An instrument needs a key; it was empty.")
        if not self.multiplier > 0:
            raise BadInput(f"The multiplier of {self.key} must be above 0; was {self.multiplier}.")
        terms = (self.underlying, self.expiry, self.strike, self.right)
        if self.kind is Kind.OPTION and any(term is None for term in terms):
            raise BadInput(f"The option {self.key} needs an underlying, an expiry, a strike and a right.")


@dataclass(frozen=True, slots=True)
class Leg:
    """A signed number of one instrument: +2 is two long, -1 is one short."""

    instrument: Instrument
    ratio: int

    def __post_init__(self) -> None:
        if self.ratio == 0:
            raise BadInput(f"A leg of {self.instrument.key} with ratio 0 is no leg; write a signed whole number.")


@dataclass(frozen=True, slots=True)
class Structure:
    """An option position as signed legs; calendars and diagonals have several expiries."""

    legs: tuple[Leg, ...]

    def __post_init__(self) -> None:
        if not self.legs:
            raise BadInput("A structure needs at least one leg; it had none.")

    @property
    def expiries(self) -> tuple[dt.date, ...]:
        """The distinct expiries, earliest first."""
        return tuple(sorted({leg.instrument.expiry for leg in self.legs if leg.instrument.expiry is not None}))


@dataclass(frozen=True, slots=True, eq=False)
class Panel:
    """Rows keyed (``as_of``, ``symbol``): features known at ``as_of`` and labels with the moment each became known.

    Attributes
    ----------
    frame : columns ``session`` (the decision session), ``as_of`` (UTC), ``symbol``, the features (Float32, null
        where a look-back is not full) and, for each label, ``<label>`` and ``<label>_known_at``.
    features, labels : the column names of each kind.
    recipe : hash of the declarations, the parameters and the data it was made from.
    notes : what was left out and why, in sentences.
    """

    frame: pl.DataFrame
    features: tuple[str, ...]
    labels: tuple[str, ...]
    recipe: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Forecast:
    """What a model says about a cross-section. `model` is None where there is no view; then `scores` is empty.

    Attributes
    ----------
    scores : columns ``symbol`` and ``score`` (Float64, no null: a model that abstains on a name leaves it out).
    resolves_at : when the outcome of the forecast will be known.
    model : registered version, for example ``lightgbm@2020-01-02#1f3a``.
    why : sentences; for no view, the reason.
    """

    as_of: dt.datetime
    scores: pl.DataFrame
    model: str | None
    resolves_at: dt.datetime | None = None
    why: tuple[str, ...] = ()
    evidence: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        utc(self.as_of)

    @property
    def has_view(self) -> bool:
        """Whether a model stands behind the scores."""
        return self.model is not None


#: Made once: the gate decides hundreds of times a second.
_NO_EQUITY = pl.DataFrame(schema={"session": pl.Date, "equity_usd": pl.Float64})


@dataclass(frozen=True, slots=True, eq=False)
class Book:
    """What is held at `as_of`: cash, whole shares, and the price each is marked at.

    `equity` holds the account's daily marks up to `as_of`: columns ``session``, ``equity_usd``; empty before the
    first fill.
    """

    as_of: dt.datetime
    cash_usd: float
    shares: Mapping[str, int] = field(default_factory=dict)
    price_usd: Mapping[str, float] = field(default_factory=dict)
    equity: pl.DataFrame = field(default_factory=lambda: _NO_EQUITY)

    def __post_init__(self) -> None:
        missing = sorted(symbol for symbol in self.shares if symbol not in self.price_usd)
        if missing:
            raise DataMissing(
                f"There is no price for the held {', '.join(missing)}; a missing price is never counted as 0. "
                "Import the bars, or close the position with `openbell positions import`."
            )

    @property
    def value_usd(self) -> float:
        """Cash plus the marked value of all shares."""
        return self.cash_usd + sum(count * self.price_usd[symbol] for symbol, count in self.shares.items())

    @property
    def weights(self) -> Mapping[str, float]:
        """Weight of each held name in the whole account; cash is the rest."""
        value = self.value_usd
        return {symbol: count * self.price_usd[symbol] / value for symbol, count in self.shares.items()}


@dataclass(frozen=True, slots=True, eq=False)
class Market:
    """The market as a desk sees it at `as_of`, one row per name of the universe or the book.

    Attributes
    ----------
    names : columns ``symbol``, ``price_usd`` (last close as received), ``price_session``, ``volume_shares`` and
        ``dollar_volume_usd`` (means over 20 sessions), ``volatility`` (60 sessions, annualised), ``sector`` (null
        where unknown), ``market_value_usd`` (null where there is no dated value), ``member`` (in the universe today).
    session : the session to be traded. last_session : the latest session with bars known at `as_of`.
    benchmark : total-return closes of the benchmark, oldest first, shape (n,).
    closes : total-return closes of each row of `names` in its columns, oldest first, shape (sessions, rows), NaN where
        there is no bar known at `as_of`; None where nobody prepared them.
    """

    as_of: dt.datetime
    session: dt.date
    last_session: dt.date
    names: pl.DataFrame
    benchmark: np.ndarray
    benchmark_name: str
    notes: tuple[str, ...] = ()
    closes: np.ndarray | None = None


class Outcome(Enum):
    """What a safety check says."""

    ALLOW = "ALLOW"
    SHRINK = "SHRINK"
    BLOCK = "BLOCK"


@dataclass(frozen=True, slots=True)
class Verdict:
    """One check's word on one decision.

    `scale` (0 to 1) says how much of the way from the book to the targets is allowed; `by_symbol` says it for single
    names. `available` is False where the data lack what the check needs.
    """

    check: str
    outcome: Outcome
    why: str
    scale: float = 1.0
    by_symbol: Mapping[str, float] = field(default_factory=dict)
    available: bool = True
    measured: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0.0 <= self.scale <= 1.0:
            raise BadInput(f"The scale of the check `{self.check}` must lie in [0, 1]; was {self.scale}.")


#: Columns of a trade list, in the order of ``trades.csv`` (S2.07). `shares` is positive; `side` carries the sign.
TRADE_SCHEMA: Mapping[str, pl.DataType | type[pl.DataType]] = MappingProxyType(
    {
        "symbol": pl.String,
        "side": pl.String,
        "shares": pl.Int64,
        "price": pl.Float64,
        "notional": pl.Float64,
        "weight_change": pl.Float64,
        "current_shares": pl.Int64,
        "target_shares": pl.Int64,
        "commission_est": pl.Float64,
        "slippage_est": pl.Float64,
        "total_cost_est": pl.Float64,
        "liquidity_warning": pl.Boolean,
        "volume_pct": pl.Float64,
    }
)


_NO_TRADES = pl.DataFrame(schema=dict(TRADE_SCHEMA))


@dataclass(frozen=True, slots=True, eq=False)
class Decision:
    """What a desk decided, why, what the checks said, and what it was made of.

    `targets` are weights of the account, without cash; `cash_weight` is the rest, so both sum to 1.
    """

    desk: str
    session: dt.date
    as_of: dt.datetime
    targets: Mapping[str, float]
    cash_weight: float
    why: tuple[str, ...]
    details: Mapping[str, Any] = field(default_factory=dict)
    trades: pl.DataFrame = field(default_factory=lambda: _NO_TRADES)
    verdicts: tuple[Verdict, ...] = ()
    made_of: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Hash of what was decided: the same decision has the same key in every run."""
        return digest(
            {
                "desk": self.desk,
                "session": self.session,
                "as_of": self.as_of,
                "targets": self.targets,
                "trades": self.trades.select("symbol", "side", "shares").rows(),
                "made_of": self.made_of,
            }
        )

    @property
    def blocked(self) -> bool:
        """Whether a check blocked it, or no check has looked at it: neither can become orders."""
        return not self.verdicts or any(verdict.outcome is Outcome.BLOCK for verdict in self.verdicts)


class Side(StrEnum):
    """Direction of an order."""

    BUY = "BUY"
    SELL = "SELL"


@dataclass(frozen=True, slots=True)
class Order:
    """One order; its key is derived from the decision, so a second run of the same decision orders nothing new."""

    decision: str
    desk: str
    session: dt.date
    symbol: str
    side: Side
    shares: int

    def __post_init__(self) -> None:
        if self.shares <= 0:
            raise BadInput(f"An order for {self.symbol} needs a positive number of shares; was {self.shares}.")

    @property
    def key(self) -> str:
        """Idempotency key."""
        return digest([self.decision, self.desk, self.session, self.symbol, self.side])

    @property
    def signed_shares(self) -> int:
        """Positive for a buy, negative for a sale."""
        return self.shares if self.side is Side.BUY else -self.shares


@dataclass(frozen=True, slots=True)
class Fill:
    """What the broker did with an order."""

    order: str
    symbol: str
    session: dt.date
    at: dt.datetime
    signed_shares: int
    price_usd: float
    commission_usd: float
    slippage_usd: float

    @property
    def cash_usd(self) -> float:
        """Change of cash: negative for a buy, costs included."""
        return -self.signed_shares * self.price_usd - self.commission_usd - self.slippage_usd
