"""A full disk, a home that cannot be written, a service that is away, a kill: the old state or the new one."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from openbell.core.errors import StorageFailed
from openbell.core.time import MOMENT
from openbell.store.commits import CommitLog
from openbell.store.tables import Tables

SCHEMA = {"session": pl.Date, "value": pl.Int64, "known_at": MOMENT}


def rows(*values: int) -> pl.DataFrame:
    days = [18262 + 400 * (value % 3) for value in values]
    frame = pl.DataFrame({"session": days, "value": values, "known_at": days}, schema_overrides={"value": pl.Int64})
    return frame.with_columns(
        pl.col("session").cast(pl.Int32).cast(pl.Date),
        (pl.col("known_at").cast(pl.Int64) * 86_400_000_000).cast(MOMENT),
    )


def values(tables: Tables, name: str = "bars") -> list[int]:
    return sorted(tables.scan(name).collect()["value"].to_list()) if tables.exists(name) else []


class Failing:
    """A place whose n-th write fails, before anything or after half of it."""

    def __init__(self, place, number, failure, after=False):
        self._place, self._left, self._failure, self._after = place, number, failure, after

    def __getattr__(self, name):
        return getattr(self._place, name)

    def put(self, name, content):
        self._left -= 1
        if self._left == 0 and not self._after:
            raise self._failure
        self._place.put(name, content)
        if self._left == 0:
            raise self._failure


@pytest.mark.parametrize("number", [1, 2, 3, 4])
@pytest.mark.parametrize("after", [False, True])
def test_a_writer_that_dies_at_any_write_leaves_the_old_state_and_a_second_run_finishes(reopen, number, after):
    reopen().append_all({"bars": rows(1), "actions": rows(5)})
    new = {"bars": rows(2, 3, 4), "actions": rows(6)}  # three years of bars, one of actions: commit is the fifth write
    failing = Failing(reopen().place, number, KeyboardInterrupt(), after)
    with pytest.raises(KeyboardInterrupt):
        Tables(failing, CommitLog(failing)).append_all(new, by={"bars": "year"})
    assert (values(reopen()), values(reopen(), "actions")) == ([1], [5])
    again = reopen().append_all(new, by={"bars": "year"})
    assert (values(reopen()), values(reopen(), "actions")) == ([1, 2, 3, 4], [5, 6])
    assert reopen().append_all(new) == again
    assert reopen().orphans() == []
    assert reopen().verify() == 6


# Three new years and the commit: each file is synced and renamed, and its folder synced; a new folder's own folder too.
@pytest.mark.parametrize(
    ("call", "number"), [*(("fsync", each) for each in range(1, 12)), *(("replace", each) for each in range(1, 5))]
)
@pytest.mark.parametrize(
    ("code", "sentence"),
    [(errno.ENOSPC, "is full"), (errno.EROFS, "Mend its permissions"), (errno.EIO, "Mend it and run it again")],
)
def test_a_disk_that_fails_at_any_step_is_told_and_shows_nothing_half(
    tmp_path, monkeypatch, call, number, code, sentence
):
    home = (tmp_path / "home").as_uri()
    Tables.open(home).append("bars", rows(1))
    real, left = getattr(os, call), [number]

    def failing(*arguments):
        left[0] -= 1
        if left[0] == 0:
            raise OSError(code, os.strerror(code))
        return real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(os, call, failing)
        with pytest.raises(StorageFailed, match=sentence) as failure:
            Tables.open(home).append("bars", rows(2, 3, 4), by="year")
    assert os.strerror(code) in str(failure.value)
    assert values(Tables.open(home)) in ([1], [1, 2, 3, 4])
    assert not list((tmp_path / "home").rglob("*.part"))
    Tables.open(home).append("bars", rows(2, 3, 4), by="year")
    assert values(Tables.open(home)) == [1, 2, 3, 4]


def test_a_home_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "home").write_text("a file stands where the folder should")
    tables = Tables.open((tmp_path / "home").as_uri())
    with pytest.raises(StorageFailed, match=r"nothing half-written can be seen"):
        tables.append("bars", rows(1))
    assert tables.names() == []


def test_a_folder_that_may_not_be_written_is_told(tmp_path, monkeypatch):
    def refused(*_, **__):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "mkdir", refused)
    with pytest.raises(StorageFailed, match=r"Permission denied.*Mend its permissions or choose another"):
        Tables.open((tmp_path / "home").as_uri()).append("bars", rows(1))


def test_a_bucket_that_is_not_there_is_told_without_the_key(s3):
    tables = Tables.open("s3://no-such-bucket/x", s3.options)
    with pytest.raises(StorageFailed) as failure:
        tables.append("bars", rows(1))
    assert "s3://no-such-bucket/x failed" in str(failure.value)
    assert not {value for name, value in s3.options.items() if "key" in name and value in str(failure.value)}


def test_a_service_that_is_away_is_told(s3):
    tables = Tables.open("s3://bucket/x", {**s3.options, "aws_endpoint_url": "http://127.0.0.1:9"})
    with pytest.raises(StorageFailed, match="while listing commits"):
        tables.names()


def test_credentials_and_endpoint_may_come_from_the_environment(s3, monkeypatch):
    for name, value in s3.options.items():
        monkeypatch.setenv(name.upper(), value)
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    tables = Tables.open(f"s3://{s3.bucket}/x")
    tables.append("bars", rows(1, 2), by="year")
    assert values(tables) == [1, 2]


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(
        st.tuples(st.lists(st.integers(0, 50), min_size=1, max_size=4), st.integers(0, 5), st.booleans()), max_size=6
    )
)
def test_whatever_fails_between_the_rows_are_those_of_the_appends_that_were_made(tmp_path_factory, steps):
    """Against a model: each content once, in full, if and only if one append of it came to its end."""
    home = tmp_path_factory.mktemp("home").as_uri()
    made = {}
    for content, fails_at, after in steps:
        place = Failing(Tables.open(home).place, fails_at, MemoryError(), after)
        years = len(set(rows(*content)["session"].dt.year()))
        try:
            Tables(place, CommitLog(place)).append("bars", rows(*content), by="year")
            made[tuple(content)] = content
        except MemoryError:
            if fails_at == years + 1 and after:  # the commit itself had been written
                made[tuple(content)] = content
        assert values(Tables.open(home)) == sorted(value for each in made.values() for value in each)


KILLED = """
import contextlib, json, os, resource, shutil, signal, sys
from pathlib import Path
sys.path[:0] = [sys.argv[2], sys.argv[3]]
import importlib.util
spec = importlib.util.spec_from_file_location("faults", sys.argv[4])
faults = importlib.util.module_from_spec(spec)
spec.loader.exec_module(faults)
from openbell.store.tables import Tables

