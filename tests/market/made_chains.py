"""Chains without a fault, priced by Black's formula, to plant faults in."""

import datetime as dt
from collections.abc import Sequence

import numpy as np
import polars as pl
from scipy.special import ndtr

from openbell.market.calendars import sessions
from openbell.market.chain_batch import ChainBatch, chain_batch
from openbell.market.contracts import with_expiry_moment

CALENDAR = sessions()
SESSION = dt.date(2023, 9, 14)
EXPIRIES = (dt.date(2023, 9, 22), dt.date(2023, 10, 20))
STRIKES = tuple(range(3600, 5401, 50))


def made_rows(
    *,
    spot: float = 4500.0,
    session: dt.date = SESSION,
    expiries: Sequence[dt.date] = EXPIRIES,
    strikes: Sequence[float] = STRIKES,
    underlying: str = "SPX",
    root: str = "SPXW",
    volatility: float = 0.18,
    rate: float = 0.04,
    spread: float = 0.02,
) -> pl.DataFrame:
    """Calls and puts at every strike, rounded to cents, the bid and the ask `spread` of the value (at least a cent)
    apart around it; sorted by expiry, strike and right."""
    terms = pl.DataFrame({"expiry": expiries}).join(
        pl.DataFrame({"strike": [float(each) for each in strikes]}), how="cross"
    )
    rows = terms.join(pl.DataFrame({"right": ["CALL", "PUT"]}), how="cross").with_columns(settlement=pl.lit("PM"))
    rows = with_expiry_moment(rows, CALENDAR)
    close = CALENDAR.close(session) if session in CALENDAR else dt.datetime.combine(session, dt.time(21), dt.UTC)
    years = ((rows["expires_at"] - close).dt.total_microseconds() / 1e6 / (365 * 86_400)).to_numpy()
    strike = rows["strike"].to_numpy()
    sign = np.where(rows["right"].to_numpy() == "CALL", 1.0, -1.0)
    forward, discount = spot * np.exp(rate * years), np.exp(-rate * years)
    deviation = volatility * np.sqrt(years)
    d1 = np.log(forward / strike) / deviation + deviation / 2
    value = discount * sign * (forward * ndtr(sign * d1) - strike * ndtr(sign * (d1 - deviation)))
    half = np.maximum(spread * value / 2, 0.05)
    return rows.select("expiry", "strike", "right").with_columns(
        pl.lit(root).alias("root"),
        pl.lit(underlying).alias("underlying"),
        pl.lit(session).alias("session"),
        pl.lit(close).alias("quote_at"),
        pl.Series("bid", np.round(np.maximum(value - half, 0.0), 2)),
        pl.Series("ask", np.round(value + half, 2)),
        pl.Series("last", np.round(value, 2)),
        pl.Series("volume", np.full(rows.height, 10.0)),
        pl.Series("open_interest", np.full(rows.height, 100.0)),
        pl.Series("vendor_iv", np.full(rows.height, volatility)),
        pl.Series("vendor_delta", discount * sign * ndtr(sign * d1)),
        pl.lit(spot).alias("spot"),
    )


def batch(rows: pl.DataFrame, name: str = "test:made") -> ChainBatch:
    return chain_batch(name, rows, CALENDAR)


def planted(
    rows: pl.DataFrame, contract: tuple[float, str], *, expiry: dt.date = EXPIRIES[0], **values: float
) -> pl.DataFrame:
    """`rows` with other values at one contract: its strike and its right."""
    hit = (pl.col("strike") == contract[0]) & (pl.col("right") == contract[1]) & (pl.col("expiry") == expiry)
    return rows.with_columns(
        pl.when(hit).then(pl.lit(value, dtype=pl.Float64)).otherwise(pl.col(name)).alias(name)
        for name, value in values.items()
    )
