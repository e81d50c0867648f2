"""What an equity curve was worth. One sign: losses, drawdowns and tails are negative numbers.

Every curve is marked once a session. Annualisation never looks at how often a portfolio was rebalanced: it counts
calendar time (days / 365.25) between the first and the last mark.
"""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from openbell.core.errors import BadInput
from openbell.quant.intervals import Estimate, Statistic, estimate, estimates, mean_block

DAYS_PER_YEAR = 365.25
#: Where no dates are given: marks per year of a curve that is marked once a session.
SESSIONS_PER_YEAR = 252.0
RISK_FREE_ANNUAL = 0.02
#: Below this standard deviation a series is a constant written with rounding noise.
CONSTANT = 1e-12


def returns(equity: np.ndarray) -> np.ndarray:
    """Simple returns from mark to mark, shape (n,) to (n - 1,); fraction. Refuses values that are not positive."""
    values = np.asarray(equity, dtype=np.float64)
    if values.ndim != 1 or values.size < 2:
        raise BadInput(f"An equity curve needs at least 2 marks; it had {values.size}.")
    if not (np.isfinite(values) & (values > 0)).all():
        bad = int(np.flatnonzero(~(np.isfinite(values) & (values > 0)))[0])
        raise BadInput(f"An equity curve must be positive and finite; mark {bad} was {values[bad]}.")
    return values[1:] / values[:-1] - 1.0


def years(first: dt.date, last: dt.date) -> float:
    """Calendar years between two dates: actual days / 365.25."""
    days = (last - first).days
    if days <= 0:
        raise BadInput(f"The last date must lie after the first; they were {first} and {last}.")
    return days / DAYS_PER_YEAR


def marks_per_year(dates: Sequence[dt.date]) -> float:
    """Returns per calendar year of a curve with marks on `dates`, from the dates themselves (about 252 for NYSE)."""
    if len(dates) < 2:
        raise BadInput(f"A curve needs at least 2 dates; it had {len(dates)}.")
    return (len(dates) - 1) / years(dates[0], dates[-1])


def total_return(equity: np.ndarray) -> float:
    """Last mark over the first, less 1; fraction of the whole span, not annualised."""
    values = np.asarray(equity, dtype=np.float64)
    return float(values[-1] / values[0] - 1.0)


def annual_return(equity: np.ndarray, first: dt.date, last: dt.date) -> float:
    """Compound annual growth rate, ``(E_n / E_0) ** (365.25 / days) - 1``; annualised by calendar time."""
    return float((1.0 + total_return(equity)) ** (1.0 / years(first, last)) - 1.0)


def _rate_per_mark(annual_rate: float, per_year: float) -> float:
    return float((1.0 + annual_rate) ** (1.0 / per_year) - 1.0)


def volatility(r: np.ndarray, *, per_year: float = SESSIONS_PER_YEAR) -> float:
    """Standard deviation (ddof 1) of returns, annualised by ``sqrt(per_year)``; NaN for fewer than 2 returns."""
    return float(np.std(r, ddof=1) * np.sqrt(per_year)) if len(r) > 1 else float("nan")


def sharpe_rows(
    r: np.ndarray, *, per_year: float = SESSIONS_PER_YEAR, risk_free_annual: float = RISK_FREE_ANNUAL
) -> np.ndarray:
    """Sharpe ratio of each row of returns, annualised by ``sqrt(per_year)``.

    Parameters
    ----------
    r : simple returns, shape (k, n), finite.
    per_year : returns per year. risk_free_annual : effective annual rate, turned into a rate per return.

    Returns
    -------
    numpy.ndarray
        Shape (k,): ``mean(r - f) / std(r, ddof=1) * sqrt(per_year)``; NaN for a constant row or n < 2, never inf.

    References
    ----------
    Sharpe (1994), Journal of Portfolio Management 21, 49-58.
    """
    rows = np.asarray(r, dtype=np.float64)
    if rows.shape[1] < 2:
        return np.full(rows.shape[0], np.nan)
    deviation = rows.std(axis=1, ddof=1)
    excess = rows.mean(axis=1) - _rate_per_mark(risk_free_annual, per_year)
    steady = deviation < CONSTANT
    return np.where(steady, np.nan, excess / np.where(steady, 1.0, deviation) * np.sqrt(per_year))


def sharpe(r: np.ndarray, *, per_year: float = SESSIONS_PER_YEAR, risk_free_annual: float = RISK_FREE_ANNUAL) -> float:
    """Sharpe ratio of one series, annualised by ``sqrt(per_year)``; NaN where undefined. See `sharpe_rows`."""
    row = np.asarray(r, dtype=np.float64)[None, :]
    return float(sharpe_rows(row, per_year=per_year, risk_free_annual=risk_free_annual)[0])


