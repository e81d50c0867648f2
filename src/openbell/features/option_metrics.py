"""Metrics of one option chain beside the 84 of the options desk: its volatilities, its smile, its term, its Greeks.

Put/call ratios, the Greeks at the money (but rho) and gamma and delta exposure are those of `chain`. Volatilities and
Greeks are our own, from the quotes' middle; a contract without one adds nothing.
"""

from __future__ import annotations

import polars as pl

from openbell.core.declare import feature
from openbell.quant.chain_expressions import at_days, is_call, is_put, sum_of

_iv, _days, _strike, _forward = pl.col("iv"), pl.col("days"), pl.col("strike"), pl.col("forward")
_priced = (_iv > 0) & _iv.is_finite()
#: Days of the expiry that the smile and rho are read from, and how far away it may be.
_TARGET_DAYS, _FARTHEST_DAYS = 30.0, 20.0
#: What makes the later of two expiries at the same distance the farther one, days: a tenth of a second.
_TIE = 1e-6
#: Fewest strikes of a smile: two more than a parabola needs.
_FEWEST_STRIKES = 5


@feature(reads="contracts", unit="per year", name="iv_quantile_{percent}", over={"percent": (10, 25, 50, 75, 90)})
def iv_quantile(percent: int) -> pl.Expr:
    """Volatility below which this percentage of the chain's contracts lie, all strikes and expiries alike.

    Between two contracts it is linear in their rank. Contracts without a volatility do not count.

    References
    ----------
    Hyndman and Fan (1996), American Statistician 50, 361-365 (definition 7).
    """
    return _iv.filter(_priced).quantile(percent / 100.0, interpolation="linear")


def _of_nearest_expiry(rows: pl.Expr) -> pl.Expr:
    """Those of `rows` that belong to the expiry nearest 30 days, the earlier of two."""
    later = pl.when(_days > _TARGET_DAYS).then(_TIE).otherwise(0.0)
    away = (_days - _TARGET_DAYS).abs() + later
    usable = rows & (away <= _FARTHEST_DAYS + _TIE) & (_days > 0)
    return usable & (away == away.filter(usable).min())


def _smile(part: str) -> pl.Expr:
    """A coefficient of ``iv = level + slope k + curvature k^2``, by least squares over the strikes of one expiry.

    In closed form, from the variances and covariances of k, its square and the volatility.
    """
    outside = (is_put & (_strike <= _forward)) | (is_call & (_strike > _forward))
    rows = _of_nearest_expiry(_priced & outside & (_forward > 0) & (_strike > 0))
    k, iv = (_strike / _forward).log().filter(rows), _iv.filter(rows)
    square = k * k
    both = pl.cov(k, square)
    # Multiplied, not divided: Polars divides one row and many in two ways, a bit apart.
    per = 1.0 / (k.var() * square.var() - both * both)
    slope = (pl.cov(k, iv) * square.var() - pl.cov(square, iv) * both) * per
    curvature = (pl.cov(square, iv) * k.var() - pl.cov(k, iv) * both) * per
    level = iv.mean() - slope * k.mean() - curvature * square.mean()
    found = {"level": level, "slope": slope, "curvature": curvature}[part]
    return pl.when(k.n_unique() >= _FEWEST_STRIKES).then(found)


@feature(reads="contracts", unit="per year")
def smile_level() -> pl.Expr:
    """Volatility at the forward by a parabola through all strikes' volatilities.

    Least squares of the volatility on ``ln(strike / forward)`` and its square, over the out-of-the-money contracts of
    the expiry nearest 30 days (at most 20 days from it), every strike alike; null with fewer than 5 strikes.

    References
    ----------
    Dumas, Fleming and Whaley (1998), Journal of Finance 53, 2059-2106.
    """
    return _smile("level")


@feature(reads="contracts", unit="per year per unit of log-moneyness")
def smile_slope() -> pl.Expr:
    """Skew: slope at the forward of that parabola; negative where low strikes are dear.

    References
    ----------
    Dumas, Fleming and Whaley (1998), Journal of Finance 53, 2059-2106.
    """
    return _smile("slope")


@feature(reads="contracts", unit="per year per squared unit of log-moneyness")
def smile_curvature() -> pl.Expr:
    """Coefficient of the square in that parabola; positive in a smile.

    References
    ----------
    Dumas, Fleming and Whaley (1998), Journal of Finance 53, 2059-2106.
    """
    return _smile("curvature")


@feature(reads="expiries", unit="per year", name="iv_term_{target}", over={"target": (7, 14, 30, 60, 90)})
def iv_term(target: int) -> pl.Expr:
    """Volatility at the forward so many calendar days ahead, total variance being linear between the expiries.

    Null outside the listed expiries, and where the next one lies more than three times as far: nothing is drawn out.

    References
    ----------
    Cboe (2023), Volatility Index Methodology (interpolation of total variance).
    """
    volatility = pl.col("atm_iv")
    listed = pl.col("days").filter(volatility.is_not_null())
    behind = listed.filter(listed >= float(target)).min()
    inside = (listed.min() <= float(target)) & (behind <= 3.0 * target)
    return pl.when(inside).then(at_days(volatility, float(target)))


@feature(reads="contracts", unit="points per 1.00 of rate", name="atm_rho_{right}", over={"right": ("call", "put")})
def at_the_money_rho(right: str) -> pl.Expr:
    """Rho at the strike nearest the forward, of the expiry nearest 30 days (at most 20 days from it).

    References
    ----------
    Hull (2018), Options, Futures, and Other Derivatives, chapter 19.
    """
    rho, wanted = pl.col("rho"), is_call if right == "call" else is_put
    rows = _of_nearest_expiry(_priced & wanted & rho.is_not_null() & _forward.is_not_null())
    return rho.filter(rows).get((_strike - _forward).abs().filter(rows).arg_min(), null_on_oob=True)


def _of_chain(greek: str) -> pl.Expr:
    return sum_of(pl.col(greek) * pl.col("open_interest") * pl.col("multiplier"))


@feature(reads="contracts", unit="shares per point")
def chain_gamma() -> pl.Expr:
    """Gamma times open interest times multiplier, of all contracts, calls and puts alike positive.

    References
    ----------
    Hull (2018), Options, Futures, and Other Derivatives, chapter 19.
    """
    return _of_chain("gamma")


@feature(reads="contracts", unit="USD per calendar day")
def chain_theta() -> pl.Expr:
    """Theta times open interest times multiplier, of all contracts: what all their holders lose by a day.

    References
    ----------
    Hull (2018), Options, Futures, and Other Derivatives, chapter 19.
    """
    return _of_chain("theta")


@feature(reads="contracts", unit="USD per 1.00 of volatility")
def chain_vega() -> pl.Expr:
    """Vega times open interest times multiplier, of all contracts.

    References
    ----------
    Hull (2018), Options, Futures, and Other Derivatives, chapter 19.
    """
    return _of_chain("vega")


@feature(reads="contracts", unit="USD per 1.00 of rate")
def chain_rho() -> pl.Expr:
    """Rho times open interest times multiplier, of all contracts, each with its own sign.

    References
    ----------
    Hull (2018), Options, Futures, and Other Derivatives, chapter 19.
    """
    return _of_chain("rho")
