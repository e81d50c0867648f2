"""Trades into the tables: once, whole or not at all, and nothing that is known is taken back."""

import datetime as dt

import polars as pl
import pytest
from tests.market import made_sheets as made
from tests.market.conftest import Memory
from tests.market.test_trade_sheets import CALENDAR, day_of_three, delta_row, profit_row, trade_row

from openbell.core.errors import DataMissing
from openbell.core.trade_rows import TRADES
from openbell.market.trade_importing import import_trades, stored_trades
from openbell.market.trade_sheets import imported

AT = dt.datetime(2024, 12, 2, 15, tzinfo=dt.UTC)
LATER = dt.datetime(2024, 12, 9, 15, tzinfo=dt.UTC)
TRADED = dt.datetime(2024, 11, 15, 14, 35, tzinfo=dt.UTC)
CLOSED = dt.datetime(2024, 11, 15, 21, tzinfo=dt.UTC)


def taken(memory, folder, at=AT, **options):
    report = import_trades(memory, imported([folder], CALENDAR), at=at, **options)
    assert report.received == report.new + report.completed + report.restated + report.known
    return report


def states(report):
    return report.new, report.completed, report.restated, report.known


def test_the_same_folders_again_change_nothing(tmp_path):
    """Kills: a second commit, a quarantine that grows."""
    memory = Memory()
    rows = [profit_row(), profit_row(), profit_row(time="09:40", premium=""), profit_row(time="")]
    folder = day_of_three(tmp_path, profit=rows, delta=[delta_row()])
    first = taken(memory, folder)
    assert states(first) == (2, 0, 0, 0)
    assert first.quarantined == 2
    assert sorted(memory.frames["trade_quarantine"]["rule"]) == ["bad_time", "duplicate"]
    again = taken(memory, folder, LATER)
    assert states(again) == (0, 0, 0, 2)
    assert (again.commit, again.quarantined, len(memory.commits)) == (None, 0, 1)
    assert memory.frames["trades"].columns == [*TRADES, "session"]


def test_a_dry_run_writes_nothing(tmp_path):
    memory = Memory()
    assert taken(memory, day_of_three(tmp_path, profit=[profit_row()]), dry_run=True).new == 1
    assert not memory.commits


def test_a_later_sheet_fills_gaps_and_takes_nothing_back(tmp_path):
    """Check 31, over two imports: the trades sheet first, the profit sheet of the same trade later. Kills: strikes that
    a later import without them wipes out, a profit that is not joined, two rows for one trade, a completed trade that
    is said to be known only now."""
    memory = Memory()
    taken(memory, day_of_three(tmp_path / "a", trades=[trade_row()], delta=[delta_row()]))
    report = taken(memory, day_of_three(tmp_path / "b", profit=[profit_row(text=made.condor("5910/5905/5775/5780"))]))
    assert states(report) == (0, 1, 0, 0)
    rows = stored_trades(memory)
    assert rows.height == 1
    row = rows.row(0, named=True)
    assert (row["strike1"], row["bid1"], row["expected_move"], row["short_term"]) == (5905.0, 1.0, 31.5, 5895.0)
    assert (row["profit"], row["win"], row["price"]) == (0.85, True, 5900.0)
    assert row["source_file"] == "profit,trades,delta"
    assert row["known_at"] == TRADED + dt.timedelta(seconds=53)
    assert row["outcome_known_at"] == CLOSED
    again = taken(memory, day_of_three(tmp_path / "c", trades=[trade_row()]))
    assert states(again) == (0, 0, 0, 1)


