"""`openbell run`: the daily run of a desk."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from openbell.app.cli.words import (
    HomeOption,
    JsonOption,
    ProductOption,
    SetOption,
    SettingsOption,
    SomeAsOfOption,
    UnderlyingOption,
    open_home,
    print_json,
    print_table,
    session_and_clock,
    session_date,
)


def stocks(
    as_of: SomeAsOfOption = None,
    execute: Annotated[bool, typer.Option("--execute", help="Place the orders. Without it: a dry run.")] = False,
    capital: Annotated[
        float | None, typer.Option("--capital", metavar="USD", min=1.0, help="Cash the account begins with.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Folder of the outputs; DATE/ is made inside it.")
    ] = None,
    home: HomeOption = None,
    sets: SetOption = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Decide before the open of DATE what to hold, and write trades, weights, signals and a report.

    A dry run unless --execute. The same command again gives the same decision and orders nothing twice.
    """
    from openbell.app.cli.progress import steps
    from openbell.app.daily import run_stocks

    opened = open_home(home, sets, settings)
    done = run_stocks(
        opened,
        session_date(as_of) if as_of else None,
        execute=execute,
        capital_usd=capital,
        out=out,
        on_step=steps("run stocks"),
    )
    if as_json:
        print_json(done.as_json())
    else:
        _tell(done)
    raise typer.Exit(done.exit_code)


def options(
    underlying: UnderlyingOption = "SPX",
    as_of: SomeAsOfOption = None,
    execute: Annotated[bool, typer.Option("--execute", help="Place the orders. Without it: a dry run.")] = False,
    capital: Annotated[
        float | None, typer.Option("--capital", metavar="USD", min=1.0, help="Cash the account begins with.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Folder of the outputs; UNDERLYING/DATE/ is made in it.")
    ] = None,
    home: HomeOption = None,
    sets: SetOption = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Decide before the open of DATE which option structure to trade, and write decision.json and report.html.

    Stage 1 says what each of ten structures is worth, stage 2 finds strikes and expiries on similar past days. Nothing
    is traded where the model never earned more than no trade (`desks.options.require_edge`); what it would have been
    is told all the same. A dry run unless --execute; an executed decision is filled on paper at the next close.
    """
    from openbell.app.cli.progress import steps
    from openbell.app.options_daily import run_options

    opened = open_home(home, sets, settings)
    done = run_options(
        opened,
        underlying.upper(),
        session_date(as_of) if as_of else None,
        execute=execute,
        capital_usd=capital,
        out=out,
        on_step=steps("run options"),
    )
    if as_json:
        print_json(done.as_json())
    else:
        for line in done.lines():
            print(line)
    raise typer.Exit(done.exit_code)


def signals(
    as_of: SomeAsOfOption = None,
    store: Annotated[bool, typer.Option("--store", help="Let the signals begin their life. Without it: a dry run.")] = (
        False
    ),
    home: HomeOption = None,
    sets: SetOption = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """BUY, SELL or HOLD for each symbol on the last bar known before the open of DATE, with size, stop and target.

    The champion in office speaks, else the best of the newest training, whose signals then have no size. A dry run
    unless --store; stored twice, a signal is one. `openbell stream` does the same bar by bar.
    """
    from openbell.app.signals_daily import run_signals

    done = run_signals(open_home(home, sets, settings), session_date(as_of) if as_of else None, store=store)
    if as_json:
        print_json(done.as_json())
        return
    print_table(done.table(), f"Signals of {done.as_of:%Y-%m-%d %H:%M} UTC", digits=3)
    for line in done.lines():
        print(line)


def session(
    as_of: Annotated[
        str | None,
        typer.Option(
            "--as-of", metavar="DATE [TIME]", help='Session and cut-off, such as "2024-05-01 10:15". Default: the last.'
        ),
    ] = None,
    product: ProductOption = None,
    dry: Annotated[bool, typer.Option("--dry", help="Say it, and leave the journal as it is.")] = False,
    home: HomeOption = None,
    sets: SetOption = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """What kind of day it is at the cut-off, by what was known then; or no call, which never trades.

    The champion in office speaks, else the best of the newest training, whose calls then have no size. Nothing after
    the cut-off is seen, whatever is stored. A call is bought or sold at the next bar's open and closed at the close.
    """
    from openbell.app.session_daily import run_session

    day, clock = session_and_clock(as_of) if as_of else (None, None)
    overrides = [*(sets or []), *([f"session.cutoff={clock}"] if clock else [])]
    done = run_session(open_home(home, overrides, settings), day, product=product, dry=dry)
    if as_json:
        print_json(done.as_json())
        return
    for line in done.lines():
        print(line)


def _tell(done: object) -> None:
    from openbell.app.daily import Done

    assert isinstance(done, Done)
    decision = done.decided.decision
    for line in (*decision.why, *done.notes):
        print(line)
    if decision.trades.height:
        print_table(
            decision.trades.select("symbol", "side", "shares", "price", "notional", "total_cost_est"),
            f"{decision.trades.height} trades before the open of {decision.session}",
            digits=2,
        )
    else:
        print(f"No trades before the open of {decision.session}.")
    for verdict in decision.verdicts:
        if verdict.outcome.value != "ALLOW" or not verdict.available:
            word = verdict.outcome.value if verdict.available else "unavailable"
            print(f"{verdict.check}: {word}. {verdict.why}")
    print("Executed." if done.executed else "Nothing was ordered.")
    print(f"Report: {done.folder / 'report.html'}")


def mount(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(no_args_is_help=True, help="The daily run of a desk: decide, judge, report, and order if told.")
    group.command("stocks")(stocks)
    group.command("options")(options)
    group.command("signals")(signals)
    group.command("session")(session)
    app.add_typer(group, name="run")
