"""One suite over both databases: signals, their life, what the database itself refuses, and looking for them."""

import datetime as dt
import itertools
import sys
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
import sqlalchemy as sa

from openbell.core.errors import BadInput, DataMissing, Refused
from openbell.core.signal import Call, Status
from openbell.store.signal_outcomes import OUTCOME
from openbell.store.signal_pages import TABLE
from openbell.store.signals import ALL, Signals, Which

sys.path.insert(0, str(Path(__file__).parent))
from signal_cases import AT, DAY, HOUR, made

S = Status


@pytest.fixture
def store(journal_url):
    with Signals.open(journal_url) as opened:
        yield opened


def write(store, *signals, at=AT, **how):
    return store.write(signals, at=at, **how)


def test_what_was_written_is_read_back(store, journal_url):
    """Kills: a rounded confidence, a naive moment, a float where a Decimal is read, on either database."""
    full = made(
        confidence=0.654321, price=99.123456789, target_price=110.123456, stop_loss=90.000049, position_size=0.033333,
        reasoning=("RSI is low.", "Ä „quoted“ ☃"), features={"rsi_14": 31.25, "gap": None, "z": -0.0, "tiny": 1e-300},
        regime="calm", missing=("lstm",), made_of={"data": "ab", "settings": {"x": 1, "y": [1.5, None]}},
        at=AT.astimezone(dt.timezone(dt.timedelta(hours=9))), sigma=0.0123456789,
    )  # fmt: skip
    (written,) = write(store, full)
    with Signals.open(journal_url) as other:
        found = other.get(written.id)
    assert found.signal == full
    assert (found.status, found.outcome, found.acted_at, found.archived) == (S.ACTIVE, None, None, False)
    assert found.signal.created_at.tzinfo is dt.UTC
    assert dict(found.decimals) == {
        "confidence": Decimal("0.65"), "target_price": Decimal("110.1235"), "stop_loss": Decimal("90.0000"),
        "position_size": Decimal("0.0333"), "performance": None,
    }  # fmt: skip
    assert {type(value) for value in found.decimals.values()} == {Decimal, type(None)}
    assert [(each.what, each.from_status, each.to_status) for each in store.events(written.id)] == [
        ("made", None, S.ACTIVE)
    ]


def test_the_table_is_the_one_of_the_request(store):
    with store.database.reading() as connection:
        look = sa.inspect(connection)
        columns = {each["name"]: each for each in look.get_columns("trading_signals")}
        indexes = {each["name"]: each["column_names"] for each in look.get_indexes("trading_signals")}
        kinds = {name: str(each["type"]).replace("NUMERIC", "DECIMAL") for name, each in columns.items()}
        assert list(columns)[:14] == [
            "id", "symbol", "signal_type", "confidence", "target_price", "stop_loss", "position_size", "reasoning",
            "model_version", "features", "created_at", "expires_at", "executed", "performance",
        ]  # fmt: skip
        assert kinds["confidence"] == "DECIMAL(3, 2)"
        assert {kinds[name] for name in ("target_price", "stop_loss", "position_size")} == {"DECIMAL(10, 4)"}
        assert (kinds["performance"], kinds["symbol"], kinds["model_version"]) == (
            "DECIMAL(5, 2)", "VARCHAR(10)", "VARCHAR(50)",
        )  # fmt: skip
        assert indexes["idx_signals_symbol_time"] == ["symbol", "created_at"]
        assert indexes["idx_signals_active"] == ["expires_at"]
        if store.database.dialect == "postgresql":
            assert (kinds["features"], kinds["id"]) == ("JSONB", "BIGINT")
            words = (
                "SELECT indexdef FROM pg_indexes WHERE indexname LIKE 'idx_signals%' AND schemaname = current_schema()"
            )
            said = " ".join(connection.execute(sa.text(words)).scalars())
            assert "(symbol, created_at DESC)" in said
            assert "WHERE (NOT executed)" in said
            assert {columns[name]["type"].timezone for name in ("created_at", "expires_at")} == {True}


