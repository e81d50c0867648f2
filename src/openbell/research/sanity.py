"""Faults of a panel that no model can mend: a label that is a rule, a feature that never changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from openbell.core.errors import BadInput

#: A label that a small tree foretells this well is computed from the features.
RULE_ACCURACY = 0.99
RULE_DEPTH = 8
#: A feature with one value for more than this many sessions is a placeholder.
CONSTANT_SESSIONS = 30


@dataclass(frozen=True, slots=True)
class RuleCheck:
    """How well a small tree foretells a label out of sample.

    Attributes
    ----------
    accuracy : on the rows it was not fitted to. base_rate : of the commonest class among them. n : how many they are.
    """

    accuracy: float
    base_rate: float
    n: int

    @property
    def is_rule(self) -> bool:
        """Whether the label is, for all one can tell, computed from the features."""
        return self.accuracy >= RULE_ACCURACY and self.base_rate < RULE_ACCURACY


def rule_label_accuracy(
    features: ArrayLike, labels: ArrayLike, *, max_depth: int = RULE_DEPTH, fit_share: float = 0.7
) -> RuleCheck:
    """Accuracy of a depth-limited tree on the classes of `labels`: at 99 % the label is a rule, not an outcome.

    Parameters
    ----------
    features : shape (n, k), NaN allowed, in the order of time. labels : classes, shape (n,).
    fit_share : the first share of the rows is fitted, the rest is scored.

    Raises
    ------
    BadInput : where the shapes do not fit or there are under 100 rows, on which no accuracy means anything.
    """
    from sklearn.tree import DecisionTreeClassifier

    x, y = np.asarray(features, dtype=np.float64), np.asarray(labels)
    if x.ndim != 2 or y.shape != (len(x),):
        raise BadInput(f"`features` must be (n, k) and `labels` (n,); were {x.shape} and {y.shape}.")
    if len(x) < 100:
        raise BadInput(f"A rule can be told from luck on at least 100 rows; there were {len(x)}.")
    fitted = int(len(x) * fit_share)
    tree = DecisionTreeClassifier(max_depth=max_depth, random_state=0).fit(x[:fitted], y[:fitted])
    rest = y[fitted:]
    _, counts = np.unique(rest, return_counts=True)
    return RuleCheck(float(np.mean(tree.predict(x[fitted:]) == rest)), float(counts.max() / len(rest)), len(rest))


def constant_features(frame: pl.DataFrame, names: Sequence[str], sessions: int = CONSTANT_SESSIONS) -> dict[str, str]:
    """Features that hold one single value in more than `sessions` sessions of `frame`, each with the reason.

    `frame` has the column ``session``; nulls do not count as a value.
    """
    found = {}
    for name in names:
        held = frame.select("session", name).drop_nulls()
        spanned = held["session"].n_unique()
        if spanned > sessions and held[name].n_unique() == 1:
            found[name] = f"`{name}` is {held[name][0]} in all of {spanned} sessions: a placeholder, not a measurement."
    return found
