"""Made-up chains: Black's formula with a volatility that is a function of strike and time, and nothing else."""

import datetime as dt

import numpy as np
import polars as pl
from scipy.stats import norm

from openbell.core.quotes import QUOTES

UTC = dt.UTC


def chains(sessions, spots, volatilities, *, days=(9, 16, 23, 37, 65, 93, 121), strikes=41, step=0.01, rate=0.03,
           smile=None, underlying="SPX", modelled=True, seed=0, multiplier=100.0):  # fmt: skip
    """Quotes of `core.quotes.QUOTES` at 21:00 UTC of each session, a round grid of strikes around each spot.

    `smile(k, days)` adds to the volatility of the session, k the log of strike over forward.
    """
    rng = np.random.default_rng(seed)
    n, e, s = len(sessions), len(days), strikes
    spot, level = (np.asarray(x, dtype=float).reshape(n, 1, 1, 1) for x in (spots, volatilities))
    tenor = np.asarray(days, dtype=float).reshape(1, e, 1, 1)
    place = (np.arange(s) - s // 2).reshape(1, 1, s, 1)
    strike = spot * (1.0 + step * place) + 0.0 * tenor
    right = np.array([1.0, -1.0]).reshape(1, 1, 1, 2)
    years = tenor / 365.0
    forward, discount = spot * np.exp(rate * years), np.exp(-rate * years)
    k = np.log(strike / forward)
    volatility = level + (0.0 if smile is None else smile(k, tenor))
    deviation = volatility * np.sqrt(years)
    d1 = -k / deviation + deviation / 2
    delta = right * norm.cdf(right * d1)
    mid = discount * right * (forward * norm.cdf(right * d1) - strike * norm.cdf(right * (d1 - deviation)))
    gamma = norm.pdf(d1) / (spot * deviation)
    vega = spot * norm.pdf(d1) * np.sqrt(years)
    theta = -(spot * norm.pdf(d1) * volatility / (2 * np.sqrt(years))) / 365.0
    shape = np.broadcast(strike, right, years).shape
    counts = (
        rng.poisson(60.0 * np.exp(-40.0 * k**2) * np.ones(shape)),
        rng.poisson(400.0 * np.exp(-30.0 * (k - 0.05 * rng.normal(size=(n, 1, 1, 1))) ** 2) * np.ones(shape)),
    )
    at = [dt.datetime(x.year, x.month, x.day, 21, tzinfo=UTC) for x in sessions]
    wide = {
        "strike": strike, "mid": mid, "years": years, "forward": forward, "discount": discount, "iv": volatility,
        "delta": delta, "gamma": gamma, "theta": theta, "vega": vega, "spot": spot, "volume": counts[0].astype(float),
        "open_interest": counts[1].astype(float),
    }  # fmt: skip
    columns = {name: np.broadcast_to(values, shape).ravel() for name, values in wide.items()}
    each = e * s * 2
    frame = pl.DataFrame(columns).with_columns(
        pl.Series("session", np.repeat(np.array(sessions, dtype="datetime64[D]"), each)),
        pl.Series("quote_at", np.repeat(np.array([x.replace(tzinfo=None) for x in at], "datetime64[us]"), each))
        .dt.replace_time_zone("UTC"),
        pl.Series("right", np.tile(["CALL", "PUT"], n * e * s)),
        pl.Series("days", np.tile(np.repeat(np.asarray(days), s * 2), n)),
        pl.lit(underlying).alias("underlying"), pl.lit(underlying).alias("root"), pl.lit("PM").alias("settlement"),
        pl.lit("EUROPEAN").alias("exercise"), pl.lit(multiplier).alias("multiplier"),
        pl.lit(modelled).alias("modelled"), pl.lit("made up").alias("source"),
    )  # fmt: skip
    frame = frame.with_columns(
        (pl.col("session") + pl.duration(days=pl.col("days").floor().cast(pl.Int64))).alias("expiry"),
        pl.col("quote_at").alias("known_at"),
        (pl.col("mid") * 0.99).alias("bid"),
        (pl.col("mid") * 1.01).alias("ask"),
    )
    return frame.select(
        (pl.col(name) if name in frame.columns else pl.lit(None)).cast(kind).alias(name)
        for name, kind in QUOTES.items()
    )
