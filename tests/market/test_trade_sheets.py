# ruff: noqa: E501  (a row of a sheet is one line)
"""Trade sheets: every header generation by hand, both clocks, and every row accounted for."""

import datetime as dt
import random

import polars as pl
import pytest
from tests.market import made_sheets as made

from openbell.core.errors import BadInput
from openbell.core.trade_rows import SHEET, TRADES
from openbell.market.calendars import sessions
from openbell.market.trade_sheet_cleaning import parsed_moments
from openbell.market.trade_sheets import imported

CALENDAR = sessions()


def read(*folders, **options):
    """`imported`, with its promise checked: what came in went somewhere, once."""
    found = imported(folders, CALENDAR, **options)
    for row in found.counts.iter_rows(named=True):
        assert row["rows"] == row["skipped"] + row["duplicates"] + row["used"], row
        assert row["used"] == row["matched"] + row["unmatched"]
    used = dict(found.counts.select("source", "used").iter_rows())
    both = found.counts.row(by_predicate=pl.col("source") == "profit", named=True)["matched"]
    assert found.trades.height == used["profit"] + used["trades"] - both
    assert dict(found.trades.schema) == dict(TRADES)
    return found


def one(found, **wanted):
    rows = found.trades.filter(*(pl.col(name) == value for name, value in wanted.items()))
    assert rows.height == 1, rows
    return rows.row(0, named=True)


def flag(found, name):
    return dict(found.flags.iter_rows())[name]


def rules(found):
    return dict(found.set_aside.group_by("rule").len().sort("rule").iter_rows())


def at(day, hour, minute, second=0):
    return dt.datetime(*day, hour, minute, second, tzinfo=dt.UTC)


@pytest.fixture
def generations(tmp_path):
    """One day folder of each header generation, as the specification tells them."""
    made.put(
        tmp_path / "2022-12-12-B792E",
        "profit 20221212-210417.csv",
        made.PROFIT_2022,
        f"2022-12-12T09:35:03.089596-05:00,SPX,Iron Condor,0.63,3960,3990.56,false,{made.condor('4030/4040/3930/3920')}",
        "2022-12-12T09:40:01.100000-05:00,SPY,Vertical,.72,396,398.95,true,",
        "Total,,,,,,,",
    )
    made.put(
        tmp_path / "2023-01-24-98F8D",
        "Profit 20230124-211517.CSV",
        made.PROFIT_2023,
        f'01-24-2023,09:35,SPX,"4,001.50",Iron Condor,$0.63,4010,4016.95,0,{made.condor("4050/4060/3950/3940")},9.37,0.63,0.07,0.63',
        "01-24-2023,09:35,NDX,11800,Sonar,1.75,11820,11846.64,0,,8.25,1.75,.21,(8.25)",
        "01-24-2023,9:40,SPX,4002,Butterfly,9.45,4010,4016.95,0,,9.45,,,",
        "Butterfly,,,,,,,,,,,,,12.5",
        ",,Iron Condor,,,,,,,,,,,3",
        ",,Expired,4",
    )
    made.put(
        tmp_path / "2024-06-10-2CD32",
        "profit 20240610-200703.csv",
        made.PROFIT_2024,
        f"06-10-2024,09:35,SPX,5340.12,Iron Condor,5350,5300,5390,5360.79,9.37,.63,.63,,.63,.20,{made.condor('5390/5400/5290/5280')}",
        "\x0c06-10-2024,\x0b09:35,XSP,534,Iron Condor,535,530,539,536.08,1.92,.08,.08,,-1.92,-.5,",
        "06-10-2024,09:40,AAPL,195,Butterfly,196,190,199,193.12,2.1,,2.1,,,-.4,",
        "Failed,,,,,,,,,,,,,,,",
    )
    made.put(
        tmp_path / "2025-06-10-EB7E4",
        "profit 20250610-200604.csv",
        made.PROFIT_2025,
        f"06-10-2025,09:35,SPX,6000.5,Iron Condor,6010,5960,6050,6038.81,9.37,.60,.63,.63,.3,{made.condor('6050/6060/5950/5940')},.63,.63",
        "06-10-2025,09:40,SPX,6001,Vertical,6010,5960,6050,6038.81,4.28,.72,,.72,.72,,,1.35",
    )
    return tmp_path


