"""Who meets in a tournament: models by name, what each is made of, with parameters that were tuned or not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import polars as pl

from openbell.core.declare import Model
from openbell.core.errors import BadInput, IntegrityBroken, Refused, StorageFailed
from openbell.core.types import Panel
from openbell.research.fitting import fingerprint
from openbell.research.folds import Fold, train_rows
from openbell.research.inner import TrainingRows
from openbell.research.tuning import Tuned, TuningSettings, tune
from openbell.research.venue import Venue
from openbell.research.walkforward import Members, Parameters
from openbell.research.weights import label_weights

#: A candidate of this ending is its stem with parameters that were tuned inside the first training window.
TUNED = "_tuned"
_TUNING = {
    "model": pl.String,
    "trial": pl.Int64,
    "value": pl.Float64,
    "default_value": pl.Float64,
    "state": pl.String,
}


@dataclass(frozen=True, slots=True)
class Entrants:
    """Who meets: models by name, what each is made of, and the allocators that each is paired with.

    `parameters` are over a model's defaults. `out` says why a model that was entered does not meet.
    """

    models: tuple[Model, ...]
    allocators: tuple[str, ...]
    parameters: Parameters = field(default_factory=dict)
    members: Members = field(default_factory=dict)
    out: Mapping[str, str] = field(default_factory=dict)

    @property
    def prints(self) -> dict[str, str]:
        """Fingerprint of each model with its parameters and members."""
        return {
            each.name: fingerprint(each, self.parameters.get(each.name, {}), self.members.get(each.name, ()))
            for each in self.models
        }

    @property
    def tuned(self) -> tuple[str, ...]:
        """Candidates whose parameters are searched for."""
        return tuple(model.name for model in self.models if model.name.endswith(TUNED))


def entrants_of(
    names: Sequence[str],
    allocators: Sequence[str],
    find: Callable[[str], Model],
    parameters: Mapping[str, Mapping[str, Any]],
) -> Entrants:
    """The declared models of `names`; ``NAME_tuned`` is the model NAME under its own name, to be tuned.

    Parameters
    ----------
    find : gives a declared model by name, or refuses.
    parameters : over a model's defaults, by its name here or else by its declared one.
    """
    if not names or not allocators:
        raise BadInput("A tournament needs at least one candidate and one allocator.")
    models, given, members = [], {}, {}
    for name in dict.fromkeys(names):
        stem = name.removesuffix(TUNED)
        declared = find(stem)
        if stem != name and not declared.search:
            raise BadInput(f"The model `{stem}` declares no search space, so there is no `{name}`.")
        models.append(replace(declared, name=name))
        given[name] = dict(parameters.get(name, parameters.get(stem, {})))
        if declared.members:
            members[name] = tuple((find(each), dict(parameters.get(each, {}))) for each in declared.members)
    return Entrants(tuple(models), tuple(dict.fromkeys(allocators)), given, members)


def tuned(venue: Venue, entrants: Entrants, panel: Panel, fold: Fold) -> tuple[Entrants, pl.DataFrame, tuple[str, ...]]:
    """The entrants with the parameters found inside the first training window, the trials, and what to say of it.

    A model whose search fails does not meet: its defaults under its name would be another candidate.
    """
    tables, notes = [pl.DataFrame(schema=_TUNING)], list[str]()
    found, out = dict(entrants.parameters), dict(entrants.out)
    rows = _training_rows(venue, panel, fold)
    for model in entrants.models:
        if model.name not in entrants.tuned:
            continue
        try:
            best = _searched(venue, entrants, model, rows, panel.recipe, fold)
        except (Refused, StorageFailed, IntegrityBroken):
            raise
        except Exception as failure:
            out[model.name] = f"{type(failure).__name__}: {failure}"
            continue
        found[model.name] = {**found.get(model.name, {}), **best.parameters}
        named = pl.lit(model.name).alias("model")
        default = pl.lit(best.default_value, dtype=pl.Float64).alias("default_value")
        tables.append(best.trials.select(named, "trial", "value", default, "state").cast(_TUNING))
        notes += [*best.notes, _gain(model.name, best)]
    left = tuple(each for each in entrants.models if each.name not in out)
    return replace(entrants, models=left, parameters=found, out=out), pl.concat(tables), tuple(notes)


def _searched(venue: Venue, entrants: Entrants, model: Model, rows: TrainingRows, recipe: str, fold: Fold) -> Tuned:
    own = venue.settings
    return tune(
        model,
        rows,
        fit_at=fold.fit_at,
        ledger=venue.ledger,
        desk=venue.desk.name,
        data=recipe,
        at=venue.view.as_of,
        now=venue.stopwatch,
        settings=TuningSettings(
            trials=own.trials, seed=own.seed, time_budget_seconds=own.time_budget_seconds / len(entrants.tuned)
        ),
        parameters=entrants.parameters.get(model.name, {}),
        members=entrants.members.get(model.name, ()),
        cache=None if venue.cache is None else venue.cache / "tuning",
        progress=venue.progress,
    )


def _training_rows(venue: Venue, panel: Panel, fold: Fold) -> TrainingRows:
    """Of the first training window, with the weights that a fit on all of it has."""
    label = venue.label.name
    known = panel.frame.filter(train_rows(label, fold.fit_at, 1, fold.train_first).fill_null(False))
    return TrainingRows(
        known.select(panel.features),
        known[label].cast(pl.Float64).to_numpy(),
        known.select("session", "symbol", "as_of", pl.col(f"{label}_known_at").alias("label_known_at")),
        _weights(venue, known),
    )


def _weights(venue: Venue, known: pl.DataFrame) -> np.ndarray | None:
    stride, horizon = venue.desk.rebalance_sessions, venue.label.horizon_sessions
    if stride >= horizon:
        return None
    number = venue.decisions().select("session", "number")
    rows = known.select("session", "symbol").join(number, on="session", how="left", maintain_order="left")
    return label_weights(rows, horizon, stride=stride)


def _gain(name: str, best: Tuned) -> str:
    default = best.default_value
    said = "its defaults could not be fitted" if default is None else f"its defaults {default:+.4f}"
    over = " (the time budget was over)" if best.stopped_by == "time" else ""
    return (
        f"{name}: the best of {best.trials.height} trials{over} has a mean rank IC of {best.value:+.4f} on the inner "
        f"folds of the first training window, {said}. It is the largest of many on the same rows; what it is worth out "
        "of sample is the difference between the two candidates."
    )
