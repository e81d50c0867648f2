"""The few pieces that pages are built of: sections, figures with a label, tables, empty states."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
from dash import dcc, html
from dash.development.base_component import Component

#: Letters of a cell that is never broken into lines.
_SHORT = 24


def section(title: str, *children: Any, id: str | None = None) -> Component:
    """A part of a page under a heading of its own."""
    named = {} if id is None else {"id": id}
    return html.Section([html.H2(title), *children], className="section", **named)


def note(sentence: str) -> Component:
    """A remark beside a figure: what it was measured on, what it leaves out."""
    return html.P(sentence, className="note")


def empty(sentence: str, command: str | None = None) -> Component:
    """Nothing to show yet, and what to do about it."""
    shown = [html.P(sentence)] if command is None else [html.P(sentence), html.Pre(html.Code(command), tabIndex=0)]
    return html.Div(shown, className="empty", role="status")


def figure(id: str, drawn: Any, label: str) -> Component:
    """A Plotly figure; `label` says in words what it shows, for who cannot see it."""
    graph = dcc.Graph(id=id, figure=drawn, config={"displaylogo": False, "responsive": True}, className="graph")
    return html.Figure([graph, html.Figcaption(label)], className="figure", **{"aria-label": label, "role": "group"})


def field(label: str, control: Component) -> Component:
    """A control with its label; the control has an id."""
    id = control.id
    # As Dash writes an id of several parts into the page.
    written = id if isinstance(id, str) else json.dumps(id, sort_keys=True, separators=(",", ":"))
    return html.Div([html.Label(label, htmlFor=written), control], className="field")


def upload(id: str, text: str, most_bytes: int) -> Component:
    """A button that takes a file; what is larger than `most_bytes` is refused in the browser, in words.

    Files of any name are taken: Dash drops a name that it does not expect without a word, and the page that reads the
    file says what is wrong with it.
    """
    taken = dcc.Upload(html.Button(text, type="button"), id=id, max_size=most_bytes)
    return html.Div(taken, **{"data-most-bytes": str(most_bytes)})


def cards(values: Mapping[str, tuple[str, str]]) -> Component:
    """Figures in large print: name -> (value, what stands beside it: interval, n, base rate)."""
    return html.Dl(
        [
            html.Div([html.Dt(name), html.Dd(value, className="value"), html.Dd(beside, className="beside")])
            for name, (value, beside) in values.items()
        ],
        className="cards",
    )


def table(id: str, rows: pl.DataFrame, caption: str, *, numbers: Sequence[str] = ()) -> Component:
    """A small table, as HTML; for long ones use AG Grid. `numbers` are set to the right."""
    kinds = {name: "number" if name in numbers else "" for name in rows.columns}
    head = html.Thead(html.Tr([html.Th(name, scope="col", className=kind) for name, kind in kinds.items()]))
    body = html.Tbody(
        [
            html.Tr([html.Td(_text(value), className=f"{kinds[name]} {_room(value)}".strip()) for name, value in row])
            for row in (zip(rows.columns, each, strict=True) for each in rows.iter_rows())
        ]
    )
    shown = html.Table([html.Caption(caption), head, body], id=id, className="table")
    return html.Div(shown, className="scroll", tabIndex=0, role="region", **{"aria-label": caption})


def _room(value: Any) -> str:
    """Short cells stay on one line, dates above all, which would break at their hyphens."""
    return "short" if len(_text(value)) <= _SHORT else ""


def _text(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:,.4g}" if isinstance(value, float) else str(value)
