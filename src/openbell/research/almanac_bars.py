"""The bars that patterns of the calendar are asked of: hours, parts of a session, days, weeks and months.

Every bar is put together first, from its own first open to its own last close, and statistics are of these bars: the
mean of the minutes within an hour is not what an hour does.
"""

from __future__ import annotations

import calendar
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from openbell.core.errors import BadInput, DataMissing, unknown
from openbell.research.almanac_days import Almanac

#: Parts of a trading session, in order: before, within and after regular hours.
PARTS = ("overnight", "regular", "after")
_PRICES = ("open", "high", "low", "close")
_DAY_MINUTES = 1440


@dataclass(frozen=True, slots=True, eq=False)
class PatternBars:
    """Bars by a key of the calendar.

    Attributes
    ----------
    by : one of `KEYS`. rows : oldest first: ``session`` (of the bar's end), the column `by` (Int32, or String for a
        part), ``open high low close``, ``change`` (open to close, percent of the open), ``range`` (high less low,
        points), ``range_pct`` (percent of the open).
    labels : what each value of the key is called, in the order to show them in. notes : sentences on what was left out.
    """

    by: str
    rows: pl.DataFrame
    labels: Mapping[Any, str]
    notes: tuple[str, ...]


def pattern_bars(almanac: Almanac, by: str, *, sessions: pl.Series | None = None) -> PatternBars:
    """The bars of `almanac` by hour, minute, part, weekday, week of the month, week of the year or month.

    Parameters
    ----------
    by : one of `KEYS`. Hours, minutes and parts are of the whole trading session, the others of regular hours.
        ``hour`` is the hour of the product's clock in which a bar begins, ``minute`` the minute of its clock at the END
        of a bar, 1 to 1440.
    sessions : those to look at, all whole ones where not given. Weeks and months cannot be asked of some of their days.

    Raises
    ------
    BadInput
        An unknown key, or weeks or months of chosen sessions. DataMissing : nothing is left.
    """
    if by not in KEYS:
        raise unknown("key of the almanac", by, KEYS)
    make, whole = KEYS[by]
    if whole and sessions is not None:
        raise BadInput(
            f"The pattern by {by} is of whole weeks or months, and only some sessions were chosen. Leave the filter "
            "out, or ask by weekday, hour, minute or part."
        )
    made = make(almanac, sessions)
    if made.rows.is_empty():
        raise DataMissing(f"No bar is left to find the pattern by {by} in. Loosen the filter or import more history.")
    return made


def _measured(rows: pl.DataFrame) -> pl.DataFrame:
    """Change and range of each bar; null where the open is not above 0."""
    opened = pl.when(pl.col("open") > 0).then(pl.col("open"))
    spread = pl.col("high") - pl.col("low")
    return rows.with_columns(
        (100.0 * (pl.col("close") / opened - 1.0)).alias("change"),
        spread.alias("range"),
        (100.0 * spread / opened).alias("range_pct"),
    )


def whole_sessions(almanac: Almanac, sessions: pl.Series | None) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """Bars of the sessions that are whole and asked for, and sentences on those that are not whole."""
    whole = almanac.days.filter(pl.col("source") == "minutes")["session"]
    wanted = whole if sessions is None else whole.filter(whole.is_in(sessions.implode()))
    bars = almanac.bars
    here = bars["session"].rle()
    runs = here.struct.field("value").is_in(wanted.implode()).to_numpy()
    kept = np.repeat(runs, here.struct.field("len").to_numpy())
    torn = here.struct.field("value").n_unique() - whole.len()
    notes = (f"{torn:,} sessions whose regular hours are not whole are left out.",) if torn > 0 else ()
    return bars.filter(kept) if not kept.all() else bars, notes


def joined(rows: pl.DataFrame, *keys: str) -> pl.DataFrame:
    """Neighbouring rows with the same `keys` as one bar: first open, highest high, lowest low, last close.

    Keys and ``session`` are those of the last row of each.
    """
    if rows.is_empty():
        return rows.select(*dict.fromkeys(("session", *keys, *_PRICES)))
    changed = np.zeros(rows.height, dtype=bool)
    changed[0] = True
    for key in keys:
        values = rows[key].to_physical().to_numpy()
        changed[1:] |= values[1:] != values[:-1]
    starts = np.flatnonzero(changed)
    ends = np.append(starts[1:], rows.height) - 1
    prices = {name: rows[name].to_numpy() for name in _PRICES}
    bars = rows.select(*dict.fromkeys(("session", *keys)))[ends]
    return bars.with_columns(
        pl.Series("open", prices["open"][starts]),
        pl.Series("high", np.maximum.reduceat(prices["high"], starts)),
        pl.Series("low", np.minimum.reduceat(prices["low"], starts)),
        pl.Series("close", prices["close"][ends]),
    )


