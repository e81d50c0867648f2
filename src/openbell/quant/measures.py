"""Measures of one equity curve or of its returns. One sign: losses, drawdowns and tails are negative numbers.

Every curve is marked once a session. Annualisation never looks at how often a portfolio was rebalanced: `per_year` is
the number of returns in a year, from calendar time (`marks_per_year`), or 252 where no dates are known. A measure that
is undefined (a ratio over a risk of zero) is NaN, never inf. Where there is a ``*_rows`` of the same name it holds the
formula, for many series in rows, shape (k, n) to (k,).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence

import numpy as np

from openbell.core.errors import BadInput

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


def rate_per_mark(annual_rate: float, per_year: float) -> float:
    """An effective annual rate as a rate per return: ``(1 + rate) ** (1 / per_year) - 1``."""
    return float((1.0 + annual_rate) ** (1.0 / per_year) - 1.0)


def one(measure: Callable[..., np.ndarray], r: np.ndarray, *more: np.ndarray, **how: float) -> float:
    """A measure of rows, of the single row `r`."""
    return float(measure(np.asarray(r, dtype=np.float64)[None, :], *more, **how)[0])


def volatility_rows(r: np.ndarray, *, per_year: float = SESSIONS_PER_YEAR) -> np.ndarray:
    """Volatility of each row of returns, shape (k, n) to (k,); see `volatility`."""
    rows = np.asarray(r, dtype=np.float64)
    if rows.shape[1] < 2:
        return np.full(rows.shape[0], np.nan)
    return np.asarray(rows.std(axis=1, ddof=1) * np.sqrt(per_year))


def volatility(r: np.ndarray, *, per_year: float = SESSIONS_PER_YEAR) -> float:
    """Standard deviation (ddof 1) of returns, annualised by ``sqrt(per_year)``; NaN for fewer than 2 returns."""
    return one(volatility_rows, r, per_year=per_year)


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
    excess = rows.mean(axis=1) - rate_per_mark(risk_free_annual, per_year)
    steady = deviation < CONSTANT
    return np.where(steady, np.nan, excess / np.where(steady, 1.0, deviation) * np.sqrt(per_year))


def sharpe(r: np.ndarray, *, per_year: float = SESSIONS_PER_YEAR, risk_free_annual: float = RISK_FREE_ANNUAL) -> float:
    """Sharpe ratio of one series, annualised by ``sqrt(per_year)``; NaN where undefined. See `sharpe_rows`."""
    return one(sharpe_rows, r, per_year=per_year, risk_free_annual=risk_free_annual)


def sharpe_error_rows(
    r: np.ndarray, *, per_year: float = SESSIONS_PER_YEAR, risk_free_annual: float = RISK_FREE_ANNUAL
) -> np.ndarray:
    """Standard error of the Sharpe ratio of each row of returns, annualised as the ratio is.

    Parameters
    ----------
    r : simple returns, shape (k, n), finite.
    per_year : returns per year. risk_free_annual : effective annual rate.

    Returns
    -------
    numpy.ndarray
        Shape (k,): ``sqrt((1 + S**2 / 2 - skew * S + (kurtosis - 3) / 4 * S**2) / n) * sqrt(per_year)`` with S the
        ratio per return and the moments of the population; NaN for a constant row or n < 2. It holds for returns
        without autocorrelation: where there is some, trust the block bootstrap instead. For normal returns it is Lo's
        ``sqrt((1 + S**2 / 2) / n)``.

    References
    ----------
    Lo (2002), Financial Analysts Journal 58(4), 36-52. Mertens (2002), Comments on variance of the IID estimator in Lo.
    """
    rows = np.asarray(r, dtype=np.float64)
    ratio = sharpe_rows(rows, per_year=per_year, risk_free_annual=risk_free_annual) / np.sqrt(per_year)
    skew, kurtosis = moments_rows(rows)
    variance = 1.0 + ratio**2 / 2.0 - skew * ratio + (kurtosis - 3.0) / 4.0 * ratio**2
    return np.asarray(np.sqrt(np.maximum(variance, 0.0) / max(rows.shape[1], 1)) * np.sqrt(per_year))


def sharpe_error(
    r: np.ndarray, *, per_year: float = SESSIONS_PER_YEAR, risk_free_annual: float = RISK_FREE_ANNUAL
) -> float:
    """Standard error of the annual Sharpe ratio of one series; NaN where undefined. See `sharpe_error_rows`."""
    return one(sharpe_error_rows, r, per_year=per_year, risk_free_annual=risk_free_annual)


def moments_rows(r: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Skewness and kurtosis (3 for a normal) of each row, of the population; NaN for a constant row."""
    rows = np.asarray(r, dtype=np.float64)
    if not rows.shape[1]:
        return np.full(rows.shape[0], np.nan), np.full(rows.shape[0], np.nan)
    deviation = rows.std(axis=1)
    steady = deviation < CONSTANT
    z = (rows - rows.mean(axis=1, keepdims=True)) / np.where(steady, np.nan, deviation)[:, None]
    return (z**3).mean(axis=1), (z**4).mean(axis=1)


