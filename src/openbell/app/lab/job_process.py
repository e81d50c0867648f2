"""The process of one job: ``python -m openbell.app.lab.job_process ID``, started by `jobs.Jobs`."""

from __future__ import annotations

import os

# Before numpy and friends are imported: idle OpenMP threads that spin make a busy machine ten times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import contextlib
import io
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field

from openbell.app.cli.progress import stage_of
from openbell.app.clock import now, seconds
from openbell.app.lab.job_kinds import kind_of, sets_of
from openbell.app.lab.jobs import TOLD, Jobs
from openbell.app.lab.place import Place
from openbell.core.errors import OpenbellError
from openbell.store.jobs import BEAT_SECONDS, Job, JobStore

#: Progress is written so often at most, whatever the work says.
_PROGRESS_SECONDS = 0.5
#: Beats that may fail in a row, because the database does not answer, before the work is given up.
_MOST_SILENT = 10


@dataclass
class Reporting:
    """Writes what a job says into its record: how far it is, a line at each new stage, how long it will take."""

    store: JobStore
    id: str
    _stages: dict[str, tuple[float, int]] = field(default_factory=dict)
    _written: float = float("-inf")

    def progress(self, done: int, total: int, label: str) -> None:
        """As the functions that train call it."""
        at, stage = seconds(), stage_of(label)
        if stage not in self._stages:
            self._stages[stage] = (at, done)
            self.store.say(self.id, [f"{stage or label}: {total:,} pieces"], at=now())
        elif at - self._written < _PROGRESS_SECONDS and done < total:
            return
        self._written = at
        since, begun = self._stages[stage]
        left = (at - since) / (done - begun) * (total - done) if total > done > begun else None
        self.store.progress(self.id, done, total, label, left, at=now())


class Lines(io.TextIOBase):
    """Standard output and error of the job: each line goes to its log, where people read it, secrets hidden."""

    def __init__(self, store: JobStore, id: str) -> None:
        self.store, self.id, self.rest = store, id, ""
        self.lock = threading.Lock()

    def writable(self) -> bool:
        """It is there to be written to."""
        return True

    def write(self, text: str) -> int:
        """Keep whole lines; a bar that draws itself anew is one line."""
        with self.lock:
            *whole, self.rest = (self.rest + text).replace("\r", "\n").split("\n")
            shown = [line for line in whole if line.strip()]
            if shown:
                self.store.say(self.id, shown, at=now())
        return len(text)


def main(id: str) -> int:
    """Run the job `id` and record what came of it; 0 where it is done."""
    place = Place.of_text(os.environ.pop(TOLD))
    home = place.opened()
    store = JobStore(home.lab_database)
    as_this_one = (sys.executable, *sys.orig_argv[1:-1])  # what was run, without the job's id
    jobs = Jobs(store, place, now, home.settings.lab.jobs, as_this_one)
    job = store.begin(id, host=socket.gethostname(), pid=os.getpid(), at=now())
    if job is None:
        return 1
    try:
        with _beating(store, id):
            return _worked(store, place, job)
    finally:
        with contextlib.suppress(OpenbellError):
            jobs.tend()  # the next one's turn, also where no server is up


def _worked(store: JobStore, place: Place, job: Job) -> int:
    reporting, lines = Reporting(store, job.id), Lines(store, job.id)
    try:
        with contextlib.redirect_stdout(lines), contextlib.redirect_stderr(lines):
            home = place.opened(sets_of(job.kind, job.arguments))
            result = kind_of(job.kind).run(home, job.arguments, reporting.progress)
    except OpenbellError as failure:
        store.fail(job.id, str(failure), at=now())
        return failure.exit_code
    except Exception as failure:
        store.say(job.id, traceback.format_exc().splitlines(), at=now())
        why = f"Internal error: {type(failure).__name__}: {failure}. This is a fault of Openbell, not of yours."
        store.fail(job.id, why, at=now())
        return 70
    store.finish(job.id, result, at=now())
    return 0


@contextlib.contextmanager
def _beating(store: JobStore, id: str) -> Iterator[None]:
    """Say every few seconds that the job lives; end this process where somebody said that it should not."""
    ended = threading.Event()

    def beat() -> None:
        silent = 0
        while not ended.wait(BEAT_SECONDS):
            try:
                may_go_on, silent = store.beat(id, at=now()), 0
            except OpenbellError:
                silent += 1
                may_go_on = silent < _MOST_SILENT
            if not may_go_on and not ended.is_set():
                with contextlib.suppress(OpenbellError):
                    store.cancelled(id, at=now())
                _end_all()

    thread = threading.Thread(target=beat, daemon=True, name="beat")
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(BEAT_SECONDS)


def _end_all() -> None:
    """This process and those it started: what they were at is in the cache or was not written, as after any kill."""
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpgrp(), signal.SIGKILL)
    os._exit(1)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
