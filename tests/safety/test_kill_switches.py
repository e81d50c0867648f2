"""The kill switches on every kind of curve (check 50), and how often they cry wolf (trap 9)."""

import math

import numpy as np
import polars as pl
import pytest

from openbell.core.types import Outcome
from openbell.safety import rolling_sharpe as sharpe

ALLOW, BLOCK = Outcome.ALLOW, Outcome.BLOCK


@pytest.mark.parametrize(
    ("equity", "outcome"),
    [
        ((), ALLOW),
        ((100.0,), ALLOW),
        ((100.0, 101.0, 102.0), ALLOW),
        ((100.0, 97.01), ALLOW),
        ((100.0, 96.99), BLOCK),
        ((100.0, 96.0, 96.5), ALLOW),
        ((100.0, 0.0), BLOCK),
        ((0.0, 100.0), BLOCK),
        ((-5.0, 100.0), BLOCK),
        ((100.0, math.nan), BLOCK),
    ],
)
def test_daily_loss_on_every_kind_of_curve(verdict, situation, name, equity, outcome) -> None:
    """check 50, and check 54: losses are negative, the threshold is tried on both sides."""
    said = verdict("daily_loss", situation({"A": name(0.1)}, equity=equity))
    assert said.outcome is outcome
    assert said.available


def test_daily_loss_reads_the_last_day_whatever_the_row_order(verdict, situation, name) -> None:
    given = situation({"A": name(0.1)}, equity=(100.0, 90.0))
    from dataclasses import replace

    turned = given.change(book=replace(given.book, equity=given.book.equity.reverse()))
    assert verdict("daily_loss", turned).measured["daily_return"] == pytest.approx(-0.1)


def test_a_withdrawal_is_no_loss_and_a_deposit_hides_none(verdict, situation, name) -> None:
    from dataclasses import replace

    given = situation({"A": name(0.1)}, equity=(100.0, 50.0))
    flows = given.book.equity.with_columns(pl.Series("flow_usd", [0.0, -50.0]))
    taken = given.change(book=replace(given.book, equity=flows))
    assert verdict("daily_loss", taken).outcome is ALLOW
    given = situation({"A": name(0.1)}, equity=(100.0, 140.0))
    flows = given.book.equity.with_columns(pl.Series("flow_usd", [0.0, 50.0]))
    paid = given.change(book=replace(given.book, equity=flows))
    assert verdict("daily_loss", paid).measured["daily_return"] == pytest.approx(-10 / 150)
    assert verdict("daily_loss", paid).outcome is BLOCK


@pytest.mark.parametrize(("mark", "outcome"), [(97.01, ALLOW), (96.99, BLOCK)])
def test_the_first_day_is_measured_against_the_opening_cash(verdict, situation, name, mark, outcome) -> None:
    """Kills: a first day that may lose anything, because there is no mark before it."""
    from dataclasses import replace

    given = situation({"A": name(0.1)}, equity=(mark,))
    opened = given.book.equity.with_columns(pl.Series("flow_usd", [100.0]))
    said = verdict("daily_loss", given.change(book=replace(given.book, equity=opened)))
    assert said.outcome is outcome
    assert said.measured["daily_return"] == pytest.approx(mark / 100.0 - 1.0)


def wave(mean: float, count: int = 31) -> tuple[float, ...]:
    returns = mean + 0.01 * np.resize([1.0, -1.0], count - 1)
    return tuple(100 * np.cumprod(np.r_[1.0, 1.0 + returns]))


@pytest.mark.parametrize(
    ("equity", "armed", "outcome"),
    [
        (wave(0.002), True, ALLOW),
        (wave(-0.002), True, BLOCK),
        (wave(-0.002), False, ALLOW),
        (wave(-0.002, 30), True, ALLOW),
        ((), True, ALLOW),
        ((100.0,) * 40, True, ALLOW),
    ],
)
def test_rolling_sharpe_on_every_kind_of_curve(verdict, situation, name, equity, armed, outcome) -> None:
    """check 50: healthy, losing, short, empty and flat; advisory unless armed."""
    said = verdict("rolling_sharpe", situation({"A": name(0.1)}, equity=equity), armed=armed)
    assert said.outcome is outcome
    assert "false" in said.why
    assert 0 < said.measured["false_alarm_per_look"] < said.measured["false_alarm_per_year"] <= 1


def test_rolling_sharpe_by_hand(verdict, situation, name) -> None:
    returns = 0.002 + 0.01 * np.resize([1.0, -1.0], 30)
    said = verdict("rolling_sharpe", situation({"A": name(0.1)}, equity=wave(0.002)))
    assert said.measured["rolling_sharpe"] == pytest.approx(np.mean(returns) / np.std(returns, ddof=1) * math.sqrt(252))


def test_the_false_alarm_rate_is_what_is_claimed() -> None:
    """Trap 9: 6 weeks below 0.5 stops a strategy of true Sharpe ratio 2 in 99.7 % of years. Exact against simulated."""
    exact = sharpe.false_alarm_per_look(2.0, 30, 0.5)
    rng = np.random.default_rng(11)
    returns = rng.normal(2.0 / math.sqrt(252), 1.0, (40_000, 30))
    measured = returns.mean(axis=1) / returns.std(axis=1, ddof=1) * math.sqrt(252) < 0.5
    assert measured.mean() == pytest.approx(exact, abs=4 * math.sqrt(exact * (1 - exact) / 40_000))
    assert sharpe.false_alarm_per_year(2.0, 30, 0.5) > 0.99
    assert sharpe.false_alarm_per_year(2.0, 30, 0.5) == sharpe.false_alarm_per_year.__wrapped__(2.0, 30, 0.5)


def test_a_longer_window_cries_wolf_less_and_notices_later() -> None:
    assert sharpe.false_alarm_per_look(2.0, 252, 0.5) < sharpe.false_alarm_per_look(2.0, 30, 0.5)
    assert sharpe.false_alarm_per_year(2.0, 126, -1.0) < sharpe.false_alarm_per_year(2.0, 30, -1.0)
    assert 1 <= sharpe.detection_delay(2.0, 30, 0.5) < sharpe.detection_delay(2.0, 126, 0.0) <= 252
