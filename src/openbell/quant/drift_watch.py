"""An alarm for forecasts that stop being what they were, whose chance of ringing for nothing is set beforehand.

A fixed limit on a rolling score rings for nothing sooner or later, and how soon depends on the window, on the model and
on how long is watched. Here the limits are where a year of watching rings with the chance that was asked for, were
everything as it was in the reference.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from openbell.core.errors import BadInput, DataMissing
from openbell.quant.intervals import mean_block, wilson
from openbell.quant.reliability import EPSILON, checked_labels, checked_probabilities

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

#: Drifts that the alarm is tried on before it is armed: the share of labels that have nothing to do with the forecast.
DRIFTS: Mapping[str, float] = MappingProxyType(
    {"half of what is known is lost": 0.5, "all that is known is lost": 1.0, "the opposite comes": -1.0}
)
#: A reference shorter than so many windows says too little about what a window looks like.
WINDOWS = 2
_YEAR = 252


@dataclass(frozen=True, slots=True)
class Delay:
    """How soon a drift is noticed: the share of simulated drifts that ring within the horizon, and after how long.

    `median` and `ninth_decile` count sessions to the first ring over all of them; None where fewer rang than that.
    """

    drift: str
    share_detected: float
    median: int | None
    ninth_decile: int | None


@dataclass(frozen=True, slots=True)
class Alarm:
    """Limits with what they were set by.

    Attributes
    ----------
    window, horizon : sessions that are averaged over; sessions of watching that the chance of a false alarm is of.
    loss_limit, auc_limit : it rings where the rolling log-loss lies above the one or the rolling AUC below the other.
    loss, auc : of the whole reference, `n` sessions. AUC is the mean over classes, each against the rest.
    asked : chance of a false alarm within the horizon that was asked for. measured, low, high : share of `simulated`
        undrifted years, drawn anew, in which it rang, with its 95 % interval.
    delays : for each of `DRIFTS`.
    """

    window: int
    horizon: int
    loss_limit: float
    auc_limit: float
    loss: float
    auc: float
    n: int
    asked: float
    measured: float
    low: float
    high: float
    simulated: int
    delays: tuple[Delay, ...]

    def rings(self, losses: Floats, aucs: Floats) -> NDArray[np.bool_]:
        """Whether it rings at each pair of rolling values; an undefined AUC never does."""
        return np.asarray((losses > self.loss_limit) | (aucs < self.auc_limit), dtype=np.bool_)


def losses_of(probabilities: Floats, labels: Codes) -> Floats:
    """Minus the logarithm of the probability of what happened, nats; shapes (..., c) and (...) to (...)."""
    own = np.take_along_axis(probabilities, labels[..., None], axis=-1)[..., 0]
    return np.asarray(-np.log(np.clip(own, EPSILON, 1.0)))


def rolling_mean(values: Floats, window: int) -> Floats:
    """Mean of every `window` neighbours along the last axis, shape (..., n) to (..., n - window + 1)."""
    return np.asarray(_rolling_sum(np.asarray(values, dtype=np.float64), window) / window)


def _rolling_sum(values: Floats, window: int) -> Floats:
    total = np.cumsum(values, axis=-1)
    before = np.concatenate([np.zeros((*values.shape[:-1], 1)), total[..., :-window]], axis=-1)
    return np.asarray(total[..., window - 1 :] - before)


def rolling_auc(score: Floats, event: NDArray[np.bool_], window: int) -> Floats:
    """Area under the ROC curve of every `window` neighbours along the last axis; NaN where all or none are events.

    Parameters
    ----------
    score, event : shape (..., n). window : at least 2.

    Returns
    -------
    numpy.ndarray
        Shape (..., n - window + 1): the share of (event, none) pairs in the right order, ties counting half. Exact: the
        pairs a lag apart are summed along the axis, one pass for each lag, O(n window).

    References
    ----------
    Hanley and McNeil (1982), Radiology 143, 29-36.
    """
    s, e = np.asarray(score, dtype=np.float64), np.asarray(event, dtype=np.float64)
    windows = s.shape[-1] - window + 1
    order = np.zeros((*s.shape[:-1], windows))
    for lag in range(1, window):
        pairs = np.sign(s[..., lag:] - s[..., :-lag]) * (e[..., lag:] - e[..., :-lag])
        # Pairs of which both lie in the window: those whose later row is `lag` or more after its first.
        order += _rolling_sum(pairs, window - lag)[..., :windows]
    events = np.rint(_rolling_sum(e, window))
    both = events * (window - events)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(both > 0, 0.5 + 0.5 * order / both, np.nan)


def rolling_scores(probabilities: Floats, labels: Codes, window: int) -> tuple[Floats, Floats]:
    """Rolling log-loss and AUC of shapes (..., n, c) and (..., n), each (..., n - window + 1); see `rolling_auc`."""
    classes = probabilities.shape[-1]
    of = range(1, classes) if classes == 2 else range(classes)  # of two classes each has the AUC of the other
    parts = np.stack([rolling_auc(probabilities[..., each], labels == each, window) for each in of])
    there = np.isfinite(parts)
    count = there.sum(axis=0)
    auc = np.where(count > 0, np.where(there, parts, 0.0).sum(axis=0) / np.maximum(count, 1), np.nan)
    return rolling_mean(losses_of(probabilities, labels), window), auc


def drawn_rows(n: int, length: int, replications: int, rng: np.random.Generator) -> Codes:
    """Row numbers of sessions to come, were they like `n` that are known, shape (replications, length).

    In each replication the known ones are resampled first, for they are themselves a sample of what there might have
    been, and the coming ones are then drawn from these; both in blocks of neighbours (stationary bootstrap).

    References
    ----------
    Politis and Romano (1994), Journal of the American Statistical Association 89, 1303-1313.
    """
    world = _blocks(n, n, replications, rng)
    return np.asarray(np.take_along_axis(world, _blocks(n, length, replications, rng), axis=1))


def _blocks(n: int, length: int, replications: int, rng: np.random.Generator) -> Codes:
    begins = rng.random((replications, length)) < 1.0 / mean_block(1, n)
    begins[:, 0] = True
    place = np.arange(length)
    last = np.maximum.accumulate(np.where(begins, place, 0), axis=1)
    first = rng.integers(0, n, (replications, length))
    return np.asarray((np.take_along_axis(first, last, axis=1) + place - last) % n)


def alarm(
    probabilities: Floats,
    labels: Codes,
    *,
    window: int = 60,
    false_alarms: float = 0.05,
    horizon: int = _YEAR,
    replications: int = 1000,
    seed: int = 0,
) -> Alarm:
    """The limits at which rolling log-loss and AUC ring for nothing with the chance `false_alarms` within `horizon`.

    Parameters
    ----------
    probabilities, labels : of the reference, out of sample and in order of time, shapes (n, c) and (n,).
    window : sessions of the rolling scores. false_alarms : in (0, 0.5). horizon : sessions of watching.
    replications : simulated years, for the limits and as many anew for what is measured. seed : of all of them.

    Returns
    -------
    Alarm
        The limits hold for both scores together and for every day of the horizon together. They depend on the window
        and on the reference, not on how many sessions are watched before or after. The uncertainty of a short reference
        is in them: it makes them wider, not louder.

    Raises
    ------
    BadInput
        On probabilities or labels that are none, a window under 20, a chance outside (0, 0.5).
    DataMissing
        Where the reference is shorter than two windows.
    """
    given = checked_probabilities(probabilities)
    happened = checked_labels(labels, *given.shape)
    if window < 20 or not 0.0 < false_alarms < 0.5 or horizon < 1 or replications < 200:
        raise BadInput(
            f"An alarm needs a window of at least 20 sessions (was {window}), a chance of a false alarm between 0 and "
            f"0.5 (was {false_alarms}), a horizon (was {horizon}) and at least 200 replications (were {replications})."
        )
    if len(given) < WINDOWS * window:
        raise DataMissing(
            f"The drift watch is not armed: its reference has {len(given)} sessions, and a window of {window} needs at "
            f"least {WINDOWS * window}. Wait for more sessions, or set session.drift_window lower."
        )
    rng = np.random.default_rng(seed)
    loss_limit, auc_limit = _limits(*_worst(given, happened, window, horizon, replications, rng), false_alarms)
    losses, aucs = _worst(given, happened, window, horizon, replications, rng)
    rung = int(((losses > loss_limit) | (aucs < auc_limit)).sum())
    low, high = wilson(rung, replications)
    whole_loss, whole_auc = (float(each[0]) for each in rolling_scores(given, happened, len(given)))
    few = max(200, replications // 4)
    delays = tuple(
        _delay(name, _first_rings(given, happened, share, window, horizon, few, (loss_limit, auc_limit), rng), horizon)
        for name, share in DRIFTS.items()
    )
    return Alarm(
        window, horizon, loss_limit, auc_limit, whole_loss, whole_auc, len(given), false_alarms, rung / replications,
        low, high, replications, delays,
    )  # fmt: skip


def _worst(
    given: Floats, happened: Codes, window: int, horizon: int, replications: int, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Highest rolling log-loss and lowest rolling AUC of each simulated stretch of watching, shape (replications,)."""
    rows = drawn_rows(len(given), horizon + window - 1, replications, rng)
    losses, aucs = rolling_scores(given[rows], happened[rows], window)
    return losses.max(axis=1), np.where(np.isfinite(aucs), aucs, np.inf).min(axis=1)


