"""Fitted models: asked by column name, kept in their library's own safe format with a manifest of hashes."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from openbell.core.errors import BadInput, IntegrityBroken, StorageFailed, nearest
from openbell.core.hashing import canonical_json, digest
from openbell.store.formats import Decoders, read, write
from openbell.store.predictors import history_rows, is_sequential, outputs

MANIFEST = "manifest.json"
#: Rows scored at once: their matrix and the library's copies of it stay small beside the panel.
ROWS_AT_ONCE = 65_536

_LIBRARIES = ("numpy", "scikit-learn", "lightgbm", "xgboost-cpu", "catboost", "torch", "skops")


@dataclass(frozen=True, eq=False)
class FittedModel:
    """A fitted predictor and the columns it was fitted on: the only form in which a model is saved, loaded or asked.

    Attributes
    ----------
    name : of the candidate. features : its columns, in the order they were fitted.
    predictor : what predicts: a LightGBM ``Booster``, an estimator of another library, or of `store.predictors`.
    handles_missing : whether NaN may reach it. meta : what it was made of, canonical JSON types only.
    classes : of a classifier, ascending; empty for a regression.
    """

    name: str
    features: tuple[str, ...]
    predictor: Any
    handles_missing: bool = False
    meta: Mapping[str, Any] = field(default_factory=dict)
    classes: tuple[float, ...] = ()

    @property
    def sequential(self) -> bool:
        """Whether it reads the rows of a symbol in their order, and so must be told their keys."""
        return is_sequential(self.predictor)

    @property
    def history_rows(self) -> int:
        """Rows of a symbol that a score is made of, its own included; with fewer it abstains. 1 for most models."""
        return history_rows(self.predictor)

    def predict(self, frame: pl.DataFrame, keys: pl.DataFrame | None = None) -> np.ndarray:
        """Scores of the rows of `frame`, or the class of the largest probability (of equals the first), shape (n,).

        Float64, NaN where the model abstains. The columns are matched by name and may stand in any order; a missing or
        an additional one is refused, as is an infinite value, and a missing value where the model does not handle it.

        Parameters
        ----------
        keys : columns ``session`` and ``symbol`` of the same rows, for a model that reads sequences: the rows before
            those that are wanted must then be among them, or it abstains on these.
        """
        if self.classes:
            probabilities = self.predict_proba(frame, keys)
            said = np.isfinite(probabilities).all(axis=1)
            likeliest = np.where(said[:, None], probabilities, 0.0).argmax(axis=1)
            return np.where(said, np.asarray(self.classes, dtype=np.float64)[likeliest], np.nan)
        scores = self._outputs(frame, keys)
        if np.isinf(scores).any():
            raise BadInput(f"The model `{self.name}` scored {int(np.isinf(scores).sum())} rows as infinite.")
        return scores

    def predict_proba(self, frame: pl.DataFrame, keys: pl.DataFrame | None = None) -> np.ndarray:
        """Probabilities of `classes`, shape (n, classes), Float64; rows of NaN where the model abstains."""
        if not self.classes:
            raise BadInput(f"The model `{self.name}` is a regression; it has scores (`predict`) and no probabilities.")
        probabilities = self._outputs(frame, keys)
        wrong = (probabilities < 0) | (probabilities > 1 + 1e-6) | np.isinf(probabilities)
        if wrong.any():
            raise BadInput(f"The model `{self.name}` gave {int(wrong.sum())} numbers that are no probabilities.")
        return probabilities

    def _outputs(self, frame: pl.DataFrame, keys: pl.DataFrame | None) -> np.ndarray:
        if self.sequential:  # a sequence must not be cut between two parts
            t, symbol = key_columns(keys, frame.height, self.name)
            return self._part(frame, t=t, symbol=symbol)
        starts = range(0, max(frame.height, 1), ROWS_AT_ONCE)
        return np.concatenate([self._part(frame[start : start + ROWS_AT_ONCE]) for start in starts])

    def _part(self, frame: pl.DataFrame, **where: np.ndarray) -> np.ndarray:
        matrix = feature_matrix(frame, self.features, handles_missing=self.handles_missing, model=self.name)
        if not len(matrix):
            return np.empty((0, len(self.classes))) if self.classes else np.empty(0)
        return outputs(self.predictor, matrix, len(self.classes), **where)


def key_columns(keys: pl.DataFrame | None, rows: int, model: str) -> tuple[np.ndarray, np.ndarray]:
    """``session`` (days) and ``symbol`` of each of `rows` rows; a sequence is refused without them."""
    missing = [name for name in ("session", "symbol") if keys is None or name not in keys.columns]
    if keys is None or missing:
        raise BadInput(
            f"The model `{model}` reads the rows of a symbol in their order and needs `keys` with the columns "
            f"`session` and `symbol`; missing: {', '.join(missing)}."
        )
    if keys.height != rows:
        raise BadInput(
            f"The keys of `{model}` have {keys.height} rows, its features {rows}; they must be the same rows."
        )
    empty = [name for name in ("session", "symbol") if keys[name].null_count()]
    if empty:
        raise BadInput(f"The keys of `{model}` need a `{empty[0]}` on every row; some have none.")
    return keys["session"].to_numpy(), keys["symbol"].to_numpy()


def feature_matrix(frame: pl.DataFrame, features: tuple[str, ...], *, handles_missing: bool, model: str) -> np.ndarray:
    """The columns `features` of `frame` by name, Float32, shape (n, p), null as NaN; refuses what cannot be used."""
    there, known, wanted = frame.columns, set(frame.columns), set(features)
    missing = [name for name in features if name not in known]
    extra = [name for name in there if name not in wanted]
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
        Where the predictor has no safe format, or is not fitted. StorageFailed: where the folder cannot be written, or
        already holds another model; a model is never overwritten.
    """
    return save_folder(folder, f"model `{model.name}`", lambda draft: _write(model, draft))


