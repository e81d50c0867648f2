"""Filters of the almanac: which sessions pass, when that is known, and which study may not use it."""

import datetime as dt

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.research.almanac_world import NOVEMBER, ZONE, bars, hours, made, moment

from openbell.core.errors import BadInput, DataMissing, Refused
from openbell.core.time import MOMENT
from openbell.research.almanac_days import almanac
from openbell.research.almanac_filter_kinds import MAJOR
from openbell.research.almanac_filters import (
    FILTERS,
    Group,
    filter_of,
    filters_from,
    joined,
    lateness,
    parameters,
    refuse_late,
)
from openbell.research.almanac_metrics import METRICS, Study, clock_of, clock_text

LONG = tuple(day for day in (dt.date(2023, 1, 2) + dt.timedelta(days=n) for n in range(180)) if day.weekday() < 5)


@pytest.fixture(scope="module")
def known():
    return made(LONG)


def study(known, **more):
    return Study(known, 615, **more)


def passing(known, text, **more):
    """Sessions that pass the filter written as `text`."""
    asked = study(known, **more)
    return known.days.filter(filter_of(text).mask(asked))["session"].to_list()


def days_where(known, test):
    return [row["session"] for row in known.days.iter_rows(named=True) if test(row)]


def test_every_filter_against_a_loop_in_plain_python(known):
    """The vectorised masks say what a sentence about one day says."""

    def some(value, test):
        return value is not None and test(value)

    wanted = {
        "weekdays days=tue,mon": lambda d: d["session"].weekday() in (0, 1),
        "months months=feb": lambda d: d["session"].month == 2,
        "previous direction=positive": lambda d: some(d["prev_day_return_pct"], lambda v: v > 0),
        "previous direction=negative change=change_pct": lambda d: some(d["prev_change_pct"], lambda v: v < 0),
        "previous_percent percent=0.3": lambda d: some(d["prev_day_return_pct"], lambda v: v >= 0.3),
        "previous_percent condition=<= percent=-0.3": lambda d: some(d["prev_day_return_pct"], lambda v: v <= -0.3),
        "relative_volume ratio=1": lambda d: some(d["prev_relative_volume"], lambda v: v > 1),
        "relative_volume condition=< ratio=1 of=day": lambda d: some(d["relative_volume"], lambda v: v < 1),
        "direction side=bull": lambda d: d["close"] > d["open"],
        "direction side=bear of=before": lambda d: some(d["prev_day_return_pct"], lambda v: v < 0),
        "gap percent=0.2": lambda d: some(d["gap_pct"], lambda v: v > 0.2),
        "gap direction=down percent=0.2": lambda d: some(d["gap_pct"], lambda v: v < -0.2),
        "metric metric=range_pct condition=>= value=2": lambda d: d["range_pct"] >= 2,
    }
    for text, test in wanted.items():
        found, sessions = passing(known, text), days_where(known, test)
        assert found == sessions, text
        assert 0 < len(found) < known.days.height, text


def test_prices_at_two_times(known):
    """The price at a time is the last close by then."""
    close = {(row["session"], row["clock"]): row["close"] for row in known.bars.iter_rows(named=True)}
    wanted = [day for day in LONG if close[day, 600] > close[day, 570]]
    assert passing(known, "times a=10:00 b=09:30") == wanted
    assert passing(known, "times a=10:10 b=09:59") == wanted
    further = [day for day in LONG if 100 * (close[day, 600] - close[day, 570]) / close[day, 570] <= -0.1]
    assert passing(known, "times a=10:00 b=09:30 condition=below percent=0.1") == further
    evening = [day for day in LONG if close[day, 600] > close[day, 20 * 60]]
    assert passing(known, "times a=10:00 b=20:00") == evening


