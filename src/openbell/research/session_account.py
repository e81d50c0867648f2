"""The account of the session desk: positions booked after costs, what they were worth, and at other costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from openbell.core.errors import BadInput
from openbell.quant.day_blocks import DayBlocks, ratio
from openbell.quant.intervals import Estimate
from openbell.quant.measures import CONSTANT, SESSIONS_PER_YEAR
from openbell.research.session_trades import Followed

#: Multiples of the costs at which the account is shown.
MULTIPLES = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)
_BP = 1e-4


def growth(returns: np.ndarray) -> np.ndarray:
    """What 1 has become after each return, shape (n,); 0 from the first one on that takes all there is."""
    factors = 1.0 + np.asarray(returns, dtype=np.float64)
    alive = np.minimum.accumulate(factors) > 0.0
    return np.asarray(np.cumprod(np.where(alive, factors, 0.0)))


def booked(
    found: Followed, regimes: pl.DataFrame, *, bp: float, capital_usd: float
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Trades and days of `found` in the columns of `session_backtest.SessionBacktest`.

    `regimes` : ``session regime`` of every day. `bp` : cost of each side, of the traded value.
    """
    days = (
        found.days.select("session", "call", "side")
        .join(regimes, on="session", how="left", maintain_order="left")
        .join(found.trades.select("session", "gross_return", "traded"), on="session", how="left", maintain_order="left")
        .with_columns(pl.col("gross_return", "traded").fill_null(0.0))
    )
    daily = _charged(days, bp, capital_usd)
    beside = daily.select("session", "regime", "cost", "return", pl.col("_before").alias("notional_usd"))
    trades = found.trades.select(
        "symbol", "session", "as_of", "call", "confidence", "side", "entry_at", "entry_price", "stop", "left_at",
        "exit_price", "reason", "gross_return", "traded",
    ).join(beside, on="session", how="left", maintain_order="left")  # fmt: skip
    return _in_usd(trades), daily.drop("_before")


def _charged(days: pl.DataFrame, bp: float, capital_usd: float) -> pl.DataFrame:
    """`days` with ``cost``, ``return``, ``equity_usd`` after each, and what there was before it."""
    cost = (pl.col("traded") * bp * _BP).alias("cost")
    net = days.with_columns(cost).with_columns((pl.col("gross_return") - pl.col("cost")).alias("return"))
    value = growth(net["return"].to_numpy()) * capital_usd
    return net.with_columns(
        pl.Series("equity_usd", value), pl.Series("_before", np.concatenate([[capital_usd], value[:-1]]))
    )


def _in_usd(trades: pl.DataFrame) -> pl.DataFrame:
    """Amounts beside the returns; what came after an account was lost was not traded."""
    usd = [(pl.col("notional_usd") * pl.col(name)).alias(f"{to}_usd") for name, to in
           (("return", "profit"), ("cost", "cost"))]  # fmt: skip
    return trades.filter(pl.col("notional_usd") > 0).with_columns(usd)


