"""What an equity curve was worth: every measure at once, of one curve with intervals or of many side by side.

The measures themselves are in `quant.measures`, `quant.active` and `quant.tails`. One sign: losses, drawdowns and tails
are negative numbers. Annualisation counts calendar time and never looks at how often a portfolio was rebalanced.
"""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from openbell.core.errors import BadInput
from openbell.quant.active import alpha_rows, beta_rows, information_ratio_rows
from openbell.quant.intervals import Estimate, Statistic, estimate, estimates, mean_block
from openbell.quant.measures import (
    CONSTANT,
    DAYS_PER_YEAR,
    RISK_FREE_ANNUAL,
    SESSIONS_PER_YEAR,
    annual_return,
    annual_turnover,
    calmar,
    drawdowns,
    expected_shortfall,
    expected_shortfall_rows,
    marks_per_year,
    max_drawdown,
    max_drawdown_sessions,
    max_drawdown_sessions_rows,
    returns,
    sharpe,
    sharpe_error,
    sharpe_error_rows,
    sharpe_rows,
    sortino,
    sortino_rows,
    total_return,
    value_at_risk,
    volatility,
    volatility_rows,
    win_rate,
    years,
)

#: The measures are asked for here too: who wants figures need not know which file holds which.
__all__ = [
    "CONSTANT",
    "DAYS_PER_YEAR",
    "RISK_FREE_ANNUAL",
    "SESSIONS_PER_YEAR",
    "Performance",
    "annual_return",
    "annual_turnover",
    "calmar",
    "drawdowns",
    "expected_shortfall",
    "expected_shortfall_rows",
    "marks_per_year",
    "max_drawdown",
    "max_drawdown_sessions",
    "max_drawdown_sessions_rows",
    "performance",
    "performance_rows",
    "returns",
    "sharpe",
    "sharpe_error",
    "sharpe_error_rows",
    "sharpe_rows",
    "sortino",
    "sortino_rows",
    "total_return",
    "value_at_risk",
    "volatility",
    "volatility_rows",
    "win_rate",
    "years",
]


@dataclass(frozen=True, slots=True)
class Performance:
    """One curve's measures; None where undefined, never inf or NaN. `n` counts its returns.

    `intervals` holds every measure once more as an `Estimate`, by its name, with its block-bootstrap interval.
    """

    n: int
    first: dt.date
    last: dt.date
    total_return: float
    annual_return: Estimate
    volatility: float
    sharpe: Estimate
    sortino: float | None
    max_drawdown: float
    calmar: float | None
    win_rate: float
    value_at_risk_95: float
    expected_shortfall_95: float
    turnover_annual: float | None
    turnover_per_rebalance: float | None
    rebalances: int
    intervals: Mapping[str, Estimate]


def _defined(value: float) -> float | None:
    return value if np.isfinite(value) else None


