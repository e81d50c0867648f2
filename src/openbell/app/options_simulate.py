"""Stage 2 of the options desk today: similar past days, every parameter set on them, and contracts of today's chain."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from openbell.app.options_history import costs_of
from openbell.app.options_market import OptionMarketData, features_on, market_data
from openbell.app.outputs import plain_rows
from openbell.core.errors import DataMissing, FeatureUnavailable, unknown
from openbell.core.proposal import Proposal
from openbell.core.types import Exercise, Instrument, Kind, Leg, Right, Settlement, Structure
from openbell.dialects.occ import OccSymbol
from openbell.quant.legs import Legs
from openbell.quant.margin import reg_t
from openbell.quant.parameter_choice import Choice, ChoiceSettings, choose_parameters
from openbell.quant.payoffs import profile
from openbell.quant.similar import STATE, Similar, similar_days
from openbell.quant.snapping import Chain
from openbell.quant.structures import STRUCTURES
from openbell.research.option_history import closed_by

if TYPE_CHECKING:
    from openbell.app.home import Home


@dataclass(frozen=True, eq=False)
class Today:
    """The chain a decision is made on, and the past days that are like it.

    Attributes
    ----------
    row : of the surfaces, the chain session. quotes : today's chain. modelled : whether it is.
    spot : at the chain's moment: the close, or what the quotes themselves imply. capital_usd : of the account.
    """

    data: OptionMarketData
    session: dt.date
    known_on: dt.date
    row: int
    quotes: pl.DataFrame
    modelled: bool
    spot: float
    similar: Similar
    settings: ChoiceSettings

    @property
    def similar_table(self) -> pl.DataFrame:
        """The similar days with their distances, the nearest first."""
        days = [self.data.sessions[row].item() for row in self.similar.rows]
        states = self.data.table[self.similar.rows.tolist()].select(STATE)
        return pl.DataFrame({"session": days, "distance": self.similar.distances}).hstack(states)

    @cached_property
    def chain(self) -> Chain:
        """The quotes as stage 2 wants them."""
        return Chain.of(self.quotes, self.known_on, self.spot)

    def proposal(self, structure: str) -> Proposal:
        """Parameters and contracts for `structure`; see `quant.parameter_choice`."""
        chosen = choose_parameters(
            structure,
            self.data.surfaces,
            self.data.listed,
            self.chain,
            self.similar,
            settings=self.settings,
            american=self.data.american,
            fill=np.datetime64(self.session, "D"),
            jobs=self.data.home.settings.train.jobs,
        )
        return _proposal(self, chosen)


def today(home: Home, underlying: str, session: dt.date, capital_usd: float | None = None) -> Today:
    """Everything stage 2 needs before the open of `session`.

    Raises
    ------
    DataMissing
        Where there is neither a chain nor a surface of the close before. FeatureUnavailable: where the state of the
        market lacks an input; nothing stands in for it.
    """
    session = home.decision_session(session)
    before = home.sessions.shift(session, -1)
    return of_data(market_data(home, home.view(session), underlying), before, session, capital_usd)


def of_data(data: OptionMarketData, before: dt.date, session: dt.date, capital_usd: float | None = None) -> Today:
    """As `today`, of data that are there already."""
    home = data.home
    row = _row(data, before)
    quotes, modelled = data.chain(before)
    if quotes.is_empty():
        raise DataMissing(
            f"There is no chain of {data.underlying} on {before}, and no surface to model one by: "
            + " ".join(data.remarks)
        )
    exits, costs = costs_of(home)
    desk = home.settings.desks["options"]
    settings = ChoiceSettings(
        capital_usd=home.settings.run.capital if capital_usd is None else capital_usd,
        risk_fraction=desk["risk_fraction"],
        max_contracts=desk["max_contracts"],
        minimum_risk_reward=desk["min_risk_reward"],
        exits=exits,
        costs=costs,
    )
    return Today(
        data, session, before, row, quotes, modelled, _spot(data, quotes, row, modelled), _similar(data, row), settings
    )


def _row(data: OptionMarketData, before: dt.date) -> int:
    row = int(np.searchsorted(data.sessions, np.datetime64(before)))
    if row >= len(data.sessions) or data.sessions[row] != np.datetime64(before):
        raise DataMissing(
            f"The bars of {data.underlying} end on {data.sessions[-1]}; the close of {before} is needed. Import newer "
            "bars."
        )
    return row


def _spot(data: OptionMarketData, quotes: pl.DataFrame, row: int, modelled: bool) -> float:
    """The price at the quotes' own moment: the parity forward of the nearest expiry brought back, else the close."""
    if modelled or quotes["forward"].null_count() == quotes.height:
        return float(data.surfaces.spot[row])
    near = quotes.drop_nulls("forward").sort("years").row(0, named=True)
    rate, paid = float(data.surfaces.rate[row]), float(data.surfaces.dividend_yield[row])
    carry = 0.0 if not np.isfinite(rate - paid) else rate - paid
    return float(near["forward"] * np.exp(-carry * near["years"]))


