"""Facts of option classes, against the exchanges' specifications, and the moment each contract stops."""

import datetime as dt

import polars as pl
import pytest

from openbell.market.calendars import sessions
from openbell.market.contracts import (
    CLASSES,
    class_columns,
    expiry_moment,
    is_monthly,
    option_class,
    root_of,
    with_expiry_moment,
)

CALENDAR = sessions()


@pytest.mark.parametrize(
    ("root", "underlying", "settlement", "exercise", "multiplier"),
    [
        ("SPX", "SPX", "AM", "EUROPEAN", 100.0),
        ("SPXW", "SPX", "PM", "EUROPEAN", 100.0),
        ("XSP", "XSP", "PM", "EUROPEAN", 100.0),
        ("NDX", "NDX", "AM", "EUROPEAN", 100.0),
        ("NDXP", "NDX", "PM", "EUROPEAN", 100.0),
        ("RUT", "RUT", "AM", "EUROPEAN", 100.0),
        ("RUTW", "RUT", "PM", "EUROPEAN", 100.0),
        ("VIX", "VIX", "AM", "EUROPEAN", 100.0),
        ("VIXW", "VIX", "AM", "EUROPEAN", 100.0),
        ("OEX", "OEX", "PM", "AMERICAN", 100.0),
        ("SPY", "SPY", "PM", "AMERICAN", 100.0),
        ("AAPL1", "AAPL", "PM", "AMERICAN", 100.0),
        ("AAPL7", "AAPL", "PM", "AMERICAN", 10.0),
    ],
)
def test_the_facts_of_a_class(root, underlying, settlement, exercise, multiplier):
    """Check 34. Kills: one exchanged pair, an index taken for a stock, a mini taken for 100 shares."""
    found = option_class(root)
    assert (found.underlying, found.settlement, found.exercise, found.multiplier) == (
        underlying, settlement, exercise, multiplier,
    )  # fmt: skip
    assert found.adjusted == (root == "AAPL1")
    assert class_columns(pl.Series([root, None, root])).height == 1
    assert all(each.root == name for name, each in CLASSES.items())


def test_third_fridays_and_the_day_before_a_closed_one():
    assert root_of("SPX", dt.date(2023, 9, 15)) == "SPX"
    assert root_of("SPX", dt.date(2023, 9, 22)) == "SPXW"
    assert root_of("AAPL", dt.date(2023, 9, 22)) == "AAPL"
    # Good Friday of 2019 was a third Friday: the monthlies stopped on the Thursday.
    assert is_monthly(dt.date(2019, 4, 18), CALENDAR)
    assert not is_monthly(dt.date(2019, 4, 18))
    assert not is_monthly(dt.date(2023, 9, 14), CALENDAR)


@pytest.mark.parametrize(
    ("expiry", "settlement", "moment"),
    [
        ("2023-09-15", "PM", "2023-09-15T20:00+00:00"),
        ("2023-09-15", "AM", "2023-09-15T13:30+00:00"),
        ("2023-11-24", "PM", "2023-11-24T18:00+00:00"),  # an early close
        ("2023-12-15", "PM", "2023-12-15T21:00+00:00"),  # winter time
        ("2014-09-20", "PM", "2014-09-19T20:00+00:00"),  # a Saturday of before 2015
        ("2035-06-15", "PM", "2035-06-15T20:00+00:00"),  # beyond the calendar
        ("2035-12-21", "AM", "2035-12-21T14:30+00:00"),
    ],
)
def test_when_a_contract_stops(expiry, settlement, moment):
    """Kills: UTC for New York, an early close at 16:00, the Monday after a Saturday expiry."""
    found = expiry_moment(dt.date.fromisoformat(expiry), settlement, CALENDAR)
    assert found == dt.datetime.fromisoformat(moment)


def test_moments_keep_the_order_of_rows_and_nulls():
    rows = pl.DataFrame(
        {"expiry": [dt.date(2023, 9, 22), None, dt.date(2023, 9, 15)], "settlement": ["PM", "PM", "AM"]}
    )
    found = with_expiry_moment(rows, CALENDAR)
    assert found["expiry"].to_list() == rows["expiry"].to_list()
    assert [each and each.day for each in found["expires_at"]] == [22, None, 15]
