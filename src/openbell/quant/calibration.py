"""Probabilities that mean what they say: calibrators fitted on rows their model has not seen, kept as plain arrays.

What calibrated probabilities are worth is measured in `quant/reliability`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np

from openbell.core.errors import BadInput, IntegrityBroken, unknown
from openbell.core.hashing import canonical_json
from openbell.quant.reliability import EPSILON, checked_labels, checked_probabilities, checked_weights


class Calibrator(Protocol):
    """What every fitted calibrator can do."""

    method: ClassVar[str]

    @property
    def classes(self) -> int:
        """How many classes it was fitted on."""
        ...

    def apply(self, probabilities: np.ndarray) -> np.ndarray:
        """Calibrated probabilities, shape (n, c); every row sums to 1."""
        ...

    def to_json(self) -> str:
        """Canonical JSON, from which `from_json` makes an equal calibrator."""
        ...


def log_odds(probabilities: np.ndarray) -> np.ndarray:
    """``ln(p / (1 - p))`` elementwise, with `p` held `EPSILON` away from 0 and 1."""
    held = np.clip(probabilities, EPSILON, 1.0 - EPSILON)
    return np.asarray(np.log(held) - np.log1p(-held))


def _recombined(probabilities: np.ndarray, seen: np.ndarray, calibrated: np.ndarray) -> np.ndarray:
    """Calibrated values of the `seen` classes, scaled to share what the unseen ones, which keep theirs, leave."""
    out = probabilities.copy()
    total = calibrated.sum(axis=1, keepdims=True)
    left = 1.0 - probabilities[:, ~seen].sum(axis=1, keepdims=True)
    share = np.divide(calibrated, total, out=np.zeros_like(calibrated), where=total > 0)
    out[:, seen] = np.where(total > 0, share * left, probabilities[:, seen])
    return np.asarray(out / out.sum(axis=1, keepdims=True))


def _one_against_rest(
    probabilities: np.ndarray, seen: np.ndarray, curve: Callable[[int, np.ndarray], np.ndarray]
) -> np.ndarray:
    """Rows calibrated class by class; for two classes the second decides and the first is the rest."""
    if seen.sum() < 2:
        return probabilities
    if probabilities.shape[1] == 2:
        second = curve(1, probabilities[:, 1])
        return np.column_stack([1.0 - second, second])
    calibrated = np.column_stack([curve(int(at), probabilities[:, at]) for at in np.flatnonzero(seen)])
    return _recombined(probabilities, seen, calibrated)


@dataclass(frozen=True, slots=True, eq=False)
class Isotonic:
    """Monotone steps, straight between: `knots[k]` to `values[k]` for class k; empty for a class never seen."""

    method: ClassVar[str] = "isotonic"
    classes: int
    knots: tuple[np.ndarray, ...]
    values: tuple[np.ndarray, ...]

    def apply(self, probabilities: np.ndarray) -> np.ndarray:
        """See `Calibrator.apply`; beyond the outermost knots the outermost value holds."""
        given = checked_probabilities(probabilities, self.classes)
        seen = np.array([len(each) > 0 for each in self.knots])
        return _one_against_rest(given, seen, lambda k, p: np.interp(p, self.knots[k], self.values[k]))

    def to_json(self) -> str:
        """See `Calibrator.to_json`."""
        return _json(self, knots=[each.tolist() for each in self.knots], values=[each.tolist() for each in self.values])


@dataclass(frozen=True, slots=True, eq=False)
class Sigmoid:
    """Platt: ``1 / (1 + exp(-(slope * log-odds + intercept)))`` for each class; NaN for a class never seen."""

    method: ClassVar[str] = "sigmoid"
    classes: int
    slope: np.ndarray
    intercept: np.ndarray

    def apply(self, probabilities: np.ndarray) -> np.ndarray:
        """See `Calibrator.apply`."""
        from scipy.special import expit

        given = checked_probabilities(probabilities, self.classes)
        return _one_against_rest(
            given, ~np.isnan(self.slope), lambda k, p: expit(self.slope[k] * log_odds(p) + self.intercept[k])
        )

    def to_json(self) -> str:
        """See `Calibrator.to_json`."""
        return _json(self, slope=_nullable(self.slope), intercept=_nullable(self.intercept))


@dataclass(frozen=True, slots=True, eq=False)
class Temperature:
    """``softmax(ln p / temperature)`` over the `seen` classes: above 1 less sure, below 1 surer, order kept."""

    method: ClassVar[str] = "temperature"
    classes: int
    temperature: float
    seen: np.ndarray

    def apply(self, probabilities: np.ndarray) -> np.ndarray:
        """See `Calibrator.apply`."""
        from scipy.special import softmax

        given = checked_probabilities(probabilities, self.classes)
        logits = np.log(np.maximum(given[:, self.seen], EPSILON))
        return _recombined(given, self.seen, softmax(logits / self.temperature, axis=1))

    def to_json(self) -> str:
        """See `Calibrator.to_json`."""
        return _json(self, temperature=self.temperature, seen=self.seen.tolist())


def _nullable(array: np.ndarray) -> list[float | None]:
    return [None if math.isnan(each) else each for each in array.tolist()]


def _json(calibrator: Calibrator, **fields: Any) -> str:
    return canonical_json({"method": calibrator.method, "classes": calibrator.classes, **fields})


def _floats(values: list[float | None]) -> np.ndarray:
    return np.array([math.nan if each is None else each for each in values], dtype=np.float64)


def from_json(text: str) -> Calibrator:
    """The calibrator that `to_json` wrote, equal to the last bit.

    Raises
    ------
    IntegrityBroken
        Where the text is not one of ours.
    """
    try:
        stored = json.loads(text)
        return _READERS[stored["method"]](stored)
    except (ValueError, KeyError, TypeError) as failure:
        raise IntegrityBroken(f"This is not a stored calibrator: {type(failure).__name__}: {failure}.") from failure


_READERS: Mapping[str, Callable[[dict[str, Any]], Calibrator]] = {
    "isotonic": lambda kept: Isotonic(
        kept["classes"], tuple(map(_floats, kept["knots"])), tuple(map(_floats, kept["values"]))
    ),
    "sigmoid": lambda kept: Sigmoid(kept["classes"], _floats(kept["slope"]), _floats(kept["intercept"])),
    "temperature": lambda kept: Temperature(
        kept["classes"], float(kept["temperature"]), np.array(kept["seen"], dtype=bool)
    ),
}


def isotonic(probabilities: np.ndarray, labels: np.ndarray, sample_weight: np.ndarray | None = None) -> Isotonic:
    """Isotonic regression of "this class happened" on its probability, one class against the rest.

    Parameters
    ----------
    probabilities : shape (n, c), out of sample for the model that made them. labels : shape (n,), position of the
        class that happened. sample_weight : shape (n,), at least 0.

    Returns
    -------
    Isotonic
        With values in [1 / (n + 2), (n + 1) / (n + 2)]: n rows never make an event certain (rule of succession), so no
        later log-loss is infinite. A class that never happened in these rows keeps its probability, and the others
        share the rest; with a single class seen, nothing is changed.

    References
    ----------
    Zadeh and Elkan (2002), KDD, 694-699. Niculescu-Mizil and Caruana (2005), ICML, 625-632.
    """
    from sklearn.isotonic import IsotonicRegression

    given, happened, weight = _calibration_rows(probabilities, labels, sample_weight)
    certain = 1.0 / (len(given) + 2.0)

    def curve(at: int) -> tuple[np.ndarray, np.ndarray]:
        found = IsotonicRegression(y_min=certain, y_max=1.0 - certain, out_of_bounds="clip")
        found.fit(given[:, at], (happened == at).astype(np.float64), weight)
        return np.asarray(found.X_thresholds_, np.float64), np.asarray(found.y_thresholds_, np.float64)

    seen = _seen(happened, weight, given.shape[1])
    curves = [curve(at) if each else (np.empty(0), np.empty(0)) for at, each in enumerate(seen)]
    return Isotonic(given.shape[1], tuple(knots for knots, _ in curves), tuple(values for _, values in curves))


def sigmoid(probabilities: np.ndarray, labels: np.ndarray, sample_weight: np.ndarray | None = None) -> Sigmoid:
    """Platt scaling on the log-odds, one class against the rest, with Platt's smoothed targets.

    Arguments and unseen classes as for `isotonic`. The targets are (n1 + 1) / (n1 + 2) where the class happened and
    1 / (n0 + 2) where it did not, so that separable rows give a finite slope.

    References
    ----------
    Platt (1999), Advances in Large Margin Classifiers, 61-74.
    """
    given, happened, weight = _calibration_rows(probabilities, labels, sample_weight)
    seen = _seen(happened, weight, given.shape[1])
    lines = np.full((2, given.shape[1]), np.nan)
    if seen.sum() >= 2:
        for at in np.flatnonzero(seen):
            lines[:, at] = _platt(log_odds(given[:, at]), happened == at, weight)
    return Sigmoid(given.shape[1], lines[0], lines[1])


def _platt(logit: np.ndarray, happened: np.ndarray, weight: np.ndarray) -> tuple[float, float]:
    """Slope and intercept: a logistic regression on every row twice, as event and as none, by the target's mass."""
    from sklearn.linear_model import LogisticRegression

    yes, no = float(weight[happened].sum()), float(weight[~happened].sum())
    goal = np.where(happened, (yes + 1.0) / (yes + 2.0), 1.0 / (no + 2.0))
    twice = np.concatenate([logit, logit])[:, None]
    target = np.repeat([1, 0], len(logit))
    mass = np.concatenate([weight * goal, weight * (1.0 - goal)])
    found = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-10, max_iter=500).fit(twice, target, mass)
    return float(found.coef_[0, 0]), float(found.intercept_[0])


