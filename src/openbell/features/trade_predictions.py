"""What was predicted beside a proposed trade: delta levels, targets, a predicted close, against price and breakevens.

Short-term and long-term numbers come as price levels or as scores between -1 and 1; each row says which by its size
(`quant.trade_expressions`), and what is made of levels is null for scores. Differences are in implied moves, not in
points, because underlyings from 250 to 7,000 points are pooled. A missing prediction is null, and so is all that is
made of it: an unknown is not an agreement.
"""

from __future__ import annotations

import polars as pl

from openbell.core.declare import feature
from openbell.quant.trade_expressions import as_level, as_score, margin, price, tilt, within_moves

_short, _long = as_level("short_term"), as_level("long_term")
_predicted = pl.col("predicted")
_call, _put = as_score("call_delta"), as_score("put_delta")


@feature(reads="trades", unit="flag")
def has_delta_data() -> pl.Expr:
    """1 where a short-term number stands beside the trade, 0 where none does.

    References
    ----------
    Rubin (1976), Inference and missing data, Biometrika 63, 581-592.
    """
    return pl.col("short_term").is_not_null().cast(pl.Float64)


@feature(reads="trades", unit="implied moves")
def short_long_spread() -> pl.Expr:
    """Short-term less long-term level.

    References
    ----------
    Murphy (1999), Technical Analysis of the Financial Markets, chapter 9.
    """
    return within_moves(_short - _long)


@feature(reads="trades", unit="ratio")
def short_long_ratio() -> pl.Expr:
    """Short-term over long-term level.

    References
    ----------
    Murphy (1999), Technical Analysis of the Financial Markets, chapter 9.
    """
    return _short / _long


@feature(reads="trades", unit="percent", name="price_vs_{term}", over={"term": ("short", "long")})
def price_vs_level(term: str) -> pl.Expr:
    """Price less the level of this term, in percent of the price.

    References
    ----------
    Murphy (1999), Technical Analysis of the Financial Markets, chapter 9.
    """
    return (price - as_level(f"{term}_term")) / price * 100.0


@feature(reads="trades", unit="implied moves", name="predicted_vs_{term}", over={"term": ("short", "long")})
def predicted_vs_level(term: str) -> pl.Expr:
    """Predicted close less the level of this term.

    References
    ----------
    Murphy (1999), Technical Analysis of the Financial Markets, chapter 9.
    """
    return within_moves(_predicted - as_level(f"{term}_term"))


@feature(reads="trades", unit="implied moves")
def delta_convergence() -> pl.Expr:
    """How far the short-term and the long-term level lie apart.

    References
    ----------
    Murphy (1999), Technical Analysis of the Financial Markets, chapter 9.
    """
    return within_moves((_short - _long).abs())


@feature(reads="trades", unit="flag")
def predictions_aligned() -> pl.Expr:
    """1 where both levels lie on one side of the price, 0 where they do not; null where either is missing.

    References
    ----------
    Murphy (1999), Technical Analysis of the Financial Markets, chapter 9.
    """
    return ((_short > price) == (_long > price)).cast(pl.Float64)


@feature(reads="trades", unit="implied moves", name="{term}_term_bias", over={"term": ("short", "long")})
def term_bias(term: str) -> pl.Expr:
    """Level of this term less the price; above 0 is up.

    References
    ----------
    Murphy (1999), Technical Analysis of the Financial Markets, chapter 9.
    """
    return within_moves(as_level(f"{term}_term") - price)


@feature(reads="trades", unit="percent")
def term_structure() -> pl.Expr:
    """Long-term less short-term level, in percent of the price.

    References
    ----------
    Murphy (1999), Technical Analysis of the Financial Markets, chapter 9.
    """
    return (_long - _short) / price * 100.0


@feature(reads="trades", unit="score", name="{term}_term_score", over={"term": ("short", "long")})
def term_score(term: str) -> pl.Expr:
    """The number of this term where it is a score from -1 to 1.

    References
    ----------
    Murphy (1999), Technical Analysis of the Financial Markets, chapter 9.
    """
    return as_score(f"{term}_term")


