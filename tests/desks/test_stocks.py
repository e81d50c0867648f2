"""The stocks desk: who is chosen, at which weight, in which regime, and what is refused."""

import datetime as dt
import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openbell.core.errors import BadInput, DataMissing, LeakFound
from openbell.core.hashing import canonical_json
from openbell.core.types import Book, Decision, Forecast, Market
from openbell.desks import stocks
from openbell.quant.allocation import ALIASES, ALLOCATORS, OPTIMISERS
from openbell.quant.regime import Regime
from openbell.quant.weights import capped, equal_weights, inverse_volatility_weights, score_weights

DESK = stocks.decide[0]
AS_OF = dt.datetime(2020, 3, 16, 13, tzinfo=dt.UTC)
LAST = dt.date(2020, 3, 13)
BOOK = Book(AS_OF, 100_000.0)

_calm = 100 * np.cumprod(np.r_[1.0, np.full(299, 1.0005)])
BENCHMARKS = {
    Regime.RISK_ON: _calm,
    Regime.NORMAL: 100 * np.cumprod(np.r_[1.0, 1.0 + np.resize([0.013, -0.011], 299)]),
    Regime.RISK_OFF: _calm[::-1].copy(),
}


def market(count: int = 100, regime: Regime = Regime.NORMAL, **columns: list) -> Market:
    base = {
        "symbol": [f"S{number:03d}" for number in range(count)],
        "price_usd": [50.0] * count,
        "price_session": [LAST] * count,
        "volume_shares": [1e6] * count,
        "dollar_volume_usd": [1e8 - number for number in range(count)],
        "volatility": [0.2] * count,
        "sector": [f"sector {number % 11}" for number in range(count)],
        "market_value_usd": [5e10] * count,
        "member": [True] * count,
    }
    kinds = {"price_session": pl.Date, "volume_shares": pl.Float64, "dollar_volume_usd": pl.Float64,
             "volatility": pl.Float64, "sector": pl.String, "market_value_usd": pl.Float64}  # fmt: skip
    names = pl.DataFrame({**base, **columns}, schema_overrides=kinds)
    return Market(AS_OF, dt.date(2020, 3, 16), LAST, names, BENCHMARKS[regime], "SPY")


def with_closes(of: Market, seed: int = 0, sessions: int = 253) -> Market:
    """The market with closes whose volatility rises from the first name to the last."""
    count = of.names.height
    rng = np.random.default_rng(seed)
    moves = rng.normal(0.0003, 0.006, (sessions, 1)) + rng.normal(0, 1, (sessions, count)) * np.linspace(
        0.006, 0.03, count
    )
    return replace(of, closes=50 * np.cumprod(1 + moves, axis=0))


def forecast(of: Market, scores: list[float] | None = None) -> Forecast:
    symbols = of.names["symbol"]
    return Forecast(
        AS_OF,
        pl.DataFrame({"symbol": symbols, "score": scores or [float(-number) for number in range(len(symbols))]}),
        "ridge@2020-03-16#1",
    )


def no_view(*why: str) -> Forecast:
    return Forecast(AS_OF, pl.DataFrame(schema={"symbol": pl.String, "score": pl.Float64}), None, why=why)


def decide(of: Market, told: Forecast | None = None, **how: object) -> Decision:
    return DESK.decide(told or forecast(of), BOOK, of, **how)


def test_declaration() -> None:
    assert (DESK.name, DESK.label, DESK.rebalance_sessions) == ("stocks", "forward_rank_5d", 5)
    assert DESK.candidates == ("naive", "ridge", "random_forest", "xgboost", "lightgbm")
    assert DESK.settings["top_k"] == 20
    assert DESK.settings["max_names"] == 500
    assert DESK.settings["optimiser_names"] == 60
    assert DESK.entrants == ("ridge", "random_forest", "xgboost", "xgboost_tuned", "lightgbm", "catboost", "ensemble")
    assert DESK.allocators == ("equal", "inverse_volatility", "max_sharpe", "min_volatility", "hrp", "score")
    assert set(DESK.allocators) <= set(ALLOCATORS)