def test_legs_of_a_trades_sheet_go_before_those_of_a_text(tmp_path):
    """The text came first, in another order of the same legs. Kills: a restatement out of an order, quotes that stay
    beside the strikes of another leg, a correction that is not seen."""
    memory = Memory()
    text = "SELL -1 Iron Condor SPX 100 15 Nov 24 5905/5910/5780/5775 CALL/PUT @.85 LMT"
    taken(memory, day_of_three(tmp_path / "a", profit=[profit_row(text=text)]))
    cells = made.CONDOR_LEGS.split(",")
    turned = ",".join(cells[12:] + cells[:12])
    assert states(taken(memory, day_of_three(tmp_path / "b", trades=[trade_row(legs=turned)]))) == (0, 1, 0, 0)
    row = stored_trades(memory).row(0, named=True)
    assert [row[f"strike{n}"] for n in range(1, 5)] == [5780.0, 5775.0, 5905.0, 5910.0]
    assert [row[f"bid{n}"] for n in range(1, 5)] == [0.90, 0.50, 1.00, 0.60]
    other = turned.replace("5775", "5770")
    assert states(taken(memory, day_of_three(tmp_path / "c", trades=[trade_row(legs=other)]), LATER)) == (0, 0, 1, 0)
    assert stored_trades(memory).row(0, named=True)["strike2"] == 5770.0


def test_a_corrected_sheet_is_known_from_its_import_on(tmp_path):
    """Kills: a correction that was known before it was made, an outcome that a fit of the day before would have used,
    a value that is gone from the earlier view."""
    memory = Memory()
    taken(memory, day_of_three(tmp_path / "a", profit=[profit_row()]))
    report = taken(memory, day_of_three(tmp_path / "b", profit=[profit_row(raw="-4.15")]), LATER)
    assert states(report) == (0, 0, 1, 0)
    now = stored_trades(memory).row(0, named=True)
    assert (now["profit"], now["win"], now["known_at"], now["outcome_known_at"]) == (-4.15, False, LATER, LATER)
    before = stored_trades(memory, known_by=AT).row(0, named=True)
    assert (before["profit"], before["known_at"]) == (0.85, TRADED)


def test_an_open_trade_has_no_outcome_in_a_view_before_its_close(tmp_path):
    """Kills: a profit, a win or a closing price seen at the moment of the trade."""
    memory = Memory()
    taken(memory, day_of_three(tmp_path, profit=[profit_row()], delta=[delta_row(time="14:35:00")]))
    seen = stored_trades(memory, known_by=TRADED).row(0, named=True)
    assert {seen[name] for name in ("profit", "win", "closed", "closing_delta", "outcome_known_at")} == {None}
    assert (seen["premium"], seen["short_term"]) == (0.85, 5895.0)
    assert stored_trades(memory, known_by=CLOSED).row(0, named=True)["profit"] == 0.85
    assert stored_trades(memory, known_by=TRADED - dt.timedelta(seconds=1)).is_empty()
    assert stored_trades(memory, symbols=["SPY"]).is_empty()
    assert stored_trades(memory, first=dt.date(2024, 11, 16)).is_empty()


def test_nothing_stored_is_said_so():
    with pytest.raises(DataMissing, match="data import trades"):
        stored_trades(Memory())


def test_a_disk_that_refuses_leaves_nothing_half_written(tmp_path):
    """Trades and quarantine are one commit. Kills: two appends."""

    class Full(Memory):
        def append_all(self, frames):
            assert set(frames) == {"trades", "trade_quarantine"}
            raise OSError("full")

    memory = Full()
    folder = day_of_three(tmp_path, profit=[profit_row(), profit_row()])
    with pytest.raises(OSError, match="full"):
        taken(memory, folder)
    assert memory.frames == {}
    assert pl.DataFrame(memory.commits).is_empty()


def test_two_sheets_that_differ_correct_nothing_whichever_comes_first(tmp_path):
    """Kills: an order of imports that decides, another sheet taken for a correction."""
    profit = day_of_three(tmp_path / "a", profit=[profit_row(low="5850")])
    trades = day_of_three(tmp_path / "b", trades=[trade_row(low="5840", premium=".80")], delta=[delta_row()])
    rows = []
    for order in ((profit, trades), (trades, profit)):
        memory = Memory()
        reports = [taken(memory, folder) for folder in order]
        assert [states(each) for each in reports] == [(1, 0, 0, 0), (0, 1, 0, 0)]
        rows.append(stored_trades(memory))
    assert rows[0].equals(rows[1])
    assert rows[0].select("low", "premium", "price").row(0) == (5850.0, 0.85, 5900.0)
