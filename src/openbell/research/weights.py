"""What a training row weighs: labels of a name that share sessions share what they teach."""

from __future__ import annotations

import numpy as np
import polars as pl

from openbell.core.errors import BadInput
from openbell.quant.uniqueness import uniqueness_weights


def label_weights(rows: pl.DataFrame, horizon_sessions: int, *, stride: int = 1) -> np.ndarray | None:
    """Uniqueness of the label of each training row, scaled to sum to their number; None where no labels overlap.

    Parameters
    ----------
    rows : ``symbol`` and ``number`` (of the session, on the calendar) of the training rows alone, one per row.
    horizon_sessions : a label holds the sessions from ``number`` to ``number + horizon_sessions - 1``.
    stride : sessions between the rows of a name, at least; where it is no less than the horizon nothing is counted.

    Returns
    -------
    numpy.ndarray or None
        Shape (n,), above 0. None says that all rows weigh alike, so that a fit is handed nothing.

    Raises
    ------
    BadInput
        On a horizon or a stride below 1, or a row whose session has no number.

    References
    ----------
    Lopez de Prado (2018), Advances in Financial Machine Learning, chapter 4.
    """
    if horizon_sessions < 1 or stride < 1:
        raise BadInput(f"A label takes 1 session or more, and so does a stride; were {horizon_sessions} and {stride}.")
    if stride >= horizon_sessions:
        return None
    if rows["number"].null_count():
        raise BadInput(
            f"{rows['number'].null_count()} training rows are of sessions without a number, so whether their labels "
            "overlap cannot be told. Give the number of every session."
        )
    first = rows["number"].to_numpy()
    weights = uniqueness_weights(first, first + (horizon_sessions - 1), rows["symbol"].rank("dense").to_numpy())
    return None if (weights == 1.0).all() else weights
