"""The history of implied volatility: where today's stands among the last days that had one, real or modelled.

Windows count days with an implied volatility; up to 5 % of the sessions they span may lack one.
"""

from __future__ import annotations

import polars as pl

from openbell.core.declare import feature
from openbell.quant.chain_expressions import history
from openbell.quant.expressions import banded, highest, lowest, position, ratio, raw_close, sma, standard_deviation
from openbell.quant.indicators import hv_20
from openbell.quant.states import trend_state, volume_state

_iv = pl.col("iv_atm")
_rank = history("iv_rank", 100.0 * position(_iv, lowest(_iv, 252), highest(_iv, 252)), 252)
_lower = history("iv_percentile", (_iv.rolling_rank(252, method="min").cast(pl.Float64) - 1.0) / 2.52, 252)
_deviation = history("iv_deviation", standard_deviation(_iv, 20), 20)
_rising = history("iv_rising", (sma(_iv, 3) > sma(_iv, 3).shift(3)).cast(pl.Float64), 6)
_options = pl.col("total_option_volume")
_unusual = history("unusual_activity", (_options > 2.0 * sma(_options, 20)).cast(pl.Float64), 20)
_regime = banded(_rank, (25.0, 40.0, 60.0, 75.0))


@feature(reads="days", unit="0 to 100")
def iv_rank() -> pl.Expr:
    """Where the 30-day implied volatility lies in its range of 252 days: ``100 (iv - min) / (max - min)``.

    References
    ----------
    Sinclair (2013), Volatility Trading, chapter 3.
    """
    return _rank + 0.0


@feature(reads="days", unit="0 to 100")
def iv_percentile() -> pl.Expr:
    """Share of the last 252 days, today's included, whose implied volatility was lower, times 100.

    References
    ----------
    Sinclair (2013), Volatility Trading, chapter 3.
    """
    return _lower + 0.0


@feature(reads="days", unit="ratio")
def hv_iv_ratio() -> pl.Expr:
    """Historical volatility of 20 sessions over the 30-day implied one; under 1 where options are dear.

    References
    ----------
    Goyal and Saretto (2009), Journal of Financial Economics 94, 310-326.
    """
    return ratio(hv_20, _iv)


@feature(reads="days", unit="per year")
def vol_of_vol() -> pl.Expr:
    """Sample standard deviation of the last 20 implied volatilities.

    References
    ----------
    Baltussen, van Bekkum and van der Grient (2018), Journal of Financial and Quantitative Analysis 53, 1615-1651.
    """
    return _deviation + 0.0


@feature(reads="days", unit="0 or 1")
def volatility_trend() -> pl.Expr:
    """1 where the mean implied volatility of the last three days exceeds that of the three before, else 0.

    References
    ----------
    Sinclair (2013), Volatility Trading, chapter 3.
    """
    return _rising + 0.0


@feature(reads="days", unit="0 to 4")
def volatility_regime() -> pl.Expr:
    """Rank of the implied volatility in bands at 25, 40, 60 and 75: 0 calm to 4 wild.

    References
    ----------
    Sinclair (2013), Volatility Trading, chapter 3.
    """
    return _regime + 0.0


@feature(reads="days", unit="0 to 74")
def combined_state() -> pl.Expr:
    """``15 trend + 3 volatility + volume``: one number for the three regimes.

    References
    ----------
    Wilder (1978), New Concepts in Technical Trading Systems.
    """
    return 15.0 * trend_state + 3.0 * _regime + volume_state


@feature(reads="days", unit="0 or 1")
def unusual_activity() -> pl.Expr:
    """1 where the options' volume exceeds twice its mean of 20 days (the day itself included), else 0.

    References
    ----------
    Roll, Schwartz and Subrahmanyam (2010), Journal of Financial Economics 96, 1-17.
    """
    return _unusual + 0.0


@feature(reads="days", unit="fraction of the price")
def distance_to_max_pain() -> pl.Expr:
    """Price less the strike of the least payoff, over the price.

    References
    ----------
    Ni, Pearson and Poteshman (2005), Journal of Financial Economics 78, 49-87.
    """
    return ratio(raw_close - pl.col("max_pain_strike"), raw_close)
