"""The drift alarm: rolling scores against slow ones, and a chance of ringing for nothing that holds."""

import numpy as np
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from openbell.core.errors import BadInput, DataMissing
from openbell.quant.drift_watch import DRIFTS, alarm, drawn_rows, rolling_auc, rolling_mean, rolling_scores


def world(n, seed, *, skill=1.0, classes=2):
    """Forecasts that are true probabilities, and what came of them."""
    rng = np.random.default_rng(seed)
    score = skill * rng.normal(size=(n, classes))
    p = np.exp(score) / np.exp(score).sum(axis=1, keepdims=True)
    return p, (p.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1)


@pytest.fixture(scope="module")
def armed():
    return alarm(*world(300, 1, skill=1.5), window=30, replications=400)


def test_rolling_scores_are_those_of_every_window():
    """The oracle: scikit-learn on each window; ties count half, and a window of one class has no AUC."""
    rng = np.random.default_rng(0)
    score, event = rng.normal(size=90).round(1), rng.random(90) < 0.3
    event[40:65] = True
    found = rolling_auc(score, event, 20)
    for at, value in enumerate(found):
        own = event[at : at + 20]
        if own.all() or not own.any():
            assert np.isnan(value)
        else:
            assert value == pytest.approx(roc_auc_score(own, score[at : at + 20]))
    assert np.isnan(found).any()
    assert rolling_mean(score, 20) == pytest.approx([score[at : at + 20].mean() for at in range(71)])
    p, label = world(80, 2)
    losses, aucs = rolling_scores(p, label, 25)
    assert losses[7] == pytest.approx(log_loss(label[7:32], p[7:32], labels=[0, 1]))
    assert aucs[7] == pytest.approx(roc_auc_score(label[7:32], p[7:32, 1]))


def test_of_more_classes_the_auc_is_the_mean_of_each_against_the_rest():
    p, label = world(70, 3, classes=3)
    _, aucs = rolling_scores(p, label, 30)
    assert aucs[5] == pytest.approx(roc_auc_score(label[5:35], p[5:35], multi_class="ovr", average="macro"))
    p[:, 2], label[label == 2] = p[:, 2], 1
    _, two = rolling_scores(p, label, 70)
    each = [roc_auc_score(label == code, p[:, code]) for code in (0, 1)]
    assert two[0] == pytest.approx(np.mean(each)), "a class that did not come has no AUC and is left out"


def test_rows_are_rolled_side_by_side_as_one_after_another():
    p, label = world(200, 4)
    stacked = rolling_scores(p.reshape(4, 50, 2), label.reshape(4, 50), 20)
    for at in range(4):
        alone = rolling_scores(p[50 * at : 50 * at + 50], label[50 * at : 50 * at + 50], 20)
        assert np.allclose(stacked[0][at], alone[0])
        assert np.allclose(stacked[1][at], alone[1], equal_nan=True)


def test_drawn_sessions_carry_the_uncertainty_of_the_reference():
    """Trap 20: one resample alone would take a short reference for the truth, and ring too often by it."""
    rng, n = np.random.default_rng(5), 60
    values = rng.normal(size=n)
    rows = drawn_rows(n, 20 * n, 500, np.random.default_rng(6))
    assert rows.shape == (500, 20 * n)
    assert rows.min() == 0
    assert rows.max() == n - 1
    spread = values[rows].mean(axis=1).std()
    assert spread > 0.7 * values.std() / np.sqrt(n), "the mean of a long future is known no better than the reference"
    steps = np.diff(rows, axis=1) % n
    assert 0.4 < (steps == 1).mean() < 0.8, "neighbours stay together"


def test_the_alarm_says_how_often_it_rings_for_nothing_before_it_is_armed(armed):
    """Trap 9."""
    assert armed.asked == 0.05
    assert armed.low <= armed.measured <= armed.high
    assert armed.low < armed.asked < armed.high
    assert armed.simulated == 400
    assert (armed.n, armed.window, armed.horizon) == (300, 30, 252)
    assert armed.loss < armed.loss_limit
    assert armed.auc_limit < armed.auc


def test_a_larger_drift_is_noticed_more_often_and_sooner(armed):
    half, whole, opposite = armed.delays
    assert [each.drift for each in armed.delays] == list(DRIFTS)
    assert armed.measured < half.share_detected < whole.share_detected <= opposite.share_detected
    assert opposite.median < whole.median
    assert opposite.median <= opposite.ninth_decile <= armed.horizon
    blind = alarm(*world(300, 7, skill=0.0), window=30, replications=400)
    lost = blind.delays[1]
    assert lost.share_detected < 0.2, "what knows nothing has nothing to lose"
    assert lost.median is None


def test_a_rarer_false_alarm_is_bought_with_wider_limits():
    given = world(300, 1, skill=1.5)
    strict = alarm(*given, window=30, false_alarms=0.01, replications=400)
    loose = alarm(*given, window=30, false_alarms=0.2, replications=400)
    assert strict.loss_limit > loose.loss_limit
    assert strict.auc_limit < loose.auc_limit
    assert strict.measured < loose.measured
    assert alarm(*given, window=30, replications=400, seed=3) == alarm(*given, window=30, replications=400, seed=3)


def test_it_rings_above_the_one_limit_or_below_the_other(armed):
    losses = np.array([armed.loss_limit, armed.loss_limit + 1e-9, 0.0, 0.0, 0.0])
    aucs = np.array([1.0, 1.0, armed.auc_limit, armed.auc_limit - 1e-9, np.nan])
    assert armed.rings(losses, aucs).tolist() == [False, True, False, True, False]


def test_what_cannot_be_armed_says_so():
    p, label = world(100, 8)
    with pytest.raises(DataMissing, match=r"not armed: its reference has 100 sessions, .* needs at least 120"):
        alarm(p, label)
    with pytest.raises(BadInput, match=r"window of at least 20 sessions \(was 5\)"):
        alarm(p, label, window=5)
    with pytest.raises(BadInput, match=r"between 0 and 0.5 \(was 0.7\)"):
        alarm(p, label, window=30, false_alarms=0.7)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("n", [130, 250, 1000])
def test_the_chance_of_a_false_alarm_holds_whatever_the_length_of_the_reference(n):
    """Traps 9 and 20: a year is watched in 200 worlds without drift; it rings in about one of twenty (seeded)."""
    rung = 0
    for seed in range(200):
        p, label = world(n + 252, [9, seed], skill=0.5)
        found = alarm(p[:n], label[:n], replications=200, seed=seed)
        rung += bool(found.rings(*rolling_scores(p[n - 59 :], label[n - 59 :], 60)).any())
    assert 4 <= rung <= 20, "0.05 of 200, within three standard errors"
