"""Longer bars by completed bars only: a hand-worked table, an oracle in Polars, and bar by bar against all at once."""

import datetime as dt

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openbell.core.bars import BAR_COLUMNS
from openbell.core.errors import BadInput
from openbell.core.time import MOMENT, Sessions
from openbell.quant.bar_frames import FrameBuilder, SessionTimes, bar_matrix, fields_of, frames_of, on_grid

UTC = dt.UTC
#: A full winter day, the early close after Thanksgiving, and the two days around the end of summer time.
SESSIONS = Sessions(
    "XNYS",
    (dt.date(2022, 11, 4), dt.date(2022, 11, 7), dt.date(2022, 11, 25)),
    tuple(dt.datetime(2022, 11, day, hour, 30, tzinfo=UTC) for day, hour in ((4, 13), (7, 14), (25, 14))),
    tuple(dt.datetime(2022, 11, day, hour, tzinfo=UTC) for day, hour in ((4, 20), (7, 21), (25, 18))),
)


def minute_bars(day, ends, symbol="A", start=100.0):
    """Bars whose numbers tell their minute: the k-th after the open closes at start + k."""
    opened = SESSIONS.open(day)
    return pl.DataFrame(
        {
            "symbol": [symbol] * len(ends),
            "at": pl.Series([opened + dt.timedelta(minutes=k) for k in ends], dtype=MOMENT),
            "open": [start + k - 0.5 for k in ends],
            "high": [start + k + 1.0 for k in ends],
            "low": [start + k - 1.0 for k in ends],
            "close": [start + float(k) for k in ends],
            "volume": [10.0 * k for k in ends],
        }
    )


def clock(frame):
    return frame["at"].dt.convert_time_zone("America/New_York").dt.strftime("%H:%M").to_list()


def test_hand_worked_table():
    """Kills: a boundary bar in the wrong interval, an end that is carried on, session columns of the whole day."""
    five = frames_of(minute_bars(dt.date(2022, 11, 25), [1, 2, 4, 5, 6, 7, 11]), "1m", SESSIONS)["5m"]
    rows = five.select("open", "high", "low", "close", "volume", "session_volume", "session_minutes").rows()
    # 09:31 .. 09:35 without 09:33; 09:36 and 09:37 are complete only when 09:41 has come, at 09:40.
    assert rows == [
        (100.5, 106.0, 100.0, 105.0, 120.0, 120.0, 5.0),
        (105.5, 108.0, 105.0, 107.0, 130.0, 250.0, 10.0),
    ]
    assert clock(five) == ["09:35", "09:40"]
    complete = five["complete_at"].dt.convert_time_zone("America/New_York").dt.strftime("%H:%M").to_list()
    assert complete == ["09:35", "09:41"]
    base = frames_of(minute_bars(dt.date(2022, 11, 25), [1, 2]), "1m", SESSIONS)["1m"]
    assert base["session_open"].to_list() == [100.5, 100.5]
    assert base["session_low"].to_list() == [100.0, 100.0]
    assert base["session_value_usd"].to_list() == [10 * 101.0, 10 * 101.0 + 20 * 102.0]


