"""Bars as matrices on the session grid: a row is a session, a column a symbol, NaN where there is no bar."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from openbell.core.time import Sessions
from openbell.core.view import View

FIELDS = ("open", "close", "raw_close", "volume", "raw_volume")
#: `known_us` of a cell without a bar: later than any moment.
NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True, eq=False)
class Wide:
    """Matrices of shape (n sessions, m symbols).

    Attributes
    ----------
    calendar : the exchange's sessions. start : number of row 0 on the calendar. symbols : sorted, one per column.
    place : the column of each symbol.
    open, close : adjusted forward, so their ratios are total returns. raw_close, raw_volume : as received.
    volume : adjusted for splits alone. known_us : when each bar became known, microseconds UTC.
    days : the session of each row as datetime64[D], then NaT, so that row -1 is no day.
    off_calendar : bars on days without a session, left out.
    """

    calendar: Sessions
    start: int
    symbols: tuple[str, ...]
    place: Mapping[str, int]
    open: np.ndarray
    close: np.ndarray
    raw_close: np.ndarray
    volume: np.ndarray
    raw_volume: np.ndarray
    known_us: np.ndarray
    days: np.ndarray
    off_calendar: int

    def row(self, session: dt.date) -> int:
        """Row of `session`; one beyond the last row is the session to be decided."""
        return self.calendar.index(session) - self.start

    def columns(self, symbols: Sequence[str]) -> np.ndarray:
        """Columns of those of `symbols` that have one, in the order of `symbols`."""
        return np.array([self.place[symbol] for symbol in symbols if symbol in self.place], dtype=np.int64)

    @property
    def sessions(self) -> tuple[dt.date, ...]:
        """The session of each row."""
        return self.calendar.dates[self.start : self.start + len(self.close)]


def wide_bars(view: View, symbols: Sequence[str], first: dt.date, last: dt.date, *, freq: str = "1d") -> Wide:
    """Bars of `symbols` from the session `first` to the session `last`, both included, as `view` knows them."""
    names = tuple(sorted(set(symbols)))
    calendar = view.sessions
    start = calendar.index(first)
    shape = (calendar.index(last) - start + 1, len(names))
    rows = (
        view.bars(freq, first=first, last=last, symbols=names)
        .select("symbol", "session", *FIELDS, pl.col("known_at").dt.epoch("us").alias("known_us"))
        .collect()
    )
    places = pl.DataFrame({"symbol": names}, schema={"symbol": pl.String}).with_row_index("at")
    grid = calendar.frame.select("session", "number")
    on_grid = rows.join(grid, on="session").join(places, on="symbol")
    at = (on_grid["number"].cast(pl.Int64).to_numpy() - start, on_grid["at"].to_numpy())
    matrices = {field: np.full(shape, np.nan) for field in FIELDS}
    for field, matrix in matrices.items():
        matrix[at] = on_grid[field].cast(pl.Float64).to_numpy()
    known_us = np.full(shape, NEVER, dtype=np.int64)
    known_us[at] = on_grid["known_us"].to_numpy()
    place = {symbol: column for column, symbol in enumerate(names)}
    days = np.array([*calendar.dates[start : start + shape[0]], None], dtype="datetime64[D]")
    return Wide(
        calendar,
        start,
        names,
        place,
        **matrices,
        known_us=known_us,
        days=days,
        off_calendar=rows.height - on_grid.height,
    )
