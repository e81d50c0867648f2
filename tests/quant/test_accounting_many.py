"""Many portfolios at once: against the share simulator, against bt, and against the account of one."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.quant.share_simulator import plans, prices, simulated

from openbell.core.errors import BadInput
from openbell.quant.accounting import account, accounts, fixed_targets
from openbell.quant.costs import trade_costs

NAN = float("nan")
FREE = {"commission_bp": 0.0, "slippage_bp": 0.0}


def cube(*weightings: dict[int, np.ndarray]) -> np.ndarray:
    return np.array([list(each.values()) for each in weightings])


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    names=st.integers(1, 6),
    holes=st.sampled_from([0.0, 0.1, 0.5]),
    vanishing=st.booleans(),
    with_opens=st.booleans(),
    every=st.integers(1, 9),
    bp=st.floats(0, 40),
    impact=st.sampled_from([0.0, 0.3, 1.5]),
    limit=st.integers(0, 4),
    delisting=st.sampled_from([0.0, -0.3, -0.9]),
)
def test_equals_the_share_simulator_on_any_market(
    seed, names, holes, vanishing, with_opens, every, bp, impact, limit, delisting
) -> None:
    """Check 46. Every rule at once: gaps, vanishing names, opens or none, costs, impact, earning cash, delistings."""
    rng = np.random.default_rng(seed)
    opens, closes = prices(28, names, seed=seed, holes=holes)
    if with_opens and holes:
        opens[rng.random(opens.shape) < 0.1] = NAN  # a close without an open, and the other way round
        closes[rng.random(opens.shape) < 0.1] = NAN
    if vanishing:
        opens[15:, 0], closes[15:, 0] = NAN, NAN
    first = opens if with_opens else None
    rows = range(seed % 3, 28, every)
    weightings = [plans(rows, names, seed=seed + each) for each in range(3)]
    earned = rng.uniform(0, 2e-4, 28)
    volatility = rng.uniform(0.0, 0.05, (len(rows), names))
    volume = rng.uniform(1e4, 1e6, (len(rows), names))
    volatility[rng.random(volatility.shape) < 0.1] = NAN
    volume[rng.random(volume.shape) < 0.1] = 0.0
    got = accounts(
        cube(*weightings),
        rows,
        closes,
        first,
        capital_usd=1000.0,
        commission_bp=bp / 3,
        slippage_bp=bp * 2 / 3,
        impact=impact,
        volatility=volatility,
        volume_usd=volume,
        cash_return=earned,
        staleness_sessions=limit,
        delisting_return=delisting,
    )
    for k, weighting in enumerate(weightings):
        curve, sim = simulated(
            weighting,
            closes,
            first,
            bp=bp,
            limit=limit,
            cash_return=earned,
            volatility=dict(zip(rows, volatility, strict=True)),
            volume=dict(zip(rows, volume, strict=True)),
            impact=impact,
            delisting=delisting,
        )
        assert got.equity_usd[k] == pytest.approx(curve, rel=1e-9)
        assert got.cost_usd[k] == pytest.approx(sim.costs, rel=1e-9, abs=1e-9)
        assert got.turnover[k] == pytest.approx(sim.turnovers, abs=1e-10)
        assert [(row, at) for each, row, at in got.vanished if each == k] == sim.vanished
        assert (got.carried[k], got.unfilled[k].tolist()) == (sim.carried, sim.unfilled)
    assert got.cash_usd.min() >= 0.0
    assert got.traded.all()


@pytest.mark.parametrize("with_opens", [True, False])
def test_the_same_numbers_as_the_account_of_one(with_opens: bool) -> None:
    """One kernel: bit for bit, whether the targets are known beforehand or asked for on the day."""
    opens, closes = prices(60, 7, seed=5, holes=0.2)
    first, rows = opens if with_opens else None, range(2, 60, 4)
    plan = plans(rows, 7, seed=6)
    rng = np.random.default_rng(7)
    known = {"volatility": rng.uniform(0, 0.05, (15, 7)), "volume_usd": rng.uniform(-1e6, 1e7, (15, 7)).clip(0)}
    how = {"capital_usd": 1e5, "cash_return": 1e-4, "delisting_return": -0.1, "impact": 0.7, **known}
    one = account(fixed_targets(plan), closes, first, decide_at=rows, **how)
    many = accounts(cube(plan, plan), rows, closes, first, **how)
    for k in (0, 1):
        assert np.array_equal(many.equity_usd[k], one.equity_usd)
        assert np.array_equal(many.cash_usd[k], one.cash_usd)
        assert np.array_equal(many.turnover[k], one.turnovers)
        assert many.cost_usd[k].tolist() == [each.cost_usd for each in one.rebalances]
        assert (many.carried[k], many.without_impact[k].sum()) == (one.carried, one.without_impact)
    assert one.without_impact
    assert np.array_equal(many.curve_usd[0], one.curve_usd)
    assert np.array_equal(many.returns[1], one.returns)


def test_portfolios_do_not_touch_each_other() -> None:
    opens, closes = prices(40, 5, seed=1, holes=0.1)
    rows = range(0, 40, 5)
    weightings = [plans(rows, 5, seed=each) for each in range(4)]
    together = accounts(cube(*weightings), rows, closes, opens)
    backwards = accounts(cube(*weightings[::-1]), rows, closes, opens)
    assert np.array_equal(together.equity_usd, backwards.equity_usd[::-1])
    assert np.array_equal(together.cost_usd, backwards.cost_usd[::-1])


def test_a_row_of_nan_holds_what_is_held() -> None:
    """Kills: a hold that trades to zero, or to the drifted weights at a cost; and a hold counted as a rebalance."""
    _, closes = prices(30, 3, seed=2)
    rows, half = [0, 10, 20], np.array([0.5, 0.3, 0.1])
    held = np.array([[half, [NAN] * 3, half[::-1]], [half, half, half[::-1]]])
    got = accounts(held, rows, closes)
    without = accounts(held[:1, [0, 2]], [0, 20], closes)
    assert np.array_equal(got.equity_usd[0], without.equity_usd[0])
    assert (got.turnover[0, 1], got.cost_usd[0, 1], got.traded[0].tolist()) == (0.0, 0.0, [True, False, True])
    assert np.isnan(got.turnovers[0]).tolist() == [False, True, False]
    assert got.equity_usd[0, 15] != got.equity_usd[1, 15]


def test_cash_is_a_line_of_the_portfolio() -> None:
    """Check 45: what is not invested is cash, earns its own rate, and is part of the value every day."""
    _, closes = prices(20, 2, seed=3)
    got = accounts(np.array([[[0.3, 0.2]]]), [0], closes, cash_return=1e-3, **FREE)
    invested = 0.3 * closes[:, 0] / closes[0, 0] + 0.2 * closes[:, 1] / closes[0, 1]
    assert got.cash_usd[0] == pytest.approx(0.5 * 1.001 ** np.arange(1, 21))
    assert got.equity_usd[0] == pytest.approx(invested * 1.001 + got.cash_usd[0])


def test_seventy_of_a_hundred_names_lack_the_last_price() -> None:
    """Check 46: in a public system this turned +12 % into -61 %."""
    _, closes = prices(50, 100, seed=4)
    whole = accounts(np.full((1, 1, 100), 0.01), [0], closes, **FREE)
    closes[-1, :70] = NAN
    got = accounts(np.full((1, 1, 100), 0.01), [0], closes, **FREE)
    carried = 0.01 * (closes[-2, :70] / closes[0, :70]).sum() + 0.01 * (closes[-1, 70:] / closes[0, 70:]).sum()
    assert got.equity_usd[0, -1] == pytest.approx(carried)
    assert got.equity_usd[0, :-1] == pytest.approx(whole.equity_usd[0, :-1])
    assert (got.carried.tolist(), got.vanished) == ([70], ())


@pytest.mark.parametrize("with_opens", [True, False])
def test_a_trade_in_the_last_session_is_one_session(with_opens: bool) -> None:
    """Check 48: a fill at the next open of the last date must not make a second row of that date."""
    opens, closes = prices(10, 2, seed=6)
    got = accounts(np.array([[[1.0, 0.0], [0.0, 1.0]]]), [0, 9], closes, opens if with_opens else None, **FREE)
    assert got.equity_usd.shape == got.cash_usd.shape == (1, 10)
    until = opens[9, 0] if with_opens else closes[9, 0]
    since = closes[9, 1] / opens[9, 1] if with_opens else 1.0
    assert got.equity_usd[0, -1] == pytest.approx(until / (opens[0, 0] if with_opens else closes[0, 0]) * since)
    with pytest.raises(BadInput, match="rise strictly"):
        accounts(np.zeros((1, 2, 2)), [9, 9], closes)


def test_dividends_reach_portfolio_and_benchmark_alike() -> None:
    """Check 49: prices are total return, so the same name held either way has the same curve, payout included."""
    closes = np.array([[100.0, 50.0], [102.0, 50.0], [101.0, 51.0]])
    paid = np.array([0.0, 2.0, 0.0])  # USD a share on the second session, reinvested at its close
    total = closes.copy()
    total[:, 0] *= np.cumprod(1 + paid / closes[:, 0])
    portfolio = accounts(np.array([[[1.0, 0.0]]]), [0], total, **FREE).equity_usd[0]
    benchmark = account(fixed_targets({0: np.array([1.0])}), total[:, :1], **FREE).equity_usd
    assert portfolio == pytest.approx([1.0, 104 / 100, 104 / 100 * 101 / 102])
    assert portfolio == pytest.approx(benchmark, rel=1e-15)


def test_impact_by_hand_and_by_the_one_cost_function() -> None:
    """A first purchase of N in one name: V - N = 3 bp N + impact * volatility * sqrt(N / volume) * N."""
    flat, capital = np.full((2, 1), 20.0), 1e6
    known = {"volatility": np.array([[0.02]]), "volume_usd": np.array([[4e6]])}
    got = accounts(np.ones((1, 1, 1)), [0], flat, capital_usd=capital, impact=0.8, **known)
    bought = got.equity_usd[0, 0]
    assert capital - bought == pytest.approx(3e-4 * bought + 0.8 * 0.02 * (bought / 4e6) ** 0.5 * bought, rel=1e-12)
    parts = trade_costs(bought, impact=0.8, volatility_daily=0.02, volume_usd=4e6)
    assert got.cost_usd[0, 0] == pytest.approx(sum(parts), rel=1e-12), "the formula of the trade list and the broker"
    assert got.without_impact.tolist() == [[0]]


def test_a_trade_without_a_known_volume_is_counted() -> None:
    flat = np.full((2, 3), 20.0)
    known = {"volatility": np.array([[0.02, NAN, 0.02]]), "volume_usd": np.array([[0.0, 1e6, 1e6]])}
    got = accounts(np.array([[[0.3, 0.3, 0.4]], [[0.0, 0.0, 1.0]]]), [0], flat, impact=1.0, **known)
    assert got.without_impact.tolist() == [[2], [0]]


def test_costs_settle_even_where_a_round_trip_costs_most_of_the_account() -> None:
    """Twenty times the daily volume: the fixed point does not settle by itself, the search after it does."""
    flat = np.array([[10.0, 10.0], [10.0, 10.0]])
    known = {"volatility": np.full((2, 2), 0.06), "volume_usd": np.full((2, 2), 5e4)}
    got = accounts(np.array([[[1.0, 0.0], [0.0, 1.0]]]), [0, 1], flat, capital_usd=1e6, impact=3.0, **known, **FREE)
    first = 1e6 - got.cost_usd[0, 0]
    assert got.cost_usd[0, 0] == pytest.approx(3 * 0.06 * (first / 5e4) ** 0.5 * first, rel=1e-9)
    assert (got.equity_usd > 0).all()
    with pytest.raises(BadInput, match="row 1 would cost more than the account"):
        accounts(
            np.array([[[1.0, 0.0], [0.0, 0.0]]]),
            [0, 1],
            flat,
            capital_usd=1e6,
            impact=1.0,
            volatility=np.array([[0.0, 0.0], [0.9, 0.9]]),
            volume_usd=np.full((2, 2), 5e4),
        )


def test_what_is_sold_must_pay_for_its_sale() -> None:
    """Nine tenths are stuck; selling the last tenth costs more than it brings. Kills: cash clipped at 0 in silence."""
    closes = np.array([[10.0, 10.0], [NAN, 10.0]])
    known = {"volatility": np.array([[0.0, 0.0], [0.9, 0.9]]), "volume_usd": np.full((2, 2), 5e4)}
    with pytest.raises(BadInput, match="row 1 would cost more"):
        accounts(np.array([[[0.9, 0.1], [0.9, 0.0]]]), [0, 1], closes, capital_usd=1e6, impact=1.0, **known)


def test_an_account_that_lost_everything_stays_at_nothing() -> None:
    closes = np.full((5, 2), 10.0)
    closes[1:, 0] = NAN
    weights = np.array([[[1.0, 0.0], [0.0, 1.0]]])
    got = accounts(weights, [0, 3], closes, staleness_sessions=0, delisting_return=-1.0, **FREE)
    assert got.equity_usd[0].tolist() == [1.0, 0.0, 0.0, 0.0, 0.0]
    assert got.turnover[0].tolist() == [0.5, 0.0]


def test_the_kernel_is_compiled_once_whatever_the_arrays_are() -> None:
    """A frame's columns come read-only, float32 or column by column; each kind would cost seconds of compiling."""
    from openbell.quant.accounting_kernel import run

    closes = np.full((4, 2), 5.0)
    fixed = closes.copy()
    fixed.flags.writeable = False
    for each in (closes, fixed, np.asfortranarray(closes), closes.astype(np.float32), closes.astype(int), closes[:1]):
        accounts(np.full((1, 1, 2), 0.5), [0], each, each, cash_return=each[:, 0] * 0)
        account(lambda holdings: [0.5, 0.5], each, cash_return=0.1)
        account(fixed_targets({}), each, decide_at=[])
    assert len(run.signatures) == 1


