"""The tear sheet: its calendar, falls and rolling measures by hand and against a slower second way."""

import datetime as dt
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openbell.app.reports.tear_sheet import calendar, period_returns, rolling, tear_sheet, worst_drawdowns
from openbell.core.errors import BadInput, Refused
from openbell.quant import performance as measured

sys.path.insert(0, str(Path(__file__).parent))
import contests
from pages import Page, assert_no_missing_words, assert_whole_and_offline

moves = st.lists(st.floats(-0.2, 0.2), min_size=2, max_size=80)


def curve(r):
    return np.concatenate([[1.0], np.cumprod(1.0 + np.asarray(r))])


def sheet(n=300, **changes):
    rng = np.random.default_rng(3)
    days = contests.weekdays(n + 1)
    ours, theirs = curve(rng.normal(0.0006, 0.01, n)), curve(rng.normal(0.0004, 0.01, n))
    return tear_sheet("ridge+hrp", days, ours, theirs, **{"benchmark_name": "SPY", "replications": 50, **changes})


def test_months_and_years_by_hand():
    """+10 % in January, -45 % in February, and the year together; the base mark opens no month of its own."""
    days = [
        dt.date(2018, 12, 31),
        dt.date(2019, 1, 15),
        dt.date(2019, 1, 31),
        dt.date(2019, 2, 1),
        dt.date(2019, 2, 28),
    ]
    equity = np.array([1.0, 1.05, 1.1, 1.21, 0.605])
    monthly = period_returns(days, equity, "1mo")
    assert monthly["period"].to_list() == [dt.date(2019, 1, 1), dt.date(2019, 2, 1)]
    assert monthly["value"].to_list() == pytest.approx([0.1, -0.45])
    assert monthly["sessions"].to_list() == [2, 2]
    yearly = period_returns(days, equity, "1y")
    assert yearly["value"].to_list() == pytest.approx([-0.395])
    grid = calendar(monthly, yearly)
    assert grid["widest"] == pytest.approx(0.45)
    ((year, cells, whole),) = grid["rows"]
    assert (year, whole) == (2019, pytest.approx(-0.395))
    assert cells[:2] == pytest.approx([0.1, -0.45])
    assert cells[2:] == [None] * 10


@given(moves)
@settings(max_examples=50, deadline=None)
def test_periods_compound_to_the_whole(r):
    """Kills: a session counted in two months or in none."""
    equity, days = curve(r), contests.weekdays(len(r) + 1)
    for every in ("1mo", "1y"):
        found = period_returns(days, equity, every)
        assert np.prod(1.0 + found["value"].to_numpy()) - 1.0 == pytest.approx(measured.total_return(equity))
        assert found["sessions"].sum() == len(r)


def test_the_worst_drawdowns_by_hand():
    days = contests.weekdays(8)
    equity = np.array([1.0, 2.0, 1.8, 1.9, 2.0, 3.0, 1.5, 2.7])
    assert worst_drawdowns(days, equity) == [
        {"start": days[5], "trough": days[6], "end": None, "depth": -0.5, "length": 2},
        {"start": days[1], "trough": days[2], "end": days[4], "depth": pytest.approx(-0.1), "length": 3},
    ]
    assert worst_drawdowns(days, np.linspace(1, 2, 8)) == []
    assert len(worst_drawdowns(days, equity, most=1)) == 1


@given(moves)
@settings(max_examples=80, deadline=None)
def test_drawdowns_equal_a_slow_walk(r):
    equity, days = curve(r), contests.weekdays(len(r) + 1)
    high, start, found = equity[0], 0, []
    depth, trough = 0.0, 0
    for at, value in enumerate(equity):
        if value >= high:
            if depth < 0:
                found.append((depth, days[start], days[trough], days[at], at - start))
            high, start, depth = value, at, 0.0
        elif value / high - 1 < depth:
            depth, trough = value / high - 1, at
    if depth < 0:
        found.append((depth, days[start], days[trough], None, len(equity) - 1 - start))
    got = [
        (row["depth"], row["start"], row["trough"], row["end"], row["length"])
        for row in worst_drawdowns(days, equity, most=len(equity))
    ]
    assert sorted(got, key=lambda row: row[1]) == sorted(found, key=lambda row: row[1])
    assert [row[0] for row in got] == sorted(row[0] for row in got)


