"""Several writers and readers, contradictory ones at once, kills in the middle, and migrations on data."""

import contextlib
import itertools
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command

from openbell.core.errors import Refused, StorageFailed
from openbell.core.signal import Call, Status
from openbell.store import schema, signal_acts
from openbell.store.database import Database
from openbell.store.journal import Journal
from openbell.store.migrations.run import config, upgrade
from openbell.store.predictions import Predictions
from openbell.store.signal_conflicts import What
from openbell.store.signals import ALL, Signals, Which

sys.path.insert(0, str(Path(__file__).parent))
from gate_log import said
from signal_cases import AT, DAY, HOUR, made

S = Status

WRITER = """
import sys
sys.path.insert(0, sys.argv[3])
from signal_cases import AT, HOUR, made
from openbell.store.signal_conflicts import What
from openbell.store.signals import Signals
name = sys.argv[2]
with Signals.open(sys.argv[1]) as store:
    for number in range(int(sys.argv[4])):
        at = AT + number * HOUR
        signals = [made(f"S{each}", at=at, model=name) for each in range(3)]
        signals += [made("SHARED", ("BUY", "SELL")[name < "b"], at=at, model=name)]
        told = store.write(signals if name < "b" else signals[::-1], at=at)
        if number % 4 == 3:
            store.expire(at)
            store.archive(at)
        print(number, *(each.id for each in told), flush=True)
"""


@contextlib.contextmanager
def writing(root, url, name, turns):
    command = [sys.executable, "-c", WRITER, url, name, str(Path(__file__).parent), str(turns)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root / "src") as process:
        try:
            yield process
        finally:
            process.kill()


def whole(store):
    """Nothing is lost, doubled or half-written: the table of all signals, checked."""
    table = store.table()
    assert table.select("symbol", "model_version", "created_at").is_duplicated().sum() == 0
    assert table["id"].n_unique() == len(table)
    events = store.events_table()
    made_of = events.filter(events["what"] == "made")["signal_id"]
    assert made_of.sort().to_list() == table["id"].to_list(), "each was made once"
    last = events.sort("id").unique("signal_id", keep="last").sort("signal_id")
    assert last["to_status"].to_list() == table["status"].to_list()
    active = table.filter((table["status"] == "ACTIVE") & (table["call"] != Call.HOLD.value))
    for _, some in active.group_by("symbol"):
        assert some["call"].n_unique() == 1
    return table


def test_two_contrary_signals_at_once_resolve_once(journal_url):
    """Kills: both left active, or one superseded twice, because each writer saw a store without the other."""
    with Signals.open(journal_url) as store, ThreadPoolExecutor(2) as threads:
        for turn in range(12):
            ready = threading.Barrier(2)

            def put(each, ready=ready):
                ready.wait()
                return store.write([each], at=AT)[0]

            sure = (0.7, 0.65) if turn % 2 else (0.85, 0.65)
            pair = [made(f"S{turn}", "BUY", sure[0]), made(f"S{turn}", "SELL", sure[1], model="m2")]
            told = list(threads.map(put, pair))
            status = [store.get(each.id).status for each in told]
            assert status == ([S.SUPERSEDED] * 2 if turn % 2 else [S.ACTIVE, S.SUPERSEDED])
            steps = [step for each in told for step in store.events(each.id) if step.what == "conflict"]
            assert len(steps) == 2
        whole(store)


def test_one_of_many_acts_and_the_others_hear_of_it(journal_url):
    """Kills: two bots that both execute it; an act that does not see the expiry beside it."""
    with Signals.open(journal_url) as store, ThreadPoolExecutor(6) as threads:
        for turn in range(6):
            (written,) = store.write([made(f"S{turn}")], at=AT)

            def act(number, id=written.id):
                with contextlib.suppress(Refused):
                    if number % 3 == 2:
                        return store.cancel(id, at=AT, by=f"bot-{number}", why="No.").acted_by
                    return store.execute(id, at=AT, by=f"bot-{number}", word=f"w{number // 2}").acted_by
                return None

            winners = {name for name in threads.map(act, range(6)) if name}
            assert winners == {store.get(written.id).acted_by}
            assert len(store.events(written.id)) == 2


