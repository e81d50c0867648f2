"""The accounting against a simulator that counts every share of every name, one at a time."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.quant.share_simulator import plans, prices, simulated

from openbell.core.errors import BadInput
from openbell.quant.accounting import Holdings, account, fixed_targets

NAN = float("nan")


@pytest.mark.parametrize("with_opens", [True, False])
@pytest.mark.parametrize("holes", [0.0, 0.15, 0.6])
def test_equity_equals_the_share_simulator(with_opens: bool, holes: float) -> None:
    """Kills: earning the overnight return on new weights, rebalancing daily, costs on the wrong notional."""
    opens, closes = prices(80, 6, seed=4, holes=holes)
    plan = plans(range(3, 80, 5), 6, seed=9)
    first = opens if with_opens else None
    got = account(fixed_targets(plan), closes, first, capital_usd=1000.0, cash_return=1e-4)
    curve, sim = simulated(plan, closes, first, cash_return=1e-4)
    assert got.equity_usd == pytest.approx(curve, rel=1e-9)
    assert [each.cost_usd for each in got.rebalances] == pytest.approx(sim.costs, rel=1e-9, abs=1e-12)
    assert got.vanished == tuple(sim.vanished)
    if holes == 0.6:
        assert sim.vanished, "the case must reach the rule"


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 5), st.floats(0, 0.5), st.floats(0, 50), st.booleans())
def test_equity_equals_the_share_simulator_on_any_market(seed, names, holes, bp, with_opens) -> None:
    opens, closes = prices(25, names, seed=seed, holes=holes)
    plan = plans(range(0, 25, 4), names, seed=seed)
    first = opens if with_opens else None
    got = account(
        fixed_targets(plan),
        closes,
        first,
        capital_usd=1000.0,
        commission_bp=bp / 3,
        slippage_bp=bp * 2 / 3,
        staleness_sessions=2,
    )
    curve, _ = simulated(plan, closes, first, bp=bp, limit=2)
    assert got.equity_usd == pytest.approx(curve, rel=1e-9)
    assert got.cash_usd.min() >= 0.0


def test_old_weights_earn_the_night_and_new_weights_earn_the_day() -> None:
    """Trap 11: a decision before the open never earns the gap it was computed before."""
    closes = np.array([[100.0, 100.0], [100.0, 100.0], [120.0, 100.0]])
    opens = np.array([[100.0, 100.0], [100.0, 100.0], [110.0, 100.0]])
    plan = {0: np.array([0.0, 1.0]), 2: np.array([1.0, 0.0])}
    got = account(fixed_targets(plan), closes, opens, commission_bp=0, slippage_bp=0)
    assert got.equity_usd == pytest.approx([1.0, 1.0, 120 / 110])
    at_close = account(fixed_targets(plan), closes, commission_bp=0, slippage_bp=0)
    assert at_close.equity_usd == pytest.approx([1.0, 1.0, 1.0]), "without opens new weights earn after the close"


def test_cost_by_hand() -> None:
    """1 bp + 2 bp of the traded notional, paid out of the account: V = 1000 / 1.0003 when all is invested."""
    flat = np.full((2, 1), 10.0)
    got = account(fixed_targets({0: np.array([1.0])}), flat, flat, capital_usd=1000.0)
    assert got.equity_usd == pytest.approx([1000 / 1.0003] * 2, rel=1e-12)
    assert got.rebalances[0].turnover == pytest.approx(1000 / 1.0003 / 2000, rel=1e-12)
    assert got.cash_usd == pytest.approx([0.0, 0.0], abs=1e-12)
    assert got.cost_usd == pytest.approx(1000 - 1000 / 1.0003)


def test_weights_drift_between_rebalances() -> None:
    """A mutant that rebalances every day for free would show 1.21; drift gives the buy-and-hold value."""
    closes = np.array([[1.0, 1.0], [1.4, 1.0], [1.4 * 1.4, 1.0]])
    got = account(fixed_targets({0: np.array([0.5, 0.5])}), closes, commission_bp=0, slippage_bp=0)
    assert got.equity_usd == pytest.approx([1.0, 1.2, 0.5 * 1.96 + 0.5])
    seen: list[Holdings] = []
    account(
        lambda holdings: seen.append(holdings) or (np.array([0.5, 0.5]) if holdings.row == 0 else None),
        closes,
        commission_bp=0,
        slippage_bp=0,
    )
    assert seen[2].weights == pytest.approx([0.7 / 1.2, 0.5 / 1.2])


def test_a_missing_price_is_never_zero() -> None:
    """Check 46: on the last date 70 of 100 names lack a price; the account must not move because of that."""
    closes = np.full((10, 100), 20.0)
    closes[-1, :70] = NAN
    got = account(fixed_targets({0: np.full(100, 0.01)}), closes, commission_bp=0, slippage_bp=0)
    assert got.equity_usd == pytest.approx([1.0] * 10)
    assert got.carried == 70
    assert got.vanished == ()


def test_a_name_that_vanishes_becomes_cash_at_its_last_price() -> None:
    closes = np.full((12, 2), 10.0)
    closes[1, 0] = 15.0
    closes[2:, 0] = NAN
    half = fixed_targets({0: np.array([0.5, 0.5])})
    got = account(half, closes, commission_bp=0, slippage_bp=0, staleness_sessions=5)
    assert got.vanished == ((7, 0),), "five closes are carried, the sixth turns it into cash"
    assert got.carried == 5
    assert got.equity_usd[1:] == pytest.approx([1.25] * 11)
    assert got.cash_usd[6] == pytest.approx(0.0)
    assert got.cash_usd[7:] == pytest.approx([0.75] * 5)


def test_what_has_no_price_is_not_traded_and_is_named() -> None:
    closes = np.array([[10.0, 10.0], [10.0, NAN], [10.0, 10.0]])
    plan = {0: np.array([0.0, 1.0]), 1: np.array([1.0, 0.0]), 2: np.array([1.0, 0.0])}
    got = account(fixed_targets(plan), closes, commission_bp=0, slippage_bp=0)
    assert got.rebalances[1].unfilled == (1,)
    assert got.rebalances[1].weights == pytest.approx([0.0, 1.0]), "no cash, so nothing could be bought"
    assert got.rebalances[2].weights == pytest.approx([1.0, 0.0])
    unseen = account(fixed_targets({0: np.array([0.5, 0.5])}), np.array([[10.0, NAN]]), commission_bp=0, slippage_bp=0)
    assert unseen.rebalances[0].cash_weight == pytest.approx(0.5)


def test_cash_earns_its_rate_and_only_its_rate() -> None:
    closes = np.full((3, 1), 10.0)
    got = account(lambda holdings: None, closes, cash_return=0.01)
    assert got.equity_usd == pytest.approx([1.01, 1.01**2, 1.01**3])
    assert got.curve_usd[0] == 1.0
    assert got.returns == pytest.approx([0.01] * 3)
    assert got.rebalances == ()


def test_only_the_rows_asked_for_are_asked() -> None:
    rows: list[int] = []
    account(lambda holdings: rows.append(holdings.row), np.full((9, 1), 1.0), decide_at=range(1, 9, 3))
    assert rows == [1, 4, 7]


def test_a_delisted_name_loses_what_it_is_said_to_lose() -> None:
    """Half in a name that stops trading at 10 and pays 30 % less: 0.5 of the account becomes 0.35."""
    closes = np.full((4, 2), 10.0)
    closes[1:, 0] = NAN
    half = fixed_targets({0: np.array([0.5, 0.5])})
    got = account(half, closes, commission_bp=0, slippage_bp=0, staleness_sessions=1, delisting_return=-0.3)
    assert got.equity_usd == pytest.approx([1.0, 1.0, 0.85, 0.85])
    assert got.cash_usd[2] == pytest.approx(0.35)


def test_cash_earns_each_session_s_own_rate() -> None:
    got = account(lambda holdings: None, np.full((3, 1), 10.0), cash_return=np.array([0.01, 0.0, 0.02]))
    assert got.equity_usd == pytest.approx([1.01, 1.01, 1.01 * 1.02])


def test_what_cash_cannot_buy_is_not_held() -> None:
    """The whole account is stuck in names without a price: nothing is bought, not even 1e-17 of something."""
    for seed in range(300):
        rng = np.random.default_rng(seed)
        closes = rng.uniform(1, 100, (2, 6))
        closes[1, :5] = NAN
        plan = {0: np.append(rng.dirichlet(np.ones(5)), 0.0), 1: np.array([0.0, 0.0, 0.0, 0.0, 0.0, 1.0])}
        plan[0] /= max(plan[0].sum(), 1.0)
        got = account(fixed_targets(plan), closes, capital_usd=rng.uniform(1e3, 1e6))
        assert got.rebalances[1].weights[5] == 0.0, seed
        assert got.rebalances[1].unfilled == (0, 1, 2, 3, 4)


@pytest.mark.parametrize(
    ("closes", "weights", "words"),
    [
        ([[0.0]], [1.0], "positive"),
        ([[-1.0]], [1.0], "quarantine"),
        ([[np.inf]], [1.0], "positive and finite"),
        ([[1.0]], [1.1], "sum to at most 1"),
        ([[1.0]], [-0.1], "0 or more"),
        ([[1.0]], [NAN], "finite"),
        ([[1.0]], [0.5, 0.5], "1 finite weights"),
    ],
)
def test_bad_input_is_refused(closes: list, weights: list, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        account(fixed_targets({0: np.array(weights)}), np.array(closes))


def test_shapes_and_capital_are_checked() -> None:
    with pytest.raises(BadInput, match="one shape"):
        account(fixed_targets({}), np.ones((2, 1)), np.ones((1, 1)))
    with pytest.raises(BadInput, match="dimension"):
        account(fixed_targets({}), np.ones(3))
    with pytest.raises(BadInput, match="capital_usd"):
        account(fixed_targets({}), np.ones((2, 1)), capital_usd=0.0)
    with pytest.raises(BadInput, match="at least 1 name"):
        account(fixed_targets({}), np.ones((2, 0)))
    with pytest.raises(BadInput, match="lie in 0 to 1"):
        account(fixed_targets({}), np.ones((2, 1)), decide_at=[2])
    with pytest.raises(BadInput, match="each of the 2 sessions"):
        account(fixed_targets({}), np.ones((2, 1)), cash_return=np.zeros(3))
    with pytest.raises(BadInput, match="delisting_return"):
        account(fixed_targets({}), np.ones((2, 1)), delisting_return=-1.5)
    with pytest.raises(BadInput, match="staleness_sessions"):
        account(fixed_targets({}), np.ones((2, 1)), staleness_sessions=-1)
    with pytest.raises(BadInput, match="above -1"):
        account(fixed_targets({}), np.ones((2, 1)), cash_return=NAN)


def test_ten_years_of_five_hundred_names() -> None:
    opens, closes = prices(2500, 500, seed=1)
    plan = plans(range(0, 2500, 5), 500, seed=2)
    got = account(fixed_targets(plan), closes, opens)
    assert np.isfinite(got.equity_usd).all()
