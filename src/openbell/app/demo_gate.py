"""The demo of the gate: 0DTE trades made up on a real index, once without any edge and once with a little skill."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from openbell.app.data import take_in
from openbell.app.files import write_whole
from openbell.app.gate_training import GateTraining, train_gate
from openbell.app.home import Home
from openbell.app.settings import FILE
from openbell.core.trade_rows import SHEET_STRATEGIES
from openbell.market.batch import BARS, INSTRUMENTS, Batch, filled_fields, typed
from openbell.market.providers.sample_index import VOLATILITY_INDEX, sample_index
from openbell.market.trade_importing import TABLE
from openbell.research.made_up_trades import MADE_UP_SYMBOLS, Skill, made_up_bars, made_up_trades

DAYS, TIMES, SEED = 600, 8, 7
#: Pairs whose delta columns know 0.03 of the variance of what is left of the day.
SKILLED = frozenset((symbol, strategy) for symbol in ("SPX", "SPY", "QQQ") for strategy in SHEET_STRATEGIES)
SETTINGS = """\
# Written by the demo of the gate.
[gate]
min_train_days = 120
refit_days = 120
# The fallback's boosted trees take most of the time and are far worse than the price; ask for them by name.
candidates = ["hierarchy", "simple", "no_pooling"]
"""


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """The two trainings, side by side."""

    plain: GateTraining
    skilled: GateTraining

    def table(self) -> pl.DataFrame:
        """A row per model and market: skill over the price with its interval, and what it was worth."""
        parts = []
        for word, training in (("no edge", self.plain), ("planted skill", self.skilled)):
            rows = training.scores.models.filter(pl.col("kind") == "candidate")
            parts.append(
                rows.select(
                    pl.lit(word).alias("market"),
                    "model",
                    "n",
                    "days",
                    (1_000 * pl.col("skill_nats")).alias("skill over the price, 1/1000 nat"),
                    (1_000 * pl.col("skill_nats_low")).alias("from"),
                    (1_000 * pl.col("skill_nats_high")).alias("to"),
                    "accuracy",
                    "base_accuracy",
                    "ece",
                    "proven",
                )
            )
        return pl.concat(parts)


def run_gate_demo(
    path: Path,
    progress: Callable[[int, int, str], None] | None = None,
    on_step: Callable[[str], None] = lambda step: None,
) -> Shown:
    """Make up both markets, train on each, and show them side by side; what is done already is kept."""
    found = []
    for name, skill, words in (
        ("no-edge", None, "trades without any edge"),
        ("planted-skill", Skill(SKILLED), "trades whose deltas know 0.03 of the outcome in 12 of 32 pairs"),
    ):
        on_step(f"make up {words}, and train")
        found.append(_trained(path / name, skill, progress))
    return Shown(*found)


def _trained(path: Path, skill: Skill | None, progress: Callable[[int, int, str], None] | None) -> GateTraining:
    if not (path / FILE).is_file():
        write_whole(path / FILE, SETTINGS)
    home = Home.open(path)
    if not home.tables.exists(TABLE):
        fill(home, skill)
    return train_gate(home, progress=progress)


def fill(home: Home, skill: Skill | None = None, *, days: int = DAYS, times: int = TIMES, seed: int = SEED) -> None:
    """Bars of the symbols into the tables, and trades made up on them: `times` a day and pair on the last `days`."""
    sample = sample_index()
    index = sample.bars.filter(pl.col("symbol") == VOLATILITY_INDEX)
    take_in(home, _batch(pl.concat([made_up_bars(sample.bars), index], how="diagonal"), sample))
    trades = made_up_trades(
        sample.bars.filter(pl.col("symbol") != VOLATILITY_INDEX),
        index.select("session", "close"),
        seed=seed,
        days=days,
        times=times,
        skill=skill,
    )
    home.tables.append(TABLE, trades.with_columns(pl.col("date").alias("session")))


def _batch(bars: pl.DataFrame, sample: Batch) -> Batch:
    """The bars as a batch of their own; they are those of an index, whatever stands on them."""
    names = [*MADE_UP_SYMBOLS, VOLATILITY_INDEX]
    kinds = pl.DataFrame({"symbol": names}).with_columns(
        pl.lit("INDEX").alias("kind"), pl.lit(None, dtype=pl.String).alias("sector")
    )
    whole = typed(bars, BARS)
    return Batch(
        f"made up on {sample.name}",
        whole,
        instruments=typed(kinds, INSTRUMENTS),
        fields=filled_fields(whole),
        derive_actions=False,
        notes=("Levels are those of the S&P 500 and the NASDAQ Composite times a number.",),
    )
