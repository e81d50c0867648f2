"""Generated bars with every column that features read: gaps, zero volumes, splits, constant stretches."""

from __future__ import annotations

import numpy as np
import polars as pl

#: Bars of a session.
SESSION = 78
#: Where prices stand still, in rows.
STILL = ((300, 360), (900, 1200))


def bars(seed: int, rows: int, *, missing: float = 0.005, still: bool = False, symbol: str = "A") -> pl.DataFrame:
    """Bars of one symbol; a share of `missing` rows, and ten in a row, have no bar at all.

    With `still` the prices stand still for two stretches and all lie on a grid of 3/64: sums of them and of their
    typical prices are exact in binary, so that Polars' running sums leave no noise of their own there.
    """
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, rows)))
    opens = close * np.exp(rng.normal(0, 0.003, rows))
    high = np.maximum(opens, close) * np.exp(abs(rng.normal(0, 0.003, rows)))
    low = np.minimum(opens, close) * np.exp(-abs(rng.normal(0, 0.003, rows)))
    for first, last in STILL if still else ():
        for prices in (opens, high, low, close):
            prices[first:last] = close[first]
    volume = np.round(rng.lognormal(10, 1, rows))
    volume[rng.random(rows) < 0.02] = 0.0
    frame = pl.DataFrame({"open": opens, "high": high, "low": low, "close": close, "volume": volume})
    if still:
        frame = frame.with_columns((pl.col("open", "high", "low", "close") * 64 / 3).round() * 3 / 64)
    return _whole(frame, rng, missing).with_columns(symbol=pl.lit(symbol), number=pl.int_range(rows))


def _whole(frame: pl.DataFrame, rng: np.random.Generator, missing: float) -> pl.DataFrame:
    rows, value = frame.height, pl.col("volume") * (pl.col("high") + pl.col("low") + pl.col("close")) / 3
    split = np.cumprod(np.where(rng.random(rows) < 0.002, 2.0, 1.0))
    gone = rng.random(rows) < missing
    gone[rows // 2 : rows // 2 + 10] = missing > 0
    frame = frame.with_columns(day=pl.int_range(rows) // SESSION, split=pl.Series(split), gone=pl.Series(gone))
    return frame.with_columns(
        *((pl.col(name) / pl.col("split")).alias(f"raw_{name}") for name in ("open", "high", "low", "close")),
        (pl.col("volume") * pl.col("split")).alias("raw_volume"),
        pl.col("open").alias("fill_price"),
        (pl.col("close") * (1 - 2e-4 * pl.Series(rng.random(rows)))).alias("bid"),
        (pl.col("close") * (1 + 2e-4 * pl.Series(rng.random(rows)))).alias("ask"),
        pl.col("open").first().over("day").alias("session_open"),
        pl.col("high").cum_max().over("day").alias("session_high"),
        pl.col("low").cum_min().over("day").alias("session_low"),
        pl.col("volume").cum_sum().over("day").alias("session_volume"),
        value.cum_sum().over("day").alias("session_value_usd"),
        (5.0 * (pl.int_range(rows) % SESSION + 1)).alias("session_minutes"),
    ).select(pl.when(~pl.col("gone")).then(pl.exclude("gone", "day", "split")))  # fmt: skip


def values(frame: pl.DataFrame, columns: tuple[str, ...]) -> np.ndarray:
    """What a program is handed: NaN for null."""
    return frame.select(pl.col(columns).cast(pl.Float64).fill_null(np.nan)).to_numpy()
