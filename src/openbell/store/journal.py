"""The journal: records that are only ever added, each with the hash of the one before.

A record's hash is the SHA-256 of the canonical JSON of ``{seq, at, kind, key, payload, previous}``. `verify` recomputes
every one of them and compares the last with a second table of one row (how many records, which last hash), so that a
cut-off tail is noticed. Whoever can rewrite both tables whole can still forge a chain: print `Journal.head` into
reports and backups, which lie elsewhere.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from openbell.core.errors import BadInput, IntegrityBroken
from openbell.core.hashing import canonical_json, digest
from openbell.core.time import utc
from openbell.store.database import Database
from openbell.store.redaction import refuse_secrets
from openbell.store.schema import GENESIS, head, journal

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)
_CHUNK = 500  # keys asked for in one statement, and records read at once


@dataclass(frozen=True, slots=True)
class Entry:
    """Something to be recorded. `at` is its economic moment; a `key` may stand in the journal once."""

    kind: str
    payload: Mapping[str, Any]
    at: dt.datetime
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """A record as it stands in the journal. `seq` counts from 1; `previous` is the hash of the record before."""

    seq: int
    at: dt.datetime
    kind: str
    key: str | None
    payload: dict[str, Any]
    previous: str
    hash: str


@dataclass(frozen=True, slots=True)
class Head:
    """How many records there are, and the hash of the last one."""

    records: int
    hash: str


@dataclass(frozen=True, slots=True)
class _Ready:
    """An entry that may be written: checked, its payload as canonical JSON."""

    kind: str
    payload: dict[str, Any]
    text: str
    at_us: int
    key: str | None

    @property
    def desk(self) -> str | None:
        return _desk(self.payload)


@dataclass(frozen=True)
class Journal:
    """An append-only journal in a database. There is no verb that changes or removes a record."""

    database: Database

    @classmethod
    def open(cls, url: str) -> Journal:
        """Open the journal at ``sqlite:////file`` or ``postgresql://…``; a fresh database is set up."""
        return cls(Database.open(url))

    def close(self) -> None:
        """Give the connections back."""
        self.database.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def append(self, kind: str, payload: Mapping[str, Any], *, at: dt.datetime, key: str | None = None) -> Record:
        """Add one record and return it; where `key` is present already, return that record and write nothing."""
        return self.append_many([Entry(kind, payload, at, key)])[0]

    def append_many(self, entries: Iterable[Entry]) -> list[Record]:
        """Add records in one transaction, all or none; one record for each entry, in order.

        An entry whose key is present already, in the journal or earlier in `entries`, gives that record.
        """
        ready = [_ready(entry) for entry in entries]
        if not ready:
            return []
        with self.database.writing() as connection:
            last = _head(connection)
            known = _by_key(connection, [entry.key for entry in ready if entry.key is not None])
            given, new = _chained(ready, last, known)
            if new:
                connection.execute(journal.insert(), new)
                moved = head.update().where(head.c.id == 1, head.c.records == last.records)
                connection.execute(moved.values(records=new[-1]["seq"], hash=new[-1]["hash"]))
        return given

    def records(
        self,
        kind: str | Sequence[str] | None = None,
        before: dt.datetime | None = None,
        desk: str | None = None,
    ) -> list[Record]:
        """Records in order of `seq`: of one kind or several, with ``at < before``, of the desk in their payload."""
        wanted = sa.select(journal).order_by(journal.c.seq)
        if kind is not None:
            wanted = wanted.where(journal.c.kind.in_([kind] if isinstance(kind, str) else list(kind)))
        if before is not None:
            wanted = wanted.where(journal.c.at_us < _microseconds(before))
        if desk is not None:
            wanted = wanted.where(journal.c.desk == desk)
        with self.database.reading() as connection:
            return [record_of(row) for row in connection.execute(wanted)]

    def get(self, key: str) -> Record | None:
        """The record of the idempotency key `key`, or None."""
        with self.database.reading() as connection:
            return _by_key(connection, [key]).get(key)

    @property
    def head(self) -> Head:
        """How many records there are and the hash of the last, to be kept elsewhere as an anchor."""
        with self.database.reading() as connection:
            return _head(connection)

    def verify(self) -> int:
        """Recompute the whole chain: the number of records, or `IntegrityBroken` naming the first broken one."""
        with self.database.reading() as connection:
            last = _head(connection)
            seq, previous = 0, GENESIS
            wanted = sa.select(journal).order_by(journal.c.seq)
            with connection.execution_options(yield_per=_CHUNK).execute(wanted) as rows:
                for row in rows:
                    seq, previous = _verified(row, seq + 1, previous)
        if (seq, previous) != (last.records, last.hash):
            if seq < last.records:
                raise IntegrityBroken(
                    f"Record {seq + 1} of the journal is missing, and all after it: {seq} are there, and the head "
                    f"says {last.records}. Restore the journal from a backup."
                )
            raise IntegrityBroken(
                f"Record {seq} of the journal has the hash {previous[:12]}, and the head says {last.records} records "
                f"ending in {last.hash[:12]}. One of the two was altered; compare with a backup."
            )
        return seq


