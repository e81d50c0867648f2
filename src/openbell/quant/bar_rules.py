"""What is wrong with a bar by itself, and with its price beside the symbol's own: one judge for files and live bars."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from openbell.core.errors import BadInput
from openbell.quant.bar_frames import FIELDS

#: What may be wrong with a bar, in the order it is looked for; the place is the code, 0 is a good bar.
FAULTS: Mapping[str, str] = {
    "good": "Nothing is wrong with it.",
    "missing_field": "A price, or the volume of a source that tells volumes, is missing.",
    "bad_price": "A price is zero, negative or not finite.",
    "bad_volume": "The volume is negative or not finite.",
    "ohlc_order": "The high lies below another price, or the low above one.",
    "bad_quote": "The bid or the ask is not positive, or the bid lies above the ask.",
    "jump": "The price is 50 times or more away from the last one: another unit or another instrument.",
}
CODES: Mapping[str, int] = {name: code for code, name in enumerate(FAULTS)}
#: Single-precision prices of one moment differ by this much, relatively.
ORDER_TOLERANCE = 1e-6
#: Cents for dollars are a jump of 100 less what the price itself has moved; no price moves fiftyfold between two bars.
JUMP_FACTOR = 50.0
#: A level that held for so many bars on end is taken for the symbol's own.
PROOF_BARS = 21
_OPEN, _HIGH, _LOW, _CLOSE, _VOLUME, _BID, _ASK = range(len(FIELDS))


def bar_faults(bars: np.ndarray, required: Collection[str]) -> np.ndarray:
    """The first thing wrong with each bar by itself, as its code in `FAULTS`.

    Parameters
    ----------
    bars : float64 (n, 7), columns as in `FIELDS`; NaN is null.
    required : fields that may not be null.

    Returns
    -------
    uint8 (n,), 0 for a good bar.
    """
    if bars.ndim != 2 or bars.shape[1] != len(FIELDS):
        raise BadInput(f"Bars to judge have {len(FIELDS)} columns, {', '.join(FIELDS)}; had the shape {bars.shape}.")
    prices, null = bars[:, :_VOLUME], np.isnan(bars)
    with np.errstate(invalid="ignore"):
        top = np.fmax(np.fmax(prices[:, _OPEN], prices[:, _LOW]), prices[:, _CLOSE]) * (1 - ORDER_TOLERANCE)
        bottom = np.fmin(np.fmin(prices[:, _OPEN], prices[:, _HIGH]), prices[:, _CLOSE]) * (1 + ORDER_TOLERANCE)
        quotes, volume = bars[:, _BID:], bars[:, _VOLUME]
        tests = {
            "missing_field": null[:, [FIELDS.index(name) for name in FIELDS if name in required]].any(axis=1),
            "bad_price": ((prices <= 0) | np.isinf(prices)).any(axis=1),
            "bad_volume": (volume < 0) | np.isinf(volume),
            "ohlc_order": (prices[:, _HIGH] < top) | (prices[:, _LOW] > bottom),
            "bad_quote": ((quotes <= 0) | np.isinf(quotes)).any(axis=1) | (bars[:, _BID] > bars[:, _ASK]),
        }
    faults = np.zeros(len(bars), dtype=np.uint8)
    for name, broken in tests.items():
        faults[(faults == 0) & broken] = CODES[name]
    return faults


class PriceLevels:
    """The level of each symbol's price, against which a jump is measured; a level that holds becomes the symbol's."""

    def __init__(self, symbols: int = 0) -> None:
        self._level, self._away = np.full(symbols, np.nan), np.full(symbols, np.nan)
        self._since = np.zeros(symbols, dtype=np.int64)

    @property
    def symbols(self) -> int:
        """How many symbols there is room for."""
        return len(self._level)

    def grow(self, symbols: int) -> None:
        """Make room for `symbols` in all."""
        more = symbols - self.symbols
        self._level = np.concatenate([self._level, np.full(more, np.nan)])
        self._away = np.concatenate([self._away, np.full(more, np.nan)])
        self._since = np.concatenate([self._since, np.zeros(more, dtype=np.int64)])

    def start(self, which: np.ndarray, closes: np.ndarray) -> None:
        """Begin `which` symbols, int64 (k,), at the level of `closes`, float64 (k,)."""
        self._level[which] = closes

    def judge(self, which: np.ndarray, bars: np.ndarray, faults: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Which bars jump away from their symbol's level, and which begin a new one; in order of time per symbol.

        Parameters
        ----------
        which : symbol of each bar, int64 (n,). bars : float64 (n, 7), columns as in `FIELDS`.
        faults : uint8 (n,); a bar with a fault is neither judged nor a measure of later ones.

        Returns
        -------
        Two bool (n,): those that jumped, and those whose level had held for `PROOF_BARS` bars.
        """
        from openbell.quant.bar_frame_kernel import jumps

        jumped, held = np.zeros(len(which), dtype=np.bool_), np.zeros(len(which), dtype=np.bool_)
        state = (self._level, self._away, self._since)
        jumps(which, bars, faults > 0, JUMP_FACTOR, PROOF_BARS, *state, jumped, held)
        return jumped, held

    def to_arrays(self) -> dict[str, np.ndarray]:
        """The state by name, for a snapshot."""
        return {"level": self._level, "away": self._away, "since": self._since}

    def from_arrays(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Take the state of a snapshot."""
        self._level, self._away, self._since = (np.ascontiguousarray(arrays[name]) for name in self.to_arrays())


__all__ = ["CODES", "FAULTS", "JUMP_FACTOR", "PROOF_BARS", "PriceLevels", "bar_faults"]
