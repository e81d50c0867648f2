"""`openbell data continuous`: one series of a future out of its contracts."""

from __future__ import annotations

from typing import Annotated

import typer

from openbell.app.cli.data_reports import tell_minutes
from openbell.app.cli.words import HomeOption, JsonOption, SetOption, SettingsOption, open_home, print_json, print_table


def join(
    product: Annotated[str, typer.Argument(metavar="PRODUCT", help="Such as ES.")],
    by: Annotated[
        str,
        typer.Option(
            "--by",
            help="volume: into the contract that traded more the session before. days: so many sessions before the "
            "last trading day.",
        ),
    ] = "volume",
    days: Annotated[
        int, typer.Option("--days", min=0, help="Sessions before the last trading day, with --by days.")
    ] = 5,
    adjust: Annotated[
        str,
        typer.Option(
            "--adjust",
            help="ratio, difference or none. Prices are adjusted forward from the first contract, by rolls known by "
            "then: no value changes when a later roll comes.",
        ),
    ] = "ratio",
    freq: Annotated[str, typer.Option("--freq", help="1m, 5m, 15m or 1h.")] = "1m",
    home: HomeOption = None,
    sets: SetOption = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Join the stored contracts of a future (ES_201312, …) into bars of its code, and keep the rolls.

    The contracts come from `openbell data import minutes FILE --product ES` of a file with a column `contract`. The
    rolls lie in the table `rolls`: a bar's raw price is (price - offset) / factor of its session.
    """
    import polars as pl

    from openbell.app.continuous import join_contracts

    opened = open_home(home, sets, settings)
    series, report = join_contracts(opened, product, freq=freq, by=by, days=days, adjust=adjust)
    if as_json:
        print_json({"rolls": series.rolls.to_dicts(), "left_out": series.left_out, "stored": report.stored,
                    "known": report.known, "quarantined": report.quarantined, "notes": list(series.notes)})  # fmt: skip
        return
    tell_minutes(report, False)
    shown = series.rolls.select("session", "left", "contract", "old", "new", "factor", "offset", "known_at")
    print_table(shown.with_columns(pl.col("known_at").dt.strftime("%Y-%m-%d %H:%M")), "Rolls")
