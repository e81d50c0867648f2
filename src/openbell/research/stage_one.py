"""Stage 1 of the options desk: what each structure may make, and which is most probably the best in hindsight.

One regression per structure for its expected utility, one classifier for the structure that is the best in hindsight,
calibrated on the last part of the training rows by a classifier that did not see them, and the errors of regressions
that did not see them for the distribution. Everything is fitted on rows whose outcome was known.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from openbell.core.declare import Model
from openbell.core.errors import FeatureUnavailable
from openbell.core.outlook import LEVELS
from openbell.quant.calibration import Calibrator, temperature
from openbell.research.fitting import Ledger, fingerprint, fit
from openbell.store.artifacts import FittedModel

#: Last part of the training rows, in time, that calibrates and gives the errors.
HELD_BACK = 0.2
#: Held-back rows below which nothing is calibrated, and a class needs this many training rows to be learnt (S0.39).
MIN_HELD_BACK, MIN_CLASS_ROWS = 60, 10
#: Pseudo-count of the base rates that every probability is mixed with, in rows: none is ever 0.
PRIOR_ROWS = 10.0


@dataclass(frozen=True, slots=True, eq=False)
class Outcomes:
    """What is known of each decision row afterwards, for `structures` in their order.

    Attributes
    ----------
    as_of : (n,) datetime64[us], UTC moments of the decisions, rising. known_at : (n,) when all outcomes of the row were
        known; NaT where they are not.
    utility : (n, s) mean utility over the parameter sets, NaN where a structure could not be had.
    returns : (n, s, c) results per unit of maximum loss of each parameter set, NaN where it could not be had.
    """

    structures: tuple[str, ...]
    as_of: np.ndarray
    known_at: np.ndarray
    utility: np.ndarray
    returns: np.ndarray

    @property
    def best(self) -> np.ndarray:
        """(n,) position of the structure with the largest mean utility, -1 where no structure has one."""
        has = np.isfinite(self.utility)
        return np.where(has.any(axis=1), np.where(has, self.utility, -np.inf).argmax(axis=1), -1)

    def known_by(self, moment: np.datetime64) -> np.ndarray:
        """(n,) whether the outcomes of each row were known at `moment`."""
        return ~np.isnat(self.known_at) & (self.known_at <= moment)


@dataclass(frozen=True, slots=True, eq=False)
class StageOne:
    """A fitted stage 1.

    Attributes
    ----------
    regressors : by structure; one without enough rows has none, and its `means` speak. means : (s,) mean utility of the
        training rows. errors : by structure, result of every parameter set less the predicted utility, on rows that
        the prediction did not see, ascending.
    classifier, calibrator : None where there are too few rows; then the base rates speak.
    base_rates : (s,) share of each structure as the best in hindsight. rows : training rows. seconds : of the fit.
    """

    name: str
    structures: tuple[str, ...]
    features: tuple[str, ...]
    regressors: Mapping[str, FittedModel]
    means: np.ndarray
    errors: Mapping[str, np.ndarray]
    classifier: FittedModel | None
    calibrator: Calibrator | None
    base_rates: np.ndarray
    support: Mapping[str, int]
    rows: int
    seconds: float = field(default=0.0, compare=False)

    def expected_utility(self, frame: pl.DataFrame) -> np.ndarray:
        """Expected utility of each structure after costs, shape (m, s)."""
        out = np.tile(self.means, (frame.height, 1))
        for name, model in self.regressors.items():
            out[:, self.structures.index(name)] = model.predict(frame.select(model.features))
        return out

    def quantiles(self, expected: np.ndarray) -> np.ndarray:
        """Quantiles of the result per unit of maximum loss around `expected` (m, s); shape (m, s, levels)."""
        shifts = np.array(
            [np.quantile(self.errors[name], LEVELS) if name in self.errors else [np.nan] * len(LEVELS)
             for name in self.structures]
        )  # fmt: skip
        return np.maximum(expected[:, :, None] + shifts[None, :, :], -1.0)

    def probabilities(self, frame: pl.DataFrame) -> np.ndarray:
        """Calibrated probability of each structure to be the best in hindsight, shape (m, s), rows sum to 1."""
        base = np.tile(self.base_rates, (frame.height, 1))
        if self.classifier is None:
            return base
        raw = _spread(self.classifier, frame, len(self.structures))
        mixed = _mixed(raw, base, self.rows)
        return self.calibrator.apply(mixed) if self.calibrator is not None else mixed


def _spread(classifier: FittedModel, frame: pl.DataFrame, classes: int) -> np.ndarray:
    """The classifier's probabilities in the columns of all classes."""
    out = np.zeros((frame.height, classes))
    out[:, np.asarray(classifier.classes, dtype=np.int64)] = classifier.predict_proba(frame.select(classifier.features))
    return out


def _mixed(raw: np.ndarray, base: np.ndarray, rows: int) -> np.ndarray:
    return np.asarray((rows * raw + PRIOR_ROWS * base) / (rows + PRIOR_ROWS))


def _counts(best: np.ndarray, outcomes: Outcomes) -> np.ndarray:
    return np.bincount(best[best >= 0], minlength=len(outcomes.structures)).astype(np.float64)


def _shares(counts: np.ndarray) -> np.ndarray:
    """Shares of the classes with one row of each added, so that none is impossible."""
    return np.asarray((counts + 1.0) / (counts.sum() + len(counts)))


