"""The gate's account against a table worked by hand."""

import datetime as dt

import polars as pl
import pytest

from openbell.core.errors import BadInput
from openbell.research.gate_backtest import account

DAYS = [dt.date(2024, 1, day) for day in (2, 3, 4)]


def rows(table) -> pl.DataFrame:
    """From (day, minute, profit, risk, take)."""
    start = dt.datetime(2024, 1, 1, 15, tzinfo=dt.UTC)
    return pl.DataFrame(
        {
            "session": [DAYS[day] for day, *_ in table],
            "known_at": [start + dt.timedelta(days=day, minutes=minute) for day, minute, *_ in table],
            "profit_usd": [float(each[2]) for each in table],
            "risk_usd": [float(each[3]) for each in table],
            "take": [each[4] for each in table],
        }
    )


TABLE = [
    (0, 5, 50, 150, True),
    (0, 0, -100, 100, True),
    (0, 10, 70, 60, True),
    (0, 15, 30, 40, True),
    (0, 20, 999, 10, False),
    (1, 0, 20, 201, True),
    (1, 1, 20, 190, True),
    (2, 0, 5, 10, False),
]


def test_a_day_s_budget_is_spent_in_the_order_of_proposals() -> None:
    """20 % of 1,000 is 200 a trade, 30 % are 300 a day. Kills: the order of the rows, a stop at the first that does
    not fit, a budget of the equity after the day, and profit of what was not taken."""
    found = account(rows(TABLE), capital_usd=1_000.0, trade_risk=0.2, day_risk=0.3)
    # Day 0: 100 and 150 are taken; 60 does not fit any more, 40 does. Day 1: equity 980, so 201 is over 196.
    assert found.days["trades"].to_list() == [3, 1, 0]
    assert found.days["profit_usd"].to_list() == [-20.0, 20.0, 0.0]
    assert found.days["equity_usd"].to_list() == [980.0, 1_000.0, 1_000.0]
    assert found.days["risk_usd"].to_list() == [290.0, 190.0, 0.0]
    assert found.days["wanted"].to_list() == [4, 2, 0]
    assert found.over_budget == 2
    assert found.performance is not None
    assert found.performance.total_return == pytest.approx(0.0)
    assert found.performance.n == 3


def test_a_ruined_account_stops_and_has_no_performance() -> None:
    found = account(
        rows([(0, 0, -1_000, 900, True), (1, 0, 50, 10, True)]), capital_usd=1_000, trade_risk=1, day_risk=1
    )
    assert found.days["trades"].to_list() == [1, 0]
    assert found.performance is None


def test_what_is_missing_is_refused() -> None:
    """Check 6: a missing profit is no loss."""
    table = rows(TABLE).with_columns(profit_usd=pl.when(pl.col("risk_usd") > 100).then("profit_usd"))
    with pytest.raises(BadInput, match="5 values of 8 trades are missing"):
        account(table, capital_usd=1_000.0)
    with pytest.raises(BadInput, match="`day_risk`"):
        account(rows(TABLE), capital_usd=1_000.0, day_risk=1.5)
