"""Made-up trades: no edge before costs, exact prices, real strikes, and skill only where it was planted."""

import datetime as dt
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from made_up_days import CALENDAR, index_bars, made, made_facts

from openbell.core.errors import BadInput
from openbell.core.trade_rows import SHEET_STRATEGIES, SHEET_SYMBOLS, TRADES
from openbell.quant.black import prices
from openbell.research.made_up_trades import MADE_UP_SYMBOLS, Skill, made_up_trades

SKILL = Skill(frozenset({("SPX", "Vertical"), ("QQQ", "Butterfly")}), explained=0.25)


def t_of_days(rows, value):
    """Mean over days in standard errors: the trades of a day are one observation."""
    days = rows.group_by("date").agg(value.mean().alias("x"))["x"].to_numpy()
    return days.mean() / (days.std(ddof=1) / np.sqrt(len(days)))


def test_shape_schema_and_order():
    rows = made()
    assert rows.height == 30 * len(SHEET_SYMBOLS) * len(SHEET_STRATEGIES) * 4
    assert dict(rows.schema) == {
        name: kind if isinstance(kind, pl.DataType) else kind() for name, kind in TRADES.items()
    }
    assert rows.equals(rows.sort("timestamp", "symbol", "strategy"))
    assert rows.group_by("date", "time", "symbol", "strategy").len()["len"].unique().to_list() == [1]
    assert rows["time"].unique().sort().to_list() == ["09:35", "11:40", "13:50", "15:55"]
    local = rows["timestamp"].dt.convert_time_zone("America/New_York").dt.strftime("%H:%M")
    assert local.equals(rows["time"], check_names=False)


def test_the_same_seed_gives_the_same_bytes_and_another_one_other_rows():
    again = made_up_trades(*index_bars(), seed=0, days=30, times=4)
    assert again.equals(made())
    assert not made_up_trades(*index_bars(), seed=1, days=30, times=4)["profit"].equals(made()["profit"])
    shuffled = [each.sample(fraction=1.0, shuffle=True, seed=3) for each in index_bars()]
    assert made_up_trades(*shuffled, seed=0, days=30, times=4).equals(made())


