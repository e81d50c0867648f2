"""Why a call was made: which features moved the members that can be explained, in words, and how much each weighs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from openbell.core.bars import FRAMES
from openbell.core.errors import BadInput
from openbell.core.signal import CALLS, LABELS, Call
from openbell.quant.reliability import log_loss
from openbell.research.explanation import contributions
from openbell.research.signal_models import BASE_RATE, with_context
from openbell.research.signal_votes import SignalModel
from openbell.store.predictors import library_of

_BOOSTED = ("xgboost", "lightgbm", "catboost")
IMPORTANCE = {"member": pl.String, "feature": pl.String, "importance": pl.Float64, "method": pl.String}


def explainable(model: SignalModel) -> tuple[str, ...]:
    """Members whose forecast is made of one row's values; one that reads sequences, and the base rate, are not."""
    return tuple(name for name, each in model.members.items() if not each.sequential and name != BASE_RATE)


def reasons(
    model: SignalModel,
    features: pl.DataFrame,
    calls: Sequence[str],
    *,
    units: Mapping[str, str] | None = None,
    members: Sequence[str] | None = None,
    top: int = 3,
    quick: bool = True,
) -> list[tuple[str, ...]]:
    """For each row the `top` features that spoke loudest for or against its call, a sentence each.

    Parameters
    ----------
    features : as the model reads them, by name, unranked. calls : SELL, HOLD or BUY of each row.
    units : of the columns, for the words. members : whose contributions count, those that are heard; None takes all
        that are `explainable`. quick : of these the boosted trees alone, where there are some: a forest takes some
        twenty times as long for a row.

    Notes
    -----
    The contributions of a member to the called class (exact SHAP values for trees) are divided by the sum of their
    sizes, for those of one are log-odds and those of another probabilities, and weighted as in the vote.
    """
    if len(calls) != features.height:
        raise BadInput(f"There are {features.height} rows of features and {len(calls)} calls.")
    able = explainable(model)
    asked = [name for name in (able if members is None else members) if name in able]
    if not asked or not features.height:
        return [(f"{', '.join(model.members)} cannot be explained by the values of one row.",)] * features.height
    boosted = [name for name in asked if library_of(model.members[name].predictor) in _BOOSTED]
    asked = boosted if quick and boosted else asked
    share, told, who = _shares(model, features, calls, asked), units or {}, " and ".join(asked)
    columns = [features[name].cast(pl.Float64).to_list() for name in model.features]
    order = np.argsort(-np.abs(share), axis=1, kind="stable")[:, :top]
    return [
        tuple(
            f"{_stated(model.features[at], columns[at][row], told.get(model.features[at]))}, spoke "
            f"{'for' if share[row, at] > 0 else 'against'} {call}: {abs(share[row, at]):.0%} of what moved {who}."
            for at in order[row]
            if share[row, at] != 0
        )
        for row, call in enumerate(calls)
    ]


def _shares(model: SignalModel, features: pl.DataFrame, calls: Sequence[str], asked: Sequence[str]) -> np.ndarray:
    """Weighted share of each feature in what moved the called class of each row, (n, p), with its sign."""
    ranked = pl.DataFrame(model.matrix(features), schema=list(model.features))
    called = np.array([LABELS[CALLS.index(Call(each))] for each in calls])
    whole = sum(model.weights[name] for name in asked)
    found = np.zeros((features.height, len(model.features)))
    for name in asked:
        fitted = model.members[name]
        for code in np.unique(called):
            if code not in fitted.classes:
                continue
            own = np.flatnonzero(called == code)
            values = contributions(fitted, ranked[own], of=fitted.classes.index(code)).values
            size = np.abs(values).sum(axis=1, keepdims=True)
            scaled = np.divide(values, size, out=np.zeros_like(values), where=size > 0)
            found[own] += model.weights[name] / whole * scaled
    return found


def _stated(column: str, value: float | None, unit: str | None) -> str:
    name, frame = split_column(column)
    on, of = f" on {frame} bars" if frame else "", f" ({unit})" if unit else ""
    return f"`{name}`{on}{of}, {'which is missing' if value is None or value != value else f'at {value:.4g}'}"


def split_column(column: str) -> tuple[str, str]:
    """Feature and frame of a column such as ``rsi_14_5m``; the frame is empty where the name has none."""
    name, _, frame = column.rpartition("_")
    return (name, frame) if frame in FRAMES and name else (column, "")


def feature_importance(
    model: SignalModel, rows: pl.DataFrame, *, before: pl.DataFrame | None = None, most_rows: int = 500, seed: int = 0
) -> pl.DataFrame:
    """How much each feature weighs in each member, on labelled rows that the members were not fitted on.

    Parameters
    ----------
    rows : columns of `core.signal.DECISIONS` and the features, sorted by moment. before : earlier decisions, for a
        member that reads sequences. most_rows : taken evenly from `rows`, for sequences the latest. seed : of shuffles.

    Returns
    -------
    polars.DataFrame
        ``member``, ``feature``, ``importance``, ``method``; by member, the largest first. ``contribution``: mean size
        of the contributions over rows and classes, in the unit of the member. ``permutation``: by how much the log-loss
        rises when the feature is shuffled among the rows; within noise it may fall.

    References
    ----------
    Lundberg et al. (2020), Nature Machine Intelligence 2, 56-67. Fisher, Rudin and Dominici (2019), JMLR 20 (177).
    """
    if rows.is_empty():
        raise BadInput("Importance needs labelled rows; there are none.")
    able, found = explainable(model), []
    for name, fitted in model.members.items():
        if name == BASE_RATE:
            size, method = np.zeros(len(model.features)), "none"
        elif name in able:
            some = rows.gather_every(max(1, -(-rows.height // most_rows)))
            ranked = pl.DataFrame(model.matrix(some), schema=list(model.features))
            each = [np.abs(contributions(fitted, ranked, of=at).values) for at in range(len(fitted.classes))]
            size, method = np.mean(each, axis=(0, 1)), "contribution"
        else:
            size, method = (
                _permuted(model, name, rows.tail(most_rows), rows.head(-most_rows), before, seed),
                "permutation",
            )
        table = {"member": name, "feature": list(model.features), "importance": size, "method": method}
        found.append(pl.DataFrame(table, schema=IMPORTANCE).sort("importance", "feature", descending=[True, False]))
    return pl.concat(found)


def _permuted(
    model: SignalModel, name: str, rows: pl.DataFrame, earlier: pl.DataFrame, before: pl.DataFrame | None, seed: int
) -> np.ndarray:
    """Rise of the log-loss of a member that reads sequences when one feature is shuffled over all that it is shown."""
    history = pl.concat([before.select(rows.columns), earlier]) if before is not None else earlier
    shown, wanted = with_context(history, rows, model.history_rows)
    keys, matrix = shown.select(pl.col("as_of").alias("t"), "symbol"), model.matrix(shown)
    labels = rows["label"].to_numpy().astype(np.int64) + 1

    def loss(given: np.ndarray) -> float:
        said = model.say(name, given, keys)[wanted]
        whole = np.isfinite(said).all(axis=1)
        return log_loss(said[whole], labels[whole])

    rng, whole, rise = np.random.default_rng(seed), loss(matrix), np.empty(len(model.features))
    for at in range(len(model.features)):
        mixed = matrix.copy()
        mixed[:, at] = rng.permutation(matrix[:, at])
        rise[at] = loss(mixed) - whole
    return rise