def _write(model: FittedModel, draft: Path) -> dict[str, Any]:
    kind = write(model.predictor, draft)
    return {
        "name": model.name,
        "format": kind,
        "features": list(model.features),
        "handles_missing": model.handles_missing,
        "meta": dict(model.meta),
        "classes": list(model.classes),
        "versions": _versions(),
        "files": {name: _sha256(draft / name) for name in _files(draft)},
    }


def save_folder(folder: Path, what: str, write_into: Callable[[Path], Mapping[str, Any]]) -> str:
    """Have `write_into` fill a draft and give its manifest, then rename it to `folder`, all or nothing.

    The hash of the manifest; the same again is a no-op, anything else in `folder` is refused. `what` is for the words.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            manifest = write_into(draft)
            (draft / MANIFEST).write_text(canonical_json(manifest), encoding="utf-8")
            _sync(*(draft / name for name in _files(draft)), draft / MANIFEST)
            return _put(draft, folder, digest(manifest))
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    except OSError as failure:
        raise StorageFailed(f"The {what} cannot be written to {folder}: {failure}.") from failure


def _files(folder: Path) -> list[str]:
    """Every file below `folder` but its own manifest, as relative POSIX paths in order."""
    found = (
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir() or path.is_symlink()
    )
    return sorted(name for name in found if name != MANIFEST)


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
    """The manifest of the model in `folder`, after every file below it was checked against its hash."""
    path = folder / MANIFEST
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        files = dict(manifest["files"])
    except FileNotFoundError:
        raise IntegrityBroken(f"The model in {folder} has no {MANIFEST}. Train again, or restore a backup.") from None
    except (ValueError, KeyError, TypeError) as failure:
        raise IntegrityBroken(f"{path} is not a manifest: {failure}. Train again, or restore a backup.") from failure
    there = _files(folder)
    missing, extra = sorted(set(files) - set(there)), sorted(set(there) - set(files))
    if missing or extra:
        raise IntegrityBroken(
            f"The files in {folder} are not those of its manifest; missing: {', '.join(missing) or 'none'}; not in it: "
            f"{', '.join(extra) or 'none'}. Train again, or restore a backup."
        )
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


def load_model(folder: Path, *, manifest_hash: str | None = None, decoders: Decoders | None = None) -> FittedModel:
    """The model in `folder`, its files checked against the manifest and the manifest against `manifest_hash`.

    `decoders` make what this room does not know, networks and calibrators (see `research.fitting.load_fitted`).
    """
    manifest = read_manifest(folder)
    if manifest_hash is not None and digest(manifest) != manifest_hash:
        raise IntegrityBroken(
            f"The manifest in {folder} is not the registered one: its hash is {digest(manifest)[:12]}…, "
            f"registered was {manifest_hash[:12]}…."
        )
    return FittedModel(
        name=manifest["name"],
        features=tuple(manifest["features"]),
        predictor=read(manifest.get("format"), folder, decoders or {}),
        handles_missing=manifest["handles_missing"],
        meta=manifest["meta"],
        classes=tuple(manifest.get("classes", ())),
    )