def test_volatility_of_the_day_uses_the_span_and_that_of_the_session_before_only_its_past(known):
    """Check 4: a quantile over all days is a leak; that of the session before knows nothing later."""
    ranges = known.days["range_pct"].to_numpy()
    assert passing(known, "volatility level=high") == days_where(
        known, lambda d: d["range_pct"] > np.quantile(ranges, 0.75)
    )
    asked = study(known)
    whole = filter_of("volatility level=high of=before").mask(asked)
    for place in (19, 20, 21, 60, 100):
        past = ranges[:place]
        wanted = None if place < 20 else bool(past[-1] > np.quantile(past, 0.75))
        assert whole[place] is wanted
    cut = made(LONG[:80])
    part = filter_of("volatility level=high of=before").mask(study(cut))
    assert part.to_list() == whole[: part.len()].to_list()


def test_masks_up_to_the_cutoff_do_not_see_what_comes_after(known):
    """Check 4: with all later bars removed, what is known by the cut-off is bit-equal."""
    asked = study(known)
    early = [name for name, metric in METRICS.items() if metric.when == "cut-off"]
    day = LONG[60]
    rows = bars(LONG).filter(
        (pl.col("session") != day) | (pl.col("at") <= moment(day, "10:15")) | (pl.col("at") == moment(day, "16:00"))
    )
    torn = rows.with_columns(
        pl.when(pl.col("at") == moment(day, "16:00")).then(1e6).otherwise(name).alias(name)
        for name in ("high", "close", "volume")
    )
    other = study(almanac(torn, hours(LONG)))
    for name in early:
        assert asked.values(name)[60] is not None
        assert other.values(name)[60] == asked.values(name)[60], name


def test_what_is_left_of_a_day_begins_at_the_first_open_after_the_cutoff(known):
    """Mutant: the open of the day, or of the bar that ends at the cut-off: a move that nobody earns any more."""
    found = study(known).values("rest_return_pct")
    for place in (0, 7, 60):
        day = known.days["session"][place]
        own = known.bars.filter((pl.col("session") == day) & pl.col("regular")).sort("at").rows(named=True)
        step = dt.timedelta(minutes=known.freq_minutes)
        later = [row for row in own if row["at"] - step >= moment(day, "10:15")]
        assert len(later) < len(own)
        assert found[place] == pytest.approx(100.0 * (later[-1]["close"] / later[0]["open"] - 1.0))
    assert filter_of("metric metric=rest_return_pct condition=> value=0").known(study(known)) == "full-day"


def test_a_delay_of_the_data_moves_what_is_known_by_the_cutoff():
    late = study(made(LONG[:30], delay=20), trades="cut-off")
    prompt = study(made(LONG[:30]), trades="cut-off")
    each = filter_of("times a=10:00 b=09:30")
    assert (each.known(prompt), each.known(late)) == ("pre-cut-off", "full-day")
    assert late.values("cutoff_change_pct")[3] is None
    assert prompt.values("cutoff_change_pct")[3] is not None


KNOWN = {
    "weekdays days=mon": "pre-open",
    "months months=jan": "pre-open",
    "previous": "pre-open",
    "previous_percent": "pre-open",
    "relative_volume": "pre-open",
    "relative_volume of=cut-off": "pre-cut-off",
    "relative_volume of=day": "full-day",
    "times a=09:00 b=20:00": "pre-open",
    "times a=10:15 b=09:30": "pre-cut-off",
    "times a=10:16 b=09:30": "full-day",
    "direction of=day": "full-day",
    "direction of=before": "pre-open",
    "volatility of=day": "full-day",
    "volatility of=before": "pre-open",
    "gap": "pre-cut-off",
    "metric metric=prev_range": "pre-open",
    "metric metric=overnight_range_pct": "pre-cut-off",
    "metric metric=cutoff_range_pct": "pre-cut-off",
    "metric metric=close": "full-day",
}


def test_every_filter_says_when_it_is_known(known):
    found = {text: filter_of(text).known(study(known)) for text in KNOWN}
    assert found == KNOWN


