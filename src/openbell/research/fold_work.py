"""What every walk by whole sessions does with its folds: rows as they were known, forecasts that are kept, a table."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from openbell.core.errors import BadInput
from openbell.core.hashing import digest, frame_digest
from openbell.research.gate_walk import Fold, Progress
from openbell.research.gate_walk import folds as folds_of_days
from openbell.research.sanity import rule_label_accuracy
from openbell.research.walkforward import in_parallel
from openbell.research.walkforward import write_whole as write_parquet

#: A label that will never be known is known after everything.
_NEVER = dt.datetime(9999, 1, 1, tzinfo=dt.UTC)
#: Rows, evenly taken, on which it is asked whether the label is a rule of the features.
_RULE_ROWS = 20_000

#: What the candidates of these names, fitted on the first rows at the moment, say of the second: by name a frame of
#: ``as_of``, ``symbol`` and what was said, and plain values on the fit.
Forecasting = Callable[
    [pl.DataFrame, pl.DataFrame, dt.datetime, Sequence[str]], Mapping[str, tuple[pl.DataFrame, Mapping[str, Any]]]
]


@dataclass(frozen=True, slots=True, eq=False)
class Walk:
    """What a walk gave.

    Attributes
    ----------
    forecasts : a row per decision and candidate, in the order of the decisions and then of the candidates; its columns
        are the desk's own.
    folds : a row per fit and candidate: ``fold model fit_at``, how it was made, ``test_first test_last test_n silent``.
    notes : sentences.
    """

    forecasts: pl.DataFrame
    folds: pl.DataFrame
    notes: tuple[str, ...]


def session_folds(
    rows: pl.DataFrame,
    min_train_sessions: int,
    refit_sessions: int,
    train_sessions: int | None = None,
    *,
    desk: str = "signals",
) -> tuple[Fold, ...]:
    """The folds of a walk over `rows`; see `gate_walk.folds`. `desk` is for the words of a refusal."""
    keys = rows.select(
        "session",
        pl.col("as_of").alias("known_at"),
        pl.col("label_known_at").fill_null(_NEVER).alias("outcome_known_at"),
    )
    found = folds_of_days(keys, min_train_days=min_train_sessions, train_days=train_sessions, refit_days=refit_sessions)
    if not found:
        raise BadInput(
            f"There are decisions of {rows['session'].n_unique()} sessions; the first forecast needs the labels of "
            f"{min_train_sessions} before it. Give a longer history, or set `{desk}.min_train_sessions`."
        )
    return found


def check_rule(rows: pl.DataFrame, features: Sequence[str]) -> None:
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
class FoldWork:
    """What the folds of a walk share.

    Attributes
    ----------
    rows : in order of time. names : of the candidates, in their order. made_of : of each, plain values that decide what
        it learns. shared : those that decide what all of them learn, code included. forecasting : see `Forecasting`.
    shown : columns of the test rows that a forecast may read. said : columns of a frame of forecasts; where a candidate
        abstains they hold a null, or there is no row. cache : folder, or None.
    """

    rows: pl.DataFrame
    names: tuple[str, ...]
    made_of: Mapping[str, Any]
    shared: Sequence[Any]
    forecasting: Forecasting
    shown: tuple[str, ...]
    said: tuple[str, ...]
    cache: Path | None

    def walked(
        self, folds: Sequence[Fold], keys: Sequence[str], by: Sequence[str], jobs: int, progress: Progress | None
    ) -> tuple[pl.DataFrame, pl.DataFrame]:
        """What was said on all `folds`, behind the columns `keys` and sorted by `by`, and a row per fold and candidate.

        Forecasts of one decision stand in the order of the candidates.
        """
        tasks = list(enumerate(folds))
        done = in_parallel(self.fold, tasks, jobs, progress, lambda task: f"forecasts from {task[1].first}")
        order = pl.DataFrame({"model": self.names, "place": range(len(self.names))})
        forecasts = (
            self.rows.select(keys)
            .join(pl.concat([each for each, _ in done]), on=["as_of", "symbol"], how="inner", maintain_order="left")
            .join(order, on="model", maintain_order="left")
            .sort(*by, "place", maintain_order=True)
        )
        told = pl.DataFrame([row for _, found in done for row in found], infer_schema_length=None)
        return forecasts, told.with_columns(pl.col("train_first", "train_last").str.to_date())

    def fold(self, number: int, fold: Fold) -> tuple[pl.DataFrame, list[dict[str, Any]]]:
        """Forecasts of every candidate on one fold, from the cache where they are there, and how they were fitted."""
        test = self.rows.filter(pl.col("session").is_between(fold.first, fold.last))
        begins = self.rows["session"][int(fold.train[0])]
        train = self.rows.filter((pl.col("session") >= begins) & (pl.col("session") < fold.first))
        train, test = _as_known(train, fold.at), test.select(self.shown)
        paths = self._paths(train, test, fold)
        kept = {name: self._read(path) for name, path in paths.items() if path is not None}
        wanted = [name for name in self.names if kept.get(name) is None]
        if wanted:
            for name, (frame, how) in self.forecasting(train, test, fold.at, wanted).items():
                kept[name] = (frame, dict(how))
                path = paths[name]
                if path is not None:
                    _write(path, frame, how)
        frames, told = [], []
        for name in self.names:
            frame, how = kept[name]  # type: ignore[misc]
            mark = (pl.lit(name).alias("model"), pl.lit(number, pl.Int32).alias("fold"))
            frames.append(frame.with_columns(*mark))
            own = {"test_first": fold.first, "test_last": fold.last, "test_n": test.height}
            silent = test.height - frame.drop_nulls().height
            told.append({"fold": number, "model": name, "fit_at": fold.at, **how, **own, "silent": silent})
        return pl.concat(frames), told

    def _paths(self, train: pl.DataFrame, test: pl.DataFrame, fold: Fold) -> dict[str, Path | None]:
        if self.cache is None:
            return dict.fromkeys(self.names, None)
        shared = [frame_digest(train), frame_digest(test), fold.at, *self.shared]
        return {name: self.cache / f"{digest([shared, self.made_of[name]])}.parquet" for name in self.names}

    def _read(self, path: Path) -> tuple[pl.DataFrame, dict[str, Any]] | None:
        """What `_write` kept; None where it is not there."""
        if not path.exists():
            return None
        whole = pl.read_parquet(path)
        how = whole.select(pl.exclude(self.said))
        return whole.filter(pl.col("as_of").is_not_null()).select(self.said), how.row(-1, named=True)


def _write(path: Path, frame: pl.DataFrame, how: Mapping[str, Any]) -> None:
    """Forecasts, and behind them a row that says how they were made."""
    last = pl.DataFrame([dict(how)], infer_schema_length=None)
    write_parquet(path, pl.concat([frame, last], how="diagonal"))


def _as_known(rows: pl.DataFrame, moment: dt.datetime) -> pl.DataFrame:
    """`rows` with the labels that were known at `moment`; the others are not there yet."""
    known = pl.col("label_known_at") <= moment
    return rows.with_columns(pl.when(known).then(pl.col(name)).alias(name) for name in ("label", "label_known_at"))


def silence(folds: pl.DataFrame) -> tuple[str, ...]:
    """A sentence for every candidate that abstained somewhere, from the table of folds."""
    silent = folds.group_by("model", maintain_order=True).agg(pl.col("silent").sum(), pl.col("test_n").sum())
    return tuple(
        f"`{row['model']}` abstained on {row['silent']:,} of {row['test_n']:,} decisions."
        for row in silent.iter_rows(named=True)
        if row["silent"]
    )
