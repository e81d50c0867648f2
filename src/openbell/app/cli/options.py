"""`openbell options`: the parts of the options desk, one by one: features, stage 2 alone, the value of a structure."""

from __future__ import annotations

from typing import Annotated

import typer

from openbell.app.cli.options_price import price
from openbell.app.cli.words import (
    AsOfOption,
    HomeOption,
    JsonOption,
    SetOption,
    SettingsOption,
    UnderlyingOption,
    open_home,
    print_json,
    print_table,
    session_date,
)


def features(
    as_of: AsOfOption,
    underlying: UnderlyingOption = "SPX",
    home: HomeOption = None,
    sets: SetOption = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """The 84 features of the options desk as they were known before the open of DATE.

    One that cannot be computed has no value and says why; no default ever stands in for it. Exit 3 where some are
    missing: the desk then abstains.
    """
    from openbell.app.options_market import features_of_day

    found = features_of_day(open_home(home, sets, settings), underlying.upper(), session_date(as_of))
    if as_json:
        print_json(found.as_json())
    else:
        print_table(found.table(), f"{found.underlying} as known before the open of {found.session}")
        for line in found.notes:
            print(line)
    raise typer.Exit(3 if found.missing else 0)


def simulate(
    as_of: AsOfOption,
    structure: Annotated[str, typer.Option("--structure", metavar="NAME", help="Such as IRON_CONDOR.")],
    underlying: UnderlyingOption = "SPX",
    home: HomeOption = None,
    sets: SetOption = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Stage 2 alone: strikes and expiry for one structure, found by simulating 15 to 20 of them on similar past days.

    Exit 1 where nothing can be traded today; the reason is told with everything that was tested.
    """
    from openbell.app.options_simulate import simulate_structure

    found = simulate_structure(
        open_home(home, sets, settings), underlying.upper(), structure.upper(), session_date(as_of)
    )
    if as_json:
        print_json(found.as_json())
    else:
        print_table(found.table(), f"{found.proposal.structure} on {found.similar} similar days of {found.underlying}")
        for line in found.lines():
            print(line)
    raise typer.Exit(0 if found.proposal.executable else 1)


def mount(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(no_args_is_help=True, help="Parts of the options desk: features, stage 2 alone, valuation.")
    group.command("features")(features)
    group.command("simulate")(simulate)
    group.command("price")(price)
    app.add_typer(group, name="options")
