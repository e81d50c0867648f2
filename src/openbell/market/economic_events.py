"""A calendar of economic events into the table ``events``: what is released when, and since when that was announced."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from openbell.core.errors import BadInput
from openbell.core.time import MOMENT, utc
from openbell.market.importing import Appendable
from openbell.market.layouts import columns as recognised
from openbell.market.layouts import plain, require
from openbell.market.minute_times import moments
from openbell.market.providers.files import read_rows

TABLE = "events"
#: One row per announced release: `at` is the release, `known_at` the announcement of its date.
EVENTS: Mapping[str, pl.DataType | type[pl.DataType]] = {
    "name": pl.String,
    "at": MOMENT,
    "known_at": MOMENT,
    "source": pl.String,
}
SYNONYMS: Mapping[str, tuple[str, ...]] = {
    "name": ("name", "event", "release", "indicator", "title"),
    "at": ("at", "datetime", "timestamp", "release_at", "when", "ts"),
    "date": ("date", "day", "release_date"),
    "time": ("time", "release_time"),
    "known_at": ("known_at", "announced", "announced_at", "published", "published_at"),
}
#: What the usual releases are called elsewhere, after joining words by "_".
ALIASES: Mapping[str, str] = {
    "consumer_price_index": "CPI",
    "cpi_m_m": "CPI",
    "nonfarm_payrolls": "NFP",
    "non_farm_payrolls": "NFP",
    "employment_situation": "NFP",
    "jobs_report": "NFP",
    "producer_price_index": "PPI",
    "fomc_statement": "FOMC",
    "fomc_meeting": "FOMC",
    "fed_rate_decision": "FOMC",
    "retail_sales_m_m": "RETAIL_SALES",
    "gross_domestic_product": "GDP",
    "core_pce": "PCE",
    "pce_price_index": "PCE",
    "personal_consumption_expenditures": "PCE",
}
_NAME = re.compile(r"[A-Z][A-Z0-9_]{0,39}")
#: Where a file has days without a time of day: noon lies in the session of that day in every market.
_NOON = "12:00"


@dataclass(frozen=True, eq=False)
class EventsReport:
    """What became of one calendar. ``received == stored + known`` always holds.

    `names` are the releases of the file with how many rows each has; `first` and `last` the days it reaches.
    """

    name: str
    received: int
    stored: int
    known: int
    names: Mapping[str, int]
    first: dt.date
    last: dt.date
    commit: str | None
    notes: tuple[str, ...]


def import_events(
    tables: Appendable,
    path: str | Path,
    *,
    zone: str,
    announced_days: int | None = None,
    columns: Mapping[str, str] | None = None,
) -> EventsReport:
    """Add the events of a CSV or Parquet file that are new to the table ``events``, in one commit.

    Parameters
    ----------
    zone : of times without an offset.
    announced_days : for a file without the moment of the announcement: how many days before the release its date was
        public. It is never guessed: a date nobody knew yet must not choose the days of a study.
    columns : our name -> the file's column.

    Raises
    ------
    BadInput
        A row has no name or time, or nobody knows since when the dates were known.
    """
    place = Path(path)
    rows, notes = events(read_rows(place), zone=zone, announced_days=announced_days, columns=columns, path=place.name)
    held = tables.scan(TABLE).select("name", "at").collect() if tables.exists(TABLE) else rows.clear()
    new = rows.join(held.select("name", "at"), on=["name", "at"], how="anti", maintain_order="left")
    commit = tables.append_all({TABLE: new}) if new.height else None
    days = rows["at"].dt.convert_time_zone(zone).dt.date()
    return EventsReport(
        name=f"events:{place.name}",
        received=rows.height,
        stored=new.height,
        known=rows.height - new.height,
        names=dict(rows.group_by("name").len().sort("name").iter_rows()),
        first=days.min(),  # type: ignore[arg-type]
        last=days.max(),  # type: ignore[arg-type]
        commit=commit,
        notes=tuple(notes),
    )


def events(
    frame: pl.DataFrame,
    *,
    zone: str,
    announced_days: int | None = None,
    columns: Mapping[str, str] | None = None,
    path: str = "the file",
) -> tuple[pl.DataFrame, list[str]]:
    """Rows of `EVENTS` out of `frame`, each release once, sorted by time and name, and notes on how it was read."""
    if frame.is_empty():
        raise BadInput(f"{path} has no rows; there is nothing to import.")
    found = recognised(frame.columns, columns, path=path, synonyms=SYNONYMS)
    name_column = require(found, "name", frame.columns, path=path)
    at, notes = _at(frame, found.of, zone, path)
    known, more = _known(frame, found.of, at, zone, announced_days, path)
    rows = pl.DataFrame({"name": _names(frame[name_column], path), "at": at, "known_at": known})
    once = rows.sort("at", "name", "known_at").unique(["name", "at"], keep="first", maintain_order=True)
    if once.height < rows.height:
        notes.append(
            f"{rows.height - once.height:,} rows of {path} repeat a release; the earliest announcement counts."
        )
    late = int((once["known_at"] > once["at"]).sum())
    if late:
        notes.append(f"{late:,} releases of {path} were announced only after they had come; no study can foresee them.")
    source = pl.lit(f"events:{path}").alias("source")
    return once.with_columns(source).select(pl.col(n).cast(kind) for n, kind in EVENTS.items()), notes + more


def _at(frame: pl.DataFrame, found: Mapping[str, str], zone: str, path: str) -> tuple[pl.Series, list[str]]:
    if "at" in found:
        return moments(_text(frame[found["at"]]), zone, path=path)
    if "date" not in found:
        raise BadInput(
            f"{path} has no column with the day of the release; it has {', '.join(frame.columns[:12])}. "
            "Name it with --map date=COLUMN (and --map time=COLUMN), or --map at=COLUMN."
        )
    day = _days(frame[found["date"]], path)
    if "time" not in found:
        note = f"{path} has days without a time of day: each release counts for the session of its day."
        at, _ = moments((day + f" {_NOON}").alias("date"), zone, path=path)
        return at, [note]
    time = frame[found["time"]].cast(pl.String).str.strip_chars()
    return moments((day + " " + time.fill_null(_NOON)).alias("date"), zone, path=path)


def _days(column: pl.Series, path: str) -> pl.Series:
    """Days as ISO text; both 2024-01-31 and 01/31/2024 are read, nothing else."""
    said = column.cast(pl.String).str.strip_chars()
    forms = [said.str.to_date(form, strict=False) for form in ("%Y-%m-%d", "%m/%d/%Y")]
    read = min(forms, key=lambda each: each.null_count())
    if read.null_count():
        row = int(read.is_null().arg_max() or 0)
        raise BadInput(f"Row {row + 1} of {path} has no day that can be read: `{said[row]}`. Write it like 2024-01-31.")
    return read.cast(pl.String)


def _text(column: pl.Series) -> pl.Series:
    return column if column.dtype.is_temporal() and column.dtype != pl.Date else column.cast(pl.String)


def _known(
    frame: pl.DataFrame, found: Mapping[str, str], at: pl.Series, zone: str, announced_days: int | None, path: str
) -> tuple[pl.Series, list[str]]:
    if "known_at" in found:
        said = frame[found["known_at"]]
        if isinstance(said.dtype, pl.Datetime):
            return moments(said, zone, path=path)[0], []
        text = said.cast(pl.String).str.strip_chars()
        # A day of announcement is over when it ends: from the next midnight on everybody knew.
        over = text.str.to_date("%Y-%m-%d", strict=False).dt.offset_by("1d").cast(pl.String) + " 00:00"
        day = text.str.contains(r"^\d{4}-\d{2}-\d{2}$").fill_null(False)
        told = pl.select(pl.when(day).then(over).otherwise(text)).to_series()
        return moments(told.alias("known_at"), zone, path=path)[0], []
    if announced_days is None:
        raise BadInput(
            f"{path} does not say since when each date was known. Add a column known_at, or say for all of them how "
            "many days before the release its date was public: --announced-days 30."
        )
    if announced_days < 0:
        raise BadInput(f"`announced_days` must be 0 or more; was {announced_days}.")
    note = f"The dates of {path} are taken as public {announced_days} days before each release, as you said."
    return at.dt.offset_by(f"-{announced_days}d"), [note]


def _names(column: pl.Series, path: str) -> pl.Series:
    words = {each: _named(each) for each in column.unique().to_list() if each is not None}
    bad = [each for each, name in words.items() if not _NAME.fullmatch(name)]
    if bad or column.null_count():
        shown = f"`{str(bad[0])[:40]}`" if bad else "an empty cell"
        raise BadInput(
            f"{path} names a release {shown}. Name each with letters and digits, such as CPI or RETAIL_SALES."
        )
    return column.cast(pl.String).replace_strict(
        {str(each): name for each, name in words.items()}, return_dtype=pl.String
    )


def _named(text: object) -> str:
    word = plain(str(text))
    return ALIASES.get(word, word.upper())


def known_events(tables: Appendable, as_of: dt.datetime) -> pl.DataFrame | None:
    """The calendar as it was announced by `as_of`; None where there is none."""
    if not tables.exists(TABLE):
        return None
    rows = tables.scan(TABLE).filter(pl.col("known_at") <= utc(as_of)).collect()
    return rows.sort("at", "name", "known_at").unique(["name", "at"], keep="first", maintain_order=True)
