"""Steps of bar programs that look back: shifts, windows and recursions, read from Polars' trees."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from openbell.quant.bar_program_steps import Reader, Unreadable
from openbell.quant.reach import Node, named
from openbell.quant.row_programs import literal_value

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


#: The functions that look back, by the name of their node.
WINDOW_FUNCTIONS: Mapping[str, Callable[[Reader, Any, Sequence[Node]], int]] = {
    "Shift": _shift,
    "Diff": _difference,
    "FillNullWithStrategy": _carried,
    "EwmMean": _exponential,
    "RollingExpr": _rolling,
}
