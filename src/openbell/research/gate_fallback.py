"""The hard fallback that the hierarchy is compared with: a boosted model for each node, the narrowest speaks alone.

Its preset is the public one (S1.06, S1.07). Unlike there, rows come in order of time, features go by name, a missing
value stays missing, and the price's log-odds are among the columns: it starts with what every other model is given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from openbell.core.errors import BadInput, IntegrityBroken
from openbell.core.trade_rows import LEVELS
from openbell.quant.design_effects import Floats, Integers
from openbell.research.gate_files import write_model
from openbell.research.gate_inputs import (
    ModelSettings,
    Rows,
    Said,
    effective_rows,
    feature_values,
    opened,
    positions,
    price_log_odds,
)
from openbell.research.gate_pooled import Cells, day_numbers, node_keys

#: S1.06.
PRESET: Mapping[str, Any] = {"n_estimators": 200, "max_depth": 4, "learning_rate": 0.1}
#: Rows that a node needs for a model of its own (S1.06).
MIN_SAMPLES = 100
#: The column that stands behind the features.
PRICE = "logit_price"


@dataclass(frozen=True, eq=False)
class Fallback:
    """Boosted trees by node; `nodes` names the level and the node of each, `boosters` its XGBoost ``Booster``."""

    features: tuple[str, ...]
    nodes: tuple[tuple[str, str], ...]
    boosters: tuple[Any, ...]
    effective_n: Floats
    report: Mapping[str, Any]
    name: str = "fallback"

    @cached_property
    def _places(self) -> dict[tuple[str, str], int]:
        return {node: at for at, node in enumerate(self.nodes)}

    def _place(self, symbol: str, strategy: str) -> int:
        for level, key in zip(LEVELS, node_keys(symbol, strategy), strict=True):
            if key is not None and (level, key) in self._places:
                return self._places[level, key]
        raise BadInput(f"No level has a model for {symbol} {strategy}, not even the default. Train with more trades.")

    def forecast(self, rows: Rows) -> Said:
        """See `GateModel.forecast`; the narrowest node with a model of its own speaks alone."""
        rows = opened(rows)
        x = _matrix(rows, self.features)
        at = positions(rows, self._place)
        probability = np.empty(len(x))
        for node in np.unique(at):
            own = at == node
            probability[own] = self.boosters[node].inplace_predict(x[own])
        level = np.array([LEVELS.index(level) for level, _ in self.nodes])[at]
        names = np.array(LEVELS, dtype=object)[level]
        return Said(probability, names, np.eye(len(LEVELS))[level], self.effective_n[at])

    def save(self, folder: Path) -> None:
        """See `GateModel.save`; each booster as XGBoost's own JSON."""
        folder.mkdir(parents=True, exist_ok=True)
        for at, booster in enumerate(self.boosters):
            booster.save_model(folder / _file(at))
        state = {
            "features": self.features, "nodes": self.nodes, "effective_n": self.effective_n.tolist(),
            "report": self.report,
        }  # fmt: skip
        write_model(folder, self.name, state, {})

    @classmethod
    def load(cls, name: str, state: Mapping[str, Any], folder: Path) -> Fallback:
        """What `save` wrote; the columns of every booster are compared with the features."""
        features = tuple(state["features"])
        nodes = tuple((level, key) for level, key in state["nodes"])
        boosters = tuple(_read(folder / _file(at), _columns(features)) for at in range(len(nodes)))
        return cls(features, nodes, boosters, np.array(state["effective_n"]), state["report"], name)


def _file(at: int) -> str:
    return f"node-{at:03d}.json"


def _columns(features: Sequence[str]) -> list[str]:
    return [*features, *([] if PRICE in features else [PRICE])]


def _matrix(rows: Rows, features: Sequence[str]) -> np.ndarray:
    values = feature_values(rows, features, "`fallback`")
    return values if PRICE in features else np.column_stack([values, price_log_odds(rows)])


def _read(path: Path, columns: Sequence[str]) -> Any:
    from xgboost import Booster
    from xgboost.core import XGBoostError

    try:
        booster = Booster(params={"nthread": 1}, model_file=path)
    except XGBoostError as failure:
        raise IntegrityBroken(f"{path} is no model of XGBoost: {failure}.") from failure
    if booster.feature_names != list(columns):
        raise IntegrityBroken(f"{path} was fitted on other columns than its model says. Train again.")
    return booster


def fit_fallback(rows: pl.DataFrame, features: Sequence[str], settings: ModelSettings) -> Fallback:
    """A model for every node of every level with `MIN_SAMPLES` rows of both outcomes; refused where none has them."""
    x, win = _matrix(rows, features), rows["win"].to_numpy().astype(np.float64)
    cells, day = Cells.of(rows), day_numbers(rows)
    nodes, boosters, trades, without = [], [], [], []
    for level, column, names in zip(LEVELS, cells.nodes.T, cells.names, strict=True):
        node = column[cells.cell]
        effective = _effective(win, day, node, len(names))
        for at, key in enumerate(names):
            own = node == at
            if own.sum() < MIN_SAMPLES or win[own].min() == win[own].max():
                without.append(f"{level} {key}")
                continue
            nodes.append((level, key))
            boosters.append(_boosted(x[own], win[own], _columns(features), settings.seed))
            trades.append(float(effective[at]))
    if not nodes:
        raise BadInput(
            f"No level has {MIN_SAMPLES} trades of both outcomes; there are {len(win)} trades, {int(win.sum())} won. "
            "Import more trades."
        )
    report = {"nodes": len(nodes), "without": without}
    return Fallback(tuple(features), tuple(nodes), tuple(boosters), np.array(trades), report)


def _effective(win: Floats, day: Integers, node: Integers, nodes: int) -> Floats:
    there = node >= 0
    held = np.maximum(np.bincount(node[there], minlength=nodes), 1)
    rate = np.bincount(node[there], weights=win[there], minlength=nodes) / held
    return effective_rows(win, rate[node] if nodes else np.zeros(len(win)), day, node, nodes)


def _boosted(x: np.ndarray, win: Floats, columns: Sequence[str], seed: int) -> Any:
    from xgboost import XGBClassifier

    model = XGBClassifier(**PRESET, random_state=seed, n_jobs=1, verbosity=0)
    model.fit(x, win)
    booster = model.get_booster()
    booster.feature_names = list(columns)
    booster.set_param({"nthread": 1})
    return booster