def test_a_signal_written_twice_is_one(store):
    one, two = made(), made(symbol="MSFT")
    first = write(store, one, two, one)
    again = write(store, two, one, at=AT + HOUR)
    assert [each.new for each in first] == [True, True, False]
    assert [each.id for each in first] == [first[0].id, first[1].id, first[0].id]
    assert [(each.id, each.new) for each in again] == [(first[1].id, False), (first[0].id, False)]
    (other,) = write(store, made(call="SELL", confidence=0.9))
    assert (other.id, other.status, other.new) == (first[0].id, S.ACTIVE, False)
    assert "A BUY at 0.7 of the same symbol, model and moment was stored already and stands" in other.why
    assert len(store.table()) == 2
    store.execute(first[0].id, at=AT, by="me")
    store.archive(AT + DAY)
    (archived,) = write(store, one, at=AT + DAY)
    assert (archived.id, archived.status, archived.new) == (first[0].id, S.EXECUTED, False)
    assert len(store.table()) == 2, "not beside its archived self"


def test_one_already_over_is_stored_as_expired(store):
    late, _ = write(store, made(life=HOUR), made(symbol="MSFT"), at=AT + HOUR)
    found = store.get(late.id)
    assert (late.status, found.status, found.acted_at) == (S.EXPIRED, S.EXPIRED, AT + HOUR)
    assert store.active("AAPL", AT) == ()
    assert [each.to_status for each in store.events(late.id)] == [S.ACTIVE, S.EXPIRED]
    (fresh,) = write(store, made(call="SELL", model="m2"), at=AT + HOUR)
    assert fresh.status is S.ACTIVE, "an expired one contradicts nobody"


# The life of a signal -------------------------------------------------------------------------------------------------


def brought_to(store, status, symbol="AAPL"):
    """A signal in that state."""
    life = HOUR if status is S.EXPIRED else DAY
    (written,) = write(store, made(symbol, life=life))
    if status is S.EXECUTED:
        store.execute(written.id, at=AT + HOUR, by="bot")
    elif status is S.EXPIRED:
        store.expire(AT + HOUR)
    elif status is S.CANCELLED:
        store.cancel(written.id, at=AT + HOUR, by="me", why="Earnings.")
    elif status is S.SUPERSEDED:
        write(store, made(symbol, "SELL", 0.9, model="m2"))
    assert store.get(written.id).status is status
    return written.id


def try_to(store, id, status):
    """Bring it there the way the store does; the status it has then."""
    before = store.get(id)
    at = AT + 2 * HOUR
    try:
        if status is S.EXECUTED:
            store.execute(id, at=at, by="bot")
        elif status is S.CANCELLED:
            store.cancel(id, at=at, by="me", why="Later.")
        elif status is S.EXPIRED:
            store.expire(AT + 10 * DAY)
        elif status is S.SUPERSEDED:
            write(store, made(before.signal.symbol, "SELL", 0.95, model="m3", at=AT + HOUR), at=at)
        else:
            write(store, before.signal, at=at)
    except Refused:
        assert store.get(id) == before
    return store.get(id).status


def test_only_active_is_ever_left(store):
    """All 25 steps, by the store's own ways."""
    steps = itertools.product(Status, [S.ACTIVE, S.EXECUTED, S.CANCELLED, S.SUPERSEDED, S.EXPIRED])
    for turn, (start, to) in enumerate(sorted(steps, key=lambda step: step[1] is S.EXPIRED)):  # it goes over all
        id = brought_to(store, start, f"S{turn}")
        assert try_to(store, id, to) is (to if start is S.ACTIVE else start), (start, to)


def test_the_database_itself_keeps_the_states(store):
    """All steps from an end, by SQL alone. Kills: the trigger."""
    for start, to in itertools.permutations(Status, 2):
        if start is S.ACTIVE:
            continue
        id = brought_to(store, start, f"{start[:4]}{to[:4]}")
        values = f"status = '{to}', executed = {'true' if to is S.EXECUTED else 'false'}"
        with pytest.raises(sa.exc.DBAPIError, match="a signal that ended never changes its status again"):
            sql(store, f"UPDATE trading_signals SET {values} WHERE id = {id}")
        assert store.get(id).status is start


def sql(store, statement):
    with store.database.engine.connect() as connection:
        connection.exec_driver_sql(statement)
        connection.commit()


RULES = [
    ("confidence_exact = 1.5", "confidence"), ("confidence = -0.1", "confidence"), ("signal_type = 'LONG'", "type"),
    ("expires_at = created_at", "life"), ("status = 'DONE'", "status"), ("executed = true", "executed"),
    ("status = 'EXECUTED'", "executed"), ("symbol = ''", "symbol"), ("position_size_exact = -1", "size"),
    ("model_version = ''", "model"), ("outcome = 'UP'", "outcome"),
]  # fmt: skip


