"""What a strategy hands to the option back-test, and the rules of the account it hands it to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from openbell.core.errors import BadInput, unknown
from openbell.core.types import Settlement, Structure
from openbell.quant.legs import Legs
from openbell.quant.payoffs import profiles

#: Why a proposal did not become a position.
NO_TRADE, FULL, UNSIZED, OVER_BUDGET, UNQUOTED, UNFILLED, WRONG_SIDE, MARGIN, NO_CONTRACT = (
    "NO_TRADE", "FULL", "UNSIZED", "OVER_BUDGET", "UNQUOTED", "UNFILLED", "WRONG_SIDE", "MARGIN", "NO_CONTRACT",
)  # fmt: skip
#: What each of them means, for the notes: counts stand before it.
REFUSALS: Mapping[str, str] = {
    NO_TRADE: "decisions were not to trade",
    FULL: "proposals found the most positions that may be open already open",
    UNSIZED: "proposals had no largest loss to size them by",
    OVER_BUDGET: "proposals would have risked more than the budget with one contract",
    UNQUOTED: "proposals had a leg without a quote when they were sized",
    UNFILLED: "orders had a leg without a bid above 0 when they were to be filled",
    WRONG_SIDE: "orders would have paid for what is sold for a credit, or been paid for what is bought",
    MARGIN: "orders were refused because cash and margin did not allow them",
    NO_CONTRACT: "proposals named a contract that could not be held",
}
AT_OPEN, AT_CLOSE = "OPEN", "CLOSE"
CLOSED, HELD = "CLOSE", "HOLD"


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """A structure to be entered at the close of the session it was decided for.

    Attributes
    ----------
    structure : its name. legs : per one unit; a leg of the underlying counts as many shares as the multiplier says.
    morning : whether the contracts settle on the open, one for all or one per leg.
    contracts : how many; None for as many as the risk budget allows. why : for the tables.
    """

    structure: str
    legs: Legs
    morning: bool | np.ndarray = False
    contracts: int | None = None
    why: str = ""

    @classmethod
    def of(cls, name: str, structure: Structure, contracts: int | None = None, why: str = "") -> Entry:
        """The entry of typed instruments; each says for itself when it settles."""
        morning = np.array([leg.instrument.settlement is Settlement.AM for leg in structure.legs])
        return cls(name, Legs.of(structure), morning, contracts, why)


@dataclass(frozen=True, slots=True)
class NoTrade:
    """A decision to enter nothing, and why."""

    why: str


#: The proposal for the session in the place `row`, from what was known at the close before it.
Decide = Callable[[int], Entry | NoTrade | None]


@dataclass(frozen=True, slots=True)
class Rules:
    """How the account works: its capital, its limits, and what its contracts are.

    Attributes
    ----------
    risk_fraction : of the equity, the most that one position may lose. max_contracts, max_open_positions : limits.
    american : contracts may be exercised early. delivered : exercise delivers shares; else cash changes hands.
    broad_index : the margin of naked options is that of a broad index.
    shares_closed : delivered shares are closed at the ``OPEN`` or ``CLOSE`` of the next session.
    remainder : after an early assignment the other legs are closed at the next close (``CLOSE``), or kept (``HOLD``).
    assignment_fee_usd : per contract that settles with a value, on top of the commission.
    share_cost_bp : of the value of shares traded.
    staleness_sessions : for which a mark may be carried when there is no quote.
    """

    capital_usd: float = 100_000.0
    risk_fraction: float = 0.02
    max_contracts: int = 10
    max_open_positions: int = 5
    american: bool = False
    delivered: bool = False
    broad_index: bool = False
    shares_closed: str = AT_OPEN
    remainder: str = CLOSED
    assignment_fee_usd: float = 0.0
    share_cost_bp: float = 0.0
    staleness_sessions: int = 5

    def __post_init__(self) -> None:
        if self.shares_closed not in (AT_OPEN, AT_CLOSE):
            raise unknown("moment to close shares at", self.shares_closed, (AT_OPEN, AT_CLOSE))
        if self.remainder not in (CLOSED, HELD):
            raise unknown("way to treat the remainder", self.remainder, (CLOSED, HELD))
        if not self.capital_usd > 0:
            raise BadInput(f"`capital_usd` must be above 0; was {self.capital_usd}.")
        if not 0 < self.risk_fraction <= 1:
            raise BadInput(f"`risk_fraction` must lie in (0, 1]; was {self.risk_fraction}.")
        if self.max_contracts < 1 or self.max_open_positions < 1:
            raise BadInput(
                "`max_contracts` and `max_open_positions` must be 1 or more; "
                f"were {self.max_contracts} and {self.max_open_positions}."
            )


def fill_prices(side: np.ndarray, mid: np.ndarray, ask: np.ndarray, fraction: float) -> np.ndarray:
    """Price of a trade in points, shape (n,): bought (`side` > 0) or sold `fraction` of the half-spread off the mid.

    Nothing is sold under 0: what nobody bids for is given away.
    """
    return np.asarray(np.maximum(mid + np.sign(side) * fraction * (ask - mid), 0.0))


def maximum_loss(legs: Legs, premium: float) -> float:
    """Most that one unit can lose in points, or inf; not above 0 where nothing can be lost at these prices.

    Later expiries are counted at what they are worth exercised, which is the least they can be worth at the near one:
    exact for one expiry, an upper bound for several (for a calendar it is the debit).
    """
    found = profiles(legs.right[None], legs.strike[None], legs.ratio[None], np.array([premium]))
    return float(found.max_loss[0])


def decisions(by_row: Mapping[int, Entry | NoTrade]) -> Decide:
    """Decisions that were made beforehand, by the place of their session."""
    return by_row.get
