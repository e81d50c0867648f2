"""The 84 of the options desk: their list, and the definitions of those that read chains, against a second formula."""

import datetime as dt
import json
import math

import numpy as np
import polars as pl
import pytest
from feature_bars import declared
from made_up_chains import chains
from memory_tables import weekday_calendar

from openbell.core.declare import STAGE_TWO_OUTPUTS, collect, feature
from openbell.core.errors import BadInput, DeclarationError, LeakFound
from openbell.quant.chain_expressions import CHAIN_READS
from openbell.quant.feature_groups import COUNTERS, EIGHTY_FOUR, FORBIDDEN, GROUPS, RANGES, STEPWISE
from openbell.quant.reach import feature_reach
from openbell.research.chain_days import chain_day_features
from openbell.research.chain_features import eighty_four

ALL = list(declared().values())
DAYS = list(weekday_calendar(4).dates)


def of_one(quotes, *names):
    """The features of one chain."""
    row = chain_day_features(quotes, ALL)
    assert row.height == 1
    return tuple(row[name].item() for name in names) if len(names) > 1 else row[names[0]].item()


@pytest.fixture(scope="module")
def skewed():
    """Spot 100, 20 % at the money falling with the strike and rising with time."""
    return chains(DAYS[:1], [100.0], [0.20], step=0.005, strikes=121, smile=lambda k, d: -0.30 * k + 0.0004 * d)


def test_the_84_are_the_list_in_its_order(root):
    path = root.parent / "shared" / "spec" / "features_84.json"
    if not path.exists():
        pytest.skip("the list of the 84 is not there")
    assert list(EIGHTY_FOUR) == json.loads(path.read_text())


def test_the_84_are_declared_once_each_and_their_groups_add_up():
    """S0.03: 7 + 14 + 14 + 10 + 10 + 5 + 15 + 5 + 4, without a name twice or a name too many."""
    assert [each.name for each in eighty_four(declared())] == list(EIGHTY_FOUR)
    assert [len(names) for names in GROUPS.values()] == [7, 14, 14, 10, 10, 5, 15, 5, 4]
    grouped = [name for names in GROUPS.values() for name in names]
    assert len(grouped) == len(set(grouped)) == 84
    assert set(grouped) == set(EIGHTY_FOUR)
    assert set(RANGES) | STEPWISE | set(COUNTERS) <= set(EIGHTY_FOUR)
    with pytest.raises(DeclarationError, match="iv_rank are not declared"):
        eighty_four({name: each for name, each in declared().items() if name != "iv_rank"})


@pytest.mark.parametrize("name", sorted(STAGE_TWO_OUTPUTS))
def test_no_output_of_stage_2_may_be_a_feature(name):
    """S0.04: each of the 14 is refused where features are collected, by its name, and none stands there now."""
    module = type(pl)("planted")

    def it():
        return pl.col("close")

    it.__doc__, it.__module__ = "Planted.", "planted"
    module.it = feature(unit="x", name=name)(it)
    module.__name__ = "planted"
    kind = type(declared()["iv_rank"])
    with pytest.raises(DeclarationError, match=f"`{name}`.*output of stage 2"):
        collect([module], kind)
    assert len(FORBIDDEN) == 14
    assert not FORBIDDEN & set(declared())


def test_a_chain_of_one_volatility_gives_that_volatility():
    """Interpolation in strike and in time of a flat surface is exact, and its skew and slope are nothing."""
    quotes = chains(DAYS[:1], [100.0], [0.23])
    iv, skew, slope = of_one(quotes, "iv_atm", "iv_skew", "iv_term_structure")
    assert iv == pytest.approx(0.23, abs=1e-12)
    assert skew == pytest.approx(0.0, abs=1e-12)
    assert slope == pytest.approx(0.0, abs=1e-12)


