"""Curves of a meeting: one kernel for all, the baseline on the same terms, costs that cost, regimes that add up."""

import itertools
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from openbell.core.errors import DataMissing
from openbell.quant.accounting import account, fixed_targets
from openbell.quant.regime import regime
from openbell.research import portfolios
from openbell.research.backtest import Costs, backtest
from openbell.research.contest import BASELINE, BENCHMARK
from openbell.research.meeting import Meeting, meet
from openbell.research.portfolios import by_regime, cost_sensitivity, intervals, measures
from openbell.store.trials import Trials

sys.path.insert(0, str(Path(__file__).parent))
import small_tournament as small

ENTRANTS = ("ridge+equal", "ridge+inverse_volatility", "naive+equal", "naive+inverse_volatility")


@pytest.fixture(scope="module")
def met(tmp_path_factory) -> Meeting:
    """Two models and two allocators, with cash that earns the bill rate."""
    folder = tmp_path_factory.mktemp("meeting")
    with Trials.open(f"sqlite:///{folder}/trials.db") as trials:
        place = small.venue(trials, cash_rate="bill")
        dated = place.decisions()
        return meet(place, place.panel(dated), place.folds(dated), small.entrants(("ridge", "naive")), dated)


def test_every_curve_is_the_account_of_one(met):
    """The kernel for all gives what `account` gives for each, session by session, on the same targets."""
    traded, prices = met.traded, met.traded.prices
    assert traded.entrants == ENTRANTS
    assert len(traded.weights) == len(met.played.curves) == 5
    for at, weights in enumerate(traded.weights):
        alone = account(
            fixed_targets(dict(zip(traded.rows, weights, strict=True))),
            prices.closes,
            prices.opens,
            decide_at=traded.rows,
            capital_usd=100_000.0,
            commission_bp=1.0,
            slippage_bp=2.0,
            cash_return=traded.cash,
        )
        assert met.played.curves[at] == pytest.approx(alone.curve_usd / 100_000.0, rel=1e-13)
        assert met.played.turnover[at] == pytest.approx(alone.turnovers, rel=1e-10)
    assert (traded.cash > 0).all()


def test_a_curve_is_the_back_test_of_the_live_desk(met):
    """Replayed one session after the other, the desk's function makes the curve that the tournament made of targets."""
    scores = met.walked.scores.select("session", "symbol", pl.col("ridge").alias("score"))
    days = met.arena.prices.days
    place = small.venue(None)
    replayed = backtest(
        small.view(), place.decide, scores, first=days[0], last=days[-1], universe="generated",
        benchmark="equal_weight", replications=20,
    ).equity  # fmt: skip
    idle = replace(met.traded, cash=np.zeros(len(days))).accounts().curve_usd
    assert idle[0] == pytest.approx(replayed["policy"].to_numpy(), rel=1e-12)
    assert met.played.benchmark == pytest.approx(replayed["equal_weight"].to_numpy() / 100_000.0, rel=1e-12)
    assert met.played.equity()["session"].equals(replayed["session"])


def test_the_baseline_by_hand_on_one_date(met):
    """The same universe, caps and exposure: all names that may be held share what the regime allows."""
    for at in (0, len(met.arena.sessions) - 1):
        day = met.arena.sessions[at]
        market = met.arena.ready.at(day)
        able = pl.col("member") & (pl.col("price_usd") >= 5.0) & (pl.col("volume_shares") >= 500_000.0)
        members = market.names.filter(able)["symbol"].to_list()
        assert 20 < len(members) < 24
        gross = {0: 0.5, 1: 1.0, 2: 1.0}[int(regime(market.benchmark))]
        held = dict(zip(met.traded.prices.symbols, met.traded.weights[-1, at], strict=True))
        assert {name for name, weight in held.items() if weight} == set(members)
        assert [held[name] for name in members] == pytest.approx([gross / len(members)] * len(members))
        entrants = met.traded.weights[:-1, at]
        assert ((entrants > 0).sum(axis=1) <= 10).all()
        assert (entrants.max(axis=1) <= 0.1 + 1e-12).all()
        assert (entrants.sum(axis=1) <= gross + 1e-12).all()


