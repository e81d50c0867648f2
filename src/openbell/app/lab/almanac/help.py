"""The help of the page Almanac, and its keyboard shortcuts."""

from __future__ import annotations

from dash import html
from dash.development.base_component import Component

#: Key -> what it does. The keys are read in ``assets/almanac.js``; a test holds both together.
SHORTCUTS = {
    "?": "open this help",
    "s": "show the scenario",
    "a": "go to the filter to add",
    "p": "go to the name of the preset",
    "l": "copy the link to this scenario",
    "c": "export the table as CSV",
    "z": "export everything as ZIP",
    "g": "save the first chart as PNG",
    "Escape": "close this help",
}
_ABOUT = (
    "A scenario is a product, a span, filters of its sessions and a statistic. Press Show to look at it.",
    "A session belongs to the day it ends on: the evening of a future is the beginning of the next day. The session "
    "before is the one before in the product's own calendar, over weekends, holidays and clock changes.",
    "Each filter says when its answer is known: pre-open (the session before, the calendar), pre-cut-off (the session "
    "up to the cut-off) or full-day (only after it). A study that trades refuses filters that it could not know.",
    "Filters stand by themselves or in groups A, B, C: with “all of them” outside, one of a group is enough; with "
    "“one of them” outside, a group must pass whole.",
    "Fewer than 30 sessions are no evidence. Every p is adjusted for the rows of its table and for how many different "
    "looks there were at the product, on any day, in the lab or on the command line.",
)


def dialog() -> Component:
    """The help, closed until it is asked for."""
    rows = [html.Tr([html.Td(html.Kbd(key)), html.Td(what)]) for key, what in SHORTCUTS.items()]
    return html.Dialog(
        [
            html.H2("Help", id="almanac-help-title"),
            *[html.P(each) for each in _ABOUT],
            html.H3("Keys"),
            html.Table([html.Caption("Outside a field of text"), html.Tbody(rows)], className="table"),
            html.Button("Close", id="almanac-help-close", className="primary", type="button"),
        ],
        id="almanac-help",
        className="section",
        **{"aria-labelledby": "almanac-help-title"},
    )
