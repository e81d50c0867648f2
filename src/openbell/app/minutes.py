"""Bars within the session into the tables: the gate, one commit, and a line in the journal."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from openbell.app.clock import now
from openbell.market.calendars import time_zone
from openbell.market.minute_importing import MinutesReport, import_minutes
from openbell.market.products import product as product_of

if TYPE_CHECKING:
    from openbell.app.home import Home
    from openbell.market.providers.minutes import MinuteBatch


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
    product: str | None = None,
) -> MinutesReport:
    """Bars out of one file, through the gate into the tables; `delay_minutes` unset is the provider's own."""
    provider = home.catalogue.providers["minutes"]
    named = None if product is None else product_of(product, exchange=home.sessions.exchange)
    batch = provider.read(
        file, columns=columns, symbol=symbol, freq=freq, timezone=timezone, stamp=stamp, product=named
    )
    return take_in_minutes(home, batch, provider.delay_minutes if delay_minutes is None else delay_minutes)


def take_in_minutes(home: Home, batch: MinuteBatch, delay_minutes: int) -> MinutesReport:
    """One batch through the gate into the tables, and a line in the journal of what became of it."""
    zone = time_zone(home.sessions.exchange)
    report = import_minutes(home.tables, batch, home.sessions, zone, at=now(), delay_minutes=delay_minutes)
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
