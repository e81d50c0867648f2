"""Longer bars from base bars, by completed bars only: one core for the whole history and for the next bar.

Boundaries count from the open of the session: hours of a 09:30 open end at 10:30, 11:30 …, the last one at the close,
also at an early one; a day ends at the close. A longer bar is complete when a base bar of its symbol ends where it ends
or later. Nothing is filled: minutes without a bar are missing in the longer bar, and an interval without any has none.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from openbell.core.bars import BAR_COLUMNS, FRAMES, frames_from
from openbell.core.errors import BadInput, unknown
from openbell.core.time import MOMENT, Sessions

#: What a source may fill.
FIELDS = ("open", "high", "low", "close", "volume", "bid", "ask")
#: What one does that tells no quotes.
TRADED = FIELDS[:5]
#: Received fields that each column of a bar needs; without one of them the column is null.
NEEDS: Mapping[str, tuple[str, ...]] = {
    **{name: (name,) for name in FIELDS},
    **{f"raw_{name}": (name,) for name in TRADED},
    "fill_price": ("close",),
    "session_open": ("open",),
    "session_high": ("high",),
    "session_low": ("low",),
    "session_volume": ("volume",),
    "session_value_usd": ("high", "low", "close", "volume"),
    "session_minutes": (),
}
_RECEIVED = [BAR_COLUMNS.index(name) for name in FIELDS]
_STATE = ("session", "running", "ends", "growing")


@dataclass(frozen=True, eq=False)
class SessionTimes:
    """The sessions as numbers: ``days`` since 1970, ``opens`` and ``closes`` in microseconds, each shape (n,)."""

    days: np.ndarray
    opens: np.ndarray
    closes: np.ndarray

    @classmethod
    def of(cls, sessions: Sessions) -> SessionTimes:
        """The times of `sessions`."""
        frame = sessions.frame
        return cls(*(frame[name].to_physical().to_numpy() for name in ("session", "open_at", "close_at")))

    def places(self, at_us: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Position of the session each moment lies in, and whether it does: after its open, by its close at latest."""
        places = np.minimum(np.searchsorted(self.closes, at_us, side="left"), len(self.closes) - 1)
        return places, (at_us > self.opens[places]) & (at_us <= self.closes[places])


def on_grid(at_us: np.ndarray, opens_us: np.ndarray, closes_us: np.ndarray, minutes: int | None) -> np.ndarray:
    """Whether each end of a bar of so many `minutes` (None: of a session) lies where such a bar can end.

    That is a whole number of bars after the open of its session or on the clock, where hours are counted by many
    sources, or at the close.
    """
    if minutes is None:
        return np.asarray(at_us == closes_us)
    length = minutes * 60_000_000
    return np.asarray(((at_us - opens_us) % length == 0) | (at_us % length == 0) | (at_us == closes_us))


def fields_of(bars: pl.DataFrame) -> tuple[str, ...]:
    """The fields that `bars` hold at least one value of."""
    return tuple(name for name in FIELDS if name in bars.columns and bars[name].null_count() < bars.height)


def bar_matrix(bars: pl.DataFrame, fields: Collection[str] = TRADED) -> np.ndarray:
    """The columns of bars before their session is told, shape (n, 19) in the order of `BAR_COLUMNS`; NaN is null.

    ``raw_*`` are those of `bars`, or the prices themselves where they hold none. ``fill_price`` is the open, and the
    close where no open is among `fields`, the received columns that are read.
    """
    matrix = np.full((bars.height, len(BAR_COLUMNS)), np.nan)
    for place, name in enumerate(BAR_COLUMNS[:13]):
        source = ("open" if "open" in fields else "close") if name == "fill_price" else name
        if source.startswith("raw_") and source not in bars.columns:
            source = source.removeprefix("raw_")
        if source in bars.columns and all(need in fields for need in NEEDS[name]):
            # One column after another: a live bar must not wait for a query to be planned.
            column = bars.get_column(source)
            matrix[:, place] = (column if column.dtype == pl.Float64 else column.cast(pl.Float64)).to_numpy()
    return matrix


def received(matrix: np.ndarray) -> np.ndarray:
    """The columns `FIELDS` of what `bar_matrix` gives, shape (n, 7)."""
    return np.ascontiguousarray(matrix[:, _RECEIVED])


@dataclass(frozen=True, eq=False)
class Completed:
    """Longer bars of one frame, in the order they were completed.

    Attributes
    ----------
    rows : position of the base bar that completed each, int64 (k,). ends : their ends in microseconds, int64 (k,).
    values : their columns in the order of `BAR_COLUMNS`, float64 (k, 19).
    """

    rows: np.ndarray
    ends: np.ndarray
    values: np.ndarray


