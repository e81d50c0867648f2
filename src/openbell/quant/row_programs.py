"""Expressions over single rows as a list of steps in plain Python: what a request of one row is answered with.

A query costs a data frame library about 40 microseconds per expression whatever its rows, and a row of 60 features
several milliseconds. The tree of an expression is the same for both ways of evaluating it, so there is one definition;
a kind of node that is not listed here gives no program, and the expression is then evaluated by the library.
"""

from __future__ import annotations

import datetime as dt
import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import polars as pl

from openbell.quant.reach import tree

_MICROSECOND = dt.timedelta(microseconds=1)
#: A function, and what takes its arguments out of the slots.
Step = tuple[Callable[..., Any], Callable[[list[Any]], Sequence[Any]]]


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """The values of several expressions of one row. Its slots are columns, literals, then the result of each step.

    `columns` are what a row is handed over as, in their order; a step takes the slots it names; `results` are the slots
    of the expressions, by name.
    """

    columns: tuple[str, ...]
    literals: tuple[Any, ...]
    steps: tuple[Step, ...]
    results: Mapping[str, int]

    def run(self, row: Sequence[Any]) -> list[float | None]:
        """The results of one row, None for null and for what is not finite."""
        slots = [*row, *self.literals]
        for function, arguments in self.steps:
            slots.append(function(*arguments(slots)))
        return [_finite(slots[place]) for place in self.results.values()]


class Unknown(Exception):
    """A node without a step."""


def program(expressions: Mapping[str, pl.Expr]) -> Program:
    """The program of those of `expressions` that have one: arithmetic, comparison, choice and the like of one row.

    Nulls are None and propagate as in Polars: a comparison with null is null, ``null & false`` is false, a choice by
    null takes the other branch, horizontal functions leave nulls out. What all of them share is one step.
    """
    builder = _Builder()
    found: dict[str, _Node] = {}
    for name, expression in expressions.items():
        trees = tree(expression)
        if len(trees) > 1:
            continue
        try:
            found[name] = _node(trees[""])
        except Unknown:
            continue
    columns = tuple(dict.fromkeys(column for node in found.values() for column in _columns(node)))
    return builder.built(columns, found)


@dataclass(frozen=True, slots=True)
class _Node:
    """A column, a literal, or a function of nodes; `key` is the same for the same thing."""

    key: str
    column: str | None = None
    literal: Any = None
    function: Callable[..., Any] | None = None
    inside: tuple[_Node, ...] = ()


class _Builder:
    """Puts nodes into slots, each once."""

    def __init__(self) -> None:
        self.slots: dict[str, int] = {}
        self.literals: list[Any] = []
        self.steps: list[Step] = []

    def built(self, columns: tuple[str, ...], found: Mapping[str, _Node]) -> Program:
        self.slots = {_column(name).key: place for place, name in enumerate(columns)}
        for node in found.values():
            self._literals(node)
        results = {name: self._place(node) for name, node in found.items()}
        return Program(columns, tuple(self.literals), tuple(self.steps), results)

    def _literals(self, node: _Node) -> None:
        if node.column is None and node.function is None and node.key not in self.slots:
            self.slots[node.key] = len(self.slots)
            self.literals.append(node.literal)
        for each in node.inside:
            self._literals(each)

    def _place(self, node: _Node) -> int:
        if node.key not in self.slots:
            assert node.function is not None, "columns and literals have their slots already"
            step = node.function, _taken(tuple(self._place(each) for each in node.inside))
            self.slots[node.key] = len(self.slots)
            self.steps.append(step)
        return self.slots[node.key]


def _taken(places: tuple[int, ...]) -> Callable[[list[Any]], Sequence[Any]]:
    """What takes these slots, as a sequence also where it is one: in C, for a request has hundreds of steps."""
    return itemgetter(*places) if len(places) > 1 else itemgetter(slice(places[0], places[0] + 1))


def _column(name: str) -> _Node:
    return _Node(json.dumps({"Column": name}), column=name)


def _columns(node: _Node) -> list[str]:
    own = [node.column] if node.column is not None else []
    return [*own, *(name for each in node.inside for name in _columns(each))]


