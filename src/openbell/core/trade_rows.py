"""The table of option trades that were proposed: one row per trade, its outcome null until it is known."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import polars as pl

_MOMENT = pl.Datetime("us", "UTC")

#: Strategies of the trade sheets, and their words on a ticket.
SHEET_STRATEGIES: Mapping[str, str] = MappingProxyType(
    {"Butterfly": "BUTTERFLY", "Iron Condor": "IRON CONDOR", "Vertical": "VERTICAL", "Sonar": "SONAR"}
)
#: Symbols of the trade sheets (S1.05), and those that are pooled as one group (S1.07).
SHEET_SYMBOLS = ("SPX", "SPY", "RUT", "QQQ", "XSP", "NDX", "AAPL", "TSLA")
SYMBOL_GROUPS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"SPX_SPY": ("SPX", "SPY"), "QQQ_AAPL_TSLA": ("QQQ", "AAPL", "TSLA")}
)

_LEGS = range(1, 5)

#: The 56 columns of Annex E. `timestamp` is UTC; `date` and `time` ("HH:MM") are the exchange's. `direction` is the
#: signed number of units of the leg from the trader's side (+1 long, -2 two short); `type` is CALL or PUT. Money
#: (`premium`, `risk`, `reward`, `profit`) is in the row's `unit`. `premium` is what the structure costs, or, where it
#: can only owe at expiry, what it brings. A missing profit is null, and so is its `win`.
SHEET: Mapping[str, pl.DataType | type[pl.DataType]] = MappingProxyType(
    {
        "date": pl.Date, "time": pl.String, "timestamp": _MOMENT, "symbol": pl.String, "strategy": pl.String,
        "price": pl.Float64, "premium": pl.Float64, "predicted": pl.Float64, "closed": pl.Float64,
        "expired": pl.Float64, "risk": pl.Float64, "reward": pl.Float64, "ratio": pl.Float64, "profit": pl.Float64,
        "win": pl.Boolean,
        "source": pl.String, "expected_move": pl.Float64, "low": pl.Float64, "high": pl.Float64,
        "target1": pl.Float64, "target2": pl.Float64, "predicted_trades": pl.Float64, "closing": pl.Float64,
        **{f"strike{i}": pl.Float64 for i in _LEGS}, **{f"direction{i}": pl.Int64 for i in _LEGS},
        **{f"type{i}": pl.String for i in _LEGS}, **{f"bid{i}": pl.Float64 for i in _LEGS},
        **{f"ask{i}": pl.Float64 for i in _LEGS}, **{f"mid{i}": pl.Float64 for i in _LEGS},
        "call_delta": pl.Float64, "put_delta": pl.Float64, "predicted_delta": pl.Float64, "short_term": pl.Float64,
        "long_term": pl.Float64, "closing_delta": pl.Float64,
        "trade_description": pl.String, "source_file": pl.String, "format_year": pl.Int64,
    }
)  # fmt: skip

#: What a stored row carries besides. unit : ``points`` or ``usd``, per one unit of the structure. multiplier : USD per
#: point. expiry : of all legs (the sheets trade one expiry). known_at : when the trade could be acted on.
#: outcome_known_at : when its profit was known; null while it is open.
TRADES: Mapping[str, pl.DataType | type[pl.DataType]] = MappingProxyType(
    {
        **SHEET,
        "expiry": pl.Date,
        "unit": pl.String,
        "multiplier": pl.Float64,
        "outcome_known_at": _MOMENT,
        "known_at": _MOMENT,
    }
)

#: Columns that tell the outcome: no feature may read them.
OUTCOME = frozenset({"closed", "expired", "profit", "win", "closing", "closing_delta", "outcome_known_at"})

#: Levels of the hierarchy from the narrowest (S1.07); `group` stands between where a symbol belongs to one.
LEVELS = ("symbol_strategy", "symbol", "group", "strategy", "default")
