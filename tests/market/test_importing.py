"""One import: counted to the last row, in one commit, idempotent, and honest about when a row was known."""

import datetime as dt
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openbell.core.errors import BadInput
from openbell.core.time import Sessions
from openbell.core.view import View
from openbell.market.batch import INSTRUMENTS, MEMBERSHIP, RATES, Batch
from openbell.market.importing import ImportReport, import_batch
from openbell.market.quality import check
from openbell.store.tables import Tables

from .conftest import AT, Memory, at, scaled, walk

LATER = AT + dt.timedelta(days=30)


def batch(bars: pl.DataFrame, **more: object) -> Batch:
    symbols = bars["symbol"].unique().sort()
    instruments = pl.DataFrame({"symbol": symbols}).with_columns(
        pl.lit("STOCK").alias("kind"), pl.lit("Energy").alias("sector")
    )
    return Batch("test", bars, **{"instruments": instruments.cast(dict(INSTRUMENTS)), **more})


def adds_up(report: ImportReport) -> bool:
    return report.received == report.stored + report.quarantined + report.known


def test_an_import_is_one_commit_that_adds_up(memory: Memory, calendar: Sessions) -> None:
    rows = at(walk(calendar), [100], close=0.0)
    report = import_batch(memory, batch(rows), calendar, at=AT)
    assert (report.received, report.stored, report.quarantined, report.known) == (300, 299, 1, 0)
    assert len(memory.commits) == 1
    assert set(memory.commits[0]) == {"bars", "quarantine", "instruments"}
    assert memory.frames["quarantine"].select("symbol", "close", "rule").rows() == [("X", 0.0, "bad_price")]
    assert report.counts.filter(pl.col("rule") == "bad_price")["rows"].item() == 1
    bars = memory.frames["bars"]
    assert bars.columns[:3] == ["symbol", "freq", "session"]
    assert bars["freq"].unique().to_list() == ["1d"]
    assert bars["source"].unique().to_list() == ["test"]


def test_a_row_is_known_at_its_close_plus_the_delay(memory: Memory, calendar: Sessions) -> None:
    import_batch(memory, batch(walk(calendar)), calendar, at=AT, delay_minutes=15)
    early = memory.frames["bars"].filter(pl.col("session") == dt.date(2015, 11, 27))["known_at"].item()
    assert early == dt.datetime(2015, 11, 27, 18, 15, tzinfo=dt.UTC), "13:00 in New York, and a quarter of an hour"
    first = memory.frames["instruments"]["known_at"].item()
    assert first == dt.datetime(2015, 1, 2, tzinfo=dt.UTC)


def test_the_same_batch_again_changes_nothing(memory: Memory, calendar: Sessions) -> None:
    rows = pl.concat([walk(calendar), walk(calendar)[10:12], at(walk(calendar)[20], [0], volume=3.0)])
    rows = at(rows, [100], close=-1.0)
    first = import_batch(memory, batch(rows), calendar, at=AT)
    assert first.quarantined == 2 + 2 + 1
    again = import_batch(memory, batch(rows), calendar, at=LATER)
    assert (again.stored, again.quarantined, again.known) == (0, 0, 303)
    assert again.commit is None
    assert len(memory.commits) == 1


def test_a_restated_row_is_a_new_row_known_from_the_import_on(memory: Memory, calendar: Sessions) -> None:
    rows = walk(calendar)
    import_batch(memory, batch(rows), calendar, at=AT)
    report = import_batch(memory, batch(at(rows, [50], volume=123.0)), calendar, at=LATER)
    assert (report.stored, report.restated, report.known) == (1, 1, 299)
    both = memory.frames["bars"].filter(pl.col("session") == rows["session"][50]).sort("known_at")
    assert both["known_at"].to_list() == [calendar.close(rows["session"][50]), LATER]
    before = View(memory, AT, calendar).bars().filter(pl.col("session") == rows["session"][50]).collect()
    after = View(memory, LATER, calendar).bars().filter(pl.col("session") == rows["session"][50]).collect()
    assert before["raw_volume"].item() == rows["volume"][50]
    assert after["raw_volume"].item() == 123.0


