"""What has become of every past decision of one underlying: the table of counterfactuals beside features and states."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from inspect import getmodule
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from openbell.app.options_market import OptionMarketData, cached
from openbell.core.hashing import digest, frame_digest
from openbell.quant.feature_groups import EIGHTY_FOUR
from openbell.quant.listing import programme
from openbell.quant.option_paths import Costs, Exits
from openbell.quant.similar import STATE
from openbell.quant.structures import STRUCTURES
from openbell.research.counterfactuals import CounterfactualSettings, counterfactuals
from openbell.research.fitting import code_behind
from openbell.research.option_history import Cube, cube

if TYPE_CHECKING:
    from openbell.app.home import Home


def costs_of(home: Home) -> tuple[Exits, Costs]:
    """Exits and costs of the settings: the same in the table of counterfactuals, stage 2 and the back-test."""
    wanted = home.settings.options
    exits = Exits(
        profit_target_credit=wanted.profit_target_credit,
        profit_target_debit=wanted.profit_target_debit,
        stop_credit=wanted.stop_credit,
        exit_days_before_expiry=wanted.exit_days_before_expiry or None,
    )
    return exits, Costs(commission_usd=wanted.commission_usd, spread_fraction=wanted.spread_fraction)


def full_table(data: OptionMarketData) -> pl.DataFrame:
    """The full-information table of everything that is closed by now, kept in the cache."""
    home = data.home
    exits, costs = costs_of(home)
    desk = home.settings.desks["options"]
    settings = CounterfactualSettings(
        risk_fraction=desk["risk_fraction"],
        programme=programme(data.underlying).name,
        american=data.american,
        exits=exits,
        costs=costs,
        jobs=home.settings.train.jobs,
    )
    surfaces = data.surfaces
    numbers = pl.DataFrame(
        {
            "session": data.sessions,
            **{name: getattr(surfaces, name) for name in ("spot", "settle", "rate", "dividend_yield", "increment")},
            **{f"p{at}": surfaces.parameters[:, at] for at in range(6)},
        }
    )
    clock = [str(surfaces.displacement), surfaces.clock.tolist()]
    code = code_behind(getmodule(counterfactuals))
    made_of = [frame_digest(numbers), surfaces.spread.tolist(), clock, _words(settings), code]
    return cached(home, digest(made_of), lambda: counterfactuals(surfaces, data.view.sessions, settings))


def _words(settings: CounterfactualSettings) -> dict[str, Any]:
    return {name: value for name, value in asdict(settings).items() if name != "jobs"}


@dataclass(frozen=True, eq=False)
class Past:
    """What has become of every past day, row by row as the surfaces without the last."""

    data: OptionMarketData
    made: Cube
    features: pl.DataFrame
    states: np.ndarray
    usable: np.ndarray


def past_of(data: OptionMarketData) -> Past:
    """Counterfactuals, features and states of every decision of the past."""
    made = cube(full_table(data), data.as_of[: len(data.sessions) - 1], tuple(STRUCTURES))
    rows = data.table.head(len(made.sessions))
    states = rows.select(pl.col(STATE).fill_null(float("nan"))).to_numpy()
    return Past(data, made, rows.select(EIGHTY_FOUR), states, data.usable[: len(made.sessions)])
