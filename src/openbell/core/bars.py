"""Bars within the session: the frames of time they come in, the columns they have, and when one is complete."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import polars as pl

from openbell.core.time import MOMENT

#: Frames of time, with their minutes; a daily bar is as long as its session.
FRAMES: Mapping[str, int | None] = MappingProxyType({"1m": 1, "5m": 5, "15m": 15, "1h": 60, "1d": None})

#: The table ``minutes``: bars within the session. `at` is the END of the bar, the first moment at which it is complete;
#: `session` is the trading session it belongs to. `bid` and `ask` are those standing at the end, null without quotes.
MINUTES: Mapping[str, pl.DataType | type[pl.DataType]] = MappingProxyType(
    {
        "symbol": pl.String,
        "freq": pl.String,
        "session": pl.Date,
        "at": MOMENT,
        "open": pl.Float64,
        "high": pl.Float64,
        "low": pl.Float64,
        "close": pl.Float64,
        "volume": pl.Float64,
        "bid": pl.Float64,
        "ask": pl.Float64,
        "known_at": MOMENT,
        "source": pl.String,
    }
)

#: What a bar of any frame hands to the features, in this order; a value that its source lacks is null.
#: ``session_*`` are of the session up to the end of this bar: its first open, highest high, lowest low, volume in
#: shares, traded value in USD (typical price times volume of each base bar) and minutes since the open.
#: In a frame of days ``session_*`` are of that day alone.
BAR_COLUMNS: tuple[str, ...] = (
    "open",
    "high",
    "low",
    "close",
    "volume",
    "raw_open",
    "raw_high",
    "raw_low",
    "raw_close",
    "raw_volume",
    "fill_price",
    "bid",
    "ask",
    "session_open",
    "session_high",
    "session_low",
    "session_volume",
    "session_value_usd",
    "session_minutes",
)


def feature_column(name: str, frame: str) -> str:
    """The column of the feature `name` on `frame`, for example ``rsi_14_5m``."""
    return f"{name}_{frame}"


def frames_from(base: str) -> tuple[str, ...]:
    """`base` and the frames that are longer: what can be built from bars of `base`."""
    names = tuple(FRAMES)
    return names[names.index(base) :]