def test_four_generations_of_headers_import_with_their_counts(generations):
    """By hand: 12 data rows in four sheets, 5 sums, 10 trades. Kills: a generation read with another's columns, a sum
    taken for a trade, a case of the file name that is not found."""
    found = read(generations)
    profit = found.counts.row(0, named=True)
    assert (profit["sheets"], profit["rows"], profit["skipped"], profit["used"]) == (4, 15, 5, 10)
    assert rules(found) == {"summary": 5}
    assert found.trades["format_year"].to_list() == [2022] * 2 + [2023] * 3 + [2024] * 3 + [2025] * 2
    assert set(found.trades["source_file"]) == {"profit"}
    assert found.trades.columns[: len(SHEET)] == list(SHEET)
    assert not found.failed


def test_2022_has_one_moment_with_an_offset(generations):
    """Kills: the offset dropped, seconds in the minute that sheets are joined by."""
    row = one(read(generations), date=dt.date(2022, 12, 12), symbol="SPX")
    assert row["timestamp"] == at((2022, 12, 12), 14, 35)
    assert row["known_at"] == dt.datetime(2022, 12, 12, 14, 35, 3, 89596, tzinfo=dt.UTC)
    assert (row["time"], row["premium"], row["closed"], row["expired"]) == ("09:35", 0.63, 3990.56, 0.0)
    assert row["profit"] is None
    assert row["win"] is None
    assert row["outcome_known_at"] is None


def test_2023_numbers_as_people_write_them(generations):
    """Kills: a comma that ends a number, a parenthesis that is not a minus, a dollar sign that loses the cell."""
    found = read(generations)
    condor = one(found, date=dt.date(2023, 1, 24), symbol="SPX", strategy="Iron Condor")
    sonar = one(found, date=dt.date(2023, 1, 24), strategy="Sonar")
    assert (condor["price"], condor["premium"], condor["ratio"], condor["profit"]) == (4001.50, 0.63, 0.07, 0.63)
    assert (condor["win"], sonar["win"], sonar["profit"]) == (True, False, -8.25)
    assert condor["outcome_known_at"] == at((2023, 1, 24), 21, 0)
    assert flag(found, "cells that are no number") == 0


def test_a_missing_profit_is_missing_never_a_loss(generations):
    """Check 6. Kills: null filled with 0, a win that is False where nothing is known, the managed result of another
    trade put in its place."""
    found = read(generations)
    butterfly = one(found, date=dt.date(2023, 1, 24), strategy="Butterfly")
    managed = one(found, symbol="AAPL")
    for row in (butterfly, managed):
        assert (row["profit"], row["win"], row["outcome_known_at"]) == (None, None, None)
    assert flag(found, "no profit but a managed one") == 1
    assert flag(found, "no profit") == 4


def test_2024_profit_is_the_raw_one_and_control_characters_are_cleaned(generations):
    """Kills: a form feed that loses the row, `Managed` before `Raw`, Low and High of a generation that has them lost."""
    found = read(generations)
    row = one(found, symbol="XSP")
    assert (row["time"], row["profit"], row["low"], row["high"]) == ("09:35", -1.92, 530.0, 539.0)
    assert flag(found, "profit from Raw") == 3  # with the vertical of 2025, whose Profit is blank


def test_2025_premium_is_the_actual_one_where_there_is_one(generations):
    """Kills: ExpectedPremium before ActualPremium, TotalProfit for Profit."""
    found = read(generations)
    condor = one(found, date=dt.date(2025, 6, 10), strategy="Iron Condor")
    vertical = one(found, date=dt.date(2025, 6, 10), strategy="Vertical")
    assert (condor["premium"], condor["profit"], condor["closing"]) == (0.63, 0.63, 6038.81)
    assert (vertical["premium"], vertical["profit"]) == (0.72, 0.72)


def test_columns_are_found_by_name_in_any_order(tmp_path):
    """Kills: a column taken by its place."""
    names = made.PROFIT_2024.split(",")
    row = "06-10-2024,09:35,SPX,5340.12,Sonar,5350,5300,5390,5360.79,4.15,.85,.85,,.85,.20,"
    cells = row.split(",")
    order = random.Random(3).sample(range(len(names)), len(names))
    plain = made.put(tmp_path / "a" / "2024-06-10-A", "profit.csv", ",".join(names), ",".join(cells))
    mixed = made.put(
        tmp_path / "b" / "2024-06-10-B",
        "profit.csv",
        ",".join(names[i].upper() for i in order),
        ",".join(cells[i] for i in order),
    )
    assert read(plain).trades.equals(read(mixed).trades)


