"""Trade sheets into the tables, and what there is of them: coverage of the deltas, scales of the profits."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from openbell.app.clock import now
from openbell.app.outputs import plain_rows
from openbell.market.delta_coverage import TARGET, DeltaCoverage, delta_coverage
from openbell.market.trade_importing import TradeReport, import_trades, stored_trades
from openbell.market.trade_sheets import Imported, imported

if TYPE_CHECKING:
    from openbell.app.home import Home
    from openbell.market.trade_sheet_units import Unit


def import_folders(home: Home, folders: Sequence[Path], *, unit: Unit = "auto") -> tuple[Imported, TradeReport]:
    """The day folders into the tables in one commit, and a line in the journal of what became of them."""
    found = imported(folders, home.sessions, unit=unit)
    report = import_trades(home.tables, found, at=now())
    if report.commit is not None:
        payload = {
            "name": "trade sheets",
            "commit": report.commit,
            "received": report.received,
            "stored": report.new + report.completed + report.restated,
            "quarantined": report.quarantined,
            "rules": rules(found),
            "notes": list(found.notes),
            "sources": plain_rows(found.counts),
        }
        home.journal.append("data", payload, at=now(), key=f"data {report.commit}")
    return found, report


def rules(found: Imported) -> dict[str, int]:
    """Rows set aside by source and rule: ``profit summary`` -> 112."""
    counted = found.set_aside.group_by("source", "rule").len().sort("source", "rule")
    return {f"{source} {rule}": rows for source, rule, rows in counted.iter_rows()}


def trades_of(home: Home, known_by: dt.datetime | None = None) -> pl.DataFrame:
    """The stored trades as they stand, or as they stood at `known_by`."""
    return stored_trades(home.tables, known_by=known_by)


def coverage(home: Home) -> DeltaCoverage:
    """The delta coverage of everything stored."""
    return delta_coverage(trades_of(home))


def coverage_facts(found: DeltaCoverage) -> dict[str, Any]:
    """A coverage as plain values."""
    return {
        "trades": found.trades,
        "with_delta": found.with_delta,
        "share_of_all": found.share_of_all,
        "period": {"first": found.first, "last": found.last, "trades": found.trades_in_period},
        "share_in_period": found.share_in_period,
        "symbols": list(found.symbols),
        "trades_of_symbols": found.trades_of_symbols,
        "share_of_symbols": found.share_of_symbols,
        "target": TARGET,
        "reached": found.reached,
        "months": plain_rows(found.months),
        "by_symbol": plain_rows(found.by_symbol),
        "missing": {
            "periods": found.gaps.height,
            "sessions": int(found.gaps["sessions"].sum()),
            "gaps": plain_rows(found.gaps),
            "partial_sessions": plain_rows(found.partial),
        },
    }


def scales(home: Home) -> pl.DataFrame:
    """The profit scale of each symbol and strategy, of everything stored."""
    from openbell.quant.profit_scales import profit_scales

    return profit_scales(trades_of(home))
