"""What a tournament found: plain frames, so that a report, a registry and a test read the same figures."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

#: How the two halves of an entrant's name are joined: ``lightgbm+hrp``.
JOINED_BY = "+"
#: The curve that every entrant must beat: the same universe at equal weights, under the same caps and exposure.
BASELINE = "equal_weight"
#: The curve of the benchmark's own symbol.
BENCHMARK = "benchmark"


def entrant(model: str, allocator: str) -> str:
    """Name of the pair of a model and an allocator."""
    return f"{model}{JOINED_BY}{allocator}"


@dataclass(frozen=True, slots=True, eq=False)
class Contest:
    """One tournament. Every figure is out of sample, after costs, on the span before the hold-out.

    Attributes
    ----------
    plan : hash of everything fixed before the first fit; the name of the tournament.
    first, last : decision sessions between which entrants were back-tested. holdout_first : the first session that the
        selection could not read.
    matrix : one row per entrant, no NaN: ``entrant``, ``model``, ``allocator``, ``cagr``, ``sharpe``, ``sharpe_lower``,
        ``sharpe_upper`` (95 %), ``sharpe_se``, ``max_drawdown`` (negative), ``max_drawdown_sessions``, ``calmar``,
        ``turnover`` (one-sided, per rebalance), ``win_rate`` (of daily returns), ``total_return``, ``volatility``,
        ``sortino``, ``value_at_risk_95``, ``expected_shortfall_95``, ``beta``, ``alpha``, ``information_ratio``,
        ``active_return`` (annual), ``active_sharpe``, ``regime_consistency``, ``weighted_score``, ``deflated_sharpe``,
        ``fallbacks`` (rebalances on which the allocator fell back), ``statistic`` and ``p_value`` (StepM, family-wise),
        ``survives`` (bool), ``eligible`` (bool: passed every gate).
    equity : ``session`` and the value of every entrant, of ``equal_weight`` and of ``benchmark``, starting at 1.0 at
        the close before the first decision.
    active : ``session`` and the daily active return of every entrant (less ``equal_weight``).
    regimes : ``entrant``, ``regime`` (0 Risk-Off, 1 Normal, 2 Risk-On), ``regime_name``, ``sessions``, ``mean_return``
        (annual), ``volatility``, ``sharpe``.
    gates : one row per entrant and gate: ``entrant``, ``gate``, ``value``, ``limit``, ``passed``, ``why`` (sentence).
    training : one row per model: ``model``, ``rows``, ``dates``, ``rank_ic``, ``rank_ic_lower``, ``rank_ic_upper``,
        ``rank_ic_ir`` (per date), ``score_sharpe`` (top less bottom quintile, before costs), ``status`` (``done``,
        ``failed``, ``abstained``), ``why``.
    intervals : ``entrant``, ``measure``, ``value``, ``lower``, ``upper``, ``n``: 95 % by the stationary bootstrap.
    costs : ``entrant``, ``cost_bp`` (0, 1, 2, 5, 10), ``sharpe``, ``cagr``, ``active_return``.
    calibration : conformal coverage over time: ``model``, ``session``, ``nominal``, ``coverage``,
        ``adaptive_coverage``, ``n``.
    importance : ``model``, ``fold``, ``feature``, ``drop`` (of the mean rank IC when permuted), ``spread``.
    shap : ``model``, ``feature``, ``mean_abs``.
    tuning : ``model``, ``trial``, ``value``, ``default_value``, ``state``; empty where nothing was tuned.
    failures : ``entrant`` or model, ``where``, ``why``.
    significance : by name, ``{"pbo": {...}, "spa": {...}, "mcs": {...}, "trials": {...}, "cpcv": {...}}``.
    champion : entrant chosen, or None. why : sentences. alpha : family-wise error spent. notes : what was left out.
    """

    desk: str
    as_of: dt.datetime
    plan: str
    recipe: str
    label: str
    universe: str
    benchmark: str
    first: dt.date
    last: dt.date
    holdout_first: dt.date
    matrix: pl.DataFrame
    equity: pl.DataFrame
    active: pl.DataFrame
    regimes: pl.DataFrame
    gates: pl.DataFrame
    training: pl.DataFrame
    costs: pl.DataFrame
    calibration: pl.DataFrame
    importance: pl.DataFrame
    shap: pl.DataFrame
    tuning: pl.DataFrame
    failures: pl.DataFrame
    significance: Mapping[str, Mapping[str, Any]]
    champion: str | None
    why: tuple[str, ...]
    alpha: float
    notes: tuple[str, ...] = ()
    intervals: pl.DataFrame = field(default_factory=pl.DataFrame)
    incumbent: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
