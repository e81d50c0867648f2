"""Presets: names, versions, two who save at once; one suite over both databases."""

import datetime as dt
import json
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from openbell.core.errors import BadInput, Refused
from openbell.store import presets as room
from openbell.store.presets import Presets

AT = dt.datetime(2025, 5, 22, 14, 35, tzinfo=dt.UTC)
LATER = AT + dt.timedelta(hours=1)
MONDAYS = {"filters": [{"weekday": ["Monday"]}], "trim": 0.05, "name": "Ünïcode"}


@pytest.fixture
def presets(journal_url):
    opened = Presets.open(journal_url)
    yield opened
    opened.close()


def save(presets, name="Mondays", document=MONDAYS, by="ann", at=AT, **given):
    return presets.save("almanac", name, document, by=by, at=at, **given)


def test_what_is_saved_is_loaded(presets):
    made = save(presets)
    assert (made.version, made.saved_by, made.saved_at, dict(made.document)) == (1, "ann", AT, MONDAYS)
    assert presets.load("almanac", "Mondays") == made
    assert presets.names("almanac") == ["Mondays"]
    assert presets.names("other") == []


def test_kinds_do_not_meet(presets):
    save(presets)
    presets.save("gate", "Mondays", {"a": 1}, by="ben", at=AT)
    assert presets.load("gate", "Mondays").document == {"a": 1}
    presets.delete("gate", "Mondays", by="ben", at=AT)
    assert presets.names("almanac") == ["Mondays"]


def test_the_one_who_saves_second_is_told_and_nothing_is_lost(presets):
    """Two people load version 1 and both change it."""
    save(presets)
    first = save(presets, document={"a": 1}, by="ann", at=LATER, expected_version=1)
    with pytest.raises(
        Refused, match=r"was saved by ann on 2025-05-22 15:35 UTC as version 2, and you loaded version 1"
    ):
        save(presets, document={"a": 2}, by="ben", at=LATER, expected_version=1)
    assert presets.load("almanac", "Mondays") == first
    again = save(presets, document={"a": 2}, by="ben", at=LATER, expected_version=2)
    assert [each.version for each in presets.versions("almanac", "Mondays")] == [3, 2, 1]
    assert presets.load("almanac", "Mondays") == again
    assert presets.load("almanac", "Mondays", 1).document == MONDAYS


def test_a_name_that_is_taken_is_not_saved_over_by_who_never_loaded_it(presets):
    save(presets)
    with pytest.raises(Refused, match="you have not loaded it"):
        save(presets, document={"a": 1}, by="ben")
    assert save(presets, by="ben", at=LATER).saved_by == "ann"  # the same document changes nothing
    assert len(presets.versions("almanac", "Mondays")) == 1


def test_of_many_who_save_over_one_version_one_wins(presets):
    save(presets)

    def one(number):
        try:
            return save(presets, document={"a": number}, by=f"p{number}", expected_version=1).document["a"]
        except Refused:
            return None

    with ThreadPoolExecutor(6) as pool:
        won = [each for each in pool.map(one, range(6)) if each is not None]
    assert len(won) == 1
    assert presets.load("almanac", "Mondays").document == {"a": won[0]}