def configurations(
    regressor: Model, classifier: Model, parameters: Mapping[str, Mapping[str, Any]]
) -> dict[str, tuple[str, Mapping[str, Any]]]:
    """What a fit of this candidate tries, for the ledger: fingerprint by model name, with its parameters."""
    return {
        each.name: (fingerprint(each, parameters.get(each.name, {})), parameters.get(each.name, {}))
        for each in (regressor, classifier)
    }


def fit_stage_one(
    features: pl.DataFrame,
    outcomes: Outcomes,
    rows: np.ndarray,
    *,
    regressor: Model | None,
    classifier: Model | None,
    ledger: Ledger,
    parameters: Mapping[str, Mapping[str, Any]] | None = None,
    name: str | None = None,
) -> StageOne:
    """Fit on `rows`, whose outcomes were all known when it is done.

    Parameters
    ----------
    features : one row per decision, as `outcomes`; the columns are the features. rows : positions to train on, rising.
    regressor, classifier : declared models; None for the base rates alone (mean utility, class shares).
    parameters : by model name.

    Raises
    ------
    FeatureUnavailable
        Where `rows` is empty.
    """
    begun = time.perf_counter()
    rows = np.asarray(rows)
    if not len(rows):
        raise FeatureUnavailable("There is no decision whose outcome is known yet; stage 1 cannot be trained.")
    settings = parameters or {}
    best = outcomes.best
    known = rows[best[rows] >= 0]
    counts = _counts(best[known], outcomes)
    utility = outcomes.utility[rows]
    means = np.array([_mean(utility[:, s]) for s in range(utility.shape[1])])
    early, late = _cut(rows, outcomes)
    common = {"features": features, "outcomes": outcomes, "ledger": ledger}
    regressors, errors = _regressions(regressor, rows, early, late, means, settings, **common)
    classes, calibrator = _classification(classifier, known, early, late, counts, settings, **common)
    return StageOne(
        name=name or (regressor.name if regressor else "constant"),
        structures=outcomes.structures,
        features=tuple(features.columns),
        regressors=regressors,
        means=means,
        errors=errors,
        classifier=classes,
        calibrator=calibrator,
        base_rates=_shares(counts),
        support={each: int(counts[at]) for at, each in enumerate(outcomes.structures)},
        rows=len(rows),
        seconds=time.perf_counter() - begun,
    )


def _mean(values: np.ndarray) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else -np.inf


def _cut(rows: np.ndarray, outcomes: Outcomes) -> tuple[np.ndarray, np.ndarray]:
    """Rows to fit what is judged, and the last rows it is judged on: its outcomes were known before they began."""
    late = rows[int(len(rows) * (1.0 - HELD_BACK)) :]
    if len(late) < MIN_HELD_BACK:
        return rows[:0], late
    early = rows[outcomes.known_by(outcomes.as_of[late[0]])[rows] & (rows < late[0])]
    return early, late


def _regressions(
    model: Model | None,
    rows: np.ndarray,
    early: np.ndarray,
    late: np.ndarray,
    means: np.ndarray,
    settings: Mapping[str, Mapping[str, Any]],
    *,
    features: pl.DataFrame,
    outcomes: Outcomes,
    ledger: Ledger,
) -> tuple[dict[str, FittedModel], dict[str, np.ndarray]]:
    fitted: dict[str, FittedModel] = {}
    errors: dict[str, np.ndarray] = {}
    for at, structure in enumerate(outcomes.structures):
        target = outcomes.utility[:, at]
        usable = rows[np.isfinite(target[rows])]
        first, last = early[np.isfinite(target[early])], late[np.isfinite(target[late])]
        expected = np.full(len(last), _mean(target[first]) if len(first) else means[at])
        if model is not None and len(usable) >= MIN_HELD_BACK:
            fitted[structure] = fit(
                model, features[usable], target[usable], settings.get(model.name, {}), ledger=ledger
            )
            if len(first) >= MIN_HELD_BACK and len(last):
                judged = fit(model, features[first], target[first], settings.get(model.name, {}), ledger=ledger)
                expected = judged.predict(features[last])
        spread = outcomes.returns[last, at, :] - expected[:, None]
        found = np.sort(spread[np.isfinite(spread)])
        if len(found):
            errors[structure] = found
    return fitted, errors


def _classification(
    model: Model | None,
    rows: np.ndarray,
    early: np.ndarray,
    late: np.ndarray,
    counts: np.ndarray,
    settings: Mapping[str, Mapping[str, Any]],
    *,
    features: pl.DataFrame,
    outcomes: Outcomes,
    ledger: Ledger,
) -> tuple[FittedModel | None, Calibrator | None]:
    best = outcomes.best
    learnt = np.flatnonzero(counts >= MIN_CLASS_ROWS)
    if model is None or len(learnt) < 2:
        return None, None
    usable = rows[np.isin(best[rows], learnt)]
    chosen = settings.get(model.name, {})
    fitted = fit(model, features[usable], best[usable], chosen, ledger=ledger)
    first, last = early[np.isin(best[early], learnt)], late[best[late] >= 0]
    if len(first) < MIN_HELD_BACK or len(last) < MIN_HELD_BACK or len(np.unique(best[first])) < 2:
        return fitted, None
    judged = fit(model, features[first], best[first], chosen, ledger=ledger)
    raw = _spread(judged, features[last], len(counts))
    return fitted, temperature(_mixed(raw, _shares(_counts(best[first], outcomes)), len(first)), best[last])
