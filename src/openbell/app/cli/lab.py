"""`openbell lab`: the web lab, open to this machine alone."""

from __future__ import annotations

import ipaddress
import socket
from typing import Annotated, Any

import typer

from openbell.app.cli.words import HomeOption, SetOption, SettingsOption, open_home
from openbell.core.errors import BadInput, DataMissing


def lab(
    port: Annotated[
        int | None, typer.Option("--port", min=0, max=65_535, help="Port; 0 takes a free one. Default: `lab.port`.")
    ] = None,
    host: Annotated[str, typer.Option("--host", help="Address of this machine; the lab asks nobody for a key.")] = (
        "127.0.0.1"
    ),
    home: HomeOption = None,
    sets: SetOption = None,
    settings: SettingsOption = None,
) -> None:
    """Open the lab in a browser on this machine: explore, train and judge every desk. Stop it with Ctrl-C.

    It asks for no key and so listens on this machine alone. For others, `openbell serve` has it at /lab, behind the
    API's keys.
    """
    address = _loopback(host)
    try:
        import uvicorn

        from openbell.app.lab.opening import lab_server
        from openbell.app.lab.place import Place
        from openbell.app.lab.warming import warm
    except ModuleNotFoundError as missing:
        raise DataMissing(
            f"The lab needs {missing.name}, which is not installed. Install it: `pip install openbell[lab]`."
        ) from None
    opened = open_home(home, sets, settings)
    wanted = opened.settings.lab.port if port is None else port
    with _listening(address, wanted) as listening:
        at = listening.getsockname()[1]
        place = Place(str(opened.path), tuple(sets or ()), str(settings.resolve()) if settings else None)
        app = lab_server(opened, place, hosts=_names(address, at))
        _quiet()
        config = uvicorn.Config(
            app, log_config=None, access_log=False, server_header=False, timeout_graceful_shutdown=3
        )
        print(f"The lab of {opened.path} is at {_url(address, at)} (stop it with Ctrl-C).", flush=True)
        warm(opened)
        try:
            uvicorn.Server(config).run(sockets=[listening])
        except KeyboardInterrupt:
            pass  # the server is down by then, in good order
        finally:
            opened.lab_database.close()
    print("The lab is closed; jobs that run go on.")


def _loopback(host: str) -> str:
    """`host` where it is this machine's own, else the sentence that says how others get in."""
    address = {"localhost": "127.0.0.1"}.get(host, host.strip("[]"))
    try:
        if ipaddress.ip_address(address).is_loopback:
            return address
    except ValueError:
        pass
    raise BadInput(
        f"`openbell lab` asks nobody for a key, so it listens on this machine alone (127.0.0.1); was `{host}`. "
        "For others, run `openbell serve --host …`: the lab is at /lab there, behind the keys of `openbell keys create "
        "NAME --scope lab`."
    )


def _listening(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listening = socket.socket(family)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((address, port))
        listening.listen(128)  # before the address is told: who comes at once waits until the server is up
    except OSError as failure:
        listening.close()
        raise BadInput(
            f"{address}:{port} cannot be listened on: {failure.strerror or failure}. Choose another with --port."
        ) from None
    return listening


def _url(address: str, port: int) -> str:
    return f"http://{f'[{address}]' if ':' in address else address}:{port}/lab/"


def _names(address: str, port: int) -> tuple[str, ...]:
    """What a browser on this machine may call it; any other name is a page elsewhere that was pointed here."""
    own = f"[{address}]" if ":" in address else address
    return tuple(dict.fromkeys(f"{name}:{port}" for name in (own, "localhost", "127.0.0.1", "[::1]")))


def _quiet() -> None:
    """Of the log of the server, only what a person must see."""
    import logging

    import structlog

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    logging.getLogger("uvicorn").setLevel(logging.WARNING)


def mount(app: typer.Typer) -> Any:
    """Add the command."""
    app.command("lab")(lab)
