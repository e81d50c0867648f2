"""The features of the signals desk, and made-up bars within the session with all that stands beside them."""

import polars as pl
from feature_bars import declared, one_symbol

from openbell.core.bars import BAR_COLUMNS
from openbell.research.compute import evaluated

FAMILIES = ("moving_averages", "strength", "microstructure", "breakouts")
OWN = {name: each for name, each in declared().items() if each.family in FAMILIES}


def computed(frame, *names):
    """Values as arrays, NaN for null."""
    expressions = [OWN[name].expression.cast(pl.Float64).alias(name) for name in names]
    found = evaluated(frame, expressions, [])
    return {name: found[name].fill_null(float("nan")).to_numpy() for name in names}


def within_sessions(walk, *, bars=26, minutes=15.0, missing=()):
    """Bars of so many per session with everything that stands beside them; rows of `missing` are null."""
    frame = one_symbol(walk).drop([f"session_{each}" for each in ("open", "high", "low", "volume")])
    at = pl.int_range(pl.len())
    session, typical = at // bars, (pl.col("high") + pl.col("low") + pl.col("close")) / 3
    running = {
        "session_open": pl.col("open").first(),
        "session_high": pl.col("high").cum_max(),
        "session_low": pl.col("low").cum_min(),
        "session_volume": pl.col("volume").cum_sum(),
        "session_value_usd": (typical * pl.col("volume")).cum_sum(),
    }
    frame = frame.with_columns(
        *(each.over(session).alias(name) for name, each in running.items()),
        ((at % bars + 1) * minutes).alias("session_minutes"),
    )
    gone = at.is_in(list(missing))
    return frame.with_columns(pl.when(~gone).then(pl.col(name)).alias(name) for name in BAR_COLUMNS)
