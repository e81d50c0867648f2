"""`python -m benchmarks gate_load`: `openbell serve` under load, as its callers see it.

A home is made up and trained, a companion tells the market on loopback, and two workers answer /predict, then
/calculate_risk_reward, at a fixed rate, then batches of 100. Latencies count from the moment a request was due. Client,
companion and workers share the machine, and the client's own lateness is told beside the figures.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import datetime as dt
import functools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.gate_orders import (
    LEVELS,
    VOLATILITY,
    Checked,
    checked_payoffs,
    checked_predictions,
    order,
    payoff_fields,
)
from benchmarks.load_generator import Sent, driven, even, post
from benchmarks.measuring import ROOT, machine, table

if TYPE_CHECKING:
    import psutil

    from openbell.app.gate import Gate
    from openbell.app.home import Home

SETTINGS = """\
[gate]
candidates = ["hierarchy", "simple"]
min_train_days = 40
refit_days = 20
[train]
jobs = 1
"""
#: Read by every process of the service as it starts: markets are open at few of the hours at which one measures.
MOVED_CLOCK = """\
import datetime as dt, os
import openbell.app.clock as clock
_now, _moved = clock.now, dt.timedelta(seconds=float(os.environ["OPENBELL_LOAD_MOVED"]))
clock.now = lambda: _now() + _moved
"""
#: Minutes after the open of the session of the training, at which the service is asked.
INTO_SESSION = dt.timedelta(minutes=65)
WARM_SECONDS = 10.0
BATCHES, BATCH_SIZE, BATCHES_PER_S = 30, 100, 1.0
#: Every so-manieth prediction is compared whole with what the gate says in this process.
COMPARED = 25


def made(path: Path) -> Path:
    """A home with made-up trades and a training on them."""
    from openbell.app.demo_gate import fill
    from openbell.app.gate_training import train_gate
    from openbell.app.home import Home

    path.mkdir(parents=True)
    (path / "openbell.toml").write_text(SETTINGS)
    home = Home.open(path)
    fill(home, days=60, times=3)
    train_gate(home)
    return path


@dataclass(frozen=True, slots=True)
class Clock:
    """The clock of the service: that of the machine, moved."""

    moved: dt.timedelta

    @classmethod
    def of(cls, home: Home) -> Clock:
        """So that it is an hour into the session for which `home` was trained."""
        from openbell.app.gate_training import latest_gate

        now = dt.datetime.now(dt.UTC)
        training = latest_gate(home, now)
        if training is None:
            sys.exit("The home has no training of the gate.")
        session = dt.date.fromisoformat(training.payload["session"])
        return cls(home.sessions.open(session) + INTO_SESSION - now)

    def now(self) -> dt.datetime:
        """The moment."""
        return dt.datetime.now(dt.UTC) + self.moved


async def companion(clock: Clock, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Tell the market of each symbol, as of now."""
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            symbol = head.split(b" ", 2)[1].rsplit(b"/", 1)[-1].decode()
            seen = clock.now().isoformat()
            told = {"spot_price": LEVELS[symbol][0], "volatility": VOLATILITY, "timestamp": seen}
            body = json.dumps(told).encode()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    writer.close()


@contextlib.contextmanager
def served(
    home: Path, workers: int, companion_port: int, sets: Sequence[str], clock: Clock
) -> Iterator[tuple[int, psutil.Process]]:
    """`openbell serve` on a free port: the port, and the process."""
    import psutil

    log = home / "load.log"
    log.unlink(missing_ok=True)
    words = [
        'serve.sources=["companion"]', f"serve.companion_url=http://127.0.0.1:{companion_port}",
        f"serve.log_file={log}", "serve.predict_per_minute=1000000", "serve.batch_per_minute=100000", *sets,
    ]  # fmt: skip
    code = "from openbell.app.cli import main; main()"
    command = [sys.executable, "-c", code, "serve", "--home", str(home), "--port", "0", "--workers", str(workers)]
    (home / "clock").mkdir(exist_ok=True)
    (home / "clock" / "sitecustomize.py").write_text(MOVED_CLOCK)
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(home / "clock"), str(ROOT / "src")]),
        "OPENBELL_LOAD_MOVED": str(clock.moved.total_seconds()),
        "OMP_WAIT_POLICY": "PASSIVE",
    }
    for name in ("OMP_NUM_THREADS", "POLARS_MAX_THREADS"):
        environment.pop(name, None)  # as a caller would start it
    with subprocess.Popen([*command, *(part for word in words for part in ("--set", word))], env=environment) as it:
        try:
            opened = _logged(log, it, lambda found: found.count("gate opened") == workers)
            port = next(each["port"] for each in opened if each["event"] == "listening")
            yield port, psutil.Process(it.pid)
        finally:
            it.terminate()


