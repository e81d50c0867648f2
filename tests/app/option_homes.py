"""A small home of the options desk on the real index of the installed package `arch`, trained once per worker."""

from __future__ import annotations

import datetime as dt
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from openbell.app.data import take_in
from openbell.app.home import Home
from openbell.app.options_training import OptionTraining, train_options
from openbell.market.providers.sample_index import sample_index

#: Sessions of the index that the home holds; the 84 features look back on 252 of them.
SESSIONS = 450
LAST = dt.date(2018, 1, 19)
#: Sessions between the training's own and the last close.
LATER = 6
SETTINGS = """\
[data]
benchmark = "COMP"
[options]
benchmark = "COMP"
candidates = ["lightgbm", "catboost"]
min_train_sessions = 60
[desks.options]
require_edge = false
min_risk_reward = 0.0
[run]
capital = 1_000_000.0
[train]
jobs = 1
replications = 1000
[models.lightgbm]
n_estimators = 5
[models.lightgbm_classifier]
n_estimators = 5
[models.catboost]
n_estimators = 5
[models.catboost_classifier]
n_estimators = 5
"""


@dataclass(frozen=True)
class Small:
    """A trained home: where it lies, the session it was trained for, and what was found."""

    path: Path
    session: dt.date
    trained: OptionTraining


def build(path: Path) -> Small:
    """Import some sessions of the sample, of the last without a VIX, and train some sessions before their end."""
    path.mkdir(parents=True)
    (path / "openbell.toml").write_text(SETTINGS)
    home = Home.open(path)
    batch = sample_index()
    days = batch.bars.filter((pl.col("symbol") == "SPX") & (pl.col("session") <= LAST))["session"].sort()
    unheard = (pl.col("symbol") == "VIX") & (pl.col("session") == LAST)
    wanted = pl.col("session").is_between(days[-SESSIONS], LAST) & ~unheard
    take_in(home, replace(batch, bars=batch.bars.filter(wanted)))
    session = home.sessions.shift(LAST, 1 - LATER)
    trained = train_options(home, "SPX", session)
    close(home)
    return Small(path, session, trained)


def close(home: Home) -> None:
    """Give back what a home holds open, as the end of a process would."""
    for each in ("journal", "trials"):
        if each in vars(home):
            getattr(home, each).close()


def copied(small: Small, to: Path) -> Path:
    """A copy of the home that a test may change."""
    shutil.copytree(small.path, to)
    return to
