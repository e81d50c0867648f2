"""A/B tests: definitions with versions, the stored arm of each trade, and the outcomes by arm."""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from openbell.core.errors import BadInput, unknown
from openbell.core.experiment import Arm, Definition
from openbell.core.time import MOMENT
from openbell.store import assignments
from openbell.store.assignments import Assignment
from openbell.store.database import Database
from openbell.store.gate_schema import experiments, predictions
from openbell.store.upserts import microseconds, moment

#: An A/B test that was begun or stopped elsewhere is heard of after so many seconds at the latest; here, at once.
FRESH_SECONDS = 5.0
_WAIT_SECONDS = 5.0

#: One row for each trade that was assigned and answered; the outcome is null until it is known.
OUTCOMES: Mapping[str, Any] = {
    "at": MOMENT, "day": pl.Date, "trade_id": pl.String, "key_id": pl.String, "arm": pl.String, "answer": pl.String,
    "probability": pl.Float64, "risk_usd": pl.Float64, "win": pl.Boolean, "profit_usd": pl.Float64,
    "outcome_known_at": MOMENT,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Experiment:
    """One version of an A/B test. A stopped one assigns nobody: the control arm answers every trade."""

    definition: Definition
    version: int
    created_at: dt.datetime
    stopped_at: dt.datetime | None = None
    why_stopped: str | None = None

    @property
    def name(self) -> str:
        """Of the A/B test, the same in all versions."""
        return self.definition.name

    @property
    def running(self) -> bool:
        """Whether it assigns trades."""
        return self.stopped_at is None


@dataclass(frozen=True)
class Experiments:
    """The A/B tests in a database. Threads may share it; `seconds` is a clock that only goes forward."""

    database: Database
    seconds: Callable[[], float] = field(default=time.monotonic, repr=False)
    fresh_seconds: float = FRESH_SECONDS
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)
    _latest: dict[str, tuple[Experiment | None, float]] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def open(cls, url: str, *, seconds: Callable[[], float] = time.monotonic) -> Experiments:
        """Open the A/B tests at ``sqlite:////file`` or ``postgresql://…``, the database of the predictions."""
        return cls(Database.open(url, wait_seconds=_WAIT_SECONDS), seconds)

    def close(self) -> None:
        """Give the connections back."""
        self.database.close()

    def __enter__(self) -> Experiments:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def begin(self, definition: Definition, *, at: dt.datetime) -> Experiment:
        """The version of `definition`: the latest where it says the same, else a new one.

        A new version ends the one before; trades keep the arm they have. A stopped one is not begun again by the same
        definition: give it another salt, which is another draw.
        """
        with self.database.writing() as connection:
            latest = _latest(connection, definition.name)
            if latest is not None and latest.definition == definition:
                return latest
            if latest is not None and latest.running:
                _end(connection, latest, at, "Its definition changed.")
            version = 1 if latest is None else latest.version + 1
            connection.execute(experiments.insert().values(**_row(definition, version, at)))
        self._forget()
        return Experiment(definition, version, moment(microseconds(at)))

    def stop(self, name: str, *, at: dt.datetime, why: str) -> Experiment:
        """End the A/B test: here at once, in other processes within `fresh_seconds`. A stopped one stays as it is."""
        if not why.strip() or "\0" in why:
            raise BadInput("Say why the A/B test is stopped; whoever reads its outcome will ask.")
        with self.database.writing() as connection:
            latest = _latest(connection, name)
            if latest is None:
                names = connection.execute(sa.select(experiments.c.name).distinct()).scalars().all()
                raise unknown("A/B test", name, names)
            if latest.running:
                _end(connection, latest, at, why.strip())
                latest = _latest(connection, name)
        self._forget()
        assert latest is not None
        return latest

    def all(self) -> list[Experiment]:
        """Every version of every A/B test, by name and version."""
        with self.database.reading() as connection:
            rows = connection.execute(sa.select(experiments).order_by(experiments.c.name, experiments.c.version))
            return [_read(row) for row in rows]

    def latest(self, name: str) -> Experiment | None:
        """The latest version of the A/B test `name`, from memory where that is fresh; None where there is none."""
        now = self.seconds()
        with self._lock:  # held while reading: what is read before a stop must not be remembered after it
            found, read_at = self._latest.get(name, (None, float("-inf")))
            if now - read_at >= self.fresh_seconds:
                with self.database.reading() as connection:
                    found = _latest(connection, name)
                self._latest[name] = (found, now)
            return found

    def assigned(self, name: str, trade_ids: Sequence[str]) -> dict[str, Assignment]:
        """The arm of each trade: the stored one, else the one its definition gives. Empty where no test is running.

        Nothing is written: `Predictions.append` stores the arm with the answer, in one transaction, and says
        `OTHER_ARM` where another one got there first. The first version of a test needs no look at the database.
        """
        experiment = self.latest(name)
        if experiment is None or not experiment.running:
            return {}
        kept: dict[str, Assignment] = {}
        if experiment.version > 1:
            with self.database.reading() as connection:
                kept = assignments.stored(connection, name, trade_ids)
        arm_of, version = experiment.definition.arm_of, experiment.version
        return {each: kept.get(each) or Assignment(name, version, each, arm_of(each)) for each in trade_ids}

    def keep(self, assigned: Sequence[Assignment], *, at: dt.datetime) -> dict[str, Assignment]:
        """Store arms without an answer; the first that was stored stands, and is returned by trade id."""
        with self.database.adding() as connection:
            standing = assignments.keep(connection, dict.fromkeys(assigned, microseconds(at)))
        return {trade: each for (_, trade), each in standing.items()}

    def outcomes(self, name: str, version: int | None = None) -> pl.DataFrame:
        """`OUTCOMES` of the trades of a version, by default the latest, oldest first.

        A trade that was asked about more than once counts once, by its first answer.
        """
        with self.database.reading() as connection:
            latest = _latest(connection, name)
            if latest is None:
                names = connection.execute(sa.select(experiments.c.name).distinct()).scalars().all()
                raise unknown("A/B test", name, names)
            rows = connection.execute(_answered(name, version or latest.version)).all()
        times = {"at": pl.Int64, "outcome_known_at": pl.Int64}
        frame = pl.DataFrame([tuple(row) for row in rows], schema={**OUTCOMES, **times}, orient="row")
        return frame.with_columns(pl.col(list(times)).cast(MOMENT))

    def _forget(self) -> None:
        with self._lock:
            self._latest.clear()


