"""Feature rows: one function for training and serving, on the session grid, from what was known."""

import datetime as dt
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "features"))
sys.path.insert(0, str(Path(__file__).parents[1] / "research"))
from feature_bars import declared
from memory_tables import MemoryTables, market, view_of

from openbell.core.declare import feature
from openbell.core.errors import BadInput, DeclarationError, LeakFound
from openbell.features.momentum import simple_return
from openbell.quant.expressions import SHARED, close, sma
from openbell.quant.reach import lookback
from openbell.research.compute import feature_rows, rows_needed, stages
from openbell.research.grid import lacking_fields, session_grid

TABLES, CALENDAR = market(symbols=3, sessions=1100)
#: Families that the signals desk alone reads; its own engine computes them, of frames with quotes and a session.
OF_SIGNALS = ("moving_averages", "strength", "microstructure", "breakouts")
ALL = [each for each in declared().values() if each.reads == "bars" and each.family not in OF_SIGNALS]
RETURN_1 = simple_return[0]


def made(expression, **about):
    def it():
        return expression

    it.__doc__ = "Test."
    return feature(unit="x", **about)(it)[0]


def without(frame, *fields):
    return MemoryTables({"bars": frame.with_columns(pl.lit(None, dtype=pl.Float64).alias(name) for name in fields)})


def test_batch_and_one_day_agree():
    """Check 14: the same function, the whole history or the rows a day needs: equal to 1e-9, with the same nulls."""
    view = view_of(TABLES, CALENDAR)
    days = [CALENDAR.dates[at] for at in (1099, 1050, 400)]
    batch = feature_rows(view, ALL, dtype=pl.Float64).frame
    for day in days:
        live = feature_rows(view, ALL, first=day, last=day, dtype=pl.Float64).frame
        expected = batch.filter(pl.col("session") == day)
        assert live.columns == expected.columns
        assert live.height == 3
        assert live.select(pl.all().is_null()).equals(expected.select(pl.all().is_null()))
        for each in ALL:
            np.testing.assert_allclose(
                live[each.name].drop_nulls(), expected[each.name].drop_nulls(), rtol=1e-9, atol=1e-12, err_msg=each.name
            )


def test_one_day_reads_only_the_rows_it_needs():
    """Rows before the look-back are not touched: nonsense there changes nothing."""
    day = CALENDAR.dates[1099]
    needed = rows_needed(ALL)
    assert 600 < needed < 1000
    poisoned = TABLES.frames["bars"].with_columns(
        pl.when(pl.col("session") < CALENDAR.dates[1099 - needed + 1])
        .then(pl.lit(1e-3))
        .otherwise("close")
        .alias("close")
    )
    honest = feature_rows(view_of(TABLES, CALENDAR), ALL, first=day, last=day).frame
    assert feature_rows(view_of(MemoryTables({"bars": poisoned}), CALENDAR), ALL, first=day, last=day).frame.equals(
        honest
    )


def test_keys_order_and_types():
    rows = feature_rows(view_of(TABLES, CALENDAR), [RETURN_1], symbols=["S2", "S0"]).frame
    assert rows.schema == {
        "session": pl.Date, "symbol": pl.String, "known_at": pl.Datetime("us", "UTC"), "return_1d": pl.Float32,
    }  # fmt: skip
    assert rows["symbol"].unique(maintain_order=True).to_list() == ["S0", "S2"]
    assert rows.select("symbol", "session").equals(rows.select("symbol", "session").sort("symbol", "session"))
    assert rows["known_at"][0] == CALENDAR.closes[0]


@pytest.mark.parametrize("at_once", [1, 2, 100])
def test_chunks_of_symbols_change_nothing(at_once):
    view = view_of(TABLES, CALENDAR)
    calls = []
    rows = feature_rows(view, ALL[:40], symbols_at_once=at_once, progress=lambda *done: calls.append(done))
    assert rows.frame.equals(feature_rows(view, ALL[:40]).frame)
    assert calls[-1] == (3, 3, "features")
    with pytest.raises(BadInput, match="at least 1; was 0"):
        feature_rows(view, ALL[:1], symbols_at_once=0)


def test_symbols_do_not_touch_each_other():
    """The first row of a symbol has no return: kills a shift across the border of two symbols."""
    rows = feature_rows(view_of(TABLES, CALENDAR), [RETURN_1]).frame
    assert rows.group_by("symbol").agg(pl.col("return_1d").null_count()).get_column("return_1d").to_list() == [1, 1, 1]


