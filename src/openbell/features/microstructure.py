"""Microstructure: what a trade costs, who was in a hurry, and at which prices the volume lay.

Quotes are those standing at the end of a bar. Where a source has none, what stands on them is switched off; the flow of
orders is then told by the ticks alone. ``session_*`` are of the session up to the end of the bar.
"""

from __future__ import annotations

import math

import polars as pl

from openbell.core.declare import feature
from openbell.quant.expressions import (
    annualised,
    change,
    close,
    dollar_volume,
    high,
    highest,
    log_price,
    log_return,
    low,
    lowest,
    open_,
    previous_close,
    ratio,
    raw_close,
    returns,
    shared,
    sma,
    standard_deviation,
    total,
    typical_price,
    volume,
)
from openbell.quant.indicators import atr_14, bar_volatility, signed_volume

bid, ask = pl.col("bid"), pl.col("ask")
#: The smallest step of a quote of a US stock of 1 USD or more, USD.
TICK = 0.01
#: Rows over which the volume is laid out by price.
PROFILE_ROWS = 30

_quoted = (bid > 0) & (ask >= bid)
_middle = shared("quote_middle", pl.when(_quoted).then((bid + ask) / 2.0))
_spread = shared("quote_spread", pl.when(_quoted).then(ask - bid))
_relative_spread = shared("relative_spread", ratio(_spread, _middle))


@feature(unit="ticks of 0.01 USD")
def spread_ticks() -> pl.Expr:
    """Absolute spread of the quotes, ask less bid, in ticks; null where they are crossed or there are none.

    A stock whose spread is one tick trades otherwise than one whose spread is fifty, so the number itself says
    something across names: the one feature here that hangs on the price's level.

    References
    ----------
    Harris (1994), Review of Financial Studies 7, 149-178 (minimum price variations).
    """
    return _spread * (1.0 / TICK)


@feature(unit="fraction of the price")
def spread_relative() -> pl.Expr:
    """Relative spread of the quotes: ``(ask - bid) / middle``; null where they are crossed or there are none.

    References
    ----------
    Amihud and Mendelson (1986), Journal of Financial Economics 17, 223-249.
    """
    return _relative_spread + 0.0


@feature(unit="ratio")
def spread_ratio_20() -> pl.Expr:
    """Relative spread over its mean of 20 rows.

    References
    ----------
    Amihud and Mendelson (1986), Journal of Financial Economics 17, 223-249.
    """
    return ratio(_relative_spread, sma(_relative_spread, 20))


@feature(unit="ratio")
def spread_to_volatility() -> pl.Expr:
    """Relative spread over the volatility of one bar: how much of a usual move a round trip costs.

    References
    ----------
    Stoll (1978), Journal of Finance 33, 1153-1172.
    """
    return ratio(_relative_spread, bar_volatility)


@feature(unit="fraction of the price")
def effective_spread_20() -> pl.Expr:
    """Mean effective spread of 20 rows: twice the distance of the last trade from the middle of the quotes.

    References
    ----------
    Lee and Ready (1991), Journal of Finance 46, 733-746.
    """
    return sma(2.0 * ratio((raw_close - _middle).abs(), _middle), 20)


#: Side of the last trade of a bar. Tick rule: sign of the last change, of the one before where there was none.
_tick = shared("tick_side", pl.when(change != 0).then(change.sign()).otherwise(change.shift(1).sign() + change))
#: Quote rule: above the middle a buyer, below it a seller; at the middle and without quotes the tick rule.
_side = shared(
    "trade_side",
    pl.when((_middle.is_not_null()) & (raw_close != _middle)).then((raw_close - _middle).sign()).otherwise(_tick),
)


