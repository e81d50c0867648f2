"""`openbell report`: what was measured, in one page of text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from openbell.app.cli.words import HomeOption, JsonOption, SetOption, SettingsOption, open_home, print_json


def summary(
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write it there too.")] = None,
    home: HomeOption = None,
    sets: SetOption = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """The summary of the signals desk: accuracies beside base rates, latencies, counts and the back-test.

    Every figure is one that was measured in this home; a line without a measurement says how there comes to be one.
    """
    from openbell.app.files import write_whole
    from openbell.app.report_summary import summary as measured
    from openbell.app.report_summary import summary_text

    opened = open_home(home, sets, settings)
    if as_json:
        print_json(measured(opened))
        return
    text = summary_text(opened)
    if out is not None:
        write_whole(out, text)
    print(text, end="")


def mount(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(no_args_is_help=True, help="What was measured, in one page.")
    group.command("summary")(summary)
    app.add_typer(group, name="report")
