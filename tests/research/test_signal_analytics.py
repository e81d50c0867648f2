"""What signals are worth: by hand, on a world with known truth, and with every n and base rate beside it."""

import datetime as dt

import numpy as np
import polars as pl
import pytest

from openbell.core.errors import BadInput
from openbell.quant.intervals import wilson
from openbell.research.signal_analytics import BY, ROWS, analytics
from openbell.store.signal_pages import EVENTS, TABLE

AT = dt.datetime(2025, 6, 2, 20, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)


def table(*rows: dict) -> pl.DataFrame:
    plain = dict.fromkeys(TABLE) | {
        "symbol": "A", "call": "BUY", "status": "EXPIRED", "confidence": 0.7, "p_sell": 0.1, "p_hold": 0.2,
        "p_buy": 0.7, "price": 100.0, "target_price": 104.0, "stop_loss": 98.0, "horizon_seconds": 86400.0,
        "model_version": "m1", "created_at": AT, "expires_at": AT + DAY, "archived": False,
    }  # fmt: skip
    return pl.DataFrame([plain | {"id": turn} | row for turn, row in enumerate(rows)], schema=dict(TABLE), orient="row")


def known(gained, outcome="BUY", **other):
    return {"known_at": AT + DAY, "return_fraction": gained, "hit": gained > 0, "outcome": outcome} | other


def row(found, by, value):
    return found.rows.filter((pl.col("by") == by) & (pl.col("value") == value)).row(0, named=True)


def test_figures_are_worked_by_hand():
    found = analytics(table(
        known(0.04, "BUY"), known(-0.02, "SELL"), known(0.01, "HOLD"), known(-0.01, "BUY"), {},
        {"call": "HOLD", "known_at": AT + DAY, "outcome": "HOLD", "confidence": 0.55, "stop_loss": None},
    ), replications=50)  # fmt: skip
    whole = row(found, "all", "all")
    assert (whole["signals"], whole["known"], whole["trades"], whole["days"]) == (6, 5, 4, 1)
    assert whole["accuracy"] == pytest.approx(3 / 5)
    assert whole["base_rate"] == pytest.approx(0.8 * 0.4 + 0.2 * 0.4), "calls and outcomes as often, but apart"
    assert whole["hit_rate"] == 0.5
    assert (whole["hit_low"], whole["hit_high"]) == pytest.approx(wilson(2, 4))
    assert whole["interval"] == "wilson", "one day is no sample of days"
    assert whole["mean_return"] == pytest.approx(0.005)
    assert (whole["return_low"], whole["return_high"]) == (None, None)
    assert whole["profit_factor"] == pytest.approx(0.05 / 0.03)
    assert whole["expectancy"] == pytest.approx(0.005 / 0.02), "in units of the distance to the stop"
    assert (whole["enough"], whole["note"]) == (False, "n too small: 5 known, 30 are needed to judge.")
    hold = row(found, "call", "HOLD")
    assert (hold["accuracy"], hold["trades"], hold["hit_rate"], hold["profit_factor"]) == (1.0, 0, None, None)
    assert found.rows.schema == dict(ROWS)
    assert set(found.rows["by"]) == set(BY)
    assert found.notes[0] == "1 of 6 signals have no known outcome and are only counted."


def test_signals_are_told_apart_by_everything():
    """Kills: an edge in the band below; the age of one that was never executed."""
    found = analytics(table(
        known(0.1, confidence=0.6, status="EXECUTED", acted_at=AT + dt.timedelta(seconds=60), regime="calm"),
        known(0.1, confidence=0.599, status="EXECUTED", acted_at=AT + dt.timedelta(seconds=59), symbol="B"),
        known(-0.1, confidence=1.0, acted_at=AT + DAY, model_version="m2"),
    ), replications=50)  # fmt: skip
    values = {by: set(found.rows.filter(pl.col("by") == by)["value"]) for by in BY}
    assert values == {
        "all": {"all"}, "symbol": {"A", "B"}, "call": {"BUY"}, "regime": {"calm", "unknown"},
        "confidence": {"0.50 to 0.60", "0.60 to 0.70", "0.90 to 1.00"}, "model_version": {"m1", "m2"},
        "age": {"under 1 min", "1 to 5 min", "not executed"},
    }  # fmt: skip
    assert row(found, "confidence", "0.60 to 0.70")["mean_confidence"] == 0.6
    assert row(found, "age", "not executed")["hit_rate"] == 0.0


def test_what_is_known_later_is_not_looked_at():
    given = table(known(0.1), known(-0.1, known_at=AT + 3 * DAY))
    then = analytics(given, as_of=AT + DAY, replications=50)
    assert row(then, "all", "all")["known"] == 1
    assert row(then, "all", "all")["hit_rate"] == 1.0
    assert row(analytics(given, replications=50), "all", "all")["known"] == 2


