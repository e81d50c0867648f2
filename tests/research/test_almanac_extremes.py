"""When the high and the low of a session are set: by trading session, the first of equals, and how early they stand."""

import datetime as dt
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from tests.research.almanac_world import NOVEMBER, bars, hours, made, moment

from openbell.core.errors import BadInput, DataMissing
from openbell.quant.intervals import wilson, wilson_shares
from openbell.quant.trend_tests import trend as trend_of
from openbell.research.almanac_days import almanac
from openbell.research.almanac_extremes import extremes, heatmap, rolling, survival, trend, trend_sentence

ALMANAC = made(minutes=15)
DAY = NOVEMBER[5]


def with_prices(changes):
    """Bars of 15 minutes, flat at 100 but for `changes`: (session, clock of the bar's end, day before) to high, low."""
    rows = bars(minutes=15).with_columns(open=pl.lit(100.0), high=pl.lit(101.0), low=pl.lit(99.0), close=pl.lit(100.0))
    for (day, clock), (high, low) in changes.items():
        here = pl.col("at") == moment(day, clock)
        rows = rows.with_columns(
            high=pl.when(here).then(high).otherwise(pl.col("high")),
            low=pl.when(here).then(low).otherwise(pl.col("low")),
        )
    return almanac(rows, hours())


def test_a_session_that_spans_midnight_has_one_high():
    """Check 65: the evening belongs to the session, so its high stands for the whole of it."""
    evening = DAY - dt.timedelta(days=1)
    found = extremes(with_prices({(evening, "20:00"): (105.0, 99.0), (DAY, "11:00"): (104.0, 95.0)}))
    row = found.rows.filter(pl.col("session") == DAY).row(0, named=True)
    assert (row["high"], row["high_minute"], row["high_regular_minute"], row["high_clock"]) == (105.0, 120, -810, 1200)
    assert row["high_at"] == moment(evening, "20:00")
    assert (row["low"], row["low_minute"], row["low_regular_minute"], row["low_clock"]) == (95.0, 1020, 90, 660)
    assert found.n == len(NOVEMBER)
    assert found.rows["session"].is_unique().all()


def test_of_equal_highs_the_first_counts():
    found = extremes(with_prices({(DAY, "10:00"): (104.0, 99.0), (DAY, "14:00"): (104.0, 99.0)})).rows
    row = found.filter(pl.col("session") == DAY).row(0, named=True)
    assert row["high_clock"] == 600
    assert row["low_minute"] == 15  # every other bar has the same low: the first bar


def test_regular_hours_know_nothing_of_the_night():
    evening = DAY - dt.timedelta(days=1)
    found = extremes(with_prices({(evening, "20:00"): (105.0, 99.0), (DAY, "10:00"): (104.0, 99.0)}), regular=True)
    row = found.rows.filter(pl.col("session") == DAY).row(0, named=True)
    assert (row["high"], row["high_minute"], row["length"]) == (104.0, 30, 390)
    assert found.rows.filter(pl.col("session") == dt.date(2023, 11, 24))["length"].item() == 210


def test_the_clock_change_does_not_move_the_minutes():
    """Monday, 6 November: its session opens on a Sunday evening in winter time, the one before in summer time."""
    friday, monday = dt.date(2023, 11, 3), dt.date(2023, 11, 6)
    found = extremes(with_prices({(friday, "10:00"): (104.0, 99.0), (monday, "10:00"): (104.0, 99.0)})).rows
    minutes = found.filter(pl.col("session").is_in([friday, monday]))["high_minute"].to_list()
    assert minutes == [960, 960]


def test_extremes_are_those_of_a_loop():
    found = extremes(ALMANAC).rows
    parts = ALMANAC.bars.partition_by("session", maintain_order=True)
    for row, part in zip(found.iter_rows(named=True), parts, strict=True):
        place = int(np.argmax(part["high"].to_numpy()))
        assert (row["high"], row["high_minute"]) == (part["high"].max(), part["minute"][place])
        place = int(np.argmin(part["low"].to_numpy()))
        assert (row["low"], row["low_minute"]) == (part["low"].min(), part["minute"][place])


def test_bars_that_do_not_reach_the_ends_of_a_session_are_told_of():
    rows = bars(minutes=15).filter(pl.col("at").dt.convert_time_zone("America/New_York").dt.hour().is_between(9, 16))
    found = extremes(almanac(rows, hours()))
    assert "23 of 23 sessions have no bars in their first or last 30 minutes" in found.notes[0]
    told = extremes(almanac(rows, hours()), regular=True).notes
    assert len(told) == 1
    assert "Regular hours alone" in told[0]  # mutant: a high of the night that nobody says was not looked for