@feature(reads="trades", unit="log-odds", name="{term}_term_tilt", over={"term": ("short", "long")})
def term_tilt(term: str) -> pl.Expr:
    """What the level of this term, were it the mean of the price at expiry, adds to the log-odds of a win.

    References
    ----------
    Breeden and Litzenberger (1978), Prices of state-contingent claims implicit in option prices, Journal of Business
    51, 621-651.
    """
    return tilt(as_level(f"{term}_term"))


@feature(reads="trades", unit="log-odds")
def predicted_tilt() -> pl.Expr:
    """What the predicted close, were it the mean of the price at expiry, adds to the log-odds of a win.

    References
    ----------
    Breeden and Litzenberger (1978), Prices of state-contingent claims implicit in option prices, Journal of Business
    51, 621-651.
    """
    return tilt(_predicted)


@feature(reads="trades", unit="implied moves", name="{term}_term_margin", over={"term": ("short", "long")})
def term_margin(term: str) -> pl.Expr:
    """How far the level of this term lies inside the stretch where the trade wins; below 0 outside of it.

    References
    ----------
    Natenberg (2014), Option Volatility and Pricing, 2nd edition, chapter 10.
    """
    return margin(as_level(f"{term}_term"))


@feature(reads="trades", unit="implied moves")
def predicted_margin() -> pl.Expr:
    """How far the predicted close lies inside the stretch where the trade wins; below 0 outside of it.

    References
    ----------
    Natenberg (2014), Option Volatility and Pricing, 2nd edition, chapter 10.
    """
    return margin(_predicted)


@feature(reads="trades", unit="implied moves")
def predicted_vs_price() -> pl.Expr:
    """Predicted close less the price.

    References
    ----------
    Murphy (1999), Technical Analysis of the Financial Markets, chapter 9.
    """
    return within_moves(_predicted - price)


@feature(reads="trades", unit="implied moves", name="distance_to_target{number}", over={"number": (1, 2)})
def distance_to_target(number: int) -> pl.Expr:
    """Target less the price.

    References
    ----------
    Murphy (1999), Technical Analysis of the Financial Markets, chapter 9.
    """
    return within_moves(pl.col(f"target{number}") - price)


@feature(reads="trades", unit="implied moves")
def targets_spread() -> pl.Expr:
    """First less second target.

    References
    ----------
    Murphy (1999), Technical Analysis of the Financial Markets, chapter 9.
    """
    return within_moves(pl.col("target1") - pl.col("target2"))


@feature(reads="trades", unit="implied moves")
def range_ratio() -> pl.Expr:
    """Width of the range that was given beside the trade, high less low.

    References
    ----------
    Parkinson (1980), Journal of Business 53, 61-65.
    """
    return within_moves(pl.col("high") - pl.col("low"))


@feature(reads="trades", unit="deltas")
def call_put_delta_spread() -> pl.Expr:
    """Call delta less put delta; null where a number is none, outside of -1 to 1.

    References
    ----------
    Hull (2018), Options, Futures, and Other Derivatives, chapter 19.
    """
    return _call - _put


@feature(reads="trades", unit="deltas")
def delta_skew() -> pl.Expr:
    """Call delta and put delta together: 0 where they mirror each other.

    References
    ----------
    Xing, Zhang and Zhao (2010), Journal of Financial and Quantitative Analysis 45, 641-662.
    """
    return _call + _put


@feature(reads="trades", unit="implied moves", name="{right}_level_distance", over={"right": ("call", "put")})
def delta_level_distance(right: str) -> pl.Expr:
    """The level of the calls or puts less the price, where the sheet's delta is a price level.

    References
    ----------
    Ni, Pearson and Poteshman (2005), Journal of Financial Economics 78, 49-87 (pinning at expiry).
    """
    return within_moves(as_level(f"{right}_delta") - price)
