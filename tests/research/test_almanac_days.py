"""The almanac's days: which session a bar is of, what a day was, and which day is the one before."""

import datetime as dt

import polars as pl
import pytest
from tests.research.almanac_world import EARLY, NOVEMBER, ZONE, bars, hours, made, moment

from openbell.core.errors import BadInput, DataMissing
from openbell.research.almanac_days import almanac, moments_of, prices_at


def by_hand(rows, times):
    """Regular hours of each session, by a loop over plain Python values."""
    days = {}
    for time in times.iter_rows(named=True):
        inside = [
            row for row in rows.iter_rows(named=True) if time["regular_open_at"] < row["at"] <= time["regular_close_at"]
        ]
        if inside:
            days[time["session"]] = {
                "open": inside[0]["open"],
                "high": max(row["high"] for row in inside),
                "low": min(row["low"] for row in inside),
                "close": inside[-1]["close"],
                "volume": sum(row["volume"] for row in inside),
            }
    return days


def test_previous_day_is_the_session_before():
    """Check 63: 22 of 22, over a clock change, a holiday, an early close and weekends."""
    rows = bars()
    found = almanac(rows, hours()).days
    wanted = by_hand(rows, hours())
    right = 0
    for place in range(1, found.height):
        day, before = found.row(place, named=True), wanted[NOVEMBER[place - 1]]
        assert day["session"] == NOVEMBER[place]
        right += all(day[f"prev_{name}"] == pytest.approx(before[name]) for name in before)
    assert (right, found.height - 1) == (22, 22)
    assert found.row(0, named=True)["prev_close"] is None


def test_regular_hours_are_those_of_each_session():
    rows = bars()
    wanted = by_hand(rows, hours())
    for day in almanac(rows, hours()).days.iter_rows(named=True):
        assert {name: day[name] for name in wanted[day["session"]]} == pytest.approx(wanted[day["session"]])


def test_a_session_that_spans_midnight_has_one_high():
    """Check 65: the high of 23:30 the evening before is that of the session, once; not of the day it fell on."""
    rows = bars().with_columns(
        pl.when(pl.col("at") == moment(dt.date(2023, 11, 13), "23:30")).then(500.0).otherwise("high").alias("high")
    )
    days = almanac(rows, hours()).days
    high = days.filter(pl.col("session_high") == 500.0)
    assert high["session"].to_list() == [dt.date(2023, 11, 14)]
    assert high["high"].item() < 500.0


def test_minutes_and_clock_are_of_the_end_of_the_bar_on_both_sides_of_a_clock_change():
    found = made().bars.filter(pl.col("at") == pl.lit(moment(dt.date(2023, 11, 6), "10:00")))
    assert found.select("session", "minute", "clock", "regular").row(0) == (dt.date(2023, 11, 6), 960, 600, True)
    midnight = made().bars.filter(pl.col("session") == dt.date(2023, 11, 7), pl.col("minute") == 360)
    assert midnight["clock"].to_list() == [1440]


def test_a_missing_session_leaves_the_next_without_one_before():
    gone = NOVEMBER[5]
    found = almanac(bars().filter(pl.col("session") != gone), hours())
    after = found.days.filter(pl.col("session") == NOVEMBER[6]).row(0, named=True)
    assert gone not in found.days["session"].to_list()
    assert [after[name] for name in ("prev_close", "gap_pct", "change_pct", "prev_is_green")] == [None] * 4
    assert any("1 of" in note for note in found.notes)


def test_a_session_in_progress_is_no_day():
    """What stands at 10:15 must not pass for a close."""
    last = NOVEMBER[-1]
    found = almanac(bars().filter(pl.col("at") <= moment(last, "11:00")), hours())
    assert last not in found.days["session"].to_list()
    assert found.bars["session"].max() == last


