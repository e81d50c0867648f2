"""Limits of signals, each driven to both sides: what is held back is no signal, and says why."""

import datetime as dt
from dataclasses import replace

import pytest

from openbell.core.signal import Call, Signal
from openbell.core.types import Book, Decision, Outcome
from openbell.safety import signal_limits
from openbell.safety.signal_limits import SeenBar, SignalMarket

ALLOW, SHRINK = Outcome.ALLOW, Outcome.SHRINK
OPENS = dt.datetime(2024, 3, 11, 13, 30, tzinfo=dt.UTC)
AT = OPENS + dt.timedelta(minutes=30)
CLOSES = OPENS + dt.timedelta(hours=6.5)
BOOK = Book(AT, 100_000.0)
CHECKS = {each[0].name: each[0] for each in vars(signal_limits).values() if isinstance(each, tuple)}
BAR = SeenBar(AT, 100.0, 99.0, 0.0)


def signal(symbol="AAA", call=Call.BUY, size=0.05, confidence=0.7, **other) -> Signal:
    side = {Call.BUY: 1.0, Call.SELL: -1.0, Call.HOLD: 0.0}[call]
    levels = {} if call is Call.HOLD else {"target_price": 100 + 2 * side, "stop_loss": 100 - 2 * side}
    shares = ((1 - confidence) / 2,) * 2
    given = {"position_size": None if call is Call.HOLD else size, "created_at": AT, **levels, **other}
    return Signal(
        symbol=symbol, call=call, confidence=confidence, probabilities=(*shares, confidence), price=100.0,
        expires_at=AT + dt.timedelta(hours=1), model_version="toy@1", **given,
    )  # fmt: skip


def said(name, signals, bars=None, active=(), closes=CLOSES, **limits):
    market = SignalMarket(AT, OPENS, closes, {"AAA": BAR, "BBB": BAR} if bars is None else bars, active)
    decision = Decision("signals", AT.date(), AT, {}, 1.0, (), {"signals": tuple(signals)})
    return CHECKS[name].run(decision, BOOK, market, **limits)


def test_the_desk_has_its_four_checks() -> None:
    assert sorted(CHECKS) == ["signal_fresh_bar", "signal_gross_exposure", "signal_position", "signal_price_jump"]
    assert {each.desks for each in CHECKS.values()} == {("signals",)}


@pytest.mark.parametrize("name", sorted(CHECKS))
def test_a_hold_rests_on_nothing(name) -> None:
    assert said(name, [signal(call=Call.HOLD)], bars={}).outcome is ALLOW
    assert said(name, [signal()]).outcome is ALLOW


@pytest.mark.parametrize(
    ("bar", "holds"),
    [
        (replace(BAR, age_seconds=300.0), False),
        (replace(BAR, age_seconds=300.5), True),
        (replace(BAR, age_seconds=-1.0), True),
        (replace(BAR, age_seconds=float("nan")), True),
        (replace(BAR, at=AT - dt.timedelta(minutes=1)), True),
    ],
)
def test_an_old_bar_or_one_of_another_moment_holds_back(bar, holds) -> None:
    found = said("signal_fresh_bar", [signal(), signal("BBB")], bars={"AAA": bar, "BBB": BAR})
    assert (found.by_symbol == {"AAA": 0.0}) is holds
    assert (found.outcome is SHRINK) is holds


def test_a_bar_outside_the_session_holds_back_and_so_does_none() -> None:
    """The close itself is inside, the open is not: no bar has ended by then."""
    assert said("signal_fresh_bar", [signal()], closes=AT).outcome is ALLOW
    assert said("signal_fresh_bar", [signal()], closes=AT - dt.timedelta(seconds=1)).outcome is SHRINK
    opened = [signal(created_at=OPENS)]
    assert "outside the session" in said("signal_fresh_bar", opened, bars={"AAA": replace(BAR, at=OPENS)}).why
    assert "has no bar" in said("signal_fresh_bar", [signal()], bars={}).why


@pytest.mark.parametrize(
    ("before", "holds"), [(80.0, False), (79.9, True), (133.0, False), (134.0, True), (None, True), (0.0, True)]
)
def test_a_jump_in_either_direction_holds_back(before, holds) -> None:
    """100 after 80 is +25 %, after 133 it is -24.8 %. Without a bar before, nobody knows."""
    found = said("signal_price_jump", [signal()], bars={"AAA": replace(BAR, previous_close=before)})
    assert (found.outcome is SHRINK) is holds


@pytest.mark.parametrize(("size", "holds"), [(0.1, False), (0.101, True), (0.0, False), (None, True)])
def test_a_size_above_the_cap_holds_back(size, holds) -> None:
    found = said("signal_position", [signal(size=size)])
    assert (found.by_symbol == {"AAA": 0.0}) is holds


def test_the_surest_get_the_room_that_is_left() -> None:
    """0.85 are active, long and short alike; 0.10 fit once. Kills: netting, and the order of the alphabet."""
    active = (signal("X", size=0.45), signal("Y", Call.SELL, size=0.40))
    both = [signal("AAA", size=0.1, confidence=0.7), signal("BBB", Call.SELL, size=0.1, confidence=0.8)]
    found = said("signal_gross_exposure", both, active=active)
    assert found.by_symbol == {"AAA": 0.0}
    assert found.measured["value"] == pytest.approx(0.95)
    assert said("signal_gross_exposure", both, active=active, max_signal_gross=1.05).outcome is ALLOW


def test_a_signal_without_a_size_takes_no_room() -> None:
    """A model that is not proven has size 0: its signals are shown, and nobody's money is behind them."""
    assert said("signal_gross_exposure", [signal(size=0.0)], active=(signal("X", size=1.0),)).outcome is ALLOW