DAYS = (
    dt.date(2024, 11, 1),  # the last session of summer time
    dt.date(2024, 11, 4),  # the first of winter time
    dt.date(2025, 3, 7),  # the last of winter time
    dt.date(2025, 3, 10),  # the first of summer time
)


@pytest.mark.parametrize("source", [False, True], ids=["without Source", "with Source"])
@pytest.mark.parametrize("difference", [False, True], ids=["without Difference", "with Difference"])
def test_sheets_of_two_clocks_join_over_both_clock_changes(tmp_path, source, difference):
    """Check 32. Profit 09:35 in New York stands beside 13:35 UTC in summer and 14:35 in winter. Kills: a fixed offset,
    the machine's own zone, UTC sheets read as exchange time (no row would match), exchange sheets read as UTC."""
    for day, hour in zip(DAYS, ("13", "14", "14", "13"), strict=True):
        folder = tmp_path / f"{day}-64E0C"
        assert made.utc_text(day, 9, 35, "%H") == hour
        made.put(
            folder,
            "profit x.csv",
            made.PROFIT_2024,
            f"{day:%m-%d-%Y},09:35,SPX,5900,Sonar,5890,5850,5950,5870,4.15,.85,.85,,.85,.2,",
            f"{day:%m-%d-%Y},15:55,SPX,5900,Sonar,5890,5850,5950,5870,4.15,.85,.85,,.85,.2,",
        )
        word = "M8," if source else ""
        made.put(
            folder,
            "trades x.csv",
            made.TRADES_SOURCE if source else made.TRADES,
            *(
                f"{made.utc_text(day, *clock, '%m-%d-%Y,%H:%M')},{word}SPX,Sonar,.85,4.15,31.5,5850,5950,5860,5940,5891,"
                f"5870,{made.CONDOR_LEGS},{made.condor()}"
                for clock in ((9, 35), (15, 55))
            ),
        )
        made.put(
            folder,
            "delta x.csv",
            made.DELTA_DIFFERENCE if difference else made.DELTA,
            *(
                f"{made.utc_text(day, *clock, '%m-%d-%Y %H:%M')}:53,SPX,5900.1,.45,-.52,5892,5895,5901,5870"
                + (",1.5" if difference else "")
                for clock in ((9, 35), (15, 55))
            ),
        )
    found = read(tmp_path)
    assert found.counts["matched"].to_list() == [8, 8, 8]
    assert found.trades["source_file"].to_list() == ["profit,trades,delta"] * 8
    assert found.trades["time"].to_list() == ["09:35", "15:55"] * 4
    assert found.trades["date"].to_list() == [day for day in DAYS for _ in range(2)]
    row = one(found, date=DAYS[0], time="09:35")
    assert row["timestamp"] == at((2024, 11, 1), 13, 35)
    assert row["known_at"] == at((2024, 11, 1), 13, 35, 53)
    assert (row["short_term"], row["long_term"], row["predicted_delta"]) == (5895.0, 5901.0, 5892.0)
    assert (row["predicted"], row["predicted_trades"], row["closing_delta"]) == (5890.0, 5891.0, 5870.0)
    assert row["source"] == ("M8" if source else None)
    assert one(found, date=DAYS[1], time="09:35")["timestamp"] == at((2024, 11, 4), 14, 35)
    assert row["outcome_known_at"] == at((2024, 11, 1), 20, 0)
    assert one(found, date=DAYS[1], time="09:35")["outcome_known_at"] == at((2024, 11, 4), 21, 0)


def day_of_three(tmp_path, profit=(), trades=(), delta=()):
    folder = tmp_path / "2024-11-15-64E0C"
    for name, head, rows in (
        ("profit a.csv", made.PROFIT_2024, profit),
        ("trades a.csv", made.TRADES, trades),
        ("delta a.csv", made.DELTA, delta),
    ):
        if rows:
            made.put(folder, name, head, *rows)
    return folder


def profit_row(time="09:35", symbol="SPX", name="Sonar", premium=".85", raw=".85", text="", risk="4.15", low="5850"):
    return f"11-15-2024,{time},{symbol},5900,{name},5890,{low},5950,5870,{risk},,{premium},,{raw},,{text}"


def trade_row(time="14:35", symbol="SPX", name="Sonar", premium=".85", legs=made.CONDOR_LEGS, text="", low="5850"):
    return f"11-15-2024,{time},{symbol},{name},{premium},4.15,31.5,{low},5950,5860,5940,5891,5870,{legs},{text}"


