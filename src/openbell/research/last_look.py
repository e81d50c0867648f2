"""The champion over the sessions that its selection had not read: one look, with the same machinery."""

from __future__ import annotations

import datetime as dt
import itertools
from typing import Any

import numpy as np
import polars as pl

from openbell.core.errors import BadInput
from openbell.quant.intervals import estimate, mean_block
from openbell.quant.performance import marks_per_year, performance
from openbell.research.dataset import SESSIONS_PER_YEAR
from openbell.research.entrants import Entrants
from openbell.research.folds import Fold
from openbell.research.meeting import meet
from openbell.research.venue import MeetingSettings, Venue


def last_look(venue: Venue, entrants: Entrants, first: dt.date) -> dict[str, Any]:
    """What the one entrant earned from `first` to the last close that `venue` knows, refitted as in its tournament.

    Returns
    -------
    dict
        ``sessions`` (n), ``total_return``, ``baseline_return``, ``benchmark_return``, ``sharpe`` and ``active_return``
        (annual, over the baseline), the last two with ``_lower`` and ``_upper`` (95 %, stationary bootstrap; null where
        the sessions are too few), ``max_drawdown``, ``turnover``. After costs.
    """
    own, horizon = venue.settings, venue.label.horizon_sessions
    dated = venue.decisions(own.history_years + own.train_sessions / SESSIONS_PER_YEAR)
    folds = _folds_from(dated, first, own, venue.desk.rebalance_sessions)
    panel = venue.panel(dated.filter(pl.col("session") >= folds[0].train_first))
    played = meet(venue, panel, folds, entrants, dated).played
    how = {"replications": 1000, "seed": own.seed}
    found = performance(played.dates, played.curves[0], turnovers=played.turnover[0], horizon_sessions=horizon, **how)
    active = played.active[:, 0]
    per_year = marks_per_year(played.dates)
    added = estimate(active * per_year, block=mean_block(horizon, len(active)), **how)
    return {
        "first": played.dates[1].isoformat(),
        "last": played.dates[-1].isoformat(),
        "sessions": len(active),
        "total_return": found.total_return,
        "baseline_return": float(played.curves[-1, -1] - 1.0),
        "benchmark_return": float(played.benchmark[-1] - 1.0),
        "sharpe": found.sharpe.value,
        "sharpe_lower": found.sharpe.low,
        "sharpe_upper": found.sharpe.high,
        "active_return": added.value,
        "active_return_lower": added.low,
        "active_return_upper": added.high,
        "max_drawdown": found.max_drawdown,
        "turnover": float(np.mean(played.turnover[0])) if played.turnover.size else None,
    }


def _folds_from(
    dated: pl.DataFrame, first: dt.date, settings: MeetingSettings, rebalance_sessions: int
) -> tuple[Fold, ...]:
    """Segments of `refit_sessions` from `first` on, each trained on the window before it.

    The last sessions, where they are too few to be sure of a rebalance, belong to the segment before.
    """
    sessions, moments = dated["session"].to_list(), dated["as_of"].to_list()
    start = next((at for at, day in enumerate(sessions) if day >= first), len(sessions))
    if start == 0 or start == len(sessions):
        raise BadInput(f"There is nothing to train on before {first}, or nothing to look at from it on.")
    edges = [*range(start, len(sessions), settings.refit_sessions), len(sessions)]
    if len(edges) > 2 and edges[-1] - edges[-2] < rebalance_sessions:
        del edges[-2]
    return tuple(
        Fold(
            number=at + 1,
            fit_at=moments[begin],
            test_first=sessions[begin],
            test_last=sessions[end - 1],
            train_first=sessions[max(begin - settings.train_sessions, 0)],
        )
        for at, (begin, end) in enumerate(itertools.pairwise(edges))
    )
