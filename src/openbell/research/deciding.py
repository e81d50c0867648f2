"""The desk's decisions for every model with every allocator on some sessions: the work that processes share."""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from joblib import Parallel, delayed, parallel_config

from openbell.core.errors import BadInput, LeakFound, OpenbellError
from openbell.core.hashing import canonical_json, digest, frame_digest
from openbell.core.types import Book, Decision, Forecast, Market
from openbell.quant.regime import regime
from openbell.research.contest import BASELINE, entrant
from openbell.research.snapshot import READ_BACK_SESSIONS, Snapshots

#: Called with a forecast, a book, a market and ``weighting=``; its settings are already bound.
Decide = Callable[..., Decision]
#: Of each model the scores of each session: columns ``symbol``, ``score``.
Scores = Mapping[str, Mapping[dt.date, pl.DataFrame]]
Progress = Callable[[int, int, str], None]

#: Changes with what a kept chunk holds or with how it is computed.
_FORMAT = "targets 1"
_SCHEMA: dict[str, Any] = {
    "session": pl.Date,
    "entrant": pl.String,
    "regime": pl.Int8,
    "method": pl.String,
    "fallback": pl.String,
    "failure": pl.String,
    "symbol": pl.List(pl.String),
    "weight": pl.List(pl.Float64),
}
_MATRICES = ("close", "raw_close", "volume", "raw_volume", "known_us")


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """Some sessions to decide, with all that they need: it travels to another process."""

    ready: Snapshots
    decide: Decide
    scores: Scores
    allocators: tuple[str, ...]
    baseline: Mapping[str, Any]

    def decided(self) -> pl.DataFrame:
        """One row per session and entrant, the baseline last; each market is prepared once."""
        rows = [row for session in self.ready.as_of for row in self._of(session)]
        return pl.DataFrame(rows, schema=_SCHEMA, orient="row")

    def _of(self, session: dt.date) -> Iterator[tuple[Any, ...]]:
        market = self.ready.at(session)
        # A target is a weight of the account, whatever is held now: a desk's targets do not read its book.
        book = Book(market.as_of, 1.0)
        seen = int(regime(market.benchmark))
        for model, frames in self.scores.items():
            forecast = _forecast(market, model, frames.get(session))
            for allocator in self.allocators:
                yield session, entrant(model, allocator), seen, *self._entered(forecast, book, market, allocator)
        every = market.names.select("symbol", pl.lit(1.0).alias("score"))
        decision = self.decide(Forecast(market.as_of, every, BASELINE), book, market, **self.baseline)
        yield session, BASELINE, seen, *_told(decision)

    def _entered(self, forecast: Forecast, book: Book, market: Market, allocator: str) -> tuple[Any, ...]:
        try:
            return _told(self.decide(forecast, book, market, weighting=allocator))
        except LeakFound:
            raise
        except Exception as failure:
            said = str(failure) if isinstance(failure, OpenbellError) else f"{type(failure).__name__}: {failure}"
            return None, None, said or type(failure).__name__, [], []


def _told(decision: Decision) -> tuple[Any, ...]:
    """Method, fallback, no failure, symbols, weights."""
    details, held = decision.details, decision.targets
    return details.get("weighting"), details.get("fallback"), None, list(held), list(held.values())


def _forecast(market: Market, model: str, scores: pl.DataFrame | None) -> Forecast:
    if scores is None or scores.is_empty():
        empty = pl.DataFrame(schema={"symbol": pl.String, "score": pl.Float64})
        return Forecast(market.as_of, empty, None, why=("There was no out-of-sample score for this session.",))
    return Forecast(market.as_of, scores.select("symbol", pl.col("score").cast(pl.Float64)), model)


def all_decided(
    tasks: Sequence[Task], per_session: int, jobs: int, cache: Path | None, made_of: Any, progress: Progress | None
) -> list[pl.DataFrame]:
    """The rows of each task in their order; kept ones are read, the others computed and kept as they finish."""
    paths = [None if cache is None else cache / f"{_hash(task, made_of)}.parquet" for task in tasks]
    total = sum(len(task.ready.as_of) for task in tasks)
    found: dict[int, pl.DataFrame] = {}
    done = 0

    def finish(at: int, rows: pl.DataFrame) -> None:
        nonlocal done
        found[at] = rows
        done += len(tasks[at].ready.as_of)
        if progress is not None:
            progress(done, total, "decisions")

    for at, path in enumerate(paths):
        if path is not None and path.exists():
            finish(at, _read(path, len(tasks[at].ready.as_of) * per_session))
    open_ = [at for at in range(len(tasks)) if at not in found]
    # Processes: the solvers hold the interpreter while they work, so threads would wait for each other.
    with parallel_config("loky", inner_max_num_threads=1):
        stream = Parallel(n_jobs=jobs, return_as="generator")(delayed(tasks[at].decided)() for at in open_)
        for at, rows in zip(open_, stream, strict=True):
            path = paths[at]
            if path is not None:
                _write(path, rows)
            finish(at, rows)
    return [found[at] for at in range(len(tasks))]


def _hash(task: Task, made_of: Any) -> str:
    """Hash of everything the decisions of a task hang on, but the code."""
    ready, wide = task.ready, task.ready.wide
    rows = slice(max(wide.row(min(ready.as_of)) - READ_BACK_SESSIONS, 0), wide.row(max(ready.as_of)))
    sha = hashlib.sha256()
    for name in _MATRICES:
        sha.update(np.ascontiguousarray(getattr(wide, name)[rows]).tobytes())
    if ready.member_cells is not None:
        sha.update(np.packbits(ready.member_cells[rows]).tobytes())
    facts = [[day, ready.as_of[day], ready.member[day], ready.sector[day], ready.value[day]] for day in ready.as_of]
    bound = task.decide.keywords if isinstance(task.decide, partial) else {}
    function = task.decide.func if isinstance(task.decide, partial) else task.decide
    return digest(
        {
            "format": _FORMAT,
            "made_of": made_of,
            "decide": [getattr(function, "__module__", ""), getattr(function, "__qualname__", ""), bound],
            "baseline": task.baseline,
            "allocators": task.allocators,
            "scores": [
                [model, [[day, frame_digest(frame)] for day, frame in frames.items()]]
                for model, frames in task.scores.items()
            ],
            "market": [sha.hexdigest(), wide.symbols, wide.sessions[rows], ready.benchmark, ready.value_per_share],
            "facts": hashlib.sha256(canonical_json(facts).encode()).hexdigest(),
        }
    )


def _write(path: Path, rows: pl.DataFrame) -> None:
    """Write to a draft, then rename: a reader sees all of it or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, draft = tempfile.mkstemp(prefix=".", suffix=".draft", dir=path.parent)
    os.close(handle)
    try:
        rows.write_parquet(draft)
        os.replace(draft, path)
    finally:
        Path(draft).unlink(missing_ok=True)


def _read(path: Path, rows: int) -> pl.DataFrame:
    kept = pl.read_parquet(path)
    if kept.height != rows or kept.schema != pl.Schema(_SCHEMA):
        raise BadInput(f"The kept decisions {path} are not the {rows} rows that were written. Delete the file.")
    return kept
