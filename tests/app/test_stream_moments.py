"""Bars into moments, messages into bars: late, twice, out of order, torn, without a zone."""

import datetime as dt
import json

import polars as pl
import pytest
import stream_parts as small

from openbell.app.stream.bars import Reader, schema_of
from openbell.app.stream.moments import Batch, Moments
from openbell.app.stream.running import open_seconds

ROWS = small.bars(minutes=4).rows(named=True)
A1, A2, A3, A4, B1, B2, B3, B4 = ROWS
START = small.OPENS[0]


def batch(*rows, received=0.0, **other) -> Batch:
    return Batch(pl.DataFrame(list(rows), schema=dict(schema_of("1m"))), received, **other)


def names(moments) -> list[tuple]:
    return [
        ((each.at - START) // small.MINUTE, "".join(sorted(row[0] for row in each.bars["symbol"])), each.late)
        for each in moments
    ]


def test_a_moment_closes_when_all_known_symbols_are_there() -> None:
    moments = Moments({"AAA", "BBB"}, 2.0)
    assert moments.add(batch(A1), 0.0) == []
    assert names(moments.add(batch(B1, received=0.5), 0.5)) == [(1, "AB", False)]


def test_a_later_bar_closes_it_and_grace_does() -> None:
    """The missing symbol must hold nobody up for longer; grace counts from the last bar that came."""
    moments = Moments({"AAA", "BBB"}, 2.0)
    moments.add(batch(A1), 0.0)
    assert names(moments.add(batch(A2, received=1.0), 1.0)) == [(1, "A", False)]
    assert moments.due(2.9) == []
    assert names(moments.due(3.0)) == [(2, "A", False)]
    assert moments.due(9.0) == []


def test_a_bar_of_a_moment_that_is_over_is_late_and_an_older_one_before_the_open_one_is_not() -> None:
    moments = Moments({"AAA", "BBB"}, 2.0)
    moments.add(batch(A2), 0.0)
    assert names(moments.add(batch(A1), 0.0)) == [(1, "A", False)]
    assert names(moments.add(batch(B2), 0.0)) == [(2, "AB", False)]
    assert names(moments.add(batch(B1), 0.0)) == [(1, "B", True)]


def test_without_known_symbols_those_of_the_moment_before_are_waited_for() -> None:
    moments = Moments((), 2.0)
    moments.add(batch(A1, B1), 0.0)
    assert names(moments.add(batch(A2), 0.0)) == [(1, "AB", False)]
    assert names(moments.add(batch(B2), 0.0)) == [(2, "AB", False)]


def test_the_position_never_passes_a_bar_that_is_still_waiting() -> None:
    """Kills: the id of the newest entry as the place to go on from, which loses the bars of the open moment."""
    moments = Moments({"AAA", "BBB"}, 2.0)
    (done,) = moments.add(batch(A1, B1, A2, before="0-0", position="3-0"), 0.0)
    assert done.position == "0-0"
    (done,) = moments.add(batch(B2, before="3-0", position="4-0"), 0.0)
    assert done.position == "4-0"
    moments.add(batch(A3, before="4-0", position="5-0"), 0.0)
    (done,) = moments.add(batch(A4, before="5-0", position="6-0"), 0.0)
    assert done.position == "5-0"
    assert moments.flush(9.0)[0].position == "6-0"


def test_a_replay_hands_whole_moments() -> None:
    assert names(Moments({"AAA", "BBB"}, 2.0).add(batch(A1, whole=True), 0.0)) == [(1, "A", False)]


# ------------------------------------------------------------------------------------------------------------ messages


def read(*messages, base="1m", factors=None):
    told = []
    return Reader(base, small.SESSIONS, told.append, factors or {}).frame(messages), told


def test_a_bar_is_read_by_its_end_or_its_start() -> None:
    plain, told = read(small.message(A1))
    started, also = read(small.message(A1, at=None, start=START.isoformat()))
    assert told == also == []
    assert plain.equals(started)
    assert plain["session"].to_list() == [small.SESSIONS.dates[0]]
    many, _ = read(f"[{small.message(A1)}, {small.message(B1)}]")
    assert many["symbol"].to_list() == ["AAA", "BBB"]


def test_another_clock_is_the_same_moment() -> None:
    """Check 40. The zone of the machine says nothing: a bar is where its own zone puts it."""
    tokyo = A1["at"].astimezone(dt.timezone(dt.timedelta(hours=9))).isoformat()
    assert read(small.message(A1, at=tokyo))[0].equals(read(small.message(A1))[0])


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "no JSON"),
        ("7", "object"),
        ("[" * 5000, "no JSON"),
        (small.message(A1, at="2024-03-11T13:31:00"), "no time zone"),
        (small.message(A1, at="yesterday"), "tells no moment"),
        (small.message(A1, at=7), "tells no moment"),
        (small.message(A1, at="2024-03-11T13:30:00+00:00"), "in no session"),
        (small.message(A1, at="2024-03-11T20:00:01+00:00"), "in no session"),
        (small.message(A1, at=None, start="2024-03-11T20:00:00+00:00"), "in no session"),
        (small.message(A1, at="2031-03-11T14:00:00+00:00"), "in no session"),
        (small.message(A1, symbol=""), "1 to 10"),
        (small.message(A1, symbol=None), "1 to 10"),
        (small.message(A1, symbol="ELEVENCHARS"), "1 to 10"),
        (small.message(A1, close="12"), "no number"),
        (small.message(A1, close=True), "no number"),
        (small.message(A1).replace("100.0", "NaN"), "no number"),
        (small.message(A1, volume=None), "no volume"),
    ],
)
def test_what_cannot_be_read_is_told_and_the_rest_goes_on(text, sentence) -> None:
    found, told = read(text, small.message(B1))
    assert found["symbol"].to_list() == ["BBB"]
    assert len(told) == 1
    assert sentence in told[0]


