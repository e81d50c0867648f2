"""Long work that runs in processes of its own: who asked for what, how far it is, and what came of it.

Nothing is remembered in a server's memory: two people at two servers see the same jobs, a restart loses none, and a
job whose process stopped beating is called lost and can be asked for again.
"""

from __future__ import annotations

import datetime as dt
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from openbell.core.errors import BadInput
from openbell.core.hashing import canonical_json, digest
from openbell.store.database import Database
from openbell.store.lab_schema import jobs, lines
from openbell.store.redaction import hidden, refuse_secrets
from openbell.store.upserts import microseconds, moment

_WAIT_SECONDS = 10.0
#: A process that has not said for so long that it lives, is lost. It says so every `BEAT_SECONDS`.
LOST_SECONDS, BEAT_SECONDS = 30.0, 2.0
MOST_LINES, LONGEST_LINE = 2_000, 2_000
#: Jobs that wait at once, at most.
MOST_QUEUED = 100
_ALIVE = ("queued", "running")


@dataclass(frozen=True, slots=True)
class Job:
    """One job. `done` of `total` pieces of the stage `label` are finished; `why` says what it failed at."""

    id: str
    kind: str
    arguments: Mapping[str, Any]
    status: str
    asked_by: str
    asked_at: dt.datetime
    started_at: dt.datetime | None
    ended_at: dt.datetime | None
    beat_at: dt.datetime | None
    host: str | None
    pid: int | None
    done: int | None
    total: int | None
    label: str | None
    left_seconds: float | None
    cancel: bool
    result: Mapping[str, Any] | None
    why: str | None

    @property
    def alive(self) -> bool:
        """Whether something may still come of it."""
        return self.status in _ALIVE


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a job's log."""

    seq: int
    at: dt.datetime
    text: str


