"""Days like today: near, known, not simply the oldest, and counted honestly."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openbell.core.errors import BadInput
from openbell.quant.similar import similar_days


def states(n=300, f=4, seed=0):
    return np.random.default_rng(seed).normal(size=(n, f)) * np.array([30.0, 1.5, 8.0, 0.02])[:f]


def test_the_nearest_by_brute_force():
    past, today = states(), states(1, seed=9)[0]
    closed = np.arange(300) < 250
    found = similar_days(past, closed, today, count=40)
    known = past[:250]
    z = (known - today) / known.std(axis=0)
    distance = np.sqrt((z**2).mean(axis=1))
    assert found.rows.tolist() == np.argsort(distance)[:40].tolist()
    np.testing.assert_allclose(found.distances, np.sort(distance)[:40])
    assert (found.eligible, found.flagged, found.refused) == (250, False, None)


def test_outcomes_are_closed_before_today():
    """Check 28: a twin of today whose outcome is open, or closes today, is no neighbour."""
    past, today = states(), np.zeros(4)
    past[[290, 291, 292]] = 0.0
    dates = np.datetime64("2023-01-02") + np.arange(300)
    dates[290] = np.datetime64("NaT")
    dates[291], dates[292] = np.datetime64("2025-06-02"), np.datetime64("2025-05-30")
    found = similar_days(past, dates, today, today=np.datetime64("2025-06-02"))
    assert found.rows[0] == 292
    assert not np.isin([290, 291], found.rows).any()


def test_neighbours_are_not_simply_the_oldest():
    """Check 28, the original's `.head(30)`: the best days here are the newest."""
    past = np.column_stack([np.linspace(0.0, 100.0, 400), np.sin(np.arange(400))])
    found = similar_days(past, np.ones(400, dtype=bool), np.array([100.0, 0.0]))
    assert found.rows.min() > 250
    equal = similar_days(np.tile([[1.0, 2.0], [3.0, 4.0]], (200, 1)), np.ones(400, dtype=bool), np.array([1.0, 2.0]))
    assert equal.rows.tolist() == list(range(398, 278, -2))


def test_the_future_does_not_move_the_scale():
    """Kills a scaler fitted on all rows: what is not closed may be anything."""
    past, today = states(), states(1, seed=3)[0]
    closed = np.arange(300) < 200
    changed = past.copy()
    changed[200:] *= 1e6
    first, second = similar_days(past, closed, today), similar_days(changed, closed, today)
    assert first.rows.tolist() == second.rows.tolist()
    assert first.distances.tolist() == second.distances.tolist()


@pytest.mark.parametrize(("known", "flagged", "refused"), [(60, False, False), (29, True, False), (9, True, True)])
def test_too_few_days_are_flagged_then_refused(known, flagged, refused):
    found = similar_days(states(), np.arange(300) < known, np.zeros(4))
    assert (len(found.rows), found.flagged, found.refused is not None) == (known, flagged, refused)
    if refused:
        assert found.refused.startswith("Only 9 similar past days have an outcome that was closed before today;")
    if flagged:
        assert f"Only {known} similar days, fewer than 30." in found.why


def test_no_past_at_all_is_refused():
    found = similar_days(np.empty((0, 2)), np.empty(0, dtype=bool), np.zeros(2))
    assert found.refused is not None
    assert len(found.rows) == 0
    assert found.effective == 0.0


def test_what_never_changed_and_what_is_incomplete_is_left_out_and_said():
    past = states()
    past[:, 1] = 7.0
    past[5, 0] = np.nan
    found = similar_days(past, np.ones(300, dtype=bool), np.zeros(4), names=["a", "still", "b", "c"])
    assert found.used.tolist() == [True, False, True, True]
    assert any("still" in each for each in found.why)
    assert "1 past days have an incomplete state." in found.why
    assert 5 not in found.rows


def test_neighbours_apart_and_what_they_are_worth():
    """Sixty days in a row share nearly everything: they are worth four that share nothing (21 sessions each)."""
    past = np.abs(np.arange(200.0) - 150)[:, None]
    every = np.ones(200, dtype=bool)
    close = similar_days(past, every, np.zeros(1), count=60)
    assert close.effective == pytest.approx((60 + 20) / 21, rel=0.05)
    apart = similar_days(past, every, np.zeros(1), count=60, gap_sessions=21)
    assert np.diff(np.sort(apart.rows)).min() >= 21
    assert apart.effective == len(apart.rows)
    assert apart.rows[0] == 150


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 60))
def test_units_do_not_matter_and_nothing_is_random(seed, count):
    past, today = states(120, 3, seed), states(1, 3, seed + 1)[0]
    first = similar_days(past, np.ones(120, dtype=bool), today, count=count)
    scale, shift = np.array([1e-3, 5.0, 1e4]), np.array([3.0, -2.0, 0.0])
    second = similar_days(past * scale + shift, np.ones(120, dtype=bool), today * scale + shift, count=count)
    assert first.rows.tolist() == second.rows.tolist()
    assert (np.diff(first.distances) >= 0).all()


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ((np.zeros((5, 2)), np.ones(5, bool), np.array([1.0, np.nan])), "no value for feature 1"),
        ((np.zeros((5, 2)), np.ones(4, bool), np.zeros(2)), "must fit"),
        ((np.zeros((5, 2)), np.ones(5), np.zeros(2)), "booleans or dates"),
        ((np.zeros((5, 2)), np.zeros(5, "datetime64[D]"), np.zeros(2)), "need `today`"),
    ],
)
def test_what_cannot_be_compared_is_refused(arguments, match):
    with pytest.raises(BadInput, match=match):
        similar_days(*arguments)
