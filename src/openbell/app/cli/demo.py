"""`openbell demo`: the main job on real prices that lie inside installed packages, offline."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def demo(
    home: Annotated[
        Path, typer.Option("--home", metavar="DIR", help="Where the demo keeps its tables and models.")
    ] = Path("demo"),
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Folder of the outputs. Default: `live` in the home.")
    ] = None,
) -> None:
    """Real prices of about 500 US stocks → train → decide → report, offline, in some minutes.

    A demo that was stopped goes on where it was: run it again.
    """
    from openbell.app.cli.progress import progress_bar, steps
    from openbell.app.demo import run_demo

    with progress_bar("demo") as progress:
        done = run_demo(home, out or home / "live", progress, steps("demo"))
    decision = done.decided.decision
    print()
    for line in decision.why:
        print(line)
    print(f"\n{decision.trades.height} trades before the open of {decision.session}; {done.fills} filled on paper.")
    print(f"\nOpen the report: {(done.folder / 'report.html').resolve()}")


def mount(app: typer.Typer) -> None:
    """Add the command."""
    app.command("demo")(demo)
