"""Base weights of chosen names, and the caps that hold after every renormalisation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from openbell.core.errors import BadInput

Floats = NDArray[np.float64]

#: All names whose sector is not known count together as one sector of this name.
UNKNOWN_SECTOR = "Unknown"


def equal_weights(count: int) -> Floats:
    """``1 / count`` for each of `count` names, shape (count,)."""
    if count < 1:
        raise BadInput(f"Weights need at least one name; there were {count}.")
    return np.full(count, 1.0 / count)


def score_weights(scores: ArrayLike, *, best_to_worst: float = 3.0) -> Floats:
    """Weights that rise in a straight line with the score.

    Parameters
    ----------
    scores : shape (n,), finite, in any unit.
    best_to_worst : the best name's weight over the worst one's, at least 1.

    Returns
    -------
    ndarray, shape (n,), sum 1, all positive
        ``w ∝ 1 + (best_to_worst - 1) * (score - min) / (max - min)``; equal where all scores are equal. Scores may be
        negative: the result does not change under ``a * score + b`` with a > 0, so ranks, returns and probabilities
        on the same names weigh alike.

    Raises
    ------
    BadInput
        A score that is NaN or infinite, no score, or `best_to_worst` below 1.
    """
    values = _finite(scores, "score")
    if not best_to_worst >= 1.0:
        raise BadInput(f"`best_to_worst` must be 1 or more; was {best_to_worst}.")
    spread = float(values.max() - values.min())
    # A spread below the resolution of its numbers is noise of rounding, not an order of the names.
    if spread <= 1e-12 * float(np.abs(values).max()):
        return equal_weights(len(values))
    raw = 1.0 + (best_to_worst - 1.0) * ((values - values.min()) / spread)
    weights: Floats = raw / raw.sum()
    return weights


def inverse_volatility_weights(volatility: ArrayLike) -> Floats:
    """Weights proportional to one over volatility, shape (n,), sum 1; a volatility not above 0 is refused."""
    values = _finite(volatility, "volatility")
    if not np.all(values > 0):
        raise BadInput(f"Every volatility must be above 0 to be inverted; the lowest was {values.min()}.")
    raw = values.min() / values
    weights: Floats = raw / raw.sum()
    return weights


def sector_names(sectors: Sequence[str | None] | None) -> list[str] | None:
    """Sectors with the unknown ones named `UNKNOWN_SECTOR`; None where no name has a sector at all."""
    if sectors is None or all(sector is None for sector in sectors):
        return None
    return [UNKNOWN_SECTOR if sector is None else sector for sector in sectors]


def capped(
    weights: ArrayLike,
    sectors: Sequence[str | None] | None = None,
    gross: float = 1.0,
    max_weight: float = 0.15,
    max_sector_weight: float = 0.30,
) -> Floats:
    """Weights in the proportions of `weights` that sum to `gross` and hold both caps, by two-level water-filling.

    Parameters
    ----------
    weights : base weights, shape (n,), finite and not negative; a 0 stays 0. Not changed.
    sectors : n sector names; None ones count together as `UNKNOWN_SECTOR`. Where no name has one, only the cap on
        names holds.
    gross : the sum aimed at, 0 to 1.
    max_weight, max_sector_weight : caps on one name and on one sector, in (0, 1].

    Returns
    -------
    ndarray, shape (n,)
        ``w_i = min(max_weight, m_s(i) * b_i, l * b_i)``: `m_s` fills sector s up to its cap, `l` fills the whole up
        to `gross`. Names below their caps keep their proportions to each other. Where the caps leave no room for
        `gross`, the sum is as large as they allow; the rest is the caller's explicit cash.

    Raises
    ------
    BadInput
        A weight that is negative or not finite, a length that differs, or a cap or gross outside its range.
    """
    base = _finite(weights, "weight") if np.size(weights) else np.zeros(0)
    if np.any(base < 0):
        raise BadInput(f"Base weights must not be negative (the desk is long only); the lowest was {base.min()}.")
    _check_fractions(gross=gross, max_weight=max_weight, max_sector_weight=max_sector_weight)
    if sectors is not None and len(sectors) != len(base):
        raise BadInput(f"There must be one sector for each of the {len(base)} weights; there were {len(sectors)}.")
    if base.any():
        base = base / base.max()
    ceilings = np.where(base > 0, max_weight, 0.0)
    named = sector_names(sectors)
    if named is not None:
        labels = np.asarray(named, dtype=str)
        for sector in np.unique(labels):
            inside = labels == sector
            ceilings[inside] = _filled(base[inside], ceilings[inside], max_sector_weight)
    return _filled(base, ceilings, gross)


def _filled(base: Floats, ceilings: Floats, total: float) -> Floats:
    """``min(ceiling, level * base)``, the level such that it sums to `total`; the ceilings where they sum to less."""
    if ceilings.sum() <= total:
        return ceilings.copy()
    held = np.flatnonzero(base > 0)
    with np.errstate(over="ignore"):  # a vanishing weight reaches its ceiling at an infinite level: never
        breakpoints = ceilings[held] / base[held]
    order = held[np.argsort(breakpoints, kind="stable")]
    full = np.concatenate([[0.0], np.cumsum(ceilings[order])])[:-1]
    rest = np.cumsum(base[order][::-1])[::-1]
    # With the k names of the lowest breakpoints at their ceilings, the others share what is left; the first k at
    # which the level stays below the next breakpoint is the answer.
    levels = np.maximum(total - full, 0.0) / rest
    # The last one always fits in exact arithmetic, since the ceilings together exceed the total.
    fits = levels <= np.sort(breakpoints)
    level = levels[int(np.argmax(fits))] if fits.any() else levels[-1]
    filled: Floats = np.minimum(ceilings, level * base)
    return filled


def _finite(values: ArrayLike, what: str) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not array.size:
        raise BadInput(f"A {what} is needed for at least one name; the shape was {array.shape}.")
    if not np.all(np.isfinite(array)):
        wrong = int((~np.isfinite(array)).sum())
        raise BadInput(f"Every {what} must be a finite number; {wrong} of {array.size} are not.")
    return array


def _check_fractions(*, gross: float, max_weight: float, max_sector_weight: float) -> None:
    if not 0.0 <= gross <= 1.0:
        raise BadInput(f"`gross` must lie in [0, 1] (no borrowing); was {gross}.")
    for name, value in (("max_weight", max_weight), ("max_sector_weight", max_sector_weight)):
        if not 0.0 < value <= 1.0:
            raise BadInput(f"`{name}` must lie in (0, 1]; was {value}.")