def test_what_a_champion_is_judged_by() -> None:
    """S2.31 and S2.32."""
    assert [(each.measure, each.weight, each.worst, each.best) for each in DESK.criteria] == [
        ("sharpe", 0.30, 0.0, 2.0),
        ("max_drawdown", 0.25, -0.30, 0.0),
        ("calmar", 0.20, 0.0, 1.5),
        ("turnover", 0.15, 0.50, 0.0),
        ("regime_consistency", 0.10, 0.0, 1.0),
    ]
    assert sum(each.weight for each in DESK.criteria) == pytest.approx(1.0)
    assert [(each.measure, each.at_least, each.at_most) for each in DESK.thresholds] == [
        ("sharpe", 1.0, None),
        ("max_drawdown", -0.20, None),
        ("calmar", 0.5, None),
        ("turnover", None, 0.40),
    ]


@pytest.mark.parametrize(
    ("regime", "k", "gross"), [(Regime.RISK_OFF, 12, 0.5), (Regime.NORMAL, 20, 1.0), (Regime.RISK_ON, 26, 1.0)]
)
def test_regime_sets_breadth_and_gross(regime: Regime, k: int, gross: float) -> None:
    """Annex G: multiplier 0.5 / 1 / 1.2 (above 1 renormalised), top_k times 0.6 / 1 / 1.3; the rest is cash."""
    decision = decide(market(regime=regime))
    assert decision.details["regime"] == regime
    assert decision.details["regime_name"] == regime.label
    assert len(decision.targets) == decision.details["k"] == k
    assert sum(decision.targets.values()) == pytest.approx(gross)
    assert decision.cash_weight == pytest.approx(1.0 - gross)
    assert set(decision.targets) == {f"S{number:03d}" for number in range(k)}
    assert list(decision.targets.values()) == pytest.approx([gross / k] * k)


@pytest.mark.parametrize(
    ("top_k", "regime", "k"),
    [(15, 0, 10), (10, 0, 10), (5, 0, 5), (20, 0, 12), (40, 2, 50), (38, 2, 49), (60, 2, 60), (10, 2, 13), (7, 1, 7)],
)
def test_breadth_has_a_floor_and_a_ceiling(top_k: int, regime: int, k: int) -> None:
    """Not thinned below 10, not widened above 50; a wish outside those is not turned round."""
    assert stocks.breadth(top_k, Regime(regime)) == k


def test_adaptation_off_still_reads_the_regime() -> None:
    decision = decide(market(regime=Regime.RISK_OFF), enable_regime_adaptation=False)
    assert len(decision.targets) == 20
    assert decision.cash_weight == pytest.approx(0.0)
    assert decision.details["regime"] == 0
    assert "switched off" in decision.why[0]


def test_ties_are_broken_by_symbol_and_row_order_changes_nothing() -> None:
    tied = market(count=30)
    told = forecast(tied, [1.0] * 30)
    decision = decide(tied, told, top_k=10)
    assert sorted(decision.targets) == [f"S{number:03d}" for number in range(10)]
    shuffled = replace(tied, names=tied.names.sample(fraction=1.0, shuffle=True, seed=1))
    turned = replace(told, scores=told.scores.reverse())
    again = decide(shuffled, turned, top_k=10)
    assert canonical_json(again.details) == canonical_json(decision.details)
    assert (again.key, again.why) == (decision.key, decision.why)


def test_the_highest_scores_are_bought_not_the_lowest() -> None:
    some = market(count=30)
    decision = decide(some, forecast(some, [float(number) for number in range(30)]), top_k=10)
    assert set(decision.targets) == {f"S{number:03d}" for number in range(20, 30)}
    names = decision.details["names"]
    assert (names[0]["symbol"], names[0]["score"], names[0]["rank"]) == ("S029", 29.0, 1)


def test_each_condition_of_the_universe_takes_its_name_out_and_is_counted() -> None:
    count = 12
    columns = {
        "member": [True] * count,
        "price_session": [LAST] * count,
        "price_usd": [50.0] * count,
        "volume_shares": [1e6] * count,
        "market_value_usd": [1e9] * count,
    }
    columns["member"][0] = False
    columns["price_session"][1] = dt.date(2020, 3, 12)
    columns["price_usd"][2] = 4.99
    columns["price_usd"][3] = 5.0
    columns["volume_shares"][4] = 499_999.0
    columns["volume_shares"][5] = None
    columns["market_value_usd"][6] = 4.9e8
    columns["market_value_usd"][7] = None
    decision = decide(market(count, **columns), top_k=20)
    assert set(decision.targets) == {"S003", "S007", "S008", "S009", "S010", "S011"}
    assert decision.details["universe"] == {
        "rows": 12,
        "member": 11,
        "fresh_price": 10,
        "price": 9,
        "volume": 7,
        "market_value": 6,
        "eligible": 6,
        "scored": 6,
    }


