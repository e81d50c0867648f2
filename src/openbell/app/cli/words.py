"""The words that many commands share."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from openbell.core.errors import BadInput

if TYPE_CHECKING:
    import polars as pl

    from openbell.app.home import Home

HomeOption = Annotated[
    Path | None,
    typer.Option(
        "--home", metavar="DIR", help="Where tables, journal and models live. Default: `home` of the settings."
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Override one setting; may be given many times."),
]
SettingsOption = Annotated[
    Path | None,
    typer.Option("--settings", metavar="FILE", help="Settings file. Default: `openbell.toml` here or in home."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]
AsOfOption = Annotated[
    str,
    typer.Option("--as-of", metavar="DATE", help="A trading session, for example 2020-03-16; decided before its open."),
]
SomeAsOfOption = Annotated[
    str | None,
    typer.Option("--as-of", metavar="DATE", help="A trading session. Default: the one after the latest bars."),
]
TradesAsOfOption = Annotated[
    str | None,
    typer.Option("--as-of", metavar="DATE", help="A trading session. Default: the one after the last known outcome."),
]
CandidatesOption = Annotated[
    str | None,
    typer.Option("--candidates", metavar="A,B", help="Models that meet; NAME_tuned tunes NAME. Default: the desk's."),
]
UnderlyingOption = Annotated[
    str, typer.Option("--underlying", metavar="SYMBOL", help="What the options are on, such as SPX.")
]
ProductOption = Annotated[
    str | None,
    typer.Option("--product", metavar="CODE", help="Such as ES or SPY. Default: session.product, else the only one."),
]


def session_date(text: str) -> dt.date:
    """`text` as a date, or the sentence that says how one is written."""
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise BadInput(f"`{text}` is not a date. Write it like 2020-03-16.") from None


def session_and_clock(text: str) -> tuple[dt.date, str | None]:
    """`text`, a date with or without a time of day such as ``2024-05-01 10:15``, as both."""
    day, _, clock = text.strip().replace("T", " ").partition(" ")
    if clock:
        try:
            dt.time.fromisoformat(clock.strip())
        except ValueError:
            raise BadInput(f"`{clock.strip()}` is not a time of day. Write it like 2024-05-01 10:15.") from None
    return session_date(day), clock.strip()[:5] or None


def some_date(text: str | None) -> dt.date | None:
    """`text` as a date, None where there is none."""
    return None if text is None else session_date(text)


def names_of(text: str | None) -> tuple[str, ...] | None:
    """The names in `text`, which commas part; None where there is none."""
    return None if text is None else tuple(each.strip() for each in text.split(",") if each.strip())


def open_home(home: Path | None, sets: list[str] | None = None, settings: Path | None = None) -> Home:
    """The home a command works on, with its settings read once."""
    from openbell.app.home import Home

    return Home.open(home, sets=tuple(sets or ()), settings_file=settings)


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    print(json.dumps(value, indent=2, default=str, ensure_ascii=False))


def print_table(frame: pl.DataFrame, title: str = "", *, digits: int = 4) -> None:
    """`frame` as a table that fits the terminal."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title or None, title_justify="left", header_style="bold")
    for name, kind in frame.schema.items():
        table.add_column(name, justify="right" if kind.is_numeric() else "left", overflow="fold")
    for row in frame.iter_rows():
        table.add_row(*("" if v is None else f"{v:,.{digits}f}" if isinstance(v, float) else str(v) for v in row))
    Console(markup=False, emoji=False).print(table)  # what stands in a cell is text, whatever it looks like
