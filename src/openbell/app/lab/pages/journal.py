"""The journal: its records by kind, desk and date, one of them whole, its chain, and a decision derived again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl
from dash import Dash, Input, Output, State, ctx, dcc, html, no_update
from dash.development.base_component import Component

from openbell.app import replay
from openbell.app.lab import ui
from openbell.app.lab.entries import day, words
from openbell.app.lab.grids import grid, rows
from openbell.app.lab.looks import journal as looks
from openbell.app.lab.page import Lab, Page
from openbell.app.lab.urls import QUERY
from openbell.app.lab.who import who
from openbell.core.errors import BadInput, DataMissing

#: How often it is looked whether a decision is derived again by now.
LOOK_MS = 1_000
#: Differences that are shown; all of them are counted.
MOST = 200
_TITLES = {"seq": "record", "at": "at (UTC)", "says": "what it says", "hash": "hash"}


def layout(lab: Lab, query: Mapping[str, str]) -> Component:
    """The page with the filters of `query`: ``kind``, ``desk``, ``first``, ``last``, ``below``, ``record``."""
    home = lab.open_home()
    try:
        kinds, desks = looks.kinds_and_desks(home)
    except DataMissing as missing:
        return ui.empty(f"{missing} The quickest way to see everything is a demo.", "openbell demo")
    found = _page(lab, words(query.get("kind")), words(query.get("desk")), query.get("first"), query.get("last"),
                  _seq(query.get("below")))  # fmt: skip
    return html.Div(
        [
            ui.section(
                "Chain",
                ui.note("Each record carries the hash of the one before; verifying computes every hash again."),
                html.Div(html.Button("Verify the chain", id="journal-verify", n_clicks=0), className="buttons"),
                dcc.Loading(html.Div(id="journal-chain", role="status"), type="dot"),
            ),
            ui.section("Records", _filters(kinds, desks, query), _listing(found), _paging()),
            dcc.Loading(html.Div(id="journal-record"), type="dot"),
            dcc.Store(id="journal-below", data=_state(query.get("below"), found)),
            dcc.Store(id="journal-chosen", data=_seq(query.get("record"))),
            dcc.Store(id="journal-job"),
            dcc.Interval(id="journal-look", interval=LOOK_MS, disabled=True),
        ]
    )


def _filters(kinds: list[str], desks: list[str], query: Mapping[str, str]) -> Component:
    def choice(name: str, there: list[str]) -> Component:
        return dcc.Dropdown(there, list(words(query.get(name))), id=f"journal-{name}", multi=True, placeholder="all")

    def date(name: str) -> Component:
        return dcc.Input(id=f"journal-{name}", value=query.get(name, ""), placeholder="2024-05-31", debounce=True)

    return html.Div(
        [
            ui.field("Kind", choice("kind", kinds)),
            ui.field("Desk", choice("desk", desks)),
            ui.field("From (day, UTC)", date("first")),
            ui.field("To (day, UTC)", date("last")),
        ],
        className="fields",
    )


def _listing(found: looks.JournalPage) -> Component:
    caption = "Records, newest first; choose one to see it whole"
    return html.Div(
        [
            html.P(_counted(found), id="journal-count", className="note", role="status"),
            grid("journal-rows", found.rows, caption, titles=_TITLES, key="seq", wide=("says",), shown=14),
        ]
    )


def _counted(found: looks.JournalPage) -> str:
    if found.rows.is_empty():
        return "No record agrees with these filters. Leave one of them out."
    first, last = found.rows["seq"][0], found.rows["seq"][-1]
    return f"{found.of:,} records agree; shown are {found.rows.height} of them, {first} down to {last}."


def _paging() -> Component:
    return html.Div(
        [
            html.Button("Newest", id="journal-newest", n_clicks=0),
            html.Button("Older", id="journal-older", n_clicks=0),
        ],
        className="buttons",
    )


def _seq(text: Any) -> int | None:
    if text in (None, ""):
        return None
    if not str(text).isdigit() or len(str(text)) > 12:
        raise BadInput(f"`{str(text)[:40]}` is no number of a record. Records count from 1.")
    return int(text)


def _state(below: Any, found: looks.JournalPage) -> dict[str, int | None]:
    return {"below": _seq(below), "older": found.below}


def _page(
    lab: Lab, kinds: Any, desks: Any, first: str | None, last: str | None, below: int | None
) -> looks.JournalPage:
    return looks.journal_page(
        lab.open_home(), kinds=tuple(kinds or ()), desks=tuple(desks or ()),
        first=day(first, "the first day"), last=day(last, "the last day"), below=below,
    )  # fmt: skip


def whole(lab: Lab, seq: int) -> Component:
    """One record: what it says, everything that its hash is over, and the button that derives it again."""
    found = looks.whole_record(lab.open_home(), seq)
    desk = str(found.payload.get("desk", ""))
    again: list[Component] = []
    if found.kind == "decision" and desk.partition(".")[0] in replay.DESKS:
        again = [
            ui.note(
                "Derives the decision anew from what was known at its moment, with today's settings, models and code, "
                "and compares every value. Nothing is written."
            ),
            html.Div(html.Button("Derive it again", id="journal-replay", n_clicks=0), className="buttons"),
            html.Div(id="journal-replayed", role="status"),
        ]
    label = f"Record {seq} as JSON"
    text = html.Pre(html.Code(looks.as_text(found)), className="log", tabIndex=0, **{"aria-label": label})
    return ui.section(f"Record {seq}: {found.kind} {desk}".rstrip(), html.P(looks.says(found)), *again, text)


def outcome(told: Mapping[str, Any]) -> Component:
    """What came of deriving a decision again, as `replay.as_json` tells it."""
    word, tone = ("equal", "gain") if told["equal"] else ("not equal", "warn" if told["same_call"] else "loss")
    shown: list[Any] = [html.P([html.Span(word, className=f"badge {tone}"), f" {told['says']}"])]
    if told["differences"]:
        frame = pl.DataFrame(told["differences"][:MOST], schema=replay.DIFFERENCES)
        more = len(told["differences"]) - frame.height
        caption = "Where they differ" + (f"; {more:,} more are not shown" if more else "")
        shown.append(ui.table("journal-differences", frame, caption))
    return html.Div([*shown, *(ui.note(each) for each in told["notes"])])


def register(app: Dash, lab: Lab) -> None:
    """Add the callbacks."""

    @app.callback(
        Output("journal-rows", "rowData"),
        Output("journal-count", "children"),
        Output("journal-below", "data"),
        Output(QUERY, "data", allow_duplicate=True),
        Input("journal-kind", "value"),
        Input("journal-desk", "value"),
        Input("journal-first", "value"),
        Input("journal-last", "value"),
        Input("journal-older", "n_clicks"),
        Input("journal-newest", "n_clicks"),
        State("journal-below", "data"),
        State("journal-chosen", "data"),
        prevent_initial_call=True,
    )
    def show(
        kinds: Any, desks: Any, first: str, last: str, _older: int, _newest: int, state: dict[str, Any], chosen: Any
    ) -> Any:
        below = None
        if ctx.triggered_id == "journal-older":
            if state["older"] is None:
                raise BadInput("These are the oldest records that agree with the filters; there are none before them.")
            below = state["older"]
        found = _page(lab, kinds, desks, first, last, below)
        query = {"kind": ",".join(kinds or ()), "desk": ",".join(desks or ()), "first": first, "last": last,
                 "below": below, "record": chosen}  # fmt: skip
        return rows(found.rows), _counted(found), _state(below, found), query

    @app.callback(Output("journal-chosen", "data"), Input("journal-rows", "selectedRows"), prevent_initial_call=True)
    def choose(chosen: list[dict[str, Any]] | None) -> Any:
        return chosen[0]["seq"] if chosen else no_update

    @app.callback(Output("journal-record", "children"), Input("journal-chosen", "data"))
    def show_record(seq: int | None) -> Any:
        return no_update if seq is None else whole(lab, seq)

    @app.callback(Output("journal-chain", "children"), Input("journal-verify", "n_clicks"), prevent_initial_call=True)
    def verify(_: int) -> Component:
        from openbell.app.lab.pages.today import chain

        return chain(looks.chain(lab.open_home()))

    _register_replay(app, lab)


def _register_replay(app: Dash, lab: Lab) -> None:
    @app.callback(
        Output("journal-job", "data"),
        Output("journal-look", "disabled"),
        Output("journal-replayed", "children"),
        Input("journal-replay", "n_clicks"),
        State("journal-chosen", "data"),
        prevent_initial_call=True,
    )
    def ask(clicks: int, seq: int) -> Any:
        if not clicks:
            return no_update, no_update, no_update
        job = lab.jobs.ask("replay", {"record": str(seq)}, by=who())
        return job.id, False, html.P("It is derived again; this takes some seconds to some minutes.")

    @app.callback(
        Output("journal-look", "disabled", allow_duplicate=True),
        Output("journal-replayed", "children", allow_duplicate=True),
        Input("journal-look", "n_intervals"),
        State("journal-job", "data"),
        prevent_initial_call=True,
    )
    def look(_: int, id: str | None) -> Any:
        if id is None:
            return True, no_update
        job = lab.jobs.get(id)
        if job.alive:
            return no_update, no_update
        if job.result is None:
            return True, ui.empty(f"It could not be derived again. {job.why or 'It was cancelled.'}")
        return True, outcome(job.result)


PAGE = Page(
    name="journal",
    title="Journal",
    order=90,
    about="Everything that was decided, ordered, trained and imported, in a chain that cannot be rewritten unseen.",
    layout=layout,
    register=register,
)
