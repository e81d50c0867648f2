"""`openbell data import chain` and `openbell data check chain`: what they store, refuse and say."""

import json
import sys
from dataclasses import dataclass

import polars as pl
import pytest

from openbell.app import cli
from openbell.app.chains import import_chain_file
from openbell.app.home import Home
from openbell.core.view import View

HEADER = (
    "Expiration Date,Calls,Last Sale,Net,Bid,Ask,Volume,IV,Delta,Gamma,Open Interest,Strike,"
    "Puts,Last Sale,Net,Bid,Ask,Volume,IV,Delta,Gamma,Open Interest"
)
TOP = (
    "",
    "Standard & Poors 500 Index,Last: 4500.25,Change:  37.6601",
    '"Date: September 16, 2023 at 10:31 AM EDT",Bid: 4483.25,Ask: 4526.27,Size: 1*1,"Volume: 71,039,449"',
    HEADER,
)


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str


@pytest.fixture
def say(monkeypatch, capsys, tmp_path):
    """Runs the command line in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "240")

    def run(*words: object) -> Said:
        monkeypatch.setattr(sys, "argv", ["openbell", *(str(each) for each in words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            cli.main()
        told = capsys.readouterr()
        assert "Traceback" not in told.err + told.out
        return Said(left.value.code or 0, told.out, told.err)

    return run


def row(strike: int, call: tuple[float, float], put: tuple[float, float], expiry: str = "231020") -> str:
    return (
        f"Fri Oct 20 2023,SPXW{expiry}C0{strike}000,0,0,{call[0]},{call[1]},10,0.15,0.5,0.001,5,{strike}.00,"
        f"SPXW{expiry}P0{strike}000,0,0,{put[0]},{put[1]},10,0.15,-0.5,0.001,5"
    )


def table(folder, name="quotedata.csv", top=TOP, rows=()):
    """Nine strikes around 4,500 with prices of a straight line of parity and a gentle bulge; `rows` more."""
    quotes = []
    for strike in range(4300, 4701, 50):
        away = strike - 4510
        value = 80 + max(-away, 0) - 0.25 * abs(away)
        quotes.append(row(strike, (value - 0.5, value + 0.5), (value + away * 0.997 - 0.5, value + away * 0.997 + 0.5)))
    place = folder / name
    place.write_text("\n".join([*top, *quotes, *rows]) + "\n")
    return place


def test_a_weekend_file_is_imported_told_and_known_again(say, tmp_path):
    """Kills: Saturday as the session, a report whose counts do not add up, a second import that writes."""
    file = table(tmp_path, rows=[row(4750, (30.0, 20.0), (270.0, 272.0))])
    said = say("data", "import", "chain", file, "--home", "home")
    assert said.code == 0, said.err
    assert "20 quotes received, 19 stored, 1 in quarantine, 0 known already" in said.out
    assert "crossed" in said.out
    assert "those of the close of 2023-09-15" in said.out
    again = json.loads(say("data", "import", "chain", file, "--home", "home", "--json").out)
    assert (again["known"], again["stored"], again["quarantined"], again["received"]) == (20, 0, 0, 20)
    home = Home.open(tmp_path / "home")
    chain = View(home.tables, home.sessions.open(home.sessions.dates[-1]), home.sessions).chain("SPX").collect()
    assert chain.height == 19
    assert {str(each) for each in chain["session"]} == {"2023-09-15"}
    assert len(home.journal.records(kind="data")) == 1


def test_the_check_of_chains_counts_what_is_stored_and_what_is_not(say, tmp_path):
    """Kills: `data check chain` that looks at bars, and `data check` that no longer does."""
    file = table(tmp_path, rows=[row(4750, (30.0, 20.0), (270.0, 272.0)), row(4800, (0.0, 12.0), (320.0, 322.0))])
    say("data", "import", "chain", file, "--home", "home")
    told = json.loads(say("data", "check", "chain", "--home", "home", "--json").out)
    rules = {each["rule"]: each["rows"] for each in told["rules"] if each["rows"]}
    assert rules["crossed"] == 1
    assert rules["zero_bid"] == 1
    assert told["stored"][0]["underlying"] == "SPX"
    assert told["stored"][0]["quotes"] == 21
    assert json.loads(say("data", "check", "--home", "home", "--json").out)[0]["rule"] == "not_a_session"
    before = json.loads(say("data", "check", "--home", "home", "--json", "chain").out)
    assert before["stored"] == told["stored"]
    assert "There are no quotes in" in say("data", "check", "chain", "--home", "empty").out


def test_a_spot_of_another_instrument_refuses_the_file(say, tmp_path):
    """Check 11, point 6: exit 1, the sentence on the terminal, the quotes in quarantine."""
    file = table(tmp_path, top=(TOP[0], TOP[1].replace("4500.25", "81.90"), *TOP[2:]))
    said = say("data", "import", "chain", file, "--home", "home")
    assert said.code == 1
    assert "spot 81.9, and the quotes imply 45" in said.err
    home = Home.open(tmp_path / "home")
    assert home.tables.names() == ["quote_quarantine"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--format", "cbeo"), "Did you mean `cboe`"),
        (("--format", "cboe", "--map", "bid=Bid"), "has its own"),
        (("--session", "2023-09-14"), "contradicts it"),
        (("--session", "tomorrow"), "is not a date"),
        (("--underlying", "NDX"), "holds options of SPX"),
        (("--format", "yahoo"), "cannot be read as a table whose first line names its columns"),
    ],
)
def test_what_cannot_be_meant_is_refused_and_writes_nothing(words, sentence, say, tmp_path):
    said = say("data", "import", "chain", table(tmp_path), "--home", "home", *words)
    assert said.code == 2
    assert sentence in said.err
    assert not (tmp_path / "home" / "tables").exists()


def test_of_several_files_the_good_ones_are_stored_and_the_rest_told(say, tmp_path):
    good, empty = table(tmp_path), tmp_path / "nothing.csv"
    empty.write_text("a,b\n1,2\n")
    said = say("data", "import", "chain", good, empty, "--home", "home", "--json")
    assert said.code == 3
    assert "1 of 2 files were imported. nothing.csv:" in said.err
    assert json.loads(said.out)[0]["stored"] == 18


def files_of(folder):
    return sorted((folder / "chains" / "cboe").glob("*.gz"))


def imported(home, file):
    report = import_chain_file(home, file)
    assert report.received == report.stored + report.quarantined + report.known
    return report


def test_a_real_file_of_cboe(real_data, tmp_path):
    """Parity's forward of the next day lies near the index: 5 points above, as the market went on until 16:15."""
    home = Home.open(tmp_path / "home")
    report = imported(home, real_data / "chains" / "cboe" / "spx_2023-09-14.csv.gz")
    assert (report.received, report.stored, report.quarantined) == (19_920, 19_624, 296)
    assert report.refused == ()
    assert report.iv_difference < 0.01
    rows = home.tables.scan("quotes").filter(pl.col("expiry") == pl.date(2023, 9, 15)).collect()
    assert (rows["forward"] / 4505.1 - 1).abs().max() < 0.002