def test_the_database_itself_refuses(store):
    (written,) = write(store, made())
    for change, rule in RULES:
        with pytest.raises(sa.exc.DBAPIError, match=f"trading_signals_({rule}|status|executed)"):
            sql(store, f"UPDATE trading_signals SET {change} WHERE id = {written.id}")
    assert store.get(written.id).status is S.ACTIVE


def test_the_database_itself_refuses_doubles_losses_and_rewriting(store):
    one, _ = write(store, made(), made(model="m2"))
    double = "UPDATE trading_signals SET model_version = 'm1' WHERE model_version = 'm2'"
    for statement in (
        double,
        f"UPDATE trading_signals SET key = (SELECT key FROM trading_signals WHERE id = {one.id})",
    ):
        with pytest.raises(sa.exc.IntegrityError):
            sql(store, statement)
    for statement, said in (
        ("DELETE FROM trading_signals", "only by way of the archive"),
        ("DELETE FROM signal_events", "append-only"),
        ("UPDATE signal_events SET why = 'x'", "append-only"),
    ):
        with pytest.raises(sa.exc.DBAPIError, match=said):
            sql(store, statement)
    assert len(store.table()) == 2
    assert len(store.events_table()) == 2


def test_acting_is_checked_at_its_moment(store):
    (written,) = write(store, made(life=HOUR))
    with pytest.raises(Refused, match=r"before that\. Is the clock right"):
        store.execute(written.id, at=AT - HOUR, by="bot")
    with pytest.raises(Refused) as refused:
        store.execute(written.id, at=AT + HOUR, by="bot")
    over = (AT + HOUR).isoformat()
    said = f"Signal {written.id} (BUY AAPL) expired at {over}, so nothing can act on it any more."
    assert str(refused.value) == said
    found = store.get(written.id)
    assert (found.status, found.acted_at, found.executed) == (S.EXPIRED, AT + HOUR, False)
    assert [each.what for each in store.events(written.id)] == ["made", "expired"]
    with pytest.raises(Refused, match="expired at"):
        store.cancel(written.id, at=AT + 2 * HOUR, by="me", why="Late.")
    assert len(store.events(written.id)) == 2


def test_an_ended_one_is_refused_with_since_when(store):
    """check: an expired or a cancelled signal executed, each its sentence."""
    for status in (S.EXECUTED, S.CANCELLED, S.SUPERSEDED):
        id = brought_to(store, status, status[:8])
        since = store.get(id).acted_at.isoformat().replace("+", "[+]")
        with pytest.raises(Refused, match=f"was {status.lower()} at {since}, so nothing can act on it any more: "):
            store.execute(id, at=AT + 3 * HOUR, by="bot")


def test_acting_twice_in_the_same_words_is_once(store):
    (written,) = write(store, made())
    first = store.execute(written.id, at=AT, by="bot", word="order-1")
    assert store.execute(written.id, at=AT + HOUR, by="bot", word="order-1") == first
    store.expire(AT + 2 * DAY)
    store.archive(AT + 2 * DAY)
    again = store.execute(written.id, at=AT + 3 * DAY, by="bot", word="order-1")
    assert (again.acted_at, again.status, again.archived) == (first.acted_at, S.EXECUTED, True)
    for word in (None, "order-2"):
        with pytest.raises(Refused, match="was executed"):
            store.execute(written.id, at=AT, by="bot", word=word)
    with pytest.raises(Refused, match="was executed"):
        store.cancel(written.id, at=AT, by="bot", why="No.", word="order-1")
    assert len(store.events(written.id)) == 2


def test_an_unknown_signal_is_told_with_the_nearest(store):
    with pytest.raises(DataMissing, match=r"There is no signal 7\. There is none yet\."):
        store.get(7)
    ids = [each.id for each in write(store, *(made(symbol=f"S{turn}") for turn in range(3)))]
    for id, near in ((ids[2] + 40, f"The nearest is {ids[2]}"), (0, f"The nearest is {ids[0]}"), (2**70, "nearest")):
        for ask in (store.get, store.events, lambda id: store.execute(id, at=AT, by="x")):
            with pytest.raises(DataMissing, match=f"There is no signal {id}. .*{near}"):
                ask(id)


