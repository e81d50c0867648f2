"""One training: panel, walk-forward, champion, final fits."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from openbell.core.declare import Feature, Label, Model
from openbell.core.errors import BadInput, FeatureUnavailable, StorageFailed
from openbell.core.hashing import canonical_json, digest
from openbell.core.types import Panel
from openbell.core.view import View
from openbell.research.champion import Choice, choose, rank_ics
from openbell.research.fitting import fingerprint, fit
from openbell.research.panel import Progress, build_panel, ranked
from openbell.research.universe import decisions
from openbell.research.walkforward import (
    Fold,
    WalkForward,
    folds_over,
    in_parallel,
    train_rows,
    walk_forward,
)
from openbell.store.artifacts import FittedModel, load_model, manifest_digest, save_model
from openbell.store.tracker import Tracker, Trained, TrainingRecord

#: Sessions of a year, as `history_years` counts them.
SESSIONS_PER_YEAR = 252


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """How a training is done.

    Attributes
    ----------
    history_years : decisions this far back are used, data permitting. warmup_sessions : first sessions of the data that
        are not decided on, because look-backs are not full.
    folds, min_train_sessions, train_sessions : see `walkforward.folds_over`.
    stride : training takes one decision session in `stride`; scores are given for every session.
    alpha, replications, block_horizons, seed : see `quant.significance.stepm`.
    min_names : a date with fewer scored names has no IC.
    parameters : by candidate, over its defaults. jobs : threads.
    """

    history_years: float = 10.0
    warmup_sessions: int = 252
    folds: int = 5
    min_train_sessions: int = 504
    train_sessions: int | None = None
    stride: int = 5
    lead_minutes: int = 30
    alpha: float = 0.01
    replications: int = 2000
    block_horizons: float = 2.0
    seed: int = 0
    min_names: int = 10
    jobs: int = 2
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A candidate fitted on everything known at the training's `as_of`; `folder` is None where it abstained."""

    name: str
    folder: Path | None
    manifest_hash: str | None
    parameters: Mapping[str, Any]
    abstains: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Training:
    """What a training found.

    Attributes
    ----------
    plan : hash of candidates, parameters, folds, recipe and settings, fixed and written before the first fit. It is
        also the name of the training.
    scores : out-of-sample, ``session``, ``as_of``, ``symbol``, the label, one column per candidate.
    ics : per-date rank ICs, ``session`` and one column per candidate.
    choice : the champion and the evidence. candidates : every candidate, fitted on all rows known at `as_of` and saved,
        so that each can be compared later; only the champion's is used.
    folds : one row per fold. notes : what was left out and why.
    """

    desk: str
    as_of: dt.datetime
    plan: str
    recipe: str
    label: str
    horizon_sessions: int
    features: tuple[str, ...]
    scores: pl.DataFrame
    ics: pl.DataFrame
    choice: Choice
    candidates: tuple[Candidate, ...]
    folds: pl.DataFrame
    settings: TrainSettings
    notes: tuple[str, ...]

    @property
    def champion(self) -> Candidate | None:
        """The chosen candidate; None: no view."""
        return next((each for each in self.candidates if each.name == self.choice.champion), None)


