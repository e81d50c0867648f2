"""What may be shown: a figure that was measured out of sample and brings what is needed to judge it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from openbell.core.errors import Refused
from openbell.quant.intervals import Estimate
from openbell.quant.performance import RISK_FREE_ANNUAL, Performance

OUT_OF_SAMPLE = "out_of_sample"
#: Performance measures of the table, with the unit they are written in.
MEASURES: Mapping[str, tuple[str, str]] = {
    "annual_return": ("Annual return", "percent"),
    "volatility": ("Volatility, annual", "percent"),
    "sharpe": ("Sharpe ratio (risk-free {rate})", "number"),
    "sortino": ("Sortino ratio", "number"),
    "max_drawdown": ("Deepest drawdown", "percent"),
    "calmar": ("Calmar ratio", "number"),
    "win_rate": ("Winning sessions", "percent"),
    "value_at_risk_95": ("Value at risk, 95 %, one session", "percent"),
    "expected_shortfall_95": ("Expected shortfall, 95 %, one session", "percent"),
    "turnover_per_rebalance": ("Turnover per rebalance, one way", "percent"),
}


def refuse_in_sample(what: str, split: str) -> None:
    """Stop anything that was not measured out of sample on its way into a report."""
    if split != OUT_OF_SAMPLE:
        raise Refused(
            f"The report shows nothing measured `{split}`: {what} must be measured `{OUT_OF_SAMPLE}`. "
            "Evaluate it on dates that its model was not fitted or chosen on."
        )


@dataclass(frozen=True, slots=True)
class Figure:
    """A number with what is needed to judge it; making one without any of it is refused (check 5).

    Attributes
    ----------
    name : what it is. value : the estimate. low, high : its interval at `level`.
    n : observations; `counted` says of what. baseline : what it has to beat; `baseline_name` says what that is.
    split : how it was measured; only ``out_of_sample`` is shown. tries : candidates that were tried.
    unit : ``percent`` (of a fraction), ``number`` or ``ic``.
    """

    name: str
    value: float
    low: float
    high: float
    n: int
    counted: str
    baseline: float
    baseline_name: str
    split: str
    tries: int
    unit: str = "number"
    level: float = 0.95

    def __post_init__(self) -> None:
        refuse_in_sample(f"`{self.name}`", self.split)
        numbers = {"value": self.value, "low": self.low, "high": self.high, "baseline": self.baseline}
        for part, number in numbers.items():
            if number is None or not math.isfinite(number):
                raise Refused(
                    f"The figure `{self.name}` has no {part} (was {number}); a figure without one is not shown."
                )
        if not self.low <= self.high:
            raise Refused(f"The interval of `{self.name}` runs from {self.low} to {self.high}; exchange its bounds.")
        for part, count in {"n": self.n, "tries": self.tries}.items():
            if not isinstance(count, int) or count < 1:
                raise Refused(
                    f"The figure `{self.name}` has no {part} (was {count}); a figure without one is not shown."
                )

    @property
    def beats_baseline(self) -> bool | None:
        """Whether the interval lies wholly above (or, False, below) the baseline; None where it holds it."""
        return True if self.low > self.baseline else False if self.high < self.baseline else None


@dataclass(frozen=True, slots=True)
class TooFew:
    """The place of a figure that cannot be shown, and why."""

    name: str
    n: int
    counted: str


def figure(
    name: str,
    measured: Estimate | Mapping[str, Any],
    *,
    baseline: float | None,
    baseline_name: str,
    split: str,
    tries: int,
    counted: str = "sessions",
    unit: str = "number",
) -> Figure | TooFew:
    """`measured` as a figure, or why there is none: too few observations for an interval is no error."""
    refuse_in_sample(f"`{name}`", split)
    found = asdict(measured) if isinstance(measured, Estimate) else dict(measured)
    for part in ("n", "level"):
        if found.get(part) is None:
            raise Refused(f"The figure `{name}` has no {part}; a figure without one is not shown.")
    if any(each is None for each in (found.get("value"), found.get("low"), found.get("high"), baseline)):
        return TooFew(name, int(found["n"]), counted)
    return Figure(
        name=name,
        value=found["value"],
        low=found["low"],
        high=found["high"],
        n=int(found["n"]),
        counted=counted,
        baseline=float(baseline),  # type: ignore[arg-type]
        baseline_name=baseline_name,
        split=split,
        tries=tries,
        unit=unit,
        level=found["level"],
    )


def headline_figures(
    metrics: Mapping[str, Performance | Mapping[str, Any]],
    excess: Mapping[str, Estimate | Mapping[str, Any]],
    *,
    benchmark: str,
    split: str,
    tries: int,
) -> tuple[Figure | TooFew, ...]:
    """The first figures of a back-test: growth and Sharpe ratio beside equal weight, and what it adds to each curve."""
    by_curve = {name: as_plain(each) for name, each in metrics.items()}
    ours, plain = by_curve["policy"], by_curve["equal_weight"]
    how = {"split": split, "tries": tries}
    beside = [
        figure(
            label,
            ours[name],
            baseline=plain[name]["value"],
            baseline_name="equal weight",
            unit=unit,
            **how,  # type: ignore[arg-type]
        )
        for name, label, unit in (("annual_return", "Annual return", "percent"), ("sharpe", "Sharpe ratio", "number"))
    ]
    names = {"equal_weight": "equal weight"} | ({} if is_index(benchmark) else {"benchmark": benchmark})
    added = [
        figure(
            f"Added to {label}, per year",
            as_plain(excess[name]),
            baseline=0.0,
            baseline_name="nothing added",
            unit="percent",
            **how,  # type: ignore[arg-type]
        )
        for name, label in names.items()
    ]
    return (*added, *beside)


def is_index(benchmark: str) -> bool:
    """Whether the benchmark is the declared equal-weight index, whose curve is the equal-weight curve."""
    return benchmark.upper() == "EQUAL_WEIGHT"


def as_plain(measured: Any) -> dict[str, Any]:
    """A measured object, or what was read back of it, as plain values."""
    return dict(measured) if isinstance(measured, Mapping) else asdict(measured)


def measure_rows(
    metrics: Mapping[str, Performance | Mapping[str, Any]],
    curves: Mapping[str, str],
    *,
    risk_free_annual: float = RISK_FREE_ANNUAL,
) -> list[dict[str, Any]]:
    """Rows of the comparison: each measure of each curve with its interval; a curve without one has None."""
    rows, rate = [], f"{100 * risk_free_annual:g} %"
    for measure, (label, unit) in MEASURES.items():
        cells = [as_plain(metrics[curve])["intervals"].get(measure) for curve in curves]
        rows.append(
            {
                "label": label.format(rate=rate),
                "unit": unit,
                "cells": [None if each is None else as_plain(each) for each in cells],
            }
        )
    return rows


def checked_candidates(candidates: pl.DataFrame) -> pl.DataFrame:
    """The table of candidates; one that has a mean but neither interval nor dates is refused."""
    judged = candidates.filter(pl.col("mean_rank_ic").is_not_null())
    if judged.select(pl.any_horizontal(pl.col("lower", "upper", "statistic", "dates").is_null()).any()).item():
        raise Refused(
            "A candidate has a mean rank IC without its interval, statistic or dates; it is not shown like that."
        )
    return candidates
