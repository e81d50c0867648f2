"""Models of the session desk walked forward by whole sessions: every forecast by a fit that knew nothing of its day."""

from __future__ import annotations

import datetime as dt
import inspect
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from openbell.core.errors import BadInput
from openbell.core.session import DECISIONS, probability
from openbell.research.fitting import Ledger, code_behind, fingerprint
from openbell.research.fold_work import FoldWork, Walk, check_rule, session_folds, silence
from openbell.research.gate_walk import Progress
from openbell.research.session_models import Candidate, SessionModel, check_rows, fit_classes

__all__ = ["Walk", "called", "forecast_columns", "walk"]


def forecast_columns(classes: Sequence[str]) -> dict[str, pl.DataType | type[pl.DataType]]:
    """Columns of the forecasts of a walk, with their types: `core.session.DECISIONS` and what a model said.

    ``p_<class>`` are calibrated and sum to 1; they, ``confidence`` (the largest of them) and ``call`` are null where a
    model abstains, ``call`` also where nothing is sure enough.
    """
    own = {probability(name): pl.Float64 for name in classes}
    return {**DECISIONS, "model": pl.String, "fold": pl.Int32, **own, "confidence": pl.Float64, "call": pl.String}


def walk(
    rows: pl.DataFrame,
    features: Sequence[str],
    label_classes: Sequence[str],
    candidates: Sequence[Candidate],
    *,
    ledger: Ledger,
    min_train_sessions: int = 252,
    refit_sessions: int = 63,
    train_sessions: int | None = None,
    calibration_share: float = 0.25,
    min_confidence: float = 0.6,
    jobs: int = 1,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> Walk:
    """Out-of-sample forecasts of every candidate for every session from the first that has enough before it.

    Parameters
    ----------
    rows : columns of `core.session.DECISIONS` and `features`, in any order. label_classes : of the label, by its codes.
    min_train_sessions : sessions with known labels before the first forecast. refit_sessions : that one fit forecasts.
    train_sessions : that a fit looks back on; None takes all. calibration_share : see `fit_session_models`.
    min_confidence : of `called`.
    jobs : threads, one fit each; they change no result. cache : folder in which the forecasts of each candidate and fit
        are kept under the hash of everything they are made of, so that a walk that was stopped goes on.

    Returns
    -------
    Walk
        `forecasts` have the columns of `forecast_columns`, one row per decision and candidate, sorted by (session,
        symbol) and then in the order of the candidates. `folds` have ``train_first train_last train_n calibrate_n
        method`` between the fit and the test.

    Raises
    ------
    BadInput
        Where the rows are unusable, the label is a rule of the features, or there are too few sessions for a single
        forecast. LeakFound : see `fit_session_models`.

    Notes
    -----
    A fit is made at the first decision of its first session and sees what was known then; a session, whatever its
    number of products, is never split.
    """
    if not candidates or len({each.name for each in candidates}) != len(candidates):
        raise BadInput("A walk needs candidates, each with a name of its own.")
    check_rows(rows, features, label_classes)
    table = rows.select(*DECISIONS, *features).sort("session", "symbol")
    folds = session_folds(table, min_train_sessions, refit_sessions, train_sessions, desk="session")
    check_rule(table, features)
    work = _work(table, tuple(features), tuple(label_classes), candidates, ledger, calibration_share, cache)
    forecasts, told = work.walked(folds, tuple(DECISIONS), ("session", "symbol"), jobs, progress)
    forecasts = called(forecasts, label_classes, min_confidence)
    columns = forecast_columns(label_classes)
    return Walk(forecasts.select(list(columns)).cast(columns), told, silence(told))


def called(rows: pl.DataFrame, classes: Sequence[str], min_confidence: float) -> pl.DataFrame:
    """`rows` with ``confidence``, the largest probability, and ``call``, its class if that reaches `min_confidence`.

    Of classes that are equally likely the first is called, as by the desk. Below `min_confidence`, and where the
    probabilities are null, the call is null: no call, which no code trades.
    """
    if not 0.0 <= min_confidence <= 1.0:
        raise BadInput(f"`min_confidence` must lie between 0 and 1; was {min_confidence}. The request asks for 0.6.")
    columns = [probability(name) for name in classes]
    confidence, call = pl.max_horizontal(*columns), pl.lit(None, dtype=pl.String)
    for name in reversed(classes):
        call = pl.when(pl.col(probability(name)) == confidence).then(pl.lit(name)).otherwise(call)
    sure = confidence >= min_confidence
    return rows.with_columns(confidence.alias("confidence"), pl.when(sure).then(call).alias("call"))


def _work(
    rows: pl.DataFrame,
    features: tuple[str, ...],
    classes: tuple[str, ...],
    candidates: Sequence[Candidate],
    ledger: Ledger,
    calibration_share: float,
    cache: Path | None,
) -> FoldWork:
    code = code_behind(inspect.getmodule(fit_classes)) | code_behind(sys.modules[__name__])
    by_name = {each.name: each for each in candidates}
    said = ("as_of", "symbol", *(probability(name) for name in classes))

    def forecasting(
        train: pl.DataFrame, test: pl.DataFrame, fit_at: dt.datetime, names: Sequence[str]
    ) -> dict[str, tuple[pl.DataFrame, Mapping[str, Any]]]:
        fitted = fit_classes(
            train, features, classes, [by_name[name] for name in names], ledger=ledger, fit_at=fit_at,
            calibration_share=calibration_share,
        )  # fmt: skip
        return {name: (_said(model, test, said), _described(model)) for name, model in fitted.items()}

    return FoldWork(
        rows=rows,
        names=tuple(by_name),
        made_of={name: [fingerprint(m.model, m.parameters) for m in each.members] for name, each in by_name.items()},
        shared=(calibration_share, list(features), list(classes), code),
        forecasting=forecasting,
        shown=(*(name for name in DECISIONS if name in ("symbol", "session", "as_of")), *features),
        said=said,
        cache=cache,
    )


def _said(model: SessionModel, test: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
    found = model.probabilities(test)
    values = [pl.Series(name, found[:, at]).fill_nan(None) for at, name in enumerate(columns[2:])]
    return test.select(columns[:2]).with_columns(values)


def _described(model: SessionModel) -> dict[str, Any]:
    train, calibrate = model.report["train"], model.report["calibrate"]
    return {
        "train_first": train["first"],
        "train_last": train["last"],
        "train_n": train["n"],
        "calibrate_n": calibrate["n"],
        "method": model.report["method"],
    }
