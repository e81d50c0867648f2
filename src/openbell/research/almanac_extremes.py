"""When the high and the low of a trading session are set: where they stood, how early they are known, and any drift."""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl

from openbell.core.errors import BadInput, DataMissing, unknown
from openbell.quant.intervals import wilson_shares
from openbell.quant.rolling_medians import rolling_median
from openbell.quant.trend_tests import Trend
from openbell.quant.trend_tests import trend as trend_of
from openbell.quant.value_statistics import SUFFICIENT
from openbell.research.almanac_bars import clock_label, whole_sessions
from openbell.research.almanac_days import Almanac

Extreme = Literal["high", "low"]
EXTREMES: tuple[Extreme, ...] = ("high", "low")
#: What the heat-map can be told apart by.
HEATMAP_KEYS = ("weekday", "month")
#: Bars this much within the open and close of a session cover it.
_EDGE_MINUTES = 30
_NAMES = {"weekday": ("", *calendar.day_abbr), "month": tuple(calendar.month_abbr)}


@dataclass(frozen=True, slots=True, eq=False)
class Extremes:
    """The high and the low of every whole session.

    Attributes
    ----------
    rows : one row per session, oldest first: ``session``, ``weekday`` (1 Monday), ``month``; for ``high`` and ``low``
        each: ``high`` (price), ``high_at`` (END of the first bar that reached it, UTC), ``high_minute`` (from the
        session's open to that END), ``high_regular_minute`` (from the regular open; negative before it), ``high_clock``
        (minutes of the local day); ``length`` (minutes the session is open).
    regular : whether only regular hours were looked at; minutes are then from the regular open.
    notes : sentences on what was left out.
    """

    product: str
    zone: str
    rows: pl.DataFrame
    regular: bool
    freq_minutes: int
    notes: tuple[str, ...]

    @property
    def n(self) -> int:
        """Sessions."""
        return self.rows.height


def extremes(almanac: Almanac, *, regular: bool = False, sessions: pl.Series | None = None) -> Extremes:
    """High and low of each session: by trading session, not by midnight; the first bar where several share the price.

    Parameters
    ----------
    regular : regular hours only. sessions : those to look at; all whole ones where not given.

    Raises
    ------
    DataMissing
        No session is left.
    """
    bars, notes = whole_sessions(almanac, sessions)
    if regular:
        every, bars = bars.height, bars.filter(pl.col("regular"))
        if bars.height < every:
            notes = (*notes, f"Regular hours alone: {every - bars.height:,} bars outside of them are not looked at.")
    if bars.is_empty():
        raise DataMissing("No session is left to find highs and lows in. Loosen the filter or import more history.")
    found = bars.group_by("session", maintain_order=True).agg(
        *(pl.col(name).get(_first(name)).alias(f"{name}_{name}") for name in EXTREMES),
        *(pl.col(what).get(_first(name)).alias(f"{name}_{what}") for name in EXTREMES for what in ("at", "clock")),
    )
    found = found.rename({f"{name}_{name}": name for name in EXTREMES})
    rows = found.join(almanac.hours, on="session", maintain_order="left")
    start, end = ("regular_open_at", "regular_close_at") if regular else ("open_at", "close_at")
    notes = (*notes, *_unseen(bars, rows, start, end))
    rows = rows.with_columns(
        *(_minutes(f"{name}_at", start).alias(f"{name}_minute") for name in EXTREMES),
        *(_minutes(f"{name}_at", "regular_open_at").alias(f"{name}_regular_minute") for name in EXTREMES),
        _minutes(end, start).alias("length"),
        pl.col("session").dt.weekday().cast(pl.Int32).alias("weekday"),
        pl.col("session").dt.month().cast(pl.Int32).alias("month"),
    ).drop("open_at", "close_at", "regular_open_at", "regular_close_at")
    return Extremes(almanac.product, almanac.zone, rows, regular, almanac.freq_minutes, notes)


def _unseen(bars: pl.DataFrame, rows: pl.DataFrame, start: str, end: str) -> list[str]:
    """A sentence on sessions that the bars do not cover from end to end."""
    edge = pl.duration(minutes=_EDGE_MINUTES)
    reach = bars.group_by("session").agg(pl.col("at").first().alias("first"), pl.col("at").last().alias("last"))
    torn = rows.join(reach, on="session").filter(
        (pl.col("first") > pl.col(start) + edge) | (pl.col("last") < pl.col(end) - edge)
    )
    if torn.is_empty():
        return []
    return [
        f"{torn.height:,} of {rows.height:,} sessions have no bars in their first or last {_EDGE_MINUTES} minutes, and "
        "an extreme there would not be seen; regular hours are whole."
    ]


def _first(name: str) -> pl.Expr:
    """Place of the first bar with the highest high or the lowest low."""
    return pl.col(name).arg_max() if name == "high" else pl.col(name).arg_min()


def _minutes(moment: str, since: str) -> pl.Expr:
    return (pl.col(moment) - pl.col(since)).dt.total_minutes().cast(pl.Int32)


