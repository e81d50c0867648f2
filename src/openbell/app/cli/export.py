"""`openbell export`: what other programs may want of a desk, in formats that need no trust."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from openbell.app.cli.words import (
    HomeOption,
    SetOption,
    SettingsOption,
    SomeAsOfOption,
    UnderlyingOption,
    open_home,
    session_date,
)


def options(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder that the files are written to.")],
    underlying: UnderlyingOption = "SPX",
    as_of: SomeAsOfOption = None,
    home: HomeOption = None,
    sets: SetOption = None,
    settings: SettingsOption = None,
) -> None:
    """The classifiers of stage 1 and the names they need, of the latest training (before the open of DATE).

    Writes `lightgbm_clean_model.txt`, `catboost_clean_model.cbm`, `label_encoder_clean.json` and
    `feature_names_clean.json`: the libraries' own formats, nothing pickled.
    """
    from openbell.app.options_export import export_options

    opened = open_home(home, sets, settings)
    for path in export_options(opened, underlying.upper(), out, session_date(as_of) if as_of else None):
        print(path)


def mount(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(no_args_is_help=True, help="Write models and tables for other programs.")
    models = typer.Typer(no_args_is_help=True, help="Fitted models in their libraries' own formats.")
    models.command("options")(options)
    group.add_typer(models, name="model")
    app.add_typer(group, name="export")
