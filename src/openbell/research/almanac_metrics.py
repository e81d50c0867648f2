"""What a filter of the almanac can ask of a session, and from when on each of it is known."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Literal

import polars as pl

from openbell.core.errors import BadInput, DataMissing, unknown
from openbell.core.time import MOMENT
from openbell.research.almanac_days import VOLUME_WINDOWS, Almanac, moments_of

#: When a value is known: at the regular close of the session before, at the end of the first regular bar, at the
#: cut-off of the study, at the regular close of the day itself.
When = Literal["before", "open", "cut-off", "day"]
#: What a filter needs: the session before, the session up to the cut-off, or all of it.
Known = Literal["pre-open", "pre-cut-off", "full-day"]
#: Metrics that depend on the cut-off of the study, whenever they are known.
OF_CUTOFF = ("cutoff_change_pct", "cutoff_range_pct", "cutoff_relative_volume", "rest_return_pct")
#: When a study trades; "none" only describes what was.
TRADES = ("none", "pre-open", "cut-off")


@dataclass(frozen=True, slots=True)
class Metric:
    """One value per session: what it is, its unit, and when it is known."""

    about: str
    unit: str
    when: When


METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        "prev_day_return_pct": Metric("open to close of the session before", "%", "before"),
        "prev_change_pct": Metric("close to close of the session before", "%", "before"),
        "prev_range": Metric("high less low of the session before", "points", "before"),
        "prev_range_pct": Metric("range of the session before, of its open", "%", "before"),
        "prev_close": Metric("close of the session before", "price", "before"),
        "prev_volume": Metric("volume of the session before", "volume", "before"),
        "prev_relative_volume": Metric("volume of the session before on the ten before it", "ratio", "before"),
        "atr_14": Metric("average true range of the 14 sessions before", "points", "before"),
        "gap_pct": Metric("open on the close before", "%", "open"),
        "overnight_change_pct": Metric("change from the session's open to the regular open", "%", "open"),
        "overnight_range_pct": Metric("range before the regular open", "%", "open"),
        "cutoff_change_pct": Metric("regular open to the cut-off", "%", "cut-off"),
        "cutoff_range_pct": Metric("range from the regular open to the cut-off", "%", "cut-off"),
        "cutoff_relative_volume": Metric("volume up to the cut-off on the ten sessions before", "ratio", "cut-off"),
        "rest_return_pct": Metric("first open after the cut-off to the close, what a study there can earn", "%", "day"),
        "day_return_pct": Metric("open to close", "%", "day"),
        "change_pct": Metric("close to close", "%", "day"),
        "range": Metric("high less low", "points", "day"),
        "range_pct": Metric("range of the open", "%", "day"),
        "close": Metric("close", "price", "day"),
        "volume": Metric("volume of regular hours", "volume", "day"),
        "relative_volume": Metric("volume on the ten sessions before", "ratio", "day"),
    }
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Study:
    """The sessions that filters judge, and when the study acts on them.

    Parameters
    ----------
    almanac : of the product studied. cutoff : minutes of the local day at the cut-off, 1 to 1440.
    trades : one of `TRADES`. first, last : span of the study, both included; quantiles of the whole sample are of it.
    events : the calendar of economic events (columns of `market.economic_events.EVENTS`) or None.
    others : almanacs of other products that filters ask about, by symbol.
    """

    almanac: Almanac
    cutoff: int
    trades: str = "none"
    first: dt.date | None = None
    last: dt.date | None = None
    events: pl.DataFrame | None = None
    others: Mapping[str, Almanac] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.trades not in TRADES:
            raise unknown("moment at which a study trades,", self.trades, TRADES)
        if self.first is not None and self.last is not None and self.last < self.first:
            raise BadInput(f"A study cannot end on {self.last} before it begins on {self.first}. Exchange the dates.")

    @cached_property
    def within(self) -> pl.Series:
        """Whether each session lies in the span."""
        days = self.almanac.days["session"]
        inside = pl.repeat(True, days.len(), eager=True)
        inside = inside if self.first is None else inside & (days >= self.first)
        return inside if self.last is None else inside & (days <= self.last)

    @cached_property
    def times(self) -> pl.DataFrame:
        """Of each session of the days: its hours, ``cutoff_at``, and ``before_at``, the regular close before it."""
        hours = self.almanac.hours
        cutoffs = moments_of(hours, self.cutoff, self.almanac.zone)
        if cutoffs.null_count() == hours.height:
            raise BadInput(
                f"{clock_text(self.cutoff)} ({self.almanac.zone}) lies in no session of {self.almanac.product}; "
                "choose a cut-off within its hours."
            )
        known = hours.with_columns(cutoffs.alias("cutoff_at"), pl.col("regular_close_at").shift(1).alias("before_at"))
        return self.almanac.days.select("session").join(known, on="session", how="left", maintain_order="left")

    def moments(self, clock: int) -> pl.Series:
        """The moment of each session at which the clock shows `clock`; null where it is not open then."""
        return moments_of(self.times, clock, self.almanac.zone)

    def of(self, product: str | None) -> Almanac:
        """The almanac of `product`, by default the one studied."""
        if product is None or product == self.almanac.product:
            return self.almanac
        if product not in self.others:
            raise DataMissing(
                f"A filter asks about {product}, of which there are no bars. "
                "Import some with `openbell data import minutes`."
            )
        return self.others[product]

    def values(self, metric: str, product: str | None = None) -> pl.Series:
        """`metric` of each session of the days; that of another product on the session of the same date."""
        metric_named(metric)
        source = self.of(product)
        rows = self._at_cutoff(source) if metric in OF_CUTOFF else source.days
        found = rows.select("session", pl.col(metric).cast(pl.Float64))
        return self.almanac.days.select("session").join(found, on="session", how="left", maintain_order="left")[metric]

    def known_at(self, metric: str, product: str | None = None) -> pl.Series:
        """The moment from which `metric` of each session is known, with the usual delay of the bars."""
        when, source = metric_named(metric).when, self.of(product)
        if when == "cut-off":
            return self.times["cutoff_at"]
        hours = source.hours.with_columns(pl.col("regular_close_at").shift(1).alias("before_at"))
        opened = source.days.select("session", pl.col("first_bar_at"))
        hours = hours.join(opened, on="session", how="left", maintain_order="left")
        column = {
            "before": pl.col("before_at"),
            "open": pl.coalesce("first_bar_at", "regular_open_at"),
            "day": pl.col("regular_close_at"),
        }[when]
        found = hours.select("session", (column + source.delay).cast(MOMENT).alias("known_at"))
        return self.times.select("session").join(found, on="session", how="left", maintain_order="left")["known_at"]

    def known(self, moments: pl.Series) -> Known:
        """What needs `moments` is known pre-open, by the cut-off, or only later."""
        if not bool((moments > self.times["regular_open_at"]).any()):
            return "pre-open"
        return "full-day" if bool((moments > self.times["cutoff_at"]).any()) else "pre-cut-off"

    def _at_cutoff(self, source: Almanac) -> pl.DataFrame:
        if source.product not in self._cutoff_frames:
            self._cutoff_frames[source.product] = _up_to_cutoff(source, self.times)
        return self._cutoff_frames[source.product]

    @cached_property
    def _cutoff_frames(self) -> dict[str, pl.DataFrame]:
        return {}


def metric_named(name: str) -> Metric:
    """The metric `name`, or the refusal that names the nearest."""
    if name not in METRICS:
        raise unknown("metric of the almanac", name, METRICS)
    return METRICS[name]


def _up_to_cutoff(source: Almanac, times: pl.DataFrame) -> pl.DataFrame:
    """Regular bars of `source` that had ended, and were known, by the cut-off of each session; and what came after."""
    asked = source.hours.select("session", "regular_open_at").join(
        times.select("session", "cutoff_at"), on="session", how="left", maintain_order="left"
    )
    bars = source.bars.filter(pl.col("regular")).select("session", "at", "open", "high", "low", "close", "volume")
    early = bars.join(asked, on="session", how="left").filter(pl.col("at") + source.delay <= pl.col("cutoff_at"))
    first = pl.col("open").first()
    span = pl.col("high").max() - pl.col("low").min()
    found = early.group_by("session").agg(
        pl.when(first > 0).then(100.0 * (pl.col("close").last() - first) / first).alias("cutoff_change_pct"),
        pl.when(first > 0).then(100.0 * span / first).alias("cutoff_range_pct"),
        pl.when(pl.col("volume").count() > 0).then(pl.col("volume").sum()).alias("early_volume"),
    )
    begun = pl.col("at") - pl.duration(minutes=source.freq_minutes)
    later = bars.join(asked, on="session", how="left").filter(begun >= pl.col("cutoff_at")).sort("at")
    entry = pl.col("open").first()
    rest = later.group_by("session").agg(
        pl.when(entry > 0).then(100.0 * (pl.col("close").last() - entry) / entry).alias("rest_return_pct")
    )
    rows = asked.select("session").join(found, on="session", how="left", maintain_order="left")
    rows = rows.join(rest, on="session", how="left", maintain_order="left")
    average = pl.col("early_volume").shift(1).rolling_mean(VOLUME_WINDOWS[0])
    return rows.with_columns(
        pl.when(average > 0).then(pl.col("early_volume") / average).alias("cutoff_relative_volume")
    )


def clock_of(text: str) -> int:
    """``HH:MM`` as minutes of the local day, 1 to 1440; midnight is the end of the day before."""
    hours, colon, minutes = text.partition(":") if isinstance(text, str) else ("", "", "")
    plain = len(hours) == len(minutes) == 2 and (hours + minutes).isascii() and (hours + minutes).isdigit()
    if not colon or not plain or int(hours) > 23 or int(minutes) > 59:
        raise BadInput(f"`{text!s:.40}` is no time of day. Write it like 10:15.")
    return int(hours) * 60 + int(minutes) or 1440


def clock_text(clock: int) -> str:
    """Minutes of the local day as ``HH:MM``."""
    return f"{clock // 60 % 24:02d}:{clock % 60:02d}"
