"""The almanac of one product: its bars placed in their trading sessions, and one row per session with what came of it.

Percent columns end in ``_pct`` and are in percent (0.5 is half a percent); all others are in points of price or counts.
Columns of the day itself are full-day values; ``prev_*``, the averages of volume, ``atr_14`` and ``gap_pct`` are known
at the regular open. A session belongs to the day it ends on: the evening of a future is the beginning of the next day.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

from openbell.core.bars import FRAMES
from openbell.core.errors import BadInput, DataMissing

#: What `almanac` needs of the bars and of the hours.
_BARS = ("symbol", "freq", "at", "open", "high", "low", "close", "volume")
_HOURS = ("session", "open_at", "close_at", "regular_open_at", "regular_close_at")
PRICES = ("open", "high", "low", "close", "volume")
#: Columns of a session that are also told of the session before, as ``prev_*``.
BEFORE = (
    *PRICES, "day_return_pct", "change_pct", "range", "range_pct", "relative_volume", "is_green", "is_red",
)  # fmt: skip
#: Sessions of the averages of volume; the relative volume is measured against the first.
VOLUME_WINDOWS = (10, 20)
ATR_WINDOW = 14
#: A session counts as whole where its first and last regular bar are within this of the open and close.
_RAGGED_MINUTES = 30
_MINUTE_US, _DAY_MINUTES = 60_000_000, 1_440


@dataclass(frozen=True, eq=False)
class Almanac:
    """One product's history within its sessions.

    Attributes
    ----------
    product, freq, zone : the symbol, the frame of its bars, and the clock that times of day are read from.
    bars : the bars given, in order of `at`, with ``session`` by the product's hours, ``minute`` (Int32, from the
        session's open to the END of the bar), ``clock`` (Int32, minutes of the local day at the END of the bar, 1 to
        1440) and ``regular`` (whether it lies in regular hours).
    days : one row per whole session, see `almanac`. hours : the sessions of the product that the data reach.
    notes : sentences about what was left out or taken from elsewhere.
    """

    product: str
    freq: str
    zone: str
    bars: pl.DataFrame
    days: pl.DataFrame
    hours: pl.DataFrame
    notes: tuple[str, ...] = ()

    @property
    def freq_minutes(self) -> int:
        """Length of a bar in minutes."""
        return int(FRAMES[self.freq] or 0)

    @cached_property
    def delay(self) -> dt.timedelta:
        """From the end of a bar until it is usually known: the median over the bars."""
        if "known_at" not in self.bars.columns:
            return dt.timedelta(0)
        waits = self.bars.select((pl.col("known_at") - pl.col("at")).median()).item()
        return waits or dt.timedelta(0)


def almanac(
    bars: pl.DataFrame, hours: pl.DataFrame, daily: pl.DataFrame | None = None, *, zone: str = "America/New_York"
) -> Almanac:
    """The almanac of the product that `bars` are of.

    Parameters
    ----------
    bars : columns of `core.bars.MINUTES`, of one symbol and one frame; `at` is the END of a bar.
    hours : one row per session: ``session``, ``open_at``, ``close_at``, ``regular_open_at``, ``regular_close_at``, UTC.
    daily : regular-hours daily bars (``session``, ``open``, ``high``, ``low``, ``close``, ``volume``), for sessions
        without bars of their own; they may reach further back.
    zone : of times of day.

    Returns
    -------
    Almanac
        Its ``days`` hold, of regular hours: ``open high low close volume``, ``day_return`` (close less open),
        ``day_return_pct`` (of the open), ``change_pct`` (close on the close before), ``range``, ``range_pct`` (of the
        open), ``is_green``, ``is_red``; of the whole session: ``session_open`` to ``session_volume``; of the hours
        before the regular open: ``overnight_change_pct`` (first open to last close), ``overnight_range``,
        ``overnight_range_pct``; ``weekday`` (1 Monday), ``gap_pct``, ``volume_sma_10``, ``volume_sma_20`` and
        ``atr_14`` over the sessions BEFORE, ``relative_volume`` (volume by ``volume_sma_10``), ``prev_*`` of the
        session before, ``source`` (minutes or daily), ``first_bar_at`` (the end of the first regular bar).
        What a hole in the sessions leaves unknown is null.
    """
    _checked(bars, hours)
    placed, notes = _placed(bars if bars["at"].is_sorted() else bars.sort("at"), hours, zone)
    reach = _reach(placed, daily, hours)
    days = reach.join(_regular(placed, reach), on="session", how="left", maintain_order="left")
    days = days.join(_whole(placed), on="session", how="left", maintain_order="left")
    days = days.join(_overnight(placed), on="session", how="left", maintain_order="left")
    days, more = _with_daily(days, daily)
    days = _derived(days)
    missing = int(days["close"].null_count())
    if missing:
        more.append(
            f"{missing:,} of {days.height:,} sessions have no whole regular trading in the data and are left out; "
            "what the session after each needs of it is null."
        )
    whole = days.filter(pl.col("close").is_not_null()).drop(*_HOURS[1:])
    return Almanac(
        product=str(bars["symbol"][0]),
        freq=str(bars["freq"][0]),
        zone=zone,
        bars=placed.drop("regular_open_at", "regular_close_at", "open_at"),
        days=whole,
        hours=reach,
        notes=(*notes, *more),
    )


def _checked(bars: pl.DataFrame, hours: pl.DataFrame) -> None:
    for name, frame, needed in (("bars", bars, _BARS), ("hours", hours, _HOURS)):
        lacking = [column for column in needed if column not in frame.columns]
        if lacking:
            raise BadInput(f"The {name} of an almanac need the columns {', '.join(lacking)}, which were not given.")
    if bars.is_empty():
        raise DataMissing("There are no bars to make an almanac of. Import some with `openbell data import minutes`.")
    for column in ("symbol", "freq"):
        found = bars[column].unique().sort().to_list()
        if len(found) > 1:
            raise BadInput(f"An almanac is of one {column}; the bars hold {', '.join(map(str, found[:5]))}.")
    if hours.is_empty():
        raise BadInput("An almanac needs the hours of its product; there were none for the sessions asked for.")


def _placed(bars: pl.DataFrame, hours: pl.DataFrame, zone: str) -> tuple[pl.DataFrame, list[str]]:
    """Bars with the session they end in; those of no session are left out and counted."""
    hours = hours.select(_HOURS).sort("close_at")
    rows = bars.drop("session", strict=False).join_asof(
        hours, left_on="at", right_on="close_at", strategy="forward", check_sortedness=False
    )
    belongs = (rows["at"] > rows["open_at"]).fill_null(False)
    inside = rows if belongs.all() else rows.filter(belongs)
    notes = []
    if inside.height < rows.height:
        notes.append(f"{rows.height - inside.height:,} of {rows.height:,} bars end outside every session; left out.")
    wall = pl.col("at").dt.convert_time_zone(zone).dt.replace_time_zone(None).to_physical()
    clock = wall // _MINUTE_US % _DAY_MINUTES
    return inside.with_columns(
        (pl.col("at") - pl.col("open_at")).dt.total_minutes().cast(pl.Int32).alias("minute"),
        pl.when(clock == 0).then(_DAY_MINUTES).otherwise(clock).cast(pl.Int32).alias("clock"),
        ((pl.col("at") > pl.col("regular_open_at")) & (pl.col("at") <= pl.col("regular_close_at"))).alias("regular"),
    ).drop("close_at", strict=False), notes


def _reach(placed: pl.DataFrame, daily: pl.DataFrame | None, hours: pl.DataFrame) -> pl.DataFrame:
    """The sessions from the first to the last that there are data of: the grid on which "the one before" is counted."""
    known = [placed["session"]] if daily is None else [placed["session"], daily["session"].cast(pl.Date)]
    spans = pl.concat(known).drop_nulls()
    if spans.is_empty():
        raise DataMissing("None of the bars lies in a session of the product. Are its hours, or the time zone, right?")
    return (
        hours.select(_HOURS)
        .unique("session")
        .sort("session")
        .filter(pl.col("session").is_between(spans.min(), spans.max()))
    )


def _ohlcv(prefix: str = "") -> list[pl.Expr]:
    return [
        pl.col("open").first().alias(f"{prefix}open"),
        pl.col("high").max().alias(f"{prefix}high"),
        pl.col("low").min().alias(f"{prefix}low"),
        pl.col("close").last().alias(f"{prefix}close"),
        pl.when(pl.col("volume").count() > 0).then(pl.col("volume").sum()).alias(f"{prefix}volume"),
    ]


def _regular(placed: pl.DataFrame, reach: pl.DataFrame) -> pl.DataFrame:
    """Regular hours of each session that is whole; a session in progress or with a torn edge has no row."""
    length = max(int(FRAMES[str(placed["freq"][0])] or 0), _RAGGED_MINUTES)
    edge = pl.duration(minutes=length)
    found = (
        placed.filter(pl.col("regular"))
        .group_by("session", maintain_order=True)
        .agg(*_ohlcv(), pl.col("at").first().alias("begun"), pl.col("at").last().alias("ended"))
        .join(reach.select("session", "regular_open_at", "regular_close_at"), on="session")
    )
    whole = (pl.col("begun") <= pl.col("regular_open_at") + edge) & (
        pl.col("ended") >= pl.col("regular_close_at") - edge
    )
    kept = found.filter(whole).select("session", *PRICES, pl.col("begun").alias("first_bar_at"))
    return kept.with_columns(pl.lit("minutes").alias("source"))


def _whole(placed: pl.DataFrame) -> pl.DataFrame:
    return placed.group_by("session", maintain_order=True).agg(*_ohlcv("session_"))


def _overnight(placed: pl.DataFrame) -> pl.DataFrame:
    """What happened from the session's open to its regular open."""
    before = placed.filter(pl.col("at") <= pl.col("regular_open_at"))
    first, last = pl.col("open").first(), pl.col("close").last()
    span = pl.col("high").max() - pl.col("low").min()
    return before.group_by("session", maintain_order=True).agg(
        _percent(last - first, first).alias("overnight_change_pct"),
        span.alias("overnight_range"),
        _percent(span, first).alias("overnight_range_pct"),
    )


