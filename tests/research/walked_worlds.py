"""Proposed trades with known odds, for tests of the walk and its scores: no prices behind them, no model either."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from openbell.core.trade_rows import LEVELS

CELLS = (("SPX", "Butterfly"), ("SPX", "Vertical"), ("NDX", "Butterfly"), ("NDX", "Vertical"))


def weekdays(count: int) -> list[dt.date]:
    """So many weekdays from the second of January 2023 on."""
    found, day = [], dt.date(2023, 1, 2)
    while len(found) < count:
        if day.weekday() < 5:
            found.append(day)
        day += dt.timedelta(days=1)
    return found


def trades(days: int = 60, per_day: int = 2, *, seed: int = 0, open_days: int = 0) -> pl.DataFrame:
    """Trades of every cell on every day, with the signal `edge` in the log-odds that the price does not have.

    An outcome is known at 21:00 UTC, `open_days` weekdays later.
    """
    rng = np.random.default_rng(seed)
    calendar = weekdays(days + open_days)
    rows = []
    for at in range(days):
        for number in range(per_day):
            for symbol, strategy in CELLS:
                known = dt.datetime.combine(calendar[at], dt.time(14, 35), dt.UTC) + dt.timedelta(minutes=5 * number)
                out = dt.datetime.combine(calendar[at + open_days], dt.time(21, 0), dt.UTC)
                rows.append((calendar[at], known, out, symbol, strategy))
    frame = pl.DataFrame(
        rows, schema=["session", "known_at", "outcome_known_at", "symbol", "strategy"], orient="row"
    ).with_columns(pl.col("known_at", "outcome_known_at").cast(pl.Datetime("us", "UTC")))
    n = frame.height
    logit, edge = rng.normal(0.0, 0.7, n), rng.normal(0.0, 1.0, n)
    price, true = (1.0 / (1.0 + np.exp(-each)) for each in (logit, logit + edge))
    win = rng.random(n) < true
    worth, loss = 100.0 * (1.0 - price), -100.0 * price
    return frame.with_columns(
        price_probability=pl.Series(price),
        logit_price=pl.Series(logit),
        edge=pl.Series(edge),
        win=pl.Series(win),
        profit_usd=pl.Series(np.where(win, worth, loss)),
        risk_usd=pl.Series(-loss),
        win_usd=pl.Series(worth),
        loss_usd=pl.Series(loss),
        ratio=pl.Series(worth / -loss),
    )


@dataclass(frozen=True)
class Said:
    """What a rule says: one level, the narrowest, speaks alone."""

    probability: np.ndarray

    @property
    def level(self) -> np.ndarray:
        return np.array([LEVELS[0]] * len(self.probability), dtype=object)

    @property
    def weights(self) -> np.ndarray:
        return np.tile(np.eye(len(LEVELS))[0], (len(self.probability), 1))

    @property
    def effective_n(self) -> np.ndarray:
        return np.full(len(self.probability), 7.0)


@dataclass(frozen=True)
class Rules:
    """Models that are rules on the rows; every threshold is the same."""

    of: Mapping[str, Callable[[pl.DataFrame], np.ndarray]]
    least: float = 0.5

    def forecast(self, name: str, rows: pl.DataFrame) -> Said:
        return Said(self.of[name](rows))

    def threshold(self, name: str, rows: pl.DataFrame) -> np.ndarray:
        return np.full(rows.height, self.least)


def odds(rows: pl.DataFrame, edge: float) -> np.ndarray:
    """The price's odds with so much of the edge."""
    logit = rows["logit_price"].to_numpy() + edge * rows["edge"].to_numpy()
    return 1.0 / (1.0 + np.exp(-logit))


RULES: Mapping[str, Callable[[pl.DataFrame], np.ndarray]] = {
    "knowing": lambda rows: odds(rows, 1.0),
    "clone": lambda rows: rows["price_probability"].to_numpy(),
    "wrong": lambda rows: odds(rows, -1.0),
    "price": lambda rows: rows["price_probability"].to_numpy(),
}


def ruled(least: float = 0.5) -> Callable[..., Rules]:
    """A fit that learns nothing: the rules as they stand."""
    return lambda rows, features, names, *, fit_at: Rules(RULES, least)