def test_survival_counts_the_extremes_that_stand():
    found = extremes(ALMANAC)
    rows = survival(found, step_minutes=31)
    assert rows["minute"].max() == 1380
    for name in ("high", "low"):
        part, minutes = rows.filter(pl.col("extreme") == name), found.rows[f"{name}_minute"].to_numpy()
        assert part["share"].to_list() == pytest.approx([(minutes <= t).mean() for t in part["minute"]])
        assert part["share"].is_sorted()
        assert (part["share"][0], part["share"][-1]) == (0.0, 1.0)
    assert not rows["sufficient"].any()
    assert ((rows["low"] <= rows["share"]) & (rows["share"] <= rows["high"])).all()


def test_intervals_of_many_shares_are_wilsons():
    hits = np.array([0, 1, 11, 22, 23])
    low, high = wilson_shares(hits, 23, 0.9)
    wanted = [wilson(int(each), 23, 0.9) for each in hits]
    assert low == pytest.approx([each[0] for each in wanted], abs=1e-12)
    assert high == pytest.approx([each[1] for each in wanted], abs=1e-12)
    assert np.isnan(wilson_shares(np.array([0]), 0)).all()


@pytest.mark.parametrize(("by", "days"), [("weekday", 5), ("month", 2)])
def test_heatmap_holds_every_session_once(by, days):
    found = extremes(ALMANAC)
    rows = heatmap(found, "low", by=by)
    assert rows["count"].sum() == found.n
    assert rows.height == days * 92
    sums = rows.group_by(by, "n").agg(pl.col("count").sum(), pl.col("share").sum())
    assert sums["count"].to_list() == sums["n"].to_list()
    assert sums["share"].to_list() == pytest.approx([1.0] * days)


def test_a_slot_holds_the_bars_that_end_in_it():
    """The bar that ends at 10:00 is of the slot from 9:45, not of the next."""
    found = heatmap(extremes(with_prices({(DAY, "10:00"): (104.0, 99.0)}), regular=True))
    row = found.filter((pl.col("weekday") == DAY.isoweekday()) & (pl.col("label") == "09:45")).row(0, named=True)
    assert (row["count"], row["slot"], row["name"]) == (1, 15, "Mon")


def many(minutes):
    """Extremes of as many sessions, their highs at `minutes`."""
    days = [dt.date(2015, 1, 1) + dt.timedelta(days=n) for n in range(len(minutes))]
    rows = pl.DataFrame({"session": days, "high_minute": minutes})
    return replace(extremes(ALMANAC), rows=rows)


def test_rolling_median_is_polars_and_nobody_knows_it_early():
    minutes = np.random.default_rng(0).integers(1, 1380, 150)
    rows = rolling(many(minutes))
    wanted = rows["minute"].cast(pl.Float64).rolling_median(63)
    assert rows["median"].to_list() == wanted.to_list()
    assert rows["median"].null_count() == 62
    assert ((rows["low"] <= rows["median"]) & (rows["median"] <= rows["high"])).drop_nulls().all()


def test_trend_is_of_sessions_and_not_of_their_rolling_median():
    """The rolling median of times without any trend has one more often than not, if its own n is believed."""
    minutes = np.random.default_rng(3).integers(1, 1380, 400)
    found = trend(many(minutes))
    assert found.test.n == 400
    assert found.test.p > 0.05
    medians = rolling(many(minutes))["median"].drop_nulls().to_numpy()
    assert trend_of(medians, autocorrelated=False).test.p < 1e-6
    assert "no trend" in trend_sentence(found)
    assert "a year" in trend_sentence(found)
    few = trend(many(minutes[:31]))
    assert f"{30 * few.line.slope:+.1f} minutes from the first session to the last" in trend_sentence(few)


def test_a_planted_drift_is_found_and_said():
    minutes = 600 - np.arange(400) // 2 + np.random.default_rng(1).integers(-50, 50, 400)
    found = trend(many(minutes))
    assert found.line.low < -0.5 < found.line.high
    assert trend_sentence(found).startswith("The high comes earlier over the sessions: -12")


def test_refusals():
    found = extremes(ALMANAC)
    with pytest.raises(DataMissing, match="No session is left"):
        extremes(ALMANAC, sessions=pl.Series([dt.date(1999, 1, 4)]))
    with pytest.raises(BadInput, match="Did you mean `high`"):
        heatmap(found, "hig")
    with pytest.raises(BadInput, match="There is no key of the heat-map `year`"):
        heatmap(found, by="year")
    with pytest.raises(BadInput, match="was 0"):
        survival(found, step_minutes=0)
    with pytest.raises(BadInput, match="There is no extreme"):
        trend(found, "middle")
