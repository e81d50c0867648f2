"""Where positions with a stop and a target end, compiled. Imported only where it is asked: numba is slow to import."""
# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import numba
import numpy as np

#: Why a position ended: the time barrier, the stop, the target, or no more bars.
TIME, STOP, TARGET, DATA_END = 0, 1, 2, 3


@numba.njit(cache=True, nogil=True)
def walk(
    entry_row: np.ndarray,
    side: np.ndarray,
    stop_price: np.ndarray,
    target_price: np.ndarray,
    last_row: np.ndarray,
    end_row: np.ndarray,
    opens: np.ndarray,
    highs: np.ndarray,
    lows: np.ndarray,
    closes: np.ndarray,
    exit_row: np.ndarray,
    exit_price: np.ndarray,
    reason: np.ndarray,
    favourable: np.ndarray,
    adverse: np.ndarray,
) -> None:
    """Fill the last five arrays; see `quant.signal_exits.exits`. A comparison with a NaN level is False: no level."""
    for each in range(len(entry_row)):
        first, way = entry_row[each], side[each]
        stop, target = way * stop_price[each], way * target_price[each]
        last = min(last_row[each], end_row[each])
        paid = opens[first]
        best, worst = paid * way, paid * way  # prices times the side: more is better for either side
        row, price, why = last, closes[last], TIME if last_row[each] <= end_row[each] else DATA_END
        for at in range(first, last + 1):
            begin = way * opens[at]
            good, bad = (highs[at], lows[at]) if way > 0 else (-lows[at], -highs[at])
            if begin <= stop or bad <= stop:
                row, price, why = at, way * min(begin, stop), STOP
                best, worst = max(best, begin), min(worst, way * price)
                break
            if good >= target:
                # A limit gets its own price and no better; only who enters beyond it gets out where it came in.
                row, price, why = at, way * (begin if at == first and begin >= target else target), TARGET
                best, worst = max(best, way * price), min(worst, bad)
                break
            best, worst = max(best, good), min(worst, bad)
        exit_row[each], exit_price[each], reason[each] = row, price, why
        favourable[each] = (best - paid * way) / paid
        adverse[each] = (worst - paid * way) / paid