def _logged(log: Path, process: subprocess.Popen[bytes], enough: Callable[[list[str]], bool]) -> list[dict[str, Any]]:
    end = time.monotonic() + 120
    while time.monotonic() < end and process.poll() is None:
        lines = [json.loads(line) for line in log.read_bytes().splitlines()] if log.exists() else []
        if enough([line["event"] for line in lines]):
            return lines
        time.sleep(0.2)
    sys.exit("The service did not come up.")


@dataclass(frozen=True, slots=True)
class Usage:
    """Memory and CPU of the service's processes, and of the machine, at one moment."""

    memory_mb: dict[int, float]
    cpu_s: float
    busy_s: float

    @classmethod
    def now(cls, main: psutil.Process) -> Usage:
        """As it is."""
        import psutil

        processes = [main, *main.children(recursive=True)]
        spent = sum(each.cpu_times().user + each.cpu_times().system for each in processes)
        total = psutil.cpu_times()
        memory = {each.pid: each.memory_info().rss / 2**20 for each in processes}
        return cls(memory, spent, sum(total) - total.idle - total.iowait - getattr(total, "guest", 0.0))


@dataclass(frozen=True, eq=False)
class Phase:
    """One kind of request under load."""

    name: str
    rate: float
    sent: Sent
    before: Usage
    after: Usage
    own_cpu_s: float
    load: float
    checked: Checked

    @property
    def row(self) -> list[str]:
        """Its line in the table of latencies."""
        latency = self.sent.latency_ms
        shown = [f"{each:.1f}" for each in (*np.percentile(latency, (50, 95, 99)), latency.max())]
        statuses = Counter(int(each) for each in self.sent.status)
        errors = sum(count for status, count in statuses.items() if status != 200)
        late = f"{np.percentile(self.sent.late_ms, 99):.1f}"
        return [
            self.name, f"{self.rate:g}/s", f"{self.sent.reached_per_s:.1f}/s", f"{len(self.sent.status):,}",
            f"{errors:,}", *shown, late,
        ]  # fmt: skip

    @property
    def beside(self) -> list[str]:
        """What it took: CPU of one request, of others on the machine, memory, and whether the answers were right."""
        count = len(self.sent.status)
        others = self.after.busy_s - self.before.busy_s - (self.after.cpu_s - self.before.cpu_s) - self.own_cpu_s
        wall = float(self.sent.done[self.sent.status > 0].max())
        memory = " ".join(
            f"{self.before.memory_mb.get(pid, 0):.0f}→{mb:.0f}" for pid, mb in self.after.memory_mb.items()
        )
        return [
            self.name, f"{1_000 * (self.after.cpu_s - self.before.cpu_s) / count:.2f} ms",
            f"{self.own_cpu_s / wall:.2f} cores",
            f"{max(others, 0.0) / wall:.2f} cores", f"{self.load:.1f}", memory, f"{self.checked.payoffs:,}",
            f"{self.checked.whole:,}", f"{len(self.checked.faults)}",
        ]  # fmt: skip


async def phase(
    name: str, port: int, main: psutil.Process, requests: Sequence[bytes], rate: float, check: Callable[[Sent], Checked]
) -> Phase:
    """Drive `requests` at `rate`."""
    before, own = Usage.now(main), time.process_time()
    sent = await driven("127.0.0.1", port, requests, even(rate, len(requests)))
    own = time.process_time() - own
    after, load = Usage.now(main), os.getloadavg()[0]
    return Phase(name, rate, sent, before, after, own, load, check(sent))


def answers(sent: Sent) -> list[dict[str, Any] | None]:
    """What was said, None for what was no answer."""
    return [json.loads(body) if status == 200 else None for body, status in zip(sent.content, sent.status, strict=True)]


