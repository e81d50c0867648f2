"""A calendar of economic events into the tables, and a line in the journal of what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from openbell.app.clock import now
from openbell.market.calendars import time_zone
from openbell.market.economic_events import EventsReport, import_events

if TYPE_CHECKING:
    from openbell.app.home import Home


def import_events_file(
    home: Home,
    file: Path,
    *,
    announced_days: int | None = None,
    timezone: str | None = None,
    columns: Mapping[str, str] | None = None,
) -> EventsReport:
    """The events of one file; times without an offset are read on the clock of the exchange."""
    zone = timezone or time_zone(home.sessions.exchange)
    report = import_events(home.tables, file, zone=zone, announced_days=announced_days, columns=columns)
    if report.commit is not None:
        payload = {
            "name": report.name,
            "commit": report.commit,
            "received": report.received,
            "stored": report.stored,
            "releases": dict(report.names),
            "notes": list(report.notes),
        }
        home.journal.append("data", payload, at=now(), key=f"data {report.commit}")
    return report
