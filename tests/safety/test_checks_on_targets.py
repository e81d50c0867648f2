"""Checks on what is aimed at: each one is driven to both sides of its limit."""

import math
from collections.abc import Callable

import polars as pl
import pytest

from openbell.core.errors import BadInput
from openbell.core.types import Outcome

ALLOW, SHRINK, BLOCK = Outcome.ALLOW, Outcome.SHRINK, Outcome.BLOCK


def test_every_check_stands_in_its_own_file_with_its_limits(checks) -> None:
    assert set(checks) == {
        "weights_and_cash",
        "long_only",
        "position_cap",
        "sector_cap",
        "turnover",
        "single_trade",
        "cost",
        "count",
        "liquidity",
        "fresh_prices",
        "market_cap_classes",
        "rebalance_threshold",
        "daily_loss",
        "rolling_sharpe",
    }
    assert all(each.family == name for name, each in checks.items())
    assert checks["turnover"].settings == {"max_turnover": 0.35}
    assert checks["position_cap"].settings == {"max_position_pct": 0.15}
    assert not any("enabled" in each.settings for each in checks.values()), "no switch turns safety off"


def test_every_check_allows_a_plain_decision(checks, situation, name) -> None:
    """The same small decision passes all: none blocks by mistake, and none mutates what it is given (check 43)."""
    sectors = "abcdef"
    plain = situation({f"N{i}": name(0.05, sector=sectors[i], market_value=5e10) for i in range(6)})
    before = (dict(plain.decision.targets), plain.decision.trades.clone(), plain.market.names.clone())
    for each in checks.values():
        for _ in range(3):
            said = each.run(plain.decision, plain.book, plain.market)
            assert (said.check, said.outcome, said.available) == (each.name, ALLOW, True), said.why
    assert plain.decision.targets == before[0]
    assert plain.decision.trades.equals(before[1])
    assert plain.market.names.equals(before[2])


def test_every_check_allows_a_decision_to_do_nothing(checks, situation, name) -> None:
    idle = situation({"A": name()})
    for each in checks.values():
        assert each.run(idle.decision, idle.book, idle.market).outcome is ALLOW


@pytest.mark.parametrize(("cash", "outcome"), [(0.5, ALLOW), (0.491, ALLOW), (0.489, BLOCK), (0.511, BLOCK)])
def test_weights_and_cash_sum_to_one_within_one_percent(
    verdict: Callable, situation, name, cash: float, outcome
) -> None:
    """check 45: cash is a line of the portfolio."""
    given = situation({"A": name(0.5)}).of_decision(cash_weight=cash)
    assert verdict("weights_and_cash", given).outcome is outcome


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_weight_that_is_no_number_blocks(verdict, situation, name, bad: float) -> None:
    given = situation({"A": name(0.5)}).of_decision(targets={"A": bad})
    assert verdict("weights_and_cash", given).outcome is BLOCK


def test_borrowing_blocks(verdict, situation, name) -> None:
    given = situation({"A": name(0.5)})
    borrowed = given.of_decision(targets={"A": 1.2}, cash_weight=-0.2)
    assert verdict("weights_and_cash", borrowed).outcome is BLOCK
    overdrawn = given.of_decision(trades=given.decision.trades.with_columns(pl.col("notional") * 3))
    assert "below 0" in verdict("weights_and_cash", overdrawn).why


def test_costs_alone_can_overdraw(verdict, situation, name) -> None:
    given = situation({"A": name(1.0, price=1.0)}, cash=10_000.0)
    spent = given.of_decision(trades=given.decision.trades.with_columns(pl.lit(9_999.0).alias("notional")))
    assert verdict("weights_and_cash", spent).outcome is BLOCK
    assert verdict("weights_and_cash", given).measured["cash_after_usd"] >= 0


def test_long_only(verdict, situation, name) -> None:
    given = situation({"A": name(0.1, shares=10)})
    assert verdict("long_only", given).outcome is ALLOW
    negative = verdict("long_only", given.of_decision(targets={"A": -0.01}))
    assert negative.outcome is BLOCK
    assert "A" in negative.why
    short = given.decision.trades.with_columns(pl.lit("SELL").alias("side"), pl.lit(11, dtype=pl.Int64).alias("shares"))
    assert "sold than is held" in verdict("long_only", given.of_decision(trades=short)).why


