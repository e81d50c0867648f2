"""Rows of the session desk: the session before, cut-off and entry, daily bars of another scale, and the lineage."""

import datetime as dt
import os
import sys
import time
from pathlib import Path

import polars as pl
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "features"))

from session_made_days import LABELS, OWN, ZONE, bars, flat_day, hours, moment, planted, rows_of, value

from openbell.core.errors import BadInput, DeclarationError, LeakFound
from openbell.core.session import DECISIONS
from openbell.market.calendars import sessions
from openbell.research import session_early
from openbell.research.session_audit_market import made_up_sessions
from openbell.research.session_lineage import check_moments, sessions_needed, sources
from openbell.research.session_rows import session_rows

MONDAY, TUESDAY, WEDNESDAY = (dt.date(2024, 1, day) for day in (8, 9, 10))
DAYS = [MONDAY, TUESDAY, WEDNESDAY]
HOURS = hours(DAYS)


def on(month_day):
    return dt.date.fromisoformat(f"2022-{month_day}")


#: By hand: 22 sessions of a future over a clock change (6 November), a holiday (the 24th) and an early close (the
#: 25th), each with the session before it.
BEFORE = {
    "10-27": "10-26", "10-28": "10-27", "10-31": "10-28", "11-01": "10-31", "11-02": "11-01", "11-03": "11-02",
    "11-04": "11-03", "11-07": "11-04", "11-08": "11-07", "11-09": "11-08", "11-10": "11-09", "11-11": "11-10",
    "11-14": "11-11", "11-15": "11-14", "11-16": "11-15", "11-17": "11-16", "11-18": "11-17", "11-21": "11-18",
    "11-22": "11-21", "11-23": "11-22", "11-25": "11-23", "11-28": "11-25",
}  # fmt: skip
MONTH = [on("10-26"), *(on(each) for each in BEFORE)]
MONTH_HOURS = hours(MONTH, overnight=True, early={on("11-25"): "13:00"})
PREV = [planted(f"was_{name}", pl.col(f"prev_{name}") + 0.0) for name in ("open", "high", "low", "close", "volume")]


def month_bars():
    """Session k trades from 100 + k; its evening and its hours after the close are wild."""
    rows = []
    for k, day in enumerate(MONTH):
        evening = moment(day - dt.timedelta(days=1), "18:00")
        rows += [(day, evening + dt.timedelta(minutes=15 * i), 500, 900, 1, 500, 7) for i in range(8)]
        close = "13:00" if day == on("11-25") else "16:00"
        rows += flat_day(day, 100.0 + k, closes=close)
        rows.append((day, "16:15", 500, 900, 1, 500, 7))
    return bars(rows)


def test_the_session_before_in_22_of_22_cases():
    """Check 63: previous-day columns of session D are those of the session before D, never of D - 2."""
    made = rows_of(month_bars(), MONTH_HOURS, *PREV, cutoff="10:15")
    right = 0
    for day, before in BEFORE.items():
        k, bars_of_it = MONTH.index(on(before)), 14 if before == "11-25" else 26
        last = 0.01 * (bars_of_it - 1)
        told = [value(made, f"was_{name}", on(day)) for name in ("open", "high", "low", "close", "volume")]
        right += told == pytest.approx([100 + k, 101 + k + last, 99 + k, 100 + k + last + 0.005, 10 * bars_of_it])
    assert right == len(BEFORE) == 22
    assert made.rows["session"].to_list() == MONTH


def test_a_session_without_bars_leaves_the_next_one_without_a_day_before():
    """The day before the missing one does not stand in for it."""
    given = bars([*flat_day(MONDAY), *flat_day(WEDNESDAY)])
    made = rows_of(given, HOURS, *PREV, "overnight_gap_pct")
    assert made.rows["session"].to_list() == [MONDAY, WEDNESDAY]
    assert value(made, "was_close", WEDNESDAY) is None
    assert value(made, "overnight_gap_pct", WEDNESDAY) is None


