"""What a forecast is made of: each feature's contribution, proven to sum to it, and what is lost without a feature."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from openbell.core.errors import BadInput, IntegrityBroken, unknown
from openbell.quant.reliability import log_loss
from openbell.research.inner import aligned, date_rank_ics
from openbell.store.artifacts import FittedModel, feature_matrix
from openbell.store.predictors import Composite, library_of, outputs

#: Contributions that miss their prediction by more than this share of the largest one are not shown.
ADDITIVITY = 1e-4
#: Rows that stand for "not known" where contributions are found by permutation.
BACKGROUND_ROWS = 16


@dataclass(frozen=True, slots=True, eq=False)
class Contributions:
    """How much each feature moved each forecast away from the base: ``base + values.sum(axis=1)`` is the forecast.

    Attributes
    ----------
    values : shape (n, p), columns as in the model. base : what is said of a row of which nothing is known, shape (n,).
        NaN where the model abstains.
    method : ``tree`` (exact SHAP values of trees), ``linear`` (coefficient times value), ``column``, ``sum`` (of the
        weighted members of a blend) or ``permutation`` (sampled).
    unit : what is summed: ``score``, ``log-odds`` or ``probability``.
    additivity_error : largest distance between the sum and the forecast, as a share of the largest forecast or base.
    """

    values: np.ndarray
    base: np.ndarray
    method: str
    unit: str
    additivity_error: float


def contributions(
    fitted: FittedModel,
    frame: pl.DataFrame,
    *,
    of: int | None = None,
    background: pl.DataFrame | None = None,
    seed: int = 0,
) -> Contributions:
    """Contribution of every feature to every forecast of `frame`, checked against the forecasts themselves.

    Parameters
    ----------
    frame : features by name. of : position of the class that is explained; None takes the last.
    background : rows that stand for "not known" where contributions are found by permutation; None draws 16 from
        `frame`. seed : of the drawing and of the order in which features become known.

    Returns
    -------
    Contributions
        Trees: path-dependent SHAP values, by the library itself where it has them. Linear models: coefficient times
        value after the steps before it; the base is the intercept, what is said at 0, the middle of every rank. Blends
        that sum: the sum of their members'. Everything else: two opposite orders of the features (permutation).

    Raises
    ------
    BadInput
        Without rows, or for a model that reads sequences: its forecast is not made of one row.
    IntegrityBroken
        Where the contributions miss the forecasts by more than 1e-4 of the largest.

    References
    ----------
    Lundberg et al. (2020), Nature Machine Intelligence 2, 56-67. Štrumbelj and Kononenko (2014), Knowledge and
    Information Systems 41, 647-665.
    """
    if fitted.sequential:
        raise BadInput(f"The model `{fitted.name}` reads sequences; a forecast of it is not made of one row's values.")
    if frame.is_empty():
        raise BadInput(f"There are no rows of `{fitted.name}` to explain.")
    of = _class_position(fitted, of)
    matrix = _matrix(fitted, frame)
    found = _exact(fitted.predictor, matrix, len(fitted.classes), of)
    if found is None:
        rows = _background(matrix, seed) if background is None else _matrix(fitted, background)
        found = _permuted(lambda asked: _said(fitted, asked, of), matrix, rows, seed, bool(fitted.classes))
    return _checked(fitted.name, found, _forecast(fitted, matrix, found.unit, of))


def _matrix(fitted: FittedModel, frame: pl.DataFrame) -> np.ndarray:
    return feature_matrix(frame, fitted.features, handles_missing=fitted.handles_missing, model=fitted.name)


def _class_position(fitted: FittedModel, of: int | None) -> int:
    last = len(fitted.classes) - 1
    if of is not None and not 0 <= of <= last:
        raise BadInput(
            f"`of` is the position of a class of `{fitted.name}`, which knows {len(fitted.classes)}; was {of}."
        )
    return last if of is None else of


def _said(fitted: FittedModel, matrix: np.ndarray, of: int) -> np.ndarray:
    """Score or probability of each row, shape (n,)."""
    out = outputs(fitted.predictor, matrix, len(fitted.classes))
    return out[:, of] if fitted.classes else out


def _forecast(fitted: FittedModel, matrix: np.ndarray, unit: str, of: int) -> np.ndarray:
    """What the contributions must sum to, asked of the predictor by another way."""
    if unit != "log-odds":
        return _said(fitted, matrix, of)
    predictor, library = fitted.predictor, library_of(fitted.predictor)
    if library == "lightgbm":
        margin = predictor.predict(matrix, raw_score=True, num_threads=1)
    elif library == "xgboost":
        margin = predictor.predict(matrix, output_margin=True)
    elif library == "catboost":
        margin = predictor.predict(matrix, prediction_type="RawFormulaVal", thread_count=1)
    else:
        margin = predictor.decision_function(matrix)
    margin = np.asarray(margin, dtype=np.float64)
    if margin.ndim == 1:
        return margin if of == 1 else -margin
    return margin[:, of]


@dataclass(frozen=True, slots=True)
class _Found:
    values: np.ndarray
    base: np.ndarray
    method: str
    unit: str


def _checked(name: str, found: _Found, forecast: np.ndarray) -> Contributions:
    """The contributions with their error; refused where they are of another forecast."""
    missed = np.abs(found.values.sum(axis=1) + found.base - forecast)
    spoken = ~np.isnan(forecast)
    scale = max(np.abs(forecast[spoken]).max(initial=0.0), np.abs(found.base[spoken]).max(initial=0.0), 1e-300)
    error = float(missed[spoken].max(initial=0.0) / scale)
    if not error <= ADDITIVITY:
        raise IntegrityBroken(
            f"The contributions to `{name}` miss its forecasts by {error:.2g} of the largest, more than "
            f"{ADDITIVITY:g}: they explain another model. They are not shown."
        )
    values, base = found.values.copy(), found.base.copy()
    values[~spoken], base[~spoken] = np.nan, np.nan
    return Contributions(values, base, found.method, found.unit, error)


def _exact(predictor: Any, matrix: np.ndarray, classes: int, of: int) -> _Found | None:
    """Contributions where the kind of model gives them exactly; None where it does not."""
    if hasattr(predictor, "column") and hasattr(predictor, "position_"):  # the naive model, fitted or read back
        values = np.zeros(matrix.shape)
        values[:, predictor.position_] = matrix[:, predictor.position_]
        return _Found(values, np.zeros(len(matrix)), "column", "score")
    if isinstance(predictor, Composite):
        return _summed(predictor, matrix, classes, of)
    ways = {"lightgbm": _lightgbm, "xgboost": _xgboost, "catboost": _catboost}
    library = library_of(predictor)
    if library in ways:
        return _boosted(ways[library](predictor, matrix), matrix.shape[1], classes, of)
    return _scikit(predictor, matrix, classes, of) if library == "sklearn" else None


def _lightgbm(predictor: Any, matrix: np.ndarray) -> np.ndarray:
    return np.asarray(predictor.predict(matrix, pred_contrib=True, num_threads=1))


def _xgboost(predictor: Any, matrix: np.ndarray) -> np.ndarray:
    from xgboost import DMatrix

    return np.asarray(predictor.get_booster().predict(DMatrix(matrix, nthread=1), pred_contribs=True))


def _catboost(predictor: Any, matrix: np.ndarray) -> np.ndarray:
    from catboost import Pool

    return np.asarray(predictor.get_feature_importance(Pool(matrix), type="ShapValues", thread_count=1))


def _boosted(given: np.ndarray, columns: int, classes: int, of: int) -> _Found:
    """Contributions with the base as their last column, for each class (by the row) or for the second of two."""
    table = given.astype(np.float64).reshape(len(given), -1, columns + 1)
    own = table[:, 0] if table.shape[1] == 1 else table[:, of]
    sign = -1.0 if classes == 2 and table.shape[1] == 1 and of == 0 else 1.0
    return _Found(sign * own[:, :-1], sign * own[:, -1], "tree", "log-odds" if classes else "score")


def _scikit(predictor: Any, matrix: np.ndarray, classes: int, of: int) -> _Found | None:
    """Linear models and forests, behind steps that keep the columns; None for anything else."""
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
    from sklearn.pipeline import Pipeline

    last, inputs = predictor, matrix
    if isinstance(predictor, Pipeline):
        last = predictor.steps[-1][1]
        inputs = predictor[:-1].transform(matrix) if len(predictor.steps) > 1 else matrix
    if inputs.shape != matrix.shape:
        return None
    if isinstance(last, (RandomForestRegressor, RandomForestClassifier)):
        return _forest(last, inputs, of)
    if hasattr(last, "coef_") and hasattr(last, "intercept_"):
        return _linear(last, np.asarray(inputs, dtype=np.float64), classes, of)
    return None


def _linear(model: Any, inputs: np.ndarray, classes: int, of: int) -> _Found:
    coefficients, intercept = np.atleast_2d(model.coef_), np.atleast_1d(model.intercept_)
    row = of if len(coefficients) > 1 else 0
    sign = -1.0 if classes == 2 and of == 0 else 1.0
    base = np.full(len(inputs), sign * float(intercept[row]))
    return _Found(sign * inputs * coefficients[row], base, "linear", "log-odds" if classes else "score")


def _forest(forest: Any, inputs: np.ndarray, of: int) -> _Found:
    explainer = _shap().TreeExplainer(forest, feature_perturbation="tree_path_dependent")
    values = np.asarray(explainer.shap_values(inputs, check_additivity=False), dtype=np.float64)
    base = np.ravel(explainer.expected_value)
    if values.ndim == 3:
        return _Found(values[:, :, of], np.full(len(inputs), base[of]), "tree", "probability")
    return _Found(values, np.full(len(inputs), base[0]), "tree", "score")


def _shap() -> Any:
    """The library; what it says while it loads (old colours of its plots) is not ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import shap
    return shap