def _with_daily(days: pl.DataFrame, daily: pl.DataFrame | None) -> tuple[pl.DataFrame, list[str]]:
    """Sessions without regular bars get the daily ones, and are counted."""
    if daily is None or daily.is_empty():
        return days, []
    given = daily.select(pl.col("session").cast(pl.Date), *(pl.col(name).alias(f"{name}_daily") for name in PRICES))
    days = days.join(given.unique("session", keep="last"), on="session", how="left", maintain_order="left")
    lacks = pl.col("source").is_null() & pl.col("close_daily").is_not_null()
    taken = int(days.select(lacks.sum()).item())
    filled = days.with_columns(
        *(pl.when(lacks).then(pl.col(f"{name}_daily")).otherwise(pl.col(name)).alias(name) for name in PRICES),
        pl.when(lacks).then(pl.lit("daily")).otherwise(pl.col("source")).alias("source"),
    ).drop(f"{name}_daily" for name in PRICES)
    if not taken:
        return filled, []
    return filled, [f"{taken:,} sessions without bars of their own stand on daily bars."]


def _percent(part: pl.Expr, whole: pl.Expr) -> pl.Expr:
    """`part` in percent of `whole`; null where the whole is not above 0 (the price of crude was once below)."""
    return pl.when(whole > 0).then(100.0 * part / whole)