@pytest.mark.parametrize(("call", "sentence"), [
    (lambda s: s.cancel(1, at=AT, by="me", why=" "), "cancelled for a reason"),
    (lambda s: s.execute(1, at=AT, by=""), "`by` is text of 1 to 1000"),
    (lambda s: s.execute(1, at=AT, by="x", word="\0"), "`word` is text"),
    (lambda s: s.execute(1, at=AT.replace(tzinfo=None), by="x"), "no time zone"),
    (lambda s: s.write([made()], at=AT, max_active=0), "`max_active` is at least 1"),
    (lambda s: s.write([made()], at=AT, margin=1.1), "were 3 and 1.1"),
    (lambda s: s.write([made(target_price=2e6)], at=AT), r"target_price .* must fit DECIMAL\(10,4\)"),
    (lambda s: s.write([made(features={"x": float("nan")})], at=AT), "features .* cannot be recorded"),
    (lambda s: s.write([made(sigma=float("inf"))], at=AT), "sigma .* finite"),
    (lambda s: s.write([made(reasoning=("a\nb",))], at=AT), "several lines"),
    (lambda s: s.write([made(reasoning=("a\0",))], at=AT), "reasoning .* no database keeps"),
    (lambda s: s.write([made(regime="\ud800")], at=AT), "regime .* no database keeps"),
    (lambda s: s.write([made(made_of={"x": "\0"})], at=AT), "made_of .* no database keeps"),
    (lambda s: s.write([made(made_of={"api_key": "hunter2"})], at=AT), "seems to hold a secret"),
    (lambda s: s.write([made(), made(model="m", made_of={"x": {1, float("inf")}})], at=AT), "cannot be recorded"),
])  # fmt: skip
def test_what_cannot_be_kept_is_refused_and_nothing_is(tmp_path, call, sentence):
    with Signals.open(f"sqlite:///{tmp_path}/s.db") as store:
        with pytest.raises(BadInput, match=sentence) as refused:
            call(store)
        assert "hunter2" not in str(refused.value)
        assert len(store.table()) == 0


def test_expiry_and_archive_lose_and_double_nothing(store):
    life = [HOUR * (1 + turn) for turn in range(6)]
    ids = [each.id for each in write(store, *(made(symbol=f"S{turn}", life=life[turn]) for turn in range(6)))]
    store.execute(ids[5], at=AT + HOUR / 2, by="bot")
    assert store.expire(AT + 3 * HOUR) == 3
    assert store.expire(AT + 3 * HOUR) == 0
    assert store.counts() == {S.ACTIVE: 2, S.EXPIRED: 3, S.EXECUTED: 1}
    before = {id: store.get(id) for id in ids}
    assert store.archive(AT + 3 * HOUR) == 3, "ended before; the one that ends right then stays"
    assert store.archive(AT + 3 * HOUR) == 0
    for id in ids:
        now = store.get(id)
        assert (now.signal, now.status, now.acted_at) == (before[id].signal, before[id].status, before[id].acted_at)
    assert [store.get(id).archived for id in ids] == [True, True, False, False, False, True]
    assert store.table()["id"].to_list() == ids
    assert [each.what for each in store.events(ids[0])] == ["made", "expired"]
    with pytest.raises(Refused, match="expired"):
        store.execute(ids[0], at=AT, by="bot")
    newest = write(store, made(symbol="NEW"))[0].id
    assert newest > max(ids), "an id in the archive is never given again"


def test_an_archive_that_breaks_off_moves_nothing(store, monkeypatch):
    (written,) = write(store, made())
    store.execute(written.id, at=AT, by="bot")
    execute = sa.engine.Connection.execute

    def broken(self, statement, *rest, **more):
        if isinstance(statement, sa.sql.Delete):
            raise OSError("the power went")
        return execute(self, statement, *rest, **more)

    with monkeypatch.context() as patch:
        patch.setattr(sa.engine.Connection, "execute", broken)
        with pytest.raises(OSError, match="power"):
            store.archive(AT + DAY)
    assert store.get(written.id).archived is False
    assert len(store.table()) == 1
    assert store.archive(AT + DAY) == 1


# Outcomes -------------------------------------------------------------------------------------------------------------


