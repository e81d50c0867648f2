"""What a listed option class is: its underlying, when it settles, when it may be exercised, how many USD a point is.

The facts are those of the exchanges' contract specifications (Cboe, Nasdaq). An index's class that is not listed here
is not guessed from its name: it is taken for a stock's, which the report of an import says.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import polars as pl

from openbell.core.time import MOMENT, Sessions
from openbell.core.types import Exercise, Settlement

NEW_YORK = ZoneInfo("America/New_York")
OPEN, CLOSE = dt.time(9, 30), dt.time(16)


@dataclass(frozen=True, slots=True)
class OptionClass:
    """The contract facts that all options of one root share. `multiplier` is USD per point."""

    root: str
    underlying: str
    settlement: Settlement = Settlement.PM
    exercise: Exercise = Exercise.AMERICAN
    multiplier: float = 100.0

    @property
    def adjusted(self) -> bool:
        """Whether a corporate action changed what is delivered, so that quotes do not compare with the spot."""
        return self.root[-1].isdigit() and self.multiplier == 100.0


def _index(root: str, underlying: str, settlement: Settlement) -> OptionClass:
    return OptionClass(root, underlying, settlement, Exercise.EUROPEAN)


_AM, _PM = Settlement.AM, Settlement.PM
#: Cash-settled index options; SPX, NDX, RUT, DJX and VIX settle on the opening prices of their last day.
CLASSES: dict[str, OptionClass] = {
    each.root: each
    for each in (
        _index("SPX", "SPX", _AM),
        _index("SPXW", "SPX", _PM),
        _index("SPXQ", "SPX", _PM),
        _index("SPXPM", "SPX", _PM),
        _index("XSP", "XSP", _PM),
        _index("NANOS", "XSP", _PM),
        _index("NDX", "NDX", _AM),
        _index("NDXP", "NDX", _PM),
        _index("XND", "XND", _PM),
        _index("RUT", "RUT", _AM),
        _index("RUTW", "RUT", _PM),
        _index("MRUT", "MRUT", _PM),
        _index("DJX", "DJX", _AM),
        _index("VIX", "VIX", _AM),
        _index("VIXW", "VIX", _AM),
        _index("XEO", "XEO", _PM),
        OptionClass("OEX", "OEX", _PM),
    )
}
CLASSES["NANOS"] = OptionClass("NANOS", "XSP", _PM, Exercise.EUROPEAN, 1.0)
#: Underlyings that nobody can hold: their options follow a forward of their own, which may lie far from the spot.
WITHOUT_CARRY = ("VIX",)
#: The class of expiries that settle on the close, of underlyings whose monthly class settles on the open.
WEEKLY = {"SPX": "SPXW", "NDX": "NDXP", "RUT": "RUTW", "VIX": "VIXW"}
#: A root that ends in 7 is a mini of 10 shares (2013-2014); other digits mark adjusted contracts.
MINI = re.compile(r"^([A-Z]+)7$")
ADJUSTED = re.compile(r"^([A-Z]+)[0-9]+$")


def option_class(root: str) -> OptionClass:
    """The facts of the class `root`; one that is no index's is a stock's: American, PM, 100 shares."""
    if root in CLASSES:
        return CLASSES[root]
    mini = MINI.match(root)
    if mini:
        return OptionClass(root, mini.group(1), multiplier=10.0)
    adjusted = ADJUSTED.match(root)
    return OptionClass(root, adjusted.group(1) if adjusted else root)


def root_of(underlying: str, expiry: dt.date, sessions: Sessions | None = None) -> str:
    """The class of an expiry that a source names by its underlying alone.

    On the third Friday (the Thursday before it, where `sessions` close on that Friday) two classes of an index expire;
    the monthly one, AM-settled, is meant there: it is the one that has always been listed.
    """
    weekly = WEEKLY.get(underlying)
    return underlying if weekly is None or is_monthly(expiry, sessions) else weekly


def is_monthly(expiry: dt.date, sessions: Sessions | None = None) -> bool:
    """Whether `expiry` is the third Friday of its month, or the session before where that Friday is none."""
    first = expiry.replace(day=1)
    friday = first + dt.timedelta(days=(4 - first.weekday()) % 7 + 14)
    if expiry == friday:
        return True
    inside = sessions is not None and sessions.dates[0] <= friday <= sessions.dates[-1]
    if sessions is None or not inside or friday in sessions:
        return False
    before = sessions.between(friday - dt.timedelta(days=7), friday)
    return bool(before) and expiry == before[-1]


def class_columns(roots: pl.Series) -> pl.DataFrame:
    """Each root in `roots` once with its facts, in the columns ``root``, ``underlying``, ``settlement`` and so on."""
    found = [option_class(root) for root in sorted(roots.drop_nulls().unique().to_list())]
    return pl.DataFrame(
        {
            "root": [each.root for each in found],
            "underlying": [each.underlying for each in found],
            "settlement": [each.settlement.value for each in found],
            "exercise": [each.exercise.value for each in found],
            "multiplier": [each.multiplier for each in found],
            "adjusted": [each.adjusted for each in found],
        },
        schema={
            "root": pl.String, "underlying": pl.String, "settlement": pl.String, "exercise": pl.String,
            "multiplier": pl.Float64, "adjusted": pl.Boolean,
        },
    )  # fmt: skip


def expiry_moment(expiry: dt.date, settlement: str, sessions: Sessions) -> dt.datetime:
    """When a contract stops: the close of its last session (early closes included), or its open if AM-settled.

    An expiry on a day without a session (Saturdays before 2015) means the session before; beyond the calendar 16:00
    or 09:30 New York are taken.
    """
    rows = pl.DataFrame({"expiry": [expiry], "settlement": [str(settlement)]}, schema_overrides={"expiry": pl.Date})
    moment: dt.datetime = with_expiry_moment(rows, sessions)["expires_at"][0]
    return moment


def with_expiry_moment(rows: pl.DataFrame, sessions: Sessions) -> pl.DataFrame:
    """`rows` (``expiry``, ``settlement``) with ``expires_at`` (UTC); see `expiry_moment`. The order is kept."""
    terms = rows.select("expiry").unique().drop_nulls().sort("expiry")
    known = sessions.frame.select("session", "open_at", "close_at").sort("session")
    beside = terms.join_asof(known, left_on="expiry", right_on="session", strategy="backward", check_sortedness=False)
    inside = pl.col("expiry") <= sessions.dates[-1]

    def at(time: dt.time) -> pl.Expr:
        return pl.col("expiry").dt.combine(time).dt.replace_time_zone(NEW_YORK.key).dt.convert_time_zone("UTC")

    moments = beside.select(
        "expiry",
        pl.coalesce(pl.when(inside).then("open_at"), at(OPEN)).cast(MOMENT).alias("_open"),
        pl.coalesce(pl.when(inside).then("close_at"), at(CLOSE)).cast(MOMENT).alias("_close"),
    )
    joined = rows.join(moments, on="expiry", how="left", maintain_order="left")
    morning = pl.col("settlement") == Settlement.AM.value
    return joined.with_columns(pl.when(morning).then("_open").otherwise("_close").alias("expires_at")).drop(
        "_open", "_close"
    )
