"""Fitted models: asked by column name, kept in their library's own safe format with a manifest of hashes."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from openbell.core.errors import BadInput, IntegrityBroken, StorageFailed, nearest
from openbell.core.hashing import canonical_json, digest
from openbell.store.formats import FORMATS, format_of

MANIFEST = "manifest.json"
#: Rows scored at once: their matrix and the library's copies of it stay small beside the panel.
ROWS_AT_ONCE = 65_536

_LIBRARIES = ("numpy", "scikit-learn", "lightgbm", "xgboost-cpu", "skops")


@dataclass(frozen=True, eq=False)
class FittedModel:
    """A fitted predictor and the columns it was fitted on: the only form in which a model is saved, loaded or asked.

    Attributes
    ----------
    name : of the candidate. features : its columns, in the order they were fitted.
    predictor : what predicts: a LightGBM ``Booster``, an ``XGBRegressor``, a scikit-learn estimator or `OneColumn`.
    handles_missing : whether NaN may reach it. meta : what it was made of, canonical JSON types only.
    """

    name: str
    features: tuple[str, ...]
    predictor: Any
    handles_missing: bool = False
    meta: Mapping[str, Any] = field(default_factory=dict)

    def predict(self, frame: pl.DataFrame) -> np.ndarray:
        """Scores of the rows of `frame`, shape (n,), Float64; NaN where the model abstains.

        The columns are matched by name and may stand in any order; a missing or an additional one is refused, as is
        an infinite value, and a missing value where the model does not handle it.
        """
        starts = range(0, max(frame.height, 1), ROWS_AT_ONCE)
        scores = np.concatenate([self._scores(frame[start : start + ROWS_AT_ONCE]) for start in starts])
        if np.isinf(scores).any():
            raise BadInput(f"The model `{self.name}` scored {int(np.isinf(scores).sum())} rows as infinite.")
        return scores

    def _scores(self, frame: pl.DataFrame) -> np.ndarray:
        matrix = feature_matrix(frame, self.features, handles_missing=self.handles_missing, model=self.name)
        if not len(matrix):
            return np.empty(0)
        return np.asarray(self.predictor.predict(matrix), dtype=np.float64).reshape(-1)


def feature_matrix(frame: pl.DataFrame, features: tuple[str, ...], *, handles_missing: bool, model: str) -> np.ndarray:
    """The columns `features` of `frame` by name, Float32, shape (n, p), null as NaN; refuses what cannot be used."""
    there = frame.columns
    missing = [name for name in features if name not in there]
    extra = [name for name in there if name not in features]
    if missing or extra:
        raise BadInput(
            f"The model `{model}` was fitted on {len(features)} columns; "
            + f"missing here: {', '.join(missing) or 'none'}; not known to it: {', '.join(extra) or 'none'}. "
            + (nearest(missing[0], there) if missing else "Hand in exactly its own columns.")
        )
    matrix = np.empty((frame.height, len(features)), dtype=np.float32)
    for at, name in enumerate(features):
        column = frame[name].cast(pl.Float32).to_numpy()
        if np.isinf(column).any():
            raise BadInput(f"The column `{name}` holds infinite values; write null.")
        if not handles_missing and np.isnan(column).any():
            raise BadInput(f"The model `{model}` does not handle missing values; `{name}` has some.")
        matrix[:, at] = column
    return matrix


def _versions() -> dict[str, str]:
    found = {}
    for library in _LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return found


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def save_model(model: FittedModel, folder: Path) -> str:
    """Write `model` to `folder` in one step and give the hash of its manifest; the same model again is a no-op.

    Raises
    ------
    BadInput
        Where the predictor has no safe format. StorageFailed: where the folder cannot be written, or already holds
        another model; a model is never overwritten.
    """
    kind = format_of(model.predictor)
    name, save, _ = FORMATS[kind]
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            save(model.predictor, draft / name)
            manifest = {
                "name": model.name,
                "format": kind,
                "features": list(model.features),
                "handles_missing": model.handles_missing,
                "meta": dict(model.meta),
                "versions": _versions(),
                "files": {name: _sha256(draft / name)},
            }
            text = canonical_json(manifest)
            (draft / MANIFEST).write_text(text, encoding="utf-8")
            _sync(draft / name, draft / MANIFEST)
            return _put(draft, folder, digest(manifest))
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    except OSError as failure:
        raise StorageFailed(f"The model `{model.name}` cannot be written to {folder}: {failure}.") from failure


def _sync(*paths: Path) -> None:
    for path in paths:
        with path.open("rb") as file:
            os.fsync(file.fileno())


def _put(draft: Path, folder: Path, manifest_hash: str) -> str:
    """Rename `draft` to `folder`; where a model is there already, it must be this one."""
    if not folder.exists():
        draft.rename(folder)
        return manifest_hash
    there = read_manifest(folder)
    if digest(there) != manifest_hash:
        raise StorageFailed(
            f"{folder} already holds another model (`{there.get('name')}`); a model is never overwritten. "
            "Choose another folder."
        )
    return manifest_hash


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of the model in `folder`, after every file was checked against its hash."""
    path = folder / MANIFEST
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        files = dict(manifest["files"])
    except FileNotFoundError:
        raise IntegrityBroken(f"The model in {folder} has no {MANIFEST}. Train again, or restore a backup.") from None
    except (ValueError, KeyError, TypeError) as failure:
        raise IntegrityBroken(f"{path} is not a manifest: {failure}. Train again, or restore a backup.") from failure
    if set(files) != {each.name for each in folder.iterdir() if each.name != MANIFEST}:
        raise IntegrityBroken(f"The files in {folder} are not those of its manifest ({', '.join(sorted(files))}).")
    for name, expected in files.items():
        found = _sha256(folder / name)
        if found != expected:
            raise IntegrityBroken(
                f"{folder / name} was changed: its SHA-256 is {found[:12]}…, its manifest says {expected[:12]}…. "
                "Train again, or restore a backup."
            )
    return manifest


def manifest_digest(folder: Path) -> str:
    """Hash of the manifest in `folder`, as `save_model` gave it, after every file was checked."""
    return digest(read_manifest(folder))


def load_model(folder: Path, *, manifest_hash: str | None = None) -> FittedModel:
    """The model in `folder`, its files checked against the manifest and the manifest against `manifest_hash`."""
    manifest = read_manifest(folder)
    if manifest_hash is not None and digest(manifest) != manifest_hash:
        raise IntegrityBroken(
            f"The manifest in {folder} is not the registered one: its hash is {digest(manifest)[:12]}…, "
            f"registered was {manifest_hash[:12]}…."
        )
    if manifest.get("format") not in FORMATS:
        raise IntegrityBroken(f"{folder} names the format {manifest.get('format')!r}, which is not one of ours.")
    name, _, load = FORMATS[manifest["format"]]
    return FittedModel(
        name=manifest["name"],
        features=tuple(manifest["features"]),
        predictor=load(folder / name),
        handles_missing=manifest["handles_missing"],
        meta=manifest["meta"],
    )
