"""`openbell demo`: the main job on real prices that lie inside installed packages, offline."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from openbell.core.errors import BadInput

OutOption = Annotated[
    Path | None,
    typer.Option("--out", metavar="DIR", help="Folder of the outputs. Default: `live` in the home."),
]


def demo(
    context: typer.Context,
    home: Annotated[
        Path | None,
        typer.Option("--home", metavar="DIR", help="Where the demo keeps its tables and models. Default: `demo`."),
    ] = None,
    out: OutOption = None,
) -> None:
    """Real prices of about 500 US stocks → train → decide → report, offline, in some minutes.

    A demo that was stopped goes on where it was: run it again. `openbell demo options` shows the options desk.
    """
    if context.invoked_subcommand is not None:
        _refuse_misplaced(home, out, context.invoked_subcommand)
        return
    from openbell.app.cli.progress import progress_bar, steps
    from openbell.app.demo import run_demo

    place = home or Path("demo")
    with progress_bar("demo") as progress:
        done = run_demo(place, out or place / "live", progress, steps("demo"))
    decision = done.decided.decision
    print()
    for line in decision.why:
        print(line)
    print(f"\n{decision.trades.height} trades before the open of {decision.session}; {done.fills} filled on paper.")
    print(f"\nOpen the report: {(done.folder / 'report.html').resolve()}")


def _refuse_misplaced(home: Path | None, out: Path | None, command: str) -> None:
    """An option before the name of the other demo would be dropped: say where it belongs."""
    for word, value in (("--home", home), ("--out", out)):
        if value is not None:
            raise BadInput(f"`{word} {value}` belongs behind the command: `openbell demo {command} {word} {value}`.")


def options(
    home: Annotated[
        Path, typer.Option("--home", metavar="DIR", help="Where the demo keeps its tables and models.")
    ] = Path("demo-options"),
    out: OutOption = None,
) -> None:
    """The options desk on the real S&P 500 and VIX of 2014 to 2018, with modelled chains: train → decide → report.

    Nobody traded at modelled quotes, and every number that rests on them says so. Offline, in some minutes; a demo that
    was stopped goes on where it was: run it again.
    """
    from openbell.app.cli.progress import progress_bar, steps
    from openbell.app.demo_options import run_options_demo

    with progress_bar("demo options") as progress:
        done = run_options_demo(home, out or home / "live", progress, steps("demo options"))
    decision = done.decided.decision
    print()
    for line in (*decision.why, *done.decided.because):
        print(line)
    print(f"\nDecided for {done.decided.data.underlying} before the open of {decision.session}; nothing was ordered.")
    print(f"\nOpen the report: {(done.folder / 'report.html').resolve()}")


def gate(
    home: Annotated[
        Path, typer.Option("--home", metavar="DIR", help="Where the demo keeps its tables and models.")
    ] = Path("demo-gate"),
) -> None:
    """The gate on made-up 0DTE trades at real index levels, without any edge; and with a little skill, beside it.

    The trades are priced as a martingale, so the honest answer to the first is that nobody knows more than the price;
    in the second the deltas of 12 of 32 pairs know 0.03 of the variance of what is left of the day. Offline, in some
    minutes; a demo that was stopped goes on where it was: run it again.
    """
    from openbell.app.cli.progress import progress_bar, steps
    from openbell.app.cli.words import print_table
    from openbell.app.demo_gate import run_gate_demo

    with progress_bar("demo gate") as progress:
        shown = run_gate_demo(home, progress, steps("demo gate"))
    print_table(shown.table(), "Made-up trades, out of sample")
    for word, training in (("Without any edge", shown.plain), ("With planted skill", shown.skilled)):
        print(f"{word}: {training.payload['why'][0]}")
    print(f"\nThe report on planted skill: {(shown.skilled.folder / 'report.html').resolve()}")
    print(f"\nOpen the report: {(shown.plain.folder / 'report.html').resolve()}")


def signals(
    home: Annotated[
        Path, typer.Option("--home", metavar="DIR", help="Where the demo keeps its tables and models.")
    ] = Path("demo-signals"),
) -> None:
    """The signals desk on real daily prices, and beside them on a made-up market with a little planted skill.

    S&P 500, NASDAQ Composite and Apple of 1999 to 2018: train → walk forward → back-test → stream the last weeks →
    report. The second market shows what the same desk says where there is something to find. Offline, in some minutes;
    a demo that was stopped goes on where it was: run it again.
    """
    from openbell.app.cli.progress import progress_bar, steps
    from openbell.app.cli.words import print_table
    from openbell.app.demo_signals import run_signals_demo

    with progress_bar("demo signals") as progress:
        shown = run_signals_demo(home, progress, steps("demo signals"))
    print_table(shown.table(), "Out of sample", digits=2)
    for line in shown.lines():
        print(line)
    print(f"\nThe report on planted skill: {(shown.skilled.folder / 'report.html').resolve()}")
    print(f"\nOpen the report: {(shown.real.folder / 'report.html').resolve()}")


def session(
    home: Annotated[
        Path, typer.Option("--home", metavar="DIR", help="Where the demo keeps its tables and models.")
    ] = Path("demo-session"),
) -> None:
    """The session desk on two years of real hourly bars of Apple, and on made-up days without and with an edge.

    Train → walk forward → back-test → the call of the last session. Two years are little: where nothing can be told,
    that is the answer; the made-up days show what the same desk says where there is something to find, and where there
    is not. Offline, in some minutes; a demo that was stopped goes on where it was: run it again.
    """
    from openbell.app.cli.progress import progress_bar, steps
    from openbell.app.cli.words import print_table
    from openbell.app.demo_session import run_session_demo

    with progress_bar("demo session") as progress:
        shown = run_session_demo(home, progress, steps("demo session"))
    print_table(shown.table(), "Out of sample", digits=2)
    for line in shown.lines():
        print(line)
    print(f"\nThe report on the planted edge: {(shown.planted.folder / 'report.html').resolve()}")
    print(f"See it all in the lab: openbell lab --home {home / 'real'}")
    print(f"\nOpen the report: {(shown.real.folder / 'report.html').resolve()}")


def mount(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(invoke_without_command=True)
    group.callback()(demo)
    group.command("options")(options)
    group.command("gate")(gate)
    group.command("signals")(signals)
    group.command("session")(session)
    app.add_typer(group, name="demo")
