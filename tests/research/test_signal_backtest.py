"""Tests of the back-test of signals: what it says of nothing, of luck, of knowledge, and beside what."""

import datetime as dt
import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from tests.research.signal_forecasts import made_bars, made_forecasts

from openbell.core.errors import BadInput, DataMissing
from openbell.core.signal import PROBABILITIES
from openbell.quant.signal_account import Rules
from openbell.research.signal_backtest import Policy, backtest
from openbell.research.signal_benchmarks import regimes_before
from openbell.research.signal_search import search, tried
from openbell.store.trials import Trials

POLICY = Policy(Rules(horizon_bars=5))
AT = dt.datetime(2024, 6, 1, tzinfo=dt.UTC)
QUICK = {"replications": 60}


@pytest.fixture(scope="module")
def bars():
    return made_bars()


@pytest.fixture(scope="module")
def knowing(bars):
    return backtest(made_forecasts(bars, knows=1.0), bars, POLICY, **QUICK)


def test_without_a_single_call_there_is_an_honest_answer_and_no_sharpe_ratio_of_nothing(bars):
    """Fail closed and in words: a desk that is silent has no result, rather than one of 0."""
    found = backtest(made_forecasts(bars), bars, replace(POLICY, min_confidence=1.0), **QUICK)
    assert found.verdict().startswith("No signal was issued: none of 360 forecasts of `made`")
    assert found.trades.is_empty()
    assert found.performance is None
    assert found.deflated is None
    assert found.luck is None
    assert not found.earns
    assert found.calls == {"BUY": 0, "SELL": 0, "HOLD": 360, "silent": 0}
    assert found.equity["signals"].unique().to_list() == [100_000.0]
    assert "equal_weight" in found.metrics
    assert all(frame.is_empty() for frame in found.groups.values())
    assert json.loads(json.dumps(found.record, default=str))["total_return"] is None


def test_calls_that_cannot_be_followed_are_told_apart_from_none(bars):
    last = made_forecasts(bars, knows=1.0).filter(pl.col("session") == pl.col("session").max())
    sure = last.with_columns(
        p_buy=pl.lit(1.0), p_hold=pl.lit(0.0), p_sell=pl.lit(0.0), in_buy=True, in_hold=False, in_sell=False
    )
    found = backtest(sure, bars, POLICY, **QUICK)
    assert "3 signals of `made` were issued and none could be followed" in found.verdict()
    assert found.counts["after_bars"] == 3


def test_no_prediction_is_no_trade_and_is_counted(bars):
    """Check 69: a model that abstains has no probabilities, and -1 for that is not SELL."""
    forecasts = made_forecasts(bars, knows=1.0)
    silent = forecasts.with_columns(pl.lit(None, dtype=pl.Float64).alias(name) for name in PROBABILITIES)
    found = backtest(silent, bars, POLICY, **QUICK)
    assert found.calls["silent"] == forecasts.height
    assert found.trades.is_empty()


def test_who_knows_earns_and_who_does_not_pays_costs(bars, knowing):
    assert knowing.earns
    assert knowing.verdict().startswith("It is shown to earn something: following ")
    assert knowing.performance.sharpe.low > 0
    assert knowing.luck > 0.95
    luck = backtest(made_forecasts(bars), bars, POLICY, **QUICK)
    free = replace(POLICY, rules=replace(POLICY.rules, commission_bp=0.0, slippage_bp=0.0))
    assert luck.cost_usd > 0
    assert luck.performance.total_return < backtest(made_forecasts(bars), bars, free, **QUICK).performance.total_return


def test_more_tries_are_worth_less(bars):
    forecasts = made_forecasts(bars, knows=0.3)
    one, many = (backtest(forecasts, bars, POLICY, tries=tries, **QUICK) for tries in (1, 5000))
    assert many.luck < one.luck
    assert one.performance.sharpe == many.performance.sharpe
    assert "After 5,000 tries" in many.verdict()


