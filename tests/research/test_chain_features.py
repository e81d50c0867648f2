"""The 84 day by day: what each is, what is missing and why, no look ahead, training and serving alike."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "features"))
sys.path.insert(0, str(Path(__file__).parents[1] / "research"))
from feature_bars import declared
from made_up_chains import chains
from memory_tables import random_walk, weekday_calendar

from openbell.core.declare import feature
from openbell.core.errors import BadInput, FeatureUnavailable, LeakFound
from openbell.quant.expressions import returns
from openbell.quant.feature_groups import EIGHTY_FOUR, RANGES
from openbell.research.audit import CAUSALITY, LOOKBACK, STATIC
from openbell.research.chain_audit import OptionInputs, audit_option_features
from openbell.research.chain_features import (
    chain_day_features,
    eighty_four,
    features_at,
    option_features,
    sessions_needed,
)
from openbell.research.made_up_options import made_up_inputs
from openbell.research.option_feature_checks import constant_features, out_of_range

N = 1160
CALENDAR = weekday_calendar(N + 10)
DATES = list(CALENDAR.dates[:N])
FEATURES = eighty_four(declared())
BAR_FIELDS = ("open", "high", "low", "close", "volume")


def with_raw(walk, symbol):
    return pl.DataFrame({"symbol": symbol, "session": DATES, **walk}).with_columns(
        pl.col(name).alias(f"raw_{name}") for name in BAR_FIELDS
    )


def made_up():
    rng = np.random.default_rng(3)
    walk = random_walk(N, 1, volatility=0.008)
    iv = 0.2 + 0.05 * np.sin(np.arange(N) / 50) + 0.01 * rng.normal(size=N)
    level = pl.DataFrame({"session": DATES, "close": 100 * iv + rng.normal(0, 0.5, N)})
    quotes = chains(
        DATES, walk["close"], iv, days=(23, 37, 93), strikes=13, step=0.02, smile=lambda k, d: -0.2 * k - 3e-4 * d
    )
    return OptionInputs("SPX", with_raw(walk, "SPX"), with_raw(random_walk(N, 2), "SPY"), level, quotes, CALENDAR)


INPUTS = made_up()
CHAIN_DAYS = chain_day_features(INPUTS.quotes, FEATURES)


def computed(inputs=INPUTS, chain_days=CHAIN_DAYS, **about):
    return option_features(
        inputs.underlying, inputs.bars, benchmark=inputs.benchmark, volatility_index=inputs.volatility_index,
        chain_days=chain_days, sessions=CALENDAR, features=FEATURES, benchmark_name="SPY", **about,
    )  # fmt: skip


WHOLE = computed()
AT = DATES[900]


def column(name, found=WHOLE):
    return found.frame[name].fill_null(float("nan")).to_numpy()


def test_the_frame_is_the_84_in_their_order_as_64_bit_numbers():
    assert WHOLE.frame.columns == ["session", *EIGHTY_FOUR, "modelled"]
    assert set(WHOLE.frame.dtypes[1:-1]) == {pl.Float64}
    assert WHOLE.frame["session"].to_list() == DATES
    assert WHOLE.frame["modelled"].all()
    assert WHOLE.frame.select(pl.col(EIGHTY_FOUR).is_finite().all()).row(0) == (True,) * 84


def test_with_enough_history_none_of_the_84_is_missing():
    """S0.23 without a default: a price above every swing has a level too."""
    later = WHOLE.frame[260:]
    assert later.null_count().row(0) == (0,) * 86
    assert WHOLE.unavailable["session"].max() < DATES[260]
    assert WHOLE.complete["session"].min() == DATES[251]


def test_every_missing_number_has_its_reason_and_no_other():
    """One row for each null; sma_200 on 199 sessions, iv_rank on 251 days of volatility (checks 15 and 16)."""
    nulls = WHOLE.frame.unpivot(on=list(EIGHTY_FOUR), index="session", variable_name="feature").filter(
        pl.col("value").is_null()
    )
    assert nulls.height == WHOLE.unavailable.height
    assert nulls.join(WHOLE.unavailable, on=["session", "feature"]).height == nulls.height
    why = dict(WHOLE.unavailable.filter(pl.col("session") == DATES[198]).select("feature", "reason").rows())
    assert why["sma_200"] == "it needs 200 sessions of history; there are 199."
    assert why["iv_rank"] == why["combined_state"] == "it needs 252 days with an implied volatility; there are 199."
    assert WHOLE.frame["sma_200"][199] == pytest.approx(INPUTS.bars["close"][:200].mean())
    assert WHOLE.frame["iv_rank"][250] is None
    assert WHOLE.frame["iv_rank"][251] is not None
    with pytest.raises(FeatureUnavailable, match=r"`iv_rank`, `iv_percentile`.* it needs 252 days .* there are 231\."):
        features_at(WHOLE, DATES[230])
    with pytest.raises(FeatureUnavailable, match="no bar of SPX on 2033-01-01"):
        features_at(WHOLE, DATES[0].replace(year=2033, month=1, day=1))


def test_a_day_is_its_row():
    one = features_at(WHOLE, AT)
    assert list(one) == list(EIGHTY_FOUR)
    assert tuple(one.values()) == WHOLE.frame.row(900)[1:-1]


def test_history_of_implied_volatility_by_a_second_formula():
    iv = column("iv_atm")
    for at in (251, 400, 777, 1159):
        window = iv[at - 251 : at + 1]
        low, high = window.min(), window.max()
        assert column("iv_rank")[at] == pytest.approx(100 * (iv[at] - low) / (high - low))
        assert column("iv_percentile")[at] == pytest.approx(100 * (window < iv[at]).mean())
        assert column("vol_of_vol")[at] == pytest.approx(iv[at - 19 : at + 1].std(ddof=1), rel=1e-9)
        assert column("volatility_trend")[at] == float(iv[at - 2 : at + 1].mean() > iv[at - 5 : at - 2].mean())
        assert column("hv_iv_ratio")[at] == pytest.approx(column("hv_20d")[at] / iv[at])
        volatility = sum(column("iv_rank")[at] > edge for edge in (25, 40, 60, 75))
        assert column("volatility_regime")[at] == volatility
        state = 15 * column("trend_regime")[at] + 3 * volatility + column("volume_regime")[at]
        assert column("combined_state")[at] == state
    assert set(column("volatility_regime")[251:]) == {0, 1, 2, 3, 4}


def test_unusual_activity_can_be_true():
    """The original's condition never was: the volume of one day is above twice its own mean of 20."""
    volume = pl.when(pl.col("session") == AT).then(pl.col("total_option_volume") * 3).otherwise("total_option_volume")
    found = computed(chain_days=CHAIN_DAYS.with_columns(volume.alias("total_option_volume")))
    assert column("unusual_activity", found)[900] == 1.0
    assert np.nansum(column("unusual_activity", found)) == 1.0


