"""A small made-up market for the tests of snapshot and back-test: weekdays, twelve stocks and a benchmark."""

import datetime as dt
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from openbell.core.time import Sessions
from openbell.core.view import View

N = 460
UTC = dt.UTC


def weekdays(n: int) -> tuple[dt.date, ...]:
    days, day = [], dt.date(2018, 1, 1)
    while len(days) < n:
        if day.weekday() < 5:
            days.append(day)
        day += dt.timedelta(days=1)
    return tuple(days)


def calendar(n: int = N) -> Sessions:
    days = weekdays(n)
    at = [dt.datetime(day.year, day.month, day.day, tzinfo=UTC) for day in days]
    return Sessions(
        "TEST",
        days,
        tuple(each + dt.timedelta(hours=14, minutes=30) for each in at),
        tuple(each + dt.timedelta(hours=21) for each in at),
    )


@dataclass
class Memory:
    frames: dict[str, pl.DataFrame] = field(default_factory=dict)

    def scan(self, name: str) -> pl.LazyFrame:
        return self.frames[name].lazy()

    def exists(self, name: str) -> bool:
        return name in self.frames


def bars(cal: Sessions, *, names: int = 12, seed: int = 0, opens: bool = True) -> pl.DataFrame:
    """Bars of S00…, and of SPY, for every session of the calendar but the last."""
    days = cal.dates[:-1]
    rng = np.random.default_rng(seed)
    market = rng.normal(0.0004, 0.008, (len(days), 2, 1))
    moves = market + rng.normal(0, 0.01, (len(days), 2, names))
    moves = np.concatenate([moves, market], axis=2)
    path = 40.0 * np.exp(np.cumsum(moves.reshape(-1, names + 1), axis=0)).reshape(len(days), 2, names + 1)
    symbols = [f"S{i:02d}" for i in range(names)] + ["SPY"]
    frames = []
    for at, symbol in enumerate(symbols):
        o, c = path[:, 0, at], path[:, 1, at]
        frames.append(
            pl.DataFrame(
                {
                    "symbol": symbol,
                    "freq": "1d",
                    "session": days,
                    "open": o if opens else np.full(len(days), np.nan),
                    "high": np.maximum(o, c),
                    "low": np.minimum(o, c),
                    "close": c,
                    "adj_close": c,
                    "volume": np.round(rng.uniform(1e6, 2e6, len(days)) * (at + 1)),
                    "known_at": cal.closes[:-1],
                    "source": "made up",
                }
            ).with_columns(pl.col("open").fill_nan(None))
        )
    return pl.concat(frames)


def memory(cal: Sessions, *, opens: bool = True, names: int = 12, seed: int = 0) -> Memory:
    """All tables; S11 leaves the universe at session 330, S10 joins at 350."""
    table = bars(cal, opens=opens, names=names, seed=seed)
    start = dt.datetime(2017, 1, 1, tzinfo=UTC)
    events = [(f"S{i:02d}", dt.date(2018, 1, 1), True, start) for i in range(names) if i != 10]
    day = {at: dt.datetime.combine(cal.dates[at], dt.time(), tzinfo=UTC) for at in (330, 350)}
    events += [("S11", cal.dates[330], False, day[330]), ("S10", cal.dates[350], True, day[350])]
    membership = pl.DataFrame(
        events,
        schema={"symbol": pl.String, "session": pl.Date, "member": pl.Boolean, "known_at": pl.Datetime("us", "UTC")},
        orient="row",
    ).with_columns(pl.lit("small").alias("universe"), pl.lit("made up").alias("source"))
    instruments = pl.DataFrame(
        {
            "symbol": [*(f"S{i:02d}" for i in range(names)), "SPY"],
            "kind": ["STOCK"] * names + ["ETF"],
            "sector": [f"Sector {i % 4}" for i in range(names)] + [None],
            "known_at": [start] * (names + 1),
            "source": "made up",
        }
    )
    return Memory({"bars": table, "membership": membership, "instruments": instruments})


def view(tables: Memory, cal: Sessions, session: dt.date, lead_minutes: int = 30) -> View:
    """What is known at the decision of `session`."""
    return View(tables, cal.open(session) - dt.timedelta(minutes=lead_minutes), cal)