def _similar(data: OptionMarketData, row: int) -> Similar:
    states = data.table.select(pl.col(STATE).cast(pl.Float64).fill_null(float("nan"))).to_numpy()
    if not np.isfinite(states[row]).all():
        day = data.sessions[row].item()
        missing = [name for name, value in zip(STATE, states[row], strict=True) if not np.isfinite(value)]
        why = features_on(data, day, day).reasons
        said = " ".join(why.get(name, f"`{name}` is missing.") for name in missing)
        raise FeatureUnavailable(f"The state of the market on {day} is not known, so no day is like it. {said}")
    wanted = data.home.settings.options.similar_days
    return similar_days(
        states[:row], closed_by(data.sessions[:row], data.sessions[row]), states[row], count=wanted, names=STATE
    )


def _proposal(now: Today, chosen: Choice) -> Proposal:
    similar = now.similar_table
    if chosen.chosen is None:
        return Proposal(
            chosen.structure, chosen.table, similar, now.similar.flagged, chosen.refused, modelled=now.modelled
        )
    row = chosen.table.row(chosen.chosen, named=True)
    similar = similar.with_columns(pl.Series("return_on_risk", chosen.outcomes[:, chosen.chosen]).fill_nan(None))
    legs, quotes = _legs(now, chosen)
    structure = Structure(legs)
    arrays = Legs.of(structure)
    multiplier = legs[0].instrument.multiplier
    parameters = {
        name: (int(value) if name.endswith("dte") else value)
        for name, value in chosen.parameters.items()
        if name != "contracts"
    }
    return Proposal(
        structure=chosen.structure,
        tested=chosen.table,
        similar=similar,
        flagged=now.similar.flagged,
        parameters=parameters,
        structure_legs=structure,
        quotes=quotes,
        premium=row["premium"],
        max_loss_usd=row["max_loss_usd"],
        max_profit_usd=row["max_profit_usd"],
        margin_usd=_margin(now, arrays, quotes, multiplier, row["max_loss_usd"]),
        breakevens=_breakevens(arrays, row["premium"]),
        statistics={
            name: row[name]
            for name in (
                "n", "effective_n", "win_rate", "expected_return", "low", "high", "score", "score_low", "score_high",
                "mean_days_held", "expected_value_usd",
            )
        },
        settles_on=max(structure.expiries),
        modelled=now.modelled,
    )  # fmt: skip


def _legs(now: Today, chosen: Choice) -> tuple[tuple[Leg, ...], pl.DataFrame]:
    """The chosen contracts of today's chain with their quotes, in the order of the structure."""
    assert chosen.strike is not None
    assert chosen.expiry is not None
    legs, rows = [], []
    for strike, expiry, right, ratio in zip(chosen.strike, chosen.expiry, chosen.right, chosen.ratio, strict=True):
        word = Right.CALL if right > 0 else Right.PUT
        found = now.quotes.filter(
            (pl.col("strike") == strike) & (pl.col("expiry") == expiry.item()) & (pl.col("right") == str(word))
        ).sort("settlement", descending=True)
        quote = found.row(0, named=True)
        key = OccSymbol(quote["root"], quote["expiry"], word, float(strike)).padded
        legs.append(
            Leg(
                Instrument(
                    key, Kind.OPTION, quote["multiplier"], underlying=now.data.underlying, expiry=quote["expiry"],
                    strike=float(strike), right=word, exercise=Exercise(quote["exercise"]),
                    settlement=Settlement(quote["settlement"]),
                ),
                int(ratio),
            )
        )  # fmt: skip
        rows.append({name: quote[name] for name in ("bid", "ask", "mid", "iv", "delta", "gamma", "theta", "vega")})
    return tuple(legs), pl.DataFrame(rows, infer_schema_length=None)


def _margin(now: Today, legs: Legs, quotes: pl.DataFrame, multiplier: float, loss: float) -> float:
    """Reg-T margin of one unit, at least what it can lose."""
    prices = ((quotes["bid"] + quotes["ask"]) / 2).to_numpy()
    found = reg_t(legs, now.spot, prices, multiplier=multiplier, broad_index=not now.data.american)
    return max(float(found), 0.0) if np.isfinite(found) else loss


def _breakevens(legs: Legs, premium: float) -> tuple[float, ...]:
    """Of a structure with one expiry; one with two has them by valuation, in the report."""
    if len(np.unique(legs.expiry)) > 1:
        return ()
    return tuple(float(each) for each in profile(legs, premium).breakevens)


