"""A scenario of the almanac: which sessions of which product are asked about what, as values, as JSON and as a URL."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import datetime as dt
import json
import math
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from openbell.core.bars import FRAMES
from openbell.core.errors import BadInput, unknown
from openbell.core.hashing import canonical_json
from openbell.research.almanac_filters import Filter, Group, filters_from
from openbell.research.almanac_metrics import TRADES, clock_of, clock_text, metric_named

#: What can be asked of the sessions that are kept.
STATISTICS = (
    "hourly", "minute", "session", "weekday", "week_of_month", "week", "month", "years", "extremes", "survival",
    "heatmap", "rolling", "trend", "distribution", "correlation", "volatility", "clusters", "regimes", "anomalies",
    "levels", "risk",
)  # fmt: skip
#: The text of a scenario begins with this; another number is another layout.
VERSION = "a1"
#: Characters of a text in a URL, and bytes of the values it stands for.
LONGEST_TEXT, LONGEST_VALUES = 4_000, 32_000
_PRODUCT = re.compile(r"[A-Za-z0-9^][A-Za-z0-9._^=/-]{0,19}")
_TEXT = re.compile(r"a1\.[A-Za-z0-9_-]+")


@dataclass(frozen=True)
class Scenario:
    """What is asked.

    Attributes
    ----------
    product : symbol. first, last : sessions, both included; None: all there are.
    cutoff : clock of the product's exchange at which the study knows what it knows. trades_at : one of ``none`` (only
        describes), ``pre-open``, ``cut-off``: a study that trades refuses filters that are known only later.
    filters : which sessions. trim : percent of the sessions cut off at each end of change and of range; 0 keeps all.
    statistic : one of `STATISTICS`. metric : one of `METRICS`. bin : minutes of a bin of the day.
    freq : frame of the bars; None: the finest stored. against : another product, for correlation and lead-lag.
    """

    product: str
    first: dt.date | None = None
    last: dt.date | None = None
    cutoff: str = "10:15"
    trades_at: str = "none"
    filters: Group = field(default_factory=Group)
    trim: float = 0.0
    statistic: str = "hourly"
    metric: str = "day_return_pct"
    bin: int = 15
    freq: str | None = None
    against: str | None = None

    def __post_init__(self) -> None:
        for symbol in (self.product, *(() if self.against is None else (self.against,))):
            if not isinstance(symbol, str) or not _PRODUCT.fullmatch(symbol):
                raise BadInput(f"`{str(symbol)[:40]}` is no symbol of a product. Write it like ES or SPY.")
        object.__setattr__(self, "cutoff", clock_text(clock_of(self.cutoff)))
        if self.trades_at not in TRADES:
            raise unknown("moment at which a study trades,", str(self.trades_at)[:40], TRADES)
        if self.first is not None and self.last is not None and self.last < self.first:
            raise BadInput(
                f"A scenario cannot end on {self.last} before it begins on {self.first}. Exchange the dates."
            )
        if not isinstance(self.statistic, str) or self.statistic not in STATISTICS:
            raise unknown("statistic of the almanac", str(self.statistic)[:40], STATISTICS)
        metric_named(str(self.metric)[:60])
        if self.freq is not None and (not isinstance(self.freq, str) or FRAMES.get(self.freq) is None):
            raise unknown("frame of bars within the session", str(self.freq)[:40], [n for n, m in FRAMES.items() if m])
        object.__setattr__(self, "trim", float(_number("trim", self.trim, 0.0, 25.0)))
        object.__setattr__(self, "bin", int(_number("bin", self.bin, 1, 240)))

    @property
    def clock(self) -> int:
        """The cut-off in minutes of the local day."""
        return clock_of(self.cutoff)

    def as_dict(self) -> dict[str, Any]:
        """The scenario as plain values; what is not said is not in it."""
        told: dict[str, Any] = {}
        for each in dataclasses.fields(self):
            value = getattr(self, each.name)
            told[each.name] = value.isoformat() if isinstance(value, dt.date) else value
        return told | {"filters": self.filters.as_dict()}

    def as_json(self) -> str:
        """The scenario for a file."""
        return json.dumps(self.as_dict(), indent=1, sort_keys=True) + "\n"

    def as_text(self) -> str:
        """The scenario in few characters that need no escaping in a URL."""
        plain = {name: value for name, value in self.as_dict().items() if value is not None}
        packed = zlib.compress(canonical_json(plain).encode(), 9)
        text = f"{VERSION}.{base64.urlsafe_b64encode(packed).decode().rstrip('=')}"
        if len(text) > LONGEST_TEXT:
            raise BadInput(
                f"This scenario takes {len(text):,} characters, and a URL up to {LONGEST_TEXT:,}. Save it as a preset."
            )
        return text

    def words(self) -> str:
        """The scenario in one sentence."""
        span = (
            "" if self.first is None and self.last is None else f", {self.first or 'the first'} to {self.last or 'now'}"
        )
        trim = f", without the outer {self.trim:g} % of change and range" if self.trim else ""
        trades = {"none": "describes", "pre-open": "trades before the open"}.get(
            self.trades_at, f"trades at {self.cutoff}"
        )
        return f"{self.product}{span}: {self.filters.words()}{trim}; {trades}."


def _number(name: str, value: Any, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise BadInput(f"`{name}` of a scenario is a number; was {str(value)[:40]!r}.")
    if not low <= value <= high:
        raise BadInput(f"`{name}` of a scenario lies in {low:g} to {high:g}; was {value:g}.")
    return value


def scenario_from(values: Any) -> Scenario:
    """A scenario out of plain values, strictly."""
    if not isinstance(values, Mapping):
        raise BadInput("A scenario is an object with at least a `product`.")
    valid = {each.name for each in dataclasses.fields(Scenario)}
    for name in values:
        if name not in valid:
            raise unknown("part of a scenario,", str(name)[:40], valid)
    if "product" not in values:
        raise BadInput("A scenario needs a `product`, such as ES or SPY.")
    given = {name: value for name, value in values.items() if value is not None}
    for name in ("first", "last"):
        if name in given:
            given[name] = _date(name, given[name])
    if "filters" in given:
        tree = filters_from(given["filters"])
        given["filters"] = Group("and", (tree,)) if isinstance(tree, Filter) else tree
    return Scenario(**given)


def scenario_from_json(text: str) -> Scenario:
    """A scenario out of the text of a file."""
    if len(text) > LONGEST_VALUES:
        raise BadInput(f"A scenario has up to {LONGEST_VALUES:,} characters; this one has {len(text):,}.")
    try:
        # A list of many thousand brackets is no scenario; Python gives up on it, and so do we.
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"This is no JSON: {str(error)[:80]}.") from None
    return scenario_from(values)


def scenario_from_text(text: str) -> Scenario:
    """A scenario out of the text of a URL; what was cut, changed or made up is refused with a sentence."""
    if len(text) > LONGEST_TEXT:
        raise BadInput(f"A scenario in a URL has up to {LONGEST_TEXT:,} characters; this one has {len(text):,}.")
    if not _TEXT.fullmatch(text):
        raise BadInput("This is no scenario of the almanac: its text begins with `a1.`. Was the link cut or changed?")
    packed = text.partition(".")[2]
    try:
        raw = base64.b64decode(packed + "=" * (-len(packed) % 4), altchars=b"-_", validate=True)
        reader = zlib.decompressobj()
        values = reader.decompress(raw, LONGEST_VALUES)
        whole = reader.eof and not reader.unconsumed_tail and not reader.unused_data
        plain = values.decode("utf-8")
    except (binascii.Error, zlib.error, UnicodeDecodeError):
        whole, plain = False, ""
    if not whole:
        raise BadInput("This scenario of the almanac cannot be read. Was the link cut or changed?")
    return scenario_from_json(plain)


def _date(name: str, value: Any) -> dt.date:
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        return value
    try:
        return dt.date.fromisoformat(value) if isinstance(value, str) and len(value) == 10 else _no_date(name, value)
    except ValueError:
        return _no_date(name, value)


def _no_date(name: str, value: Any) -> dt.date:
    raise BadInput(f"`{name}` of a scenario is a date like 2024-03-15; was {str(value)[:40]!r}.")
