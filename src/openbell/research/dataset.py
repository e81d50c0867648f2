"""What candidates are trained on: the decisions of a span, and their panel as models are to see it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import polars as pl

from openbell.core.declare import Feature, Label
from openbell.core.errors import BadInput, FeatureUnavailable
from openbell.core.hashing import digest
from openbell.core.types import Panel
from openbell.core.view import View
from openbell.research.panel import Progress, build_panel, ranked
from openbell.research.universe import decisions

#: Sessions of a year, as `history_years` counts them.
SESSIONS_PER_YEAR = 252


def decision_sessions(view: View, *, warmup_sessions: int, history_years: float, lead_minutes: int) -> pl.DataFrame:
    """Decision sessions of the training: after the warm-up of the data, at most `history_years` back, up to now."""
    held = view.facts("bars").select(pl.col("session").min()).collect().item()
    if held is None:
        raise BadInput(f"No bar was known at {view.as_of:%Y-%m-%d %H:%M} UTC. Import bars, or choose a later date.")
    calendar = view.sessions
    start = min(calendar.index(held) + 1 + warmup_sessions, len(calendar.dates) - 1)
    dated = decisions(calendar, calendar.dates[start:], lead_minutes).filter(pl.col("as_of") <= view.as_of)
    dated = dated.tail(round(history_years * SESSIONS_PER_YEAR))
    if dated.is_empty():
        raise BadInput(
            f"The data begin on {held} and {view.as_of:%Y-%m-%d} is within the {warmup_sessions} sessions of "
            "warm-up. Choose a later date, or import a longer history."
        )
    return dated


def ranked_panel(
    view: View,
    features: Sequence[Feature],
    labels: Sequence[Label],
    dated: pl.DataFrame,
    *,
    universe: str | None,
    stride: int,
    every_session_from: dt.date | None,
    lead_minutes: int,
    benchmark: str | None,
    progress: Progress | None,
) -> Panel:
    """The panel of the decisions `dated`, features as ranks within each date; see `panel.build_panel`."""
    built = build_panel(
        view,
        features,
        labels,
        universe=universe,
        first=dated["session"][0],
        last=dated["session"][-1],
        stride=stride,
        every_session_from=every_session_from,
        lead_minutes=lead_minutes,
        benchmark=benchmark,
        progress=progress,
    )
    held = [_without_empty(built)]
    del built
    return ranked(held.pop())


def _without_empty(panel: Panel) -> Panel:
    """The panel without features that have no value at all, and a note that names them."""
    counts = panel.frame.select(pl.col(name).count() for name in panel.features).row(0, named=True)
    empty = [name for name, count in counts.items() if count == 0]
    if not empty:
        return panel
    kept = tuple(name for name in panel.features if name not in empty)
    if not kept:
        raise FeatureUnavailable("No feature has a single value in the panel. Give a longer history.")
    note = f"{len(empty)} features have no value in these data and are left out: {', '.join(empty)}."
    return Panel(panel.frame.drop(empty), kept, panel.labels, digest([panel.recipe, empty]), (*panel.notes, note))
