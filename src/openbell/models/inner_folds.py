"""Folds inside a training set, in the order of time: what is chosen on the later rows was learnt from the earlier."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from openbell.core.errors import FeatureUnavailable


def _earlier(moments: np.ndarray, at: np.ndarray, start: int, known_at: np.ndarray | None, gap: int) -> np.ndarray:
    """Rows before ``moments[start]`` whose outcome was known by then."""
    if known_at is None:
        return np.asarray(np.flatnonzero(at < start - gap))
    return np.asarray(np.flatnonzero((at < start) & (known_at <= moments[start])))


def inner_folds(
    t: np.ndarray, folds: int, *, known_at: np.ndarray | None = None, gap: int = 5
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Row numbers of training and test of `folds` expanding folds; rows of one moment stand on one side.

    Parameters
    ----------
    t : moment of each row, shape (n,), in any order. known_at : when the outcome of each row was known; where it is
        not given, the last `gap` moments before each test are left out of the training instead.

    Raises
    ------
    FeatureUnavailable
        Where there are too few moments for that.
    """
    moments, at = np.unique(t, return_inverse=True)
    edges = np.arange(folds + 2) * len(moments) // (folds + 1)
    for start, end in zip(edges[1:-1].tolist(), edges[2:].tolist(), strict=True):
        train = _earlier(moments, at, start, known_at, gap) if end > start else np.empty(0, dtype=np.intp)
        if not len(train):
            raise _too_few(len(moments), folds, gap)
        yield train, np.flatnonzero((at >= start) & (at < end))


def latest_fold(
    t: np.ndarray, share: float, *, known_at: np.ndarray | None = None, gap: int = 5
) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers of the earlier part and of the last `share` of the moments; arguments as for `inner_folds`."""
    moments, at = np.unique(t, return_inverse=True)
    start = len(moments) - max(round(len(moments) * share), 1)
    train = _earlier(moments, at, start, known_at, gap) if start > 0 else np.empty(0, dtype=np.intp)
    if not len(train):
        raise _too_few(len(moments), 1, gap)
    return train, np.flatnonzero(at >= start)


def _too_few(moments: int, folds: int, gap: int) -> FeatureUnavailable:
    return FeatureUnavailable(
        f"{moments} moments are too few for {folds} inner folds in the order of time with a gap of {gap} before each. "
        "Give a longer history."
    )
