"""Which way to calibrate: the one that the calibrating rows themselves speak for."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from openbell.quant.calibration import METHODS, Calibrator, Temperature
from openbell.quant.reliability import log_loss

#: Part of the calibrating rows, the latest, on which the ways to calibrate are compared.
CHOICE_SHARE = 1.0 / 3.0
#: What is not calibrated at all: the identity, a temperature of 1.
AS_IT_IS = "as it is"

#: Each fits a calibrator on probabilities (n, k) and the position of what happened (n,).
Ways = Mapping[str, Callable[[np.ndarray, np.ndarray], Calibrator]]


def unchanged(classes: int) -> Calibrator:
    """The calibrator that changes nothing."""
    return Temperature(classes, 1.0, np.ones(classes, dtype=bool))


def ways_to_calibrate(raw: np.ndarray, *, isotonic: bool = False) -> Ways:
    """What can be tried on probabilities `raw` (n, k), the ways with the fewest numbers first.

    Probabilities that never change are not scaled, and a class whose own never changes leaves no slope to be found.
    """
    found: dict[str, Callable[[np.ndarray, np.ndarray], Calibrator]] = {AS_IT_IS: lambda *_: unchanged(raw.shape[1])}
    varies = np.ptp(raw, axis=0) > 1e-6
    if varies.any():
        found["temperature"] = METHODS["temperature"]
        if varies.all():
            found["sigmoid"] = METHODS["sigmoid"]
        if isotonic:
            found["isotonic"] = METHODS["isotonic"]
    return found


def chosen_calibrator(ways: Ways, raw: np.ndarray, labels: np.ndarray) -> tuple[str, Calibrator]:
    """The way of `ways` with the least log-loss on the latest third when fitted on the rows before, fitted on all.

    Parameters
    ----------
    raw : (n, k) in order of time, from a model that has not seen these rows. labels : (n,) position of what happened.

    Returns
    -------
    tuple
        Its name, of equal ones the first; and the calibrator.
    """
    cut = int(len(raw) * (1.0 - CHOICE_SHARE))
    chosen = next(iter(ways))
    if 0 < cut < len(raw) and len(ways) > 1:
        losses = {
            name: log_loss(way(raw[:cut], labels[:cut]).apply(raw[cut:]), labels[cut:]) for name, way in ways.items()
        }
        chosen = min(losses, key=lambda name: losses[name])
    return chosen, ways[chosen](raw, labels)