def test_volatility_at_the_forward_30_days_ahead_by_hand():
    """Expiries of 23 and 37 days, the strikes next to each forward, out-of-the-money quotes, total variance."""
    quotes = chains(DAYS[:1], [100.0], [0.20], rate=0.05, smile=lambda k, d: 0.4 * k + 0.002 * (d == 37))
    total = []
    for days in (23, 37):
        forward = 100.0 * math.exp(0.05 * days / 365)
        low, high = 100.0, 101.0
        iv = [0.20 + 0.4 * math.log(strike / forward) + 0.002 * (days == 37) for strike in (low, high)]
        at = iv[0] + (forward - low) / (high - low) * (iv[1] - iv[0])
        total.append(at * at * days)
    by_hand = math.sqrt((total[0] + (30 - 23) / (37 - 23) * (total[1] - total[0])) / 30)
    assert of_one(quotes, "iv_atm") == pytest.approx(by_hand, abs=1e-12)


def test_only_out_of_the_money_quotes_give_the_smile():
    """An in-the-money call below the forward may say what it likes."""
    quotes = chains(DAYS[:1], [100.0], [0.20])
    inside = (pl.col("strike") - pl.col("forward")) * pl.when(pl.col("right") == "CALL").then(1.0).otherwise(-1.0) < 0
    odd = quotes.with_columns(pl.when(inside).then(9.0).otherwise("iv").alias("iv"))
    assert of_one(odd, "iv_atm") == pytest.approx(0.20, abs=1e-12)


def test_skew_is_that_of_25_delta(skewed):
    """On a fine grid of strikes: the volatility where the delta is a quarter, found by another way."""
    from scipy.optimize import brentq
    from scipy.stats import norm

    def at_25(right, days):
        years, forward = days / 365, 100 * math.exp(0.03 * days / 365)

        def volatility(strike):
            return 0.20 - 0.30 * math.log(strike / forward) + 0.0004 * days

        def away(strike):
            deviation = volatility(strike) * math.sqrt(years)
            return norm.cdf(right * (math.log(forward / strike) / deviation + deviation / 2)) - 0.25

        return volatility(brentq(away, 60 if right < 0 else forward, forward if right < 0 else 140))

    def at_30(right):
        total = [at_25(right, days) ** 2 * days for days in (23, 37)]
        return math.sqrt((total[0] + total[1]) / 2 / 30)

    assert of_one(skewed, "iv_skew") == pytest.approx(at_30(-1) - at_30(1), abs=2e-5)
    assert of_one(skewed, "iv_skew") > 0.02


def test_term_structure_is_near_less_far(skewed):
    """Rising volatility gives a negative slope: 30 days less 90, not the other way round."""
    assert of_one(skewed, "iv_term_structure") == pytest.approx(-0.0004 * 60, abs=5e-4)


@pytest.mark.parametrize(
    ("days", "there"),
    [((23, 37), True), ((30,), True), ((23,), True), ((37,), True), ((22,), False), ((38,), False), ((9, 93), False),
     ((9, 89), True)],
)  # fmt: skip
def test_30_days_need_neighbours(days, there):
    """One expiry alone stands for 30 days within a quarter of them; a pair may reach to three times as far."""
    iv = of_one(chains(DAYS[:1], [100.0], [0.2], days=days), "iv_atm")
    assert (iv is not None) == there
    if there:
        assert iv == pytest.approx(0.2)


def test_an_expiry_with_one_strike_has_no_volatility_at_the_forward():
    quotes = chains(DAYS[:1], [100.0], [0.2], strikes=1)
    assert of_one(quotes, "iv_atm", "iv_skew", "iv_term_structure") == (None, None, None)
    assert of_one(quotes, "total_open_interest") > 0


