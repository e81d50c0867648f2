"""What a win and a loss are worth under the price's own density, against the mean over a fine grid of it."""

import numpy as np
import pytest
from scipy.special import ndtri

from openbell.quant.price_odds import price_odds

RNG = np.random.default_rng(3)
ROWS = 60


def test_mean_results_of_any_legs_against_a_grid_of_quantiles() -> None:
    """Kills: a bend left out, costs taken in one side alone, a mean over all trades in place of that of the wins."""
    spot = RNG.uniform(50, 5_000, ROWS)
    deviation = np.exp(RNG.uniform(np.log(0.003), np.log(0.2), ROWS))
    move = spot * deviation
    strike = spot[:, None] * np.exp(deviation[:, None] * RNG.normal(size=(ROWS, 4)))
    right, ratio = RNG.choice([1.0, -1.0], (ROWS, 4)), RNG.choice([-2.0, -1.0, 0.0, 1.0, 2.0], (ROWS, 4))
    ratio[:, 0] = np.where(ratio[:, 0] == 0, 1, ratio[:, 0])
    premium, cost = 0.3 * RNG.normal(size=ROWS) * move, 0.1 * RNG.uniform(size=ROWS) * move
    found = price_odds(right, strike, ratio, premium, cost, spot, expected_move=move)

    z = ndtri((np.arange(50_000) + 0.5) / 50_000)
    ends = spot[:, None] * np.exp(deviation[:, None] * z - 0.5 * deviation[:, None] ** 2)
    worth = np.maximum(right[:, :, None] * (ends[:, None, :] - strike[:, :, None]), 0.0)
    profit = (ratio[:, :, None] * worth).sum(axis=1) - (premium + cost)[:, None]
    chance = (profit > 0).mean(axis=1)
    gain, loss = (np.where(side, profit, 0.0).mean(axis=1) for side in (profit > 0, profit <= 0))
    assert found.probability == pytest.approx(chance, abs=1e-4)
    assert found.probability * found.mean_win / move == pytest.approx(gain / move, abs=2e-4)
    assert (1 - found.probability) * found.mean_loss / move == pytest.approx(loss / move, abs=2e-4)
    assert np.all(found.mean_win >= 0)
    assert np.all(found.mean_loss <= 1e-12 * spot)


def test_at_the_mids_of_its_own_legs_a_trade_expects_its_costs_whatever_the_smile() -> None:
    """A skewed condor bought at mid: the mean is minus the costs. Kills: one deviation for all legs of a quoted row."""
    from openbell.quant.black import prices

    right = np.array([[1.0, 1.0, -1.0, -1.0]])
    strike = np.array([[5_050.0, 5_060.0, 4_950.0, 4_940.0]])
    deviation = np.array([[0.0080, 0.0078, 0.0100, 0.0104]])
    ratio = np.array([[-1.0, 1.0, -1.0, 1.0]])
    mid = prices(right, np.full((1, 4), 5_000.0), strike, 1.0, deviation, 1.0)
    premium = (ratio * mid).sum(axis=1)
    found = price_odds(right, strike, ratio, premium, np.array([0.1]), np.array([5_000.0]), mid=mid)
    p = found.probability[0]
    assert found.basis[0] == 1
    assert 0.5 < p < 1.0
    assert p * found.mean_win[0] + (1 - p) * found.mean_loss[0] == pytest.approx(-0.1, abs=1e-9)