def test_too_many_bars_in_one_message_are_refused() -> None:
    found, told = read(json.dumps([1] * 10_001))
    assert found.is_empty()
    assert "10,001" in told[0]


def test_daily_bars_are_adjusted_as_the_stored_ones_were_last() -> None:
    """A factor of 1.5 in price and 2 in shares; kills: raw bars that continue an adjusted history as a jump."""
    told = small.message(A1, session="2024-03-12")
    (row,) = read(told, base="1d", factors={"AAA": (1.5, 2.0)})[0].rows(named=True)
    assert row["at"] == small.SESSIONS.closes[1]
    assert row["close"] == pytest.approx(1.5 * A1["close"])
    assert row["raw_close"] == A1["close"]
    assert row["volume"] == A1["volume"] / 2.0


def test_a_daily_bar_of_a_session_that_is_not_over_is_refused() -> None:
    after = small.message(A1, at="2024-03-11T21:00:00+00:00")
    during = small.message(A1, at="2024-03-12T15:00:00+00:00")
    found, told = read(after, during, small.message(A1, session="2024-03-10"), base="1d")
    assert found["session"].to_list() == [small.SESSIONS.dates[0]]
    assert "would not be complete" in told[0]
    assert "not a session" in told[1]


@pytest.mark.parametrize(
    ("until", "seconds"),
    [(30, 30.0), (0, 0.0), (-5, -5.0), (3_600, 1_800.0), (18 * 3_600 + 1_800, 3_600.0)],
)
def test_only_open_seconds_age_a_bar(until, seconds) -> None:
    """Half an hour before the close; the night does not count: 18.5 h later the next session is half an hour old."""
    since = small.SESSIONS.closes[0] - dt.timedelta(minutes=30)
    assert open_seconds(small.SESSIONS, since, since + dt.timedelta(seconds=until)) == seconds
