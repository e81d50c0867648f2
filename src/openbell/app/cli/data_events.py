"""`openbell data import events`: a calendar of economic events, mounted by `data`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from openbell.app.cli.words import HomeOption, JsonOption, SetOption, SettingsOption, open_home, print_json


def import_events(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV or Parquet: `date,time,event,known_at`.")],
    announced_days: Annotated[
        int | None,
        typer.Option(
            "--announced-days", metavar="N", min=0, help="For a file without known_at: dates were public then."
        ),
    ] = None,
    timezone: Annotated[
        str | None,
        typer.Option("--timezone", metavar="ZONE", help="Of times without an offset. Default: the exchange's."),
    ] = None,
    column_map: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="OURS=THEIRS", help="Our column and the file's, such as name=indicator."),
    ] = None,
    home: HomeOption = None,
    sets: SetOption = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Import economic events (CPI, FOMC, NFP …) for the filters of the almanac; the same file again changes nothing."""
    from openbell.app.almanac_events import import_events_file
    from openbell.app.data import column_map as parsed

    report = import_events_file(
        open_home(home, sets, settings),
        file,
        announced_days=announced_days,
        timezone=timezone,
        columns=parsed(column_map or []) or None,
    )
    if as_json:
        print_json({name: getattr(report, name) for name in report.__dataclass_fields__})
        return
    print(
        f"{report.name}: {report.received:,} releases from {report.first} to {report.last}, {report.stored:,} stored, "
        f"{report.known:,} known already."
    )
    print("Releases: " + ", ".join(f"{name} {count:,}" for name, count in report.names.items()) + ".")
    for note in report.notes:
        print(note)