def temperature(probabilities: np.ndarray, labels: np.ndarray, sample_weight: np.ndarray | None = None) -> Temperature:
    """One temperature for all classes, the one with the least log-loss; it changes no order within a row.

    Arguments and unseen classes as for `isotonic`. The inverse temperature is sought between e^-10 and e^10.

    References
    ----------
    Guo, Pleiss, Sun and Weinberger (2017), ICML, 1321-1330.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax

    given, happened, weight = _calibration_rows(probabilities, labels, sample_weight)
    seen = _seen(happened, weight, given.shape[1])
    if seen.sum() < 2:
        return Temperature(given.shape[1], 1.0, seen)
    used = weight > 0
    logits = np.log(np.maximum(given[used][:, seen], EPSILON))
    column = (np.cumsum(seen) - 1)[happened[used]]

    def loss(log_inverse: float) -> float:
        own = log_softmax(math.exp(log_inverse) * logits, axis=1)[np.arange(len(logits)), column]
        return -float(np.average(own, weights=weight[used]))

    best = minimize_scalar(loss, bounds=(-10.0, 10.0), method="bounded", options={"xatol": 1e-10})
    return Temperature(given.shape[1], math.exp(-float(best.x)), seen)


#: Ways to calibrate, by name.
METHODS: Mapping[str, Callable[..., Calibrator]] = {
    "isotonic": isotonic,
    "sigmoid": sigmoid,
    "temperature": temperature,
}


def calibrator(
    method: str, probabilities: np.ndarray, labels: np.ndarray, sample_weight: np.ndarray | None = None
) -> Calibrator:
    """The calibrator of `METHODS` fitted on these rows; an unknown name is refused with the nearest."""
    if method not in METHODS:
        raise unknown("way to calibrate", method, METHODS)
    return METHODS[method](probabilities, labels, sample_weight)


def _calibration_rows(
    probabilities: np.ndarray, labels: np.ndarray, sample_weight: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    given = checked_probabilities(probabilities)
    if not len(given):
        raise BadInput("There are no rows to calibrate on. Give out-of-fold probabilities with known outcomes.")
    return given, checked_labels(labels, *given.shape), checked_weights(sample_weight, len(given))


def _seen(labels: np.ndarray, weight: np.ndarray, classes: int) -> np.ndarray:
    return np.asarray(np.bincount(labels, weights=weight, minlength=classes) > 0)
