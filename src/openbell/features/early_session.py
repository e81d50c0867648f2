"""A session up to its cut-off: gap, range, volume, delta, tests of its extremes, and where its price stands by then.

"Early" is from the regular open to the cut-off; "overnight" is the session's own hours before that open. All of it is
of bars that had ended by the cut-off; averages and true ranges are of the sessions before.
"""

from __future__ import annotations

import polars as pl

from openbell.core.declare import feature
from openbell.quant import session_expressions as s
from openbell.quant.expressions import position, ratio, sma

_HOURS = {"early": s.regular, "overnight": s.overnight}


@feature(reads="early", unit="%")
def early_return_pct() -> pl.Expr:
    """Last price against the regular open.

    References
    ----------
    Gao, Han, Li and Zhou (2018), Market intraday momentum, Journal of Financial Economics 129, 394-414.
    """
    regular = s.regular
    start = pl.col("open").filter(regular).first()
    return 100.0 * (ratio(pl.col("close").filter(regular).last(), start) - 1.0)


@feature(reads="early", unit="share")
def early_range_position() -> pl.Expr:
    """Where the last price lies in the range so far: 0 at its low, 1 at its high; null where they are equal.

    References
    ----------
    Crabel (1990), Day Trading with Short Term Price Patterns and Opening Range Breakout.
    """
    high, low = pl.col("high").filter(s.regular).max(), pl.col("low").filter(s.regular).min()
    return position(pl.col("close").filter(s.regular).last(), low, high)


@feature(reads="early", unit="share in [-1, 1]", name="{hours}_delta_share", over={"hours": tuple(_HOURS)})
def delta_share(hours: str) -> pl.Expr:
    """Cumulative delta as a part of the volume: each bar's volume signed by close against open.

    Where both are equal the tick rule decides, against the close before; equal again counts 0. Null without volume.

    References
    ----------
    Lee and Ready (1991), Inferring trade direction from intraday data, Journal of Finance 46, 733-746.
    """
    return s.signed_volume_share(_HOURS[hours])


@feature(reads="early", unit="tests", name="early_{side}_tests", over={"side": ("high", "low")})
def early_tests(side: str) -> pl.Expr:
    """How often bars came back to the high or low of the day so far.

    Back is within a tenth of the range up to the cut-off from the extreme of the bars before, or beyond it, after a bar
    that stayed a quarter of the range away.

    References
    ----------
    Steidlmayer and Koy (1986), Markets and Market Logic.
    """
    return s.tests_of_extreme(side, s.regular)


@feature(reads="early", unit="minutes", name="early_minutes_since_{side}", over={"side": ("high", "low")})
def early_minutes_since(side: str) -> pl.Expr:
    """Minutes from the bar that made the high or low of the day so far, the first of several, to the cut-off.

    References
    ----------
    Acar and Toffel (2001), Highs and lows: times of day in the currency markets, in Acar and Satchell.
    """
    return s.minutes_since(side, s.regular)


@feature(reads="early", unit="share in [-1, 1]", name="{hours}_efficiency", over={"hours": tuple(_HOURS)})
def efficiency(hours: str) -> pl.Expr:
    """Net move over the length of the path of closes: 1 a straight rise, -1 a straight fall, near 0 back and forth.

    References
    ----------
    Kaufman (1995), Smarter Trading.
    """
    return s.path_efficiency(_HOURS[hours])


@feature(reads="early", unit="correlation")
def early_straightness() -> pl.Expr:
    """Correlation of the closes with time: the sign and straightness of the path's slope.

    References
    ----------
    Clenow (2015), Stocks on the Move, chapter 6.
    """
    return s.straightness(s.regular)


@feature(reads="early", unit="share")
def early_up_bar_share() -> pl.Expr:
    """Bars that closed above their open, as a part of those that did not close on it.

    References
    ----------
    Kaufman (2013), Trading Systems and Methods, chapter 8.
    """
    moved = (pl.col("close") - pl.col("open")).filter(s.regular).sign()
    return ratio((moved > 0).sum().cast(pl.Float64), (moved != 0).sum().cast(pl.Float64))


@feature(reads="early", unit="share")
def early_share_above_vwap() -> pl.Expr:
    """Share of bars that closed above the volume-weighted average price up to them.

    References
    ----------
    Berkowitz, Logue and Noser (1988), The total cost of transactions on the NYSE, Journal of Finance 43, 97-112.
    """
    return s.share_above_average(s.regular)


@feature(reads="session", unit="share")
def early_opening_range_position() -> pl.Expr:
    """Where the last price lies against the first 15 minutes: 0 at their low, 1 at their high, beyond outside of them.

    References
    ----------
    Crabel (1990), Day Trading with Short Term Price Patterns and Opening Range Breakout.
    """
    return position(s.price, s.opening_low, s.opening_high)


@feature(reads="session", unit="%")
def overnight_gap_pct() -> pl.Expr:
    """Regular open less the regular close before, as a percentage of that close.

    References
    ----------
    Lou, Polk and Skouras (2019), A tug of war: overnight versus intraday expected returns, Journal of Financial
    Economics 134, 192-213.
    """
    return 100.0 * ratio(s.regular_open - s.prev_close, s.prev_close)


