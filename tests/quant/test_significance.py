"""StepM: what survives, at which error, on series that overlap."""

import numpy as np
import pytest
from arch.bootstrap import SPA, StepM

from openbell.core.errors import BadInput
from openbell.quant import significance
from openbell.quant.significance import SuperiorSet, long_run_variance, mean_block, stepm


def overlapping(n: int, k: int, horizon: int, seed: int, mean: float = 0.0, rho: float = 0.5) -> np.ndarray:
    """Sums over `horizon` of shocks that are correlated across candidates, of unit variance, plus `mean`."""
    rng = np.random.default_rng(seed)
    shocks = np.sqrt(rho) * rng.standard_normal((n + horizon, 1))
    shocks = shocks + np.sqrt(1 - rho) * rng.standard_normal((n + horizon, k))
    total = np.cumsum(np.vstack([np.zeros((1, k)), shocks]), axis=0)
    return (total[horizon:] - total[:-horizon])[:n] / np.sqrt(horizon) + mean


def persistent(n: int, k: int, decay: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    shocks = rng.standard_normal((n + 100, k))
    series = np.zeros_like(shocks)
    for at in range(1, len(shocks)):
        series[at] = decay * series[at - 1] + shocks[at]
    return series[100:]


def asked(values: np.ndarray, **more) -> SuperiorSet:
    names = [f"c{at}" for at in range(values.shape[1])]
    return stepm(values, names, **{"horizon": 5, "replications": 1000, **more})


@pytest.mark.parametrize("block", [2, 7, 30])
def test_long_run_variance_is_that_of_arch(block):
    values = overlapping(300, 3, 5, seed=0)
    spa = SPA(np.zeros(300), -values, block_size=block, reps=10, seed=0)
    spa.compute()
    np.testing.assert_allclose(long_run_variance(values, block), spa._loss_diff_var, rtol=1e-10)


def test_long_run_variance_of_independent_values_is_their_variance():
    values = np.random.default_rng(0).standard_normal((20_000, 1))
    assert long_run_variance(values, 5)[0] == pytest.approx(1.0, abs=0.08)


@pytest.mark.parametrize("shift", [0.0, 0.08, 0.2])
def test_the_steps_are_those_of_arch(shift):
    """Oracle: on one matrix of null means, our stepping rejects what arch's StepM rejects."""
    rng = np.random.default_rng(1)
    values = rng.standard_normal((400, 4)) + shift * np.array([1.0, 0.7, 0.4, 0.0])
    theirs = StepM(np.zeros(400), -values, size=0.05, block_size=4, reps=500, seed=3)
    theirs.compute()
    null = theirs.spa._simulated_vals[:, :, 1].T
    survives, _ = significance._steps(values.mean(axis=0), null, 0.05)
    assert np.flatnonzero(survives).tolist() == theirs.superior_models


def test_a_second_step_finds_what_the_first_cannot():
    """Kills a single-step test: once the strong one is out, the bar for the others falls."""
    null = np.array([[5.0, 0.0]] * 50 + [[0.0, 1.0]] * 50)
    survives, critical = significance._steps(np.array([6.0, 3.0]), null, 0.1)
    assert survives.tolist() == [True, True]
    assert critical == 1.0
    assert significance._steps(np.array([4.0, 3.0]), null, 0.1)[0].tolist() == [False, False]


def test_all_rejected_in_different_steps_is_no_failure():
    """arch 8.0.0's StepM fails here on an empty set."""
    values = np.column_stack([np.random.default_rng(4).normal(mean, 1, 600) for mean in (1.0, 0.2)])
    assert asked(values, horizon=1, alpha=0.05).survives.all()


def test_an_edge_is_found_and_the_best_is_the_most_significant():
    """Kills a champion by plain mean: c1 has the larger mean and far more noise."""
    rng = np.random.default_rng(0)
    values = np.column_stack([0.05 + 0.1 * rng.standard_normal(1000), 0.08 + 1.0 * rng.standard_normal(1000)])
    found = asked(values)
    assert found.best == "c0"
    assert found.mean[1] > found.mean[0]
    assert found.survives.tolist() == [True, False]
    assert found.lower[0] > found.lower[1]


def test_scale_does_not_matter():
    """Studentised: arch's own `studentize=True` fails this."""
    values = overlapping(800, 3, 5, seed=2, mean=0.3)
    one, two = asked(values), asked(values * np.array([1.0, 100.0, 0.01]))
    np.testing.assert_allclose(one.statistic, two.statistic, rtol=1e-9)
    np.testing.assert_allclose(one.p_value, two.p_value)
    assert one.survives.tolist() == two.survives.tolist()


def test_it_is_one_sided():
    found = asked(overlapping(800, 2, 5, seed=3, mean=-1.0))
    assert found.best is None
    assert (found.upper < 0).all()


def test_constant_and_identical_candidates():
    values = overlapping(800, 1, 5, seed=5, mean=0.5)
    found = asked(np.column_stack([values, values, np.full(800, 0.3), np.zeros(800)]))
    assert found.survives.tolist() == [True, True, False, False]
    assert found.best == "c0"
    assert found.statistic[2:].tolist() == [0.0, 0.0]
    assert found.p_value[2:].tolist() == [1.0, 1.0]
    assert asked(np.zeros((800, 2))).best is None


def test_more_tries_raise_the_bar():
    """Trap 10: the same candidate among 30 worthless ones needs more."""
    one = overlapping(1000, 1, 5, seed=6)
    many = np.column_stack([one, overlapping(1000, 30, 5, seed=7, rho=0.0)])
    assert asked(many).critical > asked(one).critical + 0.5
    assert asked(many).tries == 31


def test_the_same_seed_gives_the_same_answer():
    values = overlapping(500, 3, 5, seed=8)
    one, two, other = asked(values, seed=1), asked(values, seed=1), asked(values, seed=2)
    assert one.critical == two.critical != other.critical
    assert one.lower.tobytes() == two.lower.tobytes()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"replications": 999}, "at least 1,000; was 999"),
        ({"block_horizons": 1.9}, "at least 2; was 1.9"),
        ({"alpha": 0.0}, "was 0.0"),
        ({"horizon": 100}, "too few for a mean block of 200"),
    ],
)
def test_what_would_not_hold_is_refused(change, said):
    with pytest.raises(BadInput, match=said):
        asked(overlapping(300, 2, 5, seed=0), **change)


