"""Design effects of rows that share a day: what one more copy of the same trade is worth, which is nothing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openbell.core.errors import BadInput
from openbell.quant.design_effects import PRIOR_DAYS, design_effects


def effect(residual, day, group=None, groups=1, variance=0.25):
    """Of single rows with one score each."""
    group = np.zeros(len(day), dtype=np.int64) if group is None else group
    information = np.bincount(group[group >= 0], minlength=groups)[:, None] * variance
    return design_effects(np.asarray(residual, float)[:, None], np.ones(len(day)), day, group, information)[:, 0]


def test_by_hand():
    """Four days of two equal residuals: own estimate 4/3 * 4 * 1 / 2, Kish's 1 + (2 - 1) * (2.667 - 2) / 2."""
    residual = np.array([0.5, 0.5, -0.5, -0.5, 0.5, 0.5, -0.5, -0.5])
    own, kish = 4 / 3 * 4 / 2, 1.0 + (4 / 3 * 4 - 2) / 2
    assert kish == pytest.approx(2 + 2 / 3)
    kish = 2.0  # the correlation within a day is at most 1
    expected = (3 * own + PRIOR_DAYS * kish) / (3 + PRIOR_DAYS)
    assert effect(residual, np.repeat(np.arange(4), 2))[0] == pytest.approx(expected)


def test_independent_rows_are_worth_themselves():
    rng = np.random.default_rng(3)
    assert effect(rng.choice([-0.5, 0.5], 4_000), np.repeat(np.arange(400), 10))[0] == pytest.approx(1.0, abs=0.15)


def test_one_shared_outcome_a_day_is_worth_one_row_a_day():
    rng = np.random.default_rng(4)
    residual = np.repeat(rng.choice([-0.5, 0.5], 400), 10)
    assert effect(residual, np.repeat(np.arange(400), 10))[0] == pytest.approx(10.0, rel=0.05)


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.integers(2, 12))
def test_copies_within_a_day_are_worth_nothing(seed, copies):
    """Kills counting rows: k copies multiply the effect by k (but for what is held at 1)."""
    rng = np.random.default_rng(seed)
    day = np.arange(60)
    residual = rng.choice([-0.5, 0.5], len(day))
    once, often = effect(residual, day)[0], effect(np.repeat(residual, copies), np.repeat(day, copies))[0]
    assert once == pytest.approx(1.0, abs=0.05)
    assert often / copies == pytest.approx(once, rel=0.3)


def test_rows_that_hedge_each_other_are_not_worth_more_than_themselves():
    residual = np.tile([0.5, -0.5], 50)
    assert effect(residual, np.repeat(np.arange(50), 2))[0] == 1.0


def test_groups_are_apart_and_none_is_left_out():
    """An entry of no group moves nothing; groups without rows are worth 1."""
    rng = np.random.default_rng(5)
    day, residual = np.repeat(np.arange(200), 4), np.repeat(rng.choice([-0.5, 0.5], 200), 4)
    group = np.tile([0, 0, 1, -1], 200)
    first, second, third = effect(residual, day, group, 3)
    assert first == pytest.approx(2.0, rel=0.1)
    assert second == pytest.approx(1.0, abs=0.1)
    assert third == 1.0


def test_shapes_that_do_not_belong_together_are_refused():
    with pytest.raises(BadInput, match="do not belong together"):
        design_effects(np.zeros((3, 2)), np.ones(3), np.zeros(3, int), np.zeros(3, int), np.zeros((1, 1)))