@pytest.mark.parametrize(
    ("day", "hours"),
    [
        (dt.date(2022, 11, 4), ["10:30", "11:30", "12:30", "13:30", "14:30", "15:30", "16:00"]),
        (dt.date(2022, 11, 7), ["10:30", "11:30", "12:30", "13:30", "14:30", "15:30", "16:00"]),
        (dt.date(2022, 11, 25), ["10:30", "11:30", "12:30", "13:00"]),
    ],
)
def test_hours_count_from_the_open_and_end_with_the_close(day, hours):
    """Early close and both sides of the clock change. Kills: boundaries on the clock, a last hour past the close."""
    length = int((SESSIONS.close(day) - SESSIONS.open(day)).total_seconds() // 60)
    frames = frames_of(minute_bars(day, list(range(1, length + 1))), "1m", SESSIONS)
    assert clock(frames["1h"]) == hours
    assert clock(frames["1d"]) == hours[-1:]
    assert frames["1d"]["session_minutes"].to_list() == [float(length)]
    assert (frames["1h"]["at"] == frames["1h"]["complete_at"]).all()


def test_a_missing_close_completes_the_day_with_the_next_session():
    """Kills: a day that waits for ever for its last minute, and one whose figures run on over the night."""
    bars = pl.concat([minute_bars(dt.date(2022, 11, 4), [1, 385]), minute_bars(dt.date(2022, 11, 7), [2, 3])])
    days = frames_of(bars, "1m", SESSIONS)["1d"]
    assert days.height == 1
    assert days["at"].to_list() == [SESSIONS.close(dt.date(2022, 11, 4))]
    assert days["complete_at"].to_list() == [bars["at"][2]]
    assert days["session"].to_list() == [dt.date(2022, 11, 4)]
    assert days["volume"].to_list() == [10.0 + 3850.0]


def test_hours_outside_the_session_are_not_in_any_bar():
    """Kills: pre-market volume in the first bar."""
    early = minute_bars(dt.date(2022, 11, 4), [-30, 0, 1, 390, 391])
    frames = frames_of(early, "1m", SESSIONS)
    assert frames["1m"].height == 2
    assert frames["1d"]["open"].to_list() == [100.5]


def oracle(bars, minutes):
    """Group by the interval, in Polars' own aggregates; incomplete last intervals are left to the caller."""
    rows = bars.with_columns(pl.col("at").dt.convert_time_zone("America/New_York").dt.date().alias("session"))
    rows = rows.join(SESSIONS.frame, on="session")
    length = pl.duration(minutes=minutes)
    number = ((pl.col("at") - pl.col("open_at")) / length).ceil()
    end = pl.min_horizontal(
        pl.col("open_at") + number.cast(pl.Int64) * minutes * 60_000_000 * pl.duration(microseconds=1), "close_at"
    )
    return (
        rows.with_columns(end.cast(MOMENT).alias("end"))
        .group_by("symbol", "end", maintain_order=True)
        .agg(
            pl.col("open").first(), pl.col("high").max(), pl.col("low").min(), pl.col("close").last(),
            pl.col("volume").sum(), pl.col("at").last().alias("last"),
        )
    )  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(st.sets(st.integers(1, 390), min_size=1, max_size=60), st.sets(st.integers(1, 390), max_size=40))
def test_equal_to_the_oracle_and_bar_by_bar(first, second):
    """All frames: the grouped bars, less the last that nothing has completed; one at a time to the bit."""
    bars = pl.concat(
        [minute_bars(dt.date(2022, 11, 4), sorted(first)), minute_bars(dt.date(2022, 11, 7), sorted(second))]
    )
    frames = frames_of(bars, "1m", SESSIONS)
    for frame, minutes in (("5m", 5), ("15m", 15), ("1h", 60)):
        expected = oracle(bars, minutes)
        done = expected.filter((pl.col("end") == pl.col("last")) | (pl.int_range(pl.len()) < expected.height - 1))
        assert frames[frame]["at"].to_list() == done["end"].to_list()
        got = frames[frame].select("open", "high", "low", "close", "volume").rows()
        assert got == done.select("open", "high", "low", "close", "volume").rows()
    _same_bar_by_bar(bars, frames)


def _same_bar_by_bar(bars, frames):
    times = SessionTimes.of(SESSIONS)
    builder, found = FrameBuilder("1m"), {frame: [] for frame in ("5m", "15m", "1h", "1d")}
    builder.grow(1)
    for row in range(bars.height):
        at = bars["at"][row : row + 1].to_physical().to_numpy()
        place, inside = times.places(at)
        assert inside.all()
        if row % 7 == 3:  # taken from a snapshot as well as kept
            again = FrameBuilder("1m")
            again.from_arrays({name: array.copy() for name, array in builder.to_arrays().items()})
            builder = again
        parts = builder.advance(
            np.zeros(1, np.int64), at, times.opens[place], times.closes[place], bar_matrix(bars[row])
        )
        for frame, part in zip(found, parts, strict=True):
            found[frame].append(part.values)
    for frame, values in found.items():
        whole = frames[frame].select(BAR_COLUMNS).fill_null(np.nan).to_numpy().reshape(-1, len(BAR_COLUMNS))
        np.testing.assert_array_equal(np.concatenate(values), whole)


def test_fields_that_the_data_lack_are_null():
    """Kills: a volume of 0 for none, and a bid made from the close."""
    bars = minute_bars(dt.date(2022, 11, 4), [1, 2]).with_columns(pl.lit(None, dtype=pl.Float64).alias("volume"))
    assert fields_of(bars) == ("open", "high", "low", "close")
    base = frames_of(bars, "1m", SESSIONS, fields_of(bars))["1m"]
    for name in ("volume", "raw_volume", "bid", "ask", "session_volume", "session_value_usd"):
        assert base[name].null_count() == 2
    assert base["fill_price"].to_list() == base["open"].to_list() == base["raw_open"].to_list()


def test_the_grid():
    """Whole bars from the open or on the clock, and the close; nothing between."""
    open_us, close_us = 13 * 3_600_000_000 + 1_800_000_000, 20 * 3_600_000_000 - 600_000_000
    minutes = np.array([60.0, 30.0, 380.0, 45.0, 60.5])  # 14:30, 14:00, the close at 19:50, 14:15, half a minute
    at = (open_us + minutes * 60_000_000).astype(np.int64)
    assert on_grid(at, np.full(5, open_us), np.full(5, close_us), 60).tolist() == [True, True, True, False, False]
    assert on_grid(at, np.full(5, open_us), np.full(5, close_us), None).tolist() == [False, False, True, False, False]


def test_an_unknown_frame_is_refused_with_the_valid_ones():
    with pytest.raises(BadInput, match="There is no frame of bars `2m`"):
        FrameBuilder("2m")
