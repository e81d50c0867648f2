"""Figures of features: how values lie."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import polars as pl

#: Bins of a histogram, and the part at each end that is drawn in the outermost of them.
BINS, TAIL = 60, 0.002


def distribution(values: pl.Series, unit: str) -> go.Figure:
    """Histogram of `values` with their median; the outermost 0.2 % at each end count in the outermost bins."""
    figure = go.Figure()
    low, high = (float(values.quantile(each) or 0.0) for each in (TAIL, 1.0 - TAIL))
    few = values.n_unique() <= BINS // 2
    if few or not high > low:
        counted = values.value_counts(sort=False).sort(values.name)
        figure.add_bar(x=counted[values.name].to_list(), y=counted["count"].to_list(), name="rows")
    else:
        counts, edges = np.histogram(values.clip(low, high).to_numpy(), bins=BINS)
        middle, width = (edges[:-1] + edges[1:]) / 2.0, np.diff(edges)
        figure.add_bar(x=middle.tolist(), y=counts.tolist(), width=width.tolist(), name="rows")
    figure.add_vline(x=values.median(), line={"width": 1.5, "dash": "dot"}, annotation_text="median")
    figure.update_layout(
        template="openbell", xaxis_title=f"value, {unit}", yaxis_title="rows", showlegend=False, bargap=0.02, height=340
    )
    return figure
