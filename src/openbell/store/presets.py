"""What people save under a name: small JSON documents by kind, every version of each kept.

Two people who save over the same version do not overwrite each other: the second is told who was first, and what was
saved before can be had again by its version, after a deletion too.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from openbell.core.errors import BadInput, Refused, nearest
from openbell.core.hashing import canonical_json
from openbell.store.database import Database
from openbell.store.lab_schema import presets
from openbell.store.redaction import refuse_secrets
from openbell.store.upserts import microseconds, moment

MOST_BYTES = 200_000
MOST_PRESETS = 1_000
_WAIT_SECONDS = 5.0
_NAME = re.compile(r"[^\W_](?:[\w .-]{0,58}[\w-])?")
_KIND = re.compile(r"[a-z][a-z0-9_]{0,39}")
#: What an exported document says it is.
_FORMAT = "openbell preset"


@dataclass(frozen=True, slots=True)
class Preset:
    """A saved document, and which version of it this is."""

    kind: str
    name: str
    version: int
    document: Mapping[str, Any]
    saved_by: str
    saved_at: dt.datetime


@dataclass(frozen=True)
class Presets:
    """The presets in a database; threads and processes may share it."""

    database: Database

    @classmethod
    def open(cls, url: str) -> Presets:
        """Open the presets at ``sqlite:////file`` or ``postgresql://…``, the database of the lab."""
        return cls(Database.open(url, wait_seconds=_WAIT_SECONDS))

    def close(self) -> None:
        """Give the connections back."""
        self.database.close()

    def save(
        self,
        kind: str,
        name: str,
        document: Mapping[str, Any],
        *,
        by: str,
        at: dt.datetime,
        expected_version: int | None = None,
    ) -> Preset:
        """Save `document` under `name`, as the version after `expected_version`, or as a new one where that is None.

        Saving what is saved already changes nothing.

        Raises
        ------
        BadInput
            A name that is none, a document that is too large or holds a secret.
        Refused
            Somebody else saved it meanwhile; what they saved stands.
        """
        _check_name(kind, name)
        text = _text(document)
        with self.database.writing() as connection:
            latest = _latest(connection, kind, name)
            if latest is not None and latest.document == text:
                return _read(latest)
            _check_version(name, latest, expected_version)
            if latest is None or latest.document is None:
                _check_room(connection, kind)
            version = 1 if latest is None else latest.version + 1
            row = {"kind": kind, "name": name, "version": version, "document": text}
            connection.execute(presets.insert().values(**row, saved_by=by, saved_at_us=microseconds(at)))
        return Preset(kind, name, version, json.loads(text), by, moment(microseconds(at)))

    def load(self, kind: str, name: str, version: int | None = None) -> Preset:
        """The preset `name`, or an earlier version of it."""
        _check_name(kind, name)
        with self.database.reading() as connection:
            if version is None:
                row = _latest(connection, kind, name)
            else:
                row = connection.execute(_of(kind, name).where(presets.c.version == version)).one_or_none()
            if row is None or row.document is None:
                which = "" if version is None else f" with a version {version}"
                known = nearest(name, _names(connection, kind))
                raise BadInput(f"There is no preset `{name}`{which}. {known}")
            return _read(row)

    def names(self, kind: str) -> list[str]:
        """The names of this kind, in the order of the alphabet."""
        _check_kind(kind)
        with self.database.reading() as connection:
            return sorted(_names(connection, kind), key=lambda name: (name.casefold(), name))

    def versions(self, kind: str, name: str) -> list[Preset]:
        """Every version there ever was of `name`, newest first, without its deletions."""
        _check_name(kind, name)
        with self.database.reading() as connection:
            kept = _of(kind, name).where(presets.c.document.is_not(None)).order_by(presets.c.version.desc())
            return [_read(row) for row in connection.execute(kept)]

    def delete(self, kind: str, name: str, *, by: str, at: dt.datetime, expected_version: int | None = None) -> None:
        """Take `name` off the list; its versions stay to be loaded by their number.

        With `expected_version`, only where nobody saved another meanwhile.
        """
        _check_name(kind, name)
        with self.database.writing() as connection:
            latest = _latest(connection, kind, name)
            if latest is None or latest.document is None:
                raise BadInput(f"There is no preset `{name}`. {nearest(name, _names(connection, kind))}")
            if expected_version is not None:
                _check_version(name, latest, expected_version)
            row = {"kind": kind, "name": name, "version": latest.version + 1, "document": None}
            connection.execute(presets.insert().values(**row, saved_by=by, saved_at_us=microseconds(at)))

    def exported(self, kind: str, name: str) -> str:
        """The preset as text that `imported` takes, here or elsewhere."""
        found = self.load(kind, name)
        told = {"format": _FORMAT, "kind": kind, "name": name, "document": found.document}
        return json.dumps(told, indent=2, ensure_ascii=False, sort_keys=True) + "\n"

    def imported(self, kind: str, text: str, *, by: str, at: dt.datetime, name: str | None = None) -> Preset:
        """Save what `exported` wrote, under its own name unless another is given; one that is there is not replaced."""
        if len(text.encode()) > 2 * MOST_BYTES:
            raise BadInput(f"The file has {len(text.encode()):,} bytes; a preset has {MOST_BYTES:,} at most.")
        try:
            told = json.loads(text)
        except (ValueError, RecursionError):
            raise BadInput("The file is not JSON; it must be one that the lab exported.") from None
        if not isinstance(told, dict) or told.get("format") != _FORMAT or not isinstance(told.get("document"), dict):
            raise BadInput(f'The file is no preset: it must say `"format": "{_FORMAT}"` and hold a `document`.')
        if told.get("kind") != kind:
            raise BadInput(f"The file holds a preset of the kind `{str(told.get('kind'))[:40]}`; this needs `{kind}`.")
        return self.save(kind, str(told.get("name")) if name is None else name, told["document"], by=by, at=at)


