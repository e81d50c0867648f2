"""When a trade is proposed: against the ends of its session, half days included, and against its expiry.

All clocks are the exchange's: the moments of open, close and expiry come from its calendar, so neither the zone of the
machine nor a change of the clocks shifts a minute.
"""

from __future__ import annotations

import polars as pl

from openbell.core.declare import feature

#: Minutes after the open and before the close that count as opening and as closing.
EDGE_MINUTES = 30.0
_TRADING_MINUTES_PER_YEAR = 252 * 390.0

_known, _open, _close = pl.col("known_at"), pl.col("open_at"), pl.col("close_at")


def _minutes(duration: pl.Expr) -> pl.Expr:
    return duration.dt.total_microseconds() / 60e6


_since_open, _to_close = _minutes(_known - _open), _minutes(_close - _known)


@feature(reads="trades", unit="minutes")
def minutes_since_open() -> pl.Expr:
    """Minutes since the session opened, below 0 before; null on a day without a session.

    References
    ----------
    Admati and Pfleiderer (1988), A theory of intraday patterns, Review of Financial Studies 1, 3-40.
    """
    return _since_open


@feature(reads="trades", unit="minutes")
def minutes_to_close() -> pl.Expr:
    """Minutes until the session closes, at 13:00 on a half day; below 0 after it.

    References
    ----------
    Admati and Pfleiderer (1988), A theory of intraday patterns, Review of Financial Studies 1, 3-40.
    """
    return _to_close


@feature(reads="trades", unit="minutes of trading")
def minutes_to_expiry() -> pl.Expr:
    """Minutes of trading until the options expire; null where none is left.

    References
    ----------
    French and Roll (1986), Stock return variances, Journal of Financial Economics 17, 5-26.
    """
    return pl.col("years") * _TRADING_MINUTES_PER_YEAR


@feature(reads="trades", unit="flag")
def in_session() -> pl.Expr:
    """1 from the open up to the close, 0 outside of it; null on a day without a session.

    References
    ----------
    Admati and Pfleiderer (1988), A theory of intraday patterns, Review of Financial Studies 1, 3-40.
    """
    return ((_known >= _open) & (_known < _close)).cast(pl.Float64)


@feature(reads="trades", unit="flag")
def in_opening_half_hour() -> pl.Expr:
    """1 in the first 30 minutes of the session.

    References
    ----------
    Admati and Pfleiderer (1988), A theory of intraday patterns, Review of Financial Studies 1, 3-40.
    """
    return ((_since_open >= 0) & (_since_open < EDGE_MINUTES)).cast(pl.Float64)


@feature(reads="trades", unit="flag")
def in_closing_half_hour() -> pl.Expr:
    """1 in the last 30 minutes of the session.

    References
    ----------
    Admati and Pfleiderer (1988), A theory of intraday patterns, Review of Financial Studies 1, 3-40.
    """
    return ((_to_close > 0) & (_to_close <= EDGE_MINUTES)).cast(pl.Float64)


@feature(reads="trades", unit="weekday")
def day_of_week() -> pl.Expr:
    """Weekday of the session, 1 is Monday.

    References
    ----------
    French (1980), Stock returns and the weekend effect, Journal of Financial Economics 8, 55-69.
    """
    return pl.col("session").dt.weekday().cast(pl.Float64)