def test_missing_values_are_refused():
    values = overlapping(300, 2, 5, seed=0)
    values[3, 1] = np.nan
    with pytest.raises(BadInput, match="must be finite"):
        asked(values)
    with pytest.raises(BadInput, match="shape was"):
        stepm(values[:, 0], ["a"], horizon=5)


@pytest.mark.parametrize(("horizon", "dates", "block"), [(5, 500, 10), (5, 2000, 13), (20, 2000, 40), (1, 8, 2)])
def test_mean_block(horizon, dates, block):
    assert mean_block(horizon, dates, 2.0) == block


def rejections(draw, trials: int, horizon: int) -> int:
    return sum(bool(asked(draw(seed), horizon=horizon, seed=seed).survives.any()) for seed in range(trials))


def test_size_small():
    """At 1 % of 20 overlapping null tournaments at most 2 may reject: 3 or more has a chance of 1 in 1,000."""
    assert rejections(lambda seed: overlapping(252, 5, 5, seed), 20, 5) <= 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("draw", "horizon"),
    [
        (lambda seed: overlapping(504, 5, 5, seed), 5),
        (lambda seed: overlapping(504, 5, 20, seed), 20),
        (lambda seed: overlapping(2000, 5, 5, seed), 5),
        (lambda seed: persistent(504, 5, 0.8, seed), 5),
    ],
    ids=["overlap 5, 2 years", "overlap 20, 2 years", "overlap 5, 8 years", "AR(0.8), 2 years"],
)
def test_size(draw, horizon):
    """Nominal 1 %; measured 0.7 to 2.7 % (300 draws each). A true 2 % exceeds 9 of 200 with a chance of 1 %."""
    assert rejections(draw, 200, horizon) <= 9


@pytest.mark.slow
def test_power():
    """A daily rank IC of 0.05 with a deviation of 0.14 (60 names), overlapping over 5 sessions, 500 dates."""
    found = sum(asked(0.05 + 0.14 * overlapping(504, 5, 5, seed), seed=seed).survives.any() for seed in range(50))
    assert found >= 25
