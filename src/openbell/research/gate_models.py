"""The models of the gate by name: fitted on what was known, saved without pickle, asked through one interface."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from openbell.core.errors import unknown
from openbell.research.gate_baselines import BaseRate, Price, fit_base_rate, fit_price
from openbell.research.gate_fallback import Fallback, fit_fallback
from openbell.research.gate_files import read_state
from openbell.research.gate_inputs import GateModel, ModelSettings, Said, checked_training
from openbell.research.gate_pooled import LogisticTable, fit_hierarchy, fit_no_pooling, fit_simple

__all__ = ["BASELINES", "KINDS", "NAMES", "GateModel", "Kind", "ModelSettings", "Said", "fitted", "load"]


@dataclass(frozen=True, slots=True)
class Kind:
    """How a model is fitted and read back, and whether its odds are calibrated afterwards."""

    fit: Callable[[pl.DataFrame, Sequence[str], ModelSettings], GateModel]
    load: Callable[[str, Mapping[str, Any], Path], GateModel]
    calibrated: bool


#: hierarchy : partial pooling over all levels. no_pooling : every pair for itself. simple : one regression for all.
#: fallback : boosted trees, the narrowest level that has its own. price, base_rate : the baselines, as they are.
KINDS: Mapping[str, Kind] = {
    "hierarchy": Kind(fit_hierarchy, LogisticTable.load, True),
    "no_pooling": Kind(fit_no_pooling, LogisticTable.load, True),
    "simple": Kind(fit_simple, LogisticTable.load, True),
    "fallback": Kind(fit_fallback, Fallback.load, True),
    "price": Kind(fit_price, Price.load, False),
    "base_rate": Kind(fit_base_rate, BaseRate.load, False),
}
NAMES = tuple(KINDS)
BASELINES = ("price", "base_rate")


def fitted(
    name: str,
    rows: pl.DataFrame,
    features: Sequence[str],
    *,
    fit_at: dt.datetime,
    settings: ModelSettings | None = None,
) -> GateModel:
    """The model `name` fitted on `rows`; their order changes nothing.

    Parameters
    ----------
    rows : columns ``session``, ``known_at``, ``outcome_known_at``, ``symbol``, ``strategy``, ``price_probability``,
        ``win`` and the `features` (numbers, null where missing).
    fit_at : the moment of the fit; an outcome that was not known then is refused.

    Raises
    ------
    BadInput
        On an unknown name or rows that cannot be learned from. LeakFound: on outcomes from the future.
    """
    if name not in KINDS:
        raise unknown("model of the gate", name, KINDS)
    return KINDS[name].fit(checked_training(rows, list(features), fit_at), list(features), settings or ModelSettings())


def load(folder: Path) -> GateModel:
    """The model that was saved in `folder`, every file checked against its hash.

    Raises
    ------
    IntegrityBroken
        Where there is none, or a file is not the one that was saved.
    """
    name, state = read_state(folder)
    if name not in KINDS:
        raise unknown("model of the gate", name, KINDS)
    return KINDS[name].load(name, state, folder)
