"""One suite over both databases: SQLite, and a real PostgreSQL."""

import datetime as dt
import hashlib
import json

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from openbell.core.errors import BadInput, IntegrityBroken, StorageFailed
from openbell.store.journal import Entry, Head, Journal
from openbell.store.schema import GENESIS

AT = dt.datetime(2020, 3, 16, 13, 0, 0, 123456, tzinfo=dt.UTC)
PAYLOAD = {"desk": "stocks", "weights": {"AAA": 0.1, "BBB": 1 / 3}, "why": "Ä „quoted“ \u2603", "none": None}

UNLOCK = {
    "sqlite": [
        f"DROP TRIGGER {name}"
        for name in ("journal_no_update", "journal_no_delete", "journal_chain", "journal_head_forward",
                     "journal_head_no_delete", "journal_head_single")
    ],
    "postgresql": ["ALTER TABLE journal DISABLE TRIGGER ALL", "ALTER TABLE journal_head DISABLE TRIGGER ALL"],
}  # fmt: skip


@pytest.fixture
def journal(journal_url):
    with Journal.open(journal_url) as opened:
        yield opened


def execute(journal: Journal, *statements: str) -> None:
    with journal.database.engine.connect() as connection:
        for statement in statements:
            connection.execute(sa.text(statement.replace(":", "\\:")))
        connection.commit()


def tamper(journal: Journal, *statements: str) -> None:
    """What an intruder with all rights does: switch the triggers off, then rewrite."""
    execute(journal, *UNLOCK[journal.database.dialect], *statements)


def filled(journal: Journal, count: int = 5) -> Journal:
    journal.append_many([Entry("fill", {"number": each}, AT, f"key-{each}") for each in range(1, count + 1)])
    return journal


def test_a_record_is_hashed_as_documented(journal):
    first = journal.append("decision", PAYLOAD, at=AT, key="one")
    second = journal.append("fill", {}, at=AT)
    expected = {
        "seq": 1,
        "at": "2020-03-16T13:00:00.123456+00:00",
        "kind": "decision",
        "key": "one",
        "payload": PAYLOAD,
        "previous": "0" * 64,
    }
    text = json.dumps(expected, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert first.hash == hashlib.sha256(text.encode()).hexdigest()
    assert (second.seq, second.previous) == (2, first.hash)
    assert journal.head == Head(2, second.hash)
    assert journal.verify() == 2


def test_both_databases_hash_identically(tmp_path, postgres_url):
    heads = []
    for url in (f"sqlite:///{tmp_path}/journal.db", postgres_url):
        with Journal.open(url) as journal:
            journal.append("decision", PAYLOAD, at=AT)
            journal.append("fill", {"value": 1e-300, "big": 2**80, "at": AT}, at=dt.datetime.max.replace(tzinfo=dt.UTC))
            heads.append((journal.head, journal.records()))
    assert heads[0] == heads[1]


def test_what_append_returns_is_what_is_read_back(journal_url):
    with Journal.open(journal_url) as journal:
        written = [journal.append("a", {"when": AT, "tuple": (1, 2), "at": AT.date()}, at=AT), *map(
            lambda each: journal.append("b", {"n": each}, at=AT, key=f"{each}"), range(3))]  # fmt: skip
    with Journal.open(journal_url) as journal:
        assert journal.records() == written
        assert journal.get("1") == written[2]
        assert journal.get("9") is None


def test_moments_are_kept_to_the_microsecond_in_utc(journal):
    tokyo = dt.timezone(dt.timedelta(hours=9))
    record = journal.append("a", {}, at=AT.astimezone(tokyo))
    assert record.at == AT
    assert record.at.tzinfo is dt.UTC
    assert journal.records()[0].at == AT


def test_a_key_is_recorded_once(journal):
    first = journal.append("order", {"n": 1}, at=AT, key="order-1")
    assert journal.append("order", {"n": 2}, at=AT, key="order-1") == first
    one, two, three = journal.append_many(
        [Entry("order", {"n": 3}, AT, "order-1"), Entry("order", {"n": 4}, AT, "x"), Entry("order", {"n": 5}, AT, "x")]
    )
    assert one == first
    assert two == three
    assert [record.payload["n"] for record in journal.records()] == [1, 4]
    assert journal.verify() == 2


def test_records_without_a_key_are_never_the_same(journal):
    assert journal.append("a", {}, at=AT).seq == 1
    assert journal.append("a", {}, at=AT).seq == 2


def test_append_many_is_all_or_none(journal):
    with pytest.raises(BadInput):
        journal.append_many([Entry("a", {}, AT), Entry("a", {"x": float("nan")}, AT)])
    assert journal.records() == []
    assert journal.append_many([]) == []


def test_records_are_chosen_by_kind_moment_and_desk(journal):
    hours = [AT + dt.timedelta(hours=each) for each in range(4)]
    for hour, kind, desk in zip(hours, ("a", "b", "a", "c"), ("stocks", "gate", "gate", 7), strict=True):
        journal.append(kind, {"desk": desk}, at=hour)

    def chosen(**how):
        return [record.seq for record in journal.records(**how)]

    assert chosen() == [1, 2, 3, 4]
    assert chosen(kind="a") == [1, 3]
    assert chosen(kind=["b", "c"]) == [2, 4]
    assert chosen(kind=[]) == []
    assert chosen(before=hours[2]) == [1, 2]
    assert chosen(desk="gate") == [2, 3]
    assert chosen(kind="a", before=hours[3], desk="gate") == [3]
    with pytest.raises(BadInput, match="has no time zone"):
        journal.records(before=AT.replace(tzinfo=None))


@pytest.mark.parametrize(
    ("kind", "payload", "at", "key", "sentence"),
    [
        ("a", {}, AT.replace(tzinfo=None), None, "has no time zone"),
        ("", {}, AT, None, "kind of a record must be text"),
        (3, {}, AT, None, "it was 3"),
        ("a", {}, AT, "", "key of a record must be text"),
        ("a", {}, AT, "x\0", "key of a record must be text"),
        ("a", [1], AT, None, "must be a mapping; it was list"),
        ("a", {"x": float("inf")}, AT, None, "cannot hold the number inf"),
        ("a", {"x": object()}, AT, None, "not JSON serializable"),
        ("a", {"x": "\ud800"}, AT, None, "cannot be recorded"),
        ("a", {"settings": {"smtp_password": "hunter2"}}, AT, None, "`payload.settings.smtp_password`"),
        ("a", {"url": "postgresql://me:hunter2@host"}, AT, None, "`payload.url` seems to hold a secret"),
    ],
)
def test_what_cannot_be_recorded_is_refused_and_nothing_is_written(journal, kind, payload, at, key, sentence):
    with pytest.raises(BadInput) as refused:
        journal.append(kind, payload, at=at, key=key)
    assert sentence in str(refused.value)
    assert "hunter2" not in str(refused.value)
    assert journal.head == Head(0, GENESIS)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE journal SET payload = '{}' WHERE seq = 2",
        "DELETE FROM journal WHERE seq = 5",
        "UPDATE journal_head SET records = 4",
        "DELETE FROM journal_head",
        "INSERT INTO journal_head VALUES (2, 5, 'x')",
        "INSERT INTO journal SELECT 7, at_us, kind, 'new', desk, payload, hash, 'x' FROM journal WHERE seq = 5",
        "INSERT INTO journal SELECT 6, at_us, kind, 'new', desk, payload, 'fork', 'x' FROM journal WHERE seq = 5",
        "INSERT INTO journal SELECT 6, at_us, kind, key, desk, payload, hash, 'x' FROM journal WHERE seq = 5",
    ],
)
def test_the_database_itself_refuses_to_rewrite(journal, statement):
    filled(journal)
    with pytest.raises(sa.exc.DBAPIError):
        execute(journal, statement)
    assert journal.verify() == 5


