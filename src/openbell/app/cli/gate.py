"""`openbell gate`: what the gate's trades tell, how far their deltas reach, and how its models stand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from openbell.app.cli.gate_report import report
from openbell.app.cli.words import HomeOption, JsonOption, SetOption, SettingsOption, open_home, print_json, print_table

if TYPE_CHECKING:
    from openbell.market.delta_coverage import DeltaCoverage

BAR = 10


def coverage(
    home: HomeOption = None, sets: SetOption = None, settings: SettingsOption = None, as_json: JsonOption = False
) -> None:
    """How many trades have a delta row beside them: overall, by month, each with its denominator, and the gaps.

    The target of 95 % is asked of the period in which delta sheets exist.
    """
    from openbell.app import trade_sheets

    found = trade_sheets.coverage(open_home(home, sets, settings))
    if as_json:
        print_json(trade_sheets.coverage_facts(found))
    else:
        _tell_coverage(found)


def _tell_coverage(found: DeltaCoverage) -> None:
    import polars as pl

    from openbell.market.delta_coverage import TARGET

    print(f"{_share(found.with_delta, found.trades)} of all trades have a delta row.")
    if found.first is None:
        print("No delta sheet was imported that speaks of any of them; the target is not reached.")
        return
    print(
        f"{_share(found.with_delta, found.trades_in_period)} from {found.first} to {found.last}, while there are any."
    )
    print(f"{_share(found.with_delta, found.trades_of_symbols)} of these on {', '.join(found.symbols)}, their symbols.")
    print(f"The target of {TARGET:.0%} of the period is {'reached' if found.reached else 'not reached'}.")
    bar = pl.col("short_term_share").fill_null(0.0).mul(BAR).round().cast(pl.Int64)
    drawn = pl.lit("█").repeat_by(bar).list.join("").alias("short term")
    shown = ("month", "trades", "in_period", "short_term", "short_term_share", "long_term", "long_term_share")
    print_table(found.months.select(*shown, drawn), "By month", digits=2)
    print_table(found.by_symbol, "By symbol, in the period", digits=2)
    _tell_gaps(found)


def _tell_gaps(found: DeltaCoverage) -> None:
    sessions = int(found.gaps["sessions"].sum())
    print(f"{sessions:,} sessions with trades and no delta row, in {found.gaps.height:,} periods.")
    if found.gaps.height:
        print_table(found.gaps, "Missing periods")
    if found.partial.height:
        print_table(found.partial, f"Sessions with some, on {', '.join(found.symbols)}", digits=2)


def _share(part: int, whole: int) -> str:
    return f"{part:,} of {whole:,} ({part / whole:.1%})"


def scales(
    home: HomeOption = None, sets: SetOption = None, settings: SettingsOption = None, as_json: JsonOption = False
) -> None:
    """How far profits reach per symbol and strategy, USD per contract, and whether that is large, medium or small.

    Large is a range above 1000, medium above 100; the raw range (greatest less least) and the robust one (1 % to 99 %)
    stand beside each other.
    """
    from openbell.app import trade_sheets
    from openbell.app.outputs import plain_rows

    table = trade_sheets.scales(open_home(home, sets, settings))
    if as_json:
        print_json({"unit": "USD per contract", "scales": plain_rows(table)})
        return
    profits = ("key", "count", "missing", "average", "least", "greatest", "deviation")
    print_table(table.select(profits), "Profits, USD per contract", digits=2)
    groups = ("key", "range_raw", "group_raw", "range_robust", "group_robust")
    print_table(table.select(groups), "Their scales, USD per contract", digits=2)
    unit, multiplier = table.row(0, named=True)["unit"], table.row(0, named=True)["multiplier"]
    print(f"The rows are in {unit}; one point is {multiplier:g} USD.")


def mount(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(no_args_is_help=True, help="The gate: its trades, their deltas and profits, and its report.")
    group.command("coverage")(coverage)
    group.command("scales")(scales)
    group.command("report")(report)
    app.add_typer(group, name="gate")