def test_rolling_measures_are_those_of_the_window():
    rng = np.random.default_rng(0)
    r, days = rng.normal(0, 0.01, 200), contests.weekdays(201)
    found = rolling(days, {"ours": curve(r)})
    per_year = measured.marks_per_year(days)
    assert len(found["Sharpe ratio"]["ours"]) == 200 - 126 + 1
    assert found["Sharpe ratio"]["ours"][-1] == pytest.approx(measured.sharpe(r[-126:], per_year=per_year))
    assert found["volatility"]["ours"][3] == pytest.approx(measured.volatility(r[3:129], per_year=per_year))


@pytest.fixture(scope="module")
def html():
    return sheet()


def test_the_page_is_whole_offline_and_the_same_twice(html):
    assert_whole_and_offline(html)
    assert_no_missing_words(Page(html).words)
    assert sheet() == html
    words = Page(html).words
    for expected in ("Growth of 1", "Under water", "Month by month", "Year by year", "The worst drawdowns", "not yet"):
        assert expected in words, expected
    assert "VaR 95 %" in words.replace("95%", "95 %")


def test_measures_stand_beside_those_of_the_benchmark_and_of_others():
    rng = np.random.default_rng(3)
    days, other = contests.weekdays(301), curve(rng.normal(0, 0.01, 300))
    words = Page(sheet(others={"equal weight": other}, tries=62)).words
    plain = measured.performance(days, other, replications=50)
    assert f"{plain.intervals['sortino'].value:.2f}".replace("-", "−") in words
    assert "n = 300 sessions, 62 tries" in words
    assert "Chosen among 62 tries" in words
    total = measured.total_return(curve(np.random.default_rng(3).normal(0.0006, 0.01, 300)))
    assert f"{total:+.1%} over the whole span".replace("%", " %").replace("-", "−") in words


def test_a_short_curve_says_what_it_is_too_short_for():
    words = Page(sheet(n=40)).words
    assert "Too few sessions for a rolling measure: 40 of 252." in words
    assert "too few to say" in words
    assert_whole_and_offline(sheet(n=2))


def test_a_curve_that_never_fell():
    days = contests.weekdays(261)
    html = tear_sheet("up", days, np.linspace(1, 2, 261), np.linspace(1, 1.5, 261), replications=20)
    assert "It was never below an earlier high." in Page(html).words
    assert_whole_and_offline(html)
    assert_no_missing_words(Page(html).words)


def test_names_are_escaped_and_the_axis_can_be_linear(html):
    attack = "<script>alert(1)</script>$x$"
    poisoned = tear_sheet(
        attack,
        contests.weekdays(301),
        curve(np.random.default_rng(1).normal(0, 0.01, 300)),
        curve(np.random.default_rng(2).normal(0, 0.01, 300)),
        benchmark_name=attack,
        others={attack + "2": np.ones(301)},
        replications=20,
        logarithmic=False,
        notes=[attack],
    )
    assert_whole_and_offline(poisoned)
    assert poisoned.count("&lt;script&gt;") > 6
    assert "logarithmic" in html
    assert "logarithmic" not in poisoned


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"split": "in_sample"}, Refused, "in_sample.*out_of_sample"),
        ({"tries": 0}, Refused, "how many configurations"),
        ({"others": {"short": np.ones(3)}}, BadInput, "`short` had 3 marks for 301 dates"),
        ({"others": {"lost": np.zeros(301)}}, BadInput, "positive and finite"),
    ],
)
def test_what_cannot_be_shown_is_refused(changes, error, words):
    """check 5."""
    with pytest.raises(error, match=words):
        sheet(**changes)
