"""The champion fitted once more, on everything known now: the hold-out may teach it, for it was chosen without it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from openbell.core.errors import OpenbellError
from openbell.research.candidates import Candidate
from openbell.research.tournament import Played, fitted_candidates
from openbell.research.venue import Venue


def refit(venue: Venue, played: Played, model: str, folder: Path) -> Candidate:
    """The model `model` of `played`, fitted on the rolling window that ends with what `venue` knows, and saved.

    Its features are those it was chosen with, and its parameters those that were tuned then: nothing is chosen here.
    """
    features = [each for each in venue.features if each.name in played.features]
    place = replace(venue, features=features, settings=replace(venue.settings, jobs=1))
    window = place.decisions().tail(venue.settings.train_sessions)
    panel = place.panel(window)
    met = played.entrants
    own = replace(met, models=tuple(each for each in met.models if each.name == model))
    # The same configuration once more is no other try: it is in the ledger, or `fit` would refuse.
    plan = {
        "desk": venue.desk.name,
        "plan": played.contest.plan,
        "as_of": venue.view.as_of,
        "recipe": panel.recipe,
    }
    (fitted,) = fitted_candidates(place, panel, own, window, folder, plan, {})
    if fitted.folder is None:
        raise OpenbellError(f"The champion `{model}` could not be fitted for production: {fitted.abstains}")
    return fitted
