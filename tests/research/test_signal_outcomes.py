"""What signals came to, by hand, against the labels of training, and never before it was known."""

import datetime as dt

import numpy as np
import polars as pl
import pytest

from openbell.core.errors import BadInput
from openbell.core.signal import CALLS
from openbell.core.time import MOMENT
from openbell.quant import barriers
from openbell.quant.signal_exits import DATA_END, STOP, TARGET, TIME, exits
from openbell.research.compute import evaluated
from openbell.research.signal_outcomes import outcomes
from openbell.store.signal_outcomes import OUTCOME

AT = dt.datetime(2025, 6, 2, 20, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
FREE = {"commission_bp": 0.0, "slippage_bp": 0.0}


def bars(rows, symbol="A", first=AT, step=DAY) -> pl.DataFrame:
    """Bars (open, high, low, close), the first of which ends at `first`."""
    table = pl.DataFrame(rows, schema=["open", "high", "low", "close"], orient="row").cast(pl.Float64)
    at = pl.Series("at", [first + turn * step for turn in range(len(rows))], dtype=MOMENT)
    return table.with_columns(at, pl.lit(symbol).alias("symbol"))


def signals(*rows: dict) -> pl.DataFrame:
    plain = {"id": 1, "symbol": "A", "call": "BUY", "created_at": AT, "expires_at": AT + DAY, "stop_loss": 90.0,
             "target_price": 110.0, "sigma": 0.01, "horizon_seconds": 3 * 86400.0, "model_version": "m"}  # fmt: skip
    kinds = {"id": pl.Int64, "created_at": MOMENT, "expires_at": MOMENT, "stop_loss": pl.Float64,
             "target_price": pl.Float64, "sigma": pl.Float64, "horizon_seconds": pl.Float64}  # fmt: skip
    return pl.DataFrame([plain | {"id": turn + 1} | row for turn, row in enumerate(rows)], schema_overrides=kinds)


FLAT = (100, 101, 99, 100)
LATER = AT + 30 * DAY


def came(rows, signal=None, as_of=LATER, **how) -> dict | None:
    found = outcomes(signals(signal or {}), bars(rows), as_of, **(FREE | how))
    return found.row(0, named=True) if len(found) else None


@pytest.mark.parametrize(("rows", "signal", "price", "why", "turn"), [
    ([FLAT, FLAT, FLAT, (100, 101, 99, 100.5), FLAT], {}, 100.5, "time", 3),
    ([FLAT, FLAT, (100, 112, 99, 111), FLAT, FLAT], {}, 110.0, "target", 2),
    ([FLAT, (100, 112, 88, 111), FLAT, FLAT, FLAT], {}, 90.0, "stop", 1),  # both in one bar
    ([FLAT, FLAT, (85, 112, 80, 111), FLAT, FLAT], {}, 85.0, "stop", 2),  # opened beyond the stop
    ([FLAT, FLAT, (115, 116, 112, 113), FLAT, FLAT], {}, 110.0, "target", 2),  # a limit gets no better
    ([FLAT, (112, 116, 111, 113), FLAT, FLAT, FLAT], {}, 112.0, "target", 1),  # entered beyond the target
    ([FLAT, (100, 101, 90, 95), FLAT, FLAT, FLAT], {}, 90.0, "stop", 1),  # touched exactly
    ([FLAT, FLAT, (100, 112, 99, 100), FLAT, FLAT], {"call": "SELL", "stop_loss": 110.0, "target_price": 90.0},
     110.0, "stop", 2),
    ([FLAT, FLAT, (100, 101, 88, 95), FLAT, FLAT], {"call": "SELL", "stop_loss": 110.0, "target_price": 90.0},
     90.0, "target", 2),
    ([FLAT, FLAT, FLAT, FLAT, FLAT], {"stop_loss": None, "target_price": None}, 100.0, "time", 3),
])  # fmt: skip
def test_exits_are_worked_by_hand(rows, signal, price, why, turn):
    """Kills: the signal's own bar as entry; target before stop; the stop's price after a gap; a better limit."""
    found = came(rows, signal)
    assert (found["exit_price"], found["exit_reason"], found["exit_at"]) == (price, why, AT + turn * DAY)
    assert found["entry_price"] == rows[1][0]
    side = -1 if signal.get("call") == "SELL" else 1
    assert found["return_fraction"] == pytest.approx(side * (price / rows[1][0] - 1), abs=1e-12)
    assert found["hit"] == (found["return_fraction"] > 0)
    assert found["seconds_to_target"] == (turn * 86400.0 if why == "target" else None)


def test_costs_and_excursions_by_hand():
    rows = [FLAT, (100, 104, 97, 103), (103, 105, 95, 104), (104, 106, 101, 102), FLAT]
    found = came(rows, commission_bp=1.0, slippage_bp=2.0)
    assert found["return_fraction"] == pytest.approx(0.02 - 3e-4 * (1 + 1.02), abs=1e-12)
    assert (found["max_favourable"], found["max_adverse"]) == pytest.approx((0.06, -0.05))
    short = came(rows, {"call": "SELL", "stop_loss": 120.0, "target_price": 50.0})
    assert (short["max_favourable"], short["max_adverse"]) == pytest.approx((0.05, -0.06))


def test_the_bar_of_a_stop_gives_no_good_excursion():
    """Kills: the high of the bar that stopped it, which nobody can tell came first."""
    found = came([FLAT, (100, 102, 99, 101), (101, 109, 89, 95), FLAT, FLAT])
    assert (found["max_favourable"], found["max_adverse"]) == pytest.approx((0.02, -0.1))
    hit = came([FLAT, (100, 102, 99, 101), (101, 115, 91, 95), FLAT, FLAT])
    assert (hit["max_favourable"], hit["max_adverse"]) == pytest.approx((0.1, -0.09))


def test_nothing_is_known_before_its_last_bar():
    """Time cannot leak: at every moment the outcomes are those, and only those, that were known by then."""
    rng = np.random.default_rng(5)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.03, 60)))
    opened = close * np.exp(rng.normal(0, 0.01, 60))
    high, low = np.maximum(close, opened) * 1.02, np.minimum(close, opened) * 0.98
    table = bars(np.column_stack([opened, high, low, close]).tolist())
    asked = signals(*(
        {"created_at": AT + turn * DAY, "expires_at": AT + (turn + 1) * DAY, "call": call, "sigma": 0.03,
         "stop_loss": close[turn] * (0.93 if call == "BUY" else 1.07),
         "target_price": close[turn] * (1.07 if call == "BUY" else 0.93)}
        for turn in range(55) for call in ("BUY", "SELL", "HOLD")
    ))  # fmt: skip
    whole = outcomes(asked, table, LATER + 60 * DAY)
    assert set(whole["exit_reason"].drop_nulls()) == {"time", "stop", "target"}
    assert len(whole) > 100
    for turn in range(0, 60, 7):
        moment = AT + turn * DAY
        then = outcomes(asked, table, moment)
        assert then.equals(whole.filter(pl.col("known_at") <= moment))


