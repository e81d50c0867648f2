"""Split-conformal intervals and sets: they hold what they promise as long as tomorrow is like the calibration rows."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from openbell.core.errors import BadInput
from openbell.quant.reliability import checked_labels, checked_probabilities


def _finite(name: str, values: np.ndarray, rows: int | None = None) -> np.ndarray:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or (rows is not None and len(array) != rows):
        raise BadInput(f"`{name}` must have the shape ({'n' if rows is None else rows},); was {array.shape}.")
    if not np.isfinite(array).all():
        bad = int((~np.isfinite(array)).sum())
        raise BadInput(f"`{name}` must be finite; {bad} of {len(array)} were not. Leave those rows out by name.")
    return array


def check_confidence(confidence: float) -> None:
    """Refuse a confidence outside (0, 1)."""
    if not 0.0 < confidence < 1.0:
        raise BadInput(f"`confidence` must lie in (0, 1), for example 0.9; was {confidence}.")


def _needed(confidence: float) -> int:
    """Fewest calibration rows that carry `confidence`: n with ``(1 - confidence) * (n + 1) >= 1``."""
    return math.ceil(1.0 / (1.0 - confidence) - 1e-9) - 1


def _check_rows(rows: int, confidence: float, where: str = "") -> None:
    check_confidence(confidence)
    if rows < _needed(confidence):
        raise BadInput(
            f"{rows} calibration rows{where} cannot carry a confidence of {confidence:g}; it takes "
            f"{_needed(confidence)}. Give more rows or ask for less."
        )


def _groups(groups: np.ndarray | None, rows: int, known: np.ndarray | None, fitted: bool) -> np.ndarray | None:
    """`groups` as text; refuses them where none were fitted, their absence where some were, and one never fitted."""
    if (groups is None) == fitted:
        raise BadInput("Groups must be given both when fitting and when asking, or never.")
    if groups is None:
        return None
    array = np.asarray(groups).astype(str)
    if array.shape != (rows,):
        raise BadInput(f"`groups` must have one group for each of {rows} rows; the shape was {array.shape}.")
    strange = np.setdiff1d(array, array if known is None else known)
    if len(strange):
        raise BadInput(f"The group `{strange[0]}` has no calibration rows. Fitted were: {', '.join(known or [])}.")
    return array


@dataclass(frozen=True, slots=True, eq=False)
class Intervals:
    """Split-conformal intervals around a prediction.

    Attributes
    ----------
    residuals : observed less predicted on the calibration rows, shape (n,).
    difficulty : positive scale of each row (for example its volatility), shape (n,); None for equal widths.
    groups : group of each row as text (Mondrian: coverage holds within each), shape (n,); None for one.
    """

    residuals: np.ndarray
    difficulty: np.ndarray | None = None
    groups: np.ndarray | None = None

    def around(
        self,
        predicted: np.ndarray,
        *,
        confidence: float = 0.9,
        difficulty: np.ndarray | None = None,
        groups: np.ndarray | None = None,
    ) -> np.ndarray:
        """Lower and upper bound of each prediction, shape (n, 2).

        Where rows are exchangeable with the calibration rows, at least a share of `confidence` of the outcomes falls
        inside (within 1 / (m + 1) above it, for m calibration rows). Rows of one session are not independent: the
        share converges over sessions, not over names.

        Parameters
        ----------
        predicted : shape (n,), finite. confidence : in (0, 1). difficulty, groups : as fitted, shape (n,).

        Raises
        ------
        BadInput
            Where the calibration rows (of a group) are too few for `confidence`, or a group was never fitted.
        """
        from crepes import ConformalRegressor

        centre = _finite("predicted", predicted)
        scale = _scale(difficulty, len(centre), self.difficulty is not None)
        names, counts = _counts(self.groups)
        cells = _groups(groups, len(centre), names, self.groups is not None)
        for name, count in zip(names if names is not None else [""], counts or [len(self.residuals)], strict=True):
            _check_rows(int(count), confidence, f" of the group `{name}`" if name else "")
        engine = ConformalRegressor().fit(self.residuals, sigmas=self.difficulty, bins=self.groups)
        # A hair more: 1 - 0.9 is a little less than 0.1, and the library rounds the rank down.
        bounds = engine.predict_int(centre, sigmas=scale, bins=cells, confidence=confidence - 1e-12)
        return np.asarray(bounds, dtype=np.float64)


def _counts(groups: np.ndarray | None) -> tuple[np.ndarray | None, list[int] | None]:
    if groups is None:
        return None, None
    names, counts = np.unique(groups, return_counts=True)
    return names, counts.tolist()


def _scale(difficulty: np.ndarray | None, rows: int, fitted: bool) -> np.ndarray | None:
    if (difficulty is None) == fitted:
        raise BadInput("`difficulty` must be given both when fitting and when asking, or never.")
    if difficulty is None:
        return None
    scale = _finite("difficulty", difficulty, rows)
    if not (scale > 0).all():
        raise BadInput(f"`difficulty` must be above 0; its smallest was {scale.min():g}.")
    return scale


def intervals(
    predicted: np.ndarray,
    observed: np.ndarray,
    *,
    difficulty: np.ndarray | None = None,
    groups: np.ndarray | None = None,
) -> Intervals:
    """Split-conformal intervals from predictions of a model that had not seen these rows.

    Parameters
    ----------
    predicted, observed : shape (n,), finite. difficulty : shape (n,), above 0. groups : shape (n,).

    References
    ----------
    Papadopoulos et al. (2002), ECML, 345-356. Vovk, Gammerman and Shafer (2005), Algorithmic Learning in a Random
    World. Boström (2022), COPA 179, 24-41 (crepes).
    """
    centre = _finite("predicted", predicted)
    residuals = _finite("observed", observed, len(centre)) - centre
    if not len(residuals):
        raise BadInput("There are no calibration rows. Give out-of-fold predictions with known outcomes.")
    scale = _scale(difficulty, len(centre), difficulty is not None)
    return Intervals(residuals, scale, _groups(groups, len(centre), None, groups is not None))


@dataclass(frozen=True, slots=True, eq=False)
class Sets:
    """Split-conformal sets of classes.

    Attributes
    ----------
    scores : ``1 - p`` of the class that happened on the calibration rows (hinge), by group sorted ascending.
    classes : how many there are.
    """

    scores: dict[str, np.ndarray]
    classes: int

    def p_values(self, probabilities: np.ndarray, *, groups: np.ndarray | None = None) -> np.ndarray:
        """Share of calibration rows at least as strange as each class would be, shape (n, c), in (0, 1].

        Equals crepes without smoothing; sorted once, for crepes passes over the calibration rows for every cell.
        """
        strange = 1.0 - checked_probabilities(probabilities, self.classes)
        known = None if "" in self.scores else np.array(sorted(self.scores))
        cells = _groups(groups, len(strange), known, known is not None)
        out = np.empty_like(strange)
        for name, own in self.scores.items():
            rows = slice(None) if cells is None else cells == name
            at_least = len(own) - np.searchsorted(own, strange[rows], side="left")
            out[rows] = (at_least + 1.0) / (len(own) + 1.0)
        return out

    def of(self, probabilities: np.ndarray, *, confidence: float = 0.9, groups: np.ndarray | None = None) -> np.ndarray:
        """Whether each class is in the set of each row, shape (n, c), bool.

        At least a share of `confidence` of the sets hold what happens, where rows are exchangeable. A set may be
        empty (nothing like it was seen) or hold every class (the model knows nothing).
        """
        for name, own in self.scores.items():
            _check_rows(len(own), confidence, f" of the group `{name}`" if name else "")
        return np.asarray(self.p_values(probabilities, groups=groups) > 1.0 - confidence + 1e-12)


def sets(probabilities: np.ndarray, labels: np.ndarray, *, groups: np.ndarray | None = None) -> Sets:
    """Split-conformal sets from probabilities of a model that had not seen these rows.

    Parameters
    ----------
    probabilities : shape (n, c), rows sum to 1, no NaN. labels : shape (n,), position of the class that happened.
    groups : shape (n,); coverage then holds within each (Mondrian; with the class itself as group it cannot be asked).

    References
    ----------
    Vovk, Gammerman and Shafer (2005), Algorithmic Learning in a Random World, chapter 2.
    """
    given = checked_probabilities(probabilities)
    happened = checked_labels(labels, *given.shape)
    if not len(given):
        raise BadInput("There are no calibration rows. Give out-of-fold probabilities with known outcomes.")
    strange = 1.0 - given[np.arange(len(given)), happened]
    cells = _groups(groups, len(given), None, groups is not None)
    if cells is None:
        return Sets({"": np.sort(strange)}, given.shape[1])
    return Sets({str(name): np.sort(strange[cells == name]) for name in np.unique(cells)}, given.shape[1])
