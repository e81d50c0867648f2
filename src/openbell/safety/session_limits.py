"""What the call of a session may rest on and how much it may ask for."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from openbell.core.declare import check
from openbell.core.types import Book, Decision, Outcome, Verdict

#: Weights are compared to this: below it lies the rounding of floating point.
ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class SessionMarket:
    """The market as the checks of the session desk see it at the cut-off.

    Attributes
    ----------
    as_of : the cut-off. opens, closes : of regular hours. last_at : end of the last bar known by then, None without
        any. missing_bars : bars of the regular window up to the cut-off that are not there. window_bars : how many
        there ought to be.
    """

    as_of: dt.datetime
    opens: dt.datetime
    closes: dt.datetime
    last_at: dt.datetime | None
    missing_bars: int
    window_bars: int


@check(desks=("session",))
def session_hours(decision: Decision, book: Book, market: SessionMarket) -> Verdict:
    """The cut-off lies within regular hours, so there is something left of the day to be traded."""
    if market.opens < market.as_of < market.closes:
        return Verdict("session_hours", Outcome.ALLOW, "The cut-off lies within regular hours.")
    why = (
        f"The cut-off {market.as_of.isoformat()} is not within regular hours, {market.opens.isoformat()} to "
        f"{market.closes.isoformat()}."
    )
    return Verdict("session_hours", Outcome.BLOCK, why)


@check(desks=("session",))
def session_fresh_bar(
    decision: Decision, book: Book, market: SessionMarket, *, max_bar_minutes: float = 5.0
) -> Verdict:
    """The last bar ended at the cut-off, or so many minutes before it at most."""
    name = "session_fresh_bar"
    if market.last_at is None:
        return Verdict(name, Outcome.BLOCK, "There is no bar of this session.")
    age = (market.as_of - market.last_at).total_seconds() / 60.0
    measured = {"value": age, "limit": max_bar_minutes}
    if 0.0 <= age <= max_bar_minutes:
        return Verdict(name, Outcome.ALLOW, f"The last bar ended {age:.0f} minutes ago.", measured=measured)
    why = f"The last bar ended {market.last_at.isoformat()}, {age:.0f} minutes before the cut-off; the limit is "
    return Verdict(name, Outcome.BLOCK, f"{why}{max_bar_minutes:g}.", measured=measured)


@check(desks=("session",))
def session_whole_window(
    decision: Decision, book: Book, market: SessionMarket, *, max_missing_share: float = 0.1
) -> Verdict:
    """Of the bars up to the cut-off at most this share is missing: features of half a window mean something else."""
    name = "session_whole_window"
    if market.window_bars <= 0:
        return Verdict(name, Outcome.BLOCK, "The window up to the cut-off has no bars at all.")
    share = market.missing_bars / market.window_bars
    measured = {"value": share, "limit": max_missing_share}
    told = f"{market.missing_bars} of {market.window_bars} bars up to the cut-off are missing"
    if share <= max_missing_share:
        return Verdict(name, Outcome.ALLOW, f"{told}.", measured=measured)
    return Verdict(name, Outcome.BLOCK, f"{told}; the limit is {max_missing_share:.0%}.", measured=measured)


@check(desks=("session",))
def session_position(
    decision: Decision, book: Book, market: SessionMarket, *, max_session_position: float = 0.25
) -> Verdict:
    """The position asks for at most this fraction of the account, long or short."""
    name = "session_position"
    largest = max((abs(each) for each in decision.targets.values()), default=0.0)
    measured = {"value": largest, "limit": max_session_position}
    if largest <= max_session_position + ROUNDING:
        return Verdict(name, Outcome.ALLOW, f"It asks for {largest:.2%} of the account.", measured=measured)
    why = f"It asks for {largest:.2%} of the account; the limit is {max_session_position:.2%}."
    return Verdict(name, Outcome.SHRINK, why, scale=max_session_position / largest, measured=measured)
