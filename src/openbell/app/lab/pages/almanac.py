"""The almanac: a scenario is built of filters, looked at, kept, shared and exported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dash import ALL, ClientsideFunction, Dash, Input, Output, State, ctx, dcc, html, no_update
from dash.development.base_component import Component

from openbell.app.almanac import Look, asked_study, look, stored_products
from openbell.app.lab import errors, ui
from openbell.app.lab.almanac import builder, charts, form, help, keeping
from openbell.app.lab.page import Lab, Page
from openbell.app.lab.urls import QUERY
from openbell.app.lab.who import who
from openbell.core.errors import BadInput, DataMissing, OpenbellError
from openbell.research.almanac_filters import kinds
from openbell.research.almanac_scenario import Scenario, scenario_from, scenario_from_text

_VALUE = {"type": builder.PARAMETER, "index": ALL, "name": ALL}
_GROUP = {"type": builder.GROUP, "index": ALL}
#: Every control of the form, in the order of `form.CONTROLS`.
_CONTROLS = [(f"almanac-{name}", "value") for name in form.CONTROLS]
_WHOLE = [
    *(State(*each) for each in _CONTROLS),
    State("almanac-join", "value"),
    State("almanac-rows", "data"),
    State(_VALUE, "value"),
    State(_VALUE, "id"),
    State(_GROUP, "value"),
    State(_GROUP, "id"),
]


def layout(lab: Lab, query: Mapping[str, str]) -> Component:
    """The page at the scenario of `query`: ``s`` is its text, ``preset`` a name."""
    try:
        products = stored_products(lab.open_home())
    except DataMissing as missing:
        return ui.empty(str(missing), "openbell data import minutes ES_1min.csv --product ES")
    said = None
    try:
        scenario = _asked(lab, query)
    except OpenbellError as failure:
        scenario, said = None, str(failure)
    if scenario is None:
        scenario = Scenario(str(products["symbol"][0]))
    elif scenario.product not in products["symbol"]:
        said = f"There are no bars of {scenario.product} here; import some, or choose another product."
    return html.Div(
        [
            *([html.P(said, className="empty", role="alert", id="almanac-said")] if said else []),
            html.Div(_body(lab, scenario, products), id="almanac-body", className="stack"),
            help.dialog(),
        ]
    )


def _asked(lab: Lab, query: Mapping[str, str]) -> Scenario | None:
    if query.get("s"):
        return scenario_from_text(query["s"])
    if query.get("preset"):
        return keeping.scenario_in(lab.presets.load(keeping.KIND, query["preset"]))
    return None


def _body(lab: Lab, scenario: Scenario, products: Any) -> list[Component]:
    rows = form.entries(scenario.filters)
    join = scenario.filters.join
    return [
        ui.section("Scenario", builder.controls(scenario, products)),
        ui.section(
            "Filters",
            html.Div([_join(join), _adding()], className="fields"),
            html.Div(builder.filter_cards(rows, join), id="almanac-filters", className="stack"),
            html.Div(_ways(), className="buttons"),
            html.P(id="almanac-told", role="status", className="note"),
        ),
        _looks(scenario),
        html.Details([html.Summary("Presets"), _presets(lab)], open=False),
        dcc.Loading(html.Div(id="almanac-results"), type="dot", delay_show=300),
        dcc.Store(id="almanac-rows", data=rows),
        dcc.Store(id="almanac-asked", data=scenario.as_dict()),
        dcc.Store(id="almanac-version", data={}),
        dcc.Store(id="almanac-images"),
        dcc.Download(id="almanac-download"),
    ]


def _join(join: str) -> Component:
    options = [{"value": "and", "label": "all of them"}, {"value": "or", "label": "one of them"}]
    return ui.field("A session passes", dcc.Dropdown(options, join, id="almanac-join", clearable=False))


def _adding() -> Component:
    options = [{"value": name, "label": kind.TITLE} for name, kind in kinds().items()]
    return ui.field("Add a filter", dcc.Dropdown(options, None, id="almanac-kind", placeholder="choose one"))


def _ways() -> list[Component]:
    def button(name: str, text: str, kind: str = "") -> Component:
        return html.Button(text, id=f"almanac-{name}", n_clicks=0, type="button", className=kind)

    return [
        button("show", "Show", "primary"),
        button("link", "Copy link"),
        button("csv", "CSV"),
        button("zip", "ZIP"),
        button("png", "PNG"),
        button("help-open", "Help (?)"),
    ]


def _looks(scenario: Scenario) -> Component:
    """What changes the charts and is no new look."""
    measure = [{"value": name, "label": word} for name, word in charts.MEASURES.items()]
    shape = [{"value": name, "label": word} for name, word in charts.SHAPES.items()]
    fields = [
        ui.field("Average", dcc.Dropdown(measure, "mean", id="almanac-measure", clearable=False)),
        ui.field("Drawn as", dcc.Dropdown(shape, "bar", id="almanac-shape", clearable=False)),
    ]
    return html.Div(fields, id="almanac-drawing", className="fields", style=_shown(charts.patterned(scenario)))


def _shown(whether: bool) -> dict[str, str]:
    return {} if whether else {"display": "none"}


def _presets(lab: Lab) -> Component:
    name = dcc.Input(id="almanac-preset-name", value="", placeholder="mondays after a fall", maxLength=60)
    kept = dcc.Dropdown(lab.presets.names(keeping.KIND), None, id="almanac-preset", placeholder="choose one")
    upload = ui.upload("almanac-upload", "Import a file", lab.open_home().settings.lab.max_upload_bytes)
    return ui.section(
        "Presets",
        html.Div([ui.field("Name", name), ui.field("Kept", kept)], className="fields"),
        html.Div(
            [
                html.Button("Save", id="almanac-save", n_clicks=0, type="button"),
                html.Button("Load", id="almanac-load", n_clicks=0, type="button"),
                html.Button("Export", id="almanac-export", n_clicks=0, type="button"),
                html.Button("Delete", id="almanac-delete", n_clicks=0, type="button", className="danger"),
                upload,
            ],
            className="buttons",
        ),
        html.P(id="almanac-preset-told", role="status", className="note"),
        dcc.ConfirmDialog(id="almanac-sure"),
    )


def _rows(
    stored: Any, values: Sequence[Any], ids: Sequence[Any], groups: Sequence[Any], of: Sequence[Any]
) -> list[Any]:
    """The filters of the form as they stand in its controls."""
    rows = [{**row, "values": dict(row["values"])} for row in stored or []]
    for value, id in zip(values, ids, strict=True):
        rows[id["index"]]["values"][id["name"]] = value
    for letter, id in zip(groups, of, strict=True):
        rows[id["index"]]["group"] = letter
    return rows


def _scenario(whole: Sequence[Any]) -> Scenario:
    """The scenario out of the values of `_WHOLE`."""
    plain, (join, stored, values, ids, groups, of) = whole[: len(_CONTROLS)], whole[len(_CONTROLS) :]
    named = dict(zip(form.CONTROLS, plain, strict=True))
    return form.scenario_of(named, _rows(stored, values, ids, groups, of), join)


def _found(lab: Lab, asked: Any) -> Look:
    return look(lab.open_home(), scenario_from(asked))


def register(app: Dash, lab: Lab) -> None:
    """Add the callbacks."""
    _register_filters(app, lab)
    _register_looks(app, lab)
    _register_presets(app, lab)
    _register_exports(app, lab)


def _register_filters(app: Dash, lab: Lab) -> None:
    @app.callback(
        Output("almanac-filters", "children"),
        Output("almanac-rows", "data"),
        Output("almanac-kind", "value"),
        Input("almanac-kind", "value"),
        Input({"type": builder.REMOVE, "index": ALL}, "n_clicks"),
        Input("almanac-join", "value"),
        State("almanac-rows", "data"),
        State(_VALUE, "value"),
        State(_VALUE, "id"),
        State(_GROUP, "value"),
        State(_GROUP, "id"),
        prevent_initial_call=True,
    )
    def change(kind: str | None, clicks: list[int], join: str, *stands: Any) -> Any:
        rows, by = _rows(*stands), ctx.triggered_id
        if by == "almanac-kind":
            if not kind:
                return no_update, no_update, no_update
            rows.append(form.new_entry(kind))
        elif isinstance(by, Mapping):
            if not any(clicks):
                return no_update, no_update, no_update
            del rows[by["index"]]
        return builder.filter_cards(rows, join), rows, None

    @app.callback(
        Output({"type": builder.MARK, "index": ALL}, "children"),
        Input("almanac-rows", "data"),
        Input(_VALUE, "value"),
        Input("almanac-cutoff", "value"),
        Input("almanac-trades_at", "value"),
        Input("almanac-product", "value"),
        State("almanac-freq", "value"),
        State(_VALUE, "id"),
        State(_GROUP, "value"),
        State(_GROUP, "id"),
        State({"type": builder.MARK, "index": ALL}, "id"),
    )
    def mark(stored: Any, values: Any, cutoff: str, trades: str, product: str, freq: str, *more: Any) -> Any:
        ids, groups, of, marks = more
        rows = [{**row, "group": None} for row in _rows(stored, values, ids, groups, of)]
        named = {"product": product, "cutoff": cutoff, "trades_at": trades, "freq": freq}
        try:
            study = asked_study(lab.open_home(), form.scenario_of(named, [], "and"), _products_of(rows))
        except OpenbellError:
            study = None  # what is wrong is said when the scenario is shown
        return [builder.mark(rows[each["index"]], study) for each in marks if each["index"] < len(rows)]


def _products_of(rows: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Other products that the filters of the form ask about."""
    named = (row["values"].get("product") for row in rows if row["kind"] == "metric")
    return tuple(sorted({each.strip() for each in named if isinstance(each, str) and each.strip()}))


