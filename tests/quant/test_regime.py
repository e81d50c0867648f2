"""Regime rules of Annex G: hand-built paths, a second formula in plain Python, and scalar against vector."""

import itertools
import math
import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openbell.core.errors import BadInput, DataMissing
from openbell.quant.regime import Regime, regime, regime_reading, regimes


def path(returns: list[float], start: float = 100.0) -> np.ndarray:
    return start * np.cumprod([1.0, *[1.0 + each for each in returns]])


def zigzag(up: float, down: float, sessions: int) -> list[float]:
    return [up if number % 2 else down for number in range(sessions)]


def second_formula(closes: list[float]) -> int:
    returns = [b / a - 1 for a, b in itertools.pairwise(closes)]
    volatility = statistics.stdev(returns[-20:]) * math.sqrt(252)
    drawdown = closes[-1] / max(closes[-252:]) - 1
    fast, slow = statistics.fmean(closes[-20:]), statistics.fmean(closes[-50:])
    if volatility > 0.25 or drawdown < -0.10 or fast < slow:
        return 0
    return 2 if volatility < 0.15 and drawdown > -0.05 and fast > slow else 1


def test_calm_rise_is_risk_on() -> None:
    assert regime(path([0.001] * 80)) == Regime.RISK_ON


def test_volatile_rise_is_risk_off() -> None:
    """Annualised volatility of ±2 % days is about 32 %; kills a mutant that ignores volatility."""
    reading = regime_reading(path(zigzag(0.024, -0.016, 100)))
    assert reading.volatility == pytest.approx(0.02 * math.sqrt(20 / 19) * math.sqrt(252))
    assert reading.sma_fast > reading.sma_slow
    assert reading.regime is Regime.RISK_OFF


def test_middling_volatility_is_normal() -> None:
    reading = regime_reading(path(zigzag(0.013, -0.011, 100)))
    assert 0.15 < reading.volatility < 0.25
    assert reading.regime is Regime.NORMAL


def test_falling_averages_are_risk_off() -> None:
    assert regime(path([-0.0005] * 80)) == Regime.RISK_OFF


@pytest.mark.parametrize(("drop", "expected"), [(0.049, 2), (0.051, 1), (0.099, 1), (0.101, 0)])
def test_drawdown_thresholds_on_both_sides(drop: float, expected: int) -> None:
    """check 54: one sign convention, both sides of each threshold. The drop recovers into an up-trend first."""
    rise = path([0.0005] * 100)
    # A fall of `drop` spread over 60 days, then a slow rise by which the short average is above the long one again.
    fall = rise[-1] * np.linspace(1.0, 1.0 - drop - 0.01, 60)[1:]
    back = fall[-1] * np.linspace(1.0, (1.0 - drop) / (1.0 - drop - 0.01), 60)[1:]
    closes = np.concatenate([rise, fall, back])
    reading = regime_reading(closes)
    assert reading.drawdown == pytest.approx(-drop)
    assert reading.sma_fast > reading.sma_slow
    assert reading.volatility < 0.15
    assert reading.regime == expected


def test_equal_averages_are_normal() -> None:
    assert regime(np.full(60, 50.0)) == Regime.NORMAL


def test_drawdown_forgets_after_252_sessions() -> None:
    """The peak of 252 sessions ago no longer counts: history that was loaded changes nothing."""
    crash = np.concatenate([[200.0], path([0.0001] * 250)])
    assert regime_reading(crash).drawdown < -0.4
    later = np.concatenate([crash, [crash[-1] * 1.0001]])
    assert regime_reading(later).drawdown == 0.0
    assert regime_reading(later).regime is Regime.RISK_ON


@given(st.integers(0, 2**32 - 1), st.integers(50, 400), st.floats(0.0005, 0.03), st.floats(-0.001, 0.002))
@settings(max_examples=40, deadline=None)
def test_vector_equals_scalar_and_second_formula(seed: int, count: int, daily: float, drift: float) -> None:
    closes = 100 * np.exp(np.cumsum(np.random.default_rng(seed).normal(drift, daily, count)))
    every = regimes(closes)
    assert len(every) == count
    assert (every[:49] == -1).all()
    for number in {49, count // 2, count - 1}:
        if number >= 49:
            assert every[number] == regime(closes[: number + 1]) == second_formula(closes[: number + 1].tolist())


def test_vector_is_bit_equal_in_its_measures() -> None:
    closes = 100 * np.exp(np.cumsum(np.random.default_rng(5).normal(0, 0.01, 700)))
    whole, tail = regime_reading(closes), regime_reading(closes[-252:])
    assert (whole.volatility, whole.drawdown, whole.sma_slow) == (tail.volatility, tail.drawdown, tail.sma_slow)


@pytest.mark.parametrize("closes", [np.zeros(0), np.full(49, 1.0)])
def test_short_or_absent_benchmark_is_missing_data(closes: np.ndarray) -> None:
    with pytest.raises(DataMissing, match=f"there were {len(closes)}"):
        regime(closes)
    with pytest.raises(DataMissing):
        regimes(closes)


@pytest.mark.parametrize("bad", [np.nan, 0.0, -1.0, np.inf])
def test_an_impossible_close_is_refused(bad: float) -> None:
    closes = np.full(60, 10.0)
    closes[30] = bad
    with pytest.raises(BadInput, match="number 30"):
        regime(closes)


def test_input_is_not_changed() -> None:
    """check 43: pure; ten calls give one answer."""
    closes = path([0.001] * 80)
    before = closes.copy()
    assert len({regime(closes) for _ in range(10)}) == 1
    assert (closes == before).all()


def test_labels() -> None:
    assert [each.label for each in Regime] == ["Risk-Off", "Normal", "Risk-On"]
