"""Features of a session up to its cut-off: hand-worked days, pandas and TA-Lib beside them, bounds and nulls."""

import datetime as dt

import numpy as np
import pandas as pd
import polars as pl
import pytest
import talib
from hypothesis import given, settings
from hypothesis import strategies as st
from session_made_days import OWN, ZONE, bars, flat_day, hours, moment, rows_of, value

from openbell.core.errors import BadInput
from openbell.core.time import MOMENT
from openbell.market.calendars import sessions
from openbell.quant.expressions import SHARED
from openbell.quant.reach import lookback
from openbell.research.compute import roots
from openbell.research.session_audit_market import made_up_sessions
from openbell.research.session_early import placed
from openbell.research.session_outcomes import days
from openbell.research.session_rows import session_rows

MONDAY, TUESDAY = dt.date(2024, 1, 8), dt.date(2024, 1, 9)
HOURS = hours([MONDAY, TUESDAY], closes="11:30")
#: Monday trades from 98 to 104 and closes on 102.
YESTERDAY = [
    (MONDAY, "09:30", 100, 104, 99, 101, 100),
    *((MONDAY, clock, 101, 102, 100, 101, 100) for clock in ("09:45", "10:00", "10:15", "10:30", "10:45", "11:00")),
    (MONDAY, "11:15", 101, 103, 98, 102, 100),
]
#: Tuesday by hand: two bars before the open, four up to 10:30, and wild ones after it.
TODAY = [
    (TUESDAY, "09:00", 101.9, 102.5, 101, 102, 10),
    (TUESDAY, "09:15", 103, 103.5, 102, 103, 20),
    (TUESDAY, "09:30", 103, 105, 102, 104, 100),
    (TUESDAY, "09:45", 104, 104.5, 101, 101, 200),
    (TUESDAY, "10:00", 101, 102, 101, 101, 50),
    (TUESDAY, "10:15", 101, 104.9, 101, 104, 150),
    (TUESDAY, "10:30", 104.5, 300, 1, 9, 9e9),
    *((TUESDAY, clock, 9, 300, 1, 9, 9e9) for clock in ("10:45", "11:00", "11:15")),
]
BY_HAND = {
    "early_return_pct": 100 * (104 / 103 - 1),
    "early_range_position": (104 - 101) / (105 - 101),
    # +100 up, -200 down, 50 on its open with the close before equal: 0, +150 up; of 500.
    "early_delta_share": 50 / 500,
    # Both up: the second closes on its open, above the close before.
    "overnight_delta_share": 1.0,
    # 105; 102 is more than a quarter of 4 away; 104.9 is within a tenth of it again.
    "early_high_tests": 1.0,
    "early_low_tests": 0.0,
    "early_minutes_since_high": 45.0,
    "early_minutes_since_low": 30.0,
    "early_efficiency": 1 / 7,
    "early_straightness": 0.0,
    "early_up_bar_share": 2 / 3,
    "early_share_above_vwap": 2 / 4,
    "early_opening_range_position": (104 - 102) / (105 - 102),
    "overnight_gap_pct": 100 * (103 - 102) / 102,
    "overnight_gap_filled": 1.0,
    "overnight_open_position": (103 - 101) / (103.5 - 101),
    "overnight_range_break": 1.0,
    "overnight_efficiency": (103 - 101.9) / (0.1 + 1.0),
    "early_open_outside": 0.0,
    "early_prev_range_position": (104 - 98) / (104 - 98),
    "early_weekday": 2.0,
    "regime_close_location": (102 - 98) / (104 - 98),
}


@pytest.fixture(scope="module")
def by_hand():
    return rows_of(bars([*YESTERDAY, *TODAY]), HOURS, *BY_HAND)


@pytest.mark.parametrize("name", sorted(BY_HAND))
def test_a_day_worked_by_hand(by_hand, name):
    """S4.01: each number from the table above, whatever wild bars follow the cut-off."""
    assert value(by_hand, name, TUESDAY) == pytest.approx(BY_HAND[name], abs=1e-12)


def test_the_first_session_has_no_day_before(by_hand):
    """Check 16: short history is null, never a fill."""
    names = ("overnight_gap_pct", "overnight_gap_filled", "early_open_outside", "regime_close_location")
    assert [value(by_hand, name, MONDAY) for name in names] == [None] * 4


