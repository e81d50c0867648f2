"""Trades of signals, sorted into what they have in common: how many, how often they won, what they returned."""

from __future__ import annotations

from typing import Any

import polars as pl

from openbell.quant.day_blocks import DayBlocks
from openbell.research.signal_scores import BANDS

#: What trades are grouped by.
GROUPS = ("call", "band", "symbol", "regime", "reason")
UNKNOWN = "unknown"


def described(trades: pl.DataFrame, orders: pl.DataFrame, regimes: pl.DataFrame | None) -> pl.DataFrame:
    """`trades` with the ``call``, ``label``, ``band`` of confidence and ``regime`` in force when they were entered."""
    beside = [pl.col(name) for name in ("call", "label") if name in orders.columns]
    told = orders.select(pl.int_range(pl.len(), dtype=pl.UInt32).alias("order"), *beside)
    found = trades.join(told, on="order", how="left", maintain_order="left").with_columns(band().alias("band"))
    if regimes is None:
        return found.with_columns(pl.lit(UNKNOWN).alias("regime"))
    in_force = regimes.select(pl.col("session").alias("entry_session"), pl.col("regime").cast(pl.String))
    joined = found.join(in_force, on="entry_session", how="left", maintain_order="left")
    return joined.with_columns(pl.col("regime").fill_null(UNKNOWN))


def band(column: str = "confidence") -> pl.Expr:
    """The band of a confidence, as words that sort."""
    found = pl.lit(None, dtype=pl.String)
    for low, high in zip(BANDS, (*BANDS[1:], 1.0), strict=True):
        found = pl.when(pl.col(column) >= low).then(pl.lit(f"{low:.2f} to {high:.2f}")).otherwise(found)
    return found


def grouped(
    trades: pl.DataFrame, *, horizon_sessions: int = 1, replications: int = 1000, seed: int = 0
) -> dict[str, pl.DataFrame]:
    """The trades by each of `GROUPS`, a row per value in order.

    Returns
    -------
    dict of polars.DataFrame
        The value under the group's name, ``n`` trades that have ended, ``still_open``, ``win_rate`` and ``mean_return``
        (of the notional, after costs) with ``_low`` and ``_high`` (blocks of sessions of entry; null where they are too
        few), ``profit_usd`` and ``cost_usd`` of all. No trade, no row.
    """
    ended = trades.filter(pl.col("reason") != "open")
    blocks = DayBlocks.of(
        ended["entry_session"].to_numpy(), horizon_days=horizon_sessions, replications=replications, seed=seed
    )
    return {by: _rows(trades, ended, by, blocks) for by in GROUPS}


def _rows(trades: pl.DataFrame, ended: pl.DataFrame, by: str, blocks: DayBlocks) -> pl.DataFrame:
    rows = []
    for key in trades[by].unique().sort().to_list():
        mine, every = ended[by] == key, trades.filter(pl.col(by) == key)
        own, returned = blocks.part(mine.to_numpy()), ended.filter(mine)["return"].to_numpy()
        row: dict[str, Any] = {by: key, "n": len(returned), "still_open": every.height - len(returned)}
        for name, values in (("win_rate", returned > 0), ("mean_return", returned)):
            found = own.mean(values) if len(returned) else None
            for part, suffix in (("value", ""), ("low", "_low"), ("high", "_high")):
                row[f"{name}{suffix}"] = None if found is None else getattr(found, part)
        sums = {name: float(every[name].sum()) for name in ("profit_usd", "cost_usd")}
        rows.append({**row, **sums})
    measures = [f"{name}{suffix}" for name in ("win_rate", "mean_return") for suffix in ("", "_low", "_high")]
    kinds = dict.fromkeys((*measures, "profit_usd", "cost_usd"), pl.Float64)
    return pl.DataFrame(rows, schema={by: pl.String, "n": pl.Int64, "still_open": pl.Int64, **kinds})
