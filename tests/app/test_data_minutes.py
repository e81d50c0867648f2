"""`openbell data import minutes`: what it says, what it exits with, and that it says so in the journal."""

import datetime as dt
import json
import sys

import polars as pl
import pytest

from openbell.app import cli


@pytest.fixture
def say(monkeypatch, capsys, tmp_path):
    """Runs the command in an empty folder; its exit code, and what it printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["openbell", "data", *(str(each) for each in words), "--home", "home"])
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            cli.main()
        told = capsys.readouterr()
        return left.value.code or 0, told.out, told.err

    return run


@pytest.fixture
def file(tmp_path):
    """Five minutes of SPY at the early close of 2022-11-25, the last one with its high below its close."""
    close = [400.0, 400.1, 400.2, 400.3, 400.4]
    times = [dt.datetime(2022, 11, 25, 12, 57) + dt.timedelta(minutes=k) for k in range(5)]
    high = [*(each + 0.1 for each in close[:4]), 400.0]
    frame = {"datetime": times, "o": close, "h": high, "l": [each - 0.5 for each in close], "c": close, "v": [9] * 5}
    pl.DataFrame(frame).write_csv(tmp_path / "bars.csv", datetime_format="%Y-%m-%d %H:%M:%S")
    return tmp_path / "bars.csv"


def test_import_again_and_list(say, file):
    words = ("import", "minutes", file, "--symbol", "SPY", "--timezone", "America/New_York", "--stamp", "start")
    code, told, _ = say(*words, "--freq", "1m", "--delay", 1)
    assert code == 0
    assert "5 bars of 1m received, 4 stored, 1 in quarantine, 0 known already" in told
    assert "ohlc_order" in told
    code, told, _ = say(*words, "--json")
    facts = json.loads(told)
    assert (facts["stored"], facts["known"], facts["commit"]) == (0, 5, None)
    assert facts["rules"] == []
    _, told, _ = say("list", "--json")
    rows = {each["table"]: each["rows"] for each in json.loads(told)}
    assert rows == {"minutes": 4, "minute_quarantine": 1}


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ((), "no column for `symbol`"),
        (("--symbol", "SPY"), "--timezone America/New_York"),
        (("--symbol", "SPY", "--timezone", "UTC", "--freq", "5m"), "they are `1m`"),
        (("--symbol", "SPY", "--timezone", "UTC", "--stamp", "begin"), "There is no stamp of a bar `begin`"),
        (("--symbol", "SPY", "--timezone", "UTC", "--map", "att=datetime"), "which is no column of bars"),
    ],
)
def test_refusals_say_the_cure_and_exit_2(say, file, words, why):
    code, _, told = say("import", "minutes", file, *words)
    assert code == 2
    assert why in " ".join(told.split())
