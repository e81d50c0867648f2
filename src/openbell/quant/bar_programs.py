"""Expressions over bars as one program: the same steps for a whole history and for the bar that has just ended.

A feature is a Polars expression over the rows of one symbol. Evaluating it needs the rows; a program keeps of them what
its steps need, so the next bar costs one walk through the steps. `history` is that walk over all rows, so what a model
was trained on and what it is asked with are equal to the last bit. Polars' own evaluation is the oracle of the tests.

Null is NaN, on the way in and out. A program keeps no NaN apart from null: where an expression makes one on its way
(``0 / 0``, the root of a negative number) it goes on as null. A result that is not finite is null.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from openbell.core.errors import BadInput, DeclarationError, LeakFound, OpenbellError
from openbell.quant.bar_program_layout import Layout
from openbell.quant.bar_program_nodes import KINDS
from openbell.quant.bar_program_steps import COLUMN, LITERAL, Reader, Step, Unreadable
from openbell.quant.reach import reach, tree

if TYPE_CHECKING:
    from openbell.quant.bar_kernel import Plan

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(slots=True, eq=False)
class ProgramState:
    """What a program remembers of its symbols: one row of numbers each, changed in place by `BarProgram.advance`."""

    digest: str
    blank: Array
    memory: Array

    @property
    def symbols(self) -> int:
        """How many symbols it has rows for."""
        return len(self.memory)

    @property
    def nbytes(self) -> int:
        """Memory of all symbols, bytes."""
        return int(self.memory.nbytes)

    def grow(self, symbols: int) -> None:
        """Have rows for `symbols` in all; the new ones have seen no bar."""
        if symbols < len(self.memory):
            raise BadInput(f"A state of {len(self.memory)} symbols cannot shrink to {symbols}.")
        fresh = np.tile(self.blank, (symbols - len(self.memory), 1))
        self.memory = np.concatenate([self.memory, fresh])

    def to_arrays(self) -> dict[str, Array]:
        """The state as arrays to be kept: ``memory`` and the bytes of the program's ``digest``."""
        return {"memory": self.memory.copy(), "digest": np.frombuffer(self.digest.encode(), dtype=np.uint8)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array], program: BarProgram) -> ProgramState:
        """The state of `program` that `to_arrays` gave.

        Raises
        ------
        BadInput : where it is of another program, or no state at all.
        """
        if missing := {"memory", "digest"} - set(arrays):
            raise BadInput(f"The arrays hold no state of a bar program: `{min(missing)}` is missing.")
        digest = bytes(np.asarray(arrays["digest"], dtype=np.uint8)).decode(errors="replace")
        if digest != program.digest:
            raise BadInput(
                f"The state was kept by the bar program {digest[:12]}, and this one is {program.digest[:12]}: other "
                "features, or another version of them. Warm it up again from the stored bars."
            )
        memory = np.array(arrays["memory"], dtype=np.float64, order="C")
        program.check_memory(memory)
        return cls(digest, program.state(0).blank, memory)


