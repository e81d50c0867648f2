"""Parameters chosen inside the training window: every trial counted, the defaults the first, the test never seen."""

from __future__ import annotations

import datetime as dt
import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from openbell.core.declare import Model
from openbell.core.errors import BadInput, IntegrityBroken, Refused, StorageFailed, unknown
from openbell.core.hashing import canonical_json, digest, frame_digest
from openbell.research.fitting import Members, fingerprint, fit
from openbell.research.inner import Fit, InnerFold, TrainingRows, fold_prediction, fold_values, inner_folds

if TYPE_CHECKING:
    from openbell.store.trials import Trials

Progress = Callable[[int, int, str], None]
#: A thinned fold keeps at least this many training sessions; where the budget asks for fewer, trials are left out.
FEWEST_SESSIONS = 20
#: Errors that are not the trial's own: they stop the search.
_NOT_THE_TRIALS = (Refused, IntegrityBroken, StorageFailed)
_TRIALS = {"trial": pl.Int64, "value": pl.Float64, "state": pl.String, "parameters": pl.String, "why": pl.String}


@dataclass(frozen=True, slots=True, eq=False)
class Tuned:
    """What a search found.

    Attributes
    ----------
    parameters : of the best trial, over the model's defaults; empty where the defaults were best.
    value : of the best trial: mean per-date rank IC over the inner folds, or minus the log-loss per row.
    default_value : of the defaults on the same folds and rows; None where their trial failed.
    gain : value less default_value, never negative. It is the largest of many on the same rows, so out of sample it is
        smaller, and often nothing.
    trials : one row per finished trial: ``trial`` (0 are the defaults), ``value`` (null unless complete), ``state``
        (``complete``, ``pruned``, ``failed``), ``parameters`` (canonical JSON, over the defaults), ``why`` (it failed).
    rows_used, rows_all : training rows of one trial, summed over the folds, as thinned and in all.
    stopped_by : ``trials`` or ``time``. interrupted : trials of stopped runs that never finished (the ledger has them).
    notes : sentences.
    """

    parameters: Mapping[str, Any]
    value: float
    default_value: float | None
    gain: float | None
    trials: pl.DataFrame
    rows_used: int
    rows_all: int
    stopped_by: str
    interrupted: int = 0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TuningSettings:
    """How a search is held.

    Attributes
    ----------
    trials : finished ones, the defaults included. folds : inner folds. seed : of the sampler.
    pruner : ``median``, ``hyperband`` or ``none``. time_budget_seconds : None does not look at the clock.
    """

    trials: int = 100
    folds: int = 4
    seed: int = 0
    pruner: str = "median"
    time_budget_seconds: float | None = None

    def __post_init__(self) -> None:
        if self.trials < 1 or self.folds < 1:
            raise BadInput(f"A search needs at least one trial and one fold; was {self.trials} and {self.folds}.")
        if self.pruner not in ("median", "hyperband", "none"):
            raise unknown("pruner", self.pruner, ("median", "hyperband", "none"))
        if self.time_budget_seconds is not None and not self.time_budget_seconds > 0:
            raise BadInput(f"`time_budget_seconds` must be above 0; was {self.time_budget_seconds}.")


