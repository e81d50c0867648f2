"""Splits of combinatorial purged cross-validation: which rows may be trained on next to which tests."""

from __future__ import annotations

import datetime as dt
import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from openbell.core.errors import BadInput, LeakFound

#: A combination of groups is a fit: more than this many is a mistake, not a study.
MOST_SPLITS = 1000


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """One combination of test groups.

    Attributes
    ----------
    number : from 0. test_groups : numbers of the groups tested, from 0.
    train, test : row numbers in the keys, rising. A row without a label is in neither.
    group_of_test : the group of each row of `test`.
    purged : rows left out because their label overlaps one of the test; embargoed : because their features look back
        into it.
    """

    number: int
    test_groups: tuple[int, ...]
    train: np.ndarray
    test: np.ndarray
    group_of_test: np.ndarray
    purged: int
    embargoed: int


def paths(groups: int, test_groups: int) -> np.ndarray:
    """The split that scores each group on each path, shape (paths, groups).

    Each group is tested in C(groups - 1, test_groups - 1) splits, which is the number of paths: path p takes the p-th
    of them in every group, so each split's scores of a group are used once.
    """
    splits = list(itertools.combinations(range(groups), test_groups))
    return np.array([[at for at, each in enumerate(splits) if group in each] for group in range(groups)]).T


