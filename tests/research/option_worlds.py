"""Small typed worlds for the option back-test: sessions, prices of the underlying and a table of quotes."""

import datetime as dt

import numpy as np
import polars as pl

from openbell.quant.legs import Legs
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
