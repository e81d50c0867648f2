"""What option positions would have made: every leg priced on every session from entry to exit, after costs."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from openbell.core.errors import BadInput
from openbell.quant import snapping
from openbell.quant.option_positions import Positions, book_of, market_of
from openbell.quant.parameter_grids import Grid
from openbell.quant.snapping import Snapped
from openbell.quant.structures import IRON_BUTTERFLY, IRON_CONDOR
from openbell.quant.surfaces import Surfaces

if TYPE_CHECKING:
    from openbell.quant.option_paths_kernel import Book, Log

#: How a position ended: not closed within the surfaces, or by profit target, stop, time, expiry.
OPEN, TARGET, STOP, TIME, EXPIRY = 0, 1, 2, 3, 4
#: Why it never began, after the codes of `snapping`.
UNPRICED, NO_CREDIT, NO_DEBIT, NO_RISK, NO_PROFIT = -5, -6, -7, -8, -9
NAMES: Mapping[int, str] = MappingProxyType(
    {OPEN: "OPEN", TARGET: "TARGET", STOP: "STOP", TIME: "TIME", EXPIRY: "EXPIRY"}
    | {-1: "NO_EXPIRY", -2: "ZERO_WIDTH", -3: "NO_STRIKE", -4: "NO_QUOTE"}
    | {UNPRICED: "UNPRICED", NO_CREDIT: "NO_CREDIT", NO_DEBIT: "NO_DEBIT", NO_RISK: "NO_RISK", NO_PROFIT: "NO_PROFIT"}
)
REASONS: Mapping[int, str] = MappingProxyType(
    {
        **snapping.REASONS,
        OPEN: "The position is not closed within the sessions that are known.",
        TARGET: "Closed at the profit target.",
        STOP: "Closed at the stop.",
        TIME: "Closed because its expiry was near.",
        EXPIRY: "Held to its (near) expiry.",
        UNPRICED: "A session that it had to be priced on has no surface.",
        NO_CREDIT: "A structure that is sold for a credit gave none after the spread.",
        NO_DEBIT: "A structure that is bought for a debit cost nothing.",
        NO_RISK: "Its largest loss is not above 0, so there is nothing to measure a return on.",
        NO_PROFIT: "Its largest profit is not above 0 after the spread and the commission.",
    }
)
#: Structures that are sold for a credit; the others are bought.
CREDITS = frozenset({IRON_CONDOR, IRON_BUTTERFLY})


@dataclass(frozen=True, slots=True)
class Exits:
    """When a position is closed before its expiry, judged at each close on what closing it would bring.

    Attributes
    ----------
    profit_target_credit, profit_target_debit : gain as a share of the credit or the debit; None: never.
    stop_credit, stop_debit : loss, likewise. exit_days_before_expiry : calendar days before the near expiry.
    """

    profit_target_credit: float | None = 0.5
    profit_target_debit: float | None = 1.0
    stop_credit: float | None = 1.0
    stop_debit: float | None = None
    exit_days_before_expiry: int | None = None

    def __post_init__(self) -> None:
        for name in ("profit_target_credit", "profit_target_debit", "stop_credit", "stop_debit"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise BadInput(f"`{name}` must be above 0, or left out; was {value}.")


@dataclass(frozen=True, slots=True)
class Costs:
    """`commission_usd` per contract and side; `spread_fraction` of the half-spread paid on each fill, 1 is bid or ask.

    `multiplier` is USD per point.
    """

    commission_usd: float = 0.65
    spread_fraction: float = 1.0
    multiplier: float = 100.0

    def __post_init__(self) -> None:
        if not 0 <= self.spread_fraction <= 1:
            raise BadInput(f"`spread_fraction` must lie in [0, 1]; was {self.spread_fraction}.")
        if not self.commission_usd >= 0 or not self.multiplier > 0:
            raise BadInput(
                "A commission cannot be negative and a multiplier must be above 0; "
                f"were {self.commission_usd} and {self.multiplier}."
            )


@dataclass(frozen=True, slots=True, eq=False)
class Outcomes:
    """What became of each position, (p,), of one unit of it (its ratios, once).

    Attributes
    ----------
    pnl_usd : after spread and commissions; NaN unless it was closed. premium : points, a debit is positive, NaN where
        it could not be priced.
    max_loss_usd, max_profit_usd : at entry, the commission of the entry included, positive, possibly inf. With several
        expiries the loss holds far legs at their intrinsic value (a calendar loses its debit), and the profit is the
        value at the near expiry on a near strike by the surface of the entry.
    exit : row of the exit, -1 where there is none. held_sessions : from entry to exit, -1.
    reason : int8, a key of `REASONS`. unmarked : sessions without a surface, on which no exit could be judged.
    marks : (p, h) profit if closed at the close `h` sessions after the entry, costs included, the last one the
        outcome, NaN after it; no columns unless asked for.
    """

    pnl_usd: np.ndarray
    premium: np.ndarray
    max_loss_usd: np.ndarray
    max_profit_usd: np.ndarray
    exit: np.ndarray
    reason: np.ndarray
    held_sessions: np.ndarray
    unmarked: np.ndarray
    marks: np.ndarray = field(default_factory=lambda: np.empty((0, 0)))

    @property
    def return_on_risk(self) -> np.ndarray:
        """Profit per USD of largest loss, (p,); NaN unless closed, or where the loss is unlimited."""
        finite = np.isfinite(self.max_loss_usd)
        empty = np.full(len(self.pnl_usd), np.nan)
        return np.asarray(np.divide(self.pnl_usd, self.max_loss_usd, out=empty, where=finite))

    def counted(self) -> dict[str, int]:
        """How many positions ended, or were refused, for which reason."""
        codes, counts = np.unique(self.reason, return_counts=True)
        return {NAMES[int(code)]: int(count) for code, count in zip(codes, counts, strict=True)}


def positions(grid: Grid, snapped_to: Snapped, entry: np.ndarray) -> Positions:
    """The positions of every day and parameter set, day by day, as `simulate` takes them: p days, c sets, p·c rows.

    Parameters
    ----------
    entry : (p,) row of the fill of each day.
    """
    days, sets, legs = snapped_to.strike.shape
    flat = (days * sets, legs)
    return Positions(
        entry=np.repeat(np.asarray(entry, dtype=np.int64), sets),
        strike=snapped_to.strike.reshape(flat),
        right=np.broadcast_to(grid.right, flat),
        ratio=np.broadcast_to(grid.ratio, flat),
        expiry=snapped_to.row.reshape(flat),
        expiry_date=snapped_to.date.reshape(flat),
        am=snapped_to.am.reshape(flat),
        due=np.full(days * sets, 1 if grid.structure in CREDITS else -1, dtype=np.int8),
        refused=snapped_to.reason.reshape(days * sets),
    )


def simulate(
    surfaces: Surfaces,
    held: Positions,
    exits: Exits | None = None,
    costs: Costs | None = None,
    *,
    american: bool = False,
    marks: bool = False,
    jobs: int = 1,
) -> Outcomes:
    """Walk each position from its fill to its exit on the surfaces of those sessions.

    Every leg is filled at the close of the entry session on its side of the spread (or the stated fraction of it), and
    marked at each close after it at what closing it would bring. The first close at which that meets the profit
    target, the stop or the time exit (in this order) is the exit, at that mark. Otherwise the legs of the first expiry
    settle in cash on the close of that session (on ``surfaces.settle``, the open, where they settle in the morning)
    and what expires later is closed on the same session at its bid or ask. Each contract pays the commission when it
    is traded and when it settles with a value; one that expires worthless pays none.

    Parameters
    ----------
    exits, costs : the defaults if None.
    american : an option is then never worth less than its intrinsic value. Nobody is assigned early here: a short
        option deep in the money before an ex-date is the back-test's to assign.
    marks : whether to keep every mark. jobs : threads; the result does not depend on it.

    Returns
    -------
    Outcomes
        A position that has no surface at its entry, no bid on a leg, no credit (or debit) where one is due, nothing to
        lose or nothing to win has a reason below 0 and NaN. A session without a surface within its life judges no exit
        and is counted; on the session of a near expiry with a far leg to sell the position is ``UNPRICED``.

    Raises
    ------
    BadInput
        On shapes that differ, an underlying leg, more than one expiry beyond the near one being unknown without dates.
    """
    from openbell.quant.option_paths_kernel import Log, Rules, walk

    rules_of, cost = exits or Exits(), costs or Costs()
    market, book = market_of(surfaces, american), book_of(surfaces, held)
    rules = Rules(
        _share(rules_of.profit_target_credit),
        _share(rules_of.profit_target_debit),
        _share(rules_of.stop_credit),
        _share(rules_of.stop_debit),
        -1.0 if rules_of.exit_days_before_expiry is None else float(rules_of.exit_days_before_expiry),
        float(cost.commission_usd),
        float(cost.spread_fraction),
        float(cost.multiplier),
    )
    count = len(held)
    log = Log(
        np.full(count, np.nan),
        np.full(count, np.nan),
        np.full(count, np.nan),
        np.full(count, np.nan),
        np.full(count, -1, dtype=np.int64),
        np.zeros(count, dtype=np.int8),
        np.zeros(count, dtype=np.int64),
        np.full((count, _longest(book, len(market.day)) if marks else 0), np.nan),
    )
    slices = list(itertools.pairwise(np.linspace(0, count, max(1, min(jobs, count)) + 1).astype(int).tolist()))
    if len(slices) == 1:
        walk(market, book, rules, log, *slices[0])
        return _outcomes(log, book)
    with ThreadPoolExecutor(len(slices)) as pool:
        for each in [pool.submit(walk, market, book, rules, log, *part) for part in slices]:
            each.result()
    return _outcomes(log, book)


def bounds(
    surfaces: Surfaces, held: Positions, premium: np.ndarray, costs: Costs | None = None, *, american: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Largest loss and profit of positions bought or sold at a stated premium, USD, as in `Outcomes`.

    Parameters
    ----------
    premium : (p,) points, a debit is positive.

    Returns
    -------
    tuple of numpy.ndarray
        Loss and profit, (p,) each, commissions of the entry included; NaN for what is `refused`.
    """
    from openbell.quant.option_paths_kernel import bound

    cost = costs or Costs()
    loss, profit = np.full(len(held), np.nan), np.full(len(held), np.nan)
    book = book_of(surfaces, held)
    bound(market_of(surfaces, american), book, np.array(premium, dtype=np.float64), loss, profit)
    paid = cost.commission_usd * np.abs(book.ratio).sum(axis=1)
    had = book.refused == 0
    return (
        np.where(had, loss * cost.multiplier + paid, np.nan),
        np.where(had, profit * cost.multiplier - paid, np.nan),
    )


def _share(value: float | None) -> float:
    return float("inf") if value is None else float(value)


def _longest(book: Book, sessions: int) -> int:
    """Columns that the marks of the longest-lived position need."""
    last = np.minimum(np.where(book.ratio != 0, book.expiry, 2**62).min(axis=1), sessions - 1)
    alive = (book.refused == 0) & (book.entry < sessions)
    return int(max((last - book.entry)[alive].max(initial=0), 0)) + 1


def _outcomes(log: Log, book: Book) -> Outcomes:
    closed = log.exit >= 0
    return Outcomes(
        pnl_usd=log.pnl,
        premium=log.premium,
        max_loss_usd=log.max_loss,
        max_profit_usd=log.max_profit,
        exit=log.exit,
        reason=log.reason,
        held_sessions=np.where(closed, log.exit - book.entry, -1),
        unmarked=log.unmarked,
        marks=log.marks,
    )
