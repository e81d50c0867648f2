"""Out-of-sample scores: each segment of time is scored by models that were fitted on what was known before it."""

from __future__ import annotations

import datetime as dt
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from joblib import Parallel, delayed
from threadpoolctl import threadpool_limits

from openbell.core.declare import Model
from openbell.core.errors import BadInput, FeatureUnavailable, LeakFound
from openbell.core.hashing import digest
from openbell.core.types import Panel
from openbell.research.fitting import fingerprint, fit

Progress = Callable[[int, int, str], None]
Parameters = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Fold:
    """One segment: fitted at `fit_at` on what was known then, scored on the decisions from `test_first` to `test_last`.

    `train_first` is the earliest decision session trained on; None takes all.
    """

    number: int
    fit_at: dt.datetime
    test_first: dt.date
    test_last: dt.date
    train_first: dt.date | None = None


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
    abstained : why a candidate has no scores, by candidate.
    """

    scores: pl.DataFrame
    folds: pl.DataFrame
    abstained: Mapping[str, str]


def folds_over(
    decisions: pl.DataFrame, *, folds: int, min_train_sessions: int, train_sessions: int | None = None
) -> tuple[Fold, ...]:
    """Cut the decisions after the first `min_train_sessions` into `folds` segments of equal length.

    Parameters
    ----------
    decisions : columns ``session``, ``as_of``, one row per decision session, without gaps.
    min_train_sessions : sessions before the first segment. train_sessions : a rolling window; None lets it expand.
    """
    dated = decisions.sort("session")
    rest = dated.height - min_train_sessions
    if folds < 1 or rest < folds:
        raise BadInput(
            f"{dated.height} decision sessions are too few for {folds} folds after {min_train_sessions} sessions of "
            "training. Give a longer history, or ask for fewer folds or a shorter first training."
        )
    edges = min_train_sessions + (np.arange(folds + 1) * rest) // folds
    sessions, moments = dated["session"].to_list(), dated["as_of"].to_list()
    return tuple(
        Fold(
            number=at + 1,
            fit_at=moments[start],
            test_first=sessions[start],
            test_last=sessions[end - 1],
            train_first=None if train_sessions is None else sessions[max(start - train_sessions, 0)],
        )
        for at, (start, end) in enumerate(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))
    )


def train_rows(label: str, fit_at: dt.datetime, stride: int = 1, train_first: dt.date | None = None) -> pl.Expr:
    """Rows whose label was known at `fit_at` (purge and embargo in one), one decision in `stride` of the calendar."""
    kept = pl.col(label).is_not_null() & (pl.col(f"{label}_known_at") <= fit_at)
    if train_first is not None:
        kept = kept & (pl.col("session") >= train_first)
    if stride > 1:
        kept = kept & (pl.col("number") % stride == 0)
    return kept


def check_fold(train: pl.DataFrame, test: pl.DataFrame, fit_at: dt.datetime) -> None:
    """Refuse a fold that leaks.

    Parameters
    ----------
    train : columns ``session``, ``as_of``, ``label_known_at``. test : columns ``session``, ``as_of``.

    Raises
    ------
    LeakFound
        Where a training label was not known at `fit_at`, a test decision was made before `fit_at`, or a session
        stands on both sides.
    """
    late = train.filter(pl.col("label_known_at").is_null() | (pl.col("label_known_at") > fit_at))
    if late.height:
        raise LeakFound(
            f"{late.height} training rows have labels that were not known at the fit on {fit_at:%Y-%m-%d %H:%M} UTC; "
            f"the first is of {late['session'].min()}."
        )
    early = test.filter(pl.col("as_of") < fit_at)
    if early.height:
        raise LeakFound(
            f"{early.height} test rows were decided before the fit on {fit_at:%Y-%m-%d %H:%M} UTC; "
            f"the first is of {early['session'].min()}."
        )
    both = train.select("session").unique().join(test.select("session").unique(), on="session", how="semi")
    if both.height:
        raise LeakFound(f"{both.height} sessions stand in training and in test; the first is {both['session'].min()}.")


def walk_forward(
    panel: Panel,
    label: str,
    folds: Sequence[Fold],
    models: Sequence[Model],
    *,
    numbers: Mapping[dt.date, int],
    parameters: Parameters | None = None,
    stride: int = 1,
    cache: Path | None = None,
    jobs: int = 2,
    progress: Progress | None = None,
) -> WalkForward:
    """Score every decision of every fold with every candidate, fitted on what was known at the fold's `fit_at`.

    Parameters
    ----------
    panel : features as the models are to see them (see `panel.ranked`), with `label`.
    numbers : number of each session on the calendar, which `stride` counts.
    parameters : by candidate, over its defaults.
    stride : training takes one decision session in `stride`; scores are given for all.
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
    given = parameters or {}
    prints = {model.name: fingerprint(model, given.get(model.name, {})) for model in models}
    target = keys[label].cast(pl.Float64).to_numpy()

    def score(model: Model, fold: Fold, train: np.ndarray, test: np.ndarray) -> np.ndarray | str:
        made_of = [panel.recipe, label, stride, prints[model.name], *(getattr(fold, name) for name in _FOLD_FIELDS)]
        path = cache / f"{digest(made_of)}.parquet" if cache is not None else None
        if path is not None and path.exists():
            return _read(path, len(test))
        features = panel.frame.select(panel.features)
        try:
            fitted = fit(model, features[train], target[train], given.get(model.name, {}))
        except FeatureUnavailable as reason:
            return str(reason)
        scores = fitted.predict(_slice(features, test))
        if path is not None:
            _write(path, scores)
        return scores

    tasks = [(model, fold, *each) for fold, each in zip(folds, rows, strict=True) for model in models]
    results = in_parallel(score, tasks, jobs, progress, lambda task: f"{task[0].name}, fold {task[1].number}")
    by_model = {
        model.name: [result for task, result in zip(tasks, results, strict=True) if task[0] is model]
        for model in models
    }
    tests = [test for _, test in rows]
    columns = [
        pl.Series(name, np.concatenate([_or_missing(each, len(test)) for each, test in zip(own, tests, strict=True)]))
        for name, own in by_model.items()
    ]
    scores = keys[np.concatenate(tests)].select("session", "as_of", "symbol", label)
    return WalkForward(
        scores=scores.with_columns(column.fill_nan(None) for column in columns).sort("session", "symbol"),
        folds=table,
        abstained={name: own[0] for name, own in by_model.items() if isinstance(own[0], str)},
    )


def _slice(frame: pl.DataFrame, rows: np.ndarray) -> pl.DataFrame:
    """Rows of `frame`, without a copy where they stand together, as those of a segment of a sorted panel do."""
    first, last = int(rows[0]), int(rows[-1])
    return frame[first : last + 1] if last - first + 1 == len(rows) else frame[rows]


def _or_missing(scores: np.ndarray | str, rows: int) -> np.ndarray:
    return np.full(rows, np.nan) if isinstance(scores, str) else scores


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


def _write(path: Path, scores: np.ndarray) -> None:
    """Write to a draft, then rename: a reader sees all of it or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, draft = tempfile.mkstemp(prefix=".", suffix=".draft", dir=path.parent)
    os.close(handle)
    try:
        pl.DataFrame({"score": scores}).write_parquet(draft)
        os.replace(draft, path)
    finally:
        Path(draft).unlink(missing_ok=True)


def _read(path: Path, rows: int) -> np.ndarray:
    scores = pl.read_parquet(path)["score"].to_numpy()
    if len(scores) != rows:
        raise BadInput(f"The cached scores {path} have {len(scores)} rows instead of {rows}. Delete the file.")
    return np.asarray(scores, dtype=np.float64)