def _register_looks(app: Dash, lab: Lab) -> None:
    @app.callback(
        Output("almanac-asked", "data"),
        Output(QUERY, "data", allow_duplicate=True),
        Output("almanac-drawing", "style"),
        Output(errors.ALERT, "children", allow_duplicate=True),
        Input("almanac-show", "n_clicks"),
        *_WHOLE,
        prevent_initial_call=True,
    )
    def show(clicks: int, *whole: Any) -> Any:
        if not clicks:
            return no_update, no_update, no_update, no_update
        scenario = _scenario(whole)
        return scenario.as_dict(), {"s": scenario.as_text()}, _shown(charts.patterned(scenario)), ""

    @app.callback(
        Output("almanac-results", "children"),
        Input("almanac-asked", "data"),
        Input("almanac-measure", "value"),
        Input("almanac-shape", "value"),
    )
    def show_look(asked: Any, measure: str, shape: str) -> Component:
        try:
            return charts.shown(_found(lab, asked), measure, shape)
        except OpenbellError as refused:
            return ui.empty(str(refused))

    app.clientside_callback(
        ClientsideFunction("almanac", "link"),
        Output("almanac-told", "children"),
        Input("almanac-link", "n_clicks"),
        prevent_initial_call=True,
    )
    app.clientside_callback(
        ClientsideFunction("almanac", "png"),
        Output("almanac-told", "children", allow_duplicate=True),
        Input("almanac-png", "n_clicks"),
        prevent_initial_call=True,
    )
    app.clientside_callback(
        ClientsideFunction("almanac", "images"),
        Output("almanac-images", "data"),
        Input("almanac-zip", "n_clicks"),
        prevent_initial_call=True,
    )


