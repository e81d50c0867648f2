"""The ledger of trials: every configuration that was ever fitted, and the error that was spent on choosing among them.

It lies in the journal's database, is only ever added to, and outlives folders and caches, so that what a result is
worth after the search can still be said when the search is forgotten.
"""

from __future__ import annotations

import datetime as dt
import math
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import polars as pl
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from openbell.core.errors import BadInput, unknown
from openbell.core.hashing import canonical_json
from openbell.core.time import MOMENT, utc
from openbell.store.database import Database
from openbell.store.schema import alpha_spent, trials

Kind = Literal["candidate", "tuning", "backtest"]
KINDS: tuple[str, ...] = get_args(Kind)

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)
_CHUNK = 500  # fingerprints asked for in one statement


@dataclass(frozen=True, slots=True)
class Trial:
    """One configuration that is about to be tried.

    `fingerprint` is the hash of everything that decides what is learnt, `data` the recipe hash of what it learns from;
    `name` and `parameters` are for a reader.
    """

    desk: str
    kind: Kind
    name: str
    fingerprint: str
    data: str
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def identity(self) -> tuple[str, str, str, str]:
        """What makes it the same trial as another: it then counts once."""
        return (self.desk, self.kind, self.fingerprint, self.data)


@dataclass(frozen=True)
class Trials:
    """The ledger in a database. There is no verb that changes or removes a trial; ``in`` may be asked by threads."""

    database: Database
    _known: set[str] = field(default_factory=set, repr=False, compare=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    @classmethod
    def open(cls, url: str) -> Trials:
        """Open the ledger at ``sqlite:////file`` or ``postgresql://…``, the journal's database."""
        return cls(Database.open(url))

    def close(self) -> None:
        """Give the connections back."""
        self.database.close()

    def __enter__(self) -> Trials:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def record(self, tried: Sequence[Trial], *, at: dt.datetime) -> int:
        """Add the trials that are new, in one transaction, all or none; returns how many were new."""
        at_us = _microseconds(at)
        rows = {each.identity: _row(each, at_us) for each in reversed(tried)}  # of doubles, the first
        ordered = [rows[identity] for identity in dict.fromkeys(each.identity for each in tried)]
        if not ordered:
            return 0
        with self.database.writing() as connection:
            there = _present(connection, sorted({row["fingerprint"] for row in ordered}))
            new = [row for row in ordered if _identity(row) not in there]
            if new:
                seq = _last(connection, trials)
                numbered = [{**row, "seq": seq + number} for number, row in enumerate(new, start=1)]
                connection.execute(trials.insert(), numbered)
        with self._lock:  # only what is committed is known
            self._known.update(row["fingerprint"] for row in ordered)
        return len(new)

    def __contains__(self, fingerprint: object) -> bool:
        """Whether a configuration was recorded, in this process or in any before it, for whatever desk and data."""
        if not isinstance(fingerprint, str):
            return False
        with self._lock:
            if fingerprint in self._known:
                return True
        with self.database.reading() as connection:
            found = connection.execute(sa.select(trials.c.seq).where(trials.c.fingerprint == fingerprint).limit(1))
            there = found.first() is not None
        if there:
            with self._lock:
                self._known.add(fingerprint)
        return there

    def count(self, desk: str, kind: Kind | None = None, before: dt.datetime | None = None) -> int:
        """How many trials of `desk` there are: of one kind, with ``at < before``."""
        wanted = sa.select(sa.func.count()).select_from(trials).where(trials.c.desk == desk)
        if kind is not None:
            wanted = wanted.where(trials.c.kind == _known_kind(kind))
        if before is not None:
            wanted = wanted.where(trials.c.at_us < _microseconds(before))
        with self.database.reading() as connection:
            return int(connection.execute(wanted).scalar_one())

    def table(self, desk: str) -> pl.DataFrame:
        """Trials of `desk` in order: ``at`` (UTC), ``kind``, ``name``, ``fingerprint``, ``data``, ``parameters``."""
        columns = ("at_us", "kind", "name", "fingerprint", "data", "parameters")
        wanted = sa.select(*(trials.c[name] for name in columns)).where(trials.c.desk == desk).order_by(trials.c.seq)
        with self.database.reading() as connection:
            rows = [tuple(row) for row in connection.execute(wanted)]
        schema = {"at_us": pl.Int64, **dict.fromkeys(columns[1:], pl.String)}
        frame = pl.DataFrame(rows, schema=schema, orient="row")
        return frame.select(pl.col("at_us").cast(MOMENT).alias("at"), *columns[1:])

    def spent(self, desk: str, year: int) -> float:
        """Family-wise error that the tournaments of `desk` have spent in `year`."""
        return math.fsum(self.plans(desk, year).values())

    def plans(self, desk: str, year: int) -> dict[str, float]:
        """What each tournament of `desk` has spent in `year`, by its plan."""
        wanted = sa.select(alpha_spent.c.plan, alpha_spent.c.alpha).order_by(alpha_spent.c.seq)
        wanted = wanted.where(alpha_spent.c.desk == desk, alpha_spent.c.year == year)
        with self.database.reading() as connection:
            return {plan: float(alpha) for plan, alpha in connection.execute(wanted)}

    def spend(self, desk: str, *, at: dt.datetime, alpha: float, plan: str) -> None:
        """Take `alpha` out of the budget of the year of `at`; the same `plan` again takes nothing.

        Raises
        ------
        BadInput
            Where `alpha` is not between 0 and 1, or `plan` has spent another sum before.
        """
        if not 0.0 < alpha < 1.0:
            raise BadInput(f"`alpha` must lie between 0 and 1; was {alpha}. Say for example 0.01.")
        moment = utc(at)
        row = {"desk": desk, "plan": plan, "alpha": float(alpha), "year": moment.year, "at_us": _microseconds(moment)}
        for name in ("desk", "plan"):
            _text(name, row[name])
        same = (alpha_spent.c.desk == desk, alpha_spent.c.plan == plan)
        with self.database.writing() as connection:
            before = connection.execute(sa.select(alpha_spent.c.alpha).where(*same)).scalar()
            if before is None:
                seq = _last(connection, alpha_spent) + 1
                connection.execute(alpha_spent.insert().values(seq=seq, **row))
            elif before != row["alpha"]:
                raise BadInput(
                    f"The plan {plan[:12]} has spent {before:g} already; it cannot spend {alpha:g} now. "
                    "A tournament at another error rate is another plan."
                )


def _microseconds(moment: dt.datetime) -> int:
    return (utc(moment) - _EPOCH) // _MICROSECOND


def _known_kind(kind: str) -> str:
    if kind not in KINDS:
        raise unknown("kind of trial", kind, KINDS)
    return kind


def _text(name: str, value: object) -> None:
    if not isinstance(value, str) or not value or "\0" in value:
        raise BadInput(f"The {name} of a trial must be text that is not empty; it was {value!r}.")


def _row(trial: Trial, at_us: int) -> dict[str, Any]:
    _known_kind(trial.kind)
    for name in ("desk", "name", "fingerprint", "data"):
        _text(name, getattr(trial, name))
    try:
        parameters = canonical_json(trial.parameters)
    except (ValueError, TypeError) as failure:
        raise BadInput(f"The parameters of the trial `{trial.name}` cannot be recorded: {failure}") from failure
    return {
        "at_us": at_us,
        "desk": trial.desk,
        "kind": trial.kind,
        "name": trial.name,
        "fingerprint": trial.fingerprint,
        "data": trial.data,
        "parameters": parameters,
    }


def _identity(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return (row["desk"], row["kind"], row["fingerprint"], row["data"])


def _present(connection: Connection, fingerprints: Sequence[str]) -> set[tuple[Any, ...]]:
    """Identities of the trials there are with one of these fingerprints."""
    columns = (trials.c.desk, trials.c.kind, trials.c.fingerprint, trials.c.data)
    found: set[tuple[Any, ...]] = set()
    for start in range(0, len(fingerprints), _CHUNK):
        some = fingerprints[start : start + _CHUNK]
        found |= {tuple(row) for row in connection.execute(sa.select(*columns).where(trials.c.fingerprint.in_(some)))}
    return found


def _last(connection: Connection, table: sa.Table) -> int:
    return int(connection.execute(sa.select(sa.func.coalesce(sa.func.max(table.c.seq), 0))).scalar_one())
