"""Which column of a file is what: recognised from the names, or told by a map; never guessed."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from openbell.core.errors import BadInput, nearest
from openbell.market.batch import NUMBERS

#: What each of our columns is called in the files we know, after lower-casing and joining words by "_".
SYNONYMS: Mapping[str, tuple[str, ...]] = {
    "session": ("date", "session", "datetime", "timestamp", "day", "ts"),
    "symbol": ("symbol", "ticker"),
    "open": ("open",),
    "high": ("high",),
    "low": ("low",),
    "close": ("close",),
    "adj_close": ("adj_close", "adjusted_close", "adjclose", "close_adjusted"),
    "volume": ("volume",),
    "sector": ("sector", "sector_raw", "gics_sector"),
    "value": ("value",),
}
CURE = "Name it with `--map {name}=COLUMN`."


@dataclass(frozen=True)
class Columns:
    """Our name -> the file's column, and the file's columns that mean nothing to us."""

    of: Mapping[str, str]
    ignored: tuple[str, ...]


def plain(name: str) -> str:
    """`name` in lower case with words joined by "_": ``Adj Close`` -> ``adj_close``."""
    return re.sub(r"[^a-z0-9]+", "_", name.strip().lower()).strip("_")


def columns(
    names: Sequence[str],
    chosen: Mapping[str, str] | None = None,
    *,
    path: str = "the file",
    synonyms: Mapping[str, tuple[str, ...]] = SYNONYMS,
) -> Columns:
    """Which of the file's columns `names` is which of ours.

    Parameters
    ----------
    chosen : our name -> the file's column, for example ``{"close": "adj_close"}``; it goes before recognition, and a
        column it uses is not recognised as anything else.
    synonyms : what each of our columns may be called.
    """
    chosen = dict(chosen or {})
    for ours, theirs in chosen.items():
        if ours not in synonyms:
            raise BadInput(f"The map names `{ours}`, which is no column of bars. {nearest(ours, synonyms)}")
        if theirs not in names:
            raise BadInput(
                f"The map takes `{ours}` from `{theirs}`, which {path} does not have. {nearest(theirs, names)}"
            )
    free = [name for name in names if name not in chosen.values()]
    found = dict(chosen)
    for ours, words in synonyms.items():
        fitting = [name for name in free if plain(name) in words]
        if ours in chosen:
            continue
        if len(fitting) > 1:
            raise BadInput(
                f"In {path} the columns {' and '.join(f'`{name}`' for name in fitting)} could each be `{ours}`. "
                + CURE.format(name=ours)
            )
        if fitting:
            found[ours] = fitting[0]
    ignored = tuple(name for name in names if name not in found.values())
    return Columns(found, ignored)


def require(found: Columns, ours: str, names: Sequence[str], *, path: str = "the file") -> str:
    """The file's column for `ours`; its absence is refused with the nearest column and the cure."""
    if ours in found.of:
        return found.of[ours]
    near = nearest(SYNONYMS.get(ours, (ours,))[0], names)
    raise BadInput(f"There is no column for `{ours}` in {path}. {near} " + CURE.format(name=ours))


def dates(column: pl.Series, *, path: str = "the file") -> pl.Series:
    """`column` as session dates. A time of day is refused: daily bars have none, and a naive one has no time zone."""
    parsed = _parsed(column, path)
    if parsed.dtype == pl.Date:
        return parsed
    timed = parsed.filter(parsed.dt.time() != dt.time())
    if timed.is_empty():
        return parsed.dt.date()
    if parsed.dtype.time_zone is None:  # type: ignore[attr-defined]
        raise BadInput(
            f"The column `{column.name}` of {path} holds times without a time zone, such as {timed.first()!s}; nobody "
            "can know which clock they were read from. Write them with an offset; for daily bars hand in one row per "
            "session with a plain date."
        )
    raise BadInput(
        f"The column `{column.name}` of {path} holds times of day, such as {timed.first()!s}: these are intraday bars. "
        "`openbell data import bars` takes one row per session with a plain date."
    )


def _parsed(column: pl.Series, path: str) -> pl.Series:
    if column.dtype == pl.Date or isinstance(column.dtype, pl.Datetime):
        return column
    text = column.cast(pl.String).str.strip_chars()
    if text.null_count():
        raise BadInput(f"The column `{column.name}` of {path} has {text.null_count()} rows without a date.")
    # Yahoo's own files carry New York's offset behind the midnight of the session: the day itself is what they mean.
    day = text.str.replace(r"^(\d{4}-\d{2}-\d{2})[ T]00:00(:00(\.0+)?)?(Z|[+-]\d{2}:?\d{2})?$", "$1")
    for form in ("%Y-%m-%d", "%Y%m%d"):
        parsed = day.str.to_date(form, strict=False)
        if parsed.null_count() == 0:
            return parsed
    moment = text.str.replace("T", " ")
    for form in ("%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M"):
        moments = moment.str.to_datetime(form, strict=False)
        if moments.null_count() == 0:
            return moments
    bad = text.filter(day.str.to_date("%Y-%m-%d", strict=False).is_null()).first()
    raise BadInput(
        f"The column `{column.name}` of {path} holds `{bad!s}`, which is not one certain date. "
        "Write dates as YYYY-MM-DD."
    )


def numbers(
    frame: pl.DataFrame, found: Columns, *, path: str = "the file", names: Sequence[str] = NUMBERS
) -> list[pl.Series]:
    """The number columns of bars as Float64; a value that is no number is refused with its row."""
    return [number(frame, found.of[name], name, path=path) for name in names if name in found.of]


def number(frame: pl.DataFrame, column: str, name: str, *, path: str = "the file") -> pl.Series:
    """One column of `frame` as Float64 under our `name`."""
    series = frame[column]
    if series.dtype == pl.String:
        text = series.str.strip_chars()
        missing = text.is_null() | text.str.to_lowercase().is_in(["", "null", "nan", "na", "n/a", ".", "-"])
        series = text.cast(pl.Float64, strict=False)
        wrong = series.is_null() & ~missing
        if wrong.any():
            row = int(wrong.arg_max() or 0)
            raise BadInput(
                f"Row {row + 1} of `{column}` in {path} is `{text[row]}`, which is no number. Write it with a point "
                "and without thousands separators."
            )
    if not series.dtype.is_numeric():
        raise BadInput(f"The column `{column}` of {path} holds {series.dtype}, not numbers, so it cannot be `{name}`.")
    return series.cast(pl.Float64).fill_nan(None).alias(name)