def _register_presets(app: Dash, lab: Lab) -> None:
    @app.callback(
        Output("almanac-preset-told", "children"),
        Output("almanac-preset", "options"),
        Output("almanac-preset", "value"),
        Output("almanac-version", "data"),
        Input("almanac-save", "n_clicks"),
        State("almanac-preset-name", "value"),
        State("almanac-version", "data"),
        *_WHOLE,
        prevent_initial_call=True,
    )
    def save(clicks: int, name: str, versions: dict[str, int], *whole: Any) -> Any:
        if not clicks:
            return (no_update,) * 4
        expected = versions.get((name or "").strip())
        done = keeping.save(lab.presets, name, _scenario(whole), by=who(), at=lab.now(), expected=expected)
        told = f"Kept as “{done.name}”, version {done.version}."
        return told, lab.presets.names(keeping.KIND), done.name, {**versions, done.name: done.version}

    @app.callback(
        Output("almanac-body", "children"),
        Output(QUERY, "data", allow_duplicate=True),
        Input("almanac-load", "n_clicks"),
        State("almanac-preset", "value"),
        prevent_initial_call=True,
    )
    def load(clicks: int, name: str | None) -> Any:
        if not clicks:
            return no_update, no_update
        preset = lab.presets.load(keeping.KIND, _chosen(name))
        scenario = keeping.scenario_in(preset)
        body = _body(lab, scenario, stored_products(lab.open_home()))
        return _remembering(body, preset.name, preset.version), {"s": scenario.as_text()}

    @app.callback(
        Output("almanac-sure", "displayed"),
        Output("almanac-sure", "message"),
        Input("almanac-delete", "n_clicks"),
        State("almanac-preset", "value"),
        prevent_initial_call=True,
    )
    def ask(clicks: int, name: str | None) -> Any:
        return (True, f"Take the preset “{_chosen(name)}” off the list?") if clicks else (no_update, no_update)

    @app.callback(
        Output("almanac-preset-told", "children", allow_duplicate=True),
        Output("almanac-preset", "options", allow_duplicate=True),
        Output("almanac-preset", "value", allow_duplicate=True),
        Input("almanac-sure", "submit_n_clicks"),
        State("almanac-preset", "value"),
        prevent_initial_call=True,
    )
    def delete(clicks: int | None, name: str | None) -> Any:
        if not clicks:
            return no_update, no_update, no_update
        lab.presets.delete(keeping.KIND, _chosen(name), by=who(), at=lab.now())
        return f"“{name}” is off the list.", lab.presets.names(keeping.KIND), None

    @app.callback(
        Output("almanac-preset-told", "children", allow_duplicate=True),
        Output("almanac-preset", "options", allow_duplicate=True),
        Output("almanac-preset", "value", allow_duplicate=True),
        Output("almanac-upload", "contents"),
        Input("almanac-upload", "contents"),
        prevent_initial_call=True,
    )
    def take(contents: str | None) -> Any:
        if not contents:
            return (no_update,) * 4
        most = lab.open_home().settings.lab.max_upload_bytes
        done = keeping.imported(lab.presets, contents, most, by=who(), at=lab.now())
        return f"Kept as “{done.name}”. Load shows it.", lab.presets.names(keeping.KIND), done.name, None


