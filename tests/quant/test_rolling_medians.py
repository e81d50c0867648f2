"""The rolling median with its bootstrap interval."""

import numpy as np
import pandas as pd
import pytest

from openbell.core.errors import BadInput
from openbell.quant.day_blocks import DayBlocks
from openbell.quant.rolling_medians import rolling_median

VALUES = np.random.default_rng(1).integers(0, 60, 130).astype(float)


def test_median_is_pandas():
    for window in (63, 64):
        found = rolling_median(VALUES, window, replications=50)
        assert found.median == pytest.approx(pd.Series(VALUES).rolling(window).median(), nan_ok=True)
        assert np.isnan(found.low[: window - 1]).all()
        assert not np.isnan(found.high[window - 1 :]).any()


@pytest.mark.parametrize("window", [63, 64])
def test_bounds_are_quantiles_of_medians_of_resamples(window):
    """Every resample is laid out value by value and its median taken by numpy."""
    found = rolling_median(VALUES, window, replications=60, seed=3)
    weights = DayBlocks.of(np.arange(window), replications=60, seed=3).weights.astype(int)
    for end in (window - 1, 100, 129):
        part = VALUES[end - window + 1 : end + 1]
        medians = [np.median(np.repeat(part, row)) for row in weights]
        assert (found.low[end], found.high[end]) == pytest.approx(tuple(np.quantile(medians, [0.025, 0.975])))


def test_a_row_knows_nothing_of_those_after_it():
    whole, cut = rolling_median(VALUES, replications=50), rolling_median(VALUES[:100], replications=50)
    assert np.array_equal(whole.low[:100], cut.low, equal_nan=True)
    assert np.array_equal(whole.median[:100], cut.median, equal_nan=True)


@pytest.mark.slow
def test_interval_covers_the_median():
    """Of independent values the interval holds the true median in about 92 of 100 windows."""
    values = np.random.default_rng(0).normal(size=63 * 300)
    found = rolling_median(values, replications=200)
    ends = np.arange(62, len(values), 63)
    assert ((found.low[ends] <= 0) & (found.high[ends] >= 0)).mean() > 0.88


def test_too_few_values_have_no_median():
    assert np.isnan(rolling_median(VALUES[:62]).median).all()


@pytest.mark.parametrize(
    ("values", "more", "words"),
    [([1.0, np.nan], {}, "1 of 2"), (VALUES, {"window": 30}, "was 30"), (VALUES, {"level": 0.0}, "was 0.0")],
)
def test_refusals(values, more, words):
    with pytest.raises(BadInput, match=words):
        rolling_median(values, **more)
