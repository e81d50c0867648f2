"""Positions from outside: taken over whole or not at all, and compared."""

import datetime as dt
from pathlib import Path

import polars as pl
import pytest

from openbell.core.errors import BadInput
from openbell.core.types import Book
from openbell.trade.positions import book
from openbell.trade.statements import import_positions, read_statement, reconcile

MONDAY = dt.date(2020, 3, 16)
TUESDAY = dt.date(2020, 3, 17)
KNOWN = {"AAPL", "MSFT", "IBM"}


@pytest.fixture
def write(tmp_path: Path):
    def written(text: str) -> Path:
        file = tmp_path / "positions.csv"
        file.write_text(text, encoding="utf-8")
        return file

    return written


def marks() -> pl.DataFrame:
    return pl.DataFrame(
        [("AAPL", MONDAY, 60.0), ("MSFT", MONDAY, 140.0), ("AAPL", TUESDAY, 66.0), ("MSFT", TUESDAY, 140.0)],
        schema={"symbol": pl.String, "session": pl.Date, "price_usd": pl.Float64},
        orient="row",
    )


def test_import_and_book(journal, write, as_of) -> None:
    """Imported value is a flow, not a gain; the next day's rise is a gain."""
    file = write("symbol,shares,cost\nAAPL,100,55.5\nMSFT,10.0,\nCASH,1234.56,\n")
    at = as_of(MONDAY) - dt.timedelta(seconds=1)
    record = import_positions(journal, file, known=KNOWN, session=MONDAY, at=at)
    assert record.payload["shares"] == {"AAPL": 100, "MSFT": 10}
    assert record.payload["cost_usd"] == {"AAPL": 55.5}
    held = book(journal, as_of(dt.date(2020, 3, 18)), marks(), 50_000.0)
    assert (held.shares, held.cash_usd) == ({"AAPL": 100, "MSFT": 10}, 1_234.56)
    value = 1_234.56 + 6_000.0 + 1_400.0
    assert held.equity["equity_usd"].to_list() == pytest.approx([value, value + 600.0])
    assert held.equity["flow_usd"].to_list() == pytest.approx([value, 0.0])


def test_the_same_statement_twice_is_one_record(journal, write, as_of) -> None:
    file = write("symbol,shares\nAAPL,100\n")
    for _ in range(2):
        import_positions(journal, file, known=KNOWN, session=MONDAY, at=as_of(MONDAY))
    assert journal.head.records == 1


def test_a_statement_replaces_positions_and_leaves_cash_it_does_not_tell(journal, write, as_of) -> None:
    import_positions(journal, write("symbol,shares\nAAPL,100\n"), known=KNOWN, session=MONDAY, at=as_of(MONDAY))
    import_positions(journal, write("symbol,shares\nMSFT,5\n"), known=KNOWN, session=TUESDAY, at=as_of(TUESDAY))
    held = book(journal, as_of(dt.date(2020, 3, 18)), marks(), 50_000.0)
    assert (held.shares, held.cash_usd) == ({"MSFT": 5}, 50_000.0)
    assert held.equity["flow_usd"][1] == pytest.approx(5 * 140.0 - 100 * 66.0)


def test_every_bad_row_is_told_and_nothing_is_written(journal, write, as_of) -> None:
    file = write("symbol,shares\nAAPL,1\nMSFT,2\nMSFT,3\nIBM,1.5\nAPPL,4\nIBM2,-5\n,6\nX,many\nIBM,0\n")
    with pytest.raises(BadInput) as refusal:
        import_positions(journal, file, known=KNOWN, session=MONDAY, at=as_of(MONDAY))
    said = str(refusal.value)
    for part in (
        "line 3 (MSFT): the symbol stands there more than once",
        "line 4 (MSFT)",
        "line 6 (APPL): there is no instrument `APPL`. Did you mean `AAPL`?",
        "line 7 (IBM2): -5 is negative",
        "line 8 (no symbol): the symbol is empty",
        "line 9 (X): `many` is no number",
        "Nothing was written",
    ):
        assert part in said
    assert journal.head.records == 0


@pytest.mark.parametrize(
    ("row", "word"),
    [
        ("IBM,1.5", "fraction"),
        ("IBM,0", "0 shares"),
        ("IBM,-1", "negative"),
        ("IBM,nan", "no number"),
        ("IBM,inf", "no number"),
        ("CASH,-3", "negative"),
        ("IBM,3,cheap", "cost"),
        ("IBM,3,-1", "cost"),
    ],
)
def test_one_bad_row(write, row: str, word: str) -> None:
    with pytest.raises(BadInput, match=word):
        read_statement(write(f"symbol,shares,cost\n{row}{',' * (2 - row.count(','))}\n"), KNOWN)


def test_files_that_are_no_statement(write, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="lacks the column shares"):
        read_statement(write("Symbol,count\nA,1\n"))
    with pytest.raises(BadInput, match=r"no file gone\.csv"):
        read_statement(tmp_path / "gone.csv")
    with pytest.raises(BadInput, match="no readable CSV"):
        read_statement(write(""))


def test_reconcile(write, as_of) -> None:
    held = Book(as_of(MONDAY), 100.0, {"AAPL": 10, "IBM": 5, "MSFT": 3}, {"AAPL": 1.0, "IBM": 1.0, "MSFT": 1.0})
    found = reconcile(held, write("symbol,shares\nAAPL,10\nMSFT,4\nORCL,1\nCASH,99.50\n"))
    assert found.differences.rows() == [("IBM", 5, 0, -5), ("MSFT", 3, 4, 1), ("ORCL", 0, 1, 1)]
    assert found.cash_difference_usd == pytest.approx(-0.5)
    assert not found.agrees
    same = reconcile(held, write("symbol,shares\nAAPL,10\nMSFT,3\nIBM,5\n"))
    assert same.agrees
    assert same.cash_difference_usd is None
    assert not reconcile(held, write("symbol,shares\nAAPL,10\nMSFT,3\nIBM,5\nCASH,99\n")).agrees