def train(
    view: View,
    desk: str,
    features: Sequence[Feature],
    label: Label,
    models: Sequence[Model],
    *,
    universe: str | None,
    folder: Path,
    cache: Path | None = None,
    settings: TrainSettings | None = None,
    benchmark: str | None = None,
    progress: Progress | None = None,
) -> Training:
    """Walk all candidates forward, choose the champion, fit each on everything known at ``view.as_of``, save them.

    Parameters
    ----------
    features, label, models : declarations. A feature without a single value in the panel is left out, with a note.
    folder : where models are saved, under ``<plan>/<candidate>``. cache : where finished folds are kept, so that a
        training that was stopped goes on where it was.
    """
    chosen = settings or TrainSettings()
    _known_candidates(chosen, models)
    dated = _decisions(view, chosen)
    folds = folds_over(
        dated, folds=chosen.folds, min_train_sessions=chosen.min_train_sessions, train_sessions=chosen.train_sessions
    )
    panel = _panel(view, features, label, dated, folds, universe, chosen, benchmark, progress)
    plan = _plan(desk, view, panel, label, folds, models, chosen)
    if cache is not None:
        _write_plan(cache, plan)
    walked = walk_forward(
        panel,
        label.name,
        folds,
        models,
        numbers=dict(dated.select("session", "number").iter_rows()),
        parameters=chosen.parameters,
        stride=chosen.stride,
        cache=cache,
        jobs=chosen.jobs,
        progress=progress,
    )
    ics = rank_ics(walked.scores, label.name, [model.name for model in models], min_names=chosen.min_names)
    choice = choose(
        ics,
        horizon=label.horizon_sessions,
        alpha=chosen.alpha,
        replications=chosen.replications,
        block_horizons=chosen.block_horizons,
        seed=chosen.seed,
        abstained=walked.abstained,
    )
    candidates = _final_fits(view, panel, label, models, walked, dated, chosen, folder / digest(plan), plan, progress)
    return Training(
        desk=desk,
        as_of=view.as_of,
        plan=digest(plan),
        recipe=panel.recipe,
        label=label.name,
        horizon_sessions=label.horizon_sessions,
        features=panel.features,
        scores=walked.scores,
        ics=ics,
        choice=choice,
        candidates=candidates,
        folds=walked.folds,
        settings=chosen,
        notes=(*panel.notes, _thinned(chosen)),
    )


def _thinned(chosen: TrainSettings) -> str:
    if chosen.stride == 1:
        return "Models are trained on every decision session and scored on every one."
    return (
        f"Models are trained on one decision session in {chosen.stride}, because neighbouring labels overlap; "
        "every session is scored."
    )


def _known_candidates(chosen: TrainSettings, models: Sequence[Model]) -> None:
    if not models:
        raise BadInput("There is no candidate to train. Name at least one model.")
    strangers = sorted(set(chosen.parameters) - {model.name for model in models})
    if strangers:
        raise BadInput(f"There are parameters for `{strangers[0]}`, which is not a candidate of this training.")


def _decisions(view: View, chosen: TrainSettings) -> pl.DataFrame:
    """Decision sessions of the training: after the warm-up of the data, at most `history_years` back, up to now."""
    held = view.facts("bars").select(pl.col("session").min()).collect().item()
    if held is None:
        raise BadInput(f"No bar was known at {view.as_of:%Y-%m-%d %H:%M} UTC. Import bars, or choose a later date.")
    calendar = view.sessions
    start = min(calendar.index(held) + 1 + chosen.warmup_sessions, len(calendar.dates) - 1)
    dated = decisions(calendar, calendar.dates[start:], chosen.lead_minutes).filter(pl.col("as_of") <= view.as_of)
    dated = dated.tail(round(chosen.history_years * SESSIONS_PER_YEAR))
    if dated.is_empty():
        raise BadInput(
            f"The data begin on {held} and {view.as_of:%Y-%m-%d} is within the {chosen.warmup_sessions} sessions of "
            "warm-up. Choose a later date, or import a longer history."
        )
    return dated


def _panel(
    view: View,
    features: Sequence[Feature],
    label: Label,
    dated: pl.DataFrame,
    folds: Sequence[Fold],
    universe: str | None,
    chosen: TrainSettings,
    benchmark: str | None,
    progress: Progress | None,
) -> Panel:
    """Ranked features: every session that is scored, one in `stride` of those before."""
    built = build_panel(
        view,
        features,
        [label],
        universe=universe,
        first=dated["session"][0],
        last=dated["session"][-1],
        stride=chosen.stride,
        every_session_from=folds[0].test_first,
        lead_minutes=chosen.lead_minutes,
        benchmark=benchmark,
        progress=progress,
    )
    held = [_without_empty(built)]
    del built
    return ranked(held.pop())


def _without_empty(panel: Panel) -> Panel:
    """The panel without features that have no value at all, and a note that names them."""
    counts = panel.frame.select(pl.col(name).count() for name in panel.features).row(0, named=True)
    empty = [name for name, count in counts.items() if count == 0]
    if not empty:
        return panel
    kept = tuple(name for name in panel.features if name not in empty)
    if not kept:
        raise FeatureUnavailable("No feature has a single value in the panel. Give a longer history.")
    note = f"{len(empty)} features have no value in these data and are left out: {', '.join(empty)}."
    return Panel(panel.frame.drop(empty), kept, panel.labels, digest([panel.recipe, empty]), (*panel.notes, note))