def performance(
    dates: Sequence[dt.date],
    equity: np.ndarray,
    *,
    turnovers: np.ndarray | None = None,
    risk_free_annual: float = RISK_FREE_ANNUAL,
    horizon_sessions: int = 5,
    replications: int = 1000,
    seed: int = 0,
) -> Performance:
    """Every measure of a curve that is marked on each of `dates`.

    Parameters
    ----------
    dates : of the marks, oldest first, shape (n + 1,). equity : value at each, positive, shape (n + 1,).
    turnovers : one-sided turnover of each rebalance (S2.09); only the turnover measures look at it.
    risk_free_annual : effective annual rate for Sharpe and Sortino.
    horizon_sessions : holding period; the bootstrap's mean block is at least twice as long.

    Returns
    -------
    Performance
        Annual figures by calendar time: ``per_year`` is the number of returns per 365.25 days between the first and
        the last date. Every interval comes from the same resamples of the returns (stationary bootstrap).

    Raises
    ------
    BadInput
        On fewer than 2 marks, different lengths, dates out of order, or a mark that is not positive.
    """
    _check_dates(dates, len(equity))
    values = np.asarray(equity, dtype=np.float64)
    r, per_year, first, last = returns(values), marks_per_year(dates), dates[0], dates[-1]
    measures = _measures(per_year, risk_free_annual)
    found = estimates(r, measures, block=mean_block(horizon_sessions, len(r)), replications=replications, seed=seed)
    swaps = np.asarray(turnovers if turnovers is not None else [], dtype=np.float64)
    if swaps.size:
        block = mean_block(1, swaps.size)
        found["turnover_per_rebalance"] = estimate(swaps, block=block, replications=replications, seed=seed)
    return Performance(
        n=len(r),
        first=first,
        last=last,
        total_return=total_return(values),
        annual_return=found["annual_return"],
        volatility=volatility(r, per_year=per_year) if len(r) > 1 else 0.0,
        sharpe=found["sharpe"],
        sortino=_defined(sortino(r, per_year=per_year, risk_free_annual=risk_free_annual)),
        max_drawdown=max_drawdown(values),
        calmar=_defined(calmar(values, first, last)),
        win_rate=win_rate(r),
        value_at_risk_95=value_at_risk(r),
        expected_shortfall_95=expected_shortfall(r),
        turnover_annual=annual_turnover(swaps, first, last) if swaps.size else None,
        turnover_per_rebalance=float(swaps.mean()) if swaps.size else None,
        rebalances=int(swaps.size),
        intervals=found,
    )


def _check_dates(dates: Sequence[dt.date], marks: int) -> None:
    if len(dates) != marks:
        raise BadInput(f"Each mark needs its date; there were {marks} marks and {len(dates)} dates.")
    if any(later <= earlier for earlier, later in itertools.pairwise(dates)):
        raise BadInput("The dates of an equity curve must rise strictly; they did not.")


def _measures(per_year: float, risk_free_annual: float) -> dict[str, Statistic]:
    """Each measure as a function of rows of returns, for the bootstrap."""

    def deepest(rows: np.ndarray) -> np.ndarray:
        curves = np.concatenate([np.ones((len(rows), 1)), np.cumprod(1.0 + rows, axis=1)], axis=1)
        return np.asarray(drawdowns(curves).min(axis=1))

    def growth(rows: np.ndarray) -> np.ndarray:
        return np.asarray(np.expm1(np.log1p(rows).mean(axis=1) * per_year))

    def return_over_drawdown(rows: np.ndarray) -> np.ndarray:
        fall = deepest(rows)
        return np.asarray(growth(rows) / np.where(fall < -CONSTANT, -fall, np.nan))

    rates = {"per_year": per_year, "risk_free_annual": risk_free_annual}
    return {
        "annual_return": growth,
        "sharpe": lambda rows: sharpe_rows(rows, **rates),
        "volatility": lambda rows: volatility_rows(rows, per_year=per_year),
        "sortino": lambda rows: sortino_rows(rows, **rates),
        "max_drawdown": deepest,
        "calmar": return_over_drawdown,
        "win_rate": lambda rows: (rows > 0).mean(axis=1),
        "value_at_risk_95": lambda rows: np.quantile(rows, 1.0 - 0.95, axis=1),
        "expected_shortfall_95": expected_shortfall_rows,
    }


