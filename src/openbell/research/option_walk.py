"""Stage 1 walked forward: every forecast by a model that was fitted on what was known before it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import polars as pl

from openbell.core.declare import Model
from openbell.core.errors import BadInput, OpenbellError
from openbell.research.fitting import Ledger
from openbell.research.stage_one import Outcomes, StageOne, fit_stage_one

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
    p95_ms : of one inference, a row at a time. why : the reason where it stopped; then the arrays are empty.
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
    test : only the last so many rows are forecast. jobs : threads, one fit each; they change no result.

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
    fold = partial(_fold, features, outcomes, usable, ledger=ledger, train_rows=train_rows)
    found: dict[str, list[Any]] = {each.name: [] for each in candidates}
    # Plain threads: the libraries release the interpreter, and scikit-learn warns inside those of joblib.
    with ThreadPoolExecutor(jobs) as pool:
        done = pool.map(lambda task: fold(task[0], rows[task[1] : task[1] + refit]), tasks)
        for count, ((candidate, start), part) in enumerate(zip(tasks, done, strict=True), start=1):
            found[candidate.name].append(part)
            if progress is not None:
                progress(count, len(tasks), f"{candidate.name} from row {start}")
    return Walk(rows, rows[starts], {name: _joined(name, parts, outcomes) for name, parts in found.items()})


def _fold(
    features: pl.DataFrame,
    outcomes: Outcomes,
    usable: np.ndarray,
    candidate: Candidate,
    rows: np.ndarray,
    *,
    ledger: Ledger,
    train_rows: int | None,
) -> tuple[StageOne, np.ndarray, np.ndarray, np.ndarray, list[float]] | str:
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
    return stage, expected, stage.probabilities(frame), stage.quantiles(expected), _timed(stage, frame)


def _timed(stage: StageOne, frame: pl.DataFrame) -> list[float]:
    """Milliseconds of one forecast, a row at a time."""
    taken = []
    for row in range(0, frame.height, max(1, frame.height // 20)):
        one = frame[row]
        begun = time.perf_counter()
        stage.expected_utility(one)
        stage.probabilities(one)
        taken.append(1000.0 * (time.perf_counter() - begun))
    return taken


def _joined(name: str, parts: Sequence[Any], outcomes: Outcomes) -> Walked:
    stopped = next((part for part in parts if isinstance(part, str)), None)
    if stopped is not None:
        s = len(outcomes.structures)
        return Walked(name, np.empty((0, s)), np.empty((0, s)), np.empty((0, s, 0)), (), float("nan"), {}, stopped)
    stages, expected, probabilities, quantiles, taken = zip(*parts, strict=True)
    return Walked(
        name,
        np.concatenate(expected),
        np.concatenate(probabilities),
        np.concatenate(quantiles),
        tuple(stage.seconds for stage in stages),
        float(np.percentile(np.concatenate(taken), 95)),
        stages[-1].support,
    )
