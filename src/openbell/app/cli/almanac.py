"""`openbell almanac`: what a product did by hour, weekday or month, on which sessions, and whether it is chance."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from openbell.app.cli.words import (
    HomeOption,
    JsonOption,
    SetOption,
    SettingsOption,
    open_home,
    print_json,
    print_table,
    some_date,
)
from openbell.core.errors import BadInput

if TYPE_CHECKING:
    import polars as pl

    from openbell.research.almanac_kept import Kept
    from openbell.research.almanac_scenario import Scenario

#: Columns that are shown of a wide table in a terminal, and what they are called there; files have all.
_SHOWN = {
    "label": "of", "n": "n", "change_mean": "mean %", "change_trimmed_mean": "trimmed %", "change_median": "median %",
    "range_pct_mean": "range %", "p": "p", "p_adjusted": "p adjusted", "significant": "beyond chance",
}  # fmt: skip
_ROWS = 40

ProductArgument = Annotated[
    str | None, typer.Argument(metavar="[PRODUCT]", help="Symbol such as ES or SPY. Default: that of --scenario.")
]
FilterOption = Annotated[
    list[str] | None,
    typer.Option(
        "--filter", "-f", metavar="'KIND NAME=VALUE …'", help="A filter; repeat for more. See the kinds below."
    ),
]
AnyOption = Annotated[bool, typer.Option("--any", help="Keep a session that passes one filter, not only all of them.")]
FirstOption = Annotated[str | None, typer.Option("--first", metavar="DATE", help="First session, included.")]
LastOption = Annotated[str | None, typer.Option("--last", metavar="DATE", help="Last session, included.")]
CutoffOption = Annotated[
    str | None, typer.Option("--cutoff", metavar="HH:MM", help="Default: 10:15, the product's clock.")
]
TradesOption = Annotated[
    str | None,
    typer.Option("--trades-at", metavar="WHEN", help="none, pre-open or cut-off: refuses filters known only later."),
]
TrimOption = Annotated[
    float | None, typer.Option("--trim", metavar="PERCENT", help="Cut off so much at each end of change and of range.")
]
FreqOption = Annotated[str | None, typer.Option("--freq", help="1m, 5m, 15m or 1h. Default: the finest there are.")]
MetricOption = Annotated[
    str | None,
    typer.Option(
        "--metric",
        metavar="NAME",
        help="Compared, and of distributions. Default: day_return_pct, of a study that trades at the cut-off "
        "rest_return_pct.",
    ),
]
ScenarioOption = Annotated[
    Path | None,
    typer.Option("--scenario", metavar="FILE", help="A scenario as JSON, as the lab exports it; options change it."),
]
CsvOption = Annotated[bool, typer.Option("--csv", help="Print CSV; text that would be a formula is neutralised.")]


def _kinds() -> str:
    from openbell.research.almanac_filters import kinds, parameters

    lines = []
    for name, kind in kinds().items():
        told = " ".join(f"{each}={_values(asked)}" for each, asked in parameters(kind).items())
        lines.append(f"- `{name} {told}`")
    return "\n".join(lines)


def _values(asked: Any) -> str:
    """What may stand behind the name of a parameter."""
    if asked.choices:
        several = asked.kind == "choices"
        return (
            ",".join(asked.choices[:2]) + ",…"
            if several
            else "|".join(asked.choices[:4]) + "|…" * (len(asked.choices) > 4)
        )
    return {"number": "NUMBER", "time": "HH:MM", "product": "SYMBOL", "names": "CPI,FOMC,MAJOR,…"}[asked.kind]


def _scenario(product: str | None, file: Path | None, options: dict[str, Any]) -> Scenario:
    """The scenario of `file`, if any, with the options that were given."""
    from openbell.research.almanac_filters import Group, filter_of
    from openbell.research.almanac_scenario import scenario_from, scenario_from_json

    given: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    texts, either = given.pop("filters", []), given.pop("either", False)
    values: dict[str, Any] = {}
    if file is not None:
        if not file.is_file():
            raise BadInput(f"There is no file `{file}`. Export a scenario in the lab, or write one by --json.")
        values = scenario_from_json(_document(file.read_text(encoding="utf-8"))).as_dict()
    if product is not None:
        values["product"] = product
    if texts:
        values["filters"] = Group("or" if either else "and", tuple(map(filter_of, texts))).as_dict()
    elif either:
        raise BadInput("`--any` joins the filters of --filter, and there is none. Add some, or leave it out.")
    if "product" not in values:
        raise BadInput("Name a product, such as `openbell almanac stats ES`, or a file with --scenario.")
    if (values | given).get("trades_at") == "cut-off":
        values.setdefault("metric", "rest_return_pct")  # what such a study can still earn
    return scenario_from(values | given)


def _document(text: str) -> str:
    """The scenario within a preset of the lab, or the text itself."""
    import json

    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        return text
    document = told.get("document") if isinstance(told, dict) else None
    if isinstance(document, dict):
        return json.dumps(document.get("scenario", document))
    inner = told.get("scenario") if isinstance(told, dict) else None
    return json.dumps(inner) if isinstance(inner, dict) else text


def stats(
    product: ProductArgument = None,
    statistic: Annotated[
        str | None, typer.Option("--statistic", "-s", metavar="NAME", help="Which; see below. Default: hourly.")
    ] = None,
    filters: FilterOption = None,
    either: AnyOption = False,
    first: FirstOption = None,
    last: LastOption = None,
    cutoff: CutoffOption = None,
    trades_at: TradesOption = None,
    trim: TrimOption = None,
    metric: MetricOption = None,
    bin_minutes: Annotated[
        int | None, typer.Option("--bin", metavar="MINUTES", help="Of survival curves and heat-maps. Default: 15.")
    ] = None,
    against: Annotated[str | None, typer.Option("--against", metavar="PRODUCT", help="For correlation.")] = None,
    freq: FreqOption = None,
    scenario: ScenarioOption = None,
    zip_file: Annotated[
        Path | None, typer.Option("--zip", metavar="FILE", help="Write all tables and the scenario into one ZIP.")
    ] = None,
    as_csv: CsvOption = False,
    home: HomeOption = None,
    sets: SetOption = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print a statistic; its help is set when it is mounted."""
    from openbell.app.almanac import look

    asked = _scenario(
        product, scenario,
        {
            "statistic": statistic, "filters": filters, "either": either or None, "first": some_date(first),
            "last": some_date(last), "cutoff": cutoff, "trades_at": trades_at, "trim": trim, "metric": metric,
            "bin": bin_minutes, "against": against, "freq": freq,
        },
    )  # fmt: skip
    _one_form(as_csv, as_json)
    found = look(open_home(home, sets, settings), asked)
    tables = found.told.tables
    if zip_file is not None:
        from openbell.app.almanac_files import export_files, written

        written(zip_file, export_files(found))
    if as_csv:
        _print_csv(next(iter(tables.values())))
        return
    sentences = (*found.sentences, *found.told.sentences)
    if as_json:
        from openbell.app.outputs import plain_rows

        told = {name: plain_rows(frame) for name, frame in tables.items()}
        print_json(
            {
                "scenario": asked.as_dict(), "text": asked.as_text(), "n": found.kept.n, "of": found.kept.of,
                "sufficient": found.kept.sufficient, "looks": found.looks, "p_adjusted": found.p_adjusted,
                "filters": plain_rows(found.kept.counts), "sentences": list(sentences), "tables": told,
            }
        )  # fmt: skip
        return
    print(asked.words())
    for name, frame in tables.items():
        _show(frame, name)
    for sentence in sentences:
        print(sentence)
    if zip_file is not None:
        print(f"Written: {zip_file}")


