"""Today: the latest decision of every desk, what waits for somebody, and the health of the data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dash import Dash, Input, Output, dcc, html
from dash.development.base_component import Component

from openbell.app.lab import ui
from openbell.app.lab.looks import data_health as health
from openbell.app.lab.looks import journal as looks
from openbell.app.lab.looks import today
from openbell.app.lab.page import Lab, Page
from openbell.app.lab.urls import path
from openbell.core.errors import DataMissing

#: Sentences that are shown before the reader asks for the rest.
FIRST = 3
_TONES = {"BLOCK": "loss", "SHRINK": "warn", "ALLOW": "gain"}
_HEALTH = {
    "table": "table", "rows": "rows", "symbols": "symbols", "first": "first session", "last": "last session",
    "behind": "sessions behind", "symbols_behind": "symbols that end earlier",
}  # fmt: skip


def layout(lab: Lab, query: Mapping[str, str]) -> Component:
    """The page; what has to read many rows follows when it is shown."""
    home, now = lab.open_home(), lab.now()
    try:
        desks = today.desks_today(home, now)
    except DataMissing as missing:
        return ui.empty(f"{missing} The quickest way to see everything is a demo.", "openbell demo")
    return html.Div(
        [
            waiting(today.what_is_open(home, desks, now)),
            html.Div([desk(each) for each in desks], className="columns"),
            ui.section("Journal", dcc.Loading(html.Div(id="today-chain"), type="dot")),
            ui.section("Data", dcc.Loading(html.Div(id="today-data"), type="dot")),
        ]
    )


def waiting(found: today.Open) -> Component:
    """What somebody has to look at."""
    lines: list[Any] = [
        html.Li([html.Span("kill switch", className="badge loss"), f" {each}"]) for each in found.switches
    ]
    switched = {each.partition(": ")[2] for each in found.switches}
    lines += [
        html.Li([html.Span("blocked", className="badge loss"), f" {desk}: {why}"])
        for desk, why in found.blocked
        if why.partition(": ")[2] not in switched
    ]
    lines += [html.Li([html.Span("alert", className="badge warn"), f" {each}"]) for each in found.alerts]
    if found.orders:
        lines.append(html.Li(f"{found.orders} orders of the paper account wait for the open of their session."))
    if found.active_signals:
        href = path("signals", status="ACTIVE")
        lines.append(html.Li([f"{found.active_signals} signals are active. ", dcc.Link("See them", href=href)]))
    if not lines:
        lines = [html.Li("Nothing waits: no check blocks, no alert is on record, no order is open.")]
    approvals = "No order waits for an approval: nothing is ordered unless a person runs a desk with --execute."
    return ui.section("What is open", html.Ul(lines), ui.note(approvals), id="today-open")


def desk(found: today.DeskToday) -> Component:
    """One desk: what it said last, why, what safety said, and who speaks for it."""
    shown: list[Any] = [html.P(found.headline, className="headline")]
    if found.as_of is None:
        shown.append(ui.empty("This desk has nothing on record yet. It begins with", found.command))
    else:
        link = [] if found.record is None else [" ", _to_record(found.record)]
        shown.append(html.P([f"For {found.session}, as of {found.as_of:%Y-%m-%d %H:%M} UTC.", *link]))
        shown += _reasons(found.why)
        shown += _verdicts(found)
    shown += [ui.note(found.champion), ui.note(found.training)]
    return ui.section(found.desk, *shown, id=f"today-desk-{found.desk.replace('.', '-')}")


def _to_record(seq: int) -> Component:
    return dcc.Link(f"Record {seq}", href=path("journal", record=seq))


def _reasons(why: tuple[str, ...]) -> list[Component]:
    if not why:
        return []
    made: list[Component] = [html.Ul([html.Li(each) for each in why[:FIRST]])]
    if len(why) > FIRST:
        rest = html.Ul([html.Li(each) for each in why[FIRST:]])
        made.append(html.Details([html.Summary(f"{len(why) - FIRST} more reasons"), rest]))
    return made


def _verdicts(found: today.DeskToday) -> list[Component]:
    rows = found.verdicts
    if rows.is_empty():
        return [ui.note("The record of this decision tells no verdicts of safety.")]
    counted = rows.group_by("verdict", maintain_order=True).len()
    badges = [html.Span(f"{n} {word}", className=f"badge {_TONES.get(word, '')}") for word, n in counted.iter_rows()]
    caption = f"Safety checks of the desk {found.desk}, the gravest first"
    table = ui.table(f"today-verdicts-{found.desk.replace('.', '-')}", rows, caption)
    grave = rows["verdict"][0] != "ALLOW"
    return [html.Details([html.Summary(["Safety: ", *badges]), table], open=grave)]


def data(found: health.DataHealth) -> list[Component]:
    """What is stored, how old it is, what was put aside, and the last imports."""
    if found.tables.is_empty():
        return [ui.empty("The tables are empty. Import prices first.", "openbell data import bars FILE")]
    late = found.tables.drop_nulls("behind")["behind"].max()
    told = f"The calendar closed {found.last_closed} last. " + (
        f"The table that is furthest behind lacks {late:,} sessions." if late else "No table is behind it."
    )
    rows = found.tables.rename(_HEALTH)
    made = [
        ui.note(told),
        ui.table("today-tables", rows, "Stored tables", numbers=("rows", "symbols", *list(_HEALTH.values())[-2:])),
    ]
    if found.quarantine.is_empty():
        made.append(ui.note("No row is in quarantine."))
    else:
        total = int(found.quarantine["rows"].sum())
        caption = f"{total:,} rows that the quality gate put aside, by rule"
        made.append(ui.table("today-quarantine", found.quarantine, caption, numbers=("rows",)))
    if found.imports.height:
        numbers = ("received", "stored", "quarantined", "record")
        made.append(ui.table("today-imports", found.imports, "The last imports, newest first", numbers=numbers))
    if found.notes:
        notes = html.Ul([html.Li(each) for each in found.notes])
        made.append(html.Details([html.Summary(f"{len(found.notes)} remarks of these imports"), notes]))
    return made


def chain(found: looks.Chain) -> Component:
    """Whether the journal is whole."""
    word, tone = ("whole", "gain") if found.whole else ("broken", "loss")
    return html.P([html.Span(word, className=f"badge {tone}"), f" {found.says}"])


def register(app: Dash, lab: Lab) -> None:
    """Add the callbacks: each runs once, when the page is shown."""

    @app.callback(Output("today-data", "children"), Input("today-data", "id"))
    def show_data(_: str) -> list[Component]:
        return data(health.data_health(lab.open_home(), lab.now()))

    @app.callback(Output("today-chain", "children"), Input("today-chain", "id"))
    def show_chain(_: str) -> Component:
        return chain(looks.chain(lab.open_home()))


PAGE = Page(
    name="today",
    title="Today",
    order=10,
    about="The latest decision of every desk as it is on record, what waits for somebody, and how fresh the data are.",
    layout=layout,
    register=register,
)
