"""What cash earns: the last rate that was known, for the calendar days between two sessions."""

import datetime as dt
import sys
from pathlib import Path

import polars as pl
import pytest

from openbell.core.errors import BadInput, DataMissing
from openbell.core.view import View
from openbell.research.cash import cash_returns

sys.path.insert(0, str(Path(__file__).parent))
from memory_tables import MemoryTables, weekday_calendar

CALENDAR = weekday_calendar(15)  # from Monday, 4 January 2010
DAYS = CALENDAR.dates[:10]
RATES = {"name": pl.String, "session": pl.Date, "value": pl.Float64, "known_at": pl.Datetime("us", "UTC")}


def moment(day: int, hour: int) -> dt.datetime:
    return dt.datetime(2010, 1, day, hour, tzinfo=dt.UTC)


def view(*rows: tuple[str, int, float, dt.datetime]) -> View:
    """Rates by name, January's day of their session, percent a year, and when they were known."""
    dated = [(name, dt.date(2010, 1, day), value, known) for name, day, value, known in rows]
    tables = MemoryTables({"rates": pl.DataFrame(dated, schema=RATES, orient="row")})
    return View(tables, CALENDAR.opens[-1], CALENDAR)


def earned(percent: float, days: int) -> float:
    return (1.0 + percent / 100.0) ** (days / 365.25) - 1.0


def test_by_hand():
    """2 % known on Wednesday after the open, 3 % from Tuesday on: a Monday earns three days, nothing before a rate."""
    seen = view(("bill", 5, 2.0, moment(6, 15)), ("bill", 11, 3.0, moment(11, 22)), ("other", 4, 50.0, moment(4, 1)))
    found = cash_returns(seen, "bill", DAYS)
    wanted = [0.0, 0.0, 0.0, earned(2, 1), earned(2, 1), earned(2, 3), *[earned(3, 1)] * 4]
    assert found.tolist() == pytest.approx(wanted, rel=1e-14)


def test_a_rate_is_used_from_the_open_at_which_it_is_known():
    """Known at the very open of Tuesday, 14:30 UTC: used on Tuesday. A microsecond later: on Wednesday."""
    at = dt.datetime(2010, 1, 5, 14, 30, tzinfo=dt.UTC)
    assert cash_returns(view(("bill", 4, 2.0, at)), "bill", DAYS[:3])[1] == pytest.approx(earned(2, 1))
    late = cash_returns(view(("bill", 4, 2.0, at + dt.timedelta(microseconds=1))), "bill", DAYS[:3])
    assert late.tolist() == pytest.approx([0.0, 0.0, earned(2, 1)])


def test_the_first_session_counts_one_day_whatever_came_before():
    seen = view(("bill", 4, 2.0, moment(4, 1)))
    assert cash_returns(seen, "bill", DAYS[5:7]).tolist() == pytest.approx([earned(2, 1)] * 2)
    assert cash_returns(seen, "bill", [DAYS[4], DAYS[9]])[1] == pytest.approx(earned(2, 7))


def test_a_restatement_counts_from_when_it_is_known_and_an_old_one_does_not():
    """A later value for the same session takes its place; one for an older session is not the last rate."""
    rows = [
        ("bill", 4, 1.0, moment(5, 1)),
        ("bill", 5, 2.0, moment(6, 1)),
        ("bill", 4, 9.0, moment(7, 1)),
        ("bill", 5, 4.0, moment(8, 1)),
    ]
    found = cash_returns(view(*rows), "bill", DAYS[:5])
    wanted = [0.0, earned(1, 1), earned(2, 1), earned(2, 1), earned(4, 1)]
    assert found.tolist() == pytest.approx(wanted)
    assert cash_returns(view(*reversed(rows)), "bill", DAYS[:5]).tolist() == found.tolist()


def test_of_rates_that_are_known_together_the_latest_counts():
    known = moment(6, 1)
    rows = [("bill", day, float(day), known) for day in (5, 6, 4)]
    assert cash_returns(view(*rows), "bill", DAYS[:4])[3] == pytest.approx(earned(6, 1))


def test_a_negative_rate_costs():
    assert cash_returns(view(("bill", 4, -0.5, moment(4, 1))), "bill", DAYS)[-1] == pytest.approx(earned(-0.5, 1))


def test_without_a_name_cash_earns_nothing_and_no_table_is_read():
    nothing = View(MemoryTables(), CALENDAR.opens[-1], CALENDAR)
    assert cash_returns(nothing, "", DAYS).tolist() == [0.0] * 10
    with pytest.raises(DataMissing, match="no table `rates`"):
        cash_returns(nothing, "bill", DAYS)


def test_an_unknown_rate_is_refused_with_the_nearest():
    seen = view(("DTB3", 4, 1.0, moment(4, 1)), ("SOFR", 4, 1.0, moment(4, 1)))
    with pytest.raises(BadInput, match="DTB3"):
        cash_returns(seen, "DTB4", DAYS)


def test_a_rate_that_is_only_known_later_is_unknown_now():
    seen = view(("bill", 4, 1.0, CALENDAR.opens[-1] + dt.timedelta(microseconds=1)))
    with pytest.raises(BadInput, match="bill"):
        cash_returns(seen, "bill", DAYS)
