"""Limits of the session desk, each driven to both sides."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest

from openbell.core.types import Book, Decision, Outcome
from openbell.safety import session_limits
from openbell.safety.session_limits import SessionMarket

ALLOW, SHRINK, BLOCK = Outcome.ALLOW, Outcome.SHRINK, Outcome.BLOCK
OPENS = dt.datetime(2024, 3, 11, 13, 30, tzinfo=dt.UTC)
AT = OPENS + dt.timedelta(minutes=45)
MARKET = SessionMarket(AT, OPENS, OPENS + dt.timedelta(hours=6.5), AT, 0, 45)
BOOK = Book(AT, 100_000.0)
CHECKS = {each[0].name: each[0] for each in vars(session_limits).values() if isinstance(each, tuple)}


def said(name, weight=0.1, **market):
    decision = Decision("session", AT.date(), AT, {"SPY": weight} if weight else {}, 1.0 - weight, ())
    return CHECKS[name].run(decision, BOOK, replace(MARKET, **market))


def test_the_desk_has_its_four_checks() -> None:
    assert sorted(CHECKS) == ["session_fresh_bar", "session_hours", "session_position", "session_whole_window"]
    assert {each.desks for each in CHECKS.values()} == {("session",)}


@pytest.mark.parametrize("name", sorted(CHECKS))
def test_a_plain_morning_is_allowed(name) -> None:
    """Mutant: a check that blocks everything."""
    assert said(name).outcome is ALLOW
    assert said(name, weight=0.0).outcome is ALLOW


@pytest.mark.parametrize("minutes", [0, -1, 390, 400])
def test_a_cutoff_outside_regular_hours_blocks(minutes) -> None:
    """Mutant: an edge of the session taken for its inside; an early close before the cut-off."""
    assert said("session_hours", as_of=OPENS + dt.timedelta(minutes=minutes)).outcome is BLOCK


@pytest.mark.parametrize(
    ("last", "outcome"),
    [
        (AT, ALLOW),
        (AT - dt.timedelta(minutes=5), ALLOW),
        (AT - dt.timedelta(minutes=6), BLOCK),
        (AT + dt.timedelta(minutes=1), BLOCK),
        (None, BLOCK),
    ],
)
def test_an_old_last_bar_or_one_of_the_future_blocks(last, outcome) -> None:
    """Mutant: age without its sign; no bar taken for a fresh one."""
    assert said("session_fresh_bar", last_at=last).outcome is outcome


@pytest.mark.parametrize(("missing", "of", "outcome"), [(4, 45, ALLOW), (5, 45, BLOCK), (1, 10, ALLOW), (0, 0, BLOCK)])
def test_a_window_with_holes_blocks(missing, of, outcome) -> None:
    """Mutant: a share that the limit itself is not allowed by; a window of nothing divided by."""
    assert said("session_whole_window", missing_bars=missing, window_bars=of).outcome is outcome


@pytest.mark.parametrize(("weight", "outcome", "scale"), [(0.25, ALLOW, 1.0), (0.5, SHRINK, 0.5), (-0.5, SHRINK, 0.5)])
def test_a_position_too_large_is_shrunk_long_or_short(weight, outcome, scale) -> None:
    """Mutant: a limit on longs alone."""
    found = said("session_position", weight=weight)
    assert (found.outcome, found.scale) == (outcome, scale)
