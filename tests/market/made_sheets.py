"""Day folders of trade sheets made by hand from the specification, one per header generation."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from zoneinfo import ZoneInfo

NEW_YORK = ZoneInfo("America/New_York")

PROFIT_2022 = "When,Symbol,Name,Premium,Predicted,Closed,Expired,Trade"
PROFIT_2023 = "Day,Hour,Symbol,Price,Name,Premium,Predicted,Closed,Expired,Trade,Risk,Reward,Ratio,Profit"
PROFIT_2024 = "Day,Hour,Symbol,Price,Name,Predicted,Low,High,Closed,Risk,Reward,Premium,Stop,Raw,Managed,Trade"
PROFIT_2025 = (
    "Date,Hour,Symbol,Price,Name,Predicted,Low,High,Closing,Risk,ExpectedPremium,ActualPremium,Raw,Managed,Trade,"
    "Profit,TotalProfit"
)
LEGS = ",".join(f"{name}{leg}" for leg in range(1, 5) for name in ("Strike", "Direction", "Type", "Bid", "Ask", "Mid"))
TRADES = f"Date,Time,Symbol,Name,Premium,Risk,ExpectedMove,Low,High,Target1,Target2,Predicted,Closing,{LEGS},Trade"
TRADES_SOURCE = TRADES.replace("Time,", "Time,Source,")
DELTA = "When,Symbol,Price,CallDelta,PutDelta,Predicted,ShortTerm,LongTerm,Closing"
DELTA_DIFFERENCE = f"{DELTA},Difference"

CONDOR_LEGS = (
    "5905,SELL,CALL,1.00,1.10,1.05,5910,BUY,CALL,.60,.70,.65,5780,SELL,PUT,.90,1.00,.95,5775,BUY,PUT,.50,.60,.55"
)
FLY_LEGS = "5855,BUY,CALL,30,31,30.5,5865,SELL,CALL,22,23,22.5,5875,BUY,CALL,15,16,15.5,0,,,,,"
VERTICAL_LEGS = "5905,SELL,CALL,1.00,1.10,1.05,5910,BUY,CALL,.60,.70,.65,,,,,,,,,,,,"


def condor(strikes: str = "5905/5910/5780/5775", symbol: str = "SPX", date: str = "", price: str = "0.63") -> str:
    """The text of an iron condor sold for `price`."""
    return f"SELL -1 Iron Condor {symbol} 100 {date + ' ' if date else ''}{strikes} CALL/PUT @{price} LMT"


def put(folder: Path, name: str, *lines: str) -> Path:
    """Write a sheet into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def utc_text(day: dt.date, hour: int, minute: int, form: str) -> str:
    """A moment of New York as the UTC sheets write it."""
    return dt.datetime.combine(day, dt.time(hour, minute), NEW_YORK).astimezone(dt.UTC).strftime(form)
