"""Tables: rows in Parquet files that are only ever added, whole or not at all.

Layout below the URL::

    data/bars/year=2015/<hash>.parquet     rows; nobody sees them before a commit names them
    commits/00000007-<hash>.json           the commit: which files, of which tables, with which hashes

Data files are written first and the one commit file last, so that a kill at any moment leaves the old state or the
new one. The name of everything follows from its content: the same rows appended again add nothing.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import polars as pl

from openbell.core.errors import BadInput, DataMissing, IntegrityBroken, nearest
from openbell.core.hashing import digest, frame_digest
from openbell.core.time import utc
from openbell.store.commits import Commit, CommitLog, DataFile, Part, parts_by_table
from openbell.store.places import Place, Stored, place
from openbell.store.rows import checked, schema_of

DATA = "data"
#: A table with more rows than this in one append, and with sessions, is split by year without being asked.
SPLIT_ROWS = 250_000


@dataclass(frozen=True)
class Tables:
    """The tables at one URL. There is no verb that changes or removes a row."""

    place: Place
    log: CommitLog

    @classmethod
    def open(cls, url: str, options: Mapping[str, str] | None = None) -> Tables:
        """The tables at ``file:///folder`` or ``s3://bucket/prefix``; nothing is written before the first append.

        `options` hold credentials, region and endpoint of an S3-compatible service (`places.S3_OPTIONS`); without any
        of them the libraries take all from the environment (an ``http://`` endpoint wants AWS_ALLOW_HTTP=true there).
        """
        where = place(url, options)
        return cls(where, CommitLog(where))

    def names(self) -> list[str]:
        """Tables that have been appended to, sorted."""
        return sorted(self._tables())

    def exists(self, name: str) -> bool:
        """Whether `name` has been appended to; a table appended to with no rows exists."""
        return name in self._tables()

    def scan(self, name: str, *, first: dt.date | None = None, known_by: dt.datetime | None = None) -> pl.LazyFrame:
        """The rows of the table `name`, in no promised order.

        Parameters
        ----------
        first : only rows of this session or later. known_by : only rows known at this moment or before.
            Both spare the files that hold no such row from being opened; a filter on the result spares only
            the row groups.
        """
        tables = self._tables()
        if name not in tables:
            raise DataMissing(f"There is no table `{name}` at {self.place.url}. {nearest(name, tables)}")
        self._same_schema(name, tables[name])
        files = [file for part in tables[name] for file in part.files]
        wanted = [file for file in files if _may_hold(file, first, known_by)] or files[:1]
        rows = pl.scan_parquet(
            [self.place.uri(file.name) for file in wanted],
            glob=False,
            hive_partitioning=False,
            storage_options=self.place.scan_options or None,
        )
        if first is not None:
            rows = rows.filter(pl.col("session") >= first)
        return rows if known_by is None else rows.filter(pl.col("known_at") <= utc(known_by))

    def append(self, name: str, frame: pl.DataFrame, *, by: str | None = None) -> str:
        """Add the rows of `frame` to the table `name`, at once or not at all; see `append_all`."""
        return self.append_all({name: frame}, by={} if by is None else {name: by})

    def append_all(self, frames: Mapping[str, pl.DataFrame], *, by: Mapping[str, str] | None = None) -> str:
        """Add rows to several tables in one commit: a reader sees all of them or none.

        Parameters
        ----------
        frames : rows by table. Each needs ``known_at`` as Datetime[us, UTC] without nulls, and the columns and types
            of the table's first commit. No rows are a fact too: the table exists from then on.
        by : ``"year"`` by table, to split its files by the year of ``session``; without it more than 250,000 rows
            with a ``session`` are split, fewer are one file.

        Returns
        -------
        The id of the commit: the hash of its content. Rows that are there already are not written again.
        """
        by = dict(by or {})
        _check_split(frames, by)
        commits = self.log.commits()
        held = parts_by_table(commits)
        rows = {name: checked(name, frame, _first_schema(held.get(name))) for name, frame in sorted(frames.items())}
        digests = {name: frame_digest(frame) for name, frame in rows.items()}
        new = {
            name: frame
            for name, frame in rows.items()
            if all(part.digest != digests[name] for part in held.get(name, ()))
        }
        identity = digest(digests)
        if new:
            parts = {name: self._written(name, frame, digests[name], by.get(name)) for name, frame in new.items()}
            self.log.write(Commit(max((each.number for each in commits), default=0) + 1, identity, parts))
        return identity

    def verify(self) -> int:
        """Compare every visible file with the hash in its commit; the number of files, or `IntegrityBroken`."""
        files = [file for parts in self._tables().values() for part in parts for file in part.files]
        there = {stored.name for stored in self.place.files(DATA)}
        for file in files:
            if file.name not in there:
                raise IntegrityBroken(f"The file {file.name} of {self.place.url} is gone. Restore it from a backup.")
            found = hashlib.sha256(self.place.get(file.name)).hexdigest()
            if found != file.sha256:
                raise IntegrityBroken(
                    f"The file {file.name} of {self.place.url} was changed: its content hashes to {found[:12]}, "
                    f"and its commit says {file.sha256[:12]}. Restore it from a backup."
                )
        return len(files)

    def orphans(self) -> list[Stored]:
        """Files that no commit names: what a kill or a full disk left. Nobody reads them."""
        commits = self.log.commits()
        named = {commit.name for commit in commits}
        named |= {file.name for commit in commits for part in commit.parts.values() for file in part.files}
        return [stored for under in (DATA, "commits") for stored in self.place.files(under) if stored.name not in named]

    def sweep(self, before: dt.datetime | None = None) -> list[Stored]:
        """Remove the orphans last written before `before`, or all; what was removed.

        A writer at work has orphans of its own until it commits: give a moment before it began.
        """
        old = [stored for stored in self.orphans() if before is None or stored.modified_at < utc(before)]
        for stored in old:
            self.place.remove(stored.name)
        return old

    def _tables(self) -> dict[str, list[Part]]:
        return parts_by_table(self.log.commits())

    def _same_schema(self, name: str, parts: list[Part]) -> None:
        for part in parts:
            if part.schema != parts[0].schema:
                raise IntegrityBroken(
                    f"The table `{name}` was begun by two writers at once with different columns: "
                    f"{list(parts[0].schema)} and {list(part.schema)}. Move one of the two commits away."
                )

    def _written(self, name: str, frame: pl.DataFrame, content: str, by: str | None) -> Part:
        files = []
        for year, rows in _split(frame, by):
            folder = f"{DATA}/{name}" if year is None else f"{DATA}/{name}/year={year}"
            content_bytes = _parquet(rows)
            about = _about(rows, f"{folder}/{content[:32]}.parquet", content_bytes)
            self.place.put(about.name, content_bytes)
            files.append(about)
        return Part(content, schema_of(frame), tuple(files))


def _first_schema(parts: list[Part] | None) -> tuple[tuple[str, str], ...] | None:
    return parts[0].schema if parts else None


def _check_split(frames: Mapping[str, pl.DataFrame], by: Mapping[str, str]) -> None:
    for name, word in by.items():
        if name not in frames:
            raise BadInput(f"`by` names the table `{name}`, which is not appended to. {nearest(name, frames)}")
        if word != "year":
            raise BadInput(f"The table `{name}` cannot be split by `{word}`. Valid is `year`, the year of `session`.")
        if frames[name].schema.get("session") != pl.Date:
            raise BadInput(
                f"The table `{name}` cannot be split by year: it needs a column `session` of type Date, and has "
                f"{frames[name].schema.get('session', 'none')}."
            )


def _split(frame: pl.DataFrame, by: str | None) -> Iterator[tuple[str | None, pl.DataFrame]]:
    """(year, rows) in order of the year; rows without a session come last under ``unknown``."""
    asked = by == "year" or (len(frame) > SPLIT_ROWS and frame.schema.get("session") == pl.Date)
    if not asked or frame.is_empty():
        yield None, frame
        return
    year = pl.col("session").dt.year().alias("__year")
    parts = frame.with_columns(year).partition_by("__year", include_key=False, maintain_order=True, as_dict=True)
    for (key,) in sorted(parts, key=lambda key: (key[0] is None, key[0] or 0)):
        yield ("unknown" if key is None else f"{key:04d}"), parts[(key,)]


def _parquet(frame: pl.DataFrame) -> bytes:
    target = io.BytesIO()
    frame.write_parquet(target, compression="zstd", statistics=True)
    return target.getvalue()


def _about(frame: pl.DataFrame, name: str, content: bytes) -> DataFile:
    sessions = None
    if frame.schema.get("session") == pl.Date and frame["session"].count():
        least, greatest = frame.select(pl.col("session").min(), pl.col("session").max().alias("greatest")).row(0)
        sessions = (least.isoformat(), greatest.isoformat())
    moments = frame["known_at"].to_physical()
    known = None if frame.is_empty() else (int(moments.min()), int(moments.max()))  # type: ignore[arg-type]
    return DataFile(name, len(frame), len(content), hashlib.sha256(content).hexdigest(), sessions, known)


def _may_hold(file: DataFile, first: dt.date | None, known_by: dt.datetime | None) -> bool:
    if first is not None and (file.sessions is None or file.sessions[1] < first.isoformat()):
        return False
    if known_by is None:
        return True
    latest_us = (utc(known_by) - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=1)
    return file.known_at_us is not None and file.known_at_us[0] <= latest_us
