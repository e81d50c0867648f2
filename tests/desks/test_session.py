"""The session desk: the likeliest class if it is sure enough, a position of a stated size, and else nothing at all."""

from __future__ import annotations

import dataclasses
import datetime as dt

import pytest

from openbell.core.errors import BadInput
from openbell.core.session import CLASSES, NO_CALL, SIDES, SessionSaid
from openbell.core.types import Book, Decision
from openbell.desks import session as desk

AT = dt.datetime(2024, 3, 11, 14, 15, tzinfo=dt.UTC)
BOOK = Book(AT, 100_000.0)
DECIDE = desk.decide[0].decide


def said(odds: tuple[float, ...] | None = (0.3, 0.7), label: str = "direction_from_cutoff", **other) -> SessionSaid:
    given = {"price": 100.0, "atr": 2.0, "model": "toy@1", "proven": True, **other}
    return SessionSaid(
        symbol="SPY", session=AT.date(), as_of=AT, label=label, probabilities=odds, silent="No bars.", **given
    )


def decided(forecast: SessionSaid, **settings) -> Decision:
    return DECIDE(forecast, BOOK, **settings)


@pytest.mark.parametrize(
    ("odds", "call", "side"),
    [((0.3, 0.7), "UP", 1), ((0.7, 0.3), "DOWN", -1), ((0.4, 0.6), "UP", 1), ((0.41, 0.59), NO_CALL, 0)],
)
def test_the_likeliest_class_is_called_from_the_threshold_on(odds, call, side) -> None:
    """Mutant: a threshold that must be passed, or label 0 taken for flat (check 69)."""
    found = decided(said(odds))
    assert found.details["call"] == call
    assert [each > 0 for each in found.targets.values()] == ([] if side == 0 else [side > 0])


def test_no_call_never_trades() -> None:
    """Mutant: "no prediction" coded as a number that something multiplies (check 69)."""
    for forecast in (said(None), said((0.5, 0.5)), said((0.3, 0.4, 0.3), "archetype_by_range")):
        found = decided(forecast)
        assert (found.details["call"], found.targets, found.cash_weight) == (NO_CALL, {}, 1.0)
    assert NO_CALL not in SIDES
    assert "No bars." in decided(said(None)).why[0]


@pytest.mark.parametrize("call", ["RANGE", "REVERSAL"])
def test_a_day_without_a_direction_is_called_and_not_traded(call) -> None:
    """Mutant: a side for a range."""
    classes = CLASSES["archetype_by_structure"]
    odds = tuple(0.85 if name == call else 0.05 for name in classes)
    found = decided(said(odds, "archetype_by_structure"))
    assert (found.details["call"], found.targets) == (call, {})
    assert "not traded" in found.why[1]


def test_a_class_of_the_whole_day_is_called_and_has_no_size() -> None:
    """Mutant: skill that is arithmetic on the morning taken for a gain of the afternoon."""
    found = decided(said((0.1, 0.1, 0.8), "archetype_by_range"))
    assert (found.details["call"], found.targets) == ("TREND_UP", {})
    assert desk.WHOLE in found.why


def test_the_size_makes_one_average_range_cost_the_risk() -> None:
    """0.5 % of the account at a range of 5 % of the price is a tenth of it; the cap stops it at a quarter."""
    assert decided(said(atr=5.0)).targets == {"SPY": pytest.approx(0.1)}
    assert decided(said(atr=0.5)).targets == {"SPY": 0.25}
    assert decided(said((0.7, 0.3), atr=5.0)).targets == {"SPY": pytest.approx(-0.1)}
    assert decided(said(atr=5.0)).cash_weight == pytest.approx(0.9)


@pytest.mark.parametrize("other", [{"proven": False}, {"atr": None}, {"atr": 0.0}, {"atr": float("nan")}])
def test_without_proof_or_without_a_range_there_is_no_size(other) -> None:
    """Mutant: a size for a model that never knew more than the base rates."""
    found = decided(said(**other))
    assert (found.details["call"], found.targets) == ("UP", {})
    assert (desk.UNPROVEN in found.why) == ("proven" in other)


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"odds": (0.5, 0.6)}, "sum to 1"),
        ({"odds": (0.2, 0.3, 0.5)}, "DOWN, UP"),
        ({"label": "direction"}, "was `direction`"),
        ({"price": 0.0}, "was 0.0"),
    ],
)
def test_what_cannot_be_said_is_refused(other, told) -> None:
    """Mutant: a check of the forecast left out."""
    with pytest.raises(BadInput, match=told):
        said(**other)


def test_a_moment_without_a_zone_is_refused() -> None:
    """Mutant: a naive moment let in."""
    with pytest.raises(BadInput, match="no time zone"):
        dataclasses.replace(said(), as_of=AT.replace(tzinfo=None))
