"""Run the migrations on a connection whose transaction the caller holds."""

from __future__ import annotations

from alembic import command
from alembic.config import Config
from sqlalchemy.engine import Connection


def config(connection: Connection | None = None) -> Config:
    """Alembic's configuration, without a file: the migrations lie in this package, the connection is handed in."""
    made = Config()
    made.set_main_option("script_location", "openbell.store:migrations")
    made.attributes["connection"] = connection
    return made


def upgrade(connection: Connection, to: str = "head") -> None:
    """Bring the database of `connection` to the revision `to`."""
    command.upgrade(config(connection), to)
