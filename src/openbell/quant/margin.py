"""Regulation T margin of option positions, by strategy.

Of each option that is sold without cover the account must hold its price plus 20 % of the underlying (15 % of a broad
index) less what it is out of the money, and at least its price plus 10 % of the underlying (of the strike for a put). A
sold option that a bought one covers, of the same right and expiring no earlier, costs what is lost between their
strikes; naked calls and puts together cost the dearer side and the price of the other; what is bought is paid in full.

References
----------
FINRA Rule 4210 (f)(2), Margin requirements: options. Cboe, Strategy-based margin (Margin Manual).
Regulation T of the Federal Reserve, 12 CFR 220.12 and 220.18.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from openbell.core.errors import BadInput
from openbell.quant.legs import CALL, PUT, UNDERLYING, Legs, netted
from openbell.quant.payoffs import profile

#: Share of the underlying that a naked option ties up: of stocks, funds and narrow indices, and of broad indices.
EQUITY_SHARE, INDEX_SHARE = 0.20, 0.15
MINIMUM_SHARE = 0.10
#: Share of stock that must be paid for in cash, and of short stock that must lie there (proceeds included).
LONG_STOCK_SHARE, SHORT_STOCK_SHARE = 0.50, 1.50
#: More units than this are nobody's position; their pairing would take long.
_MOST_UNITS = 2000


@dataclass(frozen=True, slots=True)
class Requirement:
    """What one position asks of the account, USD.

    Attributes
    ----------
    held_usd : cash that must stay in the account while the position is open, the credit it brought included; below 0
        where stock lends more than the options ask for.
    premium_usd : what opening it costs at the given prices, below 0 for a credit.
    """

    held_usd: float
    premium_usd: float

    @property
    def total_usd(self) -> float:
        """What is held, and what is paid in full: the margin of the position."""
        return self.held_usd + max(self.premium_usd, 0.0)

    @property
    def deposit_usd(self) -> float:
        """What the account must have before the trade, whose credit may be used."""
        return self.held_usd + self.premium_usd


def reg_t(
    legs: Legs, spot: float, prices: np.ndarray, *, broad_index: bool = False, multiplier: float = 100.0
) -> float:
    """Margin of a position, USD: what must be held, plus a debit that is paid in full. See `requirement`."""
    return requirement(legs, spot, prices, broad_index=broad_index, multiplier=multiplier).total_usd


def requirement(
    legs: Legs, spot: float, prices: np.ndarray, *, broad_index: bool = False, multiplier: float = 100.0
) -> Requirement:
    """What a position asks of a Regulation T account at today's prices.

    Sold options are paired with bought ones, and what remains naked with what is naked on the other side, so that the
    requirement is least; where the loss at the strikes is bounded it is never above that loss, as for butterflies,
    condors and boxes. The order of the legs plays no part.

    Parameters
    ----------
    legs : signed whole numbers of contracts; a leg in the underlying counts lots of `multiplier` units.
    spot : points. prices : (n,) points per unit of each leg, 0 or more; the price of an underlying leg is `spot`.
    broad_index : whether the underlying is a broad index. multiplier : units per contract.

    Raises
    ------
    BadInput
        On a price or spot that is no number or below 0, or more than 2,000 contracts after dividing by what they
        have in common.
    """
    paid = np.asarray(prices, dtype=np.float64)
    _check(legs, spot, paid, multiplier)
    premium = float(np.sort(legs.ratio * paid).sum())
    held = _held(legs, float(spot), paid, INDEX_SHARE if broad_index else EQUITY_SHARE)
    return Requirement(held * multiplier, premium * multiplier)


def _check(legs: Legs, spot: float, prices: np.ndarray, multiplier: float) -> None:
    if not (np.isfinite(spot) and spot > 0 and multiplier > 0):
        raise BadInput(f"Margin needs a spot and a multiplier above 0; they were {spot} and {multiplier}.")
    if prices.shape != legs.strike.shape or not np.all(np.isfinite(prices) & (prices >= 0)):
        raise BadInput(
            f"Margin needs a price of 0 or more for each of the {len(legs.strike)} legs; they were {prices.tolist()}."
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Units:
    """Contracts one by one, each array (u,)."""

    right: np.ndarray
    strike: np.ndarray
    day: np.ndarray
    price: np.ndarray

    def take(self, chosen: np.ndarray) -> _Units:
        return _Units(self.right[chosen], self.strike[chosen], self.day[chosen], self.price[chosen])

    def __len__(self) -> int:
        return len(self.right)


def _held(legs: Legs, spot: float, prices: np.ndarray, share: float) -> float:
    """Points to be held per unit of the multiplier."""
    position = netted(legs)
    common = int(np.gcd.reduce(position.ratio))
    counts = position.ratio // common
    if int(np.abs(counts).sum()) > _MOST_UNITS:
        raise BadInput(
            f"The position has {int(np.abs(position.ratio).sum()):,} contracts in uneven ratios, over {_MOST_UNITS:,} "
            "pairs to be found. Ask for the margin of its parts."
        )
    price = _prices_of(position, legs, prices)
    options = position.options
    units = {
        sign: _Units(*(np.repeat(each, np.where(options & (sign * counts > 0), np.abs(counts), 0))
                       for each in (position.right, position.strike, position.expiry, price)))
        for sign in (1, -1)
    }  # fmt: skip
    stock = int(counts[~options].sum())
    uncovered, stock_held = _cover(units[-1], stock, spot)
    return common * (_options_held(units[1], uncovered, spot, share) + stock_held)


def _prices_of(position: Legs, legs: Legs, prices: np.ndarray) -> np.ndarray:
    """The price of each netted leg; one contract with two prices is refused."""
    found = np.empty(len(position.right))
    for at in range(len(found)):
        same = (legs.right == position.right[at]) & (legs.strike == position.strike[at])
        if position.right[at] != UNDERLYING:
            same &= legs.expiry == position.expiry[at]
        known = np.unique(prices[same])
        if len(known) > 1:
            raise BadInput(f"One contract cannot have two prices; strike {position.strike[at]:g} had {known.tolist()}.")
        found[at] = known[0]
    return found


def _cover(short: _Units, stock: int, spot: float) -> tuple[_Units, float]:
    """The sold options that stock does not cover, and what the stock and those it covers ask for.

    Long stock covers calls, and lends half of the lower of its price and the strike; short stock covers puts.
    """
    right = CALL if stock > 0 else PUT
    side = np.flatnonzero(short.right == right)
    order = side[np.argsort(right * short.strike[side], kind="stable")][
        : abs(stock)
    ]  # the dearest to carry naked first
    rest = np.setdiff1d(np.arange(len(short)), order)
    covered, uncovered = short.take(order), short.take(rest)
    if stock >= 0:
        lent = np.minimum(covered.strike, spot).sum() + spot * (stock - len(covered))
        return uncovered, -(1.0 - LONG_STOCK_SHARE) * float(lent)
    above = np.maximum(covered.strike - spot, 0.0).sum()
    return uncovered, float(SHORT_STOCK_SHARE * spot * -stock + above)


def _options_held(bought: _Units, sold: _Units, spot: float, share: float) -> float:
    """Points to be held for all options that no stock covers."""
    if not len(sold):
        return 0.0
    calls, puts = (
        _paired(bought.take(bought.right == r), sold.take(sold.right == r), spot, share) for r in (CALL, PUT)
    )
    by_pairs = _combined(calls, puts)
    return min(by_pairs, _largest_loss(bought, sold))


def naked(right: np.ndarray, strike: np.ndarray, price: np.ndarray, spot: float, share: float) -> np.ndarray:
    """Points to be held for each sold option without cover, its price included; arrays (u,)."""
    out_of_the_money = np.maximum(right * (strike - spot), 0.0)
    floor = MINIMUM_SHARE * np.where(right == CALL, spot, strike)
    return np.asarray(price + np.maximum(share * spot - out_of_the_money, floor))


@dataclass(frozen=True, slots=True, eq=False)
class _Side:
    """The sold options of one right: what each must hold, and its price where it stays naked, else 0."""

    held: np.ndarray
    exposed: np.ndarray
    day: np.ndarray


def _paired(bought: _Units, sold: _Units, spot: float, share: float) -> _Side:
    """Each sold option with the bought one that covers it, or naked, at the least sum."""
    from scipy.optimize import linear_sum_assignment

    alone = naked(sold.right, sold.strike, sold.price, spot, share)
    loss = np.maximum(sold.right[:, None] * (bought.strike[None, :] - sold.strike[:, None]), 0.0)
    covers = (bought.day[None, :] >= sold.day[:, None]) & (loss < alone[:, None])
    cost = np.hstack([np.where(covers, loss, alone[:, None]), np.repeat(alone[:, None], len(sold), axis=1)])
    rows, columns = linear_sum_assignment(cost)
    held, exposed = alone.copy(), sold.price.astype(np.float64)
    for row, column in zip(rows, columns, strict=True):
        if column < len(bought) and covers[row, column]:
            held[row], exposed[row] = loss[row, column], 0.0
    return _Side(held, exposed, sold.day)


def _combined(calls: _Side, puts: _Side) -> float:
    """Calls beside puts, of which only one side can lose: the dearer one and the price of the other where it is naked.

    Naked ones pair whatever their expiries; a spread pairs with what expires on its day.
    """
    from scipy.optimize import linear_sum_assignment

    total = float(np.sort(calls.held).sum() + np.sort(puts.held).sum())
    if not len(calls.held) or not len(puts.held):
        return total
    call, put = calls.held[:, None], puts.held[None, :]
    together = np.where(call >= put, call + puts.exposed[None, :], put + calls.exposed[:, None])
    free = (calls.exposed[:, None] > 0) & (puts.exposed[None, :] > 0)
    saved = np.where(free | (calls.day[:, None] == puts.day[None, :]), np.maximum(call + put - together, 0.0), 0.0)
    rows, columns = linear_sum_assignment(-saved)
    return total - float(np.sort(saved[rows, columns]).sum())


def _largest_loss(bought: _Units, sold: _Units) -> float:
    """Most that can be lost at the strikes, where all that is sold expires on one day and its calls are covered."""
    days = np.unique(sold.day)
    kept = bought.take(bought.day >= days[0])
    if len(days) > 1 or int((sold.right == CALL).sum()) > int((kept.right == CALL).sum()):
        return float("inf")
    right, strike = np.concatenate([kept.right, sold.right]), np.concatenate([kept.strike, sold.strike])
    ratio = np.concatenate([np.ones(len(kept), dtype=np.int64), -np.ones(len(sold), dtype=np.int64)])
    legs = Legs(right, strike, ratio, np.full(len(right), days[0]))
    if not _remains(right, strike, ratio):
        return 0.0
    return max(profile(legs, 0.0).max_loss, 0.0)


def _remains(right: np.ndarray, strike: np.ndarray, ratio: np.ndarray) -> bool:
    """Whether anything is left once a bought option meets a sold one of the same strike, as in a calendar."""
    keys = np.stack([right.astype(np.float64), strike])
    place = np.unique(keys, axis=1, return_inverse=True)[1].ravel()
    return bool(np.bincount(place, weights=ratio).any())
