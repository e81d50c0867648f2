"""When the bars of a file were: a clock needs its zone, and a time that a clock change makes unsure is refused."""

from __future__ import annotations

import zoneinfo
from collections.abc import Mapping

import polars as pl

from openbell.core.bars import FRAMES
from openbell.core.errors import BadInput, nearest, unknown
from openbell.core.time import MOMENT

#: Frames within a session, with their minutes.
FREQUENCIES: Mapping[str, int] = {name: minutes for name, minutes in FRAMES.items() if minutes is not None}
_AWARE = ("%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%d %H:%M%#z")
_NAIVE = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y%m%d %H:%M:%S", "%Y%m%d %H%M%S")
#: Since 1970 in a unit -> how many microseconds it has; told by how large the numbers are.
_EPOCH_UNITS = ((1e8, 1e10, 1_000_000.0), (1e11, 1e13, 1_000.0), (1e14, 1e16, 1.0), (1e17, 1e19, 0.001))
_DAYLESS = "Bars within the session need the time of each bar; daily ones are imported by `openbell data import bars`."


def moments(column: pl.Series, zone: str | None, *, path: str) -> tuple[pl.Series, list[str]]:
    """`column` as moments in UTC, and notes on how it was read.

    Parameters
    ----------
    zone : where the clock stood that times without an offset were read from, such as ``America/New_York``.

    Raises
    ------
    BadInput
        For a time that cannot be read, has no zone, does not exist in `zone`, or exists twice there.
    """
    if column.null_count():
        row = int(column.is_null().arg_max() or 0)
        raise BadInput(f"Row {row + 1} of `{column.name}` in {path} has no time. Fill it or remove the row.")
    read = _read(column, path)
    aware = isinstance(read.dtype, pl.Datetime) and read.dtype.time_zone is not None
    if aware:
        notes = [f"The times of {path} carry their own zone; `--timezone {zone}` was not needed."] if zone else []
        return read.dt.convert_time_zone("UTC").cast(MOMENT), notes
    if zone is None:
        raise BadInput(
            f"The times of {path} have no time zone, such as `{column[0]}`: nobody can know which clock they were read "
            "from. Name it, for example `--timezone America/New_York` (or UTC)."
        )
    return _localised(read, zone, path), []


def _read(column: pl.Series, path: str) -> pl.Series:
    if column.dtype == pl.Date:
        raise BadInput(f"The column `{column.name}` of {path} holds days such as {column[0]}. {_DAYLESS}")
    if isinstance(column.dtype, pl.Datetime):
        return column
    if column.dtype.is_numeric():
        return _since_1970(column, path)
    said = column.cast(pl.String).str.strip_chars().str.replace("T", " ").str.replace(r"Z$", "+00:00")
    for form in (*_AWARE, *_NAIVE):
        read = said.str.to_datetime(form, strict=False, time_unit="us")
        if not read.null_count():
            return read
    bad = said.filter(said.str.to_datetime(_NAIVE[0], strict=False).is_null()).first()
    raise BadInput(
        f"The column `{column.name}` of {path} holds `{bad!s}`, which is no certain time. Write times as "
        f"2024-02-20T09:30:00-05:00. {_DAYLESS}"
    )


def _since_1970(column: pl.Series, path: str) -> pl.Series:
    for least, greatest, us in _EPOCH_UNITS:
        if column.is_between(least, greatest).all():
            if us >= 1:
                return (column.cast(pl.Int64) * int(us)).cast(MOMENT)
            return (column.cast(pl.Int64) // 1_000).cast(MOMENT)
    raise BadInput(
        f"The column `{column.name}` of {path} holds numbers such as {column[0]}, which count neither seconds nor "
        "milli-, micro- or nanoseconds since 1970. Name the column of the time with `--map at=COLUMN`."
    )


def _localised(read: pl.Series, zone: str, path: str) -> pl.Series:
    try:
        zoneinfo.ZoneInfo(zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError) as missing:
        raise BadInput(f"There is no time zone `{zone}`. {nearest(zone, zoneinfo.available_timezones())}") from missing
    skipped = read.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    if skipped.null_count():
        raise BadInput(
            f"{skipped.null_count():,} times of {path}, the first {read.filter(skipped.is_null())[0]}, do not exist in "
            f"{zone}: its clocks were put forward over them. Was another clock read? Name it with `--timezone`."
        )
    sure = read.dt.replace_time_zone(zone, ambiguous="null")
    if sure.null_count():
        raise BadInput(
            f"{sure.null_count():,} times of {path}, the first {read.filter(sure.is_null())[0]}, exist twice in "
            f"{zone}: clocks were put back over them. Write them with their offset, or in UTC with `--timezone UTC`."
        )
    return sure.dt.convert_time_zone("UTC").cast(MOMENT)


def frequency(rows: pl.DataFrame, stated: str | None, *, path: str) -> str:
    """The frame of the bars: measured as the commonest step of time, and refused where it is not the `stated` one.

    Parameters
    ----------
    rows : ``symbol`` and ``stamp`` (UTC), in any order.
    """
    if stated is not None and stated not in FREQUENCIES:
        raise unknown("frequency of bars within the session", stated, FREQUENCIES)
    stamps = rows.select("symbol", "stamp").unique().sort("symbol", "stamp")
    steps = stamps.select(pl.col("stamp").diff().over("symbol").dt.total_seconds().alias("seconds")).drop_nulls()
    if steps.is_empty():
        if stated is None:
            raise BadInput(f"{path} has one bar per symbol, which tells no frequency. Name it with `--freq 1m`.")
        return stated
    seconds, rows_of_it = steps["seconds"].value_counts().sort("count", "seconds", descending=[True, False]).row(0)
    measured = next((name for name, minutes in FREQUENCIES.items() if minutes * 60 == seconds), None)
    if measured is None:
        cure = _DAYLESS if seconds >= 86_400 else "Bring them into one of these first."
        raise BadInput(
            f"The bars of {path} come every {seconds:,} seconds ({rows_of_it:,} of {steps.height:,} steps), which is "
            f"none of {', '.join(FREQUENCIES)}. {cure}"
        )
    if stated is not None and measured != stated:
        raise BadInput(
            f"`--freq {stated}` was named, and the bars of {path} come every {seconds // 60:,} minutes ({rows_of_it:,} "
            f"of {steps.height:,} steps): they are `{measured}`. Name that, or leave `--freq` away."
        )
    return measured
