"""The controls of a scenario, and the cards of its filters with when each is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
from dash import dcc, html
from dash.development.base_component import Component

from openbell.app.lab import ui
from openbell.app.lab.almanac import form
from openbell.core.errors import OpenbellError
from openbell.research.almanac_filters import Filter, Parameter, filters_from, kinds, lateness, parameters
from openbell.research.almanac_metrics import Study
from openbell.research.almanac_scenario import Scenario

PARAMETER, REMOVE, GROUP, MARK = "almanac-value", "almanac-remove", "almanac-group", "almanac-mark"
_TONES = {"pre-open": "gain", "pre-cut-off": "live", "full-day": "warn"}
_ABOUT = {
    "pre-open": "known before the regular open",
    "pre-cut-off": "known by the cut-off",
    "full-day": "known only after the cut-off",
}


def controls(scenario: Scenario, products: pl.DataFrame) -> Component:
    """The fields of everything but the filters."""
    symbols = products["symbol"].unique(maintain_order=True).to_list()
    frames = products.filter(pl.col("symbol") == scenario.product)["freq"].to_list()
    first = _chosen("product", symbols, scenario.product)
    statistic = dcc.Dropdown(
        [{"value": name, "label": title} for name, title in form.STATISTIC_TITLES.items()], scenario.statistic,
        id="almanac-statistic", clearable=False,
    )  # fmt: skip
    trades = dcc.Dropdown(
        [{"value": name, "label": title} for name, title in form.TRADES_TITLES.items()], scenario.trades_at,
        id="almanac-trades_at", clearable=False,
    )  # fmt: skip
    metric = dcc.Dropdown(form.metric_options(), scenario.metric, id="almanac-metric", clearable=False)
    main = [
        ui.field("Product", first),
        ui.field("Statistic", statistic),
        ui.field("First session (empty: all)", _text("first", scenario.first, "2024-01-02")),
        ui.field("Last session, included", _text("last", scenario.last, "2024-12-31")),
    ]
    more = [
        ui.field("Cut-off, the product's clock", _text("cutoff", scenario.cutoff, "10:15")),
        ui.field("When the study trades", trades),
        ui.field("Metric compared", metric),
        ui.field("Cut off extremes, % at each end", _text("trim", f"{scenario.trim:g}", "5")),
        ui.field("Minutes of a bin", _text("bin", scenario.bin, "15")),
        ui.field("Bars", _chosen("freq", frames, scenario.freq, empty="the finest there are")),
        ui.field("Correlate with", _chosen("against", symbols, scenario.against, empty="no other product")),
    ]
    return html.Div([html.Div(main, className="fields"), html.Div(more, className="fields")], className="stack")


def _text(name: str, value: object, example: str) -> Component:
    shown = "" if value is None else str(value)
    return dcc.Input(id=f"almanac-{name}", value=shown, placeholder=example, debounce=True, autoComplete="off")


def _chosen(name: str, options: Sequence[str], value: str | None, *, empty: str | None = None) -> Component:
    listed = [*options, *([value] if value is not None and value not in options else [])]
    return dcc.Dropdown(listed, value, id=f"almanac-{name}", clearable=empty is not None, placeholder=empty or "")


def filter_cards(rows: Sequence[Mapping[str, Any]], join: str) -> list[Component]:
    """One card per filter of the form."""
    if not rows:
        return [html.P("No filter: every session of the span is kept.", className="note")]
    return [_card(place, row, join) for place, row in enumerate(rows)]


def _card(place: int, row: Mapping[str, Any], join: str) -> Component:
    fixed = row["kind"] == "group"
    title = "Group of filters" if fixed else kinds()[row["kind"]].TITLE
    head = html.Div(
        [
            html.H3(f"{place + 1}. {title}"),
            html.Button(
                "Remove", id={"type": REMOVE, "index": place}, n_clicks=0, className="quiet",
                **{"aria-label": f"Remove filter {place + 1}, {title}"},
            ),
        ],
        className="buttons",
    )  # fmt: skip
    known = html.Div(id={"type": MARK, "index": place}, role="status")
    if fixed:
        return html.Div([head, known, html.P(filters_from(row["values"]).words())], className="section")
    other = "and" if join == "or" else "or"
    letter = dcc.Dropdown(
        [{"value": each, "label": f"group {each}: joined by “{other}”"} for each in form.LETTERS], row.get("group"),
        id={"type": GROUP, "index": place}, placeholder="by itself",
    )  # fmt: skip
    fields = [
        ui.field(_label(name, asked), _control(place, name, asked, row["values"].get(name)))
        for name, asked in parameters(kinds()[row["kind"]]).items()
    ]
    controls = html.Div([*fields, ui.field("Stands", letter)], className="fields")
    return html.Div([head, known, controls], className="section")


def _label(name: str, asked: Parameter) -> str:
    label = asked.label if asked.kind != "names" else "releases, by commas"
    return label[:1].upper() + label[1:]


def _control(place: int, name: str, asked: Parameter, value: Any) -> Component:
    id = {"type": PARAMETER, "index": place, "name": name}
    if asked.kind in ("choice", "choices"):
        metric = name == "metric"
        options = [{"value": each, "label": form.word(each, metric=metric)} for each in asked.choices]
        return dcc.Dropdown(options, value, id=id, multi=asked.kind == "choices", clearable=False)
    shown = ", ".join(value) if isinstance(value, list | tuple) else value
    text = f"{shown:g}" if isinstance(shown, float) else "" if shown is None else str(shown)
    example = {"time": "10:00", "number": "0.5", "product": "the one studied"}.get(asked.kind, "CPI, FOMC")
    return dcc.Input(id=id, value=text, placeholder=example, debounce=True, autoComplete="off")


def mark(row: Mapping[str, Any], study: Study | None) -> Component:
    """When the answer of a filter is known, and whether a study that trades when this one does may use it."""
    try:
        made = filters_from(row["values"]) if row["kind"] == "group" else form.tree_of([row], "and").members[0]
        if study is None:
            return html.Span()
        each = [made] if isinstance(made, Filter) else list(getattr(made, "filters", lambda: [])())
        order = list(_TONES)
        known = max((one.known(study) for one in each), key=order.index, default="pre-open")
        late = " ".join(sentence for one in each if (sentence := lateness(one, study)))
    except OpenbellError as failure:
        return html.Span([html.Span("cannot be", className="badge loss"), f" {failure}"])
    badge = html.Span(known, className=f"badge {_TONES[known]}", title=_ABOUT[known])
    return html.Span([badge, html.Span(f" refused: {late}", className="loss") if late else f" {_ABOUT[known]}"])
