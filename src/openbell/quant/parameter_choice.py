"""Stage 2 of the options desk: strikes, expiry and size of one structure, by what they made on similar past days."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import polars as pl

from openbell.core.errors import BadInput
from openbell.quant.listing import Expiries
from openbell.quant.option_paths import CREDITS, REASONS, UNPRICED, Costs, Exits, bounds, positions, simulate
from openbell.quant.option_positions import Positions
from openbell.quant.parameter_grids import Grid, grid, parameters
from openbell.quant.parameter_measures import Measures, measures
from openbell.quant.similar import Similar
from openbell.quant.snapping import LISTED, Chain, SnappedChain, snap_to_chain, snapped
from openbell.quant.surfaces import Surfaces


@dataclass(frozen=True, slots=True)
class ChoiceSettings:
    """How parameters are chosen and sized.

    Attributes
    ----------
    capital_usd, risk_fraction : the budget of one trade is their product. max_contracts : never more.
    minimum_risk_reward : largest profit over largest loss must be above it. level : coverage of the intervals.
    minimum_outcomes : a set with fewer closed outcomes is not chosen. sets : parameter sets, 15 to 20; None: the usual.
    exits, costs : as in the simulation; today's premium pays the same share of the spread.
    """

    capital_usd: float = 100_000.0
    risk_fraction: float = 0.02
    max_contracts: int = 10
    minimum_risk_reward: float = 0.5
    level: float = 0.9
    minimum_outcomes: int = 10
    sets: int | None = None
    exits: Exits = field(default_factory=Exits)
    costs: Costs = field(default_factory=Costs)

    def __post_init__(self) -> None:
        if not self.capital_usd > 0 or not 0 < self.risk_fraction <= 1:
            raise BadInput(
                f"Capital must be above 0 and the risk fraction in (0, 1]; were {self.capital_usd} and "
                f"{self.risk_fraction}."
            )
        if not 0 < self.level < 1:
            raise BadInput(f"`level` must lie between 0 and 1; was {self.level}.")


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """Everything that was tested for one structure, and what was chosen.

    Attributes
    ----------
    table : one row per parameter set, in the order of the grid. The columns of the grid's dimensions; the strike of
        each leg and the days to its expiry (null where it cannot be had today); ``n`` closed outcomes, ``effective_n``
        (neighbours that share sessions counted once), ``missing`` (not had, or not closed by then), ``win_rate``,
        ``expected_return`` on risk with ``low`` and ``high``, ``score`` (S0.15) with ``score_low`` and ``score_high``,
        ``mean_days_held`` (calendar days); today's ``premium`` (points, a debit is positive), ``max_loss_usd`` and
        ``max_profit_usd`` of one unit (null: unbounded or not had), ``risk_reward``, ``expected_value_usd`` of one
        unit, ``contracts``; ``refused`` (why it cannot be had or judged) and ``objection`` (why it is not traded).
    chosen : row of `table`, None where every set is refused. refused : why nothing can be chosen, a sentence, or None.
    parameters : of S0.10 with ``contracts``, empty where nothing is chosen. contracts : 0 is no trade.
    strike, bid, ask, right, ratio : (legs,) of the chosen set; expiry : (legs,) datetime64[D]. None where none is.
    outcomes : (days, sets) return on risk of each similar day, NaN where it has none; days as in the similar rows.
    counts : reasons for which past positions ended or never began. why : sentences.
    """

    structure: str
    table: pl.DataFrame
    chosen: int | None
    refused: str | None
    parameters: Mapping[str, float]
    contracts: int
    strike: np.ndarray | None
    bid: np.ndarray | None
    ask: np.ndarray | None
    right: np.ndarray
    ratio: np.ndarray
    expiry: np.ndarray | None
    outcomes: np.ndarray
    counts: Mapping[str, int]
    why: tuple[str, ...]


def sized(max_loss_usd: np.ndarray, budget_usd: float, max_contracts: int) -> np.ndarray:
    """Units that the budget pays for, 0 where one is too many; NaN and infinite losses give 0."""
    units = np.floor(np.divide(budget_usd, max_loss_usd, where=max_loss_usd > 0, out=np.zeros(len(max_loss_usd))))
    return np.asarray(np.clip(np.where(np.isfinite(units), units, 0.0), 0, max_contracts), dtype=np.int64)


def choose_parameters(
    structure: str,
    surfaces: Surfaces,
    listed: Expiries,
    chain: Chain,
    similar: Similar,
    *,
    settings: ChoiceSettings | None = None,
    american: bool = False,
    fill: np.datetime64 | None = None,
    jobs: int = 1,
) -> Choice:
    """Try every parameter set of `structure` on the similar days and choose one that today's chain can fill.

    Parameters
    ----------
    surfaces : of the past; what lies after the chain's session is cut off before anything is computed. The row of the
        chain's session values calendars at their near expiry.
    listed : made of a calendar whose first session is that of the surfaces, and which goes on after it.
    chain : today's, the close before the decision. fill : the session it will be filled in; the next of the calendar.
    similar : rows of `surfaces`, each the close before a past decision, whose fill is the next row.
    american : whether options are never worth less than their intrinsic value. jobs : threads.

    Returns
    -------
    Choice
        The best by the lower bound of its score among the sets that can be had today, have `minimum_outcomes` closed
        outcomes and no objection; where each has one, the best of them with 0 contracts. Ties go to the better score,
        then the earlier set. No clock, no seed.

    Raises
    ------
    BadInput
        Where the calendar does not fit the surfaces, the chain's session is not among them, or a similar day is not in
        the past.
    """
    terms = settings or ChoiceSettings()
    past = _past(surfaces, listed, chain)
    asked = grid(structure, terms.sets)
    day = fill if fill is not None else _next(listed, chain.session)
    if len(similar.rows) and (similar.rows.min() < 0 or similar.rows.max() >= len(past.sessions) - 1):
        raise BadInput("Similar days must lie before the session of today's chain; one does not.")
    returns, found, counts = _tried(asked, past, listed, similar, terms, american, jobs)
    today = snap_to_chain(asked, chain, day)
    premium = _premium(asked, today, terms.costs)
    held = _held(asked, today, listed, len(past.sessions) - 1)
    loss, profit = bounds(past, held, premium, terms.costs, american=american)
    refused = _refusals(asked, today, premium, loss, profit, found, terms)
    contracts = sized(loss, terms.capital_usd * terms.risk_fraction, terms.max_contracts)
    objection = _objections(loss, profit, contracts, terms)
    ranked = _ranked(found, refused, objection)
    chosen = None if similar.refused or not len(ranked) else int(ranked[0])
    count = 0 if chosen is None or objection[chosen] else int(contracts[chosen])
    table = _table(asked, today, found, premium, loss, profit, contracts, refused, objection)
    return Choice(
        structure=structure,
        table=table,
        chosen=chosen,
        refused=_why_nothing(similar, refused) if chosen is None else None,
        parameters={} if chosen is None else parameters(structure, today.strike[chosen], today.dte[chosen], count),
        contracts=count,
        strike=None if chosen is None else today.strike[chosen],
        bid=None if chosen is None else today.bid[chosen],
        ask=None if chosen is None else today.ask[chosen],
        right=asked.right,
        ratio=asked.ratio,
        expiry=None if chosen is None else today.date[chosen],
        outcomes=returns,
        counts=counts,
        why=(*similar.why, *((objection[chosen],) if chosen is not None and objection[chosen] else ())),
    )


def _past(surfaces: Surfaces, listed: Expiries, chain: Chain) -> Surfaces:
    """The surfaces up to the chain's session: nothing later can be seen."""
    sessions = surfaces.sessions.astype("datetime64[D]")
    end = int(np.searchsorted(sessions, chain.session)) + 1
    if end > len(sessions) or sessions[end - 1] != chain.session:
        raise BadInput(f"The surfaces have no row for {chain.session}, the session of today's chain.")
    if len(listed.sessions) < end or np.any(listed.sessions[:end] != sessions[:end]):
        raise BadInput("The calendar of `listed` must begin with the sessions of the surfaces, and go on after them.")
    names = ("sessions", "spot", "settle", "rate", "dividend_yield", "parameters", "increment", "modelled")
    return replace(surfaces, **{name: getattr(surfaces, name)[:end] for name in names})


