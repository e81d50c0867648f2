"""Why the names that are held have the scores they have: the largest contributions to each, in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

from openbell.core.errors import OpenbellError
from openbell.core.types import Forecast
from openbell.research.explanation import BACKGROUND_ROWS, contributions, in_words
from openbell.research.forecasting import FEATURES_READ
from openbell.store.artifacts import FittedModel

#: Names that are explained, the heaviest first: a portfolio of this desk holds no more.
MOST_NAMES = 50
#: Contributions that are told of each name.
TOP = 3


@dataclass(frozen=True, slots=True)
class Reasons:
    """What moved the scores of the names that are held.

    Attributes
    ----------
    because : by symbol, a sentence for each of the largest contributions, the largest first.
    method, unit : see `explanation.Contributions`; None where nothing is explained.
    notes : what is not explained, and why.
    """

    because: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    method: str | None = None
    unit: str | None = None
    notes: tuple[str, ...] = ()


def reasons(model: FittedModel | None, said: Forecast, weights: Mapping[str, float]) -> Reasons:
    """Why `said` gives the names of `weights` their scores; it never raises, for a decision must not wait for it.

    Contributions are shown only where they sum to the scores. What stands for "not known" where they are found by
    permutation is drawn evenly from all names that have a score, so it depends on nothing but the forecast.

    Parameters
    ----------
    model : that spoke; None where there is no view. weights : of the portfolio after the decision, by symbol.
    """
    if model is None or not said.has_view or not weights:
        why = "There is no view" if model is None or not said.has_view else "Nothing is held"
        return Reasons(notes=(f"{why}, so there is nothing to explain.",))
    try:
        return _explained(model, said.evidence[FEATURES_READ], weights)
    except OpenbellError as failure:
        return Reasons(notes=(f"The scores are not explained. {failure}",))
    except Exception as failure:  # whatever a library raises over its own model
        return Reasons(notes=(f"The scores are not explained. {type(failure).__name__}: {failure}",))


def _explained(model: FittedModel, read: pl.DataFrame, weights: Mapping[str, float]) -> Reasons:
    heaviest = sorted(weights, key=lambda name: (-weights[name], name))
    held = read.filter(pl.col("symbol").is_in(heaviest[:MOST_NAMES])).sort("symbol")
    silent = sorted(set(weights) - set(read["symbol"]))
    notes = [f"{len(silent)} held names have no score to explain: {', '.join(silent)}."] if silent else []
    if len(heaviest) > MOST_NAMES:
        notes.append(f"Of {len(heaviest)} names the {MOST_NAMES} heaviest are explained.")
    if held.is_empty():
        return Reasons(notes=tuple(notes))
    columns = list(model.features)
    background = read.sort("symbol").gather_every(max(read.height // BACKGROUND_ROWS, 1)).head(BACKGROUND_ROWS)
    found = contributions(model, held.select(columns), background=background.select(columns))
    because = {
        row["symbol"]: in_words(values, columns, row, TOP, unit=found.unit)
        for row, values in zip(held.iter_rows(named=True), found.values, strict=True)
    }
    return Reasons(because, found.method, found.unit, tuple(notes))
