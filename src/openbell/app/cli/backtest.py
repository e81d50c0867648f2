"""`openbell backtest`: a desk walked through its past with its account; what is on record, listed and compared."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from openbell.app.cli.words import (
    AsOfOption,
    HomeOption,
    JsonOption,
    ProductOption,
    SetOption,
    SettingsOption,
    SomeAsOfOption,
    TradesAsOfOption,
    UnderlyingOption,
    open_home,
    print_json,
    print_table,
    session_date,
    some_date,
)


def options(
    as_of: AsOfOption,
    underlying: UnderlyingOption = "SPX",
    years: Annotated[float, typer.Option("--years", min=0.25, help="Years before DATE.")] = 4.0,
    capital: Annotated[
        float | None, typer.Option("--capital", metavar="USD", min=1.0, help="Cash the account begins with.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Folder for trades.csv, daily.csv and report.html.")
    ] = None,
    home: HomeOption = None,
    sets: SetOption = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Walk the options desk through the past with forecasts that knew nothing later, beside its baselines.

    Fills at bid and ask, commissions, Reg-T margin, early assignment, settlement and daily marks; the rules ladder,
    the best constant structure, chance and buy-and-hold run through the same account. It needs a training as of DATE:
    `openbell train options`.
    """
    from openbell.app.backtest_records import keep_options
    from openbell.app.cli.progress import progress_bar
    from openbell.app.options_backtest import backtest_options

    opened = open_home(home, sets, settings)
    with progress_bar("backtest options") as progress:
        done = backtest_options(
            opened,
            underlying.upper(),
            session_date(as_of),
            years=years,
            capital_usd=capital,
            out=out,
            progress=progress,
        )
    kept = keep_options(opened, done)
    if as_json:
        print_json({**done.as_json(), "id": kept.key})
        return
    print_table(done.table(), f"{underlying.upper()}: {done.first} to {done.last}")
    for line in (*done.lines(), kept.line):
        print(line)


