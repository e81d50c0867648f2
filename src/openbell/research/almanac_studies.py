"""Studies of one or two samples: a mean with its interval, two means compared, whether values are normal, correlation.

Every study says in sentences what it found, how many values it rests on, and whether these are enough.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from openbell.core.errors import BadInput, DataMissing
from openbell.quant.cross_correlation import Correlation, LeadLag, correlation, lead_lag
from openbell.quant.multiple_testing import holm
from openbell.quant.value_statistics import SUFFICIENT, ValueStatistics, value_statistics

Floats = NDArray[np.float64]

#: Cohen's words for the size of an effect.
EFFECTS = ((0.2, "negligible"), (0.5, "small"), (0.8, "medium"))
#: The test of Shapiro and Wilk has no p beyond this.
SHAPIRO_MOST = 5000


@dataclass(frozen=True, slots=True)
class MeanStudy:
    """Mean, median and spread of one sample; see `quant.value_statistics`. low, high : of the mean at `level`."""

    n: int
    sufficient: bool
    measures: ValueStatistics
    low: float
    high: float
    level: float
    sentences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TwoSamples:
    """Two means compared.

    Attributes
    ----------
    n, n_first, n_second : values in all and of each. missing : NaN left out.
    difference : mean of the first less that of the second; low, high : its interval at `level`.
    t, degrees, p : Welch's test, two-sided. d, d_low, d_high : Cohen's effect size and its interval.
    """

    n: int
    sufficient: bool
    n_first: int
    n_second: int
    missing: int
    mean_first: float
    mean_second: float
    difference: float
    low: float
    high: float
    t: float
    degrees: float
    p: float
    d: float
    d_low: float
    d_high: float
    level: float
    sentences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NormalityStudy:
    """Three tests of whether values are normal.

    Attributes
    ----------
    skewness, excess_kurtosis : 0 for a normal one. jarque_bera, dagostino, shapiro : p of each; None where the test
        does not apply. p_adjusted : the least of them by Holm. normal : whether none rejects at `alpha`.
    """

    n: int
    sufficient: bool
    missing: int
    skewness: float
    excess_kurtosis: float
    jarque_bera: float
    dagostino: float | None
    shapiro: float | None
    p_adjusted: float
    normal: bool
    sentences: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class CorrelationStudy:
    """How two series move together."""

    n: int
    sufficient: bool
    found: Correlation
    sentences: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class LeadLagStudy:
    """Correlations by lag: ``rows`` with lag, r, p, p_adjusted, n, effective_n, significant."""

    n: int
    sufficient: bool
    found: LeadLag
    rows: pl.DataFrame
    sentences: tuple[str, ...]


def finite(values: ArrayLike, least: int, what: str) -> tuple[Floats, int]:
    """Values without NaN, and how many there were; at least `least` must remain."""
    array = np.asarray(values, dtype=np.float64).ravel()
    if np.isinf(array).any():
        raise BadInput(f"{int(np.isinf(array).sum())} of {len(array)} values are infinite; leave them out and say so.")
    kept = array[~np.isnan(array)]
    if len(kept) < least:
        raise DataMissing(f"{what} needs at least {least} values; there were {len(kept)}.")
    return kept, len(array) - len(kept)


def too_few(n: int, what: str = "values") -> list[str]:
    """A sentence where `n` is too small to conclude from."""
    return [] if n >= SUFFICIENT else [f"{n} {what} are too few to conclude from; at least {SUFFICIENT} are needed."]


def mean_study(values: ArrayLike, *, level: float = 0.95) -> MeanStudy:
    """Mean and median of `values` (n,), in order of time, with intervals that allow for their autocorrelation.

    The interval of the mean is Student's with the standard error of Newey and West; NaN are left out and counted.
    """
    from scipy.stats import t

    finite(values, 3, "A mean with an interval")
    found = value_statistics(values, level=level)
    half = float(t.ppf(0.5 + level / 2.0, found.n - 1)) * found.error
    verdict = "differs from 0" if found.p < 1.0 - level else "is not told apart from 0"
    said = f"The mean {found.mean:.4g} ({level:.0%} from {found.mean - half:.4g} to {found.mean + half:.4g}) {verdict}."
    sentences = (*_left_out(found.missing), *too_few(found.n), said)
    return MeanStudy(found.n, found.sufficient, found, found.mean - half, found.mean + half, level, sentences)


def two_samples(
    first: ArrayLike, second: ArrayLike, *, names: tuple[str, str] = ("the first", "the second"), level: float = 0.95
) -> TwoSamples:
    """Welch's test of two independent samples with Cohen's d.

    Parameters
    ----------
    first, second : shape (n,) and (m,), at least 3 values each; NaN are left out and counted.
    names : what to call them. level : coverage of the intervals.

    Returns
    -------
    TwoSamples
        ``d`` is the difference over the pooled standard deviation, its interval
        ``d -+ z sqrt((n + m) / (n m) + d^2 / (2 (n + m)))``; NaN, as t and p, where neither sample varies.

    References
    ----------
    Welch (1947), Biometrika 34, 28-35. Cohen (1988), Statistical Power Analysis. Hedges and Olkin (1985), chapter 5.
    """
    from scipy.stats import norm, ttest_ind

    a, gone_a = finite(first, 3, f"Comparing {names[0]}")
    b, gone_b = finite(second, 3, f"Comparing {names[1]}")
    n, m = len(a), len(b)
    difference = float(a.mean() - b.mean())
    pooled = float(np.sqrt(((n - 1) * a.var(ddof=1) + (m - 1) * b.var(ddof=1)) / (n + m - 2)))
    nan = float("nan")
    t, degrees, p, low, high, d, half = nan, nan, nan, nan, nan, nan, nan
    if pooled > 1e-12 * max(np.abs(a).max(), np.abs(b).max()):
        found = ttest_ind(a, b, equal_var=False)
        bounds = found.confidence_interval(level)
        t, degrees, p = float(found.statistic), float(found.df), float(found.pvalue)
        low, high, d = float(bounds.low), float(bounds.high), difference / pooled
        half = float(norm.ppf(0.5 + level / 2.0)) * float(np.sqrt((n + m) / (n * m) + d * d / (2.0 * (n + m))))
    said = _compared(names, difference, (low, high), p, d, level)
    sentences = (
        *_left_out(gone_a + gone_b),
        *too_few(min(n, m), "values of the smaller sample"),
        said,
        "Welch's test takes the values to be independent; where neighbouring ones resemble each other, p is too small.",
    )
    return TwoSamples(
        n + m, min(n, m) >= SUFFICIENT, n, m, gone_a + gone_b, float(a.mean()), float(b.mean()), difference, low, high,
        t, degrees, p, d, d - half, d + half, level, sentences,
    )  # fmt: skip


def _compared(
    names: tuple[str, str], difference: float, bounds: tuple[float, float], p: float, d: float, level: float
) -> str:
    if np.isnan(p):
        return f"Neither {names[0]} nor {names[1]} varies, so there is nothing to test."
    size = next((word for most, word in EFFECTS if abs(d) < most), "large")
    verdict = "differ" if p < 1.0 - level else "are not told apart"
    return (
        f"The means of {names[0]} and {names[1]} {verdict}: difference {difference:.4g} ({level:.0%} from "
        f"{bounds[0]:.4g} to {bounds[1]:.4g}), p {p:.2g}, a {size} effect (d {d:.2f})."
    )


def normality(values: ArrayLike, *, alpha: float = 0.05) -> NormalityStudy:
    """Tests of Jarque and Bera, D'Agostino and Pearson, Shapiro and Wilk on `values` (n,), at least 8.

    D'Agostino's needs 20 values, Shapiro's at most 5,000. NaN are left out and counted.

    References
    ----------
    Jarque and Bera (1980), Economics Letters 6. D'Agostino and Pearson (1973), Biometrika 60. Shapiro and Wilk (1965).
    """
    from scipy.stats import jarque_bera, kurtosis, normaltest, shapiro, skew

    kept, gone = finite(values, 8, "A test of normality")
    if np.ptp(kept) <= 1e-12 * np.abs(kept).max():
        raise DataMissing(f"All {len(kept)} values are {kept[0]:g}: there is no spread to test for normality.")
    p = {"jarque_bera": float(jarque_bera(kept).pvalue)}
    if len(kept) >= 20:
        p["dagostino"] = float(normaltest(kept).pvalue)
    if len(kept) <= SHAPIRO_MOST:
        p["shapiro"] = float(shapiro(kept).pvalue)
    least = float(holm(list(p.values())).min())
    tail, lean = float(kurtosis(kept)), float(skew(kept))
    verdict = "is not normal" if least < alpha else "cannot be told from a normal one"
    said = f"The distribution {verdict} (p {least:.2g} over {len(p)} tests, Holm); skewness {lean:.2f}, "
    sentences = (*_left_out(gone), *too_few(len(kept)), f"{said}excess kurtosis {tail:.2f}.")
    return NormalityStudy(
        len(kept), len(kept) >= SUFFICIENT, gone, lean, tail, p["jarque_bera"], p.get("dagostino"), p.get("shapiro"),
        least, least >= alpha, sentences,
    )  # fmt: skip


def correlation_study(first: ArrayLike, second: ArrayLike, *, level: float = 0.95) -> CorrelationStudy:
    """`quant.cross_correlation.correlation` of two series on the same rows, in sentences."""
    found = correlation(first, second, level=level)
    if np.isnan(found.r):
        said = "One of the two series does not vary, so they have no correlation."
    else:
        verdict = "move together" if found.p < 1.0 - level else "are not shown to move together"
        said = (
            f"The series {verdict}: r {found.r:.3f} ({level:.0%} from {found.low:.3f} to {found.high:.3f}), p "
            f"{found.p:.2g}; {found.n:,} pairs that count as {found.effective_n:,.0f}. By ranks {found.rho:.3f}."
        )
    sentences = (*_left_out(found.missing, "rows"), *too_few(found.n, "pairs"), said)
    return CorrelationStudy(found.n, found.n >= SUFFICIENT, found, sentences)


def lead_lag_study(
    first: ArrayLike, second: ArrayLike, *, most: int = 10, alpha: float = 0.05, names: tuple[str, str] = ("A", "B")
) -> LeadLagStudy:
    """`quant.cross_correlation.lead_lag`; at a positive lag the first series leads. Holm over all lags."""
    found = lead_lag(first, second, most=most)
    columns = {"lag": found.lags, "r": found.r, "p": found.p, "p_adjusted": found.p_adjusted, "n": found.n}
    rows = pl.DataFrame({**columns, "effective_n": found.effective_n}).fill_nan(None)
    rows = rows.with_columns((pl.col("p_adjusted") < alpha).fill_null(False).alias("significant"))
    n = int(found.n.min())
    best = found.best
    if best is None:
        said = "One of the two series does not vary, so there is nothing to compare."
    else:
        at = best + most
        who = names[0] if best > 0 else names[1]
        order = "at the same time" if best == 0 else f"with {who} {abs(best)} rows ahead"
        verdict = "" if found.p_adjusted[at] < alpha else " It is no more than chance makes over so many lags."
        said = f"Largest {order}: r {found.r[at]:.3f}, p {found.p_adjusted[at]:.2g} over {len(rows)} lags.{verdict}"
    return LeadLagStudy(n, n >= SUFFICIENT, found, rows, (*too_few(n, "pairs"), said))


def _left_out(missing: int, what: str = "values") -> list[str]:
    return [f"{missing:,} missing {what} are left out."] if missing else []