def test_a_day_that_breaks_off_is_no_day_before():
    given = bars([*flat_day(MONDAY, closes="14:00"), *flat_day(TUESDAY)])
    assert value(rows_of(given, HOURS, *PREV), "was_close", TUESDAY) is None


def test_columns_and_their_kinds():
    made = rows_of(bars([*flat_day(MONDAY), *flat_day(TUESDAY)]), HOURS, "early_return_pct", "early_weekday")
    assert made.features == ("early_return_pct", "early_weekday")
    assert dict(made.rows.schema) == {**DECISIONS, "early_return_pct": pl.Float64, "early_weekday": pl.Float64}


def test_entry_and_exit():
    """The open of the bar that begins at the cut-off, never that of the day; the last regular close."""
    made = rows_of(bars([*flat_day(MONDAY, 100), (MONDAY, "16:15", 1, 2, 1, 1, 1)]), HOURS, "early_return_pct")
    row = made.rows.row(0, named=True)
    assert row["entry_at"] == moment(MONDAY, "10:30")
    assert row["entry"] == pytest.approx(100.04)
    assert row["price"] == pytest.approx(100.03 + 0.005)
    assert row["exit_at"] == moment(MONDAY, "16:00")
    assert row["exit"] == pytest.approx(100.25 + 0.005)


@pytest.mark.parametrize(("missing", "tradable"), [(0, True), (2, True), (3, False)])
def test_an_entry_more_than_half_an_hour_late_is_none(missing, tradable):
    gone = {"10:30", "10:45", "11:00"} if missing == 3 else {"10:30", "10:45"} if missing else set()
    rows = [each for each in flat_day(MONDAY) if each[1].astimezone(_zone()).strftime("%H:%M") not in gone]
    row = rows_of(bars(rows), HOURS, "early_return_pct").rows.row(0, named=True)
    assert (row["entry"] is not None) == tradable
    assert (row["label"] is not None) == tradable


def _zone():
    import zoneinfo

    return zoneinfo.ZoneInfo(ZONE)


def test_an_early_close_before_the_cut_off_is_left_out_and_counted():
    early = hours(DAYS, early={TUESDAY: "13:00"})
    given = bars([*flat_day(MONDAY), *flat_day(TUESDAY, closes="13:00"), *flat_day(WEDNESDAY)])
    made = rows_of(given, early, *PREV, cutoff="13:30")
    assert made.rows["session"].to_list() == [MONDAY, WEDNESDAY]
    assert any("1 sessions" in note and "early close" in note for note in made.notes)
    assert value(made, "was_volume", WEDNESDAY) == 140
    at_noon = rows_of(given, early, "early_return_pct", cutoff="12:00").rows
    assert at_noon["exit_at"][1] == moment(TUESDAY, "13:00")


@pytest.mark.parametrize(
    ("cutoff", "freq", "nearest"),
    [("10:15", "1h", "09:30 and 10:30"), ("10:20", "15m", "10:15 and 10:30"), ("10:07", "5m", "10:05 and 10:10")],
)
def test_a_cut_off_through_a_bar_is_refused_with_the_nearest(cutoff, freq, nearest):
    with pytest.raises(BadInput, match=nearest):
        rows_of(bars(flat_day(MONDAY, freq=freq), freq=freq), HOURS, "early_return_pct", cutoff=cutoff)


@pytest.mark.parametrize(("cutoff", "zone"), [("quarter past", ZONE), ("10:30", "Mars/Olympus")])
def test_what_is_no_time_or_no_zone_is_refused(cutoff, zone):
    with pytest.raises(BadInput, match=cutoff if zone == ZONE else "Mars"):
        session_rows(bars(flat_day(MONDAY)), HOURS, None, cutoff, zone, [OWN["early_return_pct"]], None, {})


