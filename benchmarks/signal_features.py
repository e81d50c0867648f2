"""`python -m benchmarks.signal_features [--moments 60]`: features of bars, live against history, and how fast.

Real minutes: a day of SPY and of 500 stocks is replayed bar by bar after the sessions before it, and every feature of
the signals desk on every frame is compared with the history's. Then the time of a full update over all frames: of one
symbol and of all at once. CPU stands beside the clock, for others may be at work.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.measuring import ROOT, machine, table
from openbell.core.declare import Feature, discover
from openbell.core.time import Sessions
from openbell.market.calendars import sessions
from openbell.market.providers.minutes import minutes
from openbell.research.bar_features import KEYS, BarFeatures

MINUTES = ROOT.parent / "shared" / "data" / "minute"
SPY, STOCKS = "SPY_1min_2024-02-20_2024-05-17.parquet", "sp500_stocks_1min_2022-10-19_2022-10-25.parquet"
#: Symbols that are proven together, and sessions before the replayed one that warm the state up.
AT_ONCE, BEFORE = 100, {SPY: 10, STOCKS: 1}


def bars_of(file: Path, calendar: Sessions, before: int) -> pl.DataFrame:
    """The last session of the file and `before` more, hours outside the session left out, in the order they came."""
    batch = minutes(file, timezone="America/New_York", stamp="start")
    hours = calendar.frame.sort("close_at")
    rows = batch.bars.sort("at").join_asof(hours, left_on="at", right_on="close_at", strategy="forward")
    rows = rows.filter(pl.col("at") > pl.col("open_at"))
    days = rows["session"].unique().sort()[-before - 1 :]
    return rows.filter(pl.col("session").is_in(days.implode())).select(batch.bars.columns).sort("at", "symbol")


def replayed(engine: BarFeatures, bars: pl.DataFrame, calendar: Sessions) -> dict[str, float]:
    """The last session bar by bar against the history: rows, the largest difference, and nulls that differ."""
    opened = calendar.opens[calendar.index(calendar.last_closed(bars["at"].max()))]  # type: ignore[arg-type]
    found = {"rows": 0.0, "values": 0.0, "difference": 0.0, "nulls": 0.0}
    names = bars["symbol"].unique().sort()
    for start in range(0, len(names), AT_ONCE):
        mine = bars.filter(pl.col("symbol").is_in(names[start : start + AT_ONCE].implode()))
        whole = engine.history(mine).filter(pl.col("as_of") > opened)
        live = engine.live()
        live.advance(mine.filter(pl.col("at") <= opened))
        day = mine.filter(pl.col("at") > opened).partition_by("at", maintain_order=True)
        told = pl.concat([live.advance(each) for each in day]).sort("symbol", "as_of")
        if live.reports or not told.select(KEYS).equals(whole.select(KEYS)):
            raise AssertionError(f"The rows of the replay are not those of the history: {live.reports}")
        ours, theirs = (frame.select(engine.columns).fill_null(np.nan).to_numpy() for frame in (told, whole))
        found["rows"] += len(ours)
        found["values"] += int(np.isfinite(ours).sum())
        found["nulls"] += int((np.isnan(ours) != np.isnan(theirs)).sum())
        found["difference"] = max(found["difference"], float(np.nanmax(np.abs(ours - theirs), initial=0.0)))
    return found


def timed(engine: BarFeatures, bars: pl.DataFrame, moments: int) -> dict[str, float]:
    """Milliseconds of an update of all symbols at once, and symbols per second of the clock and of the CPU."""
    live = engine.live()
    parts = bars.partition_by("at", maintain_order=True)
    live.advance(pl.concat(parts[:-moments]))
    spent, cpu, symbols = [], 0.0, 0
    for each in parts[-moments:]:
        clock, used = time.perf_counter(), time.process_time()
        live.advance(each)
        spent.append(time.perf_counter() - clock)
        cpu += time.process_time() - used
        symbols += each.height
    middle, high = np.percentile(spent, [50, 95]) * 1e3
    return {
        "symbols": symbols / moments,
        "p50_ms": middle,
        "p95_ms": high,
        "per_second": symbols / sum(spent),
        "per_cpu_second": symbols / cpu,
        "cached": live.cached_share,
        "kb": live.nbytes / max(len(live.symbols), 1) / 1e3,
    }


def desk_features() -> tuple[Feature, ...]:
    """The features of bars that the signals desk reads."""
    catalogue = discover()
    families = catalogue.desks["signals"].families
    return tuple(each for each in catalogue.features.values() if each.family in families and each.reads == "bars")


def main(words: Sequence[str] | None = None) -> None:
    """Prove, measure and print."""
    asked = argparse.ArgumentParser(prog="benchmarks.signal_features")
    asked.add_argument("--data", type=Path, default=MINUTES, help="folder of the files of minutes")
    asked.add_argument("--moments", type=int, default=60, help="updates of all stocks that are timed")
    said = asked.parse_args(words)
    calendar, features = sessions("XNYS", 2022, 2024), desk_features()
    engine = BarFeatures(features, "1m", calendar)
    print(f"{len(features)} features on {len(engine.frames)} frames, {len(engine.columns)} columns; {machine()}")
    for file in (SPY, STOCKS):
        bars = bars_of(said.data / file, calendar, BEFORE[file])
        speed = timed(engine, bars, 390 if file == SPY else said.moments)
        row = [f"{speed['symbols']:.0f}", f"{speed['p50_ms']:.1f} ms", f"{speed['p95_ms']:.1f} ms"]
        row += [f"{speed['per_second']:,.0f}", f"{speed['per_cpu_second']:,.0f}", f"{speed['cached']:.1%}"]
        head = ["symbols", "p50", "p95", "symbols / s", "symbols / CPU s", "carried", "state per symbol"]
        print(table(f"{file}: a full update over all frames", head, [[*row, f"{speed['kb']:,.0f} kB"]]), flush=True)
        proof = replayed(engine, bars, calendar)
        row = [f"{proof['rows']:,.0f}", f"{proof['values']:,.0f}", f"{proof['difference']:g}", f"{proof['nulls']:.0f}"]
        head = ["bars", "values", "largest difference", "other nulls"]
        print(table(f"{file}: live against history, a replayed day", head, [row]), flush=True)


if __name__ == "__main__":
    main()
