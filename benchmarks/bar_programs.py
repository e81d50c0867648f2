"""`python -m benchmarks bar_programs`: features of bars by their program, beside Polars, per second of CPU.

Prices are made here: a walk of every symbol, with the columns of a bar within its session. `stream` is one bar of every
symbol at a moment, as it arrives; `history` is all bars of some symbols; Polars gets the same rows as one frame.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl

from benchmarks.measuring import Measured, peak_gb, told

#: Families as many as a signal desk reads, and all of them.
FEATURES = (120, None)
SYMBOLS, BARS, ROWS, RUNS = 500, 40, 2_000, 5


def _features(count: int | None) -> dict[str, pl.Expr]:
    """The first `count` features of bars, spread over the families."""
    from openbell.core.declare import discover

    every = [each for each in discover().features.values() if each.reads == "bars"]
    step = len(every) / (count or len(every))
    return {each.name: each.expression for each in (every[int(k * step)] for k in range(count or len(every)))}


def _bars(rows: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.001, rows)))
    opens = close * np.exp(rng.normal(0, 0.0003, rows))
    high, low = np.maximum(opens, close) * 1.0004, np.minimum(opens, close) * 0.9996
    volume = np.round(rng.lognormal(8, 1, rows))
    prices = {"open": opens, "high": high, "low": low, "close": close, "volume": volume}
    session = {"session_open": opens, "session_high": high, "session_low": low, "session_volume": volume}
    others = {"fill_price": opens, "bid": low, "ask": high, "session_value_usd": volume * close}
    minutes = {"session_minutes": np.arange(rows) % 390 + 1.0}
    return {**prices, **{f"raw_{name}": each for name, each in prices.items()}, **session, **others, **minutes}


def _cpu_s(work: Callable[[], Any], runs: int = RUNS) -> float:
    """Median CPU seconds of `work`, over all its threads: the clock would measure the neighbours too."""
    spent = []
    for _ in range(runs):
        start = time.process_time()
        work()
        spent.append(time.process_time() - start)
    return statistics.median(spent)


def measured(count: int | None) -> dict[str, Any]:
    """Rates of the program of `count` features, and of Polars with the same expressions."""
    from openbell.quant.bar_programs import compile_program
    from openbell.research.compute import evaluated

    expressions = _features(count)
    start = time.process_time()
    program = compile_program(expressions)
    read_s = time.process_time() - start
    made = _bars(ROWS)
    values = np.column_stack([made[name] for name in program.columns])
    start = time.process_time()
    program.history(np.array([0, 1]), values[:1])
    first_s = time.process_time() - start
    state, which = program.state(SYMBOLS), np.arange(SYMBOLS)
    batches = [np.repeat(values[k : k + 1], SYMBOLS, axis=0) for k in range(BARS)]
    stream_s = _cpu_s(lambda: [program.advance(state, which, each) for each in batches])
    one = program.state(1)
    one_s = _cpu_s(lambda: [program.advance(one, which[:1], values[k : k + 1]) for k in range(ROWS)])
    history_s = _cpu_s(lambda: program.history(np.array([0, ROWS]), values))
    frame = pl.DataFrame(made).with_columns(symbol=pl.lit("A"), number=pl.int_range(ROWS))
    asked = [each.cast(pl.Float64).alias(name) for name, each in expressions.items()]
    newest = frame.tail(program.depth)
    return {
        "features": len(program.names), "steps": program.steps, "depth": program.depth,
        "kilobytes": state.nbytes / SYMBOLS / 1000, "read_s": read_s, "first_s": first_s,
        "stream_per_s": SYMBOLS * BARS / stream_s, "one_us": one_s / ROWS * 1e6, "history_per_s": ROWS / history_s,
        "polars_history_per_s": ROWS / _cpu_s(lambda: evaluated(frame, asked, ["number"])),
        "polars_one_us": _cpu_s(lambda: evaluated(newest, asked, ["number"])) * 1e6,
    }  # fmt: skip


def figures(counts: dict[str, Any]) -> list[str]:
    """A row of the table."""
    return [
        f"{counts['features']} features, {counts['steps']:,} steps, {counts['kilobytes']:.0f} kB a symbol",
        f"{counts['stream_per_s']:,.0f}",
        f"{counts['one_us']:,.0f} µs",
        f"{counts['polars_one_us']:,.0f} µs",
        f"{counts['history_per_s']:,.0f}",
        f"{counts['polars_history_per_s']:,.0f}",
        f"{counts['read_s']:.2f} s",
    ]


if __name__ == "__main__":
    start = time.perf_counter(), time.process_time()
    with tempfile.TemporaryDirectory(prefix="openbell-bench-") as nothing_cached:
        os.environ["NUMBA_CACHE_DIR"] = nothing_cached
        found = [measured(count) for count in FEATURES]
    spent = time.perf_counter() - start[0], time.process_time() - start[1]
    told(Measured("bar programs", *spent, peak_gb(), {"rows": found}))