def gate(
    as_of: TradesAsOfOption = None,
    capital: Annotated[
        float | None, typer.Option("--capital", metavar="USD", min=1.0, help="Cash the account begins with.")
    ] = None,
    day_risk: Annotated[
        float, typer.Option("--day-risk", min=0.001, max=1.0, help="Part of the account that a day's trades may lose.")
    ] = 0.20,
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Folder for daily.csv.")] = None,
    home: HomeOption = None,
    sets: SetOption = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Walk an account through the trades that the gate would have taken, by forecasts that knew nothing later.

    One unit of each, held to its close, beside taking every trade and beside what the price alone would take. It needs
    a training: `openbell train gate`. Whether the model was proven is said and not asked.
    """
    from openbell.app.backtest_records import keep_gate
    from openbell.app.gate_backtest import backtest_gate

    opened = open_home(home, sets, settings)
    done = backtest_gate(opened, some_date(as_of), capital_usd=capital, day_risk=day_risk, out=out)
    kept = keep_gate(opened, done)
    if as_json:
        print_json({**done.as_json(), "id": kept.key})
        return
    print_table(done.table(), f"{done.first} to {done.last}", digits=2)
    for line in (*done.lines(), kept.line):
        print(line)


def signals(
    as_of: SomeAsOfOption = None,
    model: Annotated[
        str | None, typer.Option("--model", metavar="NAME", help="Candidate of the training. Default: its best.")
    ] = None,
    min_confidence: Annotated[
        float | None, typer.Option("--min-confidence", min=0.0, max=1.0, help="Default: desks.signals.min_confidence.")
    ] = None,
    any_set: Annotated[
        bool, typer.Option("--any-set", help="Follow the likeliest class, also where the conformal set holds more.")
    ] = False,
    search: Annotated[
        bool, typer.Option("--search", help="Search how signals are best followed, and judge that on the rest.")
    ] = False,
    capital: Annotated[
        float | None, typer.Option("--capital", metavar="USD", min=1.0, help="Cash the account begins with.")
    ] = None,
    home: HomeOption = None,
    sets: SetOption = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Follow the signals that the walk-forward would have issued: in at the next open, stops before targets, costs.

    Beside SPY, QQQ and the symbols themselves, deflated by the number of tries, and kept on record for
    `openbell backtest compare`. It needs a training: `openbell train signals`. Whether the model was proven is said
    and not asked.
    """
    from openbell.app.cli.progress import progress_bar
    from openbell.app.signals_backtest import backtest_signals

    opened = open_home(home, sets, settings)
    with progress_bar("backtest signals") as progress:
        done = backtest_signals(
            opened,
            some_date(as_of),
            candidate=model,
            min_confidence=min_confidence,
            require_single=False if any_set else None,
            capital_usd=capital,
            searching=search,
            progress=progress,
        )
    if as_json:
        print_json(done.as_json())
        return
    print_table(done.table(), f"{done.found.model}: {done.found.sessions[0]} to {done.found.sessions[-1]}")
    for line in done.lines():
        print(line)


def session(
    as_of: SomeAsOfOption = None,
    product: ProductOption = None,
    model: Annotated[
        str | None, typer.Option("--model", metavar="NAME", help="Candidate of the training. Default: its best.")
    ] = None,
    min_confidence: Annotated[
        float | None, typer.Option("--min-confidence", min=0.0, max=1.0, help="Default: that of the training.")
    ] = None,
    stop_atr: Annotated[
        float | None,
        typer.Option("--stop-atr", min=0.0, help="Stop in average true ranges, 0: none. Default: session.stop_atr."),
    ] = None,
    capital: Annotated[
        float | None, typer.Option("--capital", metavar="USD", min=1.0, help="Cash the account begins with.")
    ] = None,
    home: HomeOption = None,
    sets: SetOption = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Follow the calls that the walk-forward would have made: in at the first open after the cut-off, out at the close.

    Beside always long, always short, always the commonest class and the same without costs; by regime and at other
    costs; deflated by the number of tries, and kept on record for `openbell backtest compare`. No call never trades.
    It needs a training: `openbell train session`. Whether the model was proven is said and not asked.
    """
    from openbell.app.session_backtest import backtest_session

    done = backtest_session(
        open_home(home, sets, settings),
        some_date(as_of),
        product=product,
        candidate=model,
        min_confidence=min_confidence,
        stop_atr=stop_atr,
        capital_usd=capital,
    )
    if as_json:
        print_json(done.as_json())
        return
    days = done.found.daily["session"]
    print_table(done.table(), f"{done.found.symbol} by {done.found.model}: {days[0]} to {days[-1]}")
    for line in done.lines():
        print(line)


def listed(
    desk: Annotated[str | None, typer.Option("--desk", metavar="NAME", help="Only those of one desk.")] = None,
    home: HomeOption = None,
    sets: SetOption = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Back-tests on record, of every desk, oldest first.

    Those of the stocks desk are what its trainings and tournaments were judged on. Sharpe ratios stand with their
    95 % interval; wins are of trades, or of sessions where a desk has no trades of its own.
    """
    from openbell.app.backtests import in_words, needed, table

    found = table(needed(open_home(home, sets, settings), desk))
    if as_json:
        print_json(found.to_dicts())
        return
    print_table(in_words(found))


def compare(
    ids: Annotated[list[str], typer.Argument(metavar="ID ID…", help="First letters of what `backtest list` shows.")],
    home: HomeOption = None,
    sets: SetOption = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Lay back-tests side by side, and hold the first against each other one on the sessions that both have.

    The difference is of mean log returns per year, with an interval that resamples both together in blocks.
    """
    from openbell.app.backtests import compare as compared

    found = compared(open_home(home, sets, settings), ids)
    if as_json:
        print_json(found.as_json())
        return
    for title, words in found.told():
        print_table(words, title)
    for line in found.notes:
        print(line)


def mount(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(no_args_is_help=True, help="Walk a desk through its past with its account.")
    group.command("options")(options)
    group.command("gate")(gate)
    group.command("signals")(signals)
    group.command("session")(session)
    group.command("list")(listed)
    group.command("compare")(compare)
    app.add_typer(group, name="backtest")