def delta_row(time="14:35:53", symbol="SPX", short="5895"):
    return f"11-15-2024 {time},{symbol},5900.1,.45,-.52,5892,{short},5901,5870"


def test_a_short_term_of_spx_never_stands_beside_spy(tmp_path):
    """Check 32. Kills: deltas joined by time alone."""
    folder = day_of_three(
        tmp_path,
        profit=[profit_row(), profit_row(symbol="SPY"), profit_row(symbol="XSP")],
        delta=[delta_row(), delta_row(symbol="SPY", short="590")],
    )
    found = read(folder)
    told = dict(found.trades.select("symbol", "short_term").iter_rows())
    assert told == {"SPX": 5895.0, "SPY": 590.0, "XSP": None}
    assert one(found, symbol="XSP")["source_file"] == "profit"


def test_a_delta_speaks_for_its_minute_and_five_after(tmp_path):
    """By hand: a delta at 14:30:53 is five minutes before 14:35; one at 14:36:05 is in its minute for 14:36, five
    before 14:41 and six before 14:42, and for 14:35 it is the future. Kills: a nearest join that looks forward, a
    tolerance of four or six minutes, seconds compared with minutes."""
    times = ("09:35", "09:36", "09:41", "09:42")
    folder = day_of_three(
        tmp_path,
        profit=[profit_row(time=time) for time in times],
        delta=[delta_row(time="14:30:53", short="1"), delta_row(time="14:36:05", short="2")],
    )
    told = dict(read(folder).trades.select("time", "short_term").iter_rows())
    assert told == dict(zip(times, (1.0, 2.0, 2.0, None), strict=True))


def test_what_one_sheet_says_no_other_takes_back(tmp_path):
    """Check 31. The trades sheet has no premium and another low; the profit sheet has neither strikes nor an expected
    move. Kills: an update that writes nulls over values, a contradiction that nobody hears of, rows lost or doubled."""
    folder = day_of_three(
        tmp_path,
        profit=[profit_row(risk=""), profit_row(time="09:40", symbol="AAPL")],
        trades=[trade_row(premium="", low="5840"), trade_row(time="14:45", symbol="SPY")],
    )
    found = read(folder)
    row = one(found, symbol="SPX")
    assert (row["premium"], row["profit"], row["risk"], row["expected_move"]) == (0.85, 0.85, 4.15, 31.5)
    assert (row["strike1"], row["strike4"], row["bid2"], row["mid3"]) == (5905.0, 5775.0, 0.60, 0.95)
    assert row["low"] == 5850.0
    assert found.conflicts.drop("minute").rows() == [("SPX", "Sonar", "low", 5850.0, 5840.0)]
    assert "`low`" in " ".join(found.notes)
    assert found.counts.select("source", "matched", "unmatched").rows() == [
        ("profit", 1, 1),
        ("trades", 1, 1),
        ("delta", 0, 0),
    ]
    assert sorted(found.trades["source_file"]) == ["profit", "profit,trades", "trades"]


def test_legs_are_signed_units_and_a_butterfly_has_two_in_its_middle(tmp_path):
    """Kills: a side that is not a sign, a body of one unit, a strike of 0 taken for a leg."""
    folder = day_of_three(
        tmp_path,
        trades=[
            trade_row(),
            trade_row(time="14:40", name="Butterfly", legs=made.FLY_LEGS),
            trade_row(time="14:45", name="Butterfly", legs=made.FLY_LEGS.replace("SELL", "-2").replace("BUY", "1")),
            trade_row(time="14:50", name="Vertical", legs=made.VERTICAL_LEGS.replace("SELL", "hold")),
        ],
    )
    found = read(folder)
    signs = [row[1:] for row in found.trades.select("time", *(f"direction{n}" for n in range(1, 5))).iter_rows()]
    assert signs == [(-1, 1, -1, 1), (1, -2, 1, None), (1, -2, 1, None), (None, 1, None, None)]
    assert found.trades["type3"].to_list() == ["PUT", "CALL", "CALL", None]
    assert found.trades["strike4"].to_list() == [5775.0, None, None, None]
    assert flag(found, "middle leg of a butterfly written as one, taken as two") == 1
    assert flag(found, "legs without a side or a right") == 1


