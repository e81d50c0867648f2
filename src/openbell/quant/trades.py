"""Whole-share trades from target weights, that cash can pay for."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import polars as pl
from numpy.typing import NDArray

from openbell.core.errors import BadInput
from openbell.core.types import TRADE_SCHEMA, Book
from openbell.quant.costs import COMMISSION_BP, SLIPPAGE_BP, cost_rate, trade_costs
from openbell.quant.exposures import account_usd, priced

MIN_TRADE_USD = 100.0
MAX_VOLUME_PCT = 0.05

#: A target of 7 shares less a rounding error of floating point is 7 shares, not 6.
_WHOLE = 1e-9


def affordable(
    shares: NDArray[np.int64],
    prices_usd: NDArray[np.float64],
    cash_usd: float,
    *,
    commission_bp: float = COMMISSION_BP,
    slippage_bp: float = SLIPPAGE_BP,
) -> NDArray[np.int64]:
    """Purchases that cash can pay for, costs included: all of them, or every one cut by the same fraction.

    Parameters
    ----------
    shares, prices_usd : whole shares to buy and their prices, shape (n,).
    cash_usd : what may be spent; below 0 nothing is bought.

    Returns
    -------
    ndarray of int64, shape (n,)
        ``floor(shares * min(1, cash / cost of all))``: their cost never exceeds `cash_usd`.
    """
    # The last factor keeps the promise whatever order the fills are later summed in.
    needed = float((shares * prices_usd).sum()) * (1.0 + cost_rate(commission_bp, slippage_bp)) * (1.0 + 1e-12)
    fraction = 1.0 if needed <= cash_usd else max(cash_usd, 0.0) / needed
    bought: NDArray[np.int64] = np.floor(shares * fraction).astype(np.int64)
    return bought


def whole_share_trades(
    targets: Mapping[str, float],
    book: Book,
    names: pl.DataFrame,
    *,
    min_trade_usd: float = MIN_TRADE_USD,
    commission_bp: float = COMMISSION_BP,
    slippage_bp: float = SLIPPAGE_BP,
    max_volume_pct: float = MAX_VOLUME_PCT,
) -> pl.DataFrame:
    """Trades that bring `book` to `targets` in whole shares, sales before purchases (S2.07).

    Parameters
    ----------
    targets : symbol to weight of the account, 0 or more, summing to at most 1; a held name that is absent is sold.
    book : cash and whole shares held.
    names : as `core.types.Market.names`; ``symbol``, ``price_usd`` and ``volume_shares`` are read.
    min_trade_usd : a smaller trade is left out, except a sale that empties a position.
    commission_bp, slippage_bp : see `quant.costs.trade_costs`.
    max_volume_pct : share of the mean daily volume above which ``liquidity_warning`` is set.

    Returns
    -------
    DataFrame of `core.types.TRADE_SCHEMA`, sales first, each side by symbol
        Target shares are rounded down, so a weight never ends above its target; cash after all trades and costs is
        never negative (purchases are cut by one common fraction where it would be). ``volume_pct`` and
        ``liquidity_warning`` are null where there is no volume. Prices are the last closes known.

    Raises
    ------
    BadInput
        A target that is negative or not finite, or targets that sum to more than 1.
    DataMissing
        A held or wanted name without a price.
    """
    _check(targets, min_trade_usd)
    rows = priced(targets, book, names)
    value = account_usd(rows, book)
    if not value > 0:
        raise BadInput(f"The account must be worth more than 0 USD to be traded; was {value:.2f}.")
    shares = _signed_shares(rows, book.cash_usd, value, min_trade_usd, commission_bp, slippage_bp)
    return _listed(rows.with_columns(pl.Series("signed", shares)), value, commission_bp, slippage_bp, max_volume_pct)


def _signed_shares(
    rows: pl.DataFrame, cash: float, value: float, min_trade_usd: float, commission_bp: float, slippage_bp: float
) -> NDArray[np.int64]:
    price = rows["price"].to_numpy()
    current = rows["current_shares"].to_numpy()
    wanted = np.floor(rows["target_weight"].to_numpy() * value / price * (1.0 + 1e-12) + _WHOLE).astype(np.int64)
    shares = _large_enough(wanted - current, current, price, min_trade_usd)
    sales = np.where(shares < 0, shares, 0)
    proceeds = float((-sales * price).sum()) * (1.0 - cost_rate(commission_bp, slippage_bp))
    bought = affordable(
        np.where(shares > 0, shares, 0),
        price,
        cash + proceeds,
        commission_bp=commission_bp,
        slippage_bp=slippage_bp,
    )
    return _large_enough(sales + bought, current, price, min_trade_usd)


def _large_enough(
    shares: NDArray[np.int64], current: NDArray[np.int64], price: NDArray[np.float64], min_trade_usd: float
) -> NDArray[np.int64]:
    leaves = (shares < 0) & (shares == -current)
    return np.where((np.abs(shares) * price >= min_trade_usd) | leaves, shares, 0)


def _listed(
    rows: pl.DataFrame, value: float, commission_bp: float, slippage_bp: float, max_volume_pct: float
) -> pl.DataFrame:
    rows = rows.filter(pl.col("signed") != 0).with_columns(
        pl.col("signed").abs().alias("shares"), (pl.col("signed").abs() * pl.col("price")).alias("notional")
    )
    commission, slippage = trade_costs(rows["notional"].to_numpy(), commission_bp, slippage_bp)
    volume = pl.col("volume_shares") if "volume_shares" in rows.columns else pl.lit(None, dtype=pl.Float64)
    return (
        rows.with_columns(
            pl.when(pl.col("signed") > 0).then(pl.lit("BUY")).otherwise(pl.lit("SELL")).alias("side"),
            (pl.col("signed") * pl.col("price") / value).alias("weight_change"),
            (pl.col("current_shares") + pl.col("signed")).alias("target_shares"),
            pl.Series("commission_est", commission, dtype=pl.Float64),
            pl.Series("slippage_est", slippage, dtype=pl.Float64),
            pl.when(volume > 0).then(pl.col("shares") / volume).alias("volume_pct"),
        )
        .with_columns(
            (pl.col("commission_est") + pl.col("slippage_est")).alias("total_cost_est"),
            (pl.col("volume_pct") > max_volume_pct).alias("liquidity_warning"),
        )
        .sort("side", "symbol", descending=[True, False])
        .select(pl.col(name).cast(kind) for name, kind in TRADE_SCHEMA.items())
    )


def _check(targets: Mapping[str, float], min_trade_usd: float) -> None:
    wrong = sorted(symbol for symbol, weight in targets.items() if not (math.isfinite(weight) and weight >= 0))
    if wrong:
        raise BadInput(
            f"A target weight must be a finite number of 0 or more; that of {wrong[0]} was {targets[wrong[0]]}."
        )
    total = math.fsum(targets.values())
    if total > 1.0 + 1e-9:
        raise BadInput(f"The target weights must sum to at most 1 (the rest is cash); they sum to {total:.6f}.")
    if not min_trade_usd >= 0:
        raise BadInput(f"`min_trade_usd` must be 0 or more; was {min_trade_usd}.")
