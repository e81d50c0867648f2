"""The demo of the signals desk: real daily prices, and beside them a made-up market with a little planted skill."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from openbell.app.data import take_in
from openbell.app.files import write_whole
from openbell.app.home import Home
from openbell.app.settings import FILE
from openbell.app.signals_backtest import backtest_signals
from openbell.app.signals_training import SignalsTraining, train_signals
from openbell.market.batch import Batch
from openbell.market.providers.generated import generated
from openbell.market.providers.sample_index import BENCHMARK, UNDERLYING, sample_index
from openbell.market.providers.sample_stock import SYMBOL, sample_stock

Progress = Callable[[int, int, str], None]

#: Names and years of the made-up market, and the daily rank correlation of what is planted in it.
NAMES, YEARS, EDGE, SEED = 8, 9.0, 0.25, 11
#: Sessions at the end of the real prices that are streamed, bar by bar.
STREAMED = 20
#: The real prices end where those of the indices do.
_FIRST, _LAST = dt.date(1999, 1, 4), dt.date(2018, 12, 31)
#: Shorter than the defaults, so that it takes some minutes and needs no PyTorch.
SETTINGS = """\
# Written by the demo of the signals desk.
[signals]
candidates = ["xgboost_classifier", "random_forest_classifier"]
history_years = {years}
label = "direction_{horizon}"
min_train_sessions = 756
refit_sessions = {refit}
symbols = {symbols}
"""


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """The two trainings, and what the stream of the last weeks said."""

    real: SignalsTraining
    skilled: SignalsTraining
    streamed: tuple[str, ...]

    def table(self) -> pl.DataFrame:
        """A row per model and market: skill over the base rates with its interval, accuracy and calibration."""
        parts = []
        for word, training in (("real prices", self.real), ("planted skill", self.skilled)):
            skill = ("skill_nats", "skill_nats_low", "skill_nats_high")
            names = ("skill, 1/1000 nat", "from", "to")
            parts.append(
                training.scores.models.select(
                    pl.lit(word).alias("market"),
                    pl.col("model").str.replace("_classifier", ""),
                    "n",
                    pl.col("accuracy"),
                    "commonest",
                    *((1_000 * pl.col(each)).alias(name) for each, name in zip(skill, names, strict=True)),
                    "proven",
                )
            )
        return pl.concat(parts)

    def lines(self) -> list[str]:
        """What was found, in sentences."""
        both = (("Real prices", self.real), ("Planted skill", self.skilled))
        return [*(f"{word}: {training.payload['why'][0]}" for word, training in both), *self.streamed]


def run_signals_demo(
    path: Path, progress: Progress | None = None, on_step: Callable[[str], None] = lambda step: None
) -> Shown:
    """Train both, back-test both, stream the last weeks of the real prices; what is done already is kept."""
    real = _home(path / "real", _real(), [UNDERLYING, BENCHMARK, SYMBOL], years=20, horizon=5, refit=756)
    last = real.sessions.shift(_LAST, 1 - STREAMED)
    on_step("train on real prices, walked forward")
    first = train_signals(real, last, progress=progress)
    on_step("back-test on real prices")
    backtest_signals(real, last)
    made = _home(
        path / "planted-skill",
        [generated(names=NAMES, years=YEARS, edge=EDGE, seed=SEED, persistence=0.9)],
        [],
        years=10,
        horizon=1,
        refit=504,
    )
    on_step("train on a made-up market with planted skill")
    second = train_signals(made, progress=progress)
    # A little skill never makes a class sure: what it is worth shows where the likeliest one is followed.
    backtest_signals(made, min_confidence=0.4, require_single=False)
    on_step(f"stream the last {STREAMED} sessions of the real prices")
    return Shown(first, second, _streamed(real, last))


def _home(path: Path, batches: list[Batch], symbols: list[str], *, years: int, horizon: int, refit: int) -> Home:
    if not (path / FILE).is_file():
        listed = "[" + ", ".join(f'"{each}"' for each in symbols) + "]"
        write_whole(path / FILE, SETTINGS.format(years=years, horizon=horizon, refit=refit, symbols=listed))
    home = Home.open(path)
    if not home.tables.exists("bars"):
        for batch in batches:
            take_in(home, batch)
    return home


def _real() -> list[Batch]:
    import dataclasses

    within = pl.col("session").is_between(_FIRST, _LAST)
    both = (sample_index(), sample_stock())
    return [dataclasses.replace(each, bars=each.bars.filter(within)) for each in both]


def _streamed(home: Home, first: dt.date) -> tuple[str, ...]:
    """The stored bars from `first` on as a stream, by the model that knew nothing of them: what it did."""
    from openbell.app.stream.opening import Asked, played

    summary, _ = played(home, Asked("replay", speed=0.0, first=first, fresh=True, stream="demo"))
    return tuple(summary.lines())
