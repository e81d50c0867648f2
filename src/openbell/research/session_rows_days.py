"""Regular hours of the session before each session: from its bars, else from daily bars that can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from openbell.core.errors import BadInput
from openbell.core.session import BEFORE
from openbell.research.session_early import Placed
from openbell.research.session_outcomes import days

PRICES = ("open", "high", "low", "close", "volume")
#: A daily close that differs by more than this from the last regular close of the same session is of another scale
#: (adjusted, another contract): the daily bars are then refused.
LARGEST_DIFFERENCE = 0.02


@dataclass(frozen=True, slots=True, eq=False)
class DaysBefore:
    """What was known of the session before, in two ways.

    Attributes
    ----------
    trusted, own : one row per session of the calendar: ``session``, the columns of `core.session.BEFORE` and
        ``days`` (when the day before was known; null where it is not there). `own` is what the bars themselves show,
        `trusted` takes daily bars too where the bars have no whole day: before their first above all.
    is_trusted : per session, whether `trusted` counts for its row: its daily bars could be compared with the bars of an
        earlier session, and at none of those did they differ. Only what was known then decides.
    notes : what was refused or not there.
    """

    trusted: pl.DataFrame
    own: pl.DataFrame
    is_trusted: pl.Series
    notes: tuple[str, ...]


def days_before(found: Placed, daily: pl.DataFrame | None) -> DaysBefore:
    """Regular open, high, low, close and volume of the session before each session of the calendar.

    The session before is the one before it in the calendar. Where it has neither a daily bar nor whole regular hours
    all are null: the day before that one does not stand in for it. A day counts where it was known at the cut-off.
    """
    own = days(found).select("session", *PRICES, "known_at")
    if daily is None or daily.is_empty():
        frame = _shifted(found.sessions, own)
        return DaysBefore(frame, frame, pl.Series("is_trusted", [False] * frame.height, dtype=pl.Boolean), ())
    given, notes = _daily(found, daily)
    pairs = given.join(own.select("session", pl.col("close").alias("own")), on="session", how="inner").with_columns(
        ((pl.col("close") / pl.col("own") - 1.0).abs() > LARGEST_DIFFERENCE).fill_null(True).alias("differs")
    )
    state = found.sessions.select("session").join(pairs.select("session", "differs"), on="session", how="left")
    compared = pl.col("differs").is_not_null().cum_max().shift(1, fill_value=False)
    differed = pl.col("differs").fill_null(False).cum_max().shift(1, fill_value=False)
    is_trusted = state.select((compared & ~differed).alias("is_trusted")).to_series()
    # The bars' own days go first: a gap of a percent that is only a dividend of later would be a wrong number.
    both = pl.concat([own, given.join(own, on="session", how="anti")]).sort("session")
    notes += _refused(found.symbol, pairs)
    return DaysBefore(_shifted(found.sessions, both), _shifted(found.sessions, own), is_trusted, tuple(notes))


def _daily(found: Placed, daily: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    """The daily bars of the calendar's sessions, and a note where there are others among them."""
    lacking = [name for name in ("session", *PRICES, "known_at") if name not in daily.columns]
    if lacking:
        raise BadInput(f"The daily bars have no column {', '.join(f'`{name}`' for name in lacking)}.")
    given = daily.select("session", *(pl.col(name).cast(pl.Float64) for name in PRICES), "known_at")
    given = given.drop_nulls("close").unique("session", keep="last", maintain_order=True).sort("session")
    sessions = found.sessions["session"]
    within = given.filter(pl.col("session").is_between(sessions.min(), sessions.max()))
    kept = within.join(found.sessions.select("session"), on="session", how="semi")
    notes = []
    if kept.height < within.height:
        notes.append(
            f"{within.height - kept.height:,} daily bars of {found.symbol} are of days without a session; "
            "they are left out."
        )
    return kept, notes


def _refused(symbol: str, pairs: pl.DataFrame) -> list[str]:
    """Why daily bars are not used, or not any more; empty where they are."""
    if pairs.is_empty():
        return [
            f"The daily bars of {symbol} share no whole session with the bars within it, so their scale cannot be "
            "checked; the days before are made from the bars."
        ]
    bad = pairs.filter("differs")
    if bad.is_empty():
        return []
    row = bad.row(0, named=True)
    return [
        f"The daily bars of {symbol} are refused after {row['session']}: their close of {row['close']:,.6g} lies more "
        f"than {LARGEST_DIFFERENCE:.0%} from the last regular close of {row['own']:,.6g}; so do {bad.height:,} of "
        f"{pairs.height:,} sessions. Hand in unadjusted prices of regular hours. The days before are made of the bars."
    ]


def _shifted(sessions: pl.DataFrame, of_days: pl.DataFrame) -> pl.DataFrame:
    """Each session with the day before it, where that was known at the cut-off."""
    rows = sessions.select("session", "as_of").join(of_days, on="session", how="left")
    known = pl.col("known_at").shift(1)
    in_time = known <= pl.col("as_of")
    values: Sequence[pl.Expr] = [
        pl.when(in_time).then(pl.col(name).shift(1)).cast(pl.Float64).alias(before)
        for name, before in zip(PRICES, BEFORE, strict=True)
    ]
    return rows.select("session", *values, pl.when(in_time).then(known).alias("days"))
