"""`openbell champion`: who decides, since when, by whose word, and on what figures."""

from __future__ import annotations

import typer

from openbell.app.cli.words import (
    HomeOption,
    JsonOption,
    SetOption,
    SettingsOption,
    SomeAsOfOption,
    open_home,
    print_json,
    session_date,
)


def stocks(
    as_of: SomeAsOfOption = None,
    home: HomeOption = None,
    sets: SetOption = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Who is in office before the open of DATE, or, without one, who was put there last; nobody is an answer too.

    Exit code 4 where the registry names another version than the journal.
    """
    from openbell.app.production import champion_told

    told = champion_told(open_home(home, sets, settings), session_date(as_of) if as_of else None)
    if as_json:
        print_json(told)
        return
    print(told["says"])
    for line in told["why"][1:]:
        print(line)
    if told["champion"] is None:
        return
    print(f"Weights: {told['weighting'] or 'as the desk is set'}. Before it: {told['previous'] or 'nobody'}.")
    for name, value in told["metrics"].items():
        print(f"  {name}: {'unknown' if value is None else f'{value:.6g}'}")


def mount(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(no_args_is_help=True, help="Who is in office at a desk: since when, why, and its figures.")
    group.command("stocks")(stocks)
    app.add_typer(group, name="champion")
