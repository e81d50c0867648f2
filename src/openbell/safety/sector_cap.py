"""No sector weighs too much."""

from __future__ import annotations

import polars as pl

from openbell.core.declare import check
from openbell.core.types import Book, Decision, Market, Outcome, Verdict
from openbell.quant.exposures import exposures
from openbell.quant.weights import UNKNOWN_SECTOR

ROUNDING = 1e-9


@check()
def sector_cap(
    decision: Decision, book: Book, market: Market, *, max_sector_weight: float = 0.30, require_sectors: bool = False
) -> Verdict:
    """No sector is aimed or bought above its cap; names of unknown sector count together as one.

    Targets that raise a sector above its cap block. Where the targets keep it and the whole-share trades do not (a
    sale was too small to be worth its trade), the sector's purchases are shrunk.

    Unavailable where no name has a sector; `require_sectors` turns any missing one into a refusal.
    """
    name = "sector_cap"
    rows = exposures(decision, book, market.names)
    kept = rows.filter((pl.col("target_weight") > 0) | (pl.col("after_shares") > 0))
    missing = kept.filter(pl.col("sector").is_null())["symbol"].to_list()
    if missing and require_sectors:
        why = f"These names have no sector, and `require_sectors` demands one: {', '.join(missing)}."
        return Verdict(name, Outcome.BLOCK, why, available=False)
    if market.names["sector"].is_null().all():
        return Verdict(name, Outcome.ALLOW, "The data hold no sectors: the cap cannot be checked.", available=False)
    sectors = _sectors(rows)
    limit = max_sector_weight + ROUNDING
    heaviest = float(sectors.select(pl.max_horizontal("target_weight", "after_weight").max()).item() or 0.0)
    measured = {"largest": heaviest, "limit": max_sector_weight, "names_without_sector": float(len(missing))}
    aimed = sectors.filter(
        (pl.col("target_weight") > limit) & (pl.col("target_weight") > pl.col("held_weight") + ROUNDING)
    )
    if aimed.height:
        shown = _listed(aimed, "target_weight")
        why = f"A sector may weigh at most {max_sector_weight:.2%}; aimed above it: {shown}."
        return Verdict(name, Outcome.BLOCK, why, measured=measured)
    bought = sectors.filter((pl.col("after_weight") > limit) & (pl.col("bought_weight") > 0))
    if bought.height:
        why = f"Purchases shrunk, so that none ends above {max_sector_weight:.2%}: {_listed(bought, 'after_weight')}."
        by_symbol = _scales(rows, bought, max_sector_weight)
        return Verdict(name, Outcome.SHRINK, why, by_symbol=by_symbol, measured=measured)
    over = sectors.filter(pl.max_horizontal("target_weight", "after_weight") > limit)
    why = f"The largest sector weighs {heaviest:.2%}; the cap is {max_sector_weight:.2%}."
    if over.height:
        shown = _listed(over, "after_weight")
        why = f"Carried above the cap of {max_sector_weight:.2%} by the market, and not raised: {shown}."
    if missing:
        why += f" {len(missing)} names without a sector count together as {UNKNOWN_SECTOR}."
    return Verdict(name, Outcome.ALLOW, why, measured=measured)


def _named(rows: pl.DataFrame) -> pl.DataFrame:
    gain = (pl.col("after_weight") - pl.col("held_weight")).clip(lower_bound=0.0)
    return rows.with_columns(
        pl.col("sector").fill_null(UNKNOWN_SECTOR),
        pl.when(pl.col("traded_shares") > 0).then(gain).otherwise(0.0).alias("bought_weight"),
    )


def _sectors(rows: pl.DataFrame) -> pl.DataFrame:
    weights = pl.col("target_weight", "held_weight", "after_weight", "bought_weight")
    return _named(rows).group_by("sector").agg(weights.sum()).sort("sector")


def _scales(rows: pl.DataFrame, bought: pl.DataFrame, cap: float) -> dict[str, float]:
    """How much of each purchase fits under the cap of its sector."""
    room = (cap - pl.col("after_weight") + pl.col("bought_weight")) / pl.col("bought_weight")
    purchases = _named(rows).filter(pl.col("bought_weight") > 0).select("symbol", "sector")
    scales = bought.select("sector", room.clip(0.0, 1.0).alias("scale"))
    return dict(purchases.join(scales, on="sector").sort("symbol").select("symbol", "scale").rows())


def _listed(sectors: pl.DataFrame, weight: str) -> str:
    return ", ".join(f"{sector} {share:.2%}" for sector, share in sectors.select("sector", weight).rows())
