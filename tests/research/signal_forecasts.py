"""Made-up bars and forecasts of signals: small, seeded, with or without something to know."""

import datetime as dt

import numpy as np
import polars as pl

from openbell.core.signal import CALLS, FORECASTS
from openbell.quant.signal_rule import called


def made_bars(symbols=3, sessions=120, per=1, seed=0):
    """Random walks; `per` bars a session, weekdays only."""
    rng = np.random.default_rng(seed)
    days = [
        day for day in (dt.date(2023, 1, 2) + dt.timedelta(days=at) for at in range(2 * sessions)) if day.weekday() < 5
    ]
    days, n, size = days[:sessions], sessions * per, 0.012 / per**0.5
    at = [
        dt.datetime.combine(day, dt.time(14, 30), dt.UTC) + dt.timedelta(minutes=390 // per * (bar + 1))
        for day in days
        for bar in range(per)
    ]
    parts = []
    for number in range(symbols):
        begin = 80 * np.exp(np.cumsum(rng.normal(0, size, n)))
        end = begin * np.exp(rng.normal(0, size, n))
        over = np.abs(rng.normal(0, size / 2, (2, n)))
        parts.append(
            pl.DataFrame(
                {"symbol": [f"S{number}"] * n, "session": [day for day in days for _ in range(per)],
                 "at": pl.Series(at, dtype=pl.Datetime("us", "UTC")), "open": begin,
                 "high": np.maximum(begin, end) * (1 + over[0]), "low": np.minimum(begin, end) * (1 - over[1]),
                 "close": end, "volume": rng.uniform(1e5, 1e6, n)}
            )
        )  # fmt: skip
    return pl.concat(parts).sort("symbol", "at")


def made_forecasts(bars, model="made", horizon=5, knows=0.0, seed=1, min_confidence=0.6):
    """Forecasts for every bar; with `knows` of 1 the sign of what comes is said with certainty."""
    rng = np.random.default_rng(seed)
    rows = bars.with_columns(
        (pl.col("open").shift(-1 - horizon) / pl.col("open").shift(-1) - 1).over("symbol").alias("later"),
        pl.col("at").shift(-1 - horizon).over("symbol").alias("label_known_at"),
    )
    n = rows.height
    luck = rng.dirichlet(np.full(3, 0.6), n)
    later = rows["later"].fill_null(0.0).to_numpy()
    truth = np.eye(3)[np.where(later > 0.01, 2, np.where(later < -0.01, 0, 1))]
    p = (1 - knows) * luck + knows * (0.9 * truth + 0.1 / 3)
    label = pl.Series(np.sign(later) * (np.abs(later) > 0.01)).cast(pl.Int8)
    found = rows.select(
        "symbol", "session", pl.col("at").alias("as_of"), "close", pl.lit(0.012).alias("sigma"),
        pl.when(pl.col("later").is_not_null()).then(label).alias("label"), "label_known_at",
        pl.lit(model).alias("model"), pl.lit(0, dtype=pl.Int32).alias("fold"),
        *(pl.Series(f"p_{each.lower()}", p[:, at]) for at, each in enumerate(CALLS)),
        *(pl.Series(f"in_{each.lower()}", p.argmax(axis=1) == at) for at, each in enumerate(CALLS)),
    )  # fmt: skip
    return called(found, min_confidence=min_confidence).select(list(FORECASTS)).sort("as_of", "symbol")