def test_everything_is_counted_once_in_every_grouping(knowing):
    for name, table in knowing.groups.items():
        assert table["n"].sum() + table["still_open"].sum() == knowing.trades.height, name
        assert table["profit_usd"].sum() == pytest.approx(knowing.trades["profit_usd"].sum()), name
        assert table["cost_usd"].sum() == pytest.approx(knowing.cost_usd), name
    assert set(knowing.groups["call"]["call"]) == {"BUY", "SELL"}
    assert knowing.groups["regime"]["regime"].to_list() == ["unknown"]
    wins = knowing.trades.filter(pl.col("reason") != "open")
    both = knowing.groups["call"].select((pl.col("win_rate") * pl.col("n")).sum()).item()
    assert both == pytest.approx((wins["return"] > 0).sum())


def test_the_regime_of_a_trade_was_known_before_its_session(bars):
    closes = bars.filter(pl.col("symbol") == "S0").select("session", "close")
    told = regimes_before(closes)
    assert told["regime"][:50].null_count() == 50
    cut = regimes_before(
        closes.head(80).with_columns(
            pl.when(pl.col("session") == closes["session"][79]).then(9e9).otherwise("close").alias("close")
        )
    )
    assert cut["regime"].to_list() == told["regime"][:80].to_list(), "the session's own close changed its regime"
    found = backtest(made_forecasts(bars, knows=1.0), bars, POLICY, regimes=told, **QUICK)
    first = found.trades.filter(pl.col("regime") != "unknown")["entry_session"].min()
    assert first >= closes["session"][50]


def test_benchmarks_stand_on_the_same_sessions_or_are_said_to_be_missing(bars, knowing):
    assert "QQQ has no bar in the first session" in " ".join(knowing.notes)
    spy = bars.filter(pl.col("symbol") == "S1").with_columns(pl.lit("SPY").alias("symbol"))
    found = backtest(made_forecasts(bars, knows=1.0), bars, POLICY, benchmark_bars=spy, **QUICK)
    assert list(found.metrics) == ["signals", "SPY", "equal_weight"]
    assert found.metrics["SPY"].n == found.metrics["signals"].n
    rate = 1 + 3e-4
    assert found.equity["SPY"][-1] == pytest.approx(1e5 / rate / spy["open"][0] * spy["close"][-1])
    assert found.excess["SPY"].value == pytest.approx(
        found.metrics["signals"].n / ((found.sessions[-1] - found.sessions[0]).days / 365.25)
        * np.mean(np.diff(np.log(found.equity["signals"])) - np.diff(np.log(found.equity["SPY"])))
    )  # fmt: skip


def test_it_begins_with_the_first_forecast_and_ends_when_nothing_can_be_held(bars):
    days = bars["session"].unique().sort()
    some = made_forecasts(bars, knows=1.0).filter(pl.col("session").is_between(days[40], days[80]))
    found = backtest(some, bars, POLICY, **QUICK)
    assert (found.sessions[0], found.sessions[1], found.sessions[-1]) == (days[39], days[40], days[86])
    assert found.trades.filter(pl.col("reason") == "open").is_empty()


def test_within_the_session_nothing_is_held_over_night():
    bars = made_bars(symbols=2, sessions=12, per=13)
    policy = Policy(Rules(horizon_bars=5, overnight=False), barrier=0.5)
    found = backtest(made_forecasts(bars, knows=1.0), bars, policy, **QUICK)
    assert (found.trades["entry_session"] == found.trades["exit_session"]).all()
    assert found.trades["borrow_usd"].sum() == 0
    assert found.equity.height == 13


def test_the_same_input_gives_the_same_record(bars, knowing):
    again = backtest(made_forecasts(bars, knows=1.0), bars, POLICY, **QUICK)
    assert json.dumps(again.record, default=str, sort_keys=True) == json.dumps(
        knowing.record, default=str, sort_keys=True
    )


def test_what_is_not_one_model_is_refused(bars):
    forecasts = made_forecasts(bars)
    with pytest.raises(BadInput, match="these are of 2: made, other"):
        backtest(pl.concat([forecasts, made_forecasts(bars, model="other")]), bars, POLICY)
    with pytest.raises(BadInput, match="these lack p_buy"):
        backtest(forecasts.drop("p_buy"), bars, POLICY)
    with pytest.raises(BadInput, match="these are of 0"):
        backtest(forecasts.clear(), bars, POLICY)
    with pytest.raises(BadInput, match="`barrier` must be above 0"):
        replace(POLICY, barrier=0.0)


# --- the search ------------------------------------------------------------------------------------------------------


