"""The one cost function (S2.08) and turnover (S2.09), by hand."""

import numpy as np
import pytest

from openbell.core.errors import BadInput
from openbell.quant.costs import cost_rate, trade_costs, turnover


def test_one_and_two_basis_points() -> None:
    assert trade_costs(10_000.0) == (pytest.approx(1.0), pytest.approx(2.0))
    assert trade_costs(-10_000.0) == trade_costs(10_000.0)
    assert trade_costs(10_000.0, 5.0, 0.0) == (pytest.approx(5.0), 0.0)


def test_array_equals_scalars() -> None:
    notionals = np.array([100.0, -250.5, 0.0])
    commission, slippage = trade_costs(notionals)
    assert [(c, s) for c, s in zip(commission, slippage, strict=True)] == [trade_costs(n) for n in notionals.tolist()]


def test_square_root_impact_by_hand() -> None:
    """1 % of the daily volume at 2 % volatility: 0.5 * 0.02 * 0.1 = 10 bp of 100,000 beside the 2 bp of spread."""
    how = {"impact": 0.5, "volatility_daily": 0.02, "volume_usd": 1e7}
    assert trade_costs(1e5, **how) == (pytest.approx(10.0), pytest.approx(20.0 + 100.0))
    assert trade_costs(-1e5, **how) == trade_costs(1e5, **how)
    assert trade_costs(4e5, **how)[1] == pytest.approx(80.0 + 8 * 100.0), "four times the trade, eight times the impact"
    assert trade_costs(0.0, **how) == (0.0, 0.0)
    assert all(isinstance(each, float) for each in trade_costs(1e5, **how))
    sizes, volatility, volume = np.array([1e5, -3e4]), np.array([0.02, 0.01]), np.array([1e7, 1e6])
    commission, slippage = trade_costs(sizes, impact=0.5, volatility_daily=volatility, volume_usd=volume)
    for at in (0, 1):
        one = {"impact": 0.5, "volatility_daily": volatility[at], "volume_usd": volume[at]}
        assert (commission[at], slippage[at]) == pytest.approx(trade_costs(float(sizes[at]), **one), rel=1e-14)


def test_no_impact_is_the_default() -> None:
    """S2.08's values stay what they were; liquidity without an impact changes nothing."""
    assert trade_costs(1e5, volatility_daily=0.5, volume_usd=1.0) == trade_costs(1e5)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"impact": -1.0}, "0 or more"),
        ({"impact": float("nan")}, "0 or more"),
        ({"impact": 1.0}, "needs `volatility_daily`"),
        ({"impact": 1.0, "volatility_daily": 0.1}, "needs `volatility_daily`"),
        ({"impact": 1.0, "volatility_daily": 0.1, "volume_usd": 0.0}, "volume above 0"),
        ({"impact": 1.0, "volatility_daily": float("nan"), "volume_usd": 1.0}, "volume above 0"),
        ({"impact": 1.0, "volatility_daily": -0.1, "volume_usd": 1.0}, "volume above 0"),
        ({"impact": 1.0, "volatility_daily": np.array([0.1]), "volume_usd": np.array([1.0])}, "shape of the notional"),
    ],
)
def test_an_impact_that_cannot_be_known_is_refused(how, words) -> None:
    with pytest.raises(BadInput, match=words):
        trade_costs(1e5, **how)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_notional_that_is_no_number_is_refused(bad: float) -> None:
    with pytest.raises(BadInput, match="finite"):
        trade_costs(bad)
    with pytest.raises(BadInput, match="finite"):
        turnover([bad], 100.0)


@pytest.mark.parametrize("bp", [-1.0, float("nan")])
def test_negative_basis_points_are_refused(bp: float) -> None:
    with pytest.raises(BadInput, match="commission_bp"):
        trade_costs(100.0, commission_bp=bp)
    with pytest.raises(BadInput, match="slippage_bp"):
        cost_rate(1.0, bp)


def test_turnover_by_hand() -> None:
    """Selling 20 and buying 30 of an account of 100 turns over (20 + 30) / 200 of it."""
    assert turnover([-20.0, 30.0], 100.0) == pytest.approx(0.25)
    assert turnover([], 100.0) == 0.0


@pytest.mark.parametrize("value", [0.0, -5.0, float("nan")])
def test_turnover_of_nothing_is_refused(value: float) -> None:
    with pytest.raises(BadInput, match="above 0"):
        turnover([1.0], value)