def test_context_by_a_second_formula():
    spy, vix = (frame["close"].to_numpy() for frame in (INPUTS.benchmark, INPUTS.volatility_index))
    own = INPUTS.bars["close"].to_numpy()
    returns_ = np.diff(np.log(spy)), np.diff(np.log(own))
    for at in (300, 901):
        assert column("spy_return_1d")[at] == pytest.approx(spy[at] / spy[at - 1] - 1)
        assert column("spy_return_5d")[at] == pytest.approx(spy[at] / spy[at - 5] - 1)
        assert column("smh_vs_spy")[at] == pytest.approx(own[at] / own[at - 5] - spy[at] / spy[at - 5])
        assert column("spy_correlation")[at] == pytest.approx(np.corrcoef(*(x[at - 30 : at] for x in returns_))[0, 1])
        assert column("vix_level")[at] == vix[at]
        assert column("vix_change")[at] == pytest.approx(vix[at] - vix[at - 1])
        assert column("vix_vs_ma20")[at] == pytest.approx(vix[at] / vix[at - 19 : at + 1].mean() - 1)


def test_prices_compare_with_strikes():
    """Adjusted prices twice the quotes': levels are in quoted dollars, and the distance to a strike too."""
    twice = INPUTS.bars.with_columns(pl.col(name) * 2 for name in ("open", "high", "low", "close"))
    found = computed(replace(INPUTS, bars=twice))
    for name in ("current_price", "sma_200", "bb_upper", "macd", "atr_14", "resistance_level", "distance_to_max_pain"):
        np.testing.assert_allclose(column(name, found)[900], column(name)[900], rtol=1e-9)
    price, strike = column("current_price")[900], column("max_pain_strike")[900]
    assert price == INPUTS.bars["raw_close"][900]
    assert column("distance_to_max_pain")[900] == pytest.approx((price - strike) / price)


def without(frame, *sessions):
    return frame.filter(~pl.col("session").is_in(list(sessions)))


