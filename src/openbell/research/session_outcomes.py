"""What came of each session: its regular hours, the price a decision is filled at, and the label."""

from __future__ import annotations

import polars as pl

from openbell.core.declare import Label
from openbell.core.errors import DeclarationError, nearest
from openbell.core.session import CLASSES, OUTCOMES
from openbell.core.time import MOMENT
from openbell.quant.chain_expressions import sum_of
from openbell.quant.expressions import ratio
from openbell.quant.reach import label_reach
from openbell.quant.session_expressions import AWAY, NEAR, visits
from openbell.research.session_early import RAGGED_MINUTES, Placed, late_start

#: Minutes after the cut-off by which the bar of the entry must have begun.
ENTRY_MINUTES = 30
READS = "session_outcomes"


def days(found: Placed) -> pl.DataFrame:
    """Regular hours of each session whose first and last bar are there.

    Returns
    -------
    polars.DataFrame
        ``session``, ``open``, ``high``, ``low``, ``close``, ``volume`` (of regular hours), ``last_at`` and
        ``known_at``, by session. A session that breaks off is not among them: its last close is not its close.
    """
    ragged = pl.duration(minutes=RAGGED_MINUTES)
    first, last = pl.col("begin").first(), pl.col("at").last()
    made = (
        found.bars.filter("regular")
        .group_by("session", maintain_order=True)
        .agg(
            pl.col("open").first(), pl.col("high").max(), pl.col("low").min(), pl.col("close").last(),
            sum_of(pl.col("volume")).alias("volume"), last.alias("last_at"), pl.col("known_at").max(),
            (first <= pl.col("regular_open_at").first() + late_start(found.minutes)).alias("begins"),
            (last >= pl.col("regular_close_at").first() - ragged).alias("ends"),
        )
    )  # fmt: skip
    return made.filter(pl.col("begins") & pl.col("ends")).drop("begins", "ends")


def outcomes(found: Placed) -> pl.DataFrame:
    """Outcomes of each session that has bars.

    Returns
    -------
    polars.DataFrame
        ``session``, the columns of `core.session.OUTCOMES`, ``entry_at``, ``exit_at``, ``exit``, ``known_at``. `entry`
        is the open of the first regular bar that begins at or after the cut-off, null where that is more than 30
        minutes later; all others are null where the session's regular hours are not all there (yet). An extreme is
        come back to within a tenth of the day's range, after a bar that stayed a quarter away; the middle is crossed
        from a tenth of the range below it to a tenth above, or back.
    """
    sessions = found.bars.select(pl.col("session").unique(maintain_order=True))
    whole = days(found)
    shape = _shape(found.bars.join(whole, on="session", how="semi"))
    named = whole.select(
        "session", *(pl.col(name).alias(f"day_{name}") for name in ("open", "high", "low", "close")),
        pl.col("last_at").alias("exit_at"), pl.col("close").alias("exit"), "known_at",
    )  # fmt: skip
    told = sessions.join(named, on="session", how="left").join(shape, on="session", how="left")
    told = told.join(_entries(found.bars), on="session", how="left")
    known = pl.max_horizontal("known_at", "regular_close_at")
    told = told.join(found.sessions.select("session", "regular_close_at"), on="session", how="left")
    told = told.with_columns(pl.when(pl.col("known_at").is_not_null()).then(known).alias("known_at"))
    return told.select("session", *OUTCOMES, "entry_at", "exit_at", "exit", "known_at")


def _entries(bars: pl.DataFrame) -> pl.DataFrame:
    after = bars.filter(pl.col("regular") & (pl.col("begin") >= pl.col("as_of")))
    first = after.group_by("session", maintain_order=True).agg(
        pl.col("begin").first().alias("entry_at"), pl.col("open").first().alias("entry"), pl.col("as_of").first()
    )
    soon = pl.col("entry_at") <= pl.col("as_of") + pl.duration(minutes=ENTRY_MINUTES)
    return first.filter(soon).drop("as_of")


def _shape(bars: pl.DataFrame) -> pl.DataFrame:
    """How each session went: its largest move against its own direction, returns to its extremes, crossings."""
    high, low, close = pl.col("high"), pl.col("low"), pl.col("close")
    start, top, bottom = pl.col("open").first(), high.max(), low.min()
    width = top - bottom
    # Extremes of the bars before, so that nothing is guessed about the order within a bar.
    fall = (pl.max_horizontal(high.cum_max().shift(1), start) - low).max()
    rise = (high - pl.min_horizontal(low.cum_min().shift(1), start)).max()
    against = pl.when(close.last() > start).then(fall).when(close.last() < start).then(rise)
    # Closes within a tenth of the middle are on no side, or short bars would cross it at every breath.
    off = close - (top + bottom) / 2.0
    side = pl.when(off > NEAR * width).then(1.0).when(off < -NEAR * width).then(-1.0).forward_fill()
    return (
        bars.filter("regular")
        .group_by("session", maintain_order=True)
        .agg(
            ratio(against.otherwise(pl.max_horizontal(fall, rise)), width).alias("retracement"),
            visits(high >= top - NEAR * width, high < top - AWAY * width).alias("tests_high"),
            visits(low <= bottom + NEAR * width, low > bottom + AWAY * width).alias("tests_low"),
            (side != side.shift(1)).sum().cast(pl.Float64).alias("crossings"),
        )
    )


def labelled(told: pl.DataFrame, label: Label | None) -> pl.DataFrame:
    """`told` with ``label`` (Int8, the code of its class) and ``label_known_at``, both null where there is none.

    Raises
    ------
    DeclarationError : for a label that is not of sessions, or that reads a column outcomes do not have.
    """
    if label is None:
        return told.with_columns(
            pl.lit(None, dtype=pl.Int8).alias("label"), pl.lit(None, dtype=MOMENT).alias("label_known_at")
        )
    if label.reads != READS or label.name not in CLASSES:
        raise DeclarationError(
            f"The label `{label.name}` reads `{label.reads}`; the session desk learns one of {', '.join(CLASSES)}."
        )
    label_reach(label)
    for name in label.expression.meta.root_names():
        if name not in OUTCOMES:
            raise DeclarationError(
                f"The label `{label.name}` ({label.module}) reads `{name}`, which outcomes do not have. "
                f"{nearest(name, OUTCOMES)}"
            )
    whole = pl.col("known_at").is_not_null()
    told = told.with_columns(pl.when(whole).then(label.expression).cast(pl.Int8).alias("label"))
    return told.with_columns(pl.when(pl.col("label").is_not_null()).then("known_at").alias("label_known_at"))
