"""Rolls of futures: by what was known, forward adjusted, and never changed by what comes later."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbell.core.errors import BadInput
from openbell.quant.rolls import contracts_in_force, forward_adjustment, roll_steps

FAR = np.array([100, 200, 300])


def test_volume_rolls_the_session_after_it_was_exceeded():
    """Worked by hand: the second contract trades more in session 2, which is known in session 3."""
    volume = np.array([[9.0, 1, 0], [8, 2, 0], [4, 6, 0], [7, 3, 0], [5, 5, 0], [1, 9, 10]])
    got = contracts_in_force(volume, np.arange(6), FAR, by="volume")
    assert got.tolist() == [0, 0, 0, 1, 1, 1]
    assert roll_steps(got).tolist() == [3]


def test_equal_volume_does_not_roll_and_nothing_rolls_back():
    volume = np.array([[5.0, 5, 0], [5, 5, 0], [4, 5, 0], [9, 0, 0], [9, 0, 0]])
    assert contracts_in_force(volume, np.arange(5), FAR, by="volume").tolist() == [0, 0, 0, 1, 1]


def test_the_most_traded_later_contract_is_taken():
    """Gold's even months: the nearest later contract is hardly traded."""
    volume = np.array([[9.0, 1, 2], [4, 1, 6], [1, 1, 9]])
    assert contracts_in_force(volume, np.arange(3), FAR, by="volume").tolist() == [0, 0, 2]


def test_days_before_the_last_session():
    """The first contract's last session is number 5; with two days it rolls in session 4, whatever the volumes."""
    volume = np.tile([9.0, 1.0], (7, 1))
    last = np.array([5, 50])
    assert contracts_in_force(volume, np.arange(7), last, by="days", days=2).tolist() == [0, 0, 0, 0, 1, 1, 1]
    assert contracts_in_force(volume, np.arange(7), last, by="days", days=0).tolist() == [0, 0, 0, 0, 0, 0, 1]
    # Sessions are counted in the calendar, also over days without data.
    assert contracts_in_force(volume[:3], np.array([0, 3, 4]), last, by="days", days=2).tolist() == [0, 0, 1]


def test_an_expired_contract_is_left_by_either_rule():
    volume = np.array([[9.0, 1], [9, 1], [0, 1], [0, 1]])
    for by in ("volume", "days"):
        got = contracts_in_force(volume, np.arange(4), np.array([1, 50]), by=by, days=0)
        assert got.tolist() == [0, 0, 1, 1]


def test_forward_adjustment_by_hand():
    """100 -> 105 at the first roll, 200 -> 190 at the second."""
    rolls, old, new = np.array([2, 4]), np.array([100.0, 200.0]), np.array([105.0, 190.0])
    factor, offset, joined = forward_adjustment(6, rolls, old, new, adjust="ratio")
    first, second = 100 / 105, 100 / 105 * 200 / 190
    np.testing.assert_allclose(factor, [1, 1, first, first, second, second])
    assert offset.tolist() == [0] * 6
    assert joined.tolist() == [True, True]
    factor, offset, _ = forward_adjustment(6, rolls, old, new, adjust="difference")
    assert factor.tolist() == [1] * 6
    assert offset.tolist() == [0, 0, -5, -5, 5, 5]
    factor, offset, joined = forward_adjustment(6, rolls, old, new, adjust="none")
    assert factor.tolist() == [1] * 6
    assert offset.tolist() == [0] * 6
    assert not joined.any()


def test_a_roll_without_both_prices_is_told():
    factor, _, joined = forward_adjustment(
        3, np.array([1, 2]), np.array([np.nan, 100.0]), np.array([90.0, 50.0]), adjust="ratio"
    )
    assert joined.tolist() == [False, True]
    assert factor.tolist() == [1, 1, 2]


@pytest.mark.parametrize(
    ("call", "why"),
    [
        (lambda: contracts_in_force(np.ones((2, 1)), np.arange(2), np.array([5]), by="hope"), "rule to roll by `hope`"),
        (lambda: contracts_in_force(np.ones((2, 1)), np.arange(2), np.array([5]), by="days", days=-1), "was -1"),
        (lambda: contracts_in_force(np.ones((2, 2)), np.arange(2), np.array([5]), by="days"), r"was \(2, 2\)"),
        (lambda: contracts_in_force(np.ones((2, 2)), np.arange(2), np.array([5, 4]), by="days"), "in order of time"),
        (
            lambda: forward_adjustment(2, np.array([1]), np.array([-37.6]), np.array([20.0]), adjust="ratio"),
            "Adjust by `difference`",
        ),
        (
            lambda: forward_adjustment(2, np.array([1]), np.array([3.0]), np.array([2.0]), adjust="back"),
            "adjustment of a roll `back`",
        ),
    ],
)
def test_refusals(call, why):
    with pytest.raises(BadInput, match=why):
        call()


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from(["volume", "days"]),
    st.integers(0, 6),
    st.integers(1, 39),
)
def test_what_comes_later_changes_nothing(seed, by, days, cut):
    """Cut off at any session, and with any other future, the contracts in force up to it are the same."""
    rng = np.random.default_rng(seed)
    volume = rng.integers(0, 4, (40, 5)).astype(float)
    session = np.cumsum(rng.integers(1, 3, 40))
    last = np.sort(rng.integers(0, 90, 5))
    whole = contracts_in_force(volume, session, last, by=by, days=days)
    part = contracts_in_force(volume[:cut], session[:cut], last, by=by, days=days)
    assert part.tolist() == whole[:cut].tolist()
    other = np.concatenate([volume[:cut], rng.integers(0, 4, (40 - cut, 5))])
    # The volumes of session `cut` itself are not looked at in it, unless the series begins there.
    if part[-1] >= 0:
        assert (
            contracts_in_force(other, session, last, by=by, days=days)[: cut + 1].tolist() == whole[: cut + 1].tolist()
        )
    assert (np.diff(whole) >= 0).all()
