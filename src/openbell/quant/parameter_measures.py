"""What parameter sets made on the days they were tried on: win rate, expected return and score, with intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from openbell.quant.uniqueness import average_uniqueness

#: The score of S0.15: expected return on risk, more for sets that mostly win, less for those that do not.
OFTEN, BONUS, SELDOM, MALUS = 0.70, 1.2, 0.55, 0.8


@dataclass(frozen=True, slots=True, eq=False)
class Measures:
    """What each of c parameter sets made on the similar days, (c,); NaN where nothing closed."""

    n: np.ndarray
    effective_n: np.ndarray
    missing: np.ndarray
    win_rate: np.ndarray
    expected_return: np.ndarray
    low: np.ndarray
    high: np.ndarray
    score: np.ndarray
    score_low: np.ndarray
    score_high: np.ndarray
    mean_days_held: np.ndarray


def measures(
    returns: np.ndarray, entry: np.ndarray, exit_: np.ndarray, days_held: np.ndarray, level: float = 0.9
) -> Measures:
    """Mean, win rate, score and interval of each parameter set.

    Parameters
    ----------
    returns : (d, c) return on risk of day and set, NaN where it was not had or is not closed.
    entry, exit_ : (d, c) rows of fill and exit. days_held : (d, c) calendar days.

    Notes
    -----
    The interval of the mean is Student's, with the *effective* number of outcomes in place of their number: outcomes
    that share sessions are worth the sum of their average uniqueness. It is symmetric where returns are skewed; it
    needs no seed. The score of S0.15 is the mean times 1.2 where more than 70 % win, 0.8 where fewer than 55 %; its
    bounds are those of the mean times the same.
    """
    has = np.isfinite(returns)
    n = has.sum(axis=0)
    filled = np.where(has, returns, 0.0)
    some = np.maximum(n, 1)
    mean = np.where(n > 0, filled.sum(axis=0) / some, np.nan)
    spread = np.sqrt(np.where(has, (filled - mean) ** 2, 0.0).sum(axis=0) / np.maximum(n - 1, 1))
    effective = _effective(has, entry, exit_)
    reach = _quantile(level, effective) * spread / np.sqrt(np.maximum(effective, 1e-12))
    reach = np.where(effective > 1.0, reach, np.nan)
    win = np.where(n > 0, (has & (filled > 0)).sum(axis=0) / some, np.nan)
    factor = np.where(win > OFTEN, BONUS, np.where(win < SELDOM, MALUS, 1.0))
    held = np.where(n > 0, np.where(has, days_held, 0).sum(axis=0) / some, np.nan)
    low, high = mean - reach, mean + reach
    return Measures(
        n,
        effective,
        (~has).sum(axis=0),
        win,
        mean,
        low,
        high,
        mean * factor,
        low * factor,
        high * factor,
        held,
    )


def _quantile(level: float, effective: np.ndarray) -> np.ndarray:
    from scipy.stats import t

    return np.asarray(t.ppf(0.5 + level / 2, np.maximum(effective - 1.0, 1e-6)))


def _effective(has: np.ndarray, entry: np.ndarray, exit_: np.ndarray) -> np.ndarray:
    """How many outcomes that share no session those of each set are worth, (c,)."""
    which = np.broadcast_to(np.arange(has.shape[1]), has.shape)[has]
    unique = average_uniqueness(entry[has] + 1, np.maximum(exit_[has], entry[has] + 1), which)
    return np.bincount(which, weights=unique, minlength=has.shape[1])