@pytest.mark.parametrize("label", ["direction", "barrier"])
def test_the_class_that_came_true_is_the_label_of_training(label):
    """Kills: another band, another horizon, the close for the open, a touch that is looked at a bar too long."""
    rng = np.random.default_rng(11)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.02, 400)))
    opened = close * np.exp(rng.normal(0, 0.012, 400))
    high, low = np.maximum(close, opened) * 1.012, np.minimum(close, opened) * 0.988
    table = bars(np.column_stack([opened, high, low, close]).tolist())
    told = barriers.direction(5) if label == "direction" else barriers.triple_barrier(5)
    ready = evaluated(
        table.with_columns(fill_price="open"),
        [told.cast(pl.Float64).alias("label"), barriers.sigma.alias("sigma")],
        ["symbol", "at"],
    ).filter(pl.col("label").is_not_null() & pl.col("sigma").is_not_null())
    asked = signals(*(
        {"created_at": row["at"], "expires_at": row["at"] + DAY, "sigma": row["sigma"], "stop_loss": None,
         "target_price": None, "horizon_seconds": 5 * 86400.0, "call": "HOLD"}
        for row in ready.iter_rows(named=True)
    ))  # fmt: skip
    found = outcomes(asked, table, LATER + 400 * DAY, label=label)
    assert len(found) == len(ready) > 300
    said = [CALLS[round(value) + 1].value for value in ready["label"]]
    assert found["outcome"].to_list() == said
    assert set(said) == {"SELL", "HOLD", "BUY"}


