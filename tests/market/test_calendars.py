import datetime as dt
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from openbell.core.errors import BadInput
from openbell.market.calendars import LAST, sessions

FACTS = """
import datetime as dt
from openbell.market.calendars import sessions
s = sessions()
d = dt.date
assert d(2020, 4, 10) not in s            # Good Friday
assert d(2020, 10, 12) in s               # Columbus Day
assert d(2020, 11, 11) in s               # Veterans Day
assert d(2001, 9, 12) not in s
early = s.close(d(2020, 11, 27))          # the day after Thanksgiving: 13:00 in New York
assert early == dt.datetime(2020, 11, 27, 18, tzinfo=dt.UTC), early
assert s.close(d(2020, 12, 24)) == dt.datetime(2020, 12, 24, 18, tzinfo=dt.UTC)
assert s.open(d(2020, 3, 6)) == dt.datetime(2020, 3, 6, 14, 30, tzinfo=dt.UTC)   # winter
assert s.open(d(2020, 3, 9)) == dt.datetime(2020, 3, 9, 13, 30, tzinfo=dt.UTC)   # summer
assert s.open(d(2020, 11, 2)) == dt.datetime(2020, 11, 2, 14, 30, tzinfo=dt.UTC)
print(len(s.dates), s.dates[0], s.dates[-1])
"""


def test_the_calendar_says_the_same_in_tokyo(root: Path) -> None:
    """Checks 40 and 51."""
    environment = {**os.environ, "TZ": "Asia/Tokyo", "PYTHONPATH": str(root / "src")}
    told = subprocess.run([sys.executable, "-c", FACTS], env=environment, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    assert told.stdout.split()[1] == "1990-01-02"


def test_the_end_is_an_argument_and_not_the_clock() -> None:
    assert sessions(end=dt.date(2025, 6, 30)).dates[-1] == dt.date(2025, 6, 30)
    assert sessions().dates[-1] == LAST


def test_a_year_stands_for_its_first_or_last_day_and_the_calendar_is_made_once() -> None:
    assert sessions(start=2019, end=2019) is sessions("xnys", dt.date(2019, 1, 1), dt.date(2019, 12, 31))


def test_an_unknown_exchange_is_refused_with_the_nearest() -> None:
    with pytest.raises(BadInput, match="XNYS"):
        sessions("XNYZ", 2019, 2020)


def test_a_calendar_that_ends_before_it_starts_is_refused() -> None:
    with pytest.raises(BadInput, match="before it starts"):
        sessions(start=2021, end=2020)


def test_threads_that_ask_at_once_get_one_calendar():
    """Mutant: each builds its own; what one ignores of the library's warnings, another's end brings back."""
    start = threading.Barrier(4)

    def asked(_):
        start.wait(30)
        return sessions("XNYS", 2011, 2013)

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(asked, range(4)))
    assert all(each is found[0] for each in found)
