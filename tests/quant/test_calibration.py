"""Calibrators and scores against scikit-learn, on known probabilities, and on the rows that break such things."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit, softmax

from openbell.core.errors import BadInput, IntegrityBroken
from openbell.quant import calibration, reliability
from openbell.quant.calibration import METHODS, calibrator, from_json
from openbell.quant.reliability import (
    base_rates,
    brier,
    brier_skill,
    expected_calibration_error,
    log_loss,
    log_loss_skill,
    reliability_curve,
    scores,
)


def known(n: int, classes: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """True probabilities, what happened, and a forecast that is too sure of itself and leans to one side."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n, classes))
    true = softmax(logits, axis=1)
    labels = (rng.random(n)[:, None] > true.cumsum(axis=1)).sum(axis=1)
    return true, labels, softmax(2.5 * logits, axis=1)


def pair(second: np.ndarray) -> np.ndarray:
    return np.column_stack([1.0 - second, second])


class Given:
    """A classifier whose probabilities are its input; scikit-learn's own calibration is asked about it."""

    @staticmethod
    def estimator(classes: int):
        from sklearn.base import BaseEstimator, ClassifierMixin
        from sklearn.frozen import FrozenEstimator

        class Same(ClassifierMixin, BaseEstimator):
            def fit(self, x, y):
                self.classes_ = np.arange(classes)
                self.n_features_in_ = classes
                return self

            def predict_proba(self, x):
                return np.asarray(x)

            def predict(self, x):
                return np.argmax(x, axis=1)

        return FrozenEstimator(Same().fit(None, None))

    @classmethod
    def calibrated(cls, method: str, probabilities: np.ndarray, labels: np.ndarray, asked: np.ndarray) -> np.ndarray:
        from sklearn.calibration import CalibratedClassifierCV

        found = CalibratedClassifierCV(cls.estimator(probabilities.shape[1]), method=method)
        return found.fit(probabilities, labels).predict_proba(asked)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("method", ["isotonic", "temperature"])
def test_calibrators_equal_scikit_learn(method: str, classes: int) -> None:
    """Kills: wrong columns, no normalisation, an inverted temperature. Steps differ only by the rule of succession."""
    _, labels, forecast = known(3000, classes)
    _, _, asked = known(500, classes, seed=1)
    ours = calibrator(method, forecast, labels).apply(asked)
    theirs = Given.calibrated(method, forecast, labels, asked)
    assert np.abs(ours - theirs).max() < (3 / 3002 if method == "isotonic" else 1e-6)


def test_platt_equals_scikit_learn_on_the_log_odds() -> None:
    from sklearn.calibration import _sigmoid_calibration

    _, labels, forecast = known(2000, 2)
    weight = np.random.default_rng(3).uniform(0.5, 2.0, size=2000)
    odds = logit(forecast[:, 1])
    for mass in (None, weight):
        a, b = _sigmoid_calibration(odds, labels, mass)
        found = calibration.sigmoid(forecast, labels, mass)
        assert found.slope[1] == pytest.approx(-a, abs=1e-4)
        assert found.intercept[1] == pytest.approx(-b, abs=1e-4)
        np.testing.assert_allclose(found.apply(forecast)[:, 1], expit(-a * odds - b), atol=1e-4)


def test_platt_on_separable_rows_is_finite() -> None:
    """The smoothed targets: without them the slope runs away and the solver warns."""
    found = calibration.sigmoid(pair(np.array([0.1, 0.2, 0.8, 0.9])), np.array([0, 0, 1, 1]))
    out = found.apply(pair(np.array([0.1, 0.9])))[:, 1]
    assert 0.15 < out[0] < 0.3
    assert 0.7 < out[1] < 0.85


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("classes", [2, 4])
def test_known_probabilities_are_found_again(method: str, classes: int) -> None:
    """Issue point 6 and check 60: the error of calibration falls under 0.02 on rows that nothing was fitted on."""
    _, labels, forecast = known(40_000, classes)
    true, happened, raw = known(40_000, classes, seed=1)
    out = calibrator(method, forecast, labels).apply(raw)
    assert expected_calibration_error(raw, happened) > 0.1
    assert expected_calibration_error(out, happened) < 0.02
    assert expected_calibration_error(out, happened, kind="classwise", equal_mass=True) < 0.02
    assert log_loss(true, happened) <= log_loss(out, happened) < log_loss(raw, happened)
    if method == "temperature":
        assert calibration.temperature(forecast, labels).temperature == pytest.approx(2.5, rel=0.03)


