"""What a fitted model says before the open of a session, by the path that its training panel took."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from openbell.core.declare import Feature
from openbell.core.errors import BadInput, FeatureUnavailable
from openbell.core.types import Forecast
from openbell.core.view import View
from openbell.research.panel import build_panel, ranked
from openbell.research.universe import decisions
from openbell.store.artifacts import FittedModel


def no_view(as_of: dt.datetime, why: Sequence[str], evidence: Mapping[str, Any] | None = None) -> Forecast:
    """The forecast that says nothing, and why."""
    scores = pl.DataFrame(schema={"symbol": pl.String, "score": pl.Float64})
    return Forecast(as_of=as_of, scores=scores, model=None, why=tuple(why), evidence=dict(evidence or {}))


def forecast(
    view: View,
    model: FittedModel,
    features: Sequence[Feature],
    session: dt.date,
    *,
    universe: str | None,
    version: str,
    lead_minutes: int = 30,
    benchmark: str | None = None,
    why: Sequence[str] = (),
    evidence: Mapping[str, Any] | None = None,
) -> Forecast:
    """What `model` says of the members of `universe` before the open of `session`; the path of the training panel.

    Parameters
    ----------
    features : declarations; the model's own are picked by name, and one that is not declared is refused.
    version : name of the registered version. A name that the model abstains on is left out and counted in `why`.

    Raises
    ------
    FeatureUnavailable
        Where a feature of the model is not declared any more. BadInput: where the model was trained after this
        decision, or knows no horizon.
    """
    trained_at, horizon = model.meta.get("as_of"), model.meta.get("horizon_sessions")
    if trained_at is None or horizon is None:
        raise BadInput(f"The model `{model.name}` does not say when, or on which horizon, it was trained. Train again.")
    decided_at = decisions(view.sessions, [session], lead_minutes)["as_of"][0]
    if dt.datetime.fromisoformat(trained_at) > decided_at:
        raise BadInput(
            f"The model `{version}` was trained on what was known at {trained_at}, after this decision at "
            f"{decided_at:%Y-%m-%d %H:%M} UTC. Choose a model that was trained earlier."
        )
    declared = {each.name: each for each in features}
    gone = [name for name in model.features if name not in declared]
    if gone:
        raise FeatureUnavailable(f"The model `{version}` needs {', '.join(gone)}, which is not declared. Train again.")
    own = [declared[name] for name in model.features]
    panel = ranked(
        build_panel(
            view,
            own,
            [],
            universe=universe,
            first=session,
            last=session,
            lead_minutes=lead_minutes,
            benchmark=benchmark,
        )
    )
    scored = panel.frame.select("symbol", pl.Series("score", model.predict(panel.frame.select(panel.features))))
    scores = scored.with_columns(pl.col("score").fill_nan(None)).drop_nulls().sort("symbol")
    left_out = scored.height - scores.height
    abstains = [f"{left_out} of {scored.height} names have no score: the model abstains on them."] if left_out else []
    said = (*why, *abstains)
    if scores.is_empty():
        return no_view(decided_at, said, evidence)
    return Forecast(
        as_of=decided_at,
        scores=scores,
        model=version,
        resolves_at=view.sessions.close(view.sessions.shift(session, int(horizon))),
        why=said,
        evidence=dict(evidence or {}),
    )
