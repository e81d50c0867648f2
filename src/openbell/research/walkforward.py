"""Out-of-sample scores: each segment of time is scored by models that were fitted on what was known before it."""

from __future__ import annotations

import datetime as dt
import os
import tempfile
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import polars as pl
from joblib import Parallel, delayed
from threadpoolctl import threadpool_limits

from openbell.core.declare import Model
from openbell.core.errors import BadInput, FeatureUnavailable, IntegrityBroken, Refused, StorageFailed
from openbell.core.hashing import digest
from openbell.core.types import Panel
from openbell.research.fitting import fingerprint, fit
from openbell.research.folds import Fold, check_fold, train_rows
from openbell.research.weights import label_weights
from openbell.store.artifacts import FittedModel

if TYPE_CHECKING:
    from openbell.store.trials import Trials

Progress = Callable[[int, int, str], None]
Parameters = Mapping[str, Mapping[str, Any]]
#: By the name of a composite model: each member with its parameters.
Members = Mapping[str, Sequence[tuple[Model, Mapping[str, Any]]]]


#: Scores of a blend, shape (n,), from those of its members, shape (k, n).
Combine = Callable[[np.ndarray], np.ndarray]


class Examine(Protocol):
    """What is looked at in each fitted model on its own test rows; `name` enters the hash of what is kept."""

    name: str

    def __call__(self, model: Model, fitted: FittedModel, features: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
        """`rows` are ``session``, ``symbol`` and the label of each row of `features`."""
        ...


_FOLD_FIELDS = tuple(each.name for each in fields(Fold))


@dataclass(frozen=True, slots=True, eq=False)
class WalkForward:
    """Out-of-sample scores of every candidate.

    Attributes
    ----------
    scores : ``session``, ``as_of``, ``symbol``, the label, and one Float64 column per candidate (null where it
        abstained); sorted by (session, symbol).
    folds : one row per fold: ``fold``, ``fit_at``, ``train_first``, ``train_last``, ``train_rows``, ``train_dates``,
        ``last_label_known_at``, ``test_first``, ``test_last``, ``test_rows``.
    abstained : why a candidate has no scores in one fold or more, by candidate. failed : why it has none at all,
        because a fold raised.
    examined : one row per thing that `examine` found, with ``model`` and ``fold``; None where nothing was asked.
    """

    scores: pl.DataFrame
    folds: pl.DataFrame
    abstained: Mapping[str, str]
    failed: Mapping[str, str] = field(default_factory=dict)
    examined: pl.DataFrame | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """A fold of a candidate that raised."""

    fold: int
    why: str


def record_candidates(
    ledger: Trials,
    desk: str,
    at: dt.datetime,
    recipe: str,
    models: Sequence[Model],
    parameters: Parameters,
    members: Members,
) -> int:
    """Count each configuration in the ledger before it is fitted; gives how many were new."""
    from openbell.store.trials import Trial

    return ledger.record(
        [
            Trial(
                desk=desk,
                kind="candidate",
                name=model.name,
                fingerprint=fingerprint(model, parameters.get(model.name, {}), members.get(model.name, ())),
                data=recipe,
                parameters={**model.settings, **parameters.get(model.name, {})},
            )
            for model in models
        ],
        at=at,
    )


def walk_forward(
    panel: Panel,
    label: str,
    folds: Sequence[Fold],
    models: Sequence[Model],
    *,
    ledger: Container[str],
    numbers: Mapping[dt.date, int],
    parameters: Parameters | None = None,
    members: Members | None = None,
    stride: int = 1,
    horizon_sessions: int = 1,
    keep_going: bool = False,
    examine: Examine | None = None,
    cache: Path | None = None,
    jobs: int = 2,
    progress: Progress | None = None,
) -> WalkForward:
    """Score every decision of every fold with every candidate, fitted on what was known at the fold's `fit_at`.

    Parameters
    ----------
    panel : features as the models are to see them (see `panel.ranked`), with `label`.
    ledger : of trials; a configuration that is not counted there is not fitted.
    numbers : number of each session on the calendar, which `stride` counts.
    parameters : by candidate, over its defaults. members : by candidate, the models it is made of.
    stride : training takes one decision session in `stride`; scores are given for all, and a sequence that ends on any
        of them is made of rows that many sessions apart. horizon_sessions : of the label; where it is more than the
        stride, neighbouring labels overlap, and a row weighs what is its own (`weights.label_weights`).
    keep_going : a candidate whose fold raises is left out with the reason (`failed`), and the others go on.
    examine : called with the fitted model and its test rows, unless it reads sequences; what it finds is kept in
        `examined`.
    cache : folder where the scores of each (candidate, fold) are kept under their content hash, so that a run that
        was stopped goes on where it was. jobs : threads.

    Raises
    ------
    LeakFound
        From `check_fold`, before anything is fitted.
    """
    number = pl.DataFrame(
        {"session": list(numbers), "number": list(numbers.values())}, schema={"session": pl.Date, "number": pl.Int64}
    )
    keys = panel.frame.select("session", "as_of", "symbol", label, f"{label}_known_at").join(
        number, on="session", how="left", maintain_order="left"
    )
    rows = [_fold_rows(keys, label, fold, stride) for fold in folds]
    table = pl.DataFrame([_described(keys, label, fold, *each) for fold, each in zip(folds, rows, strict=True)])
    fixed = (panel, label, stride, horizon_sessions, keys, ledger)
    work = _Work(*fixed, parameters or {}, members or {}, keep_going, examine, cache)
    blends = _blends(models, work.parameters, work.members)
    tasks = [
        (model, fold, *each)
        for fold, each in zip(folds, rows, strict=True)
        for model in models
        if model.name not in blends
    ]
    results = in_parallel(work.score, tasks, jobs, progress, lambda task: f"{task[0].name}, fold {task[1].number}")
    scored = {(task[0].name, task[1].number): result for task, result in zip(tasks, results, strict=True)}
    for name, combine in blends.items():
        made_of = [each.name for each, _ in work.members[name]]
        for fold in folds:
            scored[name, fold.number] = _blended(combine, [scored[each, fold.number] for each in made_of])
    by_model = {model.name: [scored[model.name, fold.number] for fold in folds] for model in models}
    tests = [test for _, test in rows]
    columns = [
        pl.Series(name, np.concatenate([_or_missing(each, len(test)) for each, test in zip(own, tests, strict=True)]))
        for name, own in by_model.items()
    ]
    scores = keys[np.concatenate(tests)].select("session", "as_of", "symbol", label)
    failed = {name: next((each for each in own if isinstance(each, Failure)), None) for name, own in by_model.items()}
    failed = {name: f"Fold {each.fold}: {each.why}" for name, each in failed.items() if each is not None}
    reasons = {name: [each for each in own if isinstance(each, str)] for name, own in by_model.items()}
    columns = [column if column.name not in failed else column * np.nan for column in columns]
    return WalkForward(
        scores=scores.with_columns(column.fill_nan(None) for column in columns).sort("session", "symbol"),
        folds=table,
        abstained={name: each[0] for name, each in reasons.items() if each},
        failed=failed,
        examined=work.examined(tasks, failed),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Work:
    """What every (candidate, fold) is scored with."""

    panel: Panel
    label: str
    stride: int
    horizon_sessions: int
    keys: pl.DataFrame
    ledger: Container[str]
    parameters: Parameters
    members: Members
    keep_going: bool
    examine: Examine | None
    cache: Path | None
    found: dict[tuple[str, int], pl.DataFrame] = field(default_factory=dict)

    def score(self, model: Model, fold: Fold, train: np.ndarray, test: np.ndarray) -> np.ndarray | str | Failure:
        """Scores of the test rows; the reason where the model abstains or, if told to go on, raises."""
        path, seen = self._paths(model, fold)
        if path is not None and path.exists() and (seen is None or seen.exists()):
            if seen is not None:
                self.found[model.name, fold.number] = pl.read_parquet(seen)
            return _read(path, len(test))
        try:
            fitted = self._fitted(model, train)
            scores = self._scores(model, fitted, test)
            examine = self._examine_of(model)
            if examine is not None:
                self._look_at(examine, model, fold, fitted, test, seen)
        except FeatureUnavailable as reason:
            return str(reason)
        except (Refused, StorageFailed, IntegrityBroken):
            raise
        except Exception as failure:
            if not self.keep_going:
                raise
            return Failure(fold.number, f"{type(failure).__name__}: {failure}")
        if path is not None:
            write_whole(path, pl.DataFrame({"score": scores}))
        return scores

    def _paths(self, model: Model, fold: Fold) -> tuple[Path | None, Path | None]:
        """Where the scores are kept, and where what was examined."""
        if self.cache is None:
            return None, None
        print_ = fingerprint(model, self._given(model), self.members.get(model.name, ()))
        rows = (self.panel.recipe, self.label, self.stride, self.horizon_sessions)
        made_of = [*rows, print_, *(getattr(fold, each) for each in _FOLD_FIELDS)]
        path = self.cache / f"{digest(made_of)}.parquet"
        examine = self._examine_of(model)
        return path, self.cache / f"{digest([made_of, examine.name])}.parquet" if examine is not None else None

    def _examine_of(self, model: Model) -> Examine | None:
        """What looks at its fits; nothing at those that read sequences, which say nothing of test rows alone."""
        return None if self._sequential(model) else self.examine

    def _sequential(self, model: Model) -> bool:
        return model.sequential or any(each.sequential for each, _ in self.members.get(model.name, ()))

    def _given(self, model: Model) -> Mapping[str, Any]:
        return self.parameters.get(model.name, {})

    def _fitted(self, model: Model, train: np.ndarray) -> FittedModel:
        return fit(
            model,
            self.panel.frame.select(self.panel.features)[train],
            self.keys[self.label].gather(train).cast(pl.Float64).to_numpy(),
            self._given(model),
            ledger=self.ledger,
            sample_weight=label_weights(self.keys[train], self.horizon_sessions, stride=self.stride),
            keys=self._ordering(train),
            members=self.members.get(model.name, ()),
        )

    def _ordering(self, rows: np.ndarray) -> pl.DataFrame:
        """What orders rows, and when each label was known: inner folds are purged by it."""
        known_at = pl.col(f"{self.label}_known_at").alias("known_at")
        return self.keys[rows].select("session", "symbol", known_at)

    def _scores(self, model: Model, fitted: FittedModel, test: np.ndarray) -> np.ndarray:
        features = self.panel.frame.select(self.panel.features)
        if not self._sequential(model):
            return fitted.predict(_slice(features, test))
        scores, number = np.full(len(test), np.nan), self.keys["number"].to_numpy()
        for phase in np.unique(number[test] % self.stride):
            # A sequence reaches back before the segment: to features known then, never to labels.
            rows = _sequence_rows(number[: test[-1] + 1], self.stride, phase)
            said = fitted.predict(features[rows], keys=self.keys[rows].select("session", "symbol"))
            asked = number[test] % self.stride == phase
            scores[asked] = said[np.searchsorted(rows, test[asked])]
        return scores

    def _look_at(
        self, examine: Examine, model: Model, fold: Fold, fitted: FittedModel, test: np.ndarray, path: Path | None
    ) -> None:
        rows = self.keys[test].select("session", "symbol", self.label)
        found = examine(model, fitted, _slice(self.panel.frame.select(self.panel.features), test), rows)
        self.found[model.name, fold.number] = found
        if path is not None:
            write_whole(path, found)

    def examined(self, tasks: Sequence[tuple[Any, ...]], failed: Mapping[str, str]) -> pl.DataFrame | None:
        """Everything that was found, in the order of the tasks."""
        frames = [
            self.found[model.name, fold.number].with_columns(
                pl.lit(model.name).alias("model"), pl.lit(fold.number).alias("fold")
            )
            for model, fold, *_ in tasks
            if (model.name, fold.number) in self.found and model.name not in failed
        ]
        return pl.concat(frames) if frames else None


def _blends(models: Sequence[Model], parameters: Parameters, members: Members) -> dict[str, Combine]:
    """How the blends are made whose members all meet with the very parameters they have in them: no fit is needed."""
    met = {model.name: dict(parameters.get(model.name, {})) for model in models}
    found = {}
    for model in models:
        made_of = members.get(model.name, ())
        if made_of and all(met.get(each.name) == dict(own) for each, own in made_of):
            names = [(each.name, None) for each, _ in made_of]
            combine = getattr(model.build(**parameters.get(model.name, {}), members=names), "combine", None)
            if combine is not None and model.task == "regression":
                found[model.name] = combine
    return found


def _blended(combine: Combine, scored: Sequence[np.ndarray | str | Failure]) -> np.ndarray | str | Failure:
    """The blend of the members' scores; where one has none, its reason is the blend's."""
    missing = [each for each in scored if not isinstance(each, np.ndarray)]
    return missing[0] if missing else combine(np.stack([each for each in scored if isinstance(each, np.ndarray)]))


def _sequence_rows(number: np.ndarray, stride: int, phase: int) -> np.ndarray:
    """Rows that sequences are made of which end on sessions of `phase`: `stride` sessions apart, as in the training.

    `number` is that of each row's session. Where the panel begins with the sessions of the training alone, those stand
    in for the ones before the first of `phase`.
    """
    own = number % stride == phase
    return np.flatnonzero(own | ((number % stride == 0) & (number <= number[own].min() - stride)))


def _slice(frame: pl.DataFrame, rows: np.ndarray) -> pl.DataFrame:
    """Rows of `frame`, without a copy where they stand together, as those of a segment of a sorted panel do."""
    first, last = int(rows[0]), int(rows[-1])
    return frame[first : last + 1] if last - first + 1 == len(rows) else frame[rows]


def _or_missing(scores: np.ndarray | str | Failure, rows: int) -> np.ndarray:
    return scores if isinstance(scores, np.ndarray) else np.full(rows, np.nan)


def _fold_rows(keys: pl.DataFrame, label: str, fold: Fold, stride: int) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers of training and test, after the fold was checked."""
    kept = train_rows(label, fold.fit_at, stride, fold.train_first).fill_null(False)
    train = keys.select(kept.arg_true()).to_series()
    test = keys.select(pl.col("session").is_between(fold.test_first, fold.test_last).arg_true()).to_series()
    known = pl.col(f"{label}_known_at").alias("label_known_at")
    check_fold(keys[train].select("session", "as_of", known), keys[test].select("session", "as_of"), fold.fit_at)
    if train.is_empty() or test.is_empty():
        raise BadInput(
            f"Fold {fold.number} ({fold.test_first} to {fold.test_last}) has {len(train)} rows to train on and "
            f"{len(test)} to score. Give a longer history."
        )
    return train.to_numpy(), test.to_numpy()


def _described(keys: pl.DataFrame, label: str, fold: Fold, train: np.ndarray, test: np.ndarray) -> dict[str, Any]:
    trained = keys[train]
    return {
        "fold": fold.number,
        "fit_at": fold.fit_at,
        "train_first": trained["session"].min(),
        "train_last": trained["session"].max(),
        "train_rows": len(train),
        "train_dates": trained["session"].n_unique(),
        "last_label_known_at": trained[f"{label}_known_at"].max(),
        "test_first": fold.test_first,
        "test_last": fold.test_last,
        "test_rows": len(test),
    }


def in_parallel(
    work: Callable[..., Any],
    tasks: Sequence[tuple[Any, ...]],
    jobs: int,
    progress: Progress | None,
    said: Callable[[tuple[Any, ...]], str],
) -> list[Any]:
    """Results in the order of `tasks`; threads, because the libraries let go of the interpreter while they fit."""
    results: list[Any] = []
    with threadpool_limits(limits=1):
        stream = Parallel(n_jobs=jobs, prefer="threads", return_as="generator")(delayed(work)(*task) for task in tasks)
        for task, result in zip(tasks, stream, strict=True):
            results.append(result)
            if progress is not None:
                progress(len(results), len(tasks), said(task))
    return results


def write_whole(path: Path, frame: pl.DataFrame) -> None:
    """Write to a draft, then rename: a reader sees all of it or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, draft = tempfile.mkstemp(prefix=".", suffix=".draft", dir=path.parent)
    os.close(handle)
    try:
        frame.write_parquet(draft)
        os.replace(draft, path)
    finally:
        Path(draft).unlink(missing_ok=True)


def _read(path: Path, rows: int) -> np.ndarray:
    scores = pl.read_parquet(path)["score"].to_numpy()
    if len(scores) != rows:
        raise BadInput(f"The cached scores {path} have {len(scores)} rows instead of {rows}. Delete the file.")
    return np.asarray(scores, dtype=np.float64)
