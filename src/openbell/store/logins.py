"""Who is logged in to the lab: a secret in a cookie, of which only the hash is kept, until it expires or is ended."""

from __future__ import annotations

import datetime as dt
import hashlib
import secrets
from dataclasses import dataclass

import sqlalchemy as sa

from openbell.store.database import Database
from openbell.store.lab_schema import logins
from openbell.store.upserts import microseconds

_LONGEST_SECRET = 100


@dataclass(frozen=True)
class Logins:
    """The logins in a database; threads and processes may share it."""

    database: Database

    def begin(self, key_id: str, *, at: dt.datetime, hours: float) -> str:
        """Log in who showed the key `key_id`; the secret is returned here and is never to be had again."""
        secret = secrets.token_urlsafe(32)
        expires = at + dt.timedelta(hours=hours)
        row = {"hash": _hash(secret), "key_id": key_id, "begun_at_us": microseconds(at)}
        with self.database.adding() as connection:
            connection.execute(logins.delete().where(logins.c.expires_at_us <= microseconds(at)))
            connection.execute(logins.insert().values(**row, expires_at_us=microseconds(expires)))
        return secret

    def key_of(self, secret: str, *, at: dt.datetime) -> str | None:
        """Id of the key that whoever shows `secret` logged in with; None where that is over or never was."""
        if not secret or len(secret) > _LONGEST_SECRET:
            return None
        standing = sa.select(logins.c.key_id).where(
            logins.c.hash == _hash(secret), logins.c.expires_at_us > microseconds(at)
        )
        with self.database.reading() as connection:
            return connection.execute(standing).scalar()

    def end(self, secret: str) -> None:
        """Log out; one that is over already is no error."""
        with self.database.adding() as connection:
            connection.execute(logins.delete().where(logins.c.hash == _hash(secret)))


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
