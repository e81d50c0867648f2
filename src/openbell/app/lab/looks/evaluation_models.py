"""What a saved model of the session desk says of itself: its weights, why it said what it said, and its drift watch."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from openbell.app.lab.looks.evaluation_found import IMPORTANCE
from openbell.core.errors import BadInput, DataMissing, OpenbellError, unknown
from openbell.core.session import probability

if TYPE_CHECKING:
    from openbell.app.home import Home
    from openbell.app.session_training import SessionTraining
    from openbell.research.session_drift import DriftWatch

#: Latest sessions whose contributions are averaged, as in the report; rows behind a contribution by permutation.
EXPLAINED, BACKGROUND = 252, 16
#: Features of one decision that are drawn, the heaviest.
DRAWN = 14


@dataclass(frozen=True, slots=True, eq=False)
class Watched:
    """The drift watch of a model: its rolling scores over the walk, its limits, and what the alarm is worth."""

    rolling: pl.DataFrame
    watch: DriftWatch
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Explained:
    """Why one decision was what it was: ``feature value contribution``, the heaviest first.

    `of` is the class that is explained, `said` what the walk's model said of each class then, `came` what happened.
    `base` and `unit` are of the contributions, which sum with it to what the classifier of today says.
    """

    rows: pl.DataFrame
    of: str
    said: str
    came: str
    base: float
    unit: str
    reasons: tuple[str, ...]


@lru_cache(maxsize=16)
def _training(folder: Path) -> SessionTraining:
    """A training by its folder: what is on record never changes."""
    from openbell.app.session_training import SessionTraining

    return SessionTraining(json.loads((folder / "training.json").read_text(encoding="utf-8")), folder)


@lru_cache(maxsize=16)
def importance(folder: Path, name: str) -> tuple[pl.DataFrame, str]:
    """Columns of `IMPORTANCE` of one model of a training of the session desk, and what is measured."""
    from openbell.research.session_reasons import explained
    from openbell.research.session_reasons import importance as weighed

    training = _training(folder)
    model, rows = training.model(name), training.evidence("rows")
    found = weighed(model, rows, most_rows=EXPLAINED)
    shown = found.select(pl.lit(name).alias("model"), "feature", "importance").cast(dict(IMPORTANCE))  # type: ignore[arg-type]
    one = explained(model, rows.tail(1), model.classes[-1], background=rows.tail(BACKGROUND))
    return shown, "" if one is None else f"mean size of the contribution over {found['n'].max()} sessions, {one.unit}"


@lru_cache(maxsize=16)
def contributions(folder: Path, name: str) -> pl.DataFrame:
    """``session feature value contribution`` of the latest sessions for the last class, for the summary of SHAP."""
    from openbell.research.session_reasons import contribution_rows

    training = _training(folder)
    model = training.model(name)
    return contribution_rows(model, training.evidence("rows"), model.classes[-1], most_rows=EXPLAINED)


def decisions(folder: Path, name: str) -> list[dt.date]:
    """Sessions of the walk in which the model said something, the newest first."""
    walk = _training(folder).evidence("walk")
    own = walk.filter((pl.col("model") == name) & pl.col("confidence").is_not_null())
    return sorted(own["session"].unique().to_list(), reverse=True)


def why(folder: Path, name: str, session: str) -> Explained:
    """What each feature added to what the model of this training says of one session of its walk.

    Raises
    ------
    BadInput
        Where the walk has no such decision. DataMissing where the model looks at no feature.
    """
    from openbell.research.session_reasons import explained, reasons

    training = _training(folder)
    model, rows = training.model(name), training.evidence("rows")
    then = _said(training, name, session)
    row = rows.filter(pl.col("session") == then["session"])
    classes = model.classes
    of = max(classes, key=lambda each: then[probability(each)])
    found = explained(model, row, of, background=rows.tail(BACKGROUND))
    if found is None:
        raise DataMissing(f"`{name}` says how often each class came and looks at no feature.")
    values = pl.DataFrame(
        {
            "feature": list(model.features),
            "value": [row[each][0] for each in model.features],
            "contribution": found.values[0],
        },
        schema={"feature": pl.String, "value": pl.Float64, "contribution": pl.Float64},
    )
    told = ", ".join(f"{each} {then[probability(each)]:.1%}" for each in classes)
    came = "not known yet" if then["label"] is None else classes[int(then["label"])]
    lines = {row["feature"]: {"source": str(row["source"]), "as_of": str(row["as_of"])}
             for row in training.evidence("lineage").iter_rows(named=True) if row["as_of"] is not None}  # fmt: skip
    called = then["call"] or "no call"
    return Explained(
        values.sort(pl.col("contribution").abs(), descending=True),
        of,
        f"{told}; {called}",
        came,
        float(found.base[0]),
        found.unit,
        reasons(model, row, [of], lineage={name: {"source": each["source"], "as_of": f"{then['as_of']:%Y-%m-%d %H:%M}"}
                                           for name, each in lines.items()},
                background=rows.tail(BACKGROUND))[0],
    )  # fmt: skip


def _said(training: SessionTraining, name: str, session: str) -> dict[str, Any]:
    try:
        day = dt.date.fromisoformat(session)
    except ValueError:
        raise BadInput(f"`{session[:40]}` is not a date. Write it like 2020-03-16.") from None
    walk = training.evidence("walk")
    own = walk.filter((pl.col("model") == name) & pl.col("confidence").is_not_null())
    found = own.filter(pl.col("session") == day)
    if found.is_empty():
        raise unknown(
            f"session of the walk of `{name}`", session, [str(each) for each in own["session"].to_list()[-5:]]
        )
    return found.row(0, named=True)


def watched(home: Home, folder: Path, name: str) -> Watched:
    """The drift watch of one model, armed by its walk as the settings say.

    Raises
    ------
    DataMissing
        Where the walk is too short for it.
    """
    wanted = home.settings.session
    return _watched(folder, name, wanted.drift_window, wanted.drift_false_alarms, home.settings.train.seed)


@lru_cache(maxsize=16)
def _watched(folder: Path, name: str, window: int, false_alarms: float, seed: int) -> Watched:
    from openbell.research.session_drift import armed, rolling

    walked = _training(folder).evidence("walk").filter(pl.col("model") == name)
    try:
        watch = armed(walked, window=window, false_alarms=false_alarms, seed=seed)
    except OpenbellError as failure:
        raise DataMissing(f"There is no drift watch of `{name}`: {failure}") from failure
    return Watched(rolling(walked, watch), watch, tuple(watch.lines()))
