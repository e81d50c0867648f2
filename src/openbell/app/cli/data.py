"""`openbell data`: prices, members and reports into the tables, and what the quality gate found in them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from openbell.app.cli.chains import check_chain, import_chain
from openbell.app.cli.data_continuous import join
from openbell.app.cli.data_events import import_events
from openbell.app.cli.data_fetch import fetch_daily, fetch_minutes, fetch_sql
from openbell.app.cli.data_minutes import import_minutes
from openbell.app.cli.data_reports import tell
from openbell.app.cli.trades import import_trades
from openbell.app.cli.words import (
    HomeOption,
    JsonOption,
    SetOption,
    SettingsOption,
    open_home,
    print_json,
    print_table,
)

FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="A CSV or Parquet file.")]
MapOption = Annotated[
    list[str] | None,
    typer.Option(
        "--map",
        metavar="OURS=THEIRS",
        help="Our column and the file's, such as close=adj_close; comma-separated or repeated.",
    ),
]
CalendarOption = Annotated[
    str | None,
    typer.Option("--calendar", metavar="CODE", help="Exchange calendar, such as XNYS. Default: data.calendar."),
]
KindOption = Annotated[str, typer.Option("--kind", help="STOCK, ETF or INDEX.")]


def _with_calendar(sets: list[str] | None, calendar: str | None) -> list[str]:
    return [*(sets or []), *([f"data.calendar={calendar}"] if calendar else [])]


def import_bars(
    file: FileArgument,
    column_map: MapOption = None,
    calendar: CalendarOption = None,
    symbol: Annotated[
        str | None, typer.Option("--symbol", help="For a file of one symbol without a symbol column.")
    ] = None,
    kind: KindOption = "STOCK",
    sort: Annotated[bool, typer.Option("--sort", help="Take rows that are not in order of time.")] = False,
    home: HomeOption = None,
    sets: SetOption = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Import daily bars. Bad rows go to quarantine and are counted; the same file again changes nothing."""
    from openbell.app.data import column_map as parsed
    from openbell.app.data import import_file

    opened = open_home(home, _with_calendar(sets, calendar), settings)
    tell(import_file(opened, file, columns=parsed(column_map or []), symbol=symbol, kind=kind, sort=sort), as_json)


