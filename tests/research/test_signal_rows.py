"""Rows of the signals desk: decisions by the calendar, labels that end with the session, what is left out is said."""

import datetime as dt
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from memory_tables import random_walk, weekday_calendar

from openbell.core.declare import Label, collect
from openbell.core.errors import BadInput
from openbell.core.signal import DECISIONS
from openbell.labels import directions
from openbell.research.sanity import rule_label_accuracy
from openbell.research.signal_rows import class_shares, decides, signal_rows

LABELS = collect([directions], Label)
CALENDAR = weekday_calendar(80)
#: 14 bars of half an hour in each session of six and a half hours; the last is the 13th.
HALF_HOURS = 13


def daily(symbols=("A", "B"), sessions=60):
    parts = []
    for at, symbol in enumerate(symbols):
        walk = random_walk(sessions, seed=at)
        own = {"symbol": symbol, "session": CALENDAR.dates[:sessions], "at": CALENDAR.closes[:sessions], **walk}
        parts.append(pl.DataFrame(own))
    return pl.concat(parts).with_columns(pl.col("at").cast(pl.Datetime("us", "UTC")))


def within(sessions=6, symbol="A", seed=3):
    walk = random_walk(sessions * HALF_HOURS, seed=seed, volatility=0.003)
    at = [
        CALENDAR.opens[day] + dt.timedelta(minutes=30 * (bar + 1))
        for day in range(sessions)
        for bar in range(HALF_HOURS)
    ]
    day = [CALENDAR.dates[day] for day in range(sessions) for _ in range(HALF_HOURS)]
    frame = pl.DataFrame({"symbol": symbol, "session": day, "at": at, **walk})
    return frame.with_columns(pl.col("at").cast(pl.Datetime("us", "UTC")))


def computed(bars):
    """What the engine of features gives: the keys, the volatility, and two features."""
    returns = pl.col("close").log().diff().over("symbol")
    return bars.select(
        "symbol", "session", pl.col("at").alias("as_of"), "close",
        returns.rolling_std(20).over("symbol").alias("sigma"),
        pl.col("close").rolling_mean(5).over("symbol").alias("mean_1d"),
        returns.alias("return_1d"),
    )  # fmt: skip


def made(bars, name, **settings):
    settings = {"within_session": False, "sessions": CALENDAR, **settings}
    return signal_rows(computed(bars), bars, LABELS[name], **settings)


def test_the_frame_is_that_of_decisions_and_float_features_by_moment():
    rows, notes = made(daily(), "direction_5")
    assert rows.columns == [*DECISIONS, "mean_1d", "return_1d"]
    assert dict(rows.select(list(DECISIONS)).schema) == dict(DECISIONS)
    assert rows["mean_1d"].dtype == pl.Float32
    assert rows.select("as_of", "symbol").equals(rows.select("as_of", "symbol").sort("as_of", "symbol"))
    assert rows["sigma"].null_count() == 0
    assert notes[0] == "40 bars have no volatility above 0 yet and are no decisions."


def test_a_daily_label_is_known_at_the_close_of_the_last_bar_it_touches():
    """From the open of t+1 to the open of t+1+h, told by the bar of that session: its close."""
    bars = daily(("A",))
    rows, notes = made(bars, "direction_5")
    row = rows.filter(pl.col("session") == CALENDAR.dates[30]).row(0, named=True)
    made_r = bars["open"][36] / bars["open"][31] - 1
    band = 0.5 * row["sigma"] * 5**0.5
    assert row["label"] == (1 if made_r > band else -1 if made_r < -band else 0)
    assert row["label_known_at"] == CALENDAR.closes[36]
    unresolved = rows.filter(pl.col("label").is_null())
    assert unresolved["session"].to_list() == list(CALENDAR.dates[54:60])
    assert unresolved["label_known_at"].null_count() == 6
    assert notes[1].startswith("6 decisions have no `direction_5`: a bar that it needs is missing or is yet to come")


