"""The tables of the lab: jobs with the lines of their logs, presets in all their versions, and who is logged in."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Float,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    text,
)

from openbell.store.gate_schema import big, metadata

STATUSES = ("queued", "running", "done", "failed", "lost", "cancelled")
#: A job that is one of these is not asked for a second time: the standing one is it.
_STANDING = "status IN ('queued', 'running')"

jobs = Table(
    "lab_jobs",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("arguments", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("asked_by", Text, nullable=False),
    Column("asked_at_us", big, nullable=False),
    Column("started_at_us", big),
    Column("ended_at_us", big),
    Column("beat_at_us", big),
    Column("host", Text),
    Column("pid", Integer),
    Column("done", Integer),
    Column("total", Integer),
    Column("label", Text),
    Column("left_seconds", Float(53)),
    Column("cancel", Boolean, nullable=False),
    Column("result", Text),
    Column("why", Text),
    CheckConstraint(f"status IN ({', '.join(repr(each) for each in STATUSES)})", name="lab_jobs_status"),
    Index(
        "lab_jobs_standing",
        "fingerprint",
        unique=True,
        sqlite_where=text(_STANDING),
        postgresql_where=text(_STANDING),
    ),
    Index("lab_jobs_time", "asked_at_us", "id"),
)

lines = Table(
    "lab_job_lines",
    metadata,
    Column("job", Text, nullable=False),
    Column("seq", Integer, nullable=False),
    Column("at_us", big, nullable=False),
    Column("line", Text, nullable=False),
    PrimaryKeyConstraint("job", "seq", name="lab_job_lines_pkey"),
)

#: Every version of every preset; one whose `document` is null says that it was deleted.
presets = Table(
    "lab_presets",
    metadata,
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("document", Text),
    Column("saved_by", Text, nullable=False),
    Column("saved_at_us", big, nullable=False),
    PrimaryKeyConstraint("kind", "name", "version", name="lab_presets_pkey"),
)

#: Who is logged in: the hash of the secret in the cookie, never the secret.
logins = Table(
    "lab_logins",
    metadata,
    Column("hash", Text, primary_key=True),
    Column("key_id", Text, nullable=False),
    Column("begun_at_us", big, nullable=False),
    Column("expires_at_us", big, nullable=False),
    Index("lab_logins_expiry", "expires_at_us"),
)
