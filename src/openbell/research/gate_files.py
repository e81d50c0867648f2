"""A gate model as files: JSON and plain arrays, each with its SHA-256; nothing that is read can run."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from openbell.core.errors import IntegrityBroken
from openbell.core.hashing import canonical_json

MODEL = "model.json"
ARRAYS = "arrays.npz"


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_model(folder: Path, name: str, state: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Write `state` and `arrays` of the model `name` into `folder`, with the hash of every other file there."""
    folder.mkdir(parents=True, exist_ok=True)
    if arrays:
        np.savez(folder / ARRAYS, **dict(arrays))
    files = {path.name: sha256(path) for path in sorted(folder.iterdir()) if path.name != MODEL}
    whole = {"model": name, "state": dict(state), "files": files}
    (folder / MODEL).write_text(canonical_json(whole), encoding="utf-8")


def read_state(folder: Path) -> tuple[str, dict[str, Any]]:
    """Name and state of the model in `folder`, after every file was checked against its hash."""
    try:
        whole = json.loads((folder / MODEL).read_text(encoding="utf-8"))
        name, state, files = str(whole["model"]), dict(whole["state"]), dict(whole["files"])
    except (OSError, ValueError, KeyError, TypeError) as failure:
        raise IntegrityBroken(
            f"There is no model of the gate in {folder} ({type(failure).__name__}: {failure}). Train again, or restore "
            "a backup."
        ) from failure
    for file, expected in files.items():
        if not (folder / file).exists() or sha256(folder / file) != expected:
            raise IntegrityBroken(
                f"{folder / file} is not the file that was saved with the model `{name}`. Train again, or restore a "
                "backup."
            )
    return name, state


def read_arrays(folder: Path) -> dict[str, np.ndarray]:
    """The arrays of a model; object arrays, which could run, are refused."""
    try:
        with np.load(folder / ARRAYS, allow_pickle=False) as kept:
            return {name: kept[name] for name in kept.files}
    except (OSError, ValueError, zipfile.BadZipFile) as failure:
        raise IntegrityBroken(f"{folder / ARRAYS} does not hold plain arrays: {failure}.") from failure
