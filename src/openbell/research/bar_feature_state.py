"""What the features of bars remember of each symbol, and the one step that history and live bars both take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from openbell.core.bars import BAR_COLUMNS, frames_from
from openbell.core.errors import IntegrityBroken
from openbell.quant.bar_frames import FrameBuilder
from openbell.quant.bar_programs import BarProgram, ProgramState


@dataclass(frozen=True, eq=False)
class Step:
    """What base bars gave, for one frame.

    Attributes
    ----------
    made : results of the program, float64 (m, k). places : row of `made` that stands at each base bar, int64 (n,).
    ends : when the bar ended that it is of, microseconds, int64 (n,); 0 before the first.
    computed : bars that the program was advanced by.
    """

    made: np.ndarray
    places: np.ndarray
    ends: np.ndarray
    computed: int


class FeatureState:
    """Longer bars that have begun, the program's memory and its last results, per frame and symbol.

    Parameters
    ----------
    base : the frame of the bars that come in. frames : those that results are wanted of.
    """

    def __init__(self, base: str, frames: tuple[str, ...], program: BarProgram, symbols: int = 0) -> None:
        self._program, self._base = program, base
        self._frames = frames
        self._columns = [BAR_COLUMNS.index(name) for name in program.columns]
        self._builder = FrameBuilder(base, symbols)
        self._memory = {frame: program.state(symbols) for frame in frames}
        self._last = {frame: np.full((symbols, len(program.names)), np.nan) for frame in frames}
        self._ends = {frame: np.zeros(symbols, dtype=np.int64) for frame in frames}

    @property
    def symbols(self) -> int:
        """How many symbols there is room for."""
        return self._builder.symbols

    @property
    def nbytes(self) -> int:
        """Memory of all symbols, bytes."""
        return sum(array.nbytes for array in self.to_arrays().values())

    def grow(self, symbols: int) -> None:
        """Make room for `symbols` in all."""
        more = symbols - self.symbols
        self._builder.grow(symbols)
        for frame in self._frames:
            self._memory[frame].grow(symbols)
            fresh = np.full((more, len(self._program.names)), np.nan)
            self._last[frame] = np.concatenate([self._last[frame], fresh])
            self._ends[frame] = np.concatenate([self._ends[frame], np.zeros(more, dtype=np.int64)])

    def advance(
        self, which: np.ndarray, at_us: np.ndarray, opens_us: np.ndarray, closes_us: np.ndarray, bars: np.ndarray
    ) -> dict[str, Step]:
        """Take base bars in and give the results at each, by frame.

        Parameters
        ----------
        which : symbol of each bar, int64 (n,), rising; at_us : its end, rising within a symbol. opens_us, closes_us :
        of its session, int64 (n,). bars : its columns, float64 (n, 19); the ``session_*`` places are written.
        """
        completed = self._builder.advance(which, at_us, opens_us, closes_us, bars)
        every = dict(zip(frames_from(self._base)[1:], completed, strict=True))
        steps = {}
        for frame in self._frames:
            if frame == self._base:
                rows, ends, values = np.arange(len(which)), at_us, bars
            else:
                part = every[frame]
                rows, ends, values = part.rows, part.ends, part.values
            steps[frame] = self._carried(frame, which, rows, ends, values)
        return steps

    def _carried(self, frame: str, which: np.ndarray, rows: np.ndarray, ends: np.ndarray, bars: np.ndarray) -> Step:
        """Results of completed bars, carried from the base bar that completed each to the next of its symbol."""
        last, last_ends = self._last[frame], self._ends[frame]
        made = self._program.advance(self._memory[frame], which[rows], bars[:, self._columns])
        newest = np.append(which[rows][1:] != which[rows][:-1], True)[: len(rows)]
        symbols = which[rows][newest]
        if frame == self._base:
            step = Step(made, rows, ends, len(rows))
        else:
            first = np.append(True, which[1:] != which[:-1])[: len(which)]
            places = np.searchsorted(rows, np.arange(len(which)), side="right") - 1
            fresh = (places >= 0) & (which[rows[places]] == which if len(rows) else False)
            places = np.where(fresh, places, len(rows) + np.cumsum(first) - 1)
            before = which[first]
            of = np.concatenate([ends, last_ends[before]])[places]
            step = Step(np.concatenate([made, last[before]]), places, of, len(rows))
        last[symbols], last_ends[symbols] = made[newest], ends[newest]
        return step

    def to_arrays(self) -> dict[str, np.ndarray]:
        """The state by name, for a snapshot."""
        arrays = {f"builder.{name}": array for name, array in self._builder.to_arrays().items()}
        for frame in self._frames:
            arrays |= {f"memory.{frame}.{name}": each for name, each in self._memory[frame].to_arrays().items()}
            arrays |= {f"last.{frame}": self._last[frame], f"ends.{frame}": self._ends[frame]}
        return arrays

    def from_arrays(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Take the state of a snapshot."""
        self._builder.from_arrays(_under("builder.", arrays))
        for frame in self._frames:
            memory = ProgramState.from_arrays(_under(f"memory.{frame}.", arrays), self._program)
            last, ends = np.array(arrays[f"last.{frame}"]), np.array(arrays[f"ends.{frame}"])
            if not memory.symbols == len(last) == len(ends) == self.symbols:
                raise IntegrityBroken(
                    f"The parts of the snapshot of {frame} are of {memory.symbols}, {len(last)}, {len(ends)} and "
                    f"{self.symbols} symbols. Warm the state up again from the stored bars."
                )
            self._memory[frame], self._last[frame], self._ends[frame] = memory, last, ends


def _under(prefix: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
