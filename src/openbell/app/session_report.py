"""The report of the session desk: of a training, and of a back-test of its calls, out of their records."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from openbell.app.reports import session as page
from openbell.app.session_data import DESK
from openbell.app.session_drift import drift_watch
from openbell.core.errors import DataMissing, OpenbellError
from openbell.research.session_drift import rolling

if TYPE_CHECKING:
    from openbell.app.home import Home
    from openbell.app.session_training import SessionTraining
    from openbell.research.session_backtest import SessionBacktest

#: Latest sessions that contributions are measured on.
_EXPLAINED = 252


def write_report(home: Home, training: SessionTraining, found: SessionBacktest | None = None) -> Path:
    """The report of `training` into its folder, with what following its calls was worth where that was asked."""
    payload = training.payload
    shown = found.model if found is not None else training.leader
    return page.write_report(
        training.folder,
        training.scores,
        when=f"trained on what was known before the open of {payload['session']}",
        product=training.product,
        label=payload["label"],
        cutoff=payload["cutoff"],
        shown=shown,
        found=found,
        **_watched(home, training, shown),
        **_explained(training, shown),
        lineage=training.evidence("lineage"),
        families={name: each.family for name, each in home.catalogue.features.items()},
        tries=home.trials.count(DESK),
        notes=payload["notes"],
        made_of={
            "training": payload["training"],
            "data": payload["data"],
            "settings": payload["settings"],
            **{f"model: {name}": value for name, value in payload["manifests"].items()},
            **{f"evidence: {name}": value for name, value in payload["evidence"].items()},
        },
    )


def _watched(home: Home, training: SessionTraining, model: str) -> dict[str, Any]:
    walked = training.evidence("walk").filter(pl.col("model") == model)
    try:
        watch = drift_watch(home, training, model)
    except DataMissing as missing:
        return {"no_watch": str(missing)}
    return {"watch": watch, "rolling": rolling(walked, watch)}


def _explained(training: SessionTraining, name: str) -> dict[str, Any]:
    """What each feature weighs in the model that was fitted on everything; nothing where it cannot be told."""
    from openbell.research.session_reasons import contribution_rows, explained, importance

    model, rows = training.model(name), training.evidence("rows")
    last = model.classes[-1]
    try:
        weighed = importance(model, rows, most_rows=_EXPLAINED)
        points = contribution_rows(model, rows, last, most_rows=_EXPLAINED)
        found = explained(model, rows.tail(1), last, background=rows.tail(16))
    except OpenbellError:  # contributions that do not sum to the forecast are not shown; the report stands without
        return {}
    return {"importance": weighed, "contributions": points, "unit": "" if found is None else found.unit}
