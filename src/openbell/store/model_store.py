"""Folders of models kept at a place that is not this machine's: written once, fetched whole, every file checked."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from openbell.core.errors import IntegrityBroken, StorageFailed
from openbell.core.hashing import canonical_json
from openbell.store.places import Place, place

#: The names and hashes of a folder's files; written last, so that a folder without it is not there yet.
INDEX = "files.json"


@dataclass(frozen=True, slots=True)
class ModelStore:
    """A place that keeps folders of models by name, such as ``options/SPX/…``."""

    place: Place

    @classmethod
    def open(cls, url: str) -> ModelStore:
        """The store at `url`, ``file:///path`` or ``s3://bucket/prefix``; credentials come from the environment."""
        return cls(place(url, what="models"))

    def holds(self, name: str) -> bool:
        """Whether the folder `name` is there, whole."""
        return any(each.name == f"{name}/{INDEX}" for each in self.place.files(name))

    def push(self, folder: Path, name: str) -> int:
        """Keep every file of `folder` under `name`, and give how many were sent: 0 where the same folder is there.

        A push that was killed is finished by the next one.

        Raises
        ------
        StorageFailed
            Where another folder is kept under that name: a model is never overwritten. Or where the place fails.
        """
        contents = {path.relative_to(folder).as_posix(): path.read_bytes() for path in _files(folder)}
        index = canonical_json({"files": {each: _sha256(content) for each, content in contents.items()}}).encode()
        if self.holds(name):
            if self.place.get(f"{name}/{INDEX}") != index:
                raise StorageFailed(
                    f"{self.place.url}/{name} already holds another model; a model is never overwritten. Choose "
                    "another place (`store.models`)."
                )
            return 0
        for each, content in contents.items():
            self.place.put(f"{name}/{each}", content)
        self.place.put(f"{name}/{INDEX}", index)
        return len(contents)

    def fetch(self, name: str, folder: Path) -> None:
        """Put the folder `name` at `folder`: whole, or not at all.

        Raises
        ------
        StorageFailed
            Where it is not kept here. IntegrityBroken: where a file is not the one that was pushed.
        """
        if not self.holds(name):
            raise StorageFailed(f"{self.place.url} holds no models under {name}. Train again, or restore a backup.")
        files = self._index(name)
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            for each, expected in files.items():
                content = self.place.get(f"{name}/{each}")
                if _sha256(content) != expected:
                    raise self._broken(f"{name}/{each}", "was changed since it was pushed")
                path = draft / each
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            draft.chmod(0o755)
            os.replace(draft, folder)
        except OSError as failure:
            if folder.is_dir():  # another run fetched it meanwhile, whole
                return
            raise StorageFailed(f"The models of {name} cannot be written to {folder}: {failure}.") from failure
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def _index(self, name: str) -> dict[str, str]:
        """Hash by file; a name that would lead out of the folder is refused."""
        try:
            files = dict(json.loads(self.place.get(f"{name}/{INDEX}"))["files"])
        except (ValueError, KeyError, TypeError) as failure:
            raise self._broken(f"{name}/{INDEX}", f"is no list of files ({failure})") from failure
        for each in files:
            if PurePosixPath(each).is_absolute() or ".." in PurePosixPath(each).parts:
                raise self._broken(f"{name}/{INDEX}", f"names `{each}`, which lies outside its folder")
        return files

    def _broken(self, name: str, what: str) -> IntegrityBroken:
        return IntegrityBroken(f"{self.place.url}/{name} {what}. Train again, or restore a backup.")


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(".part"))


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
