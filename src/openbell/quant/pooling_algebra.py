"""Linear algebra of partial pooling: cells are eliminated first, so that what is solved at once stays small."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from openbell.quant.design_effects import Floats, Integers


def at_nodes(values: Sequence[Floats], nodes: Integers) -> Floats:
    """Sum over the levels of what stands at each cell's node; `values` (nodes, p) by level, `nodes` (C, L), (C, p)."""
    parts = [np.where((at >= 0)[:, None], each[at], 0.0) for each, at in zip(values, nodes.T, strict=True)]
    return np.asarray(np.sum(parts, axis=0))


def posterior(
    gram: Floats, pull: Floats, nodes: Integers, priors: Sequence[Floats]
) -> tuple[tuple[Floats, ...], tuple[Floats, ...]]:
    """Mean and variances of the deviations of all levels, given a quadratic log-likelihood of each cell.

    Parameters
    ----------
    gram : (C, p, p) information ``G`` of the cells. pull : (C, p), ``G`` times the cell's own maximum.
    nodes : (C, L), the narrowest level first, whose nodes are the cells; -1 for none.
    priors : for each level (nodes, p), precisions of the deviations, above 0.

    Returns
    -------
    tuple
        Means and variances, each for every level (nodes, p).

    Notes
    -----
    With ``T`` the prior precision of a cell's deviation, the cell sees the sum of its parents through ``T (G + T)^-1
    G``; these blocks, added up over the nodes of each cell's path, and the parents' own priors make one system of all
    parents (the Schur complement of the cells), of N p unknowns for N parents.
    """
    tau = priors[0]
    inverse = _inverse(gram + tau[:, :, None] * np.eye(gram.shape[1]))
    keep = inverse * tau[:, None, :]  # what of the parents is left in a cell, (G + T)^-1 T
    seen = tau[:, :, None] * (inverse @ gram)
    parents, bounds = _parents(nodes)
    cover, mean = _parent_system((seen + seen.transpose(0, 2, 1)) / 2.0, keep, pull, parents, priors[1:])
    above, covered = np.zeros_like(pull), np.zeros_like(gram)
    for c, path in enumerate(parents):
        if len(path):
            above[c] = mean[path].sum(axis=0)
            covered[c] = cover[path][:, :, path].sum(axis=(0, 2))
    lost = np.eye(gram.shape[1]) - keep
    own = np.einsum("cij,cj->ci", inverse, pull - np.einsum("cij,cj->ci", gram, above))
    variance = np.einsum("cii->ci", inverse) + ((lost @ covered) * lost).sum(axis=2)
    spread = np.einsum("ijij->ij", cover)
    parts = [slice(first, last) for first, last in pairwise(bounds)]
    return (own, *(mean[each] for each in parts)), (variance, *(spread[each] for each in parts))


def _inverse(matrices: Floats) -> Floats:
    found = np.linalg.inv(matrices)
    return np.asarray((found + found.swapaxes(-1, -2)) / 2.0)


def _one_inverse(matrix: Floats) -> Floats:
    """Inverse of a symmetric positive definite matrix, by Cholesky: a third of the work of the general one."""
    from scipy.linalg.lapack import dpotrf, dpotri

    factor, wrong = dpotrf(matrix, lower=1)
    lower, wrong_too = dpotri(factor, lower=1)
    if wrong or wrong_too:
        return _inverse(matrix)
    whole = lower + lower.T  # dpotrf left zeros above the diagonal
    np.fill_diagonal(whole, np.diagonal(lower))
    return np.asarray(whole)


def _parents(nodes: Integers) -> tuple[list[Integers], list[int]]:
    """Positions of each cell's parents among all parents, and where each level begins there."""
    bounds = np.cumsum([0, *(nodes[:, 1:].max(axis=0) + 1)]).tolist()
    first = np.array(bounds[:-1], dtype=np.int64)
    return [path[path >= 0] + first[path >= 0] for path in nodes[:, 1:]], bounds


def _parent_system(
    seen: Floats, keep: Floats, pull: Floats, parents: list[Integers], priors: Sequence[Floats]
) -> tuple[Floats, Floats]:
    """Covariance (N, p, N, p) and mean (N, p) of the parents' deviations."""
    width = pull.shape[1]
    if not priors:
        return np.empty((0, width, 0, width)), np.empty((0, width))
    prior = np.concatenate(list(priors))
    count = len(prior)
    system, right = np.zeros((count, count, width, width)), np.zeros((count, width))
    passed = np.einsum("cji,cj->ci", keep, pull)
    for c, path in enumerate(parents):
        system[np.ix_(path, path)] += seen[c]
        right[path] += passed[c]
    system[np.arange(count), np.arange(count)] += prior[:, :, None] * np.eye(width)
    cover = _one_inverse(system.transpose(0, 2, 1, 3).reshape(count * width, count * width))
    return cover.reshape(count, width, count, width), (cover @ right.ravel()).reshape(count, width)
