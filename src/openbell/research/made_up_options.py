"""A market of one underlying with its options, made up, to prove features on where no real one is stored."""

from __future__ import annotations

import numpy as np
import polars as pl

from openbell.core.time import Sessions
from openbell.quant.black import greeks
from openbell.research.chain_audit import OptionInputs

_DAYS = np.array([23.0, 37.0, 93.0])
_STEPS = np.arange(-6, 7) * 0.02
_RATE = 0.03
_FIELDS = ("open", "high", "low", "close", "volume")


def made_up_inputs(sessions: Sessions, *, count: int = 660, seed: int = 0) -> OptionInputs:
    """The last `count` sessions of a random walk, a benchmark, a volatility index, and chains of 78 contracts a day.

    Everything in it moves, so that no feature is constant; none of it means anything.
    """
    rng = np.random.default_rng(seed)
    dates = np.array(sessions.dates[-count:], dtype="datetime64[D]")
    own, benchmark = _bars(dates, rng, "MADE-UP"), _bars(dates, rng, "BENCHMARK")
    level = 0.2 * np.exp(0.3 * np.sin(np.arange(len(dates)) / 40.0) + rng.normal(0.0, 0.05, len(dates)))
    index = pl.DataFrame({"session": dates, "close": 100.0 * level + rng.normal(0.0, 0.5, len(dates))})
    return OptionInputs("MADE-UP", own, benchmark, index, _quotes(dates, own["close"].to_numpy(), level, rng), sessions)


def _bars(dates: np.ndarray, rng: np.random.Generator, symbol: str) -> pl.DataFrame:
    n = len(dates)
    close = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.01, n)))
    open_ = np.r_[100.0, close[:-1]] * np.exp(rng.normal(0.0, 0.003, n))
    high = np.maximum(open_, close) * np.exp(np.abs(rng.normal(0.0, 0.004, n)))
    low = np.minimum(open_, close) * np.exp(-np.abs(rng.normal(0.0, 0.004, n)))
    values = dict(zip(_FIELDS, (open_, high, low, close, np.round(rng.lognormal(14.0, 0.4, n))), strict=True))
    frame = pl.DataFrame({"symbol": [symbol] * n, "session": dates, **values})
    return frame.with_columns(pl.col(name).alias(f"raw_{name}") for name in _FIELDS)


def _quotes(dates: np.ndarray, spot: np.ndarray, level: np.ndarray, rng: np.random.Generator) -> pl.DataFrame:
    day, tenor, step, right = (
        each.ravel() for each in np.meshgrid(np.arange(len(dates)), _DAYS, _STEPS, [1.0, -1.0], indexing="ij")
    )
    at = day.astype(np.int64)
    strike, years = spot[at] * (1.0 + step), tenor / 365.0
    iv = level[at] - 0.2 * step - 3e-4 * tenor
    found = greeks(right, spot[at], strike, years, iv, np.full(len(at), _RATE))
    centre = 0.05 * rng.normal(size=len(dates))[at]
    quote_at = dates.astype("datetime64[us]")[at] + np.timedelta64(21, "h")
    return pl.DataFrame(
        {
            "underlying": ["MADE-UP"] * len(at),
            "session": dates[at],
            "quote_at": pl.Series(quote_at).dt.replace_time_zone("UTC"),
            "expiry": (dates[at] + tenor.astype("timedelta64[D]")),
            "root": ["MADE-UP"] * len(at),
            "settlement": ["PM"] * len(at),
            "strike": strike,
            "right": np.where(right > 0, "CALL", "PUT"),
            "multiplier": np.full(len(at), 100.0),
            "volume": rng.poisson(60.0, len(at)).astype(np.float64),
            "open_interest": rng.poisson(400.0 * np.exp(-30.0 * (step - centre) ** 2)).astype(np.float64),
            "modelled": np.ones(len(at), dtype=bool),
            "years": years,
            "forward": spot[at] * np.exp(_RATE * years),
            "iv": iv,
            **{name: getattr(found, name) for name in ("delta", "gamma", "theta", "vega", "rho")},
        }
    )
