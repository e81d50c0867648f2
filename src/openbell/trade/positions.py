"""Positions and cash: a pure fold of the journal's records before a moment."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import polars as pl

from openbell.core.errors import DataMissing, IntegrityBroken
from openbell.core.types import Book
from openbell.store.journal import Journal, Record

#: The kinds that change an account, in the order they count where several happen at one moment: a holder at the open
#: of an ex-session receives the distribution on the old shares, then the split, and only then trades.
KINDS = ("opening", "deposit", "import", "distribution", "split", "vanished", "fill")

#: Sessions for which a name without a new price is carried at its last one; beyond, a human has to look.
MAX_STALE_SESSIONS = 10

MARKS_SCHEMA: Mapping[str, Any] = {"symbol": pl.String, "session": pl.Date, "price_usd": pl.Float64}

EQUITY_SCHEMA: Mapping[str, Any] = {
    "session": pl.Date,
    "equity_usd": pl.Float64,
    "cash_usd": pl.Float64,
    "flow_usd": pl.Float64,
    "costs_usd": pl.Float64,
}


class Happened(Protocol):
    """A record, or an entry about to become one."""

    @property
    def kind(self) -> str:
        """What happened."""
        ...

    @property
    def at(self) -> dt.datetime:
        """When it happened."""
        ...

    @property
    def payload(self) -> Mapping[str, Any]:
        """What there is to say about it; ``session`` is the first session it counts in."""
        ...


@dataclass
class Account:
    """Cash and whole shares while records are folded into them."""

    cash_usd: float = 0.0
    shares: dict[str, int] = field(default_factory=dict)

    def apply(self, kind: str, payload: Mapping[str, Any]) -> None:
        """Let one thing happen to the account."""
        if kind == "deposit":
            self.cash_usd += float(payload["usd"])
        elif kind == "import":
            self.shares = {symbol: int(count) for symbol, count in payload["shares"].items()}
            if payload.get("cash_usd") is not None:
                self.cash_usd = float(payload["cash_usd"])
        elif kind == "fill":
            self._hold(payload["symbol"], self.shares.get(payload["symbol"], 0) + int(payload["signed_shares"]))
            self.cash_usd += float(payload["cash_usd"])
        elif kind == "split":
            self._hold(payload["symbol"], int(payload["shares_after"]))
            self.cash_usd += float(payload["cash_in_lieu_usd"])
        elif kind == "distribution":
            self.cash_usd += float(payload["cash_usd"])
        elif kind == "vanished":
            self._hold(payload["symbol"], 0)
            self.cash_usd += float(payload["cash_usd"])

    def _hold(self, symbol: str, count: int) -> None:
        if count < 0:
            raise IntegrityBroken(f"The journal sells {-count} shares of {symbol} that the account never held.")
        self.shares.pop(symbol, None)
        if count:
            self.shares[symbol] = count


def in_order(records: Iterable[Happened]) -> list[Happened]:
    """What changes an account, by moment; at one moment by `KINDS`, then as recorded."""
    changes = [record for record in records if record.kind in KINDS]
    return sorted(changes, key=lambda record: (record.at, KINDS.index(record.kind)))


def opening_cash_usd(records: Iterable[Happened], initial_cash_usd: float) -> float:
    """Cash the account began with: as recorded with its first orders, or `initial_cash_usd` before that."""
    recorded = [float(record.payload["usd"]) for record in records if record.kind == "opening"]
    return recorded[0] if recorded else initial_cash_usd


def account(records: Iterable[Happened], initial_cash_usd: float) -> Account:
    """Cash and shares after all of `records`."""
    changes = in_order(records)
    state = Account(opening_cash_usd(changes, initial_cash_usd))
    for change in changes:
        state.apply(change.kind, change.payload)
    return state


def book(
    journal: Journal,
    as_of: dt.datetime,
    marks: pl.DataFrame,
    initial_cash_usd: float,
    *,
    desk: str = "stocks",
    max_stale_sessions: int = MAX_STALE_SESSIONS,
) -> Book:
    """What the desk holds at `as_of`, from records with ``at < as_of`` alone, marked at the last price known.

    Parameters
    ----------
    marks : `MARKS_SCHEMA`: raw closes known at `as_of`, all sessions since the first record (others are ignored).
    initial_cash_usd : cash the account begins with, until its first orders have put that on record.

    Raises
    ------
    DataMissing
        A held name that has no price, or none for more than `max_stale_sessions` sessions: it is never counted as 0.
    """
    records = journal.records(kind=KINDS, before=as_of, desk=desk)
    state = account(records, initial_cash_usd)
    equity = equity_history(records, marks, initial_cash_usd, max_stale_sessions=max_stale_sessions)
    held = sorted(state.shares)
    known = marks.filter(pl.col("symbol").is_in(held) & pl.col("price_usd").is_not_null())
    last = known.sort("session").group_by("symbol").last()
    prices = dict(last.select("symbol", "price_usd").rows())
    return Book(
        as_of=as_of,
        cash_usd=state.cash_usd,
        shares={symbol: state.shares[symbol] for symbol in held},
        price_usd={symbol: prices[symbol] for symbol in held if symbol in prices},
        equity=equity,
    )


def equity_history(
    records: Iterable[Record],
    marks: pl.DataFrame,
    initial_cash_usd: float,
    *,
    max_stale_sessions: int = MAX_STALE_SESSIONS,
) -> pl.DataFrame:
    """The account marked at the close of every session since its first record.

    Returns
    -------
    DataFrame of `EQUITY_SCHEMA`, by session
        ``equity_usd``: cash and shares at the last price of each (carried at most `max_stale_sessions` sessions).
        ``flow_usd``: paid in from outside before that close (the opening cash counts in the first session; imported
        shares at that close). ``costs_usd``: commission and slippage. Distributions are income, not flows.
    """
    changes = in_order(records)
    if not changes:
        return pl.DataFrame(schema=dict(EQUITY_SCHEMA))
    first = min(dt.date.fromisoformat(change.payload["session"]) for change in changes)
    sessions = marks.select("session").unique().filter(pl.col("session") >= first).sort("session")
    if not sessions.height:
        return pl.DataFrame(schema=dict(EQUITY_SCHEMA))
    states, shares = _states(changes, initial_cash_usd)
    worth = _worth(sessions, shares, marks, max_stale_sessions)
    daily = sessions.join_asof(states.select("session", "cash_usd").sort("session"), on="session")
    flows = _flows(sessions, states, _imported(changes, marks))
    return (
        daily.join(worth, on="session", how="left")
        .join(flows, on="session", how="left")
        .select(
            "session",
            (pl.col("cash_usd") + pl.col("worth").fill_null(0.0)).alias("equity_usd"),
            "cash_usd",
            pl.col("flow_usd", "costs_usd").fill_null(0.0),
        )
        .sort("session")
    )


def _states(changes: list[Happened], initial_cash_usd: float) -> tuple[pl.DataFrame, pl.DataFrame]:
    """After each session with a change: cash, flows and costs of that session; and the shares that changed."""
    state = Account(opening_cash_usd(changes, initial_cash_usd))
    cash: dict[dt.date, list[float]] = {}
    shares: dict[tuple[dt.date, str], int] = {}
    opening = state.cash_usd
    for change in changes:
        session = dt.date.fromisoformat(change.payload["session"])
        row = cash.setdefault(session, [0.0, opening, 0.0])
        opening = 0.0
        before, held = state.cash_usd, dict(state.shares)
        state.apply(change.kind, change.payload)
        row[0] = state.cash_usd
        if change.kind in ("deposit", "import"):
            row[1] += state.cash_usd - before
        row[2] += float(change.payload.get("commission_usd", 0.0)) + float(change.payload.get("slippage_usd", 0.0))
        for symbol in held.keys() | state.shares.keys():
            if held.get(symbol, 0) != state.shares.get(symbol, 0):
                shares[session, symbol] = state.shares.get(symbol, 0)
    states = pl.DataFrame(
        [(session, *row) for session, row in cash.items()],
        schema={"session": pl.Date, "cash_usd": pl.Float64, "flow_usd": pl.Float64, "costs_usd": pl.Float64},
        orient="row",
    )
    steps = pl.DataFrame(
        [(session, symbol, count) for (session, symbol), count in shares.items()],
        schema={"session": pl.Date, "symbol": pl.String, "shares": pl.Int64},
        orient="row",
    )
    return states, steps


def _worth(sessions: pl.DataFrame, steps: pl.DataFrame, marks: pl.DataFrame, max_stale: int) -> pl.DataFrame:
    """Value of all shares at each session's close."""
    grid = (
        sessions.with_row_index("number")
        .join(steps.select("symbol").unique(), how="cross")
        .sort("symbol", "session")
        .join_asof(steps.sort("symbol", "session"), on="session", by="symbol", check_sortedness=False)
        .filter(pl.col("shares").fill_null(0) > 0)
    )
    priced = (
        marks.filter(pl.col("symbol").is_in(steps["symbol"].unique().to_list()) & pl.col("price_usd").is_not_null())
        .select("symbol", "session", "price_usd", pl.col("session").alias("marked"))
        .sort("symbol", "session")
    )
    ages = marks.select("session").unique().sort("session").with_row_index("age_number")
    valued = (
        grid.join_asof(priced, on="session", by="symbol", check_sortedness=False)
        .join(ages, on="session", how="left")
        .join(ages.rename({"session": "marked", "age_number": "marked_number"}), on="marked", how="left")
        .with_columns((pl.col("age_number") - pl.col("marked_number")).cast(pl.Int64).alias("age"))
    )
    late = valued.filter(pl.col("price_usd").is_null() | (pl.col("age") > max_stale)).sort("session", "symbol")
    if late.height:
        symbol, session, marked = late.select("symbol", "session", "marked").row(0)
        since = f"its last price is of {marked}" if marked else "there has never been one"
        raise DataMissing(
            f"The held {symbol} has no price on {session}: {since}, and a price is carried at most {max_stale} "
            "sessions; it is never counted as 0. Import its bars, or state what is held with "
            "`openbell positions import`."
        )
    return valued.group_by("session").agg((pl.col("shares") * pl.col("price_usd")).sum().alias("worth"))


