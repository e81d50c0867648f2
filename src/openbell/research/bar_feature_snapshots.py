"""The state of live features on disk: arrays in one file, and a manifest that names it, its hash and what it means."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from openbell.core.errors import BadInput, IntegrityBroken, OpenbellError
from openbell.core.hashing import canonical_json
from openbell.store.places import Disk

if TYPE_CHECKING:
    from openbell.research.bar_features import BarFeatures
    from openbell.research.bar_features_live import LiveFeatures

MANIFEST = "features.json"
FORMAT = 1
CURE = "Begin anew with `BarFeatures.live` and hand the stored bars in, or restore a backup."


def write_snapshot(live: LiveFeatures, folder: Path) -> str:
    """Write the arrays under the name of their hash, then the manifest: a kill leaves the old snapshot or the new."""
    arrays = {f"state.{name}": array for name, array in live.state.to_arrays().items()}
    arrays |= {f"admission.{name}": array for name, array in live.admission.to_arrays().items()}
    target = io.BytesIO()
    np.savez(target, **arrays)  # type: ignore[arg-type]
    content = target.getvalue()
    sha256 = hashlib.sha256(content).hexdigest()
    manifest = {
        "format": FORMAT,
        "engine": live.engine.digest,
        "arrays": f"{sha256}.npz",
        "sha256": sha256,
        "symbols": list(live.places),
        "counts": {name: list(counted) for name, counted in live.counts.items()},
        "asked": live.asked,
        "computed": live.computed,
    }
    disk = Disk(Path(folder))
    disk.put(manifest["arrays"], content)  # type: ignore[arg-type]
    disk.put(MANIFEST, canonical_json({**manifest, "manifest_sha256": _seal(manifest)}).encode())
    for stored in disk.files("."):
        if stored.name.endswith(".npz") and stored.name != manifest["arrays"]:
            disk.remove(stored.name)
    return sha256


def _seal(manifest: dict[str, Any]) -> str:
    return hashlib.sha256(canonical_json(manifest).encode()).hexdigest()


def restored(engine: BarFeatures, folder: Path, max_symbols: int) -> LiveFeatures:
    """The state in `folder`, which must be whole and of `engine`.

    Raises
    ------
    BadInput : where there is none, or it is of another engine. IntegrityBroken : where it is torn or was changed.
    """
    manifest = _manifest(Path(folder))
    if manifest["engine"] != engine.digest:
        raise BadInput(
            f"The snapshot in {folder} was taken by the engine {manifest['engine'][:12]}, and this one is "
            f"{engine.digest[:12]}: other features, frames or fields, or another version of them. {CURE}"
        )
    if len(manifest["symbols"]) > max_symbols:
        raise BadInput(
            f"The snapshot in {folder} holds {len(manifest['symbols']):,} symbols, and `max_symbols` is "
            f"{max_symbols:,}. Raise it."
        )
    arrays = _arrays(Path(folder), manifest)
    live = engine.live(max_symbols=max_symbols)
    try:
        live.state.from_arrays({name[6:]: each for name, each in arrays.items() if name.startswith("state.")})
        live.admission.from_arrays({name[10:]: each for name, each in arrays.items() if name.startswith("admission.")})
    except (KeyError, OpenbellError) as wrong:
        raise IntegrityBroken(
            f"The arrays of the snapshot in {folder} do not fit this engine: {wrong} {CURE}"
        ) from wrong
    live.places = {symbol: place for place, symbol in enumerate(manifest["symbols"])}
    live.counts = {name: (int(count), str(last)) for name, (count, last) in manifest["counts"].items()}
    live.asked, live.computed = int(manifest["asked"]), int(manifest["computed"])
    return live


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    if not path.is_file():
        raise BadInput(f"There is no snapshot in {folder}: `{MANIFEST}` is missing. {CURE}")
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        seal = manifest.pop("manifest_sha256")
        whole = seal == _seal(manifest) and manifest["format"] == FORMAT
    except (ValueError, KeyError, TypeError, AttributeError) as torn:
        raise IntegrityBroken(f"{path} is torn: {torn}. {CURE}") from torn
    if not whole:
        raise IntegrityBroken(f"{path} was changed, or is of another format than {FORMAT}. {CURE}")
    return manifest


def _arrays(folder: Path, manifest: dict[str, Any]) -> dict[str, np.ndarray]:
    path = folder / manifest["arrays"]
    if not path.is_file():
        raise IntegrityBroken(f"The snapshot in {folder} lacks its arrays, `{path.name}`. {CURE}")
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != manifest["sha256"]:
        raise IntegrityBroken(
            f"{path} was changed or is torn: its SHA-256 is {found[:12]}, its manifest says {manifest['sha256'][:12]}. "
            f"{CURE}"
        )
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as held:
            return {name: held[name] for name in held.files}
    except (ValueError, OSError, zipfile.BadZipFile) as torn:
        raise IntegrityBroken(f"{path} holds no arrays: {torn}. {CURE}") from torn
