"""`openbell options price`: value, Greeks, payoff and odds of one structure."""

from __future__ import annotations

from typing import Annotated

import typer

from openbell.app.cli.words import (
    HomeOption,
    JsonOption,
    SetOption,
    SettingsOption,
    SomeAsOfOption,
    UnderlyingOption,
    open_home,
    print_json,
    print_table,
    session_date,
)
from openbell.core.errors import BadInput


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(each) for each in text.replace("/", ",").split(",") if each.strip())
    except ValueError:
        raise BadInput(f"`{text}` are no strikes. Write them like 4300,4350,4650,4700.") from None


def price(
    structure: Annotated[str, typer.Option("--structure", metavar="NAME", help="Such as IRON_CONDOR.")],
    strikes: Annotated[
        str, typer.Option("--strikes", metavar="K,K", help="In any order; of a diagonal the bought one first.")
    ],
    expiries: Annotated[str, typer.Option("--expiries", metavar="DATE,DATE", help="One, or the near and the far one.")],
    underlying: UnderlyingOption = "SPX",
    as_of: SomeAsOfOption = None,
    spot: Annotated[float | None, typer.Option("--spot", help="Points. Default: of the chain or the bars.")] = None,
    iv: Annotated[
        float | None, typer.Option("--iv", help="One volatility for all legs, such as 0.18, in place of a surface.")
    ] = None,
    rate: Annotated[float | None, typer.Option("--rate", help="Per year, continuously compounded.")] = None,
    dividend_yield: Annotated[
        float | None, typer.Option("--dividend-yield", help="Per year, continuously compounded.")
    ] = None,
    premium: Annotated[
        float | None, typer.Option("--premium", help="Points paid, below 0 for a credit. Default: at the quotes.")
    ] = None,
    settlement: Annotated[str, typer.Option("--settlement", help="AM or PM: on the open or on the close.")] = "PM",
    home: HomeOption = None,
    sets: SetOption = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Value, Greeks, payoff and odds of one structure, at the close before the open of DATE.

    Prices come from --spot and --iv where they are given, else from the stored chain of that close, else from the
    modelled surface, which the output then says. Odds are told twice: under the density of those prices, and over past
    windows as long, with their number. Exit 2 where something does not fit, in a sentence.
    """
    from openbell.app.options_price import Asked
    from openbell.app.options_price import price as priced
    from openbell.app.options_price_words import json_of, lines_of, table_of, title_of

    asked = Asked(
        underlying=underlying.upper(),
        structure=structure.upper(),
        strikes=_numbers(strikes),
        expiries=tuple(session_date(each.strip()) for each in expiries.split(",") if each.strip()),
        as_of=session_date(as_of) if as_of else None,
        spot=spot,
        iv=iv,
        rate=rate,
        dividend_yield=dividend_yield,
        premium=premium,
        settlement=settlement.upper(),
    )
    found = priced(asked, open_home(home, sets, settings))
    if as_json:
        print_json(json_of(found))
        return
    print_table(table_of(found), title_of(found))
    for line in lines_of(found):
        print(line)
