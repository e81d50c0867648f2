"""Rules that look at one quote alone, or at the same contract twice."""

from __future__ import annotations

import polars as pl

from openbell.core.time import Sessions
from openbell.market.contracts import class_columns
from openbell.market.quality import chain_rules as rules
from openbell.market.quality.chain_rules import CHAIN_KEY, chain_found, number

CONTRACT = ["root", "expiry", "strike", "right"]
NUMBERS = ("bid", "ask", "last", "volume", "open_interest")
#: A vendor's solver that gives up writes 0, or the number it started from (Yahoo: 0.00001); no option is worth that.
NO_VOLATILITY = 1e-4
#: Rounding of vendors' deltas: an in-the-money call may stand at 1.0001, a worthless put at 0.0001.
DELTA_NOISE = 0.01


def session_findings(rows: pl.DataFrame, sessions: Sessions) -> pl.DataFrame:
    """Chains on days without a session: what they show was copied from the day before, or made up."""
    days = pl.Series(sessions.dates, dtype=pl.Date).implode()
    weekday = pl.col("session").dt.strftime("%A")
    return chain_found(
        rows,
        rules.NO_SESSION,
        ~pl.col("session").is_in(days) | pl.col("session").is_null(),
        pl.format("{} ({}) is no session of {}", "session", weekday, pl.lit(sessions.exchange)),
    )


def quote_findings(rows: pl.DataFrame) -> pl.DataFrame:
    """Terms, numbers, expiries and the two sides of each quote. `rows` have ``expires_at``."""
    adjusted = class_columns(rows["root"]).filter("adjusted")["root"].implode()
    terms = pl.col("strike").is_null() | ~(pl.col("strike") > 0)
    missing = pl.any_horizontal(pl.col(name).is_null() for name in ("root", "expiry", "right"))
    negative = [
        chain_found(rows, rules.BAD_NUMBER, pl.col(n) < 0, pl.format("{} {}", pl.lit(n), number(n))) for n in NUMBERS
    ]
    bid, ask = pl.col("bid").fill_null(0.0), pl.col("ask").fill_null(0.0)
    both = pl.format("bid {}, ask {}", number("bid"), number("ask"))
    named = pl.format("strike {}, expiry {}", number("strike"), pl.col("expiry").cast(pl.String).fill_null("none"))
    return pl.concat(
        [
            chain_found(rows, rules.BAD_TERMS, terms | missing, named),
            *negative,
            chain_found(
                rows,
                rules.EXPIRED,
                pl.col("expires_at") <= pl.col("quote_at"),
                pl.format("expired at {}, quoted at {}", _minute("expires_at"), _minute("quote_at")),
            ),
            chain_found(rows, rules.ADJUSTED, pl.col("root").is_in(adjusted), pl.format("class {}", "root")),
            chain_found(rows, rules.CROSSED, (ask > 0) & (bid > ask), both),
            chain_found(rows, rules.LOCKED, (ask > 0) & (bid == ask), both),
            chain_found(rows, rules.ZERO_BID, (bid == 0) & (ask > 0), both),
            chain_found(rows, rules.NO_QUOTE, (bid == 0) & (ask == 0), both),
            chain_found(rows, rules.NO_ASK, (bid > 0) & (ask == 0), both),
        ]
    )  # fmt: skip


def vendor_findings(rows: pl.DataFrame) -> pl.DataFrame:
    """What the vendor says of volatility and delta and cannot be."""
    call = pl.col("right") == "CALL"
    low, high = pl.when(call).then(0.0).otherwise(-1.0), pl.when(call).then(1.0).otherwise(0.0)
    delta = pl.col("vendor_delta")
    return pl.concat(
        [
            chain_found(
                rows,
                rules.VENDOR_IV_ZERO,
                pl.col("vendor_iv") <= NO_VOLATILITY,
                pl.format("volatility {}", pl.col("vendor_iv").round(6)),
            ),
            chain_found(
                rows,
                rules.VENDOR_DELTA,
                (delta < low - DELTA_NOISE) | (delta > high + DELTA_NOISE),
                pl.format("delta {} of a {}", number("vendor_delta"), pl.col("right").str.to_lowercase()),
            ),
        ]
    )


def duplicate_findings(rows: pl.DataFrame) -> pl.DataFrame:
    """The same contract at the same moment more than once."""
    key = [*CHAIN_KEY, *CONTRACT]
    again = rows.filter(pl.struct(key).is_duplicated())
    if again.is_empty():
        return rules.no_findings()
    ranked = again.with_columns(
        pl.struct(NUMBERS).n_unique().over(key).alias("versions"),
        pl.len().over(key).alias("times"),
        pl.col("row").rank("ordinal").over(key).alias("turn"),
    )
    return pl.concat(
        [
            chain_found(
                ranked,
                rules.DUPLICATE_CONTRACT,
                (pl.col("versions") == 1) & (pl.col("turn") > 1),
                pl.format("came {} times", "times"),
            ),
            chain_found(
                ranked,
                rules.CONFLICTING_CONTRACT,
                pl.col("versions") > 1,
                pl.format("came {} times, here with bid {} and ask {}", "times", number("bid"), number("ask")),
            ),
        ]
    )


def _minute(name: str) -> pl.Expr:
    return pl.col(name).dt.strftime("%Y-%m-%d %H:%M UTC")