async def loaded(home: Path, seconds: float, rate: float, workers: int, sets: Sequence[str]) -> list[Phase]:
    """All phases, on a service of their own."""
    from openbell.app.api.orders import next_session
    from openbell.app.gate import Gate
    from openbell.app.home import Home

    opened = Home.open(home)
    clock = Clock.of(opened)
    key, _ = opened.api_keys.create("load", ["predict", "read"], at=clock.now())
    gate, expiry = Gate.open(opened, clock.now()), next_session(opened.sessions, clock.now())
    market = await asyncio.start_server(functools.partial(companion, clock), "127.0.0.1", 0)
    context = served(home, workers, market.sockets[0].getsockname()[1], sets, clock)
    port, main = await asyncio.to_thread(context.__enter__)
    try:
        count, warm = round(rate * seconds), round(rate * WARM_SECONDS)
        bodies = [order(number, expiry) for number in range(warm + count + BATCHES * BATCH_SIZE)]
        asked = [post("/predict", json.dumps(each).encode(), key) for each in bodies[: warm + count]]
        sums = [post("/calculate_risk_reward", json.dumps(payoff_fields(each)).encode(), key) for each in bodies]
        await driven("127.0.0.1", port, asked[:warm], even(rate, warm))
        mine = bodies[warm : warm + count]
        found = [
            await phase(
                "/predict", port, main, asked[warm:], rate,
                lambda sent: checked_predictions(mine, answers(sent), gate, COMPARED),
            ),
            await phase(
                "/calculate_risk_reward", port, main, sums[warm : warm + count], rate,
                lambda sent: checked_payoffs(mine, answers(sent)),
            ),
            await _batches(port, main, bodies[warm + count :], key, gate),
        ]  # fmt: skip
    finally:
        await asyncio.to_thread(context.__exit__, None, None, None)
        market.close()
    _refuse_lost(opened, found)
    return found


async def _batches(port: int, main: psutil.Process, bodies: list[dict[str, Any]], key: str, gate: Gate) -> Phase:
    whole = [bodies[start : start + BATCH_SIZE] for start in range(0, len(bodies), BATCH_SIZE)]
    requests = [post("/predict/batch", json.dumps({"requests": each}).encode(), key) for each in whole]

    def check(sent: Sent) -> Checked:
        nothing: list[Any] = [None] * BATCH_SIZE
        said = [each for told in answers(sent) for each in (told["predictions"] if told else nothing)]
        return checked_predictions(bodies, said, gate, COMPARED)

    return await phase(f"/predict/batch of {BATCH_SIZE}", port, main, requests, BATCHES_PER_S, check)


def _refuse_lost(home: Any, phases: Sequence[Phase]) -> None:
    """Every prediction that was answered must be in the log."""
    ids = []
    for told in (each for done in phases for each in answers(done.sent) if each):
        ids += [each["prediction_id"] for each in told.get("predictions", [told]) if "prediction_id" in each]
    missing = [
        start
        for start in range(0, len(ids), 500)
        if len(home.predictions.get(ids[start : start + 500])) < len(ids[start : start + 500])
    ]
    if missing or len(set(ids)) < len(ids):
        sys.exit("Predictions that were answered are not in the log, or two have one id.")
    print(f"All {len(ids):,} predictions that were answered are in the log, each under its own id.")


def told(phases: Sequence[Phase], workers: int) -> str:
    """The figures as tables."""
    head = ["request", "asked", "reached", "requests", "errors", "p50 ms", "p95", "p99", "max", "client late, p99"]
    beside = ["request", "CPU of one", "client used", "others used", "load", "memory of each process, MB", "payoffs",
              "compared whole", "wrong"]  # fmt: skip
    faults = [fault for each in phases for fault in each.checked.faults[:5]]
    return "\n".join(
        [
            table(f"The service under load, {workers} workers", head, [each.row for each in phases]),
            table("What it took, and whether it was right", beside, [each.beside for each in phases]),
            *faults,
        ]
    )


def main(words: Sequence[str]) -> None:
    """Measure and print."""
    said = argparse.ArgumentParser(prog="python -m benchmarks gate_load")
    said.add_argument("--home", type=Path, help="a trained home; by default one is made up")
    said.add_argument("--seconds", type=float, default=60.0, help="of each kind of request")
    said.add_argument("--rate", type=float, default=200.0, help="requests per second")
    said.add_argument("--workers", type=int, default=2)
    said.add_argument("--set", action="append", default=[], dest="sets", help="a setting of the service")
    given = said.parse_args(list(words))
    print(f"On {machine()}.", flush=True)
    with tempfile.TemporaryDirectory(prefix="openbell-load-") as folder:
        home = given.home or made(Path(folder) / "home")
        phases = asyncio.run(loaded(home, given.seconds, given.rate, given.workers, given.sets))
    print(told(phases, given.workers))
    if any(each.checked.faults for each in phases):
        sys.exit(1)
