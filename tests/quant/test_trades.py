"""Whole-share trades: hand-worked tables, and what must hold for every book, target and price."""

import datetime as dt

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openbell.core.errors import BadInput, DataMissing
from openbell.core.types import TRADE_SCHEMA, Book
from openbell.quant.costs import trade_costs
from openbell.quant.trades import affordable, whole_share_trades

AS_OF = dt.datetime(2020, 3, 16, 13, tzinfo=dt.UTC)


def names(prices: dict[str, float | None], volume: float | None = 1e6) -> pl.DataFrame:
    return pl.DataFrame(
        {"symbol": list(prices), "price_usd": list(prices.values()), "volume_shares": [volume] * len(prices)},
        schema={"symbol": pl.String, "price_usd": pl.Float64, "volume_shares": pl.Float64},
    )


def book(cash: float, shares: dict[str, int] | None = None, prices: dict[str, float] | None = None) -> Book:
    shares = shares or {}
    return Book(AS_OF, cash, shares, {symbol: (prices or {}).get(symbol, 1.0) for symbol in shares})


def test_first_build_by_hand() -> None:
    """10,000 USD: 60 % of A at 99 is 60.6, so 60 shares; 40 % of B at 7 is 571.4, so 571."""
    trades = whole_share_trades({"B": 0.4, "A": 0.6}, book(10_000.0), names({"A": 99.0, "B": 7.0}))
    assert dict(trades.schema) == dict(TRADE_SCHEMA)
    assert trades.select("symbol", "side", "shares", "notional", "target_shares").rows() == [
        ("A", "BUY", 60, 5_940.0, 60),
        ("B", "BUY", 571, 3_997.0, 571),
    ]
    assert trades["commission_est"].to_list() == pytest.approx([0.594, 0.3997])
    assert trades["slippage_est"].to_list() == pytest.approx([1.188, 0.7994])
    assert trades["total_cost_est"].to_list() == pytest.approx([1.782, 1.1991])
    assert trades["weight_change"].to_list() == pytest.approx([0.594, 0.3997])
    assert trades["volume_pct"].to_list() == pytest.approx([60e-6, 571e-6])
    assert trades["liquidity_warning"].to_list() == [False, False]


def test_sales_come_first_and_what_is_not_aimed_at_is_sold() -> None:
    prices = {"A": 10.0, "B": 20.0, "Z": 50.0}
    trades = whole_share_trades({"A": 0.5, "B": 0.3}, book(0.0, {"B": 300, "Z": 80}, prices), names(prices))
    assert trades.select("symbol", "side", "shares", "current_shares", "target_shares").rows() == [
        ("B", "SELL", 150, 300, 150),
        ("Z", "SELL", 80, 80, 0),
        ("A", "BUY", 500, 0, 500),
    ]


def test_purchases_are_cut_where_costs_would_overdraw() -> None:
    """All of 10,000 USD into A at 1: 10,000 shares would cost 3 USD more than there is."""
    trades = whole_share_trades({"A": 1.0}, book(10_000.0), names({"A": 1.0}))
    assert trades["shares"].item() == 9_997
    assert 10_000.0 - trades["notional"].item() - trades["total_cost_est"].item() >= 0.0


def test_small_trades_are_left_out_but_a_position_may_always_be_closed() -> None:
    """Below 100 USD: A's purchase and B's trim wait, Z's last 3 shares go."""
    prices = {"A": 9.0, "B": 10.0, "Z": 5.0}
    targets = {"A": 0.0098, "B": 0.4995}
    held = book(4_985.0, {"B": 505, "Z": 3}, prices)
    trades = whole_share_trades(targets, held, names(prices))
    assert trades.select("symbol", "side", "shares").rows() == [("Z", "SELL", 3)]
    assert set(whole_share_trades(targets, held, names(prices), min_trade_usd=0.0)["symbol"]) == {"A", "B", "Z"}


def test_the_limit_of_100_usd_on_both_sides() -> None:
    assert whole_share_trades({"A": 0.01}, book(10_000.0), names({"A": 100.0})).height == 1
    assert whole_share_trades({"A": 0.01}, book(10_000.0), names({"A": 99.99})).height == 0


def test_liquidity_warning_on_both_sides_of_five_percent() -> None:
    at = whole_share_trades({"A": 0.5}, book(1_000.0), names({"A": 1.0}, 10_000.0))
    above = whole_share_trades({"A": 0.5}, book(1_000.0), names({"A": 1.0}, 9_999.0))
    assert (at["liquidity_warning"].item(), above["liquidity_warning"].item()) == (False, True)


def test_without_a_volume_the_warning_is_unknown_not_false() -> None:
    trades = whole_share_trades({"A": 0.5}, book(1_000.0), names({"A": 1.0}, None))
    assert trades["liquidity_warning"].to_list() == [None]
    assert trades["volume_pct"].to_list() == [None]


@pytest.mark.parametrize("price", [None, 0.0, -1.0, float("nan"), float("inf")])
def test_a_wanted_name_without_a_price_is_an_error(price: float | None) -> None:
    """check 46: never a zero."""
    with pytest.raises(DataMissing, match="GONE"):
        whole_share_trades({"GONE": 0.5}, book(1_000.0), names({"GONE": price}))
    with pytest.raises(DataMissing, match="GONE"):
        whole_share_trades({"GONE": 0.5}, book(1_000.0), names({"A": 1.0}))


