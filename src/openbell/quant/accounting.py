"""What a portfolio is worth every day: weights drift, trades cost, a missing price is never zero."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from openbell.core.errors import BadInput
from openbell.quant.costs import cost_rate

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
    carried : position-days marked at an older price.
    """

    capital_usd: float
    equity_usd: np.ndarray
    cash_usd: np.ndarray
    rebalances: tuple[Rebalance, ...]
    vanished: tuple[tuple[int, int], ...]
    carried: int

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


def _locked(values: np.ndarray) -> np.ndarray:
    """`values` as the kernel takes them: contiguous and read-only, whatever they were, so that it is compiled once."""
    view = np.ascontiguousarray(values, dtype=np.float64).view()
    view.flags.writeable = False
    return view


def _checked_prices(name: str, prices: np.ndarray) -> np.ndarray:
    matrix = _locked(prices)
    if np.ndim(prices) != 2:
        raise BadInput(f"`{name}` must have the shape (sessions, names); it had {np.ndim(prices)} dimension(s).")
    if not matrix.shape[1]:
        raise BadInput(f"`{name}` must hold the prices of at least 1 name; it held none.")
    wrong = np.isinf(matrix) | (matrix <= 0)
    if wrong.any():
        row, column = (int(each) for each in np.argwhere(wrong)[0])
        raise BadInput(
            f"`{name}` must be positive and finite, NaN where missing; {int(wrong.sum())} were not, the first at row "
            f"{row}, column {column}: {matrix[row, column]}. Let the quality gate quarantine it."
        )
    return matrix


def _terms(
    closes: np.ndarray,
    opens: np.ndarray | None,
    commission_bp: float,
    slippage_bp: float,
    impact: float,
    cash_return: float | np.ndarray,
    staleness_sessions: int,
    delisting_return: float,
) -> Terms:
    """What all portfolios share, checked."""
    from openbell.quant.accounting_kernel import Terms

    marks = _checked_prices("closes", closes)
    fills = marks if opens is None else _checked_prices("opens", opens)
    if fills.shape != marks.shape:
        raise BadInput(f"`opens` and `closes` must have one shape; they had {fills.shape} and {marks.shape}.")
    if np.shape(cash_return) not in {(), (len(marks),)}:
        raise BadInput(
            f"`cash_return` must be one number or one for each of the {len(marks)} sessions; its shape was "
            f"{np.shape(cash_return)}."
        )
    earned = _locked(np.broadcast_to(np.asarray(cash_return, dtype=np.float64), len(marks)))
    if not (np.isfinite(earned) & (earned > -1)).all():
        raise BadInput("`cash_return` must be finite fractions per session above -1; one was not.")
    if not (np.isfinite(delisting_return) and delisting_return >= -1):
        raise BadInput(f"`delisting_return` must be a fraction of -1 or more; was {delisting_return}.")
    if not (np.isfinite(impact) and impact >= 0):
        raise BadInput(f"`impact` must be 0 or more; was {impact}.")
    if staleness_sessions < 0:
        raise BadInput(f"`staleness_sessions` must be 0 or more; was {staleness_sessions}.")
    rate = cost_rate(commission_bp, slippage_bp)
    return Terms(
        marks, fills, opens is not None, earned, int(staleness_sessions), float(delisting_return), rate, float(impact)
    )


def _checked_rows(rows: Sequence[int] | np.ndarray, sessions: int) -> np.ndarray:
    places = np.asarray(rows, dtype=np.int64)
    if places.ndim != 1 or (np.diff(places) <= 0).any() or (places < 0).any() or (places >= sessions).any():
        raise BadInput(
            f"The rows of the rebalances must rise strictly and lie in 0 to {sessions - 1}; they were "
            f"{places.tolist()}."
        )
    return places


def _checked_weights(weights: np.ndarray, rows: np.ndarray, names: int) -> np.ndarray:
    """Weights of many portfolios, shape (k, r, m), whose rows are all NaN or 0 or more with a sum of at most 1."""
    if weights.shape[1:] != (len(rows), names):
        raise BadInput(
            f"The targets must be {names} finite weights for each rebalance; their shape was {weights.shape}."
        )
    sums, least = weights.sum(axis=2), weights.min(axis=2, initial=0.0)
    strange = ~np.isfinite(sums)
    for k, r in np.argwhere(strange):
        if not np.isnan(weights[k, r]).all():
            raise BadInput(f"The targets of row {rows[r]} must be {names} finite weights, or all NaN to hold.")
    wrong = ~strange & ((least < 0.0) | (sums > 1.0 + 1e-9))
    if wrong.any():
        k, r = (int(each) for each in np.argwhere(wrong)[0])
        raise BadInput(
            f"The targets of row {rows[r]} must be 0 or more and sum to at most 1, the rest being cash; the smallest "
            f"was {least[k, r]:.6g} and the sum {sums[k, r]:.6g}."
        )
    return weights


