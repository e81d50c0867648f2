"""Of how many proposed trades the gate knows risk, reward, odds and outcome, and why not of the rest (S1.20)."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

#: What is wanted of a trade, and the reasons it can be missing for, the first that holds; columns of `trade_facts`.
_BOUNDED = pl.col("max_loss").is_not_null() & pl.col("max_profit").is_not_null()
WANTED: Mapping[str, Mapping[str, pl.Expr]] = {
    "risk and reward": {
        "it has no strikes": pl.col("strike1").is_null(),
        "it has no premium": pl.col("premium").is_null(),
        "a leg lacks its side or its right": ~_BOUNDED
        & pl.any_horizontal(
            (pl.col(f"strike{i}").is_not_null() & (pl.col(f"direction{i}").is_null() | pl.col(f"type{i}").is_null()))
            for i in range(1, 5)
        ),
        "its loss or its profit has no bound": ~_BOUNDED,
        "its premium is all that its strikes can be worth, or more": (pl.col("max_loss") <= 0)
        | (pl.col("max_profit") <= 0),
    },
    "odds of the price": {
        "it has no price of the underlying": pl.col("price").is_null(),
        "nothing says how far the price may move": pl.col("price_probability").is_null(),
    },
    "outcome": {"its profit is missing; that is no loss": pl.col("profit_usd").is_null()},
}
COMPUTED = "computed"


def computed(facts: pl.DataFrame) -> pl.DataFrame:
    """Every trade counted once for each thing that is wanted of it.

    Parameters
    ----------
    facts : of `trade_facts.facts`.

    Returns
    -------
    polars.DataFrame
        ``what``, ``reason`` (`COMPUTED`, or why not), ``trades``, ``share``; reasons without a trade are left out. The
        trades of each ``what`` add up to all.
    """
    found = []
    for what, reasons in WANTED.items():
        told = pl.coalesce(*(pl.when(missing).then(pl.lit(reason)) for reason, missing in reasons.items()))
        counts = (
            facts.select(told.fill_null(COMPUTED).alias("reason"))
            .group_by("reason")
            .agg(pl.len().cast(pl.Int64).alias("trades"))
            .sort(pl.col("reason") != COMPUTED, "trades", "reason", descending=[False, True, False])
        )
        share = pl.col("trades") / max(facts.height, 1)
        found.append(counts.select(pl.lit(what).alias("what"), "reason", "trades", share.alias("share")))
    return pl.concat(found)