@pytest.mark.parametrize(
    ("weights", "rows", "how", "words"),
    [
        ([[[0.5, 0.8]]], [0], {}, "row 0 must be 0 or more and sum to at most 1.*the sum 1.3"),
        ([[[0.5, -0.1]]], [0], {}, "the smallest was -0.1"),
        ([[[0.5, NAN]]], [0], {}, "2 finite weights, or all NaN to hold"),
        ([[[0.5, np.inf]]], [0], {}, "2 finite weights"),
        ([[0.5, 0.1]], [0], {}, "had 2 dimension"),
        ([[[0.5, 0.1]]], [0, 1], {}, "for each rebalance"),
        ([[[0.5, 0.1]]], [3], {}, "lie in 0 to 2"),
        ([[[0.5, 0.1]]], [-1], {}, "lie in 0 to 2"),
        ([[[0.5, 0.1]]], [0], {"impact": 1.0}, "needs both `volatility`"),
        ([[[0.5, 0.1]]], [0], {"impact": -1.0}, "`impact` must be 0 or more"),
        ([[[0.5, 0.1]]], [0], {"impact": 1.0, "volatility": [[0.1]], "volume_usd": [[1.0]]}, r"shape \(1, 2\)"),
        (
            [[[0.5, 0.1]]],
            [0],
            {"impact": 1.0, "volatility": [[-0.1, 0.1]], "volume_usd": [[1.0, 1.0]]},
            "NaN where unknown",
        ),
        ([[[0.5, 0.1]]], [0], {"slippage_bp": -1.0}, "slippage_bp"),
    ],
)
def test_bad_input_is_refused(weights, rows, how, words) -> None:
    with pytest.raises(BadInput, match=words):
        accounts(np.array(weights), rows, np.full((3, 2), 5.0), **how)


