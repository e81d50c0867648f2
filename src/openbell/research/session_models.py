"""Fitting the models of the session desk: a classifier on the earlier sessions, calibrated on later ones."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np
import polars as pl

from openbell.core.declare import Model
from openbell.core.errors import BadInput, LeakFound, unknown
from openbell.core.hashing import canonical_json, frame_digest
from openbell.core.session import CLASSES, DECISIONS
from openbell.quant.calibration import Calibrator
from openbell.research.calibration_choice import AS_IT_IS, chosen_calibrator, unchanged, ways_to_calibrate
from openbell.research.fitting import Ledger, fit
from openbell.research.inner import aligned
from openbell.research.signal_parts import Parts, described, fit_keys, parts
from openbell.research.signal_votes import BASE_RATE, Candidate, candidate, raw_matrix, trials_of
from openbell.store.artifacts import FittedModel

__all__ = [
    "BASE_RATE", "DEFAULTS", "Candidate", "SessionModel", "check_rows", "fit_classes", "fit_session_models",
    "session_candidate", "smoothed", "trials_of",
]  # fmt: skip

#: Parameters of the desk over those that each classifier declares (S4.07); every one draws with the seed 42.
DEFAULTS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "logistic": {"max_iter": 1000, "standardise": True},
        "lightgbm_classifier": {"num_leaves": 31, "max_depth": -1, "learning_rate": 0.05, "n_estimators": 100},
        "xgboost_classifier": {"max_depth": 6, "learning_rate": 0.05, "n_estimators": 100},
    }
)


def session_candidate(
    name: str,
    models: Mapping[str, Model],
    *,
    parameters: Mapping[str, Mapping[str, Any]] | None = None,
    called: str | None = None,
) -> Candidate:
    """The candidate `name`: a classifier of `models` that is no blend and reads no sequences, or ``base_rate``.

    `parameters`, by name, are merged with `DEFAULTS` and what the classifier declares: a part of them replaces no other
    part. `called` is another name for it, for example of a tuned one.
    """
    usable = [each for each, model in models.items() if _is_usable(model)]
    if name != BASE_RATE and name not in usable:
        raise unknown("candidate of the session desk", name, [*usable, BASE_RATE])
    own = {**DEFAULTS.get(name, {}), **(parameters or {}).get(name, {})}
    return candidate(name, models, parameters={name: own}, called=called)


def _is_usable(model: Model) -> bool:
    return model.task == "classification" and not model.members and not model.sequential


@dataclass(frozen=True, eq=False)
class SessionModel:
    """A fitted candidate.

    Attributes
    ----------
    name : of the candidate. label : what it was taught. classes : of the label, k, in the order of the probabilities.
    features : columns that it reads, in order. fitted : the classifier. calibrator : of what that says.
    rates : (k,) share of each class among all labels known at the fit, by the rule of succession. trained, calibrated :
        rows behind the classifier and behind the calibrator. report : what it was made of, plain values.
    card : what it is and what it was worth; see `session_files.with_card`.
    """

    name: str
    label: str
    classes: tuple[str, ...]
    features: tuple[str, ...]
    fitted: FittedModel
    calibrator: Calibrator
    rates: np.ndarray
    trained: int
    calibrated: int
    report: Mapping[str, Any] = field(default_factory=dict)
    card: Mapping[str, Any] = field(default_factory=dict)

    def raw(self, features: pl.DataFrame) -> np.ndarray:
        """What the classifier says, not calibrated: (n, k), NaN rows where it abstains or no feature has a value.

        A class that it has never seen has the share that is left by `smoothed`, as every other.
        """
        matrix = raw_matrix(features, self.features, self.name)
        if self.fitted.name == BASE_RATE:
            return np.tile(self.rates, (len(matrix), 1))
        said = self.fitted.predict_proba(pl.DataFrame(matrix, schema=list(self.features)))
        found = smoothed(aligned(said, self.fitted.classes, range(len(self.classes))), self.rates, self.trained)
        found[np.isnan(matrix).all(axis=1)] = np.nan
        return found

    def probabilities(self, features: pl.DataFrame) -> np.ndarray:
        """Calibrated probabilities of `classes`, (n, k), none of them 0; NaN rows where it abstains.

        Parameters
        ----------
        features : columns by name, null where missing; others are not read.

        Raises
        ------
        BadInput
            Where a column is missing or holds infinite values.
        """
        found = self.raw(features)
        if self.fitted.name == BASE_RATE:
            return found
        spoken = ~np.isnan(found).any(axis=1)
        if spoken.any():
            found[spoken] = smoothed(self.calibrator.apply(found[spoken]), self.rates, self.calibrated)
        return found


def smoothed(probabilities: np.ndarray, rates: np.ndarray, rows: int) -> np.ndarray:
    """``(rows * p + k * rates) / (rows + k)`` of each row of (n, k): as if every class had been counted once more.

    What rests on a few rows stays near the base rates, and nothing that has a base rate is called impossible.
    """
    k = len(rates)
    return np.asarray((rows * probabilities + k * rates) / (rows + k))


def fit_session_models(
    rows: pl.DataFrame,
    features: Sequence[str],
    label: str,
    candidates: Sequence[Candidate],
    *,
    ledger: Ledger,
    fit_at: dt.datetime | None = None,
    calibration_share: float = 0.25,
) -> dict[str, SessionModel]:
    """Fit `candidates` on everything known at `fit_at`, by name.

    Parameters
    ----------
    rows : columns of `core.session.DECISIONS` and `features`. label : of `core.session.CLASSES`.
    ledger : of trials; see `signal_votes.trials_of` for what is to be recorded there before.
    fit_at : None takes the moment at which the last label was known.
    calibration_share : last part of the sessions with known labels, which calibrates.

    Raises
    ------
    BadInput
        On infinite values or NaN (with the columns), labels out of range, or too few sessions.
    LeakFound
        Where an outcome was known, or a position entered, before the decision. Refused : for what is not in the ledger.

    Notes
    -----
    The classifier sees the earlier sessions alone, with every scale it needs learned from them. Of no calibration,
    temperature and sigmoid that one is taken which, fitted on the earlier calibrating rows, has the least log-loss on
    the latest third of them; it is then fitted on all. Before and after, probabilities are mixed with the base rates
    (see `smoothed`). ``base_rate`` says the base rates of all known labels.
    """
    if label not in CLASSES:
        raise unknown("label of the session desk", label, CLASSES)
    return fit_classes(
        rows, features, CLASSES[label], candidates, label=label, ledger=ledger, fit_at=fit_at,
        calibration_share=calibration_share,
    )  # fmt: skip


def fit_classes(
    rows: pl.DataFrame,
    features: Sequence[str],
    classes: Sequence[str],
    candidates: Sequence[Candidate],
    *,
    ledger: Ledger,
    label: str = "",
    fit_at: dt.datetime | None = None,
    calibration_share: float = 0.25,
) -> dict[str, SessionModel]:
    """As `fit_session_models`, for a label that is known by its classes."""
    check_rows(rows, features, classes)
    found = parts(
        rows, features, fit_at, calibration_share, columns=tuple(DECISIONS), codes=range(len(classes)), conforming=False
    )
    return {each.name: _fitted(each, found, tuple(features), tuple(classes), label, ledger) for each in candidates}


def check_rows(rows: pl.DataFrame, features: Sequence[str], classes: Sequence[str]) -> None:
    """Refuse rows that nothing can be learned from: columns, keys, labels and the order of their moments."""
    missing = [name for name in (*DECISIONS, *features) if name not in rows.columns]
    if missing or not features:
        raise BadInput(f"Rows to learn from lack {', '.join(f'`{name}`' for name in missing) or 'any feature'}.")
    label, known = pl.col("label"), pl.col("label_known_at")
    counts = rows.select(
        keyless=pl.any_horizontal(pl.col("symbol", "session", "as_of").is_null()).sum(),
        twice=pl.len() - pl.struct("symbol", "session").n_unique(),
        strange=(~label.is_in(list(range(len(classes))))).sum(),
        undated=(label.is_not_null() & known.is_null()).sum(),
        early=(known <= pl.col("as_of")).sum(),
        entered=(pl.col("entry_at") < pl.col("as_of")).sum(),
    ).row(0, named=True)
    sentences = {
        "keyless": "{n:,} of {all:,} rows have no symbol, session or moment.",
        "twice": "{n:,} of {all:,} rows are of a session of a product that has one already.",
        "strange": f"Labels run from 0 to {len(classes) - 1} ({', '.join(classes)}); {{n:,}} rows have others.",
        "undated": "{n:,} of {all:,} labels do not say when they were known.",
        "early": "{n:,} of {all:,} outcomes were known at their own cut-off: they are no outcomes.",
        "entered": "{n:,} of {all:,} positions were entered before their own cut-off.",
    }
    for fault, sentence in sentences.items():
        if counts[fault]:
            error = LeakFound if fault in ("early", "entered") else BadInput
            raise error(sentence.format(n=counts[fault], all=rows.height))


def _fitted(
    each: Candidate, found: Parts, features: tuple[str, ...], classes: tuple[str, ...], label: str, ledger: Ledger
) -> SessionModel:
    """One candidate: the base rate on all known rows, every other on the training rows and then calibrated."""
    if len(each.members) != 1 or each.members[0].model.sequential:
        raise BadInput(f"The candidate `{each.name}` of the session desk must be one classifier without sequences.")
    member, known = each.members[0], pl.concat([found.train, found.calibrate])
    is_base = member.name == BASE_RATE
    rows = known if is_base else found.train
    fitted = fit(
        member.model,
        rows.select(pl.col(features).cast(pl.Float64)),
        rows["label"].cast(pl.Float64).to_numpy(),
        member.parameters,
        ledger=ledger,
        keys=fit_keys(rows),
    )
    rates = np.bincount(known["label"].to_numpy(), minlength=len(classes)) + 1.0
    rates /= rates.sum()
    model = SessionModel(
        name=each.name,
        label=label,
        classes=classes,
        features=features,
        fitted=fitted,
        calibrator=unchanged(len(classes)),
        rates=rates,
        trained=rows.height,
        calibrated=found.calibrate.height,
    )
    method, calibrator = (AS_IT_IS, model.calibrator) if is_base else _calibrated(model, found.calibrate)
    report = {
        **described(found, range(len(classes))),
        "candidate": each.name,
        "classifier": member.name,
        "parameters": {**member.model.settings, **member.parameters},
        "method": method,
        "seen": [classes[int(code)] for code in fitted.classes],
        "base_rates": rates.tolist(),
        "without_values": [name for name in features if found.train[name].null_count() == found.train.height],
        "rows": frame_digest(known.select(*DECISIONS, *features)),
    }
    return replace(model, calibrator=calibrator, report=json.loads(canonical_json(report)))


def _calibrated(model: SessionModel, rows: pl.DataFrame) -> tuple[str, Calibrator]:
    """The way to calibrate, and the calibrator, from rows that the classifier has not seen."""
    raw = model.raw(rows)
    spoken = ~np.isnan(raw).any(axis=1)
    if not spoken.any():
        raise BadInput(f"`{model.name}` abstains on every row to calibrate on. Give a longer history.")
    labels = rows["label"].to_numpy().astype(np.int64)
    return chosen_calibrator(ways_to_calibrate(raw[spoken]), raw[spoken], labels[spoken])
