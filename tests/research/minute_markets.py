"""A made-up market of minutes over an early close and both clock changes, for the tests of features of bars."""

import datetime as dt

import numpy as np
import polars as pl

from openbell.core.declare import feature
from openbell.core.time import MOMENT
from openbell.market.calendars import sessions
from openbell.quant import expressions as e
from openbell.quant import indicators

#: Both sides of the two clock changes, and the Wednesday and the early close around Thanksgiving.
DAYS = tuple(dt.date.fromisoformat(f"2022-{day}") for day in ("03-11", "03-14", "11-04", "11-07", "11-23", "11-25"))
CALENDAR = sessions("XNYS", 2022, 2022)


def market(symbols=("AAA", "BBB"), days=DAYS, seed=7, missing=0.05):
    """Bars of one minute, columns of what `BarFeatures.history` takes, some minutes missing, sorted by time."""
    random = np.random.default_rng(seed)
    parts = []
    for place, symbol in enumerate(symbols):
        ends = np.concatenate([_ends(day) for day in days])
        ends = ends[random.random(len(ends)) >= missing]
        close = 50.0 * (place + 1) * np.exp(np.cumsum(random.standard_t(4, len(ends)) * 5e-4))
        opened = close * np.exp(random.normal(0, 3e-4, len(ends)))
        spread = np.abs(random.normal(0, 4e-4, (2, len(ends))))
        parts.append(
            pl.DataFrame(
                {
                    "symbol": [symbol] * len(ends),
                    "at": pl.Series(ends, dtype=pl.Int64).cast(MOMENT),
                    "open": opened,
                    "high": np.maximum(opened, close) * (1 + spread[0]),
                    "low": np.minimum(opened, close) * (1 - spread[1]),
                    "close": close,
                    "volume": random.integers(100, 10_000, len(ends)).astype(float),
                }
            )
        )
    return pl.concat(parts).sort("at", "symbol")


def _ends(day):
    opened, closed = (int(each(day).timestamp()) for each in (CALENDAR.open, CALENDAR.close))
    return np.arange(opened + 60, closed + 1, 60, dtype=np.int64) * 1_000_000


@feature(reads="bars", unit="fraction")
def momentum_3():
    """Return over three bars."""
    return e.returns(3)


@feature(reads="bars", unit="index")
def rsi_5():
    """Strength of five bars."""
    return indicators.rsi(5)


@feature(reads="bars", unit="z")
def volume_z_10():
    """Volume against ten bars."""
    return e.zscore(e.volume, 10)


@feature(reads="bars", unit="fraction")
def vwap_deviation():
    """Close against the mean price of the session."""
    return e.ratio(e.close, e.ratio(pl.col("session_value_usd"), pl.col("session_volume"))) - 1.0


@feature(reads="bars", unit="usd")
def quoted_spread():
    """Ask less bid."""
    return pl.col("ask") - pl.col("bid")


FEATURES = tuple(each[0] for each in (momentum_3, rsi_5, volume_z_10, vwap_deviation))
QUOTED = quoted_spread[0]
