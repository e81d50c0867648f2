"""Labels of a day: hand-made paths, classes that exclude each other and leave nothing out, and outcomes, not rules."""

import dataclasses
import datetime as dt
import itertools
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1] / "features"))

from session_made_days import LABELS, OWN, ZONE, bars, flat_day, hours, rows_of

from openbell.core.errors import DeclarationError
from openbell.core.session import CLASSES, OUTCOMES
from openbell.market.calendars import sessions
from openbell.research.sanity import rule_label_accuracy
from openbell.research.session_audit_market import made_up_sessions
from openbell.research.session_early import placed
from openbell.research.session_outcomes import labelled, outcomes

MONDAY, TUESDAY = dt.date(2024, 1, 8), dt.date(2024, 1, 9)
HOURS = hours([MONDAY, TUESDAY], closes="11:30")


def day(*path, wick=0.0):
    """Bars of 15 minutes along `path`: each opens where the one before closed, the first at ``path[0]``."""
    rows, start = [], 9 * 60 + 30
    for k, (a, b) in enumerate(itertools.pairwise(path)):
        at = start + 15 * k
        rows.append((TUESDAY, f"{at // 60:02d}:{at % 60:02d}", a, max(a, b) + wick, min(a, b) - wick, b, 10))
    return rows


def outcome(rows, cutoff="10:00"):
    return outcomes(placed(bars([*flat_day(MONDAY, closes="11:30"), *rows]), HOURS, cutoff, ZONE)).filter(
        pl.col("session") == TUESDAY
    )


def called(rows, label, cutoff="10:00"):
    code = labelled(outcome(rows, cutoff), LABELS[label])["label"].item()
    return None if code is None else CLASSES[label][code]


def test_the_declared_labels():
    """S4.04-S4.06: one label for each set of classes, each of outcomes alone."""
    assert set(LABELS) == set(CLASSES)
    for each in LABELS.values():
        assert set(each.expression.meta.root_names()) <= set(OUTCOMES)
        assert each.reads == "session_outcomes"


# A day of eight bars from 100: where it closes in its range is the last number.
@pytest.mark.parametrize(
    ("path", "by_range"),
    [
        ((0, 1, 2, 3, 4, 5, 6, 7, 9), "TREND_UP"),
        ((0, 9, 8, 7, 6, 6, 6, 6, 6.01), "TREND_UP"),
        ((0, 9, 8, 7, 6, 6, 6, 6, 6), "RANGE"),  # exactly two thirds
        ((0, 9, 8, 7, 6, 5, 4, 3, 3), "RANGE"),  # exactly one third
        ((9, 0, 1, 2, 3, 3, 3, 3, 2.99), "TREND_DOWN"),
    ],
)
def test_range_completion(path, by_range):
    assert called(day(*(100 + each for each in path)), "archetype_by_range") == by_range


@pytest.mark.parametrize(
    ("path", "by_structure"),
    [
        ((0, 2, 1, 4, 3, 6, 5, 8, 10), "TREND_UP"),
        ((10, 8, 9, 6, 7, 4, 5, 2, 0), "TREND_DOWN"),
        ((2, 0, 1, 4, 9, 6, 5, 8, 10), "TREND_UP"),  # gave back 4 of 10
        ((2, 0, 1, 4, 9.5, 4.3, 5, 8, 10), "REVERSAL"),  # gave back 5.2 of 10, and did not turn again
        ((9, 6, 3, 0, 1, 3, 5, 8, 10), "REVERSAL"),  # opened and closed at the top, the low in between
        ((1, 5, 10, 8, 6, 4, 2, 1, 0), "REVERSAL"),
        ((5, 10, 8, 6, 4, 2, 0, 1, 4.5), "RANGE"),  # closed in the middle
        ((5, 10, 0, 10, 0, 10, 0, 5, 9), "RANGE"),  # ends high, but tested both ends over and over
        ((10, 2, 8, 2, 8, 0, 9, 1.9, 9), "RANGE"),  # crossed its middle seven times
    ],
)
def test_structure(path, by_structure):
    """S4.05 with the thresholds of the docstring; each line is on its own side of one of them."""
    assert called(day(*(100 + each for each in path)), "archetype_by_structure") == by_structure


def test_the_shape_of_a_day_by_hand():
    """Retracement, tests and crossings of one path, worked out by hand.

    Up day of range 10: from 108 down to 102 is 6 of 10. The high of 110 is first reached at the end: no return. The
    low of 100 is left at once and 102 is not back at it. Closes pass from 101 over 108 to 102 and to 110: 3 crossings.
    """
    found = outcome(day(100, 101, 104, 108, 105, 102, 105, 107, 110)).row(0, named=True)
    assert found["retracement"] == pytest.approx(0.6)
    assert (found["tests_high"], found["tests_low"], found["crossings"]) == (0.0, 0.0, 3.0)
    assert [found[f"day_{name}"] for name in ("open", "high", "low", "close")] == [100, 110, 100, 110]
    assert found["entry"] == 104


@pytest.mark.parametrize(("close", "of_day", "from_cutoff"), [
    (100, "DOWN", "DOWN"), (100.5, "UP", "DOWN"), (104, "UP", "DOWN"), (104.01, "UP", "UP"), (99, "DOWN", "DOWN"),
])  # fmt: skip
def test_directions(close, of_day, from_cutoff):
    """S4.06: equal is DOWN. From 100 the day was at 104 by the cut-off: only what follows counts from it."""
    rows = day(100, 102, 104, 103, 103, 102, 101, 101, close)
    assert called(rows, "direction_of_day") == of_day
    assert called(rows, "direction_from_cutoff") == from_cutoff


