"""A decision, a book and a market in one small table, for every check."""

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import polars as pl
import pytest

from openbell.core.declare import ROOMS, Check, collect
from openbell.core.types import Book, Decision, Market, Verdict
from openbell.quant.trades import whole_share_trades

SESSION = dt.date(2020, 3, 16)
LAST = dt.date(2020, 3, 13)
AS_OF = dt.datetime(2020, 3, 16, 13, tzinfo=dt.UTC)


@dataclass(frozen=True)
class Situation:
    """What a check looks at; `change` gives the same one with something different."""

    decision: Decision
    book: Book
    market: Market

    def change(self, **parts: object) -> "Situation":
        return replace(self, **parts)

    def of_decision(self, **parts: object) -> "Situation":
        return replace(self, decision=replace(self.decision, **parts))

    def of_market(self, **parts: object) -> "Situation":
        return replace(self, market=replace(self.market, **parts))

    def of_names(self, *expressions: pl.Expr) -> "Situation":
        return self.of_market(names=self.market.names.with_columns(*expressions))


@dataclass
class Name:
    """One name of the situation."""

    target: float = 0.0
    shares: int = 0
    price: float = 100.0
    volume: float | None = 1e6
    sector: str | None = None
    market_value: float | None = None
    session: dt.date | None = LAST
    member: bool = True


@dataclass
class _Defaults:
    cash: float = 100_000.0
    equity: tuple[float, ...] = ()
    min_trade_usd: float = 0.0
    details: Mapping[str, object] = field(default_factory=dict)


def curve(values: tuple[float, ...], last: dt.date = LAST) -> pl.DataFrame:
    """Daily marks ending on `last`."""
    sessions = [last - dt.timedelta(days=len(values) - 1 - number) for number in range(len(values))]
    return pl.DataFrame(
        {"session": sessions, "equity_usd": list(values)}, schema={"session": pl.Date, "equity_usd": pl.Float64}
    )


@pytest.fixture
def situation() -> Callable[..., Situation]:
    """Build a situation from names; trades lead from the book to the targets."""

    def build(names: Mapping[str, Name], trade: bool = True, **given: object) -> Situation:
        how = _Defaults(**given)
        frame = pl.DataFrame(
            {
                "symbol": list(names),
                "price_usd": [each.price for each in names.values()],
                "price_session": [each.session for each in names.values()],
                "volume_shares": [each.volume for each in names.values()],
                "dollar_volume_usd": [(each.volume or 0.0) * each.price for each in names.values()],
                "volatility": [0.2] * len(names),
                "sector": [each.sector for each in names.values()],
                "market_value_usd": [each.market_value for each in names.values()],
                "member": [each.member for each in names.values()],
            },
            schema_overrides={
                "price_session": pl.Date,
                "volume_shares": pl.Float64,
                "sector": pl.String,
                "market_value_usd": pl.Float64,
            },
        )
        held = {symbol: each.shares for symbol, each in names.items() if each.shares}
        book = Book(AS_OF, how.cash, held, {symbol: names[symbol].price for symbol in held}, curve(how.equity))
        targets = {symbol: each.target for symbol, each in names.items() if each.target}
        decision = Decision(
            "stocks", SESSION, AS_OF, targets, 1.0 - sum(targets.values()), ("why",), details=dict(how.details)
        )
        market = Market(AS_OF, SESSION, LAST, frame, np.linspace(100, 110, 300), "SPY")
        if trade:
            trades = whole_share_trades(targets, book, frame, min_trade_usd=how.min_trade_usd)
            decision = replace(decision, trades=trades)
        return Situation(decision, book, market)

    return build


@pytest.fixture(scope="session")
def checks() -> Mapping[str, Check]:
    """Every declared check of the stocks desk, found as the start finds them."""
    import importlib
    import pkgutil

    room = importlib.import_module(ROOMS["checks"][0])
    found = [importlib.import_module(f"{room.__name__}.{each.name}") for each in pkgutil.iter_modules(room.__path__)]
    return {name: each for name, each in collect(found, Check).items() if "stocks" in each.desks}


@pytest.fixture
def verdict(checks: Mapping[str, Check]) -> Callable[..., Verdict]:
    """Run one check by name on a situation."""

    def run(name: str, given: Situation, **limits: object) -> Verdict:
        return checks[name].run(given.decision, given.book, given.market, **limits)

    return run


@pytest.fixture
def name() -> type[Name]:
    """The class of one name."""
    return Name


@pytest.fixture
def marks() -> Callable[..., pl.DataFrame]:
    """Build daily marks."""
    return curve
