"""A chain with known volatilities and a decision of the options desk, both made by hand."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import polars as pl

from openbell.core.quotes import QUOTES, RECEIVED
from openbell.market.chain_pricing import priced as with_numbers
from openbell.quant.black import prices

DAY, EXPIRY = dt.date(2024, 5, 31), dt.date(2024, 6, 28)
AT = dt.datetime(2024, 5, 31, 20, tzinfo=dt.UTC)
SPOT = 5000.0
STRIKES = np.arange(4600.0, 5401.0, 50.0)
YEARS = 28.0 / 365.0


def skew(strike: np.ndarray) -> np.ndarray:
    """The volatility that the quotes are made with."""
    k = np.log(strike / SPOT)
    return np.sqrt(0.02 - 0.05 * k + 0.2 * k**2)


def quotes(moment: dt.datetime = AT, strikes: np.ndarray = STRIKES) -> pl.DataFrame:
    """Calls and puts without interest, half a point of spread on either side."""
    parts = []
    for right, word in ((1.0, "CALL"), (-1.0, "PUT")):
        value = prices(np.full(len(strikes), right), SPOT, strikes, YEARS, skew(strikes))
        parts.append(pl.DataFrame({"strike": strikes, "bid": np.maximum(value - 0.5, 0.05), "ask": value + 0.5,
                                   "right": [word] * len(strikes)}))  # fmt: skip
    rest = {
        "underlying": "SPX", "root": "SPXW", "session": DAY, "quote_at": moment, "expiry": EXPIRY, "settlement": "PM",
        "exercise": "EUROPEAN", "multiplier": 100.0, "last": None, "volume": 7.0, "open_interest": 9.0, "spot": SPOT,
        "vendor_iv": None, "vendor_delta": None, "modelled": False, "source": "made by hand",
    }  # fmt: skip
    rows = pl.concat(parts).with_columns(**{name: pl.lit(value) for name, value in rest.items()})
    received = rows.select(pl.col(name).cast(kind) for name, kind in RECEIVED.items())
    return with_numbers(received).with_columns(known_at=pl.lit(moment).cast(QUOTES["known_at"])).select(list(QUOTES))


def decision(structure: str | None = "IRON_CONDOR", key: str = "k") -> dict[str, Any]:
    leg = {"contract": "SPXW 240628P04900000", "ratio": -1, "right": "PUT", "strike": 4900.0, "expiry": "2024-06-28",
           "bid": 20.0, "ask": 21.0}  # fmt: skip
    details = {"structure": structure, "underlying": "SPX", "contracts": 2, "legs": [leg] if structure else [],
               "statistics": {"n": 49, "effective_n": 21.2, "win_rate": 0.6, "expected_return": 0.1, "low": -0.2,
                              "high": 0.4}}  # fmt: skip
    if structure is None:
        details |= {"abstained": True, "statistics": {}}
    return {"desk": "options.SPX", "session": "2024-06-03", "decision": key, "targets": {"A": 0.1}, "why": ["Because."],
            "verdicts": [], "details": details}  # fmt: skip