def test_a_hole_filled_later_was_not_known_before(memory: Memory, calendar: Sessions) -> None:
    rows = walk(calendar)
    import_batch(memory, batch(pl.concat([rows[:50], rows[51:]])), calendar, at=AT)
    report = import_batch(memory, batch(rows), calendar, at=LATER)
    assert (report.stored, report.late, report.restated) == (1, 1, 0)
    assert memory.frames["bars"].filter(pl.col("session") == rows["session"][50])["known_at"].item() == LATER


def test_an_older_part_of_the_history_is_known_at_its_closes(memory: Memory, calendar: Sessions) -> None:
    rows = walk(calendar)
    import_batch(memory, batch(rows[150:]), calendar, at=AT)
    report = import_batch(memory, batch(rows[:150]), calendar, at=LATER)
    assert (report.stored, report.late) == (150, 0)


@settings(max_examples=12, deadline=None)
@given(
    cuts=st.sets(st.integers(5, 395), max_size=3),
    fault=st.sampled_from(["split", "flip", "stale", "zero"]),
    place=st.integers(30, 370),
    overlap=st.integers(0, 5),
)
def test_increments_end_where_one_import_ends(
    calendar: Sessions, cuts: set[int], fault: str, place: int, overlap: int
) -> None:
    rows = walk(calendar, count=400)
    if fault == "split":
        rows = scaled(rows, range(place, 400), 0.5, volume=2.0)
    elif fault == "flip":
        rows = scaled(rows, range(place, place + 4), 0.2, volume=0.001)
    elif fault == "stale":
        rows = at(rows, range(place, place + 12), open=50.0, high=50.0, low=50.0, close=50.0, volume=0.0)
    else:
        rows = at(rows, [place], close=0.0)
    whole, parts = Memory(), Memory()
    import_batch(whole, batch(rows), calendar, at=AT)
    edges = [0, *sorted(cuts), 400]
    for first, last in pairwise(edges):
        assert adds_up(import_batch(parts, batch(rows[max(first - overlap, 0) : last]), calendar, at=AT))
    for name in whole.frames:
        key = ["symbol", "session"] if "session" in whole.frames[name].columns else ["symbol"]
        assert parts.frames[name].sort(key).equals(whole.frames[name].sort(key)), name


def test_actions_follow_from_the_good_rows(memory: Memory, calendar: Sessions) -> None:
    """A 2 % distribution while its own row is bad: the next good row carries it, so that the series is continuous."""
    rows = walk(calendar)
    adj = pl.when(pl.int_range(pl.len()) < 100).then(pl.col("close") * 0.98).otherwise(pl.col("close"))
    rows = at(rows.with_columns(adj.alias("adj_close")), [100], high=0.0)
    import_batch(memory, batch(rows), calendar, at=AT)
    action = memory.frames["actions"].row(0, named=True)
    assert memory.frames["actions"].height == 1
    assert (action["session"], action["kind"]) == (rows["session"][101], "distribution")
    assert action["factor"] == pytest.approx(1 / 0.98)
    assert action["known_at"] == calendar.close(rows["session"][101])


def test_total_return_does_not_depend_on_the_day_of_the_download(memory: Memory, calendar: Sessions) -> None:
    """Check 49: a later dividend rescales every adjusted close; the view's forward prices stay what they were."""
    rows = walk(calendar)
    early = rows[:200].with_columns(pl.col("close").alias("adj_close"))
    import_batch(memory, batch(early), calendar, at=AT)
    moment = calendar.close(rows["session"][199])
    before = View(memory, moment, calendar).bars().collect()
    adj = pl.when(pl.int_range(pl.len()) < 220).then(pl.col("close") * 0.97).otherwise(pl.col("close"))
    report = import_batch(memory, batch(rows.with_columns(adj.alias("adj_close"))), calendar, at=LATER)
    assert (report.stored, report.known, report.restated) == (100, 200, 0)
    assert View(memory, moment, calendar).bars().collect().equals(before)
    after = View(memory, LATER, calendar).bars().collect()
    jump = after["close"][220] / after["close"][219]
    assert jump == pytest.approx(rows["close"][220] / rows["close"][219] / 0.97)


