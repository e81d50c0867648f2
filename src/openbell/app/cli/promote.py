"""`openbell promote` and `openbell rollback`: who decides from the next session on, by hand and with a reason."""

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
    session_date,
)

ReasonOption = Annotated[
    str, typer.Option("--reason", metavar="TEXT", help="Why; it goes into the journal and into every report.")
]
FromOption = Annotated[
    str | None,
    typer.Option(
        "--as-of",
        metavar="DATE",
        help="First session that it decides, for example 2020-03-16. Default: the next one that is open.",
    ),
]


def promote_stocks(
    reason: ReasonOption,
    version: Annotated[
        str | None,
        typer.Argument(
            metavar="[VERSION]",
            help="Label or number of a registered version, for example lightgbm@2020-01-02#1f3a9c20. "
            "Default: what survived the latest training.",
        ),
    ] = None,
    weighting: Annotated[
        str | None,
        typer.Option(
            "--weighting",
            metavar="NAME",
            help="Allocator. Default: the one it was promoted with before, or the desk's.",
        ),
    ] = None,
    as_of: FromOption = None,
    home: HomeOption = None,
    sets: SetOption = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put a registered version in office by hand, past the gates of the tournament; every report will say so.

    It decides from the next open session on, never in hindsight. The same promotion again changes nothing, and ends one
    that was killed half-way. Exit codes: 0 in office, 1 refused, 2 no such version, 4 its files are not its own.
    """
    from openbell.app.promotion import promote

    session = session_date(as_of) if as_of else None
    opened = open_home(home, sets, settings)
    _tell(promote(opened, version, reason=reason, session=session, weighting=weighting), as_json)


def rollback_stocks(
    reason: ReasonOption = "Rolled back by hand",
    as_of: FromOption = None,
    home: HomeOption = None,
    sets: SetOption = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Undo the last change of office: the champion before it decides again, weighed as it was then.

    A version that was rolled back does not stand in for anybody any more; `openbell promote stocks VERSION` brings it
    back. Exit codes: 0 done, 1 there is no previous champion, 4 its files are not its own.
    """
    from openbell.app.promotion import rollback

    session = session_date(as_of) if as_of else None
    _tell(rollback(open_home(home, sets, settings), reason=reason, session=session), as_json)


def _tell(production: object, as_json: bool) -> None:
    from openbell.app.production import Production

    assert isinstance(production, Production)
    if as_json:
        print_json({"at": production.record.at.isoformat(), **production.payload})
        return
    print(production.sentence)
    for line in production.payload["why"][1:]:
        print(line)
    print(f"Before it: {production.payload['previous'] or 'nobody'}.")


def mount(app: typer.Typer) -> None:
    """Add the commands."""
    promoting = typer.Typer(no_args_is_help=True, help="Put a registered version in office by hand, with a reason.")
    promoting.command("stocks")(promote_stocks)
    app.add_typer(promoting, name="promote")
    rolling = typer.Typer(no_args_is_help=True, help="Undo the last change of office of a desk.")
    rolling.command("stocks")(rollback_stocks)
    app.add_typer(rolling, name="rollback")
