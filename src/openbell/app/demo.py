"""The demo: sample prices, a training, a fortnight of paper trading, and the decision for the next open."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from openbell.app.daily import Done, OnStep, run_stocks
from openbell.app.data import take_in
from openbell.app.files import write_whole
from openbell.app.home import Home
from openbell.app.settings import FILE
from openbell.app.training import latest_training, train_stocks

#: Sessions before the end of the sample at which the demo trains; from then on it trades on paper.
LIVE_SESSIONS = 10


def run_demo(
    path: Path, out: Path, progress: Callable[[int, int, str], None] | None = None, on_step: OnStep = lambda step: None
) -> Done:
    """Import the sample, train before its last two weeks, trade them on paper, and decide for the next open."""
    from openbell.market.providers.sample import BENCHMARK, sample

    if not (path / FILE).is_file():
        write_whole(path / FILE, f'# Written by the demo.\n[data]\nbenchmark = "{BENCHMARK}"\n')
    home = Home.open(path)
    on_step("import the sample")
    take_in(home, sample())
    last = home.stored[1]
    first = home.sessions.shift(last, 1 - LIVE_SESSIONS)
    if latest_training(home, home.as_of(first)) is None:
        on_step("train every candidate")
        train_stocks(home, first, progress)
    for session in home.sessions.between(first, last):
        run_stocks(home, session, execute=True, out=out, on_step=lambda step: None)
        on_step(f"paper trading: {session}")
    return run_stocks(home, home.sessions.shift(last, 1), execute=True, out=out, on_step=on_step)
