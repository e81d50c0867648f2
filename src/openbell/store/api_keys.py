"""API keys: shown once, kept as a hash, with scopes, and revoked within seconds.

A key reads ``ob_<id>_<secret>``. The secret is 43 letters and digits out of the system's generator, 256 bits: nobody
guesses it, so SHA-256 of it is as good in the table as the slow, salted hashes that passwords need, and is checked in
microseconds. Only the hash is stored, and hashes are compared in constant time.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
import secrets
import string
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import sqlalchemy as sa

from openbell.core.errors import BadInput, unknown
from openbell.store.database import Database
from openbell.store.gate_schema import api_keys
from openbell.store.upserts import microseconds, moment

Scope = Literal["predict", "read", "outcomes", "signals", "lab", "admin"]
#: predict : ask the gate. read : markets, models, history, signals, metrics. outcomes : tell what trades made.
#: signals : say that a signal was executed, or cancel it. lab : use the web lab. admin : all.
SCOPES: tuple[str, ...] = get_args(Scope)

#: A key that was revoked elsewhere is refused after so many seconds at the latest; here, at once.
FRESH_SECONDS = 5.0
#: A key that is not known is looked up again after so many seconds, and no sooner, however many ask.
_AGAIN_SECONDS = 1.0
_WAIT_SECONDS = 5.0
_KEY = re.compile(r"ob_([a-z0-9]{10})_([A-Za-z0-9]{43})")
_ID_LETTERS = string.ascii_lowercase + string.digits
_SECRET_LETTERS = string.ascii_letters + string.digits


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is known of a key; nothing here opens anything. Limits are requests per minute, None the settings' own."""

    id: str
    name: str
    scopes: tuple[str, ...]
    created_at: dt.datetime
    predict_per_minute: int | None = None
    batch_per_minute: int | None = None
    revoked_at: dt.datetime | None = None
    last_used_at: dt.datetime | None = None

    def may(self, scope: str) -> bool:
        """Whether the key has `scope`; ``admin`` has all."""
        return scope in self.scopes or "admin" in self.scopes


@dataclass(frozen=True, slots=True)
class _Known:
    """The keys that are not revoked with their hashes, and the second they were read at."""

    keys: Mapping[str, tuple[ApiKey, str]]
    read_at: float


