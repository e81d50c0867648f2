"""The demo of the options desk: a real index and its VIX out of an installed package, modelled chains, one decision."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import polars as pl

from openbell.app.data import take_in
from openbell.app.files import write_whole
from openbell.app.home import Home
from openbell.app.options_daily import Done, OnStep, run_options
from openbell.app.options_training import latest_options, train_options
from openbell.app.settings import FILE
from openbell.market.providers.sample_index import BENCHMARK, UNDERLYING, sample_index

#: Shorter than the defaults, so that it takes some minutes: one candidate, and a first forecast after a year.
SETTINGS = f"""\
# Written by the demo of the options desk.
[data]
benchmark = "{BENCHMARK}"
[options]
benchmark = "{BENCHMARK}"
candidates = ["lightgbm"]
min_train_sessions = 252
refit_sessions = 126
"""


def run_options_demo(
    path: Path, out: Path, progress: Callable[[int, int, str], None] | None = None, on_step: OnStep = lambda step: None
) -> Done:
    """Import the sample, train on all of it, and decide for the session after its last.

    Each part is kept once it is done, so a demo that was stopped goes on where it was.
    """
    if not (path / FILE).is_file():
        write_whole(path / FILE, SETTINGS)
    home = Home.open(path)
    on_step("import the sample")
    sample = sample_index()
    take_in(home, sample)
    # The sample's volatility index goes on for some days after the underlying.
    last = sample.bars.filter(pl.col("symbol") == UNDERLYING)["session"].max()
    assert isinstance(last, dt.date)
    session = home.sessions.shift(last, 1)
    trained = latest_options(home, UNDERLYING, home.as_of(session))
    if trained is None or trained.payload["session"] != session.isoformat():
        on_step("train stage 1: simulate every structure on every past day, and walk the candidate forward")
        train_options(home, UNDERLYING, session, progress=progress)
    return run_options(home, UNDERLYING, session, out=out, on_step=on_step)
