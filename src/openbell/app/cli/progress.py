"""Progress of long work on standard error: a bar where somebody looks, nothing where a program reads."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic as now
from typing import Any

Progress = Callable[[int, int, str], None]


@contextmanager
def progress_bar(what: str) -> Iterator[Progress]:
    """A callback ``(done, total, label)`` that draws one bar per label prefix."""
    if not sys.stderr.isatty():
        with _lines(what) as said:
            yield said
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    # The estimate looks at the last minutes only: a stage's pieces are alike, its first ones may come from the cache.
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    shown = (TextColumn("{task.description}"), *columns)
    with Progress(*shown, console=Console(stderr=True), transient=True, speed_estimate_period=300) as bars:
        tasks: dict[str, Any] = {}

        def report(done: int, total: int, label: str) -> None:
            stage = stage_of(label)
            if stage not in tasks:
                tasks[stage] = bars.add_task(what, total=total)
            bars.update(tasks[stage], completed=done, total=total, description=f"{what}: {label}")

        yield report


def stage_of(label: str) -> str:
    """``ridge, fold 3`` and ``xgboost, fold 3`` are pieces of one stage, and so is ``ridge, fold 4``."""
    return label.split(",")[-1].strip().rstrip("0123456789").strip()


@contextmanager
def _lines(what: str) -> Iterator[Progress]:
    """Without a terminal: a line each time a tenth of a stage is done, with an estimate of the time that is left."""
    told: dict[str, int] = {}
    begun: dict[str, tuple[float, int]] = {}

    def report(done: int, total: int, label: str) -> None:
        stage = stage_of(label)
        since, at = begun.setdefault(stage, (now(), done))
        tenth = 10 * done // max(total, 1)
        if told.get(stage) != tenth:
            told[stage] = tenth
            left = f", about {(now() - since) / (done - at) * (total - done):.0f} s left" if total > done > at else ""
            print(f"{what}: {label} {done}/{total}{left}", file=sys.stderr, flush=True)

    yield report


def steps(what: str) -> Callable[[str], None]:
    """Says each step of a run as it begins."""

    def on_step(step: str) -> None:
        print(f"{what}: {step} …", file=sys.stderr, flush=True)

    return on_step
