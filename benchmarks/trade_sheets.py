"""Rows a second of the import of trade sheets, on made-up day folders with the sizes of real ones.

A day has 77 five-minute slots from 09:35 to 15:55; eight symbols and four strategies in the profit sheet with 112
summary rows, six symbols in the trades sheet (half of the days), one symbol in the delta sheet. Run::

    python benchmarks/trade_sheets.py --rows 500000
"""

from __future__ import annotations

import argparse
import datetime as dt
import resource
import tempfile
import time
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np

from openbell.core.trade_rows import SHEET_STRATEGIES, SHEET_SYMBOLS
from openbell.market.calendars import sessions
from openbell.market.trade_sheets import imported

NEW_YORK = ZoneInfo("America/New_York")
SLOTS = 77
PROFIT = "Day,Hour,Symbol,Price,Name,Predicted,Low,High,Closed,Risk,Reward,Premium,Stop,Raw,Managed,Trade"
LEGS = ",".join(f"{name}{leg}" for leg in range(1, 5) for name in ("Strike", "Direction", "Type", "Bid", "Ask", "Mid"))
TRADES = (
    f"Date,Time,Source,Symbol,Name,Premium,Risk,ExpectedMove,Low,High,Target1,Target2,Predicted,Closing,{LEGS},Trade"
)
DELTA = "When,Symbol,Price,CallDelta,PutDelta,Predicted,ShortTerm,LongTerm,Closing"


def structure(strategy: str, at: float, day: dt.date, symbol: str, premium: float):
    """Legs (strike, side, right) and text of a made-up trade."""
    centre = round(at / 5) * 5
    date = f"{day.day} {day:%b} {day:%y}"
    if strategy == "Butterfly":
        strikes, rights, verb, word = (centre - 20, centre, centre + 20), "CALL", "BUY +1", "Butterfly"
        legs = [(strikes[0], "BUY", "CALL"), (strikes[1], "SELL", "CALL"), (strikes[2], "BUY", "CALL")]
    elif strategy == "Vertical":
        strikes, rights, verb, word = (centre + 30, centre + 35), "CALL", "SELL -1", "Vertical"
        legs = [(strikes[0], "SELL", "CALL"), (strikes[1], "BUY", "CALL")]
    else:
        strikes = (centre + 30, centre + 35, centre - 30, centre - 35)
        rights, verb, word = "CALL/PUT", "SELL -1", "Iron Condor"
        legs = list(zip(strikes, ("SELL", "BUY", "SELL", "BUY"), ("CALL", "CALL", "PUT", "PUT"), strict=True))
    text = f"{verb} {word} {symbol} 100 {date} {'/'.join(map(str, strikes))} {rights} @{premium:.2f} LMT"
    return legs, text


def day_folder(root: Path, day: dt.date, with_trades: bool, rng: np.random.Generator) -> int:
    """Write one day; the number of its rows."""
    folder = root / f"{day}-{day.toordinal() % 0xFFFFF:05X}"
    folder.mkdir(parents=True)
    opened = dt.datetime.combine(day, dt.time(9, 35))
    shift = -dt.datetime.combine(day, dt.time(12), NEW_YORK).utcoffset()
    profit, trades, delta = [PROFIT], [TRADES], [DELTA]
    level = 5000.0 + 200.0 * rng.standard_normal()
    for slot in range(SLOTS):
        now = opened + slot * dt.timedelta(minutes=5)
        level += 3.0 * rng.standard_normal()
        utc = now + shift
        delta.append(
            f"{utc:%m-%d-%Y %H:%M}:53,SPX,{level:.2f},.45,-.52,{level + 3:.2f},{level + 4:.2f},{level:.2f},5000"
        )
        for symbol in SHEET_SYMBOLS[: 8 if slot % 4 == 0 else 6]:
            for strategy in SHEET_STRATEGIES:
                premium = float(rng.integers(5, 300)) / 100
                legs, text = structure(strategy, level, day, symbol, premium)
                result = premium if rng.random() < 0.6 else -(5 - premium)
                profit.append(
                    f"{now:%m-%d-%Y},{now:%H:%M},{symbol},{level:.2f},{strategy},{level:.2f},4900,5100,5000,"
                    f"{5 - premium:.2f},{premium:.2f},{premium:.2f},0,{result:.2f},{result:.2f},{text}"
                )
                if with_trades and symbol not in ("AAPL", "TSLA"):
                    told = [f"{k},{side},{kind},1.0,1.1,1.05" for k, side, kind in legs]
                    told += [",,,,,"] * (4 - len(legs))
                    trades.append(
                        f"{utc:%m-%d-%Y},{utc:%H:%M},M8,{symbol},{strategy},{premium:.2f},{5 - premium:.2f},31.5,4900,"
                        f"5100,4950,5050,{level:.2f},5000,{','.join(told)},{text}"
                    )
    profit += [f",,{name},,,,,,,,,,,1,1," for name in ("Total", "Expired", "Failed", "Butterfly") for _ in range(28)]
    (folder / "profit made.csv").write_text("\n".join(profit))
    (folder / "delta made.csv").write_text("\n".join(delta))
    if with_trades:
        (folder / "trades made.csv").write_text("\n".join(trades))
    return len(profit) + len(delta) + (len(trades) if with_trades else 0) - 2 - with_trades


def main() -> None:
    """Make the folders, import them, print the rates."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=500_000)
    asked = parser.parse_args()
    calendar = sessions()
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name:
        root, rows = Path(name), 0
        for number, day in enumerate(calendar.between(dt.date(2022, 1, 3), dt.date(2025, 6, 30))):
            rows += day_folder(root, day, number % 2 == 1, rng)
            if rows >= asked.rows:
                break
        imported([next(root.iterdir())], calendar)  # the grammar is built, the libraries are loaded
        begun, cpu = time.perf_counter(), time.process_time()
        found = imported([root], calendar)
        wall, cpu = time.perf_counter() - begun, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(found.counts)
    print(found.flags)
    print(f"{rows:,} rows of {number + 1} days in {wall:.2f} s ({cpu:.2f} s CPU), peak {peak:.1f} GB")
    print(f"{rows / wall:,.0f} rows/s")


if __name__ == "__main__":
    main()