def test_bars_that_cannot_be_used_are_refused():
    one = bars(flat_day(MONDAY))
    for given, said in (
        (one.head(0), "no bars within the session"),
        (one.drop("volume"), "no column `volume`"),
        (one.with_columns(pl.lit("1d").alias("freq")), "Bars of a day"),
        (pl.concat([one, bars(flat_day(TUESDAY), symbol="U")]), r"several products \(T, U\)"),
        (one.with_columns(pl.col("at") + pl.duration(minutes=15)), "before its end"),
    ):
        with pytest.raises(BadInput, match=said):
            rows_of(given, HOURS, "early_return_pct")


def test_what_a_session_does_not_have_is_refused_by_name():
    given = bars(flat_day(MONDAY))
    with pytest.raises(DeclarationError, match=r"`prev_clos`.*`prev_close`"):
        rows_of(given, HOURS, planted("typo", pl.col("prev_clos")))
    with pytest.raises(DeclarationError, match="`day_close`"):
        rows_of(given, HOURS, planted("end", pl.col("day_close")))
    with pytest.raises(DeclarationError, match="`prev_close`"):
        rows_of(given, HOURS, planted("early", pl.col("prev_close").last(), reads="early"))
    with pytest.raises(LeakFound, match="negative shift"):
        rows_of(given, HOURS, planted("ahead", pl.col("prev_close").shift(-1)))
    with pytest.raises(BadInput, match="gold"):
        rows_of(given, HOURS, "early_return_pct", markets={"gold": pl.DataFrame()})


def test_an_outcome_cannot_be_declared_as_a_feature():
    """A feature named as, or reading, what only the end of the session tells stops the start."""
    import types

    from openbell.core.declare import Feature, collect

    for name, expression in (("direction_of_day", pl.col("price")), ("fine", pl.col("exit") - pl.col("entry"))):
        thing = planted(name, expression)
        module = types.SimpleNamespace(__name__=thing.module, made=(thing,))
        with pytest.raises(DeclarationError, match="only after the cut-off"):
            collect([module], Feature)


def daily(rows, known="16:00"):
    """Daily bars ``(session, close)``, known at `known`."""
    made = [(day, close, close, close, close, 5.0, moment(day, known)) for day, close in rows]
    names = ("session", "open", "high", "low", "close", "volume", "known_at")
    return pl.DataFrame(
        made, schema=dict(zip(names, (pl.Date, *[pl.Float64] * 5, DECISIONS["as_of"]), strict=True)), orient="row"
    )


FRIDAY, THURSDAY = dt.date(2024, 1, 5), dt.date(2024, 1, 4)
LONG = hours([THURSDAY, FRIDAY, *DAYS])


def test_daily_bars_reach_further_back_than_the_bars():
    """Trusted once compared: from the second session on, with all their history; the bars' own days go first.

    Mutant: a daily close, adjusted for a dividend of later, beside raw minutes: a gap of a percent that never was.
    """
    given = bars([each for day in DAYS for each in flat_day(day)])
    return_5 = planted("over_two", pl.col("close") / pl.col("close").shift(2))
    made = rows_of(
        given, LONG, *PREV, return_5, daily=daily([(THURSDAY, 98), (FRIDAY, 99), (MONDAY, 100), (TUESDAY, 101)])
    )
    assert [value(made, "was_close", day) for day in DAYS] == [None, *[pytest.approx(100.255)] * 2]
    assert value(made, "over_two", TUESDAY) == pytest.approx(100.255 / 98)
    assert value(made, "over_two", WEDNESDAY) == pytest.approx(100.255 / 99)
    source = made.lineage.filter(pl.col("feature") == "was_close")["source"].item()
    assert source.startswith("days made of bars of 15m")
    assert "before these daily bars" in source


