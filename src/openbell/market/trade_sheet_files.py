"""Day folders of trade sheets: which files there are, and their cells as text with the file and line of each row."""

from __future__ import annotations

import csv
import datetime as dt
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from openbell.core.errors import BadInput
from openbell.market.trade_sheet_headers import NAMES, SOURCES, Header, header

#: ``2024-11-15-64E0C``; the folders of December 2022 write the month first: ``12-12-2022-B792E``.
_DAY = re.compile(r"^(?:(\d{4})-(\d{1,2})-(\d{1,2})|(\d{1,2})-(\d{1,2})-(\d{4}))(?!\d)")


@dataclass(frozen=True, slots=True)
class Sheet:
    """One CSV file of a day folder. `name` is folder/file, as reports and errors call it."""

    source: str
    path: Path
    day: dt.date

    @property
    def name(self) -> str:
        """Folder and file."""
        return f"{self.path.parent.name}/{self.path.name}"


def day_of(folder: Path) -> dt.date | None:
    """The day that a folder's name begins with; None where it begins with none."""
    found = _DAY.match(folder.name)
    if found is None:
        return None
    year, month, day, us_month, us_day, us_year = found.groups()
    try:
        return dt.date(int(year or us_year), int(month or us_month), int(day or us_day))
    except ValueError:
        return None


def day_folders(folder: Path) -> list[Path]:
    """`folder` if it is a day folder, else the day folders in it, by day."""
    if not folder.exists():
        raise BadInput(f"There is no folder {folder}. Name a day folder (YYYY-MM-DD-XXXXX), or one that holds some.")
    if not folder.is_dir():
        raise BadInput(f"{folder} is a file. Name the day folder (YYYY-MM-DD-XXXXX) that it lies in.")
    if day_of(folder) is not None:
        return [folder]
    within = [(day, each.name, each) for each in folder.iterdir() if each.is_dir() and (day := day_of(each))]
    if not within:
        raise BadInput(
            f"The name of {folder} begins with no day, and no folder in it does. A day folder is called like "
            "2024-11-15-64E0C."
        )
    return [each for *_, each in sorted(within)]


def sheets_of(folder: Path) -> list[Sheet]:
    """The profit, trades and delta sheets of a day folder; a folder without any is refused."""
    day = day_of(folder)
    found = [
        Sheet(source, path, day)
        for source in SOURCES
        for path in sorted(folder.iterdir())
        if day and path.name.lower().startswith(source) and path.suffix.lower() == ".csv" and path.is_file()
    ]
    if not found:
        raise BadInput(f"The day folder {folder.name} has no sheet: no file profit….csv, trades….csv or delta….csv.")
    return found


def cells(sheet: Sheet) -> tuple[Header, pl.DataFrame]:
    """The header of a sheet, and its rows.

    Returns
    -------
    The header, and a frame with one String column per recognised cell, ``line`` (Int64, of the file), ``folder_day``,
    ``generation``, ``shown`` (the line as it was received) and ``broken`` (more cells than the header has).
    """
    content = sheet.path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    lines = content.split(b"\n")
    at = next((number for number, line in enumerate(lines) if line.strip(b" \t\r\x0c\x00,")), None)
    if at is None:
        raise BadInput(f"{sheet.name}, line 1: the file is empty. Download it again, or remove it.")
    where = f"{sheet.name}, line {at + 1}"
    names = next(csv.reader([lines[at].decode("utf-8", "replace")]))
    known = header(sheet.source, names, where=where)
    rows = _rows(content, at + 1, known.width, sheet)
    shown = b"\n".join(lines[at + 1 :]).decode("utf-8", "replace").split("\n")[: rows.height]
    return known, _named(rows.with_columns(pl.Series("shown", shown, pl.String)), known, sheet, at + 2)


def _rows(content: bytes, after: int, width: int, sheet: Sheet) -> pl.DataFrame:
    """All cells after line `after` as text; one column more than the header has holds what is too much."""
    body = content.split(b"\n", after)[after:]
    schema = {f"cell{number}": pl.String() for number in range(width + 1)}
    if not body or not body[0].strip():
        return pl.DataFrame(schema=schema)
    try:
        rows = pl.read_csv(
            io.BytesIO(body[0]),
            has_header=False,
            schema=schema,
            truncate_ragged_lines=True,
            missing_columns="insert",
            encoding="utf8-lossy",
        )
    except pl.exceptions.PolarsError as failure:
        line = after + 1 + _unclosed(body[0])
        raise BadInput(f"{sheet.name}, line {line}: a quote opens and does not close. Remove or close it.") from failure
    if rows.height < body[0].rstrip(b"\r\n").count(b"\n") + 1:
        line = after + 1 + _unclosed(body[0])
        raise BadInput(f"{sheet.name}, line {line}: a quoted cell runs over the end of its line. Close its quote.")
    return rows


def _unclosed(body: bytes) -> int:
    """The first line, counted from 0, with an odd number of quotes."""
    return next((number for number, line in enumerate(body.split(b"\n")) if line.count(b'"') % 2), 0)


def _named(rows: pl.DataFrame, known: Header, sheet: Sheet, first_line: int) -> pl.DataFrame:
    return rows.select(
        *(pl.col(f"cell{place}").alias(name) for name, place in known.places.items()),
        (pl.int_range(pl.len(), dtype=pl.Int64) + first_line).alias("line"),
        pl.lit(sheet.name).alias("file"),
        pl.lit(sheet.day).alias("folder_day"),
        pl.lit(known.generation, dtype=pl.Int64).alias("generation"),
        "shown",
        pl.col(f"cell{known.width}").is_not_null().alias("broken"),
    )


def raw_frame(source: str, frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """The rows of all sheets of a `source` under each other; a column that a sheet does not have is null there."""
    schema = {
        **dict.fromkeys(NAMES[source], pl.String()),
        "line": pl.Int64(),
        "file": pl.String(),
        "folder_day": pl.Date(),
        "generation": pl.Int64(),
        "shown": pl.String(),
        "broken": pl.Boolean(),
    }
    return pl.concat([pl.DataFrame(schema=schema), *frames], how="diagonal", rechunk=True)


def every_sheet(folders: Sequence[Path]) -> Iterator[Sheet | tuple[str, str]]:
    """Each sheet of each day folder once, by day; (folder, why) for a folder that has none."""
    seen: dict[Path, None] = {}
    for folder in folders:
        seen.update(dict.fromkeys(each.resolve() for each in day_folders(folder)))
    for folder in sorted(seen, key=lambda each: (day_of(each) or dt.date.min, each.name, str(each))):
        try:
            yield from sheets_of(folder)
        except BadInput as failure:
            yield folder.name, str(failure)