def test_a_held_name_the_market_has_lost_keeps_its_mark() -> None:
    """check 46: 70 held shares at their last price of 100 stay worth 7,000; a zero would buy A with half as much."""
    held = Book(AS_OF, 3_000.0, {"H": 70}, {"H": 100.0})
    trades = whole_share_trades({"A": 0.3, "H": 0.7}, held, names({"A": 10.0, "H": None}))
    assert trades.select("symbol", "shares").rows() == [("A", 299)]


@pytest.mark.parametrize(
    ("targets", "word"),
    [({"A": -0.1}, "-0.1"), ({"A": float("nan")}, "finite"), ({"A": 0.7, "B": 0.4}, "1.1")],
)
def test_bad_targets_are_refused(targets: dict[str, float], word: str) -> None:
    with pytest.raises(BadInput, match=word):
        whole_share_trades(targets, book(1_000.0), names({"A": 1.0, "B": 1.0}))


def test_an_account_without_value_and_a_doubled_name_are_refused() -> None:
    with pytest.raises(BadInput, match="more than 0 USD"):
        whole_share_trades({"A": 0.1}, book(0.0), names({"A": 1.0}))
    twice = pl.concat([names({"A": 1.0}), names({"A": 1.0})])
    with pytest.raises(BadInput, match="A more than once"):
        whole_share_trades({"A": 0.1}, book(100.0), twice)


def test_staying_where_one_is_trades_nothing() -> None:
    """Weights computed from the shares themselves must not lose one share to rounding."""
    rng = np.random.default_rng(3)
    prices = {f"S{number}": float(price) for number, price in enumerate(rng.uniform(0.3, 900.0, 60))}
    held = Book(AS_OF, 1_234.56, {symbol: int(rng.integers(1, 90_000)) for symbol in prices}, prices)
    trades = whole_share_trades(held.weights, held, names(prices), min_trade_usd=0.0)
    assert trades.height == 0


@st.composite
def situations(draw: st.DrawFn) -> tuple[dict[str, float], Book, pl.DataFrame, float]:
    count = draw(st.integers(1, 8))
    symbols = [f"S{number}" for number in range(count)]
    prices = {symbol: draw(st.floats(0.5, 2_000.0)) for symbol in symbols}
    shares = {symbol: draw(st.integers(1, 3_000)) for symbol in symbols if draw(st.booleans())}
    raw = np.array([draw(st.floats(0.0, 1.0)) for _ in symbols])
    gross = draw(st.floats(0.0, 1.0))
    weights = raw / max(raw.sum(), 1e-9) * gross
    targets = dict(zip(symbols, (weights * (1 - 1e-12)).tolist(), strict=True))
    held = Book(AS_OF, draw(st.floats(10.0, 1e6)), shares, {symbol: prices[symbol] for symbol in shares})
    return targets, held, names(prices), draw(st.sampled_from([0.0, 100.0]))


@given(situations())
@settings(deadline=None, max_examples=60)
def test_what_holds_for_every_trade_list(situation: tuple[dict[str, float], Book, pl.DataFrame, float]) -> None:
    """check 45: cash is never negative; no short; weights never above their target; costs as in the back-test."""
    targets, held, market, smallest = situation
    trades = whole_share_trades(targets, held, market, min_trade_usd=smallest)
    price = dict(market.select("symbol", "price_usd").rows())
    cash, after = held.cash_usd, dict(held.shares)
    for symbol, side, shares in trades.select("symbol", "side", "shares").rows():
        assert shares > 0
        signed = shares if side == "BUY" else -shares
        after[symbol] = after.get(symbol, 0) + signed
        cash -= signed * price[symbol] + sum(trade_costs(shares * price[symbol]))
        assert cash >= -1e-6
        assert after[symbol] >= 0
        bought_weight = after[symbol] * price[symbol] / held.value_usd
        assert side == "SELL" or bought_weight <= targets[symbol] + 1e-9
        assert side == "BUY" or after[symbol] * price[symbol] / held.value_usd <= targets.get(symbol, 0.0) + 1e-9
        assert shares * price[symbol] >= smallest or after[symbol] == 0
    assert cash >= 0.0 or cash == pytest.approx(0.0, abs=1e-6)
    assert trades["side"].to_list() == sorted(trades["side"].to_list(), reverse=True)
    assert not trades["symbol"].is_duplicated().any()
    assert trades.equals(whole_share_trades(targets, held, market, min_trade_usd=smallest))


@given(
    st.lists(st.tuples(st.integers(0, 10_000), st.floats(0.5, 1_000.0)), min_size=1, max_size=10), st.floats(-100, 1e6)
)
@settings(deadline=None)
def test_affordable_never_spends_more_than_there_is(wanted: list[tuple[int, float]], cash: float) -> None:
    shares = np.array([count for count, _ in wanted], dtype=np.int64)
    prices = np.array([price for _, price in wanted])
    bought = affordable(shares, prices, cash)
    spent = float((bought * prices).sum() + sum(each.sum() for each in trade_costs(bought * prices)))
    assert spent <= max(cash, 0.0)
    assert (bought <= shares).all()
    whole = float((shares * prices).sum()) * 1.0003
    if whole * (1 + 1e-9) <= cash:
        assert (bought == shares).all()
