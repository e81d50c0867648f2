"""Momentum: how far a price has come, over windows from a day to a year."""

from __future__ import annotations

import polars as pl

from openbell.core.declare import feature
from openbell.quant.expressions import close, log_return, log_returns, ratio, returns, standard_deviation

WINDOWS = (5, 10, 20, 50, 100, 200)


@feature(unit="fraction", name="return_{window}d", over={"window": (1, 3, *WINDOWS)})
def simple_return(window: int) -> pl.Expr:
    """Return over the window: ``close_t / close_{t-n} - 1``, distributions included.

    References
    ----------
    Jegadeesh and Titman (1993), Journal of Finance 48, 65-91.
    """
    return returns(window)


@feature(unit="log fraction", name="log_return_{window}d", over={"window": (60, 150)})
def log_momentum(window: int) -> pl.Expr:
    """Log return over the window: ``ln(close_t / close_{t-n})``.

    References
    ----------
    Campbell, Lo and MacKinlay (1997), The Econometrics of Financial Markets, section 1.4.
    """
    return log_returns(window)


@feature(unit="fraction")
def momentum_12_1() -> pl.Expr:
    """Return over twelve months less the last one: ``close_{t-21} / close_{t-252} - 1``.

    References
    ----------
    Jegadeesh and Titman (1993), Journal of Finance 48, 65-91.
    """
    return ratio(close.shift(21), close.shift(252)) - 1.0


@feature(unit="fraction")
def momentum_6_1() -> pl.Expr:
    """Return over six months less the last one: ``close_{t-21} / close_{t-126} - 1``.

    References
    ----------
    Jegadeesh and Titman (1993), Journal of Finance 48, 65-91.
    """
    return ratio(close.shift(21), close.shift(126)) - 1.0


@feature(unit="standard deviations", name="momentum_to_volatility_{window}", over={"window": (20, 200)})
def momentum_to_volatility(window: int) -> pl.Expr:
    """Log return over the window in units of the volatility of 100 sessions: ``ln(c_t / c_{t-n}) / (std_100 sqrt(n))``.

    References
    ----------
    Barroso and Santa-Clara (2015), Journal of Financial Economics 116, 111-120.
    """
    return ratio(log_returns(window), standard_deviation(log_return, 100) * float(window) ** 0.5)


@feature(unit="fraction")
def momentum_acceleration_20() -> pl.Expr:
    """Return of the last 20 sessions less that of the 20 before.

    References
    ----------
    Gettleman and Marks (2006), Acceleration Strategies.
    """
    return returns(20) - returns(20).shift(20)


@feature(unit="share in [-1, 1]")
def momentum_consensus() -> pl.Expr:
    """Mean sign of the returns over 5, 10, 20, 50, 100 and 200 sessions: 1 where all rose, -1 where all fell.

    References
    ----------
    Moskowitz, Ooi and Pedersen (2012), Journal of Financial Economics 104, 228-250 (the sign of past returns).
    """
    signs = [returns(window).sign() for window in WINDOWS]
    agreed = signs[0]
    for sign in signs[1:]:
        agreed = agreed + sign
    return agreed / float(len(WINDOWS))
