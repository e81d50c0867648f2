"""Conformal intervals and sets against crepes, their promise on known distributions, and what they refuse."""

import math

import numpy as np
import pytest
from crepes import ConformalClassifier, ConformalRegressor
from hypothesis import given, settings
from hypothesis import strategies as st

from openbell.core.errors import BadInput
from openbell.quant.conformal import intervals, sets


def rows(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Predictions, outcomes, the true scale of each error, and a group with its own scale."""
    rng = np.random.default_rng(seed)
    predicted, scale = rng.normal(size=n), rng.uniform(0.5, 3.0, size=n)
    group = rng.integers(0, 3, size=n)
    return predicted, predicted + scale * (1 + group) * rng.standard_t(4, size=n), scale, group


def share(bounds: np.ndarray, observed: np.ndarray) -> float:
    return float(((observed >= bounds[:, 0]) & (observed <= bounds[:, 1])).mean())


def test_intervals_equal_crepes() -> None:
    predicted, observed, scale, group = rows(501)
    asked, _, asked_scale, asked_group = rows(50, seed=1)
    for difficulty, groups in ((None, None), (scale, None), (None, group), (scale, group)):
        found = intervals(predicted, observed, difficulty=difficulty, groups=groups)
        ours = found.around(
            asked,
            confidence=0.85,
            difficulty=None if difficulty is None else asked_scale,
            groups=None if groups is None else asked_group,
        )
        engine = ConformalRegressor().fit(observed - predicted, sigmas=difficulty, bins=groups)
        theirs = engine.predict_int(asked, sigmas=asked_scale, bins=asked_group, confidence=0.85)
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def test_coverage_is_nominal() -> None:
    """Issue point 6: within 1 % of nominal on rows that nothing was fitted on, and within every group given."""
    predicted, observed, scale, group = rows(40_000)
    asked, outcome, asked_scale, asked_group = rows(40_000, seed=1)
    for confidence in (0.5, 0.8, 0.9, 0.95):
        plain = intervals(predicted, observed).around(asked, confidence=confidence)
        scaled = intervals(predicted, observed, difficulty=scale).around(
            asked, confidence=confidence, difficulty=asked_scale
        )
        grouped = intervals(predicted, observed, groups=group).around(asked, confidence=confidence, groups=asked_group)
        for bounds in (plain, scaled, grouped):
            assert share(bounds, outcome) == pytest.approx(confidence, abs=0.01)
        for each in range(3):
            own = asked_group == each
            assert share(grouped[own], outcome[own]) == pytest.approx(confidence, abs=0.015)
    narrow, wide = (
        share(plain[asked_group == 0], outcome[asked_group == 0]),
        share(plain[asked_group == 2], outcome[asked_group == 2]),
    )
    assert narrow > 0.97 > 0.92 > wide


@settings(deadline=None, max_examples=30)
@given(st.integers(9, 60), st.integers(0, 2**32 - 1))
def test_the_promise_is_exact_over_permutations(n: int, seed: int) -> None:
    """Each of n + 1 rows in turn as the new one: at least 90 % of them lie inside, and at most one more than needed."""
    residuals = np.random.default_rng(seed).normal(size=n + 1)
    inside = [
        share(intervals(np.zeros(n), np.delete(residuals, at)).around(np.zeros(1)), residuals[at : at + 1])
        for at in range(n + 1)
    ]
    assert sum(inside) == math.ceil(0.9 * (n + 1) - 1e-9)


def test_the_smallest_sample_that_carries_the_confidence() -> None:
    """Nine rows carry 90 % (their largest residual); eight do not, and are refused instead of an infinite interval."""
    residuals = np.arange(1.0, 10.0)
    np.testing.assert_allclose(intervals(np.zeros(9), residuals).around(np.zeros(1)), [[-9.0, 9.0]])
    with pytest.raises(BadInput, match=r"8 calibration rows cannot carry a confidence of 0\.9; it takes 9"):
        intervals(np.zeros(8), residuals[:8]).around(np.zeros(1))
    with pytest.raises(BadInput, match="group `b`"):
        intervals(np.zeros(10), np.arange(10.0), groups=np.array(["a"] * 9 + ["b"])).around(
            np.zeros(1), groups=np.array(["a"])
        )


def known_classes(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    true = rng.dirichlet(np.ones(4), size=n)
    labels = (rng.random(n)[:, None] > true.cumsum(axis=1)).sum(axis=1)
    return true, labels, rng.integers(0, 2, size=n)


def test_p_values_equal_crepes() -> None:
    """With ties, with groups: kills `>` for `>=` and a missing + 1."""
    forecast, labels, group = known_classes(200)
    forecast = np.random.default_rng(1).multinomial(16, forecast) / 16
    strange = 1 - forecast[np.arange(200), labels]
    for bins in (None, group):
        engine = ConformalClassifier().fit(strange, bins=bins)
        theirs = engine.predict_p(1 - forecast, bins=bins, smoothing=False)
        np.testing.assert_allclose(sets(forecast, labels, groups=bins).p_values(forecast, groups=bins), theirs)
        np.testing.assert_array_equal(
            sets(forecast, labels, groups=bins).of(forecast, confidence=0.8, groups=bins),
            engine.predict_set(1 - forecast, bins=bins, smoothing=False, confidence=0.8 - 1e-9).astype(bool),
        )


def test_sets_hold_what_happens_as_often_as_promised() -> None:
    forecast, labels, group = known_classes(30_000)
    asked, happened, asked_group = known_classes(30_000, seed=1)
    for confidence in (0.6, 0.9):
        plain = sets(forecast, labels).of(asked, confidence=confidence)
        grouped = sets(forecast, labels, groups=group).of(asked, confidence=confidence, groups=asked_group)
        for found in (plain, grouped):
            assert found[np.arange(30_000), happened].mean() == pytest.approx(confidence, abs=0.01)
    assert 1.0 < plain.sum(axis=1).mean() < 4.0


def test_what_cannot_be_used_is_refused() -> None:
    zeros, nan = np.zeros(20), np.full(20, math.nan)
    with pytest.raises(BadInput, match="20 of 20"):
        intervals(zeros, nan)
    with pytest.raises(BadInput, match="shape"):
        intervals(zeros, np.zeros(19))
    with pytest.raises(BadInput, match="no calibration rows"):
        intervals(np.empty(0), np.empty(0))
    with pytest.raises(BadInput, match="no calibration rows"):
        sets(np.empty((0, 2)), np.empty(0, dtype=int))
    with pytest.raises(BadInput, match="above 0"):
        intervals(zeros, zeros, difficulty=zeros)
    plain, scaled = intervals(zeros, zeros), intervals(zeros, zeros, difficulty=zeros + 1)
    grouped = intervals(zeros, zeros, groups=np.array(["tech"] * 20))
    with pytest.raises(BadInput, match="`confidence`"):
        plain.around(zeros, confidence=1.0)
    with pytest.raises(BadInput, match="`difficulty`"):
        plain.around(zeros, difficulty=zeros + 1)
    with pytest.raises(BadInput, match="`difficulty`"):
        scaled.around(zeros)
    with pytest.raises(BadInput, match="Groups"):
        grouped.around(zeros)
    with pytest.raises(BadInput, match=r"`energy` has no calibration rows\. Fitted were: tech"):
        grouped.around(zeros[:1], groups=np.array(["energy"]))
    with pytest.raises(BadInput, match="2 calibration rows"):
        sets(np.full((2, 2), 0.5), np.array([0, 1])).of(np.full((1, 2), 0.5))
    with pytest.raises(BadInput, match="not finite"):
        sets(np.full((2, 2), 0.5), np.array([0, 1])).p_values(np.full((1, 2), math.nan))
