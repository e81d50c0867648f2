"""Tests of the account that follows signals: against plain Python, against the accounting of portfolios, by hand."""

import datetime as dt
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.quant.signal_follower import follow

from openbell.core.errors import BadInput
from openbell.quant.accounting import account, fixed_targets
from openbell.quant.signal_account import OUTCOMES, BarRows, Rules, signal_account, sized

FREE = {"commission_bp": 0.0, "slippage_bp": 0.0, "borrow_annual": 0.0}


def moments(sessions, per):
    """Sessions skip weekends now and then; `per` bars in each."""
    days = [dt.date(2024, 1, 2) + dt.timedelta(days=at + 2 * (at // 5)) for at in range(sessions)]
    start = dt.time(14, 30, tzinfo=dt.UTC)
    return [
        (day, dt.datetime.combine(day, start) + dt.timedelta(minutes=5 * (at + 1))) for day in days for at in range(per)
    ]


def frame(paths, per=1, holes=()):
    """Bars of symbols from lists of (open, high, low, close); `holes` are (symbol, place) without a bar."""
    rows = []
    for symbol, path in sorted(paths.items()):
        grid = moments(-(-len(path) // per), per)
        rows += [
            (symbol, *grid[at], *(float(each) for each in bar))
            for at, bar in enumerate(path)
            if (symbol, at) not in holes
        ]
    schema = {"symbol": pl.String, "session": pl.Date, "at": pl.Datetime("us", "UTC")}
    return pl.DataFrame(rows, {**schema, **dict.fromkeys(("open", "high", "low", "close"), pl.Float64)}, orient="row")


def flat(*prices):
    """Bars that open and close at each price."""
    return [(each, each, each, each) for each in prices]


def asked(bars, *orders):
    """Orders (symbol, place of the deciding bar, side, confidence, fraction, stop, target)."""
    rows = []
    for symbol, at, side, confidence, fraction, *levels in orders:
        moment = bars.filter(pl.col("symbol") == symbol)["at"][at]
        stop, target = levels or (None, None)
        rows.append((symbol, moment, confidence, side, stop, target, fraction))
    schema = {"symbol": pl.String, "as_of": pl.Datetime("us", "UTC"), "confidence": pl.Float64, "side": pl.Int8,
              "stop_price": pl.Float64, "target_price": pl.Float64, "fraction": pl.Float64}  # fmt: skip
    return pl.DataFrame(rows, schema, orient="row")


def walked(orders, bars, **rules):
    return signal_account(orders, BarRows(bars), Rules(**{"horizon_bars": 3, **rules}))


# --- against what stands ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("commission_bp", "slippage_bp"), [(0.0, 0.0), (1.0, 2.0), (40.0, 60.0)])
def test_one_symbol_without_stops_is_the_accounting_of_portfolios_to_the_cent(commission_bp, slippage_bp):
    rng = np.random.default_rng(3)
    opens = 100 * np.exp(np.cumsum(rng.normal(0, 0.02, 40)))
    closes = opens * np.exp(rng.normal(0, 0.01, 40))
    bars = frame({"A": [(o, max(o, c), min(o, c), c) for o, c in zip(opens, closes, strict=True)]})
    orders = asked(bars, *(("A", at, 1, 0.7, 0.8) for at in (2, 10, 20)))
    costs = {"commission_bp": commission_bp, "slippage_bp": slippage_bp}
    found = walked(orders, bars, horizon_bars=5, **costs)
    targets = {row: np.array([0.8 * (row in (3, 11, 21))]) for row in (3, 8, 11, 16, 21, 26)}
    other = account(
        fixed_targets(targets), closes[:, None], opens[:, None], decide_at=list(targets), capital_usd=100_000.0, **costs
    )
    np.testing.assert_allclose(found.marks["equity_usd"], other.equity_usd, rtol=0, atol=1e-6)
    np.testing.assert_allclose(found.marks["cash_usd"], other.cash_usd, rtol=0, atol=1e-6)
    assert found.cost_usd == pytest.approx(other.cost_usd, abs=1e-6)
    assert (found.cost_usd > 0) == (commission_bp > 0)


@st.composite
def worlds(draw):
    """A few symbols with holes, random orders and rules."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    per = draw(st.sampled_from([1, 1, 4]))
    sessions, symbols = draw(st.integers(3, 12)), draw(st.integers(1, 3))
    paths, holes = {}, set()
    for symbol in "ABC"[:symbols]:
        price, path = 100.0, []
        for at in range(sessions * per):
            begin = price * float(np.exp(rng.normal(0, 0.02)))
            end = begin * float(np.exp(rng.normal(0, 0.02)))
            path.append(
                (
                    begin,
                    max(begin, end) * (1 + rng.exponential(0.01)),
                    min(begin, end) * (1 - rng.uniform(0, 0.02)),
                    end,
                )
            )
            price = end
            if rng.random() < draw(st.sampled_from([0.0, 0.15, 0.5])) and at:
                holes.add((symbol, at))
        paths[symbol] = path
    bars = frame(paths, per, holes)
    chosen = bars.filter(pl.Series(rng.random(bars.height) < 0.6))
    count = chosen.height
    side = rng.choice([-1, 0, 1], count)
    away = rng.uniform(0.005, 0.06, count)
    orders = chosen.select("symbol", pl.col("at").alias("as_of")).with_columns(
        pl.Series("confidence", np.round(rng.uniform(0.5, 1.0, count), 1)), pl.Series("side", side, dtype=pl.Int8),
        chosen["close"].alias("close"), pl.Series("away", away), pl.Series("fraction", rng.uniform(0.05, 0.7, count)),
    ).with_columns(
        stop_price=pl.col("close") * (1 - pl.col("side") * pl.col("away")),
        target_price=pl.col("close") * (1 + pl.col("side") * pl.col("away") * 1.5),
    )  # fmt: skip
    rules = Rules(
        horizon_bars=draw(st.integers(1, 4)), exit_at=draw(st.sampled_from(["open", "close"])), overnight=per == 1,
        max_positions=draw(st.integers(1, 3)), conflict_margin=draw(st.sampled_from([0.0, 0.1, 0.3])),
        short=draw(st.booleans()), commission_bp=draw(st.sampled_from([0.0, 10.0])), borrow_annual=0.05,
        staleness_sessions=draw(st.integers(0, 2)), delisting_return=draw(st.sampled_from([0.0, -0.3])),
        max_gross=draw(st.sampled_from([0.5, 1.0, 2.0])),
    )  # fmt: skip
    return orders, bars, rules


@settings(max_examples=120, deadline=None)
@given(worlds())
def test_it_is_what_plain_python_finds_bar_by_bar(world):
    orders, bars, rules = world
    found = signal_account(orders, BarRows(bars), rules)
    marks, trades = follow(orders.to_dicts(), bars.to_dicts(), rules)
    np.testing.assert_allclose(found.marks["equity_usd"], marks, rtol=1e-10)
    ended = found.trades.filter(pl.col("reason") != "open").sort("exit_at", "symbol", "entry_at")
    theirs = sorted(trades, key=lambda each: (each["left"], each["symbol"], each["entered"]))
    assert ended["symbol"].to_list() == [each["symbol"] for each in theirs]
    assert ended["exit_at"].to_list() == [each["left"] for each in theirs]
    np.testing.assert_allclose(ended["profit_usd"], [each["profit"] for each in theirs], atol=1e-6)
    np.testing.assert_allclose(ended["exit_price"], [each["exit"] for each in theirs], rtol=1e-12)


@settings(max_examples=60, deadline=None)
@given(worlds())
def test_the_books_close_and_nothing_is_filled_at_what_the_decision_had_seen(world):
    """Check 69: entries come after the moment of decision, and every order is counted once."""
    orders, bars, rules = world
    found = signal_account(orders, BarRows(bars), rules)
    assert (found.trades["entry_at"] > found.trades["as_of"]).all()
    earned = found.trades["profit_usd"].sum()
    assert found.marks["equity_usd"][-1] == pytest.approx(rules.capital_usd + earned, rel=1e-10)
    before = ("short_refused", "without_size", "after_bars", "after_session")
    assert sum(found.counts[name] for name in (*before, *OUTCOMES)) == (orders["side"] != 0).sum()
    assert found.counts["taken"] == found.trades.height
    _assert_cash_and_positions(found, bars)


def _assert_cash_and_positions(found, bars):
    """Cash plus units at the last price is the equity of every moment, and gross their absolute sum."""
    at = found.marks.select("at", "equity_usd", "cash_usd", "gross_usd")
    last = at.select("at").join(bars.select("symbol").unique(), how="cross").join(
        bars.select("symbol", "at", "close"), on=["symbol", "at"], how="left"
    ).sort("symbol", "at").with_columns(pl.col("close").forward_fill().over("symbol"))  # fmt: skip
    held = last.join(found.trades.select("symbol", "entry_at", "exit_at", "units", "reason"), on="symbol").filter(
        (pl.col("at") >= pl.col("entry_at")) & ((pl.col("at") < pl.col("exit_at")) | (pl.col("reason") == "open"))
    )
    worth = held.group_by("at").agg((pl.col("units") * pl.col("close")).sum().alias("worth"),
                                    (pl.col("units") * pl.col("close")).abs().sum().alias("size"))  # fmt: skip
    both = at.join(worth, on="at", how="left").fill_null(0.0)
    np.testing.assert_allclose(both["cash_usd"] + both["worth"], both["equity_usd"], rtol=1e-10)
    np.testing.assert_allclose(both["size"], both["gross_usd"], rtol=1e-9, atol=1e-6)


# --- by hand ---------------------------------------------------------------------------------------------------------


def test_an_entry_is_at_the_next_open_and_a_fill_at_the_close_that_decided_would_be_another_number():
    bars = frame({"A": [(100, 110, 100, 110), (120, 120, 120, 120), (120, 132, 120, 132), (132, 132, 132, 132)]})
    found = walked(asked(bars, ("A", 0, 1, 0.9, 1.0)), bars, horizon_bars=2, **FREE)
    assert found.trades.select("entry_price", "exit_price", "reason").rows() == [(120.0, 132.0, "time")]
    assert found.marks["equity_usd"].to_list() == pytest.approx([1e5, 1e5, 1.1e5, 1.1e5])
    assert found.marks["equity_usd"][-1] != pytest.approx(1e5 * 132 / 110), "filled at the close it was decided on"


def test_costs_are_paid_on_both_sides_and_a_short_sells_what_it_borrows():
    bars = frame({"A": flat(100, 100, 100, 90, 90)})
    orders = asked(bars, ("A", 0, -1, 0.9, 0.5))
    found = walked(orders, bars, horizon_bars=2, commission_bp=100.0, slippage_bp=0.0, borrow_annual=0.365)
    size = 0.5 * 1e5 / 1.005
    nights = 2 * size * 0.365 / 365  # of the third and fourth bar, each marked at 100 the night before
    trade = found.trades.row(0, named=True)
    assert trade["units"] == pytest.approx(-size / 100)
    assert trade["cost_usd"] == pytest.approx(size * 0.01 + 0.9 * size * 0.01)
    assert trade["borrow_usd"] == pytest.approx(nights)
    assert trade["gross_return"] == pytest.approx(0.1)
    assert trade["profit_usd"] == pytest.approx(0.1 * size - trade["cost_usd"] - nights)
    assert found.marks["cash_usd"][-1] == pytest.approx(1e5 + trade["profit_usd"])
    assert walked(orders, bars, short=False).counts["short_refused"] == 1


@pytest.mark.parametrize(
    ("later", "side", "outcome", "trades"),
    [
        (0.8, 1, "held", [("open", 1)]),
        (0.8, -1, "taken", [("contrary", 1), ("open", -1)]),
        (0.7, -1, "closed", [("contrary", 1)]),
        (0.6, -1, "closed", [("contrary", 1)]),
        (0.5, -1, "outvoted", [("open", 1)]),
        (0.65, -1, "closed", [("contrary", 1)]),
    ],
)
def test_a_contrary_signal_reverses_closes_or_is_outvoted_by_the_margin(later, side, outcome, trades):
    """The first was sure by 0.65: 0.8 is surer by the margin of 0.1, 0.7 and 0.6 are not, 0.5 is less sure by it."""
    bars = frame({"A": flat(*[100] * 5)})
    found = walked(asked(bars, ("A", 0, 1, 0.65, 0.5), ("A", 1, side, later, 0.5)), bars, horizon_bars=9)
    assert found.counts[outcome] == (2 if outcome == "taken" else 1)
    assert found.trades.select("reason", pl.col("side").cast(pl.Int64)).rows() == trades


def test_the_surest_take_the_places_and_the_exposure_there_is():
    bars = frame({"A": flat(*[50] * 4), "B": flat(*[50] * 4), "C": flat(*[50] * 4)})
    orders = asked(bars, ("A", 0, 1, 0.6, 0.7), ("B", 0, 1, 0.9, 0.7), ("C", 0, 1, 0.8, 0.7))
    two = walked(orders, bars, max_positions=2, horizon_bars=9, **FREE)
    assert two.trades.select("symbol", "notional_usd").rows() == [("B", pytest.approx(7e4)), ("C", pytest.approx(3e4))]
    assert (two.counts["full"], two.counts["shrunk"]) == (1, 1)
    assert walked(orders, bars, horizon_bars=9, **FREE).counts["no_room"] == 1
    levered = walked(orders, bars, horizon_bars=9, max_gross=3.0, **FREE)
    assert levered.marks["gross_usd"][-1] == pytest.approx(2.1e5)
    assert levered.marks["cash_usd"][-1] == pytest.approx(-1.1e5)


def test_what_is_missing_is_marked_at_its_last_price_and_given_up_when_it_is_missing_for_too_long():
    bars = frame({"A": flat(100, 100, 100), "B": flat(*[50] * 8)})
    orders = asked(bars, ("A", 0, 1, 0.9, 0.5))
    found = walked(orders, bars, horizon_bars=50, staleness_sessions=2, delisting_return=-0.3, **FREE)
    assert found.marks["equity_usd"].to_list() == pytest.approx([1e5] * 5 + [0.85e5] * 3)
    trade = found.trades.row(0, named=True)
    assert (trade["reason"], trade["exit_price"], trade["cost_usd"]) == ("vanished", pytest.approx(70.0), 0.0)
    assert found.counts["carried"] == 2
    assert found.counts["vanished"] == 1


def test_nothing_within_the_session_is_held_over_night():
    path = flat(100, 100, 101, 102, 200, 200, 200, 200)
    bars = frame({"A": path}, per=4)
    found = walked(asked(bars, ("A", 1, 1, 0.9, 0.5), ("A", 3, 1, 0.9, 0.5)), bars, horizon_bars=3, overnight=False)
    assert found.trades.select("exit_price", "reason", "held_bars").rows() == [(102.0, "session", 2)]
    assert found.counts["after_session"] == 1
    whole = walked(asked(bars, ("A", 0, 1, 0.9, 0.5)), bars, horizon_bars=3, overnight=False, exit_at="close")
    assert whole.trades.select("exit_price", "reason", "held_bars").rows() == [(102.0, "time", 3)]


def test_a_halt_before_the_end_of_a_session_is_left_at_the_next_open_and_not_foreseen():
    bars = frame({"A": flat(100, 100, 101, 0.5, 90, 90, 90, 90), "B": flat(*[50] * 8)}, per=4, holes={("A", 3)})
    found = walked(asked(bars, ("A", 0, 1, 0.9, 0.5)), bars, horizon_bars=9, overnight=False)
    assert found.trades.select("exit_price", "reason").rows() == [(90.0, "session")]


def test_an_account_that_lost_everything_stops():
    bars = frame({"A": flat(100, 100, 350, 100, 100, 100)})
    orders = asked(bars, ("A", 0, -1, 0.9, 1.0), ("A", 3, 1, 0.9, 1.0))
    found = walked(orders, bars, horizon_bars=50, **FREE)
    assert found.ruined_at == bars["at"][2]
    assert found.marks["equity_usd"].to_list() == pytest.approx([1e5, 1e5, -1.5e5, -1.5e5, -1.5e5, -1.5e5])
    assert found.counts["after_ruin"] == 1


def test_hold_and_silence_never_trade():
    """Check 69: a HOLD (label 0) and a null (no prediction, -1 elsewhere) are no orders; SELL is one by its name."""
    bars = frame({"A": flat(*[100] * 5)})
    rows = bars.select("symbol", pl.col("at").alias("as_of"), "close").with_columns(
        pl.Series("call", ["HOLD", None, "-1", "0", "SELL"]), sigma=0.01, confidence=0.9
    )
    orders = sized(rows, barrier=1.0, horizon_bars=3, risk=0.005, most=0.1, reward=1.0)
    assert orders["side"].to_list() == [0, 0, 0, 0, -1]
    assert orders["fraction"].null_count() == 4
    found = walked(orders, bars)
    assert found.trades.is_empty()
    assert found.marks["equity_usd"].to_list() == [1e5] * 5
    assert found.counts["after_bars"] == 1
    assert walked(orders.clear(), bars).trades.is_empty()


def test_what_cannot_be_followed_is_refused():
    bars = frame({"A": flat(*[100] * 4)})
    order = asked(bars, ("A", 0, 1, 0.9, 0.5))
    late = order.with_columns(pl.col("as_of") + dt.timedelta(minutes=1))
    with pytest.raises(BadInput, match="at which no bar of their symbol ends"):
        walked(late, bars)
    with pytest.raises(BadInput, match="two signals at one moment"):
        walked(pl.concat([order, order]), bars)
    with pytest.raises(BadInput, match="sorted by symbol and time"):
        BarRows(bars.reverse())
    with pytest.raises(BadInput, match="lack the column high"):
        BarRows(bars.drop("high"))
    with pytest.raises(BadInput, match="`horizon_bars` must be at least 1; was 0"):
        Rules(horizon_bars=0)
    with pytest.raises(BadInput, match="`exit_at` is `open` or `close`"):
        Rules(horizon_bars=1, exit_at="noon")
    with pytest.raises(BadInput, match="`max_gross`"):
        replace(Rules(horizon_bars=1), max_gross=float("nan"))


def test_sizes_and_levels_are_those_that_the_desk_writes():
    """One rule for history and for now: `sized` on random rows is what `desks.signals.decide` says of each."""
    from openbell.core.signal import SAID, Said
    from openbell.core.types import Book
    from openbell.desks.signals import decide

    rng = np.random.default_rng(5)
    moment = dt.datetime(2024, 1, 2, 21, tzinfo=dt.UTC)
    p = rng.dirichlet(np.ones(3), 60)
    inside = rng.random((60, 3)) < 0.4
    rows = pl.DataFrame(
        {"symbol": [f"S{at:02d}" for at in range(60)], "close": rng.uniform(1, 500, 60),
         "sigma": rng.uniform(0.001, 0.6, 60), "p_sell": p[:, 0], "p_hold": p[:, 1], "p_buy": p[:, 2],
         "in_sell": inside[:, 0], "in_hold": inside[:, 1], "in_buy": inside[:, 2]}, schema=SAID,
    )  # fmt: skip
    said = Said(moment, moment.date(), rows, "m", True, barrier=1.5, horizon_bars=5, bar_seconds=60.0)
    how = {"min_confidence": 0.4, "require_single": False}
    decided = decide[0].decide(said, Book(moment, 1e5, {}, {}), min_risk_reward=1.5, **how).details["signals"]
    from openbell.quant.signal_rule import called

    ours = sized(called(rows, **how), barrier=1.5, horizon_bars=5, risk=0.005, most=0.1, reward=1.5)
    assert len({each.call for each in decided}) == 3
    for signal, row in zip(decided, ours.iter_rows(named=True), strict=True):
        assert signal.call.value == row["call"]
        want = (signal.stop_loss, signal.target_price, signal.position_size)
        ours_too = (row["stop_price"], row["target_price"], row["fraction"])
        assert ours_too == (want if row["call"] == "HOLD" else pytest.approx(want, rel=1e-12))
