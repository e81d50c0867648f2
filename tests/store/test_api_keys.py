"""API keys: shown once, hashed, scoped, revoked within seconds; one suite over both databases."""

import datetime as dt
import hashlib
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import sqlalchemy as sa

from openbell.core.errors import BadInput, StorageFailed
from openbell.store import api_keys
from openbell.store.api_keys import SCOPES, ApiKeys
from openbell.store.redaction import refuse_secrets

AT = dt.datetime(2025, 6, 2, 14, tzinfo=dt.UTC)


class Clock:
    """Stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def keys(journal_url, clock):
    with ApiKeys.open(journal_url, seconds=clock) as opened:
        yield opened


def everything(keys: ApiKeys) -> str:
    with keys.database.reading() as connection:
        return str(connection.execute(sa.text("SELECT * FROM api_keys")).all())


def test_a_key_is_shown_once_and_is_nowhere_else(keys):
    """Kills: the secret in the table, a repr, an error or a list; two keys of one secret."""
    shown, made = keys.create(" bot ", ["predict"], at=AT)
    secret = shown.split("_", 2)[2]
    assert re.fullmatch(r"ob_[a-z0-9]{10}_[A-Za-z0-9]{43}", shown)
    assert shown == f"ob_{made.id}_{secret}"
    assert made == keys.list()[0] == keys.verify(shown)
    assert made.name == "bot"
    assert hashlib.sha256(secret.encode()).hexdigest() in everything(keys)
    places = (everything(keys), repr(keys), repr(made), repr(keys.list()), repr(keys._known))
    assert not any(secret in place for place in places)
    assert keys.create("bot", ["predict"], at=AT)[0].split("_", 2)[2] != secret
    with pytest.raises(BadInput) as refused:
        keys.revoke(shown, at=AT)
    assert secret not in str(refused.value)
    with pytest.raises(BadInput) as refused:
        keys.create(shown, ["predict"], at=AT)
    assert secret not in str(refused.value)
    with pytest.raises(BadInput, match="seems to hold a secret"):
        refuse_secrets({"text": f"key {shown}"})


def test_only_the_whole_key_is_let_in(keys):
    shown, made = keys.create("bot", ["predict"], at=AT)
    other, _ = keys.create("other", ["predict"], at=AT)
    _, id, secret = shown.split("_")
    hashed = hashlib.sha256(secret.encode()).hexdigest()
    wrong = [
        "", "ob_", id, secret, shown[:-1], shown + "x", shown.upper(), f" {shown}", f"{shown}\n",
        f"ob_{id}_{other.split('_')[2]}", f"ob_{'a' * 10}_{secret}", f"ob_{id}_{hashed[:43]}",
        shown.replace("ob_", "xx_"), f"ob_{id}_{'ü' * 43}",
    ]  # fmt: skip
    assert [each for each in wrong if keys.verify(each) is not None] == []
    assert keys.verify(shown) == made


def test_secrets_are_compared_in_constant_time(keys, monkeypatch):
    """Kills: ``==``, which tells by its time how much of a hash was right."""
    shown, _ = keys.create("bot", ["predict"], at=AT)
    compared = []
    compare = api_keys.secrets.compare_digest
    monkeypatch.setattr(api_keys.secrets, "compare_digest", lambda *two: compared.append(two) or compare(*two))
    assert keys.verify(shown) is not None
    assert keys.verify(shown[:-1] + ("a" if shown[-1] != "a" else "b")) is None
    assert len(compared) == 2
    assert all(len(each) == 64 for two in compared for each in two)


def test_a_key_does_what_its_scopes_say(keys):
    shown, made = keys.create("bot", ["read", "predict", "read"], at=AT, predict_per_minute=7)
    assert made.scopes == ("predict", "read")
    assert (made.predict_per_minute, made.batch_per_minute) == (7, None)
    assert [scope for scope in SCOPES if keys.verify(shown, scope)] == ["predict", "read"]
    admin, _ = keys.create("me", ["admin"], at=AT)
    assert [scope for scope in SCOPES if keys.verify(admin, scope)] == list(SCOPES)
    with pytest.raises(BadInput, match="There is no scope `predicts`"):
        keys.verify(shown, "predicts")


@pytest.mark.parametrize(("how", "sentence"), [
    ({"name": " "}, "text of 1 to 200 characters"),
    ({"name": "x" * 201}, "text of 1 to 200 characters"),
    ({"scopes": []}, "needs one scope or more"),
    ({"scopes": ["everything"]}, "There is no scope `everything`"),
    ({"predict_per_minute": 0}, "at least 1; was 0"),
    ({"batch_per_minute": 2**31}, "at least 1"),
    ({"at": AT.replace(tzinfo=None)}, "has no time zone"),
])  # fmt: skip
def test_a_key_that_makes_no_sense_is_not_made(tmp_path, how, sentence):
    with ApiKeys.open(f"sqlite:///{tmp_path}/p.db") as keys:
        with pytest.raises(BadInput, match=sentence):
            keys.create(**({"name": "bot", "scopes": ["predict"], "at": AT} | how))
        assert keys.list() == []


def test_a_revoked_key_is_refused_here_at_once_and_elsewhere_within_seconds(keys, journal_url, clock):
    """Kills: a memory that never forgets; one that asks the database at every request."""
    shown, made = keys.create("bot", ["predict"], at=AT)
    with ApiKeys.open(journal_url, seconds=clock) as elsewhere:
        assert elsewhere.verify(shown) == made
        assert keys.verify(shown) == made
        ended = keys.revoke(made.id, at=AT + dt.timedelta(hours=1))
        assert ended == replace(made, revoked_at=AT + dt.timedelta(hours=1))
        assert keys.verify(shown) is None
        clock.now += api_keys.FRESH_SECONDS - 0.01
        assert elsewhere.verify(shown) == made
        clock.now += 0.01
        assert not elsewhere.ready(shown)
        assert elsewhere.verify(shown) is None
    assert keys.revoke(made.id, at=AT + dt.timedelta(hours=2)) == ended, "the first moment stands"
    with pytest.raises(BadInput, match=r"There is no API key `nobody`"):
        keys.revoke("nobody", at=AT)


def test_a_new_key_works_elsewhere_within_a_second_and_strangers_do_not_burden_the_database(keys, journal_url, clock):
    with ApiKeys.open(journal_url, seconds=clock) as elsewhere:
        known, _ = keys.create("one", ["predict"], at=AT)
        assert elsewhere.verify(known) is not None
        asked = []
        sa.event.listen(elsewhere.database.engine, "before_cursor_execute", lambda *words: asked.append(words[2]))
        shown, _ = keys.create("two", ["predict"], at=AT)
        for number in range(50):
            assert elsewhere.verify(f"ob_{number:010d}_{'x' * 43}") is None
        assert elsewhere.verify(shown) is None
        assert asked == []
        clock.now += 1.0
        assert elsewhere.ready(known)
        assert not elsewhere.ready(shown)
        assert elsewhere.verify(shown) is not None
        assert len([each for each in asked if "SELECT" in each and "api_keys" in each]) == 1


def test_who_cannot_be_checked_is_not_let_in(keys, clock, monkeypatch):
    """check 39. Kills: what was known once, for ever."""
    shown, _ = keys.create("bot", ["predict"], at=AT)
    assert keys.verify(shown) is not None

    def away(*_):
        raise sa.exc.OperationalError("select", {}, Exception("the server is away"))

    monkeypatch.setattr(type(keys.database.engine), "connect", away)
    assert keys.verify(shown) is not None
    clock.now += api_keys.FRESH_SECONDS
    for _ in range(2):
        with pytest.raises(StorageFailed, match="the server is away"):
            keys.verify(shown)
    assert keys.verify("no key") is None
    monkeypatch.undo()
    assert keys.verify(shown) is not None


def test_the_last_use_moves_forward_only(keys):
    _, made = keys.create("bot", ["predict"], at=AT)
    keys.touch({made.id: AT + dt.timedelta(hours=2), "nobody": AT})
    keys.touch({made.id: AT + dt.timedelta(hours=1)})
    assert keys.list() == [replace(made, last_used_at=AT + dt.timedelta(hours=2))]


def test_threads_verify_while_keys_come_and_go(keys):
    shown, _ = keys.create("bot", ["predict"], at=AT)

    def work(number: int) -> bool:
        if number % 10 == 0:
            keys.revoke(keys.create("other", ["read"], at=AT)[1].id, at=AT)
        return keys.verify(shown, "predict") is not None

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(work, range(100)))
