"""A journal in a folder of its own, a small calendar, and a market to judge in."""

import datetime as dt
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from openbell.core.time import Sessions
from openbell.core.types import Market
from openbell.store.journal import Journal


def _weekdays(first: dt.date, count: int) -> tuple[dt.date, ...]:
    days = (first + dt.timedelta(days=number) for number in range(2 * count))
    return tuple([day for day in days if day.weekday() < 5][:count])


@pytest.fixture(scope="session")
def sessions() -> Sessions:
    """Weekdays from Monday 2020-03-02 on, open 13:30 to 20:00 UTC."""
    days = _weekdays(dt.date(2020, 3, 2), 60)
    moment = lambda day, hour, minute: dt.datetime(day.year, day.month, day.day, hour, minute, tzinfo=dt.UTC)  # noqa: E731
    return Sessions("XNYS", days, tuple(moment(day, 13, 30) for day in days), tuple(moment(day, 20, 0) for day in days))


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    """An empty journal."""
    with Journal.open(f"sqlite:///{tmp_path / 'journal.db'}") as opened:
        yield opened


@pytest.fixture
def as_of(sessions: Sessions) -> Callable[[dt.date], dt.datetime]:
    """The moment of the decision for a session."""
    return lambda session: sessions.open(session) - dt.timedelta(minutes=30)


@pytest.fixture
def bars() -> Callable[..., pl.DataFrame]:
    """Build bars from {(symbol, session): (open, close)}."""

    def build(rows: dict[tuple[str, dt.date], tuple[float | None, float]]) -> pl.DataFrame:
        return pl.DataFrame(
            [(symbol, session, opened, close) for (symbol, session), (opened, close) in rows.items()],
            schema={"symbol": pl.String, "session": pl.Date, "open": pl.Float64, "close": pl.Float64},
            orient="row",
        )

    return build


@pytest.fixture
def actions() -> Callable[..., pl.DataFrame]:
    """Build corporate actions from (symbol, session, kind, factor)."""

    def build(*rows: tuple[str, dt.date, str, float]) -> pl.DataFrame:
        schema = {"symbol": pl.String, "session": pl.Date, "kind": pl.String, "factor": pl.Float64}
        return pl.DataFrame(list(rows), schema=schema, orient="row")

    return build


@pytest.fixture
def market() -> Callable[..., Market]:
    """Build a market of names at a price, each of a sector, on 2020-03-16."""

    def build(
        prices: dict[str, float],
        sectors: dict[str, str] | None = None,
        volume: float = 1e7,
        fresh: bool = True,
    ) -> Market:
        count = len(prices)
        last = dt.date(2020, 3, 13)
        names = pl.DataFrame(
            {
                "symbol": list(prices),
                "price_usd": list(prices.values()),
                "price_session": [last if fresh else last - dt.timedelta(days=1)] * count,
                "volume_shares": [volume] * count,
                "dollar_volume_usd": [1e8] * count,
                "volatility": [0.2] * count,
                "sector": [(sectors or {}).get(symbol) for symbol in prices],
                "market_value_usd": [None] * count,
                "member": [True] * count,
            },
            schema_overrides={"sector": pl.String, "market_value_usd": pl.Float64},
        )
        as_of = dt.datetime(2020, 3, 16, 13, tzinfo=dt.UTC)
        return Market(as_of, dt.date(2020, 3, 16), last, names, np.linspace(100, 110, 300), "SPY")

    return build
