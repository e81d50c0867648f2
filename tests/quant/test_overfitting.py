"""CSCV: an independent library, noise, a planted best, and a table worked by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from purgedcv import probability_of_backtest_overfitting

from openbell.core.errors import BadInput
from openbell.quant import overfitting
from openbell.quant.overfitting import backtest_overfitting


def noise(n: int, k: int, seed: int) -> np.ndarray:
    return 0.01 * np.random.default_rng(seed).standard_normal((n, k))


@pytest.mark.parametrize(("n", "k", "blocks"), [(120, 7, 6), (125, 4, 8), (333, 12, 10), (97, 2, 4)])
def test_it_is_purgedcv_s(n, k, blocks, monkeypatch):
    """Oracle, split by split, also where n is no multiple of the blocks and the splits come in groups."""
    monkeypatch.setattr(overfitting, "SPLITS_AT_ONCE", 50)
    values = noise(n, k, n) + 0.3
    theirs = probability_of_backtest_overfitting(values.T, blocks)
    ours = backtest_overfitting(values, blocks=blocks)
    assert ours.splits == theirs.n_combos
    # They choose the half outside first: the same splits from the other end.
    np.testing.assert_allclose(ours.logits[::-1], theirs.logits, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(ours.inside[::-1], theirs.is_oos_performance[:, 0], rtol=1e-9)
    np.testing.assert_allclose(ours.outside[::-1], theirs.is_oos_performance[:, 1], rtol=1e-9)
    assert ours.pbo == pytest.approx(theirs.pbo)
    assert ours.slope == pytest.approx(theirs.slope)


def test_by_hand():
    """Two trials, two blocks: each is the better one once, and the worse one in the other half: logit of 1/3."""
    first, second = [0.02, 0.01, 0.03, -0.02, -0.01, -0.03], [-0.02, -0.01, -0.03, 0.02, 0.01, 0.03]
    found = backtest_overfitting(np.column_stack([first, second]), blocks=2)
    assert found.splits == 2
    np.testing.assert_allclose(found.logits, np.log([0.5, 0.5]))
    assert found.pbo == 1.0
    assert found.loss == 1.0
    np.testing.assert_allclose(found.inside, [2.0, 2.0])
    np.testing.assert_allclose(found.outside, [-2.0, -2.0])
    assert np.isnan(found.slope)


def test_noise_is_a_coin_and_a_real_best_is_not():
    """Kills a rank turned round (1 instead of 0) and a choice by the half outside (0 on noise)."""
    on_noise = [backtest_overfitting(noise(600, 10, seed), blocks=8).pbo for seed in range(30)]
    assert 0.4 < np.mean(on_noise) < 0.6
    planted = noise(600, 10, 99)
    planted[:, 6] += 0.004
    found = backtest_overfitting(planted, blocks=8)
    assert found.pbo < 0.05
    assert found.loss < 0.05


def test_losing_and_degrading_are_said():
    found = backtest_overfitting(noise(400, 5, 1) - 0.02, blocks=8)
    assert found.loss == 1.0
    # What is above its mean in one half is below it in the other: the line falls.
    assert found.slope < 0
    assert found.intercept < 0


def test_constant_and_equal_trials():
    values = noise(200, 3, 2)
    found = backtest_overfitting(np.column_stack([values, values[:, 0], np.zeros(200), np.full(200, 0.1)]), blocks=4)
    assert np.isfinite(found.logits).all()
    assert np.isfinite(found.outside).all()
    same = backtest_overfitting(np.repeat(values[:, :1], 3, axis=1), blocks=4)
    assert (same.logits == 0).all()
    assert same.pbo == 0.0


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), k=st.integers(2, 8), scale=st.floats(1e-3, 1e3))
def test_order_and_scale_of_the_trials_do_not_matter(seed, k, scale):
    values = noise(80, k, seed)
    one = backtest_overfitting(values, blocks=6)
    order = np.random.default_rng(seed).permutation(k)
    two = backtest_overfitting(scale * values[:, order], blocks=6)
    np.testing.assert_allclose(one.logits, two.logits, atol=1e-12)
    np.testing.assert_allclose(one.outside, two.outside, rtol=1e-6, atol=1e-9)


def test_sixteen_blocks_are_12870_splits():
    assert backtest_overfitting(noise(320, 3, 0)).splits == 12870


@pytest.mark.parametrize(
    ("values", "blocks", "said"),
    [
        (noise(100, 1, 0), 4, "at least 2 trials"),
        (noise(100, 2, 0), 5, "was 5"),
        (noise(100, 2, 0), 22, "was 22"),
        (noise(7, 2, 0), 4, "at least 8"),
        (np.where(np.arange(200).reshape(100, 2) == 3, np.nan, 0.1), 4, "1 of 200"),
    ],
)
def test_what_cannot_be_split_is_refused(values, blocks, said):
    with pytest.raises(BadInput, match=said):
        backtest_overfitting(values, blocks=blocks)
