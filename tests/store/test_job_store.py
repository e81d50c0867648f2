"""Jobs and logins of the lab: asked for once, claimed in turn, lost when silent; one suite over both databases."""

import datetime as dt
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from openbell.core.errors import BadInput
from openbell.store import jobs as room
from openbell.store.database import Database
from openbell.store.jobs import JobStore
from openbell.store.lab_schema import logins
from openbell.store.logins import Logins
from openbell.store.redaction import hidden

AT = dt.datetime(2025, 5, 22, 14, 35, tzinfo=dt.UTC)


def after(seconds):
    return AT + dt.timedelta(seconds=seconds)


@pytest.fixture
def store(journal_url):
    opened = JobStore.open(journal_url)
    yield opened
    opened.close()


def ask(store, name="a", at=AT, by="ann"):
    return store.ask("train_gate", {"models": [name]}, by=by, at=at)


def begun(store, name="a"):
    """A job that a process works on."""
    asked = ask(store, name)
    assert store.claim(9, at=AT).id == asked.id
    assert store.begin(asked.id, host="here", pid=42, at=AT).pid == 42
    return asked


def test_a_job_from_end_to_end(store):
    asked = ask(store)
    assert (asked.status, asked.asked_by, asked.arguments, asked.alive) == ("queued", "ann", {"models": ["a"]}, True)
    assert store.claim(1, at=after(1)).started_at == after(1)
    assert store.begin(asked.id, host="here", pid=42, at=after(2)).beat_at == after(2)
    store.progress(asked.id, 3, 10, "ridge, fold 1", 12.5, at=after(3))
    store.say(asked.id, ["one", "two"], at=after(3))
    store.say(asked.id, ["three"], at=after(4))
    found = store.get(asked.id)
    assert (found.status, found.done, found.total, found.label, found.left_seconds) == (
        "running", 3, 10, "ridge, fold 1", 12.5)  # fmt: skip
    assert [(line.seq, line.text) for line in store.lines(asked.id)] == [(1, "one"), (2, "two"), (3, "three")]
    assert [line.text for line in store.lines(asked.id, after=2)] == ["three"]
    store.finish(asked.id, {"training": "abc"}, at=after(9))
    done = store.get(asked.id)
    assert (done.status, done.result, done.ended_at, done.left_seconds) == ("done", {"training": "abc"}, after(9), None)
    store.fail(asked.id, "too late", at=after(10))
    assert store.get(asked.id) == done  # what ended stays as it ended


def test_the_same_job_is_one_job_until_it_ends(store):
    first = ask(store)
    assert ask(store, by="ben", at=after(1)) == first
    assert ask(store, "b", at=after(1)).id != first.id
    store.claim(1, at=AT)
    assert ask(store).id == first.id
    store.begin(first.id, host="here", pid=1, at=AT)
    store.finish(first.id, {}, at=AT)
    assert ask(store, at=after(2)).id != first.id


def test_many_who_ask_at_once_get_one_job_and_one_claims_it(store):
    with ThreadPoolExecutor(6) as pool:
        assert len({each.id for each in pool.map(lambda _: ask(store), range(6))}) == 1
        claimed = list(pool.map(lambda _: store.claim(3, at=AT), range(6)))
    assert sum(each is not None for each in claimed) == 1


def test_jobs_run_in_the_order_they_were_asked_for_and_no_more_at_once_than_may(store):
    ids = [ask(store, name, at=after(number)).id for number, name in enumerate("abc")]
    assert [each.id for each in store.newest()] == ids[::-1]
    assert [each.id for each in store.newest(1)] == ids[2:]
    assert store.claim(2, at=AT).id == ids[0]
    assert store.claim(2, at=AT).id == ids[1]
    assert store.claim(2, at=AT) is None
    store.begin(ids[0], host="here", pid=1, at=AT)
    store.fail(ids[0], "no data", at=AT)
    assert store.claim(2, at=AT).id == ids[2]
    assert [each.id for each in store.running()] in ([ids[1], ids[2]], [ids[2], ids[1]])


def test_only_one_process_takes_a_job(store):
    job = begun(store)
    assert store.begin(job.id, host="here", pid=43, at=AT) is None
    assert store.get(job.id).pid == 42


def test_a_job_that_is_cancelled_while_it_waits_never_runs(store):
    asked = ask(store)
    assert store.cancel(asked.id, at=after(1)).status == "cancelled"
    assert store.claim(1, at=AT) is None