def test_full_day_filters_are_refused_where_the_study_trades_earlier(known):
    """Check 64: refused in a sentence that names the filter and what it would have needed."""
    for text, when in KNOWN.items():
        group = Group("and", (filter_of("weekdays days=mon"), Group("or", (filter_of(text),))))
        for trades, allowed in (
            ("none", {"pre-open", "pre-cut-off", "full-day"}),
            ("cut-off", {"pre-open", "pre-cut-off"}),
            ("pre-open", {"pre-open"}),
        ):
            asked = study(known, trades=trades)
            if when in allowed:
                refuse_late(group, asked)
                continue
            with pytest.raises(Refused) as refused:
                refuse_late(group, asked)
            assert filter_of(text).words() in str(refused.value)
            assert when in str(refused.value)
    sentence = lateness(filter_of("direction of=day"), study(known, trades="cut-off"))
    assert "16:00" in sentence
    assert "10:15" in sentence


def test_another_product_is_known_by_its_own_hours(known):
    """A market whose day ends after our open has no session before that a study at our open could know."""
    times = hours(LONG).with_columns(pl.col("regular_close_at") + pl.duration(hours=18))
    times = times.with_columns(pl.col("close_at") + pl.duration(hours=18), pl.col("open_at") + pl.duration(hours=18))
    times = times.with_columns(pl.col("regular_open_at") + pl.duration(hours=18))
    other = almanac(bars(LONG, seed=5, symbol="NK", times=times), times)
    asked = study(known, others={"NK": other})
    assert filter_of("metric metric=prev_close").known(asked) == "pre-open"
    assert filter_of("metric metric=prev_close product=NK").known(asked) == "pre-cut-off"  # its day ends at 10:00
    same = study(known, others={"ES": made(LONG, seed=3, symbol="ES")})
    each = filter_of("metric metric=prev_day_return_pct condition=> value=0 product=ES")
    assert each.known(same) == "pre-open"
    mine = filter_of("metric metric=prev_day_return_pct condition=> value=0").mask(same)
    assert each.mask(same).to_list() != mine.to_list()
    with pytest.raises(DataMissing, match="CL"):
        filter_of("metric metric=close product=CL").mask(same)


def calendar(*rows):
    told = [(name, moment(day, clock), moment(known, "12:00"), "made") for name, day, clock, known in rows]
    return pl.DataFrame(
        told, schema={"name": pl.String, "at": MOMENT, "known_at": MOMENT, "source": pl.String}, orient="row"
    )


FIRST, LAST = dt.date(2023, 2, 1), dt.date(2023, 3, 31)


def test_events_are_of_the_session_that_closes_next(known):
    events = calendar(
        ("CPI", dt.date(2023, 2, 14), "08:30", FIRST),
        ("FOMC", dt.date(2023, 2, 22), "19:00", FIRST),  # after the close: the evening belongs to the next session
        ("NFP", dt.date(2023, 2, 25), "08:30", FIRST),  # a Saturday: no session
        ("PPI", dt.date(2023, 3, 1), "08:30", dt.date(2023, 3, 2)),  # announced after it came
        ("GDP", LAST, "08:30", FIRST),
        ("GDP", FIRST, "08:30", dt.date(2023, 1, 2)),
    )
    reach = [day for day in LONG if FIRST <= day <= LAST]
    assert passing(known, "events names=CPI", events=events) == [dt.date(2023, 2, 14)]
    assert passing(known, "events names=MAJOR", events=events) == [dt.date(2023, 2, 14), dt.date(2023, 2, 23)]
    assert passing(known, "events names=PPI", events=events) == []
    without = passing(known, "events names=CPI on=without", events=events)
    assert without == [day for day in reach if day != dt.date(2023, 2, 14)]
    asked = study(known, events=events)
    each = filter_of("events names=CPI")
    assert each.mask(asked).null_count() == len(LONG) - len(reach)
    assert each.known(asked) == "pre-open"
    assert f"{len(LONG) - len(reach)} of {len(LONG)} sessions" in each.note(asked)
    assert each.note(study(known, events=events, first=FIRST, last=LAST)) == ""
    assert set(MAJOR) == {"CPI", "FOMC", "NFP"}


