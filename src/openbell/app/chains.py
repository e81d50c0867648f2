"""Option chains into the tables, and what the chain gate found in them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from openbell.app.clock import now
from openbell.core.errors import BadInput, unknown
from openbell.core.quotes import RECEIVED
from openbell.market.chain_batch import ChainBatch
from openbell.market.chain_formats import PROVIDERS, recognised
from openbell.market.chain_importing import QUARANTINE, TABLE, ChainReport, counted, import_chain
from openbell.market.chain_layouts import FORMATS
from openbell.market.quality.chain_judging import chain_counts, chain_gate

if TYPE_CHECKING:
    from openbell.app.home import Home


def import_chain_file(
    home: Home,
    file: Path,
    *,
    layout: str | None = None,
    columns: Mapping[str, str] | None = None,
    underlying: str | None = None,
    session: dt.date | None = None,
) -> ChainReport:
    """Quotes out of one file, in the layout named or recognised, through the gate into the tables."""
    if layout is not None and layout not in FORMATS:
        raise unknown("format of chains", layout, FORMATS)
    if columns and layout not in (None, "map"):
        raise BadInput(f"`--map` says what columns are; the format {layout} has its own. Leave one of the two away.")
    chosen = layout or ("map" if columns else recognised(file))
    provider = home.catalogue.providers[PROVIDERS[chosen]]
    arguments: dict[str, Any] = {"sessions": home.sessions, "underlying": underlying, "session": session}
    if chosen == "map":
        arguments["columns"] = columns
    batch: ChainBatch = provider.read(file, **arguments)
    return take_in_chain(home, batch, delay_minutes=provider.delay_minutes)


def take_in_chain(home: Home, batch: ChainBatch, *, delay_minutes: int = 0) -> ChainReport:
    """One batch of quotes into the tables, and a line in the journal of what became of it."""
    report = import_chain(home.tables, batch, home.sessions, at=now(), delay_minutes=delay_minutes)
    if report.commit is not None:
        payload = {
            "name": report.name,
            "commit": report.commit,
            "received": report.received,
            "stored": report.stored,
            "quarantined": report.quarantined,
            "rules": dict(counted(report)),
            "notes": [*report.notes, *report.refused],
        }
        home.journal.append("data", payload, at=now(), key=f"data {report.commit}")
    return report


def checked_chains(home: Home) -> pl.DataFrame:
    """Counts and examples per rule of the chain gate; the columns of `chain_counts`.

    Quotes in quarantine are counted as they were judged at their import, notes are found again on the stored quotes,
    and numbers that were set aside are counted from the journal of the imports: the tables do not hold them any more.
    """
    findings = pl.concat([_kept_out(home), _noted(home)])
    table = chain_counts(findings)
    aside = _set_aside(home)
    more = pl.col("rule").replace_strict(aside, default=0, return_dtype=pl.Int64)
    return table.with_columns(pl.when(pl.col("action") == "set aside").then(more).otherwise("rows").alias("rows"))


def stored_chains(home: Home) -> pl.DataFrame:
    """Per underlying: sessions, quotes, those with a mid, with our volatility, and modelled ones."""
    if not home.tables.exists(TABLE):
        return pl.DataFrame(schema={"underlying": pl.String, "sessions": pl.Int64, "quotes": pl.Int64})
    return (
        home.tables.scan(TABLE)
        .group_by("underlying")
        .agg(
            pl.col("session").n_unique().cast(pl.Int64).alias("sessions"),
            pl.col("session").min().alias("first"),
            pl.col("session").max().alias("last"),
            pl.len().cast(pl.Int64).alias("quotes"),
            pl.col("mid").count().cast(pl.Int64).alias("with_mid"),
            pl.col("iv").count().cast(pl.Int64).alias("with_iv"),
            pl.col("modelled").sum().cast(pl.Int64).alias("modelled"),
        )
        .sort("underlying")
        .collect()
    )


_FOUND = ("row", "underlying", "session", "contract", "rule", "action", "reason")


def _kept_out(home: Home) -> pl.DataFrame:
    from openbell.dialects.occ import occ_expression

    if not home.tables.exists(QUARANTINE):
        empty = pl.DataFrame(schema={**RECEIVED, "rule": pl.String, "reason": pl.String})
    else:
        empty = home.tables.scan(QUARANTINE).select(*RECEIVED, "rule", "reason").collect()
    rows = empty.with_row_index("row").with_columns(occ_expression().alias("contract"), pl.lit("").alias("action"))
    return rows.with_columns(pl.col("rule").str.split(",")).explode("rule").select(_FOUND)


def _noted(home: Home) -> pl.DataFrame:
    if not home.tables.exists(TABLE):
        return _kept_out(home).clear()
    newest = home.tables.scan(TABLE).filter(~pl.col("modelled")).sort("known_at")
    key = ["underlying", "session", "quote_at", "root", "expiry", "strike", "right"]
    rows = newest.unique(key, keep="last", maintain_order=True).select(list(RECEIVED)).collect()
    found = chain_gate(rows, home.sessions).findings
    return found.filter(pl.col("action") == "note").select(_FOUND)


def _set_aside(home: Home) -> dict[str, int]:
    total: dict[str, int] = {}
    for record in home.journal.records(kind="data"):
        for rule, rows in dict(record.payload["rules"]).items():
            total[rule] = total.get(rule, 0) + int(rows)
    return total
