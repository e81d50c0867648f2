"""Volatility by GARCH and what a series could lose."""

import datetime as dt

import numpy as np
import polars as pl
import pytest

from openbell.core.errors import BadInput, DataMissing
from openbell.quant.performance import expected_shortfall, sharpe, value_at_risk
from openbell.research import almanac_studies_risk
from openbell.research.almanac_studies_risk import garch, risk


def sessions(n):
    return pl.Series([dt.date(2010, 1, 4) + dt.timedelta(days=k) for k in range(n)])


def simulated(n, omega=0.05, alpha=0.1, beta=0.85, seed=0):
    """Returns in percent of a GARCH(1,1)."""
    random = np.random.default_rng(seed)
    found, variance = np.empty(n), omega / (1 - alpha - beta)
    for at in range(n):
        found[at] = np.sqrt(variance) * random.normal()
        variance = omega + alpha * found[at] ** 2 + beta * variance
    return found


RETURNS = simulated(2000)


def test_coefficients_of_a_simulated_process_are_found():
    found = garch(sessions(2000), RETURNS, horizon=250)
    assert found.alpha == pytest.approx(0.1, abs=0.03)
    assert found.beta == pytest.approx(0.85, abs=0.05)
    assert found.persistence == pytest.approx(found.alpha + found.beta)
    assert found.long_run_pct == pytest.approx(1.0, abs=0.15)
    assert found.half_life_sessions == pytest.approx(np.log(0.5) / np.log(found.persistence))
    assert found.forecast["volatility_pct"][-1] == pytest.approx(found.long_run_pct, rel=0.02)


def test_the_curve_is_the_recursion_of_its_own_coefficients():
    found = garch(sessions(600), RETURNS[:600])
    volatility, r = found.rows["volatility_pct"].to_numpy(), found.rows["return_pct"].to_numpy()
    shock = (r[:-1] - found.mean) ** 2
    wanted = found.omega + found.alpha * shock + found.beta * volatility[:-1] ** 2
    assert volatility[1:] ** 2 == pytest.approx(wanted)
    ahead = found.omega + found.alpha * (r[-1] - found.mean) ** 2 + found.beta * volatility[-1] ** 2
    assert found.forecast["volatility_pct"][0] == pytest.approx(np.sqrt(ahead))


def test_the_unit_of_the_returns_does_not_matter():
    """A fit of returns as fractions fails to converge or ends elsewhere, unless they are brought to one scale."""
    small, large = (garch(sessions(600), RETURNS[:600] * scale) for scale in (1e-4, 1e3))
    assert small.persistence == pytest.approx(large.persistence, rel=1e-6)
    assert small.long_run_pct == pytest.approx(1e-7 * large.long_run_pct, rel=1e-6)


def test_a_fit_that_fails_says_so_and_shows_nothing(monkeypatch):
    monkeypatch.setattr(almanac_studies_risk, "_fitted", lambda values: (None, "The fit did not converge."))
    found = garch(sessions(600), RETURNS[:600])
    assert not found.fitted
    assert found.alpha is None
    assert found.rows.is_empty()
    assert found.forecast.is_empty()
    assert found.sentences[-1] == "The fit did not converge."


def test_an_optimiser_that_gives_up_is_not_believed(monkeypatch):
    import arch.univariate.base as base

    monkeypatch.setattr(base.ARCHModelResult, "convergence_flag", property(lambda self: 9))
    found = garch(sessions(300), RETURNS[:300])
    assert not found.fitted
    assert "did not converge" in found.sentences[-1]


def test_missing_returns_are_counted_and_few_refused():
    values = RETURNS[:300].copy()
    values[0] = np.nan
    found = garch(sessions(300), values)
    assert found.n == 299
    assert found.sentences[0] == "1 missing returns are left out."
    assert not found.sufficient
    with pytest.raises(DataMissing, match="at least 100 returns that vary; there were 99"):
        garch(sessions(99), RETURNS[:99])
    with pytest.raises(DataMissing, match="that vary"):
        garch(sessions(200), np.zeros(200))
    with pytest.raises(BadInput, match="must rise"):
        garch(sessions(200)[::-1], RETURNS[:200])
    with pytest.raises(BadInput, match="infinite"):
        garch(sessions(200), np.r_[np.inf, RETURNS[:199]])


def test_risk_is_what_the_measures_say():
    r = RETURNS[:250] / 100
    found = risk(sessions(250), RETURNS[:250], replications=60)
    assert found.value_at_risk == pytest.approx(value_at_risk(r))
    assert found.expected_shortfall == pytest.approx(expected_shortfall(r))
    equity = np.concatenate([[1.0], np.cumprod(1 + r)])
    assert found.max_drawdown == pytest.approx((equity / np.maximum.accumulate(equity) - 1).min())
    assert found.rows["drawdown"].min() == found.max_drawdown
    assert found.performance.sharpe.value == pytest.approx(sharpe(r, per_year=365.25), rel=1e-3)
    assert any("Only 12 of 250" in each or "Only 13 of 250" in each for each in found.sentences)


def test_a_fall_on_the_first_session_counts():
    """A drawdown from the start of the series, not from its first close."""
    values = np.r_[-10.0, np.full(29, 0.1)]
    assert risk(sessions(30), values, replications=60).max_drawdown == pytest.approx(-0.1)


def test_refusals_of_risk():
    with pytest.raises(DataMissing, match="at least 20 returns; there were 19"):
        risk(sessions(19), RETURNS[:19])
    with pytest.raises(BadInput, match=r"-100\.0 % leaves nothing"):
        risk(sessions(30), np.r_[-100.0, RETURNS[:29]])
    with pytest.raises(BadInput, match=r"was 0\.4"):
        risk(sessions(30), RETURNS[:30], level=0.4)