@dataclass(frozen=True)
class ApiKeys:
    """The keys in a database. Threads may share it; `seconds` is a clock that only goes forward."""

    database: Database
    seconds: Callable[[], float] = field(default=time.monotonic, repr=False)
    fresh_seconds: float = FRESH_SECONDS
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)
    _known: list[_Known] = field(default_factory=list, repr=False, compare=False)

    @classmethod
    def open(cls, url: str, *, seconds: Callable[[], float] = time.monotonic) -> ApiKeys:
        """Open the keys at ``sqlite:////file`` or ``postgresql://…``, the database of the predictions."""
        return cls(Database.open(url, wait_seconds=_WAIT_SECONDS), seconds)

    def close(self) -> None:
        """Give the connections back."""
        self.database.close()

    def __enter__(self) -> ApiKeys:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def create(
        self,
        name: str,
        scopes: Sequence[str],
        *,
        at: dt.datetime,
        predict_per_minute: int | None = None,
        batch_per_minute: int | None = None,
    ) -> tuple[str, ApiKey]:
        """Make a key; its text is returned here and is never to be had again."""
        if not isinstance(name, str) or not name.strip() or len(name) > 200 or "\0" in name or _KEY.search(name):
            raise BadInput("The name of a key must be text of 1 to 200 characters that says who uses it, and no key.")
        limits = {"predict_per_minute": predict_per_minute, "batch_per_minute": batch_per_minute}
        for what, limit in limits.items():
            if limit is not None and not 1 <= limit < 2**31:
                raise BadInput(f"`{what}` of a key must be at least 1; was {limit}. Revoke a key that may do nothing.")
        id, secret = _drawn(_ID_LETTERS, 10), _drawn(_SECRET_LETTERS, 43)
        made = ApiKey(
            id, name.strip(), _checked_scopes(scopes), moment(microseconds(at)), predict_per_minute, batch_per_minute
        )
        row = {"id": id, "name": made.name, "hash": _hash(secret), "scopes": " ".join(made.scopes), **limits}
        with self.database.adding() as connection:
            connection.execute(api_keys.insert().values(created_at_us=microseconds(at), **row))
        self._forget()
        return f"ob_{id}_{secret}", made

    def revoke(self, id: str, *, at: dt.datetime) -> ApiKey:
        """Refuse the key `id` from now on: here at once, in other processes within `fresh_seconds`."""
        with self.database.adding() as connection:
            still = api_keys.update().where(api_keys.c.id == id, api_keys.c.revoked_at_us.is_(None))
            connection.execute(still.values(revoked_at_us=microseconds(at)))
            row = connection.execute(sa.select(api_keys).where(api_keys.c.id == id)).one_or_none()
            valid = connection.execute(sa.select(api_keys.c.id)).scalars().all() if row is None else []
        self._forget()
        if row is None:
            if _KEY.search(id):
                raise BadInput("That is a whole key; name it by its id, the part between the two underscores.")
            raise unknown("API key", id[:20], valid)
        return _read(row)

    def list(self) -> list[ApiKey]:
        """Every key there ever was, oldest first."""
        with self.database.reading() as connection:
            rows = connection.execute(sa.select(api_keys).order_by(api_keys.c.created_at_us, api_keys.c.id))
            return [_read(row) for row in rows]

    def verify(self, key: str, scope: str | None = None) -> ApiKey | None:
        """Who shows this key; None where it is no key, is not known, is revoked, or has not the `scope`.

        Answers from memory, and reads the table where what is there is older than `fresh_seconds` or the id is new.
        Where the table cannot be read it raises `StorageFailed`: who cannot be checked is not let in.
        """
        if scope is not None and scope not in SCOPES:
            raise unknown("scope", scope, SCOPES)
        parts = _KEY.fullmatch(key)
        if parts is None:
            return None
        id, secret = parts.groups()
        found = self._fresh(id).keys.get(id)
        if found is None or not secrets.compare_digest(_hash(secret), found[1]):
            return None
        return found[0] if scope is None or found[0].may(scope) else None

    def standing(self, id: str) -> ApiKey | None:
        """The key `id`, for who logged in by it; None where it is not known or revoked, as old as `verify` allows."""
        found = self._fresh(id).keys.get(id)
        return None if found is None else found[0]

    def ready(self, key: str) -> bool:
        """Whether `verify` would answer from memory, without waiting for the database."""
        parts = _KEY.fullmatch(key)
        return parts is None or self._current(parts.group(1)) is not None

    def touch(self, used: Mapping[str, dt.datetime]) -> None:
        """Note when keys were last used, by id; call it now and then, not at every request."""
        with self.database.adding() as connection:
            for id, at in sorted(used.items()):
                at_us = microseconds(at)
                before = sa.or_(api_keys.c.last_used_at_us.is_(None), api_keys.c.last_used_at_us < at_us)
                connection.execute(api_keys.update().where(api_keys.c.id == id, before).values(last_used_at_us=at_us))

    def _current(self, id: str) -> _Known | None:
        """What is in memory, where it can answer for `id`."""
        known = self._known[-1] if self._known else None
        if known is None:
            return None
        age = self.seconds() - known.read_at
        return known if age < (self.fresh_seconds if id in known.keys else _AGAIN_SECONDS) else None

    def _fresh(self, id: str) -> _Known:
        known = self._current(id)
        if known is not None:
            return known
        with self._lock:
            known = self._current(id)  # another thread may have read it meanwhile
            if known is None:
                read_at = self.seconds()
                with self.database.reading() as connection:
                    rows = connection.execute(sa.select(api_keys).where(api_keys.c.revoked_at_us.is_(None)))
                    known = _Known({row.id: (_read(row), row.hash) for row in rows}, read_at)
                self._known[:] = [known]
            return known

    def _forget(self) -> None:
        with self._lock:
            self._known.clear()


def _drawn(letters: str, length: int) -> str:
    return "".join(secrets.choice(letters) for _ in range(length))


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _checked_scopes(scopes: Sequence[str]) -> tuple[str, ...]:
    for scope in scopes:
        if scope not in SCOPES:
            raise unknown("scope", str(scope), SCOPES)
    if not scopes or isinstance(scopes, str):
        raise BadInput(f"A key needs one scope or more of {', '.join(SCOPES)}; was {scopes!r}.")
    return tuple(scope for scope in SCOPES if scope in scopes)


def _read(row: sa.Row[Any]) -> ApiKey:
    def at(us: int | None) -> dt.datetime | None:
        return None if us is None else moment(us)

    return ApiKey(
        row.id,
        row.name,
        tuple(row.scopes.split()),
        moment(row.created_at_us),
        row.predict_per_minute,
        row.batch_per_minute,
        at(row.revoked_at_us),
        at(row.last_used_at_us),
    )
