"""The market's regime by rules on a benchmark: Risk-Off, Normal, Risk-On (Annex G of the stocks requirements)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray

from openbell.core.errors import BadInput, DataMissing

Floats = NDArray[np.float64]

SESSIONS_PER_YEAR = 252
VOLATILITY_SESSIONS = 20
FAST_SESSIONS = 20
SLOW_SESSIONS = 50
DRAWDOWN_SESSIONS = 252

#: Where fewer than `SLOW_SESSIONS` closes are known, `regimes` says so with this; it is no regime and never traded.
UNKNOWN = -1


class Regime(IntEnum):
    """The three regimes, by the numbers the requirements give them."""

    RISK_OFF = 0
    NORMAL = 1
    RISK_ON = 2

    @property
    def label(self) -> str:
        """The name people read."""
        return ("Risk-Off", "Normal", "Risk-On")[self]


@dataclass(frozen=True, slots=True)
class RegimeReading:
    """A regime with the measures it was read from, all at the last close."""

    regime: Regime
    volatility: float
    drawdown: float
    sma_fast: float
    sma_slow: float


@dataclass(frozen=True, slots=True, eq=False)
class _Measures:
    volatility: Floats
    drawdown: Floats
    sma_fast: Floats
    sma_slow: Floats

    @property
    def regimes(self) -> NDArray[np.int8]:
        off = (self.volatility > 0.25) | (self.drawdown < -0.10) | (self.sma_fast < self.sma_slow)
        on = (self.volatility < 0.15) & (self.drawdown > -0.05) & (self.sma_fast > self.sma_slow)
        return np.where(off, Regime.RISK_OFF, np.where(on, Regime.RISK_ON, Regime.NORMAL)).astype(np.int8)


def _closes(benchmark_closes: ArrayLike) -> Floats:
    closes = np.asarray(benchmark_closes, dtype=np.float64)
    if closes.ndim != 1 or len(closes) < SLOW_SESSIONS:
        raise DataMissing(
            f"The regime needs at least {SLOW_SESSIONS} closes of the benchmark; there were {closes.size}. "
            "Import the benchmark's bars, or name another with the setting `data.benchmark`."
        )
    wrong = np.flatnonzero(~(np.isfinite(closes) & (closes > 0)))
    if wrong.size:
        raise BadInput(
            f"The benchmark's closes must be finite and above 0; number {wrong[0]} of {len(closes)} is "
            f"{closes[wrong[0]]}. Check the benchmark with `openbell data check`."
        )
    return closes


def _windows(values: Floats, length: int) -> Floats:
    # Copied rows make every window's sum independent of how many windows there are: scalar equals vector bit by bit.
    return np.ascontiguousarray(sliding_window_view(values, length))


def _trailing_peak(closes: Floats) -> Floats:
    padded = np.concatenate([np.full(DRAWDOWN_SESSIONS - 1, -np.inf), closes])
    peak: Floats = sliding_window_view(padded, DRAWDOWN_SESSIONS).max(axis=1)
    return peak


def _measures(closes: Floats) -> _Measures:
    n = len(closes) - SLOW_SESSIONS + 1
    returns = closes[1:] / closes[:-1] - 1.0
    volatility = _windows(returns, VOLATILITY_SESSIONS).std(axis=1, ddof=1) * np.sqrt(SESSIONS_PER_YEAR)
    return _Measures(
        volatility=volatility[-n:],
        drawdown=(closes / _trailing_peak(closes) - 1.0)[-n:],
        sma_fast=_windows(closes, FAST_SESSIONS).mean(axis=1)[-n:],
        sma_slow=_windows(closes, SLOW_SESSIONS).mean(axis=1)[-n:],
    )


def regime_reading(benchmark_closes: ArrayLike) -> RegimeReading:
    """Regime at the last close, with its measures.

    Parameters
    ----------
    benchmark_closes : total-return closes of the benchmark, oldest first, shape (n,), n >= 50, finite and above 0.

    Returns
    -------
    RegimeReading
        `volatility`: standard deviation (n-1) of the last 20 simple returns times sqrt(252). `drawdown`: last close
        over the highest of the trailing 252 closes, less 1 (never positive). `sma_fast`, `sma_slow`: means of the
        last 20 and 50 closes. The regime is Risk-Off where volatility > 0.25 or drawdown < -0.10 or
        sma_fast < sma_slow; Risk-On where volatility < 0.15 and drawdown > -0.05 and sma_fast > sma_slow; else
        Normal. The value belongs to the moment after the last close.

    Raises
    ------
    DataMissing
        Fewer than 50 closes: no regime is assumed in their place.
    BadInput
        A close that is not finite or not above 0.

    Notes
    -----
    The drawdown looks back 252 sessions and not over all history, so that its value does not depend on how much
    history was loaded: back-test and daily run read the same regime. With fewer than 252 closes it uses those given.
    """
    closes = _closes(benchmark_closes)
    # The measures reach back no further than the drawdown's window: the rest of history need not be computed.
    read = _measures(closes[-DRAWDOWN_SESSIONS:])
    return RegimeReading(
        regime=Regime(int(read.regimes[-1])),
        volatility=float(read.volatility[-1]),
        drawdown=float(read.drawdown[-1]),
        sma_fast=float(read.sma_fast[-1]),
        sma_slow=float(read.sma_slow[-1]),
    )


def regime(benchmark_closes: ArrayLike) -> int:
    """Regime at the last close: 0 Risk-Off, 1 Normal, 2 Risk-On. See `regime_reading`."""
    return int(regime_reading(benchmark_closes).regime)


def regimes(benchmark_closes: ArrayLike) -> NDArray[np.int8]:
    """Regime at every close, equal at each to `regime` of the closes up to it.

    Parameters
    ----------
    benchmark_closes : shape (n,), n >= 50, as in `regime_reading`.

    Returns
    -------
    ndarray of int8, shape (n,)
        The first 49 are `UNKNOWN` (-1): there are not yet 50 closes. Errors as in `regime_reading`.
    """
    closes = _closes(benchmark_closes)
    unknown = np.full(SLOW_SESSIONS - 1, UNKNOWN, dtype=np.int8)
    return np.concatenate([unknown, _measures(closes).regimes])
