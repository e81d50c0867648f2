"""Tails of a return distribution by its four moments: modified (Cornish-Fisher) value at risk and shortfall.

The historical ones are `measures.value_at_risk` and `measures.expected_shortfall`; the sign is the same, negative for a
loss.
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np

from openbell.core.errors import BadInput
from openbell.quant.measures import CONSTANT, moments_rows

_NORMAL = NormalDist()


def _moments(r: np.ndarray, level: float) -> tuple[float, float, float, float]:
    """Mean, standard deviation (ddof 1), skewness and excess kurtosis; NaN where there is no spread."""
    if not 0.5 < level < 1.0:
        raise BadInput(f"`level` must lie in (0.5, 1); was {level}.")
    values = np.asarray(r, dtype=np.float64)
    if values.size < 2 or values.std() < CONSTANT:
        return (math.nan,) * 4
    skew, kurtosis = moments_rows(values[None, :])
    return float(values.mean()), float(values.std(ddof=1)), float(skew[0]), float(kurtosis[0]) - 3.0


def cornish_fisher_holds(skew: float, excess_kurtosis: float) -> bool:
    """Whether the Cornish-Fisher quantiles rise everywhere, so that they are those of some distribution.

    Daily returns with an excess kurtosis above about 8 are outside: there the expansion is a figure by convention, near
    the historical one at 95 % and wild at 99.9 %.

    References
    ----------
    Maillard (2012), A user's guide to the Cornish Fisher expansion.
    """
    square = excess_kurtosis / 8.0 - skew**2 / 6.0
    constant = 1.0 - excess_kurtosis / 8.0 + 5.0 * skew**2 / 36.0
    slope = skew / 3.0  # the derivative of the quantile is square * z ** 2 + slope * z + constant
    return constant >= 0.0 if square == slope == 0.0 else square > 0.0 and slope**2 <= 4.0 * square * constant


def modified_value_at_risk(r: np.ndarray, *, level: float = 0.95) -> float:
    """Cornish-Fisher value at risk of one session, negative for a loss; not annualised.

    Parameters
    ----------
    r : simple returns, shape (n,), finite. level : confidence, in (0.5, 1).

    Returns
    -------
    float
        ``mean + std * (z + (z**2 - 1) S / 6 + (z**3 - 3 z) K / 24 - (2 z**3 - 5 z) S**2 / 36)`` with z the normal
        quantile of ``1 - level``, S the skewness and K the excess kurtosis; NaN without any spread.

    References
    ----------
    Favre and Galeano (2002), Journal of Alternative Investments 5, 21-25.
    """
    mean, deviation, skew, excess = _moments(r, level)
    z = _NORMAL.inv_cdf(1.0 - level)
    moved = z + (z**2 - 1) * skew / 6 + (z**3 - 3 * z) * excess / 24 - (2 * z**3 - 5 * z) * skew**2 / 36
    return mean + deviation * moved


def modified_expected_shortfall(r: np.ndarray, *, level: float = 0.95) -> float:
    """Mean of the Cornish-Fisher quantiles beyond `modified_value_at_risk`, negative for a loss; not annualised.

    ``mean - std * pdf(z) / (1 - level) * (1 + z S / 6 + (z**2 - 1) K / 24 - (2 z**2 - 1) S**2 / 36)``, the integral of
    the expansion over the tail; arguments, NaN and symbols as in `modified_value_at_risk`.

    References
    ----------
    Boudt, Peterson and Croux (2008), Journal of Risk 11, 79-103, without their truncation at the value at risk.
    """
    mean, deviation, skew, excess = _moments(r, level)
    z = _NORMAL.inv_cdf(1.0 - level)
    shape = 1 + z * skew / 6 + (z**2 - 1) * excess / 24 - (2 * z**2 - 1) * skew**2 / 36
    return mean - deviation * _NORMAL.pdf(z) / (1.0 - level) * shape