def why(found, session=AT):
    return dict(found.unavailable.filter(pl.col("session") == session).select("feature", "reason").rows())


def test_a_missing_day_of_the_index_takes_its_own_features_alone():
    """A null, a 0 and a missing row alike; the mean of 20 closes does without one, the change does not."""
    nothing = pl.when(pl.col("session") == AT).then(pl.lit(None)).otherwise("close").alias("close")
    for index in (
        without(INPUTS.volatility_index, AT),
        INPUTS.volatility_index.with_columns(nothing),
        INPUTS.volatility_index.with_columns(nothing.fill_null(0.0)),
    ):
        found = computed(replace(INPUTS, volatility_index=index))
        assert set(why(found)) == {"vix_level", "vix_change", "vix_vs_ma20"}
        assert set(why(found).values()) == {"there is no close of the volatility index VIX for that session."}
        assert why(found, DATES[901]) == {
            "vix_change": "a session of its last 2 has no close of the volatility index VIX."
        }
        assert why(found, DATES[902]) == {}
        vix = INPUTS.volatility_index["close"].to_numpy()
        mean = np.r_[vix[885:900], vix[901:906]].mean()
        assert column("vix_vs_ma20", found)[905] == pytest.approx(vix[905] / mean - 1)


def test_a_missing_chain_takes_what_reads_it_and_ends_no_history():
    found = computed(chain_days=without(CHAIN_DAYS, AT))
    of_chains = {each.name for each in FEATURES if each.reads in ("contracts", "expiries", "strikes")}
    history = {"iv_rank", "iv_percentile", "hv_iv_ratio", "vol_of_vol", "volatility_trend", "volatility_regime"}
    assert set(why(found)) == of_chains | history | {"combined_state", "unusual_activity", "distance_to_max_pain"}
    assert set(why(found).values()) == {"there is no chain of SPX for that session."}
    assert why(found, DATES[901]) == {}
    iv = np.delete(column("iv_atm")[: 950 + 1], 900)[-252:]
    assert column("iv_rank", found)[950] == pytest.approx(100 * (iv[-1] - iv.min()) / (iv.max() - iv.min()))
    with pytest.raises(FeatureUnavailable, match="there is no chain of SPX for that session"):
        features_at(found, AT)


def test_too_many_missing_chains_make_old_days_count_as_old():
    """12 missing sessions among 264 are borne, 13 are not: 252 days then span more than 264 sessions."""
    for missing, there in ((12, True), (13, False)):
        found = computed(chain_days=without(CHAIN_DAYS, *DATES[900 : 900 + 2 * missing : 2]))
        assert (column("iv_rank", found)[930] == column("iv_rank", found)[930]) == there
    assert "spread over too many sessions" in why(found, DATES[930])["iv_rank"]


def test_a_chain_of_another_underlying_or_moment_is_refused():
    """Check 11: strikes of 25 to 45 under a price of 3 times as much; a forward within 2 % passes."""
    scaled = INPUTS.bars.with_columns(pl.col(name) * 3.0 for name in INPUTS.bars.columns if name.startswith("raw_"))
    found = computed(replace(INPUTS, bars=scaled))
    assert found.frame["iv_atm"].null_count() == N
    assert why(found)["iv_atm"].startswith("the chain is not of SPX at that moment: its parity forward ")
    assert "and at most 2 % is allowed." in why(found)["iv_rank"]
    assert not found.frame["modelled"].any(), "a refused chain is no input"
    assert f"{N:,} chains were refused" in found.notes[0]
    for stale, there in ((1.015, True), (1.025, False)):
        forward = pl.when(pl.col("session") == AT).then(pl.col("parity_forward") * stale).otherwise("parity_forward")
        found = computed(chain_days=CHAIN_DAYS.with_columns(forward.alias("parity_forward")))
        assert ("iv_atm" not in why(found)) == there
        assert why(found, DATES[901]) == {}
    other = computed(chain_days=CHAIN_DAYS.with_columns(pl.lit("IWM").alias("underlying")))
    assert other.notes == ("The chains handed in are of IWM, not of SPX; none of them is used.",)
    assert why(other)["iv_atm"] == "there is no chain of SPX for that session."


