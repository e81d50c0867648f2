"""Bars that a source on the network gave, as a batch: finished ones alone, each stamped with its end."""

from __future__ import annotations

import datetime as dt

import polars as pl

from openbell.core.errors import DataMissing, unknown
from openbell.core.time import MOMENT, utc
from openbell.market.minute_times import FREQUENCIES
from openbell.market.products import Product
from openbell.market.providers.minutes import RECEIVED, MinuteBatch
from openbell.quant.bar_frames import fields_of

#: What every source tells of a bar that it stamps with its start.
STARTED: dict[str, pl.DataType | type[pl.DataType]] = {
    "started_at": MOMENT,
    **dict.fromkeys(("open", "high", "low", "close", "volume"), pl.Float64),
}


def fetched(source: str, rows: pl.DataFrame, freq: str, product: Product, until: dt.datetime) -> MinuteBatch:
    """A batch of the bars `rows` (columns of `STARTED`) of `product` that had ended at `until`.

    Raises
    ------
    DataMissing
        Where none had.
    """
    if freq not in FREQUENCIES:
        raise unknown("frequency of bars within the session", freq, FREQUENCIES)
    ended = rows.with_columns((pl.col("started_at") + pl.duration(minutes=FREQUENCIES[freq])).cast(MOMENT).alias("at"))
    bars = ended.filter(pl.col("at") <= utc(until)).with_columns(pl.lit(product.code).alias("symbol"))
    if bars.is_empty():
        raise DataMissing(f"{source} gave no finished bar of {product.code} ({rows.height} unfinished ones).")
    open_ones = rows.height - bars.height
    notes = [f"{open_ones} bars of {product.code} had not ended yet and were left out."] if open_ones else []
    bars = bars.select(
        (pl.col(name) if name in bars.columns else pl.lit(None)).cast(kind).alias(name)
        for name, kind in RECEIVED.items()
    )
    return MinuteBatch(source, bars, freq, fields_of(bars), tuple(notes), product)
