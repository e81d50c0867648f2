"""The champion fitted once more, on everything known now: the hold-out may teach it, for it was chosen without it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from openbell.core.declare import Desk, Feature, Label
from openbell.core.errors import OpenbellError
from openbell.core.view import View
from openbell.research.candidates import Candidate, final_fits
from openbell.research.dataset import decision_sessions, ranked_panel
from openbell.research.meeting import MeetingSettings
from openbell.research.panel import Progress
from openbell.research.tournament import Played, train_first
from openbell.research.walkforward import record_candidates
from openbell.store.trials import Trials


def refit(
    view: View,
    desk: Desk,
    features: Sequence[Feature],
    label: Label,
    model: str,
    played: Played,
    *,
    universe: str,
    benchmark: str | None,
    ledger: Trials,
    folder: Path,
    settings: MeetingSettings,
    progress: Progress | None = None,
) -> Candidate:
    """The model `model` of `played`, fitted on the rolling window that ends with what `view` knows, and saved.

    Its features are those it was chosen with, and its parameters those that were tuned then: nothing is chosen here.
    """
    dated = decision_sessions(
        view,
        warmup_sessions=settings.warmup_sessions,
        history_years=settings.history_years,
        lead_minutes=settings.lead_minutes,
    )
    window = dated.tail(settings.train_sessions)
    own = [each for each in features if each.name in played.features]
    panel = ranked_panel(
        view,
        own,
        [label],
        window,
        universe=universe,
        stride=desk.rebalance_sessions,
        every_session_from=None,
        lead_minutes=settings.lead_minutes,
        benchmark=benchmark,
        progress=progress,
    )
    models = [each for each in played.entrants.models if each.name == model]
    entrants = played.entrants
    record_candidates(ledger, desk.name, view.as_of, panel.recipe, models, entrants.parameters, entrants.members)
    fitted = final_fits(
        panel,
        label,
        models,
        as_of=view.as_of,
        dated=window,
        stride=desk.rebalance_sessions,
        train_first=train_first(dated, settings),
        folder=folder,
        plan={"desk": desk.name, "plan": played.contest.plan, "as_of": view.as_of, "recipe": panel.recipe},
        ledger=ledger,
        parameters=entrants.parameters,
        members=entrants.members,
        left_out={},
        jobs=1,
        progress=progress,
    )
    if fitted[0].folder is None:
        raise OpenbellError(f"The champion `{model}` could not be fitted for production: {fitted[0].abstains}")
    return fitted[0]
