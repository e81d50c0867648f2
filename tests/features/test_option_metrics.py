"""Metrics of one chain beside the 84: against NumPy, by hand, and null where the chain does not hold them."""

import datetime as dt
import math

import numpy as np
import polars as pl
import pytest
from feature_bars import declared
from made_up_chains import chains
from memory_tables import weekday_calendar

from openbell.core.declare import feature
from openbell.quant.feature_groups import EIGHTY_FOUR
from openbell.research import chain_audit
from openbell.research.audit import CAUSALITY, LOOKBACK, STATIC
from openbell.research.chain_audit import audit_chain_features
from openbell.research.chain_days import chain_day_features
from openbell.research.made_up_options import made_up_inputs

METRICS = [each for each in declared().values() if each.family == "option_metrics"]
DAY = list(weekday_calendar(1).dates)


def of_one(quotes, *names):
    row = chain_day_features(quotes, METRICS)
    assert row.height == 1
    return tuple(row[name].item() for name in names) if len(names) > 1 else row[names[0]].item()


def bent(k, days):
    return -0.30 * k + 1.7 * k * k + 0.0004 * days


@pytest.fixture(scope="module")
def quotes():
    """Spot 100; the volatility is a parabola in log-moneyness that rises with time."""
    return chains(DAY, [100.0], [0.20], step=0.005, strikes=121, smile=bent)


def test_none_of_them_is_of_the_84():
    assert {each.name for each in METRICS}.isdisjoint(EIGHTY_FOUR)
    for each in ("put_call_volume_ratio", "put_call_oi_ratio", "atm_delta_call", "atm_gamma", "atm_theta", "atm_vega"):
        assert each in declared(), "what the request asks for beside them"


@pytest.mark.parametrize("percent", [10, 25, 50, 75, 90])
def test_quantiles_of_all_volatilities(quotes, percent):
    rng = np.random.default_rng(0)
    iv = quotes["iv"].to_numpy() * np.exp(rng.normal(0, 0.1, quotes.height))
    gone = rng.random(quotes.height) < 0.2
    odd = quotes.with_columns(pl.Series("iv", np.where(gone, np.nan, iv), nan_to_null=True))
    assert of_one(odd, f"iv_quantile_{percent}") == pytest.approx(np.percentile(iv[~gone], percent), rel=1e-12)


def test_a_volatility_of_nought_is_none(quotes):
    """Vendors write 0 where there is no solution; a third of such rows would move every quantile."""
    zero = quotes.with_columns(pl.when(pl.int_range(pl.len()) % 3 == 0).then(0.0).otherwise("iv").alias("iv"))
    held = zero.filter(pl.col("iv") > 0)["iv"].to_numpy()
    assert of_one(zero, "iv_quantile_10") == pytest.approx(np.percentile(held, 10))
    assert of_one(quotes.with_columns(pl.lit(None, dtype=pl.Float64).alias("iv")), "iv_quantile_50") is None


def test_a_parabola_comes_back_as_it_was(quotes):
    """Of the expiries of 23 and 37 days, as far from 30, the earlier one."""
    level, slope, curvature = of_one(quotes, "smile_level", "smile_slope", "smile_curvature")
    assert level == pytest.approx(0.20 + 0.0004 * 23, abs=1e-10)
    assert slope == pytest.approx(-0.30, abs=1e-9)
    assert curvature == pytest.approx(1.7, abs=1e-8)


def test_the_fit_is_least_squares_over_the_strikes_outside(quotes):
    """On a smile that is no parabola, with volatilities inside the money that lie: NumPy's fit of those outside."""
    rng = np.random.default_rng(2)
    noisy = quotes.with_columns((pl.col("iv") + pl.Series(rng.normal(0, 0.02, quotes.height))).alias("iv"))
    inside = (pl.col("strike") > pl.col("forward")) == (pl.col("right") == "PUT")
    noisy = noisy.with_columns(pl.when(inside).then(pl.lit(9.0)).otherwise("iv").alias("iv"))
    one = noisy.filter(pl.col("expiry") == DAY[0] + dt.timedelta(23), ~inside)
    k = np.log((one["strike"] / one["forward"]).to_numpy())
    curvature, slope, level = np.polyfit(k, one["iv"].to_numpy(), 2)
    got = of_one(noisy, "smile_level", "smile_slope", "smile_curvature")
    assert got == pytest.approx((level, slope, curvature), rel=1e-8)


@pytest.mark.parametrize(
    ("days", "strikes", "there"),
    [((9, 49), 41, True), ((9, 51), 41, False), ((5, 60), 41, False), ((30,), 5, True), ((30,), 4, False)],
)
def test_a_smile_needs_an_expiry_near_and_five_strikes(days, strikes, there):
    value = of_one(chains(DAY, [100.0], [0.2], days=days, strikes=strikes, smile=bent), "smile_curvature")
    assert (value is not None) == there
    if there:
        assert value == pytest.approx(1.7, abs=1e-6)


