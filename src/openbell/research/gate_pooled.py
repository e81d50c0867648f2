"""Logistic models over the price, one linear predictor for each symbol and strategy: pooled, alone, or all the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from scipy.special import expit

from openbell.core.trade_rows import LEVELS, SYMBOL_GROUPS
from openbell.quant.design_effects import Floats, Integers
from openbell.quant.partial_pooling import Pooled, pooled
from openbell.research.gate_files import read_arrays, write_model
from openbell.research.gate_inputs import (
    ModelSettings,
    Rows,
    Said,
    feature_values,
    opened,
    positions,
    price_log_odds,
    prices,
)
from openbell.research.gate_scaling import Scaling

#: In the place of a symbol or strategy that was never trained on.
ANY = ""
_GROUP_OF = {symbol: group for group, members in SYMBOL_GROUPS.items() for symbol in members}


@dataclass(frozen=True, eq=False)
class LogisticTable:
    """Log-odds of the price plus a linear predictor that depends on the pair of symbol and strategy.

    Attributes
    ----------
    pairs : of symbol and strategy, `ANY` for others. level : the one that speaks for each pair, position in `LEVELS`.
    coefficients : (pairs, 1 + columns of `scaling`). weights : (pairs, 5). effective_n : (pairs,).
    """

    name: str
    features: tuple[str, ...]
    scaling: Scaling
    pairs: tuple[tuple[str, str], ...]
    coefficients: Floats
    level: Integers
    weights: Floats
    effective_n: Floats
    report: Mapping[str, Any]

    @cached_property
    def _places(self) -> dict[tuple[str, str], int]:
        return {pair: at for at, pair in enumerate(self.pairs)}

    @cached_property
    def _levels(self) -> np.ndarray:
        return np.array([LEVELS[at] for at in self.level], dtype=object)

    def _place(self, symbol: str, strategy: str) -> int:
        places = self._places
        for pair in ((symbol, strategy), (symbol, ANY), (ANY, strategy)):
            if pair in places:
                return places[pair]
        return places[ANY, ANY]

    def forecast(self, rows: Rows) -> Said:
        """See `GateModel.forecast`; a symbol or strategy it was not trained on is answered by what it belongs to."""
        rows = opened(rows)
        columns = self.scaling.matrix(feature_values(rows, self.features, f"`{self.name}`"))
        at = positions(rows, self._place)
        own = self.coefficients[at]
        added = own[:, 0] + (columns * own[:, 1:]).sum(axis=1)
        # Who adds nothing says what the price says, to the last bit: no skill is then exactly no skill.
        said = np.where(added == 0.0, prices(rows), expit(price_log_odds(rows) + added))
        return Said(said, self._levels[at], self.weights[at], self.effective_n[at])

    def save(self, folder: Path) -> None:
        """See `GateModel.save`."""
        arrays = {name: getattr(self, name) for name in ("coefficients", "level", "weights", "effective_n")}
        state = {"features": self.features, "pairs": self.pairs, "report": self.report}
        write_model(folder, self.name, state, {**arrays, **self.scaling.arrays()})

    @classmethod
    def load(cls, name: str, state: Mapping[str, Any], folder: Path) -> LogisticTable:
        """What `save` wrote."""
        kept = read_arrays(folder)
        return cls(
            name, tuple(state["features"]), Scaling.from_arrays(kept), tuple((a, b) for a, b in state["pairs"]),
            kept["coefficients"], kept["level"], kept["weights"], kept["effective_n"], state["report"],
        )  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """The pairs of some rows and their nodes at every level that occurs.

    `pairs` in order; `cell` (n,) of each row; `names` of the nodes of each of `LEVELS`; `nodes` (pairs, 5), -1 for
    none.
    """

    pairs: tuple[tuple[str, str], ...]
    cell: Integers
    names: tuple[tuple[str, ...], ...]
    nodes: Integers

    @classmethod
    def of(cls, rows: pl.DataFrame) -> Cells:
        """Of the columns ``symbol`` and ``strategy``."""
        pairs = tuple(rows.select("symbol", "strategy").unique().sort("symbol", "strategy").iter_rows())
        keys = [node_keys(*pair) for pair in pairs]
        found = [list(dict.fromkeys(key for key in level if key is not None)) for level in zip(*keys, strict=True)]
        names = (tuple(found[0]), *(tuple(sorted(level)) for level in found[1:]))
        nodes = [
            [-1 if key is None else level.index(key) for key, level in zip(each, names, strict=True)] for each in keys
        ]
        place = {pair: at for at, pair in enumerate(pairs)}
        cell = positions(rows, lambda symbol, strategy: place[symbol, strategy])
        return cls(pairs, cell, names, np.array(nodes, dtype=np.int64))

    @property
    def present(self) -> list[int]:
        """Positions of the levels that have nodes."""
        return [at for at in range(len(LEVELS)) if self.names[at]]

    def path(self, symbol: str, strategy: str) -> list[int]:
        """Node of a pair at every level, -1 where it was not trained on."""
        keys = node_keys(symbol, strategy)
        return [names.index(key) if key in names else -1 for key, names in zip(keys, self.names, strict=True)]


def node_keys(symbol: str, strategy: str) -> tuple[str, str, str | None, str, str]:
    """Names of a pair's nodes, in the order of `LEVELS`; None where its symbol belongs to no group."""
    return (f"{symbol}|{strategy}", symbol, _GROUP_OF.get(symbol), strategy, "all")


def day_numbers(rows: pl.DataFrame) -> Integers:
    """The session of each row as days since 1970, (n,)."""
    return np.asarray(rows["session"].to_physical().cast(pl.Int64).to_numpy())


