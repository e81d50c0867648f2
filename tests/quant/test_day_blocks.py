"""Intervals for rows that share days: the resamples of the house, the scores of other libraries, honest widths."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from openbell.core.errors import BadInput
from openbell.quant.day_blocks import DayBlocks, auc, calibration_error, calibration_noise, spearman
from openbell.quant.intervals import estimate, mean_block
from openbell.quant.reliability import expected_calibration_error

RNG = np.random.default_rng(7)


def test_one_row_a_day_is_the_bootstrap_of_the_house() -> None:
    """The weights are counts of the same draws: with a row a day both give the same three numbers."""
    values = RNG.normal(size=120)
    ours = DayBlocks.of(np.arange(120), replications=300, seed=5).mean(values)
    theirs = estimate(values, block=mean_block(1, 120), replications=300, seed=5)
    assert ours.value == pytest.approx(theirs.value, rel=1e-12)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), rel=1e-12)
    assert (ours.n, ours.block) == (120, theirs.block)


def test_copies_of_a_day_are_no_evidence() -> None:
    """Ten copies of every row say as much as one (check 5): rows drawn one by one would be three times as sure."""
    values = RNG.normal(size=200)
    once = DayBlocks.of(np.arange(200), replications=300).mean(values)
    tenfold = DayBlocks.of(np.repeat(np.arange(200), 10), replications=300).mean(np.repeat(values, 10))
    assert (tenfold.low, tenfold.high) == pytest.approx((once.low, once.high), rel=1e-9)
    assert tenfold.n == 2000


def test_days_in_any_order_are_days() -> None:
    days, values = np.repeat(np.arange(90), 3), RNG.normal(size=270)
    turn = RNG.permutation(270)
    straight = DayBlocks.of(days, replications=200).mean(values)
    turned = DayBlocks.of(days[turn], replications=200).mean(values[turn])
    assert (turned.low, turned.high) == pytest.approx((straight.low, straight.high), rel=1e-9)


def test_too_few_days_have_no_interval_but_a_value() -> None:
    few = DayBlocks.of(np.repeat(np.arange(19), 50)).mean(np.ones(950))
    assert (few.value, few.low, few.high, few.n) == (1.0, None, None, 950)
    enough = DayBlocks.of(np.arange(40), replications=50).mean(np.ones(40))
    assert (enough.low, enough.high) == pytest.approx((1.0, 1.0))


def test_a_part_has_its_own_days_and_the_resamples_of_all() -> None:
    """Rows of even days alone: their mean within the same resamples, and no interval where they are too few."""
    days, values = np.arange(200), RNG.normal(size=200)
    whole = DayBlocks.of(days, replications=300, seed=2)
    even = days % 2 == 0
    part = whole.part(even)
    found = part.mean(values[even])
    assert (part.days, found.value) == (100, pytest.approx(values[even].mean()))
    drawn = whole.weights @ np.column_stack([values * even, even])
    means = drawn[:, 0] / drawn[:, 1]
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(means, [2.5, 97.5])), rel=1e-12)
    assert whole.part(days < 30).mean(values[:30]).low is None


def test_money_is_per_day_not_per_row() -> None:
    found = DayBlocks.of(np.array([1, 1, 1, 2, 3])).per_day(np.array([1.0, 2.0, 3.0, 10.0, -1.0]))
    assert found.value == pytest.approx((6.0 + 10.0 - 1.0) / 3)


@pytest.mark.parametrize("decimals", [1, 6])
def test_scores_are_those_of_other_libraries(decimals: int) -> None:
    """AUC (with ties) as scikit-learn's, rank correlation as SciPy's, calibration error as the house's own."""
    p = np.round(RNG.random(800), decimals)
    y = RNG.random(800) < p
    blocks = DayBlocks.of(np.repeat(np.arange(100), 8), replications=200)
    assert auc(blocks, p, y).value == pytest.approx(roc_auc_score(y, p), abs=1e-12)
    assert spearman(blocks, p, y * 3.0).value == pytest.approx(spearmanr(p, y).statistic, abs=1e-12)
    theirs = expected_calibration_error(np.column_stack([1 - p, p]), y, kind="classwise")
    assert calibration_error(blocks, p, y).value == pytest.approx(theirs, abs=1e-12)


def test_every_interval_holds_its_value() -> None:
    p = RNG.random(1000)
    y = RNG.random(1000) < p
    blocks = DayBlocks.of(np.repeat(np.arange(200), 5), replications=300)
    for found in (auc(blocks, p, y), calibration_error(blocks, p, y), spearman(blocks, p, y), blocks.mean(p)):
        assert found.low is not None
        assert found.value is not None
        assert found.high is not None
        assert found.low <= found.value <= found.high


def test_a_miscalibrated_forecast_is_far_above_chance_and_a_true_one_is_not() -> None:
    """The yardstick is the mean over many draws of outcomes that the probabilities are true of."""
    p = RNG.random(400)
    blocks = DayBlocks.of(np.arange(400), replications=100)
    drawn = [calibration_error(blocks, p, RNG.random(400) < p).value for _ in range(200)]
    assert calibration_noise(p) == pytest.approx(np.mean(drawn), rel=0.05)
    assert calibration_error(blocks, p, RNG.random(400) < p**3).value > 3 * calibration_noise(p)


def test_what_cannot_be_judged_is_none_or_refused() -> None:
    blocks = DayBlocks.of(np.arange(50), replications=50)
    assert auc(blocks, RNG.random(50), np.ones(50, dtype=bool)).value is None
    assert spearman(blocks, np.ones(50), RNG.random(50)).value is None
    with pytest.raises(BadInput, match="1 of 50 rows are not finite"):
        blocks.mean(np.where(np.arange(50) == 3, np.nan, 1.0))
    with pytest.raises(BadInput, match="value for each of 50 rows"):
        blocks.mean(np.ones(49))
    with pytest.raises(BadInput, match="truth for each of 50 rows"):
        blocks.part(np.ones(49, dtype=bool))
    with pytest.raises(BadInput, match="`level`"):
        DayBlocks.of(np.arange(50), level=1.0)