def test_greeks_are_those_of_one_contract():
    """Nearest 30 days (of 23, 29 and 37: 29), nearest the forward, both rights, and not a mean over strikes."""
    quotes = chains(DAYS[:1], [100.0], [0.2], days=(23, 29, 37), rate=0.08)
    forward = 100 * math.exp(0.08 * 29 / 365)
    assert forward - 100 > 0.5, "the strike of 101 is nearer than the spot's"
    one = quotes.filter((pl.col("strike") - 101).abs() < 1e-9, pl.col("expiry") == DAYS[0] + dt.timedelta(29))
    call, put = (one.filter(pl.col("right") == right).row(0, named=True) for right in ("CALL", "PUT"))
    names = ("atm_delta_call", "atm_delta_put", "atm_gamma", "atm_theta", "atm_vega")
    wanted = (call["delta"], put["delta"], call["gamma"], call["theta"], call["vega"])
    assert of_one(quotes, *names) == pytest.approx(wanted, rel=1e-12)
    lame = quotes.with_columns(
        pl.when((pl.col("strike") - 101).abs() < 1e-9, pl.col("right") == "PUT").then(None).otherwise("iv").alias("iv")
    )
    other = quotes.filter((pl.col("strike") - 100).abs() < 1e-9, pl.col("expiry") == DAYS[0] + dt.timedelta(29))
    assert of_one(lame, "atm_delta_call") == other.filter(pl.col("right") == "CALL")["delta"].item()


def test_sums_and_their_signs():
    """Four contracts by hand: ratios, sums, exposures with calls plus and puts minus (gamma), own sign (delta)."""
    quotes = chains(DAYS[:1], [100.0], [0.2], days=(30,), strikes=3, multiplier=10.0).filter(pl.col("strike") < 100.5)
    quotes = quotes.sort("strike", "right").with_columns(
        pl.Series("volume", [10.0, 30.0, 20.0, 60.0]), pl.Series("open_interest", [1.0, 2.0, 3.0, 4.0]),
        pl.Series("gamma", [0.01, 0.02, 0.03, 0.04]), pl.Series("delta", [0.7, -0.3, 0.5, -0.5]),
    )  # fmt: skip
    names = ("put_call_volume_ratio", "put_call_oi_ratio", "total_option_volume", "total_open_interest",
             "options_flow_sentiment", "gamma_exposure", "delta_exposure")  # fmt: skip
    gamma = 10 * (0.01 * 1 - 0.02 * 2 + 0.03 * 3 - 0.04 * 4)
    delta = 10 * (0.7 * 1 - 0.3 * 2 + 0.5 * 3 - 0.5 * 4)
    assert of_one(quotes, *names) == pytest.approx((3.0, 1.5, 120.0, 10.0, -0.5, gamma, delta))


def test_no_trade_is_no_ratio():
    """Zero volume gives null, not 0 and not infinity; a sum of zeros is 0."""
    quotes = chains(DAYS[:1], [100.0], [0.2]).with_columns(pl.lit(0.0).alias("volume"))
    names = ("put_call_volume_ratio", "options_flow_sentiment", "total_option_volume")
    assert of_one(quotes, *names) == (None, None, 0.0)
    silent = quotes.with_columns(pl.lit(None, dtype=pl.Float64).alias("volume"))
    assert of_one(silent, *names) == (None, None, None)


@pytest.mark.parametrize("seed", range(6))
def test_max_pain_is_the_cheapest_strike_by_brute_force(seed):
    rng = np.random.default_rng(seed)
    quotes = chains(DAYS[:1], [100.0], [0.2], days=(23, 37), strikes=15, step=0.02)
    interest = rng.integers(0, 50, quotes.height) * rng.integers(0, 2, quotes.height)
    quotes = quotes.with_columns(pl.Series("open_interest", interest, dtype=pl.Float64))
    strike, open_, call = (quotes[x].to_numpy() for x in ("strike", "open_interest", "right"))
    sign = np.where(call == "CALL", 1.0, -1.0)
    at = np.unique(strike)
    pain = [(open_ * np.maximum(sign * (price - strike), 0)).sum() for price in at]
    cheapest = at[np.flatnonzero(np.isclose(pain, min(pain), rtol=1e-12))]
    got = of_one(quotes, "max_pain_strike")
    assert any(math.isclose(got, each, rel_tol=1e-12) for each in cheapest)
    nothing = quotes.with_columns(pl.lit(0.0).alias("open_interest"))
    assert of_one(nothing, "max_pain_strike") is None