def _limits(losses: Floats, aucs: Floats, chance: float) -> tuple[float, float]:
    """Quantiles of both, equally rare, of which one or the other is passed with `chance`."""
    n = len(losses)
    rank_loss = (n - np.searchsorted(np.sort(losses), losses, side="left")) / n
    rank_auc = np.searchsorted(np.sort(aucs), aucs, side="right") / n
    rare = float(np.quantile(np.minimum(rank_loss, rank_auc), chance, method="lower"))
    loss_limit = float(np.quantile(losses, 1.0 - rare, method="higher"))
    return loss_limit, float(np.quantile(aucs, rare, method="lower"))


def _first_rings(
    given: Floats,
    happened: Codes,
    share: float,
    window: int,
    horizon: int,
    replications: int,
    limits: tuple[float, float],
    rng: np.random.Generator,
) -> Floats:
    """Session of the first ring after a drift at session 1, infinite where it never rings; shape (replications,)."""
    rows = drawn_rows(len(given), horizon + window - 1, replications, rng)
    labels = happened[rows]
    late = labels[:, window - 1 :]
    if share < 0:
        drifted = given.shape[1] - 1 - late
    else:
        other = happened[rng.integers(0, len(given), late.shape)]
        drifted = np.where(rng.random(late.shape) < share, other, late)
    changed = np.concatenate([labels[:, : window - 1], drifted], axis=1)
    losses, aucs = rolling_scores(given[rows], changed, window)
    rung = (losses > limits[0]) | (aucs < limits[1])
    return np.where(rung.any(axis=1), rung.argmax(axis=1) + 1.0, np.inf)


def _delay(name: str, first: Floats, horizon: int) -> Delay:
    def quantile(share: float) -> int | None:
        found = float(np.sort(first)[math.ceil(share * len(first)) - 1])
        return int(found) if found <= horizon else None

    return Delay(name, float(np.isfinite(first).mean()), quantile(0.5), quantile(0.9))