@pytest.mark.parametrize(("close", "refused"), [(102.0, False), (102.5, True), (50.0, True)])
def test_daily_bars_of_another_scale_are_refused(close, refused):
    """An adjusted close beside raw minutes makes a gap that never was: told, and made of the bars instead."""
    given = bars([each for day in DAYS for each in flat_day(day)])
    made = rows_of(given, LONG, *PREV, daily=daily([(FRIDAY, 99), (MONDAY, close), (TUESDAY, 100.2)]))
    assert any("refused after 2024-01-08" in note for note in made.notes) == refused
    assert value(made, "was_close", TUESDAY) == pytest.approx(100.255)
    assert value(made, "was_volume", WEDNESDAY) == 260


def test_a_later_break_of_scale_changes_no_earlier_row():
    """What is found out on Tuesday evening cannot have been known on Tuesday morning."""
    given = bars([each for day in DAYS for each in flat_day(day)])
    whole = daily([(FRIDAY, 99), (MONDAY, 100), (TUESDAY, 55)])
    late, early = (rows_of(given, LONG, *PREV, daily=each).rows for each in (whole, whole.head(2)))
    assert late.head(2).equals(early.head(2))
    assert late["was_close"][2] == pytest.approx(100.255)


def test_daily_bars_known_too_late_do_not_enter():
    """A day published at noon of the next one is not known at its cut-off: before the first bars there is nothing."""
    given = bars([each for day in DAYS for each in flat_day(day)])
    slow = daily([(FRIDAY, 99), (MONDAY, 100), (TUESDAY, 100)]).with_columns(pl.col("known_at") + pl.duration(hours=48))
    made = rows_of(given, LONG, *PREV, daily=slow)
    assert value(made, "was_close", MONDAY) is None
    assert value(made, "was_close", TUESDAY) == pytest.approx(100.255)


def test_daily_bars_of_a_day_without_a_session_are_told():
    given = bars([each for day in (MONDAY, WEDNESDAY) for each in flat_day(day)])
    made = rows_of(given, hours([MONDAY, WEDNESDAY]), *PREV, daily=daily([(MONDAY, 100), (TUESDAY, 77)]))
    assert any("1 daily bars" in note and "without a session" in note for note in made.notes)
    assert value(made, "was_close", WEDNESDAY) == pytest.approx(100.255)


def test_bars_known_after_the_cut_off_are_not_seen():
    """A feed a quarter of an hour behind cannot show the first hour in time: left out, and why is said."""
    made = rows_of(bars(flat_day(MONDAY), delay=15), HOURS, "early_return_pct")
    assert made.rows.is_empty()
    assert made.notes == (f"1 sessions of T are left out: {session_early.TOO_LATE}.",)


def test_without_a_single_row_what_lacks_is_still_said():
    """No row and no level of the volatility index: an empty frame and two notes, no crash."""
    made = rows_of(bars(flat_day(MONDAY), delay=15), HOURS, "early_return_pct", "vix_early_level", label=None)
    assert made.rows.is_empty()
    assert made.features == ("early_return_pct",)
    assert len(made.notes) == 2
    assert made.lineage["as_of"].to_list() == [None]


def test_incomplete_windows_are_left_out_and_counted():
    """A session that begins late, ends early or has under half of its bars; one without bars is no fault."""
    minute = flat_day(MONDAY, freq="1m")
    for rows in (minute[6:], [*minute[:54], *minute[60:]], minute[0:60:3]):
        made = rows_of(bars([*rows, *flat_day(WEDNESDAY, freq="1m")], freq="1m"), HOURS, "early_return_pct")
        assert made.rows["session"].to_list() == [WEDNESDAY]
        assert made.notes == (f"1 sessions of T are left out: {session_early.INCOMPLETE}.",)
    assert rows_of(bars(minute[5:], freq="1m"), HOURS, "early_return_pct").rows.height == 1


def test_bars_outside_of_the_calendar_are_told():
    made = rows_of(bars([*flat_day(MONDAY), *flat_day(TUESDAY)]), hours([MONDAY]), "early_return_pct")
    assert made.rows["session"].to_list() == [MONDAY]
    assert any("26 bars" in note for note in made.notes)