def _summed(blend: Composite, matrix: np.ndarray, classes: int, of: int) -> _Found | None:
    """The weighted sum of the members' contributions, where all are in the unit that the blend sums."""
    unit = "probability" if classes else "score"
    parts = [_exact(member, matrix, classes, of) for _, member in blend.members]
    if blend.weights is None or any(part is None or part.unit != unit for part in parts):
        return None
    weighted = [(weight, part) for weight, part in zip(blend.weights, parts, strict=True) if part is not None]
    values = np.sum([weight * part.values for weight, part in weighted], axis=0)
    base = blend.intercept + np.sum([weight * part.base for weight, part in weighted], axis=0)
    return _Found(values, base, "sum", unit)


def _background(matrix: np.ndarray, seed: int) -> np.ndarray:
    chosen = np.random.default_rng(seed).permutation(len(matrix))[:BACKGROUND_ROWS]
    return matrix[np.sort(chosen)]


def _permuted(
    said: Callable[[np.ndarray], np.ndarray], matrix: np.ndarray, background: np.ndarray, seed: int, classes: bool
) -> _Found:
    """Features become known one after another in a random order, and in the opposite one; each gets what it changed.

    Sums exactly whatever the order; exact for each feature where at most pairs of them act together. Our own, for the
    library compiles for ten seconds in every process before its first row.
    """
    if not len(background):
        raise BadInput("The background of an explanation has no rows.")
    n, p = matrix.shape
    rng = np.random.default_rng(seed)
    before = said(background)
    if not np.isfinite(before).all():
        raise BadInput(f"The model abstains on {int((~np.isfinite(before)).sum())} rows of its own background.")
    base, values = float(before.mean()), np.empty((n, p))
    for at, row in enumerate(matrix):
        order = rng.permutation(p)
        steps = np.concatenate([_walk(said, row, background, each) for each in (order, order[::-1])])
        told = np.empty((2, p))
        told[0, order], told[1, order[::-1]] = np.diff(steps[: p + 1]), np.diff(steps[p + 1 :])
        values[at] = told.mean(axis=0)
    return _Found(values, np.full(n, base), "permutation", "probability" if classes else "score")


