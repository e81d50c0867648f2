"""`openbell data import minutes`: bars within the session, mounted by `data`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from openbell.app.cli.data_reports import tell_minutes
from openbell.app.cli.words import HomeOption, JsonOption, SetOption, SettingsOption, open_home


def import_minutes(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A CSV or Parquet file of one or many symbols.")],
    column_map: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            metavar="OURS=THEIRS",
            help="Our column and the file's, such as at=datetime; comma-separated or repeated.",
        ),
    ] = None,
    symbol: Annotated[
        str | None, typer.Option("--symbol", help="For a file of one symbol without a symbol column.")
    ] = None,
    freq: Annotated[
        str | None, typer.Option("--freq", help="1m, 5m, 15m or 1h; must be what the times say. Default: measured.")
    ] = None,
    timezone: Annotated[
        str | None,
        typer.Option("--timezone", metavar="ZONE", help="Where the clock of times without an offset stood."),
    ] = None,
    stamp: Annotated[
        str | None, typer.Option("--stamp", help="start or end: which moment of a bar its time is. Default: start.")
    ] = None,
    product: Annotated[
        str | None,
        typer.Option(
            "--product",
            metavar="CODE",
            help="Whose sessions the bars lie in, such as ES: a night belongs to the session after it. Also the clock "
            "of times without an offset, unless --timezone is named; with a column `contract` each delivery month "
            "becomes a symbol such as ES_201312, to be joined by `openbell data continuous`.",
        ),
    ] = None,
    delay: Annotated[
        int | None, typer.Option("--delay", metavar="MINUTES", min=0, help="From the end of a bar until it is known.")
    ] = None,
    calendar: Annotated[
        str | None,
        typer.Option("--calendar", metavar="CODE", help="Exchange calendar, such as XNYS. Default: data.calendar."),
    ] = None,
    home: HomeOption = None,
    sets: SetOption = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Import bars within the session. Bad ones go to quarantine; the same file again changes nothing.

    Files without a header are `MM/DD/YYYY,HH:MM,open,high,low,close,volume`.
    """
    from openbell.app.data import column_map as parsed
    from openbell.app.minutes import import_minutes_file

    with_calendar = [*(sets or []), *([f"data.calendar={calendar}"] if calendar else [])]
    report = import_minutes_file(
        open_home(home, with_calendar, settings),
        file,
        columns=parsed(column_map or []) or None,
        symbol=symbol,
        freq=freq,
        timezone=timezone,
        stamp=stamp,
        delay_minutes=delay,
        product=product,
    )
    tell_minutes(report, as_json)