@dataclass(frozen=True, eq=False)
class Simulated:
    """Stage 2 of one structure, for the command line."""

    underlying: str
    session: dt.date
    proposal: Proposal
    contracts: int
    similar: int
    why: tuple[str, ...]

    def table(self) -> pl.DataFrame:
        """Every parameter set that was tested."""
        wanted = [name for name in self.proposal.tested.columns if name.startswith("grid_")]
        shown = ["n", "win_rate", "expected_return", "score", "score_low", "premium", "max_loss_usd"]
        able = (
            pl.when(pl.col("refused").is_not_null())
            .then(pl.lit("no"))
            .otherwise(pl.when(pl.col("objection").is_not_null()).then(pl.lit("0 contracts")).otherwise(pl.lit("yes")))
        )
        return self.proposal.tested.select(
            *(pl.col(name).alias(name.removeprefix("grid_")) for name in wanted), *shown, able.alias("tradable")
        )

    def reasons(self) -> list[str]:
        """Each reason against a set, with how many it meets."""
        rows = self.proposal.tested.select(pl.coalesce("refused", "objection").alias("why")).drop_nulls()
        kinds = rows.with_columns(pl.col("why").str.replace_all(r"[\d,]+\.\d+", "…").alias("kind"))
        found = kinds.group_by("kind", maintain_order=True).agg(pl.len().alias("n"), pl.col("why").first())
        return [f"{n} of {self.proposal.tested.height} sets: {why}" for n, why in found.select("n", "why").iter_rows()]

    def lines(self) -> list[str]:
        """What was chosen, in sentences."""
        kind = " (modelled quotes)" if self.proposal.modelled else ""
        if not self.proposal.executable:
            return [f"Nothing can be traded{kind}: {self.proposal.refused}", *self.why]
        said = ", ".join(f"{name} {value}" for name, value in self.proposal.parameters.items())
        stats = self.proposal.statistics
        return [
            f"Chosen{kind}: {said}; {self.contracts} contracts, one risks {self.proposal.max_loss_usd:,.2f} USD.",
            f"On {stats['n']} similar days (worth {stats['effective_n']:.1f} that share nothing) it won "
            f"{stats['win_rate']:.0%} and returned {stats['expected_return']:+.3f} of its risk (90 % "
            f"{stats['low']:+.3f} to {stats['high']:+.3f}).",
            *self.why,
            *self.reasons(),
        ]

    def as_json(self) -> dict[str, Any]:
        """For a program to read."""
        return {
            "underlying": self.underlying,
            "session": self.session.isoformat(),
            **stage_two_json(self.proposal),
            "contracts": self.contracts,
            "why": list(self.why),
        }


def stage_two_json(proposal: Proposal) -> dict[str, Any]:
    """Everything stage 2 found, as JSON types."""
    legs = () if proposal.structure_legs is None else proposal.structure_legs.legs
    return {
        "structure": proposal.structure,
        "modelled": proposal.modelled,
        "executable": proposal.executable,
        "refused": proposal.refused,
        "parameters": dict(proposal.parameters),
        "legs": [{"contract": leg.instrument.key, "ratio": leg.ratio} for leg in legs],
        "premium": proposal.premium,
        "max_loss_usd": proposal.max_loss_usd,
        "max_profit_usd": proposal.max_profit_usd,
        "statistics": dict(proposal.statistics),
        "flagged": proposal.flagged,
        "similar_days": plain_rows(proposal.similar.with_columns(pl.selectors.date().cast(pl.String))),
        "tested": plain_rows(proposal.tested),
    }


def simulate_structure(home: Home, underlying: str, structure: str, session: dt.date) -> Simulated:
    """Stage 2 alone for one structure before the open of `session`."""
    if structure not in STRUCTURES:
        raise unknown("structure", structure, STRUCTURES)
    now = today(home, underlying, session)
    found = now.proposal(structure)
    contracts = _contracts(found)
    objections = _objections(found, contracts)
    return Simulated(
        underlying,
        now.session,
        found,
        contracts,
        len(now.similar.rows),
        (*now.similar.why, *objections, *now.data.remarks),
    )


def _contracts(found: Proposal) -> int:
    """Contracts of the chosen set, as stage 2 sized it."""
    chosen = _chosen_row(found)
    return 0 if chosen is None or chosen["objection"] else int(chosen["contracts"])


def _objections(found: Proposal, contracts: int) -> list[str]:
    chosen = _chosen_row(found)
    return [chosen["objection"]] if chosen is not None and chosen["objection"] and not contracts else []


def _chosen_row(found: Proposal) -> Mapping[str, Any] | None:
    if not found.executable:
        return None
    same = [pl.col(name) == value for name, value in found.parameters.items() if name in found.tested.columns]
    rows = found.tested.filter(pl.all_horizontal(*same, pl.col("refused").is_null()))
    return rows.row(0, named=True) if rows.height else None