def _walk(
    said: Callable[[np.ndarray], np.ndarray], row: np.ndarray, background: np.ndarray, order: np.ndarray
) -> np.ndarray:
    """Mean forecast over the background with the first 0, 1, …, p features of `order` taken from `row`."""
    p, b = len(order), len(background)
    rank = np.empty(p, dtype=np.int64)
    rank[order] = np.arange(p)
    known = rank[None, :] < np.arange(p + 1)[:, None]
    asked = np.where(known[:, None, :], row, background[None, :, :]).reshape((p + 1) * b, p)
    return np.asarray(said(asked).reshape(p + 1, b).mean(axis=1))


def summary(found: Contributions, names: Sequence[str]) -> pl.DataFrame:
    """Mean size of each feature's contributions: ``feature``, ``mean_abs``, the largest first, ties by name.

    Rows on which the model abstained are left out.
    """
    _check_names(found.values.shape[1], names)
    spoken = ~np.isnan(found.base)
    size = np.abs(found.values[spoken]).mean(axis=0) if spoken.any() else np.full(len(names), np.nan)
    table = pl.DataFrame({"feature": list(names), "mean_abs": size}).with_columns(pl.col("mean_abs").fill_nan(None))
    return table.sort("mean_abs", "feature", descending=[True, False], nulls_last=True)


