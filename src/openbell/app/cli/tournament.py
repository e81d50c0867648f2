"""`openbell tournament`: every model with every allocator, and a champion that survives its own search, or none."""

from __future__ import annotations

from typing import Annotated

import typer

from openbell.app.cli.words import (
    AsOfOption,
    CandidatesOption,
    HomeOption,
    JsonOption,
    ProductOption,
    SetOption,
    SettingsOption,
    SomeAsOfOption,
    TradesAsOfOption,
    UnderlyingOption,
    names_of,
    open_home,
    print_json,
    session_date,
    some_date,
)
from openbell.core.errors import BadInput

AllocatorsOption = Annotated[
    str | None,
    typer.Option("--allocators", metavar="A,B", help="Allocators each model is paired with. Default: the desk's."),
]
BaselineOption = Annotated[
    str | None, typer.Option("--baseline", metavar="MODEL", help="A model that meets the others, to compare with.")
]
TrialsOption = Annotated[int | None, typer.Option("--trials", min=1, help="Optuna trials for each tuned candidate.")]
BudgetOption = Annotated[
    str | None,
    typer.Option("--time-budget", metavar="30m", help="Time for all tuning: 90s, 30m or 2h. Short: fewer sessions."),
]
JobsOption = Annotated[int | None, typer.Option("--jobs", min=1, help="Processes and threads.")]

_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def seconds(text: str) -> float:
    """`text`, such as 90s, 30m or 2h, in seconds."""
    unit = _SECONDS.get(text[-1:])
    try:
        number = float(text[:-1])
    except ValueError:
        number = 0.0
    if unit is None or not 0.0 < number < float("inf"):
        raise BadInput(f"`{text}` is no time. Write it like 90s, 30m or 2h.")
    return number * unit


def stocks(
    as_of: AsOfOption,
    candidates: CandidatesOption = None,
    allocators: AllocatorsOption = None,
    baseline: BaselineOption = None,
    trials: TrialsOption = None,
    time_budget: BudgetOption = None,
    jobs: JobsOption = None,
    home: HomeOption = None,
    sets: SetOption = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Hold a tournament of the stocks desk on what was known before the open of DATE, and promote a champion or none.

    Selection never reads the hold-out, the last part of the sessions (`openbell holdout show stocks`). The champion in
    office meets the others, asked for or not. Each tournament spends part of a yearly budget of error, and is refused
    where that is used up. Exit codes: 0 a champion was promoted or the one in office rightly stays, 1 nobody survived
    and production is unchanged, or it was refused, 2 a name or a date that is not known, 3 some candidate failed (the
    report says which). A run that was stopped goes on where it was: run the same command again.
    """
    from openbell.app.cli.progress import progress_bar
    from openbell.app.tournament import Asked, hold_stocks

    asked = Asked(
        candidates=names_of(candidates),
        allocators=names_of(allocators),
        baseline=baseline,
        trials=trials,
        time_budget_seconds=None if time_budget is None else seconds(time_budget),
        jobs=jobs,
    )
    opened = open_home(home, sets, settings)
    with progress_bar("tournament stocks") as progress:
        held = hold_stocks(opened, session_date(as_of), asked, progress)
    if as_json:
        print_json(held.as_json())
    else:
        for line in held.lines():
            print(line)
    raise typer.Exit(held.exit_code)


def options(
    as_of: AsOfOption,
    underlying: UnderlyingOption = "SPX",
    candidates: CandidatesOption = None,
    home: HomeOption = None,
    sets: SetOption = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let candidates for stage 1 of the options desk meet, beside rules, the best constant structure and chance.

    The champion has earned more than no trade after costs, adjusted for the number of tries. Each tournament spends
    part of a yearly budget of error, and is refused where that is used up. Exit codes: 0 a champion, 1 nobody survived.
    """
    from openbell.app.cli.progress import progress_bar
    from openbell.app.options_training import hold_options

    opened = open_home(home, sets, settings)
    with progress_bar("tournament options") as progress:
        held = hold_options(opened, underlying.upper(), session_date(as_of), names_of(candidates), progress=progress)
    if as_json:
        print_json(held.as_json())
    else:
        for line in held.lines():
            print(line)
    raise typer.Exit(0 if held.champion else 1)


def gate(
    as_of: TradesAsOfOption = None,
    candidates: CandidatesOption = None,
    home: HomeOption = None,
    sets: SetOption = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let the gate's models meet on trades out of sample, beside the odds that the price implies.

    The champion knows more than the price of a trade, adjusted for the number of tries. Each tournament spends part of
    a yearly budget of error, and is refused where that is used up. Exit codes: 0 a champion, 1 nobody survived.
    """
    from openbell.app.cli.progress import progress_bar
    from openbell.app.gate_training import hold_gate

    opened = open_home(home, sets, settings)
    with progress_bar("tournament gate") as progress:
        held = hold_gate(opened, some_date(as_of), names_of(candidates), progress=progress)
    if as_json:
        print_json(held.as_json())
    else:
        for line in held.lines():
            print(line)
    raise typer.Exit(0 if held.champion else 1)


def signals(
    as_of: SomeAsOfOption = None,
    candidates: CandidatesOption = None,
    home: HomeOption = None,
    sets: SetOption = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let the models of the signals desk meet out of sample; who knew more than the base rates takes office.

    NAME_tuned tunes NAME within the training rows first. Each tournament spends part of a yearly budget of error, and
    is refused where that is used up. Exit codes: 0 a champion, 1 nobody survived.
    """
    from openbell.app.cli.progress import progress_bar
    from openbell.app.signals_training import hold_signals

    opened = open_home(home, sets, settings)
    with progress_bar("tournament signals") as progress:
        held = hold_signals(opened, some_date(as_of), names_of(candidates), progress=progress)
    if as_json:
        print_json(held.as_json())
    else:
        for line in held.lines():
            print(line)
    raise typer.Exit(0 if held.champion else 1)


def session(
    product: ProductOption = None,
    as_of: SomeAsOfOption = None,
    candidates: CandidatesOption = None,
    home: HomeOption = None,
    sets: SetOption = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let the models of the session desk meet out of sample; who knew more than the base rates takes office.

    Each tournament spends part of a yearly budget of error of its product, and is refused where that is used up. Exit
    codes: 0 a champion, 1 nobody survived.
    """
    from openbell.app.cli.progress import progress_bar
    from openbell.app.session_training import hold_session

    opened = open_home(home, sets, settings)
    with progress_bar("tournament session") as progress:
        held = hold_session(opened, some_date(as_of), names_of(candidates), product=product, progress=progress)
    if as_json:
        print_json(held.as_json())
    else:
        for line in held.lines():
            print(line)
    raise typer.Exit(0 if held.champion else 1)


def mount(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(no_args_is_help=True, help="Let models and allocators meet; promote a champion or refuse.")
    group.command("stocks")(stocks)
    group.command("options")(options)
    group.command("gate")(gate)
    group.command("signals")(signals)
    group.command("session")(session)
    app.add_typer(group, name="tournament")
