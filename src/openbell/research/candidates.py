"""Candidates fitted on everything known at a moment, and kept."""

from __future__ import annotations

import datetime as dt
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from openbell.core.declare import Label, Model
from openbell.core.errors import IntegrityBroken, Refused, StorageFailed
from openbell.core.hashing import canonical_json, digest
from openbell.core.types import Panel
from openbell.research.fitting import fit
from openbell.research.folds import train_rows
from openbell.research.panel import Progress
from openbell.research.walkforward import Members, Parameters, in_parallel
from openbell.research.weights import label_weights
from openbell.store.artifacts import manifest_digest, save_model


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A candidate fitted on everything known at the training's `as_of`; `folder` is None where it could not be."""

    name: str
    folder: Path | None
    manifest_hash: str | None
    parameters: Mapping[str, Any]
    abstains: str | None = None


def final_fits(
    panel: Panel,
    label: Label,
    models: Sequence[Model],
    *,
    as_of: dt.datetime,
    dated: pl.DataFrame,
    stride: int,
    train_first: dt.date | None = None,
    folder: Path,
    plan: Mapping[str, Any],
    ledger: Container[str],
    parameters: Parameters,
    members: Members,
    left_out: Mapping[str, str],
    keep_going: bool = False,
    jobs: int,
    progress: Progress | None,
) -> tuple[Candidate, ...]:
    """Every candidate on all rows whose label is known at `as_of`, saved; one that is saved already is kept.

    `train_first` is the earliest decision session trained on. `left_out` says why a candidate abstained or failed: it
    is not fitted again. With `keep_going` one that raises now has no folder and says why; the others are fitted.
    """
    keys = panel.frame.select("session", "symbol", label.name, f"{label.name}_known_at")
    keys = keys.join(dated.select("session", "number"), on="session", how="left", maintain_order="left")
    kept = keys.select(train_rows(label.name, as_of, stride, train_first).fill_null(False)).to_series()
    rows = panel.frame.filter(kept)
    weight = label_weights(keys.filter(kept), label.horizon_sessions, stride=stride)
    meta = {
        "desk": plan["desk"],
        "as_of": as_of.isoformat(),
        "plan": digest(plan),
        "label": label.name,
        "horizon_sessions": label.horizon_sessions,
        "stride": stride,
        "transform": "centred rank within the date",
        "train_rows": rows.height,
        "train_first": str(rows["session"].min()),
        "train_last": str(rows["session"].max()),
        **({} if weight is None else {"sample_weight": "uniqueness of the label"}),
    }

    def final(model: Model) -> Candidate:
        given = parameters.get(model.name, {})
        used = {**model.settings, **given}
        if model.name in left_out:
            return Candidate(model.name, None, None, used, left_out[model.name])
        target = folder / model.name
        if target.exists():
            return Candidate(model.name, target, manifest_digest(target), used)
        try:
            fitted = fit(
                model,
                rows.select(panel.features),
                rows[label.name].to_numpy(),
                given,
                ledger=ledger,
                sample_weight=weight,
                keys=rows.select("session", "symbol", pl.col(f"{label.name}_known_at").alias("known_at")),
                members=members.get(model.name, ()),
            )
            named = replace(fitted, meta={**fitted.meta, **meta})
            return Candidate(model.name, target, save_model(named, target), used)
        except (Refused, StorageFailed, IntegrityBroken):
            raise
        except Exception as failure:
            if not keep_going:
                raise
            return Candidate(model.name, None, None, used, f"{type(failure).__name__}: {failure}")

    tasks = [(model,) for model in models]
    return tuple(in_parallel(final, tasks, jobs, progress, lambda task: f"{task[0].name}, final"))


def write_plan(cache: Path, plan: Mapping[str, Any]) -> None:
    """Put the plan on the disk before the first fit."""
    path = cache / f"plan-{digest(plan)}.json"
    if path.exists():
        return
    try:
        cache.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".draft")
        draft.write_text(canonical_json(plan), encoding="utf-8")
        draft.replace(path)
    except OSError as failure:
        raise StorageFailed(f"The plan of the training cannot be written to {cache}: {failure}.") from failure