@feature(unit="share in [-1, 1]", name="order_flow_imbalance_{window}", over={"window": (5, 20)})
def order_flow_imbalance(window: int) -> pl.Expr:
    """Volume of the bars that buyers ended less that of sellers, over both.

    The side is that of the last trade: by the quotes at the end of the bar, where the trade lies off their middle;
    else by the last change of the close, or by the one before where that was none. Switched off where a data set has
    no quotes at all: `tick_imbalance` then says the same by the ticks alone.

    References
    ----------
    Lee and Ready (1991), Journal of Finance 46, 733-746.
    """
    return ratio(total(_side * volume, window), total(volume, window))


@feature(unit="share in [-1, 1]", name="tick_imbalance_{window}", over={"window": (5, 20)})
def tick_imbalance(window: int) -> pl.Expr:
    """Volume of the bars that closed on a rise less that of those on a fall, over both: the tick rule.

    A bar whose close did not change counts to the side of the change before; 0 where that was none either.

    References
    ----------
    Lee and Ready (1991), Journal of Finance 46, 733-746.
    """
    return ratio(total(_tick * volume, window), total(volume, window))


def normal_share(x: pl.Expr) -> pl.Expr:
    """Standard normal distribution function by a logistic: ``1 / (1 + exp(-(1.5976 x + 0.07056 x^3)))``.

    Off by at most 1.5e-4 anywhere. Beyond 8 deviations it stays at its value there.

    References
    ----------
    Page (1977), Applied Statistics 26, 75-76.
    """
    bounded = x.clip(-8.0, 8.0)
    return 1.0 / (1.0 + (-1.0 * (1.5976 * bounded + 0.07056 * bounded * bounded * bounded)).exp())


#: Bulk volume classification: the share of a bar's volume that was bought is the normal probability of its return in
#: standard deviations of 50 rows.
_bought = shared("bought_volume", volume * normal_share(ratio(log_return, standard_deviation(log_return, 50))))


@feature(unit="ratio")
def buy_pressure_10() -> pl.Expr:
    """Bought volume of 10 rows over the volume that 10 of the last 100 rows usually have.

    Bought is the share that bulk classification tells: the normal probability (a logistic, off by at most 1.5e-4) of
    the return in standard deviations of 50 rows.

    References
    ----------
    Easley, Lopez de Prado and O'Hara (2012), Review of Financial Studies 25, 1457-1493.
    """
    return ratio(sma(_bought, 10), sma(volume, 100))


@feature(unit="ratio")
def sell_pressure_10() -> pl.Expr:
    """Sold volume of 10 rows, all that was not bought, over the volume that 10 of the last 100 rows usually have.

    References
    ----------
    Easley, Lopez de Prado and O'Hara (2012), Review of Financial Studies 25, 1457-1493.
    """
    return ratio(sma(volume - _bought, 10), sma(volume, 100))


@feature(unit="share in [-1, 1]")
def bulk_imbalance_20() -> pl.Expr:
    """Bought less sold volume of 20 rows by bulk classification, over both.

    References
    ----------
    Easley, Lopez de Prado and O'Hara (2012), Review of Financial Studies 25, 1457-1493.
    """
    return ratio(total(2.0 * _bought - volume, 20), total(volume, 20))


@feature(unit="share")
def informed_trading_50() -> pl.Expr:
    """Volume-synchronised probability of informed trading (VPIN) on bars: mean ``|bought - sold|`` over the volume.

    On bars of time, not of volume, for bars of time are what there is.

    References
    ----------
    Easley, Lopez de Prado and O'Hara (2012), Review of Financial Studies 25, 1457-1493.
    """
    return ratio(total((2.0 * _bought - volume).abs(), 50), total(volume, 50))


_session_vwap = shared("session_vwap", ratio(pl.col("session_value_usd"), pl.col("session_volume")))


@feature(unit="fraction")
def session_vwap_deviation() -> pl.Expr:
    """Close against the volume-weighted price of the session so far: ``close / VWAP - 1``.

    References
    ----------
    Berkowitz, Logue and Noser (1988), Journal of Finance 43, 97-112.
    """
    return ratio(close, _session_vwap) - 1.0


