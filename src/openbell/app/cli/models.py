"""`openbell models`: every registered version, where it comes from, and who is in office."""

from __future__ import annotations

from typing import Annotated, Any

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

DeskOption = Annotated[str | None, typer.Option("--desk", metavar="NAME", help="For example stocks or signals.")]
VersionArgument = Annotated[
    str, typer.Argument(metavar="VERSION", help="Label of a version, for example voting@2021-04-01#1f3a9c20.")
]
ReasonOption = Annotated[
    str, typer.Option("--reason", metavar="TEXT", help="Why; it goes into the journal and into every report.")
]


def listing(
    desk: DeskOption = None,
    home: HomeOption = None,
    sets: SetOption = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Every registered version of every desk, the newest first, and which is in office."""
    import polars as pl

    from openbell.app.model_registry import listed

    rows = listed(open_home(home, sets, settings), desk)
    if as_json:
        print_json(rows)
    elif rows:
        columns = ("desk", "number", "version", "alias", "as_of")
        print_table(pl.DataFrame(rows).select(columns), f"{len(rows)} versions")
    else:
        print("No model was registered yet. `openbell train` and `openbell tournament` register some.")


def show(
    version: VersionArgument,
    desk: DeskOption = None,
    home: HomeOption = None,
    sets: SetOption = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """One version: figures, hashes, its times in office, and what speaks against putting it there."""
    from openbell.app.model_registry import shown

    told = shown(open_home(home, sets, settings), version, desk)
    if as_json:
        print_json(told)
        return
    for name in ("desk", "number", "version", "as_of", "run", "training", "manifest"):
        print(f"{name}: {told[name]}")
    for part in ("metrics", "params", "tags"):
        _tell(part, told[part])
    for office in told["offices"]:
        print(f"In office since {office['since']}, by {office['by']}: {' '.join(office['why'][:1])}")
    print("\n".join(told["against_promotion"]) or "Nothing speaks against its promotion.")


def promote(
    version: VersionArgument,
    reason: ReasonOption,
    desk: DeskOption = None,
    as_of: SomeAsOfOption = None,
    home: HomeOption = None,
    sets: SetOption = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put a version in office by hand: refused without its walk-forward, its calibration and the hashes of its data.

    Exit codes: 0 in office, 1 refused, 2 no such version, 4 its files are not its own.
    """
    from openbell.app.model_registry import promoted

    done = promoted(
        open_home(home, sets, settings),
        version,
        reason=reason,
        desk=desk,
        session=session_date(as_of) if as_of else None,
    )
    _office(done, as_json)


def rollback(
    desk: Annotated[str, typer.Option("--desk", metavar="NAME", help="For example stocks or signals.")],
    reason: ReasonOption,
    as_of: SomeAsOfOption = None,
    home: HomeOption = None,
    sets: SetOption = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Undo the last change of office of a desk: who was there before is again."""
    from openbell.app.model_registry import rolled_back

    opened = open_home(home, sets, settings)
    done = rolled_back(opened, desk, reason=reason, session=session_date(as_of) if as_of else None)
    _office(done, as_json)


def lineage(
    what: Annotated[str, typer.Argument(metavar="SIGNAL|VERSION", help="Number of a signal, or label of a version.")],
    desk: DeskOption = None,
    home: HomeOption = None,
    sets: SetOption = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """From a signal to its model version, its run, its training, and the hashes of the data it was made of."""
    from openbell.app.model_registry import lineage as traced

    told = traced(open_home(home, sets, settings), what, desk)
    if as_json:
        print_json(told)
        return
    for part, value in told.items():
        if value:
            _tell(part, value)


def _tell(part: str, value: dict[str, Any]) -> None:
    print(f"{part}:")
    for name, each in value.items():
        print(f"  {name}: {' '.join(each) if isinstance(each, list) else each}")


def _office(done: Any, as_json: bool) -> None:
    if as_json:
        print_json({"at": done.record.at.isoformat(), **done.payload})
        return
    print(done.sentence)
    print(f"Before it: {done.payload['previous'] or 'nobody'}.")


def mount(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(no_args_is_help=True, help="Registered models: figures, lineage, promotion and rollback.")
    group.command("list")(listing)
    group.command("show")(show)
    group.command("promote")(promote)
    group.command("rollback")(rollback)
    group.command("lineage")(lineage)
    app.add_typer(group, name="models")
