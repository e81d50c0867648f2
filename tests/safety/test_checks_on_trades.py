"""Checks on what would be traded, and on the prices it would be traded at."""

import datetime as dt

import polars as pl
import pytest

from openbell.core.types import Outcome

ALLOW, SHRINK, BLOCK = Outcome.ALLOW, Outcome.SHRINK, Outcome.BLOCK


def many(name, count: int, weight: float, **more: object) -> dict:
    return {f"N{i:03d}": name(weight, price=1.0, **more) for i in range(count)}


@pytest.mark.parametrize(("gross", "outcome"), [(0.70, ALLOW), (0.71, SHRINK)])
def test_turnover_on_both_sides(verdict, situation, name, gross: float, outcome) -> None:
    """A first build of 70 % turns over 35 %."""
    said = verdict("turnover", situation(many(name, 10, gross / 10)))
    assert said.outcome is outcome
    assert said.measured["turnover"] == pytest.approx(gross / 2)


def test_a_full_first_build_is_staged(verdict, situation, name) -> None:
    said = verdict("turnover", situation(many(name, 10, 0.0999)))
    assert said.scale == pytest.approx(0.35 / 0.4995)


@pytest.mark.parametrize(("weight", "outcome"), [(0.10, ALLOW), (0.101, SHRINK)])
def test_single_trade_on_both_sides(verdict, situation, name, weight: float, outcome) -> None:
    assert verdict("single_trade", situation({"A": name(weight, price=1.0)})).outcome is outcome


def test_single_trade_shrinks_to_whole_shares_that_fit(verdict, situation, name) -> None:
    """20 shares of 700 USD are wanted; 14 of them fit into 10,000 USD."""
    said = verdict("single_trade", situation({"A": name(0.14, price=700.0)}))
    assert said.by_symbol == {"A": pytest.approx(14 / 20)}


def test_cost_blocks_above_half_a_percent(verdict, situation, name) -> None:
    given = situation({"A": name(0.1)})
    at = given.of_decision(trades=given.decision.trades.with_columns(pl.lit(500.0).alias("total_cost_est")))
    above = given.of_decision(trades=given.decision.trades.with_columns(pl.lit(500.01).alias("total_cost_est")))
    broken = given.of_decision(trades=given.decision.trades.with_columns(pl.lit(float("nan")).alias("total_cost_est")))
    assert [verdict("cost", each).outcome for each in (given, at, above, broken)] == [ALLOW, ALLOW, BLOCK, BLOCK]


def test_count_keeps_the_largest_of_each_side_in_turn(verdict, situation, name) -> None:
    """4 of 7: the two largest sales and the two largest purchases. Sales alone would end in cash."""
    sales = {f"S{i}": name(0.0, shares=1_000 - i, price=1.0) for i in range(4)}
    buys = {f"B{i}": name(0.05 - i / 1_000, price=1.0) for i in range(3)}
    said = verdict("count", situation(buys | sales, cash=96_006.0), max_daily_trades=4)
    assert said.outcome is SHRINK
    assert said.by_symbol == {"S2": 0.0, "S3": 0.0, "B2": 0.0}
    assert verdict("count", situation(many(name, 50, 0.01))).outcome is ALLOW
    assert verdict("count", situation(many(name, 51, 0.01))).by_symbol == {"N050": 0.0}


@pytest.mark.parametrize(("volume", "outcome"), [(20_000.0, ALLOW), (19_900.0, SHRINK)])
def test_liquidity_on_both_sides_of_five_percent(verdict, situation, name, volume: float, outcome) -> None:
    said = verdict("liquidity", situation({"A": name(0.01, price=1.0, volume=volume)}))
    assert said.outcome is outcome
    assert outcome is ALLOW or said.by_symbol == {"A": pytest.approx(995 / 1000)}


def test_liquidity_without_a_volume(verdict, situation, name) -> None:
    rows = {"A": name(0.01), "B": name(0.01, volume=None), "C": name(0.01, volume=0.0)}
    assert verdict("liquidity", situation(rows)).by_symbol == {"B": 0.0, "C": 0.0}
    nothing = verdict("liquidity", situation({"B": name(0.01, volume=None)}))
    assert (nothing.outcome, nothing.available) == (ALLOW, False)


def test_a_stale_name_waits_and_the_others_trade(verdict, situation, name) -> None:
    rows = {"A": name(0.1), "B": name(0.1, session=dt.date(2020, 3, 12)), "C": name(0.1), "D": name(0.1, session=None)}
    said = verdict("fresh_prices", situation(rows), max_stale_share=0.6)
    assert said.outcome is SHRINK
    assert said.by_symbol == {"B": 0.0, "D": 0.0}
    allowed = verdict("fresh_prices", situation(rows), max_stale_sessions=1, max_stale_share=0.6)
    assert allowed.by_symbol == {"D": 0.0}


def test_an_impossible_price_waits(verdict, situation, name) -> None:
    given = situation({"A": name(0.1), "B": name(0.1), "C": name(0.1)})
    for bad in (0.0, -1.0, float("nan"), float("inf"), None):
        price = pl.when(pl.col("symbol") == "B").then(pl.lit(bad, dtype=pl.Float64)).otherwise("price_usd")
        said = verdict("fresh_prices", given.of_names(price.alias("price_usd")))
        assert said.by_symbol == {"B": 0.0}, bad


def test_a_gap_over_most_of_the_universe_blocks(verdict, situation, name) -> None:
    """check 46: the last date lacks 70 of 100 names. That is a gap in the data, and nothing is traded on it."""
    old = dt.date(2020, 3, 12)
    rows = {f"N{i}": name(0.01, session=old if i < 70 else dt.date(2020, 3, 13)) for i in range(100)}
    said = verdict("fresh_prices", situation(rows))
    assert said.outcome is BLOCK
    assert "70%" in said.why


def test_names_outside_the_universe_do_not_count_as_its_gap(verdict, situation, name) -> None:
    old = dt.date(2020, 3, 12)
    rows = {f"N{i}": name(0.0, session=old, member=False) for i in range(9)} | {"A": name(0.1)}
    assert verdict("fresh_prices", situation(rows)).outcome is ALLOW


def test_old_data_altogether_block(verdict, situation, name) -> None:
    given = situation({"A": name(0.1)})
    for last, outcome in ((dt.date(2020, 3, 11), ALLOW), (dt.date(2020, 3, 10), BLOCK), (dt.date(2020, 3, 16), BLOCK)):
        dated = given.of_market(last_session=last).of_names(pl.lit(last).alias("price_session"))
        assert verdict("fresh_prices", dated).outcome is outcome, last