@dataclass(frozen=True, slots=True, eq=False)
class BarProgram:
    """Several expressions as steps on registers.

    Attributes
    ----------
    columns : what a bar is handed over as, in this order, of `core.bars.BAR_COLUMNS`. names : the expressions.
    depth : rows the hungriest looks back, its own included. digest : the same for the same program, of the columns,
    the names, the steps and the version of what they do.
    """

    columns: tuple[str, ...]
    names: tuple[str, ...]
    depth: int
    digest: str
    _plan: Plan
    _blank: Array

    @property
    def steps(self) -> int:
        """How many steps a bar takes."""
        return len(self._plan.steps)

    def state(self, symbols: int) -> ProgramState:
        """A state in which none of `symbols` has seen a bar."""
        return ProgramState(self.digest, self._blank, np.tile(self._blank, (symbols, 1)))

    def check_memory(self, memory: Array) -> None:
        """Refuse a memory that the steps would leave: the kernel looks at places without asking."""
        from openbell.quant.bar_kernel import PUSH

        if memory.ndim != 2 or memory.shape[1] != len(self._blank):
            raise BadInput(f"The state has the shape {memory.shape}; it must be symbols by {len(self._blank)}.")
        rings = self._plan.steps[self._plan.steps[:, 0] == PUSH]
        places = memory[:, rings[:, 2]]
        if not ((places >= 0) & (places < rings[:, 3]) & (places == np.floor(places))).all():
            raise BadInput("The state is damaged: the newest row of a window lies outside of it. Warm it up again.")

    def advance(self, state: ProgramState, which: Array, values: Array) -> Array:
        """The results of one more bar of each of the symbols `which`, which `state` then remembers.

        Parameters
        ----------
        which : (k,), rows of `state`; a symbol that comes twice has two bars. values : (k, len(columns)), NaN for null.

        Returns
        -------
        ndarray of shape (k, len(names)), NaN for null.
        """
        from openbell.quant.bar_kernel import walk

        if state.digest != self.digest:
            raise BadInput("The state belongs to another bar program. Make it by `state` of this one.")
        which, values = _plain(which, np.int64), self._checked(values)
        if which.shape != (len(values),):
            raise BadInput(f"`which` has the shape {which.shape} and `values` {len(values)} rows; one symbol per row.")
        if len(which) and (which.min() < 0 or which.max() >= state.symbols):
            raise BadInput(
                f"`which` runs from {which.min()} to {which.max()}; the state has {state.symbols} symbols. "
                "Let it `grow` first."
            )
        out = np.empty((len(values), len(self.names)))
        walk(self._plan, state.memory, which, values, self._blank, out)
        return out

    def history(self, starts: Array, values: Array, *, jobs: int = 1) -> Array:
        """The results of all bars of several symbols, each from a fresh state: bit for bit those of `advance`.

        Parameters
        ----------
        starts : (m + 1,), the rows at which the symbols' bars begin, and the number of rows. values :
        (n, len(columns)), the symbols' rows one after another in the order of time, NaN for null. jobs : threads; a
        symbol is never split.

        Returns
        -------
        ndarray of shape (n, len(names)), NaN for null.
        """
        from joblib import Parallel, delayed

        values, starts = self._checked(values), np.ascontiguousarray(starts, dtype=np.int64)
        if (
            starts.ndim != 1
            or len(starts) < 1
            or starts[0] != 0
            or starts[-1] != len(values)
            or (np.diff(starts) < 0).any()
        ):
            raise BadInput(f"`starts` must rise from 0 to the number of rows, {len(values)}; was {starts}.")
        out = np.empty((len(values), len(self.names)))
        groups = _shared_out(starts, jobs)
        if len(groups) == 1:
            self._walked(starts, values, out)
        else:
            Parallel(n_jobs=len(groups), backend="threading")(
                delayed(self._walked)(
                    starts[a : b + 1] - starts[a], values[starts[a] : starts[b]], out[starts[a] : starts[b]]
                )
                for a, b in groups
            )
        return out

    def _walked(self, starts: Array, values: Array, out: Array) -> None:
        from openbell.quant.bar_kernel import walk

        which = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
        walk(self._plan, self._blank[:0].reshape(0, 0), which, values, self._blank, out)

    def _checked(self, values: Array) -> Array:
        values = _plain(values, np.float64)
        if values.ndim != 2 or values.shape[1] != len(self.columns):
            raise BadInput(
                f"`values` has the shape {values.shape}; it must be rows by the {len(self.columns)} columns "
                f"{', '.join(self.columns)}."
            )
        return values


def _plain(values: Array, dtype: type[np.int64 | np.float64]) -> Array:
    """In order and writable: numba would compile everything once more for an array that may not be written to."""
    return np.require(values, dtype, ["C", "W", "A"])


def _shared_out(starts: Array, jobs: int) -> list[tuple[int, int]]:
    """Groups of symbols with about as many rows each."""
    if jobs < 1:
        raise BadInput(f"`jobs` must be at least 1; was {jobs}.")
    cuts = np.searchsorted(starts, np.linspace(0, starts[-1], jobs + 1)[1:-1])
    edges = sorted({0, len(starts) - 1, *(int(each) for each in cuts)})
    return list(pairwise(edges)) or [(0, 0)]


def compile_program(expressions: Mapping[str, pl.Expr]) -> BarProgram:
    """The program of `expressions`, with the shared columns they stand on; what they have in common is done once.

    Raises
    ------
    LeakFound : where one reads rows to come. DeclarationError : where one has a node without a step, or names a column
    that no bar has. Both name the feature.
    """
    if not expressions:
        raise BadInput("A bar program needs at least one expression.")
    reader, results, depth = Reader(KINDS), [], 1
    for name, expression in expressions.items():
        try:
            found = reach(expression)
            if found.forward or found.negative_shifts:
                raise LeakFound("It reads rows to come, which are not there when a bar ends.")
            trees = tree(expression)
            reader.definitions = {**reader.definitions, **{key: each for key, each in trees.items() if key}}
            results.append(reader.read(trees[""]))
        except OpenbellError as refusal:
            raise type(refusal)(f"The feature `{name}`: {refusal}") from refusal
        except Unreadable as refusal:
            raise DeclarationError(f"The feature `{name}`: {refusal}") from None
        depth = max(depth, found.back)
    return _assembled(tuple(expressions), list(reader.steps), results, depth)


def _assembled(names: tuple[str, ...], steps: Sequence[Step], results: Sequence[int], depth: int) -> BarProgram:
    from openbell.quant.bar_kernel import Plan

    columns = {each.column: register for register, each in enumerate(steps) if each.operation == COLUMN}
    layout = Layout(steps)
    constants = np.full(len(steps), np.nan)
    for register, each in enumerate(steps):
        if each.operation == LITERAL and each.option:
            constants[register] = each.number
    inputs, outputs = np.array(list(columns.values()), dtype=np.int64), np.array(results, dtype=np.int64)
    longest = max([1, *(each.window for each in steps)])
    plan = Plan(*layout.laid(), constants, inputs, outputs, longest)
    return BarProgram(
        tuple(columns), names, depth, _digest(tuple(columns), names, steps, results), plan, layout.blank()
    )


def _digest(columns: tuple[str, ...], names: tuple[str, ...], steps: Sequence[Step], results: Sequence[int]) -> str:
    from openbell.quant.bar_kernel import VERSION

    content = [VERSION, columns, names, [list(asdict(each).values()) for each in steps], list(results)]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()
