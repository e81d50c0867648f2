"""A small home of the session desk: made-up days, a training before the last eight, everything reduced in size."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

from openbell.app.home import Home
from openbell.app.minutes import take_in_minutes
from openbell.app.session_training import SessionTraining, train_session
from openbell.market.providers.generated_minutes import SYMBOL, generated_minutes

SETTINGS = """\
[session]
base = "15m"
candidates = ["logistic"]
min_train_sessions = 60
refit_sessions = 60
drift_window = 20
[train]
jobs = 1
replications = 1000
"""
PRODUCT = SYMBOL


@dataclass(frozen=True)
class SmallSession:
    """The home, its sessions, and the training that knew all but the last eight."""

    home: Home
    sessions: tuple[dt.date, ...]
    training: SessionTraining


def bars_alone(path: Path, *, days: int = 150, edge: float = 0.5) -> Home:
    """A home with the bars and without a training."""
    path.mkdir(parents=True, exist_ok=True)
    (path / "openbell.toml").write_text(SETTINGS, encoding="utf-8")
    home = Home.open(path)
    take_in_minutes(home, generated_minutes(days=days, freq="15m", edge=edge, seed=5), 0)
    return home


def small_session(path: Path) -> SmallSession:
    """A home with a training."""
    home = bars_alone(path)
    sessions = home.tables.scan("minutes").select("session").unique().collect()["session"].sort()
    return SmallSession(home, tuple(sessions), train_session(home, sessions[-8]))