@pytest.fixture
def ledger(tmp_path):
    with Trials.open(f"sqlite:///{tmp_path}/trials.db") as opened:
        yield opened


GRID = {"min_confidence": (0.5, 0.95), "horizon_bars": (2, 5)}


def test_every_try_is_in_the_ledger_before_it_is_run(bars, ledger, monkeypatch):
    from openbell.research import signal_search

    seen = []
    true = signal_search.backtest

    def watched(*given, **named):
        seen.append(ledger.count("signals", "backtest"))
        return true(*given, **named)

    monkeypatch.setattr(signal_search, "backtest", watched)
    found = search(made_forecasts(bars), bars, POLICY, ledger=ledger, at=AT, grid=GRID, **QUICK)
    assert found.trials.height == 4
    assert seen == [5, 5, 5, 5, 5, 6], "the four ways and the one given, and then the look at the rest"
    assert found.looks == 0
    assert found.trials["chosen"].sum() == 1
    assert "looked at once" in found.why[-1]
    again = search(made_forecasts(bars), bars, POLICY, ledger=ledger, at=AT, grid=GRID, **QUICK)
    assert again.looks == 1
    assert "no longer out of sample" in again.why[-1]
    assert again.trials.equals(found.trials)
    assert ledger.count("signals", "backtest") == 6


def test_a_single_way_is_a_try_too_and_counts_once(bars, ledger):
    forecasts = made_forecasts(bars)
    assert tried(forecasts, POLICY, ledger=ledger, at=AT) == 1
    assert tried(forecasts, POLICY, ledger=ledger, at=AT) == 1
    assert tried(forecasts, replace(POLICY, min_confidence=0.55), ledger=ledger, at=AT) == 2


def test_the_search_sees_nothing_of_the_rest(bars, ledger):
    """Burn the future: with another rest, forecasts and prices, the same way is found by the same numbers."""
    forecasts = made_forecasts(bars, knows=0.2)
    found = search(forecasts, bars, POLICY, ledger=ledger, at=AT, grid=GRID, **QUICK)
    late = pl.col("session") >= found.split
    other = bars.with_columns(
        pl.when(late).then(pl.col(name) * 3).otherwise(name).alias(name) for name in ("open", "high", "low", "close")
    )
    mirror = {"p_sell": "p_buy", "p_buy": "p_sell", "in_sell": "in_buy", "in_buy": "in_sell"}
    swapped = forecasts.with_columns(
        pl.when(late).then(theirs).otherwise(own).alias(own) for own, theirs in mirror.items()
    )
    burnt = search(swapped, other, POLICY, ledger=ledger, at=AT, grid=GRID, **QUICK)
    assert burnt.trials.equals(found.trials)
    assert burnt.chosen == found.chosen
    assert burnt.judged.trades["profit_usd"].to_list() != found.judged.trades["profit_usd"].to_list()
    assert found.found.trades["exit_session"].max() < found.split <= found.judged.trades["entry_session"].min()


def test_what_hardly_trades_is_not_chosen(bars, ledger):
    found = search(
        made_forecasts(bars), bars, POLICY, ledger=ledger, at=AT, grid={"min_confidence": (0.6, 0.999)}, **QUICK
    )
    assert found.trials["eligible"].to_list() == [True, False]
    assert found.chosen.min_confidence == 0.6
    none = search(made_forecasts(bars), bars, POLICY, ledger=ledger, at=AT, grid={"min_confidence": (1.0,)}, **QUICK)
    assert none.chosen == POLICY
    assert "traded often enough" in none.why[0]


def test_a_grid_that_says_nothing_is_refused(bars, ledger):
    forecasts = made_forecasts(bars)
    with pytest.raises(BadInput, match="parameter of the signals desk `min_confidense`"):
        search(forecasts, bars, POLICY, ledger=ledger, at=AT, grid={"min_confidense": (0.5,)})
    with pytest.raises(BadInput, match="no value of `barrier`"):
        search(forecasts, bars, POLICY, ledger=ledger, at=AT, grid={"barrier": ()})
    with pytest.raises(DataMissing, match="cannot be cut"):
        search(forecasts.filter(pl.col("session") == forecasts["session"][0]), bars, POLICY, ledger=ledger, at=AT)
    assert ledger.count("signals") == 0