def test_what_was_deleted_is_gone_from_the_list_and_can_be_had_again(presets):
    save(presets)
    presets.delete("almanac", "Mondays", by="ben", at=LATER)
    assert presets.names("almanac") == []
    with pytest.raises(BadInput, match="There is no preset `Mondays`"):
        presets.load("almanac", "Mondays")
    with pytest.raises(BadInput, match="There is no preset `Mondays`"):
        presets.delete("almanac", "Mondays", by="ben", at=LATER)
    with pytest.raises(Refused, match="deleted meanwhile"):
        save(presets, document={"a": 1}, expected_version=1)
    assert presets.load("almanac", "Mondays", 1).document == MONDAYS
    assert save(presets, at=LATER).version == 3
    with pytest.raises(Refused, match="as version 3"):
        presets.delete("almanac", "Mondays", by="ben", at=LATER, expected_version=1)


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../x",
        "a/b",
        "a\\b",
        "/etc/passwd",
        "a\0b",
        "a\nb",
        " a",
        "a ",
        "a.",
        "-a",
        "_a",
        "a" * 61,
        "a<b>",
    ],
)
def test_a_name_that_is_a_path_or_none_is_refused(presets, name):
    """Check: a preset name with `../`."""
    told = {"format": "openbell preset", "kind": "almanac", "name": name, "document": {}}
    for act in (
        lambda: save(presets, name=name),
        lambda: presets.load("almanac", name),
        lambda: presets.delete("almanac", name, by="x", at=AT),
        lambda: presets.imported("almanac", json.dumps(told), by="x", at=AT),
    ):
        with pytest.raises(BadInput, match="cannot name a preset"):
            act()
    assert presets.names("almanac") == []


@pytest.mark.parametrize("name", ["a", "Gap up - Mondays", "v1.2_final", "Übernacht 10", "a" * 60])
def test_a_good_name_is_taken(presets, name):
    assert save(presets, name=name).name == name


@pytest.mark.parametrize("kind", ["", "../a", "A", "a b", "a" * 41])
def test_a_kind_that_is_none_is_refused(presets, kind):
    with pytest.raises(BadInput, match="no kind of preset"):
        presets.names(kind)


def test_a_document_that_is_none_is_refused(presets, monkeypatch):
    for wrong, said in (([1], "JSON object"), ({"a": float("nan")}, "must be JSON"), ({"a": object()}, "must be JSON")):
        with pytest.raises(BadInput, match=said):
            save(presets, document=wrong)
    with pytest.raises(BadInput, match=r"200,0\d\d bytes; a preset has 200,000"):
        save(presets, document={"a": "x" * 200_000})
    with pytest.raises(BadInput, match="seems to hold a secret"):
        save(presets, document={"password": "hunter2"})
    with pytest.raises(BadInput, match="NUL"):
        save(presets, document={"a": "\0"})
    monkeypatch.setattr(room, "MOST_PRESETS", 2)
    save(presets, name="one")
    save(presets, name="two")
    with pytest.raises(BadInput, match="as many as are kept"):
        save(presets, name="three")
    save(presets, name="two", document={"a": 1}, expected_version=1)  # one that is there may change


def test_what_is_exported_is_imported_elsewhere(presets):
    save(presets)
    text = presets.exported("almanac", "Mondays")
    presets.delete("almanac", "Mondays", by="ann", at=AT)
    found = presets.imported("almanac", text, by="ben", at=LATER)
    assert (found.name, dict(found.document)) == ("Mondays", MONDAYS)
    assert presets.imported("almanac", text, by="ben", at=LATER, name="Copy").name == "Copy"
    changed = text.replace("0.05", "0.1")
    with pytest.raises(Refused, match="saved by ben"):
        presets.imported("almanac", changed, by="cat", at=LATER)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "no preset"),
        ('{"format": "other"}', "no preset"),
        ('{"format": "openbell preset", "kind": "gate", "name": "a", "document": {}}', "kind `gate`"),
        ("x" * 500_000, "at most"),
    ],
)
def test_a_file_that_is_no_preset_is_refused(presets, text, said):
    with pytest.raises(BadInput, match=said):
        presets.imported("almanac", text, by="x", at=AT)


_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    opened = Presets.open(f"sqlite:///{tmp_path_factory.mktemp('presets')}/lab.db")
    yield SimpleNamespace(presets=opened, count=iter(range(10_000)))
    opened.close()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(document=st.dictionaries(st.sampled_from("xyz"), _values, max_size=3))
def test_any_json_comes_back_as_it_was(kept, document):
    name = f"p{next(kept.count)}"
    save(kept.presets, name=name, document=document)
    assert kept.presets.load("almanac", name).document == document
