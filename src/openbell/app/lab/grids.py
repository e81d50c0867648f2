"""Long tables: AG Grid over a frame, sorted and filtered in the browser, reachable by keyboard."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import dash_ag_grid as dag
import polars as pl
from dash import html
from dash.development.base_component import Component

#: Pixels: of a row, of a line of headings, of a letter, around the text of a cell, and of the sign of a filter.
ROW, HEAD, LETTER, AROUND, SIGN = 38, 42, 9, 40, 28
#: The widest that a column is made for its text.
WIDEST = 320
#: Rows that a grid shows without scrolling, at most.
SHOWN = 12
#: Digits after the point that a grid shows of a number.
DIGITS = 4


def rows(frame: pl.DataFrame, digits: int = DIGITS) -> list[dict[str, Any]]:
    """Rows as a grid takes them: numbers rounded for the eye, dates as text, nothing where it is not finite."""
    floats = [name for name, kind in frame.schema.items() if kind.is_float()]
    shown = frame.with_columns(pl.when(pl.col(floats).is_finite()).then(pl.col(floats).round(digits)))
    return [{name: _plain(value) for name, value in row.items()} for row in shown.to_dicts()]


def _plain(value: Any) -> Any:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value.isoformat() if isinstance(value, (dt.date, dt.datetime)) else value


def grid(
    id: str,
    frame: pl.DataFrame,
    caption: str,
    *,
    titles: Mapping[str, str] | None = None,
    groups: Sequence[tuple[str, Sequence[str]]] = (),
    key: str | None = None,
    wide: Sequence[str] = (),
    shown: int = SHOWN,
    digits: int = DIGITS,
    filters: bool = False,
    at: int | None = None,
) -> Component:
    """A grid over `frame` with a label.

    Parameters
    ----------
    titles : of columns; the others are called as they are, with spaces. groups : columns under a common heading, in
        order; without any all stand alone. key : column whose value names a row; then a row can be chosen, and
        ``selectedRows`` of `id` is a list of one. wide : columns that take the room that is left. filters : whether
        every column can be filtered. at : place of the row that is in the middle at first.
    """
    data = rows(frame, digits)
    made = {
        name: _column(name, kind, titles or {}, None if name in wide else [row[name] for row in data], filters)
        for name, kind in frame.schema.items()
    }
    grouped = [{"headerName": head, "children": [made[name] for name in names]} for head, names in groups]
    options: dict[str, Any] = {
        "rowHeight": ROW,
        "headerHeight": HEAD,
        "groupHeaderHeight": HEAD,
        "ensureDomOrder": True,
    }
    if key is not None:
        options["rowSelection"] = {"mode": "singleRow", "checkboxes": False, "enableClickSelection": True}
    height = HEAD * (2 if groups else 1) + ROW * max(min(frame.height, shown), 2) + 18
    made_grid = dag.AgGrid(
        id=id,
        rowData=data,
        columnDefs=grouped or list(made.values()),
        defaultColDef={"sortable": True, "resizable": True, "filter": filters, "suppressHeaderMenuButton": True},
        dashGridOptions=options,
        style={"height": f"{height}px", "width": "100%"},
        className="ag-theme-quartz grid",
        **({} if at is None else {"scrollTo": {"rowIndex": at, "rowPosition": "middle"}}),
        **({} if key is None else {"getRowId": f"'' + params.data.{key}"}),
    )
    return html.Div(
        [html.P(caption, className="note"), made_grid], className="grid-box", role="group", **{"aria-label": caption}
    )


def _column(
    name: str, kind: Any, titles: Mapping[str, str], values: Sequence[Any] | None, filters: bool
) -> dict[str, Any]:
    """A column as wide as its widest of `values`; without any it takes the room that is left."""
    head = titles.get(name, name.replace("_", " "))
    column: dict[str, Any] = {"field": name, "headerName": head}
    if kind.is_numeric():
        column |= {"type": "rightAligned", "cellDataType": "number"}
    if values is None:
        return column | {"flex": 1, "minWidth": 260, "tooltipField": name}
    letters = max((len(str(each)) for each in values if each is not None), default=0)
    needed = max(LETTER * letters, LETTER * len(head) + SIGN * filters)
    return column | {"width": min(needed + AROUND, WIDEST)}
