"""Scores of probabilities: each stands beside its number of rows and what the base rates alone would have scored."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import polars as pl

from openbell.core.errors import BadInput
from openbell.quant.intervals import wilson

#: Probabilities are held this far from 0 and 1 before their logarithm is taken (the resolution of Float64, as in
#: scikit-learn); the log-loss of a class that was called impossible and happened is thus 36.04, not infinite.
EPSILON = float(np.finfo(np.float64).eps)
#: A row of probabilities must sum to 1 within this; Float32 outputs do.
SUM_TOLERANCE = 1e-4


def checked_probabilities(probabilities: np.ndarray, classes: int | None = None) -> np.ndarray:
    """`probabilities` as Float64, shape (n, c), every row divided by its sum.

    Raises
    ------
    BadInput
        On another shape, fewer than two classes, NaN or infinities, a value outside [0, 1], or a row whose sum is
        further from 1 than 1e-4.
    """
    array = np.asarray(probabilities, dtype=np.float64)
    if array.ndim != 2 or array.shape[1] < 2 or (classes is not None and array.shape[1] != classes):
        wanted = f"{classes} columns" if classes is not None else "a column for each of two or more classes"
        raise BadInput(f"Probabilities need one row per forecast and {wanted}; the shape was {array.shape}.")
    bad = int((~np.isfinite(array)).any(axis=1).sum())
    if bad:
        raise BadInput(f"{bad} of {len(array)} rows of probabilities are not finite. Leave out what abstains, by name.")
    if ((array < 0.0) | (array > 1.0)).any():
        raise BadInput(f"Probabilities lie in [0, 1]; these ran from {array.min():.6g} to {array.max():.6g}.")
    sums = array.sum(axis=1)
    if len(array) and np.abs(sums - 1.0).max() > SUM_TOLERANCE:
        worst = sums[np.argmax(np.abs(sums - 1.0))]
        raise BadInput(f"Every row of probabilities must sum to 1 within {SUM_TOLERANCE:g}; one sums to {worst:.6g}.")
    return np.asarray(array / sums[:, None])


def checked_labels(labels: np.ndarray, rows: int, classes: int) -> np.ndarray:
    """`labels` as the position of each row's class, shape (n,), int64; refuses other values, NaN and other lengths."""
    array = np.asarray(labels)
    if array.shape != (rows,):
        raise BadInput(f"There must be one label for each of {rows} rows; the shape was {array.shape}.")
    if array.dtype.kind not in "biuf" or (array.dtype.kind == "f" and not (array == np.floor(array)).all()):
        raise BadInput(f"Labels are positions of classes, 0 to {classes - 1}; these are {array.dtype} with others.")
    if rows and (array.min() < 0 or array.max() >= classes):
        raise BadInput(f"Labels are positions of classes, 0 to {classes - 1}; they ran {array.min()} to {array.max()}.")
    return array.astype(np.int64)


def checked_weights(sample_weight: np.ndarray | None, rows: int) -> np.ndarray:
    """`sample_weight` as Float64, shape (rows,), ones for None; refuses what is not finite, negative or all 0."""
    if sample_weight is None:
        return np.ones(rows)
    weight = np.asarray(sample_weight, dtype=np.float64)
    if weight.shape != (rows,) or not np.isfinite(weight).all() or (weight < 0).any() or not weight.sum() > 0:
        raise BadInput(f"`sample_weight` needs {rows} finite weights of at least 0 with a positive sum.")
    return weight


def log_loss(probabilities: np.ndarray, labels: np.ndarray, sample_weight: np.ndarray | None = None) -> float:
    """Mean of minus the logarithm of the probability given to what happened; 0 at best, natural logarithm.

    Parameters
    ----------
    probabilities : shape (n, c), rows sum to 1; NaN refused. labels : shape (n,), position of the class that happened.
    sample_weight : shape (n,).

    Returns
    -------
    float
        Probabilities are held `EPSILON` (2.2e-16) away from 0, so that one row costs 36.04 at most. NaN without rows.
    """
    given, happened, weight = _rows(probabilities, labels, sample_weight)
    own = np.clip(given[np.arange(len(given)), happened], EPSILON, 1.0)
    return float(np.average(-np.log(own), weights=weight)) if len(given) else math.nan


