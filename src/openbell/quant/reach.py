"""How far an expression looks back and forward, read from its tree; what cannot be read is refused by name.

The tree is Polars' own serialised expression. Every kind of node on the allow-list has a known reach; any other kind
is refused, so a function that a later Polars brings is refused until somebody has thought about it.
"""

from __future__ import annotations

import functools
import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from openbell.core.declare import Feature, Label
from openbell.core.errors import DeclarationError, LeakFound, OpenbellError
from openbell.quant.chain_expressions import CHAIN_READS, HISTORY, slack
from openbell.quant.expressions import SHARED, memory
from openbell.quant.session_expressions import EARLY_READS, SESSION_READS
from openbell.quant.statements import FILED

Node = Any

#: Functions of single rows.
ROW_FUNCTIONS = frozenset(
    {"Abs", "Sign", "Negate", "Log", "Log1p", "Exp", "Clip", "MaxHorizontal", "MinHorizontal", "SumHorizontal",
     "MeanHorizontal", "Coalesce", "Floor", "Ceil", "Round", "Pow", "Trigonometry", "FillNull", "Cbrt", "Sqrt"}
)  # fmt: skip
ROW_TESTS = frozenset(
    {
        "IsNull",
        "IsNotNull",
        "IsNan",
        "IsNotNan",
        "IsFinite",
        "IsInfinite",
        "Not",
        "AllHorizontal",
        "AnyHorizontal",
        "IsBetween",
    }
)
ROLLING = frozenset({"Mean", "Sum", "Std", "Var", "Min", "Max", "Skew", "Kurtosis", "Quantile", "Rank", "CorrCov"})
EXPONENTIAL = frozenset({"EwmMean", "EwmStd", "EwmVar"})
TEMPORAL = frozenset({"TotalDays", "TotalMicroseconds", "WeekDay"})

#: What looks at rows to come, or at all rows at once: a leak.
LEAKS: Mapping[str, str] = {
    "Agg": "aggregates a whole column, future rows included",
    "Len": "counts all rows, future ones included",
    "Reverse": "turns the time round",
    "Interpolate": "draws a line to a later value",
    "InterpolateBy": "draws a line to a later value",
    "Rank": "ranks among all rows, future ones included",
    "Sort": "moves rows out of their order",
    "SortBy": "moves rows out of their order",
    "AnonymousFunction": "runs Python (`map_batches`), which may look anywhere",
    "ArgMax": "searches a whole column, future rows included",
    "ArgMin": "searches a whole column, future rows included",
    "Over": "groups rows by itself; the engine already keeps the symbols apart",
}
#: What looks back without an end, so that no look-back can be stated.
UNBOUNDED: Mapping[str, str] = {
    "CumSum": "sums from the first row on, so its value depends on where the history begins",
    "CumProd": "multiplies from the first row on, so its value depends on where the history begins",
    "CumMax": "looks back to the first row",
    "CumMin": "looks back to the first row",
    "CumCount": "counts from the first row on",
    "PctChange": "fills gaps from any distance; write `returns(n)`",
}


@dataclass(frozen=True, slots=True)
class Reach:
    """Rows an expression touches around its own.

    Attributes
    ----------
    back : rows needed up to and including its own, at least 1. forward : rows ahead of its own, 0 for a feature.
    recursive : whether it holds a recursion, whose look-back ends where the weight of the past is 1e-9.
    negative_shifts : the negative shifts found, in rows.
    """

    back: int
    forward: int = 0
    recursive: bool = False
    negative_shifts: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class _Span:
    """Offsets of the rows touched, relative to the row itself: `first` is at most `last`; a literal touches none."""

    first: int = 0
    last: int = 0
    recursive: bool = False
    negative: tuple[int, ...] = ()
    is_literal: bool = False

    def moved(self, rows: int) -> _Span:
        negative = (*self.negative, rows) if rows < 0 else self.negative
        return replace(self, first=self.first - rows, last=self.last - rows, negative=negative)

    def widened(self, rows: int, *, recursive: bool = False) -> _Span:
        return replace(self, first=self.first - rows, recursive=self.recursive or recursive)


_LITERAL = _Span(is_literal=True)


def _joined(spans: list[_Span]) -> _Span:
    spans = [span for span in spans if not span.is_literal]
    if not spans:
        return _LITERAL
    return _Span(
        min(span.first for span in spans),
        max(span.last for span in spans),
        any(span.recursive for span in spans),
        tuple(dict.fromkeys(shift for span in spans for shift in span.negative)),
    )


