"""`openbell parse`: text with orders in it, as orders."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from openbell.app.cli.words import JsonOption, print_json, print_table
from openbell.core.errors import BadInput


def parse(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A text file, or - for what is piped in.")],
    dialect: Annotated[
        str, typer.Option("--dialect", help="tos, discord, alert, occ, legs, json, or auto: each line in its own.")
    ] = "auto",
    as_of: Annotated[
        str | None,
        typer.Option(
            "--as-of",
            metavar="MOMENT",
            help="When the text was written, such as 2025-05-22 or 2025-05-22T10:35 (New York). It settles a year or "
            "expiry that is left out; without it they stay open.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Read orders and predictions: legs, risk and reward of each, what was resolved, and what was refused and where.

    Exit 0 where all of it was read, 3 where a part was refused, 2 where there is no order that stands.
    """
    from openbell.app import parsing

    found = parsing.parsed(_text(file), dialect=dialect, at=parsing.moment(as_of))
    if as_json:
        print_json(parsing.as_json(found))
        raise typer.Exit(found.exit_code)
    if found.orders:
        print_table(parsing.table_of(found), f"{len(found.orders)} order{'s' if len(found.orders) > 1 else ''}")
    for line in (parsing.foreseen(found), *parsing.notes_of(found)):
        if line:
            print(line)
    for refusal in found.refusals:
        line, column = found.place(refusal)
        print(f"Refused at line {line}, column {column}: {refusal.why}")
    raise typer.Exit(found.exit_code)


def _text(file: str) -> str:
    try:
        content = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise BadInput(f"`{file}` cannot be read: {error.strerror}. Name a text file, or - for a pipe.") from None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(f"`{file}` is no text in UTF-8: its byte {error.start + 1} is none. Save it as UTF-8.") from None


def mount(app: typer.Typer) -> None:
    """Add the command."""
    app.command("parse")(parse)
