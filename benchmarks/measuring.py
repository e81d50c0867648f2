"""Wall time, CPU time and peak memory, each job in a process of its own."""

from __future__ import annotations

import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[1]
GIGABYTE = 1e9


@dataclass(frozen=True)
class Measured:
    """One job: `wall_s` and `cpu_s` of the work, `peak_gb` of the whole process, and what else it counted."""

    name: str
    wall_s: float
    cpu_s: float
    peak_gb: float
    counts: dict[str, Any] = field(default_factory=dict)


def timed(work: Callable[[], Any]) -> tuple[Any, float, float]:
    """What `work` returned, its wall seconds and its CPU seconds over all threads."""
    wall, cpu = time.perf_counter(), time.process_time()
    done = work()
    return done, time.perf_counter() - wall, time.process_time() - cpu


def peak_gb() -> float:
    """The most memory this process ever held, GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / GIGABYTE


def alone(module: str, *words: str, python: str = sys.executable) -> Measured:
    """Run `python -m module words` in a process of its own; its last line is what it measured."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")]),
        "OMP_WAIT_POLICY": "PASSIVE",
    }
    done = subprocess.run(
        [python, "-m", module, *words], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    return Measured(**json.loads(done.stdout.splitlines()[-1]))


def told(measured: Measured) -> None:
    """Print `measured` as the line that `alone` reads."""
    print(json.dumps(asdict(measured)), flush=True)


def middle(runs: list[Measured]) -> Measured:
    """The run with the median wall time, with the largest peak of all."""
    wall = statistics.median_low([run.wall_s for run in runs])
    chosen = next(run for run in runs if run.wall_s == wall)
    return Measured(chosen.name, wall, chosen.cpu_s, max(run.peak_gb for run in runs), chosen.counts)


def machine() -> str:
    """The machine in words, without its name."""
    memory = round(psutil.virtual_memory().total / 2**30)
    cores, load = os.cpu_count(), os.getloadavg()[0]
    return f"{cores} cores, {memory} GB, Python {platform.python_version()}, load {load:.1f} when the run began"


def table(title: str, head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table under a heading."""
    lines = [
        f"## {title}",
        "",
        "| " + " | ".join(head) + " |",
        "|" + "|".join(["---"] + ["---:"] * (len(head) - 1)) + "|",
    ]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows), ""])
