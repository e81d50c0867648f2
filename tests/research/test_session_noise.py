"""Shuffled labels: nothing but their place in time changes, and nothing is found in them (check 69)."""

import numpy as np
import polars as pl
import pytest
from benchmarks.session_noise import market, sharpe_of

from openbell.core.errors import BadInput
from openbell.research.session_noise import Noise, noise, shuffled


@pytest.fixture(scope="module")
def world():
    return market(240)


def test_only_the_place_of_the_labels_changes(world):
    rows = world[1]
    found = shuffled(rows, 1, block_sessions=1)
    assert found.drop("label").equals(rows.drop("label"))
    assert found["label"].sum() == rows["label"].sum()
    assert 0.3 < (found["label"] != rows["label"]).mean() < 0.7


def test_the_pipeline_is_handed_the_true_labels_once_and_each_shuffle_once(world):
    seen = []

    def counting(rows):
        seen.append(rows["label"].to_list())
        return float(len(seen))

    found = noise(world[1], counting, seeds=(3, 4, 5))
    assert len({tuple(each) for each in seen}) == 4
    assert seen[-1] == world[1]["label"].to_list()
    assert found.shuffled.tolist() == [1.0, 2.0, 3.0]
    assert found.true == 4.0
    with pytest.raises(BadInput, match="at least 2 different seeds"):
        noise(world[1], counting, seeds=(1, 1))


def test_the_interval_is_that_of_a_mean():
    found = Noise(1.0, np.array([-1.0, 0.0, 1.0, 2.0]))
    half = 3.182446 * found.shuffled.std(ddof=1) / 2
    assert found.interval == pytest.approx((0.5 - half, 0.5 + half), rel=1e-6)
    assert found.line.startswith("Sharpe ratio of the true labels +1.00; of labels shuffled 4 times +0.50 on average (")


def test_shuffled_labels_earn_nothing(world):
    """Check 69, without costs: over fixed seeds the interval of the mean Sharpe ratio holds 0."""
    bars, rows = world
    low, high = noise(rows, lambda each: sharpe_of(each, bars, "logistic"), seeds=range(6)).interval
    assert low < 0 < high


def test_a_feature_of_after_the_decision_earns_what_the_labels_would_have(world):
    """The test above can fail: told the rest of the day, the same pipeline earns, and shuffled labels take it away."""
    bars, rows = world
    late = (pl.col("exit") / pl.col("entry") - 1).alias("edge")
    knows = rows.with_columns(late + 0.004 * pl.col("noise"))
    found = noise(knows, lambda each: sharpe_of(each, bars, "logistic"), seeds=range(2))
    assert found.true > found.shuffled.max()
