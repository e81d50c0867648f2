"""An account that holds options: what every fill, settlement, assignment and dividend does to cash, lots and shares.

Bookkeeping only: it decides nothing. Every change of cash goes through one method, which writes one row of the record,
so the record sums to the cash by construction and a test can add it up again from quantities and prices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from openbell.core.errors import BadInput
from openbell.quant.assignment import intrinsic_values
from openbell.quant.legs import CALL, PUT, UNDERLYING

#: What can happen to a contract or a share.
FILL, EXPIRY, SETTLEMENT = "FILL", "EXPIRY", "SETTLEMENT"
ASSIGNMENT, EXERCISE, DELIVERY, SHARES, DIVIDEND = "ASSIGNMENT", "EXERCISE", "DELIVERY", "SHARES", "DIVIDEND"
#: Why a position ended; OPEN has not.
TARGET, STOP, TIME, EXPIRED, ASSIGNED, OPEN = "TARGET", "STOP", "TIME", "EXPIRY", "ASSIGNED", "OPEN"
RIGHTS = {CALL: "CALL", PUT: "PUT", UNDERLYING: "UNDERLYING"}

#: One held contract of one position. `quantity` is signed contracts; `mark` (the mid) and `ask` are points, `greeks`
#: the delta, gamma, theta and vega of one unit, all of the session `quoted`; `expiry_row` may lie after the last one.
LOT = np.dtype(
    [
        ("position", np.int64), ("right", np.int8), ("strike", np.float64), ("expiry", "datetime64[D]"),
        ("morning", np.bool_), ("expiry_row", np.int64), ("quantity", np.int64), ("mark", np.float64),
        ("ask", np.float64), ("quoted", np.int64), ("modelled", np.bool_), ("greeks", np.float64, 4),
    ]
)  # fmt: skip
_TRADES = {
    "row": pl.Int64,
    "position": pl.Int64,
    "event": pl.String,
    "right": pl.String,
    "strike": pl.Float64,
    "expiry": pl.Date,
    "quantity": pl.Int64,
    "price": pl.Float64,
    "fee_usd": pl.Float64,
    "cash_usd": pl.Float64,
    "modelled": pl.Boolean,
}


@dataclass(frozen=True, slots=True, eq=False)
class Contracts:
    """Option contracts of one underlying.

    Attributes
    ----------
    right : (n,) int8, +1 call, -1 put. strike : (n,) points. expiry : (n,) datetime64[D], the session it settles in.
    morning : (n,) bool, settles on the open of that session instead of its close.
    """

    right: np.ndarray
    strike: np.ndarray
    expiry: np.ndarray
    morning: np.ndarray

    def __len__(self) -> int:
        return len(self.right)

    @classmethod
    def of(cls, lots: np.ndarray) -> Contracts:
        """The contracts of some lots."""
        return cls(lots["right"], lots["strike"], lots["expiry"], lots["morning"])

    def joined(self, other: Contracts) -> Contracts:
        """These contracts, then the others."""
        names = ("right", "strike", "expiry", "morning")
        return Contracts(*(np.concatenate([getattr(self, each), getattr(other, each)]) for each in names))


@dataclass(slots=True, eq=False)
class Position:
    """One structure that was entered: what it cost, what it has booked so far, how it ended.

    `premium_usd` is what the fill cost without commissions, positive for a debit; `shares` come from exercise and
    assignment (or were bought as a leg); `due` is the reason for which what is left is closed at the next close with
    quotes.
    """

    key: int
    structure: str
    entry: int
    contracts: int
    max_loss_usd: float
    margin_usd: float = 0.0
    why: str = ""
    premium_usd: float = 0.0
    cash_usd: float = 0.0
    fees_usd: float = 0.0
    shares: int = 0
    delivered: int = 0
    exit: int = -1
    reason: str = OPEN
    due: str | None = None
    modelled: bool = False


@dataclass(slots=True, eq=False)
class OptionAccount:
    """Cash, lots and shares of one underlying.

    Attributes
    ----------
    cash_usd : may be negative: shares can be bought by assignment. multiplier : USD per point.
    lots : structured array of `LOT`, one entry per held contract and position. positions : all that ever were, by key.
    """

    cash_usd: float
    multiplier: float = 100.0
    lots: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=LOT))
    positions: list[Position] = field(default_factory=list)
    interest_usd: float = 0.0
    _record: list[tuple[object, ...]] = field(default_factory=list)

    @property
    def open_positions(self) -> list[Position]:
        """The positions that still hold something."""
        return [each for each in self.positions if each.reason == OPEN]

    @property
    def shares(self) -> int:
        """Shares held, all positions together."""
        return sum(each.shares for each in self.open_positions)

    @property
    def options_usd(self) -> float:
        """Marked value of all lots."""
        return float((self.lots["quantity"] * self.lots["mark"]).sum() * self.multiplier)

    def equity_usd(self, spot: float) -> float:
        """Cash, marked options, and shares at `spot`."""
        return self.cash_usd + self.options_usd + self.shares * spot

    def pnl_usd(self, position: Position, spot: float) -> float:
        """All cash that the position has booked and the marks of what it still holds."""
        held = self.lots[self.lots["position"] == position.key]
        value = float((held["quantity"] * held["mark"]).sum() * self.multiplier)
        return position.cash_usd + value + position.shares * spot

    def accrue(self, rate: float, days: float) -> float:
        """Interest on the cash over `days` at `rate` per year, continuously compounded; owed where cash is below 0."""
        earned = self.cash_usd * float(np.expm1(rate * days / 365.0))
        self.cash_usd += earned
        self.interest_usd += earned
        return earned

    def enter(
        self,
        position: Position,
        contracts: Contracts,
        expiry_row: np.ndarray,
        quantity: np.ndarray,
        price: np.ndarray,
        commission_usd: float,
        modelled: np.ndarray,
    ) -> None:
        """Open `position` with a fill of each contract at `price` points; commissions are per contract."""
        if position.key != len(self.positions):
            raise BadInput(f"The next position has the key {len(self.positions)}; it was {position.key}.")
        self.positions.append(position)
        made = np.zeros(len(contracts), dtype=LOT)
        made["position"], made["right"], made["strike"] = position.key, contracts.right, contracts.strike
        made["expiry"], made["morning"], made["expiry_row"] = contracts.expiry, contracts.morning, expiry_row
        made["quantity"], made["mark"], made["quoted"], made["modelled"] = quantity, price, position.entry, modelled
        for lot in made:
            self._fill(position.entry, lot, int(lot["quantity"]), float(lot["mark"]), commission_usd)
        position.premium_usd = float((quantity * price).sum() * self.multiplier)
        self.lots = np.concatenate([self.lots, made])

    def mark(
        self, places: np.ndarray, row: int, mid: np.ndarray, ask: np.ndarray, modelled: np.ndarray, greeks: np.ndarray
    ) -> None:
        """Mark the lots at `places` at the mids of the session `row`."""
        lots = self.lots
        lots["mark"][places], lots["ask"][places], lots["greeks"][places] = mid, ask, greeks
        lots["quoted"][places], lots["modelled"][places] = row, modelled
        for key in np.unique(lots["position"][places[modelled]]):
            self.positions[key].modelled = True

    def sell_out(self, row: int, held: np.ndarray, price: np.ndarray, commission_usd: float) -> None:
        """Close the lots at the places `held` at `price` points each."""
        for place, points in zip(held, price, strict=True):
            lot = self.lots[place]
            self._fill(row, lot, -int(lot["quantity"]), float(points), commission_usd)
        self._drop(held)

    def settle_in_cash(self, row: int, held: np.ndarray, settlement: float, fee_usd: float) -> None:
        """Expire the lots at the places `held`, paid their value at `settlement`; the worthless pay no fee."""
        values = intrinsic_values(self.lots["right"][held], self.lots["strike"][held], settlement)
        for place, points in zip(held, values, strict=True):
            lot = self.lots[place]
            event, fee = (SETTLEMENT, fee_usd * abs(int(lot["quantity"]))) if points > 0 else (EXPIRY, 0.0)
            self._book(row, event, lot, -int(lot["quantity"]), float(points), self.multiplier, fee)
        self._drop(held)

    def expire(self, row: int, held: np.ndarray) -> None:
        """Let the lots at the places `held` expire worthless."""
        for place in held:
            self._book(row, EXPIRY, self.lots[place], -int(self.lots[place]["quantity"]), 0.0, 0.0, 0.0)
        self._drop(held)

    def deliver(self, row: int, held: np.ndarray, fee_usd: float) -> None:
        """Turn the lots at the places `held` into shares at their strikes: assigned if short, exercised if long."""
        for place in held:
            lot = self.lots[place]
            quantity = int(lot["quantity"])
            event, fee = (ASSIGNMENT if quantity < 0 else EXERCISE), fee_usd * abs(quantity)
            self._book(row, event, lot, -quantity, 0.0, 0.0, fee)
            shares = round(int(lot["right"]) * quantity * self.multiplier)
            self._book(row, DELIVERY, lot, shares, float(lot["strike"]), 1.0, 0.0, shares=True)
            self.positions[lot["position"]].delivered += shares
        self._drop(held)

    def assign(self, row: int, held: np.ndarray, close: float, *, delivered: bool, fee_usd: float) -> None:
        """Assign the short lots at the places `held` before their expiry: shares, or their value at `close` in cash."""
        if delivered:
            self.deliver(row, held, fee_usd)
            return
        values = intrinsic_values(self.lots["right"][held], self.lots["strike"][held], close)
        for place, points in zip(held, values, strict=True):
            quantity = int(self.lots[place]["quantity"])
            fee = fee_usd * abs(quantity)
            self._book(row, ASSIGNMENT, self.lots[place], -quantity, float(points), self.multiplier, fee)
        self._drop(held)

    def trade_shares(self, row: int, position: Position, shares: int, price: float, fee_usd: float) -> None:
        """Buy (or with a negative number sell) shares of the underlying at `price`."""
        self._book(row, SHARES, _share(position), shares, price, 1.0, fee_usd, shares=True)

    def pay_dividend(self, row: int, amount: float) -> None:
        """Credit `amount` USD per share to the positions that hold shares; short shares owe it."""
        for position in self.open_positions:
            if position.shares:
                self._book(row, DIVIDEND, _share(position), -position.shares, amount, 1.0, 0.0)

    def finish(self, position: Position, row: int, reason: str) -> None:
        """Say that `position` holds nothing any more, and why."""
        position.exit, position.reason, position.due = row, reason, None

    def trades(self, sessions: np.ndarray) -> pl.DataFrame:
        """One row per event, in order, with its ``session``; ``cash_usd`` is what it did to the cash, fees included."""
        frame = pl.DataFrame(self._record, schema=_TRADES, orient="row")
        days = pl.Series("session", sessions[frame["row"].to_numpy()]).cast(pl.Date)
        return frame.select(days, pl.all().exclude("row"))

    def _fill(self, row: int, lot: np.void, quantity: int, price: float, commission_usd: float) -> None:
        self._book(row, FILL, lot, quantity, price, self.multiplier, commission_usd * abs(quantity))

    def _book(
        self, row: int, event: str, lot: np.void, quantity: int, price: float, unit: float, fee_usd: float,
        *, shares: bool = False,
    ) -> None:  # fmt: skip
        """The one door to the cash: minus quantity times price, minus the fee."""
        cash = -quantity * price * unit - fee_usd
        position = self.positions[lot["position"]]
        self.cash_usd += cash
        position.cash_usd += cash
        position.fees_usd += fee_usd
        position.shares += quantity if shares else 0
        right = UNDERLYING if event in (DELIVERY, SHARES, DIVIDEND) else int(lot["right"])
        terms = (None, None) if right == UNDERLYING else (float(lot["strike"]), lot["expiry"].item())
        modelled = bool(lot["modelled"]) and event == FILL
        self._record.append((row, position.key, event, RIGHTS[right], *terms, quantity, price, fee_usd, cash, modelled))

    def _drop(self, held: np.ndarray | Sequence[int]) -> None:
        self.lots = np.delete(self.lots, held)


def _share(position: Position) -> np.void:
    """A lot that stands for the shares of `position` in the record."""
    lot = np.zeros(1, dtype=LOT)
    lot["position"] = position.key
    found: np.void = lot[0]
    return found
