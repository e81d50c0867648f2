"""Volume: how much is traded, on which side, and at what cost to the price."""

from __future__ import annotations

import polars as pl

from openbell.core.declare import feature
from openbell.quant.expressions import (
    close,
    correlation,
    dollar_volume,
    ema,
    high,
    log_price,
    log_return,
    log_volume,
    low,
    position,
    ratio,
    returns,
    sma,
    total,
    typical_price,
    volume,
    zscore,
)
from openbell.quant.indicators import relative_volume, signed_volume


@feature(unit="ratio")
def volume_vs_avg() -> pl.Expr:
    """Volume over its mean of 20 sessions (the day itself included).

    References
    ----------
    Gervais, Kaniel and Mingelgrin (2001), Journal of Finance 56, 877-919.
    """
    return relative_volume + 0.0


@feature(unit="ratio", name="volume_ratio_{pair[0]}_{pair[1]}", over={"pair": ((5, 20), (20, 100))})
def volume_ratio(pair: tuple[int, int]) -> pl.Expr:
    """Short over long mean volume.

    References
    ----------
    Gervais, Kaniel and Mingelgrin (2001), Journal of Finance 56, 877-919.
    """
    return ratio(sma(volume, pair[0]), sma(volume, pair[1]))


@feature(unit="log fraction", name="volume_change_{window}d", over={"window": (1, 5)})
def volume_change(window: int) -> pl.Expr:
    """Log change of the volume over the window; null where a volume is 0.

    References
    ----------
    Karpoff (1987), Journal of Financial and Quantitative Analysis 22, 109-126.
    """
    return log_volume - log_volume.shift(window)


@feature(unit="standard deviations")
def volume_zscore_20() -> pl.Expr:
    """How many standard deviations of 20 sessions the volume lies from its mean.

    References
    ----------
    Gervais, Kaniel and Mingelgrin (2001), Journal of Finance 56, 877-919.
    """
    return zscore(volume, 20)


@feature(unit="log USD")
def log_dollar_volume_20() -> pl.Expr:
    """Natural logarithm of the mean dollar volume of 20 sessions, of prices and volumes as received.

    References
    ----------
    Brennan, Chordia and Subrahmanyam (1998), Journal of Financial Economics 49, 345-373.
    """
    return log_price(sma(dollar_volume, 20))


@feature(unit="ratio")
def dollar_volume_ratio_5_20() -> pl.Expr:
    """Mean dollar volume of 5 sessions over that of 20.

    References
    ----------
    Chordia, Subrahmanyam and Anshuman (2001), Journal of Financial Economics 59, 3-32.
    """
    return ratio(sma(dollar_volume, 5), sma(dollar_volume, 20))


@feature(unit="share in [-1, 1]")
def obv_ratio_20() -> pl.Expr:
    """Signed volume of 20 sessions over their volume: on-balance volume's change, free of the scale of the name.

    References
    ----------
    Granville (1963), Granville's New Key to Stock Market Profits.
    """
    return ratio(total(signed_volume, 20), total(volume, 20))


@feature(unit="share in [-1, 1]")
def obv_trend_20() -> pl.Expr:
    """Signed volume smoothed by an EMA of 20 over the volume smoothed alike.

    References
    ----------
    Granville (1963), Granville's New Key to Stock Market Profits.
    """
    return ratio(ema(signed_volume, 20), ema(volume, 20))


@feature(unit="share in [-1, 1]")
def chaikin_money_flow_20() -> pl.Expr:
    """Volume weighted by where the close lies in the day's range, over the volume, of 20 sessions.

    A day whose high equals its low counts as 0.

    References
    ----------
    Chaikin (1996), in Achelis, Technical Analysis from A to Z.
    """
    place = (
        pl.when(high > low)
        .then(2.0 * position(close, low, high) - 1.0)
        .otherwise(pl.when(high.is_not_null() & low.is_not_null()).then(0.0))
    )
    return ratio(total(place * volume, 20), total(volume, 20))


@feature(unit="fraction")
def vwap_distance_20() -> pl.Expr:
    """Close against the volume-weighted typical price of 20 sessions: ``close / VWAP - 1``.

    References
    ----------
    Berkowitz, Logue and Noser (1988), Journal of Finance 43, 97-112.
    """
    return ratio(close, ratio(total(typical_price * volume, 20), total(volume, 20))) - 1.0


@feature(unit="correlation")
def price_volume_correlation_20() -> pl.Expr:
    """Correlation of daily log returns and log volume over 20 sessions.

    References
    ----------
    Karpoff (1987), Journal of Financial and Quantitative Analysis 22, 109-126.
    """
    return correlation(log_return, log_volume, 20)


@feature(unit="log fraction per million USD")
def amihud_20() -> pl.Expr:
    """Illiquidity: ``ln(1 + mean(|return| / dollar volume in millions))`` over 20 sessions.

    References
    ----------
    Amihud (2002), Journal of Financial Markets 5, 31-56.
    """
    return sma(ratio(returns().abs(), dollar_volume / 1e6), 20).log1p()
