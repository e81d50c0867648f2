"""A trading day up to its cut-off: what is known of it then, what is asked of it, and what is said."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import polars as pl

from openbell.core.errors import BadInput
from openbell.core.time import MOMENT, utc

#: Classes of each label, in the order of its codes 0, 1, ... and of every probability array.
CLASSES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "archetype_by_range": ("TREND_DOWN", "RANGE", "TREND_UP"),
        "archetype_by_structure": ("TREND_DOWN", "RANGE", "REVERSAL", "TREND_UP"),
        "direction_of_day": ("DOWN", "UP"),
        "direction_from_cutoff": ("DOWN", "UP"),
    }
)
#: How a class is traded: 1 long, -1 short, 0 not at all.
SIDES: Mapping[str, int] = MappingProxyType(
    {"TREND_DOWN": -1, "RANGE": 0, "REVERSAL": 0, "TREND_UP": 1, "DOWN": -1, "UP": 1}
)
#: Labels of the whole day: part of what they tell has happened at the cut-off; skill in that earns nothing any more.
WHOLE_DAY = frozenset({"archetype_by_range", "archetype_by_structure", "direction_of_day"})
#: What stands in place of a class where nobody is sure enough. It never trades.
NO_CALL = "NO CALL"

#: Other markets whose state at the cut-off is context, by the name that features know them by.
MARKETS = ("vix", "dollar", "ten_year", "crude")

#: What an aggregation declared with ``reads="early"`` sees: the bars of ONE trading session that had ended at or before
#: the cut-off, in order. `minutes` from the regular open to the END of the bar (0 and below: before the open);
#: `regular` whether it lies in regular trading hours.
EARLY: Mapping[str, pl.DataType | type[pl.DataType]] = MappingProxyType(
    {
        "at": MOMENT,
        "minutes": pl.Int32,
        "regular": pl.Boolean,
        "open": pl.Float64,
        "high": pl.Float64,
        "low": pl.Float64,
        "close": pl.Float64,
        "volume": pl.Float64,
    }
)
#: What an expression declared with ``reads="session"`` sees beside the columns of all early aggregations, over the
#: ordered sessions of one product: regular hours of the session BEFORE, and other markets as of the cut-off.
#: ``X_now`` is the last known level of the market X (yesterday's close where only daily values exist), ``X_before``
#: the daily level known before that one.
BEFORE = ("prev_open", "prev_high", "prev_low", "prev_close", "prev_volume")
OF_MARKETS = tuple(f"{market}_{when}" for market in MARKETS for when in ("now", "before"))

#: What came of a session, for labels (``reads="session_outcomes"``). Prices of regular hours; `entry` is the open of
#: the first bar that begins at or after the cut-off. `retracement` is the largest move against the day's direction as a
#: part of its range, `tests_high` and `tests_low` how often the extremes were come back to, `crossings` how often the
#: closes crossed the middle of the day's range.
OUTCOMES = (
    "day_open", "day_high", "day_low", "day_close", "entry", "retracement", "tests_high", "tests_low", "crossings",
)  # fmt: skip

#: Rows the desk learns from and is asked about, beside their feature columns (Float64), sorted by (session, symbol).
#: `as_of` is the cut-off of the session; `price` the last close by then; `entry`, `entry_at` the open of the next bar,
#: `exit`, `exit_at` the last regular close; `atr` the average true range of the days before, in price. `label` is null
#: where the outcome is not known (yet) or has no class; `label_known_at` is then null too.
DECISIONS: Mapping[str, pl.DataType | type[pl.DataType]] = MappingProxyType(
    {
        "symbol": pl.String,
        "session": pl.Date,
        "as_of": MOMENT,
        "price": pl.Float64,
        "atr": pl.Float64,
        "entry_at": MOMENT,
        "entry": pl.Float64,
        "exit_at": MOMENT,
        "exit": pl.Float64,
        "label": pl.Int8,
        "label_known_at": MOMENT,
    }
)


def probability(name: str) -> str:
    """The column of the probability of a class, for example ``p_trend_up``."""
    return f"p_{name.lower()}"


@dataclass(frozen=True, slots=True, eq=False)
class SessionSaid:
    """What a model said of one session at its cut-off: the forecast of the session desk.

    Attributes
    ----------
    classes, probabilities : of the label, in order; they sum to 1. `probabilities` is None where the model abstained.
    price : last close at the cut-off. atr : average true range of the days before, in price; None where unknown.
    proven : whether the walk-forward of the model knew more than the base rates, adjusted for the number of tries.
    features : what the model was shown. lineage : of each, ``{"source": , "as_of": }``. reasons : sentences.
    """

    symbol: str
    session: dt.date
    as_of: dt.datetime
    label: str
    probabilities: tuple[float, ...] | None
    price: float
    atr: float | None
    model: str
    proven: bool
    silent: str = ""
    features: Mapping[str, float | None] = field(default_factory=dict)
    lineage: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()
    made_of: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        utc(self.as_of)
        if self.label not in CLASSES:
            raise BadInput(f"A session is asked for one of {', '.join(CLASSES)}; was `{self.label}`.")
        if not (math.isfinite(self.price) and self.price > 0):
            raise BadInput(f"The price at the cut-off is above 0; that of {self.symbol} was {self.price}.")
        given = self.probabilities
        if given is None:
            return
        if len(given) != len(self.classes) or not all(0 <= p <= 1 for p in given) or abs(sum(given) - 1) > 1e-6:
            raise BadInput(f"The probabilities of {', '.join(self.classes)} lie in [0, 1] and sum to 1; were {given}.")

    @property
    def classes(self) -> tuple[str, ...]:
        """Classes of the label, in the order of the probabilities."""
        return CLASSES[self.label]
