"""Rules over runs of rows of one symbol: placeholders, stale prices, ranges made up from the close, holes."""

from __future__ import annotations

import polars as pl

from openbell.market.quality import rules
from openbell.market.quality.rules import found, number

STALE_SESSIONS = 5
#: Without any volume in the source a repeated close says less, so it takes longer.
STALE_SESSIONS_WITHOUT_VOLUME = 10
PLACEHOLDER_USD = 0.02
FABRICATED_SESSIONS = 20
#: Two prices rounded to cents make a ratio uncertain by so much of the price.
CENT_NOISE_USD = 0.0101
FLAT_SESSIONS = 60
FLAT_SHARE = 0.20


def before(name: str, rows: int = 1) -> pl.Expr:
    """The value of `name` so many rows earlier in the same symbol; `rows` are sorted by symbol and session."""
    return pl.when(pl.col("symbol") == pl.col("symbol").shift(rows)).then(pl.col(name).shift(rows))


def stale_findings(rows: pl.DataFrame, traded: frozenset[str]) -> pl.DataFrame:
    """Placeholders and stale prices. `traded` names the symbols that have traded before the first row at hand."""
    flat = pl.all_horizontal((pl.col(name) == pl.col("close")).fill_null(True) for name in ("open", "high", "low"))
    untraded = ((pl.col("volume") > 0) | pl.col("volume").is_null()).cum_sum().over("symbol") == 0
    unlisted = untraded & ~pl.col("symbol").is_in(sorted(traded))
    idle = (pl.col("volume") == 0) & flat
    # Without a high and a low nobody knows whether a first price without volume moved.
    unlisted = unlisted & pl.col("high").is_not_null() & pl.col("low").is_not_null()
    placeholder = idle & ((pl.col("close") < PLACEHOLDER_USD) | unlisted)
    return pl.concat(
        [
            found(
                rows,
                rules.PLACEHOLDER,
                placeholder,
                pl.format("close {} with volume 0", number("close")),
            ),
            _stale(rows),
        ]
    )


def _stale(rows: pl.DataFrame) -> pl.DataFrame:
    idle = ~(pl.col("volume") > 0).fill_null(False)
    same = idle & (pl.col("close") == before("close"))
    known = pl.col("volume").is_not_null()
    # A run starts with the first idle row of a close: the row before it may have been traded at the same price.
    starts = ~same | ~before("idle").fill_null(False)
    place = pl.int_range(pl.len())
    since = pl.when(starts.fill_null(True)).then(place).forward_fill()
    rows = rows.with_columns(idle.alias("idle")).with_columns((place - since + 1).alias("sessions"))
    limit = pl.when(known).then(STALE_SESSIONS).otherwise(STALE_SESSIONS_WITHOUT_VOLUME)
    return found(
        rows,
        rules.STALE,
        pl.col("idle") & (pl.col("sessions") >= limit),
        pl.format("{} sessions at {} without a trade", "sessions", number("close")),
    )


def range_findings(rows: pl.DataFrame) -> pl.DataFrame:
    """Ranges made up from the close, and two notes on ranges that say nothing."""
    rows = rows.with_columns(
        (pl.col("high") / pl.col("close")).alias("top"),
        (pl.col("low") / pl.col("close")).alias("bottom"),
        (CENT_NOISE_USD / pl.col("close")).alias("cent"),
    )
    flat = pl.all_horizontal(pl.col(name) == pl.col("close") for name in ("open", "high", "low"))
    share = flat.cast(pl.Float64).rolling_mean(FLAT_SESSIONS, min_samples=FABRICATED_SESSIONS).over("symbol")
    ranged = (pl.col("high") > pl.col("low")) & (pl.col("volume") == 0)
    return pl.concat(
        [
            _fabricated(rows, "top", "high"),
            _fabricated(rows, "bottom", "low"),
            found(rows, rules.NO_VOLUME, ranged, pl.format("low {} to high {}", number("low"), number("high"))),
            found(
                rows.with_columns(share.alias("share"), flat.alias("flat")),
                rules.FLAT_RANGE,
                pl.col("flat") & (pl.col("share") > FLAT_SHARE),
                pl.format("{} % of the sessions", (pl.col("share") * 100).round(0).cast(pl.Int64)),
            ),
        ]
    )


def _fabricated(rows: pl.DataFrame, ratio: str, price: str) -> pl.DataFrame:
    highest = pl.col(ratio).rolling_max(FABRICATED_SESSIONS).over("symbol")
    lowest = pl.col(ratio).rolling_min(FABRICATED_SESSIONS).over("symbol")
    # Ratios that differ by rounding alone are one number; one too near to 1 is rounding itself (a deal stock's range).
    noise = pl.max_horizontal(pl.lit(4e-6), pl.col("cent").rolling_max(FABRICATED_SESSIONS).over("symbol"))
    constant = (highest - lowest <= noise) & ((pl.col(ratio) - 1).abs() > 3 * noise)
    return found(
        rows,
        rules.FABRICATED_RANGE,
        constant,
        pl.format(f"the {price} is {{}} of the close in 20 sessions on end", pl.col(ratio).round(6)),
    )


def hole_findings(rows: pl.DataFrame) -> pl.DataFrame:
    """Sessions missing between a row and the one before it."""
    missing = pl.col("number").cast(pl.Int64) - before("number").cast(pl.Int64) - 1
    return found(
        rows.with_columns(missing.alias("missing"), before("session").alias("last")),
        rules.MISSING_SESSIONS,
        pl.col("missing") > 0,
        pl.format("{} after {}", "missing", "last"),
    )