def test_fields_the_data_lack_are_no_condition_and_it_says_so() -> None:
    bare = market(30, volume_shares=[None] * 30, market_value_usd=[None] * 30)
    decision = decide(bare, top_k=10)
    assert len(decision.targets) == 10
    assert sum("none was asked" in sentence for sentence in decision.why) == 2


def test_max_names_keeps_the_most_traded() -> None:
    some = market(30, dollar_volume_usd=[float(number) for number in range(30)])
    decision = decide(some, forecast(some, [float(-number) for number in range(30)]), max_names=12, top_k=10)
    assert decision.details["universe"]["eligible"] == 12
    assert set(decision.targets) == {f"S{number:03d}" for number in range(18, 28)}


def test_no_view_holds_the_most_traded_at_equal_weights_and_says_why() -> None:
    some = market(60, dollar_volume_usd=[float(number) for number in range(60)])
    decision = decide(some, no_view("No candidate survived."), weighting="score")
    assert set(decision.targets) == {f"S{number:03d}" for number in range(40, 60)}
    assert list(decision.targets.values()) == pytest.approx([0.05] * 20)
    assert decision.details["view"] is False
    assert decision.details["weighting"] == "equal"
    assert any("No view" in sentence for sentence in decision.why)
    assert "No candidate survived." in decision.why


def test_no_view_and_no_volumes_holds_what_there_is() -> None:
    bare = market(20, volume_shares=[None] * 20, dollar_volume_usd=[None] * 20)
    decision = decide(bare, no_view(), top_k=10)
    assert len(decision.targets) == 20
    assert any("no volumes to rank by" in sentence for sentence in decision.why)


def test_few_names_leave_explicit_cash() -> None:
    """check 42: four names at 15 % hold 60 %; 40 % is cash and said to be."""
    decision = decide(market(4))
    assert set(decision.targets.values()) == {0.15}
    assert decision.cash_weight == pytest.approx(0.4)
    assert any("The caps leave room for 60.0%" in sentence for sentence in decision.why)


def test_sector_cap_binds_in_the_weights() -> None:
    one = market(20, sector=["Tech"] * 10 + [f"s{number}" for number in range(10)])
    decision = decide(one)
    tech = sum(weight for symbol, weight in decision.targets.items() if symbol < "S010")
    assert tech == pytest.approx(0.30)
    assert decision.cash_weight == pytest.approx(0.0)


def test_weightings() -> None:
    volatile = [0.1 + 0.01 * number for number in range(100)]
    by_volatility = decide(market(100, volatility=volatile), weighting="inverse_volatility")
    assert by_volatility.targets["S000"] / by_volatility.targets["S010"] == pytest.approx(2.0)
    by_score = decide(market(), weighting="score")
    assert by_score.targets["S000"] / by_score.targets["S019"] == pytest.approx(3.0)
    missing = [None if number < 5 else 0.2 for number in range(100)]
    skipped = decide(market(100, volatility=missing), weighting="inverse_volatility")
    assert min(skipped.targets) == "S005"
    assert skipped.details["universe"]["with_volatility"] == 95


@pytest.mark.parametrize("regime", list(Regime))
def test_weightings_without_an_optimiser_are_their_base_weights_to_the_last_bit(regime: Regime) -> None:
    rng = np.random.default_rng(3)
    some = market(100, regime, volatility=rng.uniform(0.1, 0.6, 100).tolist(), sector=["a", None, "b", "c"] * 25)
    told = forecast(some, rng.normal(size=100).tolist())
    gross = {Regime.RISK_OFF: 0.5}.get(regime, 1.0)
    chosen = some.names.join(told.scores, on="symbol").sort("score", descending=True).head(stocks.breadth(20, regime))
    for name, base in (
        ("equal", equal_weights(chosen.height)),
        ("score", score_weights(chosen["score"].to_numpy())),
        ("inverse_volatility", inverse_volatility_weights(chosen["volatility"].to_numpy())),
    ):
        expected = dict(zip(chosen["symbol"], capped(base, chosen["sector"].to_list(), gross), strict=True))
        decision = decide(some, told, weighting=name)
        assert decision.targets == expected, name
        assert (decision.details["weighting"], decision.details["wanted"]) == (name, name)
        assert decision.details["fallback"] is None


