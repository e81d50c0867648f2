"""The stock that lies inside an installed package: read as it is, and its last, unfinished day left out."""

import datetime as dt

import polars as pl

from openbell.market.providers.sample_stock import sample_bars_within, sample_stock


def test_the_daily_bars_are_whole_and_the_unfinished_day_is_left_out():
    bars = sample_stock().bars
    assert bars.height == 11_503
    assert bars["session"].is_sorted()
    assert bars["session"][-1] == dt.date(2026, 8, 5)
    last = bars.row(-1, named=True)
    assert round(last["close"], 2) == 311.0
    assert (bars["high"] >= bars["low"]).all()


def test_bars_within_the_session_begin_where_they_say():
    minutes = sample_bars_within("1m")
    first = minutes["start"][0]
    assert first == dt.datetime(2026, 7, 29, 13, 30, tzinfo=dt.UTC)
    assert minutes["start"].dt.date().n_unique() == 7
    hours = sample_bars_within("1h")
    assert hours["start"].dt.convert_time_zone("America/New_York").dt.hour().unique().sort().to_list()[0] == 9
    assert hours.filter(pl.col("close") <= 0).is_empty()
