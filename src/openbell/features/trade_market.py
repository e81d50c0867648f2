"""The market of a trade's underlying as of its session's open: what the close of the session before had made known.

The columns come from `research.trade_features.market_columns`, joined by the session before the trade's. They are the
same for all trades of a day and name the day: a split that puts trades of one day on both sides lets a model look the
close up.
"""

from __future__ import annotations

import polars as pl

from openbell.core.declare import feature
from openbell.quant.expressions import banded, ratio
from openbell.quant.trade_expressions import price

#: Edges between the regimes of the volatility index, points. Of the two sets in use (15/20/25 and 12/20/30) this one:
#: its regimes are nearest to quarters of the days since 1990 (quartiles about 14, 18 and 23), where the other's outer
#: two are nearly empty.
VIX_EDGES = (15.0, 20.0, 25.0)

_vix = pl.col("vix")


@feature(reads="trades", unit="fraction")
def price_vs_previous_close() -> pl.Expr:
    """Price over the close of the session before, less 1.

    References
    ----------
    Heston, Korajczyk and Sadka (2010), Intraday patterns in the cross-section of stock returns, Journal of Finance 65.
    """
    return ratio(price, pl.col("previous_close")) - 1.0


@feature(reads="trades", unit="fraction")
def close_vs_sma20_at_open() -> pl.Expr:
    """Close of the session before over the mean of its last 20, less 1.

    References
    ----------
    Brock, Lakonishok and LeBaron (1992), Journal of Finance 47, 1731-1764.
    """
    return ratio(pl.col("previous_close"), pl.col("sma20")) - 1.0


@feature(reads="trades", unit="fraction")
def momentum5_at_open() -> pl.Expr:
    """Return over the five sessions before.

    References
    ----------
    Jegadeesh (1990), Journal of Finance 45, 881-898.
    """
    return pl.col("momentum5") + 0.0


@feature(reads="trades", unit="per year")
def volatility20_at_open() -> pl.Expr:
    """Standard deviation of the daily log returns of the 20 sessions before, per year.

    References
    ----------
    Andersen and Bollerslev (1998), International Economic Review 39, 885-905.
    """
    return pl.col("volatility20") + 0.0


@feature(reads="trades", unit="index 0 to 100")
def rsi14_at_open() -> pl.Expr:
    """Wilder's relative strength index of 14 sessions, of the session before.

    References
    ----------
    Wilder (1978), New Concepts in Technical Trading Systems.
    """
    return pl.col("rsi14") + 0.0


@feature(reads="trades", unit="share of the range")
def price_position_at_open() -> pl.Expr:
    """Where the close of the session before lies in the range of its last 20 sessions: 0 at the low, 1 at the high.

    References
    ----------
    Lane (1984), Lane's stochastics, Technical Analysis of Stocks and Commodities 2.
    """
    return pl.col("price_position") + 0.0


@feature(reads="trades", unit="fraction")
def iv_vs_realised() -> pl.Expr:
    """Implied volatility of the trade over the realised one of the 20 sessions before, less 1.

    References
    ----------
    Carr and Wu (2009), Variance risk premiums, Review of Financial Studies 22, 1311-1341.
    """
    return ratio(pl.col("atm_iv"), pl.col("volatility20")) - 1.0


@feature(reads="trades", unit="points")
def vix_at_open() -> pl.Expr:
    """Volatility index at the close of the session before.

    References
    ----------
    Whaley (2009), Journal of Portfolio Management 35, 98-105.
    """
    return _vix + 0.0


@feature(reads="trades", unit="fraction")
def vix_vs_sma20_at_open() -> pl.Expr:
    """Volatility index of the session before over the mean of its last 20 closes, less 1.

    References
    ----------
    Whaley (2009), Journal of Portfolio Management 35, 98-105.
    """
    return ratio(_vix, pl.col("vix_sma20")) - 1.0


@feature(reads="trades", unit="points")
def vix_change_at_open() -> pl.Expr:
    """Change of the volatility index in the session before.

    References
    ----------
    Whaley (2009), Journal of Portfolio Management 35, 98-105.
    """
    return pl.col("vix_change") + 0.0


@feature(reads="trades", unit="regime 0 to 3")
def vix_regime_at_open() -> pl.Expr:
    """How many of 15, 20 and 25 lie below the volatility index of the session before.

    References
    ----------
    Whaley (2009), Journal of Portfolio Management 35, 98-105.
    """
    return pl.when(_vix.is_not_null()).then(banded(_vix, VIX_EDGES))