def by_bt(closes: np.ndarray, weights: dict[int, np.ndarray], rate: float) -> np.ndarray:
    """Value at each close by bt: fills at the close, fractional shares, `rate` of notional as commission."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import bt
        import pandas as pd
    days = pd.bdate_range("2015-01-01", periods=len(closes))
    data = pd.DataFrame(closes, index=days, columns=[f"N{at}" for at in range(closes.shape[1])])
    targets = pd.DataFrame(list(weights.values()), index=days[list(weights)], columns=data.columns)
    strategy = bt.Strategy("shared", [bt.algos.WeighTarget(targets), bt.algos.Rebalance()])
    test = bt.Backtest(
        strategy,
        data,
        initial_capital=1e6,
        integer_positions=False,
        commissions=lambda quantity, price: abs(quantity) * price * rate,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        test.run()
    return test.strategy.values.to_numpy()[-len(closes) :]


def test_equals_bt_without_costs() -> None:
    """Drift, marking and rebalancing by a third party, with cash left over and names that come and go."""
    _, closes = prices(120, 8, seed=8)
    plan = plans(range(0, 120, 10), 8, seed=3)
    got = accounts(cube(plan), list(plan), closes, capital_usd=1e6, **FREE)
    assert got.equity_usd[0] == pytest.approx(by_bt(closes, plan, 0.0), rel=1e-9)


def test_equals_bt_with_commission() -> None:
    """bt takes the fee out of each order's own amount, so it is asked for our amounts with their fees."""
    _, closes = prices(120, 8, seed=9)
    plan, rate, capital = plans(range(0, 120, 10), 8, seed=4), 25e-4, 1e6
    ours = account(fixed_targets(plan), closes, capital_usd=capital, commission_bp=25.0, slippage_bp=0.0)
    asked, units = {}, np.zeros(8)
    for each in ours.rebalances:
        before = units * closes[each.row]
        after = each.weights * ours.equity_usd[each.row]
        amount = (after - before) + rate * np.abs(after - before)
        value = ours.equity_usd[each.row] + each.cost_usd
        asked[each.row] = (before + amount) / value
        units = after / closes[each.row]
    assert ours.equity_usd == pytest.approx(by_bt(closes, asked, rate), rel=1e-9)
    assert ours.cost_usd > 1000.0, "the case must cost something"
