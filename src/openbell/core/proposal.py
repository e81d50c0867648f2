"""What stage 2 of the options desk says of one structure today: everything it tested, and the contracts it chose."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import polars as pl

from openbell.core.types import Structure


@dataclass(frozen=True, slots=True, eq=False)
class Proposal:
    """Parameters for one structure, chosen on similar past days, with the contracts of today's chain.

    Attributes
    ----------
    tested : one row per parameter set: the parameters, ``n``, ``win_rate``, ``expected_return`` (per unit of maximum
        loss), ``score`` with its interval, and the reason where it cannot be traded today.
    similar : the past days, ``session`` and ``distance``, the state of their market and, where a set was chosen,
        ``return_on_risk``: what it made on each, null where it has no closed outcome. flagged : whether they are under
        30.
    refused : why there are no parameters; then everything below is empty.
    parameters : as S0.10 names them, without contracts. structure_legs : the legs, one unit. quotes : one row per leg
        with its ``bid`` and ``ask`` of today's chain.
    premium : points per unit, above 0 paid, below 0 received, at the quotes' far sides. max_loss_usd, max_profit_usd,
        margin_usd : of one unit, costs included; `max_profit_usd` is None where it has no bound.
    breakevens : of the underlying at the near expiry. statistics : of the chosen row of `tested`.
    settles_on : the session on which the last leg ends. modelled : whether today's chain is modelled.
    """

    structure: str
    tested: pl.DataFrame
    similar: pl.DataFrame
    flagged: bool = False
    refused: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    structure_legs: Structure | None = None
    quotes: pl.DataFrame = field(default_factory=pl.DataFrame)
    premium: float = 0.0
    max_loss_usd: float = 0.0
    max_profit_usd: float | None = None
    margin_usd: float = 0.0
    breakevens: tuple[float, ...] = ()
    statistics: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    settles_on: dt.date | None = None
    modelled: bool = False

    @property
    def executable(self) -> bool:
        """Whether there are contracts with live quotes to trade."""
        return self.refused is None and self.structure_legs is not None


@dataclass(frozen=True, slots=True, eq=False)
class OptionMarket:
    """What surrounds an option decision: the chain it was made on, and what the account already carries.

    Attributes
    ----------
    as_of, session : of the decision. underlying, spot : symbol, and price at the chain's moment.
    chain_session : the session whose chain was seen. last_session : the latest session closed at `as_of`.
    modelled : whether that chain is modelled. open_positions : structures held. open_risk_usd : their maximum losses.
    margin_usd : what they bind.
    """

    as_of: dt.datetime
    session: dt.date
    underlying: str
    spot: float
    chain_session: dt.date
    last_session: dt.date
    modelled: bool
    open_positions: int = 0
    open_risk_usd: float = 0.0
    margin_usd: float = 0.0
