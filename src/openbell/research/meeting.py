"""Entrants through a span of time: walked forward, decided, traded and measured, for a selection or for a last look."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from openbell.core.errors import BadInput
from openbell.core.hashing import digest
from openbell.core.types import Panel
from openbell.research.arena import Arena
from openbell.research.contest import JOINED_BY
from openbell.research.deciding import Decide
from openbell.research.entrants import Entrants
from openbell.research.fitting import code_behind
from openbell.research.folds import Fold
from openbell.research.portfolios import Portfolios, Traded
from openbell.research.targets import Targets
from openbell.research.venue import Venue, numbers
from openbell.research.walkforward import Examine, WalkForward, record_candidates, walk_forward


@dataclass(frozen=True, slots=True, eq=False)
class Meeting:
    """What came of it: out-of-sample scores, the targets decided on them, and the curves they made.

    `out` says why a model does not meet: it abstained, or raised, or its parameters could not be searched for.
    """

    walked: WalkForward
    arena: Arena
    held: Targets
    traded: Traded
    played: Portfolios
    able: tuple[str, ...]
    out: dict[str, str]


def meet(
    venue: Venue,
    panel: Panel,
    folds: Sequence[Fold],
    entrants: Entrants,
    dated: pl.DataFrame,
    *,
    examine: Examine | None = None,
) -> Meeting:
    """Score, decide and account for every entrant over the span of `folds`; every try is in the ledger before.

    Parameters
    ----------
    venue : its view knows the closes up to the end of the span. panel : as `Venue.panel` makes it.
    dated : decision sessions with ``session`` and ``number``. examine : see `walkforward.walk_forward`.

    Raises
    ------
    BadInput
        Where no model is left to meet.
    """
    walked = _walked(venue, panel, folds, entrants, dated, examine)
    out = {**entrants.out, **walked.abstained, **walked.failed}
    able = tuple(each.name for each in entrants.models if each.name not in out)
    if not able:
        raise BadInput("No candidate can be judged. " + " ".join(f"{name}: {why}" for name, why in out.items()))
    arena = _arena(venue, walked)
    made_of = digest([panel.recipe, venue.label.name, [fold.fit_at for fold in folds], entrants.prints])
    held = arena.targets(
        venue.decide,
        walked.scores,
        able,
        entrants.allocators,
        made_of=[made_of, code_of(venue.decide)],
        cache=venue.cache,
        jobs=venue.settings.jobs,
        progress=venue.progress,
    )
    _record_backtests(venue, panel.recipe, folds, entrants, held)
    traded = arena.traded(held)
    if not traded.entrants:
        raise BadInput("No entrant could decide. " + " ".join(held.failures["why"].head(3)))
    return Meeting(walked, arena, held, traded, arena.portfolios(held, traded), able, out)


def _walked(
    venue: Venue,
    panel: Panel,
    folds: Sequence[Fold],
    entrants: Entrants,
    dated: pl.DataFrame,
    examine: Examine | None,
) -> WalkForward:
    record_candidates(
        venue.ledger,
        venue.desk.name,
        venue.view.as_of,
        panel.recipe,
        entrants.models,
        entrants.parameters,
        entrants.members,
    )
    return walk_forward(
        panel,
        venue.label.name,
        folds,
        entrants.models,
        ledger=venue.ledger,
        numbers=numbers(dated),
        parameters=entrants.parameters,
        members=entrants.members,
        stride=venue.desk.rebalance_sessions,
        horizon_sessions=venue.label.horizon_sessions,
        keep_going=True,
        examine=examine,
        cache=venue.cache,
        jobs=venue.settings.jobs,
        progress=venue.progress,
    )


def _arena(venue: Venue, walked: WalkForward) -> Arena:
    """The span of the out-of-sample scores, up to the last close that the view knows."""
    return Arena.prepared(
        venue.view,
        walked.scores["session"].min(),  # type: ignore[arg-type]
        venue.view.sessions.last_closed(venue.view.as_of),
        every=venue.desk.rebalance_sessions,
        universe=venue.universe,
        benchmark=venue.benchmark,
        lead_minutes=venue.settings.lead_minutes,
        costs=venue.settings.costs,
        cash_rate=venue.settings.cash_rate,
        capital_usd=venue.settings.capital_usd,
    )


def _record_backtests(venue: Venue, recipe: str, folds: Sequence[Fold], entrants: Entrants, held: Targets) -> None:
    """Every pair that is about to be accounted for is a try of its own, whoever meets it; so is each desk setting."""
    from openbell.store.trials import Trial

    settings = settings_of(venue.decide)
    shared = [recipe, venue.label.name, [fold.fit_at for fold in folds], settings]
    venue.ledger.record(
        [
            Trial(
                desk=venue.desk.name,
                kind="backtest",
                name=name,
                fingerprint=digest([name, entrants.prints[name.partition(JOINED_BY)[0]], *shared]),
                data=recipe,
                parameters=settings,
            )
            for name in held.entrants
        ],
        at=venue.view.as_of,
    )


def code_of(decide: Decide) -> str:
    """Hash of the code that decides: a kept decision of another version is none of this one."""
    return digest(code_behind(inspect.getmodule(getattr(decide, "func", decide))))


def settings_of(decide: Decide) -> dict[str, Any]:
    """The desk's settings that are bound to `decide`, but the weighting: every allocator is handed in."""
    return {name: value for name, value in getattr(decide, "keywords", {}).items() if name != "weighting"}
