"""Facts of proposed trades: the reference values, units, missing outcomes, the exchange's clock, and the counts."""

import datetime as dt
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from made_up_days import CALENDAR, made, made_facts

from openbell.core.errors import BadInput
from openbell.core.trade_rows import TRADES
from openbell.research.trade_facts import FACTS, MOST_ODDS, fact_counts, facts

UTC = dt.UTC
AT = dt.datetime(2018, 6, 5, 14, 30, tzinfo=UTC)


def row(legs=(("CALL", 6000.0, -1), ("CALL", 6005.0, 1)), premium=0.5, **more):
    """One row of TRADES; legs are (type, strike, direction)."""
    known = {
        "symbol": "SPX", "strategy": "Vertical", "price": 5_990.0, "premium": premium, "known_at": AT, "timestamp": AT,
        "expiry": AT.date(), "unit": "points", "multiplier": 100.0, "expected_move": 20.0, **more,
    }  # fmt: skip
    for number, (right, strike, direction) in enumerate(legs, start=1):
        known |= {f"type{number}": right, f"strike{number}": strike, f"direction{number}": direction}
    return pl.DataFrame([[known.get(name) for name in TRADES]], schema=dict(TRADES), orient="row")


def of(frame, commission=0.65, calendar=CALENDAR):
    return facts(frame, commission_usd=commission, sessions=calendar).row(0, named=True)


@pytest.mark.parametrize(
    ("legs", "premium", "gain", "loss"),
    [
        ((("CALL", 5905.0, 1), ("CALL", 5855.0, -2), ("CALL", 5805.0, 1)), 24.82, 25.18, 24.82),
        ((("CALL", 5905.0, -1), ("CALL", 5910.0, 1), ("PUT", 5780.0, -1), ("PUT", 5775.0, 1)), 0.63, 0.63, 4.37),
        ((("CALL", 6000.0, -1), ("CALL", 6005.0, 1)), 0.5, 0.5, 4.5),
        ((("PUT", 5950.0, -1), ("PUT", 5945.0, 1)), 0.5, 0.5, 4.5),
        ((("PUT", 5945.0, -1), ("PUT", 5950.0, 1)), 2.0, 3.0, 2.0),
        ((("CALL", 6000.0, 1), ("CALL", 6010.0, -2), ("CALL", 6030.0, 1)), 1.5, 8.5, 11.5),
    ],
)  # fmt: skip
def test_reference_values(legs, premium, gain, loss):
    """S1.17, points per unit: a premium is written positive, and is a credit where the structure can only owe."""
    said = of(row(legs, premium))
    assert said["max_profit"] == pytest.approx(gain, abs=1e-9)
    assert said["max_loss"] == pytest.approx(loss, abs=1e-9)
    contracts = sum(abs(direction) for _, _, direction in legs)
    assert said["cost_points"] == pytest.approx(0.0065 * contracts)
    assert said["risk_usd"] == pytest.approx(100 * loss + 0.65 * contracts)
    assert said["reward_usd"] == pytest.approx(100 * gain - 0.65 * contracts)
    assert said["ratio"] == pytest.approx(gain / loss)
    assert said["fair_probability"] == pytest.approx((loss + 0.0065 * contracts) / (gain + loss))
    assert said["width"] == pytest.approx(gain + loss)


def test_fair_odds_without_costs_are_one_less_premium_over_width():
    """S1.26: the baseline of a credit; commissions make it dearer. Kills: gain and loss exchanged, costs left out."""
    assert of(row(premium=0.72), commission=0.0)["fair_probability"] == pytest.approx(1 - 0.72 / 5)
    assert of(row(premium=0.72))["fair_probability"] > 1 - 0.72 / 5
    assert of(row(premium=0.01))["fair_probability"] is None, "no bet of 4.99 against less than nothing is fair"


def test_a_missing_profit_is_no_loss():
    """Check 6: null profit, null win; a profit of 0 is a loss after costs; costs decide a small gain."""
    for profit, win, usd in ((None, None, None), (0.0, False, -1.3), (0.012, False, -0.1), (0.014, True, 0.1)):
        said = of(row(profit=profit, win=True))
        assert said["win"] is win
        assert said["profit_usd"] == (None if usd is None else pytest.approx(usd))


