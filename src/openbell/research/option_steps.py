"""One session of the option back-test after the other: what is settled, marked, closed, filled and assigned, and when.

`research.option_backtest` is the door; the order of events is told there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import polars as pl

from openbell.core.errors import BadInput, DataMissing
from openbell.quant.assignment import NOT_ASSIGNED, early_assignments, exercised_at_expiry
from openbell.quant.legs import Legs
from openbell.quant.margin import MINIMUM_SHARE, requirement
from openbell.quant.option_account import ASSIGNED, EXPIRED, STOP, TARGET, TIME, Contracts, OptionAccount, Position
from openbell.quant.option_paths import CREDITS, Costs, Exits
from openbell.quant.structures import STRUCTURES
from openbell.research import option_orders as orders
from openbell.research.option_orders import Decide, Entry, NoTrade, Rules, fill_prices, maximum_loss
from openbell.research.option_quotes import GREEKS, VEGA, Quoted, Quotes, Spots

DAILY: Mapping[str, pl.DataType | type[pl.DataType]] = {
    "row": pl.Int64,
    **dict.fromkeys(
        ("equity_usd", "cash_usd", "options_usd", "shares_usd", "margin_usd", "interest_usd"), pl.Float64
    ),
    "positions": pl.Int64,
    **dict.fromkeys(("delta_usd", "gamma_usd", "theta_usd", "vega_usd"), pl.Float64),
    "stale_marks": pl.Int64,
    "modelled_marks": pl.Int64,
    "deficit_usd": pl.Float64,
}  # fmt: skip
REFUSED: Mapping[str, pl.DataType | type[pl.DataType]] = {
    "row": pl.Int64, "structure": pl.String, "kind": pl.String, "why": pl.String,
}  # fmt: skip
STALE, POSTPONED, UNJUDGED, EXCEEDED, DEFICIT = "stale", "postponed", "unjudged", "exceeded", "deficit"
#: What else is counted, in words that follow the count.
NOTES: Mapping[str, str] = {
    STALE: "contract-days were marked at an older quote",
    POSTPONED: "closings waited for a quote of every leg",
    UNJUDGED: "position-days could not be judged by the exits, because a leg had no quote",
    EXCEEDED: "fills risked more than the budget, because prices moved between the decision and the fill",
    DEFICIT: "closes found less in the account than its margin; nothing was liquidated for it",
}
#: A share of the budget may be exceeded by rounding.
_ROUNDING = 1e-9
_NOTHING = Quoted(np.empty(0), np.empty(0), np.empty(0), np.empty(0, dtype=bool), np.empty((0, len(GREEKS))))


@dataclass(frozen=True, slots=True, eq=False)
class _Order:
    """A proposal with its size, its contracts and the place of each one's expiry."""

    proposal: Entry
    count: int
    contracts: Contracts
    expiry_row: np.ndarray
    ratio: np.ndarray
    shares: int