def test_duplicates_are_kept_apart_and_counted(tmp_path):
    """A day downloaded twice. The second download has the profit that the first lacks, and one premium that differs.
    Kills: a trade counted twice, the later value over the earlier, a gap that stays open, a gap filled by a row that
    contradicts."""
    first = tmp_path / "2024-11-15-AAAAA"
    second = tmp_path / "2024-11-15-BBBBB"
    made.put(first, "profit.csv", made.PROFIT_2024, profit_row(raw=""), profit_row(time="09:40", risk=""))
    made.put(second, "profit.csv", made.PROFIT_2024, profit_row(), profit_row(time="09:40", premium=".95", raw="1"))
    found = read(first, second)
    assert rules(found) == {"duplicate": 1, "duplicate_differs": 1}
    assert found.counts.row(0)[4] == 2
    assert one(found, time="09:35")["profit"] == 0.85
    assert (one(found, time="09:40")["premium"], one(found, time="09:40")["profit"]) == (0.85, 0.85)
    assert one(found, time="09:40")["risk"] is None
    aside = found.set_aside.filter(pl.col("rule") == "duplicate_differs").row(0, named=True)
    assert (aside["file"], aside["line"]) == ("2024-11-15-BBBBB/profit.csv", 3)
    assert ",.95," in aside["shown"]


def test_negative_and_zero_premiums_are_flagged_not_dropped(tmp_path):
    """Kills: a filter on premiums, a minus that is lost."""
    rows = [profit_row(time=f"09:{m}", premium=p) for m, p in ((35, "-.05"), (40, "0"), (45, "(0.20)"), (50, ""))]
    found = read(day_of_three(tmp_path, profit=rows))
    assert found.trades["premium"].to_list() == [-0.05, 0.0, -0.20, None]
    assert [flag(found, f"{word} premium") for word in ("negative", "zero", "no")] == [2, 1, 1]


def test_rows_that_are_no_trade_are_told_with_their_rule_and_line(tmp_path):
    """Kills: a time that is made up, a strategy that is guessed, a row shifted by a comma, a holiday that trades."""
    rows = [
        profit_row(time=""),
        profit_row(time="25:61"),
        profit_row(name="Straddle"),
        profit_row(symbol=""),
        profit_row().replace("11-15-2024", "11-16-2024"),
        profit_row(symbol="SPX") + ",one,more",
        "",
        made.PROFIT_2024,
        profit_row().replace("11-15-2024", "13-12-2024"),
        profit_row(),
    ]
    found = read(day_of_three(tmp_path, profit=rows))
    told = dict(found.set_aside.sort("line").select("line", "rule").iter_rows())
    assert told == {
        2: "bad_time",
        3: "bad_time",
        4: "unknown_strategy",
        5: "no_symbol",
        6: "no_session",
        7: "too_many_cells",
        8: "blank",
        9: "header",
        10: "bad_time",
    }
    assert found.trades.height == 1


def test_a_cell_that_is_no_number_is_null_and_counted(tmp_path):
    """Kills: `1,5` read as 15 or 1, a word read as 0, infinity."""
    rows = [profit_row(time=f"09:{m}", premium=p) for m, p in ((35, '"1,5"'), (40, "abc"), (45, "inf"), (50, "n/a"))]
    found = read(day_of_three(tmp_path, profit=rows))
    assert found.trades["premium"].to_list() == [None] * 4
    assert flag(found, "cells that are no number") == 3


def test_a_row_without_a_date_has_its_folder_s_day(tmp_path):
    found = read(day_of_three(tmp_path, profit=[profit_row().replace("11-15-2024", "")]))
    assert found.trades["date"].to_list() == [dt.date(2024, 11, 15)]


def test_an_outcome_of_a_half_day_is_known_at_its_early_close(tmp_path):
    """2024-11-29 closed at 13:00 in New York. Kills: 16:00 for every day."""
    folder = made.put(
        tmp_path / "2024-11-29-X",
        "profit.csv",
        made.PROFIT_2024,
        profit_row().replace("11-15", "11-29"),
    )
    assert read(folder).trades["outcome_known_at"].to_list() == [at((2024, 11, 29), 18, 0)]


