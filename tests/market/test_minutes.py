"""Files of bars within the session: their clocks, their frequency, the gate, and the tables they end in."""

import datetime as dt
import os
import time
from pathlib import Path

import polars as pl
import pytest

from openbell.core.bars import MINUTES
from openbell.core.errors import BadInput
from openbell.core.time import MOMENT
from openbell.core.view import View
from openbell.market.calendars import sessions, time_zone
from openbell.market.minute_importing import QUARANTINE, TABLE, import_minutes
from openbell.market.providers.minutes import minutes
from openbell.store.tables import Tables

NEW_YORK = "America/New_York"
IMPORTED_AT = dt.datetime(2023, 1, 2, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def calendar():
    return sessions("XNYS", 2022, 2022)


def rows(times, start=100.0, **changed):
    """Good bars at `times`; `changed` columns replace the made ones."""
    count = len(times)
    close = [start + place * 0.1 for place in range(count)]
    made = {
        "ts": times,
        "open": close,
        "high": [each + 0.2 for each in close],
        "low": [each - 0.2 for each in close],
        "close": close,
        "volume": [1_000.0] * count,
    }
    return pl.DataFrame({**made, **changed})


def clock(day, first="09:30", count=5, step=1):
    """Naive times of `day` from `first` on."""
    began = dt.datetime.combine(day, dt.time.fromisoformat(first))
    return [began + dt.timedelta(minutes=place * step) for place in range(count)]


FRIDAY = dt.date(2022, 11, 4)


def written(folder, frame, name="SPY_1m.parquet"):
    path = Path(folder) / name
    frame.write_parquet(path) if name.endswith("parquet") else frame.write_csv(path)
    return path


def imported(folder, tables, frame, calendar, name="SPY_1m.parquet", at=IMPORTED_AT, delay_minutes=0, **words):
    batch = minutes(written(folder, frame, name), **{"timezone": NEW_YORK, **words})
    return import_minutes(tables, batch, calendar, time_zone(), at=at, delay_minutes=delay_minutes)


def found(report):
    return dict(report.counts.filter(pl.col("rows") > 0).select("rule", "rows").rows())


@pytest.fixture
def tables(tmp_path):
    return Tables.open(f"file://{tmp_path / 'tables'}")


def test_naive_times_need_their_zone(tmp_path):
    """Kills: UTC or the machine's own zone taken for a clock that nobody named."""
    with pytest.raises(
        BadInput, match=r"have no time zone, such as `2022-11-04 09:30:00`.*--timezone America/New_York"
    ):
        minutes(written(tmp_path, rows(clock(FRIDAY))))
    with pytest.raises(BadInput, match=r"no time zone `America/New_Yrok`. Did you mean `America/New_York`"):
        minutes(written(tmp_path, rows(clock(FRIDAY))), timezone="America/New_Yrok")


def test_starts_and_ends_over_the_clock_change(tmp_path):
    """09:30 in New York is 13:30 UTC in summer time and 14:30 after it. Kills: a fixed offset, `at` as the start."""
    for day, hour in ((FRIDAY, 13), (dt.date(2022, 11, 7), 14), (dt.date(2022, 3, 11), 14), (dt.date(2022, 3, 14), 13)):
        path = written(tmp_path, rows(clock(day)))
        starts, ends = minutes(path, timezone=NEW_YORK), minutes(path, timezone=NEW_YORK, stamp="end")
        assert starts.bars["at"][0] == dt.datetime.combine(day, dt.time(hour, 31), dt.UTC)
        assert ends.bars["at"][0] == dt.datetime.combine(day, dt.time(hour, 30), dt.UTC)
        assert any("taken as the starts" in note for note in starts.notes)
        assert not any("starts" in note for note in ends.notes)


@pytest.mark.parametrize(
    ("first", "why"),
    [
        ("2022-03-13 02:30:00", "do not exist in America/New_York: its clocks were put forward"),
        ("2022-11-06 01:30:00", "exist twice in America/New_York"),
    ],
)
def test_times_of_a_clock_change_are_refused(tmp_path, first, why):
    """Kills: an hour moved silently, and the earlier of two chosen."""
    began = dt.datetime.fromisoformat(first)
    path = written(tmp_path, rows([began + dt.timedelta(minutes=k) for k in range(3)]))
    with pytest.raises(BadInput, match=f"3 times of .*the first {first}, {why}"):
        minutes(path, timezone=NEW_YORK)
    assert minutes(path, timezone="UTC").bars.height == 3


@pytest.mark.parametrize(
    "times",
    [
        ["2022-11-04T09:30:00.000000-0400", "2022-11-04T13:31:00.000000+0000"],
        ["2022-11-04 09:30:00-04:00", "2022-11-04 09:31:00-04:00"],
        ["2022-11-04T13:30:00Z", "2022-11-04T13:31:00Z"],
        [1_667_568_600, 1_667_568_660],
        [1_667_568_600_000, 1_667_568_660_000],
        [1_667_568_600_000_000_000, 1_667_568_660_000_000_000],
    ],
)
def test_times_that_carry_their_zone(tmp_path, times):
    bars = minutes(written(tmp_path, rows(times), "SPY.csv"), stamp="start").bars
    first = dt.datetime(2022, 11, 4, 13, 31, tzinfo=dt.UTC)
    assert bars["at"].to_list() == [first, first + dt.timedelta(minutes=1)]


def test_a_day_and_a_clock_in_two_columns(tmp_path):
    frame = rows(clock(FRIDAY)).select(
        pl.col("ts").dt.date().cast(pl.String).alias("Date"),
        pl.col("ts").dt.time().cast(pl.String).alias("Time"),
        "^[^t].*$",
    )
    frame = frame.rename({name: name.capitalize() for name in ("open", "high", "low", "close", "volume")})
    batch = minutes(written(tmp_path, frame, "SPY.csv"), timezone=NEW_YORK)
    assert batch.bars["at"][0] == dt.datetime(2022, 11, 4, 13, 31, tzinfo=dt.UTC)
    assert not any("mean nothing" in note for note in batch.notes)


def test_what_cannot_be_read_is_refused(tmp_path):
    daily = rows([FRIDAY, dt.date(2022, 11, 7)])
    with pytest.raises(BadInput, match="holds days such as 2022-11-04"):
        minutes(written(tmp_path, daily), timezone=NEW_YORK)
    with pytest.raises(BadInput, match="which is no certain time"):
        minutes(written(tmp_path, rows(["soon", "later"])), timezone=NEW_YORK)
    with pytest.raises(BadInput, match=r"Row 2 of `ts` .* has no time"):
        minutes(written(tmp_path, rows([clock(FRIDAY)[0], None])), timezone=NEW_YORK)
    with pytest.raises(BadInput, match="has no low; bars within the session need"):
        minutes(written(tmp_path, rows(clock(FRIDAY)).drop("low")), timezone=NEW_YORK)
    with pytest.raises(BadInput, match="no column for `symbol`"):
        minutes(written(tmp_path, rows(clock(FRIDAY)), "dirty_file.csv"), timezone=NEW_YORK)
    with pytest.raises(BadInput, match="There is no stamp of a bar `middle`"):
        minutes(written(tmp_path, rows(clock(FRIDAY))), timezone=NEW_YORK, stamp="middle")


def test_the_frequency_is_measured_and_must_agree(tmp_path):
    """Kills: five-minute bars stored as what the user said they were."""
    path = written(tmp_path, rows(clock(FRIDAY, count=8, step=5)))
    assert minutes(path, timezone=NEW_YORK).freq == minutes(path, timezone=NEW_YORK, freq="5m").freq == "5m"
    with pytest.raises(BadInput, match=r"`--freq 1m` was named, .*they are `5m`"):
        minutes(path, timezone=NEW_YORK, freq="1m")
    with pytest.raises(BadInput, match="There is no frequency of bars within the session `2m`"):
        minutes(path, timezone=NEW_YORK, freq="2m")
    with pytest.raises(BadInput, match="come every 420 seconds"):
        minutes(written(tmp_path, rows(clock(FRIDAY, step=7))), timezone=NEW_YORK)
    single = written(tmp_path, rows(clock(FRIDAY, count=1)))
    assert minutes(single, timezone=NEW_YORK, freq="1m").freq == "1m"
    with pytest.raises(BadInput, match="tells no frequency"):
        minutes(single, timezone=NEW_YORK)


def test_stored_rows_and_their_moment(tmp_path, tables, calendar):
    """An early close, its after-hours kept, `known_at` with the delay, and what `View.minutes` gives of it."""
    day = dt.date(2022, 11, 25)
    report = imported(tmp_path, tables, rows(clock(day, "12:58", 5)), calendar, delay_minutes=2)
    assert (report.received, report.stored, report.quarantined, report.outside) == (5, 5, 0, 3)
    stored = tables.scan(TABLE).sort("at").collect()
    assert dict(stored.schema) == dict(MINUTES)
    assert stored["session"].unique().to_list() == [day]
    assert (stored["known_at"] - stored["at"]).unique().to_list() == [dt.timedelta(minutes=2)]
    known = View(tables, dt.datetime(2022, 11, 25, 18, 3, tzinfo=dt.UTC), calendar).minutes("1m").collect()
    assert known["at"].to_list() == stored["at"].to_list()[:3]


def test_many_symbols_single_precision_and_capitals(tmp_path, tables, calendar):
    frame = pl.concat([rows(clock(FRIDAY)).with_columns(symbol=pl.lit(name)) for name in ("MSFT", "AAPL")])
    frame = frame.rename({name: name.capitalize() for name in ("open", "high", "low", "close", "volume")})
    frame = frame.with_columns(pl.col("Open", "High", "Low", "Close").cast(pl.Float32))
    report = imported(tmp_path, tables, frame, calendar, "stocks.parquet")
    assert (report.symbols, report.stored) == (2, 10)
    assert tables.scan(TABLE).collect()["symbol"].unique().sort().to_list() == ["AAPL", "MSFT"]


def broken(column, value, place=2):
    frame = rows(clock(FRIDAY))
    return frame.with_columns(pl.when(pl.int_range(pl.len()) == place).then(value).otherwise(column).alias(column))


def in_cents(frame, place):
    times = pl.when(pl.int_range(pl.len()) == place).then(100.0).otherwise(1.0)
    return frame.with_columns(pl.col("open", "high", "low", "close") * times)


@pytest.mark.parametrize(
    ("frame", "rule"),
    [
        (broken("high", 100.0), "ohlc_order"),
        (broken("volume", -1.0), "bad_volume"),
        (broken("volume", None), "missing_field"),
        (broken("low", 0.0), "bad_price"),
        (broken("close", None), "missing_field"),
        (in_cents(rows(clock(FRIDAY)), 2), "jump"),
        (rows([*clock(FRIDAY, "09:30", 4), dt.datetime(2022, 11, 4, 9, 34, 30)]), "off_grid"),
        (rows(clock(FRIDAY, "09:30", 4) + clock(dt.date(2022, 11, 5), "10:00", 1)), "not_a_session"),
        (rows(clock(FRIDAY, "09:30", 4) + clock(FRIDAY, "09:33", 1)), "conflicting_duplicate"),
    ],
)  # fmt: skip
def test_bad_bars_go_to_quarantine_with_their_sentence(tmp_path, tables, calendar, frame, rule):
    """Each fault of the issue, counted, kept apart, and not repaired; the other bars are stored."""
    report = imported(tmp_path, tables, frame, calendar)
    bad = 2 if rule == "conflicting_duplicate" else 1
    assert found(report) == {rule: bad}
    assert (report.stored, report.quarantined) == (5 - bad, bad)
    aside = tables.scan(QUARANTINE).collect()
    assert aside["rule"].to_list() == [rule] * bad
    assert aside["reason"].str.len_chars().min() > 5
    assert tables.scan(TABLE).collect().height == 5 - bad


def test_exact_repeats_count_once_and_a_null_row_hurts_no_good_one(tmp_path, tables, calendar):
    """The dirty file's faults. Kills: a good bar lost to an empty row of its minute, and repeats that double volume."""
    good = rows(clock(FRIDAY))
    empty = good.head(1).with_columns(
        pl.lit(None, dtype=pl.Float64).alias(n) for n in ("open", "high", "low", "close", "volume")
    )
    report = imported(tmp_path, tables, pl.concat([empty, good, good.tail(2), good.tail(1)]), calendar)
    assert found(report) == {"missing_field": 1, "duplicate": 3}
    assert report.stored == 5


def test_the_same_file_again_changes_nothing(tmp_path, tables, calendar):
    """Kills: quarantined rows quarantined again, and a second commit."""
    frame = pl.concat([rows(clock(FRIDAY)), rows(clock(FRIDAY)).tail(1), rows(clock(dt.date(2022, 11, 5)))])
    first = imported(tmp_path, tables, frame, calendar)
    again = imported(tmp_path, tables, frame, calendar, at=IMPORTED_AT + dt.timedelta(days=1))
    assert first.quarantined == 6
    assert (again.stored, again.quarantined, again.known, again.commit) == (0, 0, 11, None)
    assert again.received == again.stored + again.quarantined + again.known


def test_restated_and_late_bars_are_known_from_the_import_on(tmp_path, tables, calendar):
    """Kills: a correction or a filled hole that a back-test would have known at the time."""
    whole = rows(clock(FRIDAY, count=8))
    imported(tmp_path, tables, whole.filter(pl.int_range(pl.len()) != 3), calendar)
    corrected = whole.with_columns(
        pl.when(pl.int_range(pl.len()) == 5).then(pl.col("volume") + 1).otherwise("volume").alias("volume")
    )
    report = imported(tmp_path, tables, corrected, calendar)
    assert (report.restated, report.late, report.known) == (1, 1, 6)
    before, after = (
        View(tables, at, calendar).minutes("1m").collect() for at in (IMPORTED_AT - dt.timedelta(hours=1), IMPORTED_AT)
    )
    assert (before.height, after.height) == (7, 8)
    assert (before["volume"].max(), after["volume"].max()) == (1_000.0, 1_001.0)


def test_a_jump_is_seen_against_what_is_stored(tmp_path, tables, calendar):
    """Kills: a file in cents behind one in dollars."""
    imported(tmp_path, tables, rows(clock(FRIDAY)), calendar)
    cents = imported(tmp_path, tables, rows(clock(FRIDAY, "09:35", 4), start=9_900.0), calendar)
    assert found(cents) == {"jump": 4}


def test_nothing_depends_on_the_machines_zone(tmp_path, calendar, monkeypatch):
    """Check 40: the same rows where the machine stands in Tokyo."""
    path = written(tmp_path, rows(clock(FRIDAY, "19:55", 10)))
    here = minutes(path, timezone=NEW_YORK)
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        there = minutes(path, timezone=NEW_YORK)
        tables = Tables.open(f"file://{tmp_path / 'tokyo'}")
        import_minutes(tables, there, calendar, time_zone(), at=IMPORTED_AT)
        stored = tables.scan(TABLE).collect()
    finally:
        monkeypatch.delenv("TZ")
        os.environ.pop("TZ", None)
        time.tzset()
    assert here.bars.equals(there.bars)
    assert stored["session"].unique().to_list() == [FRIDAY]
    assert stored.schema["at"] == MOMENT


DIRTY = {"missing_field", "duplicate", "conflicting_duplicate"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "words", "stored", "rules"),
    [
        ("dirty_SPY_1min_2019-12_2020-01.parquet", {"symbol": "SPY"}, 8_357, DIRTY),
        ("SPY_60min_2005_2023.csv", {"timezone": None}, 28_609, set()),
        ("SPX_5min_2025-02_2025-10.parquet", {"freq": "5m"}, 14_503, set()),
    ],
)  # fmt: skip
def test_real_files(tmp_path, tables, real_data, name, words, stored, rules):
    """The dirty file's 5,075 repeated minutes, hours that carry their zone, and an index."""
    batch = minutes(real_data / "minute" / name, **{"timezone": NEW_YORK, **words})
    report = import_minutes(tables, batch, sessions("XNYS"), time_zone(), at=IMPORTED_AT)
    assert report.stored == stored
    assert set(found(report)) == rules
    assert tables.scan(TABLE).select(pl.struct("symbol", "at").is_duplicated().any()).collect().item() is False
