"""What following signals is worth: in at the next open, stops and targets inside the bars, marked at every close."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from openbell.core.errors import BadInput
from openbell.core.signal import Call
from openbell.quant.costs import cost_rate
from openbell.quant.signal_exits import DATA_END, REASONS, STOP, TARGET, TIME, exits

if TYPE_CHECKING:
    from openbell.quant.signal_account_kernel import Ledger

#: Columns that a bar needs; sorted by (symbol, at).
BAR_NEEDS = ("symbol", "session", "at", "open", "high", "low", "close")
#: What became of an order to enter, in the order of the kernel's numbers.
OUTCOMES: Mapping[str, str] = {
    "taken": "entered",
    "held": "came while a position of the same side was held, and changed nothing",
    "outvoted": "spoke against a position that was surer by the margin, and changed nothing",
    "closed": "closed a contrary position without being sure enough to reverse it",
    "full": "found as many positions open as there may be",
    "no_room": "found no room within the exposure that is allowed",
    "after_ruin": "came after the account had lost everything",
}
#: How a position ended beside the reasons of `quant.signal_exits`.
CONTRARY, VANISHED, OPEN, SESSION = "contrary", "vanished", "open", "session"
DAYS_PER_YEAR = 365.0


@dataclass(frozen=True, slots=True)
class Rules:
    """How signals are followed.

    Attributes
    ----------
    horizon_bars : base bars a position lasts at most. exit_at : ``open`` leaves at the open after them, as the label
        ``direction`` counts; ``close`` at the close of the last, as ``barrier`` does.
    overnight : whether a position may outlive its session; bars within the session say False.
    max_positions : open at once. conflict_margin : how much surer a contrary signal must be to reverse a position.
    max_gross : exposure over equity at an entry, 1 is no leverage. short : whether SELL opens a short position.
    commission_bp, slippage_bp : of the value of each side. borrow_annual : of the value of a short, per year, for every
        calendar night. staleness_sessions : sessions without a bar after which a holding is given up at its last price,
        which `delisting_return` then worsens, for either side. capital_usd : cash it begins with; it earns nothing.
    """

    horizon_bars: int
    exit_at: str = "open"
    overnight: bool = True
    max_positions: int = 10
    conflict_margin: float = 0.10
    max_gross: float = 1.0
    short: bool = True
    commission_bp: float = 1.0
    slippage_bp: float = 2.0
    borrow_annual: float = 0.01
    staleness_sessions: int = 5
    delisting_return: float = 0.0
    capital_usd: float = 100_000.0

    def __post_init__(self) -> None:
        cost_rate(self.commission_bp, self.slippage_bp)
        if self.exit_at not in ("open", "close"):
            raise BadInput(f"`exit_at` is `open` or `close`; was {self.exit_at!r}.")
        least = {"horizon_bars": 1, "max_positions": 1, "staleness_sessions": 0, "conflict_margin": 0.0}
        for name, bound in {**least, "borrow_annual": 0.0}.items():
            if not getattr(self, name) >= bound:
                raise BadInput(f"`{name}` must be at least {bound}; was {getattr(self, name)}.")
        for name in ("max_gross", "capital_usd"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise BadInput(f"`{name}` must be finite and above 0; was {getattr(self, name)}.")
        if not -1.0 <= self.delisting_return <= 0.0:
            raise BadInput(f"`delisting_return` lies in [-1, 0]; was {self.delisting_return}.")


def sized(
    rows: pl.DataFrame, *, barrier: float, horizon_bars: int, risk: float, most: float, reward: float
) -> pl.DataFrame:
    """`rows` with ``side``, ``stop_price``, ``target_price`` and ``fraction``: what the desk writes on a signal.

    Parameters
    ----------
    rows : ``call``, ``close`` (USD) and ``sigma`` (of one base bar).
    barrier : stop and target lie so many volatilities of the horizon away. risk : part of the account that the stop
        costs. most : largest part of the account. reward : least distance of the target in distances of the stop.

    Returns
    -------
    polars.DataFrame
        ``side`` 1 for BUY, -1 for SELL, 0 for HOLD and for a null; the others null there, and where `sigma` is null or
        not above 0, since there is no stop to size by.
    """
    away = barrier * pl.col("sigma") * math.sqrt(horizon_bars)
    side = pl.when(call=Call.BUY.value).then(1).when(call=Call.SELL.value).then(-1).otherwise(0).cast(pl.Int8)
    stop, target = pl.min_horizontal(away, 0.99), pl.min_horizontal(pl.max_horizontal(away, away * reward), 0.99)
    known = (pl.col("side") != 0) & (pl.col("sigma") > 0) & pl.col("sigma").is_finite()
    return rows.with_columns(side.alias("side")).with_columns(
        pl.when(known).then(pl.col("close") * (1.0 - pl.col("side") * stop)).alias("stop_price"),
        pl.when(known).then(pl.col("close") * (1.0 + pl.col("side") * target)).alias("target_price"),
        pl.when(known).then(pl.min_horizontal(risk / away, most)).alias("fraction"),
    )


@dataclass(frozen=True, eq=False)
class BarRows:
    """Base bars of several symbols as arrays, row by row in the order (symbol, at)."""

    frame: pl.DataFrame

    def __post_init__(self) -> None:
        missing = [name for name in BAR_NEEDS if name not in self.frame.columns]
        if missing:
            raise BadInput(f"The bars lack the column {', '.join(missing)}; they have {', '.join(self.frame.columns)}.")
        symbol, at = pl.col("symbol"), pl.col("at")
        later = (symbol > symbol.shift()) | ((symbol == symbol.shift()) & (at > at.shift()))
        if not self.frame.select(later.fill_null(value=True).all()).item():
            raise BadInput("Bars must be sorted by symbol and time, each bar once; these were not.")

    @cached_property
    def moments(self) -> pl.Series:
        """Every moment at which any bar ends, in order."""
        return self.frame["at"].unique().sort()

    @cached_property
    def sessions(self) -> pl.Series:
        """Every session, in order."""
        return self.frame["session"].unique().sort()

    @cached_property
    def symbols(self) -> int:
        """How many symbols there are."""
        return self.frame["symbol"].n_unique()

    @cached_property
    def moment(self) -> np.ndarray:
        """Place of each row's moment among `moments`."""
        return self._place("at")

    @cached_property
    def session(self) -> np.ndarray:
        """Place of each row's session among `sessions`."""
        return self._place("session")

    @cached_property
    def symbol(self) -> np.ndarray:
        """Place of each row's symbol in order."""
        return self._place("symbol")

    def _place(self, name: str) -> np.ndarray:
        return self.frame[name].rank("dense").to_numpy().astype(np.int64) - 1

    @cached_property
    def session_of_moment(self) -> np.ndarray:
        """Session of each moment; one that two sessions share is refused."""
        found = np.full(len(self.moments), -1, dtype=np.int64)
        found[self.moment] = self.session
        if (found[self.moment] != self.session).any() or (np.diff(found) < 0).any():
            raise BadInput("A moment belongs to one session and sessions follow each other; in these bars they do not.")
        return found

    @cached_property
    def nights(self) -> np.ndarray:
        """Calendar days since the session before, at the first moment of each session; 0 elsewhere."""
        days = self.sessions.to_numpy().astype("datetime64[D]").astype(np.int64)
        first = np.diff(self.session_of_moment, prepend=0) > 0
        passed = np.diff(days, prepend=days[:1])
        return np.where(first, passed[self.session_of_moment], 0).astype(np.float64)

    def last_of(self, *, within_session: bool) -> np.ndarray:
        """Last row of each row's symbol, or of its symbol within its session."""
        key = self.symbol * len(self.sessions) + self.session if within_session else self.symbol
        ends = np.flatnonzero(np.diff(key, append=-1) != 0)
        return np.asarray(ends[np.searchsorted(ends, np.arange(len(key)))])

    def price(self, name: str) -> np.ndarray:
        """One of the prices, contiguous."""
        return np.ascontiguousarray(self.frame[name].to_numpy(), dtype=np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class SignalAccount:
    """An account that followed signals.

    Attributes
    ----------
    marks : a row per moment: ``at``, ``session``, ``equity_usd``, ``cash_usd``, ``gross_usd``.
    trades : a row per position in order of entry: ``order`` (row of the orders), ``symbol``, ``side``, ``confidence``,
        ``as_of``, ``entry_at`` and ``exit_at`` (ends of the bars), ``entry_session``, ``exit_session``,
        ``entry_price``, ``exit_price``, ``reason``, ``held_bars``, ``units``, ``notional_usd``, ``fraction`` (asked
        for), ``gross_return`` (of the notional, before costs), ``cost_usd``, ``borrow_usd``, ``profit_usd`` (after
        both), ``return`` (of the notional, after both). One that is still open is marked at its last price, unsold.
    counts : what became of orders, by the names of `OUTCOMES`, and ``carried`` (marks at an older price), ``shrunk``
        (entries that found less room than their size), ``vanished``, ``after_session`` (orders whose session was over),
        ``after_bars`` (no bar came after), ``without_size`` (no volatility to size by), ``short_refused``.
    ruined_at : moment at which nothing was left, None otherwise; nothing is traded from then on.
    """

    marks: pl.DataFrame
    trades: pl.DataFrame
    counts: Mapping[str, int]
    rules: Rules
    ruined_at: object = None

    @property
    def cost_usd(self) -> float:
        """All commissions and slippage paid, borrowing not included."""
        return float(self.trades["cost_usd"].sum())


def signal_account(orders: pl.DataFrame, bars: BarRows, rules: Rules) -> SignalAccount:
    """Follow `orders` through `bars`.

    Parameters
    ----------
    orders : ``symbol``, ``as_of`` (end of the bar that decided), ``confidence`` and what `sized` adds; a side of 0 or a
        null side is no order. An order enters at the open of the next bar of its symbol, never earlier.
    bars : of all symbols. rules : how they are followed.

    Returns
    -------
    SignalAccount
        One position a symbol. Sizes are parts of the equity at the opens of that moment, after the cost of the entry;
        shares are not whole. Stops and targets are judged inside the bars as in `quant.signal_exits`. Everything is
        marked at each moment's close, a symbol without a bar at its last price.

    Raises
    ------
    BadInput
        On a symbol twice at one moment, an order at a moment that ends no bar of its symbol, or bars out of order.
    """
    placed, counts = _placed(orders, bars, rules)
    ends = _ends(placed, bars, rules)
    ledger = _walked(placed, ends, bars, rules)
    return _account(placed, ends, ledger, bars, rules, counts)


def _placed(orders: pl.DataFrame, bars: BarRows, rules: Rules) -> tuple[pl.DataFrame, dict[str, int]]:
    """Orders that can enter, with the row of the bar at whose open they do; those that cannot, counted."""
    asked = orders.with_row_index("order").filter(pl.col("side").fill_null(0) != 0)
    if asked.select(pl.struct("symbol", "as_of").is_duplicated().any()).item():
        raise BadInput("A symbol has two signals at one moment; give the forecasts of one model.")
    rows = bars.frame.select("symbol", pl.col("at").alias("as_of"), pl.int_range(pl.len()).alias("row"))
    known = asked.join(rows, on=["symbol", "as_of"], how="left", maintain_order="left")
    lost = known.filter(pl.col("row").is_null())
    if lost.height:
        first = lost.row(0, named=True)
        raise BadInput(
            f"{lost.height} signals were decided at moments at which no bar of their symbol ends, the first of "
            f"{first['symbol']} at {first['as_of']}. Give the bars that they were decided on."
        )
    row = known["row"].to_numpy()
    stays = {
        "short_refused": (known["side"].to_numpy() > 0) | rules.short,
        "without_size": (known["fraction"].fill_null(0.0) > 0).to_numpy(),
        "after_bars": bars.last_of(within_session=False)[row] > row,
        "after_session": (bars.last_of(within_session=True)[row] > row) | rules.overnight,
    }
    kept, counts = np.ones(len(row), dtype=bool), {}
    for name, condition in stays.items():
        counts[name] = int((kept & ~condition).sum())
        kept &= condition
    known = known.filter(pl.Series(kept, dtype=pl.Boolean)).with_columns(pl.col("row") + 1)
    moment = pl.Series("moment", bars.moment[known["row"].to_numpy()], dtype=pl.Int64)
    ranked = known.with_columns(moment).sort("moment", "confidence", "symbol", descending=[False, True, False])
    return ranked, counts


@dataclass(frozen=True, slots=True, eq=False)
class _Ends:
    """The end that each order comes to if nothing is in its way; a row of -1 where the bars stop before."""

    row: np.ndarray
    price: np.ndarray
    at_open: np.ndarray
    reason: np.ndarray  # names


def _ends(placed: pl.DataFrame, bars: BarRows, rules: Rules) -> _Ends:
    entry, last = placed["row"].to_numpy(), bars.last_of(within_session=False)
    side = placed["side"].to_numpy().astype(np.float64)
    stop, target = (np.ascontiguousarray(placed[f"{name}_price"].to_numpy()) for name in ("stop", "target"))
    opens = bars.price("open")
    barrier, cut, whole = _barriers(entry, bars, rules)
    found = exits(
        entry, side, stop, target, barrier, opens, bars.price("high"), bars.price("low"), bars.price("close"),
        end_row=last[entry],
    )  # fmt: skip
    row, price = found.exit_row.copy(), found.exit_price.copy()
    timed = found.reason == TIME
    after = timed & np.where(cut, ~whole, rules.exit_at == "open")
    row[after] += 1
    lost = (found.reason == DATA_END) | (after & (row > last[entry]))
    there = np.where(after & ~lost, row, 0)
    price = np.where(after & ~lost, side * np.fmin(side * opens[there], side * target), price)
    begin = side * opens[found.exit_row]
    beyond = ((found.reason == STOP) & (begin <= side * stop)) | ((found.reason == TARGET) & (begin >= side * target))
    names = np.where(timed & cut, SESSION, np.array(REASONS)[found.reason])
    return _Ends(np.where(lost, -1, row), price, after | beyond, names)


def _barriers(entry: np.ndarray, bars: BarRows, rules: Rules) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Last row that is waited for; whether the session cuts it; whether the symbol has the session's last bar."""
    barrier = entry + rules.horizon_bars - 1
    if rules.overnight:
        return barrier, np.zeros(len(entry), dtype=bool), np.ones(len(entry), dtype=bool)
    close = bars.last_of(within_session=True)[entry]
    cut = barrier + (rules.exit_at == "open") > close
    ends = np.searchsorted(bars.session_of_moment, bars.session[entry], side="right") - 1
    return np.minimum(barrier, close), cut, bars.moment[close] == ends


def _walked(placed: pl.DataFrame, ends: _Ends, bars: BarRows, rules: Rules) -> Ledger:
    """The ledger of the walk through all moments."""
    from openbell.quant.signal_account_kernel import RUINED, Bars, Book, Orders, Terms, run
    from openbell.quant.signal_account_kernel import Ledger as Kept

    moments, count, symbols = len(bars.moments), placed.height, bars.symbols
    order = np.lexsort((bars.symbol, bars.moment))
    edges, row = np.arange(moments + 1), placed["row"].to_numpy()
    exit_moment = np.where(ends.row < 0, -1, bars.moment[np.maximum(ends.row, 0)])
    given = Orders(
        np.searchsorted(placed["moment"].to_numpy(), edges), bars.symbol[row],
        placed["side"].to_numpy().astype(np.int64), _floats(placed["confidence"]), _floats(placed["fraction"]),
        bars.price("open")[row], exit_moment, ends.price, ends.at_open,
    )  # fmt: skip
    paths = Bars(
        np.searchsorted(bars.moment[order], edges), bars.symbol[order], bars.price("open")[order],
        bars.price("close")[order], bars.session_of_moment, bars.nights,
    )  # fmt: skip
    terms = Terms(
        rules.capital_usd, cost_rate(rules.commission_bp, rules.slippage_bp), rules.borrow_annual / DAYS_PER_YEAR,
        rules.max_positions, rules.max_gross, rules.conflict_margin, rules.staleness_sessions, rules.delisting_return,
    )  # fmt: skip
    ledger = Kept(
        np.empty(moments), np.empty(moments), np.empty(moments), np.zeros(count, np.int64), np.zeros(count),
        np.zeros(count, np.int64), np.full(count, moments - 1), np.zeros(count), np.zeros(count), np.zeros(count),
        np.zeros(3, np.int64),
    )  # fmt: skip
    ledger.counts[RUINED] = -1
    book = Book(
        np.zeros(symbols), np.zeros(symbols, np.int64), np.zeros(symbols, np.bool_), np.full(symbols, -1, np.int64),
        np.zeros(symbols, np.int64), np.zeros(count, np.bool_), np.array([rules.capital_usd], dtype=np.float64),
        np.zeros(1, np.int64),
    )  # fmt: skip
    run(paths, given, terms, book, ledger)
    return ledger


def _floats(values: pl.Series) -> np.ndarray:
    return np.ascontiguousarray(values.to_numpy(), dtype=np.float64)


def _account(
    placed: pl.DataFrame, ends: _Ends, ledger: Ledger, bars: BarRows, rules: Rules, counts: dict[str, int]
) -> SignalAccount:
    from openbell.quant.signal_account_kernel import CARRIED, RUINED, SHRUNK

    marks = pl.DataFrame(
        {"at": bars.moments, "session": bars.sessions.gather(bars.session_of_moment), "equity_usd": ledger.equity,
         "cash_usd": ledger.cash, "gross_usd": ledger.gross}
    )  # fmt: skip
    trades = _trades(placed, ends, ledger, bars)
    became = np.bincount(ledger.outcome, minlength=len(OUTCOMES))
    counts |= {name: int(became[at]) for at, name in enumerate(OUTCOMES)}
    counts |= {"carried": int(ledger.counts[CARRIED]), "shrunk": int(ledger.counts[SHRUNK])}
    counts["vanished"] = trades.filter(pl.col("reason") == VANISHED).height
    ruined = int(ledger.counts[RUINED])
    return SignalAccount(marks, trades, counts, rules, None if ruined < 0 else bars.moments[ruined])


def _trades(placed: pl.DataFrame, ends: _Ends, ledger: Ledger, bars: BarRows) -> pl.DataFrame:
    """A row per position, as `SignalAccount.trades` says."""
    from openbell.quant.signal_account_kernel import CONTRARY as BY_CONTRARY
    from openbell.quant.signal_account_kernel import OWN, STILL_OPEN
    from openbell.quant.signal_account_kernel import VANISHED as GONE

    taken = np.flatnonzero(ledger.units != 0.0)
    chosen, row, why = placed[taken], placed["row"].to_numpy()[taken], ledger.end[taken]
    entry, left = bars.price("open")[row], ledger.exit_price[taken]
    units, leave = ledger.units[taken], ledger.exit_moment[taken]
    key = bars.symbol * len(bars.moments) + bars.moment
    last = np.searchsorted(key, bars.symbol[row] * len(bars.moments) + leave, side="right") - 1
    at_open = np.where(why == OWN, ends.at_open[taken], why == BY_CONTRARY)
    reason = np.where(why == OWN, ends.reason[taken], "")
    for code, name in ((BY_CONTRARY, CONTRARY), (GONE, VANISHED), (STILL_OPEN, OPEN)):
        reason = np.where(why == code, name, reason)
    session = bars.sessions
    frame = chosen.select("order", "symbol", "side", "confidence", "as_of").with_columns(
        pl.Series("entry_at", bars.moments.gather(bars.moment[row])),
        pl.Series("exit_at", bars.moments.gather(leave)),
        pl.Series("entry_session", session.gather(bars.session[row])),
        pl.Series("exit_session", session.gather(bars.session_of_moment[leave])),
        pl.Series("entry_price", entry),
        pl.Series("exit_price", left),
        pl.Series("reason", reason.tolist(), dtype=pl.String),
        pl.Series("held_bars", last - row + 1 - at_open, dtype=pl.Int64),
        pl.Series("units", units),
        pl.Series("notional_usd", np.abs(units) * entry),
        chosen["fraction"],
        pl.Series("gross_return", np.sign(units) * (left / entry - 1.0)),
        pl.Series("cost_usd", ledger.cost[taken]),
        pl.Series("borrow_usd", ledger.borrowed[taken]),
        pl.Series("profit_usd", units * (left - entry) - ledger.cost[taken] - ledger.borrowed[taken]),
    )
    return frame.with_columns((pl.col("profit_usd") / pl.col("notional_usd")).alias("return"))