def test_every_leg_is_priced_by_the_law_of_what_is_left_and_quoted_around_it():
    rows = made()
    for leg in (1, 2, 3, 4):
        legs = rows.filter(pl.col(f"strike{leg}").is_not_null())
        right = np.where(legs[f"type{leg}"] == "CALL", 1.0, -1.0)
        spot, strike = legs["price"].to_numpy(), legs[f"strike{leg}"].to_numpy()
        exact = prices(right, spot, strike, 1.0, legs["expected_move"].to_numpy() / spot)
        np.testing.assert_allclose(legs[f"mid{leg}"], exact, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose((legs[f"bid{leg}"] + legs[f"ask{leg}"]) / 2, exact, rtol=1e-9, atol=1e-12)
        assert (legs[f"bid{leg}"] >= 0).all()
        assert (legs[f"ask{leg}"] > legs[f"bid{leg}"]).all()


@pytest.mark.parametrize("strategy", list(SHEET_STRATEGIES))
def test_no_structure_has_an_edge_before_costs(strategy):
    """Mean profit plus half-spreads is 0 within four standard errors of days. Kills: drift, a volatility off by 5 %."""
    rows = made_facts(days=1_000, times=2).filter(strategy=strategy)
    half = sum(
        (pl.col(f"direction{i}").abs() * (pl.col(f"ask{i}") - pl.col(f"bid{i}")) / 2).fill_null(0.0)
        for i in range(1, 5)
    )
    before = (pl.col("profit") + half) / pl.col("expected_move")
    assert abs(t_of_days(rows, before)) < 4
    surprise = pl.col("win").cast(pl.Float64) - pl.col("price_probability")
    assert abs(t_of_days(rows, surprise)) < 4


def test_the_price_alone_moves_as_far_as_its_volatility_says():
    """Standardised, the move to the close has mean 0 and variance 1, over a thousand days."""
    rows = made(days=1_000, times=2).filter(symbol="SPX", strategy="Vertical", time="09:35")
    s = (rows["expected_move"] / rows["price"]).to_numpy()
    z = np.log((rows["closing"] / rows["price"]).to_numpy()) / s + s / 2
    assert abs(z.mean()) < 4 / np.sqrt(len(z))
    assert abs(z.var() - 1) < 4 * np.sqrt(2 / len(z))


def test_after_half_spreads_and_commissions_trades_lose():
    rows = made_facts(days=1_000, times=2)
    for symbol in ("SPX", "QQQ"):
        assert rows.filter(symbol=symbol)["profit_usd"].mean() < 0


def test_trades_of_a_day_share_its_close_and_days_do_not():
    rows = made()
    assert rows.group_by("date", "symbol").agg(pl.col("closing").n_unique())["closing"].unique().to_list() == [1]
    assert rows.filter(symbol="SPX").group_by("date").agg(pl.col("closing").first())["closing"].n_unique() == 30


def test_symbols_of_one_index_move_together_and_others_less():
    wide = (
        made(days=1_000, times=2)
        .filter(strategy="Vertical", time="09:35")
        .with_columns((pl.col("closing") / pl.col("price")).log().alias("r"))
    )
    table = wide.pivot("symbol", index="date", values="r")
    assert table.select(pl.corr("SPX", "XSP")).item() > 0.9999
    assert table.select(pl.corr("NDX", "QQQ")).item() > 0.9999
    assert 0.85 < table.select(pl.corr("SPX", "NDX")).item() < 0.97
    assert 0.4 < table.select(pl.corr("SPX", "TSLA")).item() < 0.65


def test_strikes_have_their_increments_and_strategies_their_legs():
    rows = made()
    for symbol, each in MADE_UP_SYMBOLS.items():
        strikes = (
            rows.filter(symbol=symbol).select(pl.concat_list([f"strike{i}" for i in range(1, 5)]).explode()).to_series()
        )
        off = (strikes.drop_nulls() / each.increment) % 1.0
        assert np.allclose(np.minimum(off, 1 - off), 0, atol=1e-9)
    condor, sonar = (rows.filter(strategy=name) for name in ("Iron Condor", "Sonar"))
    wing = {s: e.increment for s, e in MADE_UP_SYMBOLS.items()}
    for table, steps in ((condor, 2), (sonar, 1)):
        width = table["symbol"].replace_strict(wing, return_dtype=pl.Float64) * steps
        assert np.allclose(table["strike2"] - table["strike1"], width)
        assert np.allclose(table["strike3"] - table["strike4"], width)
        assert (table["strike1"] > table["price"]).all()
        assert (table["strike3"] < table["price"]).all()
    fly = rows.filter(strategy="Butterfly")
    assert fly.select("direction1", "direction2", "direction3").unique().rows() == [(1, -2, 1)]
    assert np.allclose(fly["strike1"] - fly["strike2"], fly["strike2"] - fly["strike3"])


def test_skill_is_in_its_cells_and_nowhere_else_and_changes_no_price():
    """Kills: skill in every cell, twice the share, a price that knows it too."""
    plain, planted = made(days=1_000, times=2), made(days=1_000, times=2, skill=SKILL)
    told = ["short_term", "long_term"]
    assert planted.drop(told).equals(plain.drop(told))
    same = planted.with_columns((pl.col("short_term") == plain["short_term"]).alias("same"))
    cells = same.filter(pl.col("same").not_()).select("symbol", "strategy").unique()
    assert set(cells.rows()) == SKILL.cells
    s = pl.col("expected_move") / pl.col("price")
    left = ((pl.col("closing") / pl.col("price")).log() + s**2 / 2) / s
    bias = (pl.col("short_term") - pl.col("price")) / pl.col("expected_move")
    for rows, cell, share in ((planted, ("SPX", "Vertical"), 0.25), (plain, ("SPX", "Vertical"), 0.0),
                              (planted, ("SPX", "Sonar"), 0.0)):  # fmt: skip
        of_cell = rows.filter(symbol=cell[0], strategy=cell[1]).drop_nulls("short_term")
        found = of_cell.select(pl.corr(left, bias)).item()
        assert found == pytest.approx(np.sqrt(share), abs=4 / np.sqrt(of_cell.height / 1.5))


def test_delta_columns_are_missing_on_whole_days():
    rows = made(days=200, times=2, without_delta=0.3)
    missing = rows.group_by("date").agg(pl.col("short_term").is_null().mean().alias("x"))["x"]
    assert set(missing.to_list()) == {0.0, 1.0}
    assert 0.2 < missing.mean() < 0.4
    marked = rows["source_file"].str.contains("delta")
    assert (marked == rows["short_term"].is_not_null()).all()


def test_levels_are_the_opens_of_the_real_days_and_half_days_are_left_out():
    bars, _ = index_bars()
    rows = made(days=1_000, times=2)
    days = rows["date"].unique().sort().to_list()
    assert not {dt.date(2018, 7, 3), dt.date(2018, 11, 23), dt.date(2018, 12, 24), dt.date(2015, 11, 27)} & set(days)
    assert all((CALENDAR.close(day) - CALENDAR.open(day)).total_seconds() == 390 * 60 for day in days)
    first = rows.filter(symbol="SPX", strategy="Vertical", time="09:35").join(
        bars.filter(symbol="SPX"), left_on="date", right_on="session"
    )
    assert ((first["price"] / first["open"] - 1).abs() < 0.02).all()
    assert (first["price"] / first["open"] - 1).abs().max() > 0


def test_what_cannot_be_made_is_refused():
    bars, volatility = index_bars()
    with pytest.raises(BadInput, match="1 to 77 moments"):
        made_up_trades(bars, volatility, times=78)
    with pytest.raises(BadInput, match="whole sessions"):
        made_up_trades(bars, volatility, days=5_000)
    with pytest.raises(BadInput, match="`COMP` has none"):
        made_up_trades(bars.filter(symbol="SPX"), volatility)
    with pytest.raises(BadInput, match="SPX"):
        made_up_trades(bars, volatility, symbols=("SPXX",))
    with pytest.raises(BadInput, match="share of the variance"):
        Skill(frozenset(), explained=1.5)
    with pytest.raises(BadInput, match="Iron Condor"):
        Skill(frozenset({("SPX", "IronCondor")}))