def _next(listed: Expiries, session: np.datetime64) -> np.datetime64:
    at = int(np.searchsorted(listed.sessions, session, side="right"))
    if at >= len(listed.sessions):
        raise BadInput(f"The calendar of `listed` ends on {session}; it must hold the session of the fill.")
    return np.datetime64(listed.sessions[at], "D")


def _tried(
    asked: Grid,
    past: Surfaces,
    listed: Expiries,
    similar: Similar,
    terms: ChoiceSettings,
    american: bool,
    jobs: int,
) -> tuple[np.ndarray, Measures, dict[str, int]]:
    """Every set on every similar day: returns on risk (d, c), their measures, and how they ended."""
    rows, shape = similar.rows, (len(similar.rows), len(asked))
    placed = snapped(asked, listed, past.sessions[rows], past.spot[rows], past.increment[rows], past.sessions[rows + 1])
    held = positions(asked, placed, rows + 1)
    result = simulate(past, held, terms.exits, terms.costs, american=american, jobs=jobs)
    returns = result.return_on_risk.reshape(shape)
    entry, exit_ = held.entry.reshape(shape), result.exit.reshape(shape)
    day = past.sessions.astype("datetime64[D]").astype(np.int64)
    days_held = np.where(exit_ >= 0, day[np.maximum(exit_, 0)] - day[entry], 0)
    return returns, measures(returns, entry, exit_, days_held, terms.level), result.counted()