def test_a_corrected_distribution_is_known_from_now_on(memory: Memory, calendar: Sessions) -> None:
    rows = walk(calendar)

    def with_dividend(kept: float) -> pl.DataFrame:
        adj = pl.when(pl.int_range(pl.len()) < 100).then(pl.col("close") * kept).otherwise(pl.col("close"))
        return rows.with_columns(adj.alias("adj_close"))

    import_batch(memory, batch(with_dividend(0.98)), calendar, at=AT)
    import_batch(memory, batch(with_dividend(0.95)), calendar, at=LATER)
    import_batch(memory, batch(with_dividend(1.0)), calendar, at=LATER + dt.timedelta(days=1))
    told = memory.frames["actions"].sort("known_at")
    assert told["factor"].to_list() == pytest.approx([1 / 0.98, 1 / 0.95, 1.0])
    assert told["known_at"].to_list() == [calendar.close(rows["session"][100]), LATER, LATER + dt.timedelta(days=1)]


def test_a_dry_run_writes_nothing(memory: Memory, calendar: Sessions) -> None:
    report = import_batch(memory, batch(walk(calendar)), calendar, at=AT, dry_run=True)
    assert report.stored == 300
    assert memory.frames == {}


def test_what_cannot_be_used_is_refused_as_a_whole(memory: Memory, calendar: Sessions) -> None:
    with pytest.raises(BadInput, match="no rows at all"):
        import_batch(memory, Batch("nothing"), calendar, at=AT)
    weekend = walk(calendar).with_columns(pl.lit(dt.date(2015, 3, 14)).alias("session"))
    with pytest.raises(BadInput, match=r"None of the 300 bars .* lies on a session of XNYS"):
        import_batch(memory, batch(weekend), calendar, at=AT)
    with pytest.raises(BadInput, match="has no time zone"):
        import_batch(memory, batch(walk(calendar)), calendar, at=dt.datetime(2026, 1, 5))
    with pytest.raises(BadInput, match="must have the columns"):
        Batch("narrow", walk(calendar).drop("volume"))
    assert memory.frames == {}


def test_rates_are_known_after_their_day_and_members_before_the_open(memory: Memory, calendar: Sessions) -> None:
    rates = pl.DataFrame(
        {"name": ["DGS10"] * 2, "session": [dt.date(2020, 1, 2), dt.date(2020, 1, 3)], "value": [1.9, 1.8]}
    )
    members = pl.DataFrame({"universe": ["u"], "symbol": ["X"], "session": [dt.date(2020, 1, 2)], "member": [True]})
    one = Batch("facts", rates=rates.cast(dict(RATES)), membership=members.cast(dict(MEMBERSHIP)))
    report = import_batch(memory, one, calendar, at=AT)
    assert report.added == {"membership": 1, "rates": 2}
    # The 3rd is a Friday: its rate is out by the close of Monday.
    assert memory.frames["rates"]["known_at"].to_list() == [
        calendar.close(dt.date(2020, 1, 3)),
        calendar.close(dt.date(2020, 1, 6)),
    ]
    assert memory.frames["membership"]["known_at"].item() == dt.datetime(2020, 1, 2, tzinfo=dt.UTC)
    assert import_batch(memory, one, calendar, at=LATER).commit is None


def test_a_sector_learnt_later_is_known_later_and_none_is_taken_back(memory: Memory, calendar: Sessions) -> None:
    import_batch(memory, batch(walk(calendar)), calendar, at=AT)
    told = pl.DataFrame({"symbol": ["X"], "kind": ["STOCK"], "sector": ["Utilities"]}, schema=dict(INSTRUMENTS))
    import_batch(memory, Batch("sectors", instruments=told), calendar, at=LATER)
    silent = told.with_columns(pl.lit(None, dtype=pl.String).alias("sector"))
    assert import_batch(memory, Batch("silent", instruments=silent), calendar, at=LATER).commit is None
    assert memory.frames["instruments"].sort("known_at").select("sector", "known_at").rows()[-1] == ("Utilities", LATER)


def test_the_real_store_and_check(tmp_path: Path, calendar: Sessions) -> None:
    tables = Tables.open(f"file://{tmp_path}")
    rows = scaled(walk(calendar), range(150, 300), 0.5, volume=2.0)
    first = import_batch(tables, batch(rows), calendar, at=AT)
    assert first.commit is not None
    assert import_batch(tables, batch(rows), calendar, at=LATER).commit is None
    told = {row["rule"]: row["rows"] for row in check(tables, calendar).iter_rows(named=True) if row["rows"]}
    assert told == {"unadjusted_split": 21, "new_level": 1}
