"""A chain against that of the session before: copied as a whole, or quotes that stood still while the market moved."""

from __future__ import annotations

import polars as pl

from openbell.market.quality import chain_rules as rules
from openbell.market.quality.chain_arbitrage import TICK
from openbell.market.quality.chain_rules import CHAIN_KEY, EXPIRY_KEY, chain_found, number

#: Of the quotes that both sessions have. On honest days at most two in three were measured alike (a stock whose far
#: strikes hardly move); a copy has all of them alike.
COPIED_SHARE = 0.9
#: Fewer quotes than this in common prove nothing.
COPIED_QUOTES = 40
CONTRACT = ["underlying", "root", "expiry", "strike", "right"]
#: Columns of the earlier chains that are handed in.
EARLIER = (*CONTRACT, "session", "quote_at", "bid", "ask", "forward")


def with_previous(rows: pl.DataFrame, forwards: pl.DataFrame, earlier: pl.DataFrame) -> pl.DataFrame:
    """Quoted `rows` beside the same contract of the last chain of the session before: ``*_then`` columns.

    Parameters
    ----------
    earlier : columns of `EARLIER`: chains of other files, stored ones; those among `rows` themselves are used too.
    """
    quoted = rows.filter((pl.col("bid") > 0) & (pl.col("ask") > 0)).join(
        forwards.select(*EXPIRY_KEY, "forward"), on=EXPIRY_KEY, how="left", maintain_order="left"
    )
    own = quoted.select(EARLIER)
    pool = pl.concat([earlier.select(EARLIER).cast(dict(own.schema)), own]) if earlier.height else own  # type: ignore[arg-type]
    chains = pool.select("underlying", "session", "quote_at").unique()
    last = chains.group_by("underlying", "session").agg(pl.col("quote_at").max()).sort("underlying", "session")
    mine = quoted.select(CHAIN_KEY).unique().sort("session")
    before = mine.with_columns((pl.col("session") - pl.duration(days=1)).alias("until")).sort("until")
    before = before.join_asof(
        last.rename({"session": "session_then", "quote_at": "quote_at_then"}).sort("session_then"),
        left_on="until",
        right_on="session_then",
        by="underlying",
        strategy="backward",
        tolerance="6d",
        check_sortedness=False,
    ).drop("until")
    then = pool.rename({name: f"{name}_then" for name in EARLIER if name not in CONTRACT})
    return quoted.join(before.drop_nulls("session_then"), on=CHAIN_KEY).join(
        then, on=[*CONTRACT, "session_then", "quote_at_then"]
    )


def copy_findings(rows: pl.DataFrame, beside: pl.DataFrame) -> pl.DataFrame:
    """Whole chains that repeat the session before. `beside` is what `with_previous` gives."""
    same = (pl.col("bid") == pl.col("bid_then")) & (pl.col("ask") == pl.col("ask_then"))
    chains = beside.group_by([*CHAIN_KEY, "session_then"]).agg(
        same.mean().alias("share"), pl.len().cast(pl.Int64).alias("count")
    )
    copied = chains.filter((pl.col("share") >= COPIED_SHARE) & (pl.col("count") >= COPIED_QUOTES))
    return chain_found(
        rows.join(copied, on=CHAIN_KEY),
        rules.COPIED,
        pl.lit(True),
        pl.format("{} % of {} quotes are those of {}", (pl.col("share") * 100).round(1), "count", "session_then"),
    )


def stale_quote_findings(beside: pl.DataFrame) -> pl.DataFrame:
    """Quotes that stood still while their forward moved their intrinsic value by more than their spread."""
    sign = pl.when(pl.col("right") == "CALL").then(1.0).otherwise(-1.0)

    def intrinsic(forward: str) -> pl.Expr:
        return (sign * (pl.col(forward) - pl.col("strike"))).clip(lower_bound=0.0)

    moved = (intrinsic("forward") - intrinsic("forward_then")).abs()
    same = (pl.col("bid") == pl.col("bid_then")) & (pl.col("ask") == pl.col("ask_then"))
    return chain_found(
        beside,
        rules.STALE_QUOTE,
        same & (moved > pl.col("ask") - pl.col("bid") + TICK),
        pl.format(
            "bid {} and ask {} as on {}, while its intrinsic value moved by {}",
            number("bid"), number("ask"), "session_then", moved.round(2),
        ),
    )  # fmt: skip
