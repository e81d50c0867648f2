"""`openbell serve`: the gate over HTTP."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from openbell.app.cli.words import HomeOption, SetOption, SettingsOption, open_home


def serve(
    host: Annotated[str | None, typer.Option("--host", help="Address it listens on. Default: `serve.host`.")] = None,
    port: Annotated[
        int | None, typer.Option("--port", min=0, max=65_535, help="Port; 0 takes a free one. Default: `serve.port`.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, help="Processes that answer. Default: `serve.workers`.")
    ] = None,
    home: HomeOption = None,
    sets: SetOption = None,
    settings: SettingsOption = None,
) -> None:
    """Answer others' bots before they trade: risk and reward, odds, verdicts. Stop it with Ctrl-C or SIGTERM.

    Every caller needs a key: `openbell keys create NAME`. Its description for programs is at /openapi.json.
    """
    # Many small questions at once: a pool of threads inside each would only wait for the others.
    for name in ("POLARS_MAX_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    try:
        from openbell.app.api import worker
    except ModuleNotFoundError as missing:
        from openbell.core.errors import DataMissing

        raise DataMissing(
            f"The service needs {missing.name}, which is not installed. Install it: `pip install openbell[serve]`."
        ) from None
    words = {"host": host, "port": port, "workers": workers}
    overrides = [*(sets or ()), *(f"serve.{name}={value}" for name, value in words.items() if value is not None)]
    opened = open_home(home, overrides, settings)
    told = {"home": str(opened.path), "sets": overrides, "file": str(settings.resolve()) if settings else None}
    worker.run(opened, told)


def mount(app: typer.Typer) -> None:
    """Add the command."""
    app.command("serve")(serve)
