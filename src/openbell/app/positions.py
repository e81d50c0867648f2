"""Looking at the account, and taking over positions from outside."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING

from openbell.app.account import current_book, settle, shadow
from openbell.core.types import Book
from openbell.store.journal import Record
from openbell.trade.statements import import_positions

if TYPE_CHECKING:
    from openbell.app.home import Home


def held_at(home: Home, wanted: dt.date | None) -> Book:
    """The account before the open of a session; orders that have met their open by then are filled. Writes nothing."""
    session = home.decision_session(wanted)
    view = home.view(session)
    with shadow(home) as journal:
        settle(home, journal, view, home.sessions.shift(session, -1), home.settings.run.capital)
        return current_book(home, journal, view, home.settings.run.capital)


def take_over(home: Home, file: Path, wanted: dt.date | None) -> Record:
    """Journal the statement in `file` as what is held from the open of a session on."""
    session = home.decision_session(wanted)
    known = home.tables.scan("instruments").select("symbol").unique().collect()["symbol"].to_list()
    # A moment before the decision, so that the decision of the same morning sees it.
    at = home.as_of(session) - dt.timedelta(seconds=1)
    return import_positions(home.journal, file, known=known, session=session, at=at)
