"""Two arms, day by day: trades of one day share a close, so the day is the observation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from openbell.core.errors import BadInput

Floats = NDArray[np.float64]

#: An outcome that is not told within so many days after the trade's day is left out, so that a day, once counted,
#: never changes.
WAIT_DAYS = 7


@dataclass(frozen=True, slots=True, eq=False)
class ArmDays:
    """Differences between the arms, and what is not in them.

    Attributes
    ----------
    days : settled days on which both arms have a score, oldest first, ``datetime64[D]``, shape (k,).
    difference : mean score of the test arm less that of the control arm, each day, shape (k,).
    one_armed : settled days on which one arm has no score. open : days after them, which wait for outcomes.
    missing : trades of settled days whose score was not known in time.
    """

    days: NDArray[np.datetime64]
    difference: Floats
    one_armed: int
    open: int
    missing: int


def day_differences(
    day: ArrayLike,
    is_test: ArrayLike,
    score: ArrayLike,
    known_on: ArrayLike,
    *,
    today: np.datetime64,
    wait_days: int = WAIT_DAYS,
) -> ArmDays:
    """Mean score of the test arm less that of the control arm, by day, for days that can change no more.

    A day is settled when every trade of it is known, or `wait_days` after it; days are counted in order, up to the
    first that is not settled. So the same outcomes give the same observations, whenever they are looked at.

    Parameters
    ----------
    day : of each trade, ``datetime64[D]``, shape (n,). is_test : whether the test arm answered it, shape (n,).
    score : of each trade, shape (n,); NaN where it is not known. known_on : the day it was known on, NaT where it is
        not, shape (n,). today : the day of the look; what was known later is not seen.

    Returns
    -------
    ArmDays
        Empty where no day is settled.

    Raises
    ------
    BadInput
        Where the shapes differ, a score has no day on which it was known, or `wait_days` is negative.
    """
    days, known = np.asarray(day, dtype="datetime64[D]"), np.asarray(known_on, dtype="datetime64[D]")
    test, values = np.asarray(is_test, dtype=bool), np.asarray(score, dtype=np.float64)
    if not days.ndim == 1 or not days.shape == known.shape == test.shape == values.shape:
        raise BadInput(
            f"Days, arms, scores and days of knowing need one shape (n,); they were {days.shape}, {test.shape}, "
            f"{values.shape} and {known.shape}."
        )
    if wait_days < 0 or (np.isfinite(values) & np.isnat(known)).any():
        raise BadInput(f"`wait_days` is 0 or more (was {wait_days}), and every score needs the day it was known on.")
    asked = days <= today
    days, known, test, values = days[asked], known[asked], test[asked], values[asked]
    unique, at = np.unique(days, return_inverse=True)
    inside = np.isfinite(values) & (known <= np.minimum(days + wait_days, today))  # NaT compares as false
    settled = (np.bincount(at[~inside], minlength=len(unique)) == 0) | (today > unique + wait_days)
    counted = int(np.argmin(settled)) if not settled.all() else len(unique)
    means = [_means(at, values, inside & arm, len(unique))[:counted] for arm in (test, ~test)]
    both = np.isfinite(means[0]) & np.isfinite(means[1])
    missing = int((~inside & (at < counted)).sum())
    difference = (means[0] - means[1])[both]
    return ArmDays(unique[:counted][both], difference, int((~both).sum()), len(unique) - counted, missing)


def _means(at: NDArray[np.int64], values: Floats, among: NDArray[np.bool_], days: int) -> Floats:
    """Mean of the values of each day; NaN where there are none."""
    total = np.bincount(at[among], weights=values[among], minlength=days)
    count = np.bincount(at[among], minlength=days)
    return np.asarray(np.divide(total, count, out=np.full(days, np.nan), where=count > 0))