def sortino(r: np.ndarray, *, per_year: float = SESSIONS_PER_YEAR, risk_free_annual: float = RISK_FREE_ANNUAL) -> float:
    """Mean excess over the downside deviation below the risk-free rate, annualised by ``sqrt(per_year)``.

    The downside deviation is the root of the mean over *all* returns of ``min(r - f, 0) ** 2``. NaN without any
    return below the risk-free rate.

    References
    ----------
    Sortino and Price (1994), Journal of Investing 3, 59-64.
    """
    excess = np.asarray(r, dtype=np.float64) - _rate_per_mark(risk_free_annual, per_year)
    if not excess.size:
        return float("nan")
    downside = float(np.sqrt(np.mean(np.minimum(excess, 0.0) ** 2)))
    return float(excess.mean() / downside * np.sqrt(per_year)) if downside > CONSTANT else float("nan")


def drawdowns(equity: np.ndarray) -> np.ndarray:
    """Each mark over the highest so far, less 1: 0 at a high, else negative; shape (n,). Not annualised."""
    values = np.asarray(equity, dtype=np.float64)
    return values / np.maximum.accumulate(values) - 1.0


def max_drawdown(equity: np.ndarray) -> float:
    """The deepest drawdown: 0 or a negative fraction (-0.2 is a fall of 20 %). Not annualised."""
    return float(drawdowns(equity).min())


def calmar(equity: np.ndarray, first: dt.date, last: dt.date) -> float:
    """Annual return (calendar time) over the size of the deepest drawdown; NaN where there was none."""
    deepest = max_drawdown(equity)
    return annual_return(equity, first, last) / -deepest if deepest < -CONSTANT else float("nan")


def win_rate(r: np.ndarray) -> float:
    """Share of returns above 0; a return of exactly 0 is no win. Not annualised; NaN without returns."""
    values = np.asarray(r, dtype=np.float64)
    return float((values > 0).mean()) if values.size else float("nan")


def value_at_risk(r: np.ndarray, *, level: float = 0.95) -> float:
    """Historical value at risk of one session: the ``1 - level`` quantile of returns, negative for a loss."""
    return float(np.quantile(np.asarray(r, dtype=np.float64), 1.0 - level))


def expected_shortfall(r: np.ndarray, *, level: float = 0.95) -> float:
    """Mean of the returns of one session at or below `value_at_risk`, negative for a loss."""
    values = np.asarray(r, dtype=np.float64)
    return float(values[values <= value_at_risk(values, level=level)].mean())


def annual_turnover(turnovers: np.ndarray, first: dt.date, last: dt.date) -> float:
    """Sum of the one-sided turnover of all rebalances (S2.09) per calendar year; fraction of the portfolio."""
    return float(np.sum(turnovers) / years(first, last))


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
    if len(dates) != len(equity):
        raise BadInput(f"Each mark needs its date; there were {len(equity)} marks and {len(dates)} dates.")
    if any(later <= earlier for earlier, later in itertools.pairwise(dates)):
        raise BadInput("The dates of an equity curve must rise strictly; they did not.")
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


def _measures(per_year: float, risk_free_annual: float) -> dict[str, Statistic]:
    """Each measure as a function of rows of returns, for the bootstrap."""

    def rowwise(measure: Callable[[np.ndarray], float]) -> Statistic:
        return lambda rows: np.array([measure(row) for row in rows], dtype=np.float64)

    def curve(row: np.ndarray) -> np.ndarray:
        return np.concatenate([[1.0], np.cumprod(1.0 + row)])

    def growth(row: np.ndarray) -> float:
        return float(np.expm1(np.log1p(row).mean() * per_year))

    def return_over_drawdown(row: np.ndarray) -> float:
        deepest = max_drawdown(curve(row))
        return growth(row) / -deepest if deepest < -CONSTANT else float("nan")

    rates = {"per_year": per_year, "risk_free_annual": risk_free_annual}
    return {
        "annual_return": rowwise(growth),
        "sharpe": lambda rows: sharpe_rows(rows, **rates),
        "volatility": rowwise(lambda row: volatility(row, per_year=per_year)),
        "sortino": rowwise(lambda row: sortino(row, **rates)),
        "max_drawdown": rowwise(lambda row: max_drawdown(curve(row))),
        "calmar": rowwise(return_over_drawdown),
        "win_rate": rowwise(win_rate),
        "value_at_risk_95": rowwise(value_at_risk),
        "expected_shortfall_95": rowwise(expected_shortfall),
    }
