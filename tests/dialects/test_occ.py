"""OCC symbols read and written, both forms, and the sentences of what is refused."""

import datetime as dt

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openbell.core.errors import BadInput
from openbell.core.types import Right
from openbell.dialects.occ import OccSymbol, occ_columns, occ_expression, occ_symbol

ROOTS = st.from_regex(r"[A-Z]{1,4}[0-9]{0,2}", fullmatch=True)
SYMBOLS = st.builds(
    OccSymbol,
    root=ROOTS,
    expiry=st.dates(dt.date(2000, 1, 1), dt.date(2099, 12, 31)),
    right=st.sampled_from(Right),
    strike=st.integers(1, 99_999_999).map(lambda thousandths: thousandths / 1000),
)


@settings(deadline=None)
@given(SYMBOLS)
def test_what_is_printed_is_read_back(symbol):
    """Property, check 30: parse(format(x)) == x, both ways. Kills: a strike cut instead of rounded, a root's digits
    taken for the year."""
    assert occ_symbol(symbol.padded) == symbol == occ_symbol(symbol.compact)
    assert len(symbol.padded) == 21
    assert occ_symbol(symbol.padded).padded == symbol.padded


@settings(deadline=None, max_examples=40)
@given(st.lists(SYMBOLS, min_size=1, max_size=20))
def test_many_at_once_are_each_alone(symbols):
    """Kills: a column of `occ_columns` or of `occ_expression` that follows another rule than `occ_symbol`."""
    frame = occ_columns(pl.Series([each.padded if at % 2 else each.compact for at, each in enumerate(symbols)]))
    alone = [(each.root, each.expiry, each.right.value, each.strike) for each in symbols]
    assert frame.rows() == alone
    assert frame.select(occ_expression()).to_series().to_list() == [each.compact for each in symbols]


def test_worked_symbols():
    """By hand from the symbology's own examples."""
    assert occ_symbol("SPXW  230914C04500000") == OccSymbol("SPXW", dt.date(2023, 9, 14), Right.CALL, 4500.0)
    assert occ_symbol("AAPL1 251010P00127500").strike == 127.5
    assert occ_symbol("AAPL1251010P00127500").root == "AAPL1"
    assert occ_symbol("AAPL1251010P00127500").adjusted
    assert not occ_symbol("SPX230915C00200000").adjusted
    assert OccSymbol("F", dt.date(2026, 1, 16), Right.PUT, 9.32).compact == "F260116P00009320"


@pytest.mark.parametrize(
    ("text", "because"),
    [
        ("SPX", "it has 3 characters"),
        ("SPXW230914X04500000", "its last 15 characters"),
        ("SPXW231314C04500000", "2023-13-14 is not a day"),
        ("spxw230914C04500000", "must be in capitals"),
        ("BRK.B230915C00300000", "is no root"),
        ("SPXW230914C00000000", "strikes from 0.001"),
        ("", "0 characters"),
    ],
)
def test_what_is_no_symbol_is_refused_with_its_fault(text, because):
    with pytest.raises(BadInput, match=because):
        occ_symbol(text)


@pytest.mark.parametrize(
    ("change", "because"),
    [
        ({"strike": 100_000.0}, "strikes from 0.001"),
        ({"strike": 1.00005}, "thousandths"),
        ({"strike": float("nan")}, "strikes from 0.001"),
        ({"root": "TOOLONGER"}, "1 to 6 capitals"),
        ({"expiry": dt.date(1999, 1, 1)}, "2000 to 2099"),
    ],
)
def test_what_has_no_symbol_is_refused(change, because):
    terms = {"root": "SPX", "expiry": dt.date(2023, 9, 15), "right": Right.CALL, "strike": 4500.0} | change
    with pytest.raises(BadInput, match=because):
        OccSymbol(**terms)


def test_a_text_that_is_no_symbol_is_a_row_of_nulls():
    """Kills: a half-read row, such as a strike without its day."""
    frame = occ_columns(pl.Series(["SPXW231314C04500000", None, "SPXW230914C00000000", "LONGROOT230914C04500000"]))
    assert all(value is None for row in frame.rows() for value in row)
