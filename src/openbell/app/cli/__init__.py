"""The command line. Every command is thin: it reads words, calls one function, and prints what came back."""

from __future__ import annotations

import os
import sys

# Before numpy and friends are imported: idle OpenMP threads that spin make a busy machine ten times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import typer
from typer.exceptions import TyperException

from openbell.core.errors import OpenbellError

app = typer.Typer(
    name="openbell",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Decide before the opening bell what to do in the market, and prove what the decisions are worth.\n\n"
    "Start with `openbell demo`: real prices, offline, a report in some minutes.\n\n"
    "Exit codes: 0 done, 1 refused by a gate or safety, 2 bad input, 3 done in part, 4 integrity broken, "
    "5 awaiting approval, 70 internal error.",
)


def _mount() -> None:
    if app.registered_groups:
        return
    from openbell.app.cli import (
        ab,
        almanac,
        audit,
        backtest,
        champion,
        data,
        demo,
        export,
        features,
        gate,
        holdout,
        journal,
        keys,
        lab,
        listing,
        models,
        odds,
        options,
        parse,
        positions,
        promote,
        report,
        run,
        serve,
        settings,
        signals,
        stream,
        tournament,
        train,
    )

    for module in (
        demo,
        data,
        listing,
        almanac,
        features,
        train,
        tournament,
        promote,
        champion,
        holdout,
        run,
        backtest,
        options,
        parse,
        odds,
        gate,
        serve,
        lab,
        export,
        positions,
        keys,
        ab,
        signals,
        stream,
        models,
        report,
        audit,
        journal,
        settings,
    ):
        module.mount(app)


def _say(message: str) -> None:
    print(f"openbell: {message}", file=sys.stderr)


def _show(error: TyperException) -> None:
    """What is wrong with the words themselves, with the nearest valid one and the way to the help."""
    show = getattr(error, "show", None)  # usage errors print the usage line too
    show() if show is not None else _say(error.format_message())


def main() -> None:
    """Entry point: turns every error into its sentence and its exit code."""
    _mount()
    try:
        code = app(standalone_mode=False)
        raise SystemExit(code if isinstance(code, int) else 0)
    except OpenbellError as error:
        _say(str(error))
        raise SystemExit(error.exit_code) from None
    except typer.Abort:
        _say("Stopped.")
        raise SystemExit(130) from None
    except TyperException as error:
        _show(error)
        raise SystemExit(2) from None
    except (KeyboardInterrupt, BrokenPipeError):
        raise SystemExit(130) from None
    except Exception as error:
        if os.environ.get("OPENBELL_DEBUG"):
            raise
        _say(
            f"Internal error: {type(error).__name__}: {error}. This is a fault of Openbell, not of yours; "
            "run again with OPENBELL_DEBUG=1 to see where."
        )
        raise SystemExit(70) from error