home = Path(sys.argv[1])

def child(work):
    # Polars starts its threads in the child, so that forking is safe here.
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(writer, json.dumps(work()).encode())
            os._exit(0)
        except BaseException as failure:
            os.write(writer, json.dumps(f"{type(failure).__name__}: {failure}").encode())
            os._exit(1)
    os.close(writer)
    said = b"".join(iter(lambda: os.read(reader, 65536), b""))
    os.close(reader)
    status = os.waitpid(pid, 0)[1]
    return (-os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)), said.decode()

def opened(at):
    return Tables.open(at.as_uri())

def append(at):
    return opened(at).append("bars", faults.rows(2, 3, 4), by="year")

def look(at):
    tables = opened(at)
    return [faults.values(tables), len(tables.orphans()), tables.verify()]

def killed_at(at, number):
    left = [number]
    def counted(real):
        def call(*arguments):
            for moment in ("before", "after"):
                left[0] -= 1
                if left[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                if moment == "before":
                    result = real(*arguments)
            return result
        return call
    os.replace, os.fsync = counted(os.replace), counted(os.fsync)
    return append(at)

def limited(at):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300, resource.RLIM_INFINITY))
    return append(at)

def after(at):
    return [look(at), append(at), opened(at).sweep() and None, look(at)]

def attempt(name, work):
    at = home / name
    shutil.copytree(home / "base", at)
    code, said = child(lambda: work(at))
    print(json.dumps({"code": code, "said": said, "after": child(lambda: after(at))}), flush=True)
    return code

child(lambda: opened(home / "base").append("bars", faults.rows(1)))
number = 1
while attempt(f"at-{number}", lambda at: killed_at(at, number)):
    number += 1
attempt("limit", limited)
"""


def test_kill_at_every_step_on_the_disk_and_a_limit_of_the_system(tmp_path, root):
    """SIGKILL before and after each sync and each rename; then the kernel's own refusal to write a whole file."""
    lines = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path), str(root / "src"), str(root), __file__],
        check=True,
        capture_output=True,
        text=True,
        timeout=200,
    ).stdout.splitlines()
    runs = [json.loads(line) for line in lines]
    *killed, done, limited = runs
    assert len(killed) >= 2 * 3 * 4, "two syncs and a rename, before and after, of three years and the commit"
    assert {run["code"] for run in killed} == {-9}
    assert done["code"] == 0
    for run in runs:
        assert run["after"][0] == 0, run["after"][1]
    states = []
    for run in runs:
        before, again, _, end = json.loads(run["after"][1])
        states.append(before[0])
        assert again == json.loads(done["said"])
        assert end == [[1, 2, 3, 4], 0, 4]
    assert states[:-1] == sorted(states[:-1], key=len), "the new state is never lost again"
    assert {tuple(state) for state in states} == {(1,), (1, 2, 3, 4)}
    assert limited["code"] == 1
    assert "StorageFailed" in limited["said"]
    assert "is full (File too large)" in limited["said"]
    assert states[-1] == [1]