def test_term_structure_by_hand():
    """Volatilities at the forward of 0.20 at 9 days to 0.26 at 93: total variance linear between the neighbours."""
    days = (9, 23, 37, 65, 93)
    quotes = chains(DAY, [100.0], [0.0], days=days, rate=0.0, smile=lambda k, d: 0.1936 + 0.0007 * d + 0.0 * k)
    at = {d: 0.1936 + 0.0007 * d for d in days}

    def between(first, second, target):
        share = (target - first) / (second - first)
        return math.sqrt(((1 - share) * at[first] ** 2 * first + share * at[second] ** 2 * second) / target)

    wanted = (between(9, 23, 14), between(23, 37, 30), between(37, 65, 60), between(65, 93, 90))
    assert of_one(quotes, *(f"iv_term_{target}" for target in (14, 30, 60, 90))) == pytest.approx(wanted, rel=1e-10)


@pytest.mark.parametrize(
    ("days", "target", "there"),
    [((9, 23), 7, False), ((7, 23), 7, True), ((9, 89), 90, False), ((9, 91), 90, True), ((28,), 30, False),
     ((5, 95), 30, False), ((5, 89), 30, True)],
)  # fmt: skip
def test_nothing_is_drawn_out_beyond_the_listed_expiries(days, target, there):
    """`iv_atm` lets one near expiry stand for 30 days; the term structure does not."""
    value = of_one(chains(DAY, [100.0], [0.2], days=days), f"iv_term_{target}")
    assert (value is not None) == there
    if there:
        assert value == pytest.approx(0.2, abs=1e-12)


def test_rho_is_that_of_one_contract(quotes):
    """Nearest 30 days, then nearest the forward, of its own right; null where the quotes were priced without."""
    number = pl.int_range(pl.len()).cast(pl.Float64)
    told = quotes.with_columns(number.alias("rho"))
    forward = 100 * math.exp(0.03 * 23 / 365)
    for right in ("CALL", "PUT"):
        own = told.filter(pl.col("right") == right, pl.col("expiry") == DAY[0] + dt.timedelta(23))
        nearest = own.sort((pl.col("strike") - forward).abs()).row(0, named=True)
        assert of_one(told, f"atm_rho_{right.lower()}") == nearest["rho"]
    assert of_one(quotes, "atm_rho_call", "chain_rho") == (None, None)
    assert of_one(quotes.drop("rho"), "atm_rho_call", "chain_rho") == (None, None)


def test_greeks_of_the_chain_are_weighted_by_open_interest():
    quotes = chains(DAY, [100.0], [0.2], days=(30,), strikes=3, multiplier=10.0).filter(pl.col("strike") < 100.5)
    quotes = quotes.sort("strike", "right").with_columns(
        pl.Series("open_interest", [1.0, 2.0, 0.0, 4.0]), pl.Series("gamma", [0.01, 0.02, 0.03, None]),
        pl.Series("theta", [-0.1, -0.2, -0.3, -0.4]), pl.Series("vega", [1.0, 2.0, 3.0, 4.0]),
        pl.Series("rho", [5.0, -6.0, 7.0, -8.0]),
    )  # fmt: skip
    wanted = (10 * (0.01 + 0.04), -10 * (0.1 + 0.4 + 1.6), 10 * (1 + 4 + 16.0), 10 * (5 - 12 - 32.0))
    assert of_one(quotes, "chain_gamma", "chain_theta", "chain_vega", "chain_rho") == pytest.approx(wanted)


def test_rows_of_a_chain_have_no_order():
    """Shuffled rows and chains computed one by one change no bit."""
    days = list(weekday_calendar(4).dates)
    quotes = chains(days, [100.0, 101.0, 99.0, 98.0], [0.2, 0.21, 0.25, 0.22], smile=bent)
    quotes = quotes.with_columns((pl.col("strike") / 7.0).alias("rho"))
    whole = chain_day_features(quotes.sample(fraction=1.0, shuffle=True, seed=1), METRICS)
    assert chain_day_features(quotes, METRICS, sessions_at_once=1).equals(whole)
    assert whole.null_count().drop("iv_term_7").sum_horizontal().item() == 0


def test_each_is_proven_on_a_made_up_market():
    """Check 4: bit-equal without later chains, and without any other one; the proof that `openbell audit` shows."""
    quotes = made_up_inputs(weekday_calendar(60), count=40).quotes
    found = audit_chain_features(quotes, METRICS, cuts=4)
    assert {(each.feature, each.proof) for each in found} == {
        (each.name, proof) for each in METRICS for proof in (STATIC, CAUSALITY, LOOKBACK)
    }
    assert [each.detail for each in found if not each.passed] == []
    values = chain_day_features(quotes, METRICS).drop("iv_term_7", "iv_term_14")
    assert values.null_count().sum_horizontal().item() == 0


def test_the_proof_catches_what_reads_another_chain():
    """A value of the newest session, whichever that is: without the later chains it is another one."""

    def it():
        return pl.col("iv").mean() + pl.col("newest").first()

    it.__doc__ = "Planted."
    planted = feature(reads="contracts", unit="x", name="planted")(it)
    quotes = made_up_inputs(weekday_calendar(60), count=12).quotes

    def leaking(rows, features, **_):
        days = rows.group_by("underlying", "session").agg(pl.col("iv").mean().alias("planted")).sort("session")
        return days.with_columns(pl.col("planted") + pl.col("planted").last())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chain_audit, "chain_day_features", leaking)
        found = {each.proof: each for each in audit_chain_features(quotes, planted, cuts=3)}
    assert not found[CAUSALITY].passed
    assert "sees the future" in found[CAUSALITY].detail
    assert not found[LOOKBACK].passed