@feature(reads="session", unit="average true ranges")
def overnight_gap_atr() -> pl.Expr:
    """The gap in average true ranges of the days before.

    References
    ----------
    Wilder (1978), New Concepts in Technical Trading Systems.
    """
    return s.in_atr(s.regular_open - s.prev_close)


@feature(reads="session", unit="flag")
def overnight_gap_filled() -> pl.Expr:
    """1 where the early bars traded back to the close before, from whichever side they opened; else 0.

    References
    ----------
    Dahlquist and Bauer (2012), Technical Analysis of Gaps.
    """
    down, up = s.window_low <= s.prev_close, s.window_high >= s.prev_close
    return pl.when(s.regular_open > s.prev_close).then(down).when(s.regular_open <= s.prev_close).then(up).cast(
        pl.Float64
    )  # fmt: skip


@feature(reads="session", unit="share")
def overnight_open_position() -> pl.Expr:
    """Where the regular open lies in the range before it: 0 at its low, 1 at its high.

    References
    ----------
    Steidlmayer and Koy (1986), Markets and Market Logic.
    """
    return position(s.regular_open, s.overnight_low, s.overnight_high)


@feature(reads="session", unit="-1, 0 or 1")
def overnight_range_break() -> pl.Expr:
    """1 where the early bars passed the overnight high alone, -1 the low alone, 0 neither or both.

    References
    ----------
    Crabel (1990), Day Trading with Short Term Price Patterns and Opening Range Breakout.
    """
    above, below = s.window_high > s.overnight_high, s.window_low < s.overnight_low
    return above.cast(pl.Float64) - below.cast(pl.Float64)


@feature(
    reads="session", unit="% of the average true range", name="{hours}_range_atr_pct", over={"hours": tuple(_HOURS)}
)
def range_atr_pct(hours: str) -> pl.Expr:
    """Range of the early or the overnight bars as a percentage of the average true range of 14 days before.

    References
    ----------
    Wilder (1978), New Concepts in Technical Trading Systems.
    """
    width = s.window_high - s.window_low if hours == "early" else s.overnight_high - s.overnight_low
    return 100.0 * s.in_atr(width)


@feature(reads="session", unit="ratio", name="{hours}_volume_ratio_10", over={"hours": tuple(_HOURS)})
def volume_ratio_10(hours: str) -> pl.Expr:
    """Volume up to the cut-off over the mean of the same hours in the 10 sessions before; null if one is missing.

    References
    ----------
    Gervais, Kaniel and Mingelgrin (2001), The high-volume return premium, Journal of Finance 56, 877-919.
    """
    volume = s.window_volume if hours == "early" else s.overnight_volume
    return ratio(volume, sma(volume.shift(1), 10))


@feature(reads="session", unit="average true ranges")
def early_move_atr() -> pl.Expr:
    """Last price less the regular open, in average true ranges of the days before.

    References
    ----------
    Gao, Han, Li and Zhou (2018), Market intraday momentum, Journal of Financial Economics 129, 394-414.
    """
    return s.in_atr(s.price - s.regular_open)


@feature(reads="session", unit="average true ranges")
def early_vwap_distance_atr() -> pl.Expr:
    """Last price less the volume-weighted average price of the early bars, in average true ranges.

    References
    ----------
    Berkowitz, Logue and Noser (1988), The total cost of transactions on the NYSE, Journal of Finance 43, 97-112.
    """
    return s.in_atr(s.price - s.window_average)


_LEVELS = {
    "high": s.prev_high,
    "low": s.prev_low,
    "close": s.prev_close,
    "pivot": (s.prev_high + s.prev_low + s.prev_close) / 3.0,
}


@feature(
    reads="session", unit="average true ranges", name="early_distance_prev_{level}_atr", over={"level": tuple(_LEVELS)}
)
def early_distance_prev_atr(level: str) -> pl.Expr:
    """Last price less yesterday's high, low, close or pivot ``(h + l + c) / 3``, in average true ranges.

    References
    ----------
    Osler (2000), Support for resistance, FRBNY Economic Policy Review 6, 53-68.
    """
    return s.in_atr(s.price - _LEVELS[level])


@feature(reads="session", unit="share")
def early_prev_range_position() -> pl.Expr:
    """Where the last price lies in yesterday's range: 0 at its low, 1 at its high, beyond outside of it.

    References
    ----------
    Steidlmayer and Koy (1986), Markets and Market Logic.
    """
    return position(s.price, s.prev_low, s.prev_high)


@feature(reads="session", unit="-1, 0 or 1")
def early_open_outside() -> pl.Expr:
    """1 where the regular open lies above yesterday's high, -1 below its low, 0 inside its range.

    References
    ----------
    Dalton, Jones and Dalton (1990), Mind over Markets.
    """
    above, below = s.regular_open > s.prev_high, s.regular_open < s.prev_low
    return above.cast(pl.Float64) - below.cast(pl.Float64)


@feature(reads="session", unit="1 to 7")
def early_weekday() -> pl.Expr:
    """Weekday of the session, which ends on it.

    References
    ----------
    French (1980), Stock returns and the weekend effect, Journal of Financial Economics 8, 55-69.
    """
    return pl.col("session").dt.weekday().cast(pl.Float64)