def test_usd_and_points_are_told_apart():
    """Check 34: the same trade in USD per unit gives the same facts; another unit is refused with its word."""
    points, usd = of(row(profit=0.3)), of(row(premium=50.0, profit=30.0, unit="usd"))
    for name in ("max_profit", "max_loss", "profit_usd", "risk_usd", "price_probability", "win"):
        assert usd[name] == pytest.approx(points[name]), name
    for unit in ("euro", None):
        with pytest.raises(BadInput, match=r"points or usd; 1 rows"):
            facts(row(unit=unit), commission_usd=0.65)


def test_basis_says_which_source_spoke():
    quotes = {"bid1": 1.0, "ask1": 1.2, "bid2": 0.55, "ask2": 0.65}
    assert of(row(**quotes))["price_basis"] == "quotes"
    assert of(row(mid1=1.1, mid2=0.6))["price_basis"] == "quotes"
    crossed = of(row(bid1=1.2, ask1=1.0, bid2=0.55, ask2=0.65))
    assert crossed["price_basis"] == "expected_move", "a bid above its ask is no quote"
    assert of(row())["price_basis"] == "expected_move"
    assert of(row(expected_move=None))["price_basis"] == "premium"
    dear = {"premium": 4.9, "expected_move": None}
    nothing = of(row(**dear))
    assert (nothing["price_basis"], nothing["price_probability"], nothing["logit_price"]) == (None, None, None)
    assert (nothing["win_usd"], nothing["loss_usd"], nothing["implied_move"]) == (None, None, None)
    with_market = row(**dear).with_columns(pl.lit(0.2).alias("market_volatility"))
    assert of(with_market)["price_basis"] == "market_volatility"


def test_no_legs_no_price_and_half_a_leg_give_nulls_not_numbers():
    lost = {"width", "max_profit", "max_loss", "price_probability", "risk_usd", "fair_probability", "cost_points"}
    for frame in (row(legs=()), row().with_columns(pl.lit(None, pl.Int64).alias("direction2")),
                  row().with_columns(pl.lit(None, pl.Float64).alias("strike2")),
                  row().with_columns(pl.lit("Call").alias("type1"))):  # fmt: skip
        said = of(frame)
        assert {name for name in lost if said[name] is not None} <= {"cost_points"}
        assert said["win"] is None


def test_unlimited_is_null():
    said = of(row(legs=(("CALL", 6000.0, -1),), premium=3.0, strategy="Single"))
    assert said["max_loss"] is None
    assert said["risk_usd"] is None
    assert said["max_profit"] == pytest.approx(3.0)
    assert said["price_probability"] is not None


def test_log_odds_are_held_and_it_is_counted():
    sure = of(row(legs=(("CALL", 6900.0, -1), ("CALL", 6905.0, 1)), premium=0.5))
    assert sure["price_probability"] == pytest.approx(1.0, abs=1e-12)
    assert sure["logit_price"] == pytest.approx(np.log(MOST_ODDS))
    frame = pl.concat([row(), row(premium=0.001), row(profit=1.0), row(premium=4.9, expected_move=None)])
    counts = fact_counts(facts(frame, commission_usd=0.65))
    assert counts == {
        "rows": 4, "basis: expected_move": 3, "basis: none": 1, "ambiguous": 0, "logit held": 1,
        "unlimited or unknown risk": 0, "certain losses": 0, "without profit": 3,
    }  # fmt: skip


def test_rows_order_and_other_columns_are_kept_and_twice_is_once():
    frame = made().with_row_index("mine")
    once = facts(frame, commission_usd=0.65, sessions=CALENDAR)
    kept = [name for name in frame.columns if name not in FACTS]
    assert once.select(kept).equals(frame.select(kept))
    assert once.columns[len(kept) :] == list(FACTS)
    assert facts(once, commission_usd=0.65, sessions=CALENDAR).equals(once)
    assert dict(once.select(list(FACTS)).schema) == {
        name: kind if isinstance(kind, pl.DataType) else kind() for name, kind in FACTS.items()
    }


def test_made_up_trades_have_the_odds_of_their_law():
    """Quotes, expected move and premium know the same law, so all say the same; few rows have none."""
    quoted = made_facts()
    bare = made().with_columns(
        pl.lit(None, pl.Float64).alias(f"{x}{i}") for x in ("bid", "ask", "mid") for i in range(1, 5)
    )
    moved = facts(bare, commission_usd=0.65, sessions=CALENDAR)
    assert (quoted["price_basis"] == "quotes").mean() > 0.97
    assert (moved["price_basis"] == "expected_move").all()
    np.testing.assert_allclose(quoted["price_probability"], moved["price_probability"], atol=1e-4)


