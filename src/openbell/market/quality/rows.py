"""Rules that judge a row by itself, or beside rows of the same symbol and session."""

from __future__ import annotations

import polars as pl

from openbell.market.batch import NUMBERS, PRICES
from openbell.market.quality import rules
from openbell.market.quality.rules import found, number

#: Single-precision prices of one moment differ by this much, relatively.
ORDER_TOLERANCE = 1e-6


def row_findings(rows: pl.DataFrame) -> pl.DataFrame:
    """What single rows break: no session, a bad price or volume, an impossible range, a repeat.

    `rows` have ``row``, ``number`` (of the session; null on other days) and the bar columns.
    """
    prices = (*PRICES, "adj_close")
    bad_price = pl.any_horizontal((pl.col(name) <= 0) | ~pl.col(name).is_finite() for name in prices)
    bad_volume = (pl.col("volume") < 0) | ~pl.col("volume").is_finite()
    listed = pl.format("open {}, high {}, low {}, close {}, adjusted close {}", *(number(name) for name in prices))
    day = pl.col("session").dt.strftime("%Y-%m-%d is a %A without a session")
    return pl.concat(
        [
            found(rows, rules.NOT_A_SESSION, pl.col("number").is_null(), day),
            found(rows, rules.MISSING_CLOSE, pl.col("close").is_null(), listed),
            found(rows, rules.BAD_PRICE, bad_price, listed),
            found(rows, rules.BAD_VOLUME, bad_volume, pl.format("volume {}", number("volume"))),
            found(rows, rules.OHLC_ORDER, _disordered() & ~bad_price.fill_null(False), listed),
            *_repeats(rows),
        ]
    )


def _disordered() -> pl.Expr:
    top = pl.max_horizontal("open", "low", "close")
    bottom = pl.min_horizontal("open", "high", "close")
    return (pl.col("high") < top * (1 - ORDER_TOLERANCE)) | (pl.col("low") > bottom * (1 + ORDER_TOLERANCE))


def _repeats(rows: pl.DataFrame) -> list[pl.DataFrame]:
    """Exact repeats after the first, and every row of a conflicting repeat."""
    key = ["symbol", "session"]
    repeated = rows.filter(pl.struct(key).is_duplicated()).sort("row")
    values = pl.struct(*NUMBERS)
    repeated = repeated.with_columns(
        values.n_unique().over(key).alias("versions"),
        pl.int_range(pl.len()).over(key).alias("copy"),
        pl.len().over(key).alias("copies"),
    )
    same = pl.col("versions") == 1
    return [
        found(
            repeated,
            rules.DUPLICATE,
            same & (pl.col("copy") > 0),
            pl.format("copy {} of {}, all alike", pl.col("copy") + 1, "copies"),
        ),
        found(
            repeated,
            rules.CONFLICTING_DUPLICATE,
            ~same,
            pl.format("{} rows in {} versions; this one closes at {}", "copies", "versions", number("close")),
        ),
    ]