def _check_names(columns: int, names: Sequence[str]) -> None:
    if len(names) != columns:
        raise BadInput(f"There are {columns} columns of contributions and {len(names)} names; they must be the same.")


def in_words(
    contribution: np.ndarray, names: Sequence[str], row: Mapping[str, Any], top: int = 3, *, unit: str = "score"
) -> tuple[str, ...]:
    """The `top` largest contributions to one forecast, a sentence each; those of exactly 0 are not told.

    Parameters
    ----------
    contribution : shape (p,), one row of `Contributions.values`. names : shape (p,). row : the features' values by
        name, None or NaN where missing. unit : of the contribution.
    """
    _check_names(len(contribution), names)
    missing = [name for name in names if name not in row]
    if missing:
        raise unknown("value of the feature", missing[0], row)
    if np.isnan(contribution).any():
        return ("The model abstains here.",)
    order = np.argsort(-np.abs(contribution), kind="stable")[:top]
    return tuple(
        f"`{names[at]}`{_stated(row[names[at]])} {'raised' if contribution[at] > 0 else 'lowered'} the {unit} by "
        f"{abs(contribution[at]):.3g}."
        for at in order
        if contribution[at] != 0
    )


def _stated(value: Any) -> str:
    return ", which is missing," if value is None or value != value else f" at {float(value):.3g}"


