"""Every declared feature, and the bars of one symbol as the engine sees them."""

import importlib
import pkgutil
from functools import cache

import polars as pl

import openbell.features
from openbell.core.declare import Feature, collect


@cache
def declared() -> dict[str, Feature]:
    modules = [
        importlib.import_module(f"openbell.features.{found.name}")
        for found in pkgutil.iter_modules(openbell.features.__path__)
    ]
    return collect(modules, Feature)


def one_symbol(bars: dict) -> pl.DataFrame:
    """Bars of one symbol as the engine sees them, prices as received equal to adjusted ones.

    Where the bars say nothing of it each is a session of its own, quoted a five-hundredth wide around a middle that
    lies a little above or below the close.
    """
    frame = pl.DataFrame({name: pl.Series(values, dtype=pl.Float64) for name, values in bars.items()})
    frame = frame.with_columns(
        pl.lit("A").alias("symbol"),
        *(pl.col(name).alias(f"raw_{name}") for name in ("open", "high", "low", "close", "volume")),
    )
    off = (pl.int_range(pl.len()) * 7 % 13 - 6) / 1e4
    typical = (pl.col("high") + pl.col("low") + pl.col("close")) / 3
    beside = {
        "fill_price": pl.col("open"),
        "bid": pl.col("close") * (0.999 + off),
        "ask": pl.col("close") * (1.001 + off),
        **{f"session_{name}": pl.col(name) for name in ("open", "high", "low", "volume")},
        "session_value_usd": typical * pl.col("volume"),
        "session_minutes": pl.when(pl.col("close").is_not_null()).then(390.0),
    }
    return frame.with_columns(each.alias(name) for name, each in beside.items() if name not in frame.columns)
