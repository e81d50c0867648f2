"""Fitting the models of the signals desk: members on the earlier sessions, their votes calibrated on later ones."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import polars as pl

from openbell.core.errors import BadInput, FeatureUnavailable
from openbell.core.hashing import canonical_json, digest, frame_digest
from openbell.core.signal import DECISIONS
from openbell.quant.calibration import Calibrator
from openbell.quant.conformal import Sets, sets
from openbell.research.calibration_choice import AS_IT_IS, chosen_calibrator, ways_to_calibrate
from openbell.research.fitting import Ledger, fit
from openbell.research.signal_parts import Parts, described, fit_keys, label_weights, labels_alone, parts, thinned
from openbell.research.signal_ranks import Ranks
from openbell.research.signal_votes import (
    BASE_RATE,
    Candidate,
    Member,
    SignalModel,
    Vote,
    candidate,
    raw_matrix,
    soft_vote,
    subsets,
    together,
    trials_of,
)
from openbell.store.artifacts import FittedModel

__all__ = [
    "AS_IT_IS", "BASE_RATE", "Candidate", "Member", "SignalModel", "Vote", "candidate", "fit_signal_model",
    "fit_signal_models", "trials_of", "with_context",
]  # fmt: skip

#: Steps are drawn only from this many calibration rows of their own (label lives overlap: each counts its share).
ISOTONIC_ROWS = 1_000


def fit_signal_model(
    rows: pl.DataFrame, features: Sequence[str], candidate: Candidate, *, ledger: Ledger, **settings: Any
) -> SignalModel:
    """One candidate fitted; arguments and errors as for `fit_signal_models`."""
    return fit_signal_models(rows, features, [candidate], ledger=ledger, **settings)[candidate.name]


def fit_signal_models(
    rows: pl.DataFrame,
    features: Sequence[str],
    candidates: Sequence[Candidate],
    *,
    ledger: Ledger,
    fit_at: dt.datetime | None = None,
    calibration_share: float = 0.25,
    coverage: float = 0.9,
    max_train_rows: int = 200_000,
    importance_rows: int = 500,
) -> dict[str, SignalModel]:
    """Fit `candidates` on what was known at `fit_at`; a classifier that several of them hold is fitted once.

    Parameters
    ----------
    rows : columns of `core.signal.DECISIONS` and `features`; rows without a known label are context for sequences.
    ledger : of trials; see `trials_of` for what is to be recorded there before.
    fit_at : None takes the moment at which the last label was known.
    calibration_share : last part of the sessions with known labels. Its first half calibrates, its second conforms.
    coverage : of the conformal sets. max_train_rows : see `signal_parts.thinned`.
    importance_rows : of the calibration rows that the importance of the features is measured on; 0 leaves it out.

    Returns
    -------
    dict of SignalModel
        By candidate. A class that never happened in training has the probability 0 before calibration.

    Raises
    ------
    BadInput
        On infinite values or NaN (with the columns), too few sessions, or calibration rows too few for `coverage`.
    FeatureUnavailable
        Where a member's library is missing, with the extra to install. Refused : for what is not in the ledger.
    OpenbellError
        Where a member fails to train: there is no vote of fewer than was asked for.

    Notes
    -----
    Members see ranks (`signal_ranks`) learned from the training rows, weighted by the uniqueness of their labels.
    Every subset of the members is calibrated and conformed on its own, on rows that the members have not seen, so that
    a vote from which one is missing means what it says. Of no calibration, temperature, sigmoid and (from
    `ISOTONIC_ROWS` labels of their own on) isotonic steps that one is taken which, fitted on the earlier calibrating
    rows, has the least log-loss on the latest third of them; it is then fitted on all. The conformal rows come after
    all of these.
    """
    _check_libraries(candidates)
    found = parts(rows, features, fit_at, calibration_share)
    training = _Training.of(found, tuple(features), ledger, max_train_rows)
    made = {}
    for each in candidates:
        for member in each.members:
            training.fit(member)
        made[each.name] = _assembled(each, training, coverage)
    if importance_rows:
        made = {name: _with_importance(model, found, importance_rows) for name, model in made.items()}
    return made


def _check_libraries(candidates: Sequence[Candidate]) -> None:
    """Refuse a candidate whose library is missing before anything is fitted."""
    from openbell.quant.recurrent import torch_library

    for each in candidates:
        if any(member.model.sequential for member in each.members):
            try:
                torch_library()
            except FeatureUnavailable as failure:
                raise FeatureUnavailable(f"The candidate `{each.name}` cannot be trained. {failure}") from failure


def _mark(member: Member) -> str:
    return digest([member.name, dict(member.parameters)])


@dataclass(slots=True, eq=False)
class _Training:
    """The members of one fit, each fitted once, and what they say of the later rows."""

    found: Parts
    features: tuple[str, ...]
    ledger: Ledger
    max_train_rows: int
    ranks: Ranks
    fitted: dict[str, FittedModel] = field(default_factory=dict)
    said: dict[str, np.ndarray] = field(default_factory=dict)
    one_in: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, found: Parts, features: tuple[str, ...], ledger: Ledger, most: int) -> _Training:
        """With the ranks of the training rows."""
        sample, _ = thinned(found.train, most, sequential=False)
        return cls(found, features, ledger, most, Ranks.of(raw_matrix(sample, features, "ranks")))

    def fit(self, member: Member) -> None:
        """Fit `member`, unless it is, and ask it about every decision from the calibrating ones on."""
        mark = _mark(member)
        if mark in self.fitted:
            return
        sequential = member.model.sequential
        rows, self.one_in[mark] = thinned(self.found.train, self.max_train_rows, sequential=sequential)
        weight = label_weights(rows)
        if sequential:
            rows, weight = _with_unlabelled(self.found.context, rows, weight)
        self.fitted[mark] = fit(
            member.model,
            self._ranked(rows),
            rows["label"].fill_null(0).cast(pl.Float64).to_numpy(),
            member.parameters,
            ledger=self.ledger,
            sample_weight=weight,
            keys=fit_keys(rows),
        )
        self.said[mark] = self._said(member.name, self.fitted[mark])

    def _ranked(self, rows: pl.DataFrame) -> pl.DataFrame:
        matrix = self.ranks.apply(raw_matrix(rows, self.features, "ranks"))
        return pl.DataFrame(matrix, schema=list(self.features)).fill_nan(None)

    def _said(self, name: str, fitted: FittedModel) -> np.ndarray:
        """Probabilities of the rows of ``found.late``, (n, 3)."""
        alone = SignalModel(name, {name: fitted}, {name: 1.0}, self.features, self.ranks, {}, {}, 0.5)
        rows, wanted = with_context(self.found.context, self.found.late, alone.history_rows)
        return alone.say(name, rows, rows.select(pl.col("as_of").alias("t"), "symbol"))[wanted]


def with_context(before: pl.DataFrame, rows: pl.DataFrame, history_rows: int) -> tuple[pl.DataFrame, np.ndarray]:
    """`rows` behind the latest `history_rows` - 1 decisions of each symbol in `before`, and where they then stand."""
    if history_rows <= 1 or before.is_empty():
        return rows, np.arange(rows.height)
    earlier = before.group_by("symbol", maintain_order=True).tail(history_rows - 1).select(rows.columns)
    return pl.concat([earlier, rows]), np.arange(rows.height) + earlier.height


def _with_unlabelled(context: pl.DataFrame, rows: pl.DataFrame, weight: np.ndarray) -> tuple[pl.DataFrame, np.ndarray]:
    """The decisions of `context` from the first of `rows` on: those that are not among `rows` have the weight 0.

    A sequence is thus made of neighbouring decisions, as it is when the model is asked.
    """
    whole = context.filter(pl.col("session") >= rows["session"].min())
    own = rows.select("as_of", "symbol", pl.Series("weight", weight))
    found = whole.select("as_of", "symbol").join(own, on=["as_of", "symbol"], how="left", maintain_order="left")
    return whole, found["weight"].fill_null(0.0).to_numpy()


def _assembled(each: Candidate, training: _Training, coverage: float) -> SignalModel:
    """The candidate with a calibrator and conformal sets for every subset of its members."""
    found = training.found
    said = {member.name: training.said[_mark(member)] for member in each.members}
    weights = {member.name: member.weight for member in each.members}
    position = found.late.select("as_of", "symbol").with_row_index("row")
    calibrate, conform = (_placed(position, part) for part in (found.calibrate, found.conform))
    calibrators, conformal, told = {}, {}, {}
    for names in subsets(list(said)):
        chosen, fitted = _calibrated(names, said, weights, found.calibrate, calibrate)
        kept, probabilities = _heard(names, said, weights, conform)
        labels = found.conform["label"].to_numpy()[kept].astype(np.int64) + 1
        made = _sets(fitted.apply(probabilities), labels, coverage, names)
        calibrators[together(names)], conformal[together(names)] = fitted, made
        told[together(names)] = {"method": chosen, "conform_n": int(kept.sum())}
    report = {
        **described(found),
        "candidate": each.name,
        "members": {
            member.name: {
                "parameters": {**member.model.settings, **member.parameters},
                "weight": member.weight,
                "sessions_one_in": training.one_in[_mark(member)],
                "classes": list(training.fitted[_mark(member)].classes),
            }
            for member in each.members
        },
        "votes": told,
        "coverage": coverage,
        "features": list(training.features),
        "without_values": _without_values(training),
        "rows": frame_digest(found.train.select(*DECISIONS, *training.features)),
    }
    return SignalModel(
        name=each.name,
        members={member.name: training.fitted[_mark(member)] for member in each.members},
        weights=weights,
        features=training.features,
        ranks=training.ranks,
        calibrators=calibrators,
        sets=conformal,
        coverage=coverage,
        report=json.loads(canonical_json(report)),
    )


def _without_values(training: _Training) -> list[str]:
    """Features that no training row has a value of: they say nothing, and are told."""
    empty = training.found.train.select(pl.col(training.features).is_null().all()).row(0)
    return [name for name, none in zip(training.features, empty, strict=True) if none]


def _placed(position: pl.DataFrame, part: pl.DataFrame) -> np.ndarray:
    """Row numbers of `part` among the later rows."""
    found = part.select("as_of", "symbol").join(position, on=["as_of", "symbol"], how="left", maintain_order="left")
    return found["row"].to_numpy().astype(np.int64)


def _heard(
    names: Sequence[str], said: Mapping[str, np.ndarray], weights: Mapping[str, float], at: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Which of the rows `at` all of `names` speak of, (n,), and their vote of those, (m, 3)."""
    given = [said[name][at] for name in names]
    whole = np.logical_and.reduce([np.isfinite(each).all(axis=1) for each in given])
    if not whole.any():
        raise BadInput(
            f"The vote of {', '.join(names)} has no row to calibrate on: they abstain. Give a longer history."
        )
    return whole, soft_vote([each[whole] for each in given], [weights[name] for name in names])