def test_a_job_that_is_cancelled_while_it_runs_is_told_so_at_its_next_beat(store):
    job = begun(store)
    assert store.beat(job.id, at=after(1)) is True
    assert store.get(job.id).beat_at == after(1)
    cancelled = store.cancel(job.id, at=after(2))
    assert (cancelled.status, cancelled.cancel) == ("running", True)
    assert store.beat(job.id, at=after(3)) is False
    store.cancelled(job.id, at=after(4))
    assert store.get(job.id).status == "cancelled"


def test_a_silent_job_is_lost_and_may_not_go_on(store):
    job = begun(store)
    store.beat(job.id, at=after(10))
    store.lose(job.id, "gone", at=after(20), unless_beat_after=after(9))
    assert store.get(job.id).status == "running"  # it was heard of meanwhile
    store.lose(job.id, "gone", at=after(50), unless_beat_after=after(10))
    found = store.get(job.id)
    assert (found.status, found.why, found.ended_at) == ("lost", "gone", after(50))
    assert store.beat(job.id, at=after(51)) is False
    store.finish(job.id, {}, at=after(52))
    assert store.get(job.id).status == "lost"


def test_a_job_that_was_told_to_stop_and_is_gone_was_cancelled(store):
    job = begun(store)
    store.cancel(job.id, at=AT)
    store.lose(job.id, "gone", at=after(9), unless_beat_after=after(9))
    assert store.get(job.id).status == "cancelled"


def test_secrets_never_reach_the_record(store):
    job = begun(store)
    key = f"ob_{'a1' * 5}_{'Z9' * 21}x"
    store.say(job.id, [f"with {key}", "postgresql://u:hunter2@host/db", "PGPASSWORD=hunter2 x"], at=AT)
    store.progress(job.id, 1, 2, f"at {key}", None, at=AT)
    store.fail(job.id, f"cannot open postgresql://u:hunter2@host/db with {key}", at=AT)
    found = store.get(job.id)
    told = " ".join([line.text for line in store.lines(job.id)] + [found.why, found.label])
    assert "hunter2" not in told
    assert key not in told
    with pytest.raises(BadInput, match="seems to hold a secret"):
        store.ask("train_gate", {"api_key": key}, by="ann", at=AT)


def test_hidden_leaves_other_text_alone():
    text = "fold 3: 4 pieces of 12, learning_rate=0.1; see https://host/path?x=1"
    assert hidden(text) == text


def test_a_log_has_an_end(store, monkeypatch):
    monkeypatch.setattr(room, "MOST_LINES", 5)
    job = begun(store)
    store.say(job.id, ["x" * 5_000, "2", "3"], at=AT)
    store.say(job.id, ["4", "5", "6", "7"], at=AT)
    store.say(job.id, ["8"], at=AT)
    kept = store.lines(job.id)
    assert [len(kept), len(kept[0].text)] == [5, room.LONGEST_LINE]
    assert kept[-1].text == "The log has 5 lines; what came after is not kept."


def test_the_queue_has_an_end(store, monkeypatch):
    monkeypatch.setattr(room, "MOST_QUEUED", 2)
    ask(store, "a")
    ask(store, "b")
    with pytest.raises(BadInput, match="2 jobs wait already"):
        ask(store, "c")


def test_a_job_that_is_none_is_said_to_be(store):
    with pytest.raises(BadInput, match="There is no job `nope`"):
        store.get("nope")


def test_a_login_lasts_until_it_expires_or_is_ended(journal_url):
    """The table never holds the secret."""
    database = Database.open(journal_url)
    kept = Logins(database)
    secret = kept.begin("key1", at=AT, hours=1.0)
    other = kept.begin("key2", at=AT, hours=2.0)
    assert kept.key_of(secret, at=AT) == "key1"
    assert kept.key_of(other, at=after(3_599)) == "key2"
    assert kept.key_of(secret, at=after(3_600)) is None
    assert kept.key_of(secret + "x", at=AT) is None
    assert kept.key_of("", at=AT) is None
    assert kept.key_of("x" * 10_000, at=AT) is None
    with database.reading() as connection:
        rows = connection.execute(sa.select(logins)).all()
    assert secret not in str(rows)
    kept.end(other)
    assert kept.key_of(other, at=AT) is None
    kept.begin("key3", at=after(4_000), hours=1.0)  # a login takes away those that are over
    with database.reading() as connection:
        assert connection.execute(sa.select(logins.c.key_id)).scalars().all() == ["key3"]
    database.close()