def test_no_calendar_or_no_such_release_is_said(known):
    with pytest.raises(DataMissing, match="openbell data import events"):
        filter_of("events").mask(study(known))
    with pytest.raises(DataMissing, match="PCE"):
        filter_of("events names=PCE").mask(study(known, events=calendar(("CPI", FIRST, "08:30", FIRST))))


@settings(max_examples=60, deadline=None)
@given(
    st.recursive(
        st.sampled_from(sorted(KNOWN)),
        lambda inner: st.tuples(st.sampled_from(["and", "or"]), st.lists(inner, max_size=3)),
        max_leaves=6,
    )
)
def test_trees_join_as_logic_does(tree):
    """Against three-valued logic by hand; what is not known stays so unless the rest decides."""
    known = _NOVEMBER

    def build(node):
        return filter_of(node) if isinstance(node, str) else Group(node[0], tuple(map(build, node[1])))

    def answer(node, place):
        if isinstance(node, str):
            return _ANSWERS[node][place]
        parts = [answer(each, place) for each in node[1]]
        if not parts:
            return True
        stop = node[0] == "or"
        return stop if stop in parts else None if None in parts else not stop

    try:
        made_tree = build(tree)
    except BadInput:
        return
    found = joined(made_tree, study(known)).to_list()
    assert found == [answer(tree, place) for place in range(known.days.height)]
    assert filters_from(made_tree.as_dict()) == made_tree


_NOVEMBER = made(NOVEMBER)
_ANSWERS = {text: filter_of(text).mask(study(_NOVEMBER)).to_list() for text in KNOWN}


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"kind": "wekdays"}, "Did you mean `weekdays`"),
        ({"kind": "weekdays"}, "needs `days`"),
        ({"kind": "weekdays", "days": []}, "at least one"),
        ({"kind": "weekdays", "days": ["someday"]}, "someday"),
        ({"kind": "weekdays", "days": "mon"}, "list"),
        ({"kind": "gap", "percent": float("nan")}, "number"),
        ({"kind": "gap", "percent": True}, "number"),
        ({"kind": "gap", "percent": -1}, "0 to 100"),
        ({"kind": "gap", "percnt": 1}, "Did you mean `percent`"),
        ({"kind": "times", "a": "25:00", "b": "10:00"}, "time of day"),
        ({"kind": "times", "a": "٠٩:٠٠", "b": "10:00"}, "time of day"),
        ({"kind": "metric", "metric": "__class__"}, "metric"),
        ({"join": "xor", "filters": []}, "xor"),
        ({"join": "and", "filters": [{"kind": "gap"}] * 41}, "up to 40"),
        ({"join": "and", "filter": []}, "Did you mean `filters`"),
        (["gap"], "object"),
    ],
)
def test_what_is_no_filter_is_refused_with_a_sentence(value, said):
    with pytest.raises(BadInput, match=said.replace("(", r"\(")):
        filters_from(value)


def test_a_tree_that_is_too_deep_is_refused_without_recursion():
    value = {"kind": "gap"}
    for _ in range(5_000):
        value = {"join": "and", "filters": [value]}
    with pytest.raises(BadInput, match="deep"):
        filters_from(value)


def test_lines_of_filters_are_refused_with_a_sentence():
    for text, said in (
        ("", "kind"),
        ("gap percent", "name=value"),
        ("gap percent=a", "number"),
        ("gap percnt=1", "percent"),
    ):
        with pytest.raises(BadInput, match=said):
            filter_of(text)


def test_every_kind_can_be_written_as_its_example_says():
    from openbell.research.almanac_filters import _example

    for kind in FILTERS:
        assert kind == filter_of(_example(kind)).KIND
        assert parameters(FILTERS[kind])


def test_clocks():
    assert [clock_of(text) for text in ("00:00", "00:01", "23:59")] == [1440, 1, 1439]
    assert clock_text(1440) == "00:00"


def test_a_cutoff_outside_the_sessions_is_refused(known):
    with pytest.raises(BadInput, match="17:30"):
        _ = Study(known, 1050).times
    assert known.zone == ZONE