def _desk(payload: Mapping[str, Any]) -> str | None:
    desk = payload.get("desk")
    return desk if isinstance(desk, str) else None


def _microseconds(moment: dt.datetime) -> int:
    return (utc(moment) - _EPOCH) // _MICROSECOND


def _moment(at_us: int) -> dt.datetime:
    return _EPOCH + at_us * _MICROSECOND


def _hash(seq: int, at_us: int, kind: str, key: str | None, payload: Any, previous: str) -> str:
    return digest(
        {"seq": seq, "at": _moment(at_us), "kind": kind, "key": key, "payload": payload, "previous": previous}
    )


def _ready(entry: Entry) -> _Ready:
    for name, word in (("kind", entry.kind), ("key", entry.key)):
        if word is not None and (not isinstance(word, str) or not word or "\0" in word):
            raise BadInput(f"The {name} of a record must be text that is not empty; it was {word!r}.")
    if not isinstance(entry.payload, Mapping):
        raise BadInput(f"The payload of `{entry.kind}` must be a mapping; it was {type(entry.payload).__name__}.")
    refuse_secrets(entry.payload)
    try:
        text = canonical_json(entry.payload)
        text.encode()
    except (ValueError, TypeError) as failure:
        raise BadInput(f"The payload of `{entry.kind}` cannot be recorded: {failure}") from failure
    # What is returned now must equal what is read back later, so the record holds the payload as JSON has it.
    return _Ready(entry.kind, json.loads(text), text, _microseconds(entry.at), entry.key)


def _chained(ready: list[_Ready], last: Head, known: dict[str, Record]) -> tuple[list[Record], list[dict[str, Any]]]:
    """The record of each entry, and the rows of those that are new, chained on `last`."""
    given, rows = [], []
    seq, previous = last.records, last.hash
    for entry in ready:
        record = known.get(entry.key) if entry.key is not None else None
        if record is None:
            seq += 1
            own = _hash(seq, entry.at_us, entry.kind, entry.key, entry.payload, previous)
            record = Record(seq, _moment(entry.at_us), entry.kind, entry.key, entry.payload, previous, own)
            rows.append(
                {
                    "seq": seq,
                    "at_us": entry.at_us,
                    "kind": entry.kind,
                    "key": entry.key,
                    "desk": entry.desk,
                    "payload": entry.text,
                    "previous": previous,
                    "hash": own,
                }
            )
            previous = own
            if entry.key is not None:
                known[entry.key] = record
        given.append(record)
    return given, rows


def _head(connection: Connection) -> Head:
    row = connection.execute(sa.select(head.c.records, head.c.hash)).one_or_none()
    if row is None:
        raise IntegrityBroken("The head of the journal is gone. Restore the journal from a backup.")
    return Head(row.records, row.hash)


def _by_key(connection: Connection, keys: Sequence[str]) -> dict[str, Record]:
    found: dict[str, Record] = {}
    for start in range(0, len(keys), _CHUNK):
        some = keys[start : start + _CHUNK]
        for row in connection.execute(sa.select(journal).where(journal.c.key.in_(some))):
            found[row.key] = record_of(row)
    return found


def _payload(row: Row[Any]) -> dict[str, Any]:
    try:
        payload = json.loads(row.payload)
    except ValueError as failure:
        raise IntegrityBroken(
            f"Record {row.seq} of the journal is broken: its payload is no JSON ({failure}). "
            "Restore the journal from a backup."
        ) from failure
    if not isinstance(payload, dict):
        raise IntegrityBroken(f"Record {row.seq} of the journal is broken: its payload is no mapping.")
    return payload


def record_of(row: Row[Any]) -> Record:
    """The record that a row of the table holds; its hash is not looked at."""
    return Record(row.seq, _moment(row.at_us), row.kind, row.key, _payload(row), row.previous, row.hash)


def _verified(row: Row[Any], seq: int, previous: str) -> tuple[int, str]:
    """(seq, hash) of the record in `row`, which must be number `seq` and follow the hash `previous`."""

    def broken(what: str) -> IntegrityBroken:
        return IntegrityBroken(f"Record {seq} of the journal is broken: {what}. Restore the journal from a backup.")

    if row.seq != seq:
        raise broken(f"it is missing; the next one there is {row.seq}")
    if row.previous != previous:
        raise broken(f"it follows a record with the hash {row.previous[:12]}, and the one before has {previous[:12]}")
    payload = _payload(row)
    found = _hash(row.seq, row.at_us, row.kind, row.key, payload, row.previous)
    if found != row.hash:
        raise broken(f"its content (kind `{row.kind}`) hashes to {found[:12]}, and was recorded with {row.hash[:12]}")
    if canonical_json(payload) != row.payload or row.desk != _desk(payload):
        raise broken("its text or its desk was rewritten beside the content that was hashed")
    return row.seq, row.hash
