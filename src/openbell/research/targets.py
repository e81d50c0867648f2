"""What every entrant would have held: the desk's own decisions for each model with each allocator, date by date."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import polars as pl

from openbell.core.errors import BadInput, DataMissing
from openbell.research.contest import BASELINE, entrant
from openbell.research.deciding import Decide, Progress, Scores, Task, all_decided
from openbell.research.snapshot import Snapshots

#: The desk's keywords for the curve that every entrant must beat: all eligible names, under the same caps and
#: exposure. The count is above any universe, in every regime.
EVERYONE: Mapping[str, Any] = MappingProxyType({"weighting": "equal", "top_k": 100_000})
#: Sessions decided, and kept, at once.
CHUNK_SESSIONS = 16


@dataclass(frozen=True, slots=True, eq=False)
class Targets:
    """Target weights of k entrants and of the baseline, as the accounting kernel takes them.

    Attributes
    ----------
    entrants : names, model by model. sessions : r decision sessions. symbols : m columns.
    weights : shape (k + 1, r, m), of the account, the rest is cash; the last row is the baseline. An entrant that
        failed is NaN throughout.
    regimes : of each session, shape (r,). held : names with a weight, shape (k + 1, r).
    fallbacks : ``entrant``, ``session``, ``method`` (used instead), ``why``: one row per decision whose allocator gave
        way or left a name out.
    failures : ``entrant``, ``session``, ``why``: where each failed entrant first raised.
    notes : what was left out, in sentences.
    """

    entrants: tuple[str, ...]
    sessions: tuple[dt.date, ...]
    symbols: tuple[str, ...]
    weights: np.ndarray
    regimes: np.ndarray
    held: np.ndarray
    fallbacks: pl.DataFrame
    failures: pl.DataFrame
    notes: tuple[str, ...] = ()

    @property
    def fallback_counts(self) -> Mapping[str, int]:
        """Decisions of each entrant on which its allocator fell back."""
        counted = dict(self.fallbacks.group_by("entrant").len().iter_rows())
        return {name: counted.get(name, 0) for name in self.entrants}


def targets(
    ready: Snapshots,
    decide: Decide,
    scores: Scores,
    allocators: Sequence[str],
    sessions: Sequence[dt.date],
    symbols: Sequence[str],
    *,
    jobs: int = 1,
    cache: Path | None = None,
    baseline: Mapping[str, Any] = EVERYONE,
    made_of: Any = None,
    progress: Progress | None = None,
) -> Targets:
    """The desk's target weights for every model with every allocator on every session, and those of the baseline.

    Parameters
    ----------
    ready : prepared for all `sessions`. decide : the live desk function with its settings bound, by
        ``functools.partial`` where `jobs` is above 1.
    scores : out of sample; a session without scores is decided without a view, as it would be live.
    symbols : columns of the weights; every target must be one.
    jobs : processes. cache : folder where finished chunks of sessions are kept under the hash of their content, so
        that a run that was stopped goes on where it was.
    baseline : keywords of `decide` for the baseline, which is handed one score for all names.
    made_of : what else the decisions hang on (the code's own hash, say); it enters the hash.

    Returns
    -------
    Targets
        Where `decide` raises for an entrant, that entrant has failed and is NaN throughout; the others go on.

    Raises
    ------
    LeakFound
        Where a forecast is of a later moment than its market. DataMissing: where a session has no market or a target
        no column. Whatever the baseline raises: without it nobody can be judged.
    """
    days = tuple(sorted(sessions))
    if not days or not scores or not allocators:
        raise BadInput("Targets need at least one session, one model and one allocator.")
    finite, notes = _finite(scores)
    names = tuple(dict.fromkeys(entrant(model, allocator) for model in finite for allocator in allocators))
    if len(names) != len(finite) * len(allocators):
        raise BadInput(f"An allocator is named twice: {', '.join(allocators)}.")
    tasks = [
        Task(_part(ready, chunk), decide, _scores_of(finite, chunk), tuple(allocators), dict(baseline))
        for chunk in (days[start : start + CHUNK_SESSIONS] for start in range(0, len(days), CHUNK_SESSIONS))
    ]
    rows = pl.concat(all_decided(tasks, len(names) + 1, jobs, cache, made_of, progress))
    return _assembled(rows, names, days, tuple(symbols), notes)


def _finite(scores: Scores) -> tuple[Scores, tuple[str, ...]]:
    """The scores that are numbers; the others are left out and counted."""
    kept = {
        model: {day: frame.filter(pl.col("score").cast(pl.Float64).is_finite()) for day, frame in frames.items()}
        for model, frames in scores.items()
    }
    missing = {
        model: sum(frame.height for frame in frames.values()) - sum(frame.height for frame in kept[model].values())
        for model, frames in scores.items()
    }
    notes = tuple(f"{count} scores of {model} were missing and left out." for model, count in missing.items() if count)
    return kept, notes


def _scores_of(scores: Scores, sessions: Sequence[dt.date]) -> Scores:
    return {model: {day: frames[day] for day in sessions if day in frames} for model, frames in scores.items()}


def _part(ready: Snapshots, sessions: Sequence[dt.date]) -> Snapshots:
    """What some of the sessions need; the matrices stay whole, and are shared between processes."""
    absent = [str(day) for day in sessions if day not in ready.as_of]
    if absent:
        raise DataMissing(f"No market was prepared for {', '.join(absent)}.")
    return replace(
        ready,
        as_of={day: ready.as_of[day] for day in sessions},
        member={day: ready.member[day] for day in sessions},
        sector={day: ready.sector[day] for day in sessions},
        value={day: ready.value[day] for day in sessions},
    )


def _assembled(
    rows: pl.DataFrame,
    names: tuple[str, ...],
    days: tuple[dt.date, ...],
    symbols: tuple[str, ...],
    notes: tuple[str, ...],
) -> Targets:
    everyone = (*names, BASELINE)
    failures = (
        rows.filter(pl.col("failure").is_not_null())
        .sort("session", maintain_order=True)
        .unique("entrant", keep="first", maintain_order=True)
        .select("entrant", "session", pl.col("failure").alias("why"))
    )
    failed = failures["entrant"].implode()
    weights = _weights(rows, everyone, days, symbols)
    weights[[everyone.index(name) for name in failures["entrant"]]] = np.nan
    told = rows.filter(pl.col("fallback").is_not_null(), ~pl.col("entrant").is_in(failed))
    return Targets(
        entrants=names,
        sessions=days,
        symbols=symbols,
        weights=weights,
        regimes=rows.filter(pl.col("entrant") == BASELINE).sort("session")["regime"].to_numpy().astype(np.int64),
        held=(np.nan_to_num(weights) > 0).sum(axis=2),
        fallbacks=told.select("entrant", "session", "method", pl.col("fallback").alias("why")),
        failures=failures,
        notes=notes,
    )


def _weights(
    rows: pl.DataFrame, everyone: Sequence[str], days: Sequence[dt.date], symbols: Sequence[str]
) -> np.ndarray:
    """The rows as a matrix of shape (k + 1, r, m), 0 where nothing is held."""
    held = rows.select("entrant", "session", "symbol", "weight").explode("symbol", "weight").drop_nulls("symbol")
    for name, values, kind in (
        ("entrant", everyone, pl.String),
        ("session", days, pl.Date),
        ("symbol", symbols, pl.String),
    ):
        places = pl.DataFrame({name: values}, schema={name: kind}).with_row_index(f"{name}_at")
        held = held.join(places, on=name, how="left", maintain_order="left")
    strangers = held.filter(pl.col("symbol_at").is_null())["symbol"].unique().sort()
    if len(strangers):
        raise DataMissing(f"The desk wants {', '.join(strangers[:5])}, which has no column among the symbols.")
    weights = np.zeros((len(everyone), len(days), len(symbols)))
    at = tuple(held[f"{name}_at"].to_numpy() for name in ("entrant", "session", "symbol"))
    weights[at] = held["weight"].to_numpy()
    return weights
