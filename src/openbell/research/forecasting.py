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

#: Under this name the evidence of a forecast holds what its scores were made of: ``symbol`` and the model's features.
FEATURES_READ = "features"


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

    A model that reads sequences is handed the decisions before this one too, as far apart as those of its training:
    `session`, a stride before it, two strides before it, and so on.

    Parameters
    ----------
    features : declarations; the model's own are picked by name, and one that is not declared is refused.
    version : name of the registered version. A name that the model abstains on, as one with too short a history for
        its sequence, is left out and counted in `why`.

    Returns
    -------
    Forecast
        ``evidence["features"]`` holds what the scores were made of, ``symbol`` and the model's features as it read
        them, one row per score.

    Raises
    ------
    FeatureUnavailable
        Where a feature of the model is not declared any more. BadInput: where the model was trained after this
        decision, knows no horizon, or reads sequences and does not say how far apart their rows are.
    """
    decided_at = decisions(view.sessions, [session], lead_minutes)["as_of"][0]
    horizon = _horizon(model, version, decided_at)
    panel = ranked(
        build_panel(
            view,
            _own(model, features, version),
            [],
            universe=universe,
            last=session,
            lead_minutes=lead_minutes,
            benchmark=benchmark,
            **_history(view, model, session),
        )
    )
    rows = panel.frame
    said = model.predict(rows.select(panel.features), rows.select("session", "symbol"))
    today = rows.with_columns(pl.Series("score", said).fill_nan(None)).filter(pl.col("session") == session)
    if today.is_empty():
        raise BadInput(f"No member has features at the decision of {session}. Import the bars of the session before.")
    spoken = today.drop_nulls("score").sort("symbol")
    left_out = today.height - spoken.height
    abstains = [f"{left_out} of {today.height} names have no score: the model abstains on them."] if left_out else []
    told = (*why, *abstains)
    if spoken.is_empty():
        return no_view(decided_at, told, evidence)
    return Forecast(
        as_of=decided_at,
        scores=spoken.select("symbol", "score"),
        model=version,
        resolves_at=view.sessions.close(view.sessions.shift(session, horizon)),
        why=told,
        evidence={**(evidence or {}), FEATURES_READ: spoken.select("symbol", *panel.features)},
    )


def _horizon(model: FittedModel, version: str, decided_at: dt.datetime) -> int:
    """Sessions to the outcome, of a model that was trained before the decision."""
    trained_at, horizon = model.meta.get("as_of"), model.meta.get("horizon_sessions")
    if trained_at is None or horizon is None:
        raise BadInput(f"The model `{model.name}` does not say when, or on which horizon, it was trained. Train again.")
    if dt.datetime.fromisoformat(trained_at) > decided_at:
        raise BadInput(
            f"The model `{version}` was trained on what was known at {trained_at}, after this decision at "
            f"{decided_at:%Y-%m-%d %H:%M} UTC. Choose a model that was trained earlier."
        )
    return int(horizon)


def _own(model: FittedModel, features: Sequence[Feature], version: str) -> list[Feature]:
    """The declarations of the model's features, in its order."""
    declared = {each.name: each for each in features}
    gone = [name for name in model.features if name not in declared]
    if gone:
        raise FeatureUnavailable(f"The model `{version}` needs {', '.join(gone)}, which is not declared. Train again.")
    return [declared[name] for name in model.features]


def _history(view: View, model: FittedModel, session: dt.date) -> dict[str, Any]:
    """Which decisions the panel begins with and keeps: `session` alone, or those that a sequence of it is made of."""
    if not model.sequential:
        return {"first": session}
    stride = model.meta.get("stride")
    if stride is None:
        raise BadInput(
            f"The model `{model.name}` reads sequences and does not say how many sessions apart the decisions were "
            "that it was trained on. Train again."
        )
    number, stride = view.sessions.index(session), int(stride)
    earliest = max(number - (model.history_rows - 1) * stride, 0)
    return {"first": view.sessions.dates[earliest], "stride": stride, "phase": number % stride}