def test_one_moment_of_each_session():
    """Real quotes displace modelled ones; those of the morning are not mixed with those of the close."""
    real = chains(DAYS[:1], [100.0], [0.2], modelled=False)
    made = chains(DAYS[:1], [100.0], [0.5], days=(30, 90), modelled=True)
    early = chains(DAYS[:1], [100.0], [0.4], days=(31,), modelled=False).with_columns(
        pl.col("quote_at") - pl.duration(hours=5)
    )
    both = chain_day_features(pl.concat([made, early, real]), ALL)
    assert both["iv_atm"].item() == pytest.approx(0.2)
    assert not both["modelled"].item()
    assert both["left_out"].item() == made.height + early.height
    assert both.drop("left_out").equals(chain_day_features(real, ALL).drop("left_out"))
    assert chain_day_features(made, ALL)["modelled"].item()


def test_rows_of_a_chain_have_no_order():
    """Shuffled rows, other chunks and other chains beside it change no bit."""
    quotes = chains(DAYS, [100.0, 101.0, 99.0, 98.0], [0.2, 0.21, 0.25, 0.22], smile=lambda k, d: -0.3 * k + 1e-3 * d)
    other = chains(DAYS, [40.0, 41.0, 39.0, 38.0], [0.4] * 4, underlying="SMH")
    whole = chain_day_features(pl.concat([quotes, other]).sample(fraction=1.0, shuffle=True, seed=1), ALL)
    assert whole["underlying"].to_list() == ["SMH"] * 4 + ["SPX"] * 4
    for size in (1, 3):
        assert chain_day_features(quotes.lazy(), ALL, sessions_at_once=size).equals(
            whole.filter(pl.col("underlying") == "SPX")
        )


def test_parity_forward_is_that_of_the_shortest_expiry_ahead():
    quotes = chains(DAYS[:1], [100.0], [0.2], days=(0.5, 9, 37))
    row = chain_day_features(quotes, ALL).row(0, named=True)
    assert row["parity_days"] == pytest.approx(9)
    assert row["parity_forward"] == pytest.approx(100 * math.exp(0.03 * 9 / 365))
    assert row["contracts"] == quotes.height


def test_contracts_without_a_volatility_are_counted():
    quotes = chains(DAYS[:1], [100.0], [0.2]).with_row_index("at")
    quotes = quotes.with_columns(pl.when(pl.col("at") < 7).then(None).otherwise("iv").alias("iv")).drop("at")
    assert of_one(quotes, "contracts_without_iv") == 7


def test_quotes_that_were_not_priced_are_refused():
    with pytest.raises(BadInput, match="no column `iv`"):
        chain_day_features(chains(DAYS[:1], [100.0], [0.2]).drop("iv"), ALL)
    empty = chain_day_features(chains(DAYS[:1], [100.0], [0.2]).clear(), ALL)
    assert empty.height == 0
    assert "iv_atm" in empty.columns


@pytest.mark.parametrize(
    "expression", [pl.col("iv").mean().over("session"), pl.col("iv").map_batches(lambda x: x).sum()]
)
def test_an_aggregate_that_leaves_its_chain_is_refused(expression):
    def it():
        return expression

    it.__doc__ = "Planted."
    planted = feature(reads="contracts", unit="x", name="planted")(it)[0]
    with pytest.raises(LeakFound, match="planted"):
        feature_reach(planted)
    with pytest.raises(LeakFound, match="planted"):
        chain_day_features(chains(DAYS[:1], [100.0], [0.2]), [planted])


def test_every_chain_feature_reads_one_table():
    reads = {each.name: each.reads for each in ALL}
    of_chains = [name for name in EIGHTY_FOUR if reads[name] in CHAIN_READS]
    assert len(of_chains) == 16
    assert {reads[name] for name in EIGHTY_FOUR} == {"bars", "days", *CHAIN_READS}