def test_sqlite_refuses_to_replace(tmp_path):
    with Journal.open(f"sqlite:///{tmp_path}/journal.db") as journal:
        filled(journal)
        with pytest.raises(sa.exc.DBAPIError):
            execute(journal, "INSERT OR REPLACE INTO journal SELECT * FROM journal WHERE seq = 2")
        with pytest.raises(sa.exc.DBAPIError):
            execute(journal, "INSERT OR REPLACE INTO journal_head VALUES (1, 9, 'x')")
        assert journal.verify() == 5


def test_postgresql_refuses_to_truncate(postgres_url):
    with Journal.open(postgres_url) as journal:
        filled(journal)
        for table in ("journal", "journal_head"):
            with pytest.raises(sa.exc.DBAPIError):
                execute(journal, f"TRUNCATE {table}")
        assert journal.verify() == 5


SWAP = "UPDATE journal SET seq = -seq WHERE seq IN (2, 3)", "UPDATE journal SET seq = 5 + seq WHERE seq < 0"


@pytest.mark.parametrize(
    ("statements", "sentence"),
    [
        (["UPDATE journal SET payload = '{\"number\":9}' WHERE seq = 3"], "Record 3 .* hashes to"),
        (["UPDATE journal SET payload = '{\"number\": 3}' WHERE seq = 3"], "Record 3 .* its text"),
        (["UPDATE journal SET payload = 'no' WHERE seq = 3"], "Record 3 .* no JSON"),
        (["UPDATE journal SET payload = '[]' WHERE seq = 3"], "Record 3 .* no mapping"),
        (["UPDATE journal SET kind = 'order' WHERE seq = 3"], "Record 3 .* hashes to"),
        (["UPDATE journal SET key = 'other' WHERE seq = 3"], "Record 3 .* hashes to"),
        (["UPDATE journal SET at_us = at_us + 1 WHERE seq = 3"], "Record 3 .* hashes to"),
        (["UPDATE journal SET desk = 'gate' WHERE seq = 3"], "Record 3 .* its desk"),
        (["UPDATE journal SET hash = 'x' WHERE seq = 3"], "Record 3 .* hashes to"),
        (["UPDATE journal SET previous = 'x' WHERE seq = 3"], "Record 3 .* it follows"),
        (["DELETE FROM journal WHERE seq = 3"], "Record 3 .* missing; the next one there is 4"),
        (["DELETE FROM journal WHERE seq = 1"], "Record 1 .* missing"),
        (["UPDATE journal SET seq = -seq WHERE seq IN (2, 3)", "UPDATE journal SET seq = 5 + seq WHERE seq < 0"],
         "Record 2 .* it follows"),
        (["DELETE FROM journal WHERE seq > 3"], "Record 4 .* missing, and all after it: 3 are there, .* says 5"),
        (["DELETE FROM journal"], "Record 1 .* missing"),
        (["UPDATE journal_head SET hash = 'x'"], "Record 5 .* the head says 5 records"),
        (["UPDATE journal_head SET records = 4"], "Record 5 .* the head says 4 records"),
        (["DELETE FROM journal_head"], "head of the journal is gone"),
    ],
)  # fmt: skip
def test_verify_names_the_first_broken_record(journal, statements, sentence):
    filled(journal)
    tamper(journal, *statements)
    with pytest.raises(IntegrityBroken, match=sentence) as broken:
        journal.verify()
    assert broken.value.exit_code == 4


