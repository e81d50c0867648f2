"""What happened since a step that is known, on both databases."""

import datetime as dt

import pytest
from tests.store.signal_cases import AT, DAY, HOUR, made

from openbell.store.signal_tail import any_over, events_after, known_symbols, newest_event
from openbell.store.signals import Signals


@pytest.fixture
def store(journal_url):
    with Signals.open(journal_url) as opened:
        yield opened


def test_events_are_read_on_from_an_id_with_their_signals_archived_or_not(store):
    """Kills: `>=` for `>`, an order that is not by id, signals of the archive that are left out."""
    assert (newest_event(store.database), events_after(store.database, 0, 10), known_symbols(store.database)) == (
        0,
        [],
        [],
    )
    one, two = (each.id for each in store.write([made("QQQ"), made("AAPL", life=HOUR)], at=AT))
    store.cancel(one, at=AT, by="x", why="y")
    found = events_after(store.database, 0, 10)
    ids = [event.id for event, _ in found]
    assert ids == sorted(ids)
    assert ids[-1] == newest_event(store.database)
    assert [(event.what, stored.id) for event, stored in found][2:] == [("cancelled", one)]
    assert {stored.id for _, stored in found[:2]} == {one, two}
    assert {stored.status.value for _, stored in found if stored.id == one} == {"CANCELLED"}  # as it is now
    assert [event.id for event, _ in events_after(store.database, ids[0], 1)] == [ids[1]]
    assert events_after(store.database, ids[-1], 10) == []
    assert store.archive(AT + DAY) == 1
    assert [stored.archived for _, stored in events_after(store.database, 0, 10)].count(True) == 2
    assert known_symbols(store.database) == ["AAPL", "QQQ"]


def test_a_signal_is_over_at_its_end_and_not_before(store):
    store.write([made(life=HOUR)], at=AT)
    assert not any_over(store.database, AT + HOUR - dt.timedelta(microseconds=1))
    assert any_over(store.database, AT + HOUR)
    store.expire(AT + HOUR)
    assert not any_over(store.database, AT + HOUR)
