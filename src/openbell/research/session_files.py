"""A model of the session desk as a folder: the classifier in its library's own format, the rest as JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from openbell.core.errors import BadInput, IntegrityBroken
from openbell.core.hashing import canonical_json, digest
from openbell.quant.calibration import from_json
from openbell.research.fitting import load_fitted
from openbell.research.gate_files import read_state, sha256, write_model
from openbell.research.session_models import SessionModel
from openbell.store.artifacts import read_manifest, save_folder, save_model

if TYPE_CHECKING:
    from openbell.research.session_scores import SessionScores

#: Of the folder; what is written in another is refused.
FORMAT_VERSION = 1
_KIND, _CLASSIFIER, _STATE, _CARD = "session", "classifier", "state", "card.json"


def with_card(
    model: SessionModel, *, scores: SessionScores | None = None, lineage: pl.DataFrame | None = None
) -> SessionModel:
    """`model` with its card: what it was trained on, by which features out of what, and what it was worth (S4.14).

    Parameters
    ----------
    scores : of the walk in which a candidate of the same name stood. lineage : ``feature``, ``source``, ``as_of`` of
        every feature (S4.13).
    """
    report = model.report
    parts = [report["train"], report["calibrate"]]
    told = {} if lineage is None else {row["feature"]: row for row in lineage.iter_rows(named=True)}
    missing = [name for name in model.features if told and name not in told]
    if missing:
        raise BadInput(f"The lineage lacks {', '.join(f'`{name}`' for name in missing)} of the model `{model.name}`.")
    card = {
        "name": model.name,
        "label": model.label,
        "classes": model.classes,
        "trained": report["fit_at"],
        "data_range": {
            "first": min(part["first"] for part in parts),
            "last": max(part["last"] for part in parts),
            "sessions": sum(part["sessions"] for part in parts),
            "rows": sum(part["n"] for part in parts),
        },
        "parameters": report["parameters"],
        "calibration": report["method"],
        "feature_set": model.features,
        "lineage": {
            name: {"source": str(told[name]["source"]), "as_of": str(told[name]["as_of"])}
            for name in model.features
            if name in told
        },
        "scores": None if scores is None else scores.card(model.name),
    }
    return replace(model, card=json.loads(canonical_json(card)))


def save_session_model(model: SessionModel, folder: Path) -> str:
    """Write `model` with its card to the new `folder` in one step and give the hash of its manifest.

    The same model again is a no-op, another one in its place is refused. The manifest holds the hash of every file.
    """
    return save_folder(folder, f"model `{model.name}`", lambda draft: _write(model, draft))


def _write(model: SessionModel, draft: Path) -> dict[str, Any]:
    manifest = save_model(model.fitted, draft / _CLASSIFIER)
    state = {
        "name": model.name,
        "label": model.label,
        "classes": list(model.classes),
        "features": list(model.features),
        "calibrator": json.loads(model.calibrator.to_json()),
        "rates": model.rates.tolist(),
        "trained": model.trained,
        "calibrated": model.calibrated,
        "report": dict(model.report),
    }
    write_model(draft / _STATE, _KIND, state, {})
    (draft / _CARD).write_text(canonical_json(dict(model.card)), encoding="utf-8")
    files = sorted(path for path in draft.rglob("*") if path.is_file())
    return {
        "name": model.name,
        "kind": _KIND,
        "format_version": FORMAT_VERSION,
        "classifier": manifest,
        "files": {path.relative_to(draft).as_posix(): sha256(path) for path in files},
    }


def load_session_model(folder: Path, manifest_hash: str | None = None) -> SessionModel:
    """What `save_session_model` wrote; every file is checked against the manifest, and that against `manifest_hash`.

    Raises
    ------
    IntegrityBroken
        Where a file or the manifest is not the one on record. BadInput : where the folder is of another format version.
    """
    manifest = read_manifest(folder)
    if manifest_hash is not None and digest(manifest) != manifest_hash:
        raise IntegrityBroken(
            f"The manifest in {folder} is not the one on record: its hash is {digest(manifest)[:12]}…, on record is "
            f"{manifest_hash[:12]}…. Train again, or restore a backup."
        )
    if manifest.get("kind") != _KIND:
        raise IntegrityBroken(f"{folder} does not hold a model of the session desk but {manifest.get('name')!r}.")
    if manifest.get("format_version") != FORMAT_VERSION:
        raise BadInput(
            f"The model in {folder} is of the format version {manifest.get('format_version')}; this version of "
            f"Openbell reads {FORMAT_VERSION}. Train again with `openbell train session`, or use the version that "
            "wrote it."
        )
    _, state = read_state(folder / _STATE)
    return SessionModel(
        name=state["name"],
        label=state["label"],
        classes=tuple(state["classes"]),
        features=tuple(state["features"]),
        fitted=load_fitted(folder / _CLASSIFIER, manifest_hash=manifest["classifier"]),
        calibrator=from_json(json.dumps(state["calibrator"])),
        rates=np.array(state["rates"], dtype=np.float64),
        trained=int(state["trained"]),
        calibrated=int(state["calibrated"]),
        report=state["report"],
        card=json.loads((folder / _CARD).read_text(encoding="utf-8")),
    )
