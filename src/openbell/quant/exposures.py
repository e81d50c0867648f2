"""A decision beside the book: what each name weighs now, is meant to weigh, and will weigh after its trade."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from openbell.core.errors import BadInput, DataMissing
from openbell.core.types import Book, Decision

HELD_SCHEMA: Mapping[str, Any] = {"symbol": pl.String, "current_shares": pl.Int64, "mark_usd": pl.Float64}


def priced(targets: Mapping[str, float], book: Book, names: pl.DataFrame) -> pl.DataFrame:
    """Every name held or aimed at, with one price, its weight now and its target.

    Parameters
    ----------
    targets : symbol to weight of the account. book : what is held. names : the frame of `core.types.Market.names`;
        only ``symbol`` and ``price_usd`` are needed.

    Returns
    -------
    DataFrame sorted by symbol
        The columns of `names`, and ``current_shares``, ``target_weight`` (0 for a name no longer aimed at), ``price``
        (the market's last close; for a held name without one, the price the book carries it at), ``held_weight``.
        Weights are fractions of `account_usd`, cash included.

    Raises
    ------
    BadInput
        A name that `names` lists twice.
    DataMissing
        A name without a price: a missing price is never counted as 0.
    """
    if names["symbol"].is_duplicated().any():
        twice = names.filter(pl.col("symbol").is_duplicated())["symbol"][0]
        raise BadInput(f"The market lists {twice} more than once; one row per name is needed. Check the universe.")
    held = pl.DataFrame(
        [(symbol, count, book.price_usd[symbol]) for symbol, count in book.shares.items() if count],
        schema=dict(HELD_SCHEMA),
        orient="row",
    )
    aimed = pl.DataFrame(
        {"symbol": list(targets), "target_weight": list(targets.values())},
        schema={"symbol": pl.String, "target_weight": pl.Float64},
    )
    rows = (
        held.join(aimed, on="symbol", how="full", coalesce=True)
        .join(names, on="symbol", how="left")
        .with_columns(
            pl.coalesce(_valid("price_usd"), _valid("mark_usd")).alias("price"),
            pl.col("current_shares").fill_null(0),
            pl.col("target_weight").fill_null(0.0),
        )
        .sort("symbol")
    )
    missing = rows.filter(pl.col("price").is_null())["symbol"].to_list()
    if missing:
        raise DataMissing(
            f"There is no valid price for {', '.join(missing)}; a name without a price cannot be held or traded, and a "
            "missing price is never counted as 0. Import its bars, or leave it out of the universe."
        )
    value = book.cash_usd + float((rows["current_shares"] * rows["price"]).sum())
    return rows.with_columns((pl.col("current_shares") * pl.col("price") / value).alias("held_weight"))


def account_usd(rows: pl.DataFrame, book: Book) -> float:
    """Cash plus the value of all shares at the prices of `rows` (from `priced`), USD."""
    return book.cash_usd + float((rows["current_shares"] * rows["price"]).sum())


def exposures(decision: Decision, book: Book, names: pl.DataFrame) -> pl.DataFrame:
    """`priced` for a decision, with what its trades make of it.

    Adds ``traded_shares`` (positive for a buy, negative for a sale, 0 without a trade), ``after_shares`` and
    ``after_weight`` (a fraction of the account before costs).
    """
    rows = priced(decision.targets, book, names)
    value = account_usd(rows, book)
    signed = decision.trades.select(
        "symbol",
        pl.when(pl.col("side") == "SELL").then(-pl.col("shares")).otherwise(pl.col("shares")).alias("traded_shares"),
    )
    return (
        rows.join(signed, on="symbol", how="left")
        .with_columns(pl.col("traded_shares").fill_null(0))
        .with_columns((pl.col("current_shares") + pl.col("traded_shares")).alias("after_shares"))
        .with_columns((pl.col("after_shares") * pl.col("price") / value).alias("after_weight"))
        .sort("symbol")
    )


def _valid(column: str) -> pl.Expr:
    price = pl.col(column)
    return pl.when(price.is_finite() & (price > 0)).then(price)