def _moments(keys: pl.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Begin and end of each label in microseconds, and whether it has one."""
    needed = [name for name in ("session", "as_of", "label_known_at") if name not in keys.columns]
    if needed:
        raise BadInput(f"The keys lack the column `{needed[0]}`; they have {', '.join(keys.columns)}.")
    if keys["session"].null_count() or keys["as_of"].null_count():
        raise BadInput("Every row of the keys needs its `session` and its `as_of`.")
    labelled = keys["label_known_at"].is_not_null().to_numpy()
    begin, end = (
        keys[name].dt.cast_time_unit("us").cast(pl.Int64).fill_null(0).to_numpy()
        for name in ("as_of", "label_known_at")
    )
    if (end[labelled] < begin[labelled]).any():
        at = keys.filter(pl.col("label_known_at") < pl.col("as_of"))
        raise BadInput(f"{at.height} labels were known before their decision; the first is of {at['session'].min()!s}.")
    return begin, end, labelled


def overlapping(begin: np.ndarray, end: np.ndarray, test_begin: np.ndarray, test_end: np.ndarray) -> np.ndarray:
    """Whether each closed interval shares a moment with any of the test's, shape (rows,).

    A label that becomes known at the very moment of a test decision counts as overlapping.
    """
    if not len(test_begin):
        return np.zeros(len(begin), dtype=bool)
    order = np.argsort(test_begin, kind="stable")
    latest_end = np.maximum.accumulate(test_end[order])
    before = np.searchsorted(test_begin[order], end, side="right")
    reached: np.ndarray = latest_end[np.maximum(before, 1) - 1] >= begin
    return reached & (before > 0)


def splits(
    keys: pl.DataFrame,
    *,
    groups: int = 6,
    test_groups: int = 2,
    embargo_sessions: int = 20,
    numbers: Mapping[dt.date, int] | None = None,
) -> tuple[Split, ...]:
    """Every choice of `test_groups` of `groups` runs of sessions as the test, the rest purged to train on.

    Parameters
    ----------
    keys : one row per (session, name): ``session``, ``as_of``, ``label_known_at`` (null without a label), in any order.
        Extra columns are not looked at.
    groups : runs of neighbouring sessions of equal length (by one more or less). A session is never split.
    embargo_sessions : after each run of test groups, sessions left out beyond those purged, as their features look back
        into the test's outcomes. The longest look-back that matters, at best; the whole of it for features over a
        year leaves little to train on.
    numbers : number of each session on the calendar, by which the embargo counts; None counts the sessions in `keys`,
        which on weekly rows are weeks.

    Returns
    -------
    tuple of Split
        C(groups, test_groups), in the order of ``itertools.combinations``.

    Raises
    ------
    BadInput
        On fewer sessions than groups, a choice that is none, or a split without rows to train on or to test.

    Notes
    -----
    Purged is every row whose label ``[as_of, label_known_at]`` shares a moment with a test row's. skfolio's
    ``CombinatorialPurgedCV`` (1.12) leaves out a number of rows next to each test fold instead: with several names a
    session, or a label that takes longer (a halted name, a holiday), labels overlap and sessions are split.

    References
    ----------
    Lopez de Prado (2018), Advances in Financial Machine Learning, chapters 7 and 12.
    """
    if not 1 <= test_groups < groups or groups < 2:
        raise BadInput(f"There must be at least 1 test group and 1 to train on; were {test_groups} of {groups}.")
    if math.comb(groups, test_groups) > MOST_SPLITS:
        raise BadInput(
            f"{test_groups} of {groups} groups are {math.comb(groups, test_groups):,} splits, each a fit; "
            f"at most {MOST_SPLITS:,} are allowed."
        )
    if embargo_sessions < 0:
        raise BadInput(f"`embargo_sessions` must not be negative; was {embargo_sessions}.")
    begin, end, labelled = _moments(keys)
    sessions = keys["session"].unique().sort()
    if len(sessions) < groups:
        raise BadInput(f"{len(sessions)} sessions cannot be cut into {groups} groups.")
    place = np.searchsorted(sessions.to_numpy(), keys["session"].to_numpy())
    number = _calendar(sessions.to_list(), numbers)[place]
    group = np.repeat(np.arange(groups), [len(part) for part in np.array_split(np.arange(len(sessions)), groups)])[
        place
    ]
    return tuple(
        _split(at, chosen, group, begin, end, labelled, number, embargo_sessions)
        for at, chosen in enumerate(itertools.combinations(range(groups), test_groups))
    )


def _calendar(sessions: list[dt.date], numbers: Mapping[dt.date, int] | None) -> np.ndarray:
    if numbers is None:
        return np.arange(len(sessions))
    absent = [session for session in sessions if session not in numbers]
    if absent:
        raise BadInput(f"The session {absent[0]} has no number on the calendar.")
    return np.array([numbers[session] for session in sessions])


def _split(
    at: int,
    chosen: tuple[int, ...],
    group: np.ndarray,
    begin: np.ndarray,
    end: np.ndarray,
    labelled: np.ndarray,
    number: np.ndarray,
    embargo_sessions: int,
) -> Split:
    in_test = np.isin(group, chosen)
    test = np.flatnonzero(in_test & labelled)
    rest = np.flatnonzero(~in_test & labelled)
    purged = overlapping(begin[rest], end[rest], begin[test], end[test])
    late = np.zeros(len(rest), dtype=bool)
    for one in chosen:
        outcomes = end[test][group[test] == one]
        if outcomes.size and (begin > outcomes.max()).any():
            first = number[begin > outcomes.max()].min()
            late |= (begin[rest] > outcomes.max()) & (number[rest] < first + embargo_sessions)
    late &= ~purged
    train = rest[~purged & ~late]
    if not len(train) or not len(test):
        raise BadInput(
            f"The split that tests the groups {chosen} has {len(train)} rows to train on and {len(test)} to test: "
            f"{int(purged.sum())} were purged and {int(late.sum())} embargoed. Give a longer history, fewer groups or "
            "a shorter embargo."
        )
    return Split(at, chosen, train, test, group[test], int(purged.sum()), int(late.sum()))


def check_split(keys: pl.DataFrame, split: Split) -> None:
    """Refuse a split that leaks: a session on both sides, or a training label that overlaps the test's.

    Raises
    ------
    LeakFound
    """
    train, test = keys[split.train], keys[split.test]
    both = train.select("session").unique().join(test.select("session").unique(), on="session", how="semi")
    if both.height:
        raise LeakFound(
            f"{both.height} sessions stand in training and in test; the first is {both['session'].min()!s}."
        )
    begin, end, labelled = _moments(keys)
    if not (labelled[split.train].all() and labelled[split.test].all()):
        raise LeakFound("A row without a label stands in training or in test: the split is not of these keys.")
    shared = overlapping(begin[split.train], end[split.train], begin[split.test], end[split.test])
    if shared.any():
        first = train.filter(shared)["session"].min()
        raise LeakFound(f"{int(shared.sum())} training labels overlap the test's; the first is of {first!s}.")
