"""The companion's files out of the log: at each checkpoint what was predicted in the five minutes before it.

Every worker writes them, from the same log, so they all write the same bytes; each file is replaced whole.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

from openbell.app.companion import STEP, checkpoint, write_predictions, write_recommendations
from openbell.core.errors import BadInput, OpenbellError
from openbell.core.time import Sessions
from openbell.store.prediction_measures import Chosen
from openbell.store.prediction_rows import Prediction
from openbell.store.predictions import Predictions

#: How long after a checkpoint it is written: what was answered before it is then in the log.
DELAY = dt.timedelta(seconds=10)
_PAGE = 1_000
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class CompanionFiles:
    """Writes ``recommendations.json`` and the predictions of each checkpoint into `folder`. `now` is the clock."""

    folder: Path
    log: Predictions
    sessions: Sessions
    now: Callable[[], dt.datetime]

    async def keep(self) -> None:
        """Write after every checkpoint, until cancelled; a failure is told and the next checkpoint written."""
        while True:
            await asyncio.sleep(self._wait_seconds())
            try:
                await asyncio.to_thread(self.write)
            except OpenbellError as failure:
                _log.error("companion files not written", why=str(failure))

    def write(self) -> Path | None:
        """Write the latest checkpoint; None where the session has had none today, or is over."""
        at = self.now()
        try:
            moment = checkpoint(self.sessions, at)
        except BadInput:
            return None
        if at - moment >= 2 * STEP:
            return None
        rows = self._rows(moment)
        scored = [each for each in rows if (each.probability, each.price_probability) != (None, None)]
        if len(scored) < len(rows):
            _log.warning("predictions without odds", checkpoint=moment.isoformat(), left_out=len(rows) - len(scored))
        write_recommendations(self.folder, scored, at=moment)
        return write_predictions(self.folder, scored, at=moment, sessions=self.sessions)

    def _rows(self, moment: dt.datetime) -> list[Prediction]:
        """What was predicted in the five minutes before `moment`, oldest first."""
        found: list[Prediction] = []
        cursor = None
        while True:
            page = self.log.history(Chosen(since=moment - STEP, until=moment), limit=_PAGE, cursor=cursor)
            found += [each.prediction for each in page.rows]
            cursor = page.cursor
            if cursor is None:
                return found[::-1]

    def _wait_seconds(self) -> float:
        """Until a while after the next full five minutes."""
        step = STEP.total_seconds()
        at = (self.now() - DELAY).timestamp()
        return (at // step + 1.0) * step - at