def _node(body: Any) -> _Node:
    if not isinstance(body, dict) or len(body) != 1:
        raise Unknown
    key = json.dumps(body, sort_keys=True)
    ((kind, inside),) = body.items()
    if kind == "Column":
        return _column(inside)
    if kind == "Literal":
        return _Node(key, literal=literal_value(inside))
    if kind == "Alias":
        return _node(inside[0])
    if kind == "Cast" and inside["dtype"] == {"Literal": "Float64"}:
        return _Node(key, function=_float, inside=(_node(inside["expr"]),))
    if kind == "BinaryExpr" and inside["op"] in _BINARY:
        return _Node(key, function=_BINARY[inside["op"]], inside=(_node(inside["left"]), _node(inside["right"])))
    if kind == "Ternary":
        parts = tuple(_node(inside[part]) for part in ("predicate", "truthy", "falsy"))
        return _Node(key, function=_chosen, inside=parts)
    if kind == "Function":
        function = _FUNCTIONS.get(json.dumps(inside["function"], sort_keys=True))
        if function is not None:
            return _Node(key, function=function, inside=tuple(_node(each) for each in inside["input"]))
    raise Unknown


def literal_value(body: Any) -> Any:
    """The number, truth or null of a node ``Literal``."""
    value = body
    while isinstance(value, dict) and len(value) == 1:
        ((kind, value),) = value.items()
        if kind == "Null":
            return None
    if isinstance(value, bool | int | float):
        return value
    raise Unknown


def _finite(value: Any) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None


def _float(x: Any) -> float | None:
    return None if x is None else float(x)


def _known(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` of two values, null where either is."""

    def of(a: Any, b: Any) -> Any:
        return None if a is None or b is None else function(a, b)

    return of


def _divided(a: float, b: float) -> float:
    if b != 0:
        return a / b
    return math.nan if a == 0 or a != a else math.copysign(math.inf, a) * math.copysign(1.0, b)


def _and(a: bool | None, b: bool | None) -> bool | None:
    if a is False or b is False:
        return False
    return None if a is None or b is None else True


def _or(a: bool | None, b: bool | None) -> bool | None:
    if a is True or b is True:
        return True
    return None if a is None or b is None else False


def _chosen(predicate: bool | None, truthy: Any, falsy: Any) -> Any:
    return truthy if predicate else falsy


def _logarithm(x: float | None, base: float) -> float | None:
    if x is None:
        return None
    if x <= 0:
        return -math.inf if x == 0 else math.nan
    return math.log(x) if base == math.e else math.log(x, base)


def _exponential(x: float) -> float:
    return math.inf if x > _LARGEST_EXPONENT else math.exp(x)


def _horizontal(function: Callable[[list[Any]], Any]) -> Callable[..., Any]:
    """`function` of the values that are there, null where none is."""

    def of(*values: Any) -> Any:
        there = [each for each in values if each is not None]
        return function(there) if there else None

    return of


#: Beyond it the exponential is no finite number.
_LARGEST_EXPONENT = math.log(sys.float_info.max)


def _strict_sum(*values: Any) -> Any:
    return None if any(each is None for each in values) else sum(values)


def _null_safe(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda x: None if x is None else function(x)


_BINARY: Mapping[str, Callable[..., Any]] = {
    "Plus": _known(lambda a, b: a + b),
    "Minus": _known(lambda a, b: a - b),
    "Multiply": _known(lambda a, b: a * b),
    "TrueDivide": _known(_divided),
    "Gt": _known(lambda a, b: a > b),
    "GtEq": _known(lambda a, b: a >= b),
    "Lt": _known(lambda a, b: a < b),
    "LtEq": _known(lambda a, b: a <= b),
    "Eq": _known(lambda a, b: a == b),
    "NotEq": _known(lambda a, b: a != b),
    "And": _and,
    "Or": _or,
}
_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    json.dumps(name, sort_keys=True): function
    for name, function in (
        ("Abs", _null_safe(abs)),
        ("Negate", _null_safe(lambda x: -x)),
        ("Log", _logarithm),
        ("Exp", _null_safe(_exponential)),
        ("MaxHorizontal", _horizontal(max)),
        ("MinHorizontal", _horizontal(min)),
        ({"MeanHorizontal": {"ignore_nulls": True}}, _horizontal(lambda x: sum(x) / len(x))),
        ({"SumHorizontal": {"ignore_nulls": False}}, _strict_sum),
        ({"Boolean": "IsNotNull"}, lambda x: x is not None),
        ({"Boolean": "IsNull"}, lambda x: x is None),
        ({"Boolean": "Not"}, _null_safe(lambda x: not x)),
        ({"TemporalExpr": {"TotalMicroseconds": {"fractional": False}}}, _null_safe(lambda x: x // _MICROSECOND)),
        ({"TemporalExpr": "WeekDay"}, _null_safe(lambda day: day.isoweekday())),
    )
}  # fmt: skip
