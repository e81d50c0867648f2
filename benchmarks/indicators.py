"""The same indicators three times: by our expressions, by pandas, by TA-Lib."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import polars as pl
import talib

Bars = dict[str, np.ndarray]

#: Rows after which an exponential mean has forgotten how it was started: TA-Lib starts from a simple mean.
WARM = 900
#: Share of values that may differ: the last bit decides the sign of an unchanged typical price, for a whole window.
TIES = 5e-3
NAMES = (
    "rsi_14", "adx_14", "di_plus_14", "di_minus_14", "atr_relative_14", "macd_relative", "macd_histogram_relative",
    "price_vs_sma_20", "price_vs_sma_200", "price_vs_ema_50", "bb_position", "bb_width", "stochastic_k", "stochastic_d",
    "williams_r", "cci", "mfi", "channel_position_252", "return_10d", "hv_20d",
)  # fmt: skip


def by_openbell(frame: pl.DataFrame) -> dict[str, np.ndarray]:
    """`NAMES` of all symbols, one after the other, 64 symbols at once as the engine does."""
    from openbell.core.declare import discover
    from openbell.research.compute import SYMBOLS_AT_ONCE, evaluated

    features = discover().features
    expressions = [features[name].expression.alias(name) for name in NAMES]
    symbols = frame["symbol"].unique(maintain_order=True)
    parts = [
        evaluated(frame.filter(pl.col("symbol").is_in(symbols[at : at + SYMBOLS_AT_ONCE].implode())), expressions, [])
        for at in range(0, len(symbols), SYMBOLS_AT_ONCE)
    ]
    return {name: pl.concat(parts)[name].to_numpy() for name in NAMES}


def by_pandas(bars: Bars) -> dict[str, np.ndarray]:
    """`NAMES` of one symbol."""
    high, low, close, volume = (pd.Series(bars[name]) for name in ("high", "low", "close", "volume"))

    def wilder(x: pd.Series) -> pd.Series:
        return x.ewm(alpha=1 / 14, adjust=False, min_periods=14).mean()

    def ema(x: pd.Series, window: int) -> pd.Series:
        return x.ewm(span=window, adjust=False, min_periods=window).mean()

    def between(x: pd.Series, window: int, below: pd.Series, above: pd.Series) -> pd.Series:
        bottom = below.rolling(window).min()
        return (x - bottom) / (above.rolling(window).max() - bottom)

    change, before = close.diff(), close.shift(1)
    gain, loss = wilder(change.clip(lower=0)), wilder(-change.clip(upper=0))
    spread = pd.concat([high - low, (high - before).abs(), (low - before).abs()], axis=1)
    atr = wilder(spread.max(axis=1).where(before.notna()))
    rise, fall = high.diff(), -low.diff()
    plus = wilder(rise.where((rise > fall) & (rise > 0), 0.0).where(rise.notna()))
    minus = wilder(fall.where((fall > rise) & (fall > 0), 0.0).where(fall.notna()))
    macd = ema(close, 12) - ema(close, 26)
    mean, deviation = close.rolling(20).mean(), close.rolling(20).std(ddof=0)
    fast_k = 100 * between(close, 14, low, high)
    slow_k = fast_k.rolling(3).mean()
    typical = (high + low + close) / 3
    middle = typical.rolling(20).mean()
    apart = sum((typical.shift(rows) - middle).abs() for rows in range(20)) / 20
    flow = typical * volume * np.sign(typical.diff())
    inflow, outflow = flow.clip(lower=0).rolling(14).sum(), -flow.clip(upper=0).rolling(14).sum()
    found = {
        "rsi_14": 100 * gain / (gain + loss),
        "adx_14": wilder(100 * (plus - minus).abs() / (plus + minus)),
        "di_plus_14": 100 * plus / atr,
        "di_minus_14": 100 * minus / atr,
        "atr_relative_14": atr / close,
        "macd_relative": macd / close,
        "macd_histogram_relative": (macd - ema(macd, 9)) / close,
        "price_vs_sma_20": close / mean - 1,
        "price_vs_sma_200": close / close.rolling(200).mean() - 1,
        "price_vs_ema_50": close / ema(close, 50) - 1,
        "bb_position": (close - mean + 2 * deviation) / (4 * deviation),
        "bb_width": 4 * deviation / mean,
        "stochastic_k": slow_k,
        "stochastic_d": slow_k.rolling(3).mean(),
        "williams_r": fast_k - 100,
        "cci": (typical - middle) / (0.015 * apart),
        "mfi": 100 * inflow / (inflow + outflow),
        "channel_position_252": between(close, 252, close, close),
        "return_10d": close / close.shift(10) - 1,
        "hv_20d": np.log(close).diff().rolling(20).std() * np.sqrt(252),
    }
    return {name: found[name].to_numpy() for name in NAMES}


def by_talib(bars: Bars) -> dict[str, np.ndarray]:
    """`NAMES` of one symbol."""
    high, low, close, volume = (bars[name] for name in ("high", "low", "close", "volume"))
    ranges = (high, low, close)
    macd, _, histogram = talib.MACD(close)
    upper, middle, lower = talib.BBANDS(close, 20, 2.0, 2.0)
    slow_k, slow_d = talib.STOCH(*ranges, 14, 3, 0, 3, 0)
    top, bottom = talib.MAX(close, 252), talib.MIN(close, 252)
    logs = np.log(close)
    returns = np.append(np.nan, logs[1:] - logs[:-1])
    found = {
        "rsi_14": talib.RSI(close, 14),
        "adx_14": talib.ADX(*ranges, 14),
        "di_plus_14": talib.PLUS_DI(*ranges, 14),
        "di_minus_14": talib.MINUS_DI(*ranges, 14),
        "atr_relative_14": talib.NATR(*ranges, 14) / 100,
        "macd_relative": macd / close,
        "macd_histogram_relative": histogram / close,
        "price_vs_sma_20": close / middle - 1,
        "price_vs_sma_200": close / talib.SMA(close, 200) - 1,
        "price_vs_ema_50": close / talib.EMA(close, 50) - 1,
        "bb_position": (close - lower) / (upper - lower),
        "bb_width": (upper - lower) / middle,
        "stochastic_k": slow_k,
        "stochastic_d": slow_d,
        "williams_r": talib.WILLR(*ranges, 14),
        "cci": talib.CCI(*ranges, 20),
        "mfi": talib.MFI(*ranges, volume, 14),
        "channel_position_252": (close - bottom) / (top - bottom),
        "return_10d": talib.ROCP(close, 10),
        "hv_20d": talib.STDDEV(returns, 20) * np.sqrt(252 * 20 / 19),
    }
    return {name: found[name] for name in NAMES}


def symbol_by_symbol(work: Callable[[Bars], dict[str, np.ndarray]], bars: list[Bars]) -> dict[str, np.ndarray]:
    """`work` on each symbol, laid end to end."""
    parts = [work(each) for each in bars]
    return {name: np.concatenate([part[name] for part in parts]) for name in NAMES}


def check_equal(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray], rows: int, tolerance: float) -> None:
    """Refuse to time what is not the same: compare behind the warm-up of each symbol of `rows` rows."""
    for name in NAMES:
        mine, other = (np.reshape(each[name], (-1, rows))[:, WARM:] for each in (ours, theirs))
        held = np.isfinite(mine) & np.isfinite(other)
        if held.mean() < 0.99:
            raise SystemExit(f"{name}: only {held.mean():.1%} of the values stand on both sides.")
        scale = np.abs(other[held]).mean()
        apart = (np.abs(mine[held] - other[held]) > tolerance * scale).mean()
        if apart > TIES:
            raise SystemExit(f"{name}: {apart:.2%} of the values differ by more than {tolerance} of their mean size.")