@pytest.mark.slow
def test_every_real_file_imports_as_it_is(real_data, tmp_path):
    """Point 2. No honest row of CBOE's files is kept out, but for contracts that had expired."""
    home = Home.open(tmp_path / "home")
    for file in files_of(real_data):
        report = imported(home, file)
        out = report.counts.filter(pl.col("action").is_in(["quarantine", "refuse"]) & (pl.col("rows") > 0))
        assert out["rule"].to_list() in ([], ["expired"])
        assert imported(home, file).commit is None


@pytest.mark.slow
def test_ten_stocks_of_yahoo(real_data, tmp_path):
    """Thanksgiving's copies are refused, the ladders of before two splits kept apart, the rest stored and priced."""
    home = Home.open(tmp_path / "home")
    report = imported(home, real_data / "chains" / "yahoo_10_stocks_2025-11-25_12-05.parquet")
    found = {each["rule"]: each["chains"] for each in report.counts.to_dicts() if each["rows"]}
    assert len(report.refused) == found["chain_without_session"] == 10
    assert found["split_strike"] == 16
    assert {each["underlying"] for each in report.chains.filter(pl.col("stored") > 0).to_dicts()} == {
        "AAPL", "AMZN", "GOOG", "JPM", "LLY", "META", "NFLX", "NVDA", "PLTR", "TSM",
    }  # fmt: skip
