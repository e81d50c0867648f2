"""What every entrant's decisions were worth: all of them through one accounting kernel, beside what costs no skill."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from joblib import Parallel, delayed

from openbell.quant.accounting import Accounts, accounts
from openbell.quant.costs import COMMISSION_BP
from openbell.quant.measures import CONSTANT
from openbell.quant.performance import marks_per_year, performance, performance_rows, sharpe_rows
from openbell.quant.regime import Regime
from openbell.research.backtest import Costs, Prices
from openbell.research.contest import BASELINE, BENCHMARK

#: Cost of a trade, basis points of its value, at which every entrant is accounted for once more.
COST_STEPS_BP = (0.0, 1.0, 2.0, 5.0, 10.0)
#: Measures whose bootstrap intervals are told.
TOLD = (
    "annual_return",
    "sharpe",
    "volatility",
    "sortino",
    "max_drawdown",
    "calmar",
    "win_rate",
    "value_at_risk_95",
    "expected_shortfall_95",
    "turnover_per_rebalance",
)


@dataclass(frozen=True, slots=True, eq=False)
class Portfolios:
    """Curves of k entrants and of the baseline over n sessions.

    Attributes
    ----------
    entrants : names, in order. dates : the session before the first decision, then every session, n + 1.
    curves : value of each entrant, then of the baseline, shape (k + 1, n + 1), 1.0 at first. benchmark : (n + 1,).
    turnover : one-sided, of each rebalance, shape (k + 1, r). regimes : in force on each session, shape (n,).
    """

    entrants: tuple[str, ...]
    dates: tuple[dt.date, ...]
    curves: np.ndarray
    benchmark: np.ndarray
    turnover: np.ndarray
    regimes: np.ndarray
    carried: int
    vanished: int
    unfilled: int

    @property
    def returns(self) -> np.ndarray:
        """Daily returns of the entrants, shape (n, k)."""
        return np.asarray((self.curves[:-1, 1:] / self.curves[:-1, :-1] - 1.0).T)

    @property
    def baseline_returns(self) -> np.ndarray:
        """Daily returns of the baseline, shape (n,)."""
        return np.asarray(self.curves[-1, 1:] / self.curves[-1, :-1] - 1.0)

    @property
    def active(self) -> np.ndarray:
        """Daily returns of the entrants less the baseline's, shape (n, k)."""
        return self.returns - self.baseline_returns[:, None]

    def equity(self) -> pl.DataFrame:
        """``session``, every entrant, the baseline, the benchmark."""
        columns = dict(zip((*self.entrants, BASELINE), self.curves, strict=True))
        return pl.DataFrame({"session": self.dates, **columns, BENCHMARK: self.benchmark})

    def active_frame(self) -> pl.DataFrame:
        """``session`` and the daily active return of every entrant."""
        return pl.DataFrame({"session": self.dates[1:], **dict(zip(self.entrants, self.active.T, strict=True))})


@dataclass(frozen=True, slots=True, eq=False)
class Traded:
    """Everything the kernel needs: weights (k + 1, r, m), the baseline's last, at `rows` of `prices`, and the costs."""

    entrants: tuple[str, ...]
    weights: np.ndarray
    rows: Sequence[int]
    prices: Prices
    costs: Costs
    cash: np.ndarray
    capital_usd: float = 100_000.0
    volatility: np.ndarray | None = None
    volume_usd: np.ndarray | None = None

    def accounts(self, costs: Costs | None = None) -> Accounts:
        """All curves at the usual costs, or at others."""
        cost = costs or self.costs
        return accounts(
            self.weights,
            self.rows,
            self.prices.closes,
            self.prices.opens,
            capital_usd=self.capital_usd,
            commission_bp=cost.commission_bp,
            slippage_bp=cost.slippage_bp,
            impact=cost.impact,
            volatility=self.volatility,
            volume_usd=self.volume_usd,
            cash_return=self.cash,
            staleness_sessions=cost.staleness_sessions,
            delisting_return=cost.delisting_return,
        )


def portfolios(traded: Traded, before: dt.date, benchmark: np.ndarray, regimes: Sequence[int]) -> Portfolios:
    """Account for the entrants and the baseline.

    Parameters
    ----------
    before : session of the first mark. benchmark : its value, shape (n + 1,). regimes : of each rebalance, shape (r,).
    """
    done = traded.accounts()
    days = traded.prices.days
    in_force = np.searchsorted(np.asarray(traded.rows), np.arange(len(days)), side="right") - 1
    first = np.ones((len(done.equity_usd), 1))
    return Portfolios(
        entrants=traded.entrants,
        dates=(before, *days),
        curves=np.hstack([first, done.equity_usd / traded.capital_usd]),
        benchmark=np.asarray(benchmark, dtype=np.float64) / float(benchmark[0]),
        turnover=done.turnover,
        regimes=np.asarray(regimes)[np.maximum(in_force, 0)],
        carried=int(np.sum(done.carried)),
        vanished=len(done.vanished),
        unfilled=int(np.sum(done.unfilled)),
    )


