"""Data into the tables: every import passes the quality gate, is atomic, and is told in the journal."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from openbell.app.clock import now
from openbell.core.errors import BadInput, unknown
from openbell.market.batch import Batch
from openbell.market.fundamentals import FundamentalsReport, import_fundamentals
from openbell.market.importing import ImportReport, import_batch

if TYPE_CHECKING:
    from openbell.app.home import Home
    from openbell.core.time import Sessions

KINDS = ("STOCK", "ETF", "INDEX")


def column_map(words: Sequence[str]) -> dict[str, str]:
    """``close=adj_close`` words, comma-separated or repeated, as a map from our column to the file's."""
    found: dict[str, str] = {}
    for word in (part for each in words for part in each.split(",") if part.strip()):
        ours, equals, theirs = word.partition("=")
        if not equals or not ours.strip() or not theirs.strip():
            raise BadInput(f"`--map {word}` names no pair of columns. Write it like --map close=adj_close.")
        if ours.strip() in found:
            raise BadInput(
                f"`--map` names `{ours.strip()}` twice: `{found[ours.strip()]}` and `{theirs.strip()}`. Keep one."
            )
        found[ours.strip()] = theirs.strip()
    return found


def import_file(
    home: Home,
    file: Path,
    *,
    columns: Mapping[str, str] | None = None,
    symbol: str | None = None,
    kind: str = "STOCK",
    universe: str = "sp500",
    sort: bool = False,
    layout: str | None = None,
) -> ImportReport:
    """Bars, rates, sectors or membership out of one file."""
    from openbell.market.providers.files import files

    if kind.upper() not in KINDS:
        raise unknown("kind of instrument", kind, KINDS)
    batch = files(
        file, columns=columns or None, symbol=symbol, kind=kind.upper(), universe=universe, layout=layout, sort=sort
    )
    return take_in(home, batch)


def take_in(home: Home, batch: Batch, *, delay_minutes: int = 0, sessions: Sessions | None = None) -> ImportReport:
    """One batch through the gate into the tables, and a line in the journal of what became of it.

    `sessions` are those of the product that the bars are of; None: the exchange's.
    """
    own = home.sessions if sessions is None else sessions
    report = import_batch(home.tables, batch, own, at=now(), delay_minutes=delay_minutes)
    if report.commit is not None:
        payload = {
            "name": report.name,
            "commit": report.commit,
            "received": report.received,
            "stored": report.stored,
            "quarantined": report.quarantined,
            "rules": dict(report.counts.filter(pl.col("rows") > 0).select("rule", "rows").iter_rows()),
            "notes": list(report.notes),
        }
        home.journal.append("data", payload, at=now(), key=f"data {report.commit}")
    return report


def import_reports(home: Home, file: Path, columns: Mapping[str, str]) -> FundamentalsReport:
    """Fundamentals, usable from the day after their filing on."""
    return import_fundamentals(home.tables, file, at=now(), columns=columns or None)


def fetch_yahoo(home: Home, symbols: Sequence[str], kind: str = "STOCK") -> ImportReport:
    """New bars and actions by yfinance, from what is stored of each symbol on."""
    from openbell.market.providers.yahoo import yahoo

    stored = None
    if home.tables.exists("bars"):
        rows = home.tables.scan("bars").filter(pl.col("symbol").is_in([each.upper() for each in symbols]))
        stored = rows.sort("known_at").select("symbol", "session", "close").collect()
        stored = stored.unique(["symbol", "session"], keep="last", maintain_order=True)
    batch = yahoo(symbols, home.sessions, until=home.sessions.last_closed(now()), stored=stored, kind=kind)
    provider = home.catalogue.providers["yahoo"]
    return take_in(home, batch, delay_minutes=provider.delay_minutes)


def checked(home: Home) -> pl.DataFrame:
    """Counts and examples per rule of the quality gate, over everything stored and quarantined."""
    from openbell.market.quality.checking import check

    return check(home.tables, home.sessions)


def stored_tables(home: Home) -> list[dict[str, Any]]:
    """Each table with its rows, its span and how many symbols it has."""
    rows = []
    for name in home.tables.names():
        table = home.tables.scan(name)
        columns = table.collect_schema().names()
        aggregates = [pl.len().alias("rows")]
        if "session" in columns:
            aggregates += [pl.min("session").alias("first"), pl.max("session").alias("last")]
        if "symbol" in columns:
            aggregates.append(pl.col("symbol").n_unique().alias("symbols"))
        rows.append({"table": name, **table.select(aggregates).collect().row(0, named=True)})
    return rows


def data_notes(home: Home) -> list[str]:
    """What must be known of the stored data, as their imports said it; each once, in the order first said."""
    notes = [note for record in home.journal.records(kind="data") for note in record.payload["notes"]]
    return list(dict.fromkeys(notes))


def quarantined(home: Home, as_of: dt.datetime) -> pl.DataFrame:
    """Rows in quarantine per rule, of those known at `as_of`."""
    if not home.tables.exists("quarantine"):
        return pl.DataFrame(schema={"rule": pl.String, "rows": pl.UInt32, "example": pl.String})
    rows = home.tables.scan("quarantine").filter(pl.col("known_at") <= as_of)
    example = pl.format("{} {}: {}", "symbol", "session", "reason").first().alias("example")
    return rows.group_by("rule").agg(pl.len().alias("rows"), example).sort("rows", descending=True).collect()