def _plan(
    desk: str,
    view: View,
    panel: Panel,
    label: Label,
    folds: Sequence[Fold],
    models: Sequence[Model],
    chosen: TrainSettings,
) -> dict[str, Any]:
    """Everything that is fixed before the first fit."""
    settings = {name: value for name, value in asdict(chosen).items() if name not in ("jobs", "parameters")}
    return {
        "desk": desk,
        "as_of": view.as_of,
        "recipe": panel.recipe,
        "features": panel.features,
        "label": label.name,
        "candidates": {model.name: fingerprint(model, chosen.parameters.get(model.name, {})) for model in models},
        "parameters": chosen.parameters,
        "folds": [asdict(fold) for fold in folds],
        "settings": settings,
    }


def _write_plan(cache: Path, plan: Mapping[str, Any]) -> None:
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


def _final_fits(
    view: View,
    panel: Panel,
    label: Label,
    models: Sequence[Model],
    walked: WalkForward,
    dated: pl.DataFrame,
    chosen: TrainSettings,
    folder: Path,
    plan: Mapping[str, Any],
    progress: Progress | None,
) -> tuple[Candidate, ...]:
    """Every candidate on all rows whose label is known at ``view.as_of``, saved; one that is saved already is kept."""
    keys = panel.frame.select("session", label.name, f"{label.name}_known_at")
    keys = keys.join(dated.select("session", "number"), on="session", how="left", maintain_order="left")
    kept = keys.select(train_rows(label.name, view.as_of, chosen.stride).fill_null(False)).to_series()
    rows = panel.frame.filter(kept)
    meta = {
        "desk": plan["desk"],
        "as_of": view.as_of.isoformat(),
        "plan": digest(plan),
        "label": label.name,
        "horizon_sessions": label.horizon_sessions,
        "transform": "centred rank within the date",
        "train_rows": rows.height,
        "train_first": str(rows["session"].min()),
        "train_last": str(rows["session"].max()),
    }

    def final(model: Model) -> Candidate:
        given = chosen.parameters.get(model.name, {})
        parameters = {**model.settings, **given}
        if model.name in walked.abstained:
            return Candidate(model.name, None, None, parameters, walked.abstained[model.name])
        target = folder / model.name
        if target.exists():
            load_model(target)
            return Candidate(model.name, target, manifest_digest(target), parameters)
        fitted = fit(model, rows.select(panel.features), rows[label.name].to_numpy(), given)
        named = FittedModel(fitted.name, fitted.features, fitted.predictor, fitted.handles_missing, meta)
        return Candidate(model.name, target, save_model(named, target), parameters)

    tasks = [(model,) for model in models]
    return tuple(in_parallel(final, tasks, chosen.jobs, progress, lambda task: f"{task[0].name}, final"))


def register(tracker: Tracker, training: Training, models: Path) -> TrainingRecord:
    """Put a training into the tracker: folders relative to `models`, each metric with its n, interval and tries.

    ``base_rate`` is the mean rank IC of no skill, 0.
    """
    choice = training.choice
    common = {"tries": float(choice.tries), "base_rate": 0.0, "block_sessions": float(choice.block_sessions)}
    measured = ("mean_rank_ic", "lower", "upper", "statistic", "p_value", "dates")
    evidence = {row["candidate"]: row for row in choice.evidence.iter_rows(named=True)}
    candidates = [
        Trained(
            name=each.name,
            folder=each.folder.relative_to(models).as_posix() if each.folder is not None else None,
            manifest_hash=each.manifest_hash,
            params=each.parameters,
            metrics={**{name: evidence[each.name][name] for name in measured}, **common},
            why=each.abstains or "",
        )
        for each in training.candidates
    ]
    return tracker.register(
        training.desk,
        training.as_of,
        training.plan,
        candidates,
        choice.champion,
        why=" ".join(choice.why),
        metrics={**common, "dates": float(choice.dates), "critical": choice.critical},
        params={"label": training.label, "recipe": training.recipe, "features": len(training.features)},
    )
