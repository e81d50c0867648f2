"""Proposed trades with a known truth: what wins is drawn from the price, moved in some cells by a feature."""

import datetime as dt

import numpy as np
import polars as pl
from scipy.special import expit, logit, ndtri

SYMBOLS, STRATEGIES = ("SPX", "SPY", "RUT", "QQQ"), ("Butterfly", "Iron Condor", "Vertical", "Sonar")
#: Features that `trades` has, and some more that say nothing where it is asked for them.
FEATURES = ("edge", "noise", "mood")
NOISES = tuple(f"noise{number}" for number in range(8))
FIRST = dt.date(2024, 1, 1)


def trades(
    *,
    days: int = 60,
    each: int = 3,
    symbols=SYMBOLS,
    strategies=STRATEGIES,
    skilled=(),
    effect: float = 0.0,
    shared: float = 0.0,
    missing: float = 0.0,
    seed: int = 0,
) -> pl.DataFrame:
    """`each` trades a day and cell; in `skilled` cells ``edge`` moves the log-odds by `effect`.

    `shared` is the part of what decides a trade that all trades of a day have in common; ``mood`` is the same for all
    trades of a day, ``noise`` says nothing, and ``edge`` is missing in a part of the rows.
    """
    rng = np.random.default_rng(seed)
    pairs = [(symbol, strategy) for symbol in symbols for strategy in strategies]
    day = np.repeat(np.arange(days), len(pairs) * each)
    cell = np.tile(np.repeat(np.arange(len(pairs)), each), days)
    n = len(day)
    price = rng.uniform(0.15, 0.85, n)
    edge = rng.normal(size=n)
    there = rng.random(n) >= missing
    skill = np.array([pair in set(skilled) for pair in pairs])[cell]
    truth = expit(logit(price) + effect * skill * edge * there)
    fate = np.sqrt(shared) * rng.normal(size=days)[day] + np.sqrt(1.0 - shared) * rng.normal(size=n)
    win = fate < ndtri(truth)
    risk = rng.uniform(100.0, 400.0, n)
    opened = [dt.datetime.combine(FIRST, dt.time(15), dt.UTC) + dt.timedelta(days=int(d)) for d in day]
    minutes = np.tile(np.arange(n // days), days)
    return pl.DataFrame(
        {
            "session": [FIRST + dt.timedelta(days=int(d)) for d in day],
            "known_at": [at + dt.timedelta(minutes=int(m)) for at, m in zip(opened, minutes % 300, strict=True)],
            "outcome_known_at": [at + dt.timedelta(hours=6) for at in opened],
            "symbol": [pairs[c][0] for c in cell],
            "strategy": [pairs[c][1] for c in cell],
            "price_probability": price,
            "logit_price": logit(price),
            "win": win,
            "profit_usd": np.where(win, risk * (1.0 - price) / price, -risk),
            "risk_usd": risk,
            "edge": pl.Series(edge).set(~pl.Series(there), None),
            "noise": rng.normal(size=n),
            "mood": rng.normal(size=days)[day],
            "truth": truth,
            **{name: rng.normal(size=n) for name in NOISES},
        },
        schema_overrides={"known_at": pl.Datetime("us", "UTC"), "outcome_known_at": pl.Datetime("us", "UTC")},
    )


def fit_at(rows: pl.DataFrame) -> dt.datetime:
    """The moment after the last outcome of `rows`."""
    found = rows["outcome_known_at"].max()
    assert isinstance(found, dt.datetime)
    return found


def split(rows: pl.DataFrame, day: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows before the day with that number, and the others."""
    border = FIRST + dt.timedelta(days=day)
    return rows.filter(pl.col("session") < border), rows.filter(pl.col("session") >= border)


def log_loss(probability: np.ndarray, rows: pl.DataFrame) -> float:
    """Mean log-loss of the probability of a win."""
    win = rows["win"].to_numpy()
    held = np.clip(probability, 1e-12, 1 - 1e-12)
    return float(-np.mean(np.where(win, np.log(held), np.log1p(-held))))