def test_returns_and_active_returns_by_hand(met):
    played = met.played
    own = np.array([[b / a - 1.0 for a, b in itertools.pairwise(curve)] for curve in played.curves])
    assert played.returns == pytest.approx(own[:-1].T, abs=1e-15)
    assert played.baseline_returns == pytest.approx(own[-1], abs=1e-15)
    assert played.active == pytest.approx((own[:-1] - own[-1]).T, abs=1e-15)
    assert played.active_frame()["naive+equal"].to_numpy() == pytest.approx(own[2] - own[4], abs=1e-15)
    assert played.equity().columns == ["session", *ENTRANTS, BASELINE, BENCHMARK]
    assert played.equity().row(0) == (met.arena.before, *[1.0] * 6)
    assert met.arena.before == small.market()[1].shift(met.arena.sessions[0], -1)


def test_measures_say_what_is_earned_over_the_baseline(met):
    found = measures(met.played)
    assert found["entrant"].to_list() == list(ENTRANTS)
    dates = met.played.dates
    per_year = (len(dates) - 1) / ((dates[-1] - dates[0]).days / 365.25)
    for at, row in enumerate(found.iter_rows(named=True)):
        active = met.played.active[:, at]
        assert row["total_return"] == pytest.approx(met.played.curves[at, -1] - 1.0)
        assert row["active_return"] == pytest.approx(active.mean() * per_year)
        assert row["active_sharpe"] == pytest.approx(active.mean() / active.std(ddof=1) * per_year**0.5)
        assert row["turnover"] == pytest.approx(met.played.turnover[at].mean())


def test_one_that_holds_the_baseline_adds_nothing(met):
    """Rounding alone is no Sharpe ratio."""
    same = met.played.curves[-1] * (1.0 + 1e-15 * np.arange(len(met.played.dates)) % 3)
    found = measures(replace(met.played, curves=np.vstack([same, met.played.curves[1:]])))
    assert found["active_sharpe"][0] == 0.0
    assert found["active_return"][0] == pytest.approx(0.0, abs=1e-9)


def test_regimes_add_up_to_all_sessions(met):
    """Each session stands under the regime of the last rebalance at or before it."""
    played, table = met.played, by_regime(met.played)
    assert table.height == 4 * 3
    sums = table.group_by("entrant").agg(pl.col("sessions").sum())
    assert sums["sessions"].to_list() == [len(played.active)] * 4
    rebalances = met.arena.sessions
    in_force = [
        met.held.regimes[max(at for at, day in enumerate(rebalances) if day <= session)] for session in played.dates[1:]
    ]
    assert played.regimes.tolist() == in_force
    assert len(set(in_force)) > 1


def test_what_was_earned_in_a_regime(met):
    played, table = met.played, by_regime(met.played)
    dates = played.dates
    per_year = (len(dates) - 1) / ((dates[-1] - dates[0]).days / 365.25)
    for row in table.iter_rows(named=True):
        own = played.returns[played.regimes == row["regime"], ENTRANTS.index(row["entrant"])]
        assert row["sessions"] == len(own)
        if len(own) < 2:
            assert (row["mean_return"], row["volatility"], row["sharpe"]) == (None, None, None)
            continue
        assert row["mean_return"] == pytest.approx(own.mean() * per_year)
        assert row["volatility"] == pytest.approx(own.std(ddof=1) * per_year**0.5)
        excess = own - (1.02 ** (1.0 / per_year) - 1.0)
        assert row["sharpe"] == pytest.approx(excess.mean() / own.std(ddof=1) * per_year**0.5)


def test_a_regime_of_one_session_has_no_figures(met):
    alone = np.where(np.arange(len(met.played.regimes)) == 3, 0, 1)
    table = by_regime(replace(met.played, regimes=alone)).filter(pl.col("entrant") == "ridge+equal")
    assert table["sessions"].to_list() == [1, len(alone) - 1, 0]
    assert table["mean_return"].is_null().to_list() == [True, False, True]
    assert table["regime_name"].to_list() == ["Risk-Off", "Normal", "Risk-On"]