def test_tests_of_the_low_mirror_tests_of_the_high():
    """Prices turned upside down: the tests of the low are those that the high had."""
    turned = [(s, at, 200 - o, 200 - l, 200 - h, 200 - c, v) for s, at, o, h, l, c, v in [*YESTERDAY, *TODAY[:6]]]  # noqa: E741
    made = rows_of(bars(turned), HOURS, "early_low_tests", "early_high_tests", "early_delta_share", label=None)
    assert value(made, "early_low_tests", TUESDAY) == 1.0
    assert value(made, "early_high_tests", TUESDAY) == 0.0
    assert value(made, "early_delta_share", TUESDAY) == pytest.approx(-0.1)


@pytest.mark.parametrize(
    ("highs", "tests"),
    [
        ((110, 110, 110, 110), 0),  # never left
        ((110, 103, 110, 103), 1),
        ((110, 107.6, 110, 107.6), 0),  # less than a quarter of the range away
        ((110, 107.4, 109.1, 109), 1),  # 109.1 is within a tenth of the range
        ((110, 107.4, 108.9, 108), 0),  # 108.9 is not
        ((110, 103, 115, 104), 1),  # a new high after having left the old one
    ],
)
def test_what_counts_as_a_test(highs, tests):
    """The numeric definition: back within 0.1 of the range after 0.25 away; the range here is 10, once 15."""
    clocks = ("09:30", "09:45", "10:00", "10:15")
    given = [(TUESDAY, at, 102, h, 100, 102, 1) for at, h in zip(clocks, highs, strict=True)]
    made = rows_of(bars([*YESTERDAY, *given]), HOURS, "early_high_tests", label=None)
    assert value(made, "early_high_tests", TUESDAY) == tests


@pytest.mark.parametrize(("opened", "low", "high", "filled"), [
    (103, 102.5, 104, 0.0), (103, 102, 104, 1.0), (101, 100, 101.5, 0.0), (101, 100, 102, 1.0), (102, 102, 103, 1.0),
])  # fmt: skip
def test_a_gap_is_filled_from_its_own_side(opened, low, high, filled):
    given = [(TUESDAY, at, opened, high, low, opened, 1) for at in ("09:30", "09:45", "10:00", "10:15")]
    made = rows_of(bars([*YESTERDAY, *given]), HOURS, "overnight_gap_filled", label=None)
    assert value(made, "overnight_gap_filled", TUESDAY) == filled


def test_without_volume_what_divides_by_it_is_left_out():
    """An index says no volume: nothing becomes 0 or infinite."""
    rows = [(*each[:-1], 0) for each in [*YESTERDAY, *TODAY]]
    made = rows_of(bars(rows), HOURS, "early_delta_share", "early_share_above_vwap", "early_return_pct")
    assert "early_delta_share" not in made.features
    assert any("early_delta_share" in note for note in made.notes)
    assert value(made, "early_return_pct", TUESDAY) == pytest.approx(BY_HAND["early_return_pct"])


MARKET = made_up_sessions(sessions("XNYS", 2019, 2021), count=340, seed=4)


@pytest.fixture(scope="module")
def made():
    chosen = list(OWN.values())
    return session_rows(MARKET.bars, MARKET.hours, None, "10:15", ZONE, chosen, None, MARKET.markets)


@pytest.fixture(scope="module")
def oracle():
    """Days and early windows in pandas, by other means than ours: local clocks and group-bys."""
    frame = MARKET.bars.to_pandas()
    local = frame["at"].dt.tz_convert(ZONE) - pd.Timedelta(minutes=15)
    minute = local.dt.hour * 60 + local.dt.minute
    regular = frame[(minute >= 570) & (minute < 960)]
    early = frame[(minute >= 570) & (minute < 615)]
    night = frame[minute < 570]
    days = regular.groupby("session").agg(
        open=("open", "first"), high=("high", "max"), low=("low", "min"), close=("close", "last"),
        volume=("volume", "sum"),
    )  # fmt: skip
    now = early.groupby("session").agg(
        open=("open", "first"), high=("high", "max"), low=("low", "min"), price=("close", "last"),
        volume=("volume", "sum"),
    )  # fmt: skip
    value_traded = ((early["high"] + early["low"] + early["close"]) / 3 * early["volume"]).groupby(early["session"])
    now["vwap"] = value_traded.sum() / now["volume"]
    now["night_high"] = night.groupby("session")["high"].max()
    now["night_low"] = night.groupby("session")["low"].min()
    now["night_volume"] = night.groupby("session")["volume"].sum()
    before = days.shift(1)
    ohlc = [days[name].to_numpy() for name in ("high", "low", "close")]
    # TA-Lib starts its averages with a plain mean, ours with the first value: the same after 280 days.
    atr = pd.Series(talib.ATR(*ohlc, 14), index=days.index).shift(1)
    adx = pd.Series(talib.ADX(*ohlc, 14), index=days.index).shift(1)
    return days, now, before, atr, adx


