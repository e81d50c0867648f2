"""Features: every one of the bars over the whole market, and a subset beside pandas and TA-Lib in one run."""

from __future__ import annotations

import statistics
import sys
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.measuring import Measured, peak_gb, timed, told

RUNS = 3
#: Largest difference, relative to the mean size of an indicator: rounding of rolling sums in another order.
TOLERANCE = 1e-5


def every_feature(home: Path, session: str) -> Measured:
    """All features of bars at every bar of the last ten years, from the tables on the disk."""
    from openbell.app.home import Home
    from openbell.research.compute import feature_rows

    opened = Home.open(home)
    import datetime as dt

    day = dt.date.fromisoformat(session)
    view = opened.view(day)
    features = [each for each in opened.catalogue.features.values() if each.reads == "bars"]
    symbols = view.universe("bench", day)["symbol"].to_list()
    first = opened.sessions.shift(day, -2520)
    computed, wall, cpu = timed(lambda: feature_rows(view, features, symbols=symbols, first=first))
    rows = computed.frame.height
    counts = {"rows": rows, "features": len(computed.names), "symbols": len(symbols), "rows_per_s": round(rows / wall)}
    return Measured("all features of the bars", wall, cpu, peak_gb(), counts)


def _rectangle(home: Path, session: str) -> tuple[pl.DataFrame, int]:
    """Adjusted bars of the names that have one in every session: the same rows for all three."""
    import datetime as dt

    from openbell.app.home import Home

    opened = Home.open(home)
    day = dt.date.fromisoformat(session)
    bars = opened.view(day).bars(first=opened.sessions.shift(day, -2520)).collect()
    bars = bars.filter(pl.all_horizontal(pl.col("open", "high", "low", "close", "volume").is_not_null()))
    rows = bars.group_by("symbol").len()["len"].max()
    return bars.filter((pl.len().over("symbol") == rows) & (pl.col("symbol") != "SPY")), rows


def side_by_side(home: Path, session: str) -> Measured:
    """Twenty indicators by three libraries, checked equal and then timed in turn."""
    from benchmarks.indicators import by_openbell, by_pandas, by_talib, check_equal, symbol_by_symbol

    frame, rows = _rectangle(home, session)
    columns = ("high", "low", "close", "volume")
    arrays = {name: frame[name].to_numpy().reshape(-1, rows) for name in columns}
    bars = [{name: np.ascontiguousarray(arrays[name][at]) for name in columns} for at in range(len(arrays["close"]))]
    works = {
        "openbell": lambda: by_openbell(frame),
        "pandas": lambda: symbol_by_symbol(by_pandas, bars),
        "TA-Lib": lambda: symbol_by_symbol(by_talib, bars),
    }
    found = {name: work() for name, work in works.items()}
    for name in ("pandas", "TA-Lib"):
        check_equal(found["openbell"], found[name], rows, TOLERANCE)
    del found
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in works}
    for _ in range(RUNS):
        for name, work in works.items():
            times[name].append(timed(work)[1:])
    medians = {name: [statistics.median(each) for each in zip(*runs, strict=True)] for name, runs in times.items()}
    counts = {"rows": frame.height, "symbols": len(bars), "medians": medians}
    return Measured("twenty indicators", medians["openbell"][0], medians["openbell"][1], peak_gb(), counts)


if __name__ == "__main__":
    told({"every": every_feature, "beside": side_by_side}[sys.argv[1]](Path(sys.argv[2]), sys.argv[3]))
