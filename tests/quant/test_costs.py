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