def outcome_of(id, gained=0.0123, **other):
    plain = {
        "id": id, "outcome": "BUY", "entry_price": 100.0, "exit_price": 101.3, "exit_at": AT + DAY,
        "exit_reason": "time", "return_fraction": gained, "max_favourable": 0.02, "max_adverse": -0.01,
        "seconds_to_target": None, "hit": gained > 0, "known_at": AT + DAY,
    }  # fmt: skip
    return plain | other


def outcomes(*rows):
    return pl.DataFrame(rows, schema={"id": pl.Int64, **OUTCOME})


def test_outcomes_are_joined_once_and_to_the_archive_too(store):
    ids = [each.id for each in write(store, *(made(symbol=f"S{turn}") for turn in range(4)))]
    store.execute(ids[0], at=AT, by="bot")
    store.execute(ids[1], at=AT, by="bot")
    store.archive(AT + HOUR)
    found = outcomes(*(outcome_of(id, gained) for id, gained in zip(ids[::2], (0.0123, -0.5), strict=True)))
    assert store.record_outcomes(found) == 2
    assert store.record_outcomes(outcomes(*(outcome_of(id, 0.9) for id in ids[:3]))) == 1, "the first stands"
    first, second, third, open_one = (store.get(id) for id in ids)
    assert (first.archived, first.outcome.return_fraction, first.outcome.label) == (True, 0.0123, Call.BUY)
    assert first.decimals["performance"] == Decimal("1.23")
    assert second.decimals["performance"] == Decimal("90.00")
    assert (third.decimals["performance"], third.outcome.hit) == (None, False), "of executed ones only"
    assert open_one.outcome is None
    assert store.execute(ids[2], at=AT + HOUR, by="bot").decimals["performance"] == Decimal("-50.00")
    assert store.record_outcomes(outcomes()) == 0
    assert store.record_outcomes(outcomes(outcome_of(ids[3] + 50))) == 0


def test_a_performance_that_does_not_fit_is_left_out_and_the_return_is_not(store):
    (written,) = write(store, made())
    store.execute(written.id, at=AT, by="bot")
    store.record_outcomes(outcomes(outcome_of(written.id, 12.5)))
    found = store.get(written.id)
    assert (found.decimals["performance"], found.outcome.return_fraction) == (None, 12.5)


def test_outcomes_of_another_shape_are_refused(store):
    with pytest.raises(BadInput, match="missing or of another type"):
        store.record_outcomes(outcomes(outcome_of(1)).drop("hit"))
    with pytest.raises(BadInput, match="names one signal"):
        store.record_outcomes(outcomes(outcome_of(1), outcome_of(1)))


# Looking for signals --------------------------------------------------------------------------------------------------


def test_active_ones_are_those_that_are_valid_then(store):
    old, new, _ = write(store, made(), made(model="m2", at=AT + HOUR), made(symbol="MSFT", life=HOUR))
    assert [each.id for each in store.active("AAPL", AT + HOUR)] == [new.id, old.id]
    assert [each.id for each in store.active("AAPL", AT)] == [old.id], "what is not made yet is not known"
    assert store.active("AAPL", AT + DAY) == (store.get(new.id),)
    assert store.active("MSFT", AT + HOUR) == (), "valid until then, not at it"
    both = store.active_many(None, AT + HOUR / 2)
    assert {symbol: len(some) for symbol, some in both.items()} == {"AAPL": 1, "MSFT": 1}
    assert set(store.active_many(["MSFT", "NONE"], AT)) == {"MSFT"}
    store.cancel(old.id, at=AT + HOUR, by="me", why="No.")
    assert [each.id for each in store.active("AAPL", AT + HOUR)] == [new.id]


