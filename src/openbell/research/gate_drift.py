"""Whether the features of late look as they always did: measured against stretches of the past that are as long.

A distance between two samples grows as they shrink, so a fixed limit rings on few trades and sleeps on many. Here the
latest days are compared with the rest, and so is every earlier stretch of as many days: it drifts what is farther off
than nearly all of the past ever was.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from openbell.core.errors import BadInput

#: Points of the distribution at which two samples are compared: quantiles of all rows.
POINTS = 64
#: A feature drifts where at most this share of the past was as far off, and the distance is at least `LEAST`.
RARE, LEAST = 0.05, 0.1
#: Fewer stretches of the past say nothing.
STRETCHES = 10


def feature_drift(rows: pl.DataFrame, features: Sequence[str], *, recent_days: int = 60) -> pl.DataFrame:
    """How far the last `recent_days` are from the days before, feature by feature.

    Parameters
    ----------
    rows : ``session`` and the features; null and NaN are missing.

    Returns
    -------
    polars.DataFrame
        Per feature ``distance`` (largest difference of the two distribution functions at `POINTS` quantiles, after
        Kolmogorov and Smirnov), ``psi`` (population stability index over ten quantiles), ``missing`` and
        ``missing_before`` (shares), ``n``, ``n_before``, ``as_far`` (share of earlier stretches of as many days, each
        against all other earlier days, with at least this distance), ``stretches``, ``drifts``; the farthest first.
        ``as_far`` and ``drifts`` are null with fewer than `STRETCHES` stretches, ``distance`` and shares where there is
        nothing to compare: without days before the last ones, or without a value.

    References
    ----------
    Siddiqi (2006), Credit Risk Scorecards, 136: the index and its limits 0.1 and 0.25, which depend on n.
    """
    days, day = np.unique(rows["session"].to_physical().to_numpy(), return_inverse=True)
    if recent_days < 1:
        raise BadInput(f"`recent_days` must be at least 1; was {recent_days}.")
    found = [_of_feature(rows[name], name, day, len(days), recent_days) for name in features]
    kinds = {name: pl.Float64 for name in ("distance", "psi", "missing", "missing_before", "as_far")}
    return pl.DataFrame(found, infer_schema_length=None, schema_overrides={**kinds, "drifts": pl.Boolean}).sort(
        "distance", "feature", descending=[True, False], nulls_last=True
    )


def _of_feature(column: pl.Series, name: str, day: np.ndarray, days: int, recent: int) -> dict[str, object]:
    values = column.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    known, late = ~np.isnan(values), day >= days - recent
    row: dict[str, object] = {
        "feature": name, "distance": None, "psi": None,
        "missing": _share(~known[late]), "missing_before": _share(~known[~late]),
        "n": int((known & late).sum()), "n_before": int((known & ~late).sum()),
        "as_far": None, "stretches": 0, "drifts": None,
    }  # fmt: skip
    if not (known & late).any() or not (known & ~late).any():
        return row
    counts = _counts(values[known], day[known], days)
    distance = float(_distances(counts[None, -recent:].sum(axis=1), counts[:-recent].sum(axis=0))[0])
    past = _stretches(counts[:-recent], recent)
    row |= {"distance": distance, "psi": _psi(values[known & late], values[known & ~late]), "stretches": len(past)}
    if len(past) >= STRETCHES:
        share = float((past >= distance).mean())
        row |= {"as_far": share, "drifts": share <= RARE and distance >= LEAST}
    return row


def _share(truths: np.ndarray) -> float | None:
    return float(truths.mean()) if len(truths) else None


def _counts(values: np.ndarray, day: np.ndarray, days: int) -> np.ndarray:
    """Rows of each day between the points, shape (days, points + 1)."""
    points = np.unique(np.quantile(values, np.arange(POINTS) / POINTS, method="lower"))
    number = np.searchsorted(points, values, side="right")
    flat = np.bincount(day * (len(points) + 1) + number, minlength=days * (len(points) + 1))
    return flat.reshape(days, len(points) + 1).astype(np.float64)


def _distances(parts: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """Largest difference of the distribution functions of each part, (k, points), and the rest; NaN without rows."""
    own, other = parts.cumsum(axis=1), np.broadcast_to(rest, parts.shape).cumsum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.abs(own / own[:, -1:] - other / other[:, -1:]).max(axis=1))


def _stretches(counts: np.ndarray, length: int) -> np.ndarray:
    """Distance of every stretch of `length` days, a quarter of it apart, from all other days; without empty ones."""
    starts = np.arange(0, len(counts) - length + 1, max(1, length // 4))
    if len(counts) < 2 * length or not len(starts):
        return np.empty(0)
    summed = np.vstack([np.zeros(counts.shape[1]), counts.cumsum(axis=0)])
    parts = summed[starts + length] - summed[starts]
    found = _distances(parts, summed[-1] - parts)
    return found[np.isfinite(found)]


def _psi(late: np.ndarray, before: np.ndarray) -> float:
    """Population stability index over the deciles of `before`; half a row stands in an empty bin."""
    edges = np.unique(np.quantile(before, np.arange(1, 10) / 10))
    shares = []
    for values in (late, before):
        counts = np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1)
        shares.append(np.maximum(counts, 0.5) / len(values))
    return float(((shares[0] - shares[1]) * np.log(shares[0] / shares[1])).sum())
