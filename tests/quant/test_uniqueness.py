"""Uniqueness of overlapping labels against a plain count, session by session."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openbell.core.errors import BadInput
from openbell.quant.uniqueness import average_uniqueness, uniqueness_weights


def plain(first, last, symbol):
    """The definition, one session at a time."""
    found = []
    for begin, end, name in zip(first, last, symbol, strict=True):
        shares = []
        for session in range(begin, end + 1):
            holders = sum(1 for b, e, who in zip(first, last, symbol, strict=True) if who == name and b <= session <= e)
            shares.append(1 / holders)
        found.append(sum(shares) / len(shares))
    return found


labels = st.lists(
    st.tuples(st.integers(-20, 40), st.integers(0, 12), st.sampled_from(["A", "B", "C"])), min_size=1, max_size=25
)


@settings(max_examples=100, deadline=None)
@given(labels)
def test_it_is_the_definition(rows):
    first = np.array([row[0] for row in rows])
    last = first + np.array([row[1] for row in rows])
    symbol = np.array([row[2] for row in rows])
    found = average_uniqueness(first, last, symbol)
    np.testing.assert_allclose(found, plain(first.tolist(), last.tolist(), symbol.tolist()), rtol=1e-12)
    weights = uniqueness_weights(first, last, symbol)
    assert weights.sum() == pytest.approx(len(rows))
    assert (weights > 0).all()


def test_by_hand():
    """Lopez de Prado's three labels: sessions 0-2, 2-3 and 4-5; one session is shared by two."""
    found = average_uniqueness([0, 2, 4], [2, 3, 5])
    np.testing.assert_allclose(found, [(1 + 1 + 0.5) / 3, (0.5 + 1) / 2, 1.0])


def test_labels_that_do_not_overlap_weigh_one_exactly():
    """Weekly rows with a horizon of five sessions touch and do not overlap; names never share."""
    first = np.tile(np.arange(0, 500, 5), 3)
    symbol = np.repeat(["A", "B", "C"], 100)
    assert (uniqueness_weights(first, first + 4, symbol) == 1.0).all()
    assert (uniqueness_weights(first, first + 5, symbol) != 1.0).any()
    assert average_uniqueness([7] * 4, [9] * 4).tolist() == pytest.approx([0.25] * 4)


def test_daily_rows_share_their_horizon():
    """Away from the edges each of the overlapping labels is worth one fifth."""
    first = np.arange(100)
    found = average_uniqueness(first, first + 4)
    np.testing.assert_allclose(found[10:-10], 0.2)
    assert found[0] > found[10]


def test_no_labels_have_no_weights():
    assert uniqueness_weights(np.empty(0, dtype=int), np.empty(0, dtype=int)).shape == (0,)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (([3], [2]), "sessions 3 to 2"),
        (([0.5], [2]), "float64"),
        (([0, 1], [2]), "2, 1 and 2"),
        (([[0]], [[2]]), r"\(1, 1\)"),
    ],
)
def test_impossible_labels_are_refused(arguments, said):
    with pytest.raises(BadInput, match=said):
        average_uniqueness(*arguments)