def _answered(name: str, version: int) -> sa.Select[Any]:
    c = predictions.c
    turn = sa.func.row_number().over(partition_by=(c.key_id, c.trade_id), order_by=(c.at_us, c.id))
    columns = (c.at_us, c.day, c.trade_id, c.key_id, c.arm, c.answer, c.probability, c.risk_usd, c.win, c.profit_usd,
               c.outcome_known_at_us)  # fmt: skip
    mine = sa.select(*columns, c.id, turn.label("turn")).where(c.experiment == name, c.experiment_version == version)
    each = mine.subquery()
    return (
        sa.select(*(each.c[column.name] for column in columns))
        .where(each.c.turn == 1)
        .order_by(each.c.at_us, each.c.id)
    )


def _latest(connection: Connection, name: str) -> Experiment | None:
    wanted = sa.select(experiments).where(experiments.c.name == name).order_by(experiments.c.version.desc()).limit(1)
    row = connection.execute(wanted).one_or_none()
    return None if row is None else _read(row)


def _end(connection: Connection, experiment: Experiment, at: dt.datetime, why: str) -> None:
    this = (experiments.c.name == experiment.name, experiments.c.version == experiment.version)
    connection.execute(experiments.update().where(*this).values(stopped_at_us=microseconds(at), why_stopped=why))


def _row(definition: Definition, version: int, at: dt.datetime) -> dict[str, Any]:
    return {
        "name": definition.name,
        "version": version,
        "salt": definition.salt,
        "share": definition.share,
        "control_model": definition.control.model,
        "control_version": definition.control.version,
        "test_model": definition.test.model,
        "test_version": definition.test.version,
        "created_at_us": microseconds(at),
    }


def _read(row: sa.Row[Any]) -> Experiment:
    control, test = Arm(row.control_model, row.control_version), Arm(row.test_model, row.test_version)
    stopped = None if row.stopped_at_us is None else moment(row.stopped_at_us)
    definition = Definition(row.name, row.salt, row.share, control, test)
    return Experiment(definition, row.version, moment(row.created_at_us), stopped, row.why_stopped)
