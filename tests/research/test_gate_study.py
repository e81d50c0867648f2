"""The study of the gate: what a random split leaks, and where a skill that is there was found."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from benchmarks.gate_random_split import _test, claims
from benchmarks.gate_study import PLANTED, against, by_place, found_cells
from tests.research import walked_worlds as worlds

from openbell.core.trade_rows import SHEET_STRATEGIES, SHEET_SYMBOLS
from openbell.research.gate_scores import scored
from openbell.research.gate_walk import walk


def shared() -> pl.DataFrame:
    """Trades of one pair whose outcome is a coin of their day, beside a number that names the day."""
    rows = worlds.trades(60, 8).filter((pl.col("symbol") == "SPX") & (pl.col("strategy") == "Vertical"))
    coin = np.random.default_rng(1).random(60) < 0.5
    number = (rows["session"].rank("dense") - 1).cast(pl.Int64)
    return rows.with_columns(win=pl.Series(coin[number.to_numpy()]), day=number)


@pytest.mark.parametrize("split", ["random days", "last days"])
def test_days_stay_whole_unless_rows_are_drawn(split: str) -> None:
    rows = shared()
    tested = rows.with_columns(test=pl.Series(_test(rows, split, np.random.default_rng(0))))
    assert tested.group_by("session").agg(pl.col("test").n_unique())["test"].max() == 1
    drawn = rows.with_columns(test=pl.Series(_test(rows, "random rows", np.random.default_rng(0))))
    assert drawn.group_by("session").agg(pl.col("test").n_unique())["test"].max() == 2


def test_a_random_split_looks_the_day_up() -> None:
    """A coin per day: with rows of the day in training it is known to the last one, by days it is what it is."""
    found = {each.split: each for each in claims(shared(), ["day"])}
    assert found["random rows"].log_loss < 0.1 < np.log(2) < found["random days"].log_loss
    assert found["random rows"].pairs == 1


def test_skill_is_told_by_place() -> None:
    """Who knows the edge knows it in planted and other pairs alike; cells are counted on their side."""
    assert all(symbol in SHEET_SYMBOLS and strategy in SHEET_STRATEGIES for symbol, strategy in PLANTED)
    found = walk(worlds.trades(100, 3), [], ["knowing", "price"], fit=worlds.ruled(), min_train_days=10, refit_days=90)
    scores = scored(found, replications=100)
    inside = [pair for pair in worlds.CELLS if pair in PLANTED]
    assert found_cells(scores, "knowing") == (len(inside), len(worlds.CELLS) - len(inside))
    assert set(by_place(found, "knowing")) == {"planted", "others"}
    row = scores.models.filter(pl.col("model") == "knowing").row(0, named=True)
    assert against(found, "knowing", ["price"])["price"].startswith(f"{row['skill_nats']:+.4f} (")