def _liquidity(name: str, values: np.ndarray | None, rows: np.ndarray, names: int, impact: float) -> np.ndarray:
    """Volatility or volume at each rebalance; an empty row each where there is no impact to compute."""
    if impact == 0:
        return _locked(np.empty((len(rows), 0)))
    if values is None:
        raise BadInput(f"An `impact` of {impact} needs `volatility` and `volume_usd`; there was no `{name}`.")
    matrix = _locked(values)
    if matrix.shape != (len(rows), names):
        raise BadInput(f"`{name}` must have the shape {(len(rows), names)}; it was {matrix.shape}.")
    if (np.isinf(matrix) | (matrix < 0)).any():
        raise BadInput(f"`{name}` must be 0 or more and finite, NaN where unknown; one was not.")
    return matrix


def _opened(names: int, capital_usd: float) -> Book:
    from openbell.quant.accounting_kernel import Book

    if not (np.isfinite(capital_usd) and capital_usd > 0):
        raise BadInput(f"`capital_usd` must be above 0; was {capital_usd}.")
    return Book(
        units=np.zeros(names),
        price=np.zeros(names),
        notional=np.zeros(names),
        held=np.zeros(names, dtype=np.int64),
        stuck=np.zeros(names, dtype=np.bool_),
        purse=np.array([capital_usd, capital_usd], dtype=np.float64),
        counts=np.array([0, 0, -1, -1], dtype=np.int64),
    )


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
    closes, opens, capital_usd, commission_bp, slippage_bp, cash_return, staleness_sessions, delisting_return : as in
        `account`.
    impact : coefficient of the square-root impact, see `quant.costs.trade_costs`; 0 is none. With it `capital_usd` must
        be the real capital, and these are needed: volatility : daily, fraction, known before the session, shape (r, m);
        volume_usd : traded per day, shape (r, m). NaN or a volume of 0 where unknown.

    Returns
    -------
    Accounts
        A trade whose volatility or volume is unknown pays no impact and is counted in ``without_impact``.

    Raises
    ------
    BadInput
        As `account`; on shapes that differ; on a trade that would cost more than the account is worth.

    References
    ----------
    Almgren, Thum, Hauptmann and Li (2005), Direct estimation of equity market impact. Torre (1997), Barra market
    impact model handbook.
    """
    from openbell.quant.accounting_kernel import CARRIED, Log, Plan

    terms = _terms(closes, opens, commission_bp, slippage_bp, impact, cash_return, staleness_sessions, delisting_return)
    (sessions, names), places = terms.closes.shape, _checked_rows(rows, len(terms.closes))
    cube = _locked(weights)
    if cube.ndim != 3:
        raise BadInput(
            f"`weights` must have the shape (portfolios, rebalances, names); it had {cube.ndim} dimension(s)."
        )
    _checked_weights(cube, places, names)
    liquidity = [
        _liquidity(name, values, places, names, impact)
        for name, values in (("volatility", volatility), ("volume_usd", volume_usd))
    ]
    size, marks = (len(cube), len(places)), (len(cube), sessions)
    equity, cash, turnover, cost = np.empty(marks), np.empty(marks), np.zeros(size), np.zeros(size)
    unfilled, unmeasured = np.zeros(size, dtype=np.int64), np.zeros(size, dtype=np.int64)
    carried, vanished = np.zeros(len(cube), dtype=np.int64), []
    for k in range(len(cube)):
        book, plan = _opened(names, capital_usd), Plan(places, cube[k], *liquidity)
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
    from openbell.quant.accounting_kernel import CARRIED, CASH, Log, Plan

    terms = _terms(closes, opens, commission_bp, slippage_bp, 0.0, cash_return, staleness_sessions, delisting_return)
    sessions, names = terms.closes.shape
    asked = _checked_rows(range(sessions) if decide_at is None else sorted(set(decide_at)), sessions)
    book, none = _opened(names, capital_usd), _locked(np.empty((1, 0)))
    equity, cash = np.empty(sessions), np.empty(sessions)
    log = Log(equity, cash, np.zeros(1), np.zeros(1), np.zeros(1, dtype=np.int64), np.zeros(1, dtype=np.int64))
    idle = Plan(np.empty(0, dtype=np.int64), _locked(np.empty((0, names))), none, none)
    stops = [*asked.tolist(), sessions]
    vanished = _run(book, idle, log, terms, 0, stops[0])
    rebalances: list[Rebalance] = []
    for row, until in itertools.pairwise(stops):
        held = book.units * book.price
        wanted = targets(
            Holdings(row, float(book.purse[CASH] + held.sum()), float(book.purse[CASH]), held, equity[:row].copy())
        )
        if wanted is None:
            vanished += _run(book, idle, log, terms, row, until)
            continue
        one = _locked(wanted)[None]
        if one.shape != (1, names) or not np.isfinite(one).all():
            raise BadInput(f"The targets of row {row} must be {names} finite weights; their shape was {one.shape[1:]}.")
        place = np.array([row], dtype=np.int64)
        _checked_weights(one[None], place, names)
        vanished += _run(book, Plan(place, one, none, none), log, terms, row, until)
        rebalances.append(_rebalance(row, book, log))
    return Account(float(capital_usd), equity, cash, tuple(rebalances), tuple(vanished), int(book.counts[CARRIED]))


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
