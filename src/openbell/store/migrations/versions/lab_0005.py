"""The tables of the lab: jobs with the lines of their logs, presets in all their versions, and who is logged in."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# Written out, not imported: a step that was released stays as it was when `lab_schema` moves on.
_STATUSES = "status IN ('queued', 'running', 'done', 'failed', 'lost', 'cancelled')"
_STANDING = "status IN ('queued', 'running')"


def upgrade() -> None:
    """Make the tables of the lab."""
    big = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "lab_jobs",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("arguments", sa.Text, nullable=False),
        sa.Column("fingerprint", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("asked_by", sa.Text, nullable=False),
        sa.Column("asked_at_us", big, nullable=False),
        sa.Column("started_at_us", big),
        sa.Column("ended_at_us", big),
        sa.Column("beat_at_us", big),
        sa.Column("host", sa.Text),
        sa.Column("pid", sa.Integer),
        sa.Column("done", sa.Integer),
        sa.Column("total", sa.Integer),
        sa.Column("label", sa.Text),
        sa.Column("left_seconds", sa.Float(53)),
        sa.Column("cancel", sa.Boolean, nullable=False),
        sa.Column("result", sa.Text),
        sa.Column("why", sa.Text),
        sa.CheckConstraint(_STATUSES, name="lab_jobs_status"),
    )
    standing = sa.text(_STANDING)
    op.create_index(
        "lab_jobs_standing",
        "lab_jobs",
        ["fingerprint"],
        unique=True,
        sqlite_where=standing,
        postgresql_where=standing,
    )
    op.create_index("lab_jobs_time", "lab_jobs", ["asked_at_us", "id"])
    op.create_table(
        "lab_job_lines",
        sa.Column("job", sa.Text, nullable=False),
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("at_us", big, nullable=False),
        sa.Column("line", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("job", "seq", name="lab_job_lines_pkey"),
    )
    op.create_table(
        "lab_presets",
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("document", sa.Text),
        sa.Column("saved_by", sa.Text, nullable=False),
        sa.Column("saved_at_us", big, nullable=False),
        sa.PrimaryKeyConstraint("kind", "name", "version", name="lab_presets_pkey"),
    )
    op.create_table(
        "lab_logins",
        sa.Column("hash", sa.Text, primary_key=True),
        sa.Column("key_id", sa.Text, nullable=False),
        sa.Column("begun_at_us", big, nullable=False),
        sa.Column("expires_at_us", big, nullable=False),
    )
    op.create_index("lab_logins_expiry", "lab_logins", ["expires_at_us"])


def downgrade() -> None:
    """Remove what the lab kept; everything else stays as it is."""
    for table in ("lab_logins", "lab_presets", "lab_job_lines", "lab_jobs"):
        op.drop_table(table)
