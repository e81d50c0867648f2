"""`openbell positions`: what is held, brought in from outside, or compared with a broker's statement."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from openbell.app.cli.words import (
    HomeOption,
    JsonOption,
    SetOption,
    SettingsOption,
    SomeAsOfOption,
    open_home,
    print_json,
    print_table,
    session_date,
)

Statement = Annotated[
    Path, typer.Argument(metavar="FILE", help="A CSV of symbol,shares[,cost]; a row CASH states cash.")
]


def show(
    as_of: SomeAsOfOption = None,
    home: HomeOption = None,
    sets: SetOption = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """What the account holds before the open of DATE, marked at the last prices known then."""
    from openbell.app.positions import held_at

    opened = open_home(home, sets, settings)
    book = held_at(opened, session_date(as_of) if as_of else None)
    rows = [
        {"symbol": symbol, "shares": count, "price_usd": book.price_usd[symbol], "weight": book.weights[symbol]}
        for symbol, count in sorted(book.shares.items())
    ]
    if as_json:
        print_json(
            {"as_of": book.as_of.isoformat(), "cash_usd": book.cash_usd, "value_usd": book.value_usd, "positions": rows}
        )
        return
    import polars as pl

    if rows:
        print_table(pl.DataFrame(rows))
    print(f"Cash {book.cash_usd:,.2f} USD, account {book.value_usd:,.2f} USD at {book.as_of:%Y-%m-%d %H:%M} UTC.")


def import_file(
    file: Statement,
    as_of: SomeAsOfOption = None,
    home: HomeOption = None,
    sets: SetOption = None,
    settings: SettingsOption = None,
) -> None:
    """Take the positions of FILE as what is held from the open of DATE on; a bad row refuses the whole file."""
    from openbell.app.positions import take_over

    opened = open_home(home, sets, settings)
    record = take_over(opened, file, session_date(as_of) if as_of else None)
    print(f"Record {record.seq}: {len(record.payload['shares'])} positions from {record.payload['session']} on.")


def reconcile(
    file: Statement,
    as_of: SomeAsOfOption = None,
    home: HomeOption = None,
    sets: SetOption = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare the book with a broker's statement; nothing is changed. Exit 1 where they differ."""
    from openbell.app.positions import held_at
    from openbell.trade.statements import reconcile as compared

    opened = open_home(home, sets, settings)
    found = compared(held_at(opened, session_date(as_of) if as_of else None), file)
    if as_json:
        print_json(
            {
                "agrees": found.agrees,
                "differences": found.differences.to_dicts(),
                "cash_difference_usd": found.cash_difference_usd,
            }
        )
    elif found.agrees:
        print("Book and statement agree.")
    else:
        print_table(found.differences, "Broker less book")
        if found.cash_difference_usd:
            print(f"Cash differs by {found.cash_difference_usd:,.2f} USD.")
    raise typer.Exit(0 if found.agrees else 1)


def mount(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(no_args_is_help=True, help="What is held: shown, imported, reconciled.")
    group.command("show")(show)
    group.command("import")(import_file)
    group.command("reconcile")(reconcile)
    app.add_typer(group, name="positions")
