"""The final hold-out: the sessions that no selection has read, and the one look at them that each champion gets.

It is set once, by a desk's first tournament: the last part of the sessions there were. From then on it only grows with
time, whatever later tournaments are held as of. Opening it is on record before anything is evaluated, so that nobody
looks unseen. What has been looked at holds nothing out any more: the first tournament after an opening begins a new
hold-out, at the session of that opening. It is empty at first and grows; a share cut anew out of sessions that were
looked at already would hold out nothing.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from openbell.app.production import DESK, in_office
from openbell.core.errors import BadInput, DataMissing, Refused
from openbell.core.hashing import digest
from openbell.research.dataset import SESSIONS_PER_YEAR
from openbell.store.journal import Record

if TYPE_CHECKING:
    from openbell.app.home import Home

KINDS = (SET, OPENED, RESULT) = ("holdout", "holdout_opened", "holdout_result")


@dataclass(frozen=True, slots=True)
class Opening:
    """One look: of which champion, over which sessions, why, and what it found (None where it was killed before)."""

    session: dt.date
    champion: str
    first: dt.date
    last: dt.date
    reason: str
    looks: int
    result: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Holdout:
    """The hold-out of a desk as it stands: its first session, the last that is stored, and every look at it so far."""

    desk: str
    first: dt.date
    last: dt.date
    share: float
    sessions: int
    openings: tuple[Opening, ...]

    def as_json(self) -> dict[str, Any]:
        """For a program to read."""
        return {
            "desk": self.desk,
            "first": self.first.isoformat(),
            "last": self.last.isoformat(),
            "share": self.share,
            "sessions": self.sessions,
            "openings": [
                {
                    "session": each.session.isoformat(),
                    "champion": each.champion,
                    "first": each.first.isoformat(),
                    "last": each.last.isoformat(),
                    "reason": each.reason,
                    "looks": each.looks,
                    "result": each.result,
                }
                for each in self.openings
            ],
        }


def holdout_first(home: Home, desk: str, session: dt.date, make: bool = False) -> dt.date | None:
    """The first session that a selection as of `session` must not read; None where no hold-out was set yet.

    With `make`, as a tournament asks, one is set where there is none, and a new one begun where the last was opened.
    A selection as of a session before the hold-out reads nothing at or after its own session: then that is given.
    """
    records = _records(home, desk)
    due = _due(home, session, records) if make else None
    last_set = _begun(home, desk, session, *due) if due else _last(records, SET)
    if last_set is None:
        return None
    return min(dt.date.fromisoformat(last_set.payload["first"]), session)


def planned_first(home: Home, desk: str, session: dt.date) -> dt.date:
    """What `holdout_first` with `make` would give; nothing is recorded, for a tournament that may yet be refused."""
    records = _records(home, desk)
    due = _due(home, session, records)
    return min(due[0] if due else dt.date.fromisoformat(_last(records, SET).payload["first"]), session)  # type: ignore[union-attr]


def holdout(home: Home, desk: str = DESK) -> Holdout | None:
    """The hold-out as it stands, or None where no tournament has set one."""
    records = home.kept_journal.records(kind=KINDS, desk=desk)
    last_set = _last(records, SET)
    if last_set is None:
        return None
    first, last = dt.date.fromisoformat(last_set.payload["first"]), home.stored[1]
    return Holdout(
        desk=desk,
        first=first,
        last=last,
        share=last_set.payload["share"],
        sessions=len(home.sessions.between(first, last)),
        openings=tuple(_opening(each, records) for each in records if each.kind == OPENED),
    )


def open_holdout(
    home: Home,
    reason: str,
    evaluate: Callable[[], Mapping[str, Any]],
    *,
    desk: str = DESK,
    session: dt.date | None = None,
) -> Opening:
    """Evaluate the champion in office over the hold-out: once for each champion, and on record before it is done.

    Parameters
    ----------
    evaluate : gives what is to be recorded (JSON types, finite numbers). Where it fails or is killed, the opening
        stands, and the same champion's opening may be run again until its result is on record.
    session : the first session that is not looked at; None takes the one after the latest bars.

    Raises
    ------
    Refused
        Where nobody is in office, no hold-out was set, it holds no session yet, or this champion was evaluated.
    """
    if not reason.strip():
        raise BadInput("Opening the hold-out needs a reason; it was empty. Say it with --reason TEXT.")
    home.kept_journal.verify()  # before anybody is told what may be looked at
    ended = home.decision_session(session)
    office = in_office(home, home.as_of(ended), desk)
    if office is None:
        raise Refused(f"Nobody is in office at the desk `{desk}`, so there is no champion to evaluate.")
    records = _records(home, desk)
    before = [each for each in records if each.kind == OPENED and each.payload["champion"] == office.version]
    if before and _opening(before[-1], records).result is not None:
        raise Refused(
            f"The hold-out was opened for {office.version} on {before[-1].payload['session']} already "
            f"({before[-1].payload['reason']}), and a champion is evaluated on it once. "
            "`openbell holdout show` tells what it found."
        )
    opened = before[-1] if before else _opened(home, desk, records, office.version, ended, reason)
    result = {"desk": desk, "champion": office.version, "opening": opened.key, "result": dict(evaluate())}
    found = home.journal.append(RESULT, result, at=opened.at, key=digest([RESULT, opened.key]))
    return _opening(opened, [*records, found])


def span(home: Home, desk: str = DESK) -> tuple[dt.date, dt.date]:
    """First and last session that an opening evaluates: of the opening that waits for its result, or as they stand."""
    records = _records(home, desk)
    opened = _last(records, OPENED)
    if opened is not None and _opening(opened, records).result is None:
        return dt.date.fromisoformat(opened.payload["first"]), dt.date.fromisoformat(opened.payload["last"])
    there = holdout(home, desk)
    if there is None:
        raise Refused(f"No hold-out was set for the desk `{desk}` yet: its first tournament sets one.")
    return there.first, there.last


def _records(home: Home, desk: str) -> list[Record]:
    """In the order in which they were written: a hold-out is about what its owner has seen, not about market time."""
    return home.journal.records(kind=KINDS, desk=desk)


def _last(records: list[Record], kind: str) -> Record | None:
    return next((each for each in reversed(records) if each.kind == kind), None)


def _due(home: Home, session: dt.date, records: list[Record]) -> tuple[dt.date, Record | None] | None:
    """First session of the hold-out that a tournament begins, and the opening that made it so; None: one stands."""
    last_set, opened = _last(records, SET), _last(records, OPENED)
    if last_set is None:
        return _cut(home, session), None
    if opened is not None and opened.seq > last_set.seq:
        return dt.date.fromisoformat(opened.payload["session"]), opened
    return None


def _begun(home: Home, desk: str, session: dt.date, first: dt.date, after: Record | None) -> Record:
    payload = {"desk": desk, "first": first.isoformat(), "share": home.settings.tournament.holdout_share}
    key = digest([SET, desk, after.key if after else None])
    return home.journal.append(SET, payload, at=home.as_of(session), key=key)


def _cut(home: Home, session: dt.date) -> dt.date:
    """First of the last `holdout_share` of the sessions that a tournament as of `session` could decide on."""
    settings, stored = home.settings, home.stored[0]
    wanted = round(settings.tournament.history_years * SESSIONS_PER_YEAR)
    dates = home.sessions.between(stored, session)[1 + settings.train.warmup_sessions :][-wanted:]
    if len(dates) < 2:
        raise DataMissing(
            f"The bars begin on {stored} and {session} is within the {settings.train.warmup_sessions} sessions of "
            "warm-up, so nothing can be held out. Choose a later date, or import a longer history."
        )
    held = min(max(math.ceil(settings.tournament.holdout_share * len(dates)), 1), len(dates) - 1)
    return dates[-held]


def _opened(home: Home, desk: str, records: list[Record], champion: str, ended: dt.date, reason: str) -> Record:
    first, _ = span(home, desk)
    last = home.sessions.shift(ended, -1)
    if last < first:
        raise Refused(
            f"The hold-out begins on {first} and no session of it is stored yet (the latest is {last}). "
            "It grows with time; open it later."
        )
    looks = 1 + sum(each.kind == OPENED and each.payload["first"] == first.isoformat() for each in records)
    payload = {
        "desk": desk,
        "champion": champion,
        "session": ended.isoformat(),
        "first": first.isoformat(),
        "last": last.isoformat(),
        "reason": " ".join(reason.split()),
        "looks": looks,
    }
    return home.journal.append(OPENED, payload, at=home.as_of(ended), key=digest([OPENED, desk, champion]))


def _opening(record: Record, records: list[Record]) -> Opening:
    told = record.payload
    results = [each for each in records if each.kind == RESULT and each.payload["opening"] == record.key]
    return Opening(
        session=dt.date.fromisoformat(told["session"]),
        champion=told["champion"],
        first=dt.date.fromisoformat(told["first"]),
        last=dt.date.fromisoformat(told["last"]),
        reason=told["reason"],
        looks=told["looks"],
        result=results[-1].payload["result"] if results else None,
    )
