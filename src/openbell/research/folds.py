"""Segments of time: what each is trained on, what it is tested on, and the proof that the two do not meet."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np
import polars as pl

from openbell.core.errors import BadInput, LeakFound


@dataclass(frozen=True, slots=True)
class Fold:
    """One segment: fitted at `fit_at` on what was known then, scored on the decisions from `test_first` to `test_last`.

    `train_first` is the earliest decision session trained on; None takes all.
    """

    number: int
    fit_at: dt.datetime
    test_first: dt.date
    test_last: dt.date
    train_first: dt.date | None = None


def folds_over(
    decisions: pl.DataFrame, *, folds: int, min_train_sessions: int, train_sessions: int | None = None
) -> tuple[Fold, ...]:
    """Cut the decisions after the first `min_train_sessions` into `folds` segments of equal length.

    Parameters
    ----------
    decisions : columns ``session``, ``as_of``, one row per decision session, without gaps.
    min_train_sessions : sessions before the first segment. train_sessions : a rolling window; None lets it expand.
    """
    dated = decisions.sort("session")
    rest = dated.height - min_train_sessions
    if folds < 1 or rest < folds:
        raise BadInput(
            f"{dated.height} decision sessions are too few for {folds} folds after {min_train_sessions} sessions of "
            "training. Give a longer history, or ask for fewer folds or a shorter first training."
        )
    edges = min_train_sessions + (np.arange(folds + 1) * rest) // folds
    sessions, moments = dated["session"].to_list(), dated["as_of"].to_list()
    return tuple(
        Fold(
            number=at + 1,
            fit_at=moments[start],
            test_first=sessions[start],
            test_last=sessions[end - 1],
            train_first=None if train_sessions is None else sessions[max(start - train_sessions, 0)],
        )
        for at, (start, end) in enumerate(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))
    )


def train_rows(label: str, fit_at: dt.datetime, stride: int = 1, train_first: dt.date | None = None) -> pl.Expr:
    """Rows whose label was known at `fit_at` (purge and embargo in one), one decision in `stride` of the calendar."""
    kept = pl.col(label).is_not_null() & (pl.col(f"{label}_known_at") <= fit_at)
    if train_first is not None:
        kept = kept & (pl.col("session") >= train_first)
    if stride > 1:
        kept = kept & (pl.col("number") % stride == 0)
    return kept


def check_fold(train: pl.DataFrame, test: pl.DataFrame, fit_at: dt.datetime) -> None:
    """Refuse a fold that leaks.

    Parameters
    ----------
    train : columns ``session``, ``as_of``, ``label_known_at``. test : columns ``session``, ``as_of``.

    Raises
    ------
    LeakFound
        Where a training label was not known at `fit_at`, a test decision was made before `fit_at`, or a session
        stands on both sides.
    """
    late = train.filter(pl.col("label_known_at").is_null() | (pl.col("label_known_at") > fit_at))
    if late.height:
        raise LeakFound(
            f"{late.height} training rows have labels that were not known at the fit on {fit_at:%Y-%m-%d %H:%M} UTC; "
            f"the first is of {late['session'].min()}."
        )
    early = test.filter(pl.col("as_of") < fit_at)
    if early.height:
        raise LeakFound(
            f"{early.height} test rows were decided before the fit on {fit_at:%Y-%m-%d %H:%M} UTC; "
            f"the first is of {early['session'].min()}."
        )
    both = train.select("session").unique().join(test.select("session").unique(), on="session", how="semi")
    if both.height:
        raise LeakFound(f"{both.height} sessions stand in training and in test; the first is {both['session'].min()}.")
