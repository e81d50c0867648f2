"""`openbell holdout`: the sessions that no selection reads, and the one look at them that each champion gets."""

from __future__ import annotations

from typing import Annotated

import typer

from openbell.app.cli.words import HomeOption, JsonOption, SetOption, SettingsOption, open_home, print_json
from openbell.core.errors import unknown

DESKS = ("stocks",)
DeskArgument = Annotated[str, typer.Argument(metavar="DESK", help="The desk: stocks.")]


def show(
    desk: DeskArgument,
    home: HomeOption = None,
    sets: SetOption = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Which sessions are held out, and every look at them so far; a look here costs nothing and evaluates nothing."""
    from openbell.app.holdout import holdout

    _known(desk)
    opened = open_home(home, sets, settings)
    there = holdout(opened, desk)
    if as_json:
        print_json(there.as_json() if there else {"desk": desk, "first": None, "openings": []})
        return
    if there is None:
        print(f"Nothing is held out at the desk `{desk}` yet: its first tournament sets the hold-out.")
        return
    print(
        f"No selection reads {there.first} or later: {there.sessions} sessions up to {there.last}, set at the last "
        f"{there.share:.0%} and growing with time."
    )
    for each in there.openings:
        found = "its evaluation was not finished; open it again" if each.result is None else "evaluated"
        print(f"Opened on {each.session} for {each.champion} ({each.reason}), {each.first} to {each.last}: {found}.")
        for name, value in (each.result or {}).items():
            print(f"  {name}: {value}")


def open_(
    desk: DeskArgument,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it goes into the journal.")],
    home: HomeOption = None,
    sets: SetOption = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Evaluate the champion in office on the hold-out: once for each champion, on record before it is done.

    After it the hold-out is spent, and the next tournament begins a new one. Exit code 1 where nobody is in office or
    this champion was evaluated before.
    """
    from openbell.app.holdout import open_holdout
    from openbell.app.tournament import holdout_evaluation

    _known(desk)
    opened = open_home(home, sets, settings)
    done = open_holdout(opened, reason, lambda: holdout_evaluation(opened, desk), desk=desk)
    if as_json:
        print_json(
            {"champion": done.champion, "first": done.first, "last": done.last, "result": dict(done.result or {})}
        )
        return
    print(f"{done.champion} on {done.first} to {done.last}, which no selection had read (look {done.looks}):")
    for name, value in (done.result or {}).items():
        print(f"  {name}: {value}")


def _known(desk: str) -> None:
    if desk not in DESKS:
        raise unknown("desk with a hold-out", desk, DESKS)


def mount(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(no_args_is_help=True, help="The sessions that no selection reads: shown, or opened once.")
    group.command("show")(show)
    group.command("open")(open_)
    app.add_typer(group, name="holdout")
