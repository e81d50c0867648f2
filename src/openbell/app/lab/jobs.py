"""Long work in the background: asked for on a page, run in a process of its own, watched from any server."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from openbell.app.lab.job_kinds import checked, kind_of, sets_of
from openbell.app.lab.place import Place
from openbell.core.errors import BadInput
from openbell.store.jobs import LOST_SECONDS, Job, JobStore, Line

#: What a job's process is told, as JSON in its environment: home, settings file and overrides.
TOLD = "OPENBELL_LAB_JOB"
#: How long a process may take to start before its job is called lost.
START_SECONDS = 120.0


@dataclass(frozen=True)
class Jobs:
    """The jobs of a home. `most` run at once; the others wait, also when no server is up.

    `command` is what runs a job, whose id is added to it.
    """

    store: JobStore
    place: Place
    now: Callable[[], dt.datetime]
    most: int = 1
    command: tuple[str, ...] = (sys.executable, "-m", "openbell.app.lab.job_process")

    def ask(self, kind: str, arguments: Mapping[str, Any], *, by: str) -> Job:
        """Ask for a job; the one that is asked for already is not begun twice.

        Raises
        ------
        BadInput
            A kind that there is not, arguments that it does not take, settings that are out of bounds.
        """
        wanted = checked(kind, arguments)
        try:
            self.place.opened(sets_of(kind, wanted))  # settings that do not hold are refused here, not in the job
        except BadInput as failure:
            raise BadInput(str(failure).replace(" (--set)", "")) from None
        job = self.store.ask(kind, wanted, by=by, at=self.now())
        self.tend()
        return self.store.get(job.id)

    def again(self, id: str, *, by: str) -> Job:
        """Ask for the same as an ended job did; what that one finished is taken from the cache."""
        before = self.store.get(id)
        if before.alive:
            raise BadInput(f"The job {id} is {before.status} still; there is nothing to run again.")
        return self.ask(before.kind, before.arguments, by=by)

    def cancel(self, id: str) -> Job:
        """Stop a job: one that waits at once, one that runs within seconds."""
        job = self.store.cancel(id, at=self.now())
        self.tend()
        return job

    def newest(self, limit: int = 50) -> list[Job]:
        """The jobs, the last one asked for first; those whose process is gone are said to be lost."""
        self.tend()
        return self.store.newest(limit)

    def get(self, id: str) -> Job:
        """The job `id` as it stands."""
        self.tend()
        return self.store.get(id)

    def lines(self, id: str, after: int = 0) -> list[Line]:
        """The lines of its log whose number is above `after`."""
        return self.store.lines(id, after)

    def tend(self) -> None:
        """Call lost what is gone, and let those run whose turn it is."""
        for job in self.store.running():
            self._look_after(job)
        while (claimed := self.store.claim(self.most, at=self.now())) is not None:
            self._start(claimed)

    def _look_after(self, job: Job) -> None:
        now = self.now()
        silent = now - (job.beat_at or job.asked_at)
        if job.pid is not None and job.host == socket.gethostname() and not _lives(job.pid):
            # Read again where it beat since: it may have ended between the two looks.
            self.store.lose(job.id, "Its process was ended from outside.", at=now, unless_beat_after=now)
        elif silent > dt.timedelta(seconds=LOST_SECONDS if job.pid is not None else START_SECONDS):
            why = f"Its process was not heard of for {silent.total_seconds():.0f} s."
            self.store.lose(job.id, why, at=now, unless_beat_after=now - silent)

    def _start(self, job: Job) -> None:
        """Start the process of a claimed job; it goes on when this one ends."""
        environment = {**os.environ, TOLD: self.place.as_text()}
        environment.pop("PROMETHEUS_MULTIPROC_DIR", None)  # the metrics of a server are not a job's
        try:
            process = subprocess.Popen(
                [*self.command, job.id],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                close_fds=True,
            )
        except OSError as failure:
            self.store.fail(job.id, f"Its process could not be started: {failure.strerror}.", at=self.now())
            return
        # Somebody must take its exit code, or it would look alive for as long as this server is.
        threading.Thread(target=process.wait, daemon=True, name=f"job {job.id}").start()


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    with contextlib.suppress(OSError), open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as told:
        return told.read().rpartition(")")[2].split()[0] != "Z"
    return True


def title_of(job: Job) -> str:
    """What a person reads of a job: its kind and what it is about."""
    kind = kind_of(job.kind)
    of = job.arguments.get(kind.of, "") if kind.of else ""
    when = f"as of {job.arguments['session']}" if job.arguments.get("session") else "as of the newest session"
    when = when if kind.settings else ""  # only a training is as of a session
    return " ".join(each for each in (kind.title, str(of), when) if each)
