"""How much of a label is its own: labels that share sessions of the same name share what they teach."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from openbell.core.errors import BadInput

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def _whole(values: ArrayLike, name: str) -> Integers:
    array = np.asarray(values)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise BadInput(
            f"`{name}` must be whole session numbers, one for each label; it had the type {array.dtype} and the shape "
            f"{array.shape}. Count sessions on the calendar."
        )
    return array.astype(np.int64)


def average_uniqueness(first: ArrayLike, last: ArrayLike, symbol: ArrayLike | None = None) -> Floats:
    """Mean over the sessions of each label of one over the number of labels of its name that hold the session.

    Parameters
    ----------
    first, last : numbers (on the calendar) of the first and the last session whose return the label holds, both
        included, whole, shape (n,). A label over the 5 sessions from decision session d on holds d to d + 4.
    symbol : name of each label, shape (n,), of any type that sorts; None where all are of one name. Names are judged
        apart.

    Returns
    -------
    numpy.ndarray
        Shape (n,), in (0, 1]: 1 where no other label of the name holds any of its sessions, 1/m for m equal ones.

    Raises
    ------
    BadInput
        On lengths that differ, numbers that are not whole, or a label that ends before it begins.

    References
    ----------
    Lopez de Prado (2018), Advances in Financial Machine Learning, chapter 4.
    """
    begins, ends = _whole(first, "first"), _whole(last, "last")
    names = np.zeros(len(begins), dtype=np.int64) if symbol is None else np.asarray(symbol)
    if not len(begins) == len(ends) == len(names):
        raise BadInput(
            "Each label needs a first session, a last session and a name; there were "
            f"{len(begins)}, {len(ends)} and {len(names)}."
        )
    if not len(begins):
        return np.empty(0)
    if (ends < begins).any():
        at = int(np.argmax(ends < begins))
        raise BadInput(f"A label ends before it begins: label {at} holds sessions {begins[at]} to {ends[at]}.")
    _, row = np.unique(names, return_inverse=True)
    # Only sessions at which a label begins or has just ended count: between two of them nothing changes.
    edges, place = np.unique(np.concatenate([begins, ends + 1]), return_inverse=True)
    start, stop = place[: len(begins)], place[len(begins) :]
    shape = (int(row.max()) + 1, len(edges))
    changes = np.bincount(row * shape[1] + start, minlength=shape[0] * shape[1])
    changes -= np.bincount(row * shape[1] + stop, minlength=shape[0] * shape[1])
    concurrent = np.cumsum(changes.reshape(shape), axis=1)
    share = np.where(concurrent > 0, 1.0 / np.maximum(concurrent, 1), 0.0)
    summed = np.zeros(shape)
    np.cumsum(share[:, :-1] * np.diff(edges), axis=1, out=summed[:, 1:])
    mean: Floats = (summed[row, stop] - summed[row, start]) / (ends - begins + 1)
    return np.clip(mean, np.finfo(np.float64).tiny, 1.0)  # Only rounding lies outside.


def uniqueness_weights(first: ArrayLike, last: ArrayLike, symbol: ArrayLike | None = None) -> Floats:
    """`average_uniqueness` scaled so that the n weights sum to n; all exactly 1 where no labels overlap."""
    unique = average_uniqueness(first, last, symbol)
    if not len(unique) or (unique == unique[0]).all():
        return np.ones(len(unique))
    return np.asarray(unique * (len(unique) / unique.sum()))