def brier(probabilities: np.ndarray, labels: np.ndarray, sample_weight: np.ndarray | None = None) -> float:
    """Mean over rows of ``sum_k (p_k - 1[k happened])^2``: 0 at best, 2 at worst.

    Arguments as for `log_loss`; NaN without rows. For two classes it is twice the half-scaled score that
    ``sklearn.metrics.brier_score_loss`` gives by default.

    References
    ----------
    Brier (1950), Monthly Weather Review 78, 1-3.
    """
    given, happened, weight = _rows(probabilities, labels, sample_weight)
    if not len(given):
        return math.nan
    return float(np.average(((given - np.eye(given.shape[1])[happened]) ** 2).sum(axis=1), weights=weight))


def base_rates(labels: np.ndarray, classes: int, sample_weight: np.ndarray | None = None) -> np.ndarray:
    """Share of each class among `labels`, shape (classes,); refuses no rows."""
    happened = checked_labels(labels, len(labels), classes)
    if not len(happened):
        raise BadInput("There are no labels to take base rates from.")
    weight = checked_weights(sample_weight, len(happened))
    return np.asarray(np.bincount(happened, weights=weight, minlength=classes) / weight.sum())


def _skill(score: float, base: float) -> float:
    return 1.0 - score / base if base > 0 else math.nan


def log_loss_skill(
    probabilities: np.ndarray,
    labels: np.ndarray,
    rates: np.ndarray | None = None,
    sample_weight: np.ndarray | None = None,
) -> float:
    """``1 - log-loss / log-loss of the base rates``: 1 perfect, 0 no better than the base rates, below 0 worse.

    Parameters
    ----------
    probabilities, labels, sample_weight : as for `log_loss`.
    rates : shape (c,), the base rates known when the forecasts were made; None takes those of `labels` themselves,
        which no forecast could know and which is the stricter judge.

    Returns
    -------
    float
        NaN where the base rates are perfect too (a single class happened), or without rows.
    """
    return scores(probabilities, labels, rates=rates, sample_weight=sample_weight).log_loss_skill


def brier_skill(
    probabilities: np.ndarray,
    labels: np.ndarray,
    rates: np.ndarray | None = None,
    sample_weight: np.ndarray | None = None,
) -> float:
    """``1 - Brier score / Brier score of the base rates``; arguments and meaning as for `log_loss_skill`."""
    return scores(probabilities, labels, rates=rates, sample_weight=sample_weight).brier_skill


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """Scores of probabilities with all that is needed to judge them.

    Attributes
    ----------
    n : rows. rates : base rates that the skills are measured against, shape (c,).
    log_loss, brier : of the forecasts. base_log_loss, base_brier : of the base rates.
    log_loss_skill, brier_skill : see `log_loss_skill`.
    calibration_error : see `expected_calibration_error`, by confidence.
    accuracy, base_accuracy : share of rows whose likeliest class happened, and the share of the likeliest base rate.
    """

    n: int
    rates: np.ndarray
    log_loss: float
    base_log_loss: float
    log_loss_skill: float
    brier: float
    base_brier: float
    brier_skill: float
    calibration_error: float
    accuracy: float
    base_accuracy: float


def scores(
    probabilities: np.ndarray,
    labels: np.ndarray,
    *,
    rates: np.ndarray | None = None,
    sample_weight: np.ndarray | None = None,
    bins: int = 15,
) -> Scores:
    """Every score of this module at once; refuses no rows. Arguments as for `log_loss_skill`."""
    given, happened, weight = _rows(probabilities, labels, sample_weight)
    classes = given.shape[1]
    reference = base_rates(happened, classes, weight) if rates is None else np.asarray(rates, dtype=np.float64)
    flat = np.broadcast_to(checked_probabilities(reference[None, :], classes), given.shape)
    loss, base_loss = log_loss(given, happened, weight), log_loss(flat, happened, weight)
    error, base_error = brier(given, happened, weight), brier(flat, happened, weight)
    return Scores(
        n=len(given),
        rates=reference,
        log_loss=loss,
        base_log_loss=base_loss,
        log_loss_skill=_skill(loss, base_loss),
        brier=error,
        base_brier=base_error,
        brier_skill=_skill(error, base_error),
        calibration_error=expected_calibration_error(given, happened, bins=bins),
        accuracy=float(np.average(given.argmax(axis=1) == happened, weights=weight)),
        base_accuracy=float(np.average(flat.argmax(axis=1) == happened, weights=weight)),
    )


