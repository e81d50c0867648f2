"""The ledger of trials: each configuration counts once, for ever, and nobody takes one out."""

import datetime as dt
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import hypothesis.strategies as st
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings

from openbell.core.errors import BadInput, StorageFailed
from openbell.store.journal import Journal
from openbell.store.trials import Trial, Trials

AT = dt.datetime(2020, 3, 16, 13, tzinfo=dt.UTC)


def trial(fingerprint: str = "f1", *, desk: str = "stocks", kind: str = "candidate", data: str = "d1", **more) -> Trial:
    return Trial(desk, kind, more.pop("name", "ridge"), fingerprint, data, more)  # type: ignore[arg-type]


@pytest.fixture
def ledger(journal_url):
    with Trials.open(journal_url) as opened:
        yield opened


def test_a_configuration_counts_once(ledger):
    """Kills: counting calls instead of configurations; counting one on other data as the same."""
    assert ledger.record([trial(), trial("f2"), trial()], at=AT) == 2
    assert ledger.record([trial(), trial("f2"), trial("f3")], at=AT + dt.timedelta(days=1)) == 1
    assert ledger.record([trial(data="d2")], at=AT) == 1
    assert ledger.record([trial(kind="tuning")], at=AT) == 1
    assert ledger.record([trial(desk="options")], at=AT) == 1
    assert ledger.record([], at=AT) == 0
    assert ledger.count("stocks") == 5
    assert ledger.count("stocks", "candidate") == 4
    assert ledger.count("stocks", "tuning") == 1
    assert ledger.count("options") == 1
    assert ledger.count("gate") == 0
    assert ledger.count("stocks", before=AT) == 0, "strictly before, as the journal's"
    assert ledger.count("stocks", before=AT + dt.timedelta(microseconds=1)) == 4


def test_the_table_shows_the_first_that_was_tried(ledger):
    ledger.record([trial(name="one", alpha=1.0), trial(name="two")], at=AT)
    ledger.record([trial(name="three"), trial("f0")], at=AT)
    table = ledger.table("stocks")
    assert table["name"].to_list() == ["one", "ridge"]
    assert table["parameters"].to_list() == ['{"alpha":1.0}', "{}"]
    assert table["at"].to_list() == [AT, AT]
    assert ledger.table("gate").columns == table.columns == ["at", "kind", "name", "fingerprint", "data", "parameters"]


def test_what_was_recorded_is_in_it_here_and_elsewhere(ledger, journal_url):
    """An opened ledger sees what another process recorded after it was opened, and asks for text only."""
    assert "f1" not in ledger
    with Trials.open(journal_url) as other:
        other.record([trial()], at=AT)
        assert "f1" in other
    assert "f1" in ledger
    assert "f2" not in ledger
    assert None not in ledger
    assert 1 not in ledger


def test_a_trial_that_was_not_written_is_not_in_it(ledger, monkeypatch):
    """Kills: remembering before the database has it, so that a failed write lets a fit through."""

    def fails(*_):
        raise sa.exc.OperationalError("insert", {}, Exception("database or disk is full"))

    monkeypatch.setattr("openbell.store.trials._last", fails)
    with pytest.raises(StorageFailed, match="nothing was half-written"):
        ledger.record([trial(), trial("f2")], at=AT)
    monkeypatch.undo()
    assert "f1" not in ledger
    assert ledger.count("stocks") == 0


def test_threads_record_and_ask_at_once(ledger):
    def work(number: int) -> bool:
        mine = [trial(f"f{(number + each) % 12}") for each in range(6)]
        ledger.record(mine, at=AT)
        return all(each.fingerprint in ledger for each in mine)

    with ThreadPoolExecutor(6) as threads:
        assert all(threads.map(work, range(24)))
    assert ledger.count("stocks") == 12


def test_processes_count_a_configuration_once(journal_url, root):
    script = """
import datetime as dt, sys
from openbell.store.trials import Trial, Trials
at = dt.datetime(2020, 3, 16, 13, tzinfo=dt.UTC)
with Trials.open(sys.argv[1]) as ledger:
    print(sum(ledger.record([Trial("stocks", "tuning", "x", f"f{n}", "d")], at=at) for n in range(30)))
"""
    command = [sys.executable, "-c", script, journal_url]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root / "src") for _ in range(2)]
    assert sum(int(each.communicate(timeout=60)[0]) for each in running) == 30


FORBIDDEN = [
    "UPDATE trials SET name = 'x'",
    "DELETE FROM trials",
    "INSERT INTO trials VALUES (9, 0, 'stocks', 'candidate', 'x', 'f9', 'd', '{}')",
    "UPDATE alpha_spent SET alpha = 0.0",
    "DELETE FROM alpha_spent",
    "INSERT INTO alpha_spent VALUES (9, 0, 'stocks', 2020, 'p9', 0.1)",
]
REPLACING = [
    "INSERT OR REPLACE INTO trials VALUES (1, 0, 'stocks', 'candidate', 'x', 'other', 'd', '{}')",
    "INSERT OR REPLACE INTO trials VALUES (2, 0, 'stocks', 'candidate', 'x', 'f1', 'd1', '{}')",
    "INSERT OR REPLACE INTO alpha_spent VALUES (1, 0, 'stocks', 2020, 'p2', 0.0001)",
    "INSERT OR REPLACE INTO alpha_spent VALUES (2, 0, 'stocks', 2020, 'p1', 0.0001)",
]