def test_a_day_without_a_range_has_no_archetype():
    flat = day(*[100] * 9)
    assert called(flat, "archetype_by_range") is None
    assert called(flat, "archetype_by_structure") is None
    assert called(flat, "direction_of_day") == "DOWN"


def test_a_day_that_breaks_off_has_no_label():
    """Its last close is not its close."""
    rows = day(100, 101, 102, 103, 104)
    assert all(called(rows, name) is None for name in LABELS)


def test_a_label_without_an_entry_is_of_the_day_alone():
    """No bar within 30 minutes of the cut-off: the direction from there is unknown, that of the day is not."""
    rows = [
        each for each in day(100, 101, 102, 103, 104, 105, 106, 107, 108) if each[1] not in ("10:00", "10:15", "10:30")
    ]
    assert called(rows, "direction_from_cutoff") is None
    assert called(rows, "direction_of_day") == "UP"


prices = st.lists(st.floats(90, 110), min_size=9, max_size=9)


@settings(max_examples=30, deadline=None)
@given(prices, st.floats(0, 2))
def test_every_day_has_exactly_one_archetype(path, wick):
    """Exhaustive: null only where high equals low. A class never contradicts where the day closed."""
    found = outcome(day(*path, wick=wick))
    width = found["day_high"].item() - found["day_low"].item()
    by_structure = labelled(found, LABELS["archetype_by_structure"])["label"].item()
    assert (by_structure is None) == (width == 0)
    if by_structure is None:
        return
    place = (found["day_close"].item() - found["day_low"].item()) / width
    name = CLASSES["archetype_by_structure"][by_structure]
    if 1 / 3 + 1e-9 < place < 2 / 3 - 1e-9:
        assert name == "RANGE"
    if name == "TREND_UP":
        assert place >= 2 / 3 - 1e-9
        assert found["day_close"].item() > found["day_open"].item()
        assert found["retracement"].item() <= 0.5
    if name == "REVERSAL":
        assert found["retracement"].item() > 0.5 or wick > 0
    assert 0 <= found["retracement"].item() <= 1 + 1e-9


@settings(max_examples=15, deadline=None)
@given(prices)
def test_upside_down_the_trends_change_places(path):
    """Prices mirrored: up is down, a range a range and a reversal a reversal."""
    turned = [200 - each for each in path]
    pairs = {"TREND_UP": "TREND_DOWN", "TREND_DOWN": "TREND_UP"}
    found = called(day(*path), "archetype_by_structure")
    place = outcome(day(*path))
    width = place["day_high"].item() - place["day_low"].item()
    # On the very edge of a third the rounding of the mirror decides.
    edge = width and abs(abs((place["day_close"].item() - place["day_low"].item()) / width - 0.5) - 1 / 6) < 1e-6
    if not edge and abs(place["retracement"].item() or 0) - 0.5 != 0:
        assert called(day(*turned), "archetype_by_structure") == pairs.get(found, found)


def test_no_label_is_a_rule_over_the_features():
    """Check 1: a small tree on all features foretells none of them; on the features AND the outcome it would."""
    market = made_up_sessions(sessions("XNYS", 2020, 2022), count=170, seed=8)
    told = outcomes(placed(market.bars, market.hours, "10:15", ZONE))
    known = market.values(list(OWN.values()), "10:15").join(told, on="session")
    seen = known.select(name for name in OWN if name in known.columns).fill_null(0.0).to_numpy()
    for name, label in LABELS.items():
        rows = labelled(known, label)
        kept = rows["label"].is_not_null().to_numpy()
        y = rows["label"].drop_nulls().to_numpy().astype(float)
        assert not rule_label_accuracy(seen[kept], y).is_rule, name
        if name == "direction_from_cutoff":
            end = (rows["exit"] - rows["entry"]).to_numpy()[kept][:, None]
            assert rule_label_accuracy(np.hstack([seen[kept], end]), y).is_rule


def test_a_label_of_something_else_is_refused():
    told = outcome(day(100, 101, 102, 103, 104, 105, 106, 107, 108))
    wrong = pl.col("day_open").alias("x")
    with pytest.raises(DeclarationError, match="learns one of"):
        labelled(told, _like("trade_win", wrong))
    with pytest.raises(DeclarationError, match="`volume`, which outcomes do not have"):
        labelled(told, _like("direction_of_day", pl.col("volume")))


def _like(name, expression):
    return dataclasses.replace(LABELS["direction_of_day"], name=name, expression=expression)


def test_labels_are_known_when_the_regular_hours_are():
    """The latest of the regular close and of its bars, whatever came after them."""
    late = bars([*flat_day(MONDAY, closes="11:30"), *flat_day(TUESDAY, closes="11:30")], delay=7)
    made = rows_of(late, HOURS, "early_return_pct", cutoff="10:30")
    assert made.rows.is_empty()
    assert any("known only after the cut-off" in note for note in made.notes)
    given = bars(
        [*flat_day(MONDAY, closes="11:30"), *flat_day(TUESDAY, closes="11:30"), (TUESDAY, "13:00", 1, 2, 1, 1, 1)]
    )
    made = rows_of(given, HOURS, "early_return_pct", cutoff="10:30")
    assert made.rows["label_known_at"].to_list() == HOURS["regular_close_at"].to_list()
