"""Models of the signals desk walked forward by whole sessions: every forecast by a fit that knew nothing of its day."""

from __future__ import annotations

import datetime as dt
import inspect
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from openbell.core.errors import BadInput
from openbell.core.signal import DECISIONS, FORECASTS, IN_SET, PROBABILITIES
from openbell.quant.signal_rule import called
from openbell.research.fitting import Ledger, code_behind, fingerprint
from openbell.research.fold_work import FoldWork, Walk, check_rule, session_folds, silence
from openbell.research.gate_walk import Progress
from openbell.research.signal_models import Candidate, SignalModel, fit_signal_models, with_context

__all__ = ["Fitting", "Walk", "session_folds", "walk"]

_SAID = ("as_of", "symbol", *PROBABILITIES, *IN_SET)


@dataclass(frozen=True, slots=True)
class Fitting:
    """How each fit of a walk is made; see `signal_models.fit_signal_models`."""

    calibration_share: float = 0.25
    coverage: float = 0.9
    max_train_rows: int = 200_000


def walk(
    rows: pl.DataFrame,
    features: Sequence[str],
    candidates: Sequence[Candidate],
    *,
    ledger: Ledger,
    min_train_sessions: int = 504,
    refit_sessions: int = 252,
    train_sessions: int | None = None,
    fitting: Fitting | None = None,
    min_confidence: float = 0.6,
    require_single: bool = True,
    jobs: int = 1,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> Walk:
    """Out-of-sample forecasts of every candidate for every decision from the first that has enough sessions before it.

    Parameters
    ----------
    rows : columns of `core.signal.DECISIONS` and `features`.
    min_train_sessions : sessions with known labels before the first forecast. refit_sessions : that one fit forecasts.
    train_sessions : that a fit looks back on; None takes all. fitting : how each fit is made.
    min_confidence, require_single : of the rule that calls; see `quant.signal_rule.called`.
    jobs : threads, one fit each; they change no result. cache : folder in which the forecasts of each candidate and fit
        are kept under the hash of everything they are made of, so that a walk that was stopped goes on.

    Raises
    ------
    BadInput
        Where the label is a rule of the features, or there are too few sessions for a single forecast.

    Notes
    -----
    A fit is made at the first decision of its first session and sees what was known then; a session is never split.
    """
    if not candidates or len({each.name for each in candidates}) != len(candidates):
        raise BadInput("A walk needs candidates, each with a name of its own.")
    table = rows.sort("as_of", "symbol")
    parts = session_folds(table, min_train_sessions, refit_sessions, train_sessions)
    check_rule(table, features)
    work = _work(table, features, candidates, ledger, fitting or Fitting(), cache)
    forecasts, folds = work.walked(parts, tuple(DECISIONS), ("as_of", "symbol"), jobs, progress)
    forecasts = called(forecasts, min_confidence=min_confidence, require_single=require_single)
    return Walk(forecasts.select(list(FORECASTS)).cast(dict(FORECASTS)), folds, silence(folds))


def _work(
    rows: pl.DataFrame,
    features: Sequence[str],
    candidates: Sequence[Candidate],
    ledger: Ledger,
    fitting: Fitting,
    cache: Path | None,
) -> FoldWork:
    code = code_behind(inspect.getmodule(fit_signal_models)) | code_behind(sys.modules[__name__])
    by_name = {each.name: each for each in candidates}

    def said(
        train: pl.DataFrame, test: pl.DataFrame, fit_at: dt.datetime, names: Sequence[str]
    ) -> dict[str, tuple[pl.DataFrame, dict[str, Any]]]:
        fitted = fit_signal_models(
            train, features, [by_name[name] for name in names], ledger=ledger, fit_at=fit_at, importance_rows=0,
            **asdict(fitting),
        )  # fmt: skip
        found = _forecasts(fitted, train, test)
        return {name: (found[name], _described(model)) for name, model in fitted.items()}

    return FoldWork(
        rows=rows,
        names=tuple(by_name),
        made_of={each.name: _made_of(each) for each in candidates},
        shared=(asdict(fitting), list(features), code),
        forecasting=said,
        shown=(*(name for name in DECISIONS if not name.startswith("label")), *features),
        said=_SAID,
        cache=cache,
    )


def _made_of(each: Candidate) -> list[Any]:
    return [[fingerprint(member.model, member.parameters), member.weight] for member in each.members]


def _forecasts(fitted: Mapping[str, SignalModel], train: pl.DataFrame, test: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """What each model says of `test`, the columns `_SAID`; a classifier that several hold is asked once."""
    said: dict[int, np.ndarray] = {}
    found = {}
    for name, model in fitted.items():
        for own, member in model.members.items():
            if id(member) not in said:
                shown, wanted = with_context(train, test, member.history_rows)
                keys = shown.select(pl.col("as_of").alias("t"), "symbol")
                said[id(member)] = model.say(own, shown, keys)[wanted]
        found[name] = _voted(model, {own: said[id(member)] for own, member in model.members.items()}, test)
    return found


def _voted(model: SignalModel, said: Mapping[str, np.ndarray], test: pl.DataFrame) -> pl.DataFrame:
    vote = model.vote(said)
    n = test.height
    probabilities = np.full((n, 3), np.nan) if vote is None else vote.probabilities
    in_set = np.zeros((n, 3), dtype=bool) if vote is None else vote.in_set
    frame = test.select("as_of", "symbol").with_columns(
        *(pl.Series(name, probabilities[:, at], dtype=pl.Float64) for at, name in enumerate(PROBABILITIES)),
        *(pl.Series(name, in_set[:, at], dtype=pl.Boolean) for at, name in enumerate(IN_SET)),
    )
    return frame.filter(pl.Series(np.isfinite(probabilities).all(axis=1)))


def _described(model: SignalModel) -> dict[str, Any]:
    report = model.report
    everyone = max(report["votes"], key=lambda name: name.count("+"))
    return {
        "train_first": report["train"]["first"],
        "train_last": report["train"]["last"],
        "train_n": report["train"]["n"],
        "calibrate_n": report["calibrate"]["n"],
        "conform_n": report["votes"][everyone]["conform_n"],
        "method": report["votes"][everyone]["method"],
    }
