"""What the whole way from labels to an account finds in labels that were shuffled: nothing, or it is broken.

A market is made up in which a feature does know something of what comes. The desk's own walk learns from its labels,
and from the same labels shuffled within each symbol, seed after seed; what each learnt is followed through an account.

    python -m benchmarks.signal_noise
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from openbell.core.declare import discover
from openbell.core.signal import DECISIONS
from openbell.quant.measures import marks_per_year, returns, sharpe
from openbell.quant.signal_account import Rules
from openbell.research.signal_backtest import SIGNALS, Policy, backtest
from openbell.research.signal_models import candidate
from openbell.research.signal_noise import shuffled
from openbell.research.signal_walk import Fitting, walk

FEATURES = ("edge_1d", "noise_1d", "trend_1d")
SMALL = {"xgboost_classifier": {"n_estimators": 12, "max_depth": 3}}
HORIZON, SIGMA = 5, 0.012
#: No costs, no stop and no target within reach: they make a Sharpe ratio worse than 0 where nothing is known.
FREE = Policy(
    Rules(
        horizon_bars=HORIZON, commission_bp=0.0, slippage_bp=0.0, borrow_annual=0.0, max_positions=1000, max_gross=10.0,
    ),
    min_confidence=0.0, require_single=False, barrier=30.0, risk_per_signal=0.05,
)  # fmt: skip
AS_IS = Policy(Rules(horizon_bars=HORIZON), min_confidence=0.0, require_single=False)


class _Everything:
    """A ledger that holds every configuration: nothing is chosen here."""

    def __contains__(self, fingerprint: str) -> bool:
        return True


@dataclass(frozen=True)
class Noise:
    """Sharpe ratios over a risk-free rate of 0: with the true labels, and with the labels of each seed."""

    true: float
    shuffled: np.ndarray

    @property
    def interval(self) -> tuple[float, float]:
        """Of the mean over the seeds, 95 %, by Student's t."""
        from scipy.stats import t

        n = len(self.shuffled)
        half = float(t.ppf(0.975, n - 1) * self.shuffled.std(ddof=1) / np.sqrt(n))
        mean = float(self.shuffled.mean())
        return mean - half, mean + half


def market(symbols: int, sessions: int, *, knows: float = 0.5, seed: int = 0) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Bars of random walks, and decisions on them whose feature ``edge`` knows something of the next bars."""
    rng = np.random.default_rng(seed)
    days = [dt.date(2015, 1, 5) + dt.timedelta(days=at + 2 * (at // 5)) for at in range(sessions)]
    at = pl.Series([dt.datetime.combine(day, dt.time(21), dt.UTC) for day in days], dtype=pl.Datetime("us", "UTC"))
    bars, rows = [], []
    for number in range(symbols):
        begin = 80 * np.exp(np.cumsum(rng.normal(0, SIGMA, sessions)))
        end = begin * np.exp(rng.normal(0, SIGMA / 3, sessions))
        bar = {"symbol": [f"S{number:02d}"] * sessions, "session": days, "at": at, "open": begin,
               "high": np.maximum(begin, end) * 1.002, "low": np.minimum(begin, end) * 0.998, "close": end}  # fmt: skip
        bars.append(pl.DataFrame(bar))
        later = np.full(sessions, np.nan)
        later[: -1 - HORIZON] = np.log(begin[1 + HORIZON :] / begin[1:-HORIZON]) / (SIGMA * np.sqrt(HORIZON))
        edge = knows * np.nan_to_num(later) + rng.normal(size=sessions)
        trend = np.r_[np.zeros(5), np.log(end[5:] / end[:-5])]
        rows.append(_decisions(bar, later, edge, trend, rng))
    return pl.concat(bars), pl.concat(rows).sort("as_of", "symbol")


def _decisions(
    bar: dict[str, object], later: np.ndarray, edge: np.ndarray, trend: np.ndarray, rng: np.random.Generator
) -> pl.DataFrame:
    known = pl.Series(np.isfinite(later))
    label = pl.Series(np.where(later > 0.5, 1, np.where(later < -0.5, -1, 0)), dtype=pl.Int8)
    frame = pl.DataFrame({name: bar[name] for name in ("symbol", "session", "at", "close")}).rename({"at": "as_of"})
    return frame.with_columns(
        pl.lit(SIGMA).alias("sigma"),
        pl.when(known).then(label).alias("label"),
        pl.when(known).then(pl.col("as_of").shift(-1 - HORIZON)).alias("label_known_at"),
        pl.Series("edge_1d", edge), pl.Series("noise_1d", rng.normal(size=len(edge))), pl.Series("trend_1d", trend),
    ).with_columns(pl.col(FEATURES).cast(pl.Float32)).cast(dict(DECISIONS))  # fmt: skip


def sharpe_of(bars: pl.DataFrame, rows: pl.DataFrame, policy: Policy = FREE) -> float:
    """Sharpe ratio, over a rate of 0, of the account that follows what was learnt from `rows`; 0 without a trade."""
    sessions = rows["session"].n_unique()
    given = walk(
        rows, FEATURES, [candidate("xgboost_classifier", discover().models, parameters=SMALL)], ledger=_Everything(),
        min_train_sessions=sessions // 3, refit_sessions=sessions // 3, fitting=Fitting(coverage=0.8),
        min_confidence=policy.min_confidence, require_single=policy.require_single,
    )  # fmt: skip
    found = backtest(given.forecasts, bars, policy, replications=100)
    if found.performance is None:
        return 0.0
    earned = returns(found.equity[SIGNALS].to_numpy())
    return float(sharpe(earned, per_year=marks_per_year(found.sessions), risk_free_annual=0.0))


def noise(*, symbols: int = 6, sessions: int = 360, seeds: int = 20, policy: Policy = FREE) -> Noise:
    """The Sharpe ratio of the true labels, and of labels shuffled `seeds` times."""
    bars, rows = market(symbols, sessions)
    found = [sharpe_of(bars, shuffled(rows, seed), policy) for seed in range(seeds)]
    return Noise(sharpe_of(bars, rows, policy), np.array(found))


def main() -> None:
    """Print both readings."""
    paid = replace(FREE, rules=replace(FREE.rules, commission_bp=1.0, slippage_bp=2.0))
    for name, policy in (("no costs, no stops", FREE), ("costs", paid), ("costs, stops and targets", AS_IS)):
        found = noise(policy=policy)
        low, high = found.interval
        print(
            f"{name}: true labels {found.true:+.2f}; shuffled {found.shuffled.mean():+.2f} ({low:+.2f} to {high:+.2f})"
            f", single seeds {found.shuffled.min():+.2f} to {found.shuffled.max():+.2f}"
        )


if __name__ == "__main__":
    main()
