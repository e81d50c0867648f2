"""`openbell data import chain` and `openbell data check chain`: option chains, mounted by `data`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from openbell.app.cli.words import (
    HomeOption,
    JsonOption,
    SetOption,
    SettingsOption,
    open_home,
    print_json,
    print_table,
    session_date,
)

if TYPE_CHECKING:
    from openbell.app.home import Home
    from openbell.core.errors import OpenbellError
    from openbell.market.chain_importing import ChainReport

MapOption = Annotated[
    list[str] | None,
    typer.Option(
        "--map",
        metavar="OURS=THEIRS",
        help="Our column and the file's, such as expiry=exdate; comma-separated or repeated.",
    ),
]


def import_chain(
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="Option chains, each CSV (.gz) or Parquet.")],
    layout: Annotated[
        str | None,
        typer.Option("--format", help="cboe, yahoo, optionsdx, orats or map. Default: recognised from the columns."),
    ] = None,
    column_map: MapOption = None,
    underlying: Annotated[
        str | None, typer.Option("--underlying", metavar="SYMBOL", help="Where the file does not tell it.")
    ] = None,
    session: Annotated[
        str | None,
        typer.Option(
            "--session", metavar="DATE", help="Whose market the quotes show, where the file does not tell it."
        ),
    ] = None,
    home: HomeOption = None,
    sets: SetOption = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Import option chains as downloaded. Bad quotes go to quarantine, each with its sentence; exit 3 if only some do.

    The same file again changes nothing. A file none of whose quotes could be stored is refused with exit 1.
    """
    from openbell.app.data import column_map as parsed

    shown = session_date(session) if session else None
    words = {"layout": layout, "columns": parsed(column_map or []), "underlying": underlying, "session": shown}
    told, failed = _imported(open_home(home, sets, settings), files, words, as_json)
    if as_json and told:
        print_json(told[0] if len(files) == 1 and told else told)
    _raise_chain_failures(failed, len(files))


def _imported(
    home: Home, files: list[Path], words: dict[str, Any], as_json: bool
) -> tuple[list[dict[str, Any]], list[tuple[Path, OpenbellError]]]:
    """What became of each file, told as it is done, and those that could not be taken in."""
    from openbell.app.chains import import_chain_file
    from openbell.core.errors import OpenbellError

    told: list[dict[str, Any]] = []
    failed: list[tuple[Path, OpenbellError]] = []
    for file in files:
        try:
            report = import_chain_file(home, file, **words)
            told.append(_chain_facts(report))
            if not as_json:
                _tell_chain(report)
            _refuse_if_nothing(report)
        except OpenbellError as failure:
            failed.append((file, failure))
    return told, failed


def _refuse_if_nothing(report: ChainReport) -> None:
    from openbell.core.errors import Refused

    if report.stored or report.known or not report.refused:
        return
    raise Refused(f"{report.name}: nothing was stored. " + " ".join(report.refused))


def _raise_chain_failures(failed: list[tuple[Path, OpenbellError]], files: int) -> None:
    from openbell.core.errors import PartlyDone

    if not failed:
        return
    if len(failed) == files == 1:
        raise failed[0][1]
    sentences = " ".join(f"{file.name}: {failure}" for file, failure in failed)
    if len(failed) == files:
        raise type(failed[0][1])(sentences)
    raise PartlyDone(f"{files - len(failed)} of {files} files were imported. {sentences}")


def _chain_facts(report: ChainReport) -> dict[str, Any]:
    import polars as pl

    return {
        "name": report.name,
        "received": report.received,
        "stored": report.stored,
        "quarantined": report.quarantined,
        "known": report.known,
        "restated": report.restated,
        "rules": report.counts.filter(pl.col("rows") > 0).to_dicts(),
        "chains": report.chains.to_dicts(),
        "refused": list(report.refused),
        "vendor_iv": {"median_absolute_difference": report.iv_difference, "liquid_quotes": report.iv_quotes},
        "notes": list(report.notes),
    }


def _tell_chain(report: ChainReport) -> None:
    import polars as pl

    print(
        f"{report.name}: {report.received:,} quotes received, {report.stored:,} stored, {report.quarantined:,} in "
        f"quarantine, {report.known:,} known already."
    )
    found = report.counts.filter(pl.col("rows") > 0)
    if found.height:
        print_table(found.select("rule", "action", "rows", "chains", pl.col("examples").list.first().alias("example")))
    if report.iv_difference is not None:
        print(
            f"The vendor's volatility differs from ours by {report.iv_difference:.4f} (median of {report.iv_quotes:,} "
            "liquid quotes); ours is stored, the vendor's is kept apart."
        )
    for note in (*report.notes, *report.refused):
        print(note)


def check_chain(
    context: typer.Context,
    home: HomeOption = None,
    sets: SetOption = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """What the gate of option chains found in everything stored: counts and examples per rule, and what there is."""
    import polars as pl

    from openbell.app.chains import checked_chains, stored_chains

    before = context.parent.params if context.parent is not None else {}
    opened = open_home(home or before.get("home"), sets or before.get("sets"), settings or before.get("settings"))
    found, stored = checked_chains(opened), stored_chains(opened)
    if as_json or before.get("as_json"):
        print_json({"rules": found.to_dicts(), "stored": stored.to_dicts()})
        return
    shown = found.with_columns(pl.col("examples").list.join("\n"))
    print_table(shown.select("rule", "action", "rows", "chains", "examples"), "Quality gate of option chains")
    if stored.height:
        print_table(stored, "Stored quotes")
    else:
        print(f"There are no quotes in {opened.path} yet. Import some with `openbell data import chain FILE`.")