def test_bars_of_another_symbol_are_refused():
    with pytest.raises(BadInput, match="handed in for SPX are of IWM too"):
        computed(replace(INPUTS, bars=INPUTS.bars.with_columns(pl.lit("IWM").alias("symbol"))))
    with pytest.raises(BadInput, match="more than one bar of SPX"):
        computed(replace(INPUTS, bars=pl.concat([INPUTS.bars, INPUTS.bars[-1:]])))
    with pytest.raises(BadInput, match="no column `raw_close`"):
        computed(replace(INPUTS, bars=INPUTS.bars.drop("raw_close")))
    with pytest.raises(BadInput, match="no bars of SPX"):
        computed(replace(INPUTS, bars=INPUTS.bars.clear()))
    with pytest.raises(BadInput, match="the 84 in their order"):
        option_features(
            "SPX", INPUTS.bars, benchmark=INPUTS.benchmark, volatility_index=INPUTS.volatility_index,
            chain_days=CHAIN_DAYS, sessions=CALENDAR, features=FEATURES[::-1],
        )  # fmt: skip


def test_made_up_ranges_switch_off_what_stands_on_them():
    """Check 12: high and low at a fixed 1 % from the close are nobody's measurement."""
    made = INPUTS.bars.with_columns((pl.col("close") * 1.01).alias("high"), (pl.col("close") * 0.99).alias("low"))
    found = computed(replace(INPUTS, bars=made))
    off = set(why(found))
    assert {"atr_14", "adx_14", "stochastic_k", "parkinson_vol", "resistance_level", "trend_regime"} <= off
    assert not off & {"rsi_14", "sma_200", "iv_rank", "spy_correlation", "volume_vs_avg"}
    assert "the ranges are made up" in why(found)["atr_14"]


def test_a_missing_bar_makes_windows_null_with_its_reason():
    found = computed(replace(INPUTS, bars=without(INPUTS.bars, AT)))
    assert AT not in found.frame["session"].to_list()
    assert why(found, DATES[905])["sma_20"] == "a session of its last 20 has no bar."
    assert why(found, DATES[905])["spy_correlation"] == "a session of its last 31 has no bar."
    assert "sma_5" not in why(found, DATES[905])


def test_real_chains_on_a_modelled_history_are_still_modelled():
    """Any input modelled: the rank of a real day stands on modelled ones."""
    real = pl.when(pl.col("session") >= DATES[500]).then(False).otherwise(True).alias("modelled")
    found = computed(chain_days=CHAIN_DAYS.with_columns(real))
    assert found.frame["modelled"][500 : 500 + 252].all()
    assert not found.frame["modelled"][500 + 264 :].any()


def test_no_volume_gives_null_with_its_reason_never_infinity():
    quiet = INPUTS.quotes.filter(pl.col("session") == AT).with_columns(pl.lit(0.0).alias("volume"))
    days = pl.concat([without(CHAIN_DAYS, AT), chain_day_features(quiet, FEATURES)]).sort("session")
    found = computed(chain_days=days)
    assert why(found) == {
        "put_call_volume_ratio": "no call of the chain was traded.",
        "options_flow_sentiment": "no contract of the chain was traded.",
    }


def test_every_one_of_the_84_is_proven():
    """Check 4: with later rows of every table removed all values are bit-equal; look-backs are what they say."""
    found = audit_option_features(INPUTS.between(DATES[0], DATES[639]), FEATURES, cuts=2, seed=5)
    failed = [each.detail for each in found if not each.passed]
    assert failed == []
    told = {(each.feature, each.proof) for each in found}
    assert told >= {(name, proof) for name in EIGHTY_FOUR for proof in (STATIC, CAUSALITY)}
    assert {each.name for each in FEATURES if each.reads != "bars"} == {x for x, proof in told if proof == LOOKBACK}


class Leaky(OptionInputs):
    """Inputs whose index is a day early, whatever the features say: what a leak in the engine would look like."""

    def values(self, features, last=None):
        frame = OptionInputs.values(self, features, last)
        return frame.with_columns(pl.col("vix_level").shift(-1))


def planted(name, function, lookback=None):
    function.__doc__ = "Planted."
    made = feature(reads="days", unit="x", name=name, lookback=lookback)(function)[0]
    return [made if each.name == name else each for each in FEATURES]