def test_the_dearer_a_trade_the_less_is_left(met):
    table = cost_sensitivity(met.traded, met.played.dates)
    assert table["cost_bp"].unique().sort().to_list() == [0.0, 1.0, 2.0, 5.0, 10.0]
    for name in ENTRANTS:
        own = table.filter(pl.col("entrant") == name).sort("cost_bp")
        assert (own["cagr"].diff().drop_nulls() < 0).all()
        assert (own["sharpe"].diff().drop_nulls() < 0).all()
        # The baseline trades less, so it pays less of each step.
        assert (own["active_return"].diff().drop_nulls() < 0).all()
    free = replace(met.traded, costs=Costs(0.0, 0.0)).accounts().curve_usd
    years = (met.played.dates[-1] - met.played.dates[0]).days / 365.25
    first = table.filter((pl.col("entrant") == "ridge+equal") & (pl.col("cost_bp") == 0.0))["cagr"][0]
    assert first == pytest.approx((free[0, -1] / free[0, 0]) ** (1.0 / years) - 1.0)


def test_at_the_usual_cost_it_is_the_curve_itself(met, monkeypatch):
    monkeypatch.setattr(portfolios, "COST_STEPS_BP", (3.0,))
    own = measures(met.played)
    usual = cost_sensitivity(met.traded, met.played.dates)
    for name in ("sharpe", "cagr", "active_return"):
        assert usual[name].to_list() == pytest.approx(own[name].to_list(), rel=1e-12)
    # A step is the whole cost of a trade: what trades move the price by comes on top elsewhere, and not here.
    table = cost_sensitivity(with_impact(met), met.played.dates)
    assert table.equals(usual)


def with_impact(met: Meeting):
    return replace(met.arena, costs=Costs(impact=0.5)).traded(met.held)


def test_market_impact_is_paid_by_what_was_known_before_the_session(met):
    """Volatility of 60 returns and value of 20 sessions, both before the rebalance, by hand from the bars."""
    traded = with_impact(met)
    bars = small.market()[0].frames["bars"].sort("symbol", "session")
    for at in (0, len(met.arena.sessions) - 1):
        day = met.arena.sessions[at]
        for symbol in ("GEN000", "GEN017"):
            before = bars.filter((pl.col("symbol") == symbol) & (pl.col("session") < day))
            closes, column = before["close"].to_numpy(), traded.prices.symbols.index(symbol)
            moves = closes[-60:] / closes[-61:-1] - 1.0
            assert traded.volatility[at, column] == pytest.approx(moves.std(ddof=1))
            assert traded.volume_usd[at, column] == pytest.approx((closes * before["volume"].to_numpy())[-20:].mean())
    assert (traded.accounts().curve_usd[:, -1] < met.traded.accounts().curve_usd[:, -1]).all()
    assert met.traded.volatility is None


def test_intervals_are_of_every_curve_and_of_its_own_value(met):
    how = {"horizon_sessions": 5, "replications": 20, "jobs": 1}
    table = intervals(met.played, seed=0, **how)
    assert table["entrant"].unique(maintain_order=True).to_list() == [*ENTRANTS, BASELINE]
    assert set(table["measure"]) <= set(portfolios.TOLD)
    assert (table["lower"] <= table["upper"]).all()
    assert (table["n"] > 0).all()
    own = dict(measures(met.played).select("entrant", "sharpe").iter_rows())
    told = table.filter((pl.col("measure") == "sharpe") & (pl.col("entrant") != BASELINE))
    assert dict(told.select("entrant", "value").iter_rows()) == pytest.approx(own)
    assert table.equals(intervals(met.played, seed=0, **how))
    assert not table.equals(intervals(met.played, seed=1, **how))


def test_bars_that_end_early_are_refused(met):
    """A curve is not drawn on over sessions that have no bars."""
    tables = small.market()[0]
    last = met.arena.prices.days[-1]
    cut = {**tables.frames, "bars": tables.frames["bars"].filter(pl.col("session") < last)}
    place = small.venue(None, small.view(tables=type(tables)(cut)))
    with pytest.raises(DataMissing, match=f"is to end on {last}, but the bars end on"):
        met.arena.prepared(
            place.view, met.arena.sessions[0], last, every=5, universe="generated", benchmark="equal_weight",
            lead_minutes=30, costs=Costs(),
        )  # fmt: skip
