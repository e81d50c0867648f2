"""Bar programs: a history and the newest bar are one walk; states are kept, grown, interleaved and refused."""

import io

import numpy as np
import polars as pl
import pytest
from tests.quant.bar_markets import bars, values

from openbell.core.declare import discover
from openbell.core.errors import BadInput, DeclarationError, LeakFound
from openbell.quant import expressions as words
from openbell.quant.bar_programs import BarProgram, ProgramState, compile_program
from openbell.quant.reach import feature_reach, lookback

CLOSE, OPEN, VOLUME = pl.col("close"), pl.col("open"), pl.col("volume")
SMALL = {
    "average": words.sma(CLOSE, 3),
    "spread": words.standard_deviation(words.log_return, 4),
    "strength": words.wilder(words.change, 5),
    "top": words.highest(CLOSE, 6),
    "line": words.trend_slope(CLOSE, 5),
    "median": CLOSE.rolling_median(5, min_samples=2),
    "age": words.rows_since(CLOSE > OPEN, 4),
    "gap": OPEN / CLOSE.shift(1) - 1.0,
}


@pytest.fixture(scope="module")
def every() -> BarProgram:
    return compile_program({each.name: each.expression for each in _features()})


def _features():
    return [each for each in discover().features.values() if each.reads == "bars"]


def _equal(one, other):
    """The same to the last bit, the sign of zero included; a null is a null whatever its bits."""
    there = ~np.isnan(one)
    np.testing.assert_array_equal(there, ~np.isnan(other))
    np.testing.assert_array_equal(one[there].view(np.int64), other[there].view(np.int64))


def test_bar_by_bar_is_the_history_to_the_last_bit(every):
    """Checks 1 and 2: three symbols' bars arrive mixed, one state keeps them, and it grows when a symbol is new."""
    rows = [values(bars(seed, 420 + 30 * seed, missing=0.03), every.columns) for seed in (1, 2, 3)]
    starts = np.cumsum([0, *(len(each) for each in rows)])
    wanted = every.history(starts, np.concatenate(rows))
    order = np.random.default_rng(0).permutation(np.repeat([0, 1], [len(each) for each in rows[:2]]))
    seen, state = [0, 0, 0], every.state(2)
    for batch in np.array_split(order, 97):
        places = []
        for each in batch:
            places.append(seen[each])
            seen[each] += 1
        handed = np.array([rows[each][place] for each, place in zip(batch, places, strict=True)])
        said = every.advance(state, batch, handed)
        _equal(said, wanted[[starts[each] + place for each, place in zip(batch, places, strict=True)]])
    state.grow(3)
    said = np.concatenate([every.advance(state, np.array([2]), row[None]) for row in rows[2]])
    _equal(said, wanted[starts[2] :])


def test_a_state_that_was_kept_goes_on_as_if_it_had_not(every):
    """Check 3. Kills: a place, a recursion or a count that is not in the arrays."""
    handed = values(bars(4, 700), every.columns)
    wanted = every.history(np.array([0, 700]), handed)
    state = every.state(1)
    for row in handed[:511]:
        every.advance(state, np.array([0]), row[None])
    buffer = io.BytesIO()
    np.savez(buffer, **state.to_arrays())
    buffer.seek(0)
    with np.load(buffer, allow_pickle=False) as arrays:
        restored = ProgramState.from_arrays(arrays, every)
    said = np.concatenate([every.advance(restored, np.array([0]), row[None]) for row in handed[511:]])
    _equal(said, wanted[511:])
    assert restored.nbytes == state.nbytes == state.memory.nbytes


def test_what_is_kept_is_a_copy():
    """Kills: arrays that the next bar still changes."""
    program = compile_program(SMALL)
    state = program.state(1)
    kept = state.to_arrays()
    before = kept["memory"].copy()
    program.advance(state, np.array([0]), np.ones((1, len(program.columns))))
    np.testing.assert_array_equal(kept["memory"], before)


def test_a_finite_window_forgets_to_the_last_bit(every):
    """What lies before the look-back of a window leaves no trace. Kills: any running sum of what is not whole."""
    finite = [each for each in _features() if not feature_reach(each).recursive]
    handed = values(bars(5, 900), every.columns)
    whole = every.history(np.array([0, 900]), handed)
    late = every.history(np.array([0, 600]), handed[300:])
    checked = 0
    for each in finite:
        first, place = lookback(each) - 1, every.names.index(each.name)
        if first < 600:
            _equal(late[first:, place], whole[300 + first :, place])
            checked += 1
    assert checked > 100


