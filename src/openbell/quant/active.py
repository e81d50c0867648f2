"""Measures of returns against a benchmark's of the same sessions: one series, or many in rows, shape (k, n) to (k,)."""

from __future__ import annotations

import numpy as np

from openbell.core.errors import BadInput
from openbell.quant.measures import CONSTANT, RISK_FREE_ANNUAL, SESSIONS_PER_YEAR, one, rate_per_mark


def _paired(r: np.ndarray, benchmark: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    rows, beside = np.asarray(r, dtype=np.float64), np.asarray(benchmark, dtype=np.float64)
    if beside.shape != (rows.shape[1],):
        raise BadInput(f"The benchmark needs one return for each of {rows.shape[1]}; its shape was {beside.shape}.")
    return rows, beside


def beta_rows(r: np.ndarray, benchmark: np.ndarray) -> np.ndarray:
    """Beta of each row of returns on the benchmark's, shape (n,); see `beta`."""
    rows, beside = _paired(r, benchmark)
    if beside.size < 2 or beside.std() < CONSTANT:
        return np.full(len(rows), np.nan)
    centred = beside - beside.mean()
    return np.asarray(rows @ centred / (centred @ centred))


def beta(r: np.ndarray, benchmark: np.ndarray) -> float:
    """Slope of returns on the benchmark's, ``cov(r, b) / var(b)``; NaN for a benchmark that does not move."""
    return one(beta_rows, r, benchmark)


def alpha_rows(
    r: np.ndarray,
    benchmark: np.ndarray,
    *,
    per_year: float = SESSIONS_PER_YEAR,
    risk_free_annual: float = RISK_FREE_ANNUAL,
) -> np.ndarray:
    """Alpha of each row of returns against the benchmark's, shape (n,); see `alpha`."""
    rows, beside = _paired(r, benchmark)
    rate = rate_per_mark(risk_free_annual, per_year)
    slope = beta_rows(rows, beside)
    return np.asarray((rows.mean(axis=1) - rate - slope * (beside.mean() - rate)) * per_year)


def alpha(
    r: np.ndarray,
    benchmark: np.ndarray,
    *,
    per_year: float = SESSIONS_PER_YEAR,
    risk_free_annual: float = RISK_FREE_ANNUAL,
) -> float:
    """Annual return that the benchmark does not explain: ``(mean(r - f) - beta * mean(b - f)) * per_year``.

    The intercept of the CAPM regression times the returns in a year, not compounded; NaN where beta is.

    References
    ----------
    Jensen (1968), Journal of Finance 23, 389-416.
    """
    return one(alpha_rows, r, benchmark, per_year=per_year, risk_free_annual=risk_free_annual)


def tracking_error_rows(r: np.ndarray, benchmark: np.ndarray, *, per_year: float = SESSIONS_PER_YEAR) -> np.ndarray:
    """Tracking error of each row of returns against the benchmark's, shape (n,); see `tracking_error`."""
    rows, beside = _paired(r, benchmark)
    if beside.size < 2:
        return np.full(len(rows), np.nan)
    return np.asarray((rows - beside).std(axis=1, ddof=1) * np.sqrt(per_year))


def tracking_error(r: np.ndarray, benchmark: np.ndarray, *, per_year: float = SESSIONS_PER_YEAR) -> float:
    """Standard deviation (ddof 1) of active returns ``r - b``, annualised by ``sqrt(per_year)``."""
    return one(tracking_error_rows, r, benchmark, per_year=per_year)


def information_ratio_rows(r: np.ndarray, benchmark: np.ndarray, *, per_year: float = SESSIONS_PER_YEAR) -> np.ndarray:
    """Information ratio of each row of returns against the benchmark's, shape (n,); see `information_ratio`."""
    rows, beside = _paired(r, benchmark)
    error = tracking_error_rows(rows, beside, per_year=per_year)
    gained = (rows.mean(axis=1) - beside.mean()) * per_year if beside.size else np.full(len(rows), np.nan)
    return np.asarray(gained / np.where(error > CONSTANT * np.sqrt(per_year), error, np.nan))


def information_ratio(r: np.ndarray, benchmark: np.ndarray, *, per_year: float = SESSIONS_PER_YEAR) -> float:
    """Mean active return over its deviation, ``mean(r - b) / std(r - b, ddof=1) * sqrt(per_year)``.

    NaN where `r` is the benchmark itself, up to rounding.

    References
    ----------
    Goodwin (1998), Financial Analysts Journal 54(4), 34-43.
    """
    return one(information_ratio_rows, r, benchmark, per_year=per_year)


def capture(r: np.ndarray, benchmark: np.ndarray) -> tuple[float, float]:
    """Up and down capture: mean return over the benchmark's, on the sessions on which that rose, and on which it fell.

    1 and 1 for the benchmark itself; below 1 in the second loses less than it does. NaN without such a session.
    """
    rows, beside = _paired(np.asarray(r, dtype=np.float64)[None, :], benchmark)

    def over(chosen: np.ndarray) -> float:
        return float(rows[0, chosen].mean() / beside[chosen].mean()) if chosen.any() else float("nan")

    return over(beside > 0), over(beside < 0)