def test_bars_on_the_hour_tell_that_the_first_half_hour_is_not_seen():
    given = bars(flat_day(MONDAY, opens="10:00", freq="1h"), freq="1h")
    made = rows_of(given, HOURS, "early_return_pct", cutoff="11:00")
    assert made.rows.height == 1
    assert any("more than 5 minutes after the regular open" in note for note in made.notes)


MARKET = made_up_sessions(sessions("XNYS", 2020, 2022), count=640, seed=2)
EVERY = list(OWN.values())


@pytest.fixture(scope="module")
def batch():
    return session_rows(
        MARKET.bars, MARKET.hours, MARKET.daily, "10:15", ZONE, EVERY, LABELS["direction_of_day"], MARKET.markets
    )


def test_the_live_decision_has_the_features_of_the_training(batch):
    """Check 14: bars up to the cut-off alone, of no more sessions than are said to be needed: the same row to 1e-9."""
    session = MARKET.hours["session"][-1]
    as_of = batch.rows["as_of"][-1]
    live = MARKET.until(as_of).last(session, sessions_needed(EVERY))
    made = session_rows(live.bars, live.hours, live.daily, "10:15", ZONE, EVERY, None, live.markets)
    now, then = made.rows.row(-1, named=True), batch.rows.row(-1, named=True)
    assert now["session"] == session
    assert [now[name] for name in ("label", "label_known_at", "exit", "exit_at", "entry")] == [None] * 5
    for name in ("price", "atr", *batch.features):
        assert now[name] == pytest.approx(then[name], abs=1e-6 if name == "regime_adx_14" else 1e-9), name
    assert made.lineage.equals(batch.lineage)


def test_sessions_needed_is_the_longest_look_back():
    assert sessions_needed([OWN["early_return_pct"]]) == 1
    assert sessions_needed([OWN["early_volume_ratio_10"]]) == 12
    assert sessions_needed(EVERY) > 500
    assert sessions_needed([]) == 1


def test_the_order_of_the_rows_changes_nothing(batch):
    shuffled = MARKET.bars.sample(fraction=1.0, shuffle=True, seed=1)
    hours_ = MARKET.hours.sample(fraction=1.0, shuffle=True, seed=2)
    days = MARKET.daily.sample(fraction=1.0, shuffle=True, seed=3)
    markets = {name: each.sample(fraction=1.0, shuffle=True, seed=4) for name, each in MARKET.markets.items()}
    made = session_rows(shuffled, hours_, days, "10:15", ZONE, EVERY, LABELS["direction_of_day"], markets)
    assert made.rows.equals(batch.rows)