def tune(
    model: Model,
    rows: TrainingRows,
    *,
    fit_at: dt.datetime,
    ledger: Trials,
    desk: str,
    data: str,
    at: dt.datetime,
    now: Callable[[], float],
    settings: TuningSettings | None = None,
    parameters: Mapping[str, Any] | None = None,
    members: Members = (),
    cache: Path | None = None,
    fit: Fit = fit,
    progress: Progress | None = None,
) -> Tuned:
    """Search the declared space of `model` with TPE, judged on expanding inner folds of the training window.

    Parameters
    ----------
    rows : of the training window; every label must have been known at `fit_at`, the moment of the outer fit.
    ledger, desk, data, at : every trial is recorded, with this recipe hash and moment, before its first fit.
    now : a clock in seconds; only its differences are used, and only with a time budget.
    parameters : held fixed under what is searched; they and the defaults are trial 0. members : of a composite.
    cache : folder of the study's journal. The same search again goes on where it was killed: finished trials are kept,
        the one under way is tried anew. One process at a time may hold a search.
    fit : a callable like `fitting.fit`.

    Returns
    -------
    Tuned
        Equal for equal arguments, resumed or not: the sampler is seeded anew for each trial from `seed` and the number
        of finished ones. Not so with a time budget, which depends on the machine, nor, across a resumption, with
        ``hyperband``, whose brackets depend on the interrupted trials too.

    Raises
    ------
    LeakFound
        Where a label was not known at `fit_at`.
    BadInput
        Where the model declares no search space, the window is too short, or every trial failed.
    """
    chosen, base = settings or TuningSettings(), dict(parameters or {})
    if not model.search:
        raise BadInput(f"The model `{model.name}` declares no search space; there is nothing to tune.")
    for name, space in model.search.items():
        _distribution(name, space)
    rows.check_known(fit_at)
    search = _Search(model, rows, base, members, ledger, desk, data, at, fit, inner_folds(rows.keys, chosen.folds))
    study = _study(search, chosen, cache)
    interrupted = _close_interrupted(study)
    started = now()
    if "one_in" not in study.user_attrs:
        one_in, why = _thinning(search, chosen, now)
        study.set_user_attr("why", why)
        study.set_user_attr("one_in", one_in)
    every = sum(len(fold.train) for fold in search.folds)
    search = search.thinned(study.user_attrs["one_in"])
    search.record([json.loads(each.user_attrs["parameters"]) for each in _finished(study)])
    stopped_by = _run(search, study, chosen, lambda: now() - started, progress)
    used = sum(len(fold.train) for fold in search.folds)
    return _tuned(search, study, stopped_by, used, every, interrupted)


@dataclass(frozen=True, slots=True, eq=False)
class _Search:
    """A model, its rows and all that one trial needs."""

    model: Model
    rows: TrainingRows
    base: Mapping[str, Any]
    members: Members
    ledger: Trials
    desk: str
    data: str
    at: dt.datetime
    fit: Fit
    folds: tuple[InnerFold, ...]

    @property
    def name(self) -> str:
        """Hash of everything that decides what the search finds, but for how many trials it has."""
        return digest(
            [
                fingerprint(self.model, self.base, self.members),
                self.model.search,
                self.data,
                frame_digest(self.rows.keys),
                frame_digest(pl.DataFrame({"target": self.rows.target})),
                None if self.rows.sample_weight is None else frame_digest(pl.DataFrame({"w": self.rows.sample_weight})),
                [fold.fit_at for fold in self.folds],
            ]
        )

    def record(self, tried: Sequence[Mapping[str, Any]]) -> None:
        """Count each of these parameters (over the base) in the ledger."""
        from openbell.store.trials import Trial

        self.ledger.record(
            [
                Trial(
                    desk=self.desk,
                    kind="tuning",
                    name=self.model.name,
                    fingerprint=fingerprint(self.model, {**self.base, **each}, self.members),
                    data=self.data,
                    parameters={**self.model.settings, **self.base, **each},
                )
                for each in tried
            ],
            at=self.at,
        )

    def fold_value(self, fold: InnerFold, parameters: Mapping[str, Any]) -> tuple[float, int]:
        """Sum of the values of one fold under `parameters` (over the base), and how many they are."""
        given = {**self.base, **parameters}
        said, classes = fold_prediction(
            self.model, self.rows, fold, given, ledger=self.ledger, members=self.members, fit=self.fit
        )
        return fold_values(self.model, self.rows, fold, said, classes)

    def thinned(self, one_in: int) -> _Search:
        """The search with training on one session in `one_in`, counted from the window's last.

        A sequential model reads rows in a row: it keeps the latest part of every fold's sessions instead.
        """
        if one_in == 1:
            return self
        number = self.rows.keys["session"].rank("dense").cast(pl.Int64).to_numpy()

        def kept(train: np.ndarray) -> np.ndarray:
            if not self.model.sequential:
                return train[(number.max() - number[train]) % one_in == 0]
            there = np.unique(number[train])
            return train[number[train] >= there[-math.ceil(len(there) / one_in)]]

        return replace(self, folds=tuple(replace(fold, train=kept(fold.train)) for fold in self.folds))


def _study(search: _Search, chosen: TuningSettings, cache: Path | None) -> Any:
    """The study of this search, with whatever trials it already has."""
    import optuna
    from optuna.storages import InMemoryStorage, JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    name = digest([search.name, chosen.seed, chosen.pruner, chosen.time_budget_seconds is not None])
    storage: Any = InMemoryStorage()
    if cache is not None:
        path = cache / f"{search.model.name}-{name[:16]}.journal"
        path.parent.mkdir(parents=True, exist_ok=True)
        _mend(path)
        storage = JournalStorage(JournalFileBackend(str(path)))
    pruners = {
        "median": lambda: optuna.pruners.MedianPruner(n_startup_trials=5),
        "hyperband": lambda: optuna.pruners.HyperbandPruner(min_resource=1, max_resource=len(search.folds)),
        "none": optuna.pruners.NopPruner,
    }
    return optuna.create_study(
        storage=storage, study_name=name, direction="maximize", pruner=pruners[chosen.pruner](), load_if_exists=True
    )


