"""What surrounds every page: navigation, title, alert line, theme; and the callback that puts the page in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dash import ClientsideFunction, Dash, Input, Output, State, dcc, html
from dash.development.base_component import Component

from openbell.app.lab import errors, ui
from openbell.app.lab.page import Lab, Page
from openbell.app.lab.urls import LONGEST_QUERY, PREFIX, QUERY, page_of, path, query_of
from openbell.core.errors import BadInput, OpenbellError, nearest

URL, CONTENT, TITLE, NAVIGATION, SHOWN = "lab-url", "lab-content", "lab-title", "lab-navigation", "lab-shown"


def layout(pages: Sequence[Page], *, behind_door: bool) -> Component:
    """The frame of all pages; `behind_door` says that somebody logged in and may log out."""
    return html.Div(
        [
            html.A("Skip to the page", href="#lab-main", className="skip"),
            _header(pages, behind_door),
            html.Main(
                [
                    html.Div(
                        [
                            html.Div(id=errors.ALERT, className="alert-text"),
                            html.Button("Dismiss", id="lab-alert-dismiss", n_clicks=0, type="button"),
                        ],
                        className="alert",
                        role="alert",
                    ),
                    dcc.Loading(
                        html.Div(id=CONTENT, className="page"),
                        delay_show=300,
                        overlay_style={"visibility": "visible", "opacity": 0.45},
                        type="dot",
                        color="currentColor",
                        target_components={CONTENT: "children"},
                    ),
                ],
                id="lab-main",
                tabIndex=-1,
            ),
            dcc.Location(id=URL, refresh="callback-nav"),
            dcc.Store(id=SHOWN),
            dcc.Store(id=QUERY),
            html.Div(id="lab-nothing", hidden=True),
        ],
        className="lab",
    )


def _header(pages: Sequence[Page], behind_door: bool) -> Component:
    links = [html.Li(dcc.Link(page.title, href=path(page.name), id=_link(page.name))) for page in pages]
    ways: list[Component] = [_theme()]
    if behind_door:
        leave = html.Button("Log out", type="submit", className="quiet")
        ways.append(html.Form(leave, action=f"{PREFIX}logout", method="post"))
    return html.Header(
        [
            dcc.Link(
                [html.Span("", className="bell", **{"aria-hidden": "true"}), "Openbell"], href=PREFIX, id="lab-home"
            ),
            html.Nav(html.Ul(links), id=NAVIGATION, **{"aria-label": "Pages"}),
            html.Div(ways, className="ways"),
        ],
        className="top",
    )


def _theme() -> Component:
    """Three ways to look; which one is chosen is marked, and kept in the browser."""
    choices = [
        html.Button(text, id=f"lab-theme-{name}", type="button", **{"data-theme-choice": name, "aria-pressed": "false"})
        for name, text in (("light", "Light"), ("dark", "Dark"), ("system", "Auto"))
    ]
    return html.Div(choices, className="themes", role="group", **{"aria-label": "Colours"})


def _link(name: str) -> str:
    return f"lab-link-{name}"


def register(app: Dash, lab: Lab, pages: Sequence[Page]) -> None:
    """Add the callbacks of the frame and those of every page."""
    by_name = {page.name: page for page in pages}

    @app.callback(
        Output(CONTENT, "children"),
        Output(SHOWN, "data"),
        Output(errors.ALERT, "children", allow_duplicate=True),
        Input(URL, "pathname"),
        Input(URL, "search"),
        prevent_initial_call="initial_duplicate",
    )
    def show_page(pathname: str | None, search: str | None) -> tuple[Any, dict[str, str], str]:
        name = page_of(pathname) or next(iter(by_name), "")
        shown, title = drawn(lab, by_name, name, search)
        return shown, {"name": name, "title": title}, ""

    app.clientside_callback(ClientsideFunction("lab", "shown"), Output("lab-nothing", "children"), Input(SHOWN, "data"))
    app.clientside_callback(
        ClientsideFunction("lab", "query"),
        Output("lab-nothing", "title"),
        Input(QUERY, "data"),
        State(URL, "pathname"),
    )
    app.clientside_callback(
        ClientsideFunction("lab", "dismiss"),
        Output(errors.ALERT, "children"),
        Input("lab-alert-dismiss", "n_clicks"),
        prevent_initial_call=True,
    )
    for page in pages:
        page.register(app, lab)


def drawn(lab: Lab, pages: dict[str, Page], name: str, search: str | None) -> tuple[Component, str]:
    """The page `name` under its heading, or the sentence that says why it cannot be shown; and its title."""
    page = pages.get(name)
    if page is None:
        known = html.Ul([html.Li(dcc.Link(each.title, href=path(each.name))) for each in pages.values()])
        told = f"There is no page `{name[:60]}` in the lab. {nearest(name[:60], pages)}"
        return html.Div([html.H1("No such page"), ui.empty(told), known]), "No such page"
    heading = html.Div([html.H1(page.title), html.P(page.about, className="about")], className="heading")
    try:
        if len(search or "") > LONGEST_QUERY:
            raise BadInput(
                f"The address has {len(search or ''):,} characters after the question mark; at most "
                f"{LONGEST_QUERY:,} are read. Save the state as a preset and share its name."
            )
        shown: Component = page.layout(lab, query_of(search))
    except OpenbellError as failure:
        shown = ui.empty(str(failure))
    except Exception as failure:
        shown = ui.empty(errors.sentence(failure))
    return html.Div([heading, shown]), page.title