def _premium(asked: Grid, today: SnappedChain, costs: Costs) -> np.ndarray:
    """What one unit costs today, points, (c,); a credit is negative."""
    middle, half = (today.ask + today.bid) / 2, (today.ask - today.bid) / 2
    traded = middle + np.sign(asked.ratio) * half * costs.spread_fraction
    return np.asarray((asked.ratio * traded).sum(axis=1))


def _held(asked: Grid, today: SnappedChain, listed: Expiries, row: int) -> Positions:
    shape = today.strike.shape
    known = ~np.isnat(today.date)
    expiry = np.searchsorted(listed.sessions, np.where(known, today.date, listed.sessions[0]))
    return Positions(
        entry=np.full(shape[0], row, dtype=np.int64),
        strike=today.strike,
        right=np.broadcast_to(asked.right, shape),
        ratio=np.broadcast_to(asked.ratio, shape),
        expiry=np.where(known, expiry, -1),
        expiry_date=today.date,
        am=today.am,
        refused=today.reason,
    )


def _refusals(
    asked: Grid,
    today: SnappedChain,
    premium: np.ndarray,
    loss: np.ndarray,
    profit: np.ndarray,
    found: Measures,
    terms: ChoiceSettings,
) -> list[str | None]:
    """Why each set cannot be had today, or cannot be judged; None where it can."""
    credit = asked.structure in CREDITS
    out: list[str | None] = []
    for c in range(len(asked)):
        why = None if today.reason[c] == LISTED else REASONS[int(today.reason[c])]
        if why is None and credit and not premium[c] < 0:
            why = f"It must bring a credit; at today's bid and ask it would cost {premium[c]:.2f} points."
        elif why is None and not credit and not premium[c] > 0:
            why = f"It must cost a debit; at today's bid and ask it would bring {-premium[c]:.2f} points."
        elif why is None and math.isnan(profit[c]):
            why = REASONS[UNPRICED]
        elif why is None and not loss[c] > terms.costs.commission_usd * np.abs(asked.ratio).sum():
            why = "It has nothing to lose at today's quotes, which no market gives: the quotes are not of one moment."
        elif why is None and not profit[c] > 0:
            why = f"It cannot win at today's quotes: its largest profit would be {profit[c]:.2f} USD."
        if why is None and found.n[c] < terms.minimum_outcomes:
            why = f"Only {found.n[c]} similar days have a closed outcome, fewer than {terms.minimum_outcomes}."
        if why is None and not math.isfinite(found.score_low[c]):
            why = "Its outcomes share so many sessions that they are worth one; no interval can be given."
        out.append(why)
    return out


