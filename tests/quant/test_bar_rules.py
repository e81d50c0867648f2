"""What is wrong with a bar: each fault by itself, jumps beside what came before, and how bars may arrive."""

import numpy as np
import pytest

from openbell.core.errors import BadInput
from openbell.quant.bar_rules import ARRIVAL_CODES, CODES, PROOF_BARS, REASONS, Admission, bar_faults, moved

NAN = np.nan
PRICES = {"open", "high", "low", "close"}
GOOD = [10.0, 11.0, 9.0, 10.5, 100.0, 10.4, 10.6]


@pytest.mark.parametrize(
    ("place", "value", "fault"),
    [
        (0, NAN, "missing_field"),
        (4, NAN, "missing_field"),
        (3, 0.0, "bad_price"),
        (1, np.inf, "bad_price"),
        (2, -1.0, "bad_price"),
        (4, -1.0, "bad_volume"),
        (1, 10.2, "ohlc_order"),
        (2, 10.2, "ohlc_order"),
        (5, 10.7, "bad_quote"),
        (5, 0.0, "bad_quote"),
        (6, NAN, "good"),
        (4, 0.0, "good"),
    ],
)
def test_each_fault(place, value, fault):
    """Check 62 on received bars: high >= max(open, close) >= min(open, close) >= low, and the rest."""
    bar = [*GOOD]
    bar[place] = value
    codes = bar_faults(np.array([GOOD, bar]), {*PRICES, "volume"})
    assert [REASONS[code] for code in codes] == ["good", fault]


def test_rounding_of_single_precision_is_no_disorder():
    """Kills: a high refused for the last bit of a float32."""
    bars = np.array([[10.0, 10.0 * (1 - 1e-7), 10.0, 10.0, 1.0, NAN, NAN]])
    assert bar_faults(bars, PRICES).tolist() == [0]


def test_other_columns_are_refused():
    with pytest.raises(BadInput, match="7 columns"):
        bar_faults(np.zeros((2, 5)), PRICES)


def flat(closes):
    closes = np.asarray(closes, dtype=float)
    return np.column_stack([closes] * 4 + [np.ones(len(closes))] + [np.full(len(closes), NAN)] * 2)


def test_a_jump_is_measured_from_the_last_good_price():
    """Kills: the way back called a jump, and a bad bar that becomes the measure."""
    jumped, held = moved(np.zeros(6, np.int64), flat([100, 101, 10_150, 101, 1.01, 102]), np.array([NAN]))
    assert jumped.tolist() == [False, False, True, False, True, False]
    assert not held.any()


def test_a_spike_of_the_high_alone_is_a_jump():
    bars = flat([100.0, 100.0])
    bars[1, 1] = 9_000.0
    assert moved(np.zeros(2, np.int64), bars, np.array([NAN]))[0].tolist() == [False, True]


def test_a_level_that_holds_becomes_the_symbols_own():
    """Kills: a symbol lost for ever after a real reverse split, and one believed at once."""
    closes = [1.0] + [90.0] * (PROOF_BARS + 2)
    jumped, held = moved(np.zeros(len(closes), np.int64), flat(closes), np.array([NAN]))
    assert jumped.tolist() == [False] + [True] * (PROOF_BARS - 1) + [False] * 3
    assert held.tolist() == [False] * PROOF_BARS + [True, False, False]


def test_levels_before_and_symbols_apart():
    """Kills: one symbol measured by another's price, and a level before the first bar that is not looked at."""
    which = np.array([0, 0, 1], np.int64)
    jumped, _ = moved(which, flat([500.0, 501.0, 5.0]), np.array([5.0, NAN]))
    assert jumped.tolist() == [True, True, False]


def said(admission, which, at, closes):
    which, at = np.asarray(which, np.int64), np.asarray(at, np.int64)
    codes = admission.judge(which, at, flat(closes), np.zeros(len(at), np.uint8))
    return [REASONS[code] for code in codes]


def test_late_twice_out_of_order():
    """A bar behind the last of its symbol never goes on, and is told apart by how it came."""
    admission = Admission(2)
    assert said(admission, [0, 1], [5, 5], [10, 20]) == ["good", "good"]
    assert said(admission, [0, 0, 0, 1], [7, 6, 7, 6], [11, 11, 11, 21]) == ["good", "out_of_order", "twice", "good"]
    assert said(admission, [0, 0, 1], [7, 4, 6], [12, 10, 21]) == ["contradictory", "late", "twice"]
    assert admission.last_at_us.tolist() == [7, 6]


def test_a_refused_bar_leaves_no_trace():
    """Kills: a jump that moves the mark, so that the corrected bar of the same moment comes too late."""
    admission = Admission(1)
    assert said(admission, [0, 0, 0], [1, 2, 2], [10, 1_000, 10.1]) == ["good", "jump", "good"]
    faulty = admission.judge(
        np.zeros(1, np.int64), np.array([3]), flat([10.0]), np.array([CODES["bad_price"]], np.uint8)
    )
    assert faulty.tolist() == [CODES["bad_price"]]
    assert said(admission, [0], [3], [10.2]) == ["good"]


def test_state_goes_on_from_its_arrays():
    """Kills: a snapshot without the last bar, so that its repeat is new."""
    admission = Admission(1)
    said(admission, [0], [5], [10])
    admission.grow(3)
    again = Admission()
    again.from_arrays({name: array.copy() for name, array in admission.to_arrays().items()})
    assert again.symbols == 3
    assert said(again, [0, 2, 0], [5, 5, 6], [10, 7, 10_000]) == ["twice", "good", "jump"]


def test_codes_are_places():
    assert [REASONS[code] for code in (*CODES.values(), *ARRIVAL_CODES.values())] == list(REASONS)
