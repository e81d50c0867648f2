"""The rules of the quality gate: what each is called, what it says, and what follows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import polars as pl


@dataclass(frozen=True)
class Rule:
    """One rule. A row that breaks a "quarantine" rule is kept apart from the bars; a "note" only says so."""

    name: str
    sentence: str
    action: Literal["quarantine", "note"] = "quarantine"


NOT_A_SESSION = Rule("not_a_session", "The exchange holds no session on that day.")
DUPLICATE = Rule("duplicate", "The same symbol and session came more than once; an exact repeat is kept once.")
CONFLICTING_DUPLICATE = Rule(
    "conflicting_duplicate", "The same symbol and session came more than once with different numbers; none is believed."
)
MISSING_CLOSE = Rule("missing_close", "There is no closing price.")
BAD_PRICE = Rule("bad_price", "A price is zero, negative or not a number.")
BAD_VOLUME = Rule("bad_volume", "The volume is negative or not a number.")
OHLC_ORDER = Rule("ohlc_order", "The high lies below another price, or the low above one.")
PLACEHOLDER = Rule(
    "placeholder", "A constant stands in for a price: no volume, no range, and under 2 cents or before the first trade."
)
STALE = Rule("stale", "The close has not moved for 5 sessions and nothing was traded.")
FABRICATED_RANGE = Rule(
    "fabricated_range", "The high or the low has been a constant multiple of the close for 20 sessions."
)
UNADJUSTED_SPLIT = Rule(
    "unadjusted_split", "The price jumped by a simple ratio on a quiet day, and no action explains it."
)
TICKER_FLIP = Rule(
    "ticker_flip", "The price jumped to another level that no action and no trading explains: another instrument."
)
TICKER_REUSE = Rule(
    "ticker_reuse", "The symbol came back after more than 20 missing sessions at another level: another instrument."
)
NEW_LEVEL = Rule(
    "new_level", "A jump was taken for real because the new level held for 21 sessions; check the instrument.", "note"
)
NO_VOLUME = Rule("no_volume", "The price moved within the session, yet the volume is zero.", "note")
FLAT_RANGE = Rule(
    "flat_range", "In over 20 % of the last 60 sessions open, high, low and close are one number.", "note"
)
MISSING_SESSIONS = Rule("missing_sessions", "Sessions are missing since the row before.", "note")

RULES: tuple[Rule, ...] = (
    NOT_A_SESSION,
    DUPLICATE,
    CONFLICTING_DUPLICATE,
    MISSING_CLOSE,
    BAD_PRICE,
    BAD_VOLUME,
    OHLC_ORDER,
    PLACEHOLDER,
    STALE,
    FABRICATED_RANGE,
    UNADJUSTED_SPLIT,
    TICKER_FLIP,
    TICKER_REUSE,
    NEW_LEVEL,
    NO_VOLUME,
    FLAT_RANGE,
    MISSING_SESSIONS,
)

#: What a family of rules finds: `row` is the position of the judged row in what was handed in.
FINDINGS = pl.Schema({"row": pl.UInt32, "rule": pl.String, "reason": pl.String})


def found(rows: pl.DataFrame, rule: Rule, when: pl.Expr, reason: pl.Expr) -> pl.DataFrame:
    """Findings of `rule` where `when` holds; a null condition does not hold."""
    # polars 2.1 panics in `format` on a frame of several chunks, which a filter in several threads leaves behind.
    return (
        rows.filter(when.fill_null(False))
        .rechunk()
        .select(pl.col("row"), pl.lit(rule.name).alias("rule"), reason.cast(pl.String).fill_null("").alias("reason"))
    )


def number(name: str) -> pl.Expr:
    """A value as it is written in a reason."""
    return pl.col(name).round(4).cast(pl.String).fill_null("none")
