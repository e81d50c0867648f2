"""The demo of the session desk: real hourly bars of one stock, and made-up days without and with an edge."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from openbell.app.data import take_in
from openbell.app.files import write_whole
from openbell.app.home import Home
from openbell.app.minutes import take_in_minutes
from openbell.app.session_backtest import backtest_session
from openbell.app.session_daily import Done, run_session
from openbell.app.session_data import Venue
from openbell.app.session_training import SessionTraining, train_session
from openbell.app.settings import FILE
from openbell.market.providers.generated_minutes import generated_minutes
from openbell.market.providers.minutes import MinuteBatch
from openbell.market.providers.sample_stock import sample_hours, sample_stock

Progress = Callable[[int, int, str], None]

#: Made-up days, and the correlation of the morning with the rest of the day that is planted in one market of two.
DAYS, EDGE, SEED = 2_000, 0.4, 7
#: Shorter than the defaults: the real bars are of two years.
SETTINGS = """\
# Written by the demo of the session desk.
[session]
base = "{base}"
cutoff = "{cutoff}"
min_train_sessions = {least}
refit_sessions = {refit}
"""


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """The three trainings, and the call of the last session of the real bars."""

    real: SessionTraining
    plain: SessionTraining
    planted: SessionTraining
    last: Done

    def table(self) -> pl.DataFrame:
        """A row per model and market: accuracy beside the commonest class, and skill with its interval."""
        parts = []
        for word, training in self._named:
            skill = ("skill_nats", "skill_nats_low", "skill_nats_high")
            names = ("skill, 1/1000 nat", "from", "to")
            parts.append(
                training.scores.models.select(
                    pl.lit(word).alias("market"),
                    pl.col("model").str.replace("_classifier", ""),
                    "n",
                    "accuracy",
                    "commonest",
                    *((1_000 * pl.col(each)).alias(name) for each, name in zip(skill, names, strict=True)),
                    "proven",
                )
            )
        return pl.concat(parts)

    def lines(self) -> list[str]:
        """What was found, in sentences."""
        return [*(f"{word}: {training.payload['why'][0]}" for word, training in self._named), *self.last.lines()]

    @property
    def _named(self) -> tuple[tuple[str, SessionTraining], ...]:
        return ("Apple, hourly", self.real), ("made up, no edge", self.plain), ("made up, planted", self.planted)


def run_session_demo(
    path: Path, progress: Progress | None = None, on_step: Callable[[str], None] = lambda step: None
) -> Shown:
    """Train, back-test and call on real bars, and train on both made-up markets; what is done already is kept."""
    real = _home(path / "real", sample_hours(), base="1h", cutoff="10:30", least=126, refit=63)
    if not real.tables.exists("bars"):
        take_in(real, sample_stock())
    on_step("train on the real bars, walked forward")
    session = Venue.of(real).span[1]
    first = train_session(real, session, progress=progress)
    on_step("back-test on the real bars")
    backtest_session(real)
    last = run_session(real, session)
    trained = []
    for word, edge in (("no-edge", 0.0), ("planted-edge", EDGE)):
        batch = generated_minutes(days=DAYS, freq="15m", edge=edge, seed=SEED)
        made = _home(path / word, batch, base="15m", cutoff="10:15", least=252, refit=126)
        on_step(f"train on made-up days, {word.replace('-', ' ')}")
        trained.append(train_session(made, progress=progress))
        backtest_session(made)
    return Shown(first, trained[0], trained[1], last)


def _home(path: Path, batch: MinuteBatch, *, base: str, cutoff: str, least: int, refit: int) -> Home:
    if not (path / FILE).is_file():
        write_whole(path / FILE, SETTINGS.format(base=base, cutoff=cutoff, least=least, refit=refit))
    home = Home.open(path)
    if not home.tables.exists("minutes"):
        take_in_minutes(home, batch, 0)
    return home
