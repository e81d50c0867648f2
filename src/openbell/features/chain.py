"""Option chains: what the quotes of one underlying at one session say. Each is an aggregate over that chain alone.

Volatilities and Greeks are our own, from the quotes' middle, never the vendor's. A contract without one (no two-sided
quote, a price without a solution) adds nothing to a sum of Greeks; how many lack it stands beside the day's features.
"""

from __future__ import annotations

import polars as pl

from openbell.core.declare import feature
from openbell.quant.chain_expressions import at_days, is_call, is_put, nearest_expiry, put_call_ratio, sum_of
from openbell.quant.expressions import ratio

_volume, _interest = pl.col("volume"), pl.col("open_interest")
_unit = _interest * pl.col("multiplier")
#: Days of the expiry whose at-the-money contract gives the Greeks, and how far away it may be.
_GREEK_DAYS, _GREEK_FARTHEST = 30.0, 20.0


@feature(reads="expiries", unit="per year")
def iv_atm() -> pl.Expr:
    """Implied volatility at the forward, 30 calendar days ahead.

    At each expiry it is linear in strike between the nearest out-of-the-money quotes on both sides of the parity
    forward; between the two expiries around 30 days total variance is linear in time.

    References
    ----------
    Cboe (2023), Volatility Index Methodology (interpolation of total variance to 30 days).
    """
    return at_days(pl.col("atm_iv"), 30.0)


@feature(reads="expiries", unit="per year")
def iv_skew() -> pl.Expr:
    """Implied volatility of the 25-delta put less that of the 25-delta call, 30 days ahead, interpolated in delta.

    References
    ----------
    Xing, Zhang and Zhao (2010), Journal of Financial and Quantitative Analysis 45, 641-662.
    """
    return at_days(pl.col("put_iv_25"), 30.0) - at_days(pl.col("call_iv_25"), 30.0)


@feature(reads="expiries", unit="per year")
def iv_term_structure() -> pl.Expr:
    """At-the-forward volatility 30 days ahead less that 90 days ahead; positive where fear is near.

    References
    ----------
    Vasquez (2017), Journal of Financial and Quantitative Analysis 52, 2727-2754.
    """
    return at_days(pl.col("atm_iv"), 30.0) - at_days(pl.col("atm_iv"), 90.0)


@feature(reads="contracts", unit="ratio")
def put_call_volume_ratio() -> pl.Expr:
    """Volume of all puts over that of all calls; null without a traded call.

    References
    ----------
    Pan and Poteshman (2006), Review of Financial Studies 19, 871-908.
    """
    return put_call_ratio(_volume)


@feature(reads="contracts", unit="ratio")
def put_call_oi_ratio() -> pl.Expr:
    """Open interest of all puts over that of all calls; null without an open call.

    References
    ----------
    Pan and Poteshman (2006), Review of Financial Studies 19, 871-908.
    """
    return put_call_ratio(_interest)


@feature(reads="contracts", unit="contracts")
def total_option_volume() -> pl.Expr:
    """Volume of all contracts of the session.

    References
    ----------
    Roll, Schwartz and Subrahmanyam (2010), Journal of Financial Economics 96, 1-17.
    """
    return sum_of(_volume)


@feature(reads="contracts", unit="contracts")
def total_open_interest() -> pl.Expr:
    """Open interest of all contracts.

    References
    ----------
    Hull (2018), Options, Futures, and Other Derivatives, section 10.9.
    """
    return sum_of(_interest)


@feature(
    reads="expiries",
    unit="per point of the underlying",
    name="atm_delta_{right}",
    over={"right": ("call", "put")},
)
def at_the_money_delta(right: str) -> pl.Expr:
    """Delta at the strike nearest the forward, of the expiry nearest 30 days (at most 20 days from it).

    References
    ----------
    Hull (2018), Options, Futures, and Other Derivatives, chapter 19.
    """
    return nearest_expiry(pl.col(f"delta_{right}"), _GREEK_DAYS, _GREEK_FARTHEST)


@feature(reads="expiries", unit="per point, per point")
def atm_gamma() -> pl.Expr:
    """Gamma there: the mean of call and put, which are equal where exercise is European.

    References
    ----------
    Hull (2018), Options, Futures, and Other Derivatives, chapter 19.
    """
    return nearest_expiry(pl.col("gamma"), _GREEK_DAYS, _GREEK_FARTHEST)


@feature(reads="expiries", unit="points per calendar day")
def atm_theta() -> pl.Expr:
    """Theta there: the mean of call and put.

    References
    ----------
    Hull (2018), Options, Futures, and Other Derivatives, chapter 19.
    """
    return nearest_expiry(pl.col("theta"), _GREEK_DAYS, _GREEK_FARTHEST)


@feature(reads="expiries", unit="points per 1.00 of volatility")
def atm_vega() -> pl.Expr:
    """Vega there: the mean of call and put.

    References
    ----------
    Hull (2018), Options, Futures, and Other Derivatives, chapter 19.
    """
    return nearest_expiry(pl.col("vega"), _GREEK_DAYS, _GREEK_FARTHEST)


@feature(reads="strikes", unit="points")
def max_pain_strike() -> pl.Expr:
    """The listed strike at which all open contracts would pay least at expiry, the lowest of several.

    ``argmin_K sum(OI_call max(K - K_j, 0)) + sum(OI_put max(K_j - K, 0))``, each times its multiplier.

    References
    ----------
    Ni, Pearson and Poteshman (2005), Journal of Financial Economics 78, 49-87 (pinning at expiry).
    """
    strike, calls, puts = pl.col("strike"), pl.col("call_interest"), pl.col("put_interest")
    paid_to_calls = strike * calls.cum_sum() - (calls * strike).cum_sum()
    puts_above, value_above = puts.sum() - puts.cum_sum(), (puts * strike).sum() - (puts * strike).cum_sum()
    pain = paid_to_calls + value_above - strike * puts_above
    lowest = strike.get(pain.arg_min(), null_on_oob=True)
    return pl.when(calls.sum() + puts.sum() > 0).then(lowest)


@feature(reads="contracts", unit="shares per point")
def gamma_exposure() -> pl.Expr:
    """Gamma times open interest times multiplier, calls positive and puts negative.

    The sign is that of dealers who are long the calls and short the puts of their customers: an assumption, not a fact
    of the chain.

    References
    ----------
    Barbon and Buraschi (2021), Gamma Fragility.
    """
    gamma = pl.col("gamma") * _unit
    return sum_of(gamma, is_call) - sum_of(gamma, is_put)


@feature(reads="contracts", unit="shares")
def delta_exposure() -> pl.Expr:
    """Delta times open interest times multiplier, each with its own sign: calls positive, puts negative.

    References
    ----------
    Hull (2018), Options, Futures, and Other Derivatives, chapter 19.
    """
    return sum_of(pl.col("delta") * _unit)


@feature(reads="contracts", unit="share in [-1, 1]")
def options_flow_sentiment() -> pl.Expr:
    """Volume of the calls less that of the puts, over both; null on a day without a trade.

    References
    ----------
    Pan and Poteshman (2006), Review of Financial Studies 19, 871-908.
    """
    calls, puts = sum_of(_volume, is_call), sum_of(_volume, is_put)
    return ratio(calls - puts, calls + puts)