@feature(unit="standard deviations")
def session_vwap_deviation_to_volatility() -> pl.Expr:
    """Close against the volume-weighted price of the session so far, in volatilities of one bar.

    References
    ----------
    Berkowitz, Logue and Noser (1988), Journal of Finance 43, 97-112.
    """
    return ratio(ratio(close, _session_vwap) - 1.0, bar_volatility)


@feature(unit="share")
def volume_near_close_30() -> pl.Expr:
    """Share of the volume of 30 rows whose typical price lies within half an average true range of the close.

    References
    ----------
    Steidlmayer and Koy (1986), Markets and Market Logic (the market profile).
    """
    band = 0.5 * atr_14
    near = [
        pl.when((typical_price.shift(row) - close).abs() <= band).then(volume.shift(row)).otherwise(0.0)
        for row in range(PROFILE_ROWS)
    ]
    inside = near[0]
    for each in near[1:]:
        inside = inside + each
    # Without a band nothing lies inside it, which would read as 0 rather than as unknown.
    return pl.when((band + close).is_not_null()).then(ratio(inside, total(volume, PROFILE_ROWS))).clip(0.0, 1.0)


@feature(unit="average true ranges")
def highest_volume_distance_30() -> pl.Expr:
    """Close less the typical price of the bar with the most volume of 30 rows, over the average true range.

    Of several bars with that volume the one with the lowest price.

    References
    ----------
    Steidlmayer and Koy (1986), Markets and Market Logic (the point of control).
    """
    most = highest(volume, PROFILE_ROWS)
    prices = [pl.when(volume.shift(row) >= most).then(typical_price.shift(row)) for row in range(PROFILE_ROWS)]
    return ratio(close - pl.when(most.is_not_null()).then(pl.min_horizontal(*prices)), atr_14)


@feature(unit="ratio")
def volume_concentration_30() -> pl.Expr:
    """Herfindahl index of the volumes of 30 rows, times 30: 1 where all are alike, 30 where one bar had all.

    References
    ----------
    Rhoades (1993), Federal Reserve Bulletin 79, 188-189.
    """
    mean = sma(volume, PROFILE_ROWS)
    return ratio(sma(volume * volume, PROFILE_ROWS), mean * mean)


@feature(unit="fraction per mean volume")
def kyle_lambda_50() -> pl.Expr:
    """Price impact: slope of the log return on the signed volume of 50 rows, times their mean volume.

    ``cov(r, s) / var(s) mean(volume)`` with ``s = sign(change) volume``, by least squares; null where one of them does
    not move.

    References
    ----------
    Kyle (1985), Econometrica 53, 1315-1335; Lopez de Prado (2018), Advances in Financial Machine Learning, 19.4.
    """
    signed = signed_volume
    covariance = sma(log_return * signed, 50) - sma(log_return, 50) * sma(signed, 50)
    variance = sma(signed * signed, 50) - sma(signed, 50) * sma(signed, 50)
    moved = (highest(log_return, 50) > lowest(log_return, 50)) & (highest(signed, 50) > lowest(signed, 50))
    return pl.when(moved).then(ratio(covariance, variance) * sma(volume, 50))


@feature(unit="ratio")
def illiquidity_ratio_10_100() -> pl.Expr:
    """Illiquidity of 10 rows over that of 100: sum of the sizes of the returns over the sum of the dollars traded.

    Amihud takes the mean of the ratios; of sums a bar without a trade, which is common within the session, has its
    share too.

    References
    ----------
    Amihud (2002), Journal of Financial Markets 5, 31-56.
    """
    sizes = returns().abs()
    near, far = (ratio(total(sizes, rows), total(dollar_volume, rows)) for rows in (10, 100))
    return ratio(near, far)


