"""Tables in memory and made-up bars, for the tests of what is computed on them."""

import datetime as dt
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from openbell.core.time import Sessions
from openbell.core.view import View

UTC = dt.UTC
FIELDS = ("open", "high", "low", "close", "adj_close", "volume")


@dataclass
class MemoryTables:
    frames: dict[str, pl.DataFrame] = field(default_factory=dict)

    def scan(self, name: str) -> pl.LazyFrame:
        return self.frames[name].lazy()

    def exists(self, name: str) -> bool:
        return name in self.frames


def weekday_calendar(n: int, start: dt.date = dt.date(2010, 1, 4)) -> Sessions:
    every = np.arange(np.datetime64(start), np.datetime64(start) + 2 * n, dtype="datetime64[D]")
    days = every[np.is_busday(every)][:n].tolist()
    midnight = [dt.datetime(day.year, day.month, day.day, tzinfo=UTC) for day in days]
    return Sessions(
        "TEST",
        tuple(days),
        tuple(at + dt.timedelta(hours=14, minutes=30) for at in midnight),
        tuple(at + dt.timedelta(hours=21) for at in midnight),
    )


def random_walk(n: int, seed: int, *, volatility: float = 0.015) -> dict[str, np.ndarray]:
    """Open, high, low, close and volume of a fat-tailed random walk; high >= all >= low."""
    rng = np.random.default_rng(seed)
    close = 50.0 * np.exp(np.cumsum(volatility * rng.standard_t(5, n)))
    open_ = np.r_[50.0, close[:-1]] * np.exp(rng.normal(0, volatility / 3, n))
    high = np.maximum(open_, close) * np.exp(np.abs(rng.normal(0, volatility / 2, n)))
    low = np.minimum(open_, close) * np.exp(-np.abs(rng.normal(0, volatility / 2, n)))
    volume = np.round(np.exp(rng.normal(13.5, 0.5, n)))
    return {"open": open_, "high": high, "low": low, "close": close, "volume": volume}


def bar_rows(calendar: Sessions, symbols: int = 3, *, sessions: int | None = None, seed: int = 0) -> pl.DataFrame:
    """Bars of S0, S1, … for the first `sessions` sessions of the calendar."""
    n = sessions if sessions is not None else len(calendar.dates) - 1
    frames = []
    for at in range(symbols):
        walk = random_walk(n, seed * 1000 + at)
        frames.append(
            pl.DataFrame(
                {
                    "symbol": f"S{at}",
                    "freq": "1d",
                    "session": calendar.dates[:n],
                    **walk,
                    "adj_close": walk["close"],
                    "known_at": calendar.closes[:n],
                    "source": "made up",
                }
            )
        )
    return pl.concat(frames)


def market(symbols: int = 3, sessions: int = 700, seed: int = 0) -> tuple[MemoryTables, Sessions]:
    """Tables with bars alone, and their calendar, which goes on 40 sessions longer."""
    calendar = weekday_calendar(sessions + 40)
    return MemoryTables({"bars": bar_rows(calendar, symbols, sessions=sessions, seed=seed)}), calendar


def view_of(tables: MemoryTables, calendar: Sessions, session: int | None = None) -> View:
    """What is known at the decision before session number `session`; None: at the end of the calendar."""
    at = len(calendar.dates) - 1 if session is None else session
    return View(tables, calendar.opens[at] - dt.timedelta(minutes=30), calendar)