class FrameBuilder:
    """What of every longer frame has begun, per symbol.

    Parameters
    ----------
    base : the frame of the bars that come in. symbols : how many there are; see `grow`.
    """

    def __init__(self, base: str, symbols: int = 0) -> None:
        if base not in FRAMES:
            raise unknown("frame of bars", base, FRAMES)
        self.frames = frames_from(base)[1:]
        self._minutes = np.array([FRAMES[frame] or 0 for frame in self.frames], dtype=np.int64)
        self._state = _empty_state(symbols, len(self.frames))

    @property
    def symbols(self) -> int:
        """How many symbols there is room for."""
        return len(self._state["session"])

    def grow(self, symbols: int) -> None:
        """Make room for `symbols` in all."""
        more = _empty_state(symbols - self.symbols, len(self.frames))
        self._state = {name: np.concatenate([self._state[name], more[name]]) for name in _STATE}

    def advance(
        self, which: np.ndarray, at_us: np.ndarray, opens_us: np.ndarray, closes_us: np.ndarray, bars: np.ndarray
    ) -> tuple[Completed, ...]:
        """Take base bars in, in order of time for each symbol, and give the longer bars that they complete.

        Parameters
        ----------
        which : symbol of each bar, int64 (n,). at_us : its end; opens_us, closes_us : of its session, int64 (n,).
        bars : its columns, float64 (n, 19); the ``session_*`` places are written.

        Returns
        -------
        For each of `frames` what was completed.
        """
        from openbell.quant.bar_frame_kernel import built

        frames = len(self.frames)
        # A completed bar needs a base bar of its own, or had begun before: nobody touches memory beyond those.
        room = len(which) + min(len(which), self.symbols)
        rows, ends = np.empty((frames, room), dtype=np.int64), np.empty((frames, room), dtype=np.int64)
        values, counts = np.empty((frames, room, len(BAR_COLUMNS))), np.zeros(frames, dtype=np.int64)
        session, running, begun, growing = (self._state[name] for name in _STATE)
        built(
            which, at_us, opens_us, closes_us, bars, self._minutes,
            session, running, begun, growing, rows, ends, values, counts,
        )  # fmt: skip
        return tuple(Completed(rows[f, :n], ends[f, :n], values[f, :n]) for f, n in enumerate(counts))

    def to_arrays(self) -> dict[str, np.ndarray]:
        """The state by name, for a snapshot."""
        return dict(self._state)

    def from_arrays(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Take the state of a snapshot."""
        empty = _empty_state(len(arrays["session"]), len(self.frames))
        for name, array in empty.items():
            if arrays[name].shape != array.shape or arrays[name].dtype != array.dtype:
                raise BadInput(
                    f"`{name}` of a snapshot of {len(self.frames)} longer frames must be {array.dtype} {array.shape}; "
                    f"was {arrays[name].dtype} {arrays[name].shape}."
                )
        self._state = {name: np.ascontiguousarray(arrays[name]) for name in _STATE}


def _empty_state(symbols: int, frames: int) -> dict[str, np.ndarray]:
    return {
        "session": np.zeros(symbols, dtype=np.int64),
        "running": np.full((symbols, 5), np.nan),
        "ends": np.zeros((symbols, frames), dtype=np.int64),
        "growing": np.full((symbols, frames, len(BAR_COLUMNS)), np.nan),
    }


def frames_of(
    bars: pl.DataFrame, base: str, sessions: Sessions, fields: Collection[str] = TRADED
) -> dict[str, pl.DataFrame]:
    """Bars of `base` and of every longer frame, by completed bars only.

    Parameters
    ----------
    bars : ``symbol``, ``at`` (end of the bar) and `fields`, of any symbols. Hours outside the sessions are left out.

    Returns
    -------
    By frame: ``symbol``, ``session``, ``at`` (end of the bar), ``complete_at`` (end of the base bar that completed it:
    the first moment it is known) and `BAR_COLUMNS` (Float64), sorted by symbol and time.
    """
    times = SessionTimes.of(sessions)
    bars = bars.sort("symbol", "at")
    places, inside = times.places(bars["at"].cast(MOMENT).to_physical().to_numpy())
    bars, places = bars.filter(inside), places[inside]
    at, values = bars["at"].cast(MOMENT).to_physical().to_numpy(), bar_matrix(bars, fields)
    which = bars["symbol"].rle_id().to_numpy().astype(np.int64)
    builder = FrameBuilder(base, int(which[-1]) + 1 if len(which) else 0)
    completed = builder.advance(which, at, times.opens[places], times.closes[places], values)
    every = (Completed(np.arange(len(at)), at, values), *completed)
    return {frame: _frame(bars, places, times, at, part) for frame, part in zip(frames_from(base), every, strict=True)}


def _frame(
    bars: pl.DataFrame, places: np.ndarray, times: SessionTimes, at: np.ndarray, part: Completed
) -> pl.DataFrame:
    ended, _ = times.places(part.ends)
    keys = pl.DataFrame(
        {
            "symbol": bars["symbol"][part.rows],
            "session": dates(times.days[ended]),
            "at": moments(part.ends),
            "complete_at": moments(at[part.rows]),
        }
    )
    values = pl.DataFrame(part.values, schema=dict.fromkeys(BAR_COLUMNS, pl.Float64), orient="row")
    return keys.hstack(values.fill_nan(None))


def moments(us: np.ndarray | pl.Series) -> pl.Series:
    """Microseconds since 1970 as moments."""
    return pl.Series(us, dtype=pl.Int64).cast(MOMENT)


def dates(days: np.ndarray) -> pl.Series:
    """Days since 1970 as dates."""
    return pl.Series(days, dtype=pl.Int32).cast(pl.Date)


__all__ = [
    "FIELDS", "NEEDS", "TRADED", "Completed", "FrameBuilder", "SessionTimes", "bar_matrix", "dates", "fields_of",
    "frames_of", "moments", "on_grid", "received",
]  # fmt: skip