def import_daily(
    file: FileArgument,
    product: Annotated[
        str | None,
        typer.Option(
            "--product",
            metavar="CODE",
            help="Whose days they are, such as ES. Default: what the file's name begins with.",
        ),
    ] = None,
    symbol: Annotated[
        str | None, typer.Option("--symbol", help="What they are stored under. Default: the product's code.")
    ] = None,
    column_map: MapOption = None,
    calendar: CalendarOption = None,
    sort: Annotated[bool, typer.Option("--sort", help="Take rows that are not in order of time.")] = False,
    home: HomeOption = None,
    sets: SetOption = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Import days of one product, a future's on its own calendar. Bad rows go to quarantine and are counted.

    Files without a header are `MM/DD/YYYY,open,high,low,close,volume`; ES_daily.txt is of the product ES.
    """
    from openbell.app.data import column_map as parsed
    from openbell.app.days import import_daily_file

    opened = open_home(home, _with_calendar(sets, calendar), settings)
    mapped = parsed(column_map or [])
    tell(import_daily_file(opened, file, product=product, symbol=symbol, columns=mapped or None, sort=sort), as_json)


def import_members(
    file: FileArgument,
    universe: Annotated[str, typer.Option("--universe", help="What the names are members of.")] = "sp500",
    home: HomeOption = None,
    sets: SetOption = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Import dated index membership: `ticker,start_date,end_date`, the end exclusive."""
    from openbell.app.data import import_file

    tell(import_file(open_home(home, sets, settings), file, universe=universe, layout="membership"), as_json)


def import_rates(
    file: FileArgument,
    symbol: Annotated[str | None, typer.Option("--symbol", help="Name of the series, such as DGS10.")] = None,
    home: HomeOption = None,
    sets: SetOption = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Import a series of rates: `date,value`."""
    from openbell.app.data import import_file

    tell(import_file(open_home(home, sets, settings), file, symbol=symbol, layout="rates"), as_json)


def import_sectors(
    file: FileArgument,
    home: HomeOption = None,
    sets: SetOption = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Import sectors: `symbol` and `sector` (GICS names as they are)."""
    from openbell.app.data import import_file

    tell(import_file(open_home(home, sets, settings), file, layout="sectors"), as_json)


def import_fundamentals(
    file: FileArgument,
    column_map: MapOption = None,
    home: HomeOption = None,
    sets: SetOption = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Import company reports, usable from the day after their filing on (45 days after the period without a date)."""
    from openbell.app.data import column_map as parsed
    from openbell.app.data import import_reports

    report = import_reports(open_home(home, sets, settings), file, parsed(column_map or []))
    if as_json:
        print_json(
            {name: value for name, value in vars(report).items()} if hasattr(report, "__dict__") else str(report)
        )
        return
    print(f"{report.name}: {report.received:,} rows, {report.stored:,} reports stored.")
    for note in report.notes:
        print(note)


def fetch(
    symbols: Annotated[list[str], typer.Argument(metavar="SYMBOLS…", help="Such as AAPL MSFT.")],
    kind: KindOption = "STOCK",
    home: HomeOption = None,
    sets: SetOption = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Fetch new bars, splits and dividends from Yahoo through yfinance; exit 3 where some symbols gave nothing."""
    from openbell.app.data import fetch_yahoo
    from openbell.market.providers.yahoo import raise_if_partial

    report = fetch_yahoo(open_home(home, sets, settings), symbols, kind)
    tell(report, as_json)
    raise_if_partial(report.failed)


def check(
    context: typer.Context,
    home: HomeOption = None,
    sets: SetOption = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """What the quality gate found in all stored bars, or with `chain` in all quotes: counts and examples per rule."""
    import polars as pl

    from openbell.app.data import checked

    if context.invoked_subcommand is not None:
        return

    found = checked(open_home(home, sets, settings))
    if as_json:
        print_json(found.to_dicts())
        return
    shown = found.with_columns(pl.col("examples").list.join("\n")).select(
        "rule", "action", "rows", "symbols", "examples"
    )
    print_table(shown, "Quality gate")


def list_tables(
    home: HomeOption = None, sets: SetOption = None, settings: SettingsOption = None, as_json: JsonOption = False
) -> None:
    """The stored tables: rows, span, symbols."""
    import polars as pl

    from openbell.app.data import stored_tables

    opened = open_home(home, sets, settings)
    rows = stored_tables(opened)
    if as_json:
        print_json(rows)
    elif rows:
        print_table(pl.DataFrame(rows, infer_schema_length=None), f"Tables of {opened.path}")
    else:
        print(f"There are no tables in {opened.path} yet. Import some with `openbell data import bars FILE`.")


def mount(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(no_args_is_help=True, help="Prices, members and reports into the tables, and their quality.")
    imports = typer.Typer(no_args_is_help=True, help="Import a file; every bar passes the quality gate.")
    imports.command("bars")(import_bars)
    imports.command("daily")(import_daily)
    imports.command("minutes")(import_minutes)
    imports.command("members")(import_members)
    imports.command("rates")(import_rates)
    imports.command("events")(import_events)
    imports.command("sectors")(import_sectors)
    imports.command("fundamentals")(import_fundamentals)
    imports.command("chain")(import_chain)
    imports.command("trades")(import_trades)
    group.add_typer(imports, name="import")
    fetches = typer.Typer(no_args_is_help=True, help="Fetch new bars from a source on the network.")
    fetches.command("yahoo")(fetch)
    fetches.command("minutes")(fetch_minutes)
    fetches.command("daily")(fetch_daily)
    fetches.command("sql")(fetch_sql)
    group.add_typer(fetches, name="fetch")
    checks = typer.Typer()
    checks.callback(invoke_without_command=True)(check)
    checks.command("chain")(check_chain)
    group.add_typer(checks, name="check")
    group.command("continuous")(join)
    group.command("list")(list_tables)
    app.add_typer(group, name="data")
