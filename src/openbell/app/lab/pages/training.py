"""Training: what a desk learns from, a job that trains it in the background, and what came of it fold by fold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
from dash import ALL, Dash, Input, Output, State, ctx, dcc, html, no_update
from dash.development.base_component import Component
from dash.exceptions import PreventUpdate

from openbell.app.lab import ui
from openbell.app.lab.figures import training as figures
from openbell.app.lab.jobs import title_of
from openbell.app.lab.looks import training as looks
from openbell.app.lab.page import Lab, Page
from openbell.app.lab.urls import QUERY, path
from openbell.app.lab.who import who
from openbell.core.errors import DataMissing, OpenbellError
from openbell.store.jobs import Job

#: How often a job that runs is looked at, and how many of the last ones are listed.
LOOK_MS, LISTED = 1_000, 20
_TONES = {"done": "gain", "failed": "loss", "lost": "warn", "running": "live"}
_SETTING, _AGAIN, _CANCEL, _WATCH = "training-setting", "training-again", "training-cancel", "training-watch"


def layout(lab: Lab, query: Mapping[str, str]) -> Component:
    """The page; `query` may name the ``desk`` and the ``job`` that is watched."""
    desks = looks.desks(lab.open_home())
    chosen = query.get("desk", "")
    desk = chosen if chosen in desks else next(iter(desks))
    options = [{"label": each.kind.title, "value": name} for name, each in desks.items()]
    return html.Div(
        [
            ui.section(
                "Start a training",
                ui.field("Desk", dcc.Dropdown(options, desk, id="training-desk", clearable=False)),
                html.Div(_form(desks[desk]), id="training-form", className="stack"),
                html.Div(html.Button("Start training", id="training-start", className="primary"), className="buttons"),
                ui.note(
                    "It runs in the background, on what was known before the session: close this page, come back "
                    "later. Nobody is put in office by it; a tournament does that."
                ),
            ),
            html.Div(id="training-watched"),
            ui.section("Jobs", html.Div(_jobs(lab.jobs.newest(LISTED)), id="training-jobs")),
            ui.section("What is stored to learn from", html.Div(_stored(lab))),
            dcc.Store(id="training-job", data=query.get("job", "")[:40]),
            dcc.Store(id="training-stamp"),
            dcc.Interval(id="training-look", interval=LOOK_MS),
        ]
    )


def _form(desk: looks.Desk) -> list[Component]:
    """The fields of one desk."""
    models = [{"label": name, "value": name, "title": text} for name, text in desk.models.items()]
    fields = [
        ui.field(
            "As of session" + ("" if desk.kind.needs_session else " (empty: the newest)"),
            dcc.Input(id="training-session", placeholder="2020-03-16", debounce=True, autoComplete="off"),
        ),
        ui.field(
            f"Models (empty: {', '.join(desk.own)})",
            dcc.Dropdown(models, [], id="training-models", multi=True, placeholder="the desk's own"),
        ),
    ]
    of = dcc.Input(
        id="training-of",
        debounce=True,
        autoComplete="off",
        placeholder="SPX" if desk.kind.needs_session else "the only one",
    )
    shown = ui.field((desk.kind.of or "").capitalize() or "Of", of)
    fields.insert(0, shown if desk.kind.of else html.Div(shown, hidden=True))
    settings = [
        ui.field(
            each.key,
            _entry(each),
        )
        for each in desk.settings
    ]
    about = html.Ul([html.Li([html.Code(each.key), ": ", each.about]) for each in desk.settings], className="note")
    return [
        html.P(f"{desk.summary} It learns {desk.label}."),
        html.Div(fields, className="fields"),
        html.Details([html.Summary("Folds and other settings"), html.Div(settings, className="fields"), about]),
        html.Details([html.Summary("Models and features"), _described(desk)]),
    ]


def _entry(setting: looks.Setting) -> Component:
    id = {"type": _SETTING, "key": setting.key}
    return dcc.Input(id=id, placeholder=setting.value or "all", debounce=True, autoComplete="off")


def _described(desk: looks.Desk) -> Component:
    rows = pl.DataFrame({"model": list(desk.models), "what it is": list(desk.models.values())})
    families = ", ".join(each.replace("_", " ") for each in desk.families) or "the market's own state"
    return html.Div(
        [
            ui.table("training-about-models", rows, "Models that it can be trained with"),
            ui.note(f"Features: {families}."),
        ]
    )


def _stored(lab: Lab) -> list[Component]:
    try:
        rows = looks.stored(lab.open_home())
    except DataMissing as missing:
        return [ui.empty(str(missing), "openbell demo signals")]
    shown = rows.with_columns(pl.col("rows", "symbols").map_elements(lambda n: f"{n:,}", return_dtype=pl.String))
    return [ui.table("training-stored", shown, "Tables, with their span", numbers=("rows", "symbols"))]


def _jobs(jobs: Sequence[Job]) -> list[Component]:
    """The last jobs of everybody, with what may be done with each."""
    if not jobs:
        return [ui.empty("No training was started here yet. Choose a desk above and start one.")]
    head = html.Thead(
        html.Tr([html.Th(name, scope="col") for name in ("job", "status", "asked by", "asked at (UTC)", "what to do")])
    )
    body = html.Tbody([_row(job) for job in jobs])
    caption = html.Caption(f"The last {len(jobs)} jobs, of everybody who uses this home")
    shown = html.Table([caption, head, body], className="table")
    return [html.Div(shown, className="scroll", tabIndex=0, role="region", **{"aria-label": "Jobs"})]


def _row(job: Job) -> Component:
    cells = [title_of(job), _badge(job), job.asked_by, f"{job.asked_at:%Y-%m-%d %H:%M:%S}"]
    kinds = ("wide", "short", "", "short")
    shown = [html.Td(each, className=kind) for each, kind in zip(cells, kinds, strict=True)]
    return html.Tr([*shown, html.Td(html.Div(_ways(job), className="buttons"))])


def _badge(job: Job) -> Component:
    return html.Span(job.status, className=f"badge {_TONES.get(job.status, '')}".strip())


def _ways(job: Job) -> list[Component]:
    def button(kind: str, text: str) -> Component:
        said = {"aria-label": f"{text}: {title_of(job)}, {job.id}"}
        return html.Button(text, id={"type": kind, "job": job.id}, className="quiet", n_clicks=0, **said)

    ways = [button(_WATCH, "Show")]
    if job.alive:
        return [*ways, html.Span("stopping …") if job.cancel else button(_CANCEL, "Cancel")]
    return ways if job.status == "done" else [*ways, button(_AGAIN, "Run again")]


def _watched(lab: Lab, job: Job) -> Component:
    """The job that is watched: how far it is, or what came of it."""
    parts: list[Any] = [html.P([_badge(job), f" {title_of(job)}, asked for by {job.asked_by}"])]
    if job.status == "queued":
        parts.append(html.P("It waits for another job to end.", role="status"))
    elif job.status == "running":
        parts += _running(job)
    elif job.status == "done":
        parts += _result(lab, job)
    else:
        parts.append(html.P(job.why or "", className="loss", role="status"))
        if job.status == "lost":
            parts.append(ui.note("Run it again: what was finished is taken from the cache."))
    parts.append(_log(lab, job))
    return ui.section(f"Job {job.id}", *parts)


def _running(job: Job) -> list[Component]:
    if not job.total:
        return [
            html.P("It has begun.", role="status"),
            html.Progress(className="progress", **{"aria-label": "progress"}),
        ]
    left = "" if job.left_seconds is None else f", about {_span(job.left_seconds)} left in this stage"
    return [
        html.P(f"{job.label}: {job.done:,} of {job.total:,}{left}", role="status"),
        html.Progress(value=str(job.done), max=str(job.total), className="progress", **{"aria-label": "progress"}),
    ]


def _span(seconds: float) -> str:
    return (
        f"{seconds:.0f} s"
        if seconds < 90
        else f"{seconds / 60:.0f} min"
        if seconds < 5_400
        else f"{seconds / 3600:.1f} h"
    )


def _result(lab: Lab, job: Job) -> list[Component]:
    """The verdict first, then the scores fold by fold, then where to read on."""
    told = job.result or {}
    verdict = [html.P(each) for each in told.get("why", ())]
    notes = [html.Li(each) for each in told.get("notes", ())]
    desk, training = str(told.get("desk", "")), str(told.get("training", ""))
    champion = f"{told['champion']} proved itself." if told.get("champion") else "No candidate proved itself."
    ways = [
        dcc.Link("See its evaluation", href=path("evaluation", desk=desk, training=training), className="button"),
        dcc.Link("Hold it against others: tournament", href=path("tournament", desk=desk), className="button"),
    ]
    shown: list[Component] = [html.P(html.Strong(champion)), *verdict]
    if notes:
        shown.append(html.Details([html.Summary(f"{len(notes)} notes on the data and the walk"), html.Ul(notes)]))
    return [*shown, *_folds(lab, desk, training), html.Div(ways, className="buttons")]


def _folds(lab: Lab, desk: str, training: str) -> list[Component]:
    try:
        found = looks.folds(lab.open_home(), desk, training)
    except OpenbellError as failure:
        return [ui.note(str(failure))]
    if found.rows.is_empty():
        return [ui.note("No fold has a forecast with a known outcome.")]
    label = (
        f"{found.about} Bars are 95 % intervals of whole sessions resampled; a fold without one has too few sessions."
    )
    shown = found.rows.with_columns(fold=pl.col("fold").cast(pl.String))
    return [
        ui.figure("training-folds", figures.folds(found.rows, found.measure), label),
        html.Details(
            [
                html.Summary("The same as a table"),
                ui.table("training-folds-table", shown, found.measure, numbers=("n", "score", "low", "high")),
            ]
        ),
    ]


def _log(lab: Lab, job: Job) -> Component:
    lines = lab.jobs.lines(job.id)
    text = "\n".join(f"{line.at:%H:%M:%S}  {line.text}" for line in lines) or "Nothing was said yet."
    shown = html.Pre(text, className="log", tabIndex=0, **{"aria-label": "Log of the job"})
    return html.Details([html.Summary(f"Log ({len(lines)} lines)"), shown], open=job.status == "failed")


def register(app: Dash, lab: Lab) -> None:
    """Callbacks of the page."""

    @app.callback(Output("training-form", "children"), Input("training-desk", "value"), prevent_initial_call=True)
    def show_form(desk: str) -> list[Component]:
        return _form(_desk(lab, desk))

    @app.callback(
        Output("training-job", "data"),
        Input("training-start", "n_clicks"),
        State("training-desk", "value"),
        State("training-of", "value"),
        State("training-session", "value"),
        State("training-models", "value"),
        State({"type": _SETTING, "key": ALL}, "value"),
        State({"type": _SETTING, "key": ALL}, "id"),
        running=[(Output("training-start", "disabled"), True, False)],
        prevent_initial_call=True,
    )
    def start(
        clicks: int | None, desk: str, of: str, session: str, models: list[str], values: list[Any], ids: list[Any]
    ) -> str:
        if not clicks:
            raise PreventUpdate
        kind = _desk(lab, desk).kind
        settings = {each["key"]: str(value) for each, value in zip(ids, values, strict=True) if value not in (None, "")}
        told = {"session": (session or "").strip(), "models": models or [], "settings": settings}
        if kind.of:
            told[kind.of] = (of or "").strip()
        return lab.jobs.ask(kind.name, told, by=who()).id

    @app.callback(
        Output("training-job", "data", allow_duplicate=True),
        Input({"type": _WATCH, "job": ALL}, "n_clicks"),
        Input({"type": _AGAIN, "job": ALL}, "n_clicks"),
        Input({"type": _CANCEL, "job": ALL}, "n_clicks"),
        prevent_initial_call=True,
    )
    def act(*_: Any) -> str:
        pressed = ctx.triggered_id
        if not pressed or not any(each["value"] for each in ctx.triggered):
            raise PreventUpdate  # the list was drawn anew; nobody pressed anything
        if pressed["type"] == _AGAIN:
            return lab.jobs.again(pressed["job"], by=who()).id
        if pressed["type"] == _CANCEL:
            lab.jobs.cancel(pressed["job"])
        return str(pressed["job"])

    @app.callback(
        Output("training-watched", "children"),
        Output("training-jobs", "children"),
        Output("training-stamp", "data"),
        Output(QUERY, "data", allow_duplicate=True),
        Input("training-look", "n_intervals"),
        Input("training-job", "data"),
        State("training-stamp", "data"),
        State("training-desk", "value"),
        prevent_initial_call="initial_duplicate",
    )
    def look(_: int | None, watched: str, stamp: str | None, desk: str) -> tuple[Any, Any, Any, Any]:
        jobs = lab.jobs.newest(LISTED)
        job = next((each for each in jobs if each.id == watched), None)
        if job is None and watched:
            job = lab.jobs.get(watched)
        now = _stamp(jobs, job)
        if now == stamp:
            raise PreventUpdate  # nothing moved: what a person opened or reads stays as it is
        query = {"desk": desk, "job": job.id} if job else no_update
        return (_watched(lab, job) if job else None), _jobs(jobs), now, query


def _stamp(jobs: Sequence[Job], watched: Job | None) -> str:
    """What decides how the page looks; the list without how far each is."""
    listed = ",".join(f"{job.id}:{job.status}:{job.cancel}" for job in jobs)
    return f"{listed}|{'' if watched is None else (watched.id, watched.status, watched.done, watched.label)}"


def _desk(lab: Lab, name: str) -> looks.Desk:
    from openbell.core.errors import unknown

    desks = looks.desks(lab.open_home())
    if name not in desks:
        raise unknown("desk that can be trained", str(name)[:40], desks)
    return desks[name]


PAGE = Page(
    "training",
    "Training",
    30,
    "Train a desk on what was known before a session, watch it, and read what it was worth out of sample.",
    layout,
    register,
)
