"""Thresholds: the best by hand and by brute force, parents for thin cells, and files read in full or refused."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score
from tests.research.gate_worlds import trades

from openbell.core.errors import BadInput
from openbell.core.trade_rows import SHEET_STRATEGIES, SHEET_SYMBOLS
from openbell.research.gate_thresholds import DEFAULT_THRESHOLD, MIN_DAYS, PRESET, Thresholds, grid, tuned

FOUR = {"Butterfly": 0.45, "Iron Condor": 0.75, "Vertical": 0.65, "Sonar": 0.6}


def one_cell(probability, win, profit=None):
    """Rows of SPX Sonar on as many days as a node needs."""
    n = len(win)
    days = pl.date_range(pl.date(2024, 1, 1), pl.date(2024, 1, MIN_DAYS), eager=True).to_list()
    rows = pl.DataFrame(
        {
            "session": [days[at % MIN_DAYS] for at in range(n)],
            "symbol": ["SPX"] * n,
            "strategy": ["Sonar"] * n,
            "win": win,
            "profit_usd": np.asarray(profit if profit is not None else np.where(win, 1.0, -1.0), dtype=float),
        }
    )
    return rows, np.asarray(probability, dtype=float)


def test_the_grid_has_both_ends():
    """S1.09: .35 to .75 by .05; an end off the steps is there too."""
    assert grid(0.35, 0.75).tolist() == [0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75]
    assert grid(0.5, 0.57).tolist() == [0.5, 0.55, 0.57]
    assert grid(0.5, 0.5).tolist() == [0.5]
    for low, high in ((0.6, 0.5), (0.0, 0.5), (0.5, 1.0)):
        with pytest.raises(BadInput, match="0 < low <= high < 1"):
            grid(low, high)


def test_by_hand():
    """Losers stand at .5, winners at .6 and .7, and one loser of 100 dollars at .7."""
    probability = [0.5] * 10 + [0.6] * 10 + [0.7] * 10 + [0.7]
    win = [False] * 10 + [True] * 20 + [False]
    profit = [-1.0] * 10 + [0.9] * 10 + [9.0] * 10 + [-100.0]
    rows, p = one_cell(probability, win, profit)
    by = {each: tuned(rows, p, by=each, min_trades=10).of("SPX", "Sonar") for each in ("f1", "expected_value")}
    assert by["f1"] == (0.6, "symbol_strategy")
    assert by["expected_value"] == (0.75, "symbol_strategy")  # at .6 it loses 1 dollar, at .7 10, at .75 nothing
    assert tuned(rows, p, by="expected_value", min_trades=10, high=0.7).of("SPX", "Sonar")[0] == 0.6


def test_recall_80_takes_four_wins_of_five():
    """Eight of ten wins stand at .6 or above; nothing higher keeps 80 % of them, however precise."""
    rows, p = one_cell([0.4] * 5 + [0.6] * 3 + [0.7] * 5 + [0.4] * 2, [False] * 4 + [True] * 9 + [True, False])
    assert rows["win"].sum() == 10
    assert tuned(rows, p, by="recall_80", min_trades=10).of("SPX", "Sonar")[0] == 0.6


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.sampled_from(["f1", "expected_value"]))
def test_nothing_on_the_grid_is_better(seed, by):
    """Brute force: a trade at the threshold is taken; of equals the highest. Kills > for >= and the other tie."""
    rng = np.random.default_rng(seed)
    p = rng.choice([*grid(0.35, 0.75), 0.2, 0.8, 0.51], 60)
    rows, p = one_cell(p, rng.random(60) < p, rng.normal(size=60).round(1))
    win, usd = rows["win"].to_numpy(), rows["profit_usd"].to_numpy()
    worth = {
        t: f1_score(win, p >= t, zero_division=0.0) if by == "f1" else round(float(usd[p >= t].sum()), 9)
        for t in grid(0.35, 0.75)
    }
    best = max(t for t, value in worth.items() if value >= max(worth.values()) - 1e-9)
    assert tuned(rows, p, by=by, min_trades=10).of("SPX", "Sonar")[0] == best


def test_thin_cells_take_their_parents():
    """Too few trades, or too few days however many trades, is no evidence of one's own."""
    rows = trades(days=40, each=3, symbols=("SPX", "SPY", "RUT"), seed=1)
    thin = (pl.col("symbol") == "SPX") & (pl.col("strategy") == "Sonar")
    alone = (pl.col("symbol") == "RUT") & (pl.col("strategy") == "Sonar")
    first = pl.col("session") == pl.col("session").min()
    kept = pl.concat([rows.filter(~thin & ~alone), rows.filter(thin)[:99], *[rows.filter(alone & first)] * 50])
    found = tuned(kept, kept["price_probability"].to_numpy(), by="f1", min_trades=100)
    assert found.of("SPX", "Vertical")[1] == "symbol_strategy"
    assert found.of("SPX", "Sonar")[1] == "symbol"
    assert found.of("RUT", "Sonar")[1] == "symbol"
    assert found.of("IWM", "Sonar")[1] == "strategy"
    assert found.of("IWM", "Calendar")[1] == "default"
    assert tuned(kept[:20], kept["price_probability"][:20].to_numpy()).of("SPX", "Sonar") == (DEFAULT_THRESHOLD, PRESET)