def tree(expression: pl.Expr) -> dict[str, Node]:
    """What `expression` is made of: its own tree, and those of the shared columns it stands on, by name."""
    trees = {"": parsed(expression)}
    waiting = [expression]
    while waiting:
        for name in waiting.pop().meta.root_names():
            defined = _definition(name)
            if defined is not None and name not in trees:
                trees[name] = parsed(defined)
                waiting.append(defined)
    return trees


def parsed(expression: pl.Expr) -> Node:
    """The expression as Polars serialises it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return json.loads(expression.meta.serialize(format="json"))


def _refusal(kind: str) -> OpenbellError:
    if kind in LEAKS:
        return LeakFound(f"`{kind}` {LEAKS[kind]}.")
    if kind in UNBOUNDED:
        return DeclarationError(f"`{kind}` {UNBOUNDED[kind]}.")
    return DeclarationError(f"`{kind}` is not on the list of functions whose look-back is known.")


def _literal(node: Node, what: str) -> int:
    value = node.get("Literal") if isinstance(node, dict) else None
    for wrapper in ("Dyn", "Scalar"):
        value = value.get(wrapper, value) if isinstance(value, dict) else value
    if isinstance(value, dict) and len(value) == 1:
        (value,) = value.values()
    if not isinstance(value, int):
        raise LeakFound(
            f"`{what}` is shifted by something that is not a whole number written out, so it may look ahead."
        )
    return value


def _rolling(options: Mapping[str, Any], kind: str, inside: _Span) -> _Span:
    if options["center"]:
        raise LeakFound(f"A centred window of {options['window_size']} rows (`Rolling{kind}`) reads rows to come.")
    if kind not in ROLLING:
        raise _refusal("AnonymousFunction" if kind == "Map" else f"Rolling{kind}")
    return inside.widened(options["window_size"] - 1)


def _exponential(options: Mapping[str, Any], kind: str, inside: _Span) -> _Span:
    if options["ignore_nulls"]:
        raise DeclarationError(f"`{kind}` with ignore_nulls=True forgets by rows with a value, not by sessions.")
    return inside.widened(memory(options["alpha"]), recursive=True)


def _filled(strategy: Any, inside: _Span) -> _Span:
    kind, limit = next(iter(strategy.items())) if isinstance(strategy, dict) else (strategy, None)
    if kind == "Forward" and limit is not None:
        return inside.widened(int(limit))
    if kind == "Forward":
        raise DeclarationError("`forward_fill` without a limit carries a value from any distance; give it a limit.")
    if kind in ("Zero", "One"):
        return inside
    if kind == "Backward":
        raise LeakFound("`backward_fill` fills a gap with a value that came later.")
    raise LeakFound(f"`fill_null` with the {kind} of a whole column reads rows to come.")


def named(node: Node) -> tuple[str, Any]:
    """Name and options of a function, which Polars writes as a word or as a word with its options."""
    if isinstance(node, str):
        return node, None
    ((name, options),) = node.items()
    return name, options


def _function(body: Mapping[str, Any]) -> _Span:
    inputs: list[Node] = body["input"]
    kind, options = named(body["function"])
    if kind in ("Shift", "ShiftAndFill", "Diff"):
        return _shifted(kind, options, inputs)
    inside = _joined([_walk(each) for each in inputs])
    detail = named(options)[0] if kind in ("Boolean", "TemporalExpr") else ""
    if kind in ROW_FUNCTIONS or detail in ROW_TESTS or detail in TEMPORAL:
        return inside
    if kind == "RollingExpr":
        return _rolling(options["options"], named(options["function"])[0], inside)
    if kind in EXPONENTIAL:
        return _exponential(options["options"], kind, inside)
    if kind == "FillNullWithStrategy":
        return _filled(options, inside)
    raise _refusal(f"{kind}.{detail}" if detail else kind)


def _shifted(kind: str, options: Any, inputs: list[Node]) -> _Span:
    by = _literal(inputs[1], kind)
    inside = _walk(inputs[0])
    if kind == "Diff":
        if options != "Ignore":
            raise DeclarationError("`diff` that drops its nulls moves rows out of their order.")
        return _joined([inside, inside.moved(by)])
    return _joined([inside.moved(by), *(_walk(each) for each in inputs[2:])])


def _definition(column: str) -> pl.Expr | None:
    """What the engine computes as `column`; None for a column of the data."""
    return next((columns[column] for columns in (SHARED, FILED, HISTORY) if column in columns), None)


@functools.cache
def _defined_span(column: str) -> _Span:
    definition = _definition(column)
    span = _Span() if definition is None else _walk(parsed(definition))
    # Days with an implied volatility may lie on some more sessions.
    return span.widened(slack(1 - span.first)) if column in HISTORY else span


def _walk(node: Node) -> _Span:
    if isinstance(node, str):
        raise _refusal(node)
    ((kind, body),) = node.items()
    if kind == "Column":
        return _defined_span(body)
    if kind == "Literal":
        return _LITERAL
    if kind == "Alias":
        return _walk(body[0])
    if kind == "Cast":
        return _walk(body["expr"])
    if kind == "BinaryExpr":
        return _joined([_walk(body["left"]), _walk(body["right"])])
    if kind == "Ternary":
        return _joined([_walk(body[part]) for part in ("predicate", "truthy", "falsy")])
    if kind == "Function":
        return _function(body)
    raise _refusal(kind)


def reach(expression: pl.Expr) -> Reach:
    """How many rows `expression` looks back and forward.

    ``close`` reaches 1 row back (itself), ``close.shift(21)`` 22, a rolling window of 20 rows 20, nested ones add up;
    an exponential mean adds the rows after which the weight of the past is 1e-9: ``ceil(ln 1e9 / -ln(1 - alpha))``.

    Raises
    ------
    LeakFound : for a centred window, reverse, back-fill, whole-column aggregate, Python function or computed shift.
    DeclarationError : for a function without a bounded look-back, and for any that is not on the allow-list.
    """
    span = _walk(parsed(expression))
    return Reach(1 - min(span.first, 0), max(span.last, 0), span.recursive, span.negative)


#: What an aggregate over one chain may not hold: Python, and a window that could leave the chain.
_OUTSIDE_THE_CHAIN = ("AnonymousFunction", "Over", "Window")


def _kinds(node: Node) -> set[str]:
    """Every word of a tree: its kinds of nodes and the names of its functions among them."""
    if isinstance(node, Mapping):
        return set(node).union(*(_kinds(each) for each in node.values()))
    if isinstance(node, list):
        return set().union(*(_kinds(each) for each in node))
    return {node} if isinstance(node, str) else set()


def chain_reach(expression: pl.Expr) -> Reach:
    """Reach of an aggregate over one chain, or one session's early bars: these alone, whatever is done inside.

    Raises
    ------
    LeakFound : where it runs Python or groups by itself.
    """
    found = _kinds(parsed(expression))
    for kind in _OUTSIDE_THE_CHAIN:
        if kind in found:
            raise LeakFound(f"`{kind}` {LEAKS.get(kind, LEAKS['Over'])}; an aggregate needs neither.")
    return Reach(1)


@functools.lru_cache(maxsize=4096)
def feature_reach(feature: Feature) -> Reach:
    """Reach of a feature; one that looks forward is refused, and so is anything `reach` refuses, with its name."""
    try:
        if feature.reads in (*CHAIN_READS, EARLY_READS):
            return chain_reach(feature.expression)
        found = reach(feature.expression)
    except OpenbellError as refusal:
        raise type(refusal)(f"The feature `{feature.name}` ({feature.module}): {refusal}") from refusal
    if found.negative_shifts:
        raise LeakFound(
            f"The feature `{feature.name}` ({feature.module}): a negative shift of "
            f"{', '.join(str(rows) for rows in found.negative_shifts)} rows reads rows to come. Only labels may."
        )
    if feature.reads == "trades" and found != Reach(1):
        raise LeakFound(
            f"The feature `{feature.name}` ({feature.module}): a feature of proposed trades reads its own row alone, "
            f"for the rows beside it are other trades; it reaches {found.back} back."
        )
    # The rows of sessions hold the day before theirs.
    return replace(found, back=found.back + 1) if feature.reads == SESSION_READS else found


def label_reach(label: Label) -> Reach:
    """Reach of a label, which may look forward."""
    try:
        return reach(label.expression)
    except OpenbellError as refusal:
        raise type(refusal)(f"The label `{label.name}` ({label.module}): {refusal}") from refusal


def lookback(feature: Feature) -> int:
    """Rows a feature needs, its own included: as declared, else derived from its expression."""
    derived = feature_reach(feature).back
    return feature.lookback if feature.lookback is not None else derived