def _objections(loss: np.ndarray, profit: np.ndarray, contracts: np.ndarray, terms: ChoiceSettings) -> list[str | None]:
    """Why a set that can be had is not traded; None where nothing speaks against it."""
    budget = terms.capital_usd * terms.risk_fraction
    out: list[str | None] = []
    for c in range(len(loss)):
        ratio = profit[c] / loss[c] if loss[c] > 0 else math.nan
        if not math.isfinite(loss[c]):
            out.append("Its loss has no bound.")
        elif contracts[c] < 1:
            out.append(f"One contract risks {loss[c]:,.2f} USD, more than the budget of {budget:,.2f} USD.")
        elif not ratio > terms.minimum_risk_reward:
            out.append(f"The reward is {ratio:.2f} of the risk; it must be above {terms.minimum_risk_reward:.2f}.")
        else:
            out.append(None)
    return out


def _ranked(found: Measures, refused: list[str | None], objection: list[str | None]) -> np.ndarray:
    """The sets that can be chosen, the best first."""
    able = np.array([c for c in range(len(refused)) if refused[c] is None], dtype=np.int64)
    against = np.array([objection[c] is not None for c in able], dtype=bool)
    return able[np.lexsort((able, -found.score[able], -found.score_low[able], against))]


def _why_nothing(similar: Similar, refused: list[str | None]) -> str:
    if similar.refused:
        return similar.refused
    most = max(set(refused), key=lambda each: (refused.count(each), str(each)))
    return f"No parameter set can be traded today. Of {len(refused)}, {refused.count(most)}: {most}"


def _table(
    asked: Grid,
    today: SnappedChain,
    found: Measures,
    premium: np.ndarray,
    loss: np.ndarray,
    profit: np.ndarray,
    contracts: np.ndarray,
    refused: list[str | None],
    objection: list[str | None],
) -> pl.DataFrame:
    ratio = np.divide(profit, loss, out=np.full(len(loss), np.nan), where=loss > 0)
    named = [
        parameters(asked.structure, strike, dte, 1) if reason == LISTED else {}
        for strike, dte, reason in zip(today.strike, today.dte, today.reason, strict=True)
    ]
    columns: dict[str, Any] = {f"grid_{name}": [each[name] for each in asked.values] for name in asked.values[0]}
    wanted = parameters(asked.structure, np.ones(len(asked.right)), np.ones(len(asked.right)), 1)
    columns |= {name: [each.get(name) for each in named] for name in wanted if name != "contracts"}
    columns |= {name: getattr(found, name) for name in Measures.__dataclass_fields__}
    columns |= {"premium": premium, "max_loss_usd": loss, "max_profit_usd": profit, "risk_reward": ratio}
    columns |= {"expected_value_usd": found.expected_return * loss}
    frame = pl.DataFrame(columns).with_columns(
        pl.when(pl.col(name).is_finite()).then(pl.col(name)) for name, each in columns.items() if _is_float(each)
    )
    return frame.with_columns(
        pl.Series("contracts", np.where([each is None for each in refused], contracts, 0)),
        pl.Series("refused", refused, dtype=pl.String),
        pl.Series("objection", objection, dtype=pl.String),
    )


def _is_float(values: object) -> bool:
    return isinstance(values, np.ndarray) and values.dtype.kind == "f"
