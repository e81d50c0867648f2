"""A model of the signals desk as a folder: each member in its library's own format, the rest as JSON and arrays."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from openbell.core.errors import BadInput, IntegrityBroken
from openbell.core.hashing import digest
from openbell.quant.calibration import from_json
from openbell.quant.conformal import Sets
from openbell.research.fitting import load_fitted
from openbell.research.gate_files import read_arrays, read_state, sha256, write_model
from openbell.research.signal_ranks import Ranks
from openbell.research.signal_votes import SignalModel
from openbell.store.artifacts import read_manifest, save_folder, save_model

_KIND, _VOTE = "signals", "vote"


def save_signal_model(model: SignalModel, folder: Path) -> str:
    """Write `model` to the new `folder` in one step and give the hash of its manifest; the same again is a no-op.

    The manifest holds the hash of every file, members included. A model that is not fitted, or that is not calibrated
    for every subset of its members, is refused.
    """
    if not model.members or not model.calibrators or set(model.calibrators) != set(model.sets):
        raise BadInput(f"The model `{model.name}` is not fitted and calibrated; an untrained model is not saved.")
    return save_folder(folder, f"model `{model.name}`", lambda draft: _write(model, draft))


def _write(model: SignalModel, draft: Path) -> dict[str, Any]:
    manifests = {name: save_model(each, draft / "members" / name) for name, each in model.members.items()}
    state = {
        "name": model.name,
        "features": list(model.features),
        "weights": [[name, model.weights[name]] for name in model.members],
        "coverage": model.coverage,
        "calibrators": {name: json.loads(each.to_json()) for name, each in model.calibrators.items()},
        "set_groups": {name: list(each.scores) for name, each in model.sets.items()},
        "report": dict(model.report),
    }
    scores = {
        f"{name}/{at}": values for name, each in model.sets.items() for at, values in enumerate(each.scores.values())
    }
    write_model(draft / _VOTE, _KIND, state, {**model.ranks.arrays(), **scores})
    files = sorted(path for path in draft.rglob("*") if path.is_file())
    return {
        "name": model.name,
        "kind": _KIND,
        "members": manifests,
        "files": {path.relative_to(draft).as_posix(): sha256(path) for path in files},
    }


def load_signal_model(folder: Path, manifest_hash: str | None = None) -> SignalModel:
    """What `save_signal_model` wrote; every file is checked against the manifest, and that against `manifest_hash`."""
    manifest = read_manifest(folder)
    if manifest_hash is not None and digest(manifest) != manifest_hash:
        raise IntegrityBroken(
            f"The manifest in {folder} is not the one on record: its hash is {digest(manifest)[:12]}…, on record is "
            f"{manifest_hash[:12]}…. Train again, or restore a backup."
        )
    if manifest.get("kind") != _KIND:
        raise IntegrityBroken(f"{folder} does not hold a model of the signals desk but {manifest.get('name')!r}.")
    _, state = read_state(folder / _VOTE)
    arrays = read_arrays(folder / _VOTE)
    members = {
        name: load_fitted(folder / "members" / name, manifest_hash=manifest["members"][name])
        for name, _ in state["weights"]
    }
    return SignalModel(
        name=state["name"],
        members=members,
        weights={name: float(weight) for name, weight in state["weights"]},
        features=tuple(state["features"]),
        ranks=Ranks.from_arrays(arrays),
        calibrators={name: from_json(json.dumps(each)) for name, each in state["calibrators"].items()},
        sets={name: _sets(name, groups, arrays) for name, groups in state["set_groups"].items()},
        coverage=float(state["coverage"]),
        report=state["report"],
    )


def _sets(name: str, groups: list[str], arrays: dict[str, np.ndarray]) -> Sets:
    return Sets({group: arrays[f"{name}/{at}"] for at, group in enumerate(groups)}, 3)
