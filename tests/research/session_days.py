"""Made-up sessions of one product: bars of half an hour, a decision at 10:15, forecasts that know more or less."""

import datetime as dt

import numpy as np
import polars as pl

from openbell.core.session import CLASSES, probability
from openbell.core.time import MOMENT

PER = 13


def days_of(sessions):
    """Weekdays from 2023 on."""
    first = dt.date(2023, 1, 2)
    return [first + dt.timedelta(days=at + 2 * (at // 5)) for at in range(sessions)]


def made_bars(sessions=120, seed=0, symbol="ES"):
    """Random walks, 13 bars of 30 minutes from 14:30 UTC; `at` is the end."""
    rng = np.random.default_rng(seed)
    n, size = sessions * PER, 0.003
    begin = 4000 * np.exp(np.cumsum(rng.normal(0, size, n)))
    end = begin * np.exp(rng.normal(0, size, n))
    over = np.abs(rng.normal(0, size / 2, (2, n)))
    days = days_of(sessions)
    at = [dt.datetime.combine(day, dt.time(14, 30), dt.UTC) + dt.timedelta(minutes=30 * (bar + 1))
          for day in days for bar in range(PER)]  # fmt: skip
    return pl.DataFrame(
        {"symbol": [symbol] * n, "freq": ["30m"] * n, "session": [day for day in days for _ in range(PER)],
         "at": pl.Series(at, dtype=MOMENT), "open": begin, "high": np.maximum(begin, end) * (1 + over[0]),
         "low": np.minimum(begin, end) * (1 - over[1]), "close": end}
    )  # fmt: skip


def made_decisions(bars, atr=80.0):
    """The columns of `core.session.DECISIONS`: decided at 15:15, entered at the open of 15:30, left at 21:00."""
    by = bars.group_by("symbol", "session", maintain_order=True)
    rows = by.agg(
        pl.col("close").get(1).alias("price"), pl.col("open").get(2).alias("entry"),
        pl.col("close").last().alias("exit"), pl.col("open").first().alias("day_open"),
        pl.col("at").first().alias("first"), pl.col("at").last().alias("exit_at"),
    )  # fmt: skip
    up = (pl.col("exit") > pl.col("entry")).cast(pl.Int8)
    return rows.with_columns(
        (pl.col("first") + pl.duration(minutes=15)).alias("as_of"),
        (pl.col("first") + pl.duration(minutes=30)).alias("entry_at"),
        pl.lit(atr).alias("atr"), up.alias("label"), pl.col("exit_at").alias("label_known_at"),
    ).drop("first")  # fmt: skip


def made_forecasts(bars, model="made", knows=0.0, seed=1, min_confidence=0.6, label="direction_from_cutoff"):
    """A forecast of each session; with `knows` of 1 the class that came is said with certainty."""
    rng, rows = np.random.default_rng(seed), made_decisions(bars)
    classes = CLASSES[label]
    truth = np.eye(len(classes))[rows["label"].to_numpy()]
    p = (1 - knows) * rng.dirichlet(np.full(len(classes), 1.5), rows.height) + knows * truth
    sure = p.max(axis=1)
    call = [classes[at] if most >= min_confidence else None for at, most in zip(p.argmax(axis=1), sure, strict=True)]
    return rows.drop("day_open").with_columns(
        pl.lit(model).alias("model"), pl.lit(0, dtype=pl.Int32).alias("fold"),
        *(pl.Series(probability(name), p[:, at]) for at, name in enumerate(classes)),
        pl.Series("confidence", sure), pl.Series("call", call, dtype=pl.String),
    )  # fmt: skip
