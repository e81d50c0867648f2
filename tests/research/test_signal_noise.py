"""Shuffled labels: nothing but their place in time changes, and nothing is found in them (checks 2 and 69)."""

import numpy as np
import polars as pl
import pytest
from benchmarks.signal_noise import market, noise

from openbell.core.errors import BadInput
from openbell.research.signal_noise import shuffled


@pytest.fixture(scope="module")
def rows():
    return market(3, 60)[1]


def test_only_the_place_of_the_labels_changes(rows):
    found = shuffled(rows, 1)
    assert found.drop("label").equals(rows.drop("label"))
    assert found.schema == rows.schema
    assert (found["label"].is_null() == rows["label"].is_null()).all()
    for symbol in rows["symbol"].unique():
        own = pl.col("symbol") == symbol
        assert found.filter(own)["label"].sort().to_list() == rows.filter(own)["label"].sort().to_list(), symbol
    assert (found["label"] != rows["label"]).mean() > 0.3


def test_a_seed_is_one_order_and_another_seed_another_and_symbols_have_their_own(rows):
    assert shuffled(rows, 1).equals(shuffled(rows, 1))
    assert not shuffled(rows, 1)["label"].equals(shuffled(rows, 2)["label"])
    same = rows.filter(pl.col("symbol") == "S00")
    twice = pl.concat([same, same.with_columns(pl.lit("S01").alias("symbol"))]).sort("as_of", "symbol")
    moved = shuffled(twice, 1)
    first, second = (moved.filter(pl.col("symbol") == name)["label"].to_list() for name in ("S00", "S01"))
    assert first != second


def test_blocks_move_whole_and_a_block_of_all_moves_nothing(rows):
    one = rows.filter(pl.col("symbol") == "S00").with_columns(
        pl.Series("label", np.arange(60) // 5 % 3 - 1, dtype=pl.Int8)
    )
    moved = shuffled(one, 3, block_sessions=5)["label"].to_numpy().reshape(-1, 5)
    assert (moved == moved[:, :1]).all()
    assert shuffled(rows, 3, block_sessions=1000)["label"].equals(rows["label"])
    with pytest.raises(BadInput, match="`block_sessions` must be at least 1; was 0"):
        shuffled(rows, 3, block_sessions=0)


def test_without_a_known_label_there_is_nothing_to_move(rows):
    none = rows.with_columns(pl.lit(None, dtype=pl.Int8).alias("label"))
    assert shuffled(none, 1).equals(none)


@pytest.mark.slow
def test_nothing_is_found_in_shuffled_labels_and_something_in_the_true_ones():
    """The mean over 20 seeds is not told from 0, while the same way finds what the true labels hold (seeded)."""
    found = noise(symbols=4, sessions=240, seeds=20)
    low, high = found.interval
    assert low < 0 < high
    assert found.true > found.shuffled.max()
