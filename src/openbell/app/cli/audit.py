"""`openbell audit`: proofs that nothing looks into the future."""

from __future__ import annotations

from typing import Annotated

import typer

from openbell.app.cli.words import (
    HomeOption,
    JsonOption,
    SetOption,
    SettingsOption,
    SomeAsOfOption,
    open_home,
    print_json,
    print_table,
    session_date,
)


def features(
    cuts: Annotated[int, typer.Option("--cuts", min=1, help="At how many moments the future is removed.")] = 20,
    home: HomeOption = None,
    sets: SetOption = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Prove every feature causal: remove the future at many moments, and recompute on the declared look-back only.

    On the stored bars, or on a generated market where there are none yet; those of options and of a session up to its
    cut-off on made-up markets. What was proven of which code stands in the journal. Exit 1 where a feature fails.
    """
    from openbell.app.audit import prove_on_record

    results = prove_on_record(open_home(home, sets, settings), cuts)
    failed = [each for each in results if not each["passed"]]
    if as_json:
        print_json(results)
    else:
        import polars as pl

        names = {each["feature"] for each in results}
        broken = {each["feature"] for each in failed}
        off = {each["feature"] for each in results if each["proof"] == "switched off"}
        if failed:
            shown = [{key: str(each[key]) for key in ("feature", "proof", "where", "detail")} for each in failed]
            print_table(pl.DataFrame(shown), "Not causal")
        print(f"{len(names - broken - off)} of {len(names)} features are proven causal at {cuts} cuts.")
        if off:
            print(f"{len(off)} are switched off, because the data lack what they read.")
    raise typer.Exit(1 if failed else 0)


def run(
    as_of: SomeAsOfOption = None,
    home: HomeOption = None,
    sets: SetOption = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Burn the future of a whole run: later rows removed, then turned into nonsense; no byte may change."""
    from openbell.app.audit import burn_run

    result = burn_run(open_home(home, sets, settings), session_date(as_of) if as_of else None)
    if as_json:
        print_json(result)
    else:
        for name, same in result["files"].items():
            print(f"{name}: {'the same bytes' if same else 'CHANGED'}")
        print(f"{result['later_rows']:,} later rows were removed, and turned into nonsense.")
    raise typer.Exit(0 if all(result["files"].values()) else 1)


def mount(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(no_args_is_help=True, help="Proofs that nothing looks into the future.")
    group.command("features")(features)
    group.command("run")(run)
    app.add_typer(group, name="audit")