@pytest.mark.parametrize(("name", "last"), [("direction_5", 7), ("barrier_5", 8)])
def test_within_the_session_nothing_is_held_over_night(name, last):
    """Kills a label that closes on the next day: its last decision is the one whose bars all end today."""
    rows, notes = made(within(), name, within_session=True)
    known = rows.filter(pl.col("label").is_not_null()).with_columns(
        ((pl.col("as_of") - pl.col("as_of").dt.date().cast(pl.Datetime("us", "UTC"))).dt.total_minutes()).alias("m")
    )
    assert known["m"].max() == 14 * 60 + 30 + 30 * last
    day = pl.col("label_known_at").dt.date() == pl.col("session")
    assert known.select(day.all()).item()
    assert any("passes the end of their session" in each for each in notes)
    assert made(within(), name)[0]["label"].null_count() < rows["label"].null_count()


def test_decisions_are_counted_from_the_open_and_not_from_the_first_row():
    """A symbol with a missing bar decides at the same moments as the others."""
    bars = within(3)
    holed = bars.filter(pl.col("at") != bars["at"][1])
    for frame in (bars, holed):
        rows, _ = made(frame, "direction_1", within_session=True, decide_every=3)
        minutes = rows.select(
            (pl.col("as_of").dt.hour().cast(int) * 60 + pl.col("as_of").dt.minute()) - 870
        ).to_series()
        assert set(minutes) <= {90, 180, 270, 360}
        assert len(set(minutes)) == 4


def test_daily_decisions_are_counted_on_the_calendar():
    rows, _ = made(daily(), "direction_1", decide_every=5)
    numbers = {CALENDAR.index(day) for day in rows["session"]}
    assert numbers == set(range(20, 60, 5))
    later = made(daily().filter(pl.col("session") >= CALENDAR.dates[3]), "direction_1", decide_every=5)[0]
    assert {CALENDAR.index(day) for day in later["session"]} == set(range(25, 60, 5))


def test_the_moment_of_a_decision_can_be_asked_of_one_row():
    bars = computed(within(1)).tail(1)
    asked = {"within_session": True, "sessions": CALENDAR}
    with pytest.raises(BadInput, match="length of a bar"):
        decides(bars, 13, **asked)
    assert decides(bars, 13, **asked, bar_minutes=30).to_list() == [True]
    assert decides(bars, 12, **asked, bar_minutes=30).to_list() == [False]


def test_both_barriers_in_one_bar_are_counted():
    bars = daily(("A",)).with_columns(pl.col("high") * 1.5, pl.col("low") * 0.5)
    rows, notes = made(bars, "barrier_5")
    known = rows["label"].drop_nulls()
    assert (known == 0).all()
    assert (
        f"{len(known)} times both barriers of `barrier_5` lie in one bar: the label is 0, for none is first." in notes
    )


def test_what_cannot_be_used_is_refused():
    bars = daily()
    with pytest.raises(BadInput, match="lack `high`"):
        signal_rows(computed(bars), bars.drop("high"), LABELS["barrier_1"], within_session=False, sessions=CALENDAR)
    with pytest.raises(BadInput, match="at least 1; was 0"):
        made(bars, "direction_1", decide_every=0)
    with pytest.raises(BadInput, match="1 bars stand twice"):
        signal_rows(
            computed(bars), pl.concat([bars, bars.head(1)]), LABELS["barrier_1"], within_session=False,
            sessions=CALENDAR,
        )  # fmt: skip


def test_a_direction_is_no_rule_of_what_was_known():
    """Check 1: a tree foretells it no better than the commonest class, and would if a feature held the label."""
    rows, _ = made(daily(tuple("ABCDEFGH")), "direction_1")
    known = rows.filter(pl.col("label").is_not_null())
    matrix = known.select("mean_1d", "return_1d", "sigma").to_numpy()
    assert not rule_label_accuracy(matrix, known["label"].to_numpy()).is_rule
    told = np.column_stack([matrix, known["label"].to_numpy()])
    assert rule_label_accuracy(told, known["label"].to_numpy()).is_rule


def test_base_rates_are_shares_of_known_labels():
    rows = pl.DataFrame({"symbol": ["A", "A", "B", "B"], "label": [1, -1, 1, None]})
    assert class_shares(rows).row(0) == (3, pytest.approx(1 / 3), 0.0, pytest.approx(2 / 3))
    assert class_shares(rows, ["symbol"])["n"].to_list() == [2, 1]
