"""`openbell ab`: two models answer the same questions, and which one does it better."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from openbell.app.cli.words import HomeOption, JsonOption, SetOption, SettingsOption, open_home, print_json, print_table
from openbell.core.errors import DataMissing, unknown

if TYPE_CHECKING:
    from openbell.store.experiments import Experiment, Experiments

NameArgument = Annotated[str, typer.Argument(metavar="[NAME]", help="Of the A/B test.")]


def _kept(home: Path | None, sets: list[str] | None, settings: Path | None) -> Experiments:
    """The A/B tests, in a home that has them already."""
    opened = open_home(home, sets, settings)
    assert opened.kept_predictions
    return opened.experiments


def _found(experiments: Experiments, name: str, version: int | None) -> Experiment:
    versions = experiments.all()
    if not versions:
        raise DataMissing("There is no A/B test yet. `openbell serve` begins the one of the settings.")
    mine = {each.version: each for each in versions if each.name == name}
    if not mine:
        raise unknown("A/B test", name, {each.name for each in versions})
    if version is not None and version not in mine:
        raise unknown(f"version of `{name}`", str(version), map(str, mine))
    return mine[version or max(mine)]


def status(
    name: NameArgument = "gate",
    version: Annotated[int | None, typer.Option("--version", min=1, help="Default: the latest.")] = None,
    home: HomeOption = None,
    sets: SetOption = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Both arms, their difference with an interval that holds however often one looks, and the decision so far."""
    from openbell.app import ab
    from openbell.app.clock import now

    experiments = _kept(home, sets, settings)
    said = ab.status(experiments, _found(experiments, name, version), at=now())
    if as_json:
        print_json(said)
    else:
        _show(said)


def _show(said: dict[str, Any]) -> None:
    import polars as pl

    ended = "running" if said["running"] else f"stopped {said['stopped_at']}: {said['why_stopped']}"
    print(f"A/B test {said['name']}, version {said['version']}, {said['share']:.0%} to the test arm; {ended}")
    arms = [
        {"arm": f"{arm} ({said[arm]['model']} {said[arm]['version'][:12]})", **said["arms"][arm]}
        for arm in ("control", "test")
    ]
    print_table(pl.DataFrame(arms, infer_schema_length=None))
    shown = (
        "n",
        "mean",
        "low",
        "high",
        "e_value",
        "p_value",
        "better",
        "open_days",
        "one_armed_days",
        "missing_trades",
    )
    rows = [
        {"test less control": measure, **{"days" if key == "n" else key: each[key] for key in shown}}
        for measure, each in said["differences"].items()
    ]
    print_table(pl.DataFrame(rows, infer_schema_length=None))
    print(
        f"{said['decision']} `{said['decided_by']}` decides, at any look with 95 % confidence in all; the interval of "
        "the profit holds in the long run only. Odds count as inside 1 % to 99 %."
    )


def begin(
    control: Annotated[str, typer.Option("--control", metavar="VERSION", help="Label of the version in office.")],
    test: Annotated[str, typer.Option("--test", metavar="VERSION", help="Label of its challenger.")],
    share: Annotated[float, typer.Option("--share", min=0.0, max=1.0, help="Part that the challenger answers.")] = 0.5,
    salt: Annotated[str, typer.Option("--salt", help="Another salt is another, independent draw.")] = "openbell",
    home: HomeOption = None,
    sets: SetOption = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Begin an A/B test of two versions of the signals desk: from its next start on, `openbell stream` asks both.

    Each symbol and moment belongs to one arm, whose signal is the desk's; what the other said is kept inside it. Judge
    them by `openbell signals analytics --by model`. The same test again changes nothing; the gate's own test is begun
    by `openbell serve`.
    """
    from openbell.app import ab
    from openbell.app.clock import now

    opened = open_home(home, sets, settings)
    begun = opened.experiments.begin(ab.of_signals(opened, control, test, share, salt), at=now())
    if as_json:
        print_json(ab.described(begun))
    else:
        print(f"The A/B test {begun.name}, version {begun.version}, runs: {share:.0%} to {test}, else {control}.")


def stop(
    name: NameArgument = "gate",
    why: Annotated[str, typer.Option("--why", help="Kept beside the outcome.")] = "Stopped by hand.",
    home: HomeOption = None,
    sets: SetOption = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """End the test: the control arm answers every trade from now on."""
    from openbell.app import ab
    from openbell.app.clock import now

    experiments = _kept(home, sets, settings)
    _found(experiments, name, None)
    ended = experiments.stop(name, at=now(), why=why)
    if as_json:
        print_json(ab.described(ended))
    else:
        print(
            f"The A/B test {name}, version {ended.version}, is stopped ({ended.why_stopped}) "
            "A running service hears of it within 5 seconds; the control arm answers."
        )


def mount(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(no_args_is_help=True, help="A/B tests: two models side by side.")
    group.command("begin")(begin)
    group.command("status")(status)
    group.command("stop")(stop)
    app.add_typer(group, name="ab")
