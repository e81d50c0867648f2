"""Regimes of one name: the state of its trend, its volatility and its volume, and how long it has lasted."""

from __future__ import annotations

import polars as pl

from openbell.core.declare import feature
from openbell.quant.expressions import (
    banded,
    close,
    highest,
    log_return,
    ratio,
    returns,
    rows_since,
    standard_deviation,
)
from openbell.quant.indicators import hv_rank_252
from openbell.quant.states import trend_state, volume_state

_volatility = banded(hv_rank_252, (25.0, 40.0, 60.0, 75.0))


@feature(unit="0 to 4")
def trend_regime() -> pl.Expr:
    """0 strong fall, 1 fall, 2 none, 3 rise, 4 strong rise.

    2 where ADX14 < 20. Else the side of the larger directional indicator; strong where ADX14 >= 25 and the MACD line
    has the same sign.

    References
    ----------
    Wilder (1978), New Concepts in Technical Trading Systems.
    """
    return trend_state + 0.0


@feature(unit="0 to 4")
def hv_regime() -> pl.Expr:
    """Rank of the 20-session volatility in its 252-session range, in bands at 25, 40, 60 and 75: 0 calm to 4 wild.

    References
    ----------
    Sinclair (2013), Volatility Trading, chapter 3.
    """
    return _volatility


@feature(unit="0 to 2")
def volume_regime() -> pl.Expr:
    """0 where the volume is under 0.8 of its 20-session mean, 2 over 1.5 of it, else 1.

    References
    ----------
    Gervais, Kaniel and Mingelgrin (2001), Journal of Finance 56, 877-919.
    """
    return volume_state


@feature(unit="0 to 74")
def hv_combined_state() -> pl.Expr:
    """``15 trend + 3 volatility + volume``: one number for the three regimes, volatility being historical.

    References
    ----------
    Wilder (1978), New Concepts in Technical Trading Systems.
    """
    return 15.0 * trend_state + 3.0 * _volatility + volume_state


@feature(unit="sessions, at most 60")
def days_since_regime_change() -> pl.Expr:
    """Sessions since the trend regime last changed, 0 on the day of the change, at most 60.

    References
    ----------
    Wilder (1978), New Concepts in Technical Trading Systems.
    """
    return pl.when(trend_state.is_not_null()).then(rows_since(trend_state != trend_state.shift(1), 60))


@feature(unit="0 or 1")
def crisis_indicator() -> pl.Expr:
    """1 where the drawdown from the 200-session high exceeds 20 % and volatility of 20 exceeds 1.5 times that of 100.

    References
    ----------
    Pagan and Sossounov (2003), Journal of Applied Econometrics 18, 23-46 (the 20 % rule of a bear market).
    """
    drawdown = ratio(close, highest(close, 200)) - 1.0
    wilder = ratio(standard_deviation(log_return, 20), standard_deviation(log_return, 100))
    # Without both there is no answer: "false and unknown" would otherwise count as false.
    return pl.when((drawdown + wilder).is_not_null()).then(((drawdown < -0.20) & (wilder > 1.5)).cast(pl.Float64))


@feature(unit="0 or 1")
def recovery_indicator() -> pl.Expr:
    """1 where the drawdown from the 200-session high exceeds 10 % and the last 20 sessions rose by over 5 %.

    References
    ----------
    Pagan and Sossounov (2003), Journal of Applied Econometrics 18, 23-46.
    """
    drawdown = ratio(close, highest(close, 200)) - 1.0
    risen = returns(20)
    return pl.when((drawdown + risen).is_not_null()).then(((drawdown < -0.10) & (risen > 0.05)).cast(pl.Float64))
