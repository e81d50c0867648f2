"""The page of the journal: filters, one record whole, a broken chain, and a decision derived again."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from openbell.app.home import Home
from openbell.app.lab.looks import journal as looks
from openbell.app.lab.page import Lab
from openbell.app.lab.pages.journal import PAGE, outcome, whole
from openbell.app.replay import MADE_BY, NOTHING, Replayed, compared, replayed
from openbell.core.errors import BadInput
from openbell.store.schema import TRIGGERS

AT = dt.datetime(2024, 6, 3, 14, tzinfo=dt.UTC)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A journal of 60 imports and a decision of a desk with markup in its words."""
    home = Home.open(tmp_path)
    for number in range(60):
        home.journal.append("data", {"name": f"{number}.csv", "stored": number, "quarantined": 0}, at=AT)
    told = {"desk": "gate", "session": "2024-06-03", "why": ["<script>alert(1)</script>"]}
    home.journal.append("decision", told, at=AT + dt.timedelta(days=1))
    return home


def texts(component: Any) -> str:
    if component is None:
        return ""
    if isinstance(component, (list, tuple)):
        return " ".join(texts(each) for each in component)
    return texts(component.children) if hasattr(component, "children") else str(component)


def lab(home: Home) -> Lab:
    return Lab(lambda: home, None, None, lambda: AT)  # type: ignore[arg-type]


def test_pages_go_on_until_the_first_record(home: Home) -> None:
    """Kills loading all, an endless last page, and a count of the page instead of what agrees."""
    first = looks.journal_page(home, limit=50)
    assert (first.rows.height, first.of, first.below) == (50, 61, 12)
    second = looks.journal_page(home, limit=50, below=first.below)
    assert second.rows["seq"].to_list() == list(range(11, 0, -1))
    assert second.below is None
    whole_pages = looks.journal_page(home, limit=61)
    assert whole_pages.below is None  # record 1 was shown, so there is nothing before it


def test_a_day_holds_its_whole_day(home: Home) -> None:
    """Kills a last day that ends at its midnight."""
    day = dt.date(2024, 6, 4)
    found = looks.journal_page(home, first=day, last=day)
    assert found.rows["kind"].to_list() == ["decision"]
    assert looks.journal_page(home, last=dt.date(2024, 6, 3)).of == 60


def test_a_record_is_shown_with_everything_that_its_hash_is_over(home: Home) -> None:
    """Kills leaving out a field: what is shown must be what was hashed."""
    found = looks.whole_record(home, 61)
    told = json.loads(looks.as_text(found))
    assert set(told) == {"seq", "at", "kind", "key", "payload", "previous", "hash"}
    assert told["payload"] == found.payload


def test_words_of_others_stay_words(home: Home) -> None:
    """Kills raw HTML: the text of a record is text of a component, and nothing on the page takes markup."""
    shown = whole(lab(home), 61)
    assert "<script>alert(1)</script>" in texts(shown)
    assert "dangerously" not in json.dumps(shown.to_plotly_json(), default=lambda each: each.to_plotly_json()).lower()


def test_the_page_takes_its_filters_from_the_address(home: Home) -> None:
    """Kills a link that shows another page than the one it was copied from."""
    told = texts(PAGE.layout(lab(home), {"kind": "decision"}))
    assert "1 records agree" in told
    with pytest.raises(BadInput, match="Write it like 2024-05-31"):
        PAGE.layout(lab(home), {"first": "yesterday"})
    with pytest.raises(BadInput, match="no number of a record"):
        PAGE.layout(lab(home), {"below": "<b>"})


def test_a_rewritten_record_is_named(home: Home) -> None:
    """Kills a chain that is called whole without looking (check 40)."""
    assert looks.chain(home).whole
    with home.journal.database.engine.connect() as connection, connection.begin():
        for statement in TRIGGERS["sqlite"]:
            connection.execute(sa.text(f"DROP TRIGGER IF EXISTS {statement.split()[2]}"))
        connection.execute(sa.text("UPDATE journal SET kind = 'nothing' WHERE seq = 3"))
    found = looks.chain(home)
    assert not found.whole
    assert "Record 3" in found.says


@given(VALUES)
@settings(max_examples=60, deadline=None)
def test_a_value_differs_from_itself_nowhere(value: Any) -> None:
    """Kills a comparison that sees differences in equal values."""
    assert compared({"a": value}, {"a": json.loads(json.dumps(value))}).is_empty()


@pytest.mark.parametrize(
    ("one", "other", "where"),
    [
        ({"a": {"b": 1}}, {"a": {"b": 2}}, ["a.b"]),
        ({"a": [1, 2]}, {"a": [1]}, ["a[1]"]),
        ({"a": [1]}, {"a": [1, 2]}, ["a[1]"]),
        ({"a": 1}, {}, ["a"]),
        ({}, {"a": None}, ["a"]),
        ({"a": 1}, {"a": True}, ["a"]),
        ({"a": 0.1 + 0.2}, {"a": 0.3}, ["a"]),
        ({"a": [{"b": 1}, 2]}, {"a": [{"b": 1}, 3]}, ["a[1]"]),
    ],
)
def test_every_difference_is_named_by_its_place(one: Any, other: Any, where: list[str]) -> None:
    """Kills a tolerance, lengths that are cut to the shorter, and True taken for 1."""
    assert compared(one, other)["where"].to_list() == where


def test_a_missing_value_is_no_null() -> None:
    """Kills telling a null and nothing at all as one."""
    assert compared({"a": None}, {}).row(0) == ("a", "null", NOTHING)


def told(home: Home, *where: str) -> Replayed:
    frame = pl.DataFrame({"where": where, "recorded": ["1"] * len(where), "derived": ["2"] * len(where)})
    return Replayed(looks.whole_record(home, 61), frame, ())


def test_other_settings_alone_are_told_from_another_decision(home: Home) -> None:
    """Kills calling a decision equal that is not, and calling it another where only the hash of settings moved."""
    assert told(home).equal
    same = told(home, "made_of.settings", "decision")
    assert (same.equal, same.same_call) == (False, True)
    other = told(home, *MADE_BY, "targets.A")
    assert not other.same_call
    assert "4 values differ" in other.says
    assert "targets.A" in texts(outcome(other.as_json()))
    assert "not equal" in texts(outcome(same.as_json()))


def test_only_decisions_can_be_derived_again(home: Home) -> None:
    """Kills a fault where a sentence is due."""
    with pytest.raises(BadInput, match="a `data` of no desk"):
        replayed(home, looks.whole_record(home, 1))
    with pytest.raises(BadInput, match="stocks, options, signals, session"):
        replayed(home, looks.whole_record(home, 61))


@pytest.mark.slow
def test_a_real_decision_is_equal_when_derived_again(edge_home: Path, open_home: Any) -> None:
    """Kills a derivation that sees what came later, and one that writes: the journal stays as it was."""
    from openbell.app.daily import run_stocks

    home = open_home(edge_home)
    sessions = [home.sessions.shift(home.stored[1], each) for each in (-6, -5)]
    for session in sessions:
        run_stocks(home, session, execute=True, out=edge_home / "live")
    records = home.journal.records(kind="decision")
    before = home.journal.head
    for record in records:
        assert replayed(home, record).differences.rows() == []
    assert home.journal.head == before
    changed = open_home(edge_home, "desks.stocks.top_k=3")
    assert not replayed(changed, records[-1]).same_call
