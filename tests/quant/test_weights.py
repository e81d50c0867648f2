"""Base weights, and caps that hold after every renormalisation (check 42)."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq

from openbell.core.errors import BadInput
from openbell.quant.weights import (
    capped,
    equal_weights,
    inverse_volatility_weights,
    score_weights,
    sector_names,
)

bases = st.lists(st.one_of(st.just(0.0), st.floats(1e-6, 1e6)), min_size=1, max_size=40)


def test_equal() -> None:
    assert equal_weights(4).tolist() == [0.25] * 4
    with pytest.raises(BadInput):
        equal_weights(0)


def test_score_by_hand() -> None:
    """Scores 0, 1, 2: raw 1, 2, 3 where the best weighs three times the worst."""
    assert score_weights([0.0, 1.0, 2.0]) == pytest.approx([1 / 6, 2 / 6, 3 / 6])
    assert score_weights([0.0, 2.0], best_to_worst=1.0) == pytest.approx([0.5, 0.5])
    assert score_weights([-3.0, -3.0]).tolist() == [0.5, 0.5]


@given(st.lists(st.integers(-100, 100), min_size=2, max_size=20), st.floats(0.01, 100), st.floats(-50, 50))
@settings(deadline=None)
def test_score_weights_do_not_depend_on_the_unit(scores: list[int], a: float, b: float) -> None:
    values = np.array(scores, dtype=float)
    assert score_weights(a * values + b) == pytest.approx(score_weights(values), abs=1e-9)
    assert score_weights(values).sum() == pytest.approx(1.0)
    assert (np.argsort(score_weights(values), kind="stable") == np.argsort(values, kind="stable")).all()


def test_inverse_volatility_by_hand() -> None:
    assert inverse_volatility_weights([0.1, 0.2, 0.4]) == pytest.approx([4 / 7, 2 / 7, 1 / 7])


@pytest.mark.parametrize("bad", [[0.0, 0.1], [-0.1], [float("nan")], []])
def test_volatility_that_cannot_be_inverted_is_refused(bad: list[float]) -> None:
    with pytest.raises(BadInput):
        inverse_volatility_weights(bad)


def test_scores_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(BadInput, match="1 of 2"):
        score_weights([1.0, float("nan")])
    with pytest.raises(BadInput, match="best_to_worst"):
        score_weights([1.0], best_to_worst=0.5)


def test_name_cap_by_hand() -> None:
    """check 42. 0.7 is cut to 0.4; the rest shares 0.6 as 2 : 1. One-pass clipping would renormalise above the cap."""
    assert capped([0.7, 0.2, 0.1], max_weight=0.4, max_sector_weight=1.0) == pytest.approx([0.4, 0.4, 0.2])


def test_sector_cap_by_hand() -> None:
    """A and B fill their sector's 0.3 as 2 : 1; C and D share the other 0.7, C held at its cap of 0.5."""
    weights = capped([0.4, 0.2, 0.3, 0.1], ["x", "x", "y", "z"], max_weight=0.5, max_sector_weight=0.5)
    assert weights == pytest.approx([1 / 3, 1 / 6, 0.375, 0.125])
    tight = capped([0.4, 0.2, 0.3, 0.1], ["x", "x", "y", "z"], 1.0, 0.5, 0.3)
    assert tight == pytest.approx([0.2, 0.1, 0.3, 0.3])


def test_infeasible_caps_leave_explicit_cash() -> None:
    """check 42: 4 names at 0.15 hold 0.6; 0.4 is left for the caller's cash, not spread above the cap."""
    weights = capped(equal_weights(4), max_weight=0.15)
    assert weights.tolist() == [0.15] * 4


def test_unknown_sectors_count_as_one_unless_all_are_unknown() -> None:
    assert sector_names([None, "x"]) == ["Unknown", "x"]
    assert sector_names([None, None]) is None
    some = capped(equal_weights(6), [None] * 4 + ["x", "y"], max_weight=1.0, max_sector_weight=0.3)
    assert some[:4].sum() == pytest.approx(0.3)
    assert capped(equal_weights(6), [None] * 6, max_weight=1.0, max_sector_weight=0.3).sum() == pytest.approx(1.0)


@given(
    bases,
    st.floats(0.0, 1.0),
    st.floats(0.01, 1.0),
    st.floats(0.01, 1.0),
    st.integers(1, 6),
    st.integers(0, 2**32 - 1),
)
@settings(deadline=None, max_examples=100)
def test_caps_hold_and_nothing_is_left_lying(
    base: list[float], gross: float, cap: float, sector_cap: float, sectors: int, seed: int
) -> None:
    """check 42 as a property: both caps hold, and the sum is the gross or the most that the caps allow."""
    weights = np.array(base)
    before = weights.copy()
    labels = np.random.default_rng(seed).integers(0, sectors, len(base)).astype(str)
    out = capped(weights, labels.tolist(), gross, cap, sector_cap)
    assert (weights == before).all()
    assert (out >= 0).all()
    assert (out <= cap).all()
    assert (out[weights == 0] == 0).all()
    totals = np.array([out[labels == each].sum() for each in np.unique(labels)])
    assert (totals <= sector_cap + 1e-12).all()
    assert out.sum() <= gross + 1e-12
    room = sum(min((labels[weights > 0] == each).sum() * cap, sector_cap) for each in np.unique(labels))
    assert out.sum() == pytest.approx(min(gross, room), abs=1e-9)
    again = capped(weights, labels.tolist(), gross, cap, sector_cap)
    assert (out == again).all()


@given(st.lists(st.floats(0.01, 100), min_size=2, max_size=15), st.integers(0, 1000))
@settings(deadline=None)
def test_levels_against_a_root_finder(base: list[float], seed: int) -> None:
    """Oracle: the same min(ceiling, level * base) with the levels found by Brent's method."""
    weights = np.array(base)
    labels = np.random.default_rng(seed).integers(0, 3, len(base))
    cap, sector_cap, gross = 0.2, 0.45, 0.9

    def level(b: np.ndarray, ceiling: np.ndarray, total: float) -> np.ndarray:
        if ceiling.sum() <= total:
            return ceiling
        return np.minimum(ceiling, brentq(lambda x: np.minimum(ceiling, x * b).sum() - total, 0, 1e6, xtol=1e-15) * b)

    ceilings = np.full(len(base), cap)
    for each in np.unique(labels):
        ceilings[labels == each] = level(weights[labels == each], ceilings[labels == each], sector_cap)
    expected = level(weights, ceilings, gross)
    assert capped(weights, labels.astype(str).tolist(), gross, cap, sector_cap) == pytest.approx(expected, abs=1e-7)


def test_names_below_their_caps_keep_their_proportions() -> None:
    out = capped([0.5, 0.2, 0.1, 0.1], max_weight=0.3, gross=0.7)
    assert out[1] / out[2] == pytest.approx(2.0)
    assert out[0] == 0.3


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"weights": [-0.1, 0.2]}, "negative"),
        ({"weights": [np.nan, 0.2]}, "finite"),
        ({"gross": 1.2}, "gross"),
        ({"max_weight": 0.0}, "max_weight"),
        ({"max_sector_weight": 1.5}, "max_sector_weight"),
        ({"sectors": ["x"]}, "one sector"),
    ],
)
def test_bad_input_is_refused(change: dict, word: str) -> None:
    with pytest.raises(BadInput, match=word):
        capped(**{"weights": [0.5, 0.5], **change})


def test_no_names_and_no_weight() -> None:
    assert capped([]).tolist() == []
    assert capped([0.0, 0.0]).tolist() == [0.0, 0.0]
