"""Features: every one that is declared, its lineage, how its values lie, what it weighs, and whether it is proven."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl
from dash import Dash, Input, Output, State, dcc, html
from dash.development.base_component import Component
from dash.exceptions import PreventUpdate

from openbell.app.lab import ui
from openbell.app.lab.figures import features as figures
from openbell.app.lab.grids import grid
from openbell.app.lab.looks import features as looks
from openbell.app.lab.page import Lab, Page
from openbell.app.lab.urls import QUERY, path
from openbell.app.lab.who import who
from openbell.core.declare import Feature

_TITLES = {"feature": "feature", "desks": "read by", "lookback": "look-back, rows", "about": "what it is"}
_QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
_ANY = "all"


def layout(lab: Lab, query: Mapping[str, str]) -> Component:
    """The page; `query` may name a ``family`` and the ``feature`` that is shown."""
    home = lab.open_home()
    every = looks.declared(home)
    families = [_ANY, *every["family"].unique().sort().to_list()]
    family = query.get("family", _ANY)
    family = family if family in families else _ANY
    name = query.get("feature") or every["feature"][0]
    shown = every["feature"].to_list()
    return html.Div(
        [
            ui.section("Proofs", *_proofs(lab)),
            ui.section(
                "Declared features",
                html.Div(
                    ui.field("Family", dcc.Dropdown(families, family, id="features-family", clearable=False)),
                    className="fields",
                ),
                html.Div(_table(every, family), id="features-table"),
            ),
            ui.section(
                "One feature",
                html.Div(
                    ui.field("Feature", dcc.Dropdown(shown, name, id="features-name", clearable=False)),
                    className="fields",
                ),
                dcc.Loading(html.Div(id="features-one"), type="dot"),
            ),
        ]
    )


def _proofs(lab: Lab) -> list[Component]:
    """The last audit, and the button that holds another in the background."""
    found = looks.proof(lab.open_home())
    start = html.Div(
        [
            html.Button("Prove them all now", id="features-prove", n_clicks=0),
            html.Span(id="features-asked", role="status"),
        ],
        className="buttons",
    )
    about = ui.note(
        "The future is removed at several moments and every feature computed again: no value before may change. "
        "Then from its declared look-back alone. It is what openbell audit features does."
    )
    if found is None:
        return [ui.empty("No audit is on record here yet.", "openbell audit features"), about, start]
    failed = [html.Li([html.Strong(name), ": ", why]) for name, why in found.failed.items()]
    cards = {
        "Proven causal": (f"{len(found.proven)}", f"at {found.cuts} moments, {found.at:%Y-%m-%d %H:%M} UTC"),
        "Failed": (f"{len(found.failed)}", "a training that reads one is refused" if failed else "none"),
        "Switched off": (f"{len(found.off)}", "the data lack what they read"),
    }
    return [ui.cards(cards), *([html.Ul(failed)] if failed else []), about, start]


def _table(every: pl.DataFrame, family: str) -> Component:
    rows = every if family == _ANY else every.filter(pl.col("family") == family)
    caption = f"{rows.height} features; choose one to see it below. A look-back counts rows, its own included."
    return grid("features-rows", rows, caption, titles=_TITLES, key="feature", wide=("about",), filters=True)


def _shown(lab: Lab, name: str) -> list[Component]:
    home = lab.open_home()
    feature = looks.one(home, name)
    word, tone = looks.badge(looks.proof(home), feature)
    found = looks.values(home, feature)
    weighed = looks.importance(home, feature)
    return [
        html.P([html.Code(feature.name), " ", html.Span(word, className=f"badge {tone}")]),
        html.Div([html.P(each) for each in _paragraphs(feature)]),
        *_lineage(lab, feature),
        *_values(feature, found),
        *_weight(feature, weighed),
        html.Details(
            [html.Summary("Its expression"), html.Pre(html.Code(str(feature.expression)), tabIndex=0, className="log")]
        ),
    ]


def _paragraphs(feature: Feature) -> list[str]:
    parts = [" ".join(each.split()) for each in feature.doc.split("\n\n")]
    return [each.replace("References ---------- ", "Reference: ") for each in parts if each]


def _lineage(lab: Lab, feature: Feature) -> list[Component]:
    """What it reads, and for a session's feature the moment it was known in the newest training."""
    from openbell.quant.reach import lookback

    read = ", ".join(sorted(set(feature.expression.meta.root_names()))) or "the calendar"
    rows = [
        ("family", feature.family.replace("_", " ")),
        ("reads", looks.READS.get(feature.reads, feature.reads)),
        ("columns", read),
        ("unit", feature.unit),
        ("look-back", f"{lookback(feature):,} rows, its own included"),
    ]
    if feature.reads in ("early", "session"):
        training = looks.newest_session(lab.open_home())
        lines = None if training is None else training.evidence("lineage").filter(pl.col("feature") == feature.name)
        if lines is not None and lines.height:
            line = lines.row(0, named=True)
            known = "always" if line["as_of"] is None else f"{line['as_of']:%Y-%m-%d %H:%M} UTC in its last session"
            rows += [("source", line["source"]), ("as of", known)]
    frame = pl.DataFrame(rows, schema=["what", "of this feature"], orient="row")
    return [ui.table("features-lineage", frame, f"Lineage of {feature.name}")]


