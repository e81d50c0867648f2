"""`openbell list`: what is declared, with what it means."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from openbell.app.cli.words import HomeOption, JsonOption, SetOption, open_home, print_json, print_table
from openbell.core.errors import unknown

ROOMS = ("features", "labels", "models", "desks", "checks", "providers")


def _row(thing: Any) -> dict[str, Any]:
    own = {"name": thing.name, "family": thing.family, "what": thing.summary}
    if hasattr(thing, "unit"):
        own["unit"] = thing.unit
    if hasattr(thing, "lookback"):
        from openbell.quant.reach import lookback

        own["lookback_sessions"] = lookback(thing)
    if hasattr(thing, "horizon_sessions"):
        own["horizon_sessions"] = thing.horizon_sessions
    own["settings"] = dict(thing.settings)
    return own


def list_room(
    room: Annotated[str, typer.Argument(help=f"One of {', '.join(ROOMS)}.")],
    as_json: JsonOption = False,
    home: HomeOption = None,
    sets: SetOption = None,
) -> None:
    """What is declared in a room: its names, what each means, and its settings."""
    if room not in ROOMS:
        raise unknown("list", room, ROOMS)
    rows = [_row(thing) for thing in getattr(open_home(home, sets).catalogue, room).values()]
    if as_json:
        print_json(rows)
        return
    import polars as pl

    shown = [{**row, "settings": ", ".join(f"{k}={v}" for k, v in row["settings"].items())} for row in rows]
    print_table(pl.DataFrame(shown, infer_schema_length=None), f"{len(rows)} {room}")


def mount(app: typer.Typer) -> None:
    """Add the command."""
    app.command("list")(list_room)
