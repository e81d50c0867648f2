"""Partial pooling: what is planted is found where it was planted, and where nothing is, the price is all there is."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit, ndtri

from openbell.core.errors import BadInput
from openbell.quant.partial_pooling import pooled
from openbell.quant.pooling_algebra import posterior

SYMBOLS, STRATEGIES = 4, 3
CELLS = SYMBOLS * STRATEGIES
SYMBOL, STRATEGY = np.arange(CELLS) // STRATEGIES, np.arange(CELLS) % STRATEGIES
NODES = np.stack([np.arange(CELLS), SYMBOL, np.array([0, 0, -1, -1])[SYMBOL], STRATEGY, np.zeros(CELLS, int)], axis=1)
PLANTED = 4


def world(days=120, each=3, effect=0.0, shared=0.0, k=4, seed=0, everywhere=0.0):
    """Rows of every cell on every day: the first feature moves the odds of cell 4 by `effect`; half are the day's.

    `shared` is the part of what decides a row that the whole day has in common, so the price is right on its own.
    """
    rng = np.random.default_rng(seed)
    day = np.repeat(np.arange(days), CELLS * each)
    cell = np.tile(np.repeat(np.arange(CELLS), each), days)
    n = len(day)
    x, offset = rng.normal(size=(n, k)), rng.normal(size=n)
    x[:, 1 : k // 2] = rng.normal(size=(days, k // 2 - 1))[day]
    truth = expit(offset + ((cell == PLANTED) * effect + everywhere) * x[:, 0])
    fate = np.sqrt(shared) * rng.normal(size=days)[day] + np.sqrt(1.0 - shared) * rng.normal(size=n)
    return x, (fate < ndtri(truth)).astype(float), offset, cell, day


def totals(found, nodes=NODES):
    return np.array([found.total(path) for path in nodes])


@pytest.fixture(scope="module")
def planted():
    rows = world(effect=0.9, shared=0.3)
    return rows, pooled(*rows, NODES)


def test_a_planted_cell_is_found_and_no_other(planted):
    found = planted[1]
    slopes = totals(found)[:, 1]
    assert slopes[PLANTED] == pytest.approx(0.9, abs=0.3)
    assert np.abs(np.delete(totals(found), PLANTED, axis=0)).max() < 0.3 * slopes[PLANTED]
    assert found.converged


def test_the_level_of_evidence_has_the_largest_weight(planted):
    """The planted cell speaks for itself; weights sum to 1 everywhere."""
    weights = np.array([planted[1].weights(path) for path in NODES])
    assert weights.sum(axis=1) == pytest.approx(np.ones(CELLS))
    assert weights[PLANTED].argmax() == 0
    assert weights[PLANTED, 0] == weights[:, 0].max()


def test_what_all_cells_share_is_the_defaults():
    rows = world(everywhere=0.6)
    found = pooled(*rows, NODES)
    assert totals(found)[:, 1] == pytest.approx(np.full(CELLS, 0.6), abs=0.1)
    assert found.coefficients[-1][0, 1] == pytest.approx(0.6, abs=0.1)
    assert all(found.weights(path).argmax() == 4 for path in NODES)


@pytest.mark.parametrize("shared", [0.0, 0.6])
def test_without_signal_the_price_is_all_there_is(shared):
    """Also where a whole day's trades win and lose together: kills evidence counted by rows, and by cells of one day.

    Seen by rows, the noise of the days' features is many standard errors from 0; by cells, it is there twelve times.
    """
    x, outcome, offset, cell, day = world(shared=shared, days=80, k=20, seed=0)
    found = pooled(x, outcome, offset, cell, day, NODES)
    moved = (totals(found)[cell] * np.column_stack([np.ones(len(x)), x])).sum(axis=1)
    assert np.abs(expit(offset + moved) - expit(offset)).max() < 0.01
    if shared:
        alone = np.arange(len(day))  # as if no two rows shared a day
        fooled = pooled(x, outcome, offset, cell, alone, NODES)
        assert np.abs(totals(fooled)).max() > 0.1


@pytest.mark.parametrize("shared", [0.0, 0.5])
def test_copies_within_a_day_change_next_to_nothing(shared):
    """Each trade ten times within its day: coefficients and effective n stay; kills the mutant that counts rows."""
    rows = world(days=80, each=2, effect=0.9, shared=shared)
    once = pooled(*rows, NODES)
    often = pooled(*(np.repeat(each, 10, axis=0) for each in rows), NODES)
    assert totals(often) == pytest.approx(totals(once), abs=0.1)
    for a, b, rows_a, rows_b in zip(once.effective_n, often.effective_n, once.rows, often.rows, strict=True):
        assert b == pytest.approx(a, rel=0.4)  # effects under 1 are held there, but for the copies
        assert rows_b == pytest.approx(10 * rows_a)


def test_effective_rows_of_a_shared_day():
    """All rows of a day in one outcome: as many effective rows as days, not as rows, at every level."""
    rng = np.random.default_rng(1)
    days, each = 150, 8
    win = np.repeat(rng.integers(0, 2, days), each).astype(float)
    day, n = np.repeat(np.arange(days), each), days * each
    found = pooled(np.zeros((n, 1)), win, np.zeros(n), np.tile([0, 1], n // 2), day, np.array([[0, 0], [1, 0]]))
    assert found.effective_n[0] == pytest.approx(np.full(2, days), rel=0.1)
    assert found.effective_n[1] == pytest.approx([days], rel=0.1)


def test_order_of_the_rows_changes_nothing(planted):
    rows, found = planted
    shuffled = np.random.default_rng(9).permutation(len(rows[0]))
    again = pooled(*(each[shuffled] for each in rows), NODES)
    assert totals(again) == pytest.approx(totals(found), abs=1e-7)


def test_one_level_is_a_ridge_regression():
    """Oracle: with its own precisions and no shared days, the maximum that a general optimiser finds."""
    rng = np.random.default_rng(6)
    n = 800
    x, offset = rng.normal(size=(n, 2)), rng.normal(size=n)
    y = (rng.random(n) < expit(offset + 0.4 + x @ [0.8, -0.5])).astype(float)
    found = pooled(x, y, offset, np.zeros(n, int), np.arange(n), np.zeros((1, 1), int), tolerance=1e-8)
    design, tau = np.column_stack([np.ones(n), x]), found.precisions[0][0]

    def loss(b):
        z = offset + design @ b
        return -(y * z - np.logaddexp(0, z)).sum() + 0.5 * (tau * b**2).sum()

    best = minimize(loss, np.zeros(3), method="BFGS", options={"gtol": 1e-8}).x
    assert found.total([0]) == pytest.approx(best, abs=1e-4)
    assert found.effective_n[0] == pytest.approx([n])


@pytest.mark.parametrize("seed", range(3))
def test_algebra_is_that_of_one_large_system(seed):
    """Oracle: all deviations in one dense system, inverted whole; kills any slip of the elimination of the cells."""
    rng = np.random.default_rng(seed)
    p, sizes = 3, [int(each) for each in NODES.max(axis=0) + 1]
    root = rng.normal(size=(CELLS, p, 6))
    gram, pull = root @ root.transpose(0, 2, 1), rng.normal(size=(CELLS, p))
    priors = [rng.uniform(0.5, 3.0, (size, p)) for size in sizes]
    first = np.cumsum([0, *sizes])[:-1]
    system = np.diag(np.concatenate(priors).ravel())
    right = np.zeros(len(system))
    for c, path in enumerate(NODES):
        at = [slice((f + node) * p, (f + node + 1) * p) for f, node in zip(first, path, strict=True) if node >= 0]
        for a in at:
            right[a] += pull[c]
            for b in at:
                system[a, b] += gram[c]
    whole = np.linalg.inv(system)
    mean, variance = posterior(gram, pull, NODES, priors)
    assert np.concatenate(mean).ravel() == pytest.approx(whole @ right)
    assert np.concatenate(variance).ravel() == pytest.approx(np.diag(whole))


def test_one_outcome_only_stays_finite():
    """A cell that always won has no finite maximum of its own; the prior holds it."""
    x, _, offset, cell, day = world(days=30, each=1)
    found = pooled(x, np.where(cell == 0, 1.0, (offset > 0) * 1.0), offset, cell, day, NODES)
    assert np.isfinite(totals(found)).all()
    assert all(np.isfinite(each).all() for each in found.effective_n)


@pytest.mark.parametrize(
    ("what", "value", "said"),
    [(0, np.nan, "`x` holds 1"), (1, 0.5, "other values"), (2, np.inf, "`offset` holds 1"), (3, 99, "`cell` must lie")],
)
def test_unusable_rows_are_refused(what, value, said):
    rows = [each[:40].copy() for each in world(days=2)]
    rows[what][(3, 0) if what == 0 else 3] = value
    with pytest.raises(BadInput, match=said):
        pooled(*rows, NODES)


def test_no_rows_and_nodes_without_cells_are_refused():
    rows = [each[:0] for each in world(days=2)]
    with pytest.raises(BadInput, match="at least one"):
        pooled(*rows, NODES)
    with pytest.raises(BadInput, match="must be the cells themselves"):
        pooled(*world(days=2), NODES[:, ::-1])
