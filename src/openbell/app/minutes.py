"""Bars within the session into the tables: the gate, one commit, and a line in the journal."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from openbell.app.clock import now
from openbell.market.calendars import time_zone
from openbell.market.minute_importing import MinutesReport, import_minutes

if TYPE_CHECKING:
    from openbell.app.home import Home


def import_minutes_file(
    home: Home,
    file: Path,
    *,
    columns: Mapping[str, str] | None = None,
    symbol: str | None = None,
    freq: str | None = None,
    timezone: str | None = None,
    stamp: str | None = None,
    delay_minutes: int | None = None,
) -> MinutesReport:
    """Bars out of one file, through the gate into the tables; `delay_minutes` unset is the provider's own."""
    provider = home.catalogue.providers["minutes"]
    batch = provider.read(file, columns=columns, symbol=symbol, freq=freq, timezone=timezone, stamp=stamp)
    delay = provider.delay_minutes if delay_minutes is None else delay_minutes
    zone = time_zone(home.sessions.exchange)
    report = import_minutes(home.tables, batch, home.sessions, zone, at=now(), delay_minutes=delay)
    if report.commit is not None:
        payload = {
            "name": report.name,
            "commit": report.commit,
            "freq": report.freq,
            "received": report.received,
            "stored": report.stored,
            "quarantined": report.quarantined,
            "rules": dict(report.counts.filter(pl.col("rows") > 0).select("rule", "rows").iter_rows()),
            "notes": list(report.notes),
        }
        home.journal.append("data", payload, at=now(), key=f"data {report.commit}")
    return report
