"""What is kept of a fitted estimator, and how any of them is asked: one number, or one probability for each class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from openbell.core.errors import BadInput


@dataclass(frozen=True)
class OneColumn:
    """Scores by the column at `position_`; the kept form of the naive model."""

    column: str
    position_: int

    def predict(self, matrix: np.ndarray) -> np.ndarray:
        """The column, shape (n,)."""
        return np.asarray(matrix, dtype=np.float64)[:, self.position_]


@dataclass(frozen=True)
class OneClass:
    """Knows a single class, because its training rows held no other: its probability is 1."""

    def predict_proba(self, matrix: np.ndarray) -> np.ndarray:
        """Ones, shape (n, 1)."""
        return np.ones((len(matrix), 1))


@dataclass(frozen=True, eq=False)
class Composite:
    """Several predictors and how their answers become one.

    Attributes
    ----------
    members : named predictors. classes : how many; 0 for a regression.
    weights, intercept : of the weighted sum, shape (k,); None where a `meta` predictor is asked instead, which reads
        the members' probabilities side by side and knows the classes `present`.
    """

    members: tuple[tuple[str, Any], ...]
    classes: int
    weights: tuple[float, ...] | None = None
    intercept: float = 0.0
    meta: Any = None
    present: tuple[int, ...] = ()

    @property
    def sequential(self) -> bool:
        """Whether a member reads the rows of a symbol in their order."""
        return any(is_sequential(member) for _, member in self.members)

    def predict(self, matrix: np.ndarray, *, t: Any = None, symbol: Any = None) -> np.ndarray:
        """Scores, shape (n,); NaN where a member abstains."""
        return self._summed(matrix, t, symbol)

    def predict_proba(self, matrix: np.ndarray, *, t: Any = None, symbol: Any = None) -> np.ndarray:
        """Probabilities, shape (n, classes); NaN where a member abstains."""
        if self.meta is None:
            return self._summed(matrix, t, symbol)
        said = np.concatenate(list(self._said(matrix, t, symbol)), axis=1)
        whole = np.isfinite(said).all(axis=1)
        probabilities = np.full((len(said), self.classes), np.nan)
        probabilities[whole] = 0.0
        if whole.any():
            probabilities[np.ix_(whole, self.present)] = self.meta.predict_proba(said[whole])
        return probabilities

    def _said(self, matrix: np.ndarray, t: Any, symbol: Any) -> np.ndarray:
        return np.stack([outputs(member, matrix, self.classes, t=t, symbol=symbol) for _, member in self.members])

    def _summed(self, matrix: np.ndarray, t: Any, symbol: Any) -> np.ndarray:
        weights = np.asarray(self.weights, dtype=np.float64)
        return np.asarray(self.intercept + np.tensordot(weights, self._said(matrix, t, symbol), axes=1))


@dataclass(frozen=True, eq=False)
class Calibrated:
    """A classifier whose probabilities a calibrator (``apply``, ``to_json``) corrects; NaN rows stay NaN."""

    predictor: Any
    calibrator: Any

    @property
    def sequential(self) -> bool:
        """Whether the classifier reads the rows of a symbol in their order."""
        return is_sequential(self.predictor)

    def predict_proba(self, matrix: np.ndarray, *, t: Any = None, symbol: Any = None) -> np.ndarray:
        """Calibrated probabilities, shape (n, classes)."""
        raw = outputs(self.predictor, matrix, int(self.calibrator.classes), t=t, symbol=symbol)
        whole = np.isfinite(raw).all(axis=1)
        probabilities = np.full(raw.shape, np.nan)
        if whole.any():
            probabilities[whole] = self.calibrator.apply(raw[whole])
        return probabilities


def is_sequential(predictor: Any) -> bool:
    """Whether `predictor` must be told ``t`` and ``symbol`` of each row."""
    return bool(getattr(predictor, "sequential", False))


def history_rows(predictor: Any) -> int:
    """Rows of a symbol that `predictor` reads at once, the row itself included: 1 where it reads no sequence."""
    if isinstance(predictor, Composite):
        return max(history_rows(member) for _, member in predictor.members)
    if isinstance(predictor, Calibrated):
        return history_rows(predictor.predictor)
    return int(predictor.sequence_length) if is_sequential(predictor) else 1


def library_of(predictor: Any) -> str:
    """The package that `predictor` comes from."""
    return type(predictor).__module__.partition(".")[0]


def predictor_of(estimator: Any) -> Any:
    """What is kept of a fitted estimator.

    LightGBM's `Booster`; of a blend (``members_``) a `Composite`; whatever an estimator names as its ``predictor_``; of
    every other the estimator itself.
    """
    if hasattr(estimator, "members_"):
        return _composite_of(estimator)
    for name in ("predictor_", "booster_"):
        if hasattr(estimator, name):
            return getattr(estimator, name)
    return estimator


def _composite_of(estimator: Any) -> Composite:
    members = tuple((name, predictor_of(member)) for name, member in estimator.members_)
    classes = len(getattr(estimator, "classes_", ()))
    if hasattr(estimator, "meta_"):
        meta = estimator.meta_
        return Composite(members, classes, meta=meta, present=tuple(int(each) for each in meta.classes_))
    weights = tuple(float(each) for each in estimator.weights_)
    return Composite(members, classes, weights, float(getattr(estimator, "intercept_", 0.0)))


def outputs(predictor: Any, matrix: np.ndarray, classes: int, *, t: Any = None, symbol: Any = None) -> np.ndarray:
    """What `predictor` says of the rows of `matrix`, Float64.

    Parameters
    ----------
    classes : how many it knows; 0 asks for scores, shape (n,), otherwise probabilities of shape (n, classes).
    t, symbol : moment and symbol of each row, for a predictor that reads sequences.
    """
    where = {"t": t, "symbol": symbol} if is_sequential(predictor) else {}
    if not classes:
        said = np.asarray(predictor.predict(matrix, **where, **_threads(predictor)), dtype=np.float64)
        return said.reshape(-1)
    if library_of(predictor) == "lightgbm":
        said = np.asarray(predictor.predict(matrix, num_threads=1), dtype=np.float64)
        said = np.column_stack([1.0 - said, said]) if said.ndim == 1 else said
    elif library_of(predictor) == "catboost":
        said = np.asarray(predictor.predict(matrix, prediction_type="Probability", thread_count=1), dtype=np.float64)
    else:
        said = np.asarray(predictor.predict_proba(matrix, **where), dtype=np.float64)
    if said.shape != (len(matrix), classes):
        raise BadInput(f"A {type(predictor).__name__} gave probabilities of shape {said.shape}; it knows {classes}.")
    return said


def _threads(predictor: Any) -> dict[str, int]:
    """One thread: a few hundred rows are not worth waking others for."""
    return {"lightgbm": {"num_threads": 1}, "catboost": {"thread_count": 1}}.get(library_of(predictor), {})
