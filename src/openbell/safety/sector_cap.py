"""No sector weighs too much."""

from __future__ import annotations

import polars as pl

from openbell.core.declare import check
from openbell.core.types import Book, Decision, Market, Outcome, Verdict
from openbell.quant.exposures import exposures
from openbell.quant.weights import UNKNOWN_SECTOR

ROUNDING = 1e-9


@check
def sector_cap(
    decision: Decision, book: Book, market: Market, *, max_sector_weight: float = 0.30, require_sectors: bool = False
) -> Verdict:
    """No sector is aimed or bought above its cap; names of unknown sector count together as one.

    Unavailable where no name has a sector; `require_sectors` turns any missing one into a refusal.
    """
    name = "sector_cap"
    rows = exposures(decision, book, market.names).filter((pl.col("target_weight") > 0) | (pl.col("after_shares") > 0))
    missing = rows.filter(pl.col("sector").is_null())["symbol"].to_list()
    if missing and require_sectors:
        why = f"These names have no sector, and `require_sectors` demands one: {', '.join(missing)}."
        return Verdict(name, Outcome.BLOCK, why, available=False)
    if market.names["sector"].is_null().all():
        return Verdict(name, Outcome.ALLOW, "The data hold no sectors: the cap cannot be checked.", available=False)
    sectors = _sectors(rows)
    limit = max_sector_weight + ROUNDING
    heaviest = float(sectors["weight"].max() or 0.0)  # type: ignore[arg-type]
    measured = {"largest": heaviest, "limit": max_sector_weight, "names_without_sector": float(len(missing))}
    over = sectors.filter(pl.col("weight") > limit)
    raised = over.filter(pl.col("weight") > pl.col("held_weight") + ROUNDING)
    if raised.height:
        why = f"A sector may weigh at most {max_sector_weight:.2%}; aimed above it: {_listed(raised)}."
        return Verdict(name, Outcome.BLOCK, why, measured=measured)
    why = f"The largest sector weighs {heaviest:.2%}; the cap is {max_sector_weight:.2%}."
    if over.height:
        why = f"Carried above the cap of {max_sector_weight:.2%} by the market, and not raised: {_listed(over)}."
    if missing:
        why += f" {len(missing)} names without a sector count together as {UNKNOWN_SECTOR}."
    return Verdict(name, Outcome.ALLOW, why, measured=measured)


def _sectors(rows: pl.DataFrame) -> pl.DataFrame:
    return (
        rows.with_columns(pl.col("sector").fill_null(UNKNOWN_SECTOR))
        .group_by("sector")
        .agg(pl.col("target_weight", "held_weight", "after_weight").sum())
        .with_columns(pl.max_horizontal("target_weight", "after_weight").alias("weight"))
        .sort("sector")
    )


def _listed(sectors: pl.DataFrame) -> str:
    return ", ".join(f"{sector} {weight:.2%}" for sector, weight in sectors.select("sector", "weight").rows())