def _flows(sessions: pl.DataFrame, states: pl.DataFrame, imported: pl.DataFrame) -> pl.DataFrame:
    """Flows and costs, each on the first marked session at or after its own."""
    grid = sessions.select("session", pl.col("session").alias("marked")).sort("session")
    moved = pl.concat([states.select("session", "flow_usd", "costs_usd"), imported])
    return (
        moved.sort("session")
        .join_asof(grid, on="session", strategy="forward")
        .filter(pl.col("marked").is_not_null())
        .group_by(pl.col("marked").alias("session"))
        .agg(pl.col("flow_usd", "costs_usd").sum())
    )


def _imported(changes: list[Happened], marks: pl.DataFrame) -> pl.DataFrame:
    """What imports of positions brought in or took out, in USD at the close of their session."""
    state = Account()
    rows: list[tuple[dt.date, str, int]] = []
    for change in changes:
        held = dict(state.shares)
        state.apply(change.kind, change.payload)
        if change.kind == "import":
            session = dt.date.fromisoformat(change.payload["session"])
            rows += [
                (session, symbol, state.shares.get(symbol, 0) - held.get(symbol, 0))
                for symbol in held.keys() | state.shares.keys()
            ]
    moved = pl.DataFrame(rows, schema={"session": pl.Date, "symbol": pl.String, "change": pl.Int64}, orient="row")
    return (
        moved.sort("symbol", "session")
        .join_asof(marks.sort("symbol", "session"), on="session", by="symbol", check_sortedness=False)
        .group_by("session")
        .agg((pl.col("change") * pl.col("price_usd")).sum().alias("flow_usd"))
        .with_columns(pl.lit(0.0).alias("costs_usd"))
    )
