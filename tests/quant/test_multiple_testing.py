"""p values adjusted for looking at many patterns at once."""

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from openbell.core.errors import BadInput
from openbell.quant.multiple_testing import benjamini_yekutieli, holm

P = np.array([0.04, 0.001, 0.2, 0.001, 0.9, 0.012])


def test_holm_and_yekutieli_are_statsmodels():
    assert holm(P) == pytest.approx(multipletests(P, method="holm")[1])
    assert benjamini_yekutieli(P) == pytest.approx(multipletests(P, method="fdr_by")[1])


def test_holm_by_hand():
    """0.01 of 3 becomes 0.03, 0.02 becomes 0.04, and 0.015 is not less than the one before it."""
    assert holm([0.02, 0.01, 0.03]) == pytest.approx([0.04, 0.03, 0.04])


def test_a_test_that_was_not_made_is_not_counted():
    assert holm([0.01, np.nan, 0.02]) == pytest.approx([0.02, np.nan, 0.02], nan_ok=True)
    assert benjamini_yekutieli([np.nan, 0.5]) == pytest.approx([np.nan, 0.5], nan_ok=True)
    assert np.isnan(holm([np.nan])).all()
    assert np.isnan(benjamini_yekutieli([np.nan])).all()


def test_tests_made_elsewhere_count():
    assert holm([0.01, 0.02], tests=10) == pytest.approx([0.1, 0.18])


def test_false_findings_are_rare_among_dependent_patterns():
    """24 hours that share half of their variance: one false finding or more in at most 5 of 100 tables."""
    from scipy.stats import norm

    random = np.random.default_rng(0)
    z = random.normal(size=(2000, 24)) * np.sqrt(0.5) + random.normal(size=(2000, 1)) * np.sqrt(0.5)
    p = 2 * norm.sf(np.abs(z))
    assert np.mean([(holm(row) < 0.05).any() for row in p]) < 0.062
    assert np.mean((p < 0.05).any(axis=1)) > 0.4


@pytest.mark.parametrize(("p", "tests", "words"), [([1.2], None, "one was 1.2"), ([0.1, 0.2], 1, "`tests` was 1")])
def test_refusals(p, tests, words):
    with pytest.raises(BadInput, match=words):
        holm(p, tests=tests)
