"""The command line: it teaches, it refuses with a sentence, and what it refuses leaves nothing behind."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest
import trained_homes as tiny
import typer

from openbell.app import cli
from openbell.app.holdout import holdout_first

BARS = "date,symbol,open,high,low,close,volume\n"
ROWS = [f"2020-01-{day:02d},AAA,10,11,9,10.{day},1000\n" for day in (2, 3, 6, 7, 8, 9, 10, 13, 14, 15)]


@dataclass(frozen=True)
class Said:
    """What a command left on the terminal, and its exit code."""

    code: int
    out: str
    err: str


@pytest.fixture
def say(monkeypatch, capsys, tmp_path):
    """Runs the command line in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*words: object) -> Said:
        monkeypatch.setattr(sys, "argv", ["openbell", *(str(each) for each in words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            cli.main()
        told = capsys.readouterr()
        assert "Traceback" not in told.err + told.out
        return Said(left.value.code or 0, told.out, told.err)

    return run


def commands() -> list[tuple[str, ...]]:
    """Every command and group, by its words."""
    cli._mount()

    def below(command: object, words: tuple[str, ...]) -> list[tuple[str, ...]]:
        found = [words]
        for name, each in sorted(getattr(command, "commands", {}).items()):
            found += below(each, (*words, name))
        return found

    return below(typer.main.get_command(cli.app), ())


def files(folder: Path) -> dict[str, bytes]:
    """Every file but what SQLite keeps beside a database while it is open."""
    found = (each for each in sorted(folder.rglob("*")) if each.is_file() and not each.name.endswith(("-shm", "-wal")))
    return {str(each.relative_to(folder)): each.read_bytes() for each in found}


def written(path: Path, rows: list[str], header: str = BARS) -> Path:
    path.write_text(header + "".join(rows))
    return path


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_command_explains_itself(words, say) -> None:
    """check 53: `--help` of every command, and of the groups, teaches and exits 0."""
    said = say(*words, "--help")
    assert said.code == 0
    assert f"openbell {' '.join(words)}".strip() in " ".join(said.out.split())
    assert len(said.out.split()) > 12, "a sentence on what it does, not only its name"
    assert said.err == ""


def test_the_command_starts_as_a_process(tmp_path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")}
    run = [sys.executable, "-c", "from openbell.app.cli import main; main()"]
    done = subprocess.run([*run, "--help"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "Decide before the opening bell" in done.stdout
    for code in ("0 done", "1 refused", "2 bad input", "3 done in part", "4 integrity", "70 internal"):
        assert code in " ".join(done.stdout.split())
    assert list(tmp_path.iterdir()) == []


REFUSED = [
    ("a missing column", BARS.replace("close,", "cls,"), ROWS, "close", ()),
    ("rows out of order", BARS, [*ROWS[5:], *ROWS[:5]], "not in order of time", ()),
    (
        "a naive moment",
        BARS.replace("date", "timestamp"),
        [row.replace(",AAA", " 16:00:00,AAA") for row in ROWS],
        "2020-01-02 16:00:00",
        (),
    ),
    ("no number", BARS, [*ROWS[:3], "2020-01-07,AAA,10,11,9,ten,1000\n"], "`ten`, which is no number", ()),
    ("no rows", BARS, [], "no rows", ()),
    ("an unknown calendar", BARS, ROWS, "XNYS", ("--calendar", "XNYZ")),
    ("an unknown kind", BARS, ROWS, "STOCK", ("--kind", "STOK")),
    ("a map to nowhere", BARS, ROWS, "close", ("--map", "close=clse")),
    ("a map without pairs", BARS, ROWS, "--map close=adj_close", ("--map", "close")),
    ("sessions of no exchange", BARS, [row.replace("2020-01", "1920-01") for row in ROWS], "lies on a session", ()),
]


@pytest.mark.parametrize(
    ("header", "rows", "sentence", "words"), [each[1:] for each in REFUSED], ids=[e[0] for e in REFUSED]
)
def test_bars_that_cannot_be_used_are_refused(header, rows, sentence, words, say, tmp_path) -> None:
    """Exit code 2, the sentence on standard error, and not even a home."""
    file = written(tmp_path / "bars.csv", rows, header)
    said = say("data", "import", "bars", file, "--home", "home", *words)
    assert said.code == 2
    assert sentence in said.err
    assert said.err.startswith("openbell: ")
    assert said.out == ""
    assert [each.name for each in tmp_path.iterdir()] == ["bars.csv"]


def test_duplicate_rows_are_held_back_and_counted(say, tmp_path) -> None:
    """Two different rows of one session: neither is believed, and both are counted."""
    rows = [*ROWS[:4], ROWS[3].replace("10.7", "10.9"), *ROWS[4:]]
    file = written(tmp_path / "bars.csv", rows)
    said = say("data", "import", "bars", file, "--home", "home", "--json")
    assert said.code == 0
    told = json.loads(said.out)
    assert told["received"] == 11
    assert told["stored"] + told["quarantined"] == 11
    assert told["quarantined"] >= 1
    assert [each["rule"] for each in told["rules"] if "dup" in each["rule"]]


def test_rows_out_of_order_are_taken_where_that_is_said(say, tmp_path) -> None:
    file = written(tmp_path / "bars.csv", [*ROWS[5:], *ROWS[:5]])
    said = say("data", "import", "bars", file, "--home", "home", "--sort", "--json")
    assert said.code == 0
    assert json.loads(said.out)["stored"] == 10
    again = json.loads(say("data", "import", "bars", file, "--home", "home", "--sort", "--json").out)
    assert (again["stored"], again["known"]) == (0, 10)


def test_the_same_rows_in_another_order_are_the_same(say, tmp_path) -> None:
    say("data", "import", "bars", written(tmp_path / "bars.csv", [*ROWS[5:], *ROWS[:5]]), "--home", "a", "--sort")
    say("data", "import", "bars", written(tmp_path / "bars.csv", ROWS), "--home", "b")
    frames = [tiny.opened(tmp_path / name).tables.scan("bars").drop("known_at").collect() for name in "ab"]
    assert frames[0].equals(frames[1])


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--set", "run.captial=5"), "run.capital"),
        (("--set", "safety.sector_cap.max_sector_wait=0.3"), "max_sector_weight"),
        (("--set", "run.capital"), "names no value"),
        (("--set", "run.capital=-5"), "run.capital"),
        (("--set", "run.capital=much"), "run.capital"),
        (("--as-of", "2011-07-04"), "2011-07-04"),
        (("--as-of", "2011-7-5"), "Write it like 2020-03-16"),
        (("--as-of", "1999-06-01"), "first session"),
        (("--as-of", "2030-06-03"), "2030-06-03"),
        (("--as-of", "2012-08-01"), "stale prices"),
        (("--set", "data.universe=nope"), "nope"),
        (("--set", "data.benchmark=SPY"), "SPY"),
        (("--capital", "0"), "capital"),
        (("--exceute",), "--execute"),
    ],
)
@pytest.mark.parametrize("execute", [(), ("--execute",)])
def test_a_run_that_cannot_be_made_is_refused(words, execute, sentence, say, trained_without_edge, tmp_path) -> None:
    """The sentence with the nearest valid word; exit code 2; no file, no record."""
    before = files(trained_without_edge.path)
    said = say("run", "stocks", "--home", trained_without_edge.path, "--out", "live", *words, *execute)
    assert said.code == 2
    assert sentence in " ".join(said.err.split())
    assert list(tmp_path.iterdir()) == []
    assert files(trained_without_edge.path) == before


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[run]\ncapital = 1.0\ncapital = 2.0\n", "line 3"),
        ("[run]\ncapital = 1.0\n[run]\nlead_minutes = 3\n", "a second time"),
        ("[rnu]\ncapital = 1.0\n", "`rnu"),
        ("capital = ", "is not TOML"),
    ],
)
def test_a_settings_file_that_cannot_be_read_is_refused(text, sentence, say, tmp_path) -> None:
    (tmp_path / "own.toml").write_text(text)
    for words in (("settings",), ("train", "stocks", "--as-of", "2020-01-02"), ("data", "list"), ("audit", "run")):
        said = say(*words, "--settings", "own.toml", "--home", "home")
        assert said.code == 2
        assert sentence in said.err
    assert [each.name for each in tmp_path.iterdir()] == ["own.toml"]


@pytest.mark.parametrize(
    "words",
    [
        ("run", "stocks"),
        ("run", "stocks", "--execute", "--as-of", "2020-03-16"),
        ("train", "stocks", "--as-of", "2020-03-16"),
        ("positions", "show"),
        ("positions", "reconcile", "positions.csv"),
        ("positions", "import", "positions.csv"),
        ("audit", "run"),
        ("features", "compute", "--symbols", "A", "--as-of", "2020-03-16", "--out", "f.parquet"),
        ("journal", "verify"),
        ("journal", "show"),
        ("promote", "stocks", "--reason", "none"),
        ("rollback", "stocks"),
        ("champion", "stocks"),
        ("holdout", "show", "stocks"),
        ("holdout", "open", "stocks", "--reason", "none"),
        ("data", "import", "bars", "absent.csv"),
        ("data", "import", "members", "absent.csv"),
        ("data", "import", "fundamentals", "absent.csv"),
    ],
    ids=" ".join,
)
def test_an_empty_home_is_not_made_by_a_refusal(words, say, tmp_path) -> None:
    """A mistyped --home says what is not there, and does not appear on the disk."""
    (tmp_path / "positions.csv").write_text("symbol,shares\nCASH,5\n")
    said = say(*words, "--home", "nowhere")
    assert said.code == 2
    assert "openbell: There " in said.err
    assert [each.name for each in tmp_path.iterdir()] == ["positions.csv"]


def test_a_symbol_without_a_sector_is_refused_where_one_is_demanded(
    say, tmp_path, edge_home, trained_with_edge
) -> None:
    """Exit code 1; the files are there and say why; nothing is ordered."""
    home = tiny.opened(edge_home)
    bare = home.tables.scan("instruments").collect().with_columns(pl.lit(None, dtype=pl.String).alias("sector"))
    home.tables.append("instruments", bare)
    session = tiny.later(home, trained_with_edge, 0)
    words = ("run", "stocks", "--home", edge_home, "--as-of", session, "--out", "live", "--execute", "--json")
    said = say(*words, "--set", "safety.sector_cap.require_sectors=true")
    assert said.code == 1
    told = json.loads(said.out)
    assert told["blocked"]
    assert not told["executed"]
    signals = json.loads((tmp_path / "live" / str(session) / "signals.json").read_text())
    assert [each["check"] for each in signals["verdicts"] if each["outcome"] == "BLOCK"] == ["sector_cap"]
    assert home.journal.records(kind="order") == []
    tiny.close(home)


@pytest.mark.parametrize("inside", ["a file", "/proc/openbell"])
def test_a_home_that_cannot_be_written_is_told(inside, say, tmp_path) -> None:
    """A folder below a regular file, and one that even root cannot make."""
    (tmp_path / "a file").write_text("x")
    file = written(tmp_path / "bars.csv", ROWS)
    for words in (("data", "import", "bars", file),):
        said = say(*words, "--home", Path(inside) / "home")
        assert said.code == 2
        assert inside in said.err
        assert "Internal error" not in said.err
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a file", "bars.csv"]


@pytest.mark.parametrize("place", ["a file/live", "/proc/openbell"])
def test_an_output_folder_that_cannot_be_written_orders_nothing(
    place, say, tmp_path, edge_home, trained_with_edge
) -> None:
    (tmp_path / "a file").write_text("x")
    said = say(
        "run", "stocks", "--home", edge_home, "--out", place, "--execute", "--as-of", trained_with_edge.trained_on
    )
    assert said.code == 2
    assert "Internal error" not in said.err
    assert place in said.err
    home = tiny.opened(edge_home)
    assert home.journal.records(kind=("order", "fill", "execution")) == []
    tiny.close(home)


def test_a_full_disk_while_importing_leaves_nothing(say, tmp_path, monkeypatch) -> None:
    file = written(tmp_path / "bars.csv", ROWS)
    say("data", "import", "bars", written(tmp_path / "first.csv", ROWS[:3]), "--home", "home")
    before = json.loads(say("data", "list", "--home", "home", "--json").out)
    sync = os.fsync

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    said = say("data", "import", "bars", file, "--home", "home")
    assert said.code == 2
    assert "full" in said.err
    monkeypatch.setattr(os, "fsync", sync)
    assert json.loads(say("data", "list", "--home", "home", "--json").out) == before
    assert say("data", "import", "bars", file, "--home", "home").code == 0


@pytest.mark.parametrize("number", [0, 2, 4, 6])
def test_a_full_disk_during_a_run_is_told_and_a_second_run_finishes(
    number, say, tmp_path, edge_home, fortnight, monkeypatch
) -> None:
    """The file of that number does not fit: exit code 2, nothing half-written, and the next run is as undisturbed."""
    session = fortnight.days[0].session
    calls = iter(range(1000))
    sync = os.fsync

    def full(handle: int) -> None:
        if next(calls) == number:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(handle)

    words = ("run", "stocks", "--home", edge_home, "--out", "live", "--execute", "--as-of", session)
    monkeypatch.setattr(os, "fsync", full)
    said = say(*words)
    monkeypatch.setattr(os, "fsync", sync)
    assert said.code == 2
    assert "no room left" in said.err
    assert not [name for name in files(tmp_path / "live") if name.endswith(".part")]
    assert say(*words).code == 0
    theirs = {name: text for name, text in files(fortnight.out).items() if name.startswith(str(session))}
    mine = files(tmp_path / "live")
    assert {name: mine[name] for name in theirs} == theirs


def test_a_fault_of_our_own_is_told_without_a_traceback(say, monkeypatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("somewhere deep")

    monkeypatch.setattr("openbell.app.home.Home.open", broken)
    monkeypatch.delenv("OPENBELL_DEBUG", raising=False)
    said = say("data", "list")
    assert said.code == 70
    assert "ZeroDivisionError: somewhere deep" in said.err
    assert "fault of Openbell" in said.err


@pytest.mark.parametrize("words", [("rnu",), ("run", "stock"), ("run", "stocks", "--as_of", "2020-01-02"), ("list",)])
def test_a_word_that_is_no_command_is_bad_input(words, say, tmp_path) -> None:
    said = say(*words)
    assert said.code == 2
    assert said.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--symbols", "GEN001,GEN99"), "GEN99"),
        (("--symbols", "GEN001", "--family", "momentun"), "momentum"),
        (("--symbols", "GEN001", "--out", "f.xlsx"), ".parquet or a .csv"),
        (("--symbols", "GEN001", "--first", "soon"), "`soon` is not a date"),
    ],
)
def test_features_that_cannot_be_computed_are_refused(words, sentence, say, trained_without_edge, tmp_path) -> None:
    out = () if "--out" in words else ("--out", "f.parquet")
    said = say("features", "compute", "--home", trained_without_edge.path, "--as-of", "2011-06-01", *words, *out)
    assert said.code == 2
    assert sentence in said.err
    assert list(tmp_path.iterdir()) == []


def test_features_are_written_as_they_were_known(say, trained_without_edge, tmp_path) -> None:
    words = ("features", "compute", "--home", trained_without_edge.path, "--symbols", "GEN001,GEN002", "--as-of")
    said = say(*words, "2011-06-01", "--out", "f.parquet", "--family", "momentum", "--json")
    assert said.code == 0
    told = json.loads(said.out)
    rows = pl.read_parquet(tmp_path / "f.parquet")
    assert rows.height == told["rows"] > 0
    assert rows["session"].max().isoformat() == "2011-05-31"
    assert set(rows["symbol"]) == {"GEN001", "GEN002"}
    assert len(rows.columns) == told["features"] + 3
    say(*words, "2011-09-01", "--out", "later.parquet", "--family", "momentum")
    later = pl.read_parquet(tmp_path / "later.parquet").filter(pl.col("session") < pl.date(2011, 6, 1))
    assert later.equals(rows), "what was known in June is the same in September"


@pytest.mark.parametrize(
    "words",
    [
        ("settings", "--json"),
        ("data", "list", "--json"),
        ("data", "check", "--json"),
        ("journal", "verify", "--json"),
        ("journal", "show", "--json"),
        ("champion", "stocks", "--json"),
        ("holdout", "show", "stocks", "--json"),
        ("positions", "show", "--json"),
        *(("list", room, "--json") for room in ("features", "labels", "models", "desks", "checks", "providers")),
    ],
    ids=" ".join,
)
def test_what_a_program_reads_is_one_json_document(words, say, trained_without_edge) -> None:
    """`--json`, and the same without it says something to a human."""
    said = say(*words, "--home", trained_without_edge.path)
    assert said.code == 0
    assert json.loads(said.out)
    human = say(*words[:-1], "--home", trained_without_edge.path)
    assert human.code == 0
    assert human.out.strip()


def test_a_run_is_told_as_json_and_in_words(say, fortnight, tmp_path) -> None:
    home = tiny.copied(fortnight.tiny, tmp_path / "home")
    words = ("run", "stocks", "--home", home, "--out", "live", "--as-of", fortnight.days[0].session)
    told = json.loads(say(*words, "--json").out)
    assert (told["executed"], told["blocked"], told["view"]) == (False, False, True)
    assert Path(told["report"]).is_file()
    spoken = say(*words)
    assert spoken.code == 0
    assert "Nothing was ordered." in spoken.out
    assert "run stocks: notify" in spoken.err
    executed = say(*words, "--execute")
    assert "Executed." in executed.out


def test_positions_come_in_from_outside_and_are_reconciled(say, plain_home, tmp_path) -> None:
    (tmp_path / "own.csv").write_text("symbol,shares\nGEN001,10\nCASH,5000\n")
    (tmp_path / "other.csv").write_text("symbol,shares\nGEN001,11\nCASH,5000\n")
    (tmp_path / "wrong.csv").write_text("symbol,shares\nGEN999,10\n")
    at = ("--home", plain_home, "--as-of", "2012-03-01")
    assert say("positions", "import", "wrong.csv", *at).code == 2
    assert json.loads(say("positions", "show", *at, "--json").out)["positions"] == []
    assert say("positions", "import", "own.csv", *at).code == 0
    held = json.loads(say("positions", "show", *at, "--json").out)
    assert [(each["symbol"], each["shares"]) for each in held["positions"]] == [("GEN001", 10)]
    assert held["cash_usd"] == 5000.0
    assert say("positions", "reconcile", "own.csv", *at).code == 0
    differs = say("positions", "reconcile", "other.csv", *at, "--json")
    assert differs.code == 1
    assert not json.loads(differs.out)["agrees"]


def test_a_champion_is_promoted_rolled_back_and_told_by_words(say, edge_home) -> None:
    """Exit codes and sentences of `promote`, `rollback` and `champion`; nobody in office is an answer, and exit 0."""
    at = ("--home", edge_home)
    told = json.loads(say("champion", "stocks", *at, "--json").out)
    assert (told["champion"].partition("@")[0], told["by"], told["previous"]) == ("lightgbm", "hand", None)
    early = say("champion", "stocks", *at, "--as-of", "2011-06-01")
    assert early.code == 0
    assert "Nobody is in office" in early.out
    assert json.loads(say("champion", "stocks", *at, "--as-of", "2011-06-01", "--json").out)["champion"] is None
    first = say("rollback", "stocks", *at)
    assert first.code == 1
    assert "no previous one" in first.err
    unknown = say("promote", "stocks", "ridge@2012-02-27#0", *at, "--reason", "x")
    assert unknown.code == 2
    assert "Did you mean `ridge@2012-02-27#" in unknown.err
    number = next(n for n in (1, 2) if say("promote", "stocks", n, *at, "--reason", "To see").out.startswith("ridge"))
    again = json.loads(say("promote", "stocks", number, *at, "--reason", "Once more", "--json").out)
    assert (again["by"], again["previous"], again["why"][0]) == ("hand", told["champion"], "To see.")
    spoken = say("champion", "stocks", *at).out
    assert "was promoted by hand and is in office since" in spoken
    assert f"Before it: {told['champion']}." in spoken
    back = say("rollback", "stocks", *at, "--reason", "It lost")
    assert back.code == 0
    assert told["champion"] in back.out
    assert "put back in office by a rollback" in back.out
    missing = say("promote", "stocks", *at)
    assert missing.code == 2
    assert "--reason" in missing.err


def test_the_holdout_is_shown_and_opened_once_by_words(say, edge_home, trained_with_edge, monkeypatch) -> None:
    at = ("--home", edge_home)
    monkeypatch.setattr("openbell.app.tournament.holdout_evaluation", lambda *_: {"active_return": 0.0123})
    assert "Nothing is held out" in say("holdout", "show", "stocks", *at).out
    refused = say("holdout", "open", "stocks", *at, "--reason", "x")
    assert refused.code == 1
    assert "its first tournament sets one" in refused.err
    home = tiny.opened(edge_home)
    holdout_first(home, "stocks", trained_with_edge.trained_on, make=True)
    tiny.close(home)
    assert json.loads(say("holdout", "show", "stocks", *at, "--json").out)["openings"] == []
    opened = say("holdout", "open", "stocks", *at, "--reason", "The year is over")
    assert opened.code == 0
    assert "active_return: 0.0123" in opened.out
    again = say("holdout", "open", "stocks", *at, "--reason", "x")
    assert again.code == 1
    assert "(The year is over)" in again.err
    assert "active_return: 0.0123" in say("holdout", "show", "stocks", *at).out
    assert say("holdout", "show", "stonks", *at).code == 2


def test_a_rewritten_journal_is_refused_by_the_command(say, plain_home) -> None:
    (plain_home / "journal.db").write_bytes(b"this is no database, but it is long enough to be read as one" * 40)
    for words in (("journal", "verify"), ("journal", "show"), ("run", "stocks")):
        assert say(*words, "--home", plain_home).code == 4
