"""Who exercises, and when: the rules of early assignment and of expiry."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbell.core.errors import BadInput
from openbell.quant import assignment as rule
from openbell.quant.legs import CALL, PUT


def assigned(right, strike, mark, *, spot, dividend=0.0, rate=0.0, days=1.0):
    found = rule.early_assignments(
        np.array([right]), np.array([float(strike)]), np.array([float(mark)]),
        spot=spot, next_dividend=dividend, rate=rate, days_to_next_session=days,
    )  # fmt: skip
    return int(found[0])


def test_a_short_call_is_assigned_on_the_eve_of_a_dividend_above_its_time_value():
    # 108 - 105 = 3.00 intrinsic, so 3.20 holds 0.20 of time value.
    assert assigned(CALL, 105, 3.20, spot=108, dividend=0.75) == rule.DIVIDEND
    assert assigned(CALL, 105, 3.80, spot=108, dividend=0.75) == rule.NOT_ASSIGNED
    assert assigned(CALL, 105, 3.00, spot=108, dividend=0.0) == rule.NOT_ASSIGNED
    assert assigned(CALL, 105, 0.10, spot=105, dividend=0.75) == rule.NOT_ASSIGNED  # at the money nobody exercises


def test_a_deep_put_is_assigned_when_the_night_earns_more_than_its_time_value():
    # 100 (1 - exp(-0.0365 / 365)) = 0.0099995 for one night, three times that over a weekend.
    assert assigned(PUT, 100, 20.005, spot=80, rate=0.0365) == rule.INTEREST
    assert assigned(PUT, 100, 20.02, spot=80, rate=0.0365) == rule.NOT_ASSIGNED
    assert assigned(PUT, 100, 20.02, spot=80, rate=0.0365, days=3.0) == rule.INTEREST
    assert assigned(PUT, 100, 20.005, spot=80, rate=-0.01) == rule.NOT_ASSIGNED
    assert assigned(PUT, 100, 20.005, spot=80, rate=0.0365, dividend=0.5) == rule.NOT_ASSIGNED


def test_a_mark_that_is_missing_assigns_nobody():
    assert assigned(CALL, 105, np.nan, spot=108, dividend=0.75) == rule.NOT_ASSIGNED
    assert assigned(PUT, 100, np.nan, spot=80, rate=0.05) == rule.NOT_ASSIGNED


def test_a_cent_in_the_money_is_exercised_and_less_is_not():
    right, strike = np.array([CALL, PUT, CALL]), np.array([100.0, 100.0, 100.0])
    assert rule.exercised_at_expiry(right, strike, 100.01).tolist() == [True, False, True]
    assert rule.exercised_at_expiry(right, strike, 100.004).tolist() == [False, False, False]
    assert rule.exercised_at_expiry(right, strike, 99.99).tolist() == [False, True, False]


@given(spot=st.floats(50, 150), mark=st.floats(0, 60), rate=st.floats(0, 0.1), less=st.floats(0, 2))
def test_what_is_worth_more_alive_is_never_exercised(spot, mark, rate, less):
    """A higher mark never turns an option that lives on into one that is exercised."""
    for right in (CALL, PUT):
        if assigned(right, 100, mark, spot=spot, dividend=0.5, rate=rate) == rule.NOT_ASSIGNED:
            assert assigned(right, 100, mark + less, spot=spot, dividend=0.5, rate=rate) == rule.NOT_ASSIGNED


@pytest.mark.parametrize(("wrong", "words"), [({"dividend": -0.1}, "next_dividend"), ({"days": 0.0}, "days_to_next")])
def test_what_cannot_be_is_refused(wrong, words):
    with pytest.raises(BadInput, match=words):
        assigned(CALL, 100, 1.0, spot=100, **wrong)