def _values(feature: Feature, found: looks.Values) -> list[Component]:
    if found.values.is_empty():
        return [ui.empty(found.of)]
    label = f"Values of {feature.name}: {found.of}; n = {found.values.len():,}, {found.nulls:,} without a value."
    quantiles = {f"{each:.0%}": [found.values.quantile(each, "linear")] for each in _QUANTILES}
    table = pl.DataFrame({"n": [f"{found.values.len():,}"], "mean": [found.values.mean()], **quantiles})
    return [
        ui.figure("features-distribution", figures.distribution(found.values, feature.unit), label),
        ui.table("features-quantiles", table, "Mean and quantiles", numbers=table.columns),
    ]


def _weight(feature: Feature, weighed: pl.DataFrame) -> list[Component]:
    if weighed.is_empty():
        return [ui.note("No newest training that measured importance has it among its features.")]
    shown = weighed.with_columns((100.0 * pl.col("weight")).round(2).alias("share of all, %")).drop("weight")
    caption = f"What {feature.name} weighs in the newest trainings: mean size of what it added, as a share of all"
    return [ui.table("features-weight", shown, caption, numbers=("rank", "of", "share of all, %"))]


def register(app: Dash, lab: Lab) -> None:
    """Callbacks of the page."""

    @app.callback(Output("features-table", "children"), Input("features-family", "value"), prevent_initial_call=True)
    def narrowed(family: str) -> Component:
        return _table(looks.declared(lab.open_home()), family)

    @app.callback(Output("features-name", "value"), Input("features-rows", "selectedRows"), prevent_initial_call=True)
    def chosen(rows: list[Mapping[str, Any]] | None) -> str:
        if not rows:
            raise PreventUpdate
        return str(rows[0]["feature"])

    @app.callback(
        Output("features-one", "children"),
        Output(QUERY, "data", allow_duplicate=True),
        Input("features-name", "value"),
        State("features-family", "value"),
        prevent_initial_call="initial_duplicate",
    )
    def one(name: str, family: str) -> tuple[list[Component], dict[str, str]]:
        return _shown(lab, name), {"feature": name, **({} if family == _ANY else {"family": family})}

    @app.callback(Output("features-asked", "children"), Input("features-prove", "n_clicks"), prevent_initial_call=True)
    def prove(clicks: int | None) -> Any:
        if not clicks:
            raise PreventUpdate
        job = lab.jobs.ask("audit_features", {}, by=who())
        return ["Asked for: ", dcc.Link(f"watch job {job.id}", href=path("training", job=job.id)), "."]


PAGE = Page(
    "features",
    "Features",
    20,
    "What the models are shown: where it comes from, how its values lie, and whether it is proven causal.",
    layout,
    register,
)
