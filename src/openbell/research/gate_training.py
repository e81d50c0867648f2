"""Everything the gate answers with, fitted together: models, calibration and thresholds, with where they come from."""

from __future__ import annotations

import datetime as dt
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from openbell.core.errors import BadInput, IntegrityBroken, StorageFailed, unknown
from openbell.core.hashing import canonical_json, digest, frame_digest
from openbell.core.time import utc
from openbell.quant.design_effects import Floats
from openbell.research import gate_models
from openbell.research.gate_calibration import IDENTITY, Calibration, calibration, group_errors
from openbell.research.gate_files import sha256
from openbell.research.gate_inputs import GateModel, ModelSettings, Rows, Said, checked_training, compared, opened
from openbell.research.gate_thresholds import Thresholds, tuned
from openbell.store.artifacts import MANIFEST, read_manifest

_PROVENANCE = "provenance.json"


@dataclass(frozen=True, eq=False)
class Trained:
    """Models by name, the calibration and the thresholds of each, and what they were made of (`provenance`)."""

    models: Mapping[str, GateModel]
    calibrations: Mapping[str, Calibration]
    thresholds: Mapping[str, Thresholds]
    provenance: Mapping[str, Any]

    @property
    def features(self) -> tuple[str, ...]:
        """Columns that the models were fitted on."""
        return tuple(self.provenance["features"])

    def compared(self, features: Sequence[str]) -> None:
        """Refuse a list of features that is not the models' own, naming what is missing and what is not known."""
        compared(", ".join(self.models), self.features, features)

    def forecast(self, name: str, rows: Rows) -> Said:
        """What the model `name` says, calibrated; see `gate_inputs.Rows` for the forms that `rows` may have."""
        rows = opened(rows)
        said = self._model(name).forecast(rows)
        return replace(
            said, probability=self.calibrations[name].apply(rows, said.probability), uncalibrated=said.probability
        )

    def threshold(self, name: str, rows: Rows) -> Floats:
        """What the probability of each row must reach, (n,)."""
        self._model(name)
        return self.thresholds[name].on(rows)

    def _model(self, name: str) -> GateModel:
        if name not in self.models:
            raise unknown("trained model of the gate", name, self.models)
        return self.models[name]

    def save(self, folder: Path) -> str:
        """Write everything to the new `folder` in one step and give the hash of its manifest; again is a no-op."""
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
            try:
                return _put(draft, folder, self._write(draft))
            finally:
                shutil.rmtree(draft, ignore_errors=True)
        except OSError as failure:
            raise StorageFailed(f"The models of the gate cannot be written to {folder}: {failure}.") from failure

    def _write(self, draft: Path) -> dict[str, Any]:
        for name, model in self.models.items():
            model.save(draft / name / "model")
            (draft / name / "calibration.json").write_text(self.calibrations[name].to_json(), encoding="utf-8")
            (draft / name / "thresholds.json").write_text(self.thresholds[name].to_json(), encoding="utf-8")
        (draft / _PROVENANCE).write_text(canonical_json(dict(self.provenance)), encoding="utf-8")
        files = sorted(path for path in draft.rglob("*") if path.is_file())
        manifest = {
            "name": "gate",
            "models": list(self.models),
            "files": {path.relative_to(draft).as_posix(): sha256(path) for path in files},
        }
        (draft / MANIFEST).write_text(canonical_json(manifest), encoding="utf-8")
        return manifest


def _put(draft: Path, folder: Path, manifest: Mapping[str, Any]) -> str:
    if not folder.exists():
        draft.rename(folder)
    elif digest(read_manifest(folder)) != digest(manifest):
        raise StorageFailed(
            f"{folder} already holds other models; models are never overwritten. Choose another folder."
        )
    return digest(manifest)


def load(folder: Path, manifest_hash: str | None = None) -> Trained:
    """What `Trained.save` wrote, every file checked against the manifest, and that against `manifest_hash`."""
    manifest = read_manifest(folder)
    if manifest_hash is not None and digest(manifest) != manifest_hash:
        raise IntegrityBroken(
            f"The manifest in {folder} is not the one on record: its hash is {digest(manifest)[:12]}…, on record is "
            f"{manifest_hash[:12]}…. Train again, or restore a backup."
        )
    names = list(manifest["models"])

    def text(*parts: str) -> str:
        return folder.joinpath(*parts).read_text(encoding="utf-8")

    found = Trained(
        models={name: gate_models.load(folder / name / "model") for name in names},
        calibrations={name: Calibration.from_json(text(name, "calibration.json")) for name in names},
        thresholds={name: Thresholds.from_json(text(name, "thresholds.json")) for name in names},
        provenance=json.loads(text(_PROVENANCE)),
    )
    for name, model in found.models.items():
        if model.features:
            compared(name, model.features, found.features)
    return found