def test_missing_sessions_are_neither_filled_nor_shown():
    """Between first and last bar every session has a row inside, none of them in the answer."""
    bars = TABLES.frames["bars"].filter(~((pl.col("symbol") == "S1") & (pl.col("session") == CALENDAR.dates[50])))
    view = view_of(MemoryTables({"bars": bars}), CALENDAR)
    grid = session_grid(view).frame.filter(pl.col("symbol") == "S1")
    assert grid.height == 1100
    assert grid.row(50, named=True)["close"] is None
    assert grid["is_bar"].sum() == 1099
    rows = feature_rows(view, [RETURN_1]).frame.filter(pl.col("symbol") == "S1")
    assert rows.height == 1099
    assert rows["session"][50] == CALENDAR.dates[51]
    assert rows["return_1d"][50] is None
    assert rows["return_1d"][51] is not None


def test_a_reused_ticker_years_apart_is_one_grid_without_memory():
    """A gap of years: no value reaches over it, and the recursion has forgotten."""
    keep = (pl.col("session") < CALENDAR.dates[100]) | (pl.col("session") >= CALENDAR.dates[900])
    view = view_of(MemoryTables({"bars": TABLES.frames["bars"].filter(keep)}), CALENDAR)
    rows = feature_rows(view, ALL, symbols=["S0"]).frame
    assert rows.height == 300
    assert (
        rows.filter(pl.col("session") == CALENDAR.dates[900]).select("return_200d", "sma_5", "rsi_14").row(0)
        == (None,) * 3
    )


def test_bars_on_days_without_a_session_are_said():
    extra = TABLES.frames["bars"].head(1).with_columns(pl.lit(dt.date(2010, 1, 9)).alias("session"))
    rows = feature_rows(
        view_of(MemoryTables({"bars": pl.concat([TABLES.frames["bars"], extra])}), CALENDAR), [RETURN_1]
    )
    assert rows.frame.height == 3300
    assert "1 bars lie on days that are no session" in rows.notes[0]
    assert "S0 on 2010-01-09" in rows.notes[0]


def test_families_without_their_fields_switch_off_with_the_reason():
    """Check 15: what the data lack is said; no column, no default."""
    rows = feature_rows(view_of(without(TABLES.frames["bars"], "open", "high", "low"), CALENDAR), ALL)
    assert "0 of 3,300 bars have a value of `high`" in rows.switched_off["stochastic_k"]
    assert {"adx_14", "parkinson_vol", "overnight_return", "resistance_level", "trend_regime"} <= set(rows.switched_off)
    assert "rsi_14" not in rows.switched_off
    assert not set(rows.switched_off) & set(rows.names)
    assert set(rows.switched_off) | set(rows.names) == {each.name for each in ALL}
    assert {"hv_20d", "macd", "volume_vs_avg", "momentum_12_1"} <= set(rows.names)


@pytest.mark.parametrize("fake", ["single", "fixed", "copied"])
def test_fabricated_ranges_are_rejected(fake):
    """Check 12: O=H=L=C, or highs at a constant multiple of the close, are no ranges."""
    share = pl.int_range(pl.len()) % 4 == 0
    price = {"single": pl.col("close"), "fixed": pl.col("close") * 1.01, "copied": pl.col("close")}[fake]
    where = share if fake != "copied" else pl.lit(True)
    fields = ("open", "high", "low") if fake == "single" else ("high",)
    bars = TABLES.frames["bars"].with_columns(pl.when(where).then(price).otherwise(name).alias(name) for name in fields)
    view = view_of(MemoryTables({"bars": bars}), CALENDAR)
    assert "the ranges are made up" in lacking_fields(view)["high"]
    off = feature_rows(view, ALL).switched_off
    assert {"parkinson_vol", "atr_14", "close_location"} <= set(off)
    assert "hv_20d" not in off


def test_honest_ranges_are_kept(real_data):
    """A few days with high = close, as real data have, reject nothing."""
    assert lacking_fields(view_of(TABLES, CALENDAR)) == {}
    bars = pl.read_parquet(real_data / "stocks" / "sp500_members_daily_2000_2021.parquet", n_rows=200_000)
    known = pl.datetime(2021, 1, 1, time_zone="UTC").cast(pl.Datetime("us", "UTC")).alias("known_at")
    rows = bars.with_columns(known, pl.lit("1d").alias("freq"), pl.col("date").alias("session"))
    view = view_of(MemoryTables({"bars": rows}), CALENDAR)
    object.__setattr__(view, "as_of", dt.datetime(2022, 1, 1, tzinfo=dt.UTC))
    assert lacking_fields(view) == {}


