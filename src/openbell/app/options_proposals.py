"""What the options desk would have proposed on each past session, from forecasts that knew nothing later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from openbell.app.options_market import OptionMarketData, real_quotes
from openbell.quant.legs import Legs
from openbell.quant.listing import programme
from openbell.quant.option_account import Contracts
from openbell.quant.option_paths import Costs
from openbell.quant.parameter_grids import Grid, grid
from openbell.quant.payoffs import profiles
from openbell.quant.snapping import LISTED, REASONS, Chain, snap_to_chain, snapped
from openbell.quant.structures import STRUCTURES
from openbell.research.option_orders import Decide, Entry, NoTrade, fill_prices
from openbell.research.option_quotes import Quotes, SurfaceQuotes
from openbell.research.option_serving import DayChain, ModelledChain, QuotedChain

#: A parameter set that stage 2 did not choose, because nothing spoke for any.
NONE = -1


@dataclass(frozen=True, slots=True, eq=False)
class PastForecasts:
    """Forecasts and chosen parameter sets of past decisions, by the place of their session in the data.

    Attributes
    ----------
    structures : their names. rows : (m,) places, rising. expected : (m, s) expected utility. probability : (m, s).
    sets : (m, s) parameter set, `NONE` where nothing spoke for one.
    """

    structures: tuple[str, ...]
    rows: np.ndarray
    expected: np.ndarray
    probability: np.ndarray
    sets: np.ndarray


def past_forecasts(
    forecasts: pl.DataFrame, chosen: pl.DataFrame, candidate: str, sessions: np.ndarray
) -> PastForecasts:
    """The forecasts of `candidate` with the sets of the same days; sessions that the data do not hold are left out.

    Parameters
    ----------
    forecasts, chosen : frames of a training's evidence. sessions : (n,) datetime64[D] of the data.
    """
    names = tuple(STRUCTURES)
    both = (
        forecasts.filter(pl.col("candidate") == candidate)
        .join(chosen, on="session", how="inner", validate="1:1")
        .filter(pl.col("session").is_in(pl.Series(sessions).cast(pl.Date).implode()))
        .sort("session")
    )
    rows = np.searchsorted(sessions, both["session"].to_numpy().astype("datetime64[D]"))

    def values(prefix: str) -> np.ndarray:
        return np.asarray(both.select(f"{prefix}_{name}" for name in names).to_numpy())

    return PastForecasts(names, rows, values("utility"), values("probability"), values("set").astype(np.int64))


@dataclass(frozen=True, slots=True, eq=False)
class Contractor:
    """Strikes and expiries of parameter sets on each past chain, and what they would have cost."""

    data: OptionMarketData
    quotes: Quotes
    costs: Costs
    stored: Mapping[object, pl.DataFrame]

    @classmethod
    def of(cls, data: OptionMarketData, quotes: Quotes, costs: Costs) -> Contractor:
        """For the chains of `data`: the stored ones where there are some, the listing programme's for the rest."""
        stored = real_quotes(data.view, data.underlying)
        by_day = {key[0]: part for key, part in stored.partition_by("session", as_dict=True).items()}
        return cls(data, quotes, costs, by_day)

    def entry(self, structure: str, which: int, row: int) -> Entry | str:
        """Parameter set `which` of `structure`, on the chain before the session in the place `row`; or why not."""
        one = _only(grid(structure), which)
        day, fill = self.data.sessions[row - 1], self.data.sessions[row]
        spot = np.array([self.data.surfaces.spot[row - 1]])
        there = self.stored.get(day.item())
        if there is not None:
            on_chain = snap_to_chain(one, Chain.of(there, day.item(), float(spot[0])), fill)
            reason, strike, date, morning = on_chain.reason[0], on_chain.strike[0], on_chain.date[0], on_chain.am[0]
        else:
            step = np.array([self.data.surfaces.increment[row - 1]])
            made = snapped(one, self.data.listed, np.array([day]), spot, step, np.array([fill]))
            reason, strike, date, morning = made.reason[0, 0], made.strike[0, 0], made.date[0, 0], made.am[0, 0]
        if reason != LISTED:
            return REASONS[int(reason)]
        return Entry(structure, Legs(one.right, strike, one.ratio, date), morning)

    def reward(self, entry: Entry, row: int) -> float:
        """Largest profit over largest loss of `entry` at the quotes before `row`, costs of the entry included.

        NaN where a leg has no quote, or where the expiries differ and only a valuation could tell.
        """
        legs = entry.legs
        if len(np.unique(legs.expiry)) > 1:
            return float("nan")
        quoted = self.quotes.quote(row - 1, Contracts(legs.right, legs.strike, legs.expiry, np.asarray(entry.morning)))
        premium = float(legs.ratio @ fill_prices(legs.ratio, quoted.mid, quoted.ask, self.costs.spread_fraction))
        fee = self.costs.commission_usd * float(np.abs(legs.ratio).sum()) / self.costs.multiplier
        found = profiles(legs.right[None], legs.strike[None], legs.ratio[None], np.array([premium + fee]))
        loss = float(found.max_loss[0])
        return float(found.max_profit[0]) / loss if loss > 0 else float("nan")