def world(true, said, days=200, each=6, seed=0):
    """Signals that come true with the probability `true` of what they say."""
    rng = np.random.default_rng(seed)
    rows = []
    for turn in range(days * each):
        confidence = float(said(rng))
        came = rng.random() < true(confidence)
        rows.append(known(0.02 if came else -0.02, "BUY" if came else "SELL", confidence=confidence,
                          p_buy=confidence, p_hold=0.0, p_sell=1 - confidence,
                          created_at=AT + turn // each * DAY, known_at=AT + (turn // each + 1) * DAY))  # fmt: skip
    return table(*rows)


def test_calibration_tells_true_confidence_from_a_boast():
    """Check 60: the calibration error, not accuracy. Kills: confidence held against profit of another class."""
    true = analytics(world(lambda p: p, lambda rng: rng.uniform(0.5, 0.95)), replications=200)
    boast = analytics(world(lambda p: p - 0.2, lambda rng: rng.uniform(0.6, 0.95)), replications=200)
    assert true.calibration.low <= true.calibration_by_chance * 2
    assert true.calibration.n == 1200
    assert boast.calibration.low > true.calibration.high
    assert boast.calibration.value == pytest.approx(0.2, abs=0.05)
    assert boast.calibration_classwise == pytest.approx(2 / 3 * 0.2, abs=0.04)
    assert (true.reliability["observed"] - true.reliability["predicted"]).abs().max() < 0.2
    assert true.reliability["n"].sum() == 1200
    whole = row(true, "all", "all")
    assert whole["interval"] == "day blocks"
    assert whole["accuracy_low"] < whole["accuracy"] < whole["accuracy_high"]
    assert whole["return_low"] < whole["mean_return"] < whole["return_high"]
    assert (whole["enough"], whole["note"]) == (True, "")


def test_signals_that_share_days_have_wider_intervals():
    """Kills: rows of one day taken as independent."""
    apart = world(lambda p: 0.5, lambda rng: 0.7, days=200, each=10)
    up = np.repeat(np.random.default_rng(4).random(200) < 0.5, 10)
    together = apart.with_columns(
        outcome=pl.Series(np.where(up, "BUY", "SELL")), return_fraction=pl.Series(np.where(up, 0.02, -0.02))
    )
    wide, narrow = (row(analytics(each, replications=300), "all", "all") for each in (together, apart))
    assert wide["accuracy_high"] - wide["accuracy_low"] > 2 * (narrow["accuracy_high"] - narrow["accuracy_low"])


def test_meetings_and_ends_are_counted():
    def step(id, what, to, signal, other=None):
        return {"id": id, "signal_id": signal, "at": AT, "what": what, "from_status": "ACTIVE", "to_status": to,
                "acted_by": "x", "other_id": other, "confidence": 0.7, "other_confidence": None}  # fmt: skip

    events = pl.DataFrame([
        step(1, "conflict", "SUPERSEDED", 0, 1), step(2, "conflict", "SUPERSEDED", 1, 0),
        step(3, "conflict", "SUPERSEDED", 2, 3), step(4, "conflict", "ACTIVE", 3, 2),
        step(5, "limit", "SUPERSEDED", 4, 3), step(6, "made", "ACTIVE", 3), step(7, "limit", "SUPERSEDED", 99, 3),
    ], schema=dict(EVENTS), orient="row")  # fmt: skip
    dead = {"status": "SUPERSEDED"}
    found = analytics(
        table(dead, dead, dead, {"status": "EXECUTED"}, dead, {"archived": True}), events, replications=50
    )
    assert found.counts == {
        "active": 0, "executed": 1, "expired": 1, "superseded": 4, "cancelled": 0, "signals": 6, "archived": 1,
        "known": 0, "conflicts": 2, "conflicts_held": 1, "superseded_by_conflict": 3, "superseded_by_limit": 1,
    }  # fmt: skip


def test_without_signals_or_outcomes_there_are_no_figures():
    for given in (table(), table({}, {})):
        found = analytics(given, replications=50)
        assert found.calibration.value is None
        assert (found.calibration_by_chance, found.calibration_classwise, len(found.reliability)) == (None, None, 0)
        assert found.rows["accuracy"].null_count() == len(found.rows)
        assert "n too small: 0 outcomes are known" in found.notes[-1]


def test_the_same_signals_give_the_same_figures():
    given = world(lambda p: p, lambda rng: rng.uniform(0.5, 0.95), days=60)
    one = analytics(given, replications=100)
    two = analytics(given.sample(fraction=1, shuffle=True, seed=3), replications=100)
    assert one.rows.equals(two.rows)
    assert (one.calibration, one.counts) == (two.calibration, two.counts)


def test_what_cannot_be_analysed_is_refused():
    with pytest.raises(BadInput, match=r"missing: \['outcome'\]"):
        analytics(table().drop("outcome"))
    with pytest.raises(BadInput, match="`minimum` is at least 1"):
        analytics(table(), minimum=0)
    with pytest.raises(BadInput, match="Events have the columns"):
        analytics(table({}), pl.DataFrame({"id": [1]}))
