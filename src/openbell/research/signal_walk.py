"""Models of the signals desk walked forward by whole sessions: every forecast by a fit that knew nothing of its day."""

from __future__ import annotations

import datetime as dt
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from openbell.core.errors import BadInput
from openbell.core.hashing import digest, frame_digest
from openbell.core.signal import DECISIONS, FORECASTS, IN_SET, PROBABILITIES
from openbell.quant.signal_rule import called
from openbell.research.fitting import Ledger, code_behind, fingerprint
from openbell.research.gate_walk import Fold
from openbell.research.gate_walk import folds as folds_of_days
from openbell.research.sanity import rule_label_accuracy
from openbell.research.signal_models import Candidate, SignalModel, fit_signal_models, with_context
from openbell.research.walkforward import in_parallel
from openbell.research.walkforward import write_whole as write_parquet

Progress = Callable[[int, int, str], None]
#: A label that will never be known is known after everything.
_NEVER = dt.datetime(9999, 1, 1, tzinfo=dt.UTC)
#: Rows, evenly taken, on which it is asked whether the label is a rule of the features.
_RULE_ROWS = 20_000
_SAID = ("as_of", "symbol", *PROBABILITIES, *IN_SET)


@dataclass(frozen=True, slots=True)
class Fitting:
    """How each fit of a walk is made; see `signal_models.fit_signal_models`."""

    calibration_share: float = 0.25
    coverage: float = 0.9
    max_train_rows: int = 200_000


@dataclass(frozen=True, slots=True, eq=False)
class Walk:
    """What a walk gave.

    Attributes
    ----------
    forecasts : columns of `core.signal.FORECASTS`, sorted by (as_of, symbol) and then in the order of the candidates;
        a decision on which a model abstains has no row of it.
    folds : a row per fit and candidate: ``fold model fit_at train_first train_last train_n calibrate_n conform_n
        test_first test_last test_n silent method``.
    notes : sentences.
    """

    forecasts: pl.DataFrame
    folds: pl.DataFrame
    notes: tuple[str, ...]


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
    _check_rule(table, features)
    work = _Work(table, tuple(features), tuple(candidates), ledger, fitting or Fitting(), cache)
    tasks = [(number, part) for number, part in enumerate(parts)]
    done = in_parallel(work.fold, tasks, jobs, progress, lambda task: f"forecasts from {task[1].first}")
    said = pl.concat([each for each, _ in done])
    order = pl.DataFrame({"model": [each.name for each in candidates], "place": range(len(candidates))})
    keys = table.select(*DECISIONS)
    forecasts = (
        keys.join(said, on=["as_of", "symbol"], how="inner", maintain_order="left")
        .join(order, on="model", maintain_order="left")
        .sort("as_of", "symbol", "place", maintain_order=True)
    )
    forecasts = called(forecasts, min_confidence=min_confidence, require_single=require_single)
    folds = pl.DataFrame([row for _, found in done for row in found], infer_schema_length=None)
    folds = folds.with_columns(pl.col("train_first", "train_last").str.to_date())
    return Walk(forecasts.select(list(FORECASTS)).cast(dict(FORECASTS)), folds, _notes(folds))


def session_folds(
    rows: pl.DataFrame, min_train_sessions: int, refit_sessions: int, train_sessions: int | None = None
) -> tuple[Fold, ...]:
    """The folds of a walk over `rows`; see `gate_walk.folds`."""
    keys = rows.select(
        "session",
        pl.col("as_of").alias("known_at"),
        pl.col("label_known_at").fill_null(_NEVER).alias("outcome_known_at"),
    )
    found = folds_of_days(keys, min_train_days=min_train_sessions, train_days=train_sessions, refit_days=refit_sessions)
    if not found:
        raise BadInput(
            f"There are decisions of {rows['session'].n_unique()} sessions; the first forecast needs the labels of "
            f"{min_train_sessions} before it. Give a longer history, or set `signals.min_train_sessions`."
        )
    return found


