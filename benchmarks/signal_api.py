"""`python -m benchmarks signal_api`: signals asked over HTTP, with and without the cache of those that are active.

A home with made-up signals is served by one worker, twice: with the cache of the settings and without. One client asks
over one connection, one request after the other, so that what is measured is the time of an answer and no queue.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import http.client
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from benchmarks.measuring import ROOT, machine, table

SYMBOLS = tuple(f"S{number:03d}" for number in range(200))
FEATURES = 60
PATHS: dict[str, Callable[[random.Random, int], str]] = {
    "active of one symbol, always the same": lambda _, __: f"/signals/active/{SYMBOLS[0]}",
    "active of a symbol, any of 20": lambda draw, __: f"/signals/active/{SYMBOLS[draw.randrange(20)]}",
    "one by its id": lambda draw, count: f"/signals/{draw.randrange(1, count + 1)}",
    "a page of 100": lambda _, __: "/signals?limit=100",
    "a page of 100 of a symbol": lambda draw, _: f"/signals?limit=100&symbol={draw.choice(SYMBOLS)}",
}


def fill(home: Path, count: int) -> str:
    """Store `count` signals, three of each symbol active, and make a key."""
    from openbell.core.signal import Call, Signal
    from openbell.store.api_keys import ApiKeys
    from openbell.store.signals import Signals

    home.mkdir(parents=True, exist_ok=True)
    now, draw = dt.datetime.now(dt.UTC), random.Random(1)

    def made(number: int) -> Signal:
        age = (count - 1 - number) // len(SYMBOLS)
        at = now - dt.timedelta(minutes=5 * age + 1)
        ends = at + dt.timedelta(hours=24) if age < 3 else at + dt.timedelta(minutes=1)
        return Signal(
            SYMBOLS[number % len(SYMBOLS)], Call.BUY, 0.7, (0.1, 0.2, 0.7), 100.0, at, ends, "vote@1",
            target_price=110.0, stop_loss=95.0, position_size=0.05, reasoning=("It rises.", "Volume is high."),
            features={f"feature_{each}": draw.random() for each in range(FEATURES)}, sigma=0.01,
        )  # fmt: skip

    with Signals.open(f"sqlite:///{home}/signals.db") as store:
        for start in range(0, count, 1_000):
            store.write([made(number) for number in range(start, min(start + 1_000, count))], at=now)
    with ApiKeys.open(f"sqlite:///{home}/predictions.db") as keys:
        return keys.create("bench", ["read"], at=now)[0]


@contextlib.contextmanager
def served(home: Path, cache_seconds: float) -> Iterator[int]:
    """`openbell serve` with one worker: its port."""
    log = home / f"serve-{cache_seconds:g}.log"
    words = (f"serve.log_file={log}", "serve.predict_per_minute=1000000", 'serve.sources=["stored"]')
    sets = [each for word in (*words, f"signals.signal_cache_seconds={cache_seconds}") for each in ("--set", word)]
    code = "from openbell.app.cli import main; main()"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    process = subprocess.Popen(
        [sys.executable, "-c", code, "serve", "--home", str(home), "--port", "0", *sets], env=environment
    )
    try:
        yield _port(log, process)
    finally:
        process.terminate()
        process.wait(30)


def _port(log: Path, process: subprocess.Popen[bytes]) -> int:
    for _ in range(600):
        lines = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        ports = [line["port"] for line in lines if line["event"] == "listening"]
        if ports:
            with contextlib.suppress(OSError):
                asked = http.client.HTTPConnection("127.0.0.1", ports[0], timeout=5)
                asked.request("GET", "/ready")
                if asked.getresponse().status == 200:
                    return int(ports[0])
        if process.poll() is not None:
            break
        time.sleep(0.1)
    sys.exit(f"The service did not come up; see {log}.")


def milliseconds(port: int, key: str, paths: list[str]) -> np.ndarray:
    """How long each answer took, after a tenth of them to warm up."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    took = []
    for path in [*paths[: len(paths) // 10], *paths]:
        began = time.perf_counter()
        connection.request("GET", path, headers={"X-API-Key": key})
        answer = connection.getresponse()
        content = answer.read()
        took.append(1_000.0 * (time.perf_counter() - began))
        if answer.status != 200:
            sys.exit(f"{path} was answered by {answer.status}: {content[:200]!r}")
    connection.close()
    return np.array(took[len(paths) // 10 :])


def measured(count: int, requests: int, cache_seconds: float) -> str:
    """The table of both runs."""
    with tempfile.TemporaryDirectory(prefix="openbell-signals-") as folder:
        home = Path(folder)
        key, draw = fill(home, count), random.Random(2)
        asked = {name: [path(draw, count) for _ in range(requests)] for name, path in PATHS.items()}
        found: dict[float, dict[str, np.ndarray]] = {}
        for seconds in (0.0, cache_seconds):
            with served(home, seconds) as port:
                found[seconds] = {name: milliseconds(port, key, paths) for name, paths in asked.items()}
    rows = []
    for name in PATHS:
        without, kept = found[0.0][name], found[cache_seconds][name]
        figures = [f"{np.quantile(each, q):.2f}" for each in (without, kept) for q in (0.5, 0.95, 0.99)]
        saved = f"{1.0 - np.median(kept) / np.median(without):.0%}" if "active" in name else "not cached"
        rows.append([name, *figures, saved])
    head = ["asked", "p50 ms", "p95 ms", "p99 ms", "p50 ms, cache", "p95 ms, cache", "p99 ms, cache", "saved at p50"]
    return table(f"{count:,} signals, {requests:,} requests of each kind, cache of {cache_seconds:g} s", head, rows)


def main(words: list[str] | None = None) -> None:
    """Measure and print."""
    asked = argparse.ArgumentParser(prog="python -m benchmarks.signal_api")
    asked.add_argument("--signals", type=int, default=20_000)
    asked.add_argument("--requests", type=int, default=1_000)
    asked.add_argument("--cache-seconds", type=float, default=2.0)
    told = asked.parse_args(words)
    print(machine())
    print(measured(told.signals, told.requests, told.cache_seconds))


if __name__ == "__main__":
    main()
