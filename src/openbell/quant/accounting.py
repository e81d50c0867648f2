"""What a portfolio is worth every day: weights drift, trades cost, a missing price is never zero."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from openbell.core.errors import BadInput
from openbell.quant.accounting_inputs import (
    checked_liquidity,
    checked_rows,
    checked_terms,
    checked_weights,
    locked,
    opened,
)

if TYPE_CHECKING:
    from openbell.quant.accounting_kernel import Book, Log, Plan, Terms


@dataclass(frozen=True, slots=True, eq=False)
class Holdings:
    """What is held when a rebalance is decided: marked at the last close, before the trade.

    Attributes
    ----------
    row : the session about to be traded. value_usd : cash plus all marks. cash_usd : cash.
    notional_usd : marked value of each name, shape (m,); 0 where nothing is held.
    past_equity_usd : value at every close so far, shape (row,).
    """

    row: int
    value_usd: float
    cash_usd: float
    notional_usd: np.ndarray
    past_equity_usd: np.ndarray

    @property
    def weights(self) -> np.ndarray:
        """Drifted weight of each name, shape (m,); cash is the rest."""
        return self.notional_usd / self.value_usd


#: Weights for the session about to be traded, shape (m,), or None to hold what is held.
Targets = Callable[[Holdings], np.ndarray | None]


@dataclass(frozen=True, slots=True, eq=False)
class Rebalance:
    """One rebalance as it was traded.

    Attributes
    ----------
    row : session traded. weights : after the trade, of the value after costs, shape (m,). cash_weight : the rest.
    turnover : one-sided, traded notional over twice the value before (S2.09). cost_usd : commission and slippage.
    unfilled : columns whose target differed from the holding but which had no price to trade at.
    """

    row: int
    weights: np.ndarray
    cash_weight: float
    turnover: float
    cost_usd: float
    unfilled: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Account:
    """A portfolio through time.

    Attributes
    ----------
    capital_usd : value at the close before the first session.
    equity_usd, cash_usd : at each close, shape (n,). rebalances : in order.
    vanished : (row, column) of each holding turned into cash because its price was missing for too long.
    carried : position-days marked at an older price. without_impact : trades whose volatility or volume was unknown, so
        that they paid no impact though it was asked for.
    """

    capital_usd: float
    equity_usd: np.ndarray
    cash_usd: np.ndarray
    rebalances: tuple[Rebalance, ...]
    vanished: tuple[tuple[int, int], ...]
    carried: int
    without_impact: int = 0

    @property
    def curve_usd(self) -> np.ndarray:
        """Capital, then the value at each close, shape (n + 1,)."""
        return np.concatenate([[self.capital_usd], self.equity_usd])

    @property
    def returns(self) -> np.ndarray:
        """Simple return of each session, costs included, shape (n,)."""
        curve = self.curve_usd
        return np.asarray(curve[1:] / curve[:-1] - 1.0)

    @property
    def turnovers(self) -> np.ndarray:
        """One-sided turnover of each rebalance, shape (k,)."""
        return np.array([each.turnover for each in self.rebalances], dtype=np.float64)

    @property
    def cost_usd(self) -> float:
        """All commissions and slippage paid."""
        return float(sum(each.cost_usd for each in self.rebalances))


@dataclass(frozen=True, slots=True, eq=False)
class Accounts:
    """Many portfolios through the same sessions.

    Attributes
    ----------
    capital_usd : value of each at the close before the first session.
    equity_usd, cash_usd : at each close, shape (k, n).
    traded : where weights were given and not held, shape (k, r). turnover : one-sided (S2.09), 0 where held, (k, r).
    cost_usd : commission, half-spread and impact of each rebalance, (k, r).
    unfilled : targets without a price to trade at, (k, r). without_impact : trades whose volatility or volume was
        unknown, so that they paid no impact though it was asked for, (k, r).
    carried : position-days marked at an older price, (k,). vanished : (portfolio, row, column) of each holding that
        was turned into cash because its price was missing for too long.
    """

    capital_usd: float
    equity_usd: np.ndarray
    cash_usd: np.ndarray
    traded: np.ndarray
    turnover: np.ndarray
    cost_usd: np.ndarray
    unfilled: np.ndarray
    without_impact: np.ndarray
    carried: np.ndarray
    vanished: tuple[tuple[int, int, int], ...]

    @property
    def curve_usd(self) -> np.ndarray:
        """Capital, then the value at each close, shape (k, n + 1)."""
        return np.concatenate([np.full((len(self.equity_usd), 1), self.capital_usd), self.equity_usd], axis=1)

    @property
    def returns(self) -> np.ndarray:
        """Simple return of each session, costs included, shape (k, n)."""
        curve = self.curve_usd
        return np.asarray(curve[:, 1:] / curve[:, :-1] - 1.0)

    @property
    def turnovers(self) -> np.ndarray:
        """Turnover of each rebalance, NaN where it held what was held, shape (k, r)."""
        return np.where(self.traded, self.turnover, np.nan)


def fixed_targets(by_row: Mapping[int, np.ndarray]) -> Targets:
    """Targets known beforehand, by session row."""
    return lambda holdings: by_row.get(holdings.row)


def _run(book: Book, plan: Plan, log: Log, terms: Terms, start: int, stop: int) -> list[tuple[int, int]]:
    """Move `book` over the sessions `start` to `stop`; what vanished."""
    from openbell.quant.accounting_kernel import UNPAID, run

    gone = run(book, plan, log, terms, start, stop)
    if book.counts[UNPAID] >= 0:
        raise BadInput(
            f"The trade of row {book.counts[UNPAID]} would cost more than the account is worth. Is the capital beyond "
            "what these names trade in a day, or `volume_usd` in another unit?"
        )
    return [(int(row), int(column)) for row, column in gone]


def accounts(
    weights: np.ndarray,
    rows: Sequence[int] | np.ndarray,
    closes: np.ndarray,
    opens: np.ndarray | None = None,
    *,
    capital_usd: float = 1.0,
    commission_bp: float = 1.0,
    slippage_bp: float = 2.0,
    impact: float = 0.0,
    volatility: np.ndarray | None = None,
    volume_usd: np.ndarray | None = None,
    cash_return: float | np.ndarray = 0.0,
    staleness_sessions: int = 5,
    delisting_return: float = 0.0,
) -> Accounts:
    """Equity of many portfolios whose weights are known beforehand: the rules, and the numbers, of `account`.

    Parameters
    ----------
    weights : shape (k, r, m): for each portfolio and rebalance the weight of each name, 0 or more, sum at most 1, the
        rest cash. A row of NaN holds what is held.
    rows : session of each rebalance, rising strictly, shape (r,).
    all others : as in `account`. With an `impact` the `capital_usd` must be the real capital.

    Returns
    -------
    Accounts
        A trade whose volatility or volume is unknown pays no impact and is counted in ``without_impact``.

    Raises
    ------
    BadInput
        As `account`; on shapes that differ; on a trade that would cost more than the account is worth.
    """
    from openbell.quant.accounting_kernel import CARRIED, Log, Plan

    terms = checked_terms(
        closes, opens, commission_bp, slippage_bp, impact, cash_return, staleness_sessions, delisting_return
    )
    (sessions, names), places = terms.closes.shape, checked_rows(rows, len(terms.closes))
    cube = locked(weights)
    if cube.ndim != 3:
        raise BadInput(
            f"`weights` must have the shape (portfolios, rebalances, names); it had {cube.ndim} dimension(s)."
        )
    checked_weights(cube, places, names)
    known = checked_liquidity(volatility, volume_usd, places, names, impact)
    size, marks = (len(cube), len(places)), (len(cube), sessions)
    equity, cash, turnover, cost = np.empty(marks), np.empty(marks), np.zeros(size), np.zeros(size)
    unfilled, unmeasured = np.zeros(size, dtype=np.int64), np.zeros(size, dtype=np.int64)
    carried, vanished = np.zeros(len(cube), dtype=np.int64), []
    for k in range(len(cube)):
        book, plan = opened(names, capital_usd), Plan(places, cube[k], *known)
        log = Log(equity[k], cash[k], turnover[k], cost[k], unfilled[k], unmeasured[k])
        vanished += [(k, row, column) for row, column in _run(book, plan, log, terms, 0, sessions)]
        carried[k] = book.counts[CARRIED]
    traded = ~np.isnan(cube[:, :, 0])
    return Accounts(
        float(capital_usd), equity, cash, traded, turnover, cost, unfilled, unmeasured, carried, tuple(vanished)
    )


def account(
    targets: Targets,
    closes: np.ndarray,
    opens: np.ndarray | None = None,
    *,
    decide_at: Sequence[int] | None = None,
    capital_usd: float = 1.0,
    commission_bp: float = 1.0,
    slippage_bp: float = 2.0,
    impact: float = 0.0,
    volatility: np.ndarray | None = None,
    volume_usd: np.ndarray | None = None,
    cash_return: float | np.ndarray = 0.0,
    staleness_sessions: int = 5,
    delisting_return: float = 0.0,
) -> Account:
    """Equity of a portfolio that is marked at every close and traded when its targets say so.

    Parameters
    ----------
    targets : called with the holdings before each session of `decide_at`; gives weights, shape (m,), or None.
    closes, opens : total-return prices, shape (n, m), NaN where missing. With `opens`, old weights earn the last close
        to the open, the trade happens at the open, and new weights earn open to close. Without, everything happens at
        the close: new weights start to earn after it.
    decide_at : rows at which `targets` is asked; all rows if None.
    capital_usd : cash before the first session.
    commission_bp, slippage_bp : of traded notional, as in `quant.costs.trade_costs`.
    impact : coefficient of the square-root impact, see there; 0 is none. With it these are needed, a row for each of
        `decide_at`, rising, NaN (or a volume of 0) where unknown: volatility : daily, fraction, known before the
        session, shape (r, m); volume_usd : traded per day, shape (r, m).
    cash_return : what cash earns per session, fraction, one number or shape (n,).
    staleness_sessions : missing closes a mark is carried for. delisting_return : of a holding that is given up then, on
        its last price; -0.3 is a loss of 30 %.

    Returns
    -------
    Account
        Target weights hold exactly on the value left *after* costs, so cash never turns negative. A name without a
        price in the traded session is neither bought nor sold (``Rebalance.unfilled``). A holding whose close is
        missing is marked at its last price; at the first close beyond `staleness_sessions` it becomes cash at that
        price times ``1 + delisting_return`` (``Account.vanished``), without a trading cost.

    Raises
    ------
    BadInput
        On prices that are not positive, shapes that differ, targets that are negative, not finite or above 1 in sum,
        rows outside the sessions.
    """
    from openbell.quant.accounting_kernel import CARRIED, Log, Plan

    terms = checked_terms(
        closes, opens, commission_bp, slippage_bp, impact, cash_return, staleness_sessions, delisting_return
    )
    sessions, names = terms.closes.shape
    asked = checked_rows(range(sessions) if decide_at is None else sorted(set(decide_at)), sessions)
    known = checked_liquidity(volatility, volume_usd, asked, names, impact)
    book, none = opened(names, capital_usd), locked(np.empty((0, 0)))
    equity, cash = np.empty(sessions), np.empty(sessions)
    log = Log(equity, cash, np.zeros(1), np.zeros(1), np.zeros(1, dtype=np.int64), np.zeros(1, dtype=np.int64))
    idle = Plan(np.empty(0, dtype=np.int64), locked(np.empty((0, names))), none, none)
    stops = [*asked.tolist(), sessions]
    vanished = _run(book, idle, log, terms, 0, stops[0])
    rebalances, without_impact = list[Rebalance](), 0
    for at, (row, until) in enumerate(itertools.pairwise(stops)):
        wanted = _asked(targets, row, book, equity[:row])
        if wanted is None:
            vanished += _run(book, idle, log, terms, row, until)
            continue
        plan = Plan(asked[at : at + 1], wanted, *(each[at : at + 1] for each in known))
        vanished += _run(book, plan, log, terms, row, until)
        rebalances.append(_rebalance(row, book, log))
        without_impact += int(log.unmeasured[0])
    return Account(
        capital_usd=float(capital_usd),
        equity_usd=equity,
        cash_usd=cash,
        rebalances=tuple(rebalances),
        vanished=tuple(vanished),
        carried=int(book.counts[CARRIED]),
        without_impact=without_impact,
    )


def _asked(targets: Targets, row: int, book: Book, past_equity_usd: np.ndarray) -> np.ndarray | None:
    """What `targets` says before the session `row`, checked, shape (1, m); None to hold."""
    from openbell.quant.accounting_kernel import CASH

    held, cash = book.units * book.price, float(book.purse[CASH])
    wanted = targets(Holdings(row, cash + float(held.sum()), cash, held, past_equity_usd.copy()))
    if wanted is None:
        return None
    one, names = locked(wanted)[None], len(held)
    if one.shape != (1, names) or not np.isfinite(one).all():
        raise BadInput(f"The targets of row {row} must be {names} finite weights; their shape was {one.shape[1:]}.")
    checked_weights(one[None], np.array([row]), names)
    return one


def _rebalance(row: int, book: Book, log: Log) -> Rebalance:
    """The last trade of `book`."""
    from openbell.quant.accounting_kernel import AFTER

    after = float(book.purse[AFTER])
    return Rebalance(
        row=row,
        weights=book.notional / after,
        cash_weight=max(after - float(book.notional.sum()), 0.0) / after,
        turnover=float(log.turnover[0]),
        cost_usd=float(log.cost[0]),
        unfilled=tuple(int(each) for each in np.flatnonzero(book.stuck)),
    )
