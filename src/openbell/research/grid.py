"""The bars of a view on the session grid, and which fields they really have."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from openbell.core.view import View

#: Columns of ``View.bars`` that an expression may read.
BAR_COLUMNS = (
    "open", "high", "low", "close", "volume", "raw_open", "raw_high", "raw_low", "raw_close", "raw_volume",
)  # fmt: skip
_FIELDS = ("open", "high", "low", "volume")
#: A field that fewer than this share of the bars have counts as lacking.
FIELD_SHARE = 0.5
#: What is measured, the largest share that real ranges show, and how it reads.
_FABRICATIONS = (
    ("single", 0.2, "of the bars have open = high = low = close"),
    ("fixed", 0.2, "of the highs are the same multiple of the close"),
    ("copied", 0.9, "of the highs are the close"),
)


def lacking_fields(view: View, freq: str = "1d") -> Mapping[str, str]:
    """Bar columns that the data do not really have, each with the reason; decided for the data set as a whole.

    Lacking is a field that under half of the bars hold. Where over 20 % of the bars have open = high = low = close, or
    a high at the same multiple of the close, the ranges are fabricated: open, high and low count as lacking.
    """
    lacking = lacking_columns(view.facts("bars").filter(pl.col("freq") == freq))
    return {**lacking, **{f"raw_{name}": reason for name, reason in lacking.items()}}


def lacking_columns(bars: pl.LazyFrame) -> dict[str, str]:
    """Of ``open high low volume`` those that `bars` do not really have, each with the reason."""
    single = (pl.col("open") == pl.col("high")) & (pl.col("high") == pl.col("low")) & (pl.col("low") == pl.col("close"))
    multiple = pl.col("high") / pl.col("close")
    fixed = (multiple - multiple.median()).abs() < 1e-4
    found = (
        bars.select(
            pl.len().alias("rows"),
            pl.col(_FIELDS).count(),
            single.mean().alias("single"),
            (fixed & (multiple != 1.0)).mean().alias("fixed"),
            (multiple == 1.0).mean().alias("copied"),
        )
        .collect()
        .row(0, named=True)
    )
    lacking: dict[str, str] = {}
    for name in _FIELDS:
        if found[name] < FIELD_SHARE * found["rows"]:
            lacking[name] = f"{found[name]:,} of {found['rows']:,} bars have a value of `{name}`"
    for what, most, sentence in _FABRICATIONS:
        if "high" not in lacking and (found[what] or 0.0) > most:
            lacking |= dict.fromkeys(("open", "high", "low"), f"{found[what]:.0%} {sentence}: the ranges are made up")
    return lacking


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """Bars on the session grid, sorted by symbol and session.

    Attributes
    ----------
    frame : ``symbol``, ``session``, the bar columns, ``known_at``, ``number`` (Int64, counts sessions) and ``is_bar``.
        Between a symbol's first and last bar every session has a row; where there was no bar all values are null.
    notes : what was left out, in sentences.
    """

    frame: pl.DataFrame
    notes: tuple[str, ...]


def session_grid(
    view: View,
    *,
    symbols: Sequence[str] | None = None,
    first: dt.date | None = None,
    last: dt.date | None = None,
    freq: str = "1d",
) -> Grid:
    """Bars of `symbols` (None: all) from `first` to `last` on the session grid, nothing filled forward."""
    bars = view.bars(freq, first=first, last=last, symbols=symbols)
    numbers = view.sessions.frame.select("session", pl.col("number").cast(pl.Int64))
    found = (
        bars.select("symbol", "session", *BAR_COLUMNS, "known_at")
        .join(numbers.lazy(), on="session", how="left")
        .collect()
        .sort("symbol", "session")
    )
    outside = found.filter(pl.col("number").is_null())
    notes: tuple[str, ...] = ()
    if outside.height:
        example = outside.row(0, named=True)
        notes = (
            f"{outside.height:,} bars lie on days that are no session of {view.sessions.exchange} and are left out, "
            f"for example {example['symbol']} on {example['session']}.",
        )
        found = found.filter(pl.col("number").is_not_null())
    return Grid(_with_missing_sessions(found, numbers), notes)


def _with_missing_sessions(found: pl.DataFrame, numbers: pl.DataFrame) -> pl.DataFrame:
    found = found.with_columns(pl.lit(True).alias("is_bar"))
    before = pl.col("number").shift(1).over("symbol")
    gaps = found.select("symbol", "number", before.alias("before")).filter(pl.col("number") - pl.col("before") > 1)
    if gaps.is_empty():
        return found
    rows = (
        gaps.select("symbol", pl.int_ranges(pl.col("before") + 1, pl.col("number")).alias("number"))
        .explode("number")
        .join(numbers, on="number")
        .with_columns(pl.lit(False).alias("is_bar"))
    )
    return pl.concat([found, rows], how="diagonal").sort("symbol", "session")
