"""`openbell data import trades`, `gate coverage`, `gate scales`: over real files, into a real store."""

import json
from types import SimpleNamespace

import pytest
from tests.market.test_trade_sheets import day_of_three, delta_row, profit_row, trade_row

from openbell.app.home import Home
from openbell.app.trade_sheets import trades_of


def openbell(*words, home):
    """The command in this process: exit code and what it printed."""
    import contextlib
    import io
    import sys
    from unittest import mock

    from openbell.app.cli import main

    out, err = io.StringIO(), io.StringIO()
    argv = ["openbell", *map(str, words), "--home", str(home)]
    with mock.patch.object(sys, "argv", argv), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
            code = 0
        except SystemExit as exit_:
            code = exit_.code
    return SimpleNamespace(code=code, out=out.getvalue(), err=err.getvalue())


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # settings that lie where the tests are started are not of this home
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def full_day(tmp_path):
    return day_of_three(
        tmp_path,
        profit=[profit_row(), profit_row(time="09:40", raw="-4.15"), profit_row(symbol="SPY", raw=""), "Total,,,,9"],
        trades=[trade_row()],
        delta=[delta_row(), delta_row(time="14:45:00")],
    )


def test_import_coverage_and_scales_in_one_go(tmp_path, home):
    """Kills: counts that do not reach the user, a coverage of something else than the store, rows stored twice."""
    folder = full_day(tmp_path)
    first = openbell("data", "import", "trades", folder.parent, "--json", home=home)
    assert first.code == 0, first.err
    told = json.loads(first.out)
    assert (told["received"], told["new"], told["known"]) == (3, 3, 0)
    assert told["set_aside"] == {"profit summary": 1}
    assert [row["matched"] for row in told["sources"]] == [1, 1, 1]
    again = json.loads(openbell("data", "import", "trades", folder, "--json", home=home).out)
    assert (again["new"], again["known"]) == (0, 3)
    stored = trades_of(Home.open(home))
    assert stored["profit"].to_list() == [0.85, None, -4.15]
    coverage = json.loads(openbell("gate", "coverage", "--json", home=home).out)
    assert (coverage["trades"], coverage["with_delta"]) == (3, 2)
    assert coverage["period"] == {"first": "2024-11-15", "last": "2024-11-15", "trades": 3}
    assert coverage["share_of_symbols"] == 1.0
    assert coverage["months"][0]["month"] == "2024-11"
    scales = json.loads(openbell("gate", "scales", "--json", home=home).out)
    spx = {row["key"]: row for row in scales["scales"]}["SPX_Sonar"]
    assert (spx["range_raw"], spx["group_raw"], spx["count"]) == (pytest.approx(500.0), "Medium", 2)


def test_what_people_read(tmp_path, home):
    """Kills: a table that breaks on a word, a note that is not shown."""
    shown = openbell("data", "import", "trades", full_day(tmp_path), home=home)
    assert "3 trades in the sheets: 3 new" in shown.out
    assert "rows = skipped + duplicates + used" in shown.out
    coverage = openbell("gate", "coverage", home=home)
    assert "2 of 3 (66.7%) of all trades have a delta row." in coverage.out
    assert "not reached" in coverage.out
    scales = openbell("gate", "scales", home=home)
    assert "SPX_Sonar" in scales.out
    assert "one point is 100 USD" in scales.out


def test_one_bad_sheet_does_not_stop_the_others(tmp_path, home):
    """Exit 3, and the sentence names file and line; nothing but bad sheets is exit 2. Kills: half a day in silence."""
    folder = full_day(tmp_path)
    (folder / "profit foreign.csv").write_text("a,b\n1,2\n")
    partly = openbell("data", "import", "trades", folder, "--json", home=home)
    assert partly.code == 3
    assert "3 sheets were imported, 1 not. 2024-11-15-64E0C/profit foreign.csv, line 1: this is no" in partly.err
    assert json.loads(partly.out)["new"] == 3
    only = tmp_path / "2024-11-18-X"
    only.mkdir()
    (only / "profit.csv").write_text("")
    nothing = openbell("data", "import", "trades", only, home=home)
    assert nothing.code == 2
    assert "line 1: the file is empty" in nothing.err


def test_nothing_stored_is_said_so(home):
    for command in ("coverage", "scales"):
        found = openbell("gate", command, home=home)
        assert found.code == 2
        assert "data import trades" in found.err