def test_averages_are_of_the_sessions_before():
    """Check 4 (truncation): cutting the data after a session changes nothing that is told of it before its close."""
    whole = made().days
    for cut in (12, 16, 20):
        part = made(NOVEMBER[: cut + 1]).days
        assert part.row(cut) == whole.row(cut)
    day = whole.row(15, named=True)
    assert day["volume_sma_10"] == pytest.approx(whole["volume"][5:15].mean())
    assert day["relative_volume"] == pytest.approx(day["volume"] / whole["volume"][5:15].mean())
    ranges = [
        max(row["high"], row["prev_close"]) - min(row["low"], row["prev_close"])
        for row in whole[1:15].iter_rows(named=True)
    ]
    assert day["atr_14"] == pytest.approx(sum(ranges) / 14)
    assert whole["atr_14"][:15].null_count() == 15


def test_derived_fields_by_hand():
    times = hours(NOVEMBER[:2])
    rows = bars(NOVEMBER[:2], times=times)
    fixed = rows.with_columns(
        pl.lit(v).alias(n) for n, v in {"open": 100.0, "high": 101.0, "low": 98.0, "close": 100.0}.items()
    )
    second = NOVEMBER[1]
    fixed = fixed.with_columns(
        pl.when(pl.col("at") == moment(second, "10:00")).then(100.5).otherwise("open").alias("open"),
        pl.when(pl.col("at") == moment(second, "16:00")).then(99.0).otherwise("close").alias("close"),
    )
    day = almanac(fixed, times).days.row(1, named=True)
    wanted = {
        "day_return": -1.5,
        "day_return_pct": -150 / 100.5,
        "change_pct": -1.0,
        "gap_pct": 0.5,
        "range": 3.0,
        "range_pct": 300 / 100.5,
        "overnight_change_pct": 0.0,
        "overnight_range": 3.0,
        "overnight_range_pct": 3.0,
    }
    assert {name: day[name] for name in wanted} == pytest.approx(wanted)
    assert (day["is_green"], day["is_red"], day["prev_is_green"]) == (False, True, False)


def test_daily_bars_reach_further_back_and_fill_what_has_no_bars():
    daily = pl.DataFrame(
        {
            "session": NOVEMBER[:6],
            **{name: [float(n) for n in range(50, 56)] for name in ("open", "high", "low", "close", "volume")},
        }
    )
    rows = bars().filter(pl.col("session") > NOVEMBER[4])
    found = almanac(rows, hours(), daily)
    assert found.days["source"].to_list()[:6] == ["daily"] * 5 + ["minutes"]
    assert found.days["prev_close"][5] == 54.0
    assert found.days["close"][5] != 55.0
    assert any("5 sessions" in note for note in found.notes)


def test_prices_at_a_time_of_day():
    found = made()
    table = prices_at(found, 20 * 60)
    evening = found.bars.filter(pl.col("clock") == 20 * 60)
    assert table["price"].to_list() == evening["close"].to_list()
    assert table["moment"].to_list() == evening["at"].to_list()
    assert prices_at(found, 17 * 60 + 30)["price"].null_count() == len(NOVEMBER)
    early = prices_at(found, 15 * 60).filter(pl.col("session").is_in(list(EARLY)))
    assert early["price"].to_list() == [None]


def test_the_moment_of_a_time_stands_still_on_the_wall_over_a_clock_change():
    """Check 40: 10:15 is 14:15 UTC in summer and 15:15 in winter."""
    times = hours()
    found = dict(zip(times["session"], moments_of(times, 615, ZONE), strict=True))
    assert {day: at.hour for day, at in found.items()} == {
        day: 14 if day < dt.date(2023, 11, 5) else 15 for day in NOVEMBER
    }


def test_bars_outside_every_session_are_counted():
    stray = (
        bars()
        .head(1)
        .with_columns(pl.lit(moment(dt.date(2023, 11, 23), "12:00")).alias("at").cast(pl.Datetime("us", "UTC")))
    )
    assert any("1 of" in note for note in almanac(pl.concat([bars(), stray]), hours()).notes)


def test_what_is_no_almanac_is_refused():
    with pytest.raises(BadInput, match="one symbol"):
        almanac(pl.concat([bars(), bars(symbol="ES")]), hours())
    with pytest.raises(DataMissing, match="no bars"):
        almanac(bars().clear(), hours())
    with pytest.raises(BadInput, match="high"):
        almanac(bars().drop("high"), hours())
