"""Moments and sessions."""

import datetime as dt

import pytest

from openbell.core.errors import BadInput
from openbell.core.time import Sessions, utc

WEEK = (dt.date(2020, 3, 12), dt.date(2020, 3, 13), dt.date(2020, 3, 16), dt.date(2020, 3, 17))


def sessions() -> Sessions:
    at = [dt.datetime.combine(day, dt.time(13, 30), dt.UTC) for day in WEEK]
    return Sessions("XNYS", WEEK, tuple(at), tuple(moment + dt.timedelta(hours=6.5) for moment in at))


def test_a_naive_moment_is_refused_with_the_cure() -> None:
    """Kills: taking a naive moment for UTC."""
    with pytest.raises(BadInput, match=r"2020-03-16T09:30:00 has no time zone.*\+00:00"):
        utc(dt.datetime(2020, 3, 16, 9, 30))


def test_another_zone_is_turned_into_utc() -> None:
    """Kills: replacing the zone instead of converting."""
    new_york = dt.timezone(dt.timedelta(hours=-4))
    assert utc(dt.datetime(2020, 3, 16, 9, 30, tzinfo=new_york)) == dt.datetime(2020, 3, 16, 13, 30, tzinfo=dt.UTC)


def test_shift_counts_sessions_not_days() -> None:
    """Kills: calendar-day arithmetic over a weekend."""
    assert sessions().shift(dt.date(2020, 3, 13), 1) == dt.date(2020, 3, 16)
    assert sessions().shift(dt.date(2020, 3, 16), -2) == dt.date(2020, 3, 12)


def test_a_day_without_a_session_names_its_neighbours() -> None:
    """Kills: snapping a Saturday to Friday."""
    with pytest.raises(BadInput, match=r"2020-03-14 \(Saturday\) is not a session.*2020-03-13 and 2020-03-16"):
        sessions().index(dt.date(2020, 3, 14))


def test_a_shift_past_the_calendar_is_refused() -> None:
    """Kills: negative wrap-around of the index."""
    with pytest.raises(BadInput, match="3 sessions before 2020-03-13 lies outside"):
        sessions().shift(dt.date(2020, 3, 13), -3)


@pytest.mark.parametrize(("seconds", "expected"), [(-1, WEEK[0]), (0, WEEK[1]), (1, WEEK[1])])
def test_a_session_has_closed_from_its_close_on(seconds: int, expected: dt.date) -> None:
    """Kills: counting a session as closed a moment too early."""
    close = sessions().close(WEEK[1])
    assert sessions().last_closed(close + dt.timedelta(seconds=seconds)) == expected


def test_between_includes_both_ends() -> None:
    """Kills: a half-open range."""
    assert sessions().between(WEEK[1], dt.date(2020, 3, 16)) == WEEK[1:3]


def test_the_frame_numbers_sessions() -> None:
    """Kills: an unsorted or local-time frame."""
    frame = sessions().frame
    assert frame["number"].to_list() == [0, 1, 2, 3]
    assert frame["open_at"].dtype.time_zone == "UTC"