def expected_calibration_error(
    probabilities: np.ndarray,
    labels: np.ndarray,
    *,
    bins: int = 15,
    equal_mass: bool = False,
    kind: str = "confidence",
) -> float:
    """Mean distance between what was predicted and what happened over bins of probability, each bin by its rows (ECE).

    Parameters
    ----------
    probabilities : shape (n, c), rows sum to 1; NaN refused. labels : shape (n,).
    bins : of equal width over [0, 1], or, with `equal_mass`, of an equal number of rows (ties stay together).
    kind : ``confidence`` compares the largest probability of a row with how often that class happened (Guo et al.);
        ``classwise`` does it for every class and takes the mean over classes (Kull et al.), for two classes the ECE of
        one of them.

    Returns
    -------
    float
        In [0, 1]; NaN without rows. It is biased upwards: over n rows even true probabilities show about
        ``sqrt(bins / n) / 3``.

    References
    ----------
    Guo, Pleiss, Sun and Weinberger (2017), ICML, 1321-1330. Kull et al. (2019), NeurIPS 32.
    """
    given, happened, _ = _rows(probabilities, labels, None)
    if kind not in ("confidence", "classwise"):
        raise BadInput(f"`kind` is `confidence` or `classwise`; was `{kind}`.")
    if not len(given):
        return math.nan
    if kind == "confidence":
        return _distance(given.max(axis=1), given.argmax(axis=1) == happened, bins, equal_mass)
    return float(np.mean([_distance(given[:, at], happened == at, bins, equal_mass) for at in range(given.shape[1])]))


def _distance(predicted: np.ndarray, observed: np.ndarray, bins: int, equal_mass: bool) -> float:
    number = _bin_numbers(predicted, bins, equal_mass)
    gap = np.bincount(number, weights=predicted - observed)
    return float(np.abs(gap).sum() / len(predicted))


def _bin_numbers(predicted: np.ndarray, bins: int, equal_mass: bool) -> np.ndarray:
    """Bin of each row, from 0; a value on an edge belongs to the bin above it, 1.0 to the last."""
    if bins < 1:
        raise BadInput(f"`bins` must be at least 1; was {bins}.")
    inner = np.arange(1, bins) / bins
    edges = np.unique(np.quantile(predicted, inner)) if equal_mass else inner
    return np.asarray(np.searchsorted(edges, predicted, side="right"))


def reliability_curve(
    probabilities: np.ndarray,
    labels: np.ndarray,
    *,
    of: int | None = None,
    bins: int = 15,
    equal_mass: bool = False,
    level: float = 0.95,
) -> pl.DataFrame:
    """What was predicted and what happened, bin by bin; the frame behind a reliability diagram.

    Parameters
    ----------
    probabilities, labels, bins, equal_mass : as for `expected_calibration_error`.
    of : position of the class to look at; None takes the largest probability of each row.
    level : coverage of the Wilson interval.

    Returns
    -------
    polars.DataFrame
        One row per bin that has rows: ``bin`` (from 0), ``predicted`` (mean probability), ``observed`` (share that
        happened), ``n``, ``low`` and ``high`` (Wilson interval of `observed`; rows of one session depend on each other,
        so it is too narrow for a panel).

    References
    ----------
    Wilson (1927), Journal of the American Statistical Association 22, 209-212.
    """
    given, happened, _ = _rows(probabilities, labels, None)
    if of is not None and not 0 <= of < given.shape[1]:
        raise BadInput(f"`of` is the position of a class, 0 to {given.shape[1] - 1}; was {of}.")
    predicted = given.max(axis=1) if of is None else given[:, of]
    observed = (given.argmax(axis=1) == happened) if of is None else happened == of
    number = _bin_numbers(predicted, bins, equal_mass) if len(given) else np.empty(0, dtype=np.int64)
    table = (
        pl.DataFrame({"bin": number.astype(np.int64), "predicted": predicted, "observed": observed})
        .group_by("bin")
        .agg(
            pl.col("predicted").mean(),
            pl.col("observed").mean(),
            pl.len().cast(pl.Int64).alias("n"),
            pl.col("observed").sum().cast(pl.Int64).alias("hits"),
        )
        .sort("bin")
    )
    found = [wilson(hits, n, level) for hits, n in zip(table["hits"], table["n"], strict=True)]
    bounds = [pl.Series("low", [low for low, _ in found], pl.Float64)]
    bounds += [pl.Series("high", [high for _, high in found], pl.Float64)]
    return table.drop("hits").with_columns(bounds)


def _rows(
    probabilities: np.ndarray, labels: np.ndarray, sample_weight: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    given = checked_probabilities(probabilities)
    weight = checked_weights(sample_weight, len(given))
    return given, checked_labels(labels, *given.shape), weight
