"""The day is the observation: settled, in order, and never another when it is looked at later."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbell.core.errors import BadInput
from openbell.quant.arm_days import WAIT_DAYS, day_differences

FIRST = np.datetime64("2025-06-02")


def differences(rows, today, wait=WAIT_DAYS):
    """Rows of (day, is test, score, known on), days as numbers from `FIRST`; None where it is not known."""
    days, tests, scores, known = zip(*rows, strict=True) if rows else ((), (), (), ())
    return day_differences(
        np.array([FIRST + day for day in days], dtype="datetime64[D]"),
        np.array(tests, dtype=bool),
        np.array([np.nan if score is None else score for score in scores], dtype=float),
        np.array([np.datetime64("NaT") if on is None else FIRST + on for on in known], dtype="datetime64[D]"),
        today=FIRST + today,
        wait_days=wait,
    )


def test_a_day_counts_once_however_many_trades_it_has():
    """Worked by hand. Kills: trades of one close as observations of their own."""
    rows = [(0, True, 1.0, 0), (0, True, 0.0, 0), (0, False, 0.2, 1), *[(1, True, 0.5, 1)] * 50, (1, False, 0.1, 1),
            (2, True, 0.9, 2)]  # fmt: skip
    found = differences(rows, 5)
    assert found.days.tolist() == [FIRST.item(), (FIRST + 1).item()]
    assert found.difference == pytest.approx([0.3, 0.4])
    assert (found.one_armed, found.open, found.missing) == (1, 0, 0)


def test_days_enter_in_order_and_wait_for_their_outcomes():
    """Kills: a day that is counted with half of its trades and again with all."""
    rows = [(0, True, 1.0, 1), (0, False, 0.0, 0), (1, True, 1.0, 1), (1, False, None, None), (2, True, 0.0, 2),
            (2, False, 1.0, 2)]  # fmt: skip
    assert differences(rows, 0).open == 1
    assert differences(rows, 2).difference.tolist() == [1.0]
    assert differences(rows, 2).open == 2
    assert differences(rows, 1 + WAIT_DAYS).open == 2
    late = differences(rows, 2 + WAIT_DAYS)
    assert (late.difference.tolist(), late.open, late.missing, late.one_armed) == ([1.0, -1.0], 0, 1, 1)
    told = [*rows[:3], (1, False, 0.5, 2 + WAIT_DAYS), *rows[4:]]
    same = differences(told, 30)
    assert same.difference.tolist() == late.difference.tolist(), "an outcome that comes too late changes nothing"
    assert same.missing == 1


ROW = (
    st.integers(0, 6)
    .flatmap(
        lambda day: st.tuples(
            st.just(day),
            st.booleans(),
            st.floats(-1, 1),
            st.one_of(st.none(), st.integers(0, 12).map(lambda d: day + d)),
        )
    )
    .map(lambda row: row if row[3] is not None else (row[0], row[1], None, None))
)


@given(st.lists(ROW, max_size=25))
def test_what_was_counted_never_changes(rows):
    """Looking is free only where the observations of yesterday are those of today."""
    before: list[float] = []
    for today in range(25):
        found = differences(rows, today).difference.tolist()
        assert found[: len(before)] == before
        before = found
    assert differences(rows, 24).open == 0


def test_what_makes_no_sense_is_refused():
    with pytest.raises(BadInput, match="need one shape"):
        day_differences([FIRST], [True, False], [1.0], [FIRST], today=FIRST)
    with pytest.raises(BadInput, match="every score needs the day it was known on"):
        differences([(0, True, 1.0, None)], 1)
    with pytest.raises(BadInput, match="was -1"):
        differences([], 1, wait=-1)
    assert differences([], 1).difference.size == 0
