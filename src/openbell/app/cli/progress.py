"""Progress of long work on standard error: a bar where somebody looks, nothing where a program reads."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Progress = Callable[[int, int, str], None]


@contextmanager
def progress_bar(what: str) -> Iterator[Progress]:
    """A callback ``(done, total, label)`` that draws one bar per label prefix."""
    if not sys.stderr.isatty():
        with _lines(what) as said:
            yield said
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(what, total=None)

        def report(done: int, total: int, label: str) -> None:
            bars.update(task, completed=done, total=total, description=f"{what}: {label}")

        yield report


@contextmanager
def _lines(what: str) -> Iterator[Progress]:
    """Without a terminal: a line each time a tenth of a stage is done."""
    told: dict[str, int] = {}

    def report(done: int, total: int, label: str) -> None:
        stage = label.split(",")[-1].strip()
        tenth = 10 * done // max(total, 1)
        if told.get(stage) != tenth:
            told[stage] = tenth
            print(f"{what}: {label} {done}/{total}", file=sys.stderr, flush=True)

    yield report


def steps(what: str) -> Callable[[str], None]:
    """Says each step of a run as it begins."""

    def on_step(step: str) -> None:
        print(f"{what}: {step} …", file=sys.stderr, flush=True)

    return on_step