def _outcome(rows: pl.DataFrame) -> Floats:
    return np.asarray(rows["win"].cast(pl.Float64).to_numpy())


def fit_hierarchy(rows: pl.DataFrame, features: Sequence[str], settings: ModelSettings) -> LogisticTable:
    """Partial pooling over all levels; `rows` as `checked_training` gives them.

    The level that speaks is the one with the largest weight (see `quant.partial_pooling.Pooled.weights`) among those
    with at least `min_trades` effective trades, which is never more than trades; the default always may.
    """
    values = feature_values(rows, features)
    scaling, cells = Scaling.of(values), Cells.of(rows)
    found = pooled(
        scaling.matrix(values), _outcome(rows), price_log_odds(rows), cells.cell, day_numbers(rows),
        cells.nodes[:, cells.present],
    )  # fmt: skip
    pairs = _all_pairs(cells)
    entries = [_entry(found, cells, pair, settings.min_trades) for pair in pairs]
    return _table("hierarchy", features, scaling, pairs, entries, _report(found, cells))


def _all_pairs(cells: Cells) -> list[tuple[str, str]]:
    """Every pair that can be told from others: of symbols known, or in a group that is, and strategies known."""
    kin = {symbol for group in cells.names[2] for symbol in SYMBOL_GROUPS[group]}
    symbols = [*sorted({*cells.names[1], *kin}), ANY]
    return [(symbol, strategy) for symbol in symbols for strategy in (*cells.names[3], ANY)]


def _entry(found: Pooled, cells: Cells, pair: tuple[str, str], min_trades: int) -> tuple[Floats, int, Floats, float]:
    """Coefficients, level that speaks, weights and effective trades of one pair."""
    path = cells.path(*pair)
    own = [path[at] for at in cells.present]
    weights = np.zeros(len(LEVELS))
    weights[cells.present] = found.weights(own)
    trades = np.full(len(LEVELS), -1.0)
    for at, each, node in zip(cells.present, found.effective_n, own, strict=True):
        trades[at] = each[node] if node >= 0 else -1.0
    may = trades >= min_trades
    may[-1] = True
    speaks = int(np.argmax(np.where(may, weights, -1.0)))
    return found.total(own), speaks, weights, float(trades[speaks])


def _table(
    name: str,
    features: Sequence[str],
    scaling: Scaling,
    pairs: Sequence[tuple[str, str]],
    entries: Sequence[tuple[Floats, int, Floats, float]],
    report: Mapping[str, Any],
) -> LogisticTable:
    coefficients, level, weights, trades = zip(*entries, strict=True)
    return LogisticTable(
        name, tuple(features), scaling, tuple(pairs), np.array(coefficients), np.array(level, dtype=np.int64),
        np.array(weights), np.array(trades), report,
    )  # fmt: skip


def _report(found: Pooled, cells: Cells) -> dict[str, Any]:
    """For each level the prior deviation (RMS over nodes) of intercept and widest slope, rows and effective rows."""
    levels = {}
    for at, position in enumerate(cells.present):
        spread = np.sqrt((1.0 / found.precisions[at]).mean(axis=0))
        levels[LEVELS[position]] = {
            "intercept_deviation": float(spread[0]),
            "widest_slope_deviation": float(spread[1:].max()) if len(spread) > 1 else 0.0,
            "trades": dict(zip(cells.names[position], found.rows[at].tolist(), strict=True)),
            "effective_n": dict(zip(cells.names[position], found.effective_n[at].tolist(), strict=True)),
        }
    return {"converged": found.converged, "passes": found.passes, "levels": levels}


def _alone(rows: pl.DataFrame, x: Floats) -> Pooled:
    """The regression of some rows without any level but their own."""
    one = np.zeros(len(x), dtype=np.int64)
    return pooled(x, _outcome(rows), price_log_odds(rows), one, day_numbers(rows), np.zeros((1, 1), dtype=np.int64))


def _solo(found: Pooled, level: str) -> tuple[Floats, int, Floats, float]:
    at = LEVELS.index(level)
    return found.coefficients[0][0], at, np.eye(len(LEVELS))[at], float(found.effective_n[0][0])


def fit_simple(rows: pl.DataFrame, features: Sequence[str], settings: ModelSettings) -> LogisticTable:
    """One regression for all pairs: the default level alone."""
    values = feature_values(rows, features)
    scaling = Scaling.of(values)
    found = _alone(rows, scaling.matrix(values))
    report = {"converged": found.converged, "passes": found.passes}
    return _table("simple", features, scaling, [(ANY, ANY)], [_solo(found, "default")], report)


def fit_no_pooling(rows: pl.DataFrame, features: Sequence[str], settings: ModelSettings) -> LogisticTable:
    """Every pair its own ridge regression, its penalty estimated from its own rows.

    A pair under `min_trades` effective trades, or one that was never seen, gets the regression of all rows.
    """
    values = feature_values(rows, features)
    scaling, cells = Scaling.of(values), Cells.of(rows)
    x = scaling.matrix(values)
    whole = _alone(rows, x)
    pairs, entries, converged = [(ANY, ANY)], [_solo(whole, "default")], [whole.converged]
    for at, pair in enumerate(cells.pairs):
        own = np.flatnonzero(cells.cell == at)
        if len(own) < settings.min_trades:  # effective trades are never more
            continue
        found = _alone(rows[own], x[own])
        if found.effective_n[0][0] >= settings.min_trades:
            pairs.append(pair)
            entries.append(_solo(found, "symbol_strategy"))
            converged.append(found.converged)
    report = {"converged": all(converged), "pairs": ["|".join(pair) for pair in pairs[1:]]}
    return _table("no_pooling", features, scaling, pairs, entries, report)