def trained(
    rows: pl.DataFrame,
    features: Sequence[str],
    names: Sequence[str],
    *,
    fit_at: dt.datetime | None = None,
    min_trades: int = 100,
    calibration_share: float = 0.2,
    thresholds_by: str = "expected_value",
    threshold_low: float = 0.35,
    threshold_high: float = 0.75,
    thresholds: Thresholds | None = None,
    seed: int = 42,
) -> Trained:
    """Fit the models `names` on `rows`, calibrate them and set their thresholds.

    Parameters
    ----------
    rows, features : see `gate_models.fitted`; ``profit_usd`` too where thresholds are set by expected value.
    fit_at : the moment of the fit; None takes the last outcome of `rows`.
    calibration_share : last part of the days, the validation days.
    thresholds : imported ones, for all models, instead of tuned ones. The other arguments as for
        `gate_thresholds.tuned`.

    Notes
    -----
    A first fit sees only outcomes known before the first validation day's first trade; what it says of the validation
    days makes calibration and thresholds, so neither sees a row its model was fitted on. The models that are kept are
    then fitted again on all days: they are newer and see more, and since the odds of a model that sees more are no
    further from the truth, the sigmoid of the first fit errs to the cautious side. The baselines are not calibrated.
    The two numbers of a sigmoid and the threshold come from the same validation days.
    """
    if not rows.height:
        raise BadInput("There are no rows to train on.")
    at = utc(fit_at) if fit_at is not None else rows["outcome_known_at"].max()
    assert isinstance(at, dt.datetime)
    table = checked_training(rows, list(features), at)
    early, late = _parts(table, calibration_share)
    opens = late["known_at"].min()
    assert isinstance(opens, dt.datetime)
    settings = ModelSettings(min_trades, seed)
    how = {"by": thresholds_by, "low": threshold_low, "high": threshold_high, "min_trades": min_trades}
    models, calibrations, limits, reports = {}, {}, {}, {}
    for name in names:
        first = gate_models.fitted(name, early, features, fit_at=opens, settings=settings)
        raw = first.forecast(late).probability
        calibrations[name] = calibration(late, raw) if gate_models.KINDS[name].calibrated else IDENTITY
        limits[name] = thresholds or tuned(late, calibrations[name].apply(late, raw), **how)
        models[name] = gate_models.fitted(name, table, features, fit_at=at, settings=settings)
        errors = group_errors(late, raw) if gate_models.KINDS[name].calibrated else None
        reports[name] = {**models[name].report, "validation": errors.to_dicts() if errors is not None else None}
    made = {
        "rows": frame_digest(table), "n": table.height, "days": table["session"].n_unique(),
        "first": table["session"][0], "last": table["session"][-1], "fit_at": at, "validation_from": late["session"][0],
        "validation_days": late["session"].n_unique(), "validation_n": late.height, "first_fit_n": early.height,
        "features": list(features), "features_hash": digest(list(features)), "models": reports,
        "settings": {**asdict(settings), **how, "calibration_share": calibration_share},
        "thresholds": "tuned" if thresholds is None else "imported",
    }  # fmt: skip
    return Trained(models, calibrations, limits, json.loads(canonical_json(made)))


def _parts(table: pl.DataFrame, share: float) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows of the first days whose outcome was known before the validation days, and rows of these; whole days."""
    if not 0.0 < share < 1.0:
        raise BadInput(f"`calibration_share` must lie between 0 and 1; was {share:g}.")
    days = np.sort(table["session"].unique().to_numpy())
    count = max(1, round(share * len(days)))
    if len(days) - count < 1:
        raise BadInput(f"There are outcomes of {len(days)} days; a fit and its validation need at least 2.")
    border = pl.lit(days[len(days) - count]).cast(pl.Date)
    late = table.filter(pl.col("session") >= border)
    early = table.filter((pl.col("session") < border) & (pl.col("outcome_known_at") <= late["known_at"].min()))
    if not early.height:
        raise BadInput("No outcome was known before the validation days; give more days.")
    return early, late