def _calibrated(
    names: Sequence[str],
    said: Mapping[str, np.ndarray],
    weights: Mapping[str, float],
    rows: pl.DataFrame,
    at: np.ndarray,
) -> tuple[str, Calibrator]:
    """The way to calibrate that the rows themselves speak for, and the calibrator of all of them."""
    whole, raw = _heard(names, said, weights, at)
    own = rows.filter(pl.Series(whole))
    labels = own["label"].to_numpy().astype(np.int64) + 1
    ways = ways_to_calibrate(raw, isotonic=labels_alone(own) >= ISOTONIC_ROWS)
    return chosen_calibrator(ways, raw, labels)


def _sets(probabilities: np.ndarray, labels: np.ndarray, coverage: float, names: Sequence[str]) -> Sets:
    made = sets(probabilities, labels)
    try:
        made.of(probabilities[:1], confidence=coverage)
    except BadInput as failure:
        raise BadInput(f"The conformal sets of {', '.join(names)}: {failure}") from failure
    return made


def _with_importance(model: SignalModel, found: Parts, most: int) -> SignalModel:
    from openbell.research.signal_reasons import feature_importance

    rows = pl.concat([found.calibrate, found.conform])
    table = feature_importance(model, rows, before=found.context, most_rows=most)
    return replace(model, report={**model.report, "importance": table.to_dicts()})
