"""The journal page by page: newest first, nothing twice, nothing left out."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pytest

from openbell.core.errors import BadInput, DataMissing
from openbell.store.journal import Journal
from openbell.store.journal_pages import MOST_RECORDS, Which, amount, counts, page, record

AT = dt.datetime(2024, 5, 1, tzinfo=dt.UTC)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    """Twenty records: decisions of two desks by turns, an import at every fifth; one day apart."""
    with Journal.open(f"sqlite:///{tmp_path}/journal.db") as opened:
        for number in range(1, 21):
            kind = "data" if number % 5 == 0 else "decision"
            payload = {"n": number} if kind == "data" else {"n": number, "desk": ("stocks", "gate")[number % 2]}
            opened.append(kind, payload, at=AT + dt.timedelta(days=number))
        yield opened


@pytest.mark.parametrize("limit", [1, 3, 7, 20])
def test_pages_hold_every_record_once_newest_first(journal: Journal, limit: int) -> None:
    """Kills <= for <, an order by moment alone, and a page that loses its last record."""
    seen: list[int] = []
    below = None
    while found := page(journal, Which(), limit, below=below):
        seen += [each.seq for each in found]
        below = found[-1].seq
    assert seen == list(range(20, 0, -1))


def test_a_filter_goes_on_over_pages_and_is_counted(journal: Journal) -> None:
    """Kills filtering after the limit, which gives short pages, and counting what does not agree."""
    which = Which(kinds=("decision",), desks=("stocks",))
    first = page(journal, which, 3)
    rest = page(journal, which, 100, below=first[-1].seq)
    assert [each.payload["n"] for each in (*first, *rest)] == [18, 16, 14, 12, 8, 6, 4, 2]
    assert amount(journal, which) == 8
    assert amount(journal, Which()) == 20


def test_both_ends_of_a_span_belong_to_it(journal: Journal) -> None:
    """Kills < for <= at either end."""
    which = Which(first=AT + dt.timedelta(days=3), last=AT + dt.timedelta(days=6))
    assert [each.seq for each in page(journal, which, 50)] == [6, 5, 4, 3]
    later = Which(first=AT + dt.timedelta(days=3, microseconds=1), last=AT + dt.timedelta(days=6, microseconds=-1))
    assert [each.seq for each in page(journal, later, 50)] == [5, 4]


def test_a_page_is_what_the_journal_itself_tells(journal: Journal) -> None:
    """Kills a second way to read a row that differs from the first."""
    assert list(page(journal, Which(), 20))[::-1] == journal.records()
    assert record(journal, 7) == journal.records()[6]


def test_counts_by_kind_and_desk(journal: Journal) -> None:
    """Kills leaving out what belongs to no desk."""
    assert counts(journal).rows() == [
        ("data", None, 4, 20), ("decision", "gate", 8, 19), ("decision", "stocks", 8, 18)
    ]  # fmt: skip


@pytest.mark.parametrize("limit", [0, -1, MOST_RECORDS + 1])
def test_a_page_of_no_size_is_refused(journal: Journal, limit: int) -> None:
    """Kills a page that loads everything."""
    with pytest.raises(BadInput, match=str(limit)):
        page(journal, Which(), limit)


def test_a_record_that_is_not_there_is_said_to_be(journal: Journal) -> None:
    """Kills None in place of a sentence."""
    with pytest.raises(DataMissing, match="no record 21; its last is 20"):
        record(journal, 21)