@pytest.mark.parametrize("statement", [*FORBIDDEN, *REPLACING, "TRUNCATE trials", "TRUNCATE alpha_spent"])
def test_the_database_itself_refuses_to_forget(ledger, statement):
    """Kills: a trigger left out. INSERT OR REPLACE is SQLite's, TRUNCATE PostgreSQL's; the other says it knows none."""
    ledger.record([trial()], at=AT)
    ledger.spend("stocks", at=AT, alpha=0.01, plan="p1")
    sqlite = ledger.database.dialect == "sqlite"
    ours = not (statement.startswith("TRUNCATE") if sqlite else "OR REPLACE" in statement)
    with pytest.raises(StorageFailed, match="ledger of trials" if ours else "syntax"), ledger.database.writing() as on:
        on.execute(sa.text(statement))
    assert ledger.table("stocks").height == 1
    assert ledger.spent("stocks", 2020) == 0.01


def test_the_budget_is_spent_once_for_a_plan(ledger):
    ledger.spend("stocks", at=AT, alpha=0.01, plan="a")
    ledger.spend("stocks", at=AT + dt.timedelta(days=30), alpha=0.01, plan="a")
    ledger.spend("stocks", at=AT, alpha=0.002, plan="b")
    ledger.spend("stocks", at=AT.replace(year=2021), alpha=0.005, plan="c")
    ledger.spend("options", at=AT, alpha=0.03, plan="a")
    assert ledger.spent("stocks", 2020) == pytest.approx(0.012, abs=1e-15)
    assert ledger.spent("stocks", 2021) == 0.005
    assert ledger.spent("options", 2020) == 0.03
    assert ledger.spent("stocks", 2019) == 0.0
    with pytest.raises(BadInput, match=r"has spent 0\.01 already; it cannot spend 0\.02"):
        ledger.spend("stocks", at=AT, alpha=0.02, plan="a")


def test_the_year_is_that_of_the_moment_in_utc(ledger):
    """An hour before New Year in New York is next year's budget."""
    evening = dt.datetime(2020, 12, 31, 23, tzinfo=dt.timezone(dt.timedelta(hours=-5)))
    ledger.spend("stocks", at=evening, alpha=0.01, plan="a")
    assert (ledger.spent("stocks", 2020), ledger.spent("stocks", 2021)) == (0.0, 0.01)


@pytest.mark.parametrize("alpha", [0.0, 1.0, -0.1, float("nan")])
def test_an_alpha_that_is_no_error_rate_is_refused(ledger, alpha):
    with pytest.raises(BadInput, match="between 0 and 1"):
        ledger.spend("stocks", at=AT, alpha=alpha, plan="a")


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (trial(kind="canidate"), "Did you mean `candidate`"),
        (trial(""), "fingerprint of a trial must be text"),
        (trial(data=""), "data of a trial must be text"),
        (trial(alpha=float("inf")), "cannot be recorded"),
    ],
)
def test_a_trial_that_says_nothing_is_refused_with_all_beside_it(ledger, wrong, sentence):
    with pytest.raises(BadInput, match=sentence):
        ledger.record([trial("f9"), wrong], at=AT)
    assert ledger.count("stocks") == 0
    with pytest.raises(BadInput, match="Did you mean `tuning`"):
        ledger.count("stocks", "tunning")


def test_a_naive_moment_is_refused(ledger):
    with pytest.raises(BadInput, match="no time zone"):
        ledger.record([trial()], at=dt.datetime(2020, 1, 1))


def test_it_lies_in_the_journals_database(ledger, journal_url):
    ledger.record([trial()], at=AT)
    with Journal.open(journal_url) as journal:
        journal.append("a", {}, at=AT)
        assert journal.verify() == 1
    assert "f1" in ledger


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xy")), max_size=5), max_size=4))
def test_the_count_is_that_of_a_set(tmp_path_factory, batches):
    """In whatever order and batches they come."""
    folder = tmp_path_factory.mktemp("ledger")
    seen: set[tuple[str, str]] = set()
    with Trials.open(f"sqlite:///{folder}/journal.db") as ledger:
        for batch in batches:
            new = ledger.record([trial(name, data=data) for name, data in batch], at=AT)
            assert new == len(set(batch) - seen)
            seen |= set(batch)
        assert ledger.count("stocks") == len(seen)
        assert all((name in ledger) == any(name == each for each, _ in seen) for name in "abc")
