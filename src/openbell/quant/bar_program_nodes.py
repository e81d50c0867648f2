"""Nodes of Polars' trees as steps of bar programs: each kind by its operation, whatever is not here is refused."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from openbell.quant.bar_program_steps import Reader, Unreadable
from openbell.quant.bar_program_windows import WINDOW_FUNCTIONS
from openbell.quant.reach import Node, named
from openbell.quant.row_programs import Unknown, literal_value

_BINARY: Mapping[str, tuple[str, bool]] = {
    "Plus": ("PLUS", False),
    "Minus": ("MINUS", False),
    "Multiply": ("TIMES", False),
    "TrueDivide": ("OVER", False),
    "FloorDivide": ("FLOOR_OVER", False),
    "Modulus": ("MODULO", False),
    "Gt": ("GREATER", False),
    "GtEq": ("GREATER_EQUAL", False),
    "Lt": ("GREATER", True),
    "LtEq": ("GREATER_EQUAL", True),
    "Eq": ("EQUAL", False),
    "NotEq": ("UNEQUAL", False),
    "And": ("AND", False),
    "Or": ("OR", False),
    "Xor": ("UNEQUAL", False),
}
#: Functions of single rows: the name, with what follows it, and the operation on the inputs as they stand.
_DIRECT: Mapping[str, str] = {
    "Abs": "ABSOLUTE",
    "Sign": "SIGN",
    "Negate": "NEGATED",
    "Log": "LOG",
    "Log1p": "LOG1P",
    "Exp": "EXP",
    "Floor": "FLOOR",
    "Ceil": "CEIL",
    "FillNull": "FILLED",
    "Pow.Generic": "POWER",
    "Pow.Sqrt": "SQRT",
    "Pow.Cbrt": "CBRT",
    "Trigonometry.Sin": "SINE",
    "Trigonometry.Cos": "COSINE",
    "Trigonometry.Tanh": "TANH",
    "Trigonometry.ArcTan": "ARCTAN",
    "Boolean.IsNull": "IS_NULL",
    "Boolean.IsNotNull": "IS_NOT_NULL",
    "Boolean.IsFinite": "IS_FINITE",
    "Boolean.IsInfinite": "IS_INFINITE",
    "Boolean.Not": "NOT",
}
#: Functions of several columns that are taken two by two.
_FOLDED: Mapping[str, str] = {
    "MaxHorizontal": "LARGER",
    "MinHorizontal": "SMALLER",
    "Coalesce": "FILLED",
    "Boolean.AllHorizontal": "AND",
    "Boolean.AnyHorizontal": "OR",
}


def _literal(reader: Reader, body: Any) -> int:
    try:
        return reader.number(literal_value(body))
    except Unknown:
        raise Unreadable(
            f"the literal {body} is no number, truth or null; a bar program has no other values."
        ) from None


def _cast(reader: Reader, body: Any) -> int:
    inside, wanted = reader.read(body["expr"]), body["dtype"].get("Literal")
    if wanted == "Float64":
        return inside
    if wanted == "Boolean":
        return inside if reader.is_truth(inside) else reader.put("TRUTH", inside)
    raise Unreadable(f"a cast to {wanted} has no step in a bar program; its values are Float64 and Boolean.")


def _binary(reader: Reader, body: Any) -> int:
    if body["op"] not in _BINARY:
        raise Unreadable(f"the operator `{body['op']}` has no step in a bar program.")
    operation, turned = _BINARY[body["op"]]
    left, right = reader.read(body["left"]), reader.read(body["right"])
    divisor = reader.literal(right) if operation in ("OVER", "FLOOR_OVER", "MODULO") else None
    if divisor is not None and reader.literal(left) is None:
        return _by_reciprocal(reader, operation, left, divisor)
    return reader.put(operation, right, left) if turned else reader.put(operation, left, right)


def _by_reciprocal(reader: Reader, operation: str, left: int, divisor: float) -> int:
    """A division by a number written out, which Polars does as a product: the last bit decides whether prices tie."""
    inverse = 1.0 / divisor if divisor else math.copysign(math.inf, divisor)
    quotient = reader.put("TIMES", left, reader.number(inverse))
    if operation == "OVER":
        return quotient
    whole = reader.put("FLOOR", quotient)
    if operation == "FLOOR_OVER":
        return whole
    return reader.put("MINUS", left, reader.put("TIMES", whole, reader.number(divisor)))


def _choice(reader: Reader, body: Any) -> int:
    return reader.put("CHOICE", *(reader.read(body[part]) for part in ("predicate", "truthy", "falsy")))


def _function(reader: Reader, body: Any) -> int:
    kind, options = named(body["function"])
    if kind in ("Boolean", "Pow", "Trigonometry"):
        detail, options = named(options)
        kind = f"{kind}.{detail}"
    inputs: Sequence[Node] = body["input"]
    if kind in _DIRECT:
        return reader.put(_DIRECT[kind], *(reader.read(each) for each in inputs))
    if kind in _FOLDED:
        return _folded(reader, _FOLDED[kind], [reader.read(each) for each in inputs])
    if kind in _FUNCTIONS:
        return _FUNCTIONS[kind](reader, options, inputs)
    raise Unreadable(f"`{kind}` has no step in a bar program.")


def _folded(reader: Reader, operation: str, registers: Sequence[int]) -> int:
    first, *others = registers
    for each in others:
        first = reader.put(operation, first, each)
    return first


def _clipped(reader: Reader, options: Any, inputs: Sequence[Node]) -> int:
    inside, *bounds = (reader.read(each) for each in inputs)
    none = reader.number(None)
    bottom = bounds.pop(0) if options["has_min"] else none
    return reader.put("CLIPPED", inside, bottom, bounds.pop(0) if options["has_max"] else none)


def _summed(reader: Reader, options: Any, inputs: Sequence[Node]) -> int:
    registers = [reader.read(each) for each in inputs]
    if options["ignore_nulls"]:
        registers = [reader.put("NULL_AS_ZERO", each) for each in registers]
    return _folded(reader, "PLUS", registers)


def _averaged(reader: Reader, options: Any, inputs: Sequence[Node]) -> int:
    registers = [reader.read(each) for each in inputs]
    there = [reader.put("IS_NOT_NULL", each) for each in registers]
    if options["ignore_nulls"]:
        registers = [reader.put("NULL_AS_ZERO", each) for each in registers]
    return reader.put("OVER", _folded(reader, "PLUS", registers), _folded(reader, "PLUS", there))


def _between(reader: Reader, options: Any, inputs: Sequence[Node]) -> int:
    value, low, high = (reader.read(each) for each in inputs)
    closed = options["closed"]
    above = reader.put("GREATER_EQUAL" if closed in ("Both", "Left") else "GREATER", value, low)
    return reader.put(
        "AND", above, reader.put("GREATER_EQUAL" if closed in ("Both", "Right") else "GREATER", high, value)
    )


#: Kinds of nodes, and what reads them.
KINDS: Mapping[str, Callable[[Reader, Any], int]] = {
    "Column": Reader.column,
    "Literal": _literal,
    "Alias": lambda reader, body: reader.read(body[0]),
    "Cast": _cast,
    "BinaryExpr": _binary,
    "Ternary": _choice,
    "Function": _function,
}
_FUNCTIONS: Mapping[str, Callable[[Reader, Any, Sequence[Node]], int]] = {
    **WINDOW_FUNCTIONS,
    "Clip": _clipped,
    "SumHorizontal": _summed,
    "MeanHorizontal": _averaged,
    "Boolean.IsBetween": _between,
}
