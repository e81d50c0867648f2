"""Small typed worlds for the option back-test: sessions, prices of the underlying and a table of quotes."""

import datetime as dt

import numpy as np
import polars as pl

from openbell.quant.legs import Legs
from openbell.quant.surfaces import Surfaces
from openbell.research.option_quotes import Spots


def day(text):
    return dt.date.fromisoformat(text)


def spots(rows, *, dividend=None, rate=0.0, calendar=()):
    """`rows` are (session, open, close, settlement)."""
    sessions = np.array([row[0] for row in rows], dtype="datetime64[D]")
    values = np.array([row[1:] for row in rows], dtype=float)
    paid = np.array([(dividend or {}).get(row[0], 0.0) for row in rows])
    after = np.concatenate([sessions, np.array(calendar, dtype="datetime64[D]")])
    return Spots(sessions, values[:, 0], values[:, 1], values[:, 2], np.full(len(rows), rate), paid, after)


def table(rows, *, settlement="PM", modelled=False):
    """`rows` are (session, expiry, strike, right, bid, ask)."""
    frame = pl.DataFrame(
        rows, schema=["session", "expiry", "strike", "right", "bid", "ask"], orient="row", infer_schema_length=None
    )
    return frame.with_columns(
        pl.col("session", "expiry").str.to_date(),
        pl.col("strike", "bid", "ask").cast(pl.Float64),
        pl.lit(settlement).alias("settlement"),
        pl.lit(modelled).alias("modelled"),
    )


def legs(*rows):
    """`rows` are (right, strike, ratio, expiry)."""
    return Legs(
        np.array([row[0] for row in rows], dtype=np.int8),
        np.array([row[1] for row in rows], dtype=float),
        np.array([row[2] for row in rows], dtype=np.int64),
        np.array([row[3] for row in rows], dtype="datetime64[D]"),
    )


#: Of the spread model: at the money about a tenth of a point on an index of 1,000, at least a cent.
SPREAD = np.array([-6.5, 0.5, 0.0, 0.0, -7.0, 1.0, 0.01, 0.02, 3.0])


def modelled(n=60, *, seed=0, start="2023-01-02", spot=1000.0, volatility=0.2, ahead=90):
    """Surfaces of `n` weekdays of a random walk, and the calendar that goes on after them."""
    rng = np.random.default_rng(seed)
    days = np.arange(np.datetime64(start), np.datetime64(start) + 2 * (n + ahead))
    calendar = days[np.is_busday(days)][: n + ahead]
    close = spot * np.exp(np.cumsum(rng.normal(0.0, volatility / np.sqrt(252), n)))
    short = (volatility * rng.uniform(0.8, 1.2, n)) ** 2
    parameters = np.column_stack([short, np.full(n, volatility**2), *(np.full(n, x) for x in (3.0, -0.6, 0.9, 0.4))])
    surfaces = Surfaces(
        calendar[:n], close, close * np.exp(rng.normal(0.0, 0.004, n)), np.full(n, 0.03), np.full(n, 0.015),
        parameters, SPREAD, np.full(n, 5.0), np.ones(n, dtype=bool),
    )  # fmt: skip
    return surfaces, calendar
