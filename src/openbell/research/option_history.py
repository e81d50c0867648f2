"""The table of counterfactuals as arrays, and what stage 2 would have chosen from it on each past day."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from openbell.core.errors import BadInput
from openbell.quant.parameter_measures import measures
from openbell.quant.similar import similar_days
from openbell.research.stage_one import Outcomes

Progress = Callable[[int, int, str], None]

#: Calendar days after a chain session by which every position of its decision has ended: the longest set is of 45 days,
#: and an expiry stands for it up to a third beyond. So a day is closed by the date alone, for past days and for today.
CLOSED_AFTER = np.timedelta64(62, "D")
#: Reasons that are known before the fill: such a set is not chosen. Any other lack shows only when it is filled.
UNLISTED = ("NO_EXPIRY", "ZERO_WIDTH", "NO_STRIKE")


@dataclass(frozen=True, slots=True, eq=False)
class Cube:
    """Counterfactuals by day, structure and parameter set; a row is a chain session, filled in the next.

    Attributes
    ----------
    sessions : (n,) datetime64[D], chain sessions, rising, without gaps. as_of : (n,) datetime64[us], the moment of the
        decision, before the open of the next session.
    returns, utility : (n, s, c), NaN where there is none. exit : (n, s, c) row of the exit session, -1.
    held : (n, s, c) sessions. listed : (n, s, c) whether the contracts were listed. sets : (s,) parameter sets of each.
    known_at : (n,) when all outcomes of the row were known, NaT where one is not.
    """

    structures: tuple[str, ...]
    sessions: np.ndarray
    as_of: np.ndarray
    returns: np.ndarray
    utility: np.ndarray
    exit: np.ndarray
    held: np.ndarray
    listed: np.ndarray
    sets: np.ndarray
    known_at: np.ndarray

    @property
    def outcomes(self) -> Outcomes:
        """What stage 1 learns from: the mean utility of each structure over its sets."""
        has = np.isfinite(self.utility)
        count = has.sum(axis=2)
        mean = np.where(has, self.utility, 0.0).sum(axis=2) / np.maximum(count, 1)
        known = ~np.isnat(self.known_at)
        utility = np.where((count > 0) & known[:, None], mean, np.nan)
        return Outcomes(self.structures, self.as_of, self.known_at, utility, self.returns)


def cube(table: pl.DataFrame, as_of: np.ndarray, structures: Sequence[str]) -> Cube:
    """`table` of `counterfactuals` as arrays; `as_of` is the moment of the decision after each of its chain sessions.

    Raises
    ------
    BadInput
        Where the moments do not fit the chain sessions.
    """
    days = table["chain_session"].unique().sort()
    sessions = days.to_numpy().astype("datetime64[D]")
    if len(as_of) != len(sessions):
        raise BadInput(f"There are {len(sessions)} chain sessions and {len(as_of)} moments of decision.")
    names = tuple(structures)
    number = {name: at for at, name in enumerate(names)}
    row = np.searchsorted(sessions, table["chain_session"].to_numpy().astype("datetime64[D]"))
    place = table["structure"].cast(pl.String).replace_strict(number, return_dtype=pl.Int64).to_numpy()
    which = table["parameter_set"].to_numpy().astype(np.int64)
    shape = (len(sessions), len(names), int(which.max()) + 1)

    def spread(values: np.ndarray, empty: object) -> np.ndarray:
        out = np.full(shape, empty)
        out[row, place, which] = values
        return out

    exits = table["exit_session"].to_numpy().astype("datetime64[D]")
    exit_row = np.where(np.isnat(exits), -1, np.searchsorted(sessions, np.where(np.isnat(exits), sessions[0], exits)))
    known = table["known_at"].dt.replace_time_zone(None).to_numpy().astype("datetime64[us]")
    return Cube(
        structures=names,
        sessions=sessions,
        as_of=as_of,
        returns=spread(table["return_on_risk"].fill_null(np.nan).to_numpy(), np.nan),
        utility=spread(table["utility"].fill_null(np.nan).to_numpy(), np.nan),
        exit=spread(exit_row, -1),
        held=spread(table["held_sessions"].fill_null(0).to_numpy().astype(np.float64), 0.0),
        listed=spread(~table["reason"].cast(pl.String).is_in(list(UNLISTED)).to_numpy(), False),
        sets=np.bincount(place, minlength=len(names)) // len(sessions),
        known_at=_latest(known, row, len(sessions)),
    )


def _latest(known: np.ndarray, row: np.ndarray, n: int) -> np.ndarray:
    """The latest moment of each row, NaT where one of its own is."""
    ticks = known.astype(np.int64)
    latest = np.full(n, np.iinfo(np.int64).min)
    np.maximum.at(latest, row, ticks)
    open_ = np.zeros(n, dtype=bool)
    open_[row[np.isnat(known)]] = True
    return np.where(open_, np.datetime64("NaT", "us"), latest.astype("datetime64[us]"))


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """What stage 2 chose on each row: `which` (n, s) parameter set or -1, its `returns` and `held` sessions (n, s).

    `similar` (n,) counts the similar days; rows that were not asked for hold -1, NaN and 0.
    """

    which: np.ndarray
    returns: np.ndarray
    held: np.ndarray
    similar: np.ndarray


def stage_two(
    made: Cube,
    states: np.ndarray,
    rows: np.ndarray,
    *,
    count: int = 60,
    minimum_outcomes: int = 10,
    level: float = 0.9,
    progress: Progress | None = None,
) -> Chosen:
    """The parameter set of every structure that similar days spoke for on each of `rows`, and what it made.

    Parameters
    ----------
    states : (n, f) state of the market at each chain session; a row that is not finite has no similar days.
    rows : positions; a day less than `CLOSED_AFTER` before them is never looked at.
    count : similar days. minimum_outcomes, level : as in `quant.parameter_choice`, whose ranking this is: the best
        lower bound of the score among the sets that were listed.
    """
    n, s = made.returns.shape[:2]
    which = np.full((n, s), -1, dtype=np.int64)
    similar = np.zeros(n, dtype=np.int64)
    for done, row in enumerate(rows, start=1):
        if not np.isfinite(states[row]).all():
            continue
        near = similar_days(states[:row], closed_by(made.sessions[:row], made.sessions[row]), states[row], count=count)
        similar[row] = len(near.rows)
        if near.refused is None:
            which[row] = [_best(made, near.rows, row, at, minimum_outcomes, level) for at in range(s)]
        if progress is not None and done % 100 == 0:
            progress(done, len(rows), "stage 2 on past days")
    at = np.maximum(which, 0)[:, :, None]
    taken = which >= 0
    returns = np.where(taken, np.take_along_axis(made.returns, at, axis=2)[:, :, 0], np.nan)
    held = np.where(taken, np.take_along_axis(made.held, at, axis=2)[:, :, 0], 0.0)
    return Chosen(which, returns, held, similar)


def closed_by(sessions: np.ndarray, today: np.datetime64) -> np.ndarray:
    """(n,) whether every outcome of the decision after each chain session was closed at the close of `today`."""
    return np.asarray(sessions.astype("datetime64[D]") + CLOSED_AFTER <= today)


def _best(made: Cube, days: np.ndarray, row: int, structure: int, minimum: int, level: float) -> int:
    """The set with the best lower bound of its score over `days` among those listed on `row`; -1 without one."""
    sets = int(made.sets[structure])
    returns = made.returns[days, structure, :sets]
    exits = made.exit[days, structure, :sets]
    entry = np.broadcast_to(days[:, None] + 1, exits.shape)
    held = made.held[days, structure, :sets]
    found = measures(returns, entry, exits, held, level)
    able = (found.n >= minimum) & np.isfinite(found.score_low) & made.listed[row, structure, :sets]
    if not able.any():
        return -1
    candidates = np.flatnonzero(able)
    order = np.lexsort((candidates, -found.score[candidates], -found.score_low[candidates]))
    return int(candidates[order[0]])
