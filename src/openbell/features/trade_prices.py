"""What a proposed option trade costs, where its strikes lie, and what its price says of its odds.

Distances are in implied moves: one standard deviation of the underlying to the expiry, in points, by the width that the
trade's own price implies (`quant.price_odds`), so that eight underlyings from 250 to 7,000 points can be pooled. Every
feature is a function of one row alone; where one of its columns is null it is null.
"""

from __future__ import annotations

import polars as pl

from openbell.core.declare import feature
from openbell.quant.expressions import ratio
from openbell.quant.trade_expressions import margin, price, within_moves

_strikes = [pl.col(f"strike{leg}") for leg in range(1, 5)]
_paid, _width, _move = pl.col("paid"), pl.col("width"), pl.col("implied_move")


@feature(reads="trades", unit="log odds")
def implied_log_odds() -> pl.Expr:
    """Log odds of a win after costs that the trade's own price implies.

    References
    ----------
    Breeden and Litzenberger (1978), Journal of Business 51, 621-651.
    """
    return pl.col("logit_price") + 0.0


@feature(reads="trades", unit="log odds")
def fair_log_odds() -> pl.Expr:
    """Log odds at which staking the largest loss against the largest profit is fair after costs.

    References
    ----------
    Kelly (1956), A new interpretation of information rate, Bell System Technical Journal 35, 917-926.
    """
    fair = pl.col("fair_probability")
    return fair.log() - (1.0 - fair).log()


@feature(reads="trades", unit="fraction")
def premium_to_width() -> pl.Expr:
    """Premium paid over the range of the payoff, below 0 for a credit; null where the range has no bound.

    References
    ----------
    Hull (2018), Options, Futures, and Other Derivatives, chapter 12.
    """
    return ratio(_paid, _width)


@feature(reads="trades", unit="ratio")
def reward_to_risk() -> pl.Expr:
    """Largest profit over largest loss before costs; null where there is nothing to lose.

    References
    ----------
    Hull (2018), Options, Futures, and Other Derivatives, chapter 12.
    """
    risk = pl.col("max_loss")
    return pl.col("max_profit") / pl.when(risk > 0).then(risk)


@feature(reads="trades", unit="share")
def costs_to_reward() -> pl.Expr:
    """Commissions over commissions and largest profit, 1 where there is nothing else to gain; null where less.

    References
    ----------
    Muravyev and Pearson (2020), Options trading costs are lower than you think, Review of Financial Studies 33.
    """
    gain, cost = pl.col("max_profit"), pl.col("cost_points")
    return cost / pl.when((gain >= 0) & (gain + cost > 0)).then(gain + cost)


@feature(reads="trades", unit="flag")
def is_credit() -> pl.Expr:
    """1 where the premium is received, 0 where it is paid.

    References
    ----------
    Hull (2018), Options, Futures, and Other Derivatives, chapter 12.
    """
    return (_paid < 0).cast(pl.Float64)


@feature(reads="trades", unit="direction")
def lean() -> pl.Expr:
    """1 where the trade wins above its breakeven, -1 below it, 0 where it wins between two or outside of them.

    References
    ----------
    Hull (2018), Options, Futures, and Other Derivatives, chapter 12.
    """
    low, high = (pl.col(f"breakeven_{side}").is_not_null().cast(pl.Float64) for side in ("low", "high"))
    return pl.when(pl.col("wins_between")).then(low - high).when(pl.col("wins_between").is_not_null()).then(0.0)


@feature(reads="trades", unit="implied moves")
def price_margin() -> pl.Expr:
    """How far the price lies inside the stretch where the trade wins, to its nearer breakeven; below 0 outside of it.

    References
    ----------
    Natenberg (2014), Option Volatility and Pricing, 2nd edition, chapter 10.
    """
    return margin(price)


@feature(reads="trades", unit="implied moves", name="breakeven_{side}_distance", over={"side": ("low", "high")})
def breakeven_distance(side: str) -> pl.Expr:
    """Breakeven less price; null on a side that has none.

    References
    ----------
    Natenberg (2014), Option Volatility and Pricing, 2nd edition, chapter 10.
    """
    return within_moves(pl.col(f"breakeven_{side}") - price)


@feature(reads="trades", unit="implied moves")
def strike_width_ratio() -> pl.Expr:
    """Highest less lowest strike.

    References
    ----------
    Natenberg (2014), Option Volatility and Pricing, 2nd edition, chapter 11.
    """
    return within_moves(pl.max_horizontal(_strikes) - pl.min_horizontal(_strikes))


@feature(reads="trades", unit="percent")
def strike_distance_pct() -> pl.Expr:
    """Distance of the price from its nearest strike, in percent of the price.

    References
    ----------
    Natenberg (2014), Option Volatility and Pricing, 2nd edition, chapter 11.
    """
    return pl.min_horizontal((strike - price).abs() for strike in _strikes) / price * 100.0


@feature(reads="trades", unit="implied moves")
def avg_strike() -> pl.Expr:
    """Mean of the legs' strikes less the price.

    References
    ----------
    Natenberg (2014), Option Volatility and Pricing, 2nd edition, chapter 11.
    """
    return within_moves(pl.mean_horizontal(_strikes) - price)


@feature(reads="trades", unit="fraction", name="spread{leg}", over={"leg": (1, 2)})
def spread(leg: int) -> pl.Expr:
    """Ask less bid of this leg, over its mid; null where the mid is 0.

    References
    ----------
    Muravyev and Pearson (2020), Options trading costs are lower than you think, Review of Financial Studies 33.
    """
    ask, bid = pl.col(f"ask{leg}"), pl.col(f"bid{leg}")
    return 2.0 * (ask - bid) / pl.when(ask + bid > 0).then(ask + bid)


@feature(reads="trades", unit="per year")
def iv_at_the_money() -> pl.Expr:
    """Volatility at the forward that the trade's price implies, per year of trading time.

    References
    ----------
    Black (1976), Journal of Financial Economics 3, 167-179.
    """
    return pl.col("atm_iv") + 0.0


@feature(reads="trades", unit="volatility per implied move")
def skew_at_strikes() -> pl.Expr:
    """Least-squares slope of the legs' implied volatilities in their strikes; null with fewer than two strikes.

    References
    ----------
    Xing, Zhang and Zhao (2010), Journal of Financial and Quantitative Analysis 45, 641-662.
    """
    return pl.col("smile_slope") + 0.0


@feature(reads="trades", unit="fraction")
def iv_vs_market() -> pl.Expr:
    """Implied volatility of the trade over that of its market at the session's open, less 1.

    References
    ----------
    Whaley (2009), Journal of Portfolio Management 35, 98-105.
    """
    return ratio(pl.col("atm_iv"), pl.col("market_volatility")) - 1.0


@feature(reads="trades", unit="percent")
def implied_move_pct() -> pl.Expr:
    """One standard deviation of the underlying to the expiry, in percent of the price.

    References
    ----------
    Black (1976), Journal of Financial Economics 3, 167-179.
    """
    return _move / price * 100.0
