"""Where entrants meet: what is known, the desk and its decisions, the universe, the ledger of what was tried."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from openbell.core.declare import Desk, Feature, Label
from openbell.core.types import Panel
from openbell.core.view import View
from openbell.research.backtest import Costs
from openbell.research.dataset import decision_sessions, ranked_panel
from openbell.research.deciding import Decide
from openbell.research.folds import Fold, folds_over
from openbell.research.panel import Progress
from openbell.research.snapshot import is_equal_weight

if TYPE_CHECKING:
    from openbell.store.trials import Trials


@dataclass(frozen=True, slots=True)
class MeetingSettings:
    """How entrants meet.

    Attributes
    ----------
    history_years, warmup_sessions : see `dataset.decision_sessions`. train_sessions : the rolling training window.
    refit_sessions : sessions between two fits. costs, lead_minutes, capital_usd : as in the back-test.
    cash_rate : see `cash.cash_returns`.
    trials, time_budget_seconds : of all tuning. cpcv_groups, cpcv_test_groups : 0 groups leave it out.
    replications : of the intervals of each measure; the gates' own are in the rules.
    min_names : a date with fewer scored names has no IC. jobs : processes and threads.
    """

    history_years: float = 12.0
    warmup_sessions: int = 252
    train_sessions: int = 1260
    refit_sessions: int = 252
    lead_minutes: int = 30
    costs: Costs = field(default_factory=Costs)
    cash_rate: str = ""
    trials: int = 100
    time_budget_seconds: float = 1800.0
    cpcv_groups: int = 6
    cpcv_test_groups: int = 2
    replications: int = 500
    capital_usd: float = 100_000.0
    min_names: int = 10
    seed: int = 0
    jobs: int = 2


@dataclass(frozen=True, slots=True, eq=False)
class Venue:
    """What every meeting of entrants needs.

    Attributes
    ----------
    view : what is known; nothing later is there to be read. decide : the live desk function, its settings bound; it is
        called with ``weighting=`` an allocator.
    label, outcome : what models are trained on, and the return that a score portfolio is measured by.
    ledger : of trials: every configuration is counted there before it is fitted or back-tested.
    cache : folder of finished pieces, for a run that is resumed; None keeps none. stopwatch : gives seconds.
    """

    view: View
    desk: Desk
    decide: Decide
    features: Sequence[Feature]
    label: Label
    outcome: Label
    universe: str
    benchmark: str
    ledger: Trials
    settings: MeetingSettings = field(default_factory=MeetingSettings)
    cache: Path | None = None
    stopwatch: Callable[[], float] = lambda: 0.0
    progress: Progress | None = None

    def decisions(self, history_years: float | None = None) -> pl.DataFrame:
        """Decision sessions with ``session``, ``number``, ``as_of``, as far back as the settings look."""
        return decision_sessions(
            self.view,
            warmup_sessions=self.settings.warmup_sessions,
            history_years=history_years or self.settings.history_years,
            lead_minutes=self.settings.lead_minutes,
        )

    def panel(self, dated: pl.DataFrame) -> Panel:
        """Ranked features and both labels on the rebalances among `dated`."""
        return ranked_panel(
            self.view,
            self.features,
            [self.label, self.outcome],
            dated,
            universe=self.universe,
            stride=self.desk.rebalance_sessions,
            every_session_from=None,
            lead_minutes=self.settings.lead_minutes,
            benchmark=None if is_equal_weight(self.benchmark) else self.benchmark,
            progress=self.progress,
        )

    def folds(self, dated: pl.DataFrame) -> tuple[Fold, ...]:
        """Segments of about `refit_sessions`, each trained on the `train_sessions` before it."""
        own = self.settings
        return folds_over(
            dated,
            folds=max(math.ceil((dated.height - own.train_sessions) / own.refit_sessions), 1),
            min_train_sessions=own.train_sessions,
            train_sessions=own.train_sessions,
        )

    def train_first(self, dated: pl.DataFrame) -> dt.date:
        """First decision session of the rolling window that ends with the last of `dated`."""
        first: dt.date = dated["session"][max(dated.height - self.settings.train_sessions, 0)]
        return first


def numbers(dated: pl.DataFrame) -> Mapping[dt.date, int]:
    """Number of each decision session on the calendar."""
    return dict(dated.select("session", "number").iter_rows())
