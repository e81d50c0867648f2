"""Index bars of a random walk for the made-up trades, which need no real ones, and the trades made of them."""

import datetime as dt
from functools import cache

import numpy as np
import polars as pl

from openbell.market.calendars import sessions
from openbell.research.made_up_trades import made_up_bars, made_up_trades
from openbell.research.trade_facts import facts
from openbell.research.trade_features import market_columns, with_market

CALENDAR = sessions(start=2014, end=2018)


@cache
def index_bars(seed=0):
    """SPX and COMP on every session of 2014 to 2018, and a volatility index that moves."""
    rng = np.random.default_rng(seed)
    dates = [day for day in CALENDAR.dates if dt.date(2014, 1, 2) <= day <= dt.date(2018, 12, 31)]
    n, parts = len(dates), []
    level = 18.0 * np.exp(0.4 * np.sin(np.arange(n) / 12.0) + rng.normal(0, 0.05, n))
    for symbol, start in (("SPX", 2_000.0), ("COMP", 5_000.0)):
        close = start * np.exp(np.cumsum(rng.normal(2e-4, 0.01, n)))
        open_ = np.r_[start, close[:-1]] * np.exp(rng.normal(0, 0.003, n))
        high, low = np.maximum(open_, close) * 1.004, np.minimum(open_, close) * 0.996
        values = {"open": open_, "high": high, "low": low, "close": close, "volume": np.full(n, 1e9)}
        parts.append(pl.DataFrame({"symbol": [symbol] * n, "session": dates, **values}))
    return pl.concat(parts), pl.DataFrame({"session": dates, "close": level})


@cache
def made(days=30, times=4, seed=0, skill=None, **more):
    return made_up_trades(*index_bars(), seed=seed, days=days, times=times, skill=skill, **more)


@cache
def market():
    bars, volatility = index_bars()
    return market_columns(made_up_bars(bars), volatility)


@cache
def made_facts(**arguments):
    return facts(with_market(made(**arguments), market()), commission_usd=0.65, sessions=CALENDAR)
