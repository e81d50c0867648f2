"""The latest rows of features of each symbol: what a member that reads sequences is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from openbell.core.errors import BadInput


class Rings:
    """The last `rows` decisions of every symbol; symbols come as they are seen.

    Parameters
    ----------
    columns : the features, in order. rows : how many rows are kept, at least 1.
    """

    def __init__(self, columns: Sequence[str], rows: int) -> None:
        if rows < 1:
            raise BadInput(f"A ring keeps at least 1 row; was {rows}.")
        self.columns, self.rows = tuple(columns), rows
        self._places: dict[str, int] = {}
        self._values = np.full((0, rows, len(self.columns)), np.nan, dtype=np.float32)
        self._at = np.zeros((0, rows), dtype=np.int64)
        self._seen = np.zeros(0, dtype=np.int64)

    def add(self, frame: pl.DataFrame) -> None:
        """Append the rows of `frame`: ``symbol``, ``as_of`` and the columns, null is NaN; in order of time for each."""
        rank = frame.select(pl.int_range(pl.len(), 0, -1).over("symbol").alias("rank"))["rank"]
        if frame.height and rank.max() > 1:  # type: ignore[operator]
            for each in range(min(int(rank.max()), self.rows), 0, -1):  # type: ignore[arg-type]
                self.add(frame.filter(rank == each))
            return
        places = self._grown(frame["symbol"].to_list())
        slots = self._seen[places] % self.rows
        self._values[places, slots] = frame.select(self.columns).cast(pl.Float32).to_numpy()
        self._at[places, slots] = frame["as_of"].to_physical().to_numpy()
        self._seen[places] += 1

    def windows(self, symbols: Sequence[str]) -> tuple[pl.DataFrame, pl.DataFrame, np.ndarray]:
        """Features, keys (``t`` in microseconds, ``symbol``) and which rows are the latest, oldest first by symbol."""
        places = np.array([self._places[each] for each in symbols], dtype=np.intp)
        order = (self._seen[places, None] + np.arange(self.rows)) % self.rows
        filled = np.arange(self.rows) >= self.rows - np.minimum(self._seen[places, None], self.rows)
        values = self._values[places[:, None], order][filled]
        features = pl.DataFrame(values, schema=dict.fromkeys(self.columns, pl.Float32)).fill_nan(None)
        names = np.repeat(np.asarray(symbols, dtype=object), filled.sum(axis=1))
        keys = pl.DataFrame(
            {"t": self._at[places[:, None], order][filled], "symbol": names},
            schema={"t": pl.Int64, "symbol": pl.String},
        )
        latest = np.broadcast_to(np.arange(self.rows) == self.rows - 1, filled.shape)[filled]
        return features, keys, latest

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Everything, for a snapshot."""
        names = np.array(list(self._places), dtype=np.str_)
        return {"symbols": names, "values": self._values, "at": self._at, "seen": self._seen}

    def from_arrays(self, arrays: Mapping[str, Any]) -> None:
        """What `to_arrays` gave; refused where it is of other columns."""
        shape = arrays["values"].shape
        if shape[1:] != (self.rows, len(self.columns)):
            raise BadInput(
                f"The kept rows are {shape[1]} of {shape[2]} features; this model reads {self.rows} of "
                f"{len(self.columns)}. Begin the stream anew with --fresh."
            )
        self._places = {str(name): place for place, name in enumerate(arrays["symbols"])}
        self._values, self._at = arrays["values"].copy(), arrays["at"].copy()
        self._seen = arrays["seen"].copy()

    def _grown(self, symbols: Sequence[str]) -> np.ndarray:
        new = [each for each in symbols if each not in self._places]
        if new:
            for each in new:
                self._places[each] = len(self._places)
            more = len(new)
            self._values = np.concatenate(
                [self._values, np.full((more, self.rows, len(self.columns)), np.nan, dtype=np.float32)]
            )
            self._at = np.concatenate([self._at, np.zeros((more, self.rows), dtype=np.int64)])
            self._seen = np.concatenate([self._seen, np.zeros(more, dtype=np.int64)])
        return np.array([self._places[each] for each in symbols], dtype=np.intp)
