"""The commit log of the tables: a file of rows exists for a reader only once a commit names it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import PurePosixPath
from typing import Any

from openbell.core.errors import IntegrityBroken
from openbell.core.hashing import canonical_json, digest
from openbell.store.places import Place

FOLDER = "commits"
FORMAT = 1
_READERS = 16


@dataclass(frozen=True, slots=True)
class DataFile:
    """One Parquet file: its content's hash and the range of what it holds.

    `sessions` (ISO dates) and `known_at_us` (microseconds since 1970 UTC) are (least, greatest), or None where
    the file has no such value.
    """

    name: str
    rows: int
    size_bytes: int
    sha256: str
    sessions: tuple[str, str] | None
    known_at_us: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class Part:
    """What a commit adds to one table. `schema` is (column, type) in order."""

    digest: str
    schema: tuple[tuple[str, str], ...]
    files: tuple[DataFile, ...]


@dataclass(frozen=True, slots=True)
class Commit:
    """Rows of one or many tables that became visible at once. `id` is the hash of their content."""

    number: int
    id: str
    parts: Mapping[str, Part]

    @property
    def name(self) -> str:
        """Its file. Two writers that take one number at once leave two files, and both count."""
        return f"{FOLDER}/{self.number:08d}-{self.id}.json"

    def to_bytes(self) -> bytes:
        """Canonical JSON with the hash of itself: equal content, equal bytes."""
        body = {
            "format": FORMAT,
            "number": self.number,
            "id": self.id,
            "parts": {name: asdict(part) for name, part in self.parts.items()},
        }
        return canonical_json({**body, "hash": digest(body)}).encode()


def commit_from(name: str, content: bytes) -> Commit:
    """The commit that the file `name` holds; one that is not what its hash says is refused."""
    try:
        body = json.loads(content)
        stated = body.pop("hash")
        if digest(body) != stated:
            raise ValueError(f"its content hashes to {digest(body)[:12]}, and it states {str(stated)[:12]}")
        if body["format"] != FORMAT:
            raise ValueError(f"it has format {body['format']}, and this Openbell reads format {FORMAT}")
        parts = {table: _part(part) for table, part in sorted(body["parts"].items())}
        return Commit(body["number"], body["id"], parts)
    except (ValueError, KeyError, TypeError, AttributeError) as failure:
        raise IntegrityBroken(
            f"The commit {name} of the tables cannot be trusted: {failure}. Restore it from a backup; "
            "without it the rows that it names are not shown."
        ) from failure


def _part(body: Mapping[str, Any]) -> Part:
    files = tuple(
        DataFile(
            **{
                **file,
                "sessions": None if file["sessions"] is None else tuple(file["sessions"]),
                "known_at_us": None if file["known_at_us"] is None else tuple(file["known_at_us"]),
            }
        )
        for file in body["files"]
    )
    return Part(body["digest"], tuple((column, kind) for column, kind in body["schema"]), files)


@dataclass(frozen=True)
class CommitLog:
    """Every commit of a place. Commits never change, so each is read once."""

    place: Place
    _read: dict[str, Commit] = field(default_factory=dict, repr=False)

    def commits(self) -> list[Commit]:
        """All commits by (number, id): the same order for every reader."""
        names = [
            stored.name
            for stored in self.place.files(FOLDER)
            if stored.name.endswith(".json") and not PurePosixPath(stored.name).name.startswith(".")
        ]
        missing = [name for name in names if name not in self._read]
        if missing:
            with ThreadPoolExecutor(_READERS) as pool:
                self._read.update(zip(missing, pool.map(self._load, missing), strict=True))
        return sorted((self._read[name] for name in names), key=lambda commit: (commit.number, commit.id))

    def _load(self, name: str) -> Commit:
        return commit_from(name, self.place.get(name))

    def write(self, commit: Commit) -> None:
        """Make `commit` visible; the one step that a reader can notice."""
        self.place.put(commit.name, commit.to_bytes())


def parts_by_table(commits: list[Commit]) -> dict[str, list[Part]]:
    """The parts of each table in order. A content that two writers committed at the same moment counts once."""
    tables: dict[str, list[Part]] = {}
    for commit in commits:
        for name, part in commit.parts.items():
            held = tables.setdefault(name, [])
            if all(part.digest != earlier.digest for earlier in held):
                held.append(part)
    return tables