def work(store, number, rounds, symbols):
    """A writer, reader and actor; how many it wrote and saw twice."""
    for turn in range(rounds):
        at = AT + turn * HOUR / 4
        batch = [
            made(f"S{(number + each) % symbols}", ("BUY", "SELL")[(number + turn) % 2], 0.5 + (turn % 10) / 20, at=at,
                 model=f"m{number}-{each}")
            for each in range(5)
        ]  # fmt: skip
        told = store.write(batch if number % 2 else batch[::-1], at=at)
        store.active_many([each.symbol for each in batch], at)
        store.page(Which(symbols=(batch[0].symbol,)), 10)
        with contextlib.suppress(Exception):
            store.execute(told[0].id, at=at, by=f"bot-{number}")
        if turn % 5 == 4:
            store.expire(at - HOUR)
            store.archive(at - HOUR)


def test_eight_write_read_act_and_archive_at_once(journal_url):
    """Kills: a ring of locks, rows lost between table and archive, more active ones than may be."""
    with Signals.open(journal_url) as store, ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: work(store, number, 5, 4), range(8)))
        assert len(whole(store)) == 8 * 5 * 5


@pytest.mark.slow
def test_a_hundred_thousand_signals_of_eight_at_once(journal_url):
    """Issue 6, point 4: none lost, none doubled."""
    with Signals.open(journal_url) as store, ThreadPoolExecutor(8) as threads:

        def write(number):
            for turn in range(25):
                at = AT + turn * HOUR
                batch = [
                    made(f"S{each}", ("BUY", "SELL")[number % 2], at=at, model=f"m{number}") for each in range(500)
                ]
                assert len({each.id for each in store.write(batch, at=at)}) == 500
                store.active("S1", at)

        list(threads.map(write, range(8)))
        assert len(whole(store)) == 100_000


@pytest.mark.slow
def test_processes_write_at_once_and_meet_once(journal_url, root):
    turns = 8
    with writing(root, journal_url, "a", turns) as one, writing(root, journal_url, "b", turns) as two:
        told = [process.communicate(timeout=120)[0].splitlines() for process in (one, two)]
    assert [len(each) for each in told] == [turns, turns]
    with Signals.open(journal_url) as store:
        table = whole(store)
        assert len(table) == 8 * turns
        assert set(table.filter(table["symbol"] == "SHARED")["status"]) == {"SUPERSEDED"}


def killed_after(root, url, lines, turns=100_000):
    """Ids that the killed writer was told of."""
    with writing(root, url, "a", turns) as process:
        told = [process.stdout.readline() for _ in range(lines)]
        process.send_signal(signal.SIGKILL)
        told += process.stdout.read().splitlines(keepends=True)
    return [int(word) for line in told if line.endswith("\n") for word in line.split()[1:]]


def test_a_writer_that_is_killed_loses_nothing_it_was_told(journal_url, root):
    ids = killed_after(root, journal_url, 6)
    with Signals.open(journal_url) as store:
        table = whole(store)
        assert set(ids) <= set(table["id"])
        assert len(table) % 4 == 0, "whole batches"
        assert store.write([made("NEW", at=AT + DAY)], at=AT + DAY)[0].status is S.ACTIVE


@pytest.mark.slow
def test_kills_at_any_moment_lose_and_double_nothing(journal_url, root):
    """A sweep: the writer is killed again and again, starts over, and ends with what one run alone would have."""
    ids = set()
    for lines in range(1, 13):
        ids |= set(killed_after(root, journal_url, lines))
        with Signals.open(journal_url) as store:
            table = whole(store)
            assert ids <= set(table["id"])
            assert len(table) % 4 == 0


