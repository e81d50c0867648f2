"""What every model of the gate has to beat: the odds that the price implies, and how often the strategy has won."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from openbell.core.trade_rows import LEVELS
from openbell.quant.design_effects import Floats
from openbell.research.gate_files import write_model
from openbell.research.gate_inputs import ModelSettings, Rows, Said, effective_rows, positions, prices
from openbell.research.gate_pooled import day_numbers

_DEFAULT, _STRATEGY = LEVELS.index("default"), LEVELS.index("strategy")


@dataclass(frozen=True, slots=True, eq=False)
class Price:
    """The probability that the price implies, as it is; no trade stands behind it."""

    name: str = "price"
    features: tuple[str, ...] = ()
    report: Mapping[str, Any] = field(default_factory=dict)

    def forecast(self, rows: Rows) -> Said:
        """See `GateModel.forecast`."""
        found = prices(rows)
        at = np.full(len(found), _DEFAULT)
        return Said(found, np.array(LEVELS, dtype=object)[at], np.eye(len(LEVELS))[at], np.zeros(len(found)))

    def save(self, folder: Path) -> None:
        """See `GateModel.save`."""
        write_model(folder, self.name, {}, {})

    @classmethod
    def load(cls, name: str, state: Mapping[str, Any], folder: Path) -> Price:
        """What `save` wrote."""
        return cls(name)


@dataclass(frozen=True, eq=False)
class BaseRate:
    """Share of wins of each strategy in the training rows, by the rule of succession; of all rows for another one.

    `strategies` in order, the last entry of `rates` and `effective_n` is of all rows.
    """

    strategies: tuple[str, ...]
    rates: Floats
    effective_n: Floats
    name: str = "base_rate"
    features: tuple[str, ...] = ()
    report: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def _places(self) -> dict[str, int]:
        return {name: at for at, name in enumerate(self.strategies)}

    def forecast(self, rows: Rows) -> Said:
        """See `GateModel.forecast`."""
        last = len(self.strategies)
        at = positions(rows, lambda _, strategy: self._places.get(strategy, last))
        level = np.where(at == last, _DEFAULT, _STRATEGY)
        names = np.array(LEVELS, dtype=object)[level]
        return Said(self.rates[at], names, np.eye(len(LEVELS))[level], self.effective_n[at])

    def save(self, folder: Path) -> None:
        """See `GateModel.save`."""
        state = {"strategies": self.strategies, "rates": self.rates.tolist(), "effective_n": self.effective_n.tolist()}
        write_model(folder, self.name, state, {})

    @classmethod
    def load(cls, name: str, state: Mapping[str, Any], folder: Path) -> BaseRate:
        """What `save` wrote."""
        return cls(tuple(state["strategies"]), np.array(state["rates"]), np.array(state["effective_n"]), name)


def fit_price(rows: pl.DataFrame, features: Sequence[str], settings: ModelSettings) -> Price:
    """Nothing is fitted."""
    return Price()


def fit_base_rate(rows: pl.DataFrame, features: Sequence[str], settings: ModelSettings) -> BaseRate:
    """``(wins + 1) / (trades + 2)`` of each strategy, never 0 or 1."""
    strategies = tuple(rows["strategy"].unique().sort())
    places = {name: at for at, name in enumerate(strategies)}
    win, day = rows["win"].to_numpy().astype(np.float64), day_numbers(rows)
    of = positions(rows, lambda _, strategy: places[strategy])
    everything = np.zeros(len(win), dtype=np.int64)
    rates, trades = [], []
    for group, groups in ((of, len(strategies)), (everything, 1)):
        rate = (np.bincount(group, weights=win) + 1.0) / (np.bincount(group) + 2.0)
        rates.append(rate)
        trades.append(effective_rows(win, rate[group], day, group, groups))
    return BaseRate(strategies, np.concatenate(rates), np.concatenate(trades))
