"""The gate of a home, opened in the background and opened again when there is a new training or a new session."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import structlog

from openbell import __version__
from openbell.app.api.orders import next_session
from openbell.app.api.ports import Assessor
from openbell.core.errors import DataMissing, OpenbellError
from openbell.core.hashing import digest

if TYPE_CHECKING:
    from openbell.app.gate import Gate
    from openbell.app.home import Home

#: How often it is looked whether there is something newer.
LOOK_SECONDS = 60.0
_log = structlog.get_logger()


@dataclass(eq=False)
class LiveGate:
    """Whichever gate is the newest. `opened` is told each gate that takes over, such as the A/B test that begins."""

    home: Home
    now: Callable[[], dt.datetime]
    opened: Callable[[Gate], None] = lambda _: None
    _current: tuple[Gate, str] | None = field(default=None, init=False)
    _marked: Any = field(default=None, init=False)
    _why: str = field(default="The models are being loaded.", init=False)

    def current(self) -> tuple[Assessor, str]:
        """The gate and what it is made of; `DataMissing` until it is loaded."""
        if self._current is None:
            raise DataMissing(f"{self._why} Ask again in a moment.")
        return self._current

    def models(self) -> Sequence[Mapping[str, Any]]:
        """The models of the training that answers, with what is known of each."""
        gate = None if self._current is None else self._current[0]
        if gate is None or gate.training is None:
            return []
        training, arms = gate.training, {model: arm for arm, model in gate.arms.items()}
        return [
            {
                "name": name,
                "version": training.version(name),
                "leads": name == training.leader,
                "proven": training.proven(name),
                "arm": arms.get(name),
            }
            for name in sorted({training.leader, *gate.arms.values()} & set(training.models.models))
        ]

    async def keep_new(self) -> None:
        """Open it, and again whenever there is something newer, until cancelled."""
        while True:
            await asyncio.to_thread(self.look)
            await asyncio.sleep(LOOK_SECONDS if self._current is not None else LOOK_SECONDS / 12)

    def look(self) -> None:
        """Open the newest gate, where it is not the one that answers; what fails leaves the one there is."""
        try:
            at = self.now()
            marked = self._mark(at)
            if marked == self._marked:
                return
            self._take(at)
            self._marked = marked
        except OpenbellError as failure:
            self._why = f"The models cannot be loaded: {failure}"
            _log.error("gate not opened", why=str(failure))
        except Exception as failure:
            self._why = f"The models cannot be loaded ({type(failure).__name__})."
            _log.error("gate not opened", exc_info=failure)

    def _mark(self, at: dt.datetime) -> Any:
        """What is different where another gate would be opened."""
        from openbell.app.gate_training import latest_gate

        training = latest_gate(self.home, at)
        return next_session(self.home.sessions, at), None if training is None else training.payload["training"]

    def _take(self, at: dt.datetime) -> None:
        from openbell.app.gate import Gate

        gate = Gate.open(self.home, at)
        training = None if gate.training is None else gate.training.payload["training"]
        made_of = digest(
            {
                "training": training,
                "settings": self.home.settings.hash,
                "session": next_session(self.home.sessions, at).isoformat(),
                "openbell": __version__,
            }
        )
        self.opened(gate)
        self._current = (gate, made_of)
        _log.info("gate opened", training=training, made_of=made_of[:12])
