"""Stage 1 walked forward: every forecast by a model that was fitted on what was known before it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from openbell.core.declare import Model
from openbell.core.errors import BadInput, OpenbellError
from openbell.research.fitting import Ledger
from openbell.research.stage_one import Outcomes, StageOne, configurations, fit_stage_one

Progress = Callable[[int, int, str], None]

#: The candidate that forecasts the mean of the past: what "always the same structure" would have been chosen by.
CONSTANT = "constant"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A regression and a classifier that enter together under one name; both None is the constant."""

    name: str
    regressor: Model | None = None
    classifier: Model | None = None
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Walked:
    """Out-of-sample forecasts of one candidate at the test rows.

    Attributes
    ----------
    expected : (m, s) expected utility. probabilities : (m, s). quantiles : (m, s, levels). seconds : of each fit.
    p95_ms : of the class probabilities of one row, a row at a time. why : the reason where it stopped; the arrays are
        empty then.
    """

    name: str
    expected: np.ndarray
    probabilities: np.ndarray
    quantiles: np.ndarray
    seconds: tuple[float, ...]
    p95_ms: float
    support: Mapping[str, int]
    why: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Walk:
    """All candidates over the same test rows; `rows` are positions in the outcomes, `fits` first test row of each."""

    rows: np.ndarray
    fits: np.ndarray
    candidates: Mapping[str, Walked]


def forecast_rows(outcomes: Outcomes, usable: np.ndarray, *, min_train: int, last: int | None) -> np.ndarray:
    """Positions that are forecast: from the first with `min_train` usable rows known before it."""
    known = np.sort(outcomes.known_at[usable & ~np.isnat(outcomes.known_at)])
    before = np.searchsorted(known, outcomes.as_of, side="right")
    rows = np.flatnonzero(usable & (before >= min_train))
    return rows if last is None else rows[-last:]


def walk(
    features: pl.DataFrame,
    outcomes: Outcomes,
    usable: np.ndarray,
    candidates: Sequence[Candidate],
    *,
    ledger: Ledger,
    min_train: int = 504,
    refit: int = 252,
    train_rows: int | None = None,
    test: int | None = None,
    jobs: int = 1,
    progress: Progress | None = None,
) -> Walk:
    """Forecasts of every candidate at every test row, refitted every `refit` rows.

    Parameters
    ----------
    features : (n rows) the columns are the features. usable : (n,) whether all inputs of the row were there.
    min_train : rows with a known outcome before the first forecast. train_rows : the newest ones only; None for all.
    test : only the last so many rows are forecast. jobs : processes, one fit each; they change no result.

    Raises
    ------
    BadInput
        Where there are too few rows for a single forecast.
    """
    rows = forecast_rows(outcomes, usable, min_train=min_train, last=test)
    if not len(rows):
        known = int((~np.isnat(outcomes.known_at) & usable).sum())
        raise BadInput(
            f"There are {known} decisions with a known outcome and all features; the first forecast needs {min_train} "
            "before it. Import a longer history of the underlying and its volatility index."
        )
    starts = np.arange(0, len(rows), refit)
    tasks = [(candidate, start) for candidate in candidates for start in starts]
    counted = {each.name: _ledger(each, ledger) for each in candidates}
    found: dict[str, list[Any]] = {each.name: [] for each in candidates}
    from joblib import Parallel, delayed

    # Processes: scikit-learn changes the interpreter's warning filters while it predicts, which threads share.
    done = Parallel(n_jobs=jobs, return_as="generator")(
        delayed(_fold)(
            features,
            outcomes,
            usable,
            each,
            rows[start : start + refit],
            ledger=counted[each.name],
            train_rows=train_rows,
        )
        for each, start in tasks
    )
    for count, ((candidate, start), part) in enumerate(zip(tasks, done, strict=True), start=1):
        found[candidate.name].append(part)
        if progress is not None:
            progress(count, len(tasks), f"{candidate.name} from row {start}")
    return Walk(rows, rows[starts], {name: _joined(name, parts, outcomes) for name, parts in found.items()})


class _Counted:
    """The ledger for another process, which cannot ask it: this candidate's configurations were found in it here."""

    def __contains__(self, fingerprint: str, /) -> bool:
        return True


def _ledger(candidate: Candidate, ledger: Ledger) -> Ledger:
    """What the fits of `candidate` are counted by: nothing where one of its configurations is not in `ledger`."""
    if candidate.regressor is None or candidate.classifier is None:
        return _Counted()
    tried = configurations(candidate.regressor, candidate.classifier, candidate.parameters)
    return _Counted() if all(fingerprint in ledger for fingerprint, _ in tried.values()) else frozenset()


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """What one fit forecast of its rows."""

    expected: np.ndarray
    probabilities: np.ndarray
    quantiles: np.ndarray
    seconds: float
    taken_ms: list[float]
    support: Mapping[str, int]


def _fold(
    features: pl.DataFrame,
    outcomes: Outcomes,
    usable: np.ndarray,
    candidate: Candidate,
    rows: np.ndarray,
    *,
    ledger: Ledger,
    train_rows: int | None,
) -> _Part | str:
    train = np.flatnonzero(usable & outcomes.known_by(outcomes.as_of[rows[0]]))
    if train_rows is not None:
        train = train[-train_rows:]
    try:
        stage = fit_stage_one(
            features,
            outcomes,
            train,
            regressor=candidate.regressor,
            classifier=candidate.classifier,
            ledger=ledger,
            parameters=candidate.parameters,
            name=candidate.name,
        )
    except OpenbellError as failure:
        return str(failure)
    frame = features[rows]
    expected = stage.expected_utility(frame)
    return _Part(
        expected,
        stage.probabilities(frame),
        stage.quantiles(expected),
        stage.seconds,
        _timed(stage, frame),
        dict(stage.support),
    )


def _timed(stage: StageOne, frame: pl.DataFrame) -> list[float]:
    """Milliseconds of the class probabilities of one row, a row at a time (S0.08)."""
    taken = []
    for row in range(0, frame.height, max(1, frame.height // 20)):
        one = frame[row]
        begun = time.perf_counter()
        stage.probabilities(one)
        taken.append(1000.0 * (time.perf_counter() - begun))
    return taken


def _joined(name: str, parts: Sequence[Any], outcomes: Outcomes) -> Walked:
    stopped = next((part for part in parts if isinstance(part, str)), None)
    if stopped is not None:
        s = len(outcomes.structures)
        return Walked(name, np.empty((0, s)), np.empty((0, s)), np.empty((0, s, 0)), (), float("nan"), {}, stopped)
    return Walked(
        name,
        np.concatenate([part.expected for part in parts]),
        np.concatenate([part.probabilities for part in parts]),
        np.concatenate([part.quantiles for part in parts]),
        tuple(part.seconds for part in parts),
        float(np.percentile(np.concatenate([part.taken_ms for part in parts]), 95)),
        parts[-1].support,
    )
