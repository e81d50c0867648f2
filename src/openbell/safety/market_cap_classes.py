"""No class of company size weighs too much."""

from __future__ import annotations

import math

import polars as pl

from openbell.core.declare import check
from openbell.core.errors import BadInput
from openbell.core.types import Book, Decision, Market, Outcome, Verdict
from openbell.quant.exposures import exposures

#: A company is large from 10 bn USD on, small below 2 bn, mid between (the usual bounds of US index providers).
LARGE_USD = 10e9
MID_USD = 2e9


@check()
def market_cap_classes(
    decision: Decision,
    book: Book,
    market: Market,
    *,
    large_cap: float = 0.70,
    mid_cap: float = 0.25,
    small_cap: float = 0.05,
    require_market_values: bool = False,
) -> Verdict:
    """Upper bounds on the weight of large, mid and small companies; purchases that break one are shrunk.

    The bounds must be able to sum to 1, else no full portfolio could hold them. A name without a market value counts
    as small, the tightest class. Unavailable where the data hold no dated market values; `require_market_values`
    turns a missing one into a refusal.
    """
    name = "market_cap_classes"
    limits = {"large": large_cap, "mid": mid_cap, "small": small_cap}
    _check_limits(limits)
    rows = exposures(decision, book, market.names).filter((pl.col("target_weight") > 0) | (pl.col("after_shares") > 0))
    missing = rows.filter(pl.col("market_value_usd").is_null())["symbol"].to_list()
    if missing and require_market_values:
        why = f"No dated market value, and `require_market_values` demands one: {', '.join(missing)}."
        return Verdict(name, Outcome.BLOCK, why, available=False)
    if market.names["market_value_usd"].is_null().all():
        why = "The data hold no dated market values: the weights of size classes cannot be checked."
        return Verdict(name, Outcome.ALLOW, why, available=False)
    classes = _classes(rows, limits)
    measured = dict(classes.select("class", "weight").rows())
    over = classes.filter((pl.col("weight") > pl.col("limit") + 1e-9) & (pl.col("raised") > 0))
    if not over.height:
        shown = ", ".join(f"{each} {weight:.1%}" for each, weight in measured.items())
        return Verdict(name, Outcome.ALLOW, f"No class is raised above its bound: {shown}.", measured=measured)
    return _shrunk(name, rows, over, measured)


def _check_limits(limits: dict[str, float]) -> None:
    if not all(0.0 <= limit <= 1.0 for limit in limits.values()):
        raise BadInput(f"The bounds of `max_market_cap_weight` must lie in [0, 1]; they are {limits}.")
    if math.fsum(limits.values()) < 1.0 - 1e-9:
        raise BadInput(
            f"The upper bounds of `max_market_cap_weight` must be able to sum to 1; {limits} sum to "
            f"{math.fsum(limits.values()):.2f}. Raise one of them."
        )


def _size() -> pl.Expr:
    value = pl.col("market_value_usd")
    return (
        pl.when(value >= LARGE_USD).then(pl.lit("large")).when(value >= MID_USD).then(pl.lit("mid"))
        .otherwise(pl.lit("small")).alias("class")
    )  # fmt: skip


def _classes(rows: pl.DataFrame, limits: dict[str, float]) -> pl.DataFrame:
    change = pl.col("target_weight") - pl.col("held_weight")
    bounds = pl.DataFrame({"class": list(limits), "limit": list(limits.values())})
    return (
        rows.with_columns(_size())
        .group_by("class")
        .agg(pl.col("target_weight").sum().alias("weight"), change.clip(lower_bound=0.0).sum().alias("raised"))
        .join(bounds, on="class")
        .sort("class")
    )


def _shrunk(name: str, rows: pl.DataFrame, over: pl.DataFrame, measured: dict[str, float]) -> Verdict:
    scale = ((pl.col("limit") - pl.col("weight") + pl.col("raised")) / pl.col("raised")).clip(0.0, 1.0)
    raised = (
        rows.filter(pl.col("target_weight") > pl.col("held_weight"))
        .with_columns(_size())
        .join(over.with_columns(scale.alias("scale")), on="class")
        .sort("symbol")
    )
    shown = ", ".join(
        f"{each} {weight:.1%} (bound {limit:.1%})"
        for each, weight, limit in over.select("class", "weight", "limit").rows()
    )
    return Verdict(
        name,
        Outcome.SHRINK,
        f"Purchases are shrunk so that each class keeps its bound: {shown}.",
        by_symbol=dict(raised.select("symbol", "scale").rows()),
        measured=measured,
    )