def _chosen(name: str | None) -> str:
    if not name:
        raise BadInput("Choose one of the presets that are kept first.")
    return name


def _remembering(body: list[Component], name: str, version: int) -> list[Component]:
    """`body` of a preset that was loaded: saved again, it is the next version of it."""
    for each in body:
        if getattr(each, "id", None) == "almanac-version":
            each.data = {name: version}
    return body


def _register_exports(app: Dash, lab: Lab) -> None:
    @app.callback(
        Output("almanac-download", "data"),
        Input("almanac-csv", "n_clicks"),
        State("almanac-asked", "data"),
        prevent_initial_call=True,
    )
    def export_csv(clicks: int, asked: Any) -> Any:
        if not clicks:
            return no_update
        found = _found(lab, asked)
        return dcc.send_string(keeping.main_csv(found), keeping.file_name(found.scenario, "csv"), type="text/csv")

    @app.callback(
        Output("almanac-download", "data", allow_duplicate=True),
        Input("almanac-images", "data"),
        State("almanac-asked", "data"),
        prevent_initial_call=True,
    )
    def export_zip(made: Any, asked: Any) -> Any:
        if not isinstance(made, Mapping):
            return no_update
        found = _found(lab, asked)
        return dcc.send_bytes(
            keeping.whole_zip(found, made.get("images") or []), keeping.file_name(found.scenario, "zip")
        )

    @app.callback(
        Output("almanac-download", "data", allow_duplicate=True),
        Input("almanac-export", "n_clicks"),
        State("almanac-preset", "value"),
        prevent_initial_call=True,
    )
    def export_preset(clicks: int, name: str | None) -> Any:
        if not clicks:
            return no_update
        text = lab.presets.exported(keeping.KIND, _chosen(name))
        return dcc.send_string(text, "almanac-preset.json", type="application/json")


PAGE = Page(
    name="almanac",
    title="Almanac",
    order=60,
    about="What a product did by hour, weekday and month, on sessions that you choose, and whether it is chance.",
    layout=layout,
    register=register,
)
