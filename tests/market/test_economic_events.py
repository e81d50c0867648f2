"""A calendar of economic events: what is released when, and since when everybody knew."""

import datetime as dt

import polars as pl
import pytest

from openbell.core.errors import BadInput
from openbell.market.economic_events import EVENTS, events, import_events, known_events
from openbell.store.tables import Tables

ZONE = "America/New_York"


def frame(**more):
    return pl.DataFrame(
        {
            "date": ["2024-03-12", "2024-11-13"],
            "time": ["08:30", "08:30"],
            "event": ["Consumer Price Index", "Retail Sales"],
            "known_at": ["2023-12-01", "2023-12-01 09:00"],
        }
        | more
    )


def utc(*parts):
    return dt.datetime(*parts, tzinfo=dt.UTC)


def test_times_are_of_the_exchange_on_both_sides_of_a_clock_change():
    """Check 40."""
    rows, notes = events(frame(known_at=["2023-12-01 09:00"] * 2), zone=ZONE)
    assert dict(rows.schema) == dict(EVENTS)
    assert rows["name"].to_list() == ["CPI", "RETAIL_SALES"]
    assert rows["at"].to_list() == [utc(2024, 3, 12, 12, 30), utc(2024, 11, 13, 13, 30)]
    assert rows["known_at"].to_list() == [utc(2023, 12, 1, 14)] * 2
    assert notes == []


def test_a_day_of_announcement_counts_from_its_end():
    """What is announced during a day is not known before that day's open."""
    rows, _ = events(frame(known_at=["2024-03-11", "2023-12-01"]), zone=ZONE)
    assert rows["known_at"].to_list() == [utc(2024, 3, 12, 4), utc(2023, 12, 2, 5)]


def test_nobody_guesses_since_when_dates_were_known():
    with pytest.raises(BadInput, match="--announced-days"):
        events(frame().drop("known_at"), zone=ZONE)
    rows, notes = events(frame().drop("known_at"), zone=ZONE, announced_days=30)
    assert rows["known_at"][0] == utc(2024, 2, 11, 12, 30)
    assert any("as you said" in note for note in notes)
    with pytest.raises(BadInput, match="0 or more"):
        events(frame().drop("known_at"), zone=ZONE, announced_days=-1)


def test_days_without_a_time_lie_in_their_session():
    rows, notes = events(frame(date=["03/12/2024", "11/13/2024"]).drop("time"), zone=ZONE, announced_days=0)
    assert rows["at"].to_list() == [utc(2024, 3, 12, 16), utc(2024, 11, 13, 17)]
    assert any("without a time" in note for note in notes)


@pytest.mark.parametrize(
    ("column", "values", "said"),
    [
        ("date", ["2024-03-12", "soon"], "Row 2"),
        ("date", ["2024-03-12", None], "Row 2"),
        ("event", ["CPI", None], "an empty cell"),
        ("event", ["CPI", "=1+1"], "letters and digits"),
        ("event", ["CPI", "!!"], "letters and digits"),
    ],
)
def test_what_cannot_be_read_is_refused(column, values, said):
    with pytest.raises(BadInput, match=said):
        events(frame(**{column: values}), zone=ZONE)


def test_the_same_file_again_changes_nothing_and_a_later_one_adds(tmp_path):
    place, tables = tmp_path / "events.csv", Tables.open(f"file://{tmp_path}/tables")
    frame().with_columns(pl.lit("2023-12-01").alias("known_at")).write_csv(place)
    first = import_events(tables, place, zone=ZONE)
    again = import_events(tables, place, zone=ZONE)
    assert (first.received, first.stored, first.known) == (2, 2, 0)
    assert (again.stored, again.known, again.commit) == (0, 2, None)
    assert (first.first, first.last) == (dt.date(2024, 3, 12), dt.date(2024, 11, 13))
    before, after = utc(2023, 12, 2, 4, 59), utc(2023, 12, 2, 5)
    found = known_events(tables, before)
    assert found is not None
    assert found.is_empty()
    assert len(known_events(tables, after)) == 2


def test_repeats_count_once_with_the_earliest_announcement():
    rows, notes = events(
        frame(date=["2024-03-12"] * 2, event=["CPI"] * 2, known_at=["2024-02-01", "2024-01-01"]), zone=ZONE
    )
    assert rows["known_at"].to_list() == [utc(2024, 1, 2, 5)]
    assert any("repeat" in note for note in notes)


def test_a_release_announced_after_it_came_is_said():
    _, notes = events(frame(known_at=["2024-04-01", "2023-12-01"]), zone=ZONE)
    assert any("only after" in note for note in notes)


def test_there_may_be_no_calendar(tmp_path):
    assert known_events(Tables.open(f"file://{tmp_path}/tables"), utc(2024, 1, 1)) is None