def test_points_and_usd_are_told_apart_by_what_a_structure_can_pay(tmp_path):
    """Check 34. An iron condor with a premium of .63 and a risk of 9.37 cannot gain 63 points; a sheet that says so is
    in USD. Kills: units taken on trust, one row's unit for another sheet, a unit that is not recorded."""
    text = made.condor("5905/5915/5780/5770")
    points = [profit_row(name="Iron Condor", premium=".63", raw=raw, risk="9.37") for raw in (".63",)]
    usd = [
        profit_row(time=time, name="Iron Condor", premium=".63", raw=raw, risk=risk, text=text).replace("15", "18", 1)
        for time, raw, risk in (("09:35", "63", ""), ("09:40", "-937", "9.37"), ("09:45", "5", ""))
    ]
    made.put(tmp_path / "2024-11-15-A", "profit.csv", made.PROFIT_2024, *points)
    made.put(tmp_path / "2024-11-18-B", "profit.csv", made.PROFIT_2024, *usd)
    found = read(tmp_path)
    assert found.trades["profit"].to_list() == pytest.approx([0.63, 0.63, -9.37, 0.05])
    assert found.units.select("unit", "profits", "telling", "votes_usd").rows() == [
        ("points", 1, 1, 0),
        ("usd", 3, 3, 2),
    ]
    assert found.trades["unit"].unique().to_list() == ["points"]
    assert found.trades["multiplier"].unique().to_list() == [100.0]
    assert "divided by 100" in " ".join(found.notes)
    forced = read(tmp_path, unit="points")
    assert forced.trades["profit"].to_list() == pytest.approx([0.63, 63, -937, 5])
    assert flag(forced, "profit beyond what the structure can pay") == 2


def test_faults_of_files_name_the_file_and_the_line(tmp_path):
    """Kills: an empty frame in the place of a refusal, one bad sheet that stops the good ones."""
    good = day_of_three(tmp_path, profit=[profit_row()])
    bad = tmp_path / "2024-11-18-BAD"
    made.put(bad, "profit empty.csv", "", "  ")
    made.put(bad, "profit foreign.csv", "", "Date,Open,High,Low,Close", "2024-11-18,1,2,3,4")
    made.put(bad, "trades quote.csv", made.TRADES, trade_row(), trade_row(text='"never closed'))
    made.put(bad, "delta twice.csv", made.DELTA + ",When", delta_row())
    nothing = tmp_path / "2024-11-19-NONE"
    nothing.mkdir()
    found = read(good, bad, nothing)
    assert found.trades.height == 1
    told = found.failed
    assert "line 1: the file is empty" in told["2024-11-18-BAD/profit empty.csv"]
    assert "line 2: this is no profit sheet" in told["2024-11-18-BAD/profit foreign.csv"]
    assert "`Symbol`" in told["2024-11-18-BAD/profit foreign.csv"]
    assert "line 3: a quote" in told["2024-11-18-BAD/trades quote.csv"]
    assert "names the column `When` twice" in told["2024-11-18-BAD/delta twice.csv"]
    assert "has no sheet" in told["2024-11-19-NONE"]
    with pytest.raises(BadInput, match=r"line 1: the file is empty"):
        imported([bad], CALENDAR)
    with pytest.raises(BadInput, match="There is no folder"):
        imported([tmp_path / "absent"], CALENDAR)
    with pytest.raises(BadInput, match="begins with no day"):
        imported([made.put(tmp_path / "elsewhere", "x.csv", "")], CALENDAR)


@pytest.mark.parametrize(
    ("text", "zone", "moment"),
    [
        ("11-03-2024 01:30", "America/New_York", None),  # shown twice
        ("03-10-2024 02:30", "America/New_York", None),  # skipped
        ("11-03-2024 01:30", "UTC", at((2024, 11, 3), 1, 30)),
        ("2024-11-03T01:30:00-05:00", "America/New_York", at((2024, 11, 3), 6, 30)),
        ("11/04/2024 9:35 AM", "America/New_York", at((2024, 11, 4), 14, 35)),
        ("11-04-24 09:35", "America/New_York", None),  # two digits are no certain year
        ("14-11-2024 09:35", "America/New_York", None),  # the month stands first
    ],
)
def test_a_moment_is_certain_or_none(text, zone, moment):
    """Kills: the first of two hours taken, a year of the first century, day and month exchanged to fit."""
    assert parsed_moments(pl.Series([text]), zone)["exact_at"].to_list() == [moment]


def test_the_machine_s_zone_does_not_matter(generations, monkeypatch):
    """Check 40. Kills: a local clock anywhere on the way."""
    import time

    here = read(generations).trades
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert read(generations).trades.equals(here)
    finally:
        monkeypatch.undo()
        time.tzset()
