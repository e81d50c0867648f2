"""Text files without a header: `MM/DD/YYYY,HH:MM,open,high,low,close,volume`, and the same without the time."""

from __future__ import annotations

import contextlib
import gzip
import re
from pathlib import Path

import polars as pl

from openbell.core.errors import BadInput

_PRICES = ("open", "high", "low", "close", "volume")
#: Cells of a row -> what they are.
LAYOUTS = {7: ("date", "time", *_PRICES), 6: ("date", *_PRICES)}
_TEXT = (".csv", ".txt", ".csv.gz", ".txt.gz")
_DAY = re.compile(r"\s*\d{1,2}/\d{1,2}/\d{4}\s*$")


def headerless_rows(place: Path) -> pl.DataFrame | None:
    """The rows of a text file without a header, columns named and days in ISO; None of a file that has one."""
    first = _first_line(place)
    if first is not None and ";" in first and _DAY.match(first.split(";")[0]):
        raise BadInput(
            f"{place.name} parts its cells with semicolons: `{first[:60]}`. Write commas, and prices with a point."
        )
    if first is None or not _DAY.match(first.split(",")[0]):
        return None
    return _without_header(place, len(first.split(",")))


def _first_line(place: Path) -> str | None:
    """The first line of a text file; None of any other, and of one that cannot be opened: its reader says why."""
    if not place.name.lower().endswith(_TEXT) or not place.is_file():
        return None
    opener = gzip.open if place.name.lower().endswith(".gz") else Path.open
    with contextlib.suppress(OSError, EOFError), opener(place, "rb") as file:
        return file.readline(4_096).decode("utf-8-sig", errors="replace").strip("\r\n")
    return None


def _without_header(place: Path, cells: int) -> pl.DataFrame:
    if cells not in LAYOUTS:
        raise BadInput(
            f"{place.name} has no header, and {cells} cells in its first row: nobody can know which is which. Without "
            "a header it is `MM/DD/YYYY,HH:MM,open,high,low,close,volume`, or the same without the time for days."
        )
    try:
        frame = pl.read_csv(
            place, has_header=False, new_columns=list(LAYOUTS[cells]), infer_schema_length=None,
            schema_overrides={"date": pl.String, "time": pl.String} if cells == 7 else {"date": pl.String},
        )  # fmt: skip
    except pl.exceptions.ComputeError as unreadable:
        raise BadInput(f"The file `{place.name}` cannot be read as rows of {cells} cells: {unreadable}") from unreadable
    days = frame["date"].str.strip_chars().str.to_date("%m/%d/%Y", strict=False)
    if days.null_count():
        row = int(days.is_null().arg_max() or 0)
        raise BadInput(
            f"Row {row + 1} of {place.name} begins with `{frame['date'][row]}`, which is no day. Without a header the "
            "days are MM/DD/YYYY (the month first)."
        )
    return frame.with_columns(days.dt.strftime("%Y-%m-%d").alias("date"))
