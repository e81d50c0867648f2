"""A decision derived again from what was known at its moment, and compared with its record."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import polars as pl

from openbell.core.errors import BadInput
from openbell.core.hashing import canonical_json
from openbell.store.journal import Record

if TYPE_CHECKING:
    from openbell.app.home import Home

#: Columns of `Replayed.differences`: where in the record, what it says, and what was derived now, as JSON.
DIFFERENCES = {"where": pl.String, "recorded": pl.String, "derived": pl.String}
NOTHING = "(not there)"
#: What differs already where a setting or the code changed since, whatever came of it.
MADE_BY = ("decision", "made_of.settings", "made_of.code")


@dataclass(frozen=True, slots=True, eq=False)
class Replayed:
    """What came of deriving a decision again: `differences` has a row for every value that is not equal, else none.

    `notes` say what a record does not hold and the derivation had to take from today.
    """

    record: Record
    differences: pl.DataFrame
    notes: tuple[str, ...]

    @property
    def equal(self) -> bool:
        """Whether every value is the same, bit for bit."""
        return self.differences.is_empty()

    @property
    def same_call(self) -> bool:
        """Whether nothing differs but the hashes of settings and code, and the decision's own, which is over them."""
        return set(self.differences["where"]) <= set(MADE_BY)

    @property
    def says(self) -> str:
        """What was found, in a sentence."""
        of = f"Record {self.record.seq} ({self.record.payload['desk']}, {self.record.payload['session']})"
        if self.equal:
            return f"{of} was derived again and is equal in every value."
        if self.same_call:
            return (
                f"{of} was derived again and decides the same. Only {', '.join(MADE_BY)} may differ: the settings or "
                "the code are others now."
            )
        return f"{of} was derived again and is not equal: {self.differences.height} values differ."

    def as_json(self) -> dict[str, Any]:
        """For a program to read."""
        return {
            "record": self.record.seq,
            "equal": self.equal,
            "same_call": self.same_call,
            "says": self.says,
            "differences": self.differences.to_dicts(),
            "notes": list(self.notes),
        }


def replayed(home: Home, record: Record) -> Replayed:
    """Derive the decision of `record` again with today's settings, models and code; nothing is written.

    Raises
    ------
    BadInput
        Where it is no decision of a desk that can be derived again.
    """
    desk = str(record.payload.get("desk", ""))
    derive = _DERIVED.get(desk.partition(".")[0])
    if record.kind != "decision" or derive is None:
        raise BadInput(
            f"Record {record.seq} is a `{record.kind}` of {desk or 'no desk'}. Only decisions of these desks can be "
            f"derived again: {', '.join(_DERIVED)}."
        )
    payload, notes = derive(home, record)
    return Replayed(record, compared(record.payload, json.loads(canonical_json(payload))), notes)


def compared(recorded: Any, derived: Any) -> pl.DataFrame:
    """Where two JSON values differ; columns of `DIFFERENCES`, in the order of the record."""
    rows = [(where, _text(one), _text(other)) for where, one, other in _differences("", recorded, derived)]
    return pl.DataFrame(rows, schema=DIFFERENCES, orient="row")


def _differences(where: str, one: Any, other: Any) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for name in dict.fromkeys([*one, *other]):
            inner = f"{where}.{name}" if where else str(name)
            yield from _differences(inner, one.get(name, NOTHING), other.get(name, NOTHING))
    elif isinstance(one, list) and isinstance(other, list):
        for place in range(max(len(one), len(other))):
            parts = (each[place] if place < len(each) else NOTHING for each in (one, other))
            yield from _differences(f"{where}[{place}]", *parts)
    elif one != other or type(one) is not type(other):
        yield where, one, other


def _text(value: Any) -> str:
    return value if isinstance(value, str) else canonical_json(value)


def _session(record: Record) -> dt.date:
    return dt.date.fromisoformat(str(record.payload["session"]))


_CAPITAL = "The account's first capital is that of the settings, run.capital; a run with --capital had another."


def _stocks(home: Home, record: Record) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    from openbell.app import account
    from openbell.app.daily import decide_stocks, recorded

    session, capital = _session(record), home.settings.run.capital
    with account.shadow(home) as journal:
        account.settle(home, journal, home.view(session), home.sessions.shift(session, -1), capital)
        decided = decide_stocks(home, session, capital, journal)
    return recorded(decided, bool(record.payload["execute"])), (_CAPITAL,)


def _options(home: Home, record: Record) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    from openbell.app.options_daily import decide_options, recorded

    underlying = str(record.payload["desk"]).partition(".")[2]
    decided = decide_options(home, underlying, _session(record), home.settings.run.capital)
    return recorded(decided, bool(record.payload["execute"])), (_CAPITAL,)


def _signals(home: Home, record: Record) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    from openbell.app.signals_daily import recorded, run_signals

    # The record names the session of the last bar; the run was asked for the one after it.
    done = run_signals(home, home.sessions.shift(_session(record), 1))
    return recorded(home, done.said, done.decided), (
        "Signals that were active at that moment are not in the record, so a check that counts them sees none.",
    )


def _day(home: Home, record: Record) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    from openbell.app.session_daily import run_session

    done = run_session(home, _session(record), product=str(record.payload["product"]), dry=True)
    return done.as_json(), ("The cut-off is that of the settings, session.cutoff; a run may have named another.",)


#: How the decision of a desk is derived, by the first part of its name.
_DERIVED: Mapping[str, Callable[[Home, Record], tuple[Mapping[str, Any], tuple[str, ...]]]] = MappingProxyType(
    {"stocks": _stocks, "options": _options, "signals": _signals, "session": _day}
)
#: Desks whose decisions can be derived again.
DESKS = tuple(_DERIVED)
