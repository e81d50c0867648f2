"""The journal, looked at: pages of its records in words, one of them whole, and whether its chain holds."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from openbell.app.lab.looks.today import DECISIONS, TRAININGS, headline
from openbell.app.outputs import json_text
from openbell.core.errors import IntegrityBroken
from openbell.store.journal import Record
from openbell.store.journal_pages import Which, amount, counts, page, record

if TYPE_CHECKING:
    from openbell.app.home import Home

PAGE_RECORDS = 50
LISTED = {
    "seq": pl.Int64, "at": pl.String, "kind": pl.String, "desk": pl.String, "session": pl.String, "says": pl.String,
    "hash": pl.String,
}  # fmt: skip
_SHORT = 160


@dataclass(frozen=True, slots=True, eq=False)
class JournalPage:
    """Some records, newest first. `below` goes on to the next page, None after the last; `of` is how many match."""

    rows: pl.DataFrame
    below: int | None
    of: int


@dataclass(frozen=True, slots=True)
class Chain:
    """Whether the journal is whole: how many records, the hash of the last, and else what is broken, in a sentence."""

    whole: bool
    records: int
    head: str
    why: str = ""

    @property
    def says(self) -> str:
        """As a sentence."""
        if not self.whole:
            return self.why
        return f"The journal is whole: {self.records:,} records, the last with the hash {self.head[:12]}."


def journal_page(
    home: Home,
    *,
    kinds: Sequence[str] = (),
    desks: Sequence[str] = (),
    first: dt.date | None = None,
    last: dt.date | None = None,
    below: int | None = None,
    limit: int = PAGE_RECORDS,
) -> JournalPage:
    """A page of the records that agree with everything given; dates are days in UTC, both included."""
    which = Which(tuple(kinds), tuple(desks), _moment(first), _moment(last, end=True))
    found = page(home.kept_journal, which, limit, below=below)
    rows = pl.DataFrame([_row(each) for each in found], schema=LISTED, orient="row")
    more = found[-1].seq if len(found) == limit and found[-1].seq > 1 else None
    return JournalPage(rows, more, amount(home.kept_journal, which))


def _moment(day: dt.date | None, *, end: bool = False) -> dt.datetime | None:
    if day is None:
        return None
    return dt.datetime.combine(day, dt.time.max if end else dt.time.min, dt.UTC)


def kinds_and_desks(home: Home) -> tuple[list[str], list[str]]:
    """What there is to filter by."""
    there = counts(home.kept_journal)
    return there["kind"].unique().sort().to_list(), there["desk"].drop_nulls().unique().sort().to_list()


def whole_record(home: Home, seq: int) -> Record:
    """The record number `seq`."""
    return record(home.kept_journal, seq)


def as_text(found: Record) -> str:
    """A record with everything that its hash is over, as JSON that can be read."""
    return json_text({**asdict(found), "at": found.at.isoformat()})


def chain(home: Home) -> Chain:
    """Every hash of the journal computed again."""
    journal = home.kept_journal
    try:
        head = journal.head
        journal.verify()
    except IntegrityBroken as broken:
        return Chain(False, 0, "", str(broken))
    return Chain(True, head.records, head.hash)


def _row(found: Record) -> tuple[Any, ...]:
    payload = found.payload
    return (
        found.seq, f"{found.at:%Y-%m-%d %H:%M}", found.kind, payload.get("desk"), payload.get("session"),
        says(found), found.hash[:12],
    )  # fmt: skip


def says(found: Record) -> str:
    """A record in a few words."""
    told = _told(found.kind, found.payload)
    return told if len(told) <= _SHORT else told[: _SHORT - 1] + "…"


def _told(kind: str, payload: Mapping[str, Any]) -> str:
    family = str(payload.get("desk", "")).partition(".")[0]
    if kind in DECISIONS and family in ("stocks", "options", "signals", "session"):
        return headline(family, payload)
    if kind == "data":
        return f"{payload.get('name')}: {payload.get('stored', 0):,} rows stored, {payload.get('quarantined', 0):,} not"
    if kind in TRAININGS:
        return f"champion: {payload.get('champion') or 'none'}"
    if kind == "promotion":
        return f"{payload.get('version')} by {payload.get('by')}"
    if payload.get("why"):
        why = payload["why"]
        return str(why if isinstance(why, str) else why[0])
    plain = {name: each for name, each in payload.items() if name not in ("desk", "session", "decision", "order")}
    return ", ".join(f"{name} {each:g}" if isinstance(each, float) else f"{name} {each}" for name, each in plain.items()
                     if isinstance(each, (str, int, float)))  # fmt: skip
