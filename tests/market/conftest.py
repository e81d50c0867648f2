"""A small store in memory, a calendar, and markets to plant faults in."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import polars as pl
import pytest

from openbell.core.time import Sessions
from openbell.market.batch import bars_frame
from openbell.market.calendars import sessions

AT = dt.datetime(2026, 1, 5, 12, tzinfo=dt.UTC)


@dataclass
class Memory:
    """What the tables promise, without a disk."""

    frames: dict[str, pl.DataFrame] = field(default_factory=dict)
    commits: list[dict[str, pl.DataFrame]] = field(default_factory=list)

    def exists(self, name: str) -> bool:
        return name in self.frames

    def scan(self, name: str) -> pl.LazyFrame:
        return self.frames[name].lazy()

    def append_all(self, frames: Mapping[str, pl.DataFrame]) -> str:
        for name, frame in frames.items():
            assert frame["known_at"].null_count() == 0
            assert frame.schema["known_at"] == pl.Datetime("us", "UTC")
            self.frames[name] = pl.concat([self.frames[name], frame]) if name in self.frames else frame
        self.commits.append(dict(frames))
        return f"commit-{len(self.commits)}"


@pytest.fixture
def memory() -> Memory:
    return Memory()


@pytest.fixture(scope="session")
def calendar() -> Sessions:
    return sessions(start=2000, end=2022)


def walk(calendar: Sessions, symbol: str = "X", count: int = 300, seed: int = 0, start: float = 50.0) -> pl.DataFrame:
    """A quiet stock from 2015 on: 1 % a day, a million shares, no fault in it."""
    rng = np.random.default_rng(seed)
    close = np.round(start * np.exp(np.cumsum(rng.normal(0, 0.01, count))), 2)
    open_ = np.round(close * np.exp(rng.normal(0, 0.003, count)), 2)
    top = np.round(np.maximum(open_, close) * (1 + np.abs(rng.normal(0, 0.004, count))), 2)
    bottom = np.round(np.minimum(open_, close) * (1 - np.abs(rng.normal(0, 0.004, count))), 2)
    first = calendar.index(dt.date(2015, 1, 2))
    return bars_frame(
        pl.DataFrame(
            {
                "symbol": [symbol] * count,
                "session": calendar.dates[first : first + count],
                "open": open_,
                "high": top,
                "low": bottom,
                "close": close,
                "volume": np.round(1e6 * np.exp(rng.normal(0, 0.2, count))),
            }
        )
    )


def at(rows: pl.DataFrame, where: list[int] | range, **values: float | None) -> pl.DataFrame:
    """`rows` with other values in the rows `where`."""
    place = pl.Series(list(where))
    hit = pl.int_range(pl.len()).is_in(place.implode())
    return rows.with_columns(
        pl.when(hit).then(pl.lit(value, dtype=pl.Float64)).otherwise(pl.col(name)).alias(name)
        for name, value in values.items()
    )


def scaled(rows: pl.DataFrame, where: list[int] | range, ratio: float, *, volume: float = 1.0) -> pl.DataFrame:
    """`rows` with the prices of `where` multiplied by `ratio`, and the volume by `volume`."""
    hit = pl.int_range(pl.len()).is_in(pl.Series(list(where)).implode())
    prices = [pl.when(hit).then(pl.col(n) * ratio).otherwise(pl.col(n)) for n in ("open", "high", "low", "close")]
    return rows.with_columns(*prices, pl.when(hit).then(pl.col("volume") * volume).otherwise(pl.col("volume")))
