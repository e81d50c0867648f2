"""Folds inside a training window, in the order of time: what tuning is judged by and calibration is fitted on."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from openbell.core.declare import Model
from openbell.core.errors import BadInput, LeakFound
from openbell.quant.evaluation import MINIMUM_NAMES, information_coefficients
from openbell.quant.reliability import log_loss
from openbell.research.fitting import Ledger, Members, fit
from openbell.research.folds import check_fold, folds_over
from openbell.store.artifacts import FittedModel
from openbell.store.predictors import Calibrated

#: A callable like `fitting.fit`.
Fit = Callable[..., FittedModel]


@dataclass(frozen=True, slots=True, eq=False)
class TrainingRows:
    """The rows of one training window.

    Attributes
    ----------
    frame : features by name. target : shape (n,), finite. keys : ``session``, ``symbol``, ``as_of`` and
        ``label_known_at`` of each row. sample_weight : shape (n,), or None for equal weights.
    """

    frame: pl.DataFrame
    target: np.ndarray
    keys: pl.DataFrame
    sample_weight: np.ndarray | None = None

    def __post_init__(self) -> None:
        n = self.frame.height
        weights = n if self.sample_weight is None else len(self.sample_weight)
        if len(self.target) != n or self.keys.height != n or weights != n:
            raise BadInput(
                f"{n} rows of features need as many targets, keys and weights; there are {len(self.target)} targets, "
                f"{self.keys.height} keys and {weights} weights."
            )
        missing = [name for name in ("session", "symbol", "as_of", "label_known_at") if name not in self.keys.columns]
        if missing:
            raise BadInput(f"The keys lack the column {', '.join(missing)}; they have {', '.join(self.keys.columns)}.")

    def check_known(self, fit_at: dt.datetime) -> None:
        """Refuse rows whose label was not known at `fit_at`: they are outside the training window."""
        late = self.keys.filter(pl.col("label_known_at").is_null() | (pl.col("label_known_at") > fit_at))
        if late.height:
            raise LeakFound(
                f"{late.height} of {self.keys.height} rows have labels that were not known on "
                f"{fit_at:%Y-%m-%d %H:%M} UTC, the end of the training window; the first is of {late['session'].min()}."
            )


@dataclass(frozen=True, slots=True, eq=False)
class InnerFold:
    """Row numbers of one inner fold: `train` was known at `fit_at`, the decisions of `test` came at or after it."""

    number: int
    fit_at: dt.datetime
    train: np.ndarray
    test: np.ndarray


def inner_folds(keys: pl.DataFrame, n: int) -> tuple[InnerFold, ...]:
    """Cut a training window into `n` expanding folds after a first stretch of the same length.

    Parameters
    ----------
    keys : columns ``session``, ``as_of``, ``label_known_at``, one row per training row, in any order.
    n : folds. Fold k is trained on the rows before it whose label was known at its first decision (purge and embargo
        in one); a session is never split.

    Raises
    ------
    BadInput
        Where there are fewer than n + 1 sessions, or the purge leaves a fold nothing to train on.
    LeakFound
        Where a fold would leak (see `folds.check_fold`).
    """
    decisions = keys.group_by("session").agg(pl.col("as_of").min()).sort("session")
    folds = folds_over(decisions, folds=n, min_train_sessions=max(decisions.height // (n + 1), 1))
    found = []
    for fold in folds:
        known = (pl.col("label_known_at") <= fold.fit_at) & (pl.col("session") < fold.test_first)
        train = keys.select(known.fill_null(False).arg_true()).to_series().to_numpy()
        inside = pl.col("session").is_between(fold.test_first, fold.test_last)
        test = keys.select(inside.arg_true()).to_series().to_numpy()
        if not len(train):
            raise BadInput(
                f"The inner fold {fold.number} from {fold.test_first} on has no row whose label was known by then. "
                "Give a longer training window or ask for fewer inner folds."
            )
        check_fold(keys[train].select("session", "as_of", "label_known_at"), keys[test], fold.fit_at)
        found.append(InnerFold(fold.number, fold.fit_at, train.astype(np.int64), test.astype(np.int64)))
    return tuple(found)


def fold_prediction(
    model: Model,
    rows: TrainingRows,
    fold: InnerFold,
    parameters: Mapping[str, Any],
    *,
    ledger: Ledger,
    members: Members = (),
    fit: Fit = fit,
) -> tuple[np.ndarray, tuple[Any, ...]]:
    """What `model`, fitted on the rows of `fold.train`, says of those of `fold.test`, and its classes.

    Returns
    -------
    tuple
        Scores, shape (m,), and no classes; for classification probabilities, shape (m, c), and the c classes. NaN where
        the model abstains. A sequential model is shown all rows up to the test's last session, for it reads the past.
    """
    train, weight = fold.train, rows.sample_weight
    fitted = fit(
        model,
        rows.frame[train],
        rows.target[train],
        parameters,
        ledger=ledger,
        sample_weight=None if weight is None else weight[train],
        keys=rows.keys[train].select("session", "symbol", pl.col("label_known_at").alias("known_at")),
        members=members,
    )
    shown, wanted = fold.test, slice(None)
    if fitted.sequential:
        last = rows.keys["session"][fold.test].max()
        shown = rows.keys.select((pl.col("session") <= last).arg_true()).to_series().to_numpy().astype(np.int64)
        wanted = np.searchsorted(shown, fold.test)
    asked = fitted.predict_proba if model.task == "classification" else fitted.predict
    return np.asarray(asked(rows.frame[shown], rows.keys[shown]), dtype=np.float64)[wanted], tuple(fitted.classes)


@dataclass(frozen=True, slots=True, eq=False)
class OutOfFold:
    """Predictions of rows by models that had not seen them: what calibrators and conformal intervals are fitted on.

    Attributes
    ----------
    rows : row numbers, ascending, shape (m,); the first stretch of the window is in no test and is left out.
    fold : number of the fold of each, shape (m,). predictions : shape (m,), or (m, c) probabilities; NaN where the
        model abstains. classes : of the columns; empty for regression.
    """

    rows: np.ndarray
    fold: np.ndarray
    predictions: np.ndarray
    classes: tuple[Any, ...] = ()

    @property
    def spoken(self) -> np.ndarray:
        """Which of them are no abstention, shape (m,), bool."""
        return np.asarray(np.isfinite(self.predictions.reshape(len(self.rows), -1)).all(axis=1))


def out_of_fold(
    model: Model,
    rows: TrainingRows,
    folds: Sequence[InnerFold],
    parameters: Mapping[str, Any],
    *,
    ledger: Ledger,
    members: Members = (),
    fit: Fit = fit,
) -> OutOfFold:
    """Predictions of every tested row by the model of its fold. The configuration must be in the ledger before.

    For classification the columns are all classes of the target, ascending; a class that a fold had not seen in its
    training has probability 0 there.
    """
    classes = tuple(np.unique(rows.target).tolist()) if model.task == "classification" else ()
    parts = []
    for fold in folds:
        said, own = fold_prediction(model, rows, fold, parameters, ledger=ledger, members=members, fit=fit)
        parts.append(aligned(said, own, classes) if classes else said)
    tested = np.concatenate([fold.test for fold in folds])
    order = np.argsort(tested, kind="stable")
    numbers = np.repeat([fold.number for fold in folds], [len(fold.test) for fold in folds])
    return OutOfFold(tested[order], numbers[order], np.concatenate(parts)[order], classes)


def calibrated(fitted: FittedModel, found: OutOfFold, target: np.ndarray, *, method: str = "isotonic") -> FittedModel:
    """`fitted` with its probabilities corrected by what the models of the inner folds said of rows they had not seen.

    Parameters
    ----------
    fitted : of the whole training window. found : out-of-fold probabilities of the same model and window; rows on which
        it abstained are left out. target : of the window, shape (n,). method : of `calibration.METHODS`.

    Raises
    ------
    BadInput
        Where `fitted` has other classes than `found`, or the models of the folds abstained throughout.
    """
    from openbell.quant.calibration import calibrator

    if not found.classes or fitted.classes != found.classes:
        raise BadInput(
            f"The model `{fitted.name}` has the classes {fitted.classes}, its out-of-fold probabilities "
            f"{found.classes}; calibrate a classifier on its own inner folds."
        )
    said = found.spoken
    labels = np.searchsorted(np.asarray(found.classes), target[found.rows][said])
    corrected = calibrator(method, found.predictions[said], labels)
    return replace(fitted, predictor=Calibrated(fitted.predictor, corrected))


def aligned(probabilities: np.ndarray, own: Sequence[Any], classes: Sequence[Any]) -> np.ndarray:
    """The columns `own` of `probabilities` at their places among `classes`, 0 for the others; NaN rows stay NaN."""
    if len(own) != probabilities.shape[1]:
        raise BadInput(f"{probabilities.shape[1]} columns of probabilities cannot belong to {len(own)} classes.")
    out = np.zeros((len(probabilities), len(classes)))
    out[:, np.searchsorted(np.asarray(classes), np.asarray(own))] = probabilities
    out[np.isnan(probabilities).any(axis=1)] = np.nan
    return out


def date_rank_ics(scores: np.ndarray, outcomes: np.ndarray, sessions: pl.Series) -> np.ndarray:
    """Rank IC of every date that could have one, shape (dates,), in order of the dates.

    A date counts where at least 3 outcomes are finite and not all equal. Where the scores are constant there, or fewer
    than 3 names are scored, its IC is 0: a model that says nothing of a date ranks nothing, and must not be judged on
    its other dates alone.
    """
    frame = pl.DataFrame({"session": sessions, "score": scores, "outcome": outcomes})
    finite = pl.col("outcome").filter(pl.col("outcome").is_finite())
    able = frame.group_by("session").agg((finite.count() >= MINIMUM_NAMES) & (finite.n_unique() > 1))
    measured = information_coefficients(frame).select("session", "rank_ic")
    kept = able.filter(pl.col("outcome")).select("session").join(measured, on="session", how="left").sort("session")
    return kept["rank_ic"].fill_null(0.0).to_numpy()


def fold_values(
    model: Model, rows: TrainingRows, fold: InnerFold, said: np.ndarray, own: Sequence[Any]
) -> tuple[float, int]:
    """Sum of what a fold's predictions are worth, and over how many dates (rank IC) or rows (minus log-loss)."""
    outcome = rows.target[fold.test]
    if model.task != "classification":
        values = date_rank_ics(said, outcome, rows.keys["session"][fold.test])
        return float(values.sum()), len(values)
    classes = np.unique(rows.target)
    probabilities = aligned(said, own, classes)
    spoken = np.isfinite(probabilities).all(axis=1)
    if not spoken.any():
        raise BadInput(f"The model `{model.name}` abstained on all {len(spoken)} rows of the inner fold {fold.number}.")
    labels = np.searchsorted(classes, outcome[spoken])
    return -log_loss(probabilities[spoken], labels) * int(spoken.sum()), int(spoken.sum())
