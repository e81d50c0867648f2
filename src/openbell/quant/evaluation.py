"""Whether scores rank outcomes: measured date by date, never over a pool of dates."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import polars as pl

from openbell.core.errors import BadInput
from openbell.quant.intervals import Estimate, estimate, mean_block
from openbell.quant.performance import RISK_FREE_ANNUAL, SESSIONS_PER_YEAR, sharpe, win_rate
from openbell.quant.regime import Regime

#: A correlation of two points is always 1 or -1 and says nothing.
MINIMUM_NAMES = 3


def _finite(frame: pl.DataFrame, score: str, outcome: str, by: str) -> pl.DataFrame:
    """`frame` as columns by, s, o with NaN and infinities as null."""
    missing = [name for name in (by, score, outcome) if name not in frame.columns]
    if missing:
        raise BadInput(f"The frame lacks the column {', '.join(missing)}; it has {', '.join(frame.columns)}.")
    value = [pl.col(name).cast(pl.Float64).alias(short) for name, short in ((score, "s"), (outcome, "o"))]
    return frame.select(pl.col(by), *value).with_columns(
        pl.when(pl.col(short).is_finite()).then(pl.col(short)).alias(short) for short in ("s", "o")
    )


def _p_values(correlation: np.ndarray, n: np.ndarray) -> np.ndarray:
    """Two-sided p-values of correlations by Student's t with n - 2 degrees of freedom; NaN stays NaN."""
    from scipy.stats import t as student

    freedom = np.maximum(n - 2, 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = np.abs(correlation) * np.sqrt(freedom / np.maximum(1.0 - correlation**2, 0.0))
    return np.asarray(2.0 * student.sf(statistic, freedom), dtype=np.float64)


def information_coefficients(
    frame: pl.DataFrame, *, score: str = "score", outcome: str = "outcome", by: str = "session"
) -> pl.DataFrame:
    """Pearson and Spearman correlation of scores and outcomes within each date (S2.16).

    Parameters
    ----------
    frame : one row per (date, name) with the columns `by`, `score` and `outcome`. A row whose score or outcome is
        null, NaN or infinite is left out of its date and counted.

    Returns
    -------
    polars.DataFrame
        One row per date, sorted: `by`, ``ic``, ``rank_ic`` (null where fewer than 3 names are left or one side is
        constant), ``ic_p_value``, ``rank_ic_p_value`` (two-sided, null likewise), ``n_samples`` (names used),
        ``n_missing`` (rows left out). Ties share their average rank.

    References
    ----------
    Grinold (1989), Journal of Portfolio Management 15, 30-37. Spearman (1904), American Journal of Psychology 15.
    """
    rows = _finite(frame, score, outcome, by)
    pairs = rows.drop_nulls(["s", "o"]).with_columns(
        pl.col("s").rank("average").over(by).alias("rs"), pl.col("o").rank("average").over(by).alias("ro")
    )
    able = (pl.len() >= MINIMUM_NAMES) & (pl.col("s").n_unique() > 1) & (pl.col("o").n_unique() > 1)
    measured = pairs.group_by(by).agg(
        pl.when(able).then(pl.corr("s", "o").clip(-1.0, 1.0)).fill_nan(None).alias("ic"),
        pl.when(able).then(pl.corr("rs", "ro").clip(-1.0, 1.0)).fill_nan(None).alias("rank_ic"),
        pl.len().cast(pl.Int64).alias("n_samples"),
    )
    counted = rows.group_by(by).agg(
        (pl.col("s").is_null() | pl.col("o").is_null()).sum().cast(pl.Int64).alias("n_missing")
    )
    table = counted.join(measured, on=by, how="left").with_columns(pl.col("n_samples").fill_null(0)).sort(by)
    names = table["n_samples"].to_numpy()
    p_values = [
        pl.Series(f"{kind}_p_value", _p_values(table[kind].cast(pl.Float64).to_numpy(), names)).fill_nan(None)
        for kind in ("ic", "rank_ic")
    ]
    return table.with_columns(p_values).select(
        by, "ic", "rank_ic", "ic_p_value", "rank_ic_p_value", "n_samples", "n_missing"
    )


@dataclass(frozen=True, slots=True)
class Skill:
    """A series of per-date coefficients in short.

    Attributes
    ----------
    mean : with its block-bootstrap interval; `mean.n` counts dates.
    standard_deviation : over dates (ddof 1). icir : mean over standard deviation, per date, *not* annualised.
    positive : share of dates above 0. dates_without : dates whose coefficient is null.
    """

    mean: Estimate
    standard_deviation: float | None
    icir: float | None
    positive: float | None
    dates_without: int


def skill(
    coefficients: pl.Series | np.ndarray,
    *,
    horizon_sessions: int,
    level: float = 0.95,
    replications: int = 1000,
    seed: int = 0,
) -> Skill:
    """Mean IC with its interval, its deviation and the ICIR.

    Parameters
    ----------
    coefficients : one per date, oldest first; null or NaN where a date had none, which is counted.
    horizon_sessions : of the outcome. Neighbouring outcomes overlap, so the mean block is at least twice as long.

    Returns
    -------
    Skill
        ``icir = mean / std`` per date; it is not multiplied by the root of anything, because overlapping outcomes
        would inflate that.
    """
    series = coefficients if isinstance(coefficients, pl.Series) else pl.Series(np.asarray(coefficients, dtype=float))
    values = series.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    finite = values[np.isfinite(values)]
    mean = estimate(
        finite, block=mean_block(horizon_sessions, len(finite)), level=level, replications=replications, seed=seed
    )
    deviation = float(finite.std(ddof=1)) if finite.size > 1 else None
    return Skill(
        mean=mean,
        standard_deviation=deviation,
        icir=mean.value / deviation if deviation and mean.value is not None else None,
        positive=float((finite > 0).mean()) if finite.size else None,
        dates_without=int(values.size - finite.size),
    )


@dataclass(frozen=True, slots=True, eq=False)
class QuantileReturns:
    """Outcomes by quantile of the score, averaged over dates (S2.17).

    Attributes
    ----------
    table : ``quantile`` (1 lowest score), ``avg_return`` (mean over dates of the date's mean), ``low``, ``high``
        (block-bootstrap interval, null where too few dates), ``std_return`` (over dates, ddof 1), ``n_dates``,
        ``n_stocks`` (rows).
    spread : highest less lowest quantile, per date, averaged.
    by_date : ``quantile``, `by`, ``avg_return``, ``n_stocks``.
    dates_skipped : dates with fewer distinct scores than quantiles.
    """

    table: pl.DataFrame
    spread: Estimate
    by_date: pl.DataFrame
    dates_skipped: int


def _quantiles_by_date(pairs: pl.DataFrame, by: str, quantiles: int) -> pl.DataFrame:
    """Mean outcome of each (date, quantile). Edges as in pandas' qcut: right-closed on ``(n - 1) k / q``."""
    position = (pl.col("s").rank("average").over(by) - 1.0) * quantiles / (pl.len().over(by) - 1.0)
    return (
        pairs.filter(pl.col("s").n_unique().over(by) >= quantiles)
        .with_columns(position.ceil().clip(1, quantiles).cast(pl.Int64).alias("quantile"))
        .group_by(by, "quantile")
        .agg(pl.col("o").mean().alias("avg_return"), pl.len().cast(pl.Int64).alias("n_stocks"))
        .sort(by, "quantile")
    )


def quantile_returns(
    frame: pl.DataFrame,
    *,
    quantiles: int = 5,
    horizon_sessions: int = 5,
    score: str = "score",
    outcome: str = "outcome",
    by: str = "session",
    replications: int = 1000,
    seed: int = 0,
) -> QuantileReturns:
    """Cut each date's names into quantiles of the score, average their outcomes, then average over dates (S2.17).

    Parameters
    ----------
    frame : one row per (date, name) with `by`, `score`, `outcome`; rows that lack one are left out.
    quantiles : at least 2. Tied scores share their average rank, so they fall into the same quantile.
    horizon_sessions : of the outcome; the bootstrap's mean block is at least twice as long.

    Returns
    -------
    QuantileReturns
        Every date weighs the same, however many names it has: a pool over dates would mix scores that were never
        compared with each other.

    Raises
    ------
    BadInput
        On fewer than 2 quantiles or a missing column.
    """
    if quantiles < 2:
        raise BadInput(f"`quantiles` must be at least 2; was {quantiles}.")
    pairs = _finite(frame, score, outcome, by).drop_nulls(["s", "o"])
    by_date = _quantiles_by_date(pairs, by, quantiles)
    wide = by_date.pivot(on="quantile", index=by, values="avg_return").sort(by)
    block = mean_block(horizon_sessions, wide.height)
    interval = partial(estimate, block=block, replications=replications, seed=seed)
    columns = {
        number: wide[str(number)].to_numpy() if str(number) in wide.columns else np.full(wide.height, np.nan)
        for number in range(1, quantiles + 1)
    }
    estimates = {number: interval(values) for number, values in columns.items()}
    stocks = dict(by_date.group_by("quantile").agg(pl.col("n_stocks").sum()).iter_rows())
    table = pl.DataFrame(
        [
            {
                "quantile": number,
                "avg_return": each.value,
                "low": each.low,
                "high": each.high,
                "std_return": float(np.nanstd(columns[number], ddof=1)) if each.n > 1 else None,
                "n_dates": each.n,
                "n_stocks": stocks.get(number, 0),
            }
            for number, each in estimates.items()
        ],
        schema={
            "quantile": pl.Int64,
            "avg_return": pl.Float64,
            "low": pl.Float64,
            "high": pl.Float64,
            "std_return": pl.Float64,
            "n_dates": pl.Int64,
            "n_stocks": pl.Int64,
        },
    )
    return QuantileReturns(
        table=table,
        spread=interval(columns[quantiles] - columns[1]),
        by_date=by_date,
        dates_skipped=frame[by].n_unique() - wide.height,
    )


def regime_performance(
    returns: np.ndarray,
    regimes: np.ndarray,
    *,
    per_year: float = SESSIONS_PER_YEAR,
    risk_free_annual: float = RISK_FREE_ANNUAL,
    horizon_sessions: int = 5,
    replications: int = 1000,
    seed: int = 0,
) -> pl.DataFrame:
    """Performance within each regime (S2.19).

    Parameters
    ----------
    returns : simple returns of a curve marked each session, shape (n,), finite.
    regimes : the regime that was in force when each return was earned, known before it: 0, 1 or 2, shape (n,).
    per_year : returns per year, for the Sharpe ratio (risk-free rate taken off).
    horizon_sessions, replications, seed : of the bootstrap, whose mean block is at least two horizons.

    Returns
    -------
    polars.DataFrame
        Rows for 0, 1, 2: ``regime``, ``regime_name``, ``avg_return`` (per session), ``low``, ``high`` (its 95 %
        interval, over the regime's sessions in a row; null where they are too few), ``sharpe`` (annualised),
        ``win_rate``, ``n_days``. A regime that never was has null measures and 0 days: absent is not 0.
    """
    earned, states = np.asarray(returns, dtype=np.float64), np.asarray(regimes)
    if earned.shape != states.shape:
        raise BadInput(f"Each return needs its regime; there were {earned.size} returns and {states.size} regimes.")
    strange = sorted(set(states.tolist()) - set(map(int, Regime)))
    if strange:
        raise BadInput(f"A regime is 0, 1 or 2; there was {strange[0]}. Leave out sessions without a known regime.")
    rows = []
    for regime in Regime:
        within = earned[states == regime]
        ratio = sharpe(within, per_year=per_year, risk_free_annual=risk_free_annual)
        block = mean_block(horizon_sessions, within.size)
        mean = estimate(within, block=block, replications=replications, seed=seed)
        rows.append(
            {
                "regime": int(regime),
                "regime_name": regime.label,
                "avg_return": mean.value,
                "low": mean.low,
                "high": mean.high,
                "sharpe": ratio if np.isfinite(ratio) else None,
                "win_rate": win_rate(within) if within.size else None,
                "n_days": int(within.size),
            }
        )
    kinds = dict.fromkeys(("avg_return", "low", "high", "sharpe", "win_rate"), pl.Float64)
    return pl.DataFrame(rows, schema={"regime": pl.Int64, "regime_name": pl.String, **kinds, "n_days": pl.Int64})