def performance_rows(
    dates: Sequence[dt.date],
    equity: np.ndarray,
    *,
    benchmark: np.ndarray | None = None,
    turnovers: np.ndarray | None = None,
    risk_free_annual: float = RISK_FREE_ANNUAL,
) -> pl.DataFrame:
    """The measures of many curves at once, without intervals.

    Parameters
    ----------
    dates : of the marks, oldest first, shape (n + 1,). equity : values, positive, shape (k, n + 1).
    benchmark : its values on the same dates, shape (n + 1,).
    turnovers : one-sided turnover of each rebalance (S2.09), shape (k, r), NaN where there was none.
    risk_free_annual : effective annual rate for ``sharpe``, ``sortino`` and ``alpha``.

    Returns
    -------
    polars.DataFrame
        One row per curve: ``cagr``, ``sharpe``, ``sharpe_se``, ``max_drawdown``, ``max_drawdown_sessions``, ``calmar``,
        ``turnover`` (mean per rebalance), ``win_rate``, ``total_return``, ``volatility``, ``sortino``,
        ``value_at_risk_95``, ``expected_shortfall_95``, ``beta``, ``alpha``, ``information_ratio``; each as in the
        function of its name. Undefined is null, never NaN: ``sharpe`` and ``sharpe_se`` of a curve without risk,
        ``calmar`` without a drawdown, ``sortino`` without a return below the risk-free rate, the last three without a
        benchmark, ``information_ratio`` of the benchmark itself, ``turnover`` without a rebalance.

    Raises
    ------
    BadInput
        On fewer than 3 marks, shapes that differ, dates out of order, or a mark that is not positive.
    """
    values = np.asarray(equity, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] < 3:
        raise BadInput(f"`equity` must have the shape (curves, marks) with at least 3 marks; it was {values.shape}.")
    _check_dates(dates, values.shape[1])
    r = _returns_rows(values)
    rates = {"per_year": marks_per_year(dates), "risk_free_annual": risk_free_annual}
    growth = np.array([annual_return(each, dates[0], dates[-1]) for each in values[:, [0, -1]]])
    deepest = drawdowns(values).min(axis=1)
    columns = {
        "cagr": growth,
        "sharpe": sharpe_rows(r, **rates),
        "sharpe_se": sharpe_error_rows(r, **rates),
        "max_drawdown": deepest,
        "max_drawdown_sessions": max_drawdown_sessions_rows(values),
        "calmar": growth / np.where(deepest < -CONSTANT, -deepest, np.nan),
        "turnover": _mean_turnover(turnovers, len(values)),
        "win_rate": (r > 0).mean(axis=1),
        "total_return": values[:, -1] / values[:, 0] - 1.0,
        "volatility": volatility_rows(r, per_year=rates["per_year"]),
        "sortino": sortino_rows(r, **rates),
        "value_at_risk_95": np.quantile(r, 0.05, axis=1),
        "expected_shortfall_95": expected_shortfall_rows(r),
        **_beside(r, benchmark, **rates),
    }
    return pl.DataFrame(columns).with_columns(pl.selectors.float().fill_nan(None))


def _returns_rows(values: np.ndarray) -> np.ndarray:
    wrong = ~(np.isfinite(values) & (values > 0))
    if wrong.any():
        curve, mark = (int(each) for each in np.argwhere(wrong)[0])
        raise BadInput(
            f"An equity curve must be positive and finite; mark {mark} of curve {curve} was {values[curve, mark]}."
        )
    return np.asarray(values[:, 1:] / values[:, :-1] - 1.0)


def _mean_turnover(turnovers: np.ndarray | None, curves: int) -> np.ndarray:
    if turnovers is None:
        return np.full(curves, np.nan)
    swaps = np.asarray(turnovers, dtype=np.float64)
    if swaps.ndim != 2 or len(swaps) != curves:
        raise BadInput(f"`turnovers` must have one row for each of {curves} curves; its shape was {swaps.shape}.")
    there = ~np.isnan(swaps)
    count = there.sum(axis=1)
    return np.asarray(np.where(there, swaps, 0.0).sum(axis=1) / np.where(count > 0, count, np.nan))


def _beside(
    r: np.ndarray, benchmark: np.ndarray | None, *, per_year: float, risk_free_annual: float
) -> dict[str, np.ndarray]:
    """The measures against a benchmark, NaN without one."""
    if benchmark is None:
        return dict.fromkeys(("beta", "alpha", "information_ratio"), np.full(len(r), np.nan))
    beside = returns(np.asarray(benchmark, dtype=np.float64))
    return {
        "beta": beta_rows(r, beside),
        "alpha": alpha_rows(r, beside, per_year=per_year, risk_free_annual=risk_free_annual),
        "information_ratio": information_ratio_rows(r, beside, per_year=per_year),
    }