@pytest.mark.parametrize(("weight", "outcome"), [(0.15, ALLOW), (0.1501, BLOCK)])
def test_position_cap_on_both_sides(verdict, situation, name, weight: float, outcome) -> None:
    """check 42"""
    said = verdict("position_cap", situation({"A": name(weight, price=1.0)}))
    assert said.outcome is outcome
    assert said.measured["largest"] == pytest.approx(weight)


def test_position_cap_looks_at_the_trade_too(verdict, situation, name) -> None:
    """A purchase above the cap blocks, whatever the target says."""
    given = situation({"A": name(0.10, price=1.0)})
    more = given.decision.trades.with_columns(pl.lit(16_000, dtype=pl.Int64).alias("shares"))
    assert verdict("position_cap", given.of_decision(trades=more)).outcome is BLOCK


def test_position_cap_lets_a_carried_name_be_brought_down(verdict, situation, name) -> None:
    """Blocking would keep an imported 40 % position for ever."""
    held = {"A": name(0.30, shares=400, price=100.0)}
    said = verdict("position_cap", situation(held, cash=60_000.0))
    assert said.outcome is ALLOW
    assert "A" in said.why
    raised = {"A": name(0.45, shares=400, price=100.0)}
    assert verdict("position_cap", situation(raised, cash=60_000.0)).outcome is BLOCK


@pytest.mark.parametrize(("each", "outcome"), [(0.10, ALLOW), (0.1001, BLOCK)])
def test_sector_cap_on_both_sides(verdict, situation, name, each: float, outcome) -> None:
    rows = {symbol: name(each, price=1.0, sector="Energy") for symbol in "ABC"} | {"D": name(0.1, sector="Tech")}
    said = verdict("sector_cap", situation(rows))
    assert said.outcome is outcome
    assert said.measured["largest"] == pytest.approx(3 * each)


def test_unknown_sectors_count_together(verdict, situation, name) -> None:
    rows = {symbol: name(0.11) for symbol in "ABC"} | {"D": name(0.1, sector="Tech")}
    said = verdict("sector_cap", situation(rows))
    assert said.outcome is BLOCK
    assert "Unknown 33.00%" in said.why


def test_sector_cap_is_unavailable_without_any_sector(verdict, situation, name) -> None:
    rows = {symbol: name(0.14) for symbol in "ABC"}
    said = verdict("sector_cap", situation(rows))
    assert (said.outcome, said.available) == (ALLOW, False)
    assert verdict("sector_cap", situation(rows), require_sectors=True).outcome is BLOCK


def test_a_required_sector_that_one_name_lacks_blocks(verdict, situation, name) -> None:
    rows = {"A": name(0.1, sector="Tech"), "B": name(0.1)}
    said = verdict("sector_cap", situation(rows), require_sectors=True)
    assert said.outcome is BLOCK
    assert "B" in said.why
    assert verdict("sector_cap", situation(rows)).outcome is ALLOW


def test_sector_carried_above_its_cap_may_stay_or_fall_but_not_rise(verdict, situation, name) -> None:
    falls = {symbol: name(0.11, shares=120, sector="Tech") for symbol in "ABC"}
    assert verdict("sector_cap", situation(falls, cash=64_000.0)).outcome is ALLOW
    rises = {symbol: name(0.13, shares=120, sector="Tech") for symbol in "ABC"}
    assert verdict("sector_cap", situation(rises, cash=64_000.0)).outcome is BLOCK


def test_market_cap_classes_are_upper_bounds(verdict, situation, name) -> None:
    """S2.24: 0.7 large, 0.25 mid, 0.05 small; the purchases of the class above its bound are shrunk to it."""
    rows = {f"L{i}": name(0.08, price=1.0, market_value=2e11) for i in range(10)}
    rows |= {f"M{i}": name(0.05, price=1.0, market_value=5e9) for i in range(4)}
    said = verdict("market_cap_classes", situation(rows))
    assert said.outcome is SHRINK
    assert said.by_symbol == pytest.approx({f"L{i}": 0.875 for i in range(10)})
    within = {f"L{i}": name(0.07, price=1.0, market_value=2e11) for i in range(10)}
    within |= {f"M{i}": name(0.05, price=1.0, market_value=2e9) for i in range(5)}
    within |= {"S": name(0.05, price=1.0, market_value=1.99e9)}
    allowed = verdict("market_cap_classes", situation(within))
    assert allowed.outcome is ALLOW
    assert allowed.measured == pytest.approx({"large": 0.7, "mid": 0.25, "small": 0.05})


