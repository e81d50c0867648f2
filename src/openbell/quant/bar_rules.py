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


#: What may be wrong with a bar that has just come, beside `FAULTS`, with the codes behind theirs.
ARRIVALS: Mapping[str, str] = {
    "naive_time": "Its time has no time zone, or is missing: nobody can know when it was.",
    "no_symbol": "It names no symbol.",
    "too_many_symbols": "Its symbol is new, and the state already holds as many as it may.",
    "outside_session": "It ends outside the hours of a session; such bars are not used.",
    "off_grid": "It does not end where a bar of this frequency ends: another clock or another frequency.",
    "late": "It is older than the last bar of its symbol when it came: the moment was over, or it came again.",
    "out_of_order": "It stands behind a later bar of its symbol in the same call.",
    "twice": "It came a second time with the same numbers.",
    "contradictory": "It came a second time with other numbers; the first ones stand.",
}
ARRIVAL_CODES: Mapping[str, int] = {name: len(FAULTS) + place for place, name in enumerate(ARRIVALS)}
#: Every code with its name, in their order.
REASONS: tuple[str, ...] = (*FAULTS, *ARRIVALS)
_SAID = ("late", "out_of_order", "twice", "contradictory")


def moved(which: np.ndarray, bars: np.ndarray, levels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which bars jump away from the level of their symbol, and which have made a new one hold.

    Parameters
    ----------
    which : symbol of each bar, int64 (n,); in order of time for each. bars : float64 (n, 7), columns as in `FIELDS`,
    none of them faulty. levels : last close of each symbol before them, float64 (m,), NaN where there is none.

    Returns
    -------
    Two bool (n,): bars that jumped, and bars whose level had held for `PROOF_BARS` bars.
    """
    from openbell.quant.bar_frame_kernel import moves

    found, away, since = np.zeros(len(which), dtype=np.int8), np.full_like(levels, np.nan), np.zeros(len(levels), int)
    moves(which, bars, JUMP_FACTOR, PROOF_BARS, levels.copy(), away, since, found)
    return found == 1, found == 2


class Admission:
    """Which of the bars that come may go on, beside what came before them; a refused one leaves no trace.

    Parameters
    ----------
    symbols : how many there is room for; see `grow`.
    """

    def __init__(self, symbols: int = 0) -> None:
        self._state = _empty(symbols)

    @property
    def symbols(self) -> int:
        """How many symbols there is room for."""
        return len(self._state["last_at"])

    @property
    def last_at_us(self) -> np.ndarray:
        """End of the last bar of each symbol, microseconds, int64 (m,); the least number before the first."""
        return self._state["last_at"]

    def grow(self, symbols: int) -> None:
        """Make room for `symbols` in all."""
        more = _empty(symbols - self.symbols)
        self._state = {name: np.concatenate([array, more[name]]) for name, array in self._state.items()}

    def judge(self, which: np.ndarray, at_us: np.ndarray, bars: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """The code of each bar in the order they came, 0 where it may go on.

        Parameters
        ----------
        which : symbol of each, int64 (n,). at_us : ends, int64 (n,). bars : float64 (n, 7), columns as in `FIELDS`.
        codes : uint8 (n,), what is wrong with a bar by itself; only bars of code 0 are looked at.
        """
        from openbell.quant.bar_frame_kernel import admitted

        codes, state = codes.copy(), self._state
        said = np.array([*(ARRIVAL_CODES[name] for name in _SAID), CODES["jump"]], dtype=np.uint8)
        admitted(
            which, at_us, bars, codes, said, JUMP_FACTOR, PROOF_BARS,
            state["level"], state["away"], state["since"], state["last_at"], state["last_bars"],
            state["last_at"].copy(),
        )  # fmt: skip
        return codes

    def to_arrays(self) -> dict[str, np.ndarray]:
        """The state by name, for a snapshot."""
        return dict(self._state)

    def from_arrays(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Take the state of a snapshot."""
        self._state = {name: np.ascontiguousarray(arrays[name]) for name in self._state}


def _empty(symbols: int) -> dict[str, np.ndarray]:
    return {
        "level": np.full(symbols, np.nan),
        "away": np.full(symbols, np.nan),
        "since": np.zeros(symbols, dtype=np.int64),
        "last_at": np.full(symbols, np.iinfo(np.int64).min),
        "last_bars": np.full((symbols, len(FIELDS)), np.nan),
    }


__all__ = [
    "ARRIVALS", "ARRIVAL_CODES", "CODES", "FAULTS", "JUMP_FACTOR", "PROOF_BARS", "REASONS", "Admission", "bar_faults",
    "moved",
]  # fmt: skip