def test_same_threshold_whatever_route():
    """Check 36: asked by pair, by table, by request, and after a round trip through text."""
    rows = trades(days=30, each=3, seed=2)
    found = tuned(rows, rows["price_probability"].to_numpy(), by="f1", min_trades=50)
    by_table = found.on(rows)
    again = Thresholds.from_json(found.to_json())
    for at in (0, 7, 100):
        row = rows.row(at, named=True)
        pair = row["symbol"], row["strategy"]
        assert by_table[at] == found.of(*pair)[0] == found.on(row)[0] == found.on(rows[at : at + 1])[0]
        assert again.of(*pair) == found.of(*pair)
    assert again.to_json() == found.to_json()


def test_unusable_arguments_are_refused():
    rows = trades(days=3)
    p = rows["price_probability"].to_numpy()
    with pytest.raises(BadInput, match="no objective of a threshold `f2`"):
        tuned(rows, p, by="f2")
    with pytest.raises(BadInput, match="`profit_usd` of every row"):
        tuned(rows.with_columns(profit_usd=pl.lit(None, dtype=pl.Float64)), p)


def test_a_file_of_pairs_and_groups():
    """A symbol's own threshold comes before its group's; who is in neither has the preset."""
    found = Thresholds.from_json(json.dumps({"SPX": FOUR, "SPX_SPY": {name: 0.4 for name in FOUR}}))
    assert found.of("SPX", "Iron Condor") == (0.75, "symbol_strategy")
    assert found.of("SPY", "Iron Condor") == (0.4, "group")
    assert found.of("NDX", "Iron Condor") == (DEFAULT_THRESHOLD, PRESET)
    assert found.of("SPY", "Calendar") == (DEFAULT_THRESHOLD, PRESET)
    assert Thresholds.from_json(found.to_json()).of("SPY", "Sonar") == (0.4, "group")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "are no JSON"),
        ("[]", "object of objects"),
        ("{}", "object of objects"),
        (json.dumps({"SPX": 0.5}), "object of objects"),
        (json.dumps({"SPQ": FOUR}), "no symbol or group of thresholds `SPQ`"),
        (json.dumps({"SPX_QQQ": FOUR}), "no symbol or group of thresholds `SPX_QQQ`"),
        (json.dumps({"SPX": {**FOUR, "Butterfy": 0.5}}), "no strategy of the thresholds of SPX `Butterfy`. Did you"),
        (json.dumps({"SPX": {"Sonar": 0.5}}), "`SPX` lack `Butterfly`, `Iron Condor`, `Vertical`"),
        (json.dumps({"SPX": {**FOUR, "Sonar": 1.0}}), "`SPX`, `Sonar` must lie between 0 and 1; was 1.0"),
        (json.dumps({"SPX": {**FOUR, "Sonar": 0}}), "between 0 and 1; was 0"),
        (json.dumps({"SPX": {**FOUR, "Sonar": True}}), "between 0 and 1; was True"),
        (json.dumps({"SPX": {**FOUR, "Sonar": "0.5"}}), "between 0 and 1; was '0.5'"),
        (json.dumps({"SPX": {**FOUR, "Sonar": float("nan")}}), "between 0 and 1; was nan"),
        ('{"SPX": ' + json.dumps(FOUR) + ', "SPX": ' + json.dumps(FOUR) + "}", "name `SPX` twice"),
        (json.dumps({"levels": {"symbols": {"SPX": 0.5}}}), "no level of thresholds `symbols`"),
        (json.dumps({"levels": {"symbol": {"SPX": 2}}}), "between 0 and 1; was 2"),
    ],
)
def test_a_file_with_a_fault_is_refused_in_a_sentence(text, said):
    """Check 36: the shape is validated where it is loaded."""
    with pytest.raises(BadInput, match=said.replace("(", r"\(")):
        Thresholds.from_json(text)


def test_the_shared_file(real_data: Path):
    """All 32 thresholds of the specification's file."""
    file = real_data.parent / "spec" / "gate_thresholds.json"
    found, kept = Thresholds.from_json(file.read_text()), json.loads(file.read_text())
    pairs = [(symbol, strategy) for symbol in SHEET_SYMBOLS for strategy in SHEET_STRATEGIES]
    assert len(pairs) == 32
    for symbol, strategy in pairs:
        assert found.of(symbol, strategy) == (kept[symbol][strategy], "symbol_strategy")
