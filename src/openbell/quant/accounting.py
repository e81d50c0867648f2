"""What a portfolio is worth every day: weights drift, trades cost, a missing price is never zero."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from openbell.core.errors import BadInput
from openbell.quant.costs import trade_costs, turnover

#: Rounds of the fixed point "target weights of what is left after costs"; each gains over three digits.
_ROUNDS = 50


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


def fixed_targets(by_row: Mapping[int, np.ndarray]) -> Targets:
    """Targets known beforehand, by session row."""
    return lambda holdings: by_row.get(holdings.row)


def _checked_prices(name: str, prices: np.ndarray) -> np.ndarray:
    matrix = np.asarray(prices, dtype=np.float64)
    if matrix.ndim != 2:
        raise BadInput(f"`{name}` must have the shape (sessions, names); it had {matrix.ndim} dimension(s).")
    wrong = np.isinf(matrix) | (matrix <= 0)
    if wrong.any():
        row, column = (int(each) for each in np.argwhere(wrong)[0])
        raise BadInput(
            f"`{name}` must be positive and finite, NaN where missing; {int(wrong.sum())} were not, the first at row "
            f"{row}, column {column}: {matrix[row, column]}. Let the quality gate quarantine it."
        )
    return matrix


def _checked_weights(weights: np.ndarray, names: int, row: int) -> np.ndarray:
    array = np.asarray(weights, dtype=np.float64)
    if array.shape != (names,) or not np.isfinite(array).all():
        raise BadInput(f"The targets of row {row} must be {names} finite weights; their shape was {array.shape}.")
    if array.min(initial=0.0) < 0.0 or array.sum() > 1.0 + 1e-9:
        raise BadInput(
            f"The targets of row {row} must be 0 or more and sum to at most 1, the rest being cash; the smallest was "
            f"{array.min():.6g} and the sum {array.sum():.6g}."
        )
    return array


@dataclass(slots=True)
class _State:
    """What changes from session to session. `price` is the last price seen, `stale` the closes missed since."""

    units: np.ndarray
    price: np.ndarray
    stale: np.ndarray
    cash: float

    def notional(self) -> np.ndarray:
        return np.where(self.units > 0, self.units * self.price, 0.0)

    def see(self, prices: np.ndarray) -> None:
        np.copyto(self.price, prices, where=~np.isnan(prices))


def _after_costs(
    weights: np.ndarray, held: np.ndarray, cash: float, tradable: np.ndarray, costs: Callable[[float], float]
) -> tuple[np.ndarray, float]:
    """Notionals after the trade and its cost: target weights of the value that is left once it is paid.

    What cannot be traded stays; the other targets shrink together if cash would not be enough for them.
    """
    before = cash + float(held.sum())
    frozen = float(held[~tradable].sum())
    wanted = np.where(tradable, weights, 0.0)
    total = float(wanted.sum())
    cost = 0.0
    for _ in range(_ROUNDS):
        left = before - cost
        scale = max(min(left, (left - frozen) / total), 0.0) if total > 0 else 0.0
        notional = np.where(tradable, wanted * scale, held)
        paid = costs(float(np.abs(notional - held).sum()))
        if abs(paid - cost) <= 1e-15 * before:
            break
        cost = paid
    return notional, cost


def _rebalance(
    state: _State, row: int, weights: np.ndarray, prices: np.ndarray, costs: Callable[[float], float]
) -> Rebalance:
    """Trade `state` to `weights` at `prices`; names without a price are left alone and named."""
    tradable = ~np.isnan(prices)
    held = state.notional()
    before = state.cash + float(held.sum())
    notional, cost = _after_costs(weights, held, state.cash, tradable, costs)
    stuck = ~tradable & (np.abs(weights - held / before) > 1e-12)
    state.units = np.where(tradable, notional / np.where(tradable, prices, 1.0), state.units)
    after = before - cost
    state.cash = max(after - float(notional.sum()), 0.0)  # full investment leaves -1e-17, which is 0
    return Rebalance(
        row=row,
        weights=notional / after,
        cash_weight=state.cash / after,
        turnover=turnover(notional - held, before),
        cost_usd=cost,
        unfilled=tuple(int(each) for each in np.flatnonzero(stuck)),
    )


def _close(state: _State, closes: np.ndarray, limit: int) -> tuple[np.ndarray, int]:
    """Mark at the close. Returns the columns turned into cash, and how many holdings were carried."""
    missing = np.isnan(closes)
    state.see(closes)
    state.stale = np.where(missing, state.stale + 1, 0)
    gone = (state.units > 0) & (state.stale > limit)
    carried = int(((state.units > 0) & missing & ~gone).sum())
    if gone.any():
        state.cash += float((state.units[gone] * state.price[gone]).sum())
        state.units = np.where(gone, 0.0, state.units)
    return np.flatnonzero(gone), carried


def account(
    targets: Targets,
    closes: np.ndarray,
    opens: np.ndarray | None = None,
    *,
    decide_at: Sequence[int] | None = None,
    capital_usd: float = 1.0,
    commission_bp: float = 1.0,
    slippage_bp: float = 2.0,
    cash_return: float = 0.0,
    staleness_sessions: int = 5,
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
    commission_bp, slippage_bp : of traded notional, through `quant.costs.trade_costs`.
    cash_return : what cash earns per session, fraction. staleness_sessions : missing closes a mark is carried for.

    Returns
    -------
    Account
        Target weights hold exactly on the value left *after* costs, so cash never turns negative. A name without a
        price in the traded session is neither bought nor sold (``Rebalance.unfilled``). A holding whose close is
        missing is marked at its last price; at the first close beyond `staleness_sessions` it becomes cash at that
        price (``Account.vanished``), without a trading cost.

    Raises
    ------
    BadInput
        On prices that are not positive, shapes that differ, targets that are negative, not finite or above 1 in sum.
    """
    marks = _checked_prices("closes", closes)
    fills = marks if opens is None else _checked_prices("opens", opens)
    if fills.shape != marks.shape:
        raise BadInput(f"`opens` and `closes` must have one shape; they had {fills.shape} and {marks.shape}.")
    if not capital_usd > 0:
        raise BadInput(f"`capital_usd` must be above 0; was {capital_usd}.")
    sessions, names = marks.shape
    asked = set(range(sessions) if decide_at is None else decide_at)
    state = _State(np.zeros(names), np.full(names, np.nan), np.zeros(names, dtype=np.int64), float(capital_usd))
    equity, cash = np.empty(sessions), np.empty(sessions)
    rebalances: list[Rebalance] = []
    vanished: list[tuple[int, int]] = []
    carried = 0

    def costs(notional: float) -> float:
        commission, slippage = trade_costs(notional, commission_bp=commission_bp, slippage_bp=slippage_bp)
        return float(commission) + float(slippage)

    for row in range(sessions):
        wanted = None
        if row in asked:
            held = state.notional()
            wanted = targets(Holdings(row, state.cash + float(held.sum()), state.cash, held, equity[:row].copy()))
        state.cash *= 1.0 + cash_return
        if opens is not None and wanted is not None:
            state.see(fills[row])
            rebalances.append(_rebalance(state, row, _checked_weights(wanted, names, row), fills[row], costs))
        gone, late = _close(state, marks[row], staleness_sessions)
        vanished.extend((row, int(column)) for column in gone)
        carried += late
        if opens is None and wanted is not None:
            rebalances.append(_rebalance(state, row, _checked_weights(wanted, names, row), marks[row], costs))
        equity[row], cash[row] = state.cash + float(state.notional().sum()), state.cash
    return Account(float(capital_usd), equity, cash, tuple(rebalances), tuple(vanished), carried)
