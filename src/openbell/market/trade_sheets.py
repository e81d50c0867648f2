"""Day folders of trade sheets as rows of proposed trades: every row in is a row out, or counted with its reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from openbell.core.errors import BadInput, unknown
from openbell.core.time import MOMENT, Sessions
from openbell.core.trade_rows import SHEET_SYMBOLS, TRADES
from openbell.market.trade_sheet_cleaning import EXCHANGE_ZONE
from openbell.market.trade_sheet_files import Sheet, cells, every_sheet, raw_frame
from openbell.market.trade_sheet_headers import SOURCES
from openbell.market.trade_sheet_legs import with_legs_of_texts
from openbell.market.trade_sheet_merging import Merged, deduplicated, merged, missing_columns
from openbell.market.trade_sheet_rows import judged
from openbell.market.trade_sheet_units import MULTIPLIER, Unit, in_points

UNITS: tuple[Unit, ...] = ("auto", "points", "usd")


@dataclass(frozen=True, eq=False)
class Imported:
    """What the sheets of some day folders say.

    Of every source ``rows == skipped + duplicates + used``, and the trades are the ``used`` rows of the profit and of
    the trades sheets less the ``matched`` ones, which stand in one row.

    Attributes
    ----------
    trades : columns of `core.trade_rows.TRADES`, one row per (symbol, strategy, minute), sorted.
    counts : per source ``sheets``, ``rows``, ``skipped``, ``duplicates``, ``used``, ``matched``, ``unmatched``.
    set_aside : ``source``, ``file``, ``line``, ``rule``, ``shown`` and what is known of ``symbol``, ``strategy``,
        ``minute`` of every row that is no trade, duplicates among them.
    conflicts : values of two sheets that differ: `Merged.conflicts`.
    unread : texts that gave no legs where no sheet did: ``why``, ``rows``, ``example``.
    units : what each profit sheet's profits are in: `trade_sheet_units.in_points`.
    flags : ``flag``, ``rows``: what was kept and is worth a look. notes : sentences on all of it.
    failed : sheet or folder -> why nothing of it was taken in.
    """

    trades: pl.DataFrame
    counts: pl.DataFrame
    set_aside: pl.DataFrame
    conflicts: pl.DataFrame
    unread: pl.DataFrame
    units: pl.DataFrame
    flags: pl.DataFrame
    notes: tuple[str, ...]
    failed: dict[str, str]


def imported(folders: Sequence[Path], sessions: Sessions, *, unit: Unit = "auto") -> Imported:
    """Every trade in the day folders `folders`, or in the day folders that these hold.

    Parameters
    ----------
    sessions : of the exchange, for the day and the close of each trade.
    unit : what the profits are in; ``auto`` finds it per profit sheet, see `trade_sheet_units.in_points`.

    Raises
    ------
    BadInput : a folder is none, or no sheet of any could be read; the sentence names file and line.
    """
    if unit not in UNITS:
        raise unknown("unit of profits", str(unit), UNITS)
    frames, ignored, failed = _read(folders)
    kept, aside, received = {}, [], {}
    for source in SOURCES:
        raw = raw_frame(source, frames[source])
        good, bad = judged(source, raw, sessions)
        key = ("symbol", "minute") if source == "delta" else ("symbol", "strategy", "minute")
        kept[source], twice = deduplicated(source, good, key)
        aside += [bad, twice]
        received[source] = (len(frames[source]), raw.height)
    whole = merged(kept["profit"], kept["trades"], kept["delta"])
    rows = with_legs_of_texts(missing_columns(whole.rows))
    rows, units = in_points(rows, unit)
    rows = _dated(rows, sessions)
    out = pl.concat(aside)
    return Imported(
        trades=rows.select(pl.col(name).cast(kind) for name, kind in TRADES.items()),
        counts=_counts(received, out, {name: frame.height for name, frame in kept.items()}, whole),
        set_aside=out,
        conflicts=whole.conflicts,
        unread=_unread(rows),
        units=units,
        flags=_flags(rows),
        notes=_notes(rows, units, whole, ignored),
        failed=failed,
    )


def _read(folders: Sequence[Path]) -> tuple[dict[str, list[pl.DataFrame]], dict[str, int], dict[str, str]]:
    """The cells of every sheet by source, columns that mean nothing to us by count, and what could not be read."""
    frames: dict[str, list[pl.DataFrame]] = {source: [] for source in SOURCES}
    ignored: dict[str, int] = {}
    failed: dict[str, str] = {}
    for sheet in every_sheet(folders):
        if not isinstance(sheet, Sheet):
            failed[sheet[0]] = sheet[1]
            continue
        try:
            known, rows = cells(sheet)
        except BadInput as failure:
            failed[sheet.name] = str(failure)
            continue
        frames[sheet.source].append(rows)
        for name in known.ignored:
            ignored[f"{sheet.source} {name}"] = ignored.get(f"{sheet.source} {name}", 0) + 1
    if not any(frames.values()):
        raise BadInput(" ".join(failed.values()) or "No folder was named. Name day folders (YYYY-MM-DD-XXXXX).")
    return frames, ignored, failed


def _dated(rows: pl.DataFrame, sessions: Sessions) -> pl.DataFrame:
    """Clock, unit and outcome of each row: the outcome is known at the close of the last session of the expiry.

    A trade expires on its own session unless its text says otherwise; an expiry without a session, a Saturday's, is
    settled by the session before it.
    """
    clock = (
        rows.select("minute")
        .unique()
        .with_columns(pl.col("minute").dt.convert_time_zone(EXCHANGE_ZONE).dt.strftime("%H:%M").alias("time"))
    )
    rows = rows.with_columns(pl.coalesce("text_expiry", "session").alias("expiry"))
    rows = rows.join(clock, on="minute", how="left", maintain_order="left")
    rows = rows.join(_closes(rows["expiry"], sessions), on="expiry", how="left", maintain_order="left").with_columns(
        pl.col("session").alias("date"),
        pl.col("minute").alias("timestamp"),
        (pl.col("profit") > 0).alias("win"),
        pl.lit("points").alias("unit"),
        pl.lit(MULTIPLIER).alias("multiplier"),
        pl.col("exact_at").cast(MOMENT).alias("known_at"),
    )
    known = pl.when(pl.col("profit").is_not_null()).then(pl.max_horizontal("close_at", "known_at"))
    return rows.with_columns(known.alias("outcome_known_at"))


def _closes(expiries: pl.Series, sessions: Sessions) -> pl.DataFrame:
    """``close_at`` of each distinct expiry."""
    closes = sessions.frame.select(pl.col("session").alias("last"), "close_at").sort("last")
    days = expiries.unique().drop_nulls().sort().alias("expiry").to_frame()
    return days.join_asof(closes, left_on="expiry", right_on="last", strategy="backward").drop("last")


def _counts(
    received: dict[str, tuple[int, int]], aside: pl.DataFrame, used: dict[str, int], whole: Merged
) -> pl.DataFrame:
    rows = []
    for source in SOURCES:
        mine = aside.filter(pl.col("source") == source)
        twice = mine.filter(pl.col("rule").str.starts_with("duplicate")).height
        sheets, all_rows = received[source]
        matched = whole.matched[source]
        rows.append(
            (source, sheets, all_rows, mine.height - twice, twice, used[source], matched, used[source] - matched)
        )
    columns = ["source", "sheets", "rows", "skipped", "duplicates", "used", "matched", "unmatched"]
    return pl.DataFrame(
        rows, schema={name: pl.String if name == "source" else pl.Int64 for name in columns}, orient="row"
    )


def _unread(rows: pl.DataFrame) -> pl.DataFrame:
    without = rows.filter(pl.col("legs_from").is_null())
    return (
        without.group_by("why")
        .agg(pl.len().cast(pl.Int64).alias("rows"), pl.col("trade_description").first().alias("example"))
        .sort("rows", "why", descending=[True, False])
    )


def _incomplete() -> pl.Expr:
    """Whether a leg has a strike, and no side or no right."""
    return pl.any_horizontal(
        pl.col(f"strike{leg}").is_not_null() & (pl.col(f"direction{leg}").is_null() | pl.col(f"type{leg}").is_null())
        for leg in range(1, 5)
    )


def _flags(rows: pl.DataFrame) -> pl.DataFrame:
    closes = pl.col("date") != pl.col("expiry")
    hour = pl.col("time").is_between(pl.lit("09:30"), pl.lit("16:00"))
    flags = {
        "negative premium": pl.col("premium") < 0,
        "zero premium": pl.col("premium") == 0,
        "no premium": pl.col("premium").is_null(),
        "no profit": pl.col("profit").is_null(),
        "no profit but a managed one": pl.col("managed_only"),
        "profit from Raw": pl.col("from_raw"),
        "profit beyond what the structure can pay": pl.col("beyond"),
        "legs from the sheet": pl.col("legs_from") == "sheet",
        "legs from the text": pl.col("legs_from") == "text",
        "no legs": pl.col("legs_from").is_null(),
        "legs without a side or a right": _incomplete(),
        "middle leg of a butterfly written as one, taken as two": pl.col("body_doubled"),
        "expires later than its session": closes,
        "price from the delta sheet": pl.col("price_from_delta"),
        "outside 09:30 to 16:00": ~hour,
        "cells that are no number": pl.col("unread_cells") > 0,
        "symbol outside the eight": ~pl.col("symbol").is_in(list(SHEET_SYMBOLS)),
    }
    told = rows.select(test.fill_null(False).sum().cast(pl.Int64).alias(name) for name, test in flags.items())
    return told.transpose(include_header=True, header_name="flag", column_names=["rows"])


def _notes(rows: pl.DataFrame, units: pl.DataFrame, whole: Merged, ignored: dict[str, int]) -> tuple[str, ...]:
    notes = []
    usd = units.filter(pl.col("unit") == "usd")
    if usd.height:
        notes.append(
            f"The profits of {usd.height:,} of {units.height:,} profit sheets are in USD and were divided by 100: "
            f"{int(usd['votes_usd'].sum()):,} of their rows gain or lose more than their structure can in points."
        )
    silent = units.filter((pl.col("telling") == 0) & (pl.col("profits") > 0))
    if silent.height:
        notes.append(
            f"Nothing in {silent.height:,} profit sheets tells the unit of their profits; points were assumed. Name "
            "the unit with `--profit-unit` if that is wrong."
        )
    for name, count in whole.conflicts.group_by("column", maintain_order=True).len().iter_rows():
        notes.append(f"In {count:,} trades the sheets differ in `{name}`; the profit sheet's was kept.")
    early = rows.filter(~pl.col("time").is_between(pl.lit("09:30"), pl.lit("16:00"))).height
    if 2 * early > rows.height:
        notes.append(
            f"{early:,} of {rows.height:,} trades lie outside 09:30 to 16:00: is the clock of their sheets right?"
        )
    notes += [f"The column `{name}` of {count:,} sheets was not used." for name, count in sorted(ignored.items())]
    return tuple(notes)
