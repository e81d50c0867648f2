"""A paper broker: fills at the next open, whole shares, the costs of the back-test; everything in the journal."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import polars as pl

from openbell.core.errors import BadInput, Refused
from openbell.core.hashing import digest
from openbell.core.time import Sessions
from openbell.core.types import Fill, Order, Side
from openbell.quant.costs import COMMISSION_BP, SLIPPAGE_BP, trade_costs
from openbell.quant.trades import affordable
from openbell.store.journal import Entry, Journal, Record
from openbell.trade.actions import after, closes_before, corporate_actions, split_ratio, vanished
from openbell.trade.broker import Settlement
from openbell.trade.positions import KINDS, MAX_STALE_SESSIONS, Account, account

#: Sessions that an order outlives its own when its name has no bar; then it expires.
PATIENCE_SESSIONS = 1


@dataclass(frozen=True)
class PaperBroker:
    """Fills the orders of one desk at the open of their session, or at its close where the data hold no open.

    `settle` walks session by session; each session is one transaction with a marker, so that a run that was killed
    is finished by the next one, and nothing happens twice.
    """

    journal: Journal
    sessions: Sessions
    initial_cash_usd: float
    desk: str = "stocks"
    commission_bp: float = COMMISSION_BP
    slippage_bp: float = SLIPPAGE_BP
    max_stale_sessions: int = MAX_STALE_SESSIONS

    def submit(self, orders: Sequence[Order], *, at: dt.datetime) -> tuple[Record, ...]:
        """Take the orders of one decision, decided at `at`; the same ones again change nothing.

        Refused: another decision for a desk and session that one was executed for already, and a session that is
        settled.
        """
        if not orders:
            return ()
        decision, desk, session = self._one_decision(orders)
        marker = digest(["execution", desk, session])
        execution = {"desk": desk, "session": session.isoformat(), "decision": decision, "orders": len(orders)}
        known = self.journal.get(marker)
        if known is None and self.journal.get(self._settled(session)) is not None:
            raise Refused(f"The session {session} is settled already; an order for it would be filled in hindsight.")
        # The marker comes first and stands alone: of two runs at once, one alone can place it.
        taken = self.journal.append("execution", execution, at=at, key=marker).payload["decision"]
        if taken != decision:
            raise Refused(
                f"The desk `{desk}` has executed another decision for {session} already ({taken[:12]}, now "
                f"{decision[:12]}). One decision is executed for a session; `openbell journal show` tells which."
            )
        # What the account began with must not change when a later run is given another capital.
        opening = {"desk": desk, "session": session.isoformat(), "usd": self.initial_cash_usd}
        self.journal.append("opening", opening, at=at, key=digest(["opening", desk]))
        entries = [Entry("order", {**asdict(order), "session": session.isoformat()}, at, order.key) for order in orders]
        return tuple(self.journal.append_many(entries))

    def open_orders(self) -> tuple[Order, ...]:
        """Orders that are neither filled nor expired, sales first."""
        records = self.journal.records(kind=("order", "fill", "expired"), desk=self.desk)
        done = {record.payload["order"] for record in records if record.kind != "order"}
        waiting = [_order(record) for record in records if record.kind == "order" and record.key not in done]
        return tuple(sorted(waiting, key=lambda order: (order.session, order.side is Side.BUY, order.symbol)))

    def settle(self, until: dt.date, bars: pl.DataFrame, actions: pl.DataFrame) -> Settlement:
        """Bring every session up to `until` to its end.

        Parameters
        ----------
        until : the last session whose bars are known.
        bars : columns ``symbol``, ``session``, ``open`` (null where the source has none), ``close``: raw prices of
            the names ordered and held, back to the session before the first order.
        actions : columns ``symbol``, ``session``, ``kind``, ``factor``.
        """
        done: list[Settlement] = [self._settle_one(session, bars, actions) for session in self._due(until)]
        return Settlement(
            fills=tuple(fill for each in done for fill in each.fills),
            waiting=self.open_orders(),
            notes=tuple(note for each in done for note in each.notes),
        )

    def _due(self, until: dt.date) -> tuple[dt.date, ...]:
        records = self.journal.records(kind=("order", "settled", "import"), desk=self.desk)
        settled = [dt.date.fromisoformat(each.payload["session"]) for each in records if each.kind == "settled"]
        begun = [dt.date.fromisoformat(each.payload["session"]) for each in records if each.kind != "settled"]
        if not begun:
            return ()
        first = self.sessions.shift(max(settled), 1) if settled else min(begun)
        return self.sessions.between(first, until)

    def _settle_one(self, session: dt.date, bars: pl.DataFrame, actions: pl.DataFrame) -> Settlement:
        at = self.sessions.open(session)
        # What is held before the open: the same moment counts, for a deposit stands before the first trade.
        records = self.journal.records(kind=KINDS, before=at + dt.timedelta(microseconds=1), desk=self.desk)
        holder = account(records, self.initial_cash_usd)
        before = closes_before(bars, session, holder.shares)
        entries, notes = corporate_actions(holder, session, actions, before, at=at, desk=self.desk)
        gone = vanished(
            after(holder, entries), session, bars, self.sessions, max_stale=self.max_stale_sessions, desk=self.desk
        )
        notes += [
            f"{each.payload['symbol']} has had no bar since {each.payload['price_session']}: its shares became cash at "
            "its last close."
            for each in gone
        ]
        entries += gone
        due = [order for order in self.open_orders() if order.session <= session]
        fills, traded, told = self._trade(due, after(holder, entries), session, bars, actions)
        marker = Entry(
            "settled",
            {"desk": self.desk, "session": session.isoformat(), "fills": len(fills), "notes": [*notes, *told]},
            self.sessions.close(session),
            self._settled(session),
        )
        self.journal.append_many([*entries, *traded, marker])
        return Settlement(fills=tuple(fills), notes=(*notes, *told))

    def _trade(
        self, due: list[Order], holder: Account, session: dt.date, bars: pl.DataFrame, actions: pl.DataFrame
    ) -> tuple[list[Fill], list[Entry], list[str]]:
        """Fills and expiries of the orders due in `session`: sales first, then what cash can pay for."""
        prices = _prices(bars, session)
        entries: list[Entry] = []
        notes: list[str] = []
        fills: list[Fill] = []
        # As what is placed before an ex-session counts new shares in it, as exchanges do with resting orders.
        priced = [_after_splits(order, session, actions) for order in due if order.symbol in prices]
        for order in due:
            if order.symbol not in prices and session >= self._last_session(order):
                entries.append(self._expired(order, order.shares, session, f"no bar of {order.symbol} by {session}"))
                notes.append(f"The order for {order.symbol} expired: it had no bar by {session}.")
        for order, placed in [each for each in priced if each[0].side is Side.SELL]:
            count = min(order.shares, holder.shares.get(order.symbol, 0))
            fills += self._filled(placed, count, session, prices)
            entries += self._rest(placed, order.shares - count, session, "no more shares were held")
        buys = [each for each in priced if each[0].side is Side.BUY]
        wanted = np.array([order.shares for order, _ in buys], dtype=np.int64)
        cash = holder.cash_usd + sum(fill.cash_usd for fill in fills)
        bought = affordable(
            wanted,
            np.array([prices[order.symbol][0] for order, _ in buys], dtype=np.float64),
            cash,
            commission_bp=self.commission_bp,
            slippage_bp=self.slippage_bp,
        )
        for (order, placed), count in zip(buys, bought.tolist(), strict=True):
            fills += self._filled(placed, count, session, prices)
            entries += self._rest(placed, order.shares - count, session, "cash did not suffice at the fill price")
        if (bought < wanted).any():
            notes.append(
                f"{int((wanted - bought).sum())} of {int(wanted.sum())} shares were not bought on {session}: prices at "
                "the fill were above the last closes, and cash is never overdrawn."
            )
        entries += [self._fill_entry(fill, prices[fill.symbol][1]) for fill in fills]
        return fills, entries, notes

    def _filled(self, order: Order, count: int, session: dt.date, prices: dict[str, tuple[float, str]]) -> list[Fill]:
        if count <= 0:
            return []
        price, moment = prices[order.symbol]
        commission, slippage = trade_costs(count * price, self.commission_bp, self.slippage_bp)
        at = self.sessions.open(session) if moment == "open" else self.sessions.close(session)
        signed = count if order.side is Side.BUY else -count
        return [Fill(order.key, order.symbol, session, at, signed, price, commission, slippage)]

    def _fill_entry(self, fill: Fill, moment: str) -> Entry:
        payload = {
            **asdict(fill),
            "desk": self.desk,
            "session": fill.session.isoformat(),
            "cash_usd": fill.cash_usd,
            "filled_at": moment,
        }
        del payload["at"]
        return Entry("fill", payload, fill.at, digest(["fill", fill.order]))

    def _rest(self, order: Order, count: int, session: dt.date, why: str) -> list[Entry]:
        return [self._expired(order, count, session, why)] if count > 0 else []

    def _expired(self, order: Order, count: int, session: dt.date, why: str) -> Entry:
        payload = {
            "desk": self.desk,
            "session": session.isoformat(),
            "order": order.key,
            "symbol": order.symbol,
            "side": order.side.value,
            "shares": count,
            "why": why,
        }
        return Entry("expired", payload, self.sessions.close(session), digest(["expired", order.key]))

    def _last_session(self, order: Order) -> dt.date:
        return self.sessions.shift(order.session, PATIENCE_SESSIONS)

    def _settled(self, session: dt.date) -> str:
        return digest(["settled", self.desk, session])

    def _one_decision(self, orders: Sequence[Order]) -> tuple[str, str, dt.date]:
        first = orders[0]
        if any(
            (each.decision, each.desk, each.session) != (first.decision, first.desk, first.session) for each in orders
        ):
            raise BadInput("Orders are taken one decision at a time; these come from more than one.")
        if first.desk != self.desk:
            raise BadInput(
                f"This broker's account is that of the desk `{self.desk}`; the orders are of `{first.desk}`."
            )
        return first.decision, first.desk, first.session


def _order(record: Record) -> Order:
    told = record.payload
    return Order(
        decision=told["decision"],
        desk=told["desk"],
        session=dt.date.fromisoformat(told["session"]),
        symbol=told["symbol"],
        side=Side(told["side"]),
        shares=int(told["shares"]),
    )


def _prices(bars: pl.DataFrame, session: dt.date) -> dict[str, tuple[float, str]]:
    """Fill price of each name with a bar on `session`, and whether it is the open or, without one, the close."""
    has_open = pl.col("open").is_finite() & (pl.col("open") > 0)
    rows = (
        bars.filter((pl.col("session") == session) & pl.col("close").is_finite() & (pl.col("close") > 0))
        .with_columns(has_open.fill_null(False).alias("has_open"))
        .select(
            "symbol",
            pl.when("has_open").then("open").otherwise("close").alias("price"),
            pl.when("has_open").then(pl.lit("open")).otherwise(pl.lit("close")).alias("moment"),
        )
    )
    return {symbol: (price, moment) for symbol, price, moment in rows.rows()}


def _after_splits(order: Order, session: dt.date, actions: pl.DataFrame) -> tuple[Order, Order]:
    """The order in shares of `session`, and as it was placed (whose key is the journal's)."""
    splits = actions.filter(
        (pl.col("symbol") == order.symbol)
        & (pl.col("kind") == "split")
        & pl.col("session").is_between(order.session, session)
    )["factor"]
    ratio = float(np.prod([split_ratio(factor) for factor in splits])) if len(splits) else 1.0
    shares = int(order.shares * ratio + 1e-9)
    return (replace(order, shares=shares) if shares > 0 else order), order