def _of(kind: str, name: str) -> sa.Select[Any]:
    return sa.select(presets).where(presets.c.kind == kind, presets.c.name == name)


def _latest(connection: Connection, kind: str, name: str) -> sa.Row[Any] | None:
    newest = _of(kind, name).order_by(presets.c.version.desc()).limit(1)
    return connection.execute(newest).one_or_none()


def _names(connection: Connection, kind: str) -> list[str]:
    """The names whose newest version is no deletion."""
    newest = (
        sa.select(presets.c.name, sa.func.max(presets.c.version).label("version"))
        .where(presets.c.kind == kind)
        .group_by(presets.c.name)
        .subquery()
    )
    standing = sa.select(presets.c.name).join(
        newest, sa.and_(presets.c.name == newest.c.name, presets.c.version == newest.c.version)
    )
    return list(connection.execute(standing.where(presets.c.kind == kind, presets.c.document.is_not(None))).scalars())


def _read(row: sa.Row[Any]) -> Preset:
    return Preset(row.kind, row.name, row.version, json.loads(row.document), row.saved_by, moment(row.saved_at_us))


def _check_kind(kind: str) -> None:
    if not _KIND.fullmatch(kind):
        raise BadInput(f"`{kind[:60]}` is no kind of preset: write lower-case letters, digits and `_`, a letter first.")


def _check_name(kind: str, name: str) -> None:
    _check_kind(kind)
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise BadInput(
            f"`{str(name)[:80]}` cannot name a preset. Use 1 to 60 letters, digits, spaces, `-`, `_` and `.`, "
            "with a letter or digit first and no space or `.` last."
        )


def _check_version(name: str, latest: sa.Row[Any] | None, expected: int | None) -> None:
    """Refuse where what stands is not what the one who saves has seen."""
    standing = latest if latest is not None and latest.document is not None else None
    if (None if standing is None else standing.version) == expected:
        return
    if standing is None:
        raise Refused(f"The preset `{name}` was deleted meanwhile. Save it as a new one to have it again.")
    when = f"{moment(standing.saved_at_us):%Y-%m-%d %H:%M} UTC"
    seen = "you have not loaded it" if expected is None else f"you loaded version {expected}"
    raise Refused(
        f"`{name}` was saved by {standing.saved_by} on {when} as version {standing.version}, and {seen}. "
        "Load it and save again, or save yours under another name; nothing was changed."
    )


def _check_room(connection: Connection, kind: str) -> None:
    there = len(_names(connection, kind))
    if there >= MOST_PRESETS:
        raise BadInput(f"There are {there:,} presets of the kind `{kind}`, as many as are kept. Delete some first.")


def _text(document: Mapping[str, Any]) -> str:
    if not isinstance(document, Mapping):
        raise BadInput(f"A preset is a JSON object of names and values; was {type(document).__name__}.")
    try:
        text = canonical_json(document)
    except (TypeError, ValueError, RecursionError) as failure:
        raise BadInput(f"The document of a preset must be JSON: {failure}.") from None
    if len(text.encode()) > MOST_BYTES:
        raise BadInput(f"The document has {len(text.encode()):,} bytes; a preset has {MOST_BYTES:,} at most.")
    if "\\u0000" in text:
        raise BadInput("The document of a preset must not hold the character NUL.")
    refuse_secrets(document, "preset")
    return text
