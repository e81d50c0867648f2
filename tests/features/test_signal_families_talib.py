"""Indicators of the signals desk against TA-Lib's own, where it has them, after the warm-up of its recursions."""

import numpy as np
import pytest
from feature_bars import one_symbol
from memory_tables import random_walk
from session_bars import computed

talib = pytest.importorskip("talib")
#: Rows after which the slowest average here has forgotten how it was started.
WARM = 900


@pytest.fixture(scope="module")
def walk():
    return random_walk(2000, 21)


@pytest.fixture(scope="module")
def o(walk):
    return tuple(np.ascontiguousarray(walk[name]) for name in ("open", "high", "low", "close", "volume"))


def agree(ours, theirs, *, warm=WARM, tolerance=1e-8):
    ours, theirs = np.asarray(ours)[warm:], np.asarray(theirs)[warm:]
    assert len(ours) > 500
    assert np.isfinite(theirs).all()
    assert np.abs(ours - theirs).max() <= tolerance * max(np.abs(theirs).mean(), 1e-12)


def atr(o, window=14):
    return talib.ATR(*o[1:4], window)


CASES = {
    "rsi_30": lambda o: talib.RSI(o[3], 30),
    "rsi_extreme_14": lambda o: (talib.RSI(o[3], 14) > 70) * 1.0 - (talib.RSI(o[3], 14) < 30) * 1.0,
    "stochastic_rsi_14": lambda o: talib.STOCHRSI(o[3], 14, 14, 3, 0)[0],
    "true_strength_index": lambda o: talib.TSI(o[3], 25, 13),
    "ultimate_oscillator": lambda o: talib.ULTOSC(*o[1:4]),
    "aroon_up_25": lambda o: talib.AROON(o[1], o[2], 25)[1],
    "aroon_down_25": lambda o: talib.AROON(o[1], o[2], 25)[0],
    "vortex_14": lambda o: np.subtract(*talib.VORTEX(*o[1:4], 14)),
    "adx_rating_14": lambda o: talib.ADXR(*o[1:4], 14),
    "elder_bull_power_13": lambda o: talib.ERI(*o[1:4], 13)[0] / atr(o),
    "elder_bear_power_13": lambda o: talib.ERI(*o[1:4], 13)[1] / atr(o),
    "force_index_13": lambda o: talib.EFI(o[3], o[4], 13) / talib.EMA(o[4], 13) / atr(o),
    "chaikin_oscillator": lambda o: talib.ADOSC(*o[1:5], 3, 10) / talib.EMA(o[4], 10),
    "volume_oscillator_12_26": lambda o: talib.PVO(o[4], 12, 26, 1) / 100,
    "mass_index_25": lambda o: talib.MASSI(o[1], o[2], 9, 25),
    "efficiency_ratio_10": lambda o: talib.ER(o[3], 10),
    "intraday_momentum_14": lambda o: talib.IMI(o[0], o[3], 14),
    "vertical_horizontal_filter_28": lambda o: talib.VHF(o[3], 28),
    "relative_volatility_14": lambda o: talib.RVI(o[3], 14, 10),
    "chaikin_volatility_10": lambda o: talib.CVI(o[1], o[2], 10, 10) / 100,
    "trix_15": lambda o: talib.TRIX(o[3], 15) / 100,
    "price_vs_dema_20": lambda o: o[3] / talib.DEMA(o[3], 20) - 1,
    "price_vs_tema_20": lambda o: o[3] / talib.TEMA(o[3], 20) - 1,
    "price_vs_wma_20": lambda o: o[3] / talib.WMA(o[3], 20) - 1,
    "price_vs_hull_16": lambda o: o[3] / talib.HMA(o[3], 16) - 1,
    "price_vs_linear_fit_20": lambda o: o[3] / talib.LINEARREG(o[3], 20) - 1,
    "coppock_curve": lambda o: talib.COPPOCK(o[3], 10, 11, 14) / 100,
    "awesome_oscillator": lambda o: talib.AO(o[1], o[2]) / o[3],
    "accelerator_oscillator": lambda o: talib.AC(o[1], o[2]) / o[3],
    "macd_signal_relative": lambda o: talib.MACD(o[3])[1] / o[3],
    "macd_histogram_to_atr": lambda o: talib.MACD(o[3])[2] / atr(o),
    "squeeze_ratio_20": lambda o: 2 * talib.STDDEV(o[3], 20, 1) / (1.5 * atr(o, 20)),
    "gap_to_atr": lambda o: np.r_[np.nan, o[0][1:] - o[3][:-1]] / atr(o),
    **{
        f"price_vs_ema_{window}": (lambda o, window=window: o[3] / talib.EMA(o[3], window) - 1)
        for window in (5, 10, 20)
    },
    **{
        f"ema_ratio_{fast}_{slow}": (lambda o, f=fast, s=slow: talib.EMA(o[3], f) / talib.EMA(o[3], s) - 1)
        for fast, slow in ((5, 20), (20, 50))
    },
    **{
        f"sma_ratio_{fast}_{slow}": (lambda o, f=fast, s=slow: talib.SMA(o[3], f) / talib.SMA(o[3], s) - 1)
        for fast, slow in ((5, 20), (10, 50))
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def ours(walk):
    return computed(one_symbol(walk), *CASES, "keltner_position_20", "donchian_position_20", "price_vs_ema_200")


@pytest.mark.parametrize("name", CASES)
def test_is_that_of_talib(ours, o, name):
    agree(ours[name], CASES[name](o))


def test_price_against_the_slowest_average(ours, o):
    """EMA200 forgets a start in 2,074 rows to 1e-9; after 1,900 both starts still agree to 1e-6."""
    agree(ours["price_vs_ema_200"][-600:], (o[3] / talib.EMA(o[3], 200) - 1)[-600:], warm=0, tolerance=1e-4)


def test_channels(ours, o):
    upper, _, lower = talib.DONCHIAN(o[1], o[2], 20)
    agree(ours["donchian_position_20"], (o[3] - lower) / (upper - lower))
    middle, width = talib.EMA(o[3], 20), 2 * atr(o, 10)
    agree(ours["keltner_position_20"], (o[3] - middle + width) / (2 * width))
