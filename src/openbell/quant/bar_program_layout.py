"""Where the memory of a bar program's steps lies, and the steps as the kernel reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from openbell.quant.bar_program_steps import COLUMN, LITERAL, WINDOWED, Step

Array = np.ndarray[Any, np.dtype[Any]]
#: Numbers that a step keeps beside the rings.
_KEPT: Mapping[str, int] = {"COUNT": 2, "EXPONENTIAL": 3, "SMALLEST": 3, "LARGEST": 3}


class Layout:
    """Where the memory of each step lies: the rings first, each with the place of its newest value before it."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self.steps = steps
        self.lengths: dict[int, int] = {}
        for each in steps:
            if each.operation in WINDOWED:
                for register in each.inside:
                    rows = each.window + (each.operation in _KEPT)
                    self.lengths[register] = max(self.lengths.get(register, 0), rows)
        sizes = [length + 1 for length in self.lengths.values()]
        self.rings = dict(zip(self.lengths, np.cumsum([0, *sizes]).tolist(), strict=False))
        self.size = sum(sizes)
        self.kept: dict[int, int] = {}
        for register, each in enumerate(steps):
            if each.operation in _KEPT:
                self.kept[register] = self.size
                self.size += _KEPT[each.operation]

    def blank(self) -> Array:
        """The memory of a symbol that has seen no bar."""
        memory = np.full(max(self.size, 1), np.nan)
        for at in self.rings.values():
            memory[at] = 0.0
        for register, at in self.kept.items():
            operation = self.steps[register].operation
            memory[at : at + _KEPT[operation]] = 0.0
            if operation in ("SMALLEST", "LARGEST"):
                memory[at] = -np.inf
        return memory

    def laid(self) -> tuple[Array, Array, Array]:
        """Rows of the steps as the kernel reads them, their numbers, and all weights."""
        from openbell.quant import bar_kernel

        rows: list[list[int]] = []
        numbers: list[float] = []
        weights: list[float] = []
        pushed: set[int] = set()
        for register, each in enumerate(self.steps):
            if each.operation in (COLUMN, LITERAL):
                continue
            if each.operation in WINDOWED:
                for inside in dict.fromkeys(each.inside):
                    if inside not in pushed:
                        pushed.add(inside)
                        rows.append([bar_kernel.PUSH, inside, self.rings[inside], self.lengths[inside], 0, 0, 0, 0])
                        numbers.append(0.0)
            rows.append([getattr(bar_kernel, each.operation), register, *self._fields(register, each, len(weights))])
            numbers.append(each.number)
            weights.extend(each.weights)
        return np.array(rows, dtype=np.int64).reshape(-1, bar_kernel.FIELDS), np.array(numbers), np.array(weights)

    def _fields(self, register: int, step: Step, weight: int) -> list[int]:
        """What follows the operation and its register: two to six places of what it reads."""
        if step.operation == "EXPONENTIAL":
            return [step.inside[0], 0, 0, step.least, self.kept[register], step.option]
        if step.operation not in WINDOWED:
            first = step.inside[0]
            return [*step.inside, *[first] * (3 - len(step.inside)), 0, 0, 0]
        inside = step.inside[0]
        fields = [self.rings[inside], self.lengths[inside], step.window, step.least]
        if len(step.inside) == 2:
            return [*fields, self.rings[step.inside[1]], self.lengths[step.inside[1]]]
        return [*fields, self.kept.get(register, weight if step.weights else step.option), 0]
