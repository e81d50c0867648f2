"""One training: panel, walk-forward, champion, final fits."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from openbell.core.declare import Feature, Label, Model
from openbell.core.errors import BadInput
from openbell.core.hashing import digest
from openbell.core.types import Panel
from openbell.core.view import View
from openbell.research.candidates import Candidate, final_fits, write_plan
from openbell.research.champion import Choice, choose, rank_ics
from openbell.research.dataset import decision_sessions, ranked_panel
from openbell.research.fitting import fingerprint
from openbell.research.folds import Fold, folds_over
from openbell.research.panel import Progress
from openbell.research.walkforward import Members, record_candidates, walk_forward
from openbell.store.tracker import Tracker, Trained, TrainingRecord

if TYPE_CHECKING:
    from openbell.store.trials import Trials


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
    ledger: Trials,
    benchmark: str | None = None,
    members: Members | None = None,
    progress: Progress | None = None,
) -> Training:
    """Walk all candidates forward, choose the champion, fit each on everything known at ``view.as_of``, save them.

    Parameters
    ----------
    features, label, models : declarations. A feature without a single value in the panel is left out, with a note.
    folder : where models are saved, under ``<plan>/<candidate>``. cache : where finished folds are kept, so that a
        training that was stopped goes on where it was.
    ledger : of trials; every candidate is counted there before it is fitted. members : by composite candidate.
    """
    chosen = settings or TrainSettings()
    _known_candidates(chosen, models)
    dated = _decisions(view, chosen)
    folds = folds_over(
        dated, folds=chosen.folds, min_train_sessions=chosen.min_train_sessions, train_sessions=chosen.train_sessions
    )
    panel = _panel(view, features, label, dated, folds[0], universe, chosen, benchmark, progress)
    made_of = members or {}
    plan = _plan(desk, view, panel, label, folds, models, chosen, made_of)
    if cache is not None:
        write_plan(cache, plan)
    record_candidates(ledger, desk, view.as_of, panel.recipe, models, chosen.parameters, made_of)
    walked = walk_forward(
        panel,
        label.name,
        folds,
        models,
        ledger=ledger,
        members=made_of,
        numbers=dict(dated.select("session", "number").iter_rows()),
        parameters=chosen.parameters,
        stride=chosen.stride,
        horizon_sessions=label.horizon_sessions,
        cache=cache,
        jobs=chosen.jobs,
        progress=progress,
    )
    ics = rank_ics(walked.scores, label.name, [model.name for model in models], min_names=chosen.min_names)
    choice = _choice(ics, label, chosen, walked.abstained)
    candidates = final_fits(
        panel,
        label,
        models,
        as_of=view.as_of,
        dated=dated,
        stride=chosen.stride,
        folder=folder / digest(plan),
        plan=plan,
        ledger=ledger,
        parameters=chosen.parameters,
        members=made_of,
        left_out=walked.abstained,
        jobs=chosen.jobs,
        progress=progress,
    )
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
        notes=(*panel.notes, _thinned(chosen, label.horizon_sessions)),
    )


def _decisions(view: View, chosen: TrainSettings) -> pl.DataFrame:
    return decision_sessions(
        view,
        warmup_sessions=chosen.warmup_sessions,
        history_years=chosen.history_years,
        lead_minutes=chosen.lead_minutes,
    )


def _panel(
    view: View,
    features: Sequence[Feature],
    label: Label,
    dated: pl.DataFrame,
    first: Fold,
    universe: str | None,
    chosen: TrainSettings,
    benchmark: str | None,
    progress: Progress | None,
) -> Panel:
    """Every session that is scored, one in `stride` of those before."""
    return ranked_panel(
        view,
        features,
        [label],
        dated,
        universe=universe,
        stride=chosen.stride,
        every_session_from=first.test_first,
        lead_minutes=chosen.lead_minutes,
        benchmark=benchmark,
        progress=progress,
    )


def _choice(ics: pl.DataFrame, label: Label, chosen: TrainSettings, abstained: Mapping[str, str]) -> Choice:
    return choose(
        ics,
        horizon=label.horizon_sessions,
        alpha=chosen.alpha,
        replications=chosen.replications,
        block_horizons=chosen.block_horizons,
        seed=chosen.seed,
        abstained=abstained,
    )


def _thinned(chosen: TrainSettings, horizon_sessions: int) -> str:
    shared = chosen.stride < horizon_sessions
    weighed = " Labels that overlap weigh what is their own of the sessions that they share." if shared else ""
    if chosen.stride == 1:
        return f"Models are trained on every decision session and scored on every one.{weighed}"
    return (
        f"Models are trained on one decision session in {chosen.stride}, because neighbouring labels overlap; "
        f"every session is scored.{weighed}"
    )


def _known_candidates(chosen: TrainSettings, models: Sequence[Model]) -> None:
    if not models:
        raise BadInput("There is no candidate to train. Name at least one model.")
    strangers = sorted(set(chosen.parameters) - {model.name for model in models})
    if strangers:
        raise BadInput(f"There are parameters for `{strangers[0]}`, which is not a candidate of this training.")


def _plan(
    desk: str,
    view: View,
    panel: Panel,
    label: Label,
    folds: Sequence[Fold],
    models: Sequence[Model],
    chosen: TrainSettings,
    members: Members,
) -> dict[str, Any]:
    """Everything that is fixed before the first fit."""
    settings = {name: value for name, value in asdict(chosen).items() if name not in ("jobs", "parameters")}
    return {
        "desk": desk,
        "as_of": view.as_of,
        "recipe": panel.recipe,
        "features": panel.features,
        "label": label.name,
        "candidates": {
            model.name: fingerprint(model, chosen.parameters.get(model.name, {}), members.get(model.name, ()))
            for model in models
        },
        "parameters": chosen.parameters,
        "folds": [asdict(fold) for fold in folds],
        "settings": settings,
    }


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