def test_threads_and_the_order_of_symbols_change_nothing(every):
    """One, two and five threads; symbols without a bar, and none at all."""
    rows = [values(bars(seed, 150), every.columns) for seed in range(4)]
    starts = np.array([0, 0, 150, 300, 300, 450, 600])
    wanted = every.history(starts, np.concatenate(rows))
    for jobs in (2, 5):
        _equal(every.history(starts, np.concatenate(rows), jobs=jobs), wanted)
    _equal(wanted[450:], every.history(np.array([0, 150]), rows[3]))
    for nothing in ([0], [0, 0]):
        assert every.history(np.array(nothing), np.empty((0, len(every.columns))), jobs=2).shape == (
            0,
            len(every.names),
        )


def test_what_expressions_share_is_one_step():
    """Two features written alike, and one by its shared column. Kills: keys that hold the feature's name."""
    program = compile_program(
        {"a": CLOSE - CLOSE.shift(1), "b": words.change.abs(), "c": (CLOSE - CLOSE.shift(1)) * 2.0}
    )
    # The close is kept once, then one shift, one difference, one absolute value, one product.
    assert program.steps == 5
    assert (program.columns, program.names, program.depth) == (("close",), ("a", "b", "c"), 2)


def test_a_number_by_hand():
    """Rows of 1, 2, null, 4, 8: a mean of two that may hold one null, the change, and the exponential mean by 1/2."""
    program = compile_program(
        {
            "mean": CLOSE.rolling_mean(2, min_samples=1),
            "change": CLOSE - CLOSE.shift(1),
            "smooth": CLOSE.ewm_mean(alpha=0.5, adjust=False, ignore_nulls=False),
            "count": CLOSE.is_null().cast(pl.Float64).rolling_sum(3, min_samples=2),
        }
    )
    said = program.history(np.array([0, 5]), np.array([[1.0], [2.0], [np.nan], [4.0], [8.0]]))
    # Behind the gap the past weighs (1/2)^2 beside 1/2: 1.5 / 3 + 4 * 2 / 3 = 19 / 6.
    wanted = [[1, None, 1, None], [1.5, 1, 1.5, 0], [2, None, None, 1], [4, None, 19 / 6, 1], [6, 4, 67 / 12, 1]]
    np.testing.assert_allclose(said, np.array(wanted, dtype=float), rtol=1e-15)


@pytest.mark.parametrize(
    ("expression", "kind", "word"),
    [
        (CLOSE.rolling_rank(5), DeclarationError, "RollingRank"),
        (CLOSE.ewm_std(alpha=0.2, ignore_nulls=False), DeclarationError, "EwmStd"),
        (CLOSE.round(2), DeclarationError, "Round"),
        (CLOSE.is_nan(), DeclarationError, "IsNan"),
        (CLOSE.cum_sum(), DeclarationError, "CumSum"),
        (CLOSE.rank(), LeakFound, "Rank"),
        (CLOSE.mean(), LeakFound, "Agg"),
        (CLOSE.shift(-1), LeakFound, "rows to come"),
        (CLOSE.rolling_mean(3, center=True), LeakFound, "centred"),
        (CLOSE.cast(pl.Int32), DeclarationError, "Int32"),
        (pl.when(CLOSE.eq(pl.lit("x"))).then(1.0), DeclarationError, "literal"),
        (CLOSE.eq_missing(OPEN), DeclarationError, "EqValidity"),
        (CLOSE.rolling_sum(3, weights=[1.0, 2.0, 3.0], min_samples=1), DeclarationError, "need not be full"),
        (CLOSE.rolling_std(3, weights=[1.0, 2.0, 3.0]), DeclarationError, "weights"),
        (CLOSE.rolling_sum(3, min_samples=0), DeclarationError, "min_samples=0"),
        (CLOSE.rolling_skew(9, bias=False), DeclarationError, "biased"),
        (CLOSE.rolling_quantile(0.5, "equiprobable", 5), DeclarationError, "Equiprobable"),
        (CLOSE.shift(1, fill_value=0.0), DeclarationError, "ShiftAndFill"),
        (pl.col("closing"), DeclarationError, "close"),
        (pl.col("net_income"), DeclarationError, "net_income"),
    ],
)  # fmt: skip
def test_what_has_no_step_is_refused_by_the_name_of_the_feature(expression, kind, word):
    with pytest.raises(kind, match=r"The feature `odd`: .*") as refusal:
        compile_program({"plain": CLOSE + 1.0, "odd": expression})
    assert word in str(refusal.value)