def _derived(days: pl.DataFrame) -> pl.DataFrame:
    """The fields of S4.17; `days` has every session of the grid, so a shift is the session before, or null."""
    before = pl.col("close").shift(1)
    spread = pl.max_horizontal("high", before) - pl.min_horizontal("low", before)
    true_range = pl.when(before.is_not_null()).then(spread)
    move, span = pl.col("close") - pl.col("open"), pl.col("high") - pl.col("low")
    days = days.with_columns(
        pl.col("session").dt.weekday().alias("weekday"),
        move.alias("day_return"),
        _percent(move, pl.col("open")).alias("day_return_pct"),
        _percent(pl.col("close") - before, before).alias("change_pct"),
        _percent(pl.col("open") - before, before).alias("gap_pct"),
        span.alias("range"),
        _percent(span, pl.col("open")).alias("range_pct"),
        (move > 0).alias("is_green"),
        (move < 0).alias("is_red"),
        *(pl.col("volume").shift(1).rolling_mean(size).alias(f"volume_sma_{size}") for size in VOLUME_WINDOWS),
        true_range.shift(1).rolling_mean(ATR_WINDOW).alias(f"atr_{ATR_WINDOW}"),
    )
    average = pl.col(f"volume_sma_{VOLUME_WINDOWS[0]}")
    days = days.with_columns(pl.when(average > 0).then(pl.col("volume") / average).alias("relative_volume"))
    return days.with_columns(pl.col(name).shift(1).alias(f"prev_{name}") for name in BEFORE)


def moments_of(hours: pl.DataFrame, clock: int, zone: str) -> pl.Series:
    """The moment within each session at which the clock of `zone` shows `clock` minutes after midnight, UTC.

    Null where the session is not open then. A session that spans midnight has its evening on the day before.
    """
    opens, closes = hours["open_at"].to_physical().to_numpy(), hours["close_at"].to_physical().to_numpy()
    found = np.full(hours.height, np.iinfo(np.int64).min)
    for back in (1, 0):
        wall = pl.col("session").cast(pl.Datetime("us")) - pl.duration(days=back) + pl.duration(minutes=clock)
        moment = hours.select(
            wall.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null").dt.convert_time_zone("UTC")
        ).to_series()
        at = moment.to_physical().fill_null(np.iinfo(np.int64).min).to_numpy()
        found = np.where((at > opens) & (at <= closes), at, found)
    at_all = pl.Series("moment", found).cast(pl.Datetime("us", "UTC"))
    return pl.DataFrame([at_all]).select(pl.when(pl.Series(found != np.iinfo(np.int64).min)).then("moment")).to_series()


def prices_at(known: Almanac, clock: int) -> pl.DataFrame:
    """The last close at `clock` (minutes of the local day) of each session of the grid.

    Returns
    -------
    DataFrame
        ``session``, ``moment`` and ``price``: the close of the last bar that had ended by then in the same session;
        null where there was none, or where the session is not open at that time.
    """
    asked = known.hours.select("session", moments_of(known.hours, clock, known.zone)).with_row_index("row")
    there = asked.filter(pl.col("moment").is_not_null())
    last = there.join_asof(
        known.bars.select("at", "session", "close"),
        left_on="moment",
        right_on="at",
        strategy="backward",
        suffix="_bar",
        check_sortedness=False,
    )
    price = pl.when(pl.col("session_bar") == pl.col("session")).then(pl.col("close")).alias("price")
    return asked.join(last.select("row", price), on="row", how="left", maintain_order="left").drop("row")
