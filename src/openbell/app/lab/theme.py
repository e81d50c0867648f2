"""How figures look, by light and by dark: two Plotly templates that the browser chooses between."""

from __future__ import annotations

import json
from typing import Any

import plotly.graph_objects as go
import plotly.io as pio

NAME, DARK = "openbell", "openbell_dark"
#: Said in the layout of each template, so that the browser knows which figures it may turn to the other one.
MARK = {"openbell": True}

#: Told apart with any colour vision, in this order (Okabe and Ito, 2008; two darkened to 3:1 on white).
LIGHT_COLOURS = ("#0b63a5", "#c2410c", "#047857", "#a16207", "#7c3aed", "#be185d", "#0e7490", "#4b5563")
DARK_COLOURS = ("#6cb6ff", "#ff9a62", "#4ade9b", "#e8c45a", "#c4a7ff", "#ff8fc0", "#5fd4e8", "#b6bec9")
#: From loss over nothing to gain, and from little to much: a figure names the light ones, the browser turns them dark.
DIVERGING = ((0.0, "#b4400c"), (0.25, "#e99a6b"), (0.5, "#f3f2ef"), (0.75, "#6aa5d4"), (1.0, "#0b5796"))
DIVERGING_DARK = ((0.0, "#ff8a4c"), (0.25, "#a1532b"), (0.5, "#232a33"), (0.75, "#2f6fa8"), (1.0, "#74bcff"))
SEQUENTIAL = ((0.0, "#eef4fa"), (0.25, "#bcd5ea"), (0.5, "#7fb0d8"), (0.75, "#3c82bd"), (1.0, "#0b4a80"))
SEQUENTIAL_DARK = ((0.0, "#17212c"), (0.25, "#1d4468"), (0.5, "#2a6ea8"), (0.75, "#5ba3e0"), (1.0, "#c3e2ff"))
_FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif'


def register() -> None:
    """Let figures say ``template="openbell"``; the browser turns them dark where that is chosen."""
    for name, made in templates().items():
        pio.templates[name] = made


def templates() -> dict[str, go.layout.Template]:
    """Both templates by name."""
    light = _template("#1c2530", "#5a6675", "#e3e7ec", "#9aa5b1", LIGHT_COLOURS, DIVERGING, SEQUENTIAL, "#ffffff")
    dark = _template(
        "#e6ebf1", "#a9b4c0", "#2a333e", "#5c6875", DARK_COLOURS, DIVERGING_DARK, SEQUENTIAL_DARK, "#1b222b"
    )
    return {NAME: light, DARK: dark}


def as_json() -> str:
    """Both templates for the browser, safe inside a page."""
    told = {
        "light": templates()[NAME].to_plotly_json(),
        "dark": templates()[DARK].to_plotly_json(),
        "scales": [[DIVERGING, DIVERGING_DARK], [SEQUENTIAL, SEQUENTIAL_DARK]],
    }
    return json.dumps(told, separators=(",", ":")).replace("<", "\\u003c")


def _template(
    ink: str, weak: str, grid: str, line: str, colours: Any, diverging: Any, sequential: Any, hover: str
) -> go.layout.Template:
    axis = {
        "gridcolor": grid,
        "linecolor": line,
        "zerolinecolor": line,
        "zerolinewidth": 1,
        "tickcolor": line,
        "tickfont": {"color": weak},
        "title": {"font": {"color": ink, "size": 13}, "standoff": 8},
        "automargin": True,
    }
    layout = {
        "meta": MARK,
        "font": {"family": _FONT, "size": 13, "color": ink},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "colorway": list(colours),
        "colorscale": {
            "diverging": [list(each) for each in diverging],
            "sequential": [list(each) for each in sequential],
            "sequentialminus": [list(each) for each in sequential[::-1]],
        },
        "xaxis": axis,
        "yaxis": axis,
        "hoverlabel": {"bgcolor": hover, "bordercolor": line, "font": {"color": ink, "family": _FONT}},
        "legend": {"orientation": "h", "yanchor": "bottom", "y": 1.02, "xanchor": "left", "x": 0},
        "margin": {"l": 56, "r": 16, "t": 32, "b": 48},
        "hovermode": "closest",
        "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": weak, "activecolor": ink},
        "coloraxis": {"colorbar": {"outlinewidth": 0, "tickfont": {"color": weak}}},
        "shapedefaults": {"line": {"color": weak, "width": 1}},
        "annotationdefaults": {"font": {"color": ink}, "arrowcolor": weak},
    }
    scale = [list(each) for each in sequential]
    heat = {"colorscale": scale, "colorbar": {"outlinewidth": 0, "tickfont": {"color": weak}}}
    return go.layout.Template(layout=layout, data={"heatmap": [heat], "contour": [heat], "histogram2d": [heat]})