def ours(made, name):
    return made.rows[name].to_numpy()


def same(a, b, *, last, tolerance=1e-9):
    a, b = np.asarray(a, dtype=float)[-last:], np.asarray(b, dtype=float)[-last:]
    assert np.isfinite(a).all()
    np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def test_gap_and_volume_against_pandas(made, oracle):
    """The gap, and the volume against the SAME window of the ten sessions BEFORE, today left out."""
    _, now, before, _, _ = oracle
    same(ours(made, "overnight_gap_pct"), 100 * (now["open"] / before["close"] - 1), last=339)
    same(ours(made, "early_volume_ratio_10"), now["volume"] / now["volume"].shift(1).rolling(10).mean(), last=330)
    night = now["night_volume"]
    same(ours(made, "overnight_volume_ratio_10"), night / night.shift(1).rolling(10).mean(), last=330)
    assert np.isnan(ours(made, "early_volume_ratio_10")[:10]).all()


def test_ranges_and_distances_in_true_ranges_against_talib(made, oracle):
    """ATR(14) of the days BEFORE, by TA-Lib: today's range is not in the yardstick it is measured with."""
    _, now, before, atr, adx = oracle
    last = 50
    same(ours(made, "atr"), atr, last=last, tolerance=1e-7)
    same(ours(made, "early_range_atr_pct"), 100 * (now["high"] - now["low"]) / atr, last=last, tolerance=1e-7)
    night = now["night_high"] - now["night_low"]
    same(ours(made, "overnight_range_atr_pct"), 100 * night / atr, last=last, tolerance=1e-7)
    same(ours(made, "early_vwap_distance_atr"), (now["price"] - now["vwap"]) / atr, last=last, tolerance=1e-7)
    same(ours(made, "overnight_gap_atr"), (now["open"] - before["close"]) / atr, last=last, tolerance=1e-7)
    pivot = (before["high"] + before["low"] + before["close"]) / 3
    for name, level in {**{each: before[each] for each in ("high", "low", "close")}, "pivot": pivot}.items():
        same(ours(made, f"early_distance_prev_{name}_atr"), (now["price"] - level) / atr, last=last, tolerance=1e-7)
    same(ours(made, "regime_adx_14"), adx, last=last, tolerance=1e-4)


def test_regime_against_pandas(made, oracle):
    """S4.03, shifted by a session: every number of session D is of the days up to D - 1."""
    days, _, before, atr, _ = oracle
    squared = (
        0.5 * np.log(days["high"] / days["low"]) ** 2 - (2 * np.log(2) - 1) * np.log(days["close"] / days["open"]) ** 2
    )
    volatility = np.sqrt(252 * squared.rolling(20).mean()).shift(1)
    same(ours(made, "regime_garman_klass_20"), volatility, last=320)
    rank = volatility.rolling(252).apply(lambda x: 100 * (x < x[-1]).mean() * 252 / 251, raw=True)
    same(ours(made, "regime_garman_klass_rank_252"), rank, last=60)
    bands = np.digitize(rank.dropna(), [100 / 3, 200 / 3], right=True)
    same(ours(made, "regime_garman_klass_state"), bands, last=60)
    own = pd.Series(ours(made, "atr"))
    rank = own.rolling(252).apply(lambda x: 100 * (x < x[-1]).mean() * 252 / 251, raw=True)
    same(ours(made, "regime_atr_rank_252"), rank, last=60)
    same(ours(made, "regime_atr_pct"), 100 * atr / before["close"], last=50, tolerance=1e-7)
    same(ours(made, "regime_return_5_pct"), 100 * (before["close"] / before["close"].shift(5) - 1), last=330)
    for window in (5, 20, 63):
        age = before["high"].rolling(window).apply(lambda x: len(x) - np.flatnonzero(x == x.max())[-1], raw=True)
        same(ours(made, f"regime_sessions_since_high_{window}"), age, last=340 - window)
        age = before["low"].rolling(window).apply(lambda x: len(x) - np.flatnonzero(x == x.min())[-1], raw=True)
        same(ours(made, f"regime_sessions_since_low_{window}"), age, last=340 - window)


def test_a_rank_of_a_year_needs_a_year():
    """Check 16: 251 values are not 252; nothing stands in their place."""
    few = MARKET.last(MARKET.hours["session"][-1], 272)
    found = few.values([OWN["regime_garman_klass_rank_252"], OWN["regime_garman_klass_state"]], "10:15")
    assert found["regime_garman_klass_rank_252"].is_not_null().to_list() == [False] * 271 + [True]
    assert found["regime_garman_klass_state"].null_count() == 271


