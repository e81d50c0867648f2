"""A scenario as values, JSON and URL, and the sessions it keeps."""

import base64
import datetime as dt
import json
import zlib

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.research.almanac_world import NOVEMBER, bars, hours, made

from openbell.core.errors import BadInput, Refused
from openbell.research.almanac_filters import Group, filter_of
from openbell.research.almanac_kept import kept, restricted, study
from openbell.research.almanac_scenario import (
    LONGEST_TEXT,
    Scenario,
    scenario_from,
    scenario_from_json,
    scenario_from_text,
)

FULL = Scenario(
    "ES",
    dt.date(2023, 1, 2),
    dt.date(2023, 12, 29),
    cutoff="11:00",
    trades_at="cut-off",
    filters=Group("or", (filter_of("weekdays days=mon"), Group("and", (filter_of("gap"), filter_of("previous"))))),
    trim=5.0,
    statistic="survival",
    metric="range_pct",
    bin=30,
    freq="5m",
)


def test_a_scenario_comes_back_from_values_json_and_url():
    for each in (FULL, Scenario("SPY"), Scenario("^GSPC")):
        assert scenario_from(each.as_dict()) == each
        assert scenario_from_json(each.as_json()) == each
        assert scenario_from_text(each.as_text()) == each
    assert Scenario("SPY").as_text() == Scenario("SPY").as_text()
    assert set(FULL.as_text()) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")


def packed(value):
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return "a1." + base64.urlsafe_b64encode(zlib.compress(raw)).decode().rstrip("=")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a1.",
        "a2." + FULL.as_text()[3:],
        FULL.as_text()[:-6],
        FULL.as_text() + "AAAA",
        "a1.<script>alert(1)</script>",
        "../../etc/passwd",
        "a1." + "A" * LONGEST_TEXT,
        packed([]),
        packed("x"),
        packed({"product": "../x"}),
        packed({"product": "ES", "first": "yesterday"}),
        packed({"product": "ES", "first": 20230102}),
        packed({"product": "ES", "bin": 1e400}),
        packed({"product": "ES", "bin": "many"}),
        packed({"product": "ES", "trim": 60}),
        packed({"product": "ES", "statistic": "__import__"}),
        packed({"product": "ES", "freq": "1d"}),
        packed({"product": "ES", "cutoff": 615}),
        packed({"product": "ES", "trades_at": ["none"]}),
        packed({"product": "ES", "unknown": 1}),
        packed({"product": "ES", "filters": {"kind": "gap", "percent": "1"}}),
        packed({}),
        packed(b"\xff\xfe"),
        packed(b"[" * 30_000),
        packed(b"x" * 5_000_000),
    ],
)
def test_a_malformed_text_is_refused_with_a_sentence(text):
    with pytest.raises(BadInput):
        scenario_from_text(text)


@settings(max_examples=150, deadline=None)
@given(
    st.one_of(st.text(max_size=60), st.binary(max_size=60).map(packed), st.text(max_size=40).map(lambda t: "a1." + t))
)
def test_no_text_at_all_does_more_than_be_refused(text):
    try:
        scenario_from_text(text)
    except BadInput as error:
        said = str(error)
    else:
        said = "."
    assert said.endswith((".", "?"))


def test_end_dates_are_included_and_the_rest_is_left_out():
    """Check 68."""
    known = made()
    asked = Scenario("NQ", NOVEMBER[3], NOVEMBER[9])
    found = kept(study(asked, known), asked)
    assert found.sessions.to_list() == list(NOVEMBER[3:10])
    assert (found.n, found.of, found.unknown) == (7, 7, 0)
    assert not found.sufficient
    assert any("no evidence" in note for note in found.notes)


def test_kept_and_others_and_unknown_are_all_sessions():
    known = made()
    asked = Scenario("NQ", filters=Group("and", (filter_of("relative_volume ratio=1"),)))
    found = kept(study(asked, known), asked)
    assert found.n + found.others.len() + found.unknown == found.of == len(NOVEMBER)
    assert found.unknown == 11
    counts = found.counts.row(0, named=True)
    assert (counts["passes"], counts["fails"], counts["not_known"]) == (found.n, found.others.len(), 11)
    assert counts["known"] == "pre-open"
    assert any("11 of 23" in note for note in found.notes)


def test_trimming_cuts_both_ends_of_change_and_range():
    """The 5 and 95 % quantiles of the sessions themselves; sessions on either side of either go."""
    days = tuple(d for d in (dt.date(2023, 1, 2) + dt.timedelta(days=n) for n in range(150)) if d.weekday() < 5)
    known = made(days)
    asked = Scenario("NQ", trim=5)
    found = kept(study(asked, known), asked)
    table = known.days.select("session", "day_return_pct", "range_pct")
    inside = np.ones(table.height, bool)
    for name in ("day_return_pct", "range_pct"):
        values = table[name].to_numpy()
        inside &= (values >= np.quantile(values, 0.05)) & (values <= np.quantile(values, 0.95))
    assert found.sessions.to_list() == table.filter(pl.Series(inside))["session"].to_list()
    assert found.trimmed == int((~inside).sum()) > 0


def test_a_study_that_trades_neither_trims_nor_sees_the_day():
    """Check 64."""
    known = made()
    for asked in (
        Scenario("NQ", trades_at="cut-off", trim=5),
        Scenario("NQ", trades_at="cut-off", filters=Group("and", (filter_of("direction"),))),
        Scenario("NQ", trades_at="pre-open", filters=Group("and", (filter_of("gap"),))),
    ):
        with pytest.raises(Refused, match=r"full-day|pre-cut-off"):
            kept(study(asked, known), asked)


def test_a_restricted_almanac_has_the_bars_of_the_kept_sessions_only():
    known = made()
    some = restricted(known, known.days["session"][3:6])
    assert some.days["session"].to_list() == some.bars["session"].unique().sort().to_list() == list(NOVEMBER[3:6])
    assert some.days["prev_close"][0] == known.days["close"][2]
    assert hours().equals(known.hours)
    assert bars().height == known.bars.height