def test_a_hold_has_a_class_and_no_trade():
    found = came([FLAT] * 6, {"call": "HOLD", "stop_loss": None, "target_price": None})
    assert found["outcome"] == "HOLD"
    assert found["known_at"] == AT + 4 * DAY
    assert {found[name] for name in OUTCOME if name not in ("outcome", "known_at")} == {None}
    assert came([FLAT] * 6, {"call": "HOLD", "sigma": None}) is None


def test_a_signal_before_the_open_enters_at_that_open_where_it_is_known():
    """Kills: an entry at an open that lies before the signal."""
    rows = [(100 + turn, 101 + turn, 99 + turn, 100 + turn) for turn in range(8)]
    early = AT + DAY - dt.timedelta(hours=7)
    table = bars(rows)
    with_opens = table.with_columns(open_at=pl.col("at") - pl.duration(hours=6, minutes=30))
    asked = signals({"created_at": early, "expires_at": early + DAY})
    assert outcomes(asked, with_opens, LATER)["entry_price"].item() == 101.0
    assert outcomes(asked, table, LATER)["entry_price"].item() == 102.0
    late = signals({"created_at": early + dt.timedelta(hours=1), "expires_at": early + DAY})
    assert outcomes(late, with_opens, LATER)["entry_price"].item() == 102.0


def test_without_a_horizon_a_signal_ends_with_its_life():
    rows = [(100 + turn, 101 + turn, 99 + turn, 100 + turn) for turn in range(8)]
    signal = {"horizon_seconds": None, "expires_at": AT + 2.5 * DAY, "target_price": 200.0}
    found = came(rows, signal)
    assert (found["exit_at"], found["outcome"]) == (AT + 2 * DAY, None)
    assert came(rows, signal, as_of=AT + 2 * DAY) is None, "the next bar might have ended in time"
    short = came(rows, signal | {"expires_at": AT + dt.timedelta(hours=1)})
    assert short["exit_at"] == AT + DAY


def test_nothing_is_held_past_the_session():
    minute = dt.timedelta(minutes=1)
    rows = [(100 + turn, 101 + turn, 99 + turn, 100 + turn) for turn in range(4)]
    days = [dt.date(2025, 6, 2), dt.date(2025, 6, 3)]
    two = pl.concat([bars(rows, first=AT, step=minute), bars(rows, first=AT + DAY, step=minute)])
    two = two.with_columns(session=pl.Series([days[0]] * 4 + [days[1]] * 4))
    asked = signals({"horizon_seconds": 300.0, "stop_loss": 1.0, "target_price": 1000.0})
    found = outcomes(asked, two, LATER, bar_seconds=60.0, **FREE).row(0, named=True)
    assert (found["exit_at"], found["exit_price"], found["outcome"]) == (AT + 3 * minute, 103.0, None)
    assert len(outcomes(asked, two.head(4), LATER, bar_seconds=60.0)) == 0, "the session may go on"


