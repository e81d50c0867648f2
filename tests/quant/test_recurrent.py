"""Windows of consecutive rows, against a walk by hand; and what a network of plain arrays says."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openbell.core.errors import BadInput
from openbell.quant.recurrent import Recurrent, torch_library, windows


@st.composite
def ragged(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, int]:
    """Rows of symbols with gaps, in any order."""
    pairs = draw(st.sets(st.tuples(st.integers(0, 12), st.sampled_from("abc")), min_size=1, max_size=30))
    shuffled = draw(st.permutations(sorted(pairs)))
    return np.array([t for t, _ in shuffled]), np.array([s for _, s in shuffled]), draw(st.integers(1, 5))


@given(ragged())
@settings(max_examples=80, deadline=None)
def test_windows_are_those_of_a_walk_by_hand(case):
    """Kills an off-by-one, a window across symbols, and an order by row instead of by time."""
    t, symbol, length = case
    expected = {}
    for name in set(symbol):
        own = [row for row in np.argsort(t, kind="stable").tolist() if symbol[row] == name]
        expected |= {own[at]: own[at - length + 1 : at + 1] for at in range(length - 1, len(own))}
    found = windows(t, symbol, length)
    index = found.index(np.arange(len(found.ends)))
    assert dict(zip(found.rows.tolist(), index.tolist(), strict=True)) == expected


def test_dates_are_counted_in_days_and_what_cannot_be_ordered_is_refused():
    days = np.array(["2020-01-01", "2020-01-08", "2020-01-15"], dtype="datetime64[D]")
    assert windows(days, np.array(["a"] * 3), 2).spacing == 7.0
    assert windows(days[:1], np.array(["a"]), 2).spacing == 0.0
    for t, symbol, length in ((days[[0, 0]], ["a", "a"], 1), (days[:2], ["a", None], 1), (days[:2], ["a", "b"], 0)):
        with pytest.raises(BadInput, match=r"two rows|are missing|at least 1"):
            windows(t, np.array(symbol, dtype=object), length)


def network(classes: int = 0) -> Recurrent:
    rng = np.random.default_rng(0)
    shapes = {
        "lstm.weight_ih_l0": (16, 3), "lstm.weight_hh_l0": (16, 4), "lstm.bias_ih_l0": (16,),
        "lstm.bias_hh_l0": (16,), "head.weight": (max(classes, 1), 4), "head.bias": (max(classes, 1),),
    }  # fmt: skip
    tensors = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    return Recurrent(3, 4, 2, classes, 10.0, 2.0, 1.0, tensors)


def by_hand(net: Recurrent, rows: np.ndarray) -> np.ndarray:
    """The equations of an LSTM, gate by gate (input, forget, cell, output)."""
    w = {name: values.astype(np.float64) for name, values in net.tensors.items()}
    hidden = cell = np.zeros(net.hidden_size)
    for row in rows:
        gates = w["lstm.weight_ih_l0"] @ row + w["lstm.weight_hh_l0"] @ hidden
        i, f, g, o = np.split(gates + w["lstm.bias_ih_l0"] + w["lstm.bias_hh_l0"], 4)
        i, f, o = (1 / (1 + np.exp(-each)) for each in (i, f, o))
        cell = f * cell + i * np.tanh(g)
        hidden = o * np.tanh(cell)
    return w["head.weight"] @ hidden + w["head.bias"]


def test_it_says_what_the_equations_say():
    """Kills another order of gates, a lost bias, and a scale that is not undone; a missing value counts as 0."""
    rows = np.random.default_rng(1).standard_normal((5, 3)).astype(np.float32)
    rows[2, 1] = np.nan
    t, symbol, clean = np.arange(5), np.array(["a"] * 5), np.nan_to_num(rows)
    said = network().predict(rows, t=t, symbol=symbol)
    assert np.isnan(said[0])
    wanted = [by_hand(network(), clean[at - 1 : at + 1])[0] * 2.0 + 10.0 for at in range(1, 5)]
    np.testing.assert_allclose(said[1:], wanted, rtol=1e-5)
    logits = np.array([by_hand(network(3), clean[at - 1 : at + 1]) for at in range(1, 5)])
    wanted = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(network(3).predict_proba(rows, t=t, symbol=symbol)[1:], wanted, rtol=1e-5)


def test_taken_apart_and_put_together_it_is_the_same():
    plain, tensors = network(3).to_tensors()
    again = Recurrent.from_tensors(plain, tensors)
    assert again.to_tensors()[0] == plain
    assert torch_library().get_num_threads() == 1