def _one_form(as_csv: bool, as_json: bool) -> None:
    if as_csv and as_json:
        raise BadInput("`--csv` and `--json` are two forms of one output. Choose one.")


def _print_csv(frame: pl.DataFrame) -> None:
    from openbell.research.almanac_export import csv_text

    sys.stdout.write(csv_text(frame))


def _show(frame: pl.DataFrame, name: str) -> None:
    shown = frame.select(list(_SHOWN)).rename(_SHOWN) if set(_SHOWN) <= set(frame.columns) else frame
    more = f" (the first {_ROWS} of {frame.height:,} rows; --csv has all)" if frame.height > _ROWS else ""
    print_table(shown.head(_ROWS), f"{name}{more}")


def filter_sessions(
    product: ProductArgument = None,
    filters: FilterOption = None,
    either: AnyOption = False,
    first: FirstOption = None,
    last: LastOption = None,
    cutoff: CutoffOption = None,
    trades_at: TradesOption = None,
    trim: TrimOption = None,
    freq: FreqOption = None,
    scenario: ScenarioOption = None,
    as_csv: CsvOption = False,
    home: HomeOption = None,
    sets: SetOption = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print the sessions that pass; its help is set when it is mounted."""
    from openbell.app.almanac import kept_of

    asked = _scenario(
        product, scenario,
        {
            "filters": filters, "either": either or None, "first": some_date(first), "last": some_date(last),
            "cutoff": cutoff, "trades_at": trades_at, "trim": trim, "freq": freq,
        },
    )  # fmt: skip
    _one_form(as_csv, as_json)
    own, found = kept_of(open_home(home, sets, settings), asked)
    import polars as pl

    days = own.days.filter(pl.col("session").is_in(found.sessions.implode()))
    if as_csv:
        _print_csv(days)
    elif as_json:
        _tell_json(asked, found, days)
    else:
        _tell(asked, found, days)


def _tell_json(asked: Scenario, found: Kept, days: pl.DataFrame) -> None:
    from openbell.app.outputs import plain_rows

    print_json(
        {
            "scenario": asked.as_dict(), "text": asked.as_text(), "n": found.n, "of": found.of,
            "not_known": found.unknown, "trimmed": found.trimmed, "sufficient": found.sufficient,
            "filters": plain_rows(found.counts), "notes": list(found.notes),
            "sessions": [each.isoformat() for each in found.sessions], "days": plain_rows(days),
        }
    )  # fmt: skip


def _tell(asked: Scenario, found: Kept, days: pl.DataFrame) -> None:
    print(asked.words())
    if found.counts.height:
        print_table(found.counts, "Filters, each by itself")
    shown = ("session", "open", "high", "low", "close", "day_return_pct", "range_pct", "gap_pct", "relative_volume")
    more = f" (the first {_ROWS}; --csv has all)" if found.n > _ROWS else ""
    print_table(days.select(shown).head(_ROWS), f"{found.n:,} of {found.of:,} sessions{more}")
    for note in found.notes:
        print(note)


_STATS_HELP = """What a product did, on the sessions that pass the filters, and whether it is more than chance.

Statistics: {statistics}.

Every p is adjusted for how often you have looked at the product. Examples:

- `openbell almanac stats ES` by the hour
- `openbell almanac stats SPY -s weekday --first 2024-01-02 --last 2024-12-31`
- `openbell almanac stats ES -s survival -f 'previous direction=negative' -f 'gap direction=down percent=0.5'`
- `openbell almanac stats ES -s heatmap -f 'weekdays days=mon,fri' --csv > heat.csv`
- `openbell almanac stats ES --trades-at cut-off -f 'times a=10:00 b=09:30'`
- `openbell almanac stats QQQ -s correlation --against SPY --metric change_pct`
- `openbell almanac stats --scenario monday.json --zip monday.zip`

Kinds of filter (what is left out has a default):

{kinds}
"""
_FILTER_HELP = """The sessions that pass filters, what each filter passes by itself, and when each is known.

Examples:

- `openbell almanac filter ES -f 'weekdays days=mon' -f 'previous_percent condition=<= percent=-1'`
- `openbell almanac filter ES --any -f 'gap percent=0.5' -f 'gap direction=down percent=0.5'`
- `openbell almanac filter ES --trades-at cut-off -f 'relative_volume of=cut-off ratio=1.5'`
- `openbell almanac filter SPY -f 'events names=CPI,FOMC' --csv > days.csv`
- `openbell almanac filter SPY -f 'metric metric=prev_range_pct condition=> value=2 product=QQQ' --json`

Pre-open filters are known before the open, pre-cut-off ones by the cut-off, full-day ones only after the close: a
study that trades (`--trades-at`) refuses what it could not know.

Kinds of filter:

{kinds}
"""


class _Taught(TyperCommand):
    """A command whose help lists the kinds of filter; it is put together when shown, as it needs heavy imports."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help."""
        from openbell.research.almanac_scenario import STATISTICS

        self.help = (self.help or "").replace("{statistics}", ", ".join(STATISTICS)).replace("{kinds}", _kinds())
        super().format_help(ctx, formatter)


def mount(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        no_args_is_help=True,
        help="Statistics of the hours, days and highs of a product, on sessions chosen by filters.",
    )
    group.command("stats", cls=_Taught, help=_STATS_HELP)(stats)
    group.command("filter", cls=_Taught, help=_FILTER_HELP)(filter_sessions)
    app.add_typer(group, name="almanac")
