"""Statistics by the clock and the calendar: bars put together first, pandas as oracle, what is called significant."""

import datetime as dt

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import stats
from tests.research.almanac_world import NOVEMBER, ZONE, bars, hours, made

from openbell.core.errors import BadInput, DataMissing
from openbell.quant.multiple_testing import holm
from openbell.research.almanac_bars import KEYS, PARTS, PatternBars, pattern_bars
from openbell.research.almanac_days import almanac
from openbell.research.almanac_statistics import SERIES, SHOWN, statistics, table, year_lines

ALMANAC = made(minutes=15)
LONG = tuple(day for day in (dt.date(2023, 1, 2) + dt.timedelta(days=n) for n in range(190)) if day.weekday() < 5)


def in_pandas(rows, times, key):
    """Bars by session and `key` of the local beginning of each, put together by pandas."""
    frame = rows.to_pandas().sort_values("at")
    spans = times.to_pandas()
    place = np.searchsorted(spans["close_at"].to_numpy(), frame["at"].to_numpy())
    frame["session"] = spans["session"].to_numpy()[place]
    begun = frame["at"].dt.tz_convert(ZONE) - pd.Timedelta(minutes=15)
    frame["key"] = key(begun)
    parts = frame.groupby(["session", "key"], sort=False)
    found = parts.agg(open=("open", "first"), high=("high", "max"), low=("low", "min"), close=("close", "last"))
    found["change"] = 100 * (found["close"] / found["open"] - 1)
    found["range"] = found["high"] - found["low"]
    return found.reset_index()


def test_hours_are_put_together_before_anything_is_measured():
    """Check 66: an hour's change is from its first open to its last close, its range in points of the whole hour."""
    found = statistics(ALMANAC, "hour").rows
    wanted = in_pandas(bars(minutes=15), hours(), lambda begun: begun.dt.hour).groupby("key")
    for row in found.iter_rows(named=True):
        hour = wanted.get_group(row["hour"])
        assert row["n"] == len(hour)
        assert row["change_mean"] == pytest.approx(hour["change"].mean())
        assert row["change_trimmed_mean"] == pytest.approx(stats.trim_mean(hour["change"], 0.05))
        assert row["change_variance"] == pytest.approx(hour["change"].var())
        assert row["range_median"] == pytest.approx(hour["range"].median())
        assert row["range_mean"] == pytest.approx(hour["range"].mean())
        assert row["range_pct_mean"] == pytest.approx((100 * hour["range"] / hour["open"]).mean())
    minutes = statistics(ALMANAC, "minute").rows
    assert found["range_mean"].mean() > 1.4 * minutes["range_mean"].mean()


def test_hours_stand_in_the_order_of_the_session_and_the_holiday_has_none():
    found = statistics(ALMANAC, "hour").rows
    assert found["hour"].to_list() == [*range(18, 24), *range(17)]
    assert found["label"][0] == "18:00"
    assert found.filter(pl.col("hour") == 18)["n"].item() == len(NOVEMBER)
    assert found.filter(pl.col("hour") == 14)["n"].item() == len(NOVEMBER) - 1  # the early close


def test_minutes_are_of_the_exchanges_clock_on_both_sides_of_a_clock_change():
    """Check 40 and 65: a UTC clock would spread 09:45 over two keys, and midnight would be called 00:00 of no day."""
    found = statistics(ALMANAC, "minute").rows
    assert found.height == 92
    assert found["label"][0] == "18:15"
    assert found.filter(pl.col("label") == "09:45")["n"].item() == len(NOVEMBER)
    assert found.filter(pl.col("minute") == 1440)["label"].item() == "00:00"


