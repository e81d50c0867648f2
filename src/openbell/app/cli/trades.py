"""`openbell data import trades`: day folders of trade sheets, mounted by `data`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from openbell.app.cli.words import HomeOption, JsonOption, SetOption, SettingsOption, open_home, print_json, print_table

if TYPE_CHECKING:
    from openbell.market.trade_importing import TradeReport
    from openbell.market.trade_sheets import Imported

FoldersArgument = Annotated[
    list[Path],
    typer.Argument(metavar="FOLDER…", help="Day folders such as 2024-11-15-64E0C, or folders that hold some."),
]


def import_trades(
    folders: FoldersArgument,
    profit_unit: Annotated[
        Literal["auto", "points", "usd"],
        typer.Option("--profit-unit", help="What the profits are in; auto finds it per sheet, and says so."),
    ] = "auto",
    home: HomeOption = None,
    sets: SetOption = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Import profit, trades and delta sheets. Every row is taken in, or counted with its reason; exit 3 if files fail.

    Profit sheets are read on the exchange's clock, trades and delta sheets in UTC. Sheets of one trade become one row,
    and what one says no other takes back, in this import or a later one. The same folders again change nothing.
    """
    from openbell.app.trade_sheets import import_folders
    from openbell.core.errors import PartlyDone

    found, report = import_folders(open_home(home, sets, settings), folders, unit=profit_unit)
    if as_json:
        print_json(_facts(found, report))
    else:
        _tell(found, report)
    if found.failed:
        sheets = int(found.counts["sheets"].sum())
        raise PartlyDone(f"{sheets} sheets were imported, {len(found.failed)} not. " + " ".join(found.failed.values()))


def _facts(found: Imported, report: TradeReport) -> dict[str, Any]:
    import polars as pl

    from openbell.app.trade_sheets import rules

    conflicts = found.conflicts.group_by("column").agg(pl.len().alias("trades")).sort("column")
    return {
        "received": report.received,
        "new": report.new,
        "completed": report.completed,
        "restated": report.restated,
        "known": report.known,
        "quarantined": report.quarantined,
        "sources": found.counts.to_dicts(),
        "set_aside": rules(found),
        "conflicts": {"columns": conflicts.to_dicts(), "values": found.conflicts.to_dicts()},
        "without_legs": found.unread.to_dicts(),
        "profit_units": found.units.to_dicts(),
        "flags": dict(found.flags.iter_rows()),
        "notes": list(found.notes),
        "failed": found.failed,
    }


def _tell(found: Imported, report: TradeReport) -> None:
    import polars as pl

    from openbell.market.trade_sheet_rows import RULES

    print(
        f"{report.received:,} trades in the sheets: {report.new:,} new, {report.completed:,} completed, "
        f"{report.restated:,} restated, {report.known:,} known already. {report.quarantined:,} rows in quarantine."
    )
    print_table(found.counts, "Rows of the sheets (rows = skipped + duplicates + used)")
    aside = found.set_aside.group_by("source", "rule").agg(pl.len().alias("rows"), pl.col("file", "line").first())
    if aside.height:
        why = pl.col("rule").replace_strict(dict(RULES), return_dtype=pl.String).alias("what it says")
        where = pl.format("{}, line {}", "file", "line").alias("first")
        print_table(aside.sort("source", "rule").select("source", "rule", "rows", where, why), "Rows set aside")
    print_table(found.flags.filter(pl.col("rows") > 0), "Kept, and worth a look")
    if found.unread.height:
        print_table(found.unread, "Trades without legs")
    for note in found.notes:
        print(note)
