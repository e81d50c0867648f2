"""Which home the lab is of: opened anew for every question, its settings read again when their file changed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from openbell.app.home import Home
from openbell.app.settings import FILE

_Stamp = tuple[tuple[int, int] | None, ...]


@dataclass(frozen=True)
class Place:
    """What `Home.open` is told."""

    home: str
    sets: tuple[str, ...] = ()
    file: str | None = None

    def opened(self, sets: tuple[str, ...] = ()) -> Home:
        """The home, with further settings. Its rooms are its own: what is stored since is seen."""
        files = (Path(self.home) / FILE, Path.cwd() / FILE, *([Path(self.file)] if self.file else []))
        kept = _kept(self, sets, tuple(map(_stamp, files)))
        return Home(kept.path, kept.settings, kept.catalogue)

    def as_text(self) -> str:
        """For the environment of a process."""
        return json.dumps({"home": self.home, "sets": list(self.sets), "file": self.file})

    @classmethod
    def of_text(cls, text: str) -> Place:
        """What `as_text` wrote."""
        told = json.loads(text)
        return cls(told["home"], tuple(told["sets"]), told["file"])


@lru_cache(maxsize=16)
def _kept(place: Place, sets: tuple[str, ...], stamps: _Stamp) -> Home:
    """The settings as the files are that `stamps` tell of: reading and checking them takes a third of a second."""
    file = Path(place.file) if place.file else None
    return Home.open(Path(place.home), sets=(*place.sets, *sets), settings_file=file)


def _stamp(file: Path) -> tuple[int, int] | None:
    try:
        told = file.stat()
    except OSError:
        return None
    return told.st_mtime_ns, told.st_size
