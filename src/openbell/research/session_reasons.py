"""Why a session was called what it was: what each feature added, for one decision in words and over many as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from openbell.core.errors import BadInput, unknown
from openbell.research.explanation import BACKGROUND_ROWS, Contributions, contributions
from openbell.research.session_models import BASE_RATE, SessionModel
from openbell.research.signal_votes import raw_matrix

#: Columns of `contribution_rows` and of `importance`.
ROWS = {"session": pl.Date, "feature": pl.String, "value": pl.Float64, "contribution": pl.Float64}
IMPORTANCE = {"feature": pl.String, "importance": pl.Float64, "direction": pl.Float64, "n": pl.Int64}


def explained(
    model: SessionModel, features: pl.DataFrame, of: str, *, background: pl.DataFrame | None = None
) -> Contributions | None:
    """What each feature added to what the classifier says of the class `of`, before it is calibrated.

    Parameters
    ----------
    features : columns by name, null where missing; others are not read. of : a class of the label.
    background : rows that stand for "not known" where contributions are found by permutation; see
        `explanation.contributions`, which proves that they sum to what the classifier says.

    Returns
    -------
    Contributions
        NaN on rows where no feature has a value, for there the model abstains. None where there is nothing to explain:
        for the base rate, and for a class that the classifier never saw.
    """
    if of not in model.classes:
        raise unknown(f"class of `{model.label or model.name}`", of, model.classes)
    code = float(model.classes.index(of))
    if model.fitted.name == BASE_RATE or code not in model.fitted.classes or features.is_empty():
        return None
    frame = _frame(model, features)
    rows = None if background is None else _frame(model, background)
    found = contributions(model.fitted, frame, of=model.fitted.classes.index(code), background=rows)
    silent = np.isnan(frame.to_numpy()).all(axis=1)
    if not silent.any():
        return found
    values, base = found.values.copy(), found.base.copy()
    values[silent], base[silent] = np.nan, np.nan
    return Contributions(values, base, found.method, found.unit, found.additivity_error)


def _frame(model: SessionModel, features: pl.DataFrame) -> pl.DataFrame:
    """The features as the classifier is handed them: by name, NaN where missing."""
    return pl.DataFrame(raw_matrix(features, model.features, model.name), schema=list(model.features))


def reasons(
    model: SessionModel,
    features: pl.DataFrame,
    calls: Sequence[str],
    *,
    units: Mapping[str, str] | None = None,
    lineage: Mapping[str, Mapping[str, str]] | None = None,
    background: pl.DataFrame | None = None,
    top: int = 3,
) -> list[tuple[str, ...]]:
    """For each row the `top` features that spoke loudest for or against a class, a sentence each.

    Parameters
    ----------
    features : columns by name. calls : a class for each row: the one called, or the likeliest where none is.
    units : of the features. lineage : of each ``{"source": , "as_of": }``; both are told beside the value.
    background : see `explained`.
    """
    if len(calls) != features.height:
        raise BadInput(f"There are {features.height} rows of features and {len(calls)} classes to explain.")
    told: list[tuple[str, ...]] = [()] * len(calls)
    for called in dict.fromkeys(calls):
        rows = [at for at, each in enumerate(calls) if each == called]
        own = features[rows]
        found = explained(model, own, called, background=background)
        for place, at in enumerate(rows):
            told[at] = (
                (_unexplained(model, called),)
                if found is None
                else _sentences(model, own.row(place, named=True), found.values[place], called, units, lineage, top)
            )
    return told


def _unexplained(model: SessionModel, called: str) -> str:
    if model.fitted.name == BASE_RATE:
        return f"`{model.name}` says how often each class came and looks at no feature."
    return f"`{model.name}` never saw {called} in training; there is nothing to explain."


def _sentences(
    model: SessionModel,
    row: Mapping[str, float | None],
    values: np.ndarray,
    called: str,
    units: Mapping[str, str] | None,
    lineage: Mapping[str, Mapping[str, str]] | None,
    top: int,
) -> tuple[str, ...]:
    if np.isnan(values).any():
        return (f"`{model.name}` abstains: no feature has a value.",)
    size = float(np.abs(values).sum())
    order = [int(at) for at in np.argsort(-np.abs(values), kind="stable")[:top] if values[at] != 0]
    if not order:
        return (f"No feature moved `{model.name}` in this session.",)
    return tuple(
        f"{_stated(model.features[at], row[model.features[at]], units or {}, lineage or {})} spoke "
        f"{'for' if values[at] > 0 else 'against'} {called}: {abs(values[at]) / size:.0%} of what moved `{model.name}`."
        for at in order
    )


def _stated(name: str, value: float | None, units: Mapping[str, str], lineage: Mapping[str, Mapping[str, str]]) -> str:
    """`overnight_gap` at 0.0123 (fraction; of bars, as of 2024-01-02 15:15)."""
    missing = value is None or value != value
    unit, line = units.get(name), lineage.get(name, {})
    beside = [] if missing or not unit else [unit]
    beside += [f"of {line['source']}, as of {str(line['as_of'])[:16]}"] if {"source", "as_of"} <= line.keys() else []
    words = f" ({'; '.join(beside)})" if beside else ""
    return f"`{name}`, which is missing,{words}" if missing else f"`{name}` at {value:.4g}{words}"


def contribution_rows(
    model: SessionModel, rows: pl.DataFrame, of: str, *, most_rows: int = 500, background: pl.DataFrame | None = None
) -> pl.DataFrame:
    """Value and contribution of every feature in many sessions, a row each: what a SHAP summary is drawn of.

    Parameters
    ----------
    rows : ``session`` and the features; the latest `most_rows` are taken. of : a class of the label.

    Returns
    -------
    polars.DataFrame
        `ROWS`; without rows where there is nothing to explain (see `explained`), without those it abstains on.
    """
    some = rows.sort("session").tail(most_rows)
    found = explained(model, some, of, background=some.tail(BACKGROUND_ROWS) if background is None else background)
    if found is None:
        return pl.DataFrame(schema=ROWS)
    parts = [
        some.select(
            "session", pl.lit(name).alias("feature"), pl.col(name).cast(pl.Float64).alias("value"),
            pl.Series("contribution", found.values[:, at]),
        )
        for at, name in enumerate(model.features)
    ]  # fmt: skip
    return pl.concat(parts).filter(pl.col("contribution").is_not_nan()).cast(ROWS)


def importance(model: SessionModel, rows: pl.DataFrame, *, most_rows: int = 500) -> pl.DataFrame:
    """How much each feature weighs over many sessions, the heaviest first; of equals by name.

    Returns
    -------
    polars.DataFrame
        `IMPORTANCE`: ``importance`` is the mean size of the contributions over sessions and classes, in the unit of the
        classifier; ``direction`` the rank correlation of value and contribution for the last class (UP, TREND_UP): 1
        where more of it always speaks for it, null where either is constant; ``n`` sessions. Zeros for the base rate.

    References
    ----------
    Lundberg et al. (2020), Nature Machine Intelligence 2, 56-67.
    """
    of_classes = model.classes[-1:] if len(model.classes) == 2 else model.classes
    parts = [contribution_rows(model, rows, of, most_rows=most_rows) for of in of_classes]
    if all(part.is_empty() for part in parts):
        zero = {"feature": list(model.features), "importance": 0.0, "direction": None, "n": 0}
        return pl.DataFrame(zero, schema=IMPORTANCE).sort("feature")
    size = pl.concat(parts).group_by("feature").agg(pl.col("contribution").abs().mean().alias("importance"))
    known = parts[-1].drop_nulls("value").filter(pl.col("value").is_not_nan())
    direction = known.group_by("feature").agg(
        pl.corr(pl.col("value").rank(), pl.col("contribution").rank()).fill_nan(None).alias("direction")
    )
    counted = parts[-1].group_by("feature").agg(pl.len().cast(pl.Int64).alias("n"))
    found = size.join(direction, on="feature", how="left").join(counted, on="feature", how="left")
    return found.select(list(IMPORTANCE)).sort("importance", "feature", descending=[True, False])