def _hours(almanac: Almanac, sessions: pl.Series | None) -> PatternBars:
    bars, notes = whole_sessions(almanac, sessions)
    begun = (pl.col("clock") - almanac.freq_minutes) % _DAY_MINUTES
    rows = joined(bars.with_columns((begun // 60).cast(pl.Int32).alias("hour")), "session", "hour")
    order = _by_session_time(bars.with_columns((begun // 60).cast(pl.Int32).alias("hour")), "hour")
    return PatternBars("hour", _measured(rows), {hour: f"{hour:02d}:00" for hour in order}, notes)


def _minutes(almanac: Almanac, sessions: pl.Series | None) -> PatternBars:
    bars, notes = whole_sessions(almanac, sessions)
    rows = bars.select("session", pl.col("clock").cast(pl.Int32).alias("minute"), *_PRICES)
    order = _by_session_time(bars, "clock")
    return PatternBars("minute", _measured(rows), {at: clock_label(at) for at in order}, notes)


def clock_label(minutes: int) -> str:
    """Minutes of the day as a clock shows them; 1440 is the midnight that ends it."""
    return f"{minutes % _DAY_MINUTES // 60:02d}:{minutes % 60:02d}"


def _by_session_time(bars: pl.DataFrame, key: str) -> list[int]:
    """Values of `key` in the order in which a session passes them."""
    found = bars.group_by(key).agg(pl.col("minute").median()).sort("minute", key)
    return [int(each) for each in found[key]]


def _parts(almanac: Almanac, sessions: pl.Series | None) -> PatternBars:
    bars, notes = whole_sessions(almanac, sessions)
    edges = almanac.hours.select("session", "regular_open_at", "regular_close_at")
    placed = bars.join(edges, on="session", how="left", maintain_order="left").with_columns(
        pl.when(pl.col("at") <= pl.col("regular_open_at"))
        .then(0)
        .when(pl.col("at") <= pl.col("regular_close_at"))
        .then(1)
        .otherwise(2)
        .alias("code")
    )
    rows = joined(placed, "session", "code").with_columns(
        pl.col("code").replace_strict(dict(enumerate(PARTS)), return_dtype=pl.String).alias("part")
    )
    return PatternBars("part", _measured(rows.drop("code")), {part: part for part in PARTS}, notes)


def _days(by: str, key: pl.Expr, labels: Mapping[Any, str]) -> Callable[[Almanac, pl.Series | None], PatternBars]:
    def made(almanac: Almanac, sessions: pl.Series | None) -> PatternBars:
        days = almanac.days
        if sessions is not None:
            days = days.filter(pl.col("session").is_in(sessions.implode()))
        rows = days.select("session", key.cast(pl.Int32).alias(by), *_PRICES)
        return PatternBars(by, _measured(rows), labels, ())

    return made


def _weeks(almanac: Almanac, sessions: pl.Series | None) -> PatternBars:
    of = (pl.col("session").dt.iso_year() * 100 + pl.col("session").dt.week()).cast(pl.Int32)
    starts, ends = pl.col("session").dt.weekday() == 1, pl.col("session").dt.weekday() >= 5
    rows, notes = _periods(almanac, of, starts, ends, "weeks")
    rows = rows.with_columns(pl.col("session").dt.week().cast(pl.Int32).alias("week"))
    return PatternBars("week", _measured(rows), {week: f"week {week}" for week in range(1, 54)}, notes)


def _months(almanac: Almanac, sessions: pl.Series | None) -> PatternBars:
    day = pl.col("session").dt.day()
    of = (pl.col("session").dt.year() * 100 + pl.col("session").dt.month()).cast(pl.Int32)
    # New Year and a weekend may stand between the first of the month and its first session, and likewise at its end.
    ends = pl.col("session").dt.month_end().dt.day() - day <= 3
    rows, notes = _periods(almanac, of, day <= 4, ends, "months")
    rows = rows.with_columns(pl.col("session").dt.month().cast(pl.Int32).alias("month"))
    return PatternBars("month", _measured(rows), {at: calendar.month_abbr[at] for at in range(1, 13)}, notes)


def _periods(
    almanac: Almanac, of: pl.Expr, starts: pl.Expr, ends: pl.Expr, name: str
) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """One bar per period that has all its sessions; the first must start and the last must end where a period does."""
    days = almanac.days.with_columns(of.alias("period"))
    bars = joined(days, "period")
    grid = almanac.hours.select("session").with_columns(of.alias("period"), starts.alias("starts"), ends.alias("ends"))
    expected = grid.group_by("period", maintain_order=True).agg(
        pl.len().alias("expected"), pl.col("starts").first(), pl.col("ends").last()
    )
    found = bars.join(days.group_by("period").agg(pl.len().alias("there")), on="period", maintain_order="left")
    found = found.join(expected, on="period", maintain_order="left")
    first, last = grid["period"][0], grid["period"][-1]
    whole = found.filter(
        (pl.col("there") == pl.col("expected"))
        & ((pl.col("period") != first) | pl.col("starts"))
        & ((pl.col("period") != last) | pl.col("ends"))
    )
    torn = expected.height - whole.height
    notes = (
        (f"{torn:,} of {expected.height:,} {name} do not have all their sessions and are left out.",) if torn else ()
    )
    return whole.select("session", "period", *_PRICES), notes


_WEEK_OF_MONTH = (pl.col("session").dt.day() - 1) // 7 + 1
#: Keys of the calendar: how the bars by each are made, and whether they need whole weeks or months.
KEYS: Mapping[str, tuple[Callable[[Almanac, pl.Series | None], PatternBars], bool]] = {
    "hour": (_hours, False),
    "minute": (_minutes, False),
    "part": (_parts, False),
    "weekday": (
        _days("weekday", pl.col("session").dt.weekday(), {at + 1: calendar.day_abbr[at] for at in range(7)}),
        False,
    ),
    "week_of_month": (
        _days("week_of_month", _WEEK_OF_MONTH, {at: f"days {7 * at - 6} to {min(7 * at, 31)}" for at in range(1, 6)}),
        False,
    ),
    "week": (_weeks, True),
    "month": (_months, True),
}
