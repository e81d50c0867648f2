"""A fitted stage 1 as a folder: one model below it for each structure, the classifier, and a page of numbers."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from openbell.core.errors import IntegrityBroken, StorageFailed
from openbell.core.hashing import canonical_json, digest
from openbell.quant.calibration import from_json
from openbell.research.fitting import load_fitted
from openbell.research.stage_one import StageOne
from openbell.store.artifacts import save_model

PAGE = "stage.json"
CLASSIFIER = "classifier"
#: Errors are kept at so many equidistant quantiles.
QUANTILES = 201


def save_stage(stage: StageOne, folder: Path) -> str:
    """Write `stage` below `folder` and give the hash of its page, which holds the hash of every model; idempotent.

    The errors are kept at `QUANTILES` quantiles, so that a stage that was loaded says what the saved one said within
    the distance of two of them; `rounded` gives the stage that is saved.
    """
    manifests = {name: save_model(model, folder / name.lower()) for name, model in stage.regressors.items()}
    if stage.classifier is not None:
        manifests[CLASSIFIER] = save_model(stage.classifier, folder / CLASSIFIER)
    kept = rounded(stage)
    page = {
        "name": kept.name,
        "structures": list(kept.structures),
        "features": list(kept.features),
        "means": [value if math.isfinite(value) else None for value in kept.means.tolist()],
        "errors": {name: values.tolist() for name, values in kept.errors.items()},
        "base_rates": kept.base_rates.tolist(),
        "support": dict(kept.support),
        "rows": kept.rows,
        "calibrator": None if kept.calibrator is None else json.loads(kept.calibrator.to_json()),
        "manifests": manifests,
    }
    text = canonical_json(page)
    path = folder / PAGE
    if path.is_file() and path.read_text(encoding="utf-8") != text:
        raise StorageFailed(f"{folder} already holds another stage 1; a model is never overwritten.")
    beside = folder / f".{PAGE}.part"
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)
    return digest(page)


def rounded(stage: StageOne) -> StageOne:
    """`stage` with its errors at `QUANTILES` quantiles."""
    at = np.linspace(0.0, 1.0, QUANTILES)
    errors = {name: np.quantile(values, at) for name, values in stage.errors.items()}
    return StageOne(
        **{name: getattr(stage, name) for name in StageOne.__dataclass_fields__ if name != "errors"}, errors=errors
    )


def load_stage(folder: Path, manifest: str | None = None) -> StageOne:
    """The stage 1 in `folder`; every file is checked against its hash, and the page against `manifest`.

    Raises
    ------
    IntegrityBroken
        Where a file is missing, changed, or not what was registered.
    """
    page = _page(folder)
    if manifest is not None and digest(page) != manifest:
        raise IntegrityBroken(
            f"The stage 1 in {folder} is not the registered one: its hash is {digest(page)[:12]}…, registered was "
            f"{manifest[:12]}…. Train again, or restore a backup."
        )
    models = {
        name: load_fitted(folder / (name if name == CLASSIFIER else name.lower()), manifest_hash=expected)
        for name, expected in page["manifests"].items()
    }
    classifier = models.pop(CLASSIFIER, None)
    return StageOne(
        name=page["name"],
        structures=tuple(page["structures"]),
        features=tuple(page["features"]),
        regressors=models,
        means=np.array([-np.inf if value is None else value for value in page["means"]]),
        errors={name: np.asarray(values) for name, values in page["errors"].items()},
        classifier=classifier,
        calibrator=None if page["calibrator"] is None else from_json(json.dumps(page["calibrator"])),
        base_rates=np.asarray(page["base_rates"]),
        support=page["support"],
        rows=page["rows"],
    )


def _page(folder: Path) -> Mapping[str, Any]:
    path = folder / PAGE
    try:
        page: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise IntegrityBroken(f"There is no {PAGE} in {folder}. Train again, or restore a backup.") from None
    except ValueError as failure:
        raise IntegrityBroken(f"{path} is not JSON: {failure}. Train again, or restore a backup.") from failure
    return page