def test_bounds_that_cannot_sum_to_one_are_an_error(verdict, situation, name) -> None:
    with pytest.raises(BadInput, match="able to sum to 1"):
        verdict("market_cap_classes", situation({"A": name(0.1)}), large_cap=0.6)
    with pytest.raises(BadInput, match=r"\[0, 1\]"):
        verdict("market_cap_classes", situation({"A": name(0.1)}), large_cap=1.6)


def test_without_market_values_the_classes_are_unavailable(verdict, situation, name) -> None:
    given = situation({"A": name(0.1)})
    assert not verdict("market_cap_classes", given).available
    assert verdict("market_cap_classes", given, require_market_values=True).outcome is BLOCK


def test_a_name_without_a_market_value_counts_as_small(verdict, situation, name) -> None:
    given = situation({"A": name(0.1, market_value=5e10), "B": name(0.1)})
    assert verdict("market_cap_classes", given).by_symbol == pytest.approx({"B": 0.5})


@pytest.mark.parametrize(("target", "outcome"), [(0.049, SHRINK), (0.051, ALLOW)])
def test_small_drifts_are_held(verdict, situation, name, target: float, outcome) -> None:
    said = verdict("rebalance_threshold", situation({"A": name(target, price=1.0)}))
    assert said.outcome is outcome
    assert said.measured["drift"] == pytest.approx(target)
    assert outcome is ALLOW or said.scale == 0.0


def test_drift_counts_an_exchange_once(verdict, situation, name) -> None:
    """4 % out of A and into B changes 4 % of the account, not 8 %."""
    rows = {"A": name(0.46, shares=500, price=1.0), "B": name(0.54, shares=500, price=1.0)}
    said = verdict("rebalance_threshold", situation(rows, cash=0.0))
    assert said.measured["drift"] == pytest.approx(0.04)
    assert said.outcome is SHRINK


def test_trims_that_a_cap_demands_are_not_held_back(verdict, situation, name) -> None:
    rows = {"A": name(0.15, shares=160, price=100.0), "B": name(0.1, shares=100, price=100.0)}
    given = situation(rows, cash=74_000.0)
    assert verdict("rebalance_threshold", given).outcome is SHRINK
    trimmed = given.of_decision(details={"cap_trims": ["A"]})
    assert verdict("rebalance_threshold", trimmed).outcome is ALLOW


def test_a_sale_too_small_to_trade_gives_way_to_smaller_purchases(verdict, situation, name) -> None:
    """Targets of 30 %, but A's and B's trims of 50 USD are left out while C is bought: after the trades 30.1 %."""
    rows = {
        "A": name(0.1000, shares=1005, price=10.0, sector="Tech"),
        "B": name(0.1000, shares=1005, price=10.0, sector="Tech"),
        "C": name(0.1000, shares=900, price=10.0, sector="Tech"),
    }
    given = situation(rows, cash=100_000.0 - 29_100.0, min_trade_usd=100.0)
    assert given.decision.trades.select("symbol", "shares").rows() == [("C", 100)]
    said = verdict("sector_cap", given)
    assert said.outcome is SHRINK
    assert said.by_symbol == {"C": pytest.approx(0.9)}


def test_what_is_sold_out_counts_as_held(verdict, situation, name) -> None:
    """33 % of a sector held in A alone; A is sold and B bought: 31 % is a reduction, carried and not raised."""
    rows = {"A": name(0.0, shares=330, sector="Tech"), "B": name(0.31, sector="Tech")}
    aimed = situation(rows, cash=67_000.0, trade=False)
    assert verdict("sector_cap", aimed).outcome is ALLOW
