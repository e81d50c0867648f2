"""`openbell settings`: each value and where it came from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from openbell.app.cli.words import HomeOption, JsonOption, SetOption, SettingsOption, open_home, print_json, print_table


def show(
    context: typer.Context,
    home: HomeOption = None,
    sets: SetOption = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Each setting, its value, and where that came from: default, file, environment or --set."""
    if context.invoked_subcommand:
        return
    opened = open_home(home, sets, settings)
    if as_json:
        print_json({"hash": opened.settings.hash, "settings": opened.settings.rows()})
        return
    import polars as pl

    rows = [{**row, "value": str(row["value"])} for row in opened.settings.rows()]
    print_table(pl.DataFrame(rows), f"{len(rows)} settings, hash {opened.settings.hash[:12]}")


def import_file(
    file: Annotated[Path, typer.Argument(help="A config.yaml in the style of the request.")],
    out: Annotated[Path | None, typer.Option("--out", help="Write the settings here. Default: print them.")] = None,
) -> None:
    """Turn a `config.yaml` into an `openbell.toml`; duplicate and unknown keys are refused."""
    from openbell.app.files import write_whole
    from openbell.app.request_config import import_config
    from openbell.core.declare import discover

    toml, report = import_config(file, discover())
    if out is None:
        print(toml)
    else:
        write_whole(out, toml)
        print(f"Wrote {out}.")
    for line in report.lines():
        typer.echo(line, err=True)


def mount(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(invoke_without_command=True, help="Each setting and where its value came from.")
    group.callback()(show)
    group.command("import")(import_file)
    app.add_typer(group, name="settings")
