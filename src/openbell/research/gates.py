"""The gates a champion must pass and the score that ranks those who passed: frames with a row per entrant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from openbell.core.declare import Criterion, Threshold
from openbell.core.errors import BadInput
from openbell.quant.significance import SuperiorSet

#: The gates that are not thresholds of a desk.
BEATS_BASELINE, DEFLATED, BEATS_INCUMBENT = "beats_baseline", "deflated_sharpe", "beats_incumbent"
#: Sessions that a regime needs before its Sharpe ratio says anything: a quarter of a year.
REGIME_SESSIONS = 63
#: Standard deviation of the Sharpe ratio over regimes at which a curve has no consistency left.
REGIME_RANGE = 2.0
SESSIONS_PER_YEAR = 252.0


def measured(measures: pl.DataFrame, measure: str) -> np.ndarray:
    """A column as float64, NaN where it is null; refuses what is not there and infinities."""
    if measure not in measures.columns:
        raise BadInput(f"There is no measure `{measure}`; there are {', '.join(measures.columns)}.")
    values = measures[measure].cast(pl.Float64).fill_null(float("nan")).to_numpy()
    if np.isinf(values).any():
        raise BadInput(f"`{measure}` must not be infinite. Leave it null where it is undefined.")
    return np.asarray(values, dtype=np.float64)


def weighted_score(measures: pl.DataFrame, criteria: Sequence[Criterion]) -> np.ndarray:
    """Weighted sum of the criteria, each from 0 at its worst to 1 at its best, straight between, clipped (S2.31).

    Parameters
    ----------
    measures : one row per entrant, with a column for each criterion.

    Returns
    -------
    numpy.ndarray
        Shape (entrants,), in [0, 1], and never lower for a better measure. A null measure earns nothing: 0.
    """
    score = np.zeros(measures.height)
    for each in criteria:
        part = (measured(measures, each.measure) - each.worst) / (each.best - each.worst)
        score += each.weight * np.clip(np.nan_to_num(part, nan=0.0), 0.0, 1.0)
    return np.minimum(score, 1.0)


def regime_consistency(
    sharpe_by_regime: np.ndarray,
    sessions_by_regime: np.ndarray,
    *,
    at_least_sessions: int = REGIME_SESSIONS,
    full_range: float = REGIME_RANGE,
) -> np.ndarray:
    """How alike a curve does in every regime: 1 - standard deviation of its Sharpe ratio over regimes / `full_range`.

    Parameters
    ----------
    sharpe_by_regime : annual, shape (k, regimes); NaN where undefined.
    sessions_by_regime : shape (regimes,) or (k, regimes). A regime with fewer than `at_least_sessions` is left out.
    full_range : deviation (ddof 0) at which nothing is left; 2.0 is the whole width of the Sharpe criterion.

    Returns
    -------
    numpy.ndarray
        Shape (k,), in [0, 1]; 1 where the Sharpe ratio is the same in all. With fewer than two regimes left it is 0: a
        curve that lived through one regime has shown no consistency.
    """
    ratios = np.asarray(sharpe_by_regime, dtype=np.float64)
    if ratios.ndim != 2:
        raise BadInput(f"Sharpe ratios by regime need the shape (k, regimes); it was {ratios.shape}.")
    sessions = np.broadcast_to(np.asarray(sessions_by_regime), ratios.shape)
    kept = (sessions >= at_least_sessions) & np.isfinite(ratios)
    count = kept.sum(axis=1)
    known = np.where(kept, ratios, 0.0)
    mean = known.sum(axis=1, keepdims=True) / np.maximum(count, 1)[:, None]
    variance = (np.where(kept, ratios - mean, 0.0) ** 2).sum(axis=1) / np.maximum(count, 1)
    return np.where(count >= 2, np.clip(1.0 - np.sqrt(variance) / full_range, 0.0, 1.0), 0.0)


def _gate(names: Sequence[str], gate: str, value: Any, limit: Any, passed: Any, why: Sequence[str]) -> pl.DataFrame:
    def numbers(values: Any) -> pl.Series:
        array = np.broadcast_to(np.asarray(values, dtype=np.float64), (len(names),))
        return pl.Series(np.where(np.isfinite(array), array, np.nan)).fill_nan(None)

    columns = {
        "entrant": pl.Series(list(names), dtype=pl.String),
        "gate": pl.Series([gate] * len(names), dtype=pl.String),
        "value": numbers(value),
        "limit": numbers(limit),
        "passed": pl.Series(np.asarray(passed, dtype=bool)),
        "why": pl.Series(list(why), dtype=pl.String),
    }
    return pl.DataFrame(columns)


def step_gate(names: Sequence[str], gate: str, found: SuperiorSet | None, against: str, too_few: str) -> pl.DataFrame:
    """A StepM test as a gate: its value is the studentised mean, its limit what survivors had to exceed."""
    if found is None:
        return _gate(names, gate, np.nan, np.nan, [False] * len(names), [too_few] * len(names))
    why = [
        f"Its mean return is {mean * SESSIONS_PER_YEAR:+.2%} a year over {against}: after {found.tries} tries "
        + (
            f"above luck at {found.alpha:.2%} ({value:.2f} errors, {found.critical:.2f} needed)."
            if passed
            else f"not to be told from luck at {found.alpha:.2%} ({value:.2f} errors, {found.critical:.2f} needed)."
        )
        for mean, value, passed in zip(found.mean, found.statistic, found.survives, strict=True)
    ]
    return _gate(names, gate, found.statistic, found.critical, found.survives, why)


def limit_gate(
    names: Sequence[str],
    gate: str,
    values: np.ndarray,
    *,
    at_least: float | None = None,
    at_most: float | None = None,
) -> pl.DataFrame:
    """One bound, itself included; a value that is missing does not pass."""
    limit = at_least if at_least is not None else at_most
    if limit is None:
        raise BadInput(f"The gate `{gate}` needs `at_least` or `at_most`.")
    with np.errstate(invalid="ignore"):
        passed = values >= limit if at_least is not None else values <= limit
    wanted = f"at {'least' if at_least is not None else 'most'} {limit:g}"
    why = [
        f"It has no `{gate}`, which must be {wanted}."
        if np.isnan(value)
        else f"`{gate}` must be {wanted}; was {value:.4g}."
        for value in values
    ]
    return _gate(names, gate, values, limit, passed, why)


def threshold_gates(names: Sequence[str], table: pl.DataFrame, thresholds: Sequence[Threshold]) -> list[pl.DataFrame]:
    """A gate for each bound of each threshold."""
    gates = []
    for each in thresholds:
        values = measured(table, each.measure)
        if each.at_least is not None:
            gates.append(limit_gate(names, each.measure, values, at_least=each.at_least))
        if each.at_most is not None:
            gates.append(limit_gate(names, each.measure, values, at_most=each.at_most))
    return gates


def stopped(gates: pl.DataFrame) -> list[tuple[str, list[str]]]:
    """Each gate with those it stopped, by name, in the order of the gates."""
    failed = gates.filter(~pl.col("passed"))
    return [
        (gate, sorted(set(failed.filter(pl.col("gate") == gate)["entrant"].to_list())))
        for gate in failed["gate"].unique(maintain_order=True)
    ]
