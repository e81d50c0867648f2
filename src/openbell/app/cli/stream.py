"""`openbell stream`: bars in, signals out, while the market is open or over stored bars."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from openbell.app.cli.words import (
    HomeOption,
    JsonOption,
    SetOption,
    SettingsOption,
    names_of,
    open_home,
    some_date,
)

if TYPE_CHECKING:
    from openbell.app.stream.running import Stream


def stream(
    source: Annotated[str, typer.Option("--source", help="replay (stored bars), ws or redis.")],
    speed: Annotated[
        float, typer.Option("--speed", min=0.0, help="Of a replay: so many times faster; 0 as fast as possible.")
    ] = 60.0,
    symbols: Annotated[str | None, typer.Option("--symbols", metavar="A,B", help="Default: `signals.symbols`.")] = None,
    first: Annotated[str | None, typer.Option("--first", metavar="DATE", help="First session of a replay.")] = None,
    last: Annotated[str | None, typer.Option("--last", metavar="DATE", help="Last session of a replay.")] = None,
    url: Annotated[str | None, typer.Option("--url", help="ws://… or redis://host:6379/0.")] = None,
    name: Annotated[
        str | None, typer.Option("--stream", metavar="NAME", help="What is kept for a restart is kept under it.")
    ] = None,
    key: Annotated[
        str, typer.Option("--key", help="Redis stream of the bars; each entry holds JSON in the field `bar`.")
    ] = "openbell:bars",
    publish: Annotated[
        str | None, typer.Option("--publish", metavar="URL", help="Redis that is handed every signal.")
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Stop after so many moments.")] = None,
    grace: Annotated[
        float, typer.Option("--grace", min=0.0, help="Seconds that a moment waits for bars that have not come.")
    ] = 2.0,
    snapshot: Annotated[
        int, typer.Option("--snapshot-every", min=1, metavar="MOMENTS", help="Keep all for a restart so often.")
    ] = 390,
    warm: Annotated[
        int | None, typer.Option("--warm", min=0, metavar="SESSIONS", help="Stored sessions read before the first bar.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget what was kept, and begin anew.")] = False,
    metrics_port: Annotated[
        int | None, typer.Option("--metrics-port", min=0, max=65_535, help="Answer Prometheus on 127.0.0.1.")
    ] = None,
    home: HomeOption = None,
    sets: SetOption = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Signals for every moment at which the desk decides. Stop it with Ctrl-C or SIGTERM: it finishes the moment.

    A bar is JSON: symbol, at (its end) or start, open, high, low, close, volume, and bid and ask where there are some.
    The same command again goes on where it stopped, without a gap or a signal twice.
    """
    # Members answer in threads of their own: a pool of threads inside each would only wait for the others.
    for variable in ("POLARS_MAX_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(variable, "1")
    from openbell.app.stream.opening import Asked, opened, put_on_record

    asked = Asked(
        source=source,
        symbols=names_of(symbols) or (),
        speed=speed,
        first=some_date(first),
        last=some_date(last),
        url=url,
        stream=name,
        key=key,
        publish=publish,
        grace_seconds=grace,
        snapshot_moments=snapshot,
        warm_sessions=warm,
        fresh=fresh,
    )
    emit = _emit_json if as_json else _emit_line
    house = open_home(home, sets, settings)
    with opened(house, asked, emit=emit, tell=_tell) as found:
        if metrics_port is not None:
            server = found.stream.parts.metrics.serve(metrics_port)
            _tell(f"Metrics: http://127.0.0.1:{server.server_address[1]}/metrics")
        with _stopped_by_signals(found.stream):
            found.start()
            _tell(f"Reading {source}.")
            found.stream.run(limit)
        summary = found.summary
        put_on_record(house, asked, summary)
        if as_json:
            print(json.dumps({"summary": summary.as_json()}, default=str), flush=True)
        else:
            for line in summary.lines():
                print(line)


@contextmanager
def _stopped_by_signals(running: Stream) -> Iterator[None]:
    """Ctrl-C and SIGTERM finish the moment; a second one ends at once."""

    def stop(number: int, frame: Any) -> None:
        running.stop()
        for each in before:
            signal.signal(each, before[each])

    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    for each in before:
        signal.signal(each, stop)
    try:
        yield
    finally:
        for each in before:
            signal.signal(each, before[each])


def _emit_json(told: dict[str, Any]) -> None:
    print(json.dumps(told, default=str), flush=True)


def _emit_line(told: dict[str, Any]) -> None:
    levels = "" if told["target_price"] is None else (
        f", target {told['target_price']:,.4f}, stop {told['stop_loss']:,.4f}, size {told['position_size']:.2%}"
    )  # fmt: skip
    missing = f" Without {', '.join(told['missing'])}." if told["missing"] else ""
    print(
        f"{told['created_at']} {told['symbol']} {told['call']} {told['confidence']:.0%} at {told['price']:,.4f}{levels}"
        f", until {told['expires_at']}. {told['status']}.{missing}",
        flush=True,
    )


def _tell(sentence: str) -> None:
    print(f"stream: {sentence}", file=sys.stderr, flush=True)


def mount(app: typer.Typer) -> None:
    """Add the command."""
    app.command("stream")(stream)
