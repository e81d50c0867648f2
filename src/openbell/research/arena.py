"""Where entrants meet: the markets of a span prepared once, its prices, its costs, and what cash earns."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from openbell.core.view import View
from openbell.research.backtest import Costs, Prices, accounted_days, benchmark_account, equal_weight_targets
from openbell.research.cash import cash_returns
from openbell.research.deciding import Decide
from openbell.research.panel import Progress
from openbell.research.portfolios import Portfolios, Traded, portfolios
from openbell.research.snapshot import (
    FEWEST_RETURNS,
    VOLATILITY_SESSIONS,
    VOLUME_SESSIONS,
    Snapshots,
    is_equal_weight,
    prepared,
)
from openbell.research.targets import Targets, targets


@dataclass(frozen=True, slots=True, eq=False)
class Arena:
    """A span of n sessions with r rebalances.

    Attributes
    ----------
    ready : markets of the rebalances. prices : of every session. rows : session of each rebalance, shape (r,).
    before : session of the first mark. benchmark : its value at every mark, shape (n + 1,). cash : return of cash.
    capital_usd : the account that trades; market impact hangs on it.
    """

    ready: Snapshots
    prices: Prices
    rows: tuple[int, ...]
    before: dt.date
    benchmark: np.ndarray
    cash: np.ndarray
    costs: Costs
    capital_usd: float

    @classmethod
    def prepared(
        cls,
        view: View,
        first: dt.date,
        last: dt.date,
        *,
        every: int,
        universe: str | None,
        benchmark: str,
        lead_minutes: int,
        costs: Costs,
        cash_rate: str = "",
        capital_usd: float = 100_000.0,
    ) -> Arena:
        """The span from the first rebalance at or after `first` to `last`; see `backtest.backtest` for the calendar."""
        days = accounted_days(view, first, last, every)
        rows = tuple(row for row, day in enumerate(days) if view.sessions.index(day) % every == 0)
        ready = prepared(
            view,
            [days[row] for row in rows],
            universe=universe,
            benchmark=benchmark,
            lead_minutes=lead_minutes,
            bars_until=days[-1],
        )
        prices = Prices.read(ready, days)
        if is_equal_weight(ready.benchmark):
            mark = prices.account(equal_weight_targets(ready, prices), rows, capital_usd, costs)
        else:
            mark = benchmark_account(ready, prices, rows[:1], capital_usd, costs)
        return cls(
            ready=ready,
            prices=prices,
            rows=rows,
            before=view.sessions.shift(days[0], -1),
            benchmark=mark.curve_usd / capital_usd,
            cash=cash_returns(view, cash_rate, days),
            costs=costs,
            capital_usd=capital_usd,
        )

    @property
    def sessions(self) -> tuple[dt.date, ...]:
        """The sessions on which a decision is made."""
        return tuple(self.prices.days[row] for row in self.rows)

    def targets(
        self,
        decide: Decide,
        scores: pl.DataFrame,
        models: Sequence[str],
        allocators: Sequence[str],
        *,
        made_of: Any,
        cache: Path | None,
        jobs: int,
        progress: Progress | None,
    ) -> Targets:
        """What every model of `scores` (``session``, ``symbol``, a column each) would hold with every allocator."""
        wanted = scores.filter(pl.col("session").is_in(pl.Series(self.sessions).implode()))
        return targets(
            self.ready,
            decide,
            {name: _by_session(wanted, name) for name in models},
            allocators,
            self.sessions,
            self.prices.symbols,
            jobs=jobs,
            cache=cache,
            made_of=made_of,
            progress=progress,
        )

    def traded(self, held: Targets) -> Traded:
        """The targets of those that did not fail, and of the baseline, with all that trading them takes."""
        failed = set(held.failures["entrant"])
        kept = [at for at, name in enumerate(held.entrants) if name not in failed]
        liquidity = self._liquidity() if self.costs.impact else (None, None)
        return Traded(
            entrants=tuple(held.entrants[at] for at in kept),
            weights=held.weights[[*kept, len(held.entrants)]],
            rows=self.rows,
            prices=self.prices,
            costs=self.costs,
            cash=self.cash,
            capital_usd=self.capital_usd,
            volatility=liquidity[0],
            volume_usd=liquidity[1],
        )

    def portfolios(self, held: Targets, traded: Traded) -> Portfolios:
        """The curves of `traded`."""
        return portfolios(traded, self.before, self.benchmark, held.regimes)

    def _liquidity(self) -> tuple[np.ndarray, np.ndarray]:
        """Daily volatility and traded value of each name before each rebalance, shape (r, m); NaN where unknown."""
        wide = self.ready.wide
        shape = (len(self.rows), len(self.prices.symbols))
        volatility, volume = np.full(shape, np.nan), np.full(shape, np.nan)
        dollars = wide.raw_close * wide.raw_volume
        for at, day in enumerate(self.sessions):
            row = wide.row(day)
            closes = wide.close[max(row - VOLATILITY_SESSIONS - 1, 0) : row]
            with np.errstate(invalid="ignore"):
                returns = closes[1:] / closes[:-1] - 1.0
            enough = np.isfinite(returns).sum(axis=0) >= FEWEST_RETURNS
            volatility[at, enough] = np.nanstd(returns[:, enough], axis=0, ddof=1)
            recent = dollars[max(row - VOLUME_SESSIONS, 0) : row]
            traded = np.isfinite(recent).any(axis=0)
            volume[at, traded] = np.nanmean(recent[:, traded], axis=0)
        return volatility, volume


def _by_session(scores: pl.DataFrame, model: str) -> Mapping[dt.date, pl.DataFrame]:
    rows = scores.select("session", "symbol", pl.col(model).alias("score")).drop_nulls("score")
    parts = rows.partition_by("session", as_dict=True)
    return {key[0]: part.select("symbol", "score") for key, part in parts.items()}
