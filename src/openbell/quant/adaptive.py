"""Intervals that follow a drift: their level moves with what was missed and was known by then."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import polars as pl

from openbell.core.errors import BadInput
from openbell.quant.conformal import Intervals, check_confidence

#: How far one session's miss moves the level (Gibbs and Candès used 0.005 for daily volatility).
STEP = 0.02


def adaptive_levels(
    missed: Callable[[int, float], float], sessions: int, *, confidence: float, lag: int, step: float = STEP
) -> np.ndarray:
    """Level of miscoverage used at each session, moved by what had missed and was known by then.

    ``level[t + 1] = level[t] + step * ((1 - confidence) - missed(t - lag + 1))``: the share of outcomes of session s
    outside their intervals at the level used for s; known `lag` sessions later and never used before.

    Parameters
    ----------
    missed : of (session number, level used there), share of its outcomes that fell outside, NaN where it has none.
    sessions : how many. confidence : in (0, 1). lag : sessions until outcomes are known, at least 1. step : above 0.

    Returns
    -------
    numpy.ndarray
        Shape (sessions,); 0 and below stand for "everything", 1 and above for "nothing". Over the T sessions that
        were used the mean share of misses is within ``(max(a, 1 - a) + step * lag) / (step * T)`` of
        a = 1 - confidence, whatever the data do.

    References
    ----------
    Gibbs and Candès (2021), NeurIPS 34, 1660-1672, equation 2; with delay as in Angelopoulos et al. (2023), NeurIPS 36.
    """
    check_confidence(confidence)
    if lag < 1 or not step > 0:
        raise BadInput(f"`lag` must be at least 1 session and `step` above 0; they were {lag} and {step}.")
    aim = 1.0 - confidence
    levels = np.full(sessions, aim)
    for now in range(1, sessions):
        share = missed(now - lag, float(levels[now - lag])) if now >= lag else math.nan
        levels[now] = levels[now - 1] + (0.0 if math.isnan(share) else step * (aim - share))
    return levels


def _width(scores: np.ndarray, level: float) -> float:
    """The score that a share of `level` exceeds; infinite where no finite one does, minus infinite at 1 and above."""
    if level >= 1.0:
        return -math.inf
    rank = math.ceil((1.0 - level) * (len(scores) + 1) - 1e-9)
    return math.inf if rank > len(scores) else float(scores[rank - 1])


def adaptive_intervals(
    frame: pl.DataFrame,
    calibration: Intervals,
    *,
    confidence: float = 0.9,
    lag: int,
    step: float = STEP,
) -> pl.DataFrame:
    """Intervals of every row, fixed and adaptive, session by session.

    Parameters
    ----------
    frame : columns ``session``, ``predicted``, ``observed`` (null or NaN where it is not known) and ``difficulty``
        where `calibration` has it. Sorted in time here; the rows of a session share one level.
    calibration : fitted before the first session; with groups it is refused.
    confidence : in (0, 1). lag : number of sessions of `frame` after which the outcomes of one are known; see
        `feedback_lag`. step : of the adaptation.

    Returns
    -------
    polars.DataFrame
        The rows of `frame` in time order with ``low``, ``high`` (fixed), ``level`` (adaptive miscoverage in use),
        ``adaptive_low``, ``adaptive_high`` (infinite where the level fell to 0: everything is possible; null where it
        rose to 1: an empty interval), ``covered`` and ``adaptive_covered`` (null where the outcome is not known).
    """
    rows, starts = _in_time(frame, calibration)
    scaled = calibration.difficulty is not None
    scale = rows["difficulty"].cast(pl.Float64).to_numpy() if scaled else np.ones(rows.height)
    centre = rows["predicted"].cast(pl.Float64).to_numpy()
    outcome = rows["observed"].cast(pl.Float64).fill_null(math.nan).to_numpy()
    strange = np.abs(outcome - centre) / scale
    past = np.sort(np.abs(calibration.residuals) / (1.0 if calibration.difficulty is None else calibration.difficulty))

    def missed(session: int, level: float) -> float:
        own = strange[starts[session] : starts[session + 1]]
        known = own[~np.isnan(own)]
        return float((known > _width(past, level)).mean()) if len(known) else math.nan

    levels = adaptive_levels(missed, len(starts) - 1, confidence=confidence, lag=lag, step=step)
    fixed = calibration.around(centre, confidence=confidence, difficulty=scale if scaled else None)
    lengths = np.diff(starts)
    widths = np.repeat([_width(past, level) for level in levels], lengths)
    reach = np.where(widths == -math.inf, math.nan, widths) * scale
    inside = (outcome >= fixed[:, 0]) & (outcome <= fixed[:, 1])
    known = pl.Series("known", ~np.isnan(outcome))
    return rows.with_columns(
        pl.Series("low", fixed[:, 0]),
        pl.Series("high", fixed[:, 1]),
        pl.Series("level", np.repeat(levels, lengths)),
        pl.Series("adaptive_low", centre - reach).fill_nan(None),
        pl.Series("adaptive_high", centre + reach).fill_nan(None),
        pl.when(known).then(pl.Series(inside)).alias("covered"),
        pl.when(known).then(pl.Series(strange <= widths)).alias("adaptive_covered"),
    )


def _in_time(frame: pl.DataFrame, calibration: Intervals) -> tuple[pl.DataFrame, np.ndarray]:
    """`frame` sorted by session, and where each session starts (one more entry than sessions)."""
    wanted = ("session", "predicted", "observed", *(("difficulty",) if calibration.difficulty is not None else ()))
    missing = [name for name in wanted if name not in frame.columns]
    if missing:
        raise BadInput(f"The frame lacks the column {', '.join(missing)}; it has {', '.join(frame.columns)}.")
    if calibration.groups is not None:
        raise BadInput("Adaptive intervals follow one level; give calibration rows without groups.")
    if frame.is_empty():
        raise BadInput("There are no rows to follow over time.")
    rows = frame.sort("session", maintain_order=True)
    lengths = rows.group_by("session", maintain_order=True).len()["len"].to_numpy()
    return rows, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def feedback_lag(decisions: pl.DataFrame) -> int:
    """Sessions after which the outcomes of every session were known: the `lag` of adaptive intervals.

    Parameters
    ----------
    decisions : columns ``session``, ``as_of`` and ``known_at`` (of the outcome; null where not known yet), any number
        of rows per session.

    Returns
    -------
    int
        The smallest L, at least 1, with ``known_at(session i) <= as_of(session i + L)`` for every i whose outcome is
        known and where session i + L is there. One name that resolves late holds up its whole session.
    """
    dated = decisions.group_by("session").agg(pl.col("as_of").min(), pl.col("known_at").max()).sort("session")
    if dated.is_empty():
        raise BadInput("There are no decisions to take a lag from.")
    late = dated.filter(pl.col("known_at").is_not_null() & (pl.col("known_at") <= pl.col("as_of")))
    if late.height:
        raise BadInput(f"The outcome of {late['session'][0]} is called known at or before its own decision.")
    known = dated.filter(pl.col("known_at").is_not_null())
    first = dated["as_of"].search_sorted(known["known_at"], side="left").to_numpy()
    own = dated["as_of"].search_sorted(known["as_of"], side="left").to_numpy()
    return int((first.astype(np.int64) - own).max(initial=1))


def coverage_over_time(frame: pl.DataFrame, window: int, *, covered: str = "covered") -> pl.DataFrame:
    """Share of outcomes inside their intervals over the last `window` sessions, at every session.

    Parameters
    ----------
    frame : columns ``session`` and `covered` (bool; null where the outcome is not known: left out). window : sessions.

    Returns
    -------
    polars.DataFrame
        One row per session, sorted: ``session``, ``coverage`` (null while fewer than `window` sessions have passed or
        none of their outcomes is known), ``n`` (outcomes it rests on).
    """
    if window < 1:
        raise BadInput(f"`window` must be at least 1 session; was {window}.")
    daily = frame.group_by("session").agg(pl.col(covered).sum().alias("hits"), pl.col(covered).count().alias("n"))
    summed = daily.sort("session").with_columns(
        pl.col("hits", "n").cast(pl.Int64).rolling_sum(window, min_samples=window).fill_null(0)
    )
    return summed.select("session", (pl.col("hits") / pl.col("n")).fill_nan(None).alias("coverage"), "n")
