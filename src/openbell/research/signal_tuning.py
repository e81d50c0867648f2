"""Parameters of the classifiers of the signals desk, chosen before the walk begins: every trial is counted."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from openbell.core.declare import Model
from openbell.core.errors import BadInput
from openbell.research.fitting import fit
from openbell.research.inner import TrainingRows
from openbell.research.signal_parts import check_values, label_weights, thinned
from openbell.research.signal_ranks import Ranks
from openbell.research.signal_votes import Candidate, candidate, raw_matrix
from openbell.research.signal_walk import session_folds
from openbell.research.tuning import Tuned, TuningSettings, tune
from openbell.store.artifacts import FittedModel

if TYPE_CHECKING:
    from openbell.store.trials import Trials

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True, eq=False)
class TunedCandidate:
    """A candidate with chosen parameters, and what the search found.

    Attributes
    ----------
    candidate : named after the model with ``_tuned`` behind it. found : see `tuning.Tuned`; its values are minus the
        log-loss on the inner folds. fit_at : the moment the search knew nothing after; rows : that it learned from.
    """

    candidate: Candidate
    found: Tuned
    fit_at: dt.datetime
    rows: int

    @property
    def gain(self) -> float | None:
        """By which share of itself the log-loss of the defaults fell on the inner folds; None where these failed.

        It is the largest of many on the same rows (S3.14): what it is worth, the walk says, where both stand.
        """
        found = self.found
        return None if found.gain is None or not found.default_value else found.gain / -found.default_value

    @property
    def record(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "model": self.candidate.name, "parameters": dict(self.found.parameters), "log_loss": -self.found.value,
            "default_log_loss": None if self.found.default_value is None else -self.found.default_value,
            "gain": self.gain, "trials": self.found.trials.height, "rows": self.rows,
            "fit_at": self.fit_at.isoformat(), "notes": list(self.found.notes),
        }  # fmt: skip


def tuned_candidate(
    name: str,
    rows: pl.DataFrame,
    features: Sequence[str],
    models: Mapping[str, Model],
    *,
    ledger: Trials,
    desk: str,
    data: str,
    at: dt.datetime,
    now: Callable[[], float],
    min_train_sessions: int,
    settings: TuningSettings | None = None,
    max_train_rows: int = 200_000,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> TunedCandidate:
    """Search the declared space of the classifier `name` on what was known when the first fit of the walk is made.

    So no forecast of the walk is made by parameters that knew its outcome. The inner folds run forward in time, whole
    sessions, purged by when labels were known; features are ranked in each by its own training rows.

    Parameters
    ----------
    rows, features, min_train_sessions : of the walk. ledger, desk, data, at : every trial is recorded before its fit.
    now : a clock in seconds, used with a time budget only. The other arguments as for `tuning.tune`.

    Raises
    ------
    BadInput
        For a classifier without a search space, or one that reads sequences where a session has several decisions of
        a symbol: inner folds know rows by session.
    """
    chosen = candidate(name, models).members
    if len(chosen) > 1:
        raise BadInput(f"`{name}` is a vote of others: tune {', '.join(each.name for each in chosen)}.")
    model, table = chosen[0].model, rows.sort("as_of", "symbol")
    fit_at = session_folds(table, min_train_sessions, 1)[0].at
    known = table.filter(pl.col("label").is_not_null() & (pl.col("label_known_at") <= fit_at))
    check_values(known, features)
    known, _ = thinned(known, max_train_rows, sequential=model.sequential)
    if model.sequential and known.select("session", "symbol").is_duplicated().any():
        raise BadInput(
            f"`{name}` reads sequences and cannot be tuned where a session has several decisions of a symbol. Tune the "
            "others, or give its parameters."
        )
    training = TrainingRows(
        frame=pl.DataFrame(raw_matrix(known, features, name), schema=list(features)).fill_nan(None),
        target=known["label"].cast(pl.Float64).to_numpy(),
        keys=known.select("session", "symbol", "as_of", "label_known_at"),
        sample_weight=label_weights(known),
    )
    found = tune(
        model, training, fit_at=fit_at, ledger=ledger, desk=desk, data=data, at=at, now=now,
        settings=settings or TuningSettings(trials=20, folds=3), cache=cache, fit=fit_ranked, progress=progress,
    )  # fmt: skip
    best = candidate(name, models, parameters={name: found.parameters}, called=f"{name}_tuned")
    return TunedCandidate(best, found, fit_at, known.height)


@dataclass(frozen=True, eq=False)
class _Ranked:
    """A fitted model behind the ranks of its training rows, asked by raw features."""

    fitted: FittedModel
    ranks: Ranks

    @property
    def classes(self) -> tuple[float, ...]:
        return self.fitted.classes

    @property
    def sequential(self) -> bool:
        return self.fitted.sequential

    def predict_proba(self, frame: pl.DataFrame, keys: pl.DataFrame | None = None) -> np.ndarray:
        """Probabilities of `classes`, (n, classes)."""
        return self.fitted.predict_proba(_ranked(frame, self.ranks), keys)


def _ranked(frame: pl.DataFrame, ranks: Ranks) -> pl.DataFrame:
    return pl.DataFrame(ranks.apply(raw_matrix(frame, frame.columns, "ranks")), schema=frame.columns).fill_nan(None)


def fit_ranked(model: Model, frame: pl.DataFrame, *given: Any, **named: Any) -> Any:
    """`fitting.fit` on ranks learned from `frame`; what it gives is asked by raw features."""
    ranks = Ranks.of(raw_matrix(frame, frame.columns, model.name))
    return _Ranked(fit(model, _ranked(frame, ranks), *given, **named), ranks)
