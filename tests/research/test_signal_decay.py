"""How signals fade: a planted half-life is found, noise has none, and nothing is read over the end of a session."""

import datetime as dt
import math

import numpy as np
import polars as pl
import pytest

from openbell.core.errors import BadInput
from openbell.research.signal_decay import decay

FIRST = dt.datetime(2020, 1, 6, 21, tzinfo=dt.UTC)


def world(effect, half_life, *, bars=500, symbols=("A", "B"), seed=0):
    """Calls that move the bars after their entry by ``effect 2^(-age / half_life)`` volatilities, and the bars."""
    rng = np.random.default_rng(seed)
    calls, frames = [], []
    at = [FIRST + dt.timedelta(days=each) for each in range(bars)]
    for symbol in symbols:
        side = rng.choice([-1, 1], bars)
        pushes = effect * 2.0 ** (-np.arange(60) / half_life)
        # The return from the open of bar k to that of k + 1 is moved by the call of bar k - 1 first.
        step = rng.normal(size=bars) + np.concatenate([[0.0], np.convolve(side, pushes)[: bars - 1]])
        open_ = 100 * np.exp(np.concatenate([[0.0], np.cumsum(0.01 * step)[:-1]]))
        keys = {"symbol": symbol, "session": [each.date() for each in at]}
        frames.append(pl.DataFrame({**keys, "at": at, "open": open_, "close": open_}))
        word = np.where(side > 0, "BUY", "SELL")
        calls.append(pl.DataFrame({**keys, "as_of": at, "sigma": 0.01, "call": word, "model": "m"}))
    return pl.concat(calls), pl.concat(frames)


def test_a_planted_half_life_lies_in_its_interval():
    found = decay(*world(0.4, 3.0), within_session=False)
    assert found.half_life.low <= 3.0 <= found.half_life.high
    assert found.bars == found.half_life.value
    assert found.seconds(60.0) == found.bars * 60.0
    assert found.ages["effect"][0] == pytest.approx(0.4, abs=0.1)
    assert found.ages["effect_low"][0] < found.ages["effect"][0] < found.ages["effect_high"][0]


def test_the_sums_by_hand():
    """One symbol, three calls, two ages: means of ``s ln(open_{t+a+1} / open_{t+a}) / sigma``."""
    opens = [100.0, 101.0, 103.0, 102.0, 106.0]
    at = [FIRST + dt.timedelta(days=each) for each in range(5)]
    days = [each.date() for each in at]
    bars = pl.DataFrame({"symbol": "A", "session": days, "at": at, "open": opens, "close": opens})
    calls = pl.DataFrame(
        {
            "symbol": "A", "session": days[:4], "as_of": at[:4], "sigma": [0.01, 0.02, 0.01, 0.01],
            "call": ["BUY", "SELL", "HOLD", "BUY"], "model": "m",
        }
    )  # fmt: skip
    found = decay(calls, bars, longest=2, within_session=False).ages
    step = np.diff(np.log(opens))
    assert found["n"].to_list() == [2, 2]
    assert found["effect"][0] == pytest.approx((step[1] / 0.01 - step[2] / 0.02) / 2)
    assert found["effect"][1] == pytest.approx((step[2] / 0.01 - step[3] / 0.02) / 2)


def test_calls_that_are_wrong_throughout_have_no_half_life():
    """Then the desk takes its 24 hours. Certain by construction: every call is against the bar that follows."""
    calls, bars = world(-3.0, 2.0)
    found = decay(calls, bars, longest=4, within_session=False)
    assert found.half_life.value == 0.0
    assert found.bars is None
    assert found.seconds(1.0) is None


def test_without_calls_or_with_too_few_days_there_is_none():
    calls, bars = world(0.4, 3.0)
    hold = calls.with_columns(pl.lit("HOLD").alias("call"))
    assert decay(hold, bars, within_session=False).bars is None
    few = calls.filter(pl.col("as_of") < FIRST + dt.timedelta(days=9))
    assert decay(few, bars, within_session=False).bars is None


def test_no_bar_of_another_session_counts():
    """Kills a half-life that is measured over the night."""
    bars = pl.DataFrame(
        {
            "symbol": "A",
            "session": [dt.date(2024, 1, 2 + at // 4) for at in range(12)],
            "at": [FIRST + dt.timedelta(minutes=at) for at in range(12)],
            "open": [100.0 * 1.01**at for at in range(12)],
        }
    )
    said = {"sigma": pl.lit(0.01), "call": pl.lit("BUY"), "model": pl.lit("m")}
    calls = bars.select("symbol", "session", pl.col("at").alias("as_of"), **said)
    ages = decay(calls, bars, longest=3, within_session=True).ages
    assert ages["n"].to_list() == [2 * 3, 1 * 3, 0]
    assert ages["effect"][0] == pytest.approx(math.log(1.01) / 0.01)
    assert ages["effect"][2] is None
    assert decay(calls, bars, longest=3, within_session=False).ages["n"].to_list() == [10, 9, 8]


def test_it_is_that_of_one_model():
    calls, bars = world(0.4, 3.0, bars=60)
    both = pl.concat([calls, calls.with_columns(pl.lit("n").alias("model"))])
    with pytest.raises(BadInput, match="of one model; there were 2: m, n"):
        decay(both, bars, within_session=False)
    with pytest.raises(BadInput, match="at least 2 ages"):
        decay(calls, bars, longest=1, within_session=False)


@pytest.mark.slow
def test_noise_seldom_has_a_half_life():
    found = [decay(*world(0.0, 3.0, bars=300, seed=seed), within_session=False).bars for seed in range(40)]
    assert sum(each is not None for each in found) <= 6
