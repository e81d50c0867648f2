"""Where a position that was entered with a stop, a target and a time barrier ends; what both look like inside a bar."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from openbell.core.errors import BadInput

#: Why a position ended: the time barrier, the stop, the target, or the bars before any of them.
TIME, STOP, TARGET, DATA_END = 0, 1, 2, 3
REASONS: tuple[str, ...] = ("time", "stop", "target", "data_end")


@dataclass(frozen=True, slots=True, eq=False)
class Exits:
    """One position in each place.

    Attributes
    ----------
    exit_row : (k,) int64, row of the bar in which it ended. exit_price : (k,) price it was left at, USD.
    reason : (k,) int8, `TIME`, `STOP`, `TARGET` or `DATA_END`; the last is no outcome, only where the bars stop.
    favourable, adverse : (k,) furthest the price went for and against it while it was held, as fractions of the entry
        price: >= 0 and <= 0.
    """

    exit_row: NDArray[np.int64]
    exit_price: NDArray[np.float64]
    reason: NDArray[np.int8]
    favourable: NDArray[np.float64]
    adverse: NDArray[np.float64]


def exits(
    entry_row: ArrayLike,
    side: ArrayLike,
    stop_price: ArrayLike,
    target_price: ArrayLike,
    last_row: ArrayLike,
    open: ArrayLike,
    high: ArrayLike,
    low: ArrayLike,
    close: ArrayLike,
    *,
    end_row: ArrayLike | None = None,
) -> Exits:
    """How positions end that are entered at the open of a bar, judged pessimistically inside the bars.

    The stop comes first where one bar touches both levels. A bar that opens beyond the stop is left at its open, worse
    than the stop. A target is a limit: it gets its own price and no better, also where the bar opens beyond it. Where
    the entry itself opens beyond a level, the position ends at that open, as it began. A level is touched where the
    price reaches it. Else the position ends at the close of `last_row`.
    Excursions of the bar of the exit: what lies beyond the exit is not counted; after a stop the good side of that bar
    neither (only its open), after a target its bad side is.

    Parameters
    ----------
    entry_row, last_row : (k,) rows of the bars of the entry and of the time barrier, both included.
    side : (k,) 1 long, -1 short. stop_price, target_price : (k,) USD; NaN for none.
    open, high, low, close : (n,) finite prices above 0 of one symbol, or of several one after another, each in time.
    end_row : (k,) last row of the position's symbol; None for the last of all. `last_row` may lie beyond it: what has
        not ended by then has the reason `DATA_END`.

    Raises
    ------
    BadInput
        On other shapes, prices that are not finite and above 0, a side that is neither, or rows out of order.
    """
    from openbell.quant.signal_exits_kernel import walk

    bars = _prices({"open": open, "high": high, "low": low, "close": close})
    entries, lasts = np.atleast_1d(np.asarray(entry_row, np.int64)), np.atleast_1d(np.asarray(last_row, np.int64))
    count, rows = len(entries), len(bars[0])
    ends = np.full(count, rows - 1) if end_row is None else np.atleast_1d(np.asarray(end_row, np.int64))
    sides = np.atleast_1d(np.asarray(side, np.float64))
    levels = [np.atleast_1d(np.asarray(each, np.float64)) for each in (stop_price, target_price)]
    _check(entries, lasts, ends, sides, levels, rows)
    found = Exits(
        np.empty(count, np.int64), np.empty(count), np.empty(count, np.int8), np.empty(count), np.empty(count)
    )
    opens, highs, lows, closes = bars
    walk(
        entries, sides, levels[0], levels[1], lasts, ends, opens, highs, lows, closes,
        found.exit_row, found.exit_price, found.reason, found.favourable, found.adverse,
    )  # fmt: skip
    return found


def _prices(given: dict[str, ArrayLike]) -> list[NDArray[np.float64]]:
    arrays = {name: np.ascontiguousarray(values, dtype=np.float64) for name, values in given.items()}
    for name, values in arrays.items():
        if values.ndim != 1 or len(values) != len(arrays["open"]):
            raise BadInput(f"`{name}` needs one price for each bar; its shape was {values.shape}.")
        bad = int((~(np.isfinite(values) & (values > 0))).sum())
        if bad:
            raise BadInput(
                f"{bad} of {len(values)} prices in `{name}` are not finite and above 0. Leave such bars out and say "
                "how many."
            )
    return list(arrays.values())


def _check(
    entries: np.ndarray, lasts: np.ndarray, ends: np.ndarray, sides: np.ndarray, levels: list[np.ndarray], rows: int
) -> None:
    shapes = [each.shape for each in (entries, lasts, ends, sides, *levels)]
    if any(shape != (len(entries),) for shape in shapes):
        raise BadInput(f"Every position needs its rows, side and levels; the shapes were {shapes}.")
    if not len(entries):
        return
    if (np.abs(sides) != 1.0).any():
        raise BadInput(f"A side is 1 (long) or -1 (short); one was {sides[np.abs(sides) != 1.0][0]}.")
    wrong = (entries < 0) | (entries > ends) | (lasts < entries) | (ends >= rows)
    if wrong.any():
        at = int(wrong.argmax())
        raise BadInput(
            f"A position is entered within its {rows} bars and before its barrier; position {at} enters at row "
            f"{entries[at]}, its barrier is row {lasts[at]} and its bars end at row {ends[at]}."
        )
