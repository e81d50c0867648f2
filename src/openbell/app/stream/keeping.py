"""What a stream keeps for a restart: whole snapshots now and then, and after every moment how far it has come.

A snapshot holds what is costly to make again: the state of the features, the rows that sequences are made of, what is
waiting for its outcome. The line written after each moment is cheap. After a kill the moments between the two are
worked through once more without deciding anything: what they led to is in the store.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from openbell.app.files import storage_failure, write_whole
from openbell.core.errors import BadInput, IntegrityBroken

_FORMAT = 1
_CURRENT, _PROGRESS, _STATE, _LOCK = "current", "progress.jsonl", "state.json", "lock"


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a stream has come: its last finished moment, and from where its source is read again."""

    at: dt.datetime | None = None
    position: str | None = None

    def line(self) -> str:
        """As it is written."""
        return json.dumps({"at": self.at.isoformat() if self.at else None, "position": self.position})


def _mark(told: dict[str, Any]) -> Mark:
    at = told.get("at")
    return Mark(dt.datetime.fromisoformat(at) if at else None, told.get("position"))


@dataclass(frozen=True, slots=True)
class Kept:
    """What was found. `snapshot` stood at its own mark, `finished` says how far the stream came after it."""

    snapshot: Mark
    finished: Mark
    folder: Path
    state: dict[str, Any] = field(default_factory=dict)


class Keeping:
    """The folder of one stream. Two processes cannot hold the same."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock: Any = None

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold the folder; another process that tries is refused. A process that dies lets go."""
        import fcntl

        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = (self.folder / _LOCK).open("w")
        except OSError as failure:
            raise storage_failure(self.folder, failure) from failure
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.close()
            raise BadInput(
                f"The stream {self.folder.name} runs already in another process. Give this one a --stream of its own."
            ) from None
        try:
            yield
        finally:
            self._lock.close()

    def clear(self) -> None:
        """Forget everything but the lock: the stream begins anew."""
        for each in self.folder.iterdir():
            if each.is_dir():
                shutil.rmtree(each)
            elif each.name != _LOCK:
                each.unlink()

    def found(self) -> Kept | None:
        """The last whole snapshot and how far the stream came after it; None where there is none."""
        current = self.folder / _CURRENT
        if not current.is_file():
            return None
        folder = self.folder / current.read_text(encoding="utf-8").strip()
        try:
            state = json.loads((folder / _STATE).read_text(encoding="utf-8"))
        except (OSError, ValueError) as failure:
            raise IntegrityBroken(
                f"The snapshot {folder} cannot be read ({failure}). Begin the stream anew with --fresh."
            ) from failure
        if state.get("format") != _FORMAT:
            raise BadInput(f"The snapshot {folder} is of another version of Openbell. Begin anew with --fresh.")
        mark = _mark(state["mark"])
        return Kept(mark, self._finished(mark), folder, state)

    def finish(self, mark: Mark) -> None:
        """Write down that a moment is done. A kill of the process cannot lose the line; only the machine's could."""
        with (self.folder / _PROGRESS).open("a", encoding="utf-8") as file:
            file.write(mark.line() + "\n")

    def snapshot(self, mark: Mark, state: dict[str, Any], write: Callable[[Path], None]) -> None:
        """Write a snapshot beside the last one, then let it take its place; `write` fills its folder."""
        before = self._number()
        folder = self.folder / str(before + 1)
        shutil.rmtree(folder, ignore_errors=True)  # of a run that was killed while it wrote it
        try:
            folder.mkdir()
            write(folder)
        except OSError as failure:
            raise storage_failure(folder, failure) from failure
        told = {"format": _FORMAT, "mark": asdict(mark) | {"at": mark.at.isoformat() if mark.at else None}, **state}
        write_whole(folder / _STATE, json.dumps(told))
        write_whole(self.folder / _CURRENT, folder.name)
        write_whole(self.folder / _PROGRESS, "")
        for each in self.folder.iterdir():
            if each.is_dir() and each != folder:
                shutil.rmtree(each)

    def _number(self) -> int:
        current = self.folder / _CURRENT
        return int(current.read_text(encoding="utf-8")) if current.is_file() else 0

    def _finished(self, snapshot: Mark) -> Mark:
        """The last whole line, where it is later than the snapshot: a kill may have cut one short."""
        place, mark = self.folder / _PROGRESS, snapshot
        if not place.is_file():
            return mark
        for line in place.read_text(encoding="utf-8").splitlines():
            with contextlib.suppress(ValueError):
                told = _mark(json.loads(line))
                if told.at is not None and (mark.at is None or told.at > mark.at):
                    mark = Mark(told.at, told.position or mark.position)
        return mark