@dataclass(slots=True, eq=False)
class Steps:
    """The account on its way, and what the way leaves behind.

    `rate` is what cash earns, per session, (n,); the other parts are as in `option_backtest`.
    """

    quotes: Quotes
    spots: Spots
    rules: Rules
    exits: Exits
    costs: Costs
    rate: np.ndarray
    account: OptionAccount = field(init=False)
    daily: list[tuple[object, ...]] = field(default_factory=list)
    refused: list[tuple[object, ...]] = field(default_factory=list)
    counted: Counter[str] = field(default_factory=Counter)
    _constant_usd: dict[tuple[int, int, int], float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.account = OptionAccount(self.rules.capital_usd, self.costs.multiplier)

    def session(self, decide: Decide, row: int, *, ends: bool) -> None:
        """Everything that happens on one session; `ends` where no later one follows."""
        order = self._order(row, decide(row))
        interest = self._open(row)
        close = float(self.spots.close[row])
        held, quoted = self._quote(row, order)
        self._mark(row, held, quoted)
        if self.rules.shares_closed == orders.AT_CLOSE:
            self._close_shares(row, close)
        self._settle(row, close)
        self._exit(row, close)
        if order is not None:
            self._fill(row, order, quoted.take(slice(len(held), None)))
        if self.rules.american and not ends:
            self._assign(row, close)
        self._finish(row)
        self.record(row, interest)

    @property
    def _settlement_fee(self) -> float:
        """Per contract that settles with a value, early or at expiry."""
        return self.costs.commission_usd + self.rules.assignment_fee_usd

    # ------------------------------------------------------------------ before the open

    def _refuse(self, row: int, structure: str | None, kind: str, why: str) -> None:
        self.refused.append((row, structure, kind, why))

    def _order(self, row: int, proposal: Entry | NoTrade | None) -> _Order | None:
        """The proposal as an order, or None with the reason on record."""
        if proposal is None:
            return None
        if isinstance(proposal, NoTrade):
            self._refuse(row, None, orders.NO_TRADE, proposal.why)
            return None
        order = self._contracts(proposal)
        if (why := self._unfit(row, order)) is not None:
            self._refuse(row, proposal.structure, orders.NO_CONTRACT, why)
            return None
        if len(self.account.open_positions) >= self.rules.max_open_positions:
            why = f"{self.rules.max_open_positions} positions are open, which is the most that may be."
            self._refuse(row, proposal.structure, orders.FULL, why)
            return None
        return order if proposal.contracts is not None else self._sized(row, order)

    def _contracts(self, proposal: Entry) -> _Order:
        legs = proposal.legs
        options = legs.options
        morning = np.broadcast_to(np.asarray(proposal.morning, dtype=bool), legs.right.shape)
        contracts = Contracts(
            legs.right[options].astype(np.int8), legs.strike[options], legs.expiry[options], morning[options]
        )
        count = 1 if proposal.contracts is None else proposal.contracts
        if count < 1:
            raise BadInput(f"A proposal needs 1 contract or more; {proposal.structure} had {count}.")
        shares = round(float(legs.ratio[~options].sum()) * self.costs.multiplier)
        rows = self.spots.row_of(contracts.expiry)
        return _Order(proposal, count, contracts, rows, legs.ratio[options], shares)

    def _unfit(self, row: int, order: _Order) -> str | None:
        """Why the contracts of `order` cannot be held, if so."""
        expiry, rows = order.contracts.expiry, order.expiry_row
        if (rows < 0).any():
            return f"{expiry[rows < 0][0]} is no session, so no contract expires on it."
        if (rows <= row).any():
            return f"A contract expires on {expiry[rows <= row][0]}, before it could be held overnight."
        contracts = order.contracts
        named = set(zip(contracts.right.tolist(), contracts.strike.tolist(), expiry.tolist(), strict=True))
        if len(named) < len(contracts):
            return "Two legs name the same contract; write it once, with the ratio of both."
        if self.rules.delivered and contracts.morning.any():
            return "Contracts that deliver shares settle on the close; a leg says that it settles on the open."
        return None

    def _sized(self, row: int, order: _Order) -> _Order | None:
        """`order` with the contracts that the risk budget allows, on the quotes and the equity of the close before."""
        name, legs = order.proposal.structure, order.proposal.legs
        quoted = self.quotes.quote(row - 1, order.contracts)
        prices = fill_prices(order.ratio, quoted.mid, quoted.ask, self.costs.spread_fraction)
        if not np.isfinite(prices).all():
            self._refuse(
                row, name, orders.UNQUOTED, f"{_contract(order.contracts, ~np.isfinite(prices))} has no quote."
            )
            return None
        spot, multiplier = float(self.spots.close[row - 1]), self.costs.multiplier
        loss = maximum_loss(legs, float(order.ratio @ prices) + order.shares / multiplier * spot) * multiplier
        loss += self.costs.commission_usd * float(np.abs(order.ratio).sum())
        budget = self.rules.risk_fraction * self.account.equity_usd(spot)
        if not 0 < loss < np.inf:
            why = "can lose without limit" if loss > 0 else "could not lose at its quotes, so the quotes are wrong"
            self._refuse(row, name, orders.UNSIZED, f"The position {why}; it was not sized.")
            return None
        count = min(int(np.floor(budget / loss * (1 + _ROUNDING))), self.rules.max_contracts)
        if count < 1:
            why = f"One contract can lose {loss:.2f} USD; the budget is {max(budget, 0.0):.2f} USD."
            self._refuse(row, name, orders.OVER_BUDGET, why)
            return None
        return replace(order, count=count)

    # ------------------------------------------------------------------ at the open

    def _open(self, row: int) -> float:
        """Interest, dividends, delivered shares and AM settlement; the interest."""
        account, spots = self.account, self.spots
        days = float((spots.sessions[row] - spots.sessions[row - 1]).astype(np.int64))
        interest = account.accrue(float(self.rate[row - 1]), days)
        if spots.dividend[row] != 0.0:
            account.pay_dividend(row, float(spots.dividend[row]))
        if self.rules.shares_closed == orders.AT_OPEN:
            self._close_shares(row, float(spots.open[row]))
        if (account.lots["morning"] & (account.lots["expiry_row"] == row)).any():
            settlement = float(spots.settle[row])
            if not settlement > 0:
                raise DataMissing(f"AM contracts settle on {spots.sessions[row]}, but its settlement was {settlement}.")
            self._settle(row, settlement, morning=True)
        self._finish(row)
        return interest

    def _close_shares(self, row: int, price: float) -> None:
        for position in self.account.open_positions:
            if position.delivered:
                fee = abs(position.delivered) * price * self.rules.share_cost_bp * 1e-4
                self.account.trade_shares(row, position, -position.delivered, price, fee)
                position.delivered = 0

    # ------------------------------------------------------------------ at the close

    def _quote(self, row: int, order: _Order | None) -> tuple[np.ndarray, Quoted]:
        """Places of the lots that live on, and quotes of theirs and the order's contracts in one call."""
        lots = self.account.lots
        held = np.flatnonzero(lots["expiry_row"] > row)
        wanted = Contracts.of(lots[held])
        if order is not None:
            wanted = wanted.joined(order.contracts)
        if not len(wanted):
            return held, _NOTHING
        return held, self.quotes.quote(row, wanted)

    def _mark(self, row: int, held: np.ndarray, quoted: Quoted) -> None:
        count, lots = len(held), self.account.lots
        there = np.isfinite(quoted.mid[:count]) & np.isfinite(quoted.ask[:count])
        new = quoted.take(np.flatnonzero(there))
        self.account.mark(held[there], row, new.mid, new.ask, new.modelled, new.greeks)
        missing = held[~there]
        if not len(missing):
            return
        self.counted[STALE] += len(missing)
        age = row - lots["quoted"][missing]
        if age.max() > self.rules.staleness_sessions:
            oldest = missing[int(np.argmax(age))]
            raise DataMissing(
                f"The held {_contract(Contracts.of(lots[[oldest]]), np.array([True]))} has had no quote for "
                f"{age.max()} sessions on {self.spots.sessions[row]}; a missing price is never counted as 0. "
                "Give quotes, a model for the gaps, or a larger `staleness_sessions`."
            )

    def _settle(self, row: int, price: float, *, morning: bool = False) -> None:
        """Settle what expires on `row`: AM contracts on the open, all others on the close."""
        account = self.account

        def ending() -> np.ndarray:
            due = (account.lots["expiry_row"] == row) & (account.lots["morning"] == morning)
            return np.flatnonzero(due)

        places = ending()
        if not len(places):
            return
        keys = np.unique(account.lots["position"][places])
        if self.rules.delivered:
            inside = exercised_at_expiry(account.lots["right"][places], account.lots["strike"][places], price)
            account.expire(row, places[~inside])
            account.deliver(row, ending(), self._settlement_fee)
        else:
            account.settle_in_cash(row, places, price, self._settlement_fee)
        for key in keys:
            account.positions[key].due = account.positions[key].due or EXPIRED

    def _exit(self, row: int, close: float) -> None:
        """Close what is due, or what its liquidation value says."""
        account, lots = self.account, self.account.lots
        prices = fill_prices(-lots["quantity"], lots["mark"], lots["ask"], self.costs.spread_fraction)
        worth = lots["quantity"] * prices * account.multiplier
        leaving: list[np.ndarray] = []
        for position in account.open_positions:
            places = np.flatnonzero(lots["position"] == position.key)
            if not len(places):
                continue
            fresh = bool((lots["quoted"][places] == row).all())
            gain = position.cash_usd + position.fees_usd + float(worth[places].sum()) + position.shares * close
            reason = position.due or (
                self._reason(row, position, gain, lots["expiry"][places].min()) if fresh else None
            )
            if not fresh:
                self.counted[POSTPONED if reason else UNJUDGED] += 1
            position.due = reason
            if reason and fresh:
                leaving.append(places)
                self._sell_own_shares(row, position, close)
        if leaving:
            places = np.concatenate(leaving)
            account.sell_out(row, places, prices[places], self.costs.commission_usd)

    def _reason(self, row: int, position: Position, gain_usd: float, near: np.datetime64) -> str | None:
        exits, size = self.exits, abs(position.premium_usd)
        credit = position.premium_usd < 0
        target = exits.profit_target_credit if credit else exits.profit_target_debit
        stop = exits.stop_credit if credit else exits.stop_debit
        if target is not None and size > 0 and gain_usd >= target * size:
            return TARGET
        if stop is not None and size > 0 and gain_usd <= -stop * size:
            return STOP
        days = int((near - self.spots.sessions[row]).astype(np.int64))
        if exits.exit_days_before_expiry is not None and days <= exits.exit_days_before_expiry:
            return TIME
        return None

    def _sell_own_shares(self, row: int, position: Position, close: float) -> None:
        """Close the shares that were a leg; delivered ones have their own time."""
        if own := position.shares - position.delivered:
            fee = abs(own) * close * self.rules.share_cost_bp * 1e-4
            self.account.trade_shares(row, position, -own, close, fee)

    def _fill(self, row: int, order: _Order, quoted: Quoted) -> None:
        """Fill `order` at this close, if every leg has a bid and the account can carry it."""
        account, name = self.account, order.proposal.structure
        close, multiplier, bp = float(self.spots.close[row]), account.multiplier, self.rules.share_cost_bp * 1e-4
        prices = fill_prices(order.ratio, quoted.mid, quoted.ask, self.costs.spread_fraction)
        premium = float(order.ratio @ prices) + order.shares / multiplier * close
        refused = _unfilled(order, quoted) or _wrong_side(name, premium)
        if refused is not None:
            self._refuse(row, name, *refused)
            return
        quantity, shares = order.ratio * order.count, order.shares * order.count
        share_fee = abs(shares) * close * bp
        fees = float(np.abs(quantity).sum()) * self.costs.commission_usd + share_fee
        own = self._held_usd(order.contracts, quantity, quoted.mid, shares, close)
        free = account.cash_usd - self._margin(close) - premium * multiplier * order.count - fees - own
        if free < 0:
            why = f"The account would be {-free:.2f} USD short of cash and margin with {order.count} contract(s)."
            self._refuse(row, name, orders.MARGIN, why)
            return
        loss = maximum_loss(order.proposal.legs, premium) * multiplier * order.count + fees
        if order.proposal.contracts is None and loss > self.rules.risk_fraction * account.equity_usd(close):
            self.counted[EXCEEDED] += 1
        key, why = len(account.positions), order.proposal.why
        position = Position(key, name, row, order.count, max_loss_usd=loss, margin_usd=own, why=why)
        commission = self.costs.commission_usd
        account.enter(position, order.contracts, order.expiry_row, quantity, prices, commission, quoted.modelled)
        if shares:
            account.trade_shares(row, position, shares, close, share_fee)
            position.premium_usd += shares * close
        new = np.flatnonzero(account.lots["position"] == key)
        account.mark(new, row, quoted.mid, quoted.ask, quoted.modelled, quoted.greeks)

    # ------------------------------------------------------------------ after the close

    def _assign(self, row: int, close: float) -> None:
        """Short contracts that their holders gain by exercising; only fresh marks say what they gain."""
        account, spots = self.account, self.spots
        lots = account.lots
        if not (lots["quantity"] < 0).any():
            return
        found = early_assignments(
            lots["right"],
            lots["strike"],
            lots["mark"],
            spot=close,
            next_dividend=float(spots.dividend[row + 1]),
            rate=float(spots.rate[row]),
            days_to_next_session=float((spots.sessions[row + 1] - spots.sessions[row]).astype(np.int64)),
        )
        places = np.flatnonzero((found != NOT_ASSIGNED) & (lots["quantity"] < 0) & (lots["quoted"] == row))
        if not len(places):
            return
        keys = np.unique(lots["position"][places])
        account.assign(row, places, close, delivered=self.rules.delivered, fee_usd=self._settlement_fee)
        if self.rules.remainder == orders.CLOSED:
            for key in keys:
                account.positions[key].due = ASSIGNED

    def _finish(self, row: int) -> None:
        for position in self.account.open_positions:
            if not position.shares and not (self.account.lots["position"] == position.key).any():
                self.account.finish(position, row, position.due or ASSIGNED)

    # ------------------------------------------------------------------ what is recorded

    def _held_usd(
        self, contracts: Contracts, quantity: np.ndarray, marks: np.ndarray, shares: int, close: float
    ) -> float:
        """Cash that a position must hold by Reg T; what is bought is paid for and holds nothing."""
        lots = shares / self.account.multiplier
        if not (quantity < 0).any() and not shares:
            return 0.0
        if shares and lots != round(lots):
            raise BadInput(f"Margin counts shares in lots of {self.account.multiplier:g}; a position had {shares}.")
        stock = [round(lots)] if shares else []
        legs = Legs(
            np.concatenate([contracts.right, np.zeros(len(stock), dtype=np.int8)]),
            np.concatenate([contracts.strike, np.zeros(len(stock))]),
            np.concatenate([quantity, np.array(stock, dtype=np.int64)]),
            np.concatenate([contracts.expiry, np.full(len(stock), np.datetime64("NaT", "D"))]),
        )
        prices = np.concatenate([marks, np.full(len(stock), close)])
        how = {"broad_index": self.rules.broad_index, "multiplier": self.account.multiplier}
        return requirement(legs, close, prices, **how).held_usd

    def _margin(self, close: float) -> float:
        """Reg T requirement of every open position, each by itself."""
        lots, total = self.account.lots, 0.0
        for position in self.account.open_positions:
            held = lots[lots["position"] == position.key]
            key = (position.key, len(held), position.shares)
            if (known := self._constant_usd.get(key)) is not None and _is_covered(held, close):
                total += known
                continue
            asked = self._held_usd(Contracts.of(held), held["quantity"], held["mark"], position.shares, close)
            if not position.shares and _is_covered(held, close):
                self._constant_usd[key] = asked
            total += asked
        return total

    def record(self, row: int, interest: float) -> None:
        """Add the day to the daily table."""
        account, close = self.account, float(self.spots.close[row])
        lots, margin = account.lots, self._margin(close)
        units = lots["quantity"] * account.multiplier
        delta, gamma, theta, vega = (float((units * lots["greeks"][:, each]).sum()) for each in range(VEGA + 1))
        deficit = max(margin - account.cash_usd, 0.0)
        if deficit > 0.005:
            self.counted[DEFICIT] += 1
        self.daily.append(
            (
                row, account.equity_usd(close), account.cash_usd, account.options_usd, account.shares * close, margin,
                interest, len(account.open_positions), (delta + account.shares) * close, gamma * close**2 / 100.0,
                theta, vega / 100.0, int((lots["quoted"] < row).sum()), int(lots["modelled"].sum()), deficit,
            )
        )  # fmt: skip


def _is_covered(lots: np.ndarray, close: float) -> bool:
    """Whether every sold option is so narrowly covered that no price can move the requirement.

    A naked one asks for a tenth of the underlying (or strike) at the least: where the pairs of strikes of one right
    together span less than that, the cover is always the cheaper choice, and what it asks for depends on strikes alone.
    """
    right, strike, quantity = lots["right"], lots["strike"], lots["quantity"]
    sold, bought = quantity < 0, quantity > 0
    if not sold.any():
        return True
    if not bought.any() or lots["expiry"][bought].min() < lots["expiry"][sold].max():
        return False
    units, least = np.abs(quantity) // np.gcd.reduce(quantity), MINIMUM_SHARE * min(close, float(strike.min()))
    for each in np.unique(right[sold]):
        of = right == each
        wide = float(np.ptp(strike[of])) * float(units[of & sold].sum()) >= least
        if wide or quantity[of].sum() < 0:
            return False
    return True


def _unfilled(order: _Order, quoted: Quoted) -> tuple[str, str] | None:
    """The refusal of an order with a leg that nobody bids for, or that has no quote (check 22)."""
    dead = ~(quoted.bid > 0) | ~np.isfinite(quoted.ask)
    if not dead.any():
        return None
    return orders.UNFILLED, f"{_contract(order.contracts, dead)} has no bid at the close."


def _wrong_side(structure: str, premium: float) -> tuple[str, str] | None:
    """The refusal of a credit structure without a credit, or of a debit structure without a debit (check 20)."""
    if structure in CREDITS and premium >= 0:
        return orders.WRONG_SIDE, f"{structure} is sold for a credit, but would have cost {premium:.2f} points."
    if structure in STRUCTURES and structure not in CREDITS and premium <= 0:
        return orders.WRONG_SIDE, f"{structure} is bought, but would have brought {-premium:.2f} points."
    return None


def _contract(contracts: Contracts, which: np.ndarray) -> str:
    at = int(np.flatnonzero(which)[0])
    word = "call" if contracts.right[at] > 0 else "put"
    return f"The {contracts.strike[at]:g} {word} of {contracts.expiry[at]}"
