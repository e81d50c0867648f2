"""Studies of how much can be lost: volatility by GARCH, value at risk and shortfall, drawdown, Sharpe ratio."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from openbell.core.errors import BadInput, DataMissing
from openbell.quant.measures import SESSIONS_PER_YEAR
from openbell.quant.performance import Performance, expected_shortfall, performance, value_at_risk
from openbell.quant.tails import cornish_fisher_holds, modified_expected_shortfall, modified_value_at_risk
from openbell.quant.value_statistics import SUFFICIENT

#: A GARCH is not fitted to fewer returns, and not relied on below the second.
GARCH_MINIMUM, GARCH_SUFFICIENT = 100, 500
#: Sum of the two coefficients from which volatility is as good as a random walk.
_INTEGRATED = 0.9999


@dataclass(frozen=True, slots=True, eq=False)
class Garch:
    """A GARCH(1,1) of returns: ``variance_t = omega + alpha e_{t-1}^2 + beta variance_{t-1}``.

    Attributes
    ----------
    fitted : whether the optimiser came to an end; the figures are None and the frames empty where it did not.
    mean, omega, alpha, beta : in percent and percent squared per session. persistence : alpha + beta.
    half_life_sessions : until half of a shock is gone; None where it never is. long_run_pct : volatility per session
        that all ends at, percent; None where there is none.
    rows : ``session``, ``return_pct``, ``volatility_pct`` (per session; of the session, from those before it, but with
        coefficients fitted to all: descriptive). forecast : ``horizon`` (sessions ahead), ``volatility_pct``.
    """

    n: int
    sufficient: bool
    fitted: bool
    mean: float | None
    omega: float | None
    alpha: float | None
    beta: float | None
    persistence: float | None
    half_life_sessions: float | None
    long_run_pct: float | None
    rows: pl.DataFrame
    forecast: pl.DataFrame
    sentences: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Risk:
    """What a series of returns could lose; losses are negative fractions.

    Attributes
    ----------
    value_at_risk, expected_shortfall : historical, of one session, at `level`. modified_* : by Cornish and Fisher.
    max_drawdown : of the returns one after the other. performance : every measure with its interval; its Sharpe ratio
        too. rows : ``session``, ``equity`` (1 before the first return), ``drawdown``.
    """

    n: int
    sufficient: bool
    level: float
    value_at_risk: float
    expected_shortfall: float
    modified_value_at_risk: float
    modified_expected_shortfall: float
    max_drawdown: float
    performance: Performance
    rows: pl.DataFrame
    sentences: tuple[str, ...]


def _returns(sessions: Sequence[Any] | pl.Series, returns_pct: Any) -> tuple[pl.DataFrame, int]:
    """Returns by session without missing ones, and how many there were."""
    values = pl.Series("return_pct", returns_pct).cast(pl.Float64).fill_nan(None)
    rows = pl.DataFrame([pl.Series("session", sessions).cast(pl.Date), values])
    if values.is_infinite().any():
        raise BadInput("The returns hold infinite values; leave them out and say how many.")
    kept = rows.drop_nulls()
    if not kept["session"].is_sorted() or kept["session"].n_unique() != kept.height:
        raise BadInput("The sessions of returns must rise, each once; they did not.")
    return kept, rows.height - kept.height


def garch(sessions: Sequence[Any] | pl.Series, returns_pct: Any, *, horizon: int = 21) -> Garch:
    """A GARCH(1,1) with a constant mean and normal errors, by maximum likelihood.

    Parameters
    ----------
    sessions, returns_pct : one return in percent per session, oldest first; missing ones are left out and counted.
    horizon : sessions ahead of the last that volatility is forecast for.

    Returns
    -------
    Garch
        Returns are brought to a standard deviation of 1 for the fit, so that its result does not depend on their unit.

    Raises
    ------
    DataMissing
        Fewer than 100 returns, or all alike.

    References
    ----------
    Bollerslev (1986), Journal of Econometrics 31, 307-327.
    """
    if horizon < 1:
        raise BadInput(f"`horizon` is at least 1 session; was {horizon}.")
    rows, missing = _returns(sessions, returns_pct)
    n, values = rows.height, rows["return_pct"].to_numpy()
    scale = float(values.std()) if n else 0.0
    if n < GARCH_MINIMUM or scale < 1e-12:
        raise DataMissing(f"A GARCH needs at least {GARCH_MINIMUM} returns that vary; there were {n}.")
    said = [f"{missing:,} missing returns are left out."] if missing else []
    if n < GARCH_SUFFICIENT:
        said.append(f"{n} returns are few for a GARCH; at least {GARCH_SUFFICIENT} are usual.")
    fit, failure = _fitted(values / scale)
    if fit is None:
        return _unfitted(rows, (*said, failure))
    mean, omega, alpha, beta = (float(fit.params.iloc[at]) for at in range(4))
    persistence = alpha + beta
    lasting = persistence >= _INTEGRATED
    ahead = np.sqrt(fit.forecast(horizon=horizon, reindex=False).variance.to_numpy()[-1]) * scale
    half_life = None if lasting or persistence <= 0 else math.log(0.5) / math.log(persistence)
    long_run = None if lasting else scale * math.sqrt(omega / (1.0 - persistence))
    with_volatility = rows.with_columns(pl.Series("volatility_pct", np.asarray(fit.conditional_volatility) * scale))
    forecast = pl.DataFrame({"horizon": np.arange(1, horizon + 1), "volatility_pct": ahead})
    said.append(
        f"Volatility of the next session: {ahead[0]:.2f} % ({ahead[0] * math.sqrt(SESSIONS_PER_YEAR):.1f} % a year)"
        + (f", of the long run {long_run:.2f} %" if long_run is not None else "")
        + (f"; half of a shock is gone after {half_life:.1f} sessions." if half_life is not None else ".")
    )
    if lasting:
        said.append(f"Alpha and beta add up to {persistence:.4f}: shocks do not fade and there is no long run.")
    if alpha < 1e-4:
        said.append("Alpha is 0: these returns show no clusters of volatility, and beta means nothing then.")
    said.append("The coefficients are fitted to all rows: the curve describes the past and is not what was known then.")
    return Garch(
        n, n >= GARCH_SUFFICIENT, True, mean * scale, omega * scale**2, alpha, beta, persistence, half_life, long_run,
        with_volatility, forecast, tuple(said),
    )  # fmt: skip


def _fitted(values: np.ndarray) -> tuple[Any, str]:
    """The fit, or None and a sentence on why there is none."""
    from arch import arch_model

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what they warn of is in the flag that is looked at below
            fit = arch_model(values, mean="Constant", vol="GARCH", p=1, q=1, rescale=False).fit(
                disp="off", show_warning=False
            )
    except (ValueError, ArithmeticError, np.linalg.LinAlgError) as failure:
        return None, f"The GARCH could not be fitted: {failure}."
    if fit.convergence_flag != 0 or not np.isfinite(fit.params.to_numpy()).all():
        return (
            None,
            f"The fit of the GARCH did not converge ({fit.optimization_result.message}); nothing is shown of it.",
        )
    return fit, ""


def _unfitted(rows: pl.DataFrame, sentences: tuple[str, ...]) -> Garch:
    empty = pl.DataFrame(schema={"horizon": pl.Int64, "volatility_pct": pl.Float64})
    nothing = rows.head(0).with_columns(volatility_pct=pl.lit(None, dtype=pl.Float64))
    return Garch(
        n=rows.height, sufficient=False, fitted=False, mean=None, omega=None, alpha=None, beta=None, persistence=None,
        half_life_sessions=None, long_run_pct=None, rows=nothing, forecast=empty, sentences=sentences,
    )  # fmt: skip


def risk(
    sessions: Sequence[Any] | pl.Series,
    returns_pct: Any,
    *,
    level: float = 0.95,
    replications: int = 1000,
    seed: int = 0,
) -> Risk:
    """Value at risk, shortfall, drawdown and Sharpe ratio of a series held without a break.

    Parameters
    ----------
    sessions, returns_pct : one return in percent per session, oldest first; missing ones are left out and counted, as
        if nothing had been held then. level : of value at risk and shortfall, in (0.5, 1).
    replications, seed : of the block bootstrap behind the intervals of `performance`.

    Raises
    ------
    DataMissing
        Fewer than 20 returns. BadInput : a return of -100 % or less, or a level out of range.
    """
    if not 0.5 < level < 1.0:
        raise BadInput(f"`level` must lie in (0.5, 1); was {level}.")
    rows, missing = _returns(sessions, returns_pct)
    if rows.height < 20:
        raise DataMissing(f"Measures of risk need at least 20 returns; there were {rows.height}.")
    r = rows["return_pct"].to_numpy() / 100.0
    if r.min() <= -1.0:
        raise BadInput(f"A return of {100 * r.min():.1f} % leaves nothing; such a series has no equity curve.")
    equity = np.concatenate([[1.0], np.cumprod(1.0 + r)])
    dates = rows["session"].to_list()
    before = dates[0] - (dates[1] - dates[0])
    found = performance([before, *dates], equity, horizon_sessions=1, replications=replications, seed=seed)
    depth = equity / np.maximum.accumulate(equity) - 1.0
    curve = rows.select("session").with_columns(equity=pl.Series(equity[1:]), drawdown=pl.Series(depth[1:]))
    at_risk, shortfall = value_at_risk(r, level=level), expected_shortfall(r, level=level)
    modified = modified_value_at_risk(r, level=level), modified_expected_shortfall(r, level=level)
    said = [*_lost(len(r), level, at_risk, shortfall, found.max_drawdown), _sharpe(found)]
    if missing:
        said.insert(0, f"{missing:,} missing returns are left out.")
    if not _expansion_holds(r):
        said.append(
            "Their skewness and kurtosis are beyond the expansion of Cornish and Fisher; its figures are by convention."
        )
    return Risk(
        len(r),
        len(r) >= SUFFICIENT,
        level,
        at_risk,
        shortfall,
        *modified,
        found.max_drawdown,
        found,
        curve,
        tuple(said),
    )


def _lost(n: int, level: float, at_risk: float, shortfall: float, deepest: float) -> list[str]:
    beyond = n * (1.0 - level)
    said = [
        f"On one session in {1.0 / (1.0 - level):.0f} the loss was at least {-100 * at_risk:.2f} %, and "
        f"{-100 * shortfall:.2f} % on the mean of these; the deepest drawdown was {-100 * deepest:.1f} %."
    ]
    if beyond < SUFFICIENT:
        said.append(f"Only {beyond:.0f} of {n:,} sessions lie beyond, so the tail is known roughly at best.")
    return said


def _sharpe(found: Performance) -> str:
    ratio = found.sharpe
    if ratio.value is None:
        return "The returns do not vary, so there is no Sharpe ratio."
    if ratio.low is None or ratio.high is None:
        return f"The Sharpe ratio is {ratio.value:.2f}; {found.n} returns are too few for an interval."
    verdict = "" if ratio.excludes(0.0) else ", which is not told apart from 0"
    return (
        f"The Sharpe ratio is {ratio.value:.2f} ({ratio.level:.0%} from {ratio.low:.2f} to {ratio.high:.2f}){verdict}."
    )


def _expansion_holds(r: np.ndarray) -> bool:
    from scipy.stats import kurtosis, skew

    return r.std() < 1e-12 or cornish_fisher_holds(float(skew(r)), float(kurtosis(r)))