@feature(unit="fraction of the price")
def roll_spread_50() -> pl.Expr:
    """Roll's spread: ``2 sqrt(-cov(r_t, r_{t-1}))`` of 50 rows, 0 where the covariance is not negative.

    References
    ----------
    Roll (1984), Journal of Finance 39, 1127-1139; Goyenko, Holden and Trzcinka (2009), Journal of Financial Economics
    92, 153-181 (the 0).
    """
    before = log_return.shift(1)
    covariance = sma(log_return * before, 50) - sma(log_return, 50) * sma(before, 50)
    moved = (highest(log_return, 50) > lowest(log_return, 50)) & (highest(before, 50) > lowest(before, 50))
    return pl.when(moved).then(2.0 * (-1.0 * covariance).clip(lower_bound=0.0).sqrt())


@feature(unit="fraction of the price")
def corwin_schultz_spread_20() -> pl.Expr:
    """Corwin and Schultz's spread from highs and lows of two rows on end, its mean of 20 rows.

    Each row is first moved by the gap between its range and the close before; a negative estimate counts as 0.

    References
    ----------
    Corwin and Schultz (2012), Journal of Finance 67, 719-760.
    """
    gap = (low - previous_close).clip(lower_bound=0.0) + (high - previous_close).clip(upper_bound=0.0)
    top, bottom = log_price(high - gap), log_price(low - gap)
    before = (log_price(high.shift(1)), log_price(low.shift(1)))
    both = (top + before[0] + bottom + before[1]).is_not_null()
    beta = (top - bottom).pow(2) + (before[0] - before[1]).pow(2)
    whole = pl.when(both).then(pl.max_horizontal(top, before[0]) - pl.min_horizontal(bottom, before[1]))
    scale = 3.0 - 2.0 * math.sqrt(2.0)
    alpha = beta.sqrt() * ((math.sqrt(2.0) - 1.0) / scale) - whole / math.sqrt(scale)
    spread = 2.0 * (alpha.exp() - 1.0) / (1.0 + alpha.exp())
    return sma(spread.clip(lower_bound=0.0), 20)


@feature(unit="fraction", name="realised_volatility_{window}", over={"window": (10, 60)})
def realised_volatility(window: int) -> pl.Expr:
    """Realised volatility: root of the sum of the squared log returns of the window, not annualised.

    References
    ----------
    Andersen, Bollerslev, Diebold and Labys (2003), Econometrica 71, 579-625.
    """
    largest = highest(log_return.abs(), window)
    # What a running sum of squares leaves behind a wild time is no volatility of a price that stands still.
    return pl.when(largest > 0).then(total(log_return.pow(2), window).clip(lower_bound=0.0).sqrt()).otherwise(largest)


@feature(unit="share")
def jump_share_30() -> pl.Expr:
    """Share of the realised variance of 30 rows that its bipower variation does not explain; never under 0.

    ``1 - (pi / 2) (30 / 29) sum |r_t||r_{t-1}| / sum r_t^2``, the products of neighbours within the window.

    References
    ----------
    Barndorff-Nielsen and Shephard (2004), Journal of Financial Econometrics 2, 1-37.
    """
    bipower = math.pi / 2.0 * 30.0 / 29.0 * total(log_return.abs() * log_return.shift(1).abs(), 29)
    moved = highest(log_return.abs(), 30) > 0
    return pl.when(moved).then((1.0 - ratio(bipower, total(log_return.pow(2), 30))).clip(0.0, 1.0))


@feature(unit="per year of 252 rows")
def yang_zhang_volatility_20() -> pl.Expr:
    """Yang and Zhang's volatility of 20 rows: of the gaps, of the bodies and of the ranges, free of the drift.

    References
    ----------
    Yang and Zhang (2000), Journal of Business 73, 477-491.
    """
    o, h, l, c = (log_price(price) for price in (open_, high, low, close))  # noqa: E741
    k = 0.34 / (1.34 + 21.0 / 19.0)
    ranged = sma((h - c) * (h - o) + (l - c) * (l - o), 20)
    gaps, bodies = (o - c.shift(1)).rolling_var(20), (c - o).rolling_var(20)
    return annualised((gaps + k * bodies + (1.0 - k) * ranged).clip(lower_bound=0.0).sqrt())