def _only(whole: Grid, which: int) -> Grid:
    """The grid of one parameter set."""
    part = slice(which, which + 1)
    return Grid(whole.structure, whole.values[part], whole.moneyness[part], whole.dte[part], whole.right, whole.ratio)


def desk_decisions(
    past: PastForecasts, contractor: Contractor, *, min_risk_reward: float, min_confidence: float
) -> Decide:
    """The desk's rule on past forecasts: the best structure that can be had, if it is worth more than no trade.

    As `desks.options.decide` with two differences, both told in the back-test: nobody asks whether the model had
    earned anything, and two expiries are not asked for their reward.
    """
    place = {int(row): at for at, row in enumerate(past.rows)}

    def decide(row: int) -> Entry | NoTrade:
        at = place.get(row)
        if at is None:
            return NoTrade("There is no forecast of this session: an input of the 84 features was missing.")
        order = np.argsort(-past.expected[at], kind="stable")
        for structure in order[past.sets[at, order] != NONE]:
            name = past.structures[structure]
            entry = contractor.entry(name, int(past.sets[at, structure]), row)
            if isinstance(entry, str):
                continue
            if not past.expected[at, structure] > 0:
                return NoTrade(f"No structure was expected to be worth more than no trade; the best, {name}, was not.")
            if past.probability[at, structure] < min_confidence:
                return NoTrade(f"The probability of {name} was under {min_confidence:.0%}.")
            if contractor.reward(entry, row) < min_risk_reward:
                return NoTrade(f"The reward of {name} was under {min_risk_reward:.2f} of its risk.")
            return entry
        return NoTrade("Stage 2 found no parameters for any structure on the days that were alike.")

    return decide


@dataclass(frozen=True, slots=True, eq=False)
class Chains:
    """The chain before the session in each place: the stored one, else the modelled one; for the baselines."""

    data: OptionMarketData
    modelled: SurfaceQuotes
    stored: Mapping[object, pl.DataFrame]

    def __call__(self, row: int) -> DayChain:
        """The chain of the close before the session in the place `row`."""
        day = self.data.sessions[row - 1].item()
        if day in self.stored:
            return QuotedChain(self.stored[day], float(self.data.surfaces.spot[row - 1]))
        return ModelledChain(self.modelled, row - 1, self.data.listed, programme(self.data.underlying))


def mean_outcomes(table: pl.DataFrame, structures: Sequence[str]) -> pl.DataFrame:
    """``structure``, ``value``, ``known_at`` of each past decision: the mean utility over its parameter sets.

    `table` is that of `research.counterfactuals`. Known when the last of the sets was; null while one is open.
    """
    open_ = pl.col("known_at").is_null().any()
    return (
        table.with_columns(pl.col("structure").cast(pl.String))
        .filter(pl.col("structure").is_in(list(structures)))
        .group_by("session", "structure", maintain_order=True)
        .agg(pl.col("utility").mean().alias("value"), pl.when(~open_).then(pl.col("known_at").max()).alias("known_at"))
        .select("structure", "value", "known_at")
    )