def with_costs(trades: pl.DataFrame, daily: pl.DataFrame, bp: float) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The same trades and days as if each side had cost `bp` basis points of what was traded; no bar is looked at.

    Parameters
    ----------
    trades, daily : of a `session_backtest.SessionBacktest`. bp : commission and slippage together, 0 or above.

    Returns
    -------
    trades, daily : with ``cost``, ``return`` and the amounts in USD anew. Linear in the number of sessions.
    """
    if not bp >= 0:
        raise BadInput(f"Costs must be 0 or above; were {bp} bp.")
    first = daily.row(0, named=True)
    capital = first["equity_usd"] / (1.0 + first["return"])
    again = _charged(daily.drop("cost", "return", "equity_usd"), bp, capital)
    beside = again.select("session", "cost", "return", pl.col("_before").alias("notional_usd"))
    kept = trades.drop("cost", "return", "notional_usd", "profit_usd", "cost_usd")
    changed = kept.join(beside, on="session", how="left", maintain_order="left")
    return _in_usd(changed).select(trades.columns), again.drop("_before").select(daily.columns)


def cost_table(
    trades: pl.DataFrame,
    daily: pl.DataFrame,
    bp: float,
    *,
    blocks: DayBlocks,
    multiples: Sequence[float] = MULTIPLES,
) -> pl.DataFrame:
    """What the account would have been worth at multiples of `bp`, the costs of each side.

    Returns
    -------
    polars.DataFrame
        ``multiple``, ``bp``, ``total_return``, ``mean_return`` (of a trade), ``sharpe`` with ``_low`` and ``_high``,
        ``cost_usd``; ``multiple`` 1 is what was asked for. Null where nothing was traded.
    """
    rows = []
    for multiple in multiples:
        own_trades, own = with_costs(trades, daily, multiple * bp)
        ratio_of = sharpe_estimate(blocks, own["return"].to_numpy())
        rows.append((multiple, multiple * bp, float(growth(own["return"].to_numpy())[-1] - 1.0),
                     own_trades["return"].mean(), ratio_of.value, ratio_of.low, ratio_of.high,
                     float(own_trades["cost_usd"].sum())))  # fmt: skip
    names = ("multiple", "bp", "total_return", "mean_return", "sharpe", "sharpe_low", "sharpe_high", "cost_usd")
    return pl.DataFrame(rows, schema=dict.fromkeys(names, pl.Float64), orient="row")


def sharpe_estimate(blocks: DayBlocks, returns: np.ndarray) -> Estimate:
    """Sharpe ratio over a rate of 0 of daily returns, times the root of 252, with its interval; None of a constant.

    References
    ----------
    Sharpe (1994), Journal of Portfolio Management 21, 49-58.
    """
    r = np.asarray(returns, dtype=np.float64)
    return blocks.statistic(blocks.sums(np.column_stack([r, r * r, np.ones(len(r))])), _sharpe)


def _sharpe(sums: np.ndarray) -> np.ndarray:
    total, squares, n = sums.T
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = total / n
        deviation = np.sqrt(np.maximum(squares - n * mean * mean, 0.0) / (n - 1.0))
        found = mean / deviation * np.sqrt(SESSIONS_PER_YEAR)
    return np.where((n > 1) & (deviation > CONSTANT), found, np.nan)


def trade_measures(daily: pl.DataFrame, blocks: DayBlocks) -> dict[str, Estimate]:
    """Measures of the trades, each with its interval from resampled sessions.

    Parameters
    ----------
    daily : of a back-test. blocks : of its sessions.

    Returns
    -------
    dict of Estimate
        Over trades: ``win_rate`` (share with a return above 0 after costs), ``mean_return``, ``profit_factor`` (sum of
        gains over sum of losses; None without a loss). Over sessions: ``exposure`` (share with a position),
        ``turnover_annual`` (value traded one way over the account, a year of 252 sessions), ``cost_annual`` (of the
        account). None where nothing was traded, and without bounds where there are too few of what is counted.
    """
    traded = (daily["side"] != 0).to_numpy()
    r = daily["return"].to_numpy()
    gains, losses, one = np.maximum(r, 0.0) * traded, np.maximum(-r, 0.0) * traded, np.ones(len(r))
    if not traded.any():
        none = blocks.statistic(blocks.sums(np.zeros((len(r), 2))), ratio)
        return dict.fromkeys(
            ("win_rate", "mean_return", "profit_factor", "exposure", "turnover_annual", "cost_annual"), none
        )
    mine = blocks.part(traded)
    of_trades = {"win_rate": ((r > 0) & traded, traded), "mean_return": (r * traded, traded),
                 "profit_factor": (gains, losses)}  # fmt: skip
    year = SESSIONS_PER_YEAR
    of_days = {
        "exposure": (traded * 1.0, one),
        "turnover_annual": (daily["traded"].to_numpy() / 2.0 * year, one),
        "cost_annual": (daily["cost"].to_numpy() * year, one),
    }
    found = {name: _ratio(mine, a[traded], b[traded]) for name, (a, b) in of_trades.items()}
    return {**found, **{name: _ratio(blocks, a, b) for name, (a, b) in of_days.items()}}


def _ratio(blocks: DayBlocks, above: np.ndarray, below: np.ndarray) -> Estimate:
    of: Callable[[np.ndarray], np.ndarray] = ratio
    return replace(blocks.statistic(blocks.sums(np.column_stack([above, below]).astype(np.float64)), of), n=len(above))