def test_symbols_do_not_wait_for_each_other(postgres_url):
    """Kills: one lock for all writers of PostgreSQL."""
    url = f"{postgres_url}%20-clock_timeout%3D300"
    with Signals.open(url) as store, store.database.adding() as held:
        signal_acts.hold(held, ["AAPL"])
        assert store.write([made("MSFT")], at=AT)[0].status is S.ACTIVE
        with pytest.raises(StorageFailed, match="lock timeout"):
            store.write([made("AAPL")], at=AT)
        with pytest.raises(StorageFailed, match="lock timeout"):
            store.expire(AT)


def test_whoever_reads_on_from_the_last_event_misses_none(postgres_url):
    """Kills: an event with a higher id that is committed, and seen, before one with a lower id."""
    url = f"{postgres_url}%20-clock_timeout%3D300"
    with Signals.open(url) as store:
        first = signal_acts.step(7, AT, What.MADE, None, S.ACTIVE, "desk", "It was made.", 0.7)
        with store.database.adding() as held:
            signal_acts.hold(held, ["AAPL"])
            signal_acts.happened(held, [first])
            with pytest.raises(StorageFailed, match="lock timeout"):
                store.write([made("MSFT")], at=AT)
        (written,) = store.write([made("MSFT")], at=AT)
        assert store.events_table()["signal_id"].to_list() == [7, written.id]


def test_both_databases_tell_the_same(tmp_path, postgres_url):
    """Kills: anything of one dialect alone: order, rounding, moments, sentences."""
    found = []
    for url in (f"sqlite:///{tmp_path}/s.db", postgres_url):
        with Signals.open(url) as store:
            told = [
                store.write([made("A", call, 0.5 + turn / 30, at=AT + turn * HOUR, model=f"m{each}")
                             for each, call in enumerate(("BUY", "SELL", "HOLD"))], at=AT + turn * HOUR)
                for turn in range(12)
            ]  # fmt: skip
            store.expire(AT + 26 * HOUR)
            store.archive(AT + 5 * HOUR)
            rows = store.page(ALL, 100).rows
            found.append((told, rows, store.page(ALL, 5).cursor, store.table(), store.events_table()))
    for one, two in itertools.pairwise(found):
        assert one[:3] == two[:3]
        assert one[3].equals(two[3])
        assert one[4].equals(two[4])


# Migrations -----------------------------------------------------------------------------------------------------------


def tables(database):
    with database.reading() as connection:
        return set(sa.inspect(connection).get_table_names())


def emptied(database):
    with database.writing() as connection:
        if database.dialect == "postgresql":
            name = connection.exec_driver_sql("SELECT current_schema()").scalar()
            connection.exec_driver_sql(f"DROP SCHEMA {name} CASCADE")
            connection.exec_driver_sql(f"CREATE SCHEMA {name}")
        else:
            for table in (*schema.metadata.tables, "alembic_version"):
                connection.execute(sa.text(f"DROP TABLE {table}"))


def test_the_migration_goes_up_and_down_on_data(journal_url):
    """What older revisions hold stays, up and down and up again; the signals' tables go and come as they were."""
    ours = {"trading_signals", "signals_archive", "signal_events"}
    database = Database.open(journal_url)
    emptied(database)
    with database.writing() as connection:
        upgrade(connection, "0003")
    assert not ours & tables(database)
    record = Journal(database).append("a", {"of": "an older revision"}, at=AT)
    Predictions(database).append([said("r1")])
    database.upgrade()
    store = Signals(database)
    written = store.write([made(), made("MSFT", life=HOUR), made(call="SELL", confidence=0.9, model="m2")], at=AT)
    store.expire(AT + HOUR)
    store.archive(AT + 2 * HOUR)
    assert len(whole(store)) == 3
    with database.writing() as connection:
        command.downgrade(config(connection), "0003")
    assert not ours & tables(database)
    assert Journal(database).records() == [record]
    assert set(Predictions(database).get(["r1"])) == {"r1"}
    database.upgrade()
    assert len(store.table()) == 0
    again = store.write([made()], at=AT)
    assert again[0].status is written[2].status is S.ACTIVE
    with pytest.raises(StorageFailed, match="append-only"), database.writing() as connection:
        connection.exec_driver_sql("DELETE FROM signal_events")
    assert Journal(database).verify() == 1
    database.close()
