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
    """Bars of one symbol as the engine sees them, prices as received equal to adjusted ones."""
    frame = pl.DataFrame({name: pl.Series(values, dtype=pl.Float64) for name, values in bars.items()})
    return frame.with_columns(
        pl.lit("A").alias("symbol"),
        *(pl.col(name).alias(f"raw_{name}") for name in ("open", "high", "low", "close", "volume")),
    )
