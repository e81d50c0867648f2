"""The market around one underlying: its benchmark and its volatility index, on the same sessions."""

from __future__ import annotations

import polars as pl

from openbell.core.declare import feature
from openbell.quant.chain_expressions import benchmark_close, recent_mean, volatility_index
from openbell.quant.expressions import correlation, log_price, log_return, ratio, returns


@feature(reads="days", unit="fraction", name="spy_return_{window}d", over={"window": (1, 5)})
def benchmark_return(window: int) -> pl.Expr:
    """Return of the benchmark (SPY, unless the desk says otherwise) over the window of sessions.

    References
    ----------
    Sharpe (1964), Journal of Finance 19, 425-442.
    """
    return returns(window, benchmark_close)


@feature(reads="days", unit="correlation")
def spy_correlation() -> pl.Expr:
    """Correlation of the daily log returns of the underlying and the benchmark over 30 sessions.

    References
    ----------
    Sharpe (1964), Journal of Finance 19, 425-442.
    """
    logarithm = log_price(benchmark_close)
    return correlation(log_return, logarithm - logarithm.shift(1), 30)


@feature(reads="days", unit="fraction")
def smh_vs_spy() -> pl.Expr:
    """Return of the underlying (in the request: SMH) over five sessions less that of the benchmark.

    References
    ----------
    Sharpe (1964), Journal of Finance 19, 425-442.
    """
    return returns(5) - returns(5, benchmark_close)


@feature(reads="days", unit="points")
def vix_level() -> pl.Expr:
    """Close of the volatility index.

    References
    ----------
    Whaley (2009), Journal of Portfolio Management 35, 98-105.
    """
    return volatility_index + 0.0


@feature(reads="days", unit="points")
def vix_change() -> pl.Expr:
    """Close of the volatility index less that of the session before.

    References
    ----------
    Whaley (2009), Journal of Portfolio Management 35, 98-105.
    """
    return volatility_index - volatility_index.shift(1)


@feature(reads="days", unit="fraction")
def vix_vs_ma20() -> pl.Expr:
    """Volatility index over the mean of its last 20 closes, less 1; one session among them may have none.

    References
    ----------
    Whaley (2009), Journal of Portfolio Management 35, 98-105.
    """
    return pl.when(volatility_index.is_not_null()).then(ratio(volatility_index, recent_mean(volatility_index, 20)) - 1)