def _check_rule(rows: pl.DataFrame, features: Sequence[str]) -> None:
    """Refuse a label that a small tree computes from the features: it is no outcome, and no accuracy means anything."""
    known = rows.filter(pl.col("label").is_not_null())
    some = known.gather_every(max(1, known.height // _RULE_ROWS))
    if some.height < 100:
        return
    matrix = some.select(pl.col(list(features)).cast(pl.Float64)).to_numpy()
    if np.isinf(matrix).any():
        return  # The fit refuses it, with the columns.
    found = rule_label_accuracy(matrix, some["label"].to_numpy())
    if found.is_rule:
        raise BadInput(
            f"The label is a rule, not an outcome: a small tree foretells {found.accuracy:.1%} of {found.n} labels "
            f"from the features (the commonest class is {found.base_rate:.1%}). Look for the feature that holds it."
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Work:
    """What the folds of a walk share."""

    rows: pl.DataFrame
    features: tuple[str, ...]
    candidates: tuple[Candidate, ...]
    ledger: Ledger
    fitting: Fitting
    cache: Path | None

    def fold(self, number: int, fold: Fold) -> tuple[pl.DataFrame, list[dict[str, Any]]]:
        """Forecasts of every candidate on one fold, from the cache where they are there, and how they were fitted."""
        test = self.rows.filter(pl.col("session").is_between(fold.first, fold.last))
        begins = self.rows["session"][int(fold.train[0])]
        train = self.rows.filter((pl.col("session") >= begins) & (pl.col("session") < fold.first))
        train = _as_known(train, fold.at)
        paths = self._paths(train, test, fold)
        kept = {name: _read(path) for name, path in paths.items() if path is not None}
        wanted = [each for each in self.candidates if kept.get(each.name) is None]
        if wanted:
            fitted = fit_signal_models(
                train, self.features, wanted, ledger=self.ledger, fit_at=fold.at, importance_rows=0,
                **asdict(self.fitting),
            )  # fmt: skip
            found = _forecasts(fitted, train, test)
            for name, frame in found.items():
                kept[name] = (frame, _described(fitted[name]))
                path = paths[name]
                if path is not None:
                    _write(path, *kept[name])
        frames, told = [], []
        for each in self.candidates:
            frame, how = kept[each.name]  # type: ignore[misc]
            mark = (pl.lit(each.name).alias("model"), pl.lit(number, pl.Int32).alias("fold"))
            frames.append(frame.with_columns(*mark))
            told.append(_row(number, each.name, fold, test, frame, how))
        return pl.concat(frames), told

    def _paths(self, train: pl.DataFrame, test: pl.DataFrame, fold: Fold) -> dict[str, Path | None]:
        if self.cache is None:
            return dict.fromkeys((each.name for each in self.candidates), None)
        shown = test.select(*(name for name in DECISIONS if not name.startswith("label")), *self.features)
        code = code_behind(inspect.getmodule(fit_signal_models)) | code_behind(sys.modules[__name__])
        shared = [frame_digest(train), frame_digest(shown), fold.at, asdict(self.fitting), list(self.features), code]
        return {each.name: self.cache / f"{digest([shared, _made_of(each)])}.parquet" for each in self.candidates}


def _as_known(rows: pl.DataFrame, moment: dt.datetime) -> pl.DataFrame:
    """`rows` with the labels that were known at `moment`; the others are not there yet."""
    known = pl.col("label_known_at") <= moment
    return rows.with_columns(pl.when(known).then(pl.col(name)).alias(name) for name in ("label", "label_known_at"))


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


def _row(
    number: int, name: str, fold: Fold, test: pl.DataFrame, frame: pl.DataFrame, how: Mapping[str, Any]
) -> dict[str, Any]:
    own = {"test_first": fold.first, "test_last": fold.last, "test_n": test.height}
    return {"fold": number, "model": name, "fit_at": fold.at, **how, **own, "silent": test.height - frame.height}


def _read(path: Path) -> tuple[pl.DataFrame, dict[str, Any]] | None:
    """What `_write` kept; None where it is not there."""
    if not path.exists():
        return None
    whole = pl.read_parquet(path)
    how = whole.select(pl.exclude(_SAID))
    return whole.filter(pl.col("as_of").is_not_null()).select(_SAID), how.row(-1, named=True)


def _write(path: Path, frame: pl.DataFrame, how: Mapping[str, Any]) -> None:
    """Forecasts, and behind them a row that says how they were made."""
    last = pl.DataFrame([dict(how)], infer_schema_length=None)
    write_parquet(path, pl.concat([frame, last], how="diagonal"))


def _notes(folds: pl.DataFrame) -> tuple[str, ...]:
    silent = folds.group_by("model", maintain_order=True).agg(pl.col("silent").sum(), pl.col("test_n").sum())
    return tuple(
        f"`{row['model']}` abstained on {row['silent']:,} of {row['test_n']:,} decisions."
        for row in silent.iter_rows(named=True)
        if row["silent"]
    )