def test_symbols_do_not_mix_and_unknown_ones_have_no_row():
    other = [(50, 51, 49, 50)] * 6
    table = pl.concat([bars([FLAT] * 6), bars(other, "B")])
    asked = signals({}, {"symbol": "B", "stop_loss": 40.0, "target_price": 60.0}, {"symbol": "C"})
    found = outcomes(asked, table.sample(fraction=1.0, shuffle=True, seed=1), LATER)
    assert found["entry_price"].to_list() == [100.0, 50.0]
    assert found.columns == ["id", "symbol", "created_at", "model_version", *OUTCOME]
    assert len(outcomes(asked.head(0), table, LATER)) == len(outcomes(asked, table.head(0), LATER)) == 0


@pytest.mark.parametrize(("change", "sentence"), [
    (lambda s, b: (s.drop("sigma"), b), r"missing: \['sigma'\]"),
    (lambda s, b: (s, pl.concat([b, b.head(1)])), "2 of 7 bars share"),
    (lambda s, b: (s, b.with_columns(pl.lit(float("nan")).alias("low"))), "6 of 6 prices in `low` are not finite"),
])  # fmt: skip
def test_what_cannot_be_judged_is_refused(change, sentence):
    asked, table = change(signals({}), bars([FLAT] * 6))
    with pytest.raises(BadInput, match=sentence):
        outcomes(asked, table, LATER)
    with pytest.raises(BadInput, match="no label of signals `x`"):
        outcomes(signals({}), bars([FLAT] * 6), LATER, label="x")


def slow_exit(entry, side, stop, target, last, end, o, h, low, c):
    """The rule in plain words, one position at a time."""
    for at in range(entry, min(last, end) + 1):
        hits_stop = (low[at] <= stop) if side > 0 else (h[at] >= stop)
        hits_target = (h[at] >= target) if side > 0 else (low[at] <= target)
        if hits_stop:
            return at, (min(o[at], stop) if side > 0 else max(o[at], stop)), STOP
        if hits_target:
            beyond = at == entry and ((o[at] >= target) if side > 0 else (o[at] <= target))
            return at, (o[at] if beyond else target), TARGET
    at = min(last, end)
    return at, c[at], TIME if last <= end else DATA_END


def test_exits_agree_with_the_rule_in_plain_words():
    rng = np.random.default_rng(3)
    n, k = 300, 800
    c = 100 * np.exp(np.cumsum(rng.normal(0, 0.02, n)))
    o = c * np.exp(rng.normal(0, 0.02, n))
    h, low = np.maximum(o, c) * (1 + rng.random(n) * 0.02), np.minimum(o, c) * (1 - rng.random(n) * 0.02)
    entry = rng.integers(0, n, k)
    side = rng.choice([-1.0, 1.0], k)
    last = entry + rng.integers(0, 30, k)
    end = np.minimum(entry + rng.integers(0, 40, k), n - 1)
    stop, target = o[entry] * (1 - side * 0.05), o[entry] * (1 + side * 0.06)
    stop[rng.random(k) < 0.1] = np.nan
    target[rng.random(k) < 0.1] = np.nan
    found = exits(entry, side, stop, target, last, o, h, low, c, end_row=end)
    slow = [slow_exit(*row, o, h, low, c) for row in zip(entry, side, stop, target, last, end, strict=True)]
    assert list(zip(found.exit_row, found.exit_price, found.reason, strict=True)) == slow
    assert {row[2] for row in slow} == {STOP, TARGET, TIME, DATA_END}
    assert (found.favourable >= 0).all()
    assert (found.adverse <= 0).all()


@pytest.mark.parametrize(("how", "sentence"), [
    ({"side": [0]}, "A side is 1"), ({"entry_row": [5]}, "entered within its 5 bars"),
    ({"last_row": [1]}, "its barrier is row 1"), ({"stop_price": [1.0, 2.0]}, "Every position needs"),
])  # fmt: skip
def test_exits_refuse_what_is_no_position(how, sentence):
    given = {"entry_row": [2], "side": [1], "stop_price": [90.0], "target_price": [110.0], "last_row": [3]} | how
    with pytest.raises(BadInput, match=sentence):
        exits(**given, open=[100.0] * 5, high=[101.0] * 5, low=[99.0] * 5, close=[100.0] * 5)
