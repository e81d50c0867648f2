"""Every indicator that TA-Lib has, against TA-Lib, after the warm-up in which the two start differently."""

import numpy as np
import pytest

talib = pytest.importorskip("talib")

#: Rows after which an exponential mean of 50 sessions has forgotten how it was started.
WARM = 700


def agree(ours, theirs, *, warm=WARM, tolerance=1e-8):
    """Equal after the warm-up, relative to the size of the values; nowhere null there."""
    ours, theirs = ours[warm:], theirs[warm:]
    assert len(ours) > 500
    held = np.isfinite(theirs)
    assert np.isfinite(ours[held]).all()
    scale = np.abs(theirs[held]).mean()
    assert np.abs(ours[held] - theirs[held]).max() <= tolerance * max(scale, 1e-12)


@pytest.fixture
def prices(bars):
    return {name: np.ascontiguousarray(bars[name]) for name in ("open", "high", "low", "close", "volume")}


@pytest.mark.parametrize("window", [14, 28, 2])
def test_rsi(bars, compute, prices, window):
    agree(compute(bars, f"rsi_{window}")[f"rsi_{window}"], talib.RSI(prices["close"], window))


@pytest.mark.parametrize(
    ("name", "oracle"), [("adx_14", "ADX"), ("di_plus_14", "PLUS_DI"), ("di_minus_14", "MINUS_DI"), ("atr_14", "ATR")]
)
def test_wilder_family(bars, compute, prices, name, oracle):
    """Wilder's smoothing, not a simple mean of 14: kills Cutler's RSI, raw DX and the simple ATR."""
    agree(compute(bars, name)[name], getattr(talib, oracle)(prices["high"], prices["low"], prices["close"], 14))


def test_macd(bars, compute, prices):
    ours = compute(bars, "macd", "macd_signal", "macd_histogram", "macd_relative")
    for name, theirs in zip(("macd", "macd_signal", "macd_histogram"), talib.MACD(prices["close"]), strict=True):
        agree(ours[name], theirs)
    agree(ours["macd_relative"], talib.MACD(prices["close"])[0] / prices["close"])


@pytest.mark.parametrize("window", [12, 26, 50])
def test_ema(bars, compute, prices, window):
    agree(compute(bars, f"ema_{window}")[f"ema_{window}"], talib.EMA(prices["close"], window))


@pytest.mark.parametrize("window", [5, 10, 20, 50, 200])
def test_sma(bars, compute, prices, window):
    ours = compute(bars, f"sma_{window}", f"price_vs_sma_{window}")
    theirs = talib.SMA(prices["close"], window)
    agree(ours[f"sma_{window}"], theirs, warm=0)
    agree(ours[f"price_vs_sma_{window}"], prices["close"] / theirs - 1, warm=0, tolerance=1e-6)
    assert np.isnan(ours[f"sma_{window}"][: window - 1]).all()


def test_bollinger(bars, compute, prices):
    upper, middle, lower = talib.BBANDS(prices["close"], 20, 2.0, 2.0)
    ours = compute(bars, "bb_upper", "bb_middle", "bb_lower", "bb_position", "bb_width")
    agree(ours["bb_upper"], upper, warm=0)
    agree(ours["bb_middle"], middle, warm=0)
    agree(ours["bb_lower"], lower, warm=0)
    agree(ours["bb_position"], (prices["close"] - lower) / (upper - lower), warm=0, tolerance=1e-5)
    agree(ours["bb_width"], (upper - lower) / middle, warm=0, tolerance=1e-5)


def test_stochastic(bars, compute, prices):
    k, d = talib.STOCH(prices["high"], prices["low"], prices["close"], 14, 3, 0, 3, 0)
    ours = compute(bars, "stochastic_k", "stochastic_d")
    agree(ours["stochastic_k"], k, warm=0)
    agree(ours["stochastic_d"], d, warm=0)


def test_williams_and_cci(bars, compute, prices):
    ours = compute(bars, "williams_r", "cci")
    agree(ours["williams_r"], talib.WILLR(prices["high"], prices["low"], prices["close"], 14), warm=0)
    agree(ours["cci"], talib.CCI(prices["high"], prices["low"], prices["close"], 20), warm=0, tolerance=1e-6)


def test_volume_indicators(bars, compute, prices):
    """OBV's change over 20 sessions: TA-Lib's level depends on where the history begins, its change does not."""
    ours = compute(bars, "mfi", "obv", "volume_20d_avg")
    agree(ours["mfi"], talib.MFI(prices["high"], prices["low"], prices["close"], prices["volume"], 14), warm=20)
    level = talib.OBV(prices["close"], prices["volume"])
    agree(ours["obv"][21:], level[21:] - level[1:-20], warm=0)
    agree(ours["volume_20d_avg"], talib.SMA(prices["volume"], 20), warm=0)


def test_other_moments(bars, compute, prices):
    ours = compute(bars, "cmo_14", "trend_slope_50", "return_10d", "channel_position_252", "atr_relative_14")
    agree(ours["trend_slope_50"], talib.LINEARREG_SLOPE(np.log(prices["close"]), 50), warm=0, tolerance=1e-7)
    agree(ours["return_10d"], talib.ROCP(prices["close"], 10), warm=0, tolerance=1e-7)
    agree(ours["atr_relative_14"], talib.NATR(prices["high"], prices["low"], prices["close"], 14) / 100)
    high, low = talib.MAX(prices["close"], 252), talib.MIN(prices["close"], 252)
    agree(ours["channel_position_252"], (prices["close"] - low) / (high - low), warm=0, tolerance=1e-7)