@settings(deadline=None)
@given(
    st.integers(2, 5), st.integers(1, 40), st.sampled_from(sorted(METHODS)), st.integers(0, 2**32 - 1), st.booleans()
)
def test_rows_sum_to_one_and_nothing_is_impossible(classes: int, n: int, method: str, seed: int, extreme: bool) -> None:
    """Any calibration rows, some classes never seen, probabilities of exactly 0 and 1: rows still are probabilities."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, rng.integers(1, classes + 1), size=n)
    forecast = rng.dirichlet(np.full(classes, 0.5), size=n)
    if extreme:
        forecast[0] = np.eye(classes)[0]
    found = calibrator(method, forecast, labels)
    asked = rng.dirichlet(np.ones(classes), size=30)
    out = found.apply(asked)
    assert out.shape == (30, classes)
    np.testing.assert_allclose(out.sum(axis=1), 1.0, atol=1e-12)
    assert (out >= 0).all()
    unseen = np.setdiff1d(np.arange(classes), labels)
    np.testing.assert_allclose(out[:, unseen], asked[:, unseen], rtol=1e-9)
    again = from_json(found.to_json())
    assert again.method == method
    assert (again.apply(asked) == out).all()
    assert again.to_json() == found.to_json()


def test_a_class_never_seen_keeps_its_probability() -> None:
    """Kills: the class gets 0 for ever, as one-against-rest calibration gives it."""
    _, labels, forecast = known(500, 3)
    kept = labels != 2
    for method in METHODS:
        out = calibrator(method, forecast[kept], labels[kept]).apply(forecast)
        np.testing.assert_allclose(out[:, 2], forecast[:, 2], rtol=1e-9)
        assert (out[:, 2] > 0).all()


def test_isotonic_never_becomes_certain() -> None:
    """Ten rows that all went one way end at 1/12 and 11/12, not at 0 and 1."""
    found = calibration.isotonic(pair(np.linspace(0.05, 0.95, 10)), np.repeat([0, 1], 5))
    out = found.apply(pair(np.array([0.0, 1.0])))[:, 1]
    np.testing.assert_allclose(out, [1 / 12, 11 / 12])


def test_weights_count_rows_as_often() -> None:
    """A weight of 2 is the row twice; a weight of 0 is no row (also for which classes were seen)."""
    _, labels, forecast = known(400, 3)
    weight = np.random.default_rng(2).integers(0, 3, size=400)
    weight[labels == 2] = 0
    several = np.repeat(np.arange(400), weight)
    for method in ("sigmoid", "temperature"):
        one = calibrator(method, forecast, labels, weight).apply(forecast)
        two = calibrator(method, forecast[several], labels[several]).apply(forecast)
        np.testing.assert_allclose(one, two, atol=1e-6)
        np.testing.assert_allclose(one[:, 2], forecast[:, 2])


def test_scores_equal_scikit_learn() -> None:
    from sklearn import metrics

    for classes in (2, 3):
        _, labels, forecast = known(700, classes)
        weight = np.random.default_rng(5).uniform(size=700)
        for mass in (None, weight):
            assert log_loss(forecast, labels, mass) == pytest.approx(
                metrics.log_loss(labels, forecast, sample_weight=mass), rel=1e-9
            )
            assert brier(forecast, labels, mass) == pytest.approx(
                metrics.brier_score_loss(labels, forecast, sample_weight=mass, scale_by_half=False), rel=1e-9
            )
        rates = np.tile(base_rates(labels, classes), (700, 1))
        assert log_loss_skill(forecast, labels) == pytest.approx(metrics.d2_log_loss_score(labels, forecast), rel=1e-9)
        assert brier_skill(forecast, labels) == pytest.approx(metrics.d2_brier_score(labels, forecast), rel=1e-9)
        assert log_loss_skill(rates, labels) == pytest.approx(0.0, abs=1e-12)


def test_the_impossible_that_happened_costs_36() -> None:
    assert log_loss(np.array([[1.0, 0.0]]), np.array([1])) == pytest.approx(36.0437, abs=1e-4)
    assert brier(np.array([[1.0, 0.0]]), np.array([1])) == 2.0


def test_scores_stand_beside_their_base_rate() -> None:
    """Check 5: n and the base rate come with every score; base rates known before are another judge."""
    _, labels, forecast = known(1000, 3)
    own, before = scores(forecast, labels), scores(forecast, labels, rates=np.array([0.8, 0.1, 0.1]))
    assert own.n == 1000
    np.testing.assert_allclose(own.rates, np.bincount(labels) / 1000)
    assert own.log_loss_skill == 1 - own.log_loss / own.base_log_loss
    assert own.brier_skill == 1 - own.brier / own.base_brier
    assert before.base_log_loss > own.base_log_loss
    assert before.log_loss_skill > own.log_loss_skill
    assert own.accuracy == (forecast.argmax(axis=1) == labels).mean()
    assert own.base_accuracy == own.rates.max()
    one_class = scores(forecast, np.zeros(1000, dtype=int))
    assert math.isnan(one_class.log_loss_skill)


def test_calibration_error_by_hand() -> None:
    """Two bins of two rows: |0.2 + 0.3 - 1| / 4 + |0.6 + 1.0 - 1| / 4 = 0.275; a value on an edge belongs above it."""
    forecast, labels = pair(np.array([0.2, 0.3, 0.6, 1.0])), np.array([0, 1, 1, 0])
    assert expected_calibration_error(forecast, labels, bins=2, kind="classwise") == pytest.approx(0.275)
    table = reliability_curve(pair(np.array([0.2, 0.3, 0.5, 1.0])), labels, of=1, bins=2)
    assert table["bin"].to_list() == [0, 1]
    assert table["predicted"].to_list() == pytest.approx([0.25, 0.75])
    assert table["observed"].to_list() == [0.5, 0.5]
    assert table["n"].to_list() == [2, 2]


@settings(deadline=None)
@given(st.integers(1, 300), st.integers(2, 4), st.integers(1, 20), st.booleans(), st.integers(0, 2**32 - 1))
def test_the_curve_and_the_error_say_the_same(n: int, classes: int, bins: int, mass: bool, seed: int) -> None:
    _, labels, forecast = known(n, classes, seed)
    table = reliability_curve(forecast, labels, bins=bins, equal_mass=mass)
    error = expected_calibration_error(forecast, labels, bins=bins, equal_mass=mass)
    gap = (table["predicted"] - table["observed"]).abs() * table["n"] / n
    assert gap.sum() == pytest.approx(error)
    assert table["n"].sum() == n
    assert table.height <= bins
    assert (table["low"] <= table["observed"] + 1e-12).all()
    assert (table["observed"] <= table["high"] + 1e-12).all()


def test_equal_mass_bins_have_equal_rows() -> None:
    _, labels, forecast = known(1000, 2)
    table = reliability_curve(forecast, labels, of=1, bins=10, equal_mass=True)
    assert table["n"].to_list() == [100] * 10


def test_wilson_interval_by_hand() -> None:
    """8 of 10: 0.4902 to 0.9433 (Wilson 1927)."""
    table = reliability_curve(pair(np.full(10, 0.7)), np.array([1] * 8 + [0] * 2), of=1, bins=1)
    assert table["low"][0] == pytest.approx(0.4902, abs=1e-4)
    assert table["high"][0] == pytest.approx(0.9433, abs=1e-4)


@pytest.mark.parametrize(
    ("forecast", "labels", "says"),
    [
        ([[0.5, math.nan], [0.5, 0.5]], [0, 1], "1 of 2 rows"),
        ([[0.5, 0.6], [0.5, 0.5]], [0, 1], "sum to 1"),
        ([[1.5, -0.5], [0.5, 0.5]], [0, 1], "lie in"),
        ([[1.0], [1.0]], [0, 0], "two or more classes"),
        ([[0.5, 0.5], [0.5, 0.5]], [0, 2], "0 to 1"),
        ([[0.5, 0.5], [0.5, 0.5]], [0, -1], "0 to 1"),
        ([[0.5, 0.5], [0.5, 0.5]], [0.0, 0.5], "positions of classes"),
        ([[0.5, 0.5], [0.5, 0.5]], [0.0, math.nan], "positions of classes"),
        ([[0.5, 0.5], [0.5, 0.5]], [0], "one label for each"),
    ],
)
def test_what_cannot_be_used_is_refused(forecast: list, labels: list, says: str) -> None:
    """Check 57: NaN never reaches a fit or a score."""
    for function in (*METHODS.values(), log_loss, brier, expected_calibration_error, reliability_curve, scores):
        with pytest.raises(BadInput, match=says):
            function(np.array(forecast), np.array(labels))


def test_other_refusals() -> None:
    _, labels, forecast = known(20, 3)
    found = calibration.temperature(forecast, labels)
    with pytest.raises(BadInput, match="3 columns"):
        found.apply(forecast[:, :2] / forecast[:, :2].sum(axis=1, keepdims=True))
    with pytest.raises(BadInput, match="not finite"):
        found.apply(np.full((1, 3), math.nan))
    with pytest.raises(BadInput, match="no rows to calibrate"):
        calibration.isotonic(np.empty((0, 2)), np.empty(0, dtype=int))
    with pytest.raises(BadInput, match="Did you mean `isotonic`"):
        calibrator("isotonics", forecast, labels)
    with pytest.raises(BadInput, match="sample_weight"):
        calibrator("sigmoid", forecast, labels, -np.ones(20))
    with pytest.raises(BadInput, match="`bins`"):
        expected_calibration_error(forecast, labels, bins=0)
    with pytest.raises(BadInput, match="`kind`"):
        expected_calibration_error(forecast, labels, kind="other")
    with pytest.raises(BadInput, match="`of`"):
        reliability_curve(forecast, labels, of=3)
    with pytest.raises(BadInput, match="no labels"):
        base_rates(np.empty(0, dtype=int), 2)
    for text in ("", "[]", '{"method":"isotonic"}', '{"method":"none"}'):
        with pytest.raises(IntegrityBroken, match="not a stored calibrator"):
            from_json(text)


def test_no_rows_have_no_score() -> None:
    none, labels = np.empty((0, 2)), np.empty(0, dtype=int)
    assert math.isnan(log_loss(none, labels))
    assert math.isnan(brier(none, labels))
    assert math.isnan(expected_calibration_error(none, labels))
    assert reliability_curve(none, labels).height == 0
    assert reliability.EPSILON == 2.0**-52
