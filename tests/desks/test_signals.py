"""The signals desk decides on what was said, and on nothing else."""

import dataclasses
import datetime as dt
import math

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbell.core.errors import BadInput
from openbell.core.signal import CALLS, IN_SET, PROBABILITIES, SAID, Call, Said
from openbell.core.types import Book
from openbell.desks.signals import UNPROVEN, decide
from openbell.quant.signal_rule import called

(DESK,) = decide
AT = dt.datetime(2024, 3, 8, 21, tzinfo=dt.UTC)
END = dt.datetime(2024, 3, 11, 20, tzinfo=dt.UTC)
BOOK = Book(AT, 100_000.0)


def said(*rows, **more):
    """Rows of (symbol, p_sell, p_hold, p_buy, set as letters of SHB)."""
    table = [
        (symbol, 200.0, 0.01, p_sell, p_hold, p_buy, "S" in held, "H" in held, "B" in held)
        for symbol, p_sell, p_hold, p_buy, held in rows
    ]
    given_ = {"proven": True, "barrier": 1.0, "horizon_bars": 4, "bar_seconds": 86_400.0, "expires_at": END} | more
    frame = pl.DataFrame(table, schema=dict(SAID), orient="row")
    return Said(as_of=AT, session=AT.date(), rows=frame, model="m@2024-03-08#12345678", **given_)


def signals(forecast, **settings):
    return {each.symbol: each for each in DESK.decide(forecast, BOOK, **settings).details["signals"]}


def test_each_class_is_reachable_and_only_a_lone_sure_one_is_called():
    """Check 59: BUY, SELL and HOLD on constructed cases, the edge of the threshold included."""
    found = signals(
        said(
            ("BUYS", 0.1, 0.3, 0.6, "B"),
            ("SELLS", 0.7, 0.2, 0.1, "S"),
            ("UNSURE", 0.1, 0.31, 0.59, "B"),
            ("TWO", 0.1, 0.2, 0.7, "HB"),
            ("NONE", 0.1, 0.2, 0.7, ""),
            ("HOLDS", 0.1, 0.8, 0.1, "H"),
        )
    )
    calls = {symbol: each.call.value for symbol, each in found.items()}
    assert calls == {"BUYS": "BUY", "SELLS": "SELL", "UNSURE": "HOLD", "TWO": "HOLD", "NONE": "HOLD", "HOLDS": "HOLD"}
    assert found["UNSURE"].confidence == pytest.approx(0.31), "the confidence of a HOLD is that of HOLD"


def test_stop_target_and_size_are_those_of_the_barrier():
    """Away = 1 x 0.01 x sqrt(4) = 2 %: a stop that costs half a percent of the account is a quarter of it, or less."""
    found = signals(said(("A", 0.1, 0.2, 0.7, "B"), ("B", 0.7, 0.2, 0.1, "S")), max_position=1.0, min_risk_reward=2.0)
    buy, sell = found["A"], found["B"]
    assert buy.stop_loss == pytest.approx(196.0)
    assert buy.target_price == pytest.approx(208.0)
    assert buy.position_size == pytest.approx(0.25)
    assert sell.stop_loss == pytest.approx(204.0)
    assert sell.target_price == pytest.approx(192.0)
    capped = signals(said(("A", 0.1, 0.2, 0.7, "B")))["A"]
    assert capped.position_size == pytest.approx(0.10)


def test_what_never_proved_itself_has_no_size_and_says_so():
    decision = DESK.decide(said(("A", 0.1, 0.2, 0.7, "B"), proven=False), BOOK)
    (only,) = decision.details["signals"]
    assert only.call is Call.BUY
    assert only.position_size == 0.0
    assert UNPROVEN in only.reasoning
    assert decision.targets == {}


def test_targets_are_signed_and_cash_is_the_rest():
    decision = DESK.decide(said(("A", 0.1, 0.2, 0.7, "B"), ("B", 0.7, 0.2, 0.1, "S")), BOOK)
    assert decision.targets == {"A": pytest.approx(0.1), "B": pytest.approx(-0.1)}
    assert decision.cash_weight + sum(decision.targets.values()) == pytest.approx(1.0)


def test_a_signal_lives_until_the_end_that_is_said():
    found = signals(said(("A", 0.1, 0.2, 0.7, "B")))["A"]
    assert found.expires_at == END
    assert found.horizon_seconds == 4 * 86_400.0


def test_who_was_missing_is_said():
    decision = DESK.decide(said(("A", 0.1, 0.2, 0.7, "B"), missing={"lstm": "It was late."}), BOOK)
    assert decision.details["signals"][0].missing == ("lstm",)
    assert any("lstm was not in the vote: It was late." in line for line in decision.why)


def test_a_threshold_that_is_no_probability_is_refused():
    with pytest.raises(BadInput, match=r"between 0 and 1; was 1\.2"):
        DESK.decide(said(("A", 0.1, 0.2, 0.7, "B")), BOOK, min_confidence=1.2)


@given(
    st.lists(st.tuples(*[st.floats(0.001, 1.0)] * 3, *[st.booleans()] * 3), min_size=1, max_size=20),
    st.floats(0, 1),
    st.booleans(),
)
def test_the_rule_equals_its_words(rows, least, single):
    """A second formula, row by row."""
    table = pl.DataFrame(
        [(*(x / sum(row[:3]) for x in row[:3]), *row[3:]) for row in rows],
        schema=[*PROBABILITIES, *IN_SET],
        orient="row",
    )
    found = called(table, min_confidence=least, require_single=single)
    for row in found.iter_rows(named=True):
        p = [row[name] for name in PROBABILITIES]
        inside = [row[name] for name in IN_SET]
        allowed = [
            at
            for at, word in enumerate(CALLS)
            if word is not Call.HOLD
            and p[at] >= least
            and ((inside[at] and sum(inside) == 1) if single else p[at] == max(p))
        ]
        wanted = CALLS[allowed[-1]] if allowed else Call.HOLD
        assert row["call"] == wanted.value
        assert row["confidence"] == p[CALLS.index(wanted)]
    assert math.isfinite(found["confidence"].sum())


def test_a_forecast_of_another_shape_is_refused():
    good = said(("A", 0.1, 0.2, 0.7, "B"))
    with pytest.raises(BadInput, match="rows of a forecast of signals"):
        dataclasses.replace(good, rows=good.rows.drop("sigma"))