BOUNDS = {
    "early_range_position": (0, 1), "early_delta_share": (-1, 1), "overnight_delta_share": (-1, 1),
    "early_efficiency": (-1, 1), "overnight_efficiency": (-1, 1), "early_straightness": (-1, 1),
    "early_up_bar_share": (0, 1), "early_share_above_vwap": (0, 1), "overnight_gap_filled": (0, 1),
    "overnight_range_break": (-1, 1), "early_open_outside": (-1, 1), "early_weekday": (1, 7),
    "regime_atr_rank_252": (0, 100), "regime_adx_14": (0, 100), "regime_garman_klass_rank_252": (0, 100),
    "regime_garman_klass_state": (0, 2), "regime_close_location": (0, 1), "vix_early_direction": (-1, 1),
    "regime_sessions_since_high_20": (1, 20), "early_minutes_since_high": (0, 30), "early_high_tests": (0, 1),
    "regime_directional_difference_14": (-100, 100),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(BOUNDS))
def test_bounds_hold_and_are_used(made, name):
    """Check 58."""
    low, high = BOUNDS[name]
    values = made.rows[name].drop_nulls()
    assert values.min() >= low
    assert values.max() <= high
    if name != "early_high_tests":
        assert values.n_unique() > 1


def test_never_infinite_and_every_feature_is_there(made):
    values = made.rows.select(made.features)
    assert set(made.features) == set(OWN)
    assert values.select((~pl.all().is_finite()).sum()).row(0) == (0,) * len(OWN)
    assert values.tail(1).null_count().row(0) == (0,) * len(OWN)


def test_only_what_was_known_before_the_session_is_in_the_regime():
    """No feature of the regime reads a bar of the session or another market."""
    for each in OWN.values():
        if each.family == "session_regime":
            named = roots(each.expression, SHARED)
            assert not any(name.startswith("_early_") or name.endswith(("_now", "_before")) for name in named)
            assert lookback(each) >= 2


def test_no_feature_is_a_level(made):
    """Prices times 8 (exact): every feature the same. Levels of one product say nothing of another year."""
    scaled = MARKET.bars.with_columns(pl.col("open", "high", "low", "close") * 8, pl.col("volume") / 8)
    again = session_rows(scaled, MARKET.hours, None, "10:15", ZONE, list(OWN.values()), None, MARKET.markets)
    for name in made.features:
        a, b = (each.rows[name].fill_null(-9.0).to_numpy() for each in (made, again))
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9, err_msg=name)


def levels(*rows):
    """Levels ``(day, clock, level, daily)``, known as they stand."""
    made = [(moment(day, at), level, moment(day, at), daily) for day, at, level, daily in rows]
    return pl.DataFrame(
        made, schema={"at": MOMENT, "level": pl.Float64, "known_at": MOMENT, "daily": pl.Boolean}, orient="row"
    )


FRIDAY = dt.date(2024, 1, 5)


def test_other_markets_as_of_the_cut_off():
    """S4.02: percent for the volatility index, points for the yield; a level after the cut-off is not seen."""
    vix = levels((FRIDAY, "16:15", 18, True), (MONDAY, "16:15", 20, True), (TUESDAY, "10:30", 21, False),
                 (TUESDAY, "10:31", 90, False))  # fmt: skip
    ten = levels((FRIDAY, "18:00", 4.0, True), (MONDAY, "18:00", 4.25, True), (TUESDAY, "18:00", 9.0, True))
    made = rows_of(
        bars([*YESTERDAY, *TODAY]), HOURS, "vix_early_change_pct", "vix_early_level", "vix_early_direction",
        "ten_year_early_change_points", "ten_year_early_direction", "crude_early_change_pct",
        markets={"vix": vix, "ten_year": ten},
    )  # fmt: skip
    assert value(made, "vix_early_change_pct", TUESDAY) == pytest.approx(5.0)
    assert value(made, "vix_early_level", TUESDAY) == 21
    assert value(made, "vix_early_direction", TUESDAY) == 1.0
    assert value(made, "ten_year_early_change_points", TUESDAY) == pytest.approx(0.25)
    assert "crude_early_change_pct" not in made.features
    assert any("`crude`" in note for note in made.notes)
    said = dict(made.lineage.select("feature", "source").rows())
    assert said["ten_year_early_change_points"] == "ten_year: daily, known before the open"
    assert said["vix_early_level"] == "vix: its last level by the cut-off"