def test_not_finite_is_null_and_counted():
    odd = made(1.0 / (close - close))
    rows = feature_rows(view_of(TABLES, CALENDAR), [odd, RETURN_1])
    assert rows.frame["it"].null_count() == 3300
    assert rows.notes == ("3,300 values of `it` were not finite and are null.",)


def test_refusals():
    view = view_of(TABLES, CALENDAR)
    with pytest.raises(LeakFound, match=r"`it`.*negative shift of -1"):
        feature_rows(view, [made(close.shift(-1))])
    with pytest.raises(DeclarationError, match=r"`it` reads `clsoe`.*Did you mean `close`"):
        feature_rows(view, [made(pl.col("clsoe"))])
    with pytest.raises(DeclarationError, match="reads `chains`"):
        feature_rows(view, [made(close, reads="chains")])


def test_what_later_restatements_touch_is_known_later():
    """A bar corrected in May: rows whose look-back holds it are known in May, the others when they were."""
    late = dt.datetime(2010, 5, 3, tzinfo=dt.UTC)
    fixed = TABLES.frames["bars"].filter((pl.col("symbol") == "S0") & (pl.col("session") == CALENDAR.dates[40]))
    fixed = fixed.with_columns(pl.lit(late).cast(pl.Datetime("us", "UTC")).alias("known_at"), pl.col("close") * 1.1)
    tables = MemoryTables({"bars": pl.concat([TABLES.frames["bars"], fixed])})
    short = made(sma(close, 5))
    rows = feature_rows(view_of(tables, CALENDAR), [short]).frame.filter(pl.col("symbol") == "S0")
    assert lookback(short) == 5
    assert rows["known_at"][39] == CALENDAR.closes[39]
    assert rows["known_at"][40:45].to_list() == [late] * 5
    assert rows["known_at"][45] == CALENDAR.closes[45]
    other = feature_rows(view_of(tables, CALENDAR), [short]).frame.filter(pl.col("symbol") == "S1")
    assert other["known_at"][40] == CALENDAR.closes[40]


def test_prices_are_total_return_and_do_not_change_with_later_splits():
    """Trap 13: a split of 2 at session 600 does not move a feature of session 500 by a bit."""
    action = pl.DataFrame(
        {"symbol": ["S0"], "session": [CALENDAR.dates[600]], "kind": ["split"], "factor": [2.0],
         "known_at": [CALENDAR.closes[600]], "source": ["t"]},
    ).with_columns(pl.col("known_at").cast(pl.Datetime("us", "UTC")))  # fmt: skip
    halved = TABLES.frames["bars"].with_columns(
        pl.when((pl.col("symbol") == "S0") & (pl.col("session") >= CALENDAR.dates[600]))
        .then(pl.col(name) / 2).otherwise(name).alias(name)
        for name in ("open", "high", "low", "close")
    )  # fmt: skip
    split = MemoryTables({"bars": halved, "actions": action})
    scale_free = [each for each in ALL if each.family in ("momentum", "trend", "volatility", "oscillators")]
    a, b = (feature_rows(view_of(tables, CALENDAR), scale_free).frame for tables in (TABLES, split))
    before = pl.col("session") < CALENDAR.dates[600]
    assert a.filter(before).equals(b.filter(before))
    np.testing.assert_allclose(
        a["return_20d"].drop_nulls().to_numpy(), b["return_20d"].drop_nulls().to_numpy(), atol=1e-6
    )


def test_shared_columns_are_staged_by_need():
    each = declared()["trend_regime"].expression
    order = [stage.meta.output_name() for level in stages([each], SHARED) for stage in level]
    assert order.index("_previous_close") < order.index("_true_range") < order.index("_atr_14")
    assert order.index("_dx") < order.index("_adx_14")
    assert "_resistance_1" not in order


def test_an_empty_answer_has_its_columns():
    rows = feature_rows(view_of(TABLES, CALENDAR), [RETURN_1], symbols=["NONE"]).frame
    assert rows.is_empty()
    assert rows.columns == ["session", "symbol", "known_at", "return_1d"]
