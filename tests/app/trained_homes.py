"""Tiny trained homes on generated markets, built once per worker and copied per test."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from constraints_of_outputs import positions

from openbell.app.daily import run_stocks
from openbell.app.data import take_in
from openbell.app.home import Home
from openbell.app.promotion import promote
from openbell.app.training import Trained, train_stocks
from openbell.market.batch import Batch
from openbell.market.providers.generated import generated

NAMES = 30
YEARS = 2.2
#: Sessions of the market after the training's own, so that there is something to trade on.
LIVE_SESSIONS = 12
SETTINGS = """\
[data]
benchmark = "equal_weight"
[train]
candidates = ["ridge", "lightgbm"]
folds = 2
warmup_sessions = 60
min_train_sessions = 150
stride = 10
replications = 1000
jobs = 1
[models.lightgbm]
n_estimators = 20
"""


@dataclass(frozen=True)
class Tiny:
    """A home with a training: where it lies, and the session it was trained for."""

    path: Path
    trained_on: dt.date
    trained: Trained


def market(edge: float = 0.0, seed: int = 1) -> Batch:
    """The made-up market that the tiny homes hold."""
    return generated(names=NAMES, years=YEARS, seed=seed, edge=edge)


def opened(path: Path, *sets: str) -> Home:
    """The home at `path`."""
    return Home.open(path, sets=sets)


def close(home: Home) -> None:
    """Give back what a home holds open, as the end of a process would."""
    for each in ("journal", "trials"):
        if each in vars(home):
            getattr(home, each).close()


def build(path: Path, batch: Batch) -> Tiny:
    """Import `batch` into a fresh home, train before its last sessions, and promote what survived, if anything did."""
    path.mkdir(parents=True)
    (path / "openbell.toml").write_text(SETTINGS)
    home = opened(path)
    take_in(home, batch)
    trained_on = home.sessions.shift(home.stored[1], -LIVE_SESSIONS)
    trained = train_stocks(home, trained_on)
    promoted(home, trained, trained_on)
    close(home)
    return Tiny(path, trained_on, trained)


def promoted(home: Home, trained: Trained, session: dt.date) -> None:
    """Put what survived in office by hand: a tournament would take minutes."""
    if trained.champion is not None:
        promote(home, trained.champion, reason="The tests need a view", session=session)


def copied(tiny: Tiny, to: Path) -> Path:
    """A copy of the home in `tiny` that a test may change."""
    shutil.copytree(tiny.path, to)
    return to


@dataclass(frozen=True)
class Lived:
    """One executed session: what was held before it, and the account's files after it."""

    session: dt.date
    shares_before: Mapping[str, int]
    cash_before: float
    fills: int
    account: Mapping[str, str]


@dataclass(frozen=True)
class Fortnight:
    """A home that has traded on paper for some sessions, and its outputs. Never change it: copy it."""

    tiny: Tiny
    out: Path
    days: tuple[Lived, ...]


def traded(tiny: Tiny, to: Path, sessions: int) -> Fortnight:
    """A copy of `tiny` in the folder `to`, run with orders for so many sessions."""
    lived = Tiny(copied(tiny, to / "home"), tiny.trained_on, tiny.trained)
    home, out, days = opened(lived.path), to / "live", []
    shares: dict[str, int] = {}
    cash = 100_000.0
    for number in range(sessions):
        session = later(home, tiny, number)
        done = run_stocks(home, session, execute=True, out=out)
        names = ("current_positions.csv", "performance_history.csv")
        account = {name: (out / name).read_text() for name in names}
        days.append(Lived(session, shares, cash, done.fills, account))
        shares, cash = positions(account["current_positions.csv"])
    close(home)
    return Fortnight(lived, out, tuple(days))


def later(home: Home, tiny: Tiny, sessions: int) -> dt.date:
    """The session so many sessions after the training's own."""
    return home.sessions.shift(tiny.trained_on, sessions)
