"""Partial pooling: a hierarchical logistic regression over a known price, its variances estimated from the rows.

The log-odds of row i in cell c are ``offset_i + x_i' (b_default + b_strategy + b_group + b_symbol + b_cell)``: every
level adds its deviation, drawn from a distribution around 0 whose precisions (of the intercept and of every slope) are
estimated by empirical Bayes. A level that adds nothing is shrunk away, and a cell with few rows says what
its parents say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from openbell.core.errors import BadInput
from openbell.quant.design_effects import Floats, Integers, design_effects
from openbell.quant.pooling_algebra import at_nodes, posterior

#: Precisions are sought between these: deviations of a standard deviation of 10 and of 0.001 in log-odds.
LEAST_PRECISION, MOST_PRECISION = 1e-2, 1e6
#: Coefficients' worth of evidence by which a slope's precision is drawn to that of all slopes of its level.
COMMON_COEFFICIENTS = 1.0
#: Coefficients of exactly 0 that every precision counts besides its own, times the number of nodes that move as one: a
#: hyperprior in favour of no deviation. A coefficient that is alone at its level stays only beyond 3.1 standard errors
#: (the least t^2 with a fixed point is the least (s + 2) / (s (1 - s)) over shares s), so that of dozens of features
#: that say nothing hardly one is kept by luck.
ABSENT_COEFFICIENTS = 2.0
#: Degrees of freedom of Student's t, from which a level's deviations are drawn: few nodes may stand far from the others
#: without making room for noise in all of them.
TAIL = 4.0
#: Passes after which the design effects are held, so that what is maximised stays the same.
SETTLING_PASSES = 6
#: A coefficient whose level has at least this precision is 0.
NOTHING_FOUND = 0.9 * MOST_PRECISION
_START_PRECISION = 10.0
_MOST_HALVINGS = 12
_ROWS_AT_ONCE = 32_768


@dataclass(frozen=True, slots=True, eq=False)
class Pooled:
    """A fitted hierarchy of L levels, the narrowest first.

    Attributes
    ----------
    coefficients : for each level (nodes, 1 + k), deviations, the intercept first; 0 where nothing was found.
    precisions : of their priors, alike.
    shares : for each level (nodes,), the part of the prior variance of the node's linear predictor that its rows took
        away: 0 where only the prior speaks, 1 where only the rows do.
    rows, effective_n : for each level (nodes,), rows, and rows over the design effect of their intercept.
    passes : over the rows. converged : whether the last one moved no coefficient of a cell by more than `tolerance`.
    """

    coefficients: tuple[Floats, ...]
    precisions: tuple[Floats, ...]
    shares: tuple[Floats, ...]
    rows: tuple[Floats, ...]
    effective_n: tuple[Floats, ...]
    passes: int
    converged: bool

    def total(self, path: Sequence[int]) -> Floats:
        """Coefficients (1 + k,) of who stands at node ``path[l]`` of every level l; -1 adds nothing."""
        parts = [each[at] for each, at in zip(self.coefficients, path, strict=True) if at >= 0]
        return np.asarray(np.sum(parts, axis=0) if parts else np.zeros(self.coefficients[0].shape[1]))

    def weights(self, path: Sequence[int]) -> Floats:
        """Share of every level, (L,), in what is said at `path`; they sum to 1.

        The narrowest level has its own share ``s_1``, the next ``(1 - s_1) s_2``, and so on; what is left belongs to
        the last, the widest: what no evidence tells apart is what all rows have in common.

        References
        ----------
        Gelman and Pardoe (2006), Technometrics 48, 241-251 (pooling factors).
        """
        own = [float(each[at]) if at >= 0 else 0.0 for each, at in zip(self.shares, path, strict=True)]
        own[-1] = 1.0
        left = np.concatenate([[1.0], np.cumprod(1.0 - np.array(own[:-1]))])
        return np.asarray(left * own)


@dataclass(frozen=True, slots=True, eq=False)
class _Evidence:
    """What the rows say: log-likelihood, gradient and information of each cell, gradient of each cell and day."""

    fit: float
    score: Floats
    gram: Floats
    runs: Floats


@dataclass(frozen=True, slots=True, eq=False)
class _Scale:
    """Precisions of one level: of the `level` as a whole (p,), times how its nodes differ, `local` (nodes, p)."""

    level: Floats
    local: Floats

    @property
    def precisions(self) -> Floats:
        return self.level * self.local


@dataclass(frozen=True, slots=True, eq=False)
class _Effects:
    """Design effects of rows that share days.

    `rows` : for each level (nodes, p), by which each coefficient's evidence is divided. `nodes` : for each level (p,),
    how many nodes move as one: 1 where the days of the nodes are independent, their number where they are the same.
    """

    rows: Sequence[Floats]
    nodes: Sequence[Floats]


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """Rows in order of cell and day: `start` of each cell (C + 1,), `run` where a pair of cell and day begins (m,)."""

    x: Floats
    outcome: Floats
    offset: Floats
    start: Integers
    run: Integers
    run_rows: Floats
    run_cell: Integers
    run_day: Integers

    @classmethod
    def of(cls, x: Floats, outcome: Floats, offset: Floats, cell: Integers, day: Integers, cells: int) -> _Rows:
        order = np.lexsort((day, cell))
        cell, (_, day) = cell[order], np.unique(day[order], return_inverse=True)
        new = (cell[1:] != cell[:-1]) | (day[1:] != day[:-1])
        run = np.flatnonzero(np.concatenate([[True], new]))
        design = np.empty((len(x), x.shape[1] + 1))
        design[:, 0] = 1.0
        design[:, 1:] = x[order]
        start = np.searchsorted(cell, np.arange(cells + 1)).astype(np.int64)
        count = np.diff(np.append(run, len(x))).astype(np.float64)
        return cls(design, outcome[order], offset[order], start, run, count, cell[run], day[run].astype(np.int64))

    def evidence(self, total: Floats) -> _Evidence:
        """What the rows say at coefficients `total` (C, p)."""
        cells, width = total.shape
        score, gram, fit = np.zeros((cells, width)), np.zeros((cells, width, width)), 0.0
        residual = np.empty(len(self.x))
        for c in range(cells):
            for first in range(int(self.start[c]), int(self.start[c + 1]), _ROWS_AT_ONCE):
                part = slice(first, min(first + _ROWS_AT_ONCE, int(self.start[c + 1])))
                x, happened = self.x[part], self.outcome[part]
                log_odds = self.offset[part] + x @ total[c]
                p = 0.5 * (1.0 + np.tanh(0.5 * log_odds))
                residual[part] = happened - p
                score[c] += residual[part] @ x
                gram[c] += x.T @ ((p * (1.0 - p))[:, None] * x)
                fit += float((happened * log_odds - np.logaddexp(0.0, log_odds)).sum())
        return _Evidence(fit, score, gram, np.add.reduceat(self.x * residual[:, None], self.run, axis=0))

    def effects(self, evidence: _Evidence, nodes: Integers) -> _Effects:
        """See `_Effects`, at the coefficients of `evidence`."""
        diagonal = np.einsum("cii->ci", evidence.gram)
        found, variance = [], []
        for at in nodes.T:
            information = np.zeros((int(at.max()) + 1, diagonal.shape[1]))
            np.add.at(information, at[at >= 0], diagonal[at >= 0])
            each = design_effects(evidence.runs, self.run_rows, self.run_day, at[self.run_cell], information)
            found.append(each)
            variance.append((each * information).sum(axis=0))
        whole = design_effects(
            evidence.runs, self.run_rows, self.run_day, np.zeros_like(self.run_cell), diagonal.sum(axis=0)[None]
        )[0] * diagonal.sum(axis=0)
        shared = [
            np.clip(np.divide(whole, each, out=np.ones_like(whole), where=each > 0), 1.0, float(len(effect)))
            for each, effect in zip(variance, found, strict=True)
        ]
        return _Effects(found, shared)


def pooled(
    x: Floats,
    outcome: Floats,
    offset: Floats,
    cell: Integers,
    day: Integers,
    nodes: Integers,
    *,
    tolerance: float = 1e-4,
    passes: int = 60,
) -> Pooled:
    """The hierarchical logistic regression of `outcome` on `x` over a known `offset`.

    Parameters
    ----------
    x : (n, k) features of about unit scale; an intercept is added. outcome : (n,) 0 or 1. offset : (n,) log-odds that
        are known beforehand, such as the price's. day : (n,) rows with the same number depend on each other.
    cell : (n,) in [0, C). nodes : (C, L) node of each cell at each level, the narrowest level first, whose nodes are
        the cells themselves; -1 where a cell has no node at a level.
    tolerance, passes : stop when no coefficient of a cell moves by more, or after so many passes over the rows.

    Raises
    ------
    BadInput
        On NaN or infinite values, lengths that differ, no rows, or `nodes` that do not start with the cells.

    Notes
    -----
    Rows of one day are not independent, so the evidence on each coefficient of each node is divided by its design
    effect ``e`` (see `quant.design_effects`; a level's nodes count all their cells of a day as one cluster). In the
    quadratic of a Newton step this is the same as the prior precision ``e * tau`` beside the whole log-likelihood, in
    which form it is solved. The precisions ``tau`` are MacKay's fixed point ``gamma / sum b^2``, with ``gamma`` the
    number of coefficients that the rows determine (the Laplace approximation of the marginal likelihood); a slope's is
    drawn to that of all slopes of its level by `COMMON_COEFFICIENTS`. The nodes of a level differ by the weights
    ``(v + 1) / (v + tau E b^2)`` of Student's t with ``v`` = `TAIL` degrees of freedom, its scale mixture of normals.
    Steps are halved until the penalised log-likelihood does not fall.

    References
    ----------
    MacKay (1992), Neural Computation 4, 415-447. Gelman and Hill (2007), Data Analysis Using Regression and
    Multilevel/Hierarchical Models, 12 and 14. Kish (1965), Survey Sampling, 8.2. Lange, Little and Taylor (1989),
    Journal of the American Statistical Association 84, 881-896.
    """
    import scipy.linalg  # noqa: F401  (its own thread pool must be there to be limited)
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    _refuse_unusable(x, outcome, offset, cell, day, nodes)
    # Sums of several threads depend on how many there are, and on a busy machine they wait for each other.
    with threadpool_limits(limits=1):
        return _pooled(_Rows.of(x, outcome, offset, cell, day, len(nodes)), nodes, tolerance, passes)


def _pooled(rows: _Rows, nodes: Integers, tolerance: float, passes: int) -> Pooled:
    sizes = [int(each) for each in nodes.max(axis=0) + 1]
    width = rows.x.shape[1]
    beta: Sequence[Floats] = [np.zeros((size, width)) for size in sizes]
    scales = [_Scale(np.full(width, _START_PRECISION), np.ones((size, width))) for size in sizes]
    evidence, done, converged = rows.evidence(at_nodes(beta, nodes)), 1, False
    effects = rows.effects(evidence, nodes)
    while done < passes and not converged:
        wanted, scales = _maximum(evidence, nodes, beta, effects, scales)
        beta, evidence, moved, used = _stepped(rows, nodes, evidence, beta, wanted, _priors(effects, scales))
        settling, done = done <= SETTLING_PASSES, done + used
        converged = moved <= tolerance and not settling
        effects = rows.effects(evidence, nodes) if settling else effects
    return _result(rows, evidence, nodes, beta, effects, scales, done, converged)


def _refuse_unusable(
    x: Floats, outcome: Floats, offset: Floats, cell: Integers, day: Integers, nodes: Integers
) -> None:
    lengths = [len(each) for each in (x, outcome, offset, cell, day)]
    if len(set(lengths)) != 1 or not lengths[0]:
        raise BadInput(f"Features, outcomes, offsets, cells and days need the same rows, at least one; were {lengths}.")
    for name, values in {"x": x, "outcome": outcome, "offset": offset}.items():
        bad = int((~np.isfinite(values)).sum())
        if bad:
            raise BadInput(f"`{name}` holds {bad} values that are not finite. Scale it, and mark what is missing.")
    if not np.isin(outcome, (0.0, 1.0)).all():
        raise BadInput("`outcome` is 1 where it happened and 0 where it did not; there are other values.")
    if nodes.ndim != 2 or not np.array_equal(nodes[:, 0], np.arange(len(nodes))):
        raise BadInput("The first column of `nodes` must be the cells themselves: 0, 1, 2 and so on.")
    if cell.min() < 0 or cell.max() >= len(nodes):
        raise BadInput(f"`cell` must lie in 0 to {len(nodes) - 1}; it ran from {cell.min()} to {cell.max()}.")


def _priors(effects: _Effects, scales: Sequence[_Scale]) -> list[Floats]:
    return [effect * scale.precisions for effect, scale in zip(effects.rows, scales, strict=True)]


def _quadratic(
    evidence: _Evidence, nodes: Integers, beta: Sequence[Floats], priors: Sequence[Floats]
) -> tuple[tuple[Floats, ...], tuple[Floats, ...]]:
    """Mean and variances of the posterior in the quadratic that `evidence` draws at `beta`."""
    pull = evidence.score + np.einsum("cij,cj->ci", evidence.gram, at_nodes(beta, nodes))
    return posterior(evidence.gram, pull, nodes, priors)


def _maximum(
    evidence: _Evidence,
    nodes: Integers,
    beta: Sequence[Floats],
    effects: _Effects,
    scales: list[_Scale],
    *,
    steps: int = 8,
) -> tuple[tuple[Floats, ...], list[_Scale]]:
    """The maximum of the quadratic, and the precisions after some steps to their fixed point in it."""
    for _ in range(steps):
        priors = _priors(effects, scales)
        mean, variance = _quadratic(evidence, nodes, beta, priors)
        scales = [
            _rescaled(scale, b, effect * v, np.clip(1.0 - p * v, 0.0, 1.0), ABSENT_COEFFICIENTS * shared)
            for scale, b, v, p, effect, shared in zip(
                scales, mean, variance, priors, effects.rows, effects.nodes, strict=True
            )
        ]
    return _quadratic(evidence, nodes, beta, _priors(effects, scales))[0], scales


def _rescaled(old: _Scale, mean: Floats, variance: Floats, determined: Floats, absent: Floats) -> _Scale:
    """The fixed point's next step for one level; `mean`, `variance` and `determined` of its coefficients (nodes, p)."""
    local = old.local
    if len(mean) > 1:
        local = (TAIL + 1.0) / (TAIL + old.level * (mean**2 + variance))
    return _Scale(_precision(determined.sum(axis=0), (local * mean**2).sum(axis=0), absent), local)


def _precision(determined: Floats, squares: Floats, absent: Floats) -> Floats:
    """MacKay's update of the precisions of one level, (1 + k,)."""
    tiny = 1e-300
    found = (determined + absent) / (squares + tiny)
    if len(found) > 1:
        common = (determined[1:].sum() + absent[1:].mean()) / (squares[1:].sum() + tiny)
        common = np.clip(common, LEAST_PRECISION, MOST_PRECISION)
        found[1:] = (determined + absent + COMMON_COEFFICIENTS)[1:] / (squares[1:] + COMMON_COEFFICIENTS / common)
    return np.asarray(np.clip(found, LEAST_PRECISION, MOST_PRECISION))


def _stepped(
    rows: _Rows,
    nodes: Integers,
    evidence: _Evidence,
    old: Sequence[Floats],
    wanted: Sequence[Floats],
    priors: Sequence[Floats],
) -> tuple[list[Floats], _Evidence, float, int]:
    """The step to `wanted`, halved until the penalised log-likelihood does not fall; its length and passes used."""

    def objective(found: _Evidence, at: Sequence[Floats]) -> float:
        return found.fit - 0.5 * sum(float((p * b**2).sum()) for p, b in zip(priors, at, strict=True))

    before, start = objective(evidence, old), at_nodes(old, nodes)
    for halvings in range(_MOST_HALVINGS):
        beta = [a + 0.5**halvings * (b - a) for a, b in zip(old, wanted, strict=True)]
        total = at_nodes(beta, nodes)
        found = rows.evidence(total)
        if objective(found, beta) >= before - 1e-9 * abs(before):
            break
    return beta, found, float(np.abs(total - start).max()), halvings + 1


def _result(
    rows: _Rows,
    evidence: _Evidence,
    nodes: Integers,
    beta: Sequence[Floats],
    effects: _Effects,
    scales: Sequence[_Scale],
    passes: int,
    converged: bool,
) -> Pooled:
    # A precision at its bound means that nothing was found: what is left there is no coefficient.
    beta = [np.where(scale.level < NOTHING_FOUND, each, 0.0) for scale, each in zip(scales, beta, strict=True)]
    priors = _priors(effects, scales)
    precisions = [scale.precisions for scale in scales]
    variance = _quadratic(evidence, nodes, beta, priors)[1]
    shares, counts, effective = [], [], []
    for level, at in enumerate(nodes.T[:, rows.run_cell]):
        prior = 1.0 / precisions[level]
        determined = np.clip(1.0 - priors[level] * variance[level], 0.0, 1.0)
        shares.append((determined * prior).sum(axis=1) / prior.sum(axis=1))
        held = np.bincount(at[at >= 0], rows.run_rows[at >= 0], len(beta[level]))
        counts.append(np.asarray(held, dtype=np.float64))
        effective.append(counts[-1] / effects.rows[level][:, 0])
    return Pooled(tuple(beta), tuple(precisions), tuple(shares), tuple(counts), tuple(effective), passes, converged)
