"""Quotes into the tables: atomic, once, priced by us, and every one of them accounted for."""

import datetime as dt

import polars as pl
import pytest
from tests.market.conftest import Memory
from tests.market.made_chains import CALENDAR, SESSION, batch, made_rows, planted

from openbell.core.quotes import QUOTES, RECEIVED
from openbell.core.time import MOMENT
from openbell.core.view import View
from openbell.market.chain_importing import import_chain

AT = dt.datetime(2024, 1, 5, 12, tzinfo=dt.UTC)
CLOSE = dt.datetime(2023, 9, 14, 20, tzinfo=dt.UTC)
NEXT = dt.date(2023, 9, 15)


def taken(memory, rows, **options):
    report = import_chain(memory, batch(rows), CALENDAR, at=options.pop("at", AT), **options)
    assert report.received == report.stored + report.quarantined + report.known
    return report


def faulty():
    rows = planted(made_rows(), (4500.0, "PUT"), bid=96.0, ask=95.0)
    return pl.concat([rows, rows[3:4]])


def test_what_is_stored_is_priced_and_known_from_its_moment_on():
    """By hand: rows were made at a volatility of 18 % and a rate of 4 %. Kills: a vendor's volatility stored as ours,
    a delay left out, quarantined rows priced with the rest."""
    memory = Memory()
    report = taken(memory, faulty(), delay_minutes=15)
    assert (report.received, report.quarantined, report.known) == (149, 2, 0)
    stored, aside = memory.frames["quotes"], memory.frames["quote_quarantine"]
    assert dict(stored.schema) == dict(QUOTES)
    assert dict(aside.schema) == {**RECEIVED, "rule": pl.String, "reason": pl.String, "known_at": MOMENT}
    assert set(stored["known_at"]) == set(aside["known_at"]) == {CLOSE + dt.timedelta(minutes=15)}
    assert sorted(aside["rule"]) == ["crossed", "duplicate_contract"]
    middle = stored.filter((pl.col("strike") - 4500).abs() <= 100)
    assert middle["iv"].null_count() == 0
    assert (middle["iv"] - 0.18).abs().max() < 0.002
    assert (middle["forward"] / 4500 - 1).abs().max() < 0.01
    assert report.iv_quotes > 50
    assert report.iv_difference < 0.002


def test_the_same_again_changes_nothing():
    """Kills: a second commit, a quarantine that is judged again, another name of the same file."""
    memory = Memory()
    taken(memory, faulty())
    again = import_chain(memory, batch(faulty(), "test:another_name"), CALENDAR, at=AT)
    assert (again.known, again.stored, again.quarantined, again.commit) == (149, 0, 0, None)
    assert len(memory.commits) == 1


def test_new_and_known_rows_of_one_file_are_one_chain():
    """Half of a chain first, all of it later: the new half is priced with the forward of the whole. Kills: pricing
    and judging the new rows alone (calls alone have no forward)."""
    memory = Memory()
    rows = made_rows()
    taken(memory, rows.filter((pl.col("strike") <= 4000) | (pl.col("right") == "PUT")))
    report = taken(memory, rows)
    late = memory.commits[1]["quotes"]
    assert report.known + late.height == rows.height
    assert set(late["right"]) == {"CALL"}
    assert late.filter((pl.col("strike") - 4500).abs() <= 100)["iv"].null_count() == 0


def test_a_restatement_is_known_from_the_import_on_and_then_seen():
    """Kills: a correction that was known before it was made, and a view that gives both."""
    memory = Memory()
    taken(memory, made_rows())
    report = taken(memory, planted(made_rows(), (4500.0, "CALL"), volume=77.0))
    assert (report.stored, report.restated, report.known) == (1, 1, made_rows().height - 1)
    first = View(memory, CLOSE, CALENDAR).chain("SPX", session=SESSION).collect()
    then = View(memory, AT, CALENDAR).chain("SPX", session=SESSION).collect()
    assert first.height == then.height == made_rows().height
    assert (77.0 in first["volume"], 77.0 in then["volume"]) == (False, True)


def test_a_view_has_what_was_known_and_the_newest_of_it():
    """Kills: a later session seen early, an earlier moment of a session that hides the later one, another underlying,
    and a modelled quote before a received one."""
    memory = Memory()
    early = made_rows(spot=4480.0).with_columns(pl.col("quote_at") - pl.duration(hours=2))
    other = made_rows(underlying="XSP", root="XSP", spot=450.0, strikes=range(400, 501, 10))
    for rows in (made_rows(), early, made_rows(session=NEXT, spot=4520.0), other):
        taken(memory, rows)
    modelled = memory.frames["quotes"].with_columns(pl.lit(True).alias("modelled"), pl.lit(1.0).alias("volume"))
    memory.append_all({"quotes": modelled})
    seen = View(memory, CLOSE, CALENDAR).chain("SPX").collect()
    assert seen.height == made_rows().height
    assert set(seen["quote_at"]) == {CLOSE}
    assert set(seen["modelled"]) == {False}
    assert set(View(memory, AT, CALENDAR).chain("SPX").collect()["session"]) == {SESSION, NEXT}
    before = View(memory, CLOSE - dt.timedelta(minutes=1), CALENDAR).chain("SPX").collect()
    assert set(before["spot"]) == {4480.0}
    assert seen["strike"].to_list() == seen.sort("root", "expiry", "strike", "right")["strike"].to_list()


def test_a_copy_is_told_from_what_is_stored():
    memory = Memory()
    taken(memory, made_rows())
    copy = made_rows().with_columns(pl.lit(NEXT).alias("session"), pl.lit(CALENDAR.close(NEXT)).alias("quote_at"))
    report = taken(memory, copy)
    assert (report.stored, report.quarantined) == (0, copy.height)
    assert report.refused[0].startswith("The chain of SPX of 2023-09-15 (148 quotes) was refused: 100.0 % of ")


def test_a_dry_run_writes_nothing():
    memory = Memory()
    assert taken(memory, faulty(), dry_run=True).stored == 147
    assert memory.commits == []


def test_a_day_without_a_session_is_refused_once_and_then_known():
    """Kills: a refused chain that comes again with every import."""
    memory = Memory()
    rows = made_rows(session=dt.date(2023, 11, 23), expiries=[dt.date(2023, 12, 15)])
    report = taken(memory, rows)
    assert list(memory.frames) == ["quote_quarantine"]
    assert report.refused == (
        "The chain of SPX of 2023-11-23 (74 quotes) was refused: 2023-11-23 (Thursday) is no session of XNYS.",
    )
    assert taken(memory, rows).known == 74


@pytest.mark.parametrize("part", ["vendor_iv", "vendor_delta", "spot"])
def test_a_number_set_aside_is_not_news_next_time(part):
    """Kills: comparing what was received with what was stored after a number was taken away."""
    memory = Memory()
    values = {"vendor_iv": {"vendor_iv": 0.0}, "vendor_delta": {"vendor_delta": 3.0}, "spot": {}}[part]
    rows = planted(made_rows(), (4500.0, "CALL"), **values)
    rows = rows.with_columns(pl.lit(4467.0).alias("spot")) if part == "spot" else rows
    taken(memory, rows)
    assert memory.frames["quotes"][part].null_count() >= 1
    assert taken(memory, rows).known == rows.height
