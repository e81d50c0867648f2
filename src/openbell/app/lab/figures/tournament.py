"""Figures of a tournament: which gate stopped whom, and the error that was spent of what a year may spend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import plotly.graph_objects as go
import polars as pl

from openbell.app.lab import theme

if TYPE_CHECKING:
    from openbell.app.lab.looks.tournament import Budget

#: Entrants that the figure has room for.
MOST = 24


def gates(rows: pl.DataFrame, order: Sequence[str]) -> go.Figure:
    """A cell per entrant and gate, passed or failed, with its value; `order`: entrants, the best first.

    `rows`: ``entrant gate value limit passed why``.
    """
    names = rows["gate"].unique(maintain_order=True).to_list()
    shown = [each for each in order if each in set(rows["entrant"])][:MOST]
    cells = {(row["entrant"], row["gate"]): row for row in rows.iter_rows(named=True)}
    found = [[cells.get((entrant, gate)) for gate in names] for entrant in shown]
    limits = [next(cell["limit"] for cell in cells.values() if cell["gate"] == gate) for gate in names]
    figure = go.Figure(
        go.Heatmap(
            z=[[None if cell is None else float(bool(cell["passed"])) for cell in row] for row in found],
            x=[f"{gate.replace('_', ' ')}<br>{'' if limit is None else f'{limit:.4g}'}"
               for gate, limit in zip(names, limits, strict=True)],
            y=shown, zmin=0, zmax=1, showscale=False, xgap=2, ygap=2,
            text=[[_marked(cell) for cell in row] for row in found], texttemplate="%{text}",
            customdata=[["" if cell is None else cell["why"] for cell in row] for row in found],
            hovertemplate="%{y}<br>%{customdata}<extra></extra>",
            colorscale=[[0.0, theme.DIVERGING[1][1]], [1.0, theme.DIVERGING[3][1]]],
            textfont={"color": "#10161d"},
        )
    )  # fmt: skip
    figure.update_layout(template="openbell", xaxis_title="gate, and its threshold", yaxis_title="",
                         height=max(240, 130 + 26 * len(shown)))  # fmt: skip
    figure.update_xaxes(side="bottom", showgrid=False)
    figure.update_yaxes(autorange="reversed", showgrid=False, dtick=1)
    return figure


def _marked(cell: dict[str, object] | None) -> str:
    if cell is None:
        return ""
    value = cell["value"]
    return f"{'passed' if cell['passed'] else 'failed'} {'' if value is None else format(value, '.3g')}".strip()


def spent(budgets: Sequence[Budget]) -> go.Figure:
    """Error spent and left, a bar per year."""
    years = [str(each.year) for each in budgets]
    figure = go.Figure()
    figure.add_bar(y=years, x=[each.spent for each in budgets], orientation="h", name="spent",
                   text=[f"{each.spent:.1%}" for each in budgets])  # fmt: skip
    figure.add_bar(y=years, x=[max(each.allowed - each.spent, 0.0) for each in budgets], orientation="h", name="left",
                   opacity=0.45, text=[f"{max(each.allowed - each.spent, 0.0):.1%}" for each in budgets])  # fmt: skip
    figure.update_layout(template="openbell", barmode="stack", xaxis_title="family-wise error of a year",
                         yaxis_title="year", height=max(220, 140 + 40 * len(years)))  # fmt: skip
    figure.update_xaxes(tickformat=".0%", rangemode="tozero")
    figure.update_yaxes(type="category")
    return figure
