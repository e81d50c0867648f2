"""Past days like today: the nearest in the space of market states, of those whose outcome was known before today."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from openbell.core.errors import BadInput
from openbell.quant.uniqueness import average_uniqueness

#: Features that make up a state of the market unless others are asked for.
STATE = (
    "iv_rank",
    "trend_regime",
    "adx_14",
    "rsi_14",
    "price_vs_sma_20",
    "vix_level",
    "hv_iv_ratio",
    "iv_term_structure",
)


@dataclass(frozen=True, slots=True, eq=False)
class Similar:
    """Similar past days, the nearest first.

    Attributes
    ----------
    rows : (k,) rows of the states. distances : (k,) root of the mean squared difference, in standard deviations.
    eligible : days that were looked at. flagged : whether there are fewer than asked for at least.
    effective : (k days that share outcomes are worth) so many days that share none.
    refused : why they cannot be used, a sentence; None where they can. why : what was left out, in sentences.
    used : (f,) which features the distance is made of.
    """

    rows: np.ndarray
    distances: np.ndarray
    eligible: int
    flagged: bool
    effective: float
    refused: str | None
    why: tuple[str, ...]
    used: np.ndarray


def similar_days(
    states: np.ndarray,
    closed: np.ndarray,
    target: np.ndarray,
    *,
    today: np.datetime64 | None = None,
    count: int = 60,
    minimum: int = 30,
    refuse: int = 10,
    gap_sessions: int = 0,
    horizon_sessions: int = 21,
    names: Sequence[str] | None = None,
) -> Similar:
    """The `count` past days whose state is nearest `target`.

    Parameters
    ----------
    states : (n, f), one row per session in the order of time. A row with a value that is not finite is left out.
    closed : (n,) whether the outcome of each row was closed before today; or (n,) datetime64, when it was, NaT where it
        is not, which needs `today` and must lie before it.
    target : (f,) today's state.
    count : days wanted. minimum : fewer are flagged. refuse : fewer are refused.
    gap_sessions : days nearer than this many rows to a nearer neighbour are passed over; 0 passes none over.
    horizon_sessions : sessions that an outcome lasts from the day after its row, for the effective number of days.
    names : of the features, for the sentences.

    Returns
    -------
    Similar
        Each feature is standardised by mean and standard deviation of the eligible past alone; one that never changed
        there says nothing and is left out. Of two days as near, the later comes first.

    Raises
    ------
    BadInput
        On shapes that differ or a target that is not finite.
    """
    past, goal = np.asarray(states, dtype=np.float64), np.asarray(target, dtype=np.float64)
    if past.ndim != 2 or goal.shape != past.shape[1:] or len(closed) != len(past):
        raise BadInput(
            f"States (days, features), closed (days,) and target (features,) must fit; had {past.shape}, "
            f"({len(closed)},) and {goal.shape}."
        )
    called = [f"feature {i}" for i in range(len(goal))] if names is None else list(names)
    if not np.isfinite(goal).all():
        odd = ", ".join(called[i] for i in np.flatnonzero(~np.isfinite(goal)))
        raise BadInput(f"Today's state has no value for {odd}; similar days need all of it, and no default stands in.")
    known = _known(np.asarray(closed), today)
    whole = np.isfinite(past).all(axis=1)
    able = np.flatnonzero(known & whole)
    why = [f"{int((known & ~whole).sum())} past days have an incomplete state."] if (known & ~whole).any() else []
    distance, used = _distances(past[able], goal)
    if len(able) and not used.all():
        still = ", ".join(called[i] for i in np.flatnonzero(~used))
        why.append(f"Left out of the distance because it never changed in the past: {still}.")
    # By distance, then the latest first; the sort keeps the order of what is equal.
    order = able[::-1][np.argsort(distance[::-1], kind="stable")]
    rows = _apart(order, count, gap_sessions)
    place = np.searchsorted(able, rows)
    return Similar(
        rows=rows,
        distances=distance[place],
        eligible=len(able),
        flagged=len(rows) < minimum,
        effective=float(average_uniqueness(rows + 1, rows + horizon_sessions).sum()),
        refused=None
        if len(rows) >= refuse
        else (
            f"Only {len(rows)} similar past days have an outcome that was closed before today; "
            f"fewer than {refuse} say nothing. Import more history."
        ),
        why=(*why, f"Only {len(rows)} similar days, fewer than {minimum}.") if len(rows) < minimum else tuple(why),
        used=used,
    )


def _known(closed: np.ndarray, today: np.datetime64 | None) -> np.ndarray:
    if closed.dtype.kind == "M":
        if today is None:
            raise BadInput("Dates of closing need `today` to be compared with.")
        return np.asarray(~np.isnat(closed) & (closed < today))
    if closed.dtype != np.bool_:
        raise BadInput(f"`closed` must be booleans or dates; its type was {closed.dtype}.")
    return closed


def _distances(past: np.ndarray, goal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance of each row, and which features it is made of."""
    if not len(past):
        return np.empty(0), np.zeros(len(goal), dtype=bool)
    mean, deviation = past.mean(axis=0), past.std(axis=0)
    used = deviation > 1e-12 * np.maximum(np.abs(mean), 1.0)
    if not used.any():
        return np.zeros(len(past)), used
    apart = (past[:, used] - goal[used]) / deviation[used]
    return np.sqrt((apart**2).mean(axis=1)), used


def _apart(order: np.ndarray, count: int, gap: int) -> np.ndarray:
    """The first `count` of `order` of which no two lie within `gap` rows."""
    if gap <= 1:
        return order[:count]
    chosen: list[int] = []
    left = order
    while len(chosen) < count and len(left):
        chosen.append(int(left[0]))
        left = left[np.abs(left - left[0]) >= gap]
    return np.array(chosen, dtype=np.int64)