@pytest.mark.parametrize("weighting", ALLOCATORS)
def test_every_allocator_weighs_the_highest_scores_with_their_own_closes(weighting: str) -> None:
    some = with_closes(market(100))
    rising = forecast(some, [float(number) for number in range(100)])
    decision = decide(some, rising, weighting=weighting)
    assert set(decision.targets) <= {f"S{number:03d}" for number in range(80, 100)}
    assert decision.details["weighting"] == decision.details["wanted"] == weighting
    assert decision.details["fallback"] is None
    assert sum(decision.targets.values()) == pytest.approx(1.0)
    assert decision.details["k"] == len(decision.targets) == len(decision.details["names"])
    assert all(weight > 0 for weight in decision.targets.values())
    if weighting in ("min_volatility", "hrp", "risk_parity"):
        first, last = (
            sum(decision.targets.get(f"S{at:03d}", 0.0) for at in ten) for ten in (range(80, 90), range(90, 100))
        )
        assert first > last, "the calmer half gets more: each name stands at its own closes"


@pytest.mark.parametrize(("alias", "name"), ALIASES.items())
def test_an_alias_decides_as_its_allocator(alias: str, name: str) -> None:
    some = with_closes(market(50))
    assert decide(some, weighting=alias).key == decide(some, weighting=name).key
    assert decide(some, weighting=alias).details["wanted"] == name


def test_scores_preselect_the_names_of_an_optimiser() -> None:
    some = with_closes(market(100))
    twenty = decide(some, weighting="risk_parity", optimiser_names=15)
    assert set(twenty.targets) == {f"S{number:03d}" for number in range(15)}
    assert len(decide(some, weighting="equal", optimiser_names=15).targets) == 20, "the others hold all that top_k asks"
    many = decide(some, weighting="risk_parity", top_k=90)
    assert set(many.targets) == {f"S{number:03d}" for number in range(60)}


@pytest.mark.parametrize("weighting", OPTIMISERS)
def test_a_fallback_is_said(weighting: str) -> None:
    """Check 44: no closes, so inverse volatility; a name with 3 returns is left out by its symbol."""
    blind = decide(market(30), weighting=weighting)
    assert (blind.details["wanted"], blind.details["weighting"]) == (weighting, "inverse_volatility")
    assert "no name has 60 returns" in blind.details["fallback"]
    assert blind.details["fallback"] in blind.why
    young = with_closes(market(30))
    young.closes[:-4, 2] = np.nan
    decision = decide(young, weighting=weighting)
    assert decision.details["weighting"] == weighting
    assert "S002 (3 returns)" in decision.details["fallback"]
    assert "S002" not in decision.targets
    assert f"`{weighting}` holds {len(decision.targets)} of the 20 names." in decision.why


def test_no_view_is_never_a_silent_equal_weight() -> None:
    some = with_closes(market(30))
    decision = decide(some, no_view(), weighting="max_sharpe")
    assert (decision.details["wanted"], decision.details["weighting"]) == ("max_sharpe", "equal")
    assert "Without a view there is nothing to weigh by `max_sharpe`" in decision.details["fallback"]
    assert decision.details["fallback"] in decision.why
    assert decide(some, no_view()).details["fallback"] is None


@pytest.mark.parametrize("weighting", ALLOCATORS)
def test_targets_do_not_hang_on_what_is_held(weighting: str) -> None:
    """What lets a tournament decide every date by itself."""
    some = with_closes(market(40))
    full = Book(AS_OF, 5.0, {"S001": 700, "S039": 20}, {"S001": 50.0, "S039": 50.0})
    decisions = [DESK.decide(forecast(some), book, some, weighting=weighting) for book in (BOOK, full)]
    assert decisions[0].key == decisions[1].key
    assert decisions[0].why == decisions[1].why


@pytest.mark.parametrize("weighting", OPTIMISERS)
def test_the_order_of_rows_and_of_scores_changes_no_weight(weighting: str) -> None:
    some = with_closes(market(40))
    order = np.random.default_rng(1).permutation(40)
    shuffled = replace(some, names=some.names[order], closes=some.closes[:, order])
    told = forecast(some)
    assert decide(shuffled, told, weighting=weighting).targets == decide(some, told, weighting=weighting).targets
    if weighting != "max_sharpe":
        turned = replace(told, scores=told.scores.with_columns(-pl.col("score")))
        same = decide(some, turned, weighting=weighting, top_k=40)
        assert same.targets == decide(some, told, weighting=weighting, top_k=40).targets


