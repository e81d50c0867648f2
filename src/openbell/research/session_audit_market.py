"""One product within its sessions, made up, to prove features of sessions on where no real bars are stored."""

from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl

from openbell.core.time import MOMENT, Sessions
from openbell.research.session_audit import SessionInputs
from openbell.research.session_early import placed
from openbell.research.session_outcomes import days

#: Bars of 15 minutes, the first ones so many hours before the regular open.
_MINUTES, _HOURS_BEFORE = 15, 3


def made_up_sessions(
    sessions: Sessions, *, count: int = 640, seed: int = 0, zone: str = "America/New_York"
) -> SessionInputs:
    """The last `count` sessions of a random walk with hours before the open, and four other markets.

    Two of these have levels within the session, two daily ones alone; daily bars stand beside those within the session.
    Everything in it moves, so that no feature is constant; none of it means anything.
    """
    rng = np.random.default_rng(seed)
    hours = sessions.frame.tail(count).select(
        "session", "open_at", "close_at", pl.col("open_at").alias("regular_open_at"),
        pl.col("close_at").alias("regular_close_at"),
    ).with_columns(pl.col("open_at") - pl.duration(hours=_HOURS_BEFORE))  # fmt: skip
    bars = _bars(hours, rng)
    daily = days(placed(bars, hours, "11:00", zone)).drop("last_at")
    daily = daily.with_columns(pl.col("close") * np.exp(rng.normal(0.0, 1e-4, daily.height)))
    closes = hours["regular_close_at"]
    within = bars.filter(pl.int_range(pl.len()) % 3 == 0)["at"]
    markets = {
        "vix": pl.concat([_levels(closes, rng, 20.0, daily=True), _levels(within, rng, 20.0, daily=False)]),
        "dollar": _levels(closes, rng, 100.0, daily=True),
        "ten_year": _levels(closes, rng, 4.0, daily=True),
        "crude": _levels(within, rng, 70.0, daily=False),
    }
    return SessionInputs(bars, hours, daily, zone, markets)


def _bars(hours: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    step = f"{_MINUTES}m"
    first = pl.col("open_at") + pl.duration(minutes=_MINUTES)
    frame = hours.select("session", pl.datetime_ranges(first, "close_at", interval=step).alias("at")).explode("at")
    n = frame.height
    close = 100.0 * np.exp(np.cumsum(rng.standard_t(5, n) * 1e-3))
    opened = close * np.exp(rng.normal(0.0, 6e-4, n))
    # Some bars close on their open, so that the tick rule is used.
    opened = np.where(rng.random(n) < 0.1, close, opened)
    spread = np.abs(rng.normal(0.0, 5e-4, (2, n)))
    return frame.select(
        pl.lit("MADE-UP").alias("symbol"), pl.lit("15m").alias("freq"), "session", pl.col("at").cast(MOMENT),
        pl.Series("open", opened),
        pl.Series("high", np.maximum(opened, close) * (1 + spread[0])),
        pl.Series("low", np.minimum(opened, close) * (1 - spread[1])),
        pl.Series("close", close), pl.Series("volume", rng.integers(100, 10_000, n).astype(float)),
        pl.lit(None, dtype=pl.Float64).alias("bid"), pl.lit(None, dtype=pl.Float64).alias("ask"),
        pl.col("at").cast(MOMENT).alias("known_at"), pl.lit("made up").alias("source"),
    )  # fmt: skip


def _levels(at: pl.Series, rng: np.random.Generator, start: float, *, daily: bool) -> pl.DataFrame:
    level = start * np.exp(np.cumsum(rng.normal(0.0, 0.002, len(at))))
    frame = pl.DataFrame({"at": at, "level": level}).with_columns(pl.col("at").cast(MOMENT))
    delay = dt.timedelta(minutes=15 if daily else 0)
    return frame.select("at", "level", (pl.col("at") + delay).alias("known_at"), pl.lit(daily).alias("daily"))
