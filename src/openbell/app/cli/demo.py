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


def mount(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(invoke_without_command=True)
    group.callback()(demo)
    group.command("options")(options)
    app.add_typer(group, name="demo")