@pytest.mark.parametrize(
    ("how", "word"),
    [
        ({"weighting": "equall"}, "`equal`"),
        ({"weighting": "max_sharp"}, "`max_sharpe`"),
        ({"top_k": 0}, "top_k"),
        ({"max_names": 0}, "max_names"),
        ({"optimiser_names": 0}, "optimiser_names"),
    ],
)
def test_bad_settings_are_refused(how: dict, word: str) -> None:
    with pytest.raises(BadInput, match=word):
        decide(market(), **how)


def test_an_empty_universe_is_refused_with_its_counts() -> None:
    with pytest.raises(BadInput, match=r"The universe of 2020-03-16 is empty: .*price 0"):
        decide(market(5, price_usd=[1.0] * 5))
    with pytest.raises(BadInput, match="empty"):
        decide(market(0), forecast(market(5)))


def test_an_absent_benchmark_is_missing_data() -> None:
    with pytest.raises(DataMissing, match="there were 3"):
        decide(replace(market(), benchmark=np.ones(3)))


def test_scores_that_cannot_be_used_are_refused() -> None:
    some = market(3)
    with pytest.raises(BadInput, match="finite"):
        decide(some, forecast(some, [1.0, float("nan"), 2.0]))
    doubled = replace(forecast(some), scores=pl.DataFrame({"symbol": ["S000", "S000"], "score": [1.0, 2.0]}))
    with pytest.raises(BadInput, match="one for each name"):
        decide(some, doubled)
    strangers = replace(forecast(some), scores=pl.DataFrame({"symbol": ["X"], "score": [1.0]}))
    with pytest.raises(BadInput, match="scored none of the 3"):
        decide(some, strangers)


def test_no_usable_volatility_is_missing_data() -> None:
    with pytest.raises(DataMissing, match="volatility"):
        decide(market(5, volatility=[None] * 5), weighting="inverse_volatility")


def test_a_forecast_from_later_is_a_leak() -> None:
    some = market()
    with pytest.raises(LeakFound, match="after the market"):
        decide(some, replace(forecast(some), as_of=AS_OF + dt.timedelta(seconds=1)))


def test_ten_calls_give_one_decision_and_change_nothing() -> None:
    """check 43: the settings and the frames it is given stay as they are."""
    some, told = market(regime=Regime.RISK_ON), None
    told = forecast(some)
    before = (some.names.clone(), told.scores.clone(), some.benchmark.copy())
    keys = {decide(some, told, weighting="score").key for _ in range(10)}
    assert len(keys) == 1
    assert some.names.equals(before[0])
    assert told.scores.equals(before[1])
    assert (some.benchmark == before[2]).all()


def test_details_can_be_written_to_a_journal() -> None:
    decision = decide(market())
    assert json.loads(canonical_json(decision.details))["regime_measures"].keys() == {
        "volatility",
        "drawdown",
        "sma20",
        "sma50",
    }
    assert decision.trades.height == 0, "the desk gives targets; the engine adds trades"


@given(
    st.integers(1, 60),
    st.sampled_from(list(Regime)),
    st.sampled_from(stocks.WEIGHTINGS),
    st.integers(1, 60),
    st.integers(0, 999),
    st.sampled_from([None, 2, 62, 253]),
)
@settings(deadline=None, max_examples=120)
def test_every_decision_holds_its_constraints(
    count: int, regime: Regime, weighting: str, k: int, seed: int, sessions: int | None
) -> None:
    """checks 42 and 45: caps, sum with cash, no negative weight, for every regime, weighting and size."""
    rng = np.random.default_rng(seed)
    sectors = [None if number == 0 else f"s{number}" for number in rng.integers(0, 6, count)]
    some = market(count, regime, sector=sectors, volatility=rng.uniform(0.05, 1.0, count).tolist())
    some = some if sessions is None else with_closes(some, seed, sessions)
    decision = decide(some, forecast(some, rng.normal(size=count).tolist()), weighting=weighting, top_k=k)
    weights = np.array(list(decision.targets.values()))
    assert weights.sum() + decision.cash_weight == pytest.approx(1.0)
    assert (weights >= 0).all()
    assert (weights <= 0.15).all()
    assert decision.details["weighting"] == decision.details["wanted"] or decision.details["fallback"] in decision.why
    assert decision.cash_weight >= 0
    if any(sectors):
        of = dict(zip(some.names["symbol"], sectors, strict=True))
        for sector in set(sectors):
            assert sum(w for symbol, w in decision.targets.items() if of[symbol] == sector) <= 0.30 + 1e-9
