"""Tiny tournaments on generated markets, each held once per worker and copied per test."""

from __future__ import annotations

import datetime as dt
import functools
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl
import pytest
import trained_homes as tiny

from openbell.app import tournament as held_by
from openbell.app.data import take_in
from openbell.app.home import Home
from openbell.app.selection_files import write_selection
from openbell.app.tournament import Held, hold_stocks
from openbell.market.batch import Batch
from openbell.market.providers.generated import generated
from openbell.research.contest import Contest

#: Sessions of the market from the tournament's own on, so that there is something to decide later.
LIVE_SESSIONS = 20
#: The thresholds are loose: what is tested is the way, and the gate of the error stands as it is. The desk is set to
#: another allocator than any that meets, so that whoever decides by the setting is seen.
SETTINGS = """\
[data]
benchmark = "equal_weight"
[train]
warmup_sessions = 60
jobs = 1
[desks.stocks]
weighting = "hrp"
[tournament]
candidates = {candidates}
allocators = {allocators}
train_sessions = 252
refit_sessions = 252
replications = 1000
cpcv_groups = 0
[selection.stocks]
sharpe_at_least = -9.0
max_drawdown_at_least = -0.9
calmar_at_least = -9.0
turnover_at_most = 2.0
"""


@dataclass(frozen=True)
class Arena:
    """A home with a tournament: where it lies, the session it was held for, and what came of it."""

    path: Path
    session: dt.date
    held: Held


@contextmanager
def few_replications() -> Iterator[None]:
    """The report's own intervals from few bootstrap samples: they are most of its time and decide nothing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(held_by, "write_selection", functools.partial(write_selection, replications=20))
        yield


@contextmanager
def no_report() -> Iterator[None]:
    """Nothing is drawn: for tests of what a tournament finds and changes."""

    def nothing(folder: Path, contest: Contest) -> list[Path]:
        folder.mkdir(parents=True, exist_ok=True)
        return []

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(held_by, "write_selection", nothing)
        yield


def market(edge: bool) -> Batch:
    """A market with a planted edge that one model finds, or one without any."""
    if edge:
        return generated(
            names=30,
            years=3.0,
            seed=3,
            edge=0.08,
            drift_sharpe=0.8,
            neutral="mean",
            persistence=0.98,
            signal_sessions=60,
        )
    return generated(names=24, years=2.6, seed=2, drift_sharpe=0.8)


def imported(path: Path, batch: Batch, candidates: str, allocators: str) -> dt.date:
    """A fresh home with `batch` in it; the session of its tournament."""
    path.mkdir(parents=True)
    (path / "openbell.toml").write_text(SETTINGS.format(candidates=candidates, allocators=allocators))
    home = tiny.opened(path)
    take_in(home, batch)
    session = home.sessions.shift(home.stored[1], 1 - LIVE_SESSIONS)
    tiny.close(home)
    return session


def with_edge(path: Path, batch: Batch | None = None) -> dt.date:
    """A fresh home on the market with an edge; the session of its tournament."""
    return imported(path, batch or market(edge=True), '["ridge"]', '["equal", "inverse_volatility"]')


def without_edge(path: Path) -> dt.date:
    """A fresh home on the market without one."""
    return imported(path, market(edge=False), '["ridge", "naive"]', '["equal"]')


def held(path: Path, session: dt.date, *, report: bool = True) -> Arena:
    """The tournament of the home at `path`, held."""
    home = tiny.opened(path)
    with few_replications() if report else no_report():
        found = hold_stocks(home, session)
    tiny.close(home)
    return Arena(path, session, found)


def copied(arena: Arena, to: Path) -> Path:
    """A copy of the home in `arena` that a test may change."""
    shutil.copytree(arena.path, to, symlinks=True)
    return to


def unheld(arena: Arena, to: Path) -> Path:
    """A copy of the home as it was before its tournament: tables and settings alone."""
    to.mkdir(parents=True)
    shutil.copytree(arena.path / "tables", to / "tables")
    shutil.copy(arena.path / "openbell.toml", to)
    return to


def another_future(batch: Batch, first: dt.date) -> Batch:
    """`batch` with every bar from `first` on out of another market: plausible rows that mean nothing."""
    other = generated(names=30, years=3.0, seed=99, drift_sharpe=-3.0).bars
    bars = pl.concat([batch.bars.filter(pl.col("session") < first), other.filter(pl.col("session") >= first)])
    return replace(batch, bars=bars.sort("symbol", "session"))


def left(folder: Path, rooms: tuple[str, ...] = ("models", "reports", "production")) -> dict[str, bytes]:
    """Everything a tournament leaves for a reader below the home, by name."""
    found: dict[str, bytes] = {}
    for name in rooms:
        below = (each for each in sorted((folder / name).rglob("*")) if each.is_file())
        found |= {str(each.relative_to(folder)): each.read_bytes() for each in below}
    return found


def told(home: Home) -> list[tuple]:
    """The journal but for its chain."""
    return [(each.kind, each.at, each.key, each.payload) for each in home.journal.records()]
