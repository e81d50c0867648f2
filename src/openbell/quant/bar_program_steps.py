"""The steps of a bar program, and the reader that puts the nodes of trees into them.

What two expressions share is one step, whether they share it as a named column or only by being written alike: a step
is what it does and what it does it to, and the same step is never put down twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from openbell.core.bars import BAR_COLUMNS
from openbell.core.errors import nearest
from openbell.quant.reach import Node


class Unreadable(Exception):
    """A node without a step; what it is and why, in words."""


@dataclass(frozen=True, slots=True)
class Step:
    """One operation of `bar_kernel`, by its name there, on registers; also a column, or a literal.

    Attributes
    ----------
    inside : registers it reads. window, least : rows of its window, and values that must be there. number, option,
    weights : what else the operation takes.
    """

    operation: str
    inside: tuple[int, ...] = ()
    window: int = 0
    least: int = 0
    number: float = 0.0
    option: int = 0
    weights: tuple[float, ...] = ()
    column: str = ""


COLUMN, LITERAL = "a column", "a literal"
#: Operations that walk the last values of what they read.
WINDOWED = frozenset(
    {"SHIFT", "CARRIED", "SUM", "MEAN", "SMALLEST", "LARGEST", "VARIANCE", "DEVIATION", "SKEWNESS", "KURTOSIS",
     "COVARIANCE", "CORRELATION", "QUANTILE", "COUNT", "WEIGHTED_SUM", "WEIGHTED_SMALLEST", "WEIGHTED_LARGEST"}
)  # fmt: skip
#: Operations that give a truth.
TRUTHS = frozenset(
    {"GREATER", "GREATER_EQUAL", "EQUAL", "UNEQUAL", "AND", "OR", "IS_NULL", "IS_NOT_NULL", "IS_FINITE", "IS_INFINITE",
     "NOT", "TRUTH"}
)  # fmt: skip


@dataclass(slots=True)
class Reader:
    """Puts the nodes of trees into steps, each once; a step's register is its place."""

    kinds: Mapping[str, Callable[[Reader, Any], int]]
    definitions: Mapping[str, Node] = field(default_factory=dict)
    steps: dict[Step, int] = field(default_factory=dict)
    _columns: dict[str, int] = field(default_factory=dict)
    _list: list[Step] = field(default_factory=list)

    def put(self, operation: str, *inside: int, **terms: Any) -> int:
        """The register of a step, an old one where the step is there already."""
        step = Step(operation, inside, **terms)
        if step not in self.steps:
            self.steps[step] = len(self._list)
            self._list.append(step)
        return self.steps[step]

    def number(self, value: float | bool | None) -> int:
        """The register of a literal."""
        # NaN is no key: it does not equal itself. A null is the literal without a number.
        return self.put(LITERAL, option=0 if value is None else 1, number=0.0 if value is None else float(value))

    def read(self, node: Node) -> int:
        """The register that holds `node`.

        Raises
        ------
        Unreadable : for a kind of node without a step.
        """
        if not isinstance(node, Mapping) or len(node) != 1:
            raise Unreadable(f"`{node}` has no step in a bar program.")
        ((kind, body),) = node.items()
        if kind not in self.kinds:
            raise Unreadable(f"`{kind}` has no step in a bar program.")
        return self.kinds[kind](self, body)

    def column(self, name: str) -> int:
        """A column of the bars, or what a shared column is defined as."""
        if name not in self._columns:
            if name not in self.definitions and name not in BAR_COLUMNS:
                raise Unreadable(f"it reads `{name}`, which no bar has. {nearest(name, BAR_COLUMNS)}")
            shared = name in self.definitions
            self._columns[name] = self.read(self.definitions[name]) if shared else self.put(COLUMN, column=name)
        return self._columns[name]

    def literal(self, register: int) -> float | None:
        """The number that a register always holds; None where it is no literal, or null."""
        step = self._list[register]
        return step.number if step.operation == LITERAL and step.option else None

    def is_truth(self, register: int) -> bool:
        """Whether a register holds 0, 1 and null alone."""
        return self._list[register].operation in TRUTHS