def measures(played: Portfolios) -> pl.DataFrame:
    """One row per entrant: every measure of `quant.performance`, and what it earned over the baseline."""
    per_year = marks_per_year(played.dates)
    rows = performance_rows(
        played.dates, played.curves[:-1], benchmark=played.benchmark, turnovers=played.turnover[:-1]
    )
    active = played.active
    spread = active.std(axis=0, ddof=1)
    moves = spread > CONSTANT  # one that holds what the baseline holds differs from it by rounding alone
    ratio = np.where(moves, active.mean(axis=0) / np.where(moves, spread, 1.0), 0.0)
    return rows.with_columns(
        pl.Series("entrant", played.entrants),
        pl.Series("active_return", active.mean(axis=0) * per_year),
        pl.Series("active_sharpe", ratio * np.sqrt(per_year)),
    )


def intervals(played: Portfolios, *, horizon_sessions: int, replications: int, seed: int, jobs: int) -> pl.DataFrame:
    """``entrant``, ``measure``, ``value``, ``lower``, ``upper``, ``n``: stationary-bootstrap intervals, 95 %."""

    def one(name: str, curve: np.ndarray, turnover: np.ndarray) -> list[dict[str, object]]:
        found = performance(
            played.dates,
            curve,
            turnovers=turnover,
            horizon_sessions=horizon_sessions,
            replications=replications,
            seed=seed,
        ).intervals
        return [
            {
                "entrant": name,
                "measure": measure,
                "value": each.value,
                "lower": each.low,
                "upper": each.high,
                "n": each.n,
            }
            for measure, each in found.items()
            if measure in TOLD
        ]

    names = (*played.entrants, BASELINE)
    tasks = zip(names, played.curves, played.turnover, strict=True)
    found = Parallel(n_jobs=jobs)(delayed(one)(*task) for task in tasks)
    floats = dict.fromkeys(("value", "lower", "upper"), pl.Float64)
    return pl.DataFrame(
        [row for rows in found for row in rows],
        schema={"entrant": pl.String, "measure": pl.String, **floats, "n": pl.Int64},
    )


def by_regime(played: Portfolios) -> pl.DataFrame:
    """``entrant``, ``regime``, ``regime_name``, ``sessions``, ``mean_return`` (annual), ``volatility``, ``sharpe``."""
    per_year = marks_per_year(played.dates)
    parts = []
    for regime in Regime:
        within = played.returns[played.regimes == regime]
        enough = len(within) > 1
        mean = within.mean(axis=0) * per_year if enough else np.full(len(played.entrants), np.nan)
        deviation = within.std(axis=0, ddof=1) * np.sqrt(per_year) if enough else mean
        ratio = sharpe_rows(within.T, per_year=per_year) if enough else mean
        parts.append(
            pl.DataFrame(
                {
                    "entrant": played.entrants,
                    "regime": int(regime),
                    "regime_name": regime.label,
                    "sessions": len(within),
                    "mean_return": mean,
                    "volatility": deviation,
                    "sharpe": ratio,
                }
            ).with_columns(pl.col("mean_return", "volatility", "sharpe").fill_nan(None))
        )
    return pl.concat(parts).sort("entrant", "regime", maintain_order=True)


def cost_sensitivity(traded: Traded, dates: Sequence[dt.date]) -> pl.DataFrame:
    """``entrant``, ``cost_bp``, ``sharpe``, ``cagr``, ``active_return`` with a trade costing `COST_STEPS_BP` in all."""
    parts = []
    per_year = marks_per_year(dates)
    for cost_bp in COST_STEPS_BP:
        commission = min(COMMISSION_BP, cost_bp)
        done = traded.accounts(
            replace(traded.costs, commission_bp=commission, slippage_bp=cost_bp - commission, impact=0.0)
        )
        curves = np.hstack([np.ones((len(done.equity_usd), 1)), done.equity_usd / traded.capital_usd])
        returns = curves[:, 1:] / curves[:, :-1] - 1.0
        rows = performance_rows(dates, curves[:-1])
        parts.append(
            pl.DataFrame(
                {
                    "entrant": traded.entrants,
                    "cost_bp": cost_bp,
                    "sharpe": rows["sharpe"],
                    "cagr": rows["cagr"],
                    "active_return": (returns[:-1] - returns[-1]).mean(axis=1) * per_year,
                }
            )
        )
    return pl.concat(parts)