def sortino_rows(
    r: np.ndarray, *, per_year: float = SESSIONS_PER_YEAR, risk_free_annual: float = RISK_FREE_ANNUAL
) -> np.ndarray:
    """Sortino ratio of each row of returns, shape (k, n) to (k,); see `sortino`."""
    excess = np.asarray(r, dtype=np.float64) - rate_per_mark(risk_free_annual, per_year)
    if not excess.shape[1]:
        return np.full(excess.shape[0], np.nan)
    downside = np.sqrt((np.minimum(excess, 0.0) ** 2).mean(axis=1))
    return np.asarray(excess.mean(axis=1) / np.where(downside > CONSTANT, downside, np.nan) * np.sqrt(per_year))


def sortino(r: np.ndarray, *, per_year: float = SESSIONS_PER_YEAR, risk_free_annual: float = RISK_FREE_ANNUAL) -> float:
    """Mean excess over the downside deviation below the risk-free rate, annualised by ``sqrt(per_year)``.

    The downside deviation is the root of the mean over *all* returns of ``min(r - f, 0) ** 2``. NaN without any
    return below the risk-free rate.

    References
    ----------
    Sortino and Price (1994), Journal of Investing 3, 59-64.
    """
    return one(sortino_rows, r, per_year=per_year, risk_free_annual=risk_free_annual)


def drawdowns(equity: np.ndarray) -> np.ndarray:
    """Each mark over the highest so far, less 1: 0 at a high, else negative; shape (..., n). Not annualised."""
    values = np.asarray(equity, dtype=np.float64)
    return np.asarray(values / np.maximum.accumulate(values, axis=-1) - 1.0)


def max_drawdown(equity: np.ndarray) -> float:
    """The deepest drawdown: 0 or a negative fraction (-0.2 is a fall of 20 %). Not annualised."""
    return float(drawdowns(equity).min())


def max_drawdown_sessions_rows(equity: np.ndarray) -> np.ndarray:
    """Length of the deepest drawdown of each row of marks, shape (k, n) to (k,); see `max_drawdown_sessions`."""
    depth = drawdowns(equity)
    count = depth.shape[1]
    place, trough = np.arange(count), depth.argmin(axis=1)[:, None]
    high = depth >= 0.0
    peak = np.where(high & (place <= trough), place, -1).max(axis=1)
    recovery = np.where(high & (place > trough), place, count - 1).min(axis=1)
    return np.where(depth.min(axis=1) < 0.0, recovery - peak, 0)


def max_drawdown_sessions(equity: np.ndarray) -> int:
    """Sessions from the high before the deepest drawdown to the first mark at that high again; 0 without a drawdown.

    One that has not recovered counts to the last mark; of two equally deep ones the first counts.
    """
    return int(max_drawdown_sessions_rows(np.asarray(equity, dtype=np.float64)[None, :])[0])


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


def expected_shortfall_rows(r: np.ndarray, *, level: float = 0.95) -> np.ndarray:
    """Expected shortfall of each row of returns, shape (k, n) to (k,); see `expected_shortfall`."""
    rows = np.asarray(r, dtype=np.float64)
    tail = rows <= np.quantile(rows, 1.0 - level, axis=1)[:, None]
    return np.asarray(np.where(tail, rows, 0.0).sum(axis=1) / tail.sum(axis=1))


def expected_shortfall(r: np.ndarray, *, level: float = 0.95) -> float:
    """Mean of the returns of one session at or below `value_at_risk` (CVaR), negative for a loss."""
    return one(expected_shortfall_rows, r, level=level)


def annual_turnover(turnovers: np.ndarray, first: dt.date, last: dt.date) -> float:
    """Sum of the one-sided turnover of all rebalances (S2.09) per calendar year; fraction of the portfolio."""
    return float(np.sum(turnovers) / years(first, last))
