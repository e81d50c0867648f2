"""`openbell train`: walk the candidates forward, register them, and say who would survive."""

from __future__ import annotations

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


def stocks(
    as_of: AsOfOption,
    home: HomeOption = None,
    sets: SetOption = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train every candidate walk-forward on what was known before the open of DATE, and say who would survive.

    The candidates are registered and nobody is put in office: `openbell tournament stocks` does that, or, by hand,
    `openbell promote stocks`. A training that was stopped goes on where it was: run the same command again.
    """
    from openbell.app.cli.progress import progress_bar
    from openbell.app.training import train_stocks

    opened = open_home(home, sets, settings)
    with progress_bar("train stocks") as progress:
        trained = train_stocks(opened, session_date(as_of), progress)
    if as_json:
        print_json({**trained.payload, "folder": str(trained.folder)})
        return
    for line in (*trained.payload["why"], *trained.payload["notes"]):
        print(line)
    print(f"Evidence and models: {trained.folder}")
    survived = f"{trained.champion} survived" if trained.champion else "No candidate survived"
    print(f"{survived}; registered, and nobody was put in office: `openbell tournament stocks` seeks a champion.")


def options(
    as_of: AsOfOption,
    underlying: UnderlyingOption = "SPX",
    home: HomeOption = None,
    sets: SetOption = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train stage 1 of the options desk on what was known before the open of DATE, walked forward and scored.

    On each past day every structure with every parameter set is simulated; the candidates learn from all of them. The
    best candidate is stored for UNDERLYING and speaks in `openbell run options`; whether it was ever worth more than
    no trade is said with it. A training that was stopped goes on where it was: run the same command again.
    """
    from openbell.app.cli.progress import progress_bar
    from openbell.app.options_training import train_options

    opened = open_home(home, sets, settings)
    with progress_bar("train options") as progress:
        trained = train_options(opened, underlying.upper(), session_date(as_of), progress=progress)
    if as_json:
        print_json(trained.as_json())
        return
    for line in trained.lines():
        print(line)


def gate(
    as_of: TradesAsOfOption = None,
    candidates: CandidatesOption = None,
    home: HomeOption = None,
    sets: SetOption = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train the gate on every trade whose outcome was known before the open of DATE, walked forward by whole days.

    Partial pooling over symbol and strategy, beside no pooling, one regression for all and the hard four-level
    fallback; every one is judged beside the odds that the price itself implies. Odds are calibrated and thresholds set
    on validation days. The best candidate speaks in `openbell odds` and `openbell serve`; whether it ever knew more
    than the price is said with it.
    """
    from openbell.app.cli.progress import progress_bar
    from openbell.app.gate_training import train_gate

    opened = open_home(home, sets, settings)
    with progress_bar("train gate") as progress:
        trained = train_gate(opened, some_date(as_of), names_of(candidates), progress=progress)
    if as_json:
        print_json(trained.as_json())
        return
    for line in trained.lines():
        print(line)


def signals(
    as_of: SomeAsOfOption = None,
    candidates: CandidatesOption = None,
    home: HomeOption = None,
    sets: SetOption = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train the signals desk on every decision whose outcome was known before the open of DATE, walked forward.

    XGBoost, random forest, LSTM and their soft vote learn BUY, SELL and HOLD from indicators on every time frame; odds
    are calibrated and conformal sets made on the last sessions of each fit. Accuracy stands beside base rates; whether
    anybody ever knew more than they is said. A training that was stopped goes on where it was: run it again.
    """
    from openbell.app.cli.progress import progress_bar
    from openbell.app.signals_training import train_signals

    opened = open_home(home, sets, settings)
    with progress_bar("train signals") as progress:
        trained = train_signals(opened, some_date(as_of), names_of(candidates), progress=progress)
    if as_json:
        print_json(trained.as_json())
        return
    for line in trained.lines():
        print(line)


def session(
    product: ProductOption = None,
    as_of: SomeAsOfOption = None,
    candidates: CandidatesOption = None,
    home: HomeOption = None,
    sets: SetOption = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train the session desk on every session whose outcome was known before the open of DATE, walked forward.

    Logistic regression, LightGBM and XGBoost learn from the bars up to the cut-off (session.cutoff, 10:15), the days
    before and other markets what kind of day it becomes (session.label). Every figure stands beside its base rate, its
    n and its interval; where there are too few days, the answer is that there is not enough evidence.
    """
    from openbell.app.cli.progress import progress_bar
    from openbell.app.session_training import train_session

    opened = open_home(home, sets, settings)
    with progress_bar("train session") as progress:
        trained = train_session(opened, some_date(as_of), names_of(candidates), product=product, progress=progress)
    if as_json:
        print_json(trained.as_json())
        return
    for line in trained.lines():
        print(line)


def mount(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(no_args_is_help=True, help="Train and register a desk's candidates; nobody is put in office.")
    group.command("stocks")(stocks)
    group.command("options")(options)
    group.command("gate")(gate)
    group.command("signals")(signals)
    group.command("session")(session)
    app.add_typer(group, name="train")
