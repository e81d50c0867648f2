"""The bars of each session that had ended and were known by its cut-off, and what is aggregated of them."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from openbell.core.bars import FRAMES
from openbell.core.errors import BadInput, DataMissing, unknown
from openbell.core.time import MOMENT

#: Columns that are read of the bars and of the hours.
BARS = ("symbol", "freq", "session", "at", "open", "high", "low", "close", "volume", "known_at")
HOURS = ("session", "regular_open_at", "regular_close_at")
#: The regular bars up to the cut-off are complete where the first begins and the last ends within so many minutes of
#: the regular open and the cut-off, and at least so large a part of them is there: a minute without a trade has none.
#: Bars on the hour may begin half a bar after an open at half past; how many sessions do is told.
RAGGED_MINUTES, LEAST_SHARE = 5, 0.5


def late_start(minutes: int) -> pl.Expr:
    """How long after the regular open the first bar of so many minutes may begin."""
    return pl.duration(minutes=max(RAGGED_MINUTES, minutes // 2))


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """Bars of one product in the sessions of its calendar.

    Attributes
    ----------
    symbol, freq, minutes : the product, the frame of its bars and its minutes.
    bars : with ``begin``, ``regular`` (wholly in regular hours), ``minutes`` (Int32, from the regular open to the END
        of the bar) and the session's ``as_of``, by session and time.
    sessions : one row per session of the calendar from the first of `hours` to the last with bars: ``session``,
        ``regular_open_at``, ``regular_close_at``, ``as_of``.
    notes : what was left out.
    """

    symbol: str
    freq: str
    minutes: int
    bars: pl.DataFrame
    sessions: pl.DataFrame
    notes: tuple[str, ...]


def placed(bars: pl.DataFrame, hours: pl.DataFrame, cutoff: str, zone: str) -> Placed:
    """The bars in their sessions, each session with its cut-off.

    Raises
    ------
    DataMissing : without bars. BadInput : where columns lack, there are several products or frames, a bar was known
        before its end (its time is then that of its beginning), or `cutoff` is no time at which bars of this frame end.
    """
    symbol, freq, minutes = _one_series(bars)
    clock, named = _clock(cutoff), _zone(zone)
    known = hours.select(HOURS).unique("session").sort("session").with_columns(_moment(clock, named).alias("as_of"))
    found = bars.select(BARS).join(known, on="session", how="inner").sort("session", "at")
    notes = []
    if found.height < bars.height:
        notes.append(
            f"{bars.height - found.height:,} bars of {symbol} lie in sessions that its calendar does not have; "
            "they are left out."
        )
    begin = pl.col("at") - pl.duration(minutes=minutes)
    found = found.with_columns(
        begin.cast(MOMENT).alias("begin"),
        ((begin >= pl.col("regular_open_at")) & (pl.col("at") <= pl.col("regular_close_at"))).alias("regular"),
        (pl.col("at") - pl.col("regular_open_at")).dt.total_minutes().cast(pl.Int32).alias("minutes"),
    )
    _check_cutoff(found, clock, zone, freq, minutes)
    last = found["session"].max()
    return Placed(symbol, freq, minutes, found, known.filter(pl.col("session") <= last), tuple(notes))


def _one_series(bars: pl.DataFrame) -> tuple[str, str, int]:
    lacking = [name for name in BARS if name not in bars.columns]
    if lacking:
        raise BadInput(f"The bars have no column {', '.join(f'`{name}`' for name in lacking)}.")
    if bars.is_empty():
        raise DataMissing("There are no bars within the session; nothing is known of any day up to its cut-off.")
    for column, what in (("symbol", "products"), ("freq", "frames")):
        values = bars[column].unique().sort().to_list()
        if len(values) != 1:
            raise BadInput(f"The bars are of several {what} ({', '.join(map(str, values))}); hand in one at a time.")
    symbol, freq = bars.row(0, named=True)["symbol"], bars.row(0, named=True)["freq"]
    if freq not in FRAMES:
        raise unknown("frame of bars", freq, FRAMES)
    minutes = FRAMES[freq]
    if minutes is None:
        raise BadInput("Bars of a day do not show its first hour; hand in bars within the session, such as 1m.")
    early = bars.filter(pl.col("known_at") < pl.col("at"))
    if early.height:
        row = early.row(0, named=True)
        raise BadInput(
            f"A bar of {symbol} that ends at {row['at']:%Y-%m-%d %H:%M} UTC was known at {row['known_at']:%H:%M}, "
            f"before its end; so were {early.height:,} bars. `at` is the END of a bar: shift it by its length."
        )
    return str(symbol), str(freq), minutes


def _clock(cutoff: str) -> dt.time:
    try:
        return dt.time.fromisoformat(cutoff)
    except ValueError as wrong:
        raise BadInput(f"A cut-off is a time such as 10:15, on the clock of the exchange; was `{cutoff}`.") from wrong


def _zone(zone: str) -> str:
    try:
        zoneinfo.ZoneInfo(zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError) as wrong:
        raise BadInput(f"`{zone}` is no time zone. Write one such as America/New_York.") from wrong
    return zone


def _moment(clock: dt.time, zone: str) -> pl.Expr:
    """The cut-off of each session in UTC; null on a day on which the clock skips it."""
    local = pl.col("session").cast(pl.Datetime("us")) + pl.duration(hours=clock.hour, minutes=clock.minute)
    aware = local.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    return aware.dt.convert_time_zone("UTC").cast(MOMENT)


def _check_cutoff(bars: pl.DataFrame, clock: dt.time, zone: str, freq: str, minutes: int) -> None:
    """Refuse a cut-off that cuts through a bar: its bar would be left out, or would show what came later."""
    local = pl.col("at").dt.convert_time_zone(zone)
    ends = bars.filter("regular").select((local.dt.hour().cast(pl.Int32) * 60 + local.dt.minute()) % minutes)
    if ends.is_empty():
        return
    usual = int(ends.to_series().mode().sort()[0])
    wanted = clock.hour * 60 + clock.minute
    over = (wanted - usual) % minutes
    if clock.second or clock.microsecond or over:
        near = [(wanted - over + step) % 1440 for step in (0, minutes)]
        said = " and ".join(f"{each // 60:02d}:{each % 60:02d}" for each in near)
        raise BadInput(
            f"No bar of {freq} ends at {clock:%H:%M} ({zone}): the cut-off would cut through one. The nearest that do "
            f"are {said}; or use shorter bars."
        )


@dataclass(frozen=True, slots=True, eq=False)
class Early:
    """What was known of each session at its cut-off.

    Attributes
    ----------
    values : ``session``, ``known_at`` (the latest of the bars that entered) and one column per aggregation, one row per
        session whose window is complete.
    counts : sessions left out, by why. late : sessions whose first bar begins more than 5 minutes after the open.
    """

    values: pl.DataFrame
    counts: Mapping[str, int]
    late: int


def aggregated(found: Placed, expressions: Sequence[pl.Expr]) -> Early:
    """`expressions` over the bars of each session that had ended and were known at its cut-off.

    A session without a complete window is left out and counted: one whose cut-off does not lie within its regular
    hours (an early close), one without bars, and one whose first or last minutes lack, or came to be known too late.
    """
    ended = found.bars.filter(pl.col("at") <= pl.col("as_of"))
    seen = ended.filter(pl.col("known_at") <= pl.col("as_of"))
    about = seen.filter("regular").group_by("session", maintain_order=True).agg(
        pl.len().alias("n"), pl.col("begin").first(), pl.col("at").last()
    )  # fmt: skip
    late = ended.filter(pl.col("known_at") > pl.col("as_of")).select(pl.col("session").unique()).to_series()
    there = found.bars.select(pl.col("session").unique()).to_series()
    cut = found.bars.filter((pl.col("begin") < pl.col("regular_open_at")) & (pl.col("minutes") > 0))["session"].unique()
    state = found.sessions.join(about, on="session", how="left")
    state = state.with_columns(_cause(found.minutes, late, there, cut))
    kept = state.filter(pl.col("cause").is_null())
    whole = kept.select("session")
    began = kept.filter(pl.col("begin") > pl.col("regular_open_at") + pl.duration(minutes=RAGGED_MINUTES))
    rows = seen.join(whole, on="session", how="semi").with_columns(pl.col("session").set_sorted())
    values = rows.group_by("session", maintain_order=True).agg(pl.col("known_at").max(), *expressions)
    counts = state.drop_nulls("cause").group_by("cause").len().sort("cause")
    return Early(values, {cause: n for cause, n in counts.rows() if cause != NO_BARS}, began.height)


NO_BARS = "no bars"
NOT_INSIDE = "the cut-off does not lie within their regular hours (an early close)"
TOO_LATE = "bars of the early window were known only after the cut-off"
CUT = "a bar straddles their regular open, so its price is not known; use shorter bars"
INCOMPLETE = "their bars between the regular open and the cut-off are not complete"


def _cause(minutes: int, late: pl.Series, there: pl.Series, cut: pl.Series) -> pl.Expr:
    """Why a session has no complete early window; null where it has one."""
    ragged = pl.duration(minutes=RAGGED_MINUTES)
    expected = (pl.col("as_of") - pl.col("regular_open_at")).dt.total_minutes() / minutes
    whole = (
        (pl.col("begin") <= pl.col("regular_open_at") + late_start(minutes))
        & (pl.col("at") >= pl.col("as_of") - ragged)
        & (pl.col("n") >= LEAST_SHARE * expected)
    ).fill_null(False)
    inside = (pl.col("as_of") > pl.col("regular_open_at")) & (pl.col("as_of") < pl.col("regular_close_at"))
    return (
        pl.when(~pl.col("session").is_in(there.implode())).then(pl.lit(NO_BARS))
        .when(~inside.fill_null(False)).then(pl.lit(NOT_INSIDE))
        .when(~whole & pl.col("session").is_in(late.implode())).then(pl.lit(TOO_LATE))
        .when(~whole & pl.col("session").is_in(cut.implode())).then(pl.lit(CUT))
        .when(~whole).then(pl.lit(INCOMPLETE))
        .alias("cause")
    )  # fmt: skip