def test_parts_of_the_session():
    found = pattern_bars(ALMANAC, "part").rows
    by_session = {part: found.filter(pl.col("part") == part) for part in PARTS}
    assert [len(by_session[part]) for part in PARTS] == [len(NOVEMBER), len(NOVEMBER), len(NOVEMBER) - 1]
    regular = by_session["regular"].join(ALMANAC.days, on="session")
    for name in ("open", "high", "low", "close"):
        assert regular[name].to_list() == regular[f"{name}_right"].to_list()
    overnight = by_session["overnight"].join(ALMANAC.days, on="session")
    assert overnight["change"].to_list() == pytest.approx(overnight["overnight_change_pct"].to_list())


def test_weekdays_and_weeks_of_the_month_are_of_days():
    found, days = statistics(ALMANAC, "weekday").rows, ALMANAC.days.to_pandas()
    means = days.groupby("weekday")["day_return_pct"].mean()
    assert found["change_mean"].to_list() == pytest.approx(means.to_list())
    assert found["label"].to_list() == ["Mon", "Tue", "Wed", "Thu", "Fri"]
    weeks = pattern_bars(ALMANAC, "week_of_month").rows
    assert weeks.filter(pl.col("session") == dt.date(2023, 11, 7))["week_of_month"].item() == 1
    assert weeks.filter(pl.col("session") == dt.date(2023, 11, 8))["week_of_month"].item() == 2


def test_weeks_and_months_are_whole_ones():
    """A month that begins in the data on its 30th and a week that ends on a Thursday are left out, and counted."""
    months = pattern_bars(ALMANAC, "month")
    inside = ALMANAC.days.filter(pl.col("session").dt.month() == 11)
    assert months.rows["month"].to_list() == [11]
    assert months.rows["open"].item() == inside["open"][0]
    assert months.rows["close"].item() == inside["close"][-1]
    assert months.rows["high"].item() == inside["high"].max()
    assert statistics(ALMANAC, "month").notes[-1] == "No row has enough spread to test its mean change."
    assert months.notes == ("1 of 2 months do not have all their sessions and are left out.",)
    weeks = pattern_bars(ALMANAC, "week")
    assert weeks.rows["week"].to_list() == [44, 45, 46, 47]  # the last one ends with Thursday, 30 November
    thanksgiving = ALMANAC.days.filter(pl.col("session").is_between(dt.date(2023, 11, 20), dt.date(2023, 11, 24)))
    assert weeks.rows["low"][3] == thanksgiving["low"].min()


def test_a_hole_in_a_week_leaves_the_week_out():
    times = hours()
    rows = bars(minutes=15).filter(pl.col("session") != dt.date(2023, 11, 8))
    weeks = pattern_bars(almanac(rows, times), "week")
    assert weeks.rows["week"].to_list() == [44, 46, 47]


def test_sessions_that_are_torn_are_left_out_and_counted():
    """A session in progress must not enter an hour half done."""
    last = hours()["regular_open_at"][-1]
    rows = bars(minutes=15).filter(pl.col("at") <= last + dt.timedelta(hours=1))
    found = statistics(almanac(rows, hours()), "hour")
    assert found.rows.filter(pl.col("hour") == 9)["n"].item() == len(NOVEMBER) - 1
    assert "1 sessions whose regular hours are not whole" in found.notes[0]


def test_chosen_sessions_only_and_never_for_weeks():
    chosen = pl.Series([NOVEMBER[2], NOVEMBER[5]])
    assert set(pattern_bars(ALMANAC, "hour", sessions=chosen).rows["session"]) == set(chosen)
    assert set(pattern_bars(ALMANAC, "weekday", sessions=chosen).rows["session"]) == set(chosen)
    for by in ("week", "month"):
        with pytest.raises(BadInput, match="whole weeks or months"):
            pattern_bars(ALMANAC, by, sessions=chosen)
    with pytest.raises(DataMissing, match="No bar is left"):
        pattern_bars(ALMANAC, "hour", sessions=pl.Series([dt.date(2000, 1, 1)]))
    with pytest.raises(BadInput, match="Did you mean `hour`"):
        pattern_bars(ALMANAC, "hours")


