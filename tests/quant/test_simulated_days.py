"""Made-up days: whole bars, a martingale without an edge, the planted correlation with one, nothing else changed."""

from __future__ import annotations

import numpy as np
import pytest

from openbell.core.errors import BadInput
from openbell.quant.simulated_days import simulated_days

DAYS, BARS, EARLY = 6_000, 78, 9


def parts(edge: float) -> tuple[np.ndarray, np.ndarray]:
    """Log returns of the early part and of the rest of each day."""
    made = simulated_days(DAYS, BARS, EARLY, seed=3, edge=edge)
    early = np.log(made.close[:, EARLY - 1] / made.open[:, 0])
    return early, np.log(made.close[:, -1] / made.close[:, EARLY - 1])


def test_bars_are_whole_and_follow_each_other() -> None:
    """Mutant: a high below the open, or a bar that opens elsewhere than the one before closed."""
    made = simulated_days(50, BARS, EARLY, seed=1)
    assert (made.high >= np.maximum(made.open, made.close)).all()
    assert (made.low <= np.minimum(made.open, made.close)).all()
    assert np.allclose(made.open[:, 1:], made.close[:, :-1], rtol=1e-12)
    assert (made.volume > 0).all()


@pytest.mark.parametrize("edge", [0.0, 0.3, -0.2])
def test_the_edge_is_the_correlation_that_was_asked_for(edge: float) -> None:
    """Mutant: the lean without its square root, which makes the correlation another one. Band: four standard errors."""
    early, rest = parts(edge)
    ranks = [np.argsort(np.argsort(each)) for each in (early, rest)]
    found = 2.0 * np.sin(np.pi / 6.0 * np.corrcoef(*ranks)[0, 1])
    assert found == pytest.approx(edge, abs=4.0 / np.sqrt(DAYS))


def test_what_is_planted_does_not_show_in_the_spread_of_days() -> None:
    """Mutant: an edge on top of the noise, so that volatility tells of it."""
    spread = {edge: np.std(parts(edge)[1]) for edge in (0.0, 0.5)}
    assert spread[0.5] == pytest.approx(spread[0.0], rel=0.03)


def test_the_same_seed_is_the_same_market_and_another_is_not() -> None:
    """Mutant: a generator without its seed."""
    one, two, other = (simulated_days(5, BARS, EARLY, seed=seed).close for seed in (1, 1, 2))
    assert np.array_equal(one, two)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize(("edge", "early", "said"), [(1.0, 9, "was 1.0"), (0.0, 78, "was 78"), (0.0, 0, "was 0")])
def test_what_cannot_be_is_refused(edge: float, early: int, said: str) -> None:
    """Mutant: a check that lets the ends of the range through."""
    with pytest.raises(BadInput, match=said):
        simulated_days(10, BARS, early, seed=0, edge=edge)