def permutation_importance(
    fitted: FittedModel,
    frame: pl.DataFrame,
    sessions: pl.Series,
    target: np.ndarray,
    *,
    features: Sequence[str] | None = None,
    families: Mapping[str, Sequence[str]] | None = None,
    repeats: int = 5,
    seed: int = 0,
    keys: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """What is lost on test rows when a column, or a family of columns together, is shuffled among the names of a date.

    Shuffling within a date leaves the date's own level where it was, so that only the ranking among names is lost. A
    column among many related ones loses little alone; hand in families then.

    Parameters
    ----------
    frame : features of the test rows. sessions : date of each, shape (n,). target : outcome of each, shape (n,).
    features : single columns; None takes all of the model. families : name to columns, shuffled in the same order;
        replaces `features`. repeats : shuffles of each. seed : of the shuffles.
    keys : of the same rows, for a model that reads sequences.

    Returns
    -------
    polars.DataFrame
        ``feature`` (or family), ``drop`` (mean over the shuffles of the fall in the mean per-date rank IC; of minus
        the log-loss for a classifier), ``spread`` (their standard deviation; null with one shuffle), ``n_dates``;
        largest drop first, ties by name. A drop within the spread of 0 says nothing.

    References
    ----------
    Breiman (2001), Machine Learning 45, 5-32. Fisher, Rudin and Dominici (2019), JMLR 20 (177).
    """
    wanted = _families(fitted, features, families)
    if repeats < 1 or frame.is_empty() or not frame.height == len(sessions) == len(target):
        raise BadInput(
            "Importance needs at least one shuffle and as many sessions and targets as rows; there were "
            f"{repeats} shuffles, {frame.height} rows, {len(sessions)} sessions and {len(target)} targets."
        )
    whole, dates = _worth(fitted, frame, sessions, target, keys)
    if not dates:
        raise BadInput("No date has 3 names with different outcomes; there is no ranking to lose.")
    rng = np.random.default_rng(seed)
    drops = {name: np.empty(repeats) for name in wanted}
    for repeat in range(repeats):
        shuffled = _within(sessions, rng)
        for name, columns in wanted.items():
            mixed = frame.with_columns(frame.select(columns)[shuffled])
            drops[name][repeat] = whole - _worth(fitted, mixed, sessions, target, keys)[0]
    table = pl.DataFrame(
        {
            "feature": list(wanted),
            "drop": [float(each.mean()) for each in drops.values()],
            "spread": [float(each.std(ddof=1)) if repeats > 1 else None for each in drops.values()],
            "n_dates": [dates] * len(wanted),
        },
        schema={"feature": pl.String, "drop": pl.Float64, "spread": pl.Float64, "n_dates": pl.Int64},
    )
    return table.sort("drop", "feature", descending=[True, False])


def _families(
    fitted: FittedModel, features: Sequence[str] | None, families: Mapping[str, Sequence[str]] | None
) -> dict[str, list[str]]:
    if features is not None and families is not None:
        raise BadInput("Hand in single features or families, not both.")
    single = {name: [name] for name in (fitted.features if features is None else features)}
    wanted = {name: list(each) for name, each in families.items()} if families is not None else single
    for name, columns in wanted.items():
        if not columns:
            raise BadInput(f"The family `{name}` has no columns.")
        for column in columns:
            if column not in fitted.features:
                raise unknown(f"feature of the model `{fitted.name}`", column, fitted.features)
    return wanted


def _within(sessions: pl.Series, rng: np.random.Generator) -> np.ndarray:
    """Row numbers shuffled among the rows of each session."""
    code = sessions.rank("dense").to_numpy()
    shuffled = np.empty(len(code), dtype=np.int64)
    shuffled[np.argsort(code, kind="stable")] = np.lexsort((rng.random(len(code)), code))
    return shuffled


def _worth(
    fitted: FittedModel, frame: pl.DataFrame, sessions: pl.Series, target: np.ndarray, keys: pl.DataFrame | None
) -> tuple[float, int]:
    """Mean rank IC over the dates that can have one, or minus the log-loss; and the number of dates."""
    if not fitted.classes:
        ics = date_rank_ics(fitted.predict(frame, keys), target, sessions)
        return float(ics.mean()) if len(ics) else 0.0, len(ics)
    classes = np.union1d(fitted.classes, target)
    said = aligned(fitted.predict_proba(frame, keys), fitted.classes, classes)
    spoken = np.isfinite(said).all(axis=1)
    worth = -log_loss(said[spoken], np.searchsorted(classes, target[spoken]))
    return worth, sessions.filter(pl.Series(spoken)).n_unique()
