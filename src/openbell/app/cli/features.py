"""`openbell features`: the values of the declared features."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from openbell.app.cli.words import (
    AsOfOption,
    HomeOption,
    JsonOption,
    SetOption,
    SettingsOption,
    open_home,
    print_json,
    session_date,
)


def compute(
    symbols: Annotated[str, typer.Option("--symbols", metavar="A,B", help="Comma-separated; all where it is empty.")],
    as_of: AsOfOption,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="A .parquet or .csv file.")],
    first: Annotated[str | None, typer.Option("--first", metavar="DATE", help="First bar session wanted.")] = None,
    family: Annotated[
        list[str] | None, typer.Option("--family", help="Only these families; may be given many times.")
    ] = None,
    home: HomeOption = None,
    sets: SetOption = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compute the features of SYMBOLS from what was known before the open of DATE: one row per symbol and bar session.

    A row of session s holds what a decision for the next session may use. Values are null until a look-back is full.
    """
    from openbell.app.features import compute_features

    opened = open_home(home, sets, settings)
    told = compute_features(
        opened,
        [each.strip() for each in symbols.split(",") if each.strip()],
        session_date(as_of),
        out,
        first=session_date(first) if first else None,
        families=family or None,
    )
    if as_json:
        print_json(told)
        return
    for name, why in told["switched_off"].items():
        print(f"{name}: switched off, because {why}")
    print(f"Wrote {told['rows']:,} rows and {told['features']} features to {out}.")


def mount(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(no_args_is_help=True, help="The values of the declared features.")
    group.command("compute")(compute)
    app.add_typer(group, name="features")
