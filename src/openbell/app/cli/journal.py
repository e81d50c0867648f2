"""`openbell journal`: the record that cannot be rewritten unseen."""

from __future__ import annotations

from typing import Annotated

import typer

from openbell.app.cli.words import HomeOption, JsonOption, SetOption, SettingsOption, open_home, print_json, print_table


def verify(
    home: HomeOption = None, sets: SetOption = None, settings: SettingsOption = None, as_json: JsonOption = False
) -> None:
    """Recompute every hash of the journal; the first broken record is named (exit 4)."""
    count = open_home(home, sets, settings).kept_journal.verify()
    if as_json:
        print_json({"records": count, "whole": True})
    else:
        print(f"The journal is whole: {count} records, each carrying the hash of the one before.")


def show(
    kind: Annotated[str | None, typer.Option("--kind", help="Only records of this kind, for example decision.")] = None,
    last: Annotated[int, typer.Option("--last", min=1, help="How many, counted from the end.")] = 20,
    home: HomeOption = None,
    sets: SetOption = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """The latest records: decisions, orders, fills, distributions, imports of positions."""
    records = open_home(home, sets, settings).kept_journal.records(kind=kind)[-last:]
    rows = [
        {
            "seq": each.seq,
            "at": each.at.isoformat(),
            "kind": each.kind,
            "payload": dict(each.payload),
            "hash": each.hash,
        }
        for each in records
    ]
    if as_json:
        print_json(rows)
        return
    if not rows:
        print("The journal holds no such record yet.")
        return
    import polars as pl

    from openbell.core.hashing import canonical_json

    shown = [{**row, "payload": canonical_json(row["payload"])[:120], "hash": str(row["hash"])[:12]} for row in rows]
    print_table(pl.DataFrame(shown))


def mount(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(no_args_is_help=True, help="The hash-chained record of decisions, orders and fills.")
    group.command("verify")(verify)
    group.command("show")(show)
    app.add_typer(group, name="journal")