def test_a_record_rewritten_with_its_own_new_hash_is_found_by_the_next(journal):
    filled(journal)
    record = journal.records()[2]
    body = {"seq": 3, "at": record.at.isoformat(), "kind": "fill", "key": "key-3", "payload": {}, "previous":
            record.previous}  # fmt: skip
    forged = hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    tamper(journal, f"UPDATE journal SET payload = '{{}}', hash = '{forged}' WHERE seq = 3")
    with pytest.raises(IntegrityBroken, match=r"Record 4 .* it follows"):
        journal.verify()


def test_a_tail_cut_together_with_the_head_is_seen_only_from_an_anchor(journal):
    """Said in the docstring: whoever rewrites both tables needs another witness to be caught."""
    anchor = filled(journal).head
    fourth = journal.records()[3].hash
    tamper(journal, "DELETE FROM journal WHERE seq = 5", f"UPDATE journal_head SET records = 4, hash = '{fourth}'")
    assert journal.verify() == 4
    assert journal.head != anchor


def test_a_reader_keeps_its_picture_while_others_append(journal_url):
    """`verify` reads the head and then the records: what is appended between the two must not look like a break."""
    with Journal.open(journal_url) as journal, Journal.open(journal_url) as other:
        filled(journal)
        question = sa.text("SELECT count(*) FROM journal")
        with journal.database.reading() as connection:
            before = connection.execute(question).scalar()
            other.append("a", {}, at=AT)
            assert connection.execute(question).scalar() == before
        assert journal.verify() == before + 1


def test_an_error_of_the_driver_does_not_carry_the_payload(journal):
    with pytest.raises(sa.exc.DBAPIError) as failure, journal.database.engine.connect() as connection:
        connection.execute(sa.text("INSERT INTO nowhere VALUES (:payload)"), {"payload": "hunter2"})
    assert "hunter2" not in str(failure.value)


def test_there_is_no_verb_that_changes_or_removes_a_record():
    public = {name for name in vars(Journal) if not name.startswith("_")}
    assert public == {"open", "close", "append", "append_many", "records", "get", "head", "verify"}


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.lists(
            st.tuples(
                st.one_of(st.none(), st.sampled_from("abc")),
                st.dictionaries(st.text(max_size=3), st.one_of(st.integers(), st.floats(allow_nan=False,
                                allow_infinity=False), st.text(st.characters(exclude_categories=["Cs"])), st.none())),
            ),
            max_size=4,
        ),
        max_size=4,
    )
)  # fmt: skip
def test_any_batches_give_one_chain_and_each_key_once(journal_url, batches):
    """Against a model in plain Python; the database keeps what earlier examples wrote."""
    with Journal.open(journal_url) as journal:
        expected = [(record.key, record.payload) for record in journal.records()]
        for batch in batches:
            journal.append_many([Entry("a", payload, AT, key) for key, payload in batch])
            for key, payload in batch:
                if key is None or key not in {known for known, _ in expected}:
                    expected.append((key, payload))
        assert [(record.key, record.payload) for record in journal.records()] == expected
        assert journal.verify() == len(expected)


def test_thousands_of_records_are_appended_at_once(journal):
    for _ in range(3):
        journal.append_many([Entry("fill", PAYLOAD, AT) for _ in range(1000)])
    assert journal.verify() == 3000


def test_errors_and_repr_show_no_password(postgres_url):
    url = sa.make_url(postgres_url).set(username="me", password="hunter2", database="nowhere")
    with pytest.raises(StorageFailed) as failure:
        Journal.open(url.render_as_string(hide_password=False))
    assert "hunter2" not in str(failure.value)
    assert failure.value.__cause__ is None
    known = sa.make_url(postgres_url).set(password="hunter2")
    with Journal.open(known.render_as_string(hide_password=False)) as journal:
        assert "hunter2" not in repr(journal)
        assert journal.append("a", {}, at=AT).seq == 1
