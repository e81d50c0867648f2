"""Whether a model has stopped working, and how often the alarm rings for nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from openbell.core.errors import BadInput


@dataclass(frozen=True, slots=True)
class Drift:
    """What the drift rule says. `action` is ``continue`` or ``review_model``; `reason` where there is no answer."""

    degraded: bool
    action: str
    avg_ic: float | None
    days_below_threshold: int | None
    lookback: int
    threshold: float
    n: int
    alarm_rate: float | None
    reason: str | None = None

    @property
    def record(self) -> dict[str, Any]:
        """As plain values, for a log."""
        return asdict(self)


def _coefficients(recent_ic: Sequence[float | None] | np.ndarray) -> np.ndarray:
    values = np.array([np.nan if value is None else value for value in recent_ic], dtype=np.float64)
    return values[np.isfinite(values)]


def _rings(windows: np.ndarray, threshold: float) -> np.ndarray:
    """The rule of S2.18 on each row: mean under the threshold and at least half of the days under it."""
    below = (windows < threshold).sum(axis=1)
    return np.asarray((windows.mean(axis=1) < threshold) & (below >= 0.5 * windows.shape[1]))


def alarm_rate(
    ics: Sequence[float | None] | np.ndarray, *, lookback: int = 20, threshold: float = 0.02
) -> float | None:
    """Share of all windows of `lookback` dates on which the drift rule would have rung.

    On a history in which the model was as good as it ever is, this is the rule's false-alarm rate per date. None with
    fewer dates than `lookback`.
    """
    values = _coefficients(ics)
    if values.size < lookback:
        return None
    windows = np.lib.stride_tricks.sliding_window_view(values, lookback)
    return float(_rings(windows, threshold).mean())


def model_drift(
    recent_ic: Sequence[float | None] | np.ndarray,
    *,
    lookback: int = 20,
    threshold: float = 0.02,
    history: Sequence[float | None] | np.ndarray | None = None,
) -> Drift:
    """The drift rule of S2.18 on the last `lookback` coefficients.

    Parameters
    ----------
    recent_ic : per-date coefficients, oldest first; null and NaN are no observations.
    lookback : dates looked at. threshold : smallest acceptable mean coefficient.
    history : out-of-sample coefficients to measure the rule's alarm rate on; `recent_ic` itself if absent.

    Returns
    -------
    Drift
        ``degraded`` if the mean of the last `lookback` lies under `threshold` and at least half of them do.
        With fewer: not degraded, ``reason`` "insufficient_history". ``alarm_rate`` says how often it rings on the
        history, so that nobody mistakes a nervous bell for news.
    """
    if lookback < 1:
        raise BadInput(f"`lookback` must be at least 1; was {lookback}.")
    values = _coefficients(recent_ic)
    rate = alarm_rate(history if history is not None else values, lookback=lookback, threshold=threshold)
    if values.size < lookback:
        return Drift(
            False, "continue", None, None, lookback, threshold, int(values.size), rate, reason="insufficient_history"
        )
    window = values[-lookback:]
    degraded = bool(_rings(window[None, :], threshold)[0])
    return Drift(
        degraded=degraded,
        action="review_model" if degraded else "continue",
        avg_ic=float(window.mean()),
        days_below_threshold=int((window < threshold).sum()),
        lookback=lookback,
        threshold=threshold,
        n=int(values.size),
        alarm_rate=rate,
    )
