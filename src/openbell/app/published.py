"""``production/``: a copy of the champion's model with its manifest, and what it is, for whoever reads from outside."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openbell.app.files import storage_failure, write_whole
from openbell.app.outputs import json_text
from openbell.core.errors import IntegrityBroken
from openbell.research.contest import JOINED_BY
from openbell.store.artifacts import manifest_digest

if TYPE_CHECKING:
    from openbell.app.home import Home
    from openbell.store.journal import Record

MODEL = "champion_model"
METADATA = "champion_metadata.json"


def metadata(record: Record) -> dict[str, Any]:
    """What ``champion_metadata.json`` says of a promotion."""
    told = record.payload
    return {
        "model_name": told["candidate"].partition(JOINED_BY)[0],
        "optimizer": told["weighting"],
        "weighted_score": told["weighted_score"],
        "metrics": told["metrics"],
        "selection_date": record.at.date().isoformat(),
        "selection_reason": " ".join(told["why"]),
        "selected_by": told["by"],
        "version": told["version"],
        "previous": told["previous"],
        "manifest": told["manifest"],
        "plan": told["plan"],
    }


def publish(home: Home, record: Record) -> None:
    """Copy the model of the promotion `record` to ``production/`` and say what it is; the same again writes nothing.

    The daily run does not read it: it loads the registered model by its hash.
    """
    target, text = home.production / MODEL, json_text(metadata(record))
    try:
        if not _is(target, record.payload["manifest"]):
            _replace(home.models / record.payload["model"], target, record.payload["manifest"])
    except OSError as failure:
        raise storage_failure(target, failure) from failure
    if not (home.production / METADATA).is_file() or (home.production / METADATA).read_text(encoding="utf-8") != text:
        write_whole(home.production / METADATA, text)


def _is(folder: Path, manifest: str) -> bool:
    try:
        return folder.is_dir() and manifest_digest(folder) == manifest
    except IntegrityBroken:
        return False


def _replace(source: Path, target: Path, manifest: str) -> None:
    """A reader finds the whole old folder, the whole new one, or for a moment none; never a mixture."""
    target.parent.mkdir(parents=True, exist_ok=True)
    for left in target.parent.glob(f".{MODEL}.*"):  # of a change that was killed
        shutil.rmtree(left)
    draft = Path(tempfile.mkdtemp(prefix=f".{MODEL}.", dir=target.parent))
    shutil.copytree(source, draft / "new")
    if manifest_digest(draft / "new") != manifest:
        raise IntegrityBroken(f"The model in {source} changed while it was copied. Restore it and promote again.")
    for path in sorted(each for each in (draft / "new").rglob("*") if each.is_file()):
        with path.open("rb") as file:
            os.fsync(file.fileno())
    if target.exists():
        target.rename(draft / "old")
    (draft / "new").rename(target)
    shutil.rmtree(draft)