@dataclass(frozen=True)
class JobStore:
    """The jobs in a database; threads and processes may share it."""

    database: Database

    @classmethod
    def open(cls, url: str) -> JobStore:
        """Open the jobs at ``sqlite:////file`` or ``postgresql://…``, the database of the lab."""
        return cls(Database.open(url, wait_seconds=_WAIT_SECONDS))

    def close(self) -> None:
        """Give the connections back."""
        self.database.close()

    def ask(self, kind: str, arguments: Mapping[str, Any], *, by: str, at: dt.datetime) -> Job:
        """Queue a job; where the same one waits or runs already, it is that one."""
        refuse_secrets(arguments, "arguments")
        text = canonical_json(arguments)
        same = digest([kind, json.loads(text)])
        with self.database.writing() as connection:
            standing = connection.execute(
                sa.select(jobs).where(jobs.c.fingerprint == same, jobs.c.status.in_(_ALIVE))
            ).one_or_none()
            if standing is not None:
                return _read(standing)
            _check_room(connection)
            row = {"id": secrets.token_hex(6), "kind": kind, "arguments": text, "fingerprint": same}
            connection.execute(
                jobs.insert().values(**row, status="queued", asked_by=by, asked_at_us=microseconds(at), cancel=False)
            )
            return _one(connection, row["id"])

    def get(self, id: str) -> Job:
        """The job `id`."""
        with self.database.reading() as connection:
            return _one(connection, id)

    def newest(self, limit: int = 50) -> list[Job]:
        """The jobs, the last one asked for first."""
        last = sa.select(jobs).order_by(jobs.c.asked_at_us.desc(), jobs.c.id).limit(limit)
        with self.database.reading() as connection:
            return [_read(row) for row in connection.execute(last)]

    def lines(self, id: str, after: int = 0) -> list[Line]:
        """The lines of the job's log whose number is above `after`."""
        wanted = sa.select(lines).where(lines.c.job == id, lines.c.seq > after).order_by(lines.c.seq)
        with self.database.reading() as connection:
            return [Line(row.seq, moment(row.at_us), row.line) for row in connection.execute(wanted)]

    def claim(self, most: int, *, at: dt.datetime) -> Job | None:
        """Let the one that waits longest run, where fewer than `most` do; None where none may or none waits."""
        with self.database.writing() as connection:
            running = sa.select(sa.func.count()).select_from(jobs).where(jobs.c.status == "running")
            if connection.execute(running).scalar_one() >= most:
                return None
            oldest = sa.select(jobs.c.id).where(jobs.c.status == "queued").order_by(jobs.c.asked_at_us, jobs.c.id)
            id = connection.execute(oldest.limit(1)).scalar()
            if id is None:
                return None
            now = microseconds(at)
            connection.execute(_of(id).values(status="running", started_at_us=now, beat_at_us=now))
            return _one(connection, id)

    def begin(self, id: str, *, host: str, pid: int, at: dt.datetime) -> Job | None:
        """The process `pid` takes the job that was claimed for it; None where another has it or it ended."""
        free = _of(id).where(jobs.c.status == "running", jobs.c.pid.is_(None))
        with self.database.writing() as connection:
            took = connection.execute(free.values(host=host, pid=pid, beat_at_us=microseconds(at))).rowcount
            return _one(connection, id) if took else None

    def beat(self, id: str, *, at: dt.datetime) -> bool:
        """Say that its process lives; whether it may go on: not where it was cancelled or called lost."""
        running = _of(id).where(jobs.c.status == "running")
        with self.database.adding() as connection:
            alive = connection.execute(running.values(beat_at_us=microseconds(at))).rowcount
            return bool(alive) and not connection.execute(sa.select(jobs.c.cancel).where(jobs.c.id == id)).scalar()

    def progress(
        self, id: str, done: int, total: int, label: str, left_seconds: float | None, *, at: dt.datetime
    ) -> None:
        """Note how far it is."""
        told = {"done": done, "total": total, "label": hidden(label)[:LONGEST_LINE], "left_seconds": left_seconds}
        with self.database.adding() as connection:
            running = _of(id).where(jobs.c.status == "running")
            connection.execute(running.values(**told, beat_at_us=microseconds(at)))

    def say(self, id: str, text: Sequence[str], *, at: dt.datetime) -> None:
        """Add lines to its log, secrets hidden; of more than `MOST_LINES` the first ones are kept, and that is said."""
        with self.database.writing() as connection:
            last = sa.select(sa.func.coalesce(sa.func.max(lines.c.seq), 0)).where(lines.c.job == id)
            seq = connection.execute(last).scalar_one()
            shown = [hidden(each.replace("\0", "�"))[:LONGEST_LINE] for each in text][: max(0, MOST_LINES - seq)]
            if shown and seq + len(shown) == MOST_LINES:
                shown[-1] = f"The log has {MOST_LINES:,} lines; what came after is not kept."
            rows = [
                {"job": id, "seq": seq + at_, "at_us": microseconds(at), "line": each}
                for at_, each in enumerate(shown, start=1)
            ]
            if rows:
                connection.execute(lines.insert(), rows)

    def finish(self, id: str, result: Mapping[str, Any], *, at: dt.datetime) -> None:
        """It is done, and this came of it."""
        self._end(id, at, status="done", result=canonical_json(result))

    def fail(self, id: str, why: str, *, at: dt.datetime) -> None:
        """It failed, at this."""
        self._end(id, at, status="failed", why=hidden(why))

    def cancelled(self, id: str, *, at: dt.datetime) -> None:
        """Its process stopped because somebody said so."""
        self._end(id, at, status="cancelled", why="It was cancelled.")

    def cancel(self, id: str, *, at: dt.datetime) -> Job:
        """Take a waiting job off the queue; tell a running one to stop, which it does at its next beat."""
        with self.database.writing() as connection:
            waiting = _of(id).where(jobs.c.status == "queued")
            ended = {"status": "cancelled", "ended_at_us": microseconds(at), "why": "It was cancelled.", "cancel": True}
            connection.execute(waiting.values(**ended))
            connection.execute(_of(id).where(jobs.c.status == "running").values(cancel=True))
            return _one(connection, id)

    def running(self) -> list[Job]:
        """The jobs that run, or are said to."""
        with self.database.reading() as connection:
            return [_read(row) for row in connection.execute(sa.select(jobs).where(jobs.c.status == "running"))]

    def lose(self, id: str, why: str, *, at: dt.datetime, unless_beat_after: dt.datetime) -> None:
        """Call a job lost whose process is gone, unless it was heard of after that moment."""
        silent = jobs.c.beat_at_us <= microseconds(unless_beat_after)
        with self.database.writing() as connection:
            running = _of(id).where(jobs.c.status == "running", silent)
            asked_to_stop = connection.execute(sa.select(jobs.c.cancel).where(jobs.c.id == id)).scalar()
            ended = (
                {"status": "cancelled", "why": "It was cancelled."} if asked_to_stop else {"status": "lost", "why": why}
            )
            connection.execute(running.values(**ended, ended_at_us=microseconds(at)))

    def _end(self, id: str, at: dt.datetime, **told: Any) -> None:
        with self.database.writing() as connection:
            alive = _of(id).where(jobs.c.status == "running")
            connection.execute(alive.values(ended_at_us=microseconds(at), left_seconds=None, **told))


def _of(id: str) -> sa.Update:
    return jobs.update().where(jobs.c.id == id)


def _one(connection: Connection, id: str) -> Job:
    row = connection.execute(sa.select(jobs).where(jobs.c.id == id)).one_or_none()
    if row is None:
        raise BadInput(f"There is no job `{str(id)[:40]}`; the list of jobs shows those there are.")
    return _read(row)


def _check_room(connection: Connection) -> None:
    waiting = sa.select(sa.func.count()).select_from(jobs).where(jobs.c.status == "queued")
    if connection.execute(waiting).scalar_one() >= MOST_QUEUED:
        raise BadInput(f"{MOST_QUEUED} jobs wait already, as many as may. Cancel some, or wait until one is done.")


def _read(row: sa.Row[Any]) -> Job:
    def at(us: int | None) -> dt.datetime | None:
        return None if us is None else moment(us)

    return Job(
        row.id,
        row.kind,
        json.loads(row.arguments),
        row.status,
        row.asked_by,
        moment(row.asked_at_us),
        at(row.started_at_us),
        at(row.ended_at_us),
        at(row.beat_at_us),
        row.host,
        row.pid,
        row.done,
        row.total,
        row.label,
        row.left_seconds,
        row.cancel,
        None if row.result is None else json.loads(row.result),
        row.why,
    )