def test_yesterdays_close_does_not_stand_in_for_todays_level():
    """Once a market is seen within the session, a session without it is null; daily ones before that say so."""
    vix = levels((FRIDAY, "09:00", 17, True), (FRIDAY, "16:15", 18, True), (MONDAY, "10:00", 19, False),
                 (MONDAY, "16:15", 20, True))  # fmt: skip
    made = rows_of(bars([*YESTERDAY, *TODAY]), HOURS, "vix_early_level", markets={"vix": vix}, label=None)
    assert value(made, "vix_early_level", MONDAY) == 19
    assert value(made, "vix_early_level", TUESDAY) is None


def test_a_correction_of_an_older_level_is_not_the_newest():
    """Monday's level restated on Tuesday morning does not become what Tuesday's is."""
    rows = levels((FRIDAY, "16:00", 17, True), (MONDAY, "16:00", 18, True))
    late = levels((FRIDAY, "16:00", 90, True)).with_columns(
        pl.lit(moment(TUESDAY, "09:00")).cast(MOMENT).alias("known_at")
    )
    given = bars([*YESTERDAY, *TODAY])
    made = rows_of(given, HOURS, "vix_early_level", markets={"vix": pl.concat([rows, late])}, label=None)
    assert value(made, "vix_early_level", TUESDAY) == 18


def test_a_level_known_before_it_stood_is_refused():
    wrong = levels((MONDAY, "16:00", 18, True)).with_columns(pl.col("known_at") - pl.duration(hours=16))
    with pytest.raises(BadInput, match="`vix` were known before they stood"):
        rows_of(bars([*YESTERDAY, *TODAY]), HOURS, "vix_early_level", markets={"vix": wrong})
    with pytest.raises(BadInput, match="no column `daily`"):
        rows_of(bars([*YESTERDAY, *TODAY]), HOURS, "vix_early_level", markets={"vix": wrong.drop("daily")})


def test_a_market_that_is_never_there_by_the_cut_off_is_left_out():
    late = levels((MONDAY, "11:00", 18, False), (TUESDAY, "11:00", 18, False))
    made = rows_of(bars([*YESTERDAY, *TODAY]), HOURS, "vix_early_direction", "early_weekday", markets={"vix": late})
    assert made.features == ("early_weekday",)


def test_sessions_of_the_calendar_before_the_first_data_are_no_gaps():
    """A calendar that begins long before the bars gives the true ranges that one from their first day gives."""
    few = MARKET.bars.filter(pl.col("session") >= MARKET.hours["session"][300])
    whole, own = (
        session_rows(few, calendar, None, "10:15", ZONE, [OWN["regime_atr_pct"]], None, {}).rows
        for calendar in (MARKET.hours, MARKET.hours.tail(40))
    )
    assert whole.equals(own)
    assert whole["atr"].null_count() == 15


def test_an_old_level_says_nothing():
    old = levels((FRIDAY - dt.timedelta(days=9), "16:00", 17, True), (FRIDAY - dt.timedelta(days=8), "16:00", 18, True))
    made = rows_of(bars([*YESTERDAY, *TODAY]), HOURS, "vix_early_level", markets={"vix": old}, label=None)
    assert "vix_early_level" not in made.features


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 60), st.booleans())
def test_a_session_over_midnight_has_one_high(at, before_midnight):
    """Check 65: from 18:00 to the regular open there is one overnight high, on whichever side of midnight."""
    day, evening = TUESDAY, moment(MONDAY, "18:00")
    offset = at % 20 if before_midnight else 26 + at % 34
    night = [
        (day, evening + dt.timedelta(minutes=15 * k), 100, 109 if k == offset else 101, 99, 100, 1) for k in range(62)
    ]
    rows = [*flat_day(MONDAY), *night, *flat_day(day, 104.0, wide=0.5)]
    calendar = hours([MONDAY, day], overnight=True)
    made = rows_of(bars(rows), calendar, "overnight_open_position", cutoff="10:00", label=None)
    assert made.rows["session"].to_list() == [MONDAY, day]
    assert value(made, "overnight_open_position", day) == pytest.approx((104 - 99) / (109 - 99))


def test_the_days_that_features_stand_on_are_those_of_the_calendar():
    """The days of the pandas oracle are ours: nothing before the open or after the close is in them."""
    own = days(placed(MARKET.bars, MARKET.hours, "10:15", ZONE))
    assert own.height == 340
    assert own["volume"].sum() < MARKET.bars["volume"].sum()