def test_the_clock_of_the_machine_changes_nothing(batch, monkeypatch):
    """Check 40: under Asia/Tokyo every row is the same."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        few = MARKET.last(MARKET.hours["session"][-1], 60)
        made = session_rows(few.bars, few.hours, None, "10:15", ZONE, [OWN["overnight_gap_pct"]], None, {})
    finally:
        monkeypatch.undo()
        time.tzset()
    assert os.environ.get("TZ") != "Asia/Tokyo"
    assert made.rows["as_of"].equals(batch.rows["as_of"].tail(60))
    assert made.rows["overnight_gap_pct"][1:].to_list() == pytest.approx(
        batch.rows["overnight_gap_pct"].tail(59).to_list(), abs=0.05
    )


def test_every_feature_has_a_lineage_that_ends_by_the_cut_off(batch):
    """S4.13."""
    told = batch.lineage
    assert told["feature"].to_list() == list(batch.features)
    assert (told["as_of"].drop_nulls() <= batch.rows["as_of"][-1]).all()
    assert told.filter(pl.col("as_of").is_null())["feature"].to_list() == ["early_weekday"]
    known = dict(told.select("feature", "as_of").rows())
    assert known["early_return_pct"] == batch.rows["as_of"][-1]
    assert known["regime_adx_14"] == MARKET.hours["regular_close_at"][-2]
    assert known["dollar_early_change_pct"] == MARKET.hours["regular_close_at"][-2] + dt.timedelta(minutes=15)
    assert (told["lookback"] >= 1).all()


def test_anything_known_after_a_cut_off_is_refused_by_feature_source_and_moment(batch):
    """The lineage is enforced: one source of one row a second late stops everything."""
    late = batch.moments.with_columns(
        pl.when(pl.int_range(pl.len()) == 100)
        .then(pl.col("as_of") + pl.duration(seconds=1))
        .otherwise("vix")
        .alias("vix")
    )
    used = {"bars": ["early_return_pct"], "vix": ["vix_early_level"]}
    check_moments(batch.moments, used)
    with pytest.raises(LeakFound, match=rf"`vix_early_level` of {late['session'][100]} stands on `vix` known at"):
        check_moments(late, used)


def test_the_lineage_is_enforced_where_rows_are_made(monkeypatch):
    """An engine that lets in what came to be known late is stopped by its own lineage."""
    from openbell.research import session_rows_values

    honest = session_rows_values.levels
    monkeypatch.setattr(
        session_rows_values, "levels",
        lambda name, frame, days: honest(name, frame, days.with_columns(pl.col("as_of") + pl.duration(hours=7))),
    )  # fmt: skip
    with pytest.raises(LeakFound, match=r"`vix_early_change_pct`.*`vix`"):
        session_rows(MARKET.bars, MARKET.hours, None, "10:15", ZONE, EVERY, None, {"vix": MARKET.markets["vix"]})


def test_what_a_feature_stands_on():
    assert sources(OWN["early_delta_share"]) == ("bars",)
    assert sources(OWN["overnight_gap_pct"]) == ("bars", "days")
    assert sources(OWN["regime_adx_14"]) == ("days",)
    assert sources(OWN["crude_early_direction"]) == ("crude",)
    assert sources(OWN["early_weekday"]) == ()
    read = planted("read", pl.col("early_delta_share").shift(1))
    assert sources(read, ["early_delta_share"]) == ("bars",)
    with pytest.raises(DeclarationError, match="`early_delta_share`"):
        sources(read)


def test_a_session_feature_reads_declared_early_aggregations_by_name():
    given = bars([*flat_day(MONDAY), *flat_day(TUESDAY, 101)])
    before = planted("before", pl.col("early_return_pct").shift(1))
    made = rows_of(given, HOURS, "early_return_pct", before)
    assert value(made, "before", TUESDAY) == value(made, "early_return_pct", MONDAY)


def test_real_minutes_of_spy(real_data):
    """63 sessions of SPY with hours before and after: every session has a row, a label and 45 minutes."""
    from openbell.market.products import hours as hours_of
    from openbell.market.products import product, session_of

    spy = product("SPY")
    frame = pl.read_parquet(real_data / "minute" / "SPY_1min_2024-02-20_2024-05-17.parquet")
    begin = pl.col("ts").dt.replace_time_zone(ZONE).dt.convert_time_zone("UTC").cast(DECISIONS["as_of"])
    frame = frame.with_columns(
        (begin + pl.duration(minutes=1)).alias("at"), session_of(begin, spy).alias("session"),
        pl.lit("SPY").alias("symbol"), pl.lit("1m").alias("freq"), (begin + pl.duration(minutes=1)).alias("known_at"),
    )  # fmt: skip
    calendar = hours_of(spy, frame["session"].min(), frame["session"].max())
    made = session_rows(frame, calendar, None, "10:15", ZONE, EVERY, LABELS["archetype_by_structure"], {})
    assert made.rows["session"].to_list() == calendar["session"].to_list()
    assert made.rows["label"].null_count() == 0
    assert made.rows["label"].n_unique() == 4
    assert made.rows["early_minutes_since_high"].max() < 45