def test_a_leak_and_a_short_look_back_are_caught():
    """The proof finds a leak by the values alone; a look-back of 20 that needs 31 shows as a null."""
    few = INPUTS.between(DATES[0], DATES[60])
    swapped = planted("spy_return_5d", lambda: returns(30, pl.col("benchmark_close")), lookback=20)
    few = Leaky(*(getattr(few, name) for name in OptionInputs.__dataclass_fields__))
    found = {(each.feature, each.proof): each for each in audit_option_features(few, swapped, cuts=1, seed=3)}
    failed = {each for each, result in found.items() if not result.passed}
    assert ("vix_level", CAUSALITY) in failed
    assert "`vix_level` sees the future" in found["vix_level", CAUSALITY].detail
    assert ("spy_return_5d", LOOKBACK) in failed
    assert "needs more than its 20 sessions" in found["spy_return_5d", LOOKBACK].detail
    assert failed <= {("vix_level", CAUSALITY), ("spy_return_5d", LOOKBACK), ("vix_level", LOOKBACK)}


def test_a_feature_that_looks_ahead_is_refused_before_it_is_computed():
    ahead = planted("vix_change", lambda: returns(1, pl.col("volatility_index")).shift(-1))
    with pytest.raises(LeakFound, match=r"`vix_change`.*rows to come"):
        INPUTS.between(DATES[0], DATES[80]).values(ahead)


def test_training_and_serving_are_one():
    """Check 14: the row of a whole history and that of the last sessions alone agree to 1e-9."""
    needed = sessions_needed(FEATURES)
    assert needed <= 940
    scale = {name: WHOLE.frame[name].std() or 1.0 for name in EIGHTY_FOUR}
    for at in (1000, 1159):
        few = INPUTS.between(DATES[at - needed + 1], DATES[at])
        days = CHAIN_DAYS.filter(pl.col("session").is_between(DATES[at - needed + 1], DATES[at]))
        served = features_at(computed(few, days, first=DATES[at]), DATES[at])
        told = features_at(WHOLE, DATES[at])
        for name in EIGHTY_FOUR:
            assert abs(served[name] - told[name]) <= 1e-9 * max(scale[name], abs(told[name])), name


def test_a_range_of_sessions_is_cut_out_of_the_whole():
    some = computed(first=DATES[300], last=DATES[310])
    assert some.frame.equals(WHOLE.frame[300:311])
    assert some.unavailable.height == 0


def test_constant_features_are_told():
    """Check 13: vix of 15, correlation of 0.8, five days since the change; flags and caps may stay what they are."""
    honest = WHOLE.frame[260:]
    assert constant_features(honest).height == 0
    stale = honest.with_columns(
        pl.when(pl.int_range(pl.len()).is_between(100, 130)).then(15.0).otherwise("vix_level").alias("vix_level"),
        pl.lit(0.8).alias("spy_correlation"), pl.lit(5.0).alias("days_since_regime_change"),
        pl.lit(60.0).alias("days_in_range"), pl.lit(0.0).alias("unusual_activity"), pl.lit(2.0).alias("trend_regime"),
    )  # fmt: skip
    found = constant_features(stale)
    assert set(found["feature"]) == {"vix_level", "spy_correlation", "days_since_regime_change"}
    row = found.filter(pl.col("feature") == "vix_level").row(0, named=True)
    assert (row["value"], row["sessions"], row["first"]) == (15.0, 31, DATES[360])
    assert row["reason"].startswith("`vix_level` is 15.0 in 31 sessions on end")
    assert "vix_level" not in set(constant_features(stale, sessions=31)["feature"])


def test_values_outside_the_ranges_are_told_hard_ones_first():
    honest = out_of_range(WHOLE.frame)
    assert not honest["hard"].any()
    odd = WHOLE.frame.with_columns((pl.col("rsi_14") + 60).alias("rsi_14"), pl.lit(43.58).alias("hv_iv_ratio"))
    found = out_of_range(odd)
    assert found["feature"][0] == "rsi_14"
    row = found.filter(pl.col("feature") == "hv_iv_ratio").row(0, named=True)
    assert (row["count"], row["of"], row["largest"], row["hard"]) == (N, N, 43.58, False)
    assert len(RANGES) >= 60


def test_the_made_up_market_has_all_84_and_nothing_that_stands_still():
    """What `openbell audit features` proves the features of options on must exercise each of them."""
    made = made_up_inputs(CALENDAR, count=400, seed=2)
    frame = made.values(FEATURES)
    assert frame[260:].null_count().row(0) == (0,) * 86
    assert constant_features(frame[260:]).height == 0
    for name in ("volatility_trend", "volatility_regime", "combined_state", "max_pain_strike"):
        assert frame[name].n_unique() > 2
