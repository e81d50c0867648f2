"""`openbell keys`: who may ask the gate over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from openbell.app.cli.words import HomeOption, JsonOption, SetOption, SettingsOption, open_home, print_json, print_table

if TYPE_CHECKING:
    from openbell.store.api_keys import ApiKey, ApiKeys


def _kept(home: Path | None, sets: list[str] | None, settings: Path | None) -> ApiKeys:
    """The keys, in a home that has them already."""
    opened = open_home(home, sets, settings)
    assert opened.kept_predictions
    return opened.api_keys


def _plain(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "scopes": " ".join(key.scopes),
        "created_at": key.created_at.isoformat(timespec="seconds"),
        "revoked_at": key.revoked_at.isoformat(timespec="seconds") if key.revoked_at else None,
        "last_used_at": key.last_used_at.isoformat(timespec="seconds") if key.last_used_at else None,
        "predict_per_minute": key.predict_per_minute,
        "batch_per_minute": key.batch_per_minute,
    }


def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who uses it, for example a bot's name.")],
    scope: Annotated[
        list[str] | None,
        typer.Option("--scope", help="predict, read, outcomes, signals, lab or admin (all); may be given many times."),
    ] = None,
    predict_per_minute: Annotated[
        int | None, typer.Option("--predict-per-minute", min=1, help="Requests per minute. Default: the settings'.")
    ] = None,
    batch_per_minute: Annotated[
        int | None, typer.Option("--batch-per-minute", min=1, help="Batches per minute. Default: the settings'.")
    ] = None,
    home: HomeOption = None,
    sets: SetOption = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a key. It is shown this once; only its hash is kept."""
    from openbell.app.clock import now

    keys = open_home(home, sets, settings).api_keys
    shown, made = keys.create(
        name, scope or ["predict"], at=now(), predict_per_minute=predict_per_minute, batch_per_minute=batch_per_minute
    )
    if as_json:
        print_json({"key": shown, **_plain(made)})
        return
    print(shown)
    typer.echo(
        f"That is the key of {made.name} ({', '.join(made.scopes)}). It is not shown again; "
        f"`openbell keys revoke {made.id}` ends it.",
        err=True,
    )


def revoke(
    id: Annotated[str, typer.Argument(metavar="ID", help="The part of the key between the two underscores.")],
    home: HomeOption = None,
    sets: SetOption = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """End a key: a service that runs refuses it within seconds."""
    from openbell.app.clock import now

    ended = _kept(home, sets, settings).revoke(id, at=now())
    if as_json:
        print_json(_plain(ended))
    else:
        print(f"The key {ended.id} of {ended.name} is revoked; a running service refuses it within 5 seconds.")


def list_(
    home: HomeOption = None, sets: SetOption = None, settings: SettingsOption = None, as_json: JsonOption = False
) -> None:
    """Every key there ever was; no key itself."""
    rows = [_plain(each) for each in _kept(home, sets, settings).list()]
    if as_json:
        print_json(rows)
        return
    if not rows:
        print("There is no key yet. Make one: `openbell keys create NAME --scope predict`.")
        return
    import polars as pl

    print_table(pl.DataFrame(rows, infer_schema_length=None))


def mount(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(no_args_is_help=True, help="API keys of the gate's service.")
    group.command("create")(create)
    group.command("revoke")(revoke)
    group.command("list")(list_)
    app.add_typer(group, name="keys")