@pytest.mark.parametrize(
    ("moment", "opens", "closes", "minutes"),
    [
        (dt.datetime(2018, 3, 9, 14, 35, tzinfo=UTC), "14:30", "21:00", 385),  # winter, the Friday before the change
        (dt.datetime(2018, 3, 12, 13, 35, tzinfo=UTC), "13:30", "20:00", 385),  # summer, the Monday after
        (dt.datetime(2018, 11, 2, 13, 35, tzinfo=UTC), "13:30", "20:00", 385),
        (dt.datetime(2018, 11, 5, 14, 35, tzinfo=UTC), "14:30", "21:00", 385),
        (dt.datetime(2018, 7, 3, 13, 35, tzinfo=UTC), "13:30", "17:00", 205),  # a half day
        (dt.datetime(2018, 6, 5, 12, 0, tzinfo=UTC), "13:30", "20:00", 390),  # before the open
    ],
)
def test_the_clock_is_the_exchanges(moment, opens, closes, minutes):
    """Check 40: both changes of the clocks and a half day. Kills: a fixed offset, 16:00 on every day."""
    said = of(row(known_at=moment, expiry=moment.date()))
    assert f"{said['open_at']:%H:%M}" == opens
    assert f"{said['close_at']:%H:%M}" == closes
    assert said["expires_at"] == said["close_at"]
    assert said["session"] == moment.date()
    assert said["years"] * 252 * 390 == pytest.approx(minutes)


def test_trading_time_crosses_nights_weekends_and_saturday_expiries():
    friday = dt.datetime(2018, 6, 8, 19, 0, tzinfo=UTC)
    said = of(row(known_at=friday, expiry=dt.date(2018, 6, 12)))
    assert said["years"] * 252 * 390 == pytest.approx(60 + 2 * 390)
    saturday = of(row(known_at=friday, expiry=dt.date(2018, 6, 9)))
    assert saturday["expires_at"] == dt.datetime(2018, 6, 8, 20, 0, tzinfo=UTC)
    late = of(row(known_at=friday + dt.timedelta(hours=2), expiry=dt.date(2018, 6, 8)))
    assert late["years"] is None
    holiday = of(row(known_at=dt.datetime(2018, 7, 4, 15, 0, tzinfo=UTC), expiry=dt.date(2018, 7, 6)))
    assert (holiday["open_at"], holiday["years"]) == (None, None)
    beyond = of(row(known_at=friday, expiry=dt.date(2031, 1, 3)))
    assert (beyond["expires_at"], beyond["years"]) == (None, None)


def test_an_evening_in_new_york_is_still_that_day():
    """00:30 UTC is the evening before in New York. Kills: the UTC date as session."""
    assert of(row(known_at=dt.datetime(2018, 6, 6, 0, 30, tzinfo=UTC)))["session"] == dt.date(2018, 6, 5)


def test_without_a_calendar_every_weekday_is_whole():
    plain = of(row(known_at=dt.datetime(2018, 7, 3, 13, 35, tzinfo=UTC), expiry=dt.date(2018, 7, 3)), calendar=None)
    assert f"{plain['close_at']:%H:%M}" == "20:00"
    rows = made()
    a, b = (facts(rows, commission_usd=0.65, sessions=calendar) for calendar in (None, CALENDAR))
    assert a.equals(b)


def test_the_zone_of_the_machine_plays_no_part(monkeypatch):
    """Check 40: under TZ=Asia/Tokyo the same facts, to the last bit."""
    moments = [
        dt.datetime(2018, m, d, h, 35, tzinfo=UTC) for m, d, h in ((3, 9, 14), (3, 12, 13), (7, 3, 13), (11, 5, 14))
    ]
    rows = pl.concat([row(known_at=moment, expiry=moment.date()) for moment in moments])
    here = [facts(rows, commission_usd=0.65, sessions=calendar) for calendar in (CALENDAR, None)]
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert dt.datetime(2018, 6, 5).astimezone().utcoffset() == dt.timedelta(hours=9)
        there = [facts(rows, commission_usd=0.65, sessions=calendar) for calendar in (CALENDAR, None)]
    finally:
        monkeypatch.undo()
        time.tzset()
    assert all(a.equals(b) for a, b in zip(here, there, strict=True))
    assert [round(each * 252 * 390) for each in there[0]["years"]] == [385, 385, 205, 385]


def test_what_cannot_be_read_is_refused():
    with pytest.raises(BadInput, match=r"no column `expiry`"):
        facts(row().drop("expiry"), commission_usd=0.65)
    with pytest.raises(BadInput, match="0 USD or more"):
        facts(row(), commission_usd=-0.1)