def survival(found: Extremes, *, step_minutes: int = 1, level: float = 0.95) -> pl.DataFrame:
    """Share of sessions whose extreme stood by each minute.

    Parameters
    ----------
    step_minutes : distance of the points in time. level : of the pointwise interval, by Wilson.

    Returns
    -------
    polars.DataFrame
        ``extreme`` (high or low), ``minute`` (from the open to the end of a bar), ``share`` in [0, 1] (of all sessions
        whose extreme was set by then; 1 less it is the share whose extreme is still to come), ``low``, ``high``
        (bounds of the share), ``n`` sessions, ``sufficient``. Every extreme is observed, so nothing is censored. A
        session that ends early has both by its end. The interval holds at one minute, not along the whole curve.
    """
    _checked_step(step_minutes)
    n, last = found.n, int(found.rows["length"].max())  # type: ignore[arg-type]
    grid = np.unique(np.append(np.arange(0, last, step_minutes), last))
    parts = []
    for name in EXTREMES:
        minutes = np.sort(found.rows[f"{name}_minute"].to_numpy())
        hits = np.searchsorted(minutes, grid, side="right")
        low, high = wilson_shares(hits, n, level)
        parts.append(
            pl.DataFrame(
                {"extreme": name, "minute": grid, "share": hits / n, "low": low, "high": high, "n": n},
                schema_overrides={"minute": pl.Int32, "n": pl.Int64},
            )
        )
    return pl.concat(parts).with_columns(sufficient=pl.lit(n >= SUFFICIENT))


def heatmap(found: Extremes, extreme: Extreme = "high", *, by: str = "weekday", step_minutes: int = 15) -> pl.DataFrame:
    """How often the extreme fell into each slot of time, by weekday or month.

    Returns
    -------
    polars.DataFrame
        Every slot of every `by` value: ``slot`` (minutes from the open to its beginning), ``label`` (clock at its
        beginning), the column `by`, ``name``, ``count`` extremes in it, ``n`` sessions of that weekday or month,
        ``share`` (count over n) and ``sufficient`` (n >= 30). A bar belongs to the slot in which it ends: the slot from
        0 to 15 holds those ending after 0 and by 15.
    """
    _checked_step(step_minutes)
    if extreme not in EXTREMES:
        raise unknown("extreme", str(extreme), EXTREMES)
    if by not in HEATMAP_KEYS:
        raise unknown("key of the heat-map", by, HEATMAP_KEYS)
    last = int(found.rows["length"].max())  # type: ignore[arg-type]
    slot = ((pl.col(f"{extreme}_minute") - 1) // step_minutes * step_minutes).cast(pl.Int32).alias("slot")
    counted = found.rows.group_by(slot, by).agg(pl.len().cast(pl.Int64).alias("count"))
    groups = found.rows.group_by(by).agg(pl.len().cast(pl.Int64).alias("n")).sort(by)
    slots = pl.DataFrame({"slot": np.arange(0, last, step_minutes)}, schema={"slot": pl.Int32})
    offset = int((found.rows[f"{extreme}_clock"] - found.rows[f"{extreme}_minute"]).mode().sort()[0])
    names = _NAMES[by]
    grid = slots.join(groups, how="cross").join(counted, on=["slot", by], how="left", maintain_order="left")
    return grid.with_columns(
        pl.col("count").fill_null(0),
        pl.col("slot").map_elements(lambda at: clock_label(at + offset), return_dtype=pl.String).alias("label"),
        pl.col(by).map_elements(lambda at: names[at], return_dtype=pl.String).alias("name"),
    ).with_columns((pl.col("count") / pl.col("n")).alias("share"), (pl.col("n") >= SUFFICIENT).alias("sufficient"))


def rolling(
    found: Extremes, extreme: Extreme = "high", *, window: int = 63, level: float = 0.95, seed: int = 0
) -> pl.DataFrame:
    """Median time of the extreme over the latest `window` sessions, with a block-bootstrap interval.

    Returns
    -------
    polars.DataFrame
        ``session`` (the last of each window), ``minute`` (from the open), ``median``, ``low``, ``high``; the latter
        three null for the first ``window - 1`` sessions.
    """
    rows = found.rows.select("session", pl.col(f"{extreme}_minute").alias("minute"))
    medians = rolling_median(rows["minute"].to_numpy(), window, level=level, seed=seed)
    bounds = {"median": medians.median, "low": medians.low, "high": medians.high}
    return rows.with_columns(pl.Series(name, values).fill_nan(None) for name, values in bounds.items())


def trend(found: Extremes, extreme: Extreme = "high", *, level: float = 0.95) -> Trend:
    """Whether the extreme comes earlier or later over the sessions: minutes per session, one value per session.

    Of the single sessions, never of their rolling median, whose neighbours share all but one of their sessions.
    """
    if extreme not in EXTREMES:
        raise unknown("extreme", str(extreme), EXTREMES)
    return trend_of(found.rows[f"{extreme}_minute"].to_numpy(), level=level)


def trend_sentence(found: Trend, extreme: Extreme = "high", *, alpha: float = 0.05) -> str:
    """What the trend of the time of an extreme says."""
    line, test = found.line, found.test
    # A few sessions are not blown up to a year.
    span, words = (252.0, "a year") if test.n >= 252 else (test.n - 1.0, "from the first session to the last")
    moved, low, high = (span * each for each in (line.slope, line.low, line.high))
    told = (
        f"{moved:+.1f} minutes {words} (interval from {low:+.1f} to {high:+.1f}), "
        f"p {test.p:.2g} over {test.n:,} sessions"
    )
    if test.effective_n < 0.95 * test.n:
        told += f", which count as {test.effective_n:,.0f} for their autocorrelation"
    if test.p >= alpha:
        return f"There is no trend in the time of the {extreme} that chance would not make: {told}."
    return f"The {extreme} comes {'later' if line.slope > 0 else 'earlier'} over the sessions: {told}."


def _checked_step(step_minutes: int) -> None:
    if step_minutes < 1:
        raise BadInput(f"`step_minutes` is at least 1; was {step_minutes}.")
