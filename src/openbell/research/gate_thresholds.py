"""What a probability must reach before a trade is taken: by symbol and strategy, tuned or imported."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np
import polars as pl

from openbell.core.errors import BadInput, unknown
from openbell.core.hashing import canonical_json
from openbell.core.trade_rows import LEVELS, SHEET_STRATEGIES, SHEET_SYMBOLS, SYMBOL_GROUPS
from openbell.quant.design_effects import Floats
from openbell.research.gate_inputs import Rows, positions
from openbell.research.gate_pooled import Cells, day_numbers, node_keys

#: Where nothing was tuned or imported (S1.09); its level is called `PRESET`.
DEFAULT_THRESHOLD, PRESET = 0.5, "preset"
STEP = 0.05
#: Days that a node needs for a threshold of its own: a hundred trades of one day are one close.
MIN_DAYS = 10


@dataclass(frozen=True, eq=False)
class Thresholds:
    """Thresholds of the nodes of every level; a pair takes that of the narrowest node which has one.

    `nodes` : by level of `LEVELS`, the node's name (``SPX|Butterfly``, ``SPX``, ``SPX_SPY``, ``Butterfly``, ``all``) to
    its threshold. In an imported file a group's thresholds stand under ``SPX_SPY|Butterfly`` of the level ``group``.
    """

    nodes: Mapping[str, Mapping[str, float]]

    @cached_property
    def _known(self) -> dict[tuple[str, str], tuple[float, str]]:
        return {}

    def of(self, symbol: str, strategy: str) -> tuple[float, str]:
        """The threshold of a pair and the level it comes from."""
        pair = (symbol, strategy)
        if pair not in self._known:
            self._known[pair] = self._found(symbol, strategy)
        return self._known[pair]

    def _found(self, symbol: str, strategy: str) -> tuple[float, str]:
        for level, key in zip(LEVELS, node_keys(symbol, strategy), strict=True):
            there = self.nodes.get(level, {})
            for name in (key, f"{key}|{strategy}"):
                if name in there:
                    return there[name], level
        return DEFAULT_THRESHOLD, PRESET

    def on(self, rows: Rows) -> Floats:
        """The threshold of every row, (n,)."""
        found: list[float] = []

        def place(symbol: str, strategy: str) -> int:
            found.append(self.of(symbol, strategy)[0])
            return len(found) - 1

        at = positions(rows, place)
        return np.asarray(found, dtype=np.float64)[at]

    def to_json(self) -> str:
        """Canonical JSON, from which `from_json` makes equal thresholds."""
        return canonical_json({"levels": self.nodes})

    @classmethod
    def from_json(cls, text: str) -> Thresholds:
        """The thresholds of a file ``{symbol or group: {strategy: threshold}}``, or those that `to_json` wrote.

        Raises
        ------
        BadInput
            On an unknown or repeated symbol, group or strategy, one whose strategies are not all there, or a threshold
            that does not lie between 0 and 1.
        """
        try:
            kept = json.loads(text, object_pairs_hook=_once)
        except json.JSONDecodeError as failure:
            raise BadInput(f"The thresholds are no JSON: {failure}.") from None
        if not isinstance(kept, dict) or not kept or not all(isinstance(each, dict) for each in kept.values()):
            raise BadInput("Thresholds are an object of objects: {symbol or group: {strategy: threshold}}.")
        return cls(_stored(kept["levels"]) if set(kept) == {"levels"} else _imported(kept))


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise BadInput(f"The thresholds name `{twice[0]}` twice; which one holds is not for us to guess.")
    return dict(pairs)


def _imported(kept: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Mapping[str, float]]:
    nodes: dict[str, dict[str, float]] = {"symbol_strategy": {}, "group": {}}
    for name, own in kept.items():
        if name not in (*SHEET_SYMBOLS, *SYMBOL_GROUPS):
            raise unknown("symbol or group of thresholds", name, [*SHEET_SYMBOLS, *SYMBOL_GROUPS])
        for strategy in own:
            if strategy not in SHEET_STRATEGIES:
                raise unknown(f"strategy of the thresholds of {name}", strategy, SHEET_STRATEGIES)
        missing = [strategy for strategy in SHEET_STRATEGIES if strategy not in own]
        if missing:
            raise BadInput(f"The thresholds of `{name}` lack {', '.join(f'`{each}`' for each in missing)}.")
        level = "symbol_strategy" if name in SHEET_SYMBOLS else "group"
        for strategy, value in own.items():
            nodes[level][f"{name}|{strategy}"] = _between(value, f"`{name}`, `{strategy}`")
    return nodes


def _stored(kept: Mapping[str, Any]) -> Mapping[str, Mapping[str, float]]:
    for level, own in kept.items():
        if level not in LEVELS:
            raise unknown("level of thresholds", level, LEVELS)
        if not isinstance(own, dict):
            raise BadInput(f"The thresholds of the level `{level}` are no object of nodes.")
    return {level: {name: _between(each, f"`{name}`") for name, each in own.items()} for level, own in kept.items()}


def _between(value: Any, where: str) -> float:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not 0.0 < value < 1.0:
        raise BadInput(f"The threshold of {where} must lie between 0 and 1; was {value!r}.")
    return float(value)


def _f1(taken: Floats, won: Floats, lost: Floats, all_won: float, usd: Floats) -> Floats:
    return 2.0 * won / np.maximum(taken + all_won, 1.0)


def _expected_value(taken: Floats, won: Floats, lost: Floats, all_won: float, usd: Floats) -> Floats:
    return usd


def _recall_80(taken: Floats, won: Floats, lost: Floats, all_won: float, usd: Floats) -> Floats:
    """Precision where four of five wins are taken; below that the recall itself, less what any precision is."""
    recall = won / max(all_won, 1.0)
    return np.where(recall >= 0.8, won / np.maximum(taken, 1.0), recall - 1.0)


#: What a threshold makes largest: the harmonic mean of precision and recall, the dollars of the trades that are taken,
#: or the precision among thresholds that let four of five wins through.
OBJECTIVES: Mapping[str, Callable[[Floats, Floats, Floats, float, Floats], Floats]] = MappingProxyType(
    {"f1": _f1, "expected_value": _expected_value, "recall_80": _recall_80}
)


def grid(low: float, high: float) -> Floats:
    """Thresholds from `low` to `high` by `STEP`, both ends among them."""
    if not 0.0 < low <= high < 1.0:
        raise BadInput(f"Thresholds need 0 < low <= high < 1; they were {low:g} and {high:g}.")
    steps = low + STEP * np.arange(math.floor((high - low) / STEP + 1e-9) + 1)
    found = np.round(np.append(steps, high), 10)
    return np.unique(found)


def tuned(
    rows: pl.DataFrame,
    probability: Floats,
    *,
    by: str = "expected_value",
    low: float = 0.35,
    high: float = 0.75,
    min_trades: int = 100,
) -> Thresholds:
    """Thresholds that make `by` largest on `rows`, which must be validation days; of equals the highest.

    Parameters
    ----------
    rows : ``session``, ``symbol``, ``strategy``, ``win``, and ``profit_usd`` where `by` is ``expected_value``.
    probability : (n,) calibrated, of a model that was not fitted on `rows`.
    by : one of `OBJECTIVES`. low, high : ends of `grid`.
    min_trades : a node with fewer rows, or fewer than `MIN_DAYS` days, takes its parent's; without any, 0.5.
    """
    if by not in OBJECTIVES:
        raise unknown("objective of a threshold", by, OBJECTIVES)
    values = grid(low, high)
    usd = np.zeros(rows.height)
    if by == "expected_value":
        if "profit_usd" not in rows.columns or rows["profit_usd"].null_count():
            raise BadInput("Thresholds by expected value need the `profit_usd` of every row.")
        usd = rows["profit_usd"].cast(pl.Float64).to_numpy()
    cells, day, win = Cells.of(rows), day_numbers(rows), rows["win"].to_numpy().astype(np.float64)
    # The grid's position that a row still passes: what a threshold takes is a sum from there on.
    passes = np.searchsorted(values, np.asarray(probability), side="right")
    nodes: dict[str, dict[str, float]] = {level: {} for level in LEVELS}
    for level, column, names in zip(LEVELS, cells.nodes.T, cells.names, strict=True):
        node = column[cells.cell]
        for at, name in enumerate(names):
            own = node == at
            if own.sum() >= min_trades and len(np.unique(day[own])) >= MIN_DAYS:
                nodes[level][name] = _best(by, values, passes[own], win[own], usd[own])
    return Thresholds(nodes)


def _best(by: str, values: Floats, passes: np.ndarray, win: Floats, usd: Floats) -> float:
    def taken(of: Floats) -> Floats:
        sums = np.bincount(passes, weights=of, minlength=len(values) + 1)
        return np.asarray(sums[::-1].cumsum()[::-1][1:])

    worth = OBJECTIVES[by](taken(np.ones(len(win))), taken(win), taken(1.0 - win), float(win.sum()), taken(usd))
    best = np.flatnonzero(worth >= worth.max() - 1e-9 * max(1.0, abs(float(worth.max()))))
    return float(values[best[-1]])
