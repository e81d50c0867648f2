"""Entrants through a span of time: walked forward, decided, traded and measured, for a selection or for a last look."""

from __future__ import annotations

import datetime as dt
import inspect
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from openbell.core.declare import Desk, Label
from openbell.core.errors import BadInput
from openbell.core.hashing import digest
from openbell.core.types import Panel
from openbell.core.view import View
from openbell.research.arena import Arena
from openbell.research.backtest import Costs
from openbell.research.deciding import Decide
from openbell.research.entrants import Entrants
from openbell.research.folds import Fold, folds_over
from openbell.research.panel import Progress
from openbell.research.portfolios import Portfolios, Traded
from openbell.research.targets import Targets
from openbell.research.walkforward import Examine, WalkForward, record_candidates, walk_forward

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


def yearly_folds(dated: pl.DataFrame, settings: MeetingSettings) -> tuple[Fold, ...]:
    """Segments of about `refit_sessions`, each trained on the `train_sessions` before it."""
    rest = dated.height - settings.train_sessions
    return folds_over(
        dated,
        folds=max(math.ceil(rest / settings.refit_sessions), 1),
        min_train_sessions=settings.train_sessions,
        train_sessions=settings.train_sessions,
    )


@dataclass(frozen=True, slots=True, eq=False)
class Meeting:
    """What came of it: out-of-sample scores, the targets decided on them, and the curves they made.

    `out` says why a model does not meet: it abstained, or raised.
    """

    walked: WalkForward
    arena: Arena
    held: Targets
    traded: Traded
    played: Portfolios
    able: tuple[str, ...]
    out: dict[str, str]


def meet(
    view: View,
    desk: Desk,
    decide: Decide,
    panel: Panel,
    label: Label,
    folds: Sequence[Fold],
    entrants: Entrants,
    dated: pl.DataFrame,
    *,
    universe: str,
    benchmark: str,
    ledger: Trials,
    settings: MeetingSettings,
    examine: Examine | None = None,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> Meeting:
    """Score, decide and account for every entrant over the span of `folds`; every try is in the ledger before.

    Parameters
    ----------
    view : knows the closes up to the end of the span. decide : called with ``weighting=`` an allocator.
    dated : decision sessions with ``session`` and ``number``. Others as in `tournament.tournament`.

    Raises
    ------
    BadInput
        Where no model is left to meet.
    """
    record_candidates(
        ledger, desk.name, view.as_of, panel.recipe, entrants.models, entrants.parameters, entrants.members
    )
    walked = walk_forward(
        panel,
        label.name,
        folds,
        entrants.models,
        ledger=ledger,
        numbers=dict(dated.select("session", "number").iter_rows()),
        parameters=entrants.parameters,
        members=entrants.members,
        stride=desk.rebalance_sessions,
        keep_going=True,
        examine=examine,
        cache=cache,
        jobs=settings.jobs,
        progress=progress,
    )
    out = {**walked.abstained, **walked.failed}
    able = tuple(each.name for each in entrants.models if each.name not in out)
    if not able:
        raise BadInput("No candidate can be judged. " + " ".join(f"{name}: {why}" for name, why in out.items()))
    sessions = walked.scores["session"]
    arena = Arena.prepared(
        view,
        sessions.min(),  # type: ignore[arg-type]
        view.sessions.last_closed(view.as_of),
        every=desk.rebalance_sessions,
        universe=universe,
        benchmark=benchmark,
        lead_minutes=settings.lead_minutes,
        costs=settings.costs,
        cash_rate=settings.cash_rate,
        capital_usd=settings.capital_usd,
    )
    made_of = digest([panel.recipe, label.name, [fold.fit_at for fold in folds], entrants.prints])
    held = arena.targets(
        decide,
        walked.scores,
        able,
        entrants.allocators,
        made_of=[made_of, code_of(decide)],
        cache=cache,
        jobs=settings.jobs,
        progress=progress,
    )
    _record_backtests(ledger, desk.name, view.as_of, panel.recipe, held, made_of)
    traded = arena.traded(held)
    if not traded.entrants:
        raise BadInput("No entrant could decide. " + " ".join(held.failures["why"].head(3)))
    return Meeting(walked, arena, held, traded, arena.portfolios(held, traded), able, out)


def _record_backtests(ledger: Trials, desk: str, at: dt.datetime, recipe: str, held: Targets, made_of: str) -> None:
    """Every pair that is about to be accounted for is a try of its own."""
    from openbell.store.trials import Trial

    ledger.record(
        [
            Trial(
                desk=desk,
                kind="backtest",
                name=name,
                fingerprint=digest([name, made_of]),
                data=recipe,
                parameters={},
            )
            for name in held.entrants
        ],
        at=at,
    )


def code_of(decide: Decide) -> str:
    """Hash of the code that decides: a kept decision of another version is none of this one."""
    from openbell.quant import allocation

    function = getattr(decide, "func", decide)
    modules = [inspect.getmodule(function), allocation]
    return digest([inspect.getsource(module) for module in modules if module is not None])
