"""The kinds of filter there are (S4.20); one class adds one."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import polars as pl

from openbell.core.errors import DataMissing
from openbell.core.time import MOMENT
from openbell.research.almanac_days import prices_at
from openbell.research.almanac_filters import Filter, filter_kind, parameter
from openbell.research.almanac_metrics import METRICS, Study, clock_of

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
#: The releases a calendar usually has; any other that its file names can be asked for too.
RELEASES = ("CPI", "FOMC", "NFP", "PPI", "RETAIL_SALES", "GDP", "PCE")
#: What the name MAJOR stands for.
MAJOR = ("CPI", "FOMC", "NFP")
CONDITIONS = (">", ">=", "<", "<=")
#: Sessions that a quantile of the past needs at least.
LEAST_PAST = 20
#: Which change of a day is meant: open to close, or close to close.
CHANGES = ("day_return_pct", "change_pct")
RANGES = ("range_pct", "range")
#: Metrics that relative volume, direction and range of a session are read from, by which session is meant.
_VOLUME = {"before": "prev_relative_volume", "cut-off": "cutoff_relative_volume", "day": "relative_volume"}
_SESSIONS = ("before", "day")
_AS_WORDS = {"before": "of the session before", "cut-off": "up to the cut-off", "day": "of the day itself"}


def _compared(values: pl.Series, condition: str, against: float | pl.Series) -> pl.Series:
    if condition == ">":
        return values > against
    if condition == ">=":
        return values >= against
    return values < against if condition == "<" else values <= against


def _ever(study: Study) -> pl.Series:
    """Known since the calendar was made."""
    return pl.Series("known_at", [None] * study.times.height, dtype=MOMENT)


class _OfMetric(Filter):
    """A filter that asks about one metric, and is known when that is."""

    @property
    @abstractmethod
    def _metric(self) -> tuple[str, str | None]:
        """The metric, and the product it is of: None for the one studied."""

    def _known_at(self, study: Study) -> pl.Series:
        return study.known_at(*self._metric)

    def _values(self, study: Study) -> pl.Series:
        return study.values(*self._metric)


@filter_kind("weekdays", "Day of the week")
@dataclass(frozen=True)
class Weekdays(Filter):
    """Sessions of some days of the week; the evening of a future belongs to the next day."""

    days: tuple[str, ...] = parameter("choices", "days", choices=WEEKDAYS)

    def _words(self) -> str:
        return "day is " + "/".join(self.days)

    def _known_at(self, study: Study) -> pl.Series:
        return _ever(study)

    def _mask(self, study: Study) -> pl.Series:
        return study.almanac.days["weekday"].is_in([WEEKDAYS.index(each) + 1 for each in self.days])


@filter_kind("months", "Month")
@dataclass(frozen=True)
class Months(Filter):
    """Sessions of some months."""

    months: tuple[str, ...] = parameter("choices", "months", choices=MONTHS)

    def _words(self) -> str:
        return "month is " + "/".join(self.months)

    def _known_at(self, study: Study) -> pl.Series:
        return _ever(study)

    def _mask(self, study: Study) -> pl.Series:
        return study.almanac.days["session"].dt.month().is_in([MONTHS.index(each) + 1 for each in self.months])


@filter_kind("previous", "Session before: up or down")
@dataclass(frozen=True)
class Previous(_OfMetric):
    """Whether the session before closed up or down; one that closed where it opened is neither."""

    direction: str = parameter("choice", "direction", "positive", choices=("positive", "negative"))
    change: str = parameter("choice", "change", "day_return_pct", choices=CHANGES)

    def _words(self) -> str:
        return f"session before {self.direction} ({_change(self.change)})"

    @property
    def _metric(self) -> tuple[str, str | None]:
        return f"prev_{self.change}", None

    def _mask(self, study: Study) -> pl.Series:
        moved = self._values(study)
        return moved > 0 if self.direction == "positive" else moved < 0


@filter_kind("previous_percent", "Session before: change in %")
@dataclass(frozen=True)
class PreviousPercent(_OfMetric):
    """Whether the session before moved at least so far: ``>=`` percent up, or ``<=`` percent (usually below 0) down."""

    condition: str = parameter("choice", "condition", ">=", choices=CONDITIONS)
    percent: float = parameter("number", "percent", 1.0, low=-100.0, high=1_000.0)
    change: str = parameter("choice", "change", "day_return_pct", choices=CHANGES)

    def _words(self) -> str:
        return f"session before {self.condition} {self.percent:g} % ({_change(self.change)})"

    @property
    def _metric(self) -> tuple[str, str | None]:
        return f"prev_{self.change}", None

    def _mask(self, study: Study) -> pl.Series:
        return _compared(self._values(study), self.condition, self.percent)


@filter_kind("relative_volume", "Relative volume")
@dataclass(frozen=True)
class RelativeVolume(_OfMetric):
    """Volume on the average of the ten sessions before: of the session before, up to the cut-off, or of the day."""

    condition: str = parameter("choice", "condition", ">", choices=CONDITIONS)
    ratio: float = parameter("number", "times the average", 1.5, low=0.0, high=1_000.0)
    of: str = parameter("choice", "of", "before", choices=tuple(_VOLUME))

    def _words(self) -> str:
        return f"relative volume {_AS_WORDS[self.of]} {self.condition} {self.ratio:g}"

    @property
    def _metric(self) -> tuple[str, str | None]:
        return _VOLUME[self.of], None

    def _mask(self, study: Study) -> pl.Series:
        return _compared(self._values(study), self.condition, self.ratio)


@filter_kind("events", "Economic events")
@dataclass(frozen=True)
class Events(Filter):
    """Sessions with (or without) one of some releases, as a calendar known before the open announced them.

    Sessions that the calendar does not reach are not known. MAJOR stands for CPI, FOMC and NFP.
    """

    names: tuple[str, ...] = parameter("names", "releases", ("MAJOR",), choices=())
    on: str = parameter("choice", "sessions", "with", choices=("with", "without"))

    def _words(self) -> str:
        return f"{self.on} {'/'.join(self.names)}"

    def _known_at(self, study: Study) -> pl.Series:
        # Only rows announced before the regular open are used at all.
        return study.times["regular_open_at"]

    def _mask(self, study: Study) -> pl.Series:
        there, reached = self._found(study)
        return pl.select(pl.when(reached).then(there if self.on == "with" else ~there)).to_series()

    def _note(self, study: Study) -> str:
        _, reached = self._found(study)
        inside = study.within
        beyond = int((inside & ~reached).sum())
        if not beyond:
            return ""
        return (
            f"The calendar of economic events does not reach {beyond:,} of {int(inside.sum()):,} sessions of the "
            "study; whether they had one is not known, and they are left out."
        )

    def _found(self, study: Study) -> tuple[pl.Series, pl.Series]:
        if study.events is None or study.events.is_empty():
            raise DataMissing(
                "There is no calendar of economic events yet. Import one with `openbell data import events FILE`."
            )
        wanted = {name for each in self.names for name in (MAJOR if each == "MAJOR" else (each,))}
        missing = sorted(wanted - set(study.events["name"].unique()))
        if missing:
            told = ", ".join(study.events["name"].unique().sort().to_list())
            raise DataMissing(f"The calendar of economic events has no {', '.join(missing)}; it has {told}.")
        return releases_on(study, wanted), calendar_reach(study)


def releases_on(study: Study, wanted: set[str]) -> pl.Series:
    """Whether each session has one of the releases `wanted`, announced before its regular open.

    A release belongs to the session that closes within a day after it: one on a holiday belongs to none.
    """
    assert study.events is not None
    times = study.times.select("session", "regular_open_at", "regular_close_at", "close_at")
    named = study.events.filter(pl.col("name").is_in(sorted(wanted))).sort("at")
    placed = named.select("at", "known_at").join_asof(
        times, left_on="at", right_on="close_at", strategy="forward", tolerance="24h", check_sortedness=False
    )
    announced = placed.filter(pl.col("known_at") <= pl.col("regular_open_at"))["session"].unique()
    return times["session"].is_in(announced.implode())


def calendar_reach(study: Study) -> pl.Series:
    """Whether each session lies between the first and the last release of the whole calendar."""
    assert study.events is not None
    days = study.events["at"].dt.convert_time_zone(study.almanac.zone).dt.date()
    return study.times["session"].is_between(days.min(), days.max())


@filter_kind("times", "Price at one time against another")
@dataclass(frozen=True)
class Times(Filter):
    """Whether the price at A stands above or below that at B, by at least so many percent of it."""

    a: str = parameter("time", "time A")
    b: str = parameter("time", "time B")
    condition: str = parameter("choice", "A is", "above", choices=("above", "below"))
    percent: float = parameter("number", "by at least, %", 0.0, low=0.0, high=100.0)

    def _words(self) -> str:
        least = f" by {self.percent:g} %" if self.percent else ""
        return f"price at {self.a} {self.condition} price at {self.b}{least}"

    def _known_at(self, study: Study) -> pl.Series:
        both = pl.DataFrame({"a": study.moments(clock_of(self.a)), "b": study.moments(clock_of(self.b))})
        return both.select((pl.max_horizontal("a", "b") + study.almanac.delay).cast(MOMENT)).to_series()

    def _mask(self, study: Study) -> pl.Series:
        a, b = (self._price(study, each) for each in (self.a, self.b))
        moved = pl.select(pl.when(b > 0).then(100.0 * (a - b) / b)).to_series()
        if self.condition == "above":
            return (moved > 0) & (moved >= self.percent)
        return (moved < 0) & (moved <= -self.percent)

    @staticmethod
    def _price(study: Study, clock: str) -> pl.Series:
        found = prices_at(study.almanac, clock_of(clock)).select("session", "price")
        return study.times.select("session").join(found, on="session", how="left", maintain_order="left")["price"]


@filter_kind("direction", "Bull or bear")
@dataclass(frozen=True)
class Direction(_OfMetric):
    """A bull session closed above its open, a bear one below: the session before, or the day itself."""

    side: str = parameter("choice", "side", "bull", choices=("bull", "bear"))
    of: str = parameter("choice", "of", "day", choices=_SESSIONS)

    def _words(self) -> str:
        return f"{self.side} session {_AS_WORDS[self.of]}"

    @property
    def _metric(self) -> tuple[str, str | None]:
        return _named("day_return_pct", self.of), None

    def _mask(self, study: Study) -> pl.Series:
        moved = self._values(study)
        return moved > 0 if self.side == "bull" else moved < 0


@filter_kind("volatility", "High or low volatility")
@dataclass(frozen=True)
class Volatility(_OfMetric):
    """Whether the range lies above the upper quartile (high) or below the lower (low).

    The range of the session before is held against the quartile of the sessions up to it, at least 20. That of the day
    itself is held against the quartile of the whole span, which only a study that describes may see.
    """

    level: str = parameter("choice", "level", "high", choices=("high", "low"))
    of: str = parameter("choice", "of", "day", choices=_SESSIONS)
    range: str = parameter("choice", "range", "range_pct", choices=RANGES)

    def _words(self) -> str:
        return f"{self.level} volatility {_AS_WORDS[self.of]} ({'%' if self.range == 'range_pct' else 'points'})"

    @property
    def _metric(self) -> tuple[str, str | None]:
        return _named(self.range, self.of), None

    def _mask(self, study: Study) -> pl.Series:
        values = self._values(study)
        quantile = 0.75 if self.level == "high" else 0.25
        if self.of == "before":
            against: float | pl.Series = values.rolling_quantile(
                quantile, "linear", window_size=max(values.len(), LEAST_PAST), min_samples=LEAST_PAST
            )
        else:
            found = values.filter(study.within).quantile(quantile, "linear")
            if found is None:
                return pl.Series([None] * values.len(), dtype=pl.Boolean)
            against = found
        return values > against if self.level == "high" else values < against


@filter_kind("gap", "Gap at the open")
@dataclass(frozen=True)
class Gap(_OfMetric):
    """Whether the regular open lies more than so many percent above (up) or below (down) the close before."""

    direction: str = parameter("choice", "direction", "up", choices=("up", "down"))
    percent: float = parameter("number", "more than, %", 0.5, low=0.0, high=100.0)

    def _words(self) -> str:
        return f"gap {self.direction} > {self.percent:g} %"

    @property
    def _metric(self) -> tuple[str, str | None]:
        return "gap_pct", None

    def _mask(self, study: Study) -> pl.Series:
        gap = self._values(study)
        return gap > self.percent if self.direction == "up" else gap < -self.percent


@filter_kind("metric", "Any metric, also of another product")
@dataclass(frozen=True)
class Custom(_OfMetric):
    """One metric against a number, of the product studied or of another on the session of the same date."""

    metric: str = parameter("choice", "metric", choices=tuple(METRICS))
    condition: str = parameter("choice", "condition", ">", choices=CONDITIONS)
    value: float = parameter("number", "value", 0.0)
    product: str | None = parameter("product", "product", None)

    def _words(self) -> str:
        of = f" of {self.product}" if self.product else ""
        return f"{self.metric}{of} {self.condition} {self.value:g}"

    @property
    def _metric(self) -> tuple[str, str | None]:
        return self.metric, self.product

    def _mask(self, study: Study) -> pl.Series:
        return _compared(self._values(study), self.condition, self.value)


def _named(metric: str, of: str) -> str:
    return metric if of == "day" else f"prev_{metric}"


def _change(name: str) -> str:
    return "open to close" if name == "day_return_pct" else "close to close"
