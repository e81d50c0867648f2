"""The champion over the sessions that its selection had not read: one look, with the same machinery."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from openbell.core.declare import Desk, Feature, Label
from openbell.core.errors import BadInput
from openbell.core.view import View
from openbell.quant.intervals import estimate, mean_block
from openbell.quant.performance import marks_per_year, performance
from openbell.research.dataset import decision_sessions, ranked_panel
from openbell.research.deciding import Decide
from openbell.research.entrants import Entrants
from openbell.research.folds import Fold
from openbell.research.meeting import MeetingSettings, meet
from openbell.research.panel import Progress
from openbell.research.snapshot import is_equal_weight
from openbell.store.trials import Trials


def last_look(
    view: View,
    desk: Desk,
    decide: Decide,
    features: Sequence[Feature],
    label: Label,
    entrants: Entrants,
    *,
    first: dt.date,
    universe: str,
    benchmark: str,
    ledger: Trials,
    settings: MeetingSettings,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """What the one entrant earned from `first` to the last close that `view` knows, refitted as in its tournament.

    Returns
    -------
    dict
        ``sessions`` (n), ``total_return``, ``baseline_return``, ``benchmark_return``, ``sharpe`` and ``active_return``
        (annual, over the baseline), the last two with ``_lower`` and ``_upper`` (95 %, stationary bootstrap; null where
        the sessions are too few), ``max_drawdown``, ``turnover``. After costs.
    """
    dated = decision_sessions(
        view,
        warmup_sessions=settings.warmup_sessions,
        history_years=settings.history_years + settings.train_sessions / 252,
        lead_minutes=settings.lead_minutes,
    )
    folds = _folds_from(dated, first, settings)
    panel = ranked_panel(
        view,
        features,
        [label],
        dated.filter(pl.col("session") >= folds[0].train_first),
        universe=universe,
        stride=desk.rebalance_sessions,
        every_session_from=None,
        lead_minutes=settings.lead_minutes,
        benchmark=None if is_equal_weight(benchmark) else benchmark,
        progress=progress,
    )
    met = meet(
        view,
        desk,
        decide,
        panel,
        label,
        folds,
        entrants,
        dated,
        universe=universe,
        benchmark=benchmark,
        ledger=ledger,
        settings=settings,
        progress=progress,
    )
    played = met.played
    how = {"replications": 1000, "seed": settings.seed}
    found = performance(
        played.dates, played.curves[0], turnovers=played.turnover[0], horizon_sessions=label.horizon_sessions, **how
    )
    active = played.active[:, 0]
    per_year = marks_per_year(played.dates)
    added = estimate(active * per_year, block=mean_block(label.horizon_sessions, len(active)), **how)
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


def _folds_from(dated: pl.DataFrame, first: dt.date, settings: MeetingSettings) -> tuple[Fold, ...]:
    """Segments of `refit_sessions` from `first` on, each trained on the window before it."""
    sessions, moments = dated["session"].to_list(), dated["as_of"].to_list()
    start = next((at for at, day in enumerate(sessions) if day >= first), len(sessions))
    if start == 0 or start == len(sessions):
        raise BadInput(f"There is nothing to train on before {first}, or nothing to look at from it on.")
    edges = [*range(start, len(sessions), settings.refit_sessions), len(sessions)]
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
