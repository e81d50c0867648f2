"""`openbell odds`: the gate's word on orders as they are written."""

from __future__ import annotations

from typing import Annotated

import typer

from openbell.app.cli.words import (
    HomeOption,
    JsonOption,
    SetOption,
    SettingsOption,
    open_home,
    print_json,
    print_table,
)


def odds(
    order: Annotated[str, typer.Argument(help="One order or a whole message, in any dialect of `openbell parse`.")],
    as_of: Annotated[
        str | None,
        typer.Option(
            "--as-of",
            metavar="MOMENT",
            help="Such as 2025-05-22 or 2025-05-22T10:35; a day means its open. Default: now.",
        ),
    ] = None,
    dialect: Annotated[str, typer.Option("--dialect", help="tos, discord, alert, occ, json, or auto.")] = "auto",
    price: Annotated[
        float | None, typer.Option("--price", min=0.0, help="Of the underlying, points. Default: the last one stored.")
    ] = None,
    volatility: Annotated[
        float | None,
        typer.Option("--volatility", min=0.0, help="Per year, such as 0.18. Default: the last one stored."),
    ] = None,
    home: HomeOption = None,
    sets: SetOption = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """What a proposed option trade can make and lose, what its price says of its odds, and whether to take it.

    Accept, reduce or refuse, with every reason. The model speaks where one was trained as of MOMENT (`openbell train
    gate`); without one nothing is accepted. Exit 0 where every order is accepted or reduced, 1 where one is refused by
    the gate, 2 where the text holds no order, 3 where a part of it cannot be read.
    """
    from openbell.app.gate_ask import ask
    from openbell.app.gate_words import as_json as plain
    from openbell.app.gate_words import table_of

    found = ask(
        open_home(home, sets, settings), order, dialect=dialect, as_of=as_of, price=price, volatility=volatility
    )
    if as_json:
        print_json(
            {
                "assessments": [plain(each) for each in found.said],
                "refused": [{"text": each.text, "position": each.position, "why": each.why} for each in found.refusals],
            }
        )
    else:
        for each in found.said:
            print_table(table_of(each), f"{each.why[0]}")
            for line in each.why[1:]:
                print(line)
        for refusal in found.refusals:
            print(f"Not read at {refusal.position}: {refusal.why}")
    raise typer.Exit(found.exit_code)


def mount(app: typer.Typer) -> None:
    """Add the command."""
    app.command("odds")(odds)