def many(store, count=25):
    """Signals of which some share a moment."""
    written = write(store, *(
        made(symbol=f"S{turn % 3}", at=AT + (turn // 2) * HOUR, model=f"m{turn % 2}", confidence=0.5 + turn / 100,
             call=("BUY", "HOLD")[turn % 2], life=50 * DAY)
        for turn in range(count)
    ), max_active=50)  # fmt: skip
    return [each.id for each in written]


def paged(store, which, limit):
    found, cursor = [], None
    while True:
        page = store.page(which, limit, cursor)
        found += [each.id for each in page.rows]
        cursor = page.cursor
        if cursor is None:
            return found


def test_pages_have_no_gap_and_no_double(store):
    ids = many(store)
    newest = sorted(ids, key=lambda id: (store.get(id).signal.created_at, id), reverse=True)
    for limit in (1, 2, 7, 24, 25, 26):
        assert paged(store, Which(), limit) == newest
    page = store.page(Which(), 7)
    write(store, made(symbol="NEW", at=AT + 30 * DAY), at=AT)
    assert [each.id for each in store.page(Which(), 7, page.cursor).rows] == newest[7:14], "inserts move nothing"
    for id in ids[::3]:
        store.cancel(id, at=AT + 40 * DAY, by="me", why="No.")
    store.archive(AT + 41 * DAY)
    assert paged(store, Which(archived=True), 4)[1:] == newest
    assert paged(store, Which(), 4)[1:] == [id for id in newest if id not in ids[::3]]


@pytest.mark.parametrize(("which", "wanted"), [
    (Which(symbols=("S0", "S2")), lambda s: s.signal.symbol in ("S0", "S2")),
    (Which(calls=(Call.HOLD,)), lambda s: s.signal.call is Call.HOLD),
    (Which(statuses=(S.CANCELLED, S.EXECUTED)), lambda s: s.status in (S.CANCELLED, S.EXECUTED)),
    (Which(model_versions=("m1",)), lambda s: s.signal.model_version == "m1"),
    (Which(first=AT + 3 * HOUR), lambda s: s.signal.created_at >= AT + 3 * HOUR),
    (Which(last=AT + 3 * HOUR), lambda s: s.signal.created_at <= AT + 3 * HOUR),
    (Which(min_confidence=0.6), lambda s: s.signal.confidence >= 0.6),
    (Which(("S1",), (Call.BUY,), (S.ACTIVE,), ("m0",), AT, AT + 9 * HOUR, 0.55), lambda s: (
        s.signal.symbol == "S1" and s.signal.call is Call.BUY and s.status is S.ACTIVE
        and AT <= s.signal.created_at <= AT + 9 * HOUR and s.signal.confidence >= 0.55)),
])  # fmt: skip
def test_signals_are_chosen_by_everything_that_is_asked(tmp_path, which, wanted):
    with Signals.open(f"sqlite:///{tmp_path}/s.db") as store:
        ids = many(store)
        store.cancel(ids[3], at=AT + DAY, by="me", why="No.")
        store.execute(ids[4], at=AT + DAY, by="me")
        right = [each.id for each in store.page(Which(), 1000).rows if wanted(each)]
        assert 0 < len(right) < len(ids)
        assert paged(store, which, 3) == right
        assert store.table(which)["id"].to_list() == sorted(right)


def test_a_cursor_that_was_changed_or_is_foreign_is_refused(store):
    """check: a cursor tampered with."""
    many(store)
    cursor = store.page(Which(), 5).cursor
    assert store.page(Which(), 5, cursor).rows
    others = [store.page(Which(symbols=("S1",)), 2).cursor, store.page(ALL, 5).cursor, "", "x", "é", "OTk5OS41",
              cursor + "=", cursor + "A", cursor[:-4], cursor[:10] + "B" + cursor[11:], " " + cursor]  # fmt: skip
    for other in others:
        with pytest.raises(BadInput, match="is no cursor of these signals"):
            store.page(Which(), 5, other)
    for limit in (0, 1001):
        with pytest.raises(BadInput, match="1 to 1000 signals"):
            store.page(Which(), limit)


@pytest.mark.parametrize(("how", "sentence"), [
    ({"calls": ("LONG",)}, "no call of a signal `LONG`"), ({"statuses": ("DONE",)}, "no status of a signal `DONE`"),
    ({"min_confidence": 2.0}, "lies in"), ({"first": AT, "last": AT - DAY}, "lies after the last"),
    ({"first": AT.replace(tzinfo=None), "last": AT}, "no time zone"),
])  # fmt: skip
def test_a_question_that_makes_no_sense_is_refused(how, sentence):
    with pytest.raises(BadInput, match=sentence):
        Which(**how)


def test_tables_have_their_columns_without_rows_too(store):
    assert dict(store.table().schema) == dict(TABLE)
    empty_events = store.events_table()
    (written,) = write(store, made(confidence=0.654321))
    row = store.table(Which()).row(0, named=True)
    assert (row["id"], row["confidence"], row["call"], row["created_at"]) == (written.id, 0.654321, "BUY", AT)
    assert store.events_table(AT, AT).schema == empty_events.schema
    assert len(store.events_table(AT + HOUR)) == 0
    assert write(store) == ()