@pytest.mark.parametrize("by", KEYS)
def test_every_table_has_every_measure_and_no_nan(by):
    found = statistics(ALMANAC, by)
    assert {f"{series}_{name}" for series in SERIES for name in SHOWN} < set(found.rows.columns)
    assert not any(found.rows[name].is_nan().any() for name in found.rows.columns if found.rows[name].dtype.is_float())
    assert found.rows["sufficient"].to_list() == [n >= 30 for n in found.rows["n"]]


def planted(hours_of_edge, n=120, seed=0, edge=0.6):
    """Bars of 24 hours on `n` sessions, with an edge in some of the hours."""
    random = np.random.default_rng(seed)
    hour = np.tile(np.arange(24), n)
    change = random.normal(size=24 * n) + np.isin(hour, hours_of_edge) * edge
    days = np.repeat(np.datetime64("2020-01-01", "D") + np.arange(n), 24)
    rows = pl.DataFrame({"session": days, "hour": hour, "change": change}).with_columns(
        pl.col("hour").cast(pl.Int32), range=pl.col("change").abs(), range_pct=pl.col("change").abs()
    )
    return PatternBars("hour", rows, {at: f"{at:02d}:00" for at in range(24)}, ())


def test_only_what_survives_looking_at_the_whole_table_is_significant():
    found = table(planted([10]))
    assert found.rows.filter("significant")["hour"].to_list() == [10]
    assert found.rows["p_adjusted"].to_list() == pytest.approx(holm(found.rows["p"].to_numpy()).tolist())
    assert found.tests == 24
    assert "1 of 24 mean changes differ from 0" in found.notes[-1]


@pytest.mark.slow
def test_noise_is_rarely_called_a_pattern():
    """Of 60 tables of 24 hours of nothing, at most 5 % have a significant hour; unadjusted, 70 % would."""
    tables = [table(planted([], seed=seed)).rows for seed in range(60)]
    assert sum(rows["significant"].any() for rows in tables) <= 7
    assert sum((rows["p"] < 0.05).any() for rows in tables) > 25


def test_few_observations_are_never_significant():
    found = table(planted([10], n=29, edge=5.0))
    assert found.rows["p_adjusted"].min() < 1e-6
    assert not found.rows["significant"].any()
    assert "24 of 24 rows have fewer than 30 observations" in found.notes[0]


def test_tests_made_on_other_tables_count():
    alone, beside = table(planted([10])), table(planted([10]), tests=2400)
    assert beside.rows["p_adjusted"].min() == pytest.approx(100 * alone.rows["p_adjusted"].min())
    with pytest.raises(BadInput, match="`tests` was 3"):
        table(planted([10]), tests=3)
    with pytest.raises(BadInput, match="was 1"):
        table(planted([10]), alpha=1.0)


def test_a_price_below_zero_has_no_change_in_percent_but_a_range():
    """Crude, April 2020."""
    rows = bars(minutes=15).with_columns(
        pl.when(pl.col("at") > hours()["regular_close_at"][3])
        .then(pl.col(name) - 200.0)
        .otherwise(pl.col(name))
        .alias(name)
        for name in ("open", "high", "low", "close")
    )
    found = statistics(almanac(rows, hours()), "weekday")
    assert found.rows["range_mean"].null_count() == 0
    assert found.rows["n"].sum() == 4
    assert "open at or below 0" in found.notes[0]


def test_years_begin_at_the_last_close_of_the_year_before():
    days = pl.DataFrame(
        {
            "session": [dt.date(2021, 12, 30), dt.date(2021, 12, 31), dt.date(2022, 1, 3), dt.date(2022, 1, 4)],
            "open": [100.0, 110.0, 121.0, 1.0],
            "close": [110.0, 120.0, 132.0, 60.0],
        }
    )
    found = year_lines(days)
    assert found["change_pct"].to_list() == pytest.approx([10.0, 20.0, 10.0, -50.0])
    assert found["day"].to_list() == [1, 2, 1, 2]
