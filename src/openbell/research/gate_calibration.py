"""Odds of the gate's models calibrated by pair: a sigmoid each, drawn to its parents' and, unproven, to none."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
from scipy.special import expit

from openbell.core.errors import IntegrityBroken
from openbell.core.hashing import canonical_json
from openbell.quant.calibration import Sigmoid, from_json, log_odds
from openbell.quant.day_blocks import DayBlocks, calibration_error
from openbell.quant.design_effects import Floats
from openbell.quant.partial_pooling import pooled
from openbell.research.gate_inputs import Rows, positions
from openbell.research.gate_pooled import ANY, Cells, day_numbers

#: A pair with fewer validation days has no sigmoid of its own; it gets its parents'.
MIN_DAYS = 10


@dataclass(frozen=True, eq=False)
class Calibration:
    """A `quant.calibration.Sigmoid` for every pair of symbol and strategy; `ANY` stands for those never seen."""

    pairs: tuple[tuple[str, str], ...]
    sigmoids: tuple[Sigmoid, ...]

    @cached_property
    def _places(self) -> dict[tuple[str, str], int]:
        return {pair: at for at, pair in enumerate(self.pairs)}

    @cached_property
    def _idle(self) -> bool:
        return bool((self._lines == (1.0, 0.0)).all())

    @cached_property
    def _lines(self) -> Floats:
        return np.array([(each.slope[1], each.intercept[1]) for each in self.sigmoids])

    def _place(self, symbol: str, strategy: str) -> int:
        for pair in ((symbol, strategy), (symbol, ANY), (ANY, strategy)):
            if pair in self._places:
                return self._places[pair]
        return self._places[ANY, ANY]

    def apply(self, rows: Rows, probability: Floats) -> Floats:
        """The calibrated probability of a win of each row, (n,)."""
        if self._idle:
            return probability
        slope, intercept = self._lines[positions(rows, self._place)].T
        as_it_is = (slope == 1.0) & (intercept == 0.0)
        return np.asarray(np.where(as_it_is, probability, expit(slope * log_odds(probability) + intercept)))

    def to_json(self) -> str:
        """Canonical JSON, from which `from_json` makes an equal one."""
        return canonical_json(
            [
                {"pair": pair, "sigmoid": json.loads(each.to_json())}
                for pair, each in zip(self.pairs, self.sigmoids, strict=True)
            ]
        )

    @classmethod
    def from_json(cls, text: str) -> Calibration:
        """What `to_json` wrote."""
        try:
            kept = json.loads(text)
            pairs = tuple((str(each["pair"][0]), str(each["pair"][1])) for each in kept)
            found = [from_json(json.dumps(each["sigmoid"])) for each in kept]
        except (ValueError, KeyError, TypeError, IndexError) as failure:
            raise IntegrityBroken(
                f"This is not a stored calibration: {type(failure).__name__}: {failure}."
            ) from failure
        return cls(pairs, tuple(each for each in found if isinstance(each, Sigmoid)))


IDENTITY = Calibration(((ANY, ANY),), (Sigmoid(2, np.ones(2), np.zeros(2)),))


def calibration(rows: pl.DataFrame, probability: Floats) -> Calibration:
    """Sigmoids of `rows` that the model behind `probability` (n,) was not fitted on.

    Notes
    -----
    The log-odds of a win are ``q + a + b q`` with ``q`` those of `probability`; ``a`` and ``b`` are pooled over all
    levels by `quant.partial_pooling`, the evidence divided by the design effect of shared days, so that few rows leave
    the odds as they are. A pair with fewer than `MIN_DAYS` days takes its parents' line.

    References
    ----------
    Platt (1999), Advances in Large Margin Classifiers, 61-74.
    """
    given = log_odds(probability)
    scale = float(given.std())
    if not scale > 1e-9 or rows["win"].n_unique() < 2:
        return IDENTITY
    cells, day = Cells.of(rows), day_numbers(rows)
    found = pooled(
        (given / scale)[:, None], rows["win"].to_numpy().astype(np.float64), given, cells.cell, day,
        cells.nodes[:, cells.present],
    )  # fmt: skip
    days = [len(np.unique(day[cells.cell == at])) for at in range(len(cells.pairs))]
    pairs, sigmoids = [], []
    for symbol in (*cells.names[1], ANY):
        for strategy in (*cells.names[3], ANY):
            path = cells.path(symbol, strategy)
            if path[0] >= 0 and days[path[0]] < MIN_DAYS:
                path[0] = -1
            a, b = found.total([path[at] for at in cells.present])
            slope, intercept = 1.0 + b / scale, float(a)
            pairs.append((symbol, strategy))
            sigmoids.append(Sigmoid(2, np.full(2, slope), np.array([-intercept, intercept])))
    return Calibration(tuple(pairs), tuple(sigmoids))


def group_errors(rows: pl.DataFrame, probability: Floats, *, seed: int = 0) -> pl.DataFrame:
    """Expected calibration error of each pair of symbol and strategy, and of all rows, with its day-block interval.

    Parameters
    ----------
    rows : ``session``, ``symbol``, ``strategy``, ``win``. probability : (n,), out of sample.

    Returns
    -------
    polars.DataFrame
        ``symbol``, ``strategy`` (null for all rows), ``n``, ``days``, ``base_rate``, ``mean``, ``ece``, ``ece_low``,
        ``ece_high``; the bounds are null where there are too few days.
    """
    win, day = rows["win"].to_numpy().astype(np.float64), day_numbers(rows)
    blocks, cells = DayBlocks.of(day, seed=seed), Cells.of(rows)
    whole = np.ones(len(win), dtype=bool)
    groups = [(None, None, whole), *((*pair, cells.cell == at) for at, pair in enumerate(cells.pairs))]
    return pl.DataFrame(
        [_error(blocks, symbol, strategy, own, probability, win) for symbol, strategy, own in groups],
        schema={
            "symbol": pl.String, "strategy": pl.String, "n": pl.Int64, "days": pl.Int64, "base_rate": pl.Float64,
            "mean": pl.Float64, "ece": pl.Float64, "ece_low": pl.Float64, "ece_high": pl.Float64,
        },
    )  # fmt: skip


def _error(
    blocks: DayBlocks, symbol: str | None, strategy: str | None, own: np.ndarray, probability: Floats, win: Floats
) -> Mapping[str, Any]:
    part = blocks.part(own)
    found = calibration_error(part, probability[own], win[own])
    return {
        "symbol": symbol, "strategy": strategy, "n": int(own.sum()), "days": part.days,
        "base_rate": float(win[own].mean()), "mean": float(probability[own].mean()), "ece": found.value,
        "ece_low": found.low, "ece_high": found.high,
    }  # fmt: skip
