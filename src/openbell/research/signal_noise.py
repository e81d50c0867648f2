"""Labels from which everything that could be known was taken: what a pipeline still finds in them is its own fault."""

from __future__ import annotations

import numpy as np
import polars as pl

from openbell.core.errors import BadInput


def shuffled(rows: pl.DataFrame, seed: int, *, block_sessions: int = 5) -> pl.DataFrame:
    """`rows` with the labels of each symbol moved about in time, in blocks of its own sessions.

    Parameters
    ----------
    rows : columns of `core.signal.DECISIONS` and features. seed : of the order, another for each symbol.
    block_sessions : neighbouring sessions whose labels move together, so that they keep the dependence of overlapping
        outcomes.

    Returns
    -------
    polars.DataFrame
        The same rows in the same order with the same labels in number, of each symbol and overall; a label that is null
        stays where it is, and every ``label_known_at`` too, since a place is known when it was known. A back-test of
        what is learnt from them has nothing to find: its Sharpe ratio before costs lies about 0.

    Raises
    ------
    BadInput
        On a block under 1 session.

    References
    ----------
    White (2000), Econometrica 68, 1097-1126, on what a search finds in noise.
    """
    if block_sessions < 1:
        raise BadInput(f"`block_sessions` must be at least 1; was {block_sessions}.")
    known = rows.with_row_index("place").filter(pl.col("label").is_not_null()).sort("symbol", "as_of")
    parts = known.partition_by("symbol", maintain_order=True)
    orders = [
        _order(part["session"], block_sessions, np.random.default_rng([seed, number]))
        for number, part in enumerate(parts)
    ]
    labels = [part["label"].to_numpy()[order] for part, order in zip(parts, orders, strict=True)]
    moved = rows["label"].clone()
    if labels:
        moved = moved.scatter(known["place"], pl.Series(np.concatenate(labels), dtype=moved.dtype))
    return rows.with_columns(moved.alias("label"))


def _order(sessions: pl.Series, block: int, rng: np.random.Generator) -> np.ndarray:
    """Rows of one symbol in the order of their shuffled blocks of sessions."""
    number = (sessions.rank("dense").to_numpy().astype(np.int64) - 1) // block
    place = rng.permutation(int(number.max()) + 1)[number]
    return np.argsort(place, kind="stable")
