"""Intervals for rows that share days: whole days are resampled, in blocks, and every row goes with its day.

Statistics here are functions of sums over rows (means, shares, calibration errors, ranks on a grid), so a resample of
days is a weighted sum of per-day sums and thousands of them cost one matrix product.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from openbell.core.errors import BadInput
from openbell.quant.intervals import MINIMUM_BLOCKS, Estimate, mean_block

Floats = NDArray[np.float64]

#: A statistic of sums: the rows are resamples, shape (k, sums), and it gives one number each, shape (k,).
OfSums = Callable[[Floats], Floats]


@dataclass(frozen=True, slots=True, eq=False)
class DayBlocks:
    """The resamples of the days of some rows, drawn once and shared by every statistic of these rows.

    Attributes
    ----------
    day : (n,) position of each row's day among `days`. days : how many distinct days. block : mean block in days.
    weights : (replications, days) how often each day is in each resample; no rows where there are too few days for an
        interval. level : coverage of the intervals.
    """

    day: NDArray[np.int64]
    days: int
    block: int
    weights: Floats
    level: float

    @classmethod
    def of(
        cls, days: ArrayLike, *, horizon_days: int = 1, replications: int = 1000, level: float = 0.95, seed: int = 0
    ) -> DayBlocks:
        """The resamples for rows of these `days`.

        Parameters
        ----------
        days : (n,) the day of each row, of any kind that sorts in time.
        horizon_days : days that neighbouring outcomes share; the mean block is `quant.intervals.mean_block` of it.
        replications, seed : of the stationary bootstrap. level : coverage of the intervals, in (0, 1).

        References
        ----------
        Politis and Romano (1994), Journal of the American Statistical Association 89, 1303-1313.
        """
        if not 0.0 < level < 1.0:
            raise BadInput(f"`level` must lie in (0, 1); was {level}.")
        distinct, day = np.unique(np.asarray(days), return_inverse=True)
        count = len(distinct)
        block = mean_block(horizon_days, count)
        weights = np.empty((0, count))
        if count >= MINIMUM_BLOCKS * block:
            weights = _weights(count, block, replications, seed)
        return cls(day.astype(np.int64).ravel(), count, block, weights, level)

    def part(self, rows: NDArray[np.bool_]) -> DayBlocks:
        """The same resamples for some of the rows; without an interval where these have too few days of their own."""
        chosen = np.asarray(rows, dtype=bool)
        if chosen.shape != self.day.shape:
            raise BadInput(f"`rows` needs a truth for each of {len(self.day)} rows; its shape was {chosen.shape}.")
        kept = np.unique(self.day[chosen])
        enough = len(kept) >= MINIMUM_BLOCKS * self.block
        place = np.zeros(self.days, dtype=np.int64)
        place[kept] = np.arange(len(kept))
        weights = self.weights[:, kept] if enough else np.empty((0, len(kept)))
        return DayBlocks(place[self.day[chosen]], len(kept), self.block, weights, self.level)

    def sums(self, values: ArrayLike) -> Floats:
        """Sums of each day, shape (days, k), of `values`, shape (n,) or (n, k)."""
        array = np.asarray(values, dtype=np.float64)
        table = array[:, None] if array.ndim == 1 else array
        if len(table) != len(self.day):
            raise BadInput(f"There must be a value for each of {len(self.day)} rows; there were {len(table)}.")
        if not np.isfinite(table).all():
            bad = int((~np.isfinite(table)).any(axis=1).sum())
            raise BadInput(f"{bad} of {len(table)} rows are not finite; leave them out and say how many.")
        found = [np.bincount(self.day, weights=column, minlength=self.days) for column in table.T]
        return np.asarray(np.column_stack(found) if found else np.empty((self.days, 0)))

    def grid_sums(self, column: NDArray[np.int64], columns: int, values: ArrayLike | None = None) -> Floats:
        """Sums of each day by column, shape (days, columns): every row adds its value (1 for None) to its `column`."""
        flat = np.bincount(self.day * columns + column, weights=values, minlength=self.days * columns)
        return np.asarray(flat.reshape(self.days, columns), dtype=np.float64)

    def statistic(self, day_sums: Floats, of: OfSums) -> Estimate:
        """`of` the sums over all days, with its percentile interval; `day_sums` (days, k) as `sums` gives them.

        Without bounds where there are too few days, or where the statistic is undefined (NaN) on the sample or on over
        1 % of the resamples; `n` counts rows.
        """
        value = float(of(day_sums.sum(axis=0, keepdims=True))[0]) if self.days else math.nan
        low = high = None
        if len(self.weights) and not math.isnan(value):
            draws = of(self.weights @ day_sums)
            defined = draws[~np.isnan(draws)]
            if defined.size >= 0.99 * draws.size:
                tail = 100.0 * (1.0 - self.level) / 2.0
                low, high = (float(each) for each in np.percentile(defined, [tail, 100.0 - tail]))
        return Estimate(None if math.isnan(value) else value, low, high, len(self.day), self.level, self.block)

    def mean(self, values: ArrayLike) -> Estimate:
        """Mean over rows of `values`, shape (n,)."""
        array = np.asarray(values, dtype=np.float64)
        return self.statistic(self.sums(np.column_stack([array, np.ones(len(array))])), ratio)

    def per_day(self, values: ArrayLike) -> Estimate:
        """Mean over days of the sum of `values`, shape (n,), within each."""
        totals = self.sums(values)
        return self.statistic(np.column_stack([totals, np.ones(self.days)]), ratio)


def _weights(days: int, block: int, replications: int, seed: int) -> Floats:
    """How often each day is in each resample, of the same draws as `quant.intervals.resampled` makes."""
    from arch.bootstrap import StationaryBootstrap

    bootstrap = StationaryBootstrap(block, np.arange(days), seed=seed)
    drawn = [np.bincount(data[0][0], minlength=days) for data in bootstrap.bootstrap(replications)]
    return np.asarray(drawn, dtype=np.float64)


def ratio(sums: Floats) -> Floats:
    """The first sum over the second; NaN where that is 0."""
    found = np.divide(sums[:, 0], sums[:, 1], out=np.full(len(sums), np.nan), where=sums[:, 1] != 0)
    return np.asarray(found, dtype=np.float64)


def calibration_error(blocks: DayBlocks, probability: ArrayLike, happened: ArrayLike, *, bins: int = 15) -> Estimate:
    """Expected calibration error of the probability that something happens, over `bins` of equal width.

    Parameters
    ----------
    blocks : of the rows' days. probability : (n,) in [0, 1]. happened : (n,) truth values.

    Returns
    -------
    Estimate
        ``quant.reliability.expected_calibration_error`` of two classes, ``classwise``. Even true probabilities show
        more than 0: hold it against `calibration_noise`. A resample shows more again, by as much as the mean of the
        resamples lies above the value, so their quantiles are moved down by that, not below 0.
    """
    given, truth = np.asarray(probability, dtype=np.float64), np.asarray(happened, dtype=np.float64)
    number = np.searchsorted(np.arange(1, bins) / bins, given, side="right").astype(np.int64)
    gaps = blocks.grid_sums(number, bins, given - truth)
    sums = np.column_stack([gaps, blocks.sums(np.ones(len(given)))])
    found = blocks.statistic(sums, _mean_gap)
    if found.value is None or found.low is None or found.high is None:
        return found
    bias = max(0.0, float(np.nanmean(_mean_gap(blocks.weights @ sums))) - found.value)
    return replace(found, low=max(0.0, found.low - bias), high=found.high - bias)


def _mean_gap(sums: Floats) -> Floats:
    return ratio(np.column_stack([np.abs(sums[:, :-1]).sum(axis=1), sums[:, -1]]))


def calibration_noise(probability: ArrayLike, *, bins: int = 15) -> float:
    """What `calibration_error` shows of true probabilities by chance alone, rows independent; NaN without rows.

    The gap of a bin is then nearly normal with the variance ``sum p (1 - p)``, and the mean of its absolute value is
    ``sqrt(2 / pi)`` deviations. Rows that share days show more.
    """
    given = np.asarray(probability, dtype=np.float64)
    number = np.searchsorted(np.arange(1, bins) / bins, given, side="right")
    variance = np.bincount(number, weights=given * (1.0 - given), minlength=bins)
    return float(np.sqrt(2.0 / math.pi * variance).sum() / len(given)) if len(given) else math.nan


def auc(blocks: DayBlocks, probability: ArrayLike, happened: ArrayLike, *, levels: int = 64) -> Estimate:
    """Area under the ROC curve: the share of (event, none) pairs in the right order, ties counting half.

    The value is exact; its interval rests on at most `levels` quantiles of the probability. None with a single class.

    References
    ----------
    Hanley and McNeil (1982), Radiology 143, 29-36.
    """
    given, truth = np.asarray(probability, dtype=np.float64), np.asarray(happened, dtype=bool)
    if truth.all() or not truth.any():
        return Estimate(None, None, None, len(given), blocks.level, blocks.block)
    sums, exact = _pair_counts(blocks, given, truth, levels)
    return replace(blocks.statistic(sums, _ordered_share), value=exact)


def macro_auc(blocks: DayBlocks, probabilities: ArrayLike, label: ArrayLike, *, levels: int = 64) -> Estimate:
    """Mean over the classes of the area under the ROC curve of each against the rest.

    Parameters
    ----------
    blocks : of the rows' days. probabilities : (n, k). label : (n,) position of the class that happened.

    Returns
    -------
    Estimate
        As `auc`, over the classes that happened in some rows and not in all; None where there is none.

    References
    ----------
    Fawcett (2006), Pattern Recognition Letters 27, 861-874.
    """
    given, happened = np.asarray(probabilities, dtype=np.float64), np.asarray(label)
    truths = [happened == at for at in range(given.shape[1])]
    both = [at for at, truth in enumerate(truths) if truth.any() and not truth.all()]
    if not both:
        return Estimate(None, None, None, len(given), blocks.level, blocks.block)
    counted = [_pair_counts(blocks, given[:, at], truths[at], levels) for at in both]
    borders = np.cumsum([sums.shape[1] for sums, _ in counted])[:-1]

    def mean_share(sums: Floats) -> Floats:
        shares = [_ordered_share(part) for part in np.split(sums, borders, axis=1)]
        return np.asarray(np.mean(shares, axis=0))

    found = blocks.statistic(np.column_stack([sums for sums, _ in counted]), mean_share)
    return replace(found, value=float(np.mean([exact for _, exact in counted])))


def _pair_counts(blocks: DayBlocks, given: Floats, truth: NDArray[np.bool_], levels: int) -> tuple[Floats, float]:
    """Per day how many events, and how many of the rest, stand on each of at most `levels` steps; the exact area."""
    distinct = np.unique(given)
    edges = distinct
    if len(distinct) > levels:
        edges = np.unique(np.quantile(given, np.arange(levels) / levels, method="lower"))
    number = (np.searchsorted(edges, given, side="right") - 1).astype(np.int64)
    sums = blocks.grid_sums(number + np.where(truth, 0, len(edges)), 2 * len(edges))
    exact = np.searchsorted(distinct, given) + np.where(truth, 0, len(distinct))
    counts = np.bincount(exact, minlength=2 * len(distinct)).astype(np.float64)[None, :]
    return sums, float(_ordered_share(counts)[0])


def _ordered_share(sums: Floats) -> Floats:
    events, none = np.split(sums, 2, axis=1)
    below = np.cumsum(none, axis=1) - none
    right = (events * (below + 0.5 * none)).sum(axis=1)
    return ratio(np.column_stack([right, events.sum(axis=1) * none.sum(axis=1)]))


def spearman(blocks: DayBlocks, x: ArrayLike, y: ArrayLike) -> Estimate:
    """Spearman's rank correlation of two measures of each row; None where one side is constant.

    Resamples keep the ranks of the whole sample.
    """
    from scipy.stats import rankdata

    ranks = [rankdata(np.asarray(each, dtype=np.float64)) for each in (x, y)]
    a, b = ((each - each.mean()) / (each.std() or 1.0) for each in ranks)
    columns = np.column_stack([np.ones(len(a)), a, b, a * b, a * a, b * b])
    return blocks.statistic(blocks.sums(columns), _correlation)


def _correlation(sums: Floats) -> Floats:
    n, a, b, ab, aa, bb = sums.T
    count = np.where(n > 0, n, np.nan)
    cross = ab / count - a * b / count**2
    spread = np.sqrt(np.maximum(aa / count - (a / count) ** 2, 0.0) * np.maximum(bb / count - (b / count) ** 2, 0.0))
    return np.asarray(np.divide(cross, spread, out=np.full(len(n), np.nan), where=spread > 1e-12))
