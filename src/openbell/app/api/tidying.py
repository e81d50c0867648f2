"""The database of the log, tidied up beside the answers and not by whoever commits."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import structlog

from openbell.core.errors import OpenbellError
from openbell.store.database import Database

#: How often; at 200 predictions a second some ten thousand pages come together.
SECONDS = 5.0
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Tidying:
    """Tidies `database` every few seconds."""

    database: Database
    seconds: float = SECONDS

    async def keep(self) -> None:
        """Do it until cancelled; a failure is told, and it is tried again."""
        while True:
            await asyncio.sleep(self.seconds)
            try:
                await asyncio.to_thread(self.database.tidy)
            except OpenbellError as failure:
                _log.error("log not tidied", why=str(failure))
