"""Expressions over bars as a list of steps: the reading of their trees, each kind of node by its operation.

What two expressions share is one step, whether they share it as a named column or only by being written alike: a step
is what it does and what it does it to, and the same step is never put down twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from openbell.core.bars import BAR_COLUMNS
from openbell.core.errors import nearest
from openbell.quant.reach import Node, named
from openbell.quant.row_programs import Unknown, literal_value


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
_ROLLING: Mapping[str, str] = {
    "Sum": "SUM",
    "Mean": "MEAN",
    "Min": "SMALLEST",
    "Max": "LARGEST",
    "Var": "VARIANCE",
    "Std": "DEVIATION",
    "Skew": "SKEWNESS",
    "Kurtosis": "KURTOSIS",
    "Quantile": "QUANTILE",
}
_WEIGHTED: Mapping[str, str] = {
    "Sum": "WEIGHTED_SUM",
    "Mean": "WEIGHTED_SUM",
    "Min": "WEIGHTED_SMALLEST",
    "Max": "WEIGHTED_LARGEST",
}


@dataclass(slots=True)
class Reader:
    """Puts the nodes of trees into steps, each once; a step's register is its place."""

    definitions: Mapping[str, Node]
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
        if kind not in _KINDS:
            raise Unreadable(f"`{kind}` has no step in a bar program.")
        return _KINDS[kind](self, body)

    def column(self, name: str) -> int:
        """A column of the bars, or what a shared column is defined as."""
        if name not in self._columns:
            if name not in self.definitions and name not in BAR_COLUMNS:
                raise Unreadable(f"it reads `{name}`, which no bar has. {nearest(name, BAR_COLUMNS)}")
            shared = name in self.definitions
            self._columns[name] = self.read(self.definitions[name]) if shared else self.put(COLUMN, column=name)
        return self._columns[name]

    def is_truth(self, register: int) -> bool:
        """Whether a register holds 0, 1 and null alone."""
        return self._list[register].operation in TRUTHS


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
    return reader.put(operation, right, left) if turned else reader.put(operation, left, right)


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


def _rows(reader: Reader, node: Node, kind: str) -> int:
    """A number of rows, 0 or more; `reach` has refused what is no whole number written out."""
    value = literal_value(node)
    if value < 0:
        raise Unreadable(f"`{kind}` by {value} rows reads rows to come.")
    return int(value)


def _shift(reader: Reader, options: Any, inputs: Sequence[Node]) -> int:
    return _shifted(reader, reader.read(inputs[0]), _rows(reader, inputs[1], "Shift"))


def _shifted(reader: Reader, inside: int, rows: int) -> int:
    return reader.put("SHIFT", inside, window=rows + 1) if rows else inside


def _difference(reader: Reader, options: Any, inputs: Sequence[Node]) -> int:
    inside = reader.read(inputs[0])
    return reader.put("MINUS", inside, _shifted(reader, inside, _rows(reader, inputs[1], "Diff")))


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


def _carried(reader: Reader, options: Any, inputs: Sequence[Node]) -> int:
    inside = reader.read(inputs[0])
    if options in ("Zero", "One"):
        return reader.put("FILLED", inside, reader.number(0.0 if options == "Zero" else 1.0))
    if isinstance(options, Mapping) and options.get("Forward") is not None:
        return reader.put("CARRIED", inside, window=options["Forward"] + 1)
    raise Unreadable(f"`fill_null` by {options} has no step in a bar program.")


def _exponential(reader: Reader, options: Any, inputs: Sequence[Node]) -> int:
    terms = options["options"]
    return reader.put(
        "EXPONENTIAL", reader.read(inputs[0]), number=terms["alpha"], least=terms["min_periods"],
        option=int(terms["adjust"]),
    )  # fmt: skip


def _rolling(reader: Reader, options: Any, inputs: Sequence[Node]) -> int:
    (kind, detail), terms = named(options["function"]), options["options"]
    window, least = terms["window_size"], terms["min_periods"]
    if least < 1:
        raise Unreadable(f"`Rolling{kind}` with min_samples={least} has no step in a bar program; state at least 1.")
    registers = [reader.read(each) for each in inputs]
    if terms["weights"] is not None:
        return _weighted(reader, kind, registers[0], terms)
    if kind == "CorrCov":
        operation = "CORRELATION" if detail["is_corr"] else "COVARIANCE"
        ddof = float(detail["corr_cov_options"]["ddof"] or 0)
        return reader.put(operation, *registers, window=window, least=least, number=ddof)
    if kind not in _ROLLING:
        raise Unreadable(f"`Rolling{kind}` has no step in a bar program.")
    if kind == "Sum" and reader.is_truth(registers[0]):
        return reader.put("COUNT", *registers, window=window, least=least)
    return reader.put(
        _ROLLING[kind], *registers, window=window, least=least, **_rolling_terms(kind, terms["fn_params"])
    )


def _rolling_terms(kind: str, detail: Any) -> dict[str, Any]:
    """What the spread and the quantile take beside their window."""
    if kind in ("Var", "Std"):
        return {"number": float(detail["Var"]["ddof"] if detail else 1)}
    if kind == "Quantile":
        stated = detail["Quantile"]
        from openbell.quant.bar_kernel import METHODS

        if stated["method"] not in METHODS:
            raise Unreadable(f"the quantile by {stated['method']} has no step in a bar program.")
        return {"number": float(stated["prob"]), "option": METHODS.index(stated["method"])}
    if kind in ("Skew", "Kurtosis"):
        stated = detail[kind]
        if not stated["bias"] or not stated.get("fisher", True):
            raise Unreadable(f"`Rolling{kind}` has a step for the biased moments of Fisher's definition only.")
    return {}


def _weighted(reader: Reader, kind: str, inside: int, terms: Any) -> int:
    weights = tuple(float(each) for each in terms["weights"])
    if kind not in _WEIGHTED:
        raise Unreadable(f"`Rolling{kind}` with weights has no step in a bar program.")
    if terms["min_periods"] != terms["window_size"]:
        raise Unreadable("a weighted window that need not be full has no step in a bar program.")
    if kind == "Mean":
        weights = tuple(each / sum(weights) for each in weights)
    return reader.put(_WEIGHTED[kind], inside, window=len(weights), least=len(weights), weights=weights)


_KINDS: Mapping[str, Callable[[Reader, Any], int]] = {
    "Column": Reader.column,
    "Literal": _literal,
    "Alias": lambda reader, body: reader.read(body[0]),
    "Cast": _cast,
    "BinaryExpr": _binary,
    "Ternary": _choice,
    "Function": _function,
}
_FUNCTIONS: Mapping[str, Callable[[Reader, Any, Sequence[Node]], int]] = {
    "Shift": _shift,
    "Diff": _difference,
    "Clip": _clipped,
    "SumHorizontal": _summed,
    "MeanHorizontal": _averaged,
    "Boolean.IsBetween": _between,
    "FillNullWithStrategy": _carried,
    "EwmMean": _exponential,
    "RollingExpr": _rolling,
}