def test_the_digest_is_of_what_is_computed():
    """Kills: a digest of names alone, of windows without their names, or of the memory address."""
    digests = {
        compile_program(each).digest
        for each in (
            {"a": words.sma(CLOSE, 3)}, {"a": words.sma(CLOSE, 4)}, {"b": words.sma(CLOSE, 3)},
            {"a": words.sma(OPEN, 3)}, {"a": CLOSE + 1.0}, {"a": CLOSE + 2.0}, {"a": CLOSE + pl.lit(None)},
            {"a": CLOSE, "b": OPEN}, {"b": OPEN, "a": CLOSE}, {"a": words.ema(CLOSE, 3)}, {"a": words.ema(CLOSE, 4)},
        )
    }  # fmt: skip
    assert len(digests) == 11
    assert compile_program(SMALL).digest == compile_program(dict(SMALL)).digest


def test_the_state_of_another_program_is_refused():
    program, other = compile_program(SMALL), compile_program({"top": SMALL["top"]})
    state = program.state(2)
    arrays = state.to_arrays()
    with pytest.raises(BadInput, match="other features, or another version"):
        ProgramState.from_arrays(arrays, other)
    with pytest.raises(BadInput, match="another bar program"):
        other.advance(state, np.array([0]), np.zeros((1, 1)))
    with pytest.raises(BadInput, match="`digest` is missing"):
        ProgramState.from_arrays({"memory": arrays["memory"]}, program)
    with pytest.raises(BadInput, match="symbols by"):
        ProgramState.from_arrays({**arrays, "memory": arrays["memory"][:, 1:]}, program)


@pytest.mark.parametrize("damage", [np.nan, -1.0, 0.5, 1e9])
def test_a_damaged_place_is_refused(damage):
    """Kills: a kernel that reads outside of its memory where the file told it to."""
    program = compile_program(SMALL)
    arrays = program.state(2).to_arrays()
    arrays["memory"][1, 0] = damage
    with pytest.raises(BadInput, match="damaged"):
        ProgramState.from_arrays(arrays, program)


def test_wrong_shapes_are_refused_in_words():
    program = compile_program({"a": CLOSE + OPEN})
    state, row = program.state(2), np.zeros((1, 2))
    for which in ([2], [-1]):
        with pytest.raises(BadInput, match="the state has 2 symbols"):
            program.advance(state, np.array(which), row)
    with pytest.raises(BadInput, match="one symbol per row"):
        program.advance(state, np.array([0, 1]), row)
    with pytest.raises(BadInput, match="2 columns close, open"):
        program.advance(state, np.array([0]), np.zeros((1, 3)))
    for starts in ([0, 2], [1, 1], [0, 2, 1], []):
        with pytest.raises(BadInput, match="`starts` must rise from 0 to the number of rows, 1"):
            program.history(np.array(starts), row)
    with pytest.raises(BadInput, match="`jobs` must be at least 1; was 0"):
        program.history(np.array([0, 1]), row, jobs=0)
    with pytest.raises(BadInput, match="cannot shrink to 1"):
        state.grow(1)
    with pytest.raises(BadInput, match="at least one expression"):
        compile_program({})


def test_a_symbol_that_comes_twice_has_two_bars():
    program = compile_program({"change": CLOSE - CLOSE.shift(1)})
    said = program.advance(program.state(1), np.array([0, 0, 0]), np.array([[1.0], [3.0], [7.0]]))
    np.testing.assert_array_equal(said[:, 0], [np.nan, 2.0, 4.0])


def test_rows_that_may_not_be_written_to_compile_nothing_new():
    """What Polars hands over is often read-only, and so are slices turned round."""
    from openbell.quant.bar_kernel import walk

    program = compile_program({"sum": CLOSE + OPEN})
    rows = np.arange(12.0).reshape(2, 6).T
    wanted = program.history(np.array([0, 6]), rows.copy())
    known = len(walk.signatures)
    rows.flags.writeable = False
    which = np.arange(6)
    which.flags.writeable = False
    _equal(program.history(np.array([0, 6]), rows), wanted)
    _equal(program.advance(program.state(6), which, rows), wanted)
    assert len(walk.signatures) == known
