"""Statistics of the daily returns: moments, memory, and the distance from their mean."""

from __future__ import annotations

import polars as pl

from openbell.core.declare import feature
from openbell.quant.expressions import (
    annualised,
    change,
    close,
    correlation,
    highest,
    kurtosis,
    log_return,
    log_returns,
    lowest,
    ratio,
    skewness,
    sma,
    standard_deviation,
    zscore,
)


@feature(unit="log fraction per session", name="return_mean_{window}", over={"window": (30, 75)})
def return_mean(window: int) -> pl.Expr:
    """Mean daily log return of the window.

    References
    ----------
    Campbell, Lo and MacKinlay (1997), The Econometrics of Financial Markets, chapter 2.
    """
    return sma(log_return, window)


@feature(unit="ratio per year", name="rolling_sharpe_{window}", over={"window": (20, 50, 100)})
def rolling_sharpe(window: int) -> pl.Expr:
    """Mean over standard deviation of the daily log returns of the window, annualised, without a riskless rate.

    References
    ----------
    Sharpe (1994), Journal of Portfolio Management 21, 49-58.
    """
    return annualised(ratio(sma(log_return, window), standard_deviation(log_return, window)))


@feature(unit="moment ratio", name="return_skew_{window}", over={"window": (20, 100)})
def return_skew(window: int) -> pl.Expr:
    """Skewness of the daily log returns of the window: ``m3 / m2^1.5``.

    References
    ----------
    Amaya, Christoffersen, Jacobs and Vasquez (2015), Journal of Financial Economics 118, 135-167.
    """
    return skewness(log_return, window)


@feature(unit="moment ratio", name="return_kurtosis_{window}", over={"window": (20, 100)})
def return_kurtosis(window: int) -> pl.Expr:
    """Excess kurtosis of the daily log returns of the window: ``m4 / m2^2 - 3``.

    References
    ----------
    Amaya, Christoffersen, Jacobs and Vasquez (2015), Journal of Financial Economics 118, 135-167.
    """
    return kurtosis(log_return, window)


@feature(unit="correlation", name="autocorrelation_{window}", over={"window": (50, 100)})
def autocorrelation(window: int) -> pl.Expr:
    """Correlation of the daily log return with that of the session before, over the window.

    References
    ----------
    Lo and MacKinlay (1988), Review of Financial Studies 1, 41-66.
    """
    return correlation(log_return, log_return.shift(1), window)


@feature(unit="ratio")
def variance_ratio_5_100() -> pl.Expr:
    """Variance of 5-session returns over 5 times that of daily ones, 100 sessions: above 1 in trends.

    References
    ----------
    Lo and MacKinlay (1988), Review of Financial Studies 1, 41-66.
    """
    return ratio(log_returns(5).rolling_var(100), 5.0 * log_return.rolling_var(100))


@feature(unit="standard deviations", name="return_zscore_{window}", over={"window": (20, 50)})
def return_zscore(window: int) -> pl.Expr:
    """How many standard deviations of the window today's log return lies from their mean.

    References
    ----------
    Lehmann (1990), Quarterly Journal of Economics 105, 1-28.
    """
    return zscore(log_return, window)


@feature(unit="standard deviations", name="price_zscore_{window}", over={"window": (20, 50)})
def price_zscore(window: int) -> pl.Expr:
    """How many standard deviations of the window the close lies from its mean.

    References
    ----------
    Bollinger (2001), Bollinger on Bollinger Bands.
    """
    return zscore(close, window)


@feature(unit="share")
def up_day_share_20() -> pl.Expr:
    """Share of the last 20 sessions that closed above the one before.

    References
    ----------
    Da, Gurun and Warachka (2014), Review of Financial Studies 27, 2171-2218.
    """
    return sma(pl.when(change.is_not_null()).then((change > 0).cast(pl.Float64)), 20)


@feature(unit="log fraction")
def max_return_20() -> pl.Expr:
    """Largest daily log return of 20 sessions.

    References
    ----------
    Bali, Cakici and Whitelaw (2011), Journal of Financial Economics 99, 427-446.
    """
    return highest(log_return, 20)


@feature(unit="log fraction")
def min_return_20() -> pl.Expr:
    """Smallest daily log return of 20 sessions.

    References
    ----------
    Bali, Cakici and Whitelaw (2011), Journal of Financial Economics 99, 427-446.
    """
    return lowest(log_return, 20)


@feature(unit="share in [-1, 1]")
def information_discreteness_100() -> pl.Expr:
    """Sign of the return of 100 sessions times the share of falling less that of rising sessions.

    Low where a move came in many small steps, high where it came in a few jumps.

    References
    ----------
    Da, Gurun and Warachka (2014), Review of Financial Studies 27, 2171-2218.
    """
    return -1.0 * log_returns(100).sign() * sma(log_return.sign(), 100)
