"""Bars within the session out of a generator: no edge at all, or one of a stated size that begins at a cut-off."""

from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl

from openbell.core.declare import provider
from openbell.core.errors import BadInput
from openbell.core.time import MOMENT
from openbell.market.calendars import sessions, time_zone
from openbell.market.minute_times import FREQUENCIES
from openbell.market.providers.minutes import RECEIVED, MinuteBatch
from openbell.quant.simulated_days import simulated_days

SYMBOL = "GENDAYS"
FIRST = dt.date(2010, 1, 4)
_DAY_MINUTES = 390


@provider(name="generated_minutes", fields=("open", "high", "low", "close", "volume"))
def declared(
    *, days: int = 500, freq: str = "5m", seed: int = 0, edge: float = 0.0, cutoff: str = "10:15"
) -> MinuteBatch:
    """Made-up days of one product with clustered volatility and a busy open, and an edge if asked for."""
    return generated_minutes(days=days, freq=freq, seed=seed, edge=edge, cutoff=cutoff)


def generated_minutes(
    *,
    days: int = 500,
    freq: str = "5m",
    seed: int = 0,
    edge: float = 0.0,
    cutoff: str = "10:15",
    symbol: str = SYMBOL,
    first: dt.date = FIRST,
    exchange: str = "XNYS",
) -> MinuteBatch:
    """`days` whole sessions from `first` on; sessions with an early close have the same bars as long as they last.

    `edge` is the correlation of the return from the open to `cutoff` with that from there to the close; see
    `quant.simulated_days`.
    """
    calendar = sessions(exchange)
    chosen = [day for day in calendar.dates if day >= first][:days]
    if len(chosen) < days:
        raise BadInput(f"The calendar of {exchange} has {len(chosen)} sessions from {first} on; {days} were asked for.")
    minutes, zone = FREQUENCIES[freq], time_zone(exchange)
    bars = -(-_DAY_MINUTES // minutes)
    early = (
        dt.datetime.combine(first, dt.time.fromisoformat(cutoff)) - dt.datetime.combine(first, dt.time(9, 30))
    ).seconds
    made = simulated_days(days, bars, early // 60 // minutes, seed=seed, edge=edge)
    ends = np.minimum(np.arange(1, bars + 1) * minutes, _DAY_MINUTES)
    opens = pl.Series("open_at", [calendar.open(day) for day in chosen], dtype=MOMENT)
    closes = pl.Series("close_at", [calendar.close(day) for day in chosen], dtype=MOMENT)
    grid = pl.DataFrame({"open_at": opens, "close_at": closes}).with_row_index("day")
    prices = {name: getattr(made, name).ravel() for name in ("open", "high", "low", "close", "volume")}
    frame = pl.DataFrame(
        {"day": np.repeat(np.arange(days, dtype=np.uint32), bars), "end": np.tile(ends, days), **prices}
    ).join(grid, on="day", maintain_order="left")
    at = (pl.col("open_at") + pl.duration(minutes=pl.col("end"))).alias("at")
    frame = frame.with_columns(at, pl.lit(symbol).alias("symbol")).filter(pl.col("at") <= pl.col("close_at"))
    lacking = [pl.lit(None, dtype=pl.Float64).alias(name) for name in RECEIVED if name not in frame.columns]
    told = f"with a planted correlation of {edge:g} from {cutoff} on" if edge else "without any edge"
    return MinuteBatch(
        f"generated_minutes:{days} days of {freq}, seed {seed}, edge {edge:g} from {cutoff}",
        frame.with_columns(lacking).select(pl.col(name).cast(kind) for name, kind in RECEIVED.items()),
        freq,
        ("open", "high", "low", "close", "volume"),
        (f"These prices are made up, {told}; they say nothing about any real market ({zone}).",),
    )