def _mend(path: Path) -> None:
    """Cut off a last line that a killed run left half-written; the next line would be glued to it."""
    if not path.exists():
        return
    whole = path.read_bytes().rfind(b"\n") + 1
    if whole < path.stat().st_size:
        os.truncate(path, whole)


def _close_interrupted(study: Any) -> int:
    """Mark the trials that a killed run left under way as failed; they are known by having no verdict of ours."""
    from optuna.trial import TrialState

    for each in study.get_trials(deepcopy=False, states=(TrialState.RUNNING, TrialState.WAITING)):
        study._storage.set_trial_state_values(each._trial_id, state=TrialState.FAIL)
    return len(study.trials) - len(_finished(study))


def _finished(study: Any) -> list[Any]:
    """Trials that ran to a verdict, in order; interrupted ones have none."""
    return [each for each in study.trials if each.state.is_finished() and "verdict" in each.user_attrs]


def _thinning(search: _Search, chosen: TuningSettings, now: Callable[[], float]) -> tuple[int, str]:
    """Which one training session in how many is used, so that the trials fit the time budget; and why, in a sentence.

    The defaults are fitted on the first fold, which is the cheapest; time is taken to grow with the rows.
    """
    budget = chosen.time_budget_seconds
    if budget is None:
        return 1, ""
    first = search.folds[0]
    search.record([{}])
    begun = now()
    try:
        search.fold_value(first, {})
    except _NOT_THE_TRIALS:
        raise
    except Exception as failure:
        return 1, f"The time of a trial could not be measured: the defaults of {search.model.name} failed: {failure}"
    seconds, rows = now() - begun, sum(len(fold.train) for fold in search.folds)
    projected = seconds / len(first.train) * rows * chosen.trials
    sessions = search.rows.keys["session"][first.train].n_unique()
    one_in = min(max(math.ceil(projected / budget), 1), max(sessions // FEWEST_SESSIONS, 1))
    if one_in == 1:
        return 1, ""
    return one_in, (
        f"{chosen.trials} trials of {search.model.name} on all sessions would take about {projected:.0f} s; the time "
        f"budget is {budget:.0f} s, so a trial is trained on one session in {one_in}."
    )


def _run(
    search: _Search, study: Any, chosen: TuningSettings, elapsed: Callable[[], float], progress: Progress | None
) -> str:
    """Trials until there are enough or the time is over (never less than one); says which."""
    from optuna.samplers import TPESampler

    done = len(_finished(study))
    while done < chosen.trials:
        if done and chosen.time_budget_seconds is not None and elapsed() >= chosen.time_budget_seconds:
            return "time"
        if done == 0:
            _try_defaults(search, study)
        else:
            study.sampler = TPESampler(seed=int(digest([chosen.seed, done])[:8], 16))
            _try(search, study)
        done += 1
        if progress is not None:
            progress(done, chosen.trials, f"tuning {search.model.name}")
    return "trials"


def _try_defaults(search: _Search, study: Any) -> None:
    """Trial 0: the defaults, never pruned; written only when it is finished."""
    import optuna

    search.record([{}])
    steps: dict[int, float] = {}
    failed = _outcome(search, {}, lambda step, value: steps.update({step: value}) or False)
    inside = _inside(search.model.search, {**search.model.settings, **search.base})
    attributes = {"parameters": "{}", "verdict": "failed" if failed else "complete", "failed": failed or ""}
    study.add_trial(
        optuna.create_trial(
            state=optuna.trial.TrialState.FAIL if failed else optuna.trial.TrialState.COMPLETE,
            value=None if failed else steps[len(search.folds) - 1],
            params=inside,
            distributions={name: _distribution(name, search.model.search[name]) for name in inside},
            intermediate_values=steps,
            user_attrs=attributes,
        )
    )


def _try(search: _Search, study: Any) -> None:
    """One trial of what the sampler proposes."""
    from optuna.trial import TrialState

    trial = study.ask({name: _distribution(name, space) for name, space in search.model.search.items()})
    parameters = {name: _decoded(search.model.search[name], value) for name, value in trial.params.items()}
    trial.set_user_attr("parameters", canonical_json(parameters))
    search.record([parameters])
    last: list[float] = []

    def report(step: int, value: float) -> bool:
        last.append(value)
        trial.report(value, step)
        return step < len(search.folds) - 1 and trial.should_prune()

    failed = _outcome(search, parameters, report)
    pruned = failed is None and len(last) < len(search.folds)
    trial.set_user_attr("failed", failed or "")
    trial.set_user_attr("verdict", "failed" if failed else "pruned" if pruned else "complete")
    if failed or pruned:
        study.tell(trial, state=TrialState.FAIL if failed else TrialState.PRUNED)
    else:
        study.tell(trial, last[-1])


def _outcome(search: _Search, parameters: Mapping[str, Any], report: Callable[[int, float], bool]) -> str | None:
    """Report the mean over the folds so far after each; stop where that says so. The reason, if the trial failed."""
    total, count = 0.0, 0
    try:
        for step, fold in enumerate(search.folds):
            summed, n = search.fold_value(fold, parameters)
            total, count = total + summed, count + n
            if not count or not math.isfinite(total):
                raise BadInput(f"Nothing in the inner fold {fold.number} can be judged: {count} dates, sum {total}.")
            if report(step, total / count):
                break
    except _NOT_THE_TRIALS:
        raise
    except Exception as failure:
        return f"{type(failure).__name__}: {failure}"
    return None


def _distribution(name: str, space: Mapping[str, Any]) -> Any:
    """The declared space as Optuna's distribution; of choices it is their position."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    strange = sorted(set(space) - {"low", "high", "log", "step", "choices"})
    if strange or ("choices" in space) == ("low" in space) or ("low" in space) != ("high" in space):
        raise BadInput(
            f"The search space of `{name}` must be low and high (with log or step) or choices; was {dict(space)}."
        )
    if "choices" in space:
        return CategoricalDistribution(tuple(range(len(space["choices"]))))
    low, high, log = space["low"], space["high"], bool(space.get("log", False))
    if isinstance(low, int) and isinstance(high, int):
        return IntDistribution(low, high, log=log, step=space.get("step", 1))
    return FloatDistribution(low, high, log=log, step=space.get("step"))


def _decoded(space: Mapping[str, Any], value: Any) -> Any:
    return space["choices"][value] if "choices" in space else value


def _inside(search: Mapping[str, Mapping[str, Any]], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the defaults that the sampler can learn from: inside their space, in the sampler's own terms."""
    found = {}
    for name, space in search.items():
        value = defaults.get(name)
        if "choices" in space:
            found |= {name: space["choices"].index(value)} if value in space["choices"] else {}
        elif isinstance(value, (int, float)) and space["low"] <= value <= space["high"]:
            on_grid = not math.remainder(value - space["low"], space["step"]) if "step" in space else True
            found |= {name: value} if on_grid else {}
    return found


def _tuned(search: _Search, study: Any, stopped_by: str, used: int, every: int, interrupted: int) -> Tuned:
    finished = _finished(study)
    table = pl.DataFrame(
        [
            {
                "trial": at,
                "value": each.value if each.user_attrs["verdict"] == "complete" else None,
                "state": each.user_attrs["verdict"],
                "parameters": each.user_attrs["parameters"],
                "why": each.user_attrs["failed"] or None,
            }
            for at, each in enumerate(finished)
        ],
        schema=_TRIALS,
    )
    complete = table.drop_nulls("value")
    if complete.is_empty():
        why = "; ".join(table["why"].drop_nulls().unique(maintain_order=True).head(3))
        raise BadInput(f"None of the {table.height} trials of `{search.model.name}` could be fitted: {why}")
    best = complete.sort("value", "trial", descending=[True, False]).row(0, named=True)
    default = table["value"][0]
    notes = [study.user_attrs["why"]] if study.user_attrs["why"] else []
    if interrupted:
        notes.append(f"{interrupted} trials of earlier, stopped runs never finished; the ledger counts them.")
    return Tuned(
        parameters=json.loads(best["parameters"]),
        value=best["value"],
        default_value=default,
        gain=None if default is None else best["value"] - default,
        trials=table,
        rows_used=used,
        rows_all=every,
        stopped_by=stopped_by,
        interrupted=interrupted,
        notes=tuple(notes),
    )
