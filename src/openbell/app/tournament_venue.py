"""What a tournament of a desk is held with: who is asked for, under which rules, and on what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from openbell.app.clock import seconds
from openbell.app.production import Production
from openbell.app.training import Progress, bound_desk, features_of, universe_of
from openbell.core.declare import Desk, Label, Model
from openbell.core.view import View
from openbell.quant.allocation import allocator_name
from openbell.research.backtest import Costs
from openbell.research.contest import JOINED_BY, entrant
from openbell.research.entrants import Entrants, entrants_of
from openbell.research.selection import Rules
from openbell.research.venue import MeetingSettings, Venue

if TYPE_CHECKING:
    from openbell.app.home import Home


@dataclass(frozen=True)
class Asked:
    """What a command line says beside the settings; None leaves what is set."""

    candidates: tuple[str, ...] | None = None
    allocators: tuple[str, ...] | None = None
    baseline: str | None = None
    trials: int | None = None
    time_budget_seconds: float | None = None
    jobs: int | None = None


def venue(home: Home, desk: Desk, view: View, asked: Asked, progress: Progress | None = None) -> Venue:
    """Where the entrants of `desk` meet, on what `view` knows."""
    return Venue(
        view=view,
        desk=desk,
        decide=bound_desk(home),
        features=features_of(home, view),
        label=label_of(home, desk.label),
        outcome=label_of(home, desk.label.replace("forward_rank", "forward_return")),
        universe=universe_of(view, home.settings.data.universe),
        benchmark=home.settings.data.benchmark,
        ledger=home.trials,
        settings=meeting_settings(home, asked),
        cache=home.cache / "tournament",
        stopwatch=seconds,
        progress=progress,
    )


def rules_of(home: Home, desk: Desk) -> Rules:
    """Gates and score of the desk as they are set."""
    criteria, thresholds = desk.judged_by(home.settings.selection[desk.name])
    values = home.settings.tournament
    return Rules(
        criteria=criteria,
        thresholds=thresholds,
        alpha=values.alpha,
        replications=values.replications,
        horizon=desk.rebalance_sessions,
        block_horizons=values.block_horizons,
        deflated_at_least=values.deflated_sharpe,
        seed=home.settings.train.seed,
    )


def meeting_settings(home: Home, asked: Asked) -> MeetingSettings:
    """How the entrants meet: the settings, and what the command line says over them."""
    values, train, trade = home.settings.tournament, home.settings.train, home.settings.trade
    budget = values.time_budget_minutes * 60.0 if asked.time_budget_seconds is None else asked.time_budget_seconds
    return MeetingSettings(
        history_years=values.history_years,
        warmup_sessions=train.warmup_sessions,
        train_sessions=values.train_sessions,
        refit_sessions=values.refit_sessions,
        lead_minutes=home.settings.run.lead_minutes,
        costs=Costs(
            commission_bp=trade.commission_bp,
            slippage_bp=trade.slippage_bp,
            impact=trade.impact,
            delisting_return=values.delisting_return,
        ),
        cash_rate=home.settings.data.cash_rate,
        capital_usd=home.settings.run.capital,
        trials=asked.trials or values.trials,
        time_budget_seconds=budget,
        cpcv_groups=values.cpcv_groups,
        cpcv_test_groups=values.cpcv_test_groups,
        min_names=train.min_names,
        seed=train.seed,
        jobs=asked.jobs or train.jobs,
    )


def entrants(home: Home, desk: Desk, asked: Asked, office: Production | None = None) -> Entrants:
    """Who meets: those asked for, or set, or the desk's own; the baseline and the one in office always do.

    Raises
    ------
    BadInput
        On a name that is not known, with the nearest that is.
    """
    values = home.settings.tournament
    models = list(_first(asked.candidates, values.candidates or desk.entrants))
    allocators = [allocator_name(each) for each in _first(asked.allocators, values.allocators or desk.allocators)]
    if asked.baseline is not None:
        models.append(asked.baseline)
    if office is not None:
        model, allocator = pair_in_office(home, office)
        models.append(model)
        allocators.append(allocator)
    return entrants_of(models, allocators, _finder(home), _parameters(home))


def champion_alone(home: Home, office: Production) -> Entrants:
    """The champion in office as the only entrant, with the parameters that it was chosen with."""
    model, allocator = pair_in_office(home, office)
    chosen = (office.training or {}).get("parameters", {})
    return entrants_of([model], [allocator], _finder(home), _parameters(home) | chosen)


def pair_in_office(home: Home, office: Production) -> tuple[str, str]:
    """The model and the allocator by which the champion in office decides, as the daily run does."""
    model, _, allocator = str(office.payload["candidate"]).partition(JOINED_BY)
    used = office.weighting or allocator or home.settings.desks[office.payload["desk"]]["weighting"]
    return model, allocator_name(used)


def entrant_in_office(home: Home, office: Production | None) -> str | None:
    """The name under which the champion in office meets the others."""
    return None if office is None else entrant(*pair_in_office(home, office))


def label_of(home: Home, name: str) -> Label:
    """The declared label `name`."""
    return home.catalogue.find("labels", name)  # type: ignore[return-value]


def _first(asked: tuple[str, ...] | None, otherwise: tuple[str, ...]) -> tuple[str, ...]:
    """What was asked for, also where that is nothing: `entrants_of` refuses it."""
    return otherwise if asked is None else asked


def _finder(home: Home) -> Callable[[str], Model]:
    return lambda name: home.catalogue.find("models", name)  # type: ignore[return-value]


def _parameters(home: Home) -> dict[str, dict[str, Any]]:
    """Parameters of every model, as they are set."""
    return {name: dict(given) for name, given in home.settings.models.items() if given}
