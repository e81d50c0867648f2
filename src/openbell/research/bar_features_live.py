"""The features of bars as they come: each is judged, a good one moves its symbol's state on, a bad one is reported."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path

import numpy as np
import polars as pl

from openbell.core.bars import FRAMES
from openbell.core.errors import BadInput
from openbell.core.time import MOMENT
from openbell.quant.bar_frames import bar_matrix, on_grid, received
from openbell.quant.bar_rules import ARRIVAL_CODES, ARRIVALS, FAULTS, REASONS, Admission, bar_faults
from openbell.research.bar_features import BarFeatures

_SENTENCES: Mapping[str, str] = {**FAULTS, **ARRIVALS}
_REFUSED = {"symbol": pl.String, "at": pl.String, "reason": pl.String, "sentence": pl.String}


@dataclass(frozen=True, slots=True)
class BarReport:
    """How many bars did not go on for one reason.

    Attributes
    ----------
    reason : such as ``late``, ``twice``, ``out_of_order``, ``ohlc_order``. bars : how many so far.
    sentence : what the reason means. example : the last such bar.
    """

    reason: str
    bars: int
    sentence: str
    example: str


class LiveFeatures:
    """State of every symbol; `BarFeatures.live` or `BarFeatures.restore` makes one.

    Attributes
    ----------
    engine : what it computes. max_symbols : how many symbols it takes at most.
    refused : bars of the last call that did not go on: ``symbol``, ``at`` (as text), ``reason``, ``sentence``.
    """

    def __init__(self, engine: BarFeatures, max_symbols: int) -> None:
        if max_symbols < 1:
            raise BadInput(f"`max_symbols` must be 1 or more; was {max_symbols}.")
        self.engine, self.max_symbols = engine, max_symbols
        self.refused = pl.DataFrame(schema=_REFUSED)
        self.state, self.admission = engine.state(0), Admission()
        self.places: dict[str, int] = {}
        #: By reason, how many bars did not go on, and the last of them.
        self.counts: dict[str, tuple[int, str]] = {}
        self.asked = self.computed = 0

    @property
    def symbols(self) -> tuple[str, ...]:
        """Symbols that have had a bar, in the order they came."""
        return tuple(self.places)

    @property
    def reports(self) -> tuple[BarReport, ...]:
        """What did not go on since the beginning, by reason, in the order of the rules."""
        held = self.counts
        return tuple(
            BarReport(name, held[name][0], _SENTENCES[name], held[name][1]) for name in REASONS if name in held
        )

    @property
    def cached_share(self) -> float:
        """Share of feature values that were carried because their longer frame had no new bar; 0 before any bar."""
        return 1.0 - self.computed / self.asked if self.asked else 0.0

    @property
    def nbytes(self) -> int:
        """Memory of the state of all symbols, bytes."""
        return self.state.nbytes

    def last_at(self, symbol: str) -> dt.datetime | None:
        """End of the last bar of `symbol` that went on; None before its first."""
        if symbol not in self.places:
            return None
        us = int(self.admission.last_at_us[self.places[symbol]])
        # A symbol whose first bar was a repeat or a jump has a place, and no bar.
        return None if us < 0 else dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=us)

    def advance(self, bars: pl.DataFrame, *, ends: bool = False) -> pl.DataFrame:
        """Take bars in, and give the features at each of the good ones, in the order they came.

        Parameters
        ----------
        bars : as in `BarFeatures.history`: those of one moment, or a whole history to begin with.
        ends : give ``as_of_<frame>`` too.

        Returns
        -------
        The columns of `BarFeatures.history`. A bar that is late, comes twice, is out of order, faulty, off the grid,
        outside the session or without a time zone gives no row, leaves the state as it was, and stands in `refused` and
        `reports`.
        """
        bars = self.engine.with_ends(bars)
        codes, at, places = self._of_time(bars)
        matrix = bar_matrix(bars, self.engine.fields)
        prices = received(matrix)
        codes = np.where(codes == 0, bar_faults(prices, self.engine.required), codes)
        which = self._which(bars["symbol"], codes)
        codes = self.admission.judge(which, at, prices, codes)
        self._tell(bars, codes)
        good = np.flatnonzero(codes == 0)
        order = good[np.lexsort((at[good], which[good]))]
        times, of, values = self.engine.times, places[order], matrix[order]
        steps = self.state.advance(which[order], at[order], times.opens[of], times.closes[of], values)
        self.asked += len(order) * len(self.engine.frames)
        self.computed += sum(step.computed for step in steps.values())
        rows = self.engine.framed(bars["symbol"][order], of, at[order], values, steps, ends=ends)
        came = np.argsort(order, kind="stable")
        return rows if (came == np.arange(len(came))).all() else rows[came]

    def snapshot(self, folder: Path) -> str:
        """Write the state to `folder`, at once or not at all; the hash of its arrays."""
        from openbell.research.bar_feature_snapshots import write_snapshot

        return write_snapshot(self, folder)

    def _of_time(self, bars: pl.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What is wrong with the time of each bar (uint8), its end in microseconds, and its session's position."""
        codes = np.zeros(bars.height, dtype=np.uint8)
        column = bars["at"]
        if column.dtype != MOMENT:
            codes[:] = ARRIVAL_CODES["naive_time"]
            zeros = np.zeros(bars.height, dtype=np.int64)
            return codes, zeros, zeros
        at = column.to_physical().fill_null(0).to_numpy()
        places, inside = self.engine.times.places(at)
        opens, closes = self.engine.times.opens[places], self.engine.times.closes[places]
        codes[~on_grid(at, opens, closes, FRAMES[self.engine.base])] = ARRIVAL_CODES["off_grid"]
        codes[~inside] = ARRIVAL_CODES["outside_session"]
        codes[column.is_null().to_numpy()] = ARRIVAL_CODES["naive_time"]
        return codes, at, places

    def _which(self, symbols: pl.Series, codes: np.ndarray) -> np.ndarray:
        """The place of each bar's symbol; a new symbol of a good bar gets one, and `codes` say where there is none."""
        which = np.fromiter(map(self.places.get, symbols, repeat(-1)), dtype=np.int64, count=len(symbols))
        for row in np.flatnonzero((which < 0) & (codes == 0)):
            symbol = symbols[int(row)]
            if symbol is None:
                codes[row] = ARRIVAL_CODES["no_symbol"]
            elif symbol not in self.places and len(self.places) >= self.max_symbols:
                codes[row] = ARRIVAL_CODES["too_many_symbols"]
            else:
                which[row] = self.places.setdefault(symbol, len(self.places))
        self._grow()
        return np.maximum(which, 0)

    def _grow(self) -> None:
        """Make room for all symbols, doubling, so that one at a time does not copy the state each time."""
        if len(self.places) > self.state.symbols:
            room = min(self.max_symbols, max(len(self.places), 2 * self.state.symbols))
            self.state.grow(room)
            self.admission.grow(room)

    def _tell(self, bars: pl.DataFrame, codes: np.ndarray) -> None:
        bad = np.flatnonzero(codes)
        if not len(bad):
            self.refused = self.refused.clear()
            return
        reasons = [REASONS[code] for code in codes[bad]]
        beside = bars["at"].cast(pl.String)
        self.refused = pl.DataFrame(
            {
                "symbol": bars["symbol"][bad].cast(pl.String),
                "at": beside[bad],
                "reason": reasons,
                "sentence": [_SENTENCES[name] for name in reasons],
            },
            schema=_REFUSED,
        )
        for row, name in zip(bad, reasons, strict=True):
            count, _ = self.counts.get(name, (0, ""))
            self.counts[name] = (count + 1, f"{bars['symbol'][int(row)]} at {beside[int(row)]}")


__all__ = ["BarReport", "LiveFeatures"]
