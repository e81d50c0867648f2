"""Evaluation: whether a training of any desk is evidence of anything, and what its models said, on what, how well."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl
from dash import Dash, Input, Output, State, dcc, html
from dash.development.base_component import Component

from openbell.app.lab import ui
from openbell.app.lab.figures import evaluation as figures
from openbell.app.lab.figures import training as fold_figures
from openbell.app.lab.grids import grid
from openbell.app.lab.looks import evaluation as looks
from openbell.app.lab.looks import evaluation_models as models
from openbell.app.lab.looks.evaluation_found import Evaluated
from openbell.app.lab.looks.training import folds, trained
from openbell.app.lab.page import Lab, Page
from openbell.app.lab.urls import QUERY, path
from openbell.core.errors import BadInput, DataMissing, OpenbellError
from openbell.core.session import NO_CALL

_VIEWS = {"likeliest": "the likeliest class", "win": "a win"}


def layout(lab: Lab, query: Mapping[str, str]) -> Component:
    """The page; `query` may name the ``desk``, the ``training`` (its plan or the first letters) and the ``model``."""
    home = lab.open_home()
    try:
        listed = looks.on_record(home)
    except DataMissing as missing:
        return html.Div(
            [
                ui.empty(str(missing), "openbell demo session"),
                html.Div(dcc.Link("Train a desk", href=path("training"), className="button"), className="buttons"),
            ]
        )
    said: list[Component] = []
    try:
        chosen = looks.chosen(listed, query.get("desk", ""), query.get("training", ""))
    except BadInput as failure:
        said, chosen = [html.P(str(failure), className="warn", role="status")], listed[0]
    options = [{"label": each.words, "value": each.key} for each in listed]
    return html.Div(
        [
            ui.section(
                "Which training",
                *said,
                ui.field(
                    f"Trainings and tournaments on record, the newest first ({len(listed)})",
                    dcc.Dropdown(options, chosen.key, id="evaluation-training", clearable=False),
                ),
            ),
            html.Div(_found(lab, chosen, query.get("model", "")), id="evaluation-found"),
        ]
    )


def _found(lab: Lab, listed: looks.Listed, model: str = "") -> list[Component]:
    """Everything about one training; what is of one model is below its choice."""
    home = lab.open_home()
    try:
        found = looks.evaluated(home, listed)
    except OpenbellError as failure:
        return [ui.empty(str(failure))]
    shown = model if model in found.models else found.shown
    asked = [html.P(f"There is no model `{model[:60]}` in this training.", className="warn")] if model and (
        model not in found.models) else []  # fmt: skip
    parts = [
        _verdict(found, listed),
        _scores(found),
        ui.section(
            "One model",
            *asked,
            html.Div(
                ui.field("Model", dcc.Dropdown(list(found.models), shown, id="evaluation-model", clearable=False)),
                className="fields",
            ),
            dcc.Loading(html.Div(id="evaluation-one", className="stack"), type="dot"),
            dcc.Loading(html.Div(id="evaluation-deep", className="stack"), type="dot"),
        ),
        _folds(lab, listed),
        *_extra(found),
        _lineage(found),
    ]
    if found.lacks:
        parts.append(ui.section("What this desk has no record of", html.Ul([html.Li(each) for each in found.lacks])))
    return [html.Div(parts, className="stack")]


def _verdict(found: Evaluated, listed: looks.Listed) -> Component:
    tried = f"{found.tries} {'try' if found.tries == 1 else 'tries'}"
    made_up = [html.P(["The data were made up: this says nothing about any real market. ",
                       html.Span(found.made_up, className="badge warn")])] if found.made_up else []  # fmt: skip
    why = html.Details([html.Summary(f"How it was tested ({tried} here)"), html.Ul([html.Li(x) for x in found.why])])
    notes = html.Details([html.Summary(f"{len(found.notes)} notes on the data and the walk"),
                          html.Ul([html.Li(each) for each in found.notes])])  # fmt: skip
    ways = [
        dcc.Link("Tournaments of this desk", href=path("tournament", desk=listed.desk), className="button"),
        dcc.Link("Back-tests", href=path("backtest", desk=listed.desk.partition(".")[0]), className="button"),
    ]
    return ui.section(
        f"{listed.desk}, {listed.kind} as of {listed.session}",
        html.P(found.head, className="headline"),
        html.P(found.rest),
        *made_up,
        *([why] if found.why else []),
        *([notes] if found.notes else []),
        html.Div(ways, className="buttons"),
    )


def _scores(found: Evaluated) -> Component:
    label = (
        f"{found.measure[0].upper()}{found.measure[1:]}, out of sample, with 95 % intervals of whole sessions "
        f"resampled; {found.chance}. Among {found.tries} tries"
        f"{'' if found.alpha is None else f', tested at {found.alpha:.1%} over all of them'}."
    )
    shown = found.scores.drop_nulls("score")
    drawn = ui.figure("evaluation-scores", figures.scores(shown, found.measure), label) if shown.height else ui.empty(
        "No model of this training has a score.")  # fmt: skip
    caption = "Each figure with its 95 % interval, beside what it has to beat and the n it rests on"
    return ui.section("What the models were worth", drawn, ui.table("evaluation-table", found.table, caption))


def _one(lab: Lab, listed: looks.Listed, name: str) -> list[Component]:
    """What one model said and what came, what it rests on, and whether it drifts."""
    home = lab.open_home()
    found = looks.evaluated(home, listed)
    if name not in found.models:
        raise BadInput(f"There is no model `{name[:60]}` in this training; there are {', '.join(found.models)}.")
    parts = [*_confusion(found, name), *_reliability(found, name), *_ics(found, name), *_weights(found, name)]
    return parts or [ui.note("Nothing more is on record of this model.")]


def _deep(lab: Lab, listed: looks.Listed, name: str) -> list[Component]:
    """What takes seconds: weights, reasons and drift of a model that the session desk saved; nothing of others."""
    return _weights_of_session(lab, listed, name) if listed.desk.partition(".")[0] == "session" else []


def _confusion(found: Evaluated, name: str) -> list[Component]:
    own = found.confusion.filter(pl.col("model") == name)
    drawn = []
    for rule in own["rule"].unique(maintain_order=True):
        part = own.filter(pl.col("rule") == rule)
        there = part["said"].unique().to_list()
        order = [*found.classes, NO_CALL, "left", "taken"]
        words = [*(each for each in order if each in there), *sorted(set(there) - set(order))]
        label = (
            f"By the {rule}: the count of each cell and its share of the row; n = {part['n'].sum():,} out of sample."
        )
        figure = figures.confusion(part, found.classes, words)
        drawn.append(ui.figure(f"evaluation-confusion-{rule.split()[0]}", figure, label))
    return [html.H3("What was said and what happened"), _side_by_side(drawn)] if drawn else []


def _reliability(found: Evaluated, name: str) -> list[Component]:
    own = found.reliability.filter(pl.col("model") == name)
    drawn = []
    for of in own["of"].unique(maintain_order=True):
        part, base = own.filter(pl.col("of") == of), found.base.get((name, of))
        words = _VIEWS.get(of, of)
        beside = "" if base is None else f" The base rate is {base:.1%}."
        label = (
            f"Calibration of {words}: on the line what was said came as often as said. The number above a point is its "
            f"n, {part['n'].sum():,} in all; hollow below {figures.FEW}; bars are 95 % intervals.{beside}"
        )
        figure = figures.reliability(part, words, base)
        drawn.append(ui.figure(f"evaluation-reliability-{of.lower()}", figure, label))
    return [html.H3("Calibration"), _side_by_side(drawn)] if drawn else []


def _ics(found: Evaluated, name: str) -> list[Component]:
    if found.ics is None or name not in found.ics.columns:
        return []
    label = f"Rank IC of {name} at each decision session, out of sample; n = {found.ics[name].drop_nulls().len():,}."
    return [html.H3("Information coefficient over time"),
            ui.figure("evaluation-ics", figures.ics(found.ics, name), label)]  # fmt: skip


def _weights(found: Evaluated, name: str) -> list[Component]:
    own = found.importance.filter((pl.col("model") == name) & (pl.col("importance") > 0))
    if own.is_empty():
        return []
    label = f"The {min(own.height, figures.MOST)} heaviest of {own.height} features that weigh anything in {name}."
    return [html.H3("What it rests on"),
            ui.figure("evaluation-importance", figures.importance(own, found.weight), label)]  # fmt: skip


def _weights_of_session(lab: Lab, listed: looks.Listed, name: str) -> list[Component]:
    """Weights, the explanation of one decision, and the drift watch: of the models that the session desk saves."""
    from openbell.research.session_models import BASE_RATE

    home = lab.open_home()
    folder = trained(home, listed.desk, listed.training).folder
    drift = _drift(lab, listed, name)
    if name == BASE_RATE:
        return [ui.note("The base rates look at no feature, so there is nothing to weigh or to explain."), *drift]
    try:
        own, measure = models.importance(folder, name)
        cloud = models.contributions(folder, name)
    except OpenbellError as failure:
        return [ui.note(f"What each feature adds is not shown: {failure}"), *drift]
    heavy = own.filter(pl.col("importance") > 0)["feature"].to_list()
    drawn = []
    if heavy:
        label = f"How heavy each feature is in {name} as it was fitted on everything: {measure}."
        drawn.append(ui.figure("evaluation-importance", figures.importance(own, measure), label))
        label = (
            "Each point is a session: how far the feature moved the forecast, and whether its value was high or low."
        )
        drawn.append(ui.figure("evaluation-summary", figures.summary(cloud, heavy, measure.rpartition(", ")[2]), label))
    days = [str(each) for each in models.decisions(folder, name)]
    chosen = dcc.Dropdown(days, days[0] if days else None, id="evaluation-decision", clearable=False)
    return [
        html.H3("What it rests on"),
        _side_by_side(drawn),
        html.H3("Why one decision was what it was"),
        html.Div(ui.field(f"Decision of the walk ({len(days):,})", chosen), className="fields"),
        html.Div(id="evaluation-reasons", className="stack"),
        *drift,
    ]


def _side_by_side(drawn: list[Component]) -> Component:
    """Figures beside each other, each as high as it is; one alone takes the whole width."""
    return html.Div(drawn, className="columns", style={"alignItems": "start"})


def _reasons(lab: Lab, listed: looks.Listed, name: str, session: str) -> list[Component]:
    folder = trained(lab.open_home(), listed.desk, listed.training).folder
    try:
        found = models.why(folder, name, session)
    except DataMissing as missing:
        return [ui.note(str(missing))]
    label = (
        f"The {min(models.DRAWN, found.rows.height)} of {found.rows.height} features that moved it most, for or "
        f"against {found.of}; all of them and the base {found.base:+.4f} sum to what it says, before it is calibrated."
    )
    return [
        html.P(f"In its walk it said {found.said}. What came: {found.came}."),
        ui.figure("evaluation-why", figures.reasons(found.rows.head(models.DRAWN), found.of, found.unit), label),
        html.Ul([html.Li(each) for each in found.reasons]),
        ui.note(
            "The walk's own models are not kept: this is the model of this training, which was fitted on all sessions, "
            "this one among them. It tells what moves it, not how well it foretold."
        ),
    ]


def _drift(lab: Lab, listed: looks.Listed, name: str) -> list[Component]:
    home = lab.open_home()
    head = html.H3("Drift")
    try:
        found = models.watched(home, trained(home, listed.desk, listed.training).folder, name)
    except DataMissing as missing:
        return [head, ui.note(str(missing))]
    it = found.watch.alarm
    drawn = [
        ui.figure(
            f"evaluation-drift-{score}",
            figures.drift(found.rolling, score, limit=limit, whole=whole, window=it.window),
            f"{title} of the last {it.window} sessions at each session of the walk; n = {it.n:,}. {rings}",
        )
        for score, title, limit, whole, rings in (
            ("log_loss", "Log-loss", it.loss_limit, it.loss, "It rings above the alarm limit."),
            ("auc", "AUC", it.auc_limit, it.auc, "It rings below the alarm limit; chance is 0.5."),
        )
    ]
    rung = int(found.rolling["rings"].sum()) if found.rolling.height else 0
    said = ui.note(
        f"The limits were set by these very sessions, {rung} of which are beyond one: that is no test. They watch the "
        "sessions after the walk."
    )
    return [head, _side_by_side(drawn), html.Ul([html.Li(each) for each in found.lines]), said]


def _folds(lab: Lab, listed: looks.Listed) -> Component:
    title = "Fold by fold"
    try:
        found = folds(lab.open_home(), listed.desk, listed.training)
    except OpenbellError as failure:
        return ui.section(title, ui.note(str(failure)))
    if found.rows.is_empty():
        return ui.section(title, ui.note("No fold has a forecast with a known outcome."))
    label = (
        f"{found.about} Bars are 95 % intervals of whole sessions resampled; a fold without one has too few of them."
    )
    shown = found.rows.with_columns(fold=pl.col("fold").cast(pl.String))
    table = ui.table("evaluation-folds-table", shown, found.measure, numbers=("n", "score", "low", "high"))
    return ui.section(
        title,
        ui.figure("evaluation-folds", fold_figures.folds(found.rows, found.measure), label),
        html.Details([html.Summary("The same as a table"), table]),
    )


def _extra(found: Evaluated) -> list[Component]:
    return [
        ui.section(caption[0].upper() + caption[1:], ui.table(f"evaluation-extra-{at}", rows, caption))
        for at, (caption, rows) in enumerate(found.extra.items())
        if rows.height
    ]


def _lineage(found: Evaluated) -> Component:
    made = pl.DataFrame({"of": list(found.made_of), "hash": list(found.made_of.values())})
    parts: list[Component] = []
    if found.lineage is not None and found.lineage.height:
        caption = f"{found.lineage.height} features: what each reads, and how many rows it looks back on"
        parts.append(grid("evaluation-lineage", found.lineage, caption, filters=True))
    hashes = ui.table("evaluation-made-of", made, "Hashes of everything that it was made of")
    return ui.section("Lineage", *parts, html.Details([html.Summary(f"{made.height} hashes"), hashes]))


def register(app: Dash, lab: Lab) -> None:
    """Callbacks of the page."""

    def listed_of(key: str | None) -> looks.Listed:
        desk, _, training = str(key or "").partition("|")
        return looks.chosen(looks.on_record(lab.open_home()), desk, training)

    @app.callback(
        Output("evaluation-found", "children"), Input("evaluation-training", "value"), prevent_initial_call=True
    )
    def show(key: str | None) -> list[Component]:
        return _found(lab, listed_of(key))

    @app.callback(
        Output("evaluation-one", "children"),
        Output(QUERY, "data", allow_duplicate=True),
        Input("evaluation-model", "value"),
        State("evaluation-training", "value"),
        prevent_initial_call="initial_duplicate",
    )
    def show_model(name: str, key: str | None) -> tuple[list[Component], dict[str, Any]]:
        listed = listed_of(key)
        return _one(lab, listed, name), {"desk": listed.desk, "training": listed.training[:16], "model": name}

    @app.callback(
        Output("evaluation-deep", "children"), Input("evaluation-model", "value"), State("evaluation-training", "value")
    )
    def show_deep(name: str, key: str | None) -> list[Component]:
        return _deep(lab, listed_of(key), name)

    @app.callback(
        Output("evaluation-reasons", "children"),
        Input("evaluation-decision", "value"),
        State("evaluation-model", "value"),
        State("evaluation-training", "value"),
    )
    def show_reasons(session: str | None, name: str, key: str | None) -> list[Component]:
        return [] if not session else _reasons(lab, listed_of(key), name, session)


PAGE = Page(
    "evaluation",
    "Evaluation",
    32,
    "Whether a training is evidence of anything: every score beside its base rate, its n, its interval and its tries.",
    layout,
    register,
)
