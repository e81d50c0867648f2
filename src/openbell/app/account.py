"""The account at a decision: what earlier fills made of it, marked at prices that were known."""

from __future__ import annotations

import datetime as dt
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from openbell.app.training import universe_of
from openbell.core.errors import Refused
from openbell.core.types import Book, Decision
from openbell.core.view import View
from openbell.research.snapshot import is_equal_weight, prepared
from openbell.store.journal import Entry, Journal
from openbell.trade.broker import Settlement
from openbell.trade.history import performance_history
from openbell.trade.orders import orders
from openbell.trade.paper import PaperBroker
from openbell.trade.positions import KINDS, book

if TYPE_CHECKING:
    from openbell.app.home import Home

#: What a broker needs to know of the past to go on: everything but decisions and trainings.
BROKER_KINDS = (*KINDS, "order", "execution", "expired", "settled")
NO_ACTIONS = {"symbol": pl.String, "session": pl.Date, "kind": pl.String, "factor": pl.Float64}


def paper_broker(home: Home, journal: Journal, capital_usd: float) -> PaperBroker:
    """The paper broker on `journal`, with the costs of the settings."""
    trading = home.settings.trade
    return PaperBroker(
        journal,
        home.sessions,
        capital_usd,
        commission_bp=trading.commission_bp,
        slippage_bp=trading.slippage_bp,
    )


def named(journal: Journal) -> list[str]:
    """Every symbol that the journal has ever ordered or held."""
    records = journal.records(kind=("order", "import", "fill"), desk="stocks")
    symbols: set[str] = set()
    for each in records:
        symbols |= set(each.payload["shares"]) if each.kind == "import" else {each.payload["symbol"]}
    return sorted(symbols)


def raw_bars(view: View, symbols: list[str], first: dt.date) -> pl.DataFrame:
    """Bars of `symbols` as received: ``symbol``, ``session``, ``open``, ``close``, from `first` on."""
    return (
        view.bars(first=first, symbols=symbols)
        .select("symbol", "session", pl.col("raw_open").alias("open"), pl.col("raw_close").alias("close"))
        .collect()
    )


def actions(view: View, symbols: list[str]) -> pl.DataFrame:
    """Corporate actions of `symbols` that the view knows."""
    if not view.tables.exists("actions"):
        return pl.DataFrame(schema=NO_ACTIONS)
    known = view.facts("actions").filter(pl.col("symbol").is_in(symbols)).select(*NO_ACTIONS, "known_at").collect()
    return known.sort("known_at").unique(["symbol", "session", "kind"], keep="last").drop("known_at")


def settle(home: Home, journal: Journal, view: View, until: dt.date, capital_usd: float) -> Settlement:
    """Bring the paper account to the end of the session `until`, from bars that `view` knows."""
    symbols = named(journal)
    if not symbols:
        return Settlement()
    first = home.sessions.shift(first_session(journal), -1)
    broker = paper_broker(home, journal, capital_usd)
    return broker.settle(until, raw_bars(view, symbols, first), actions(view, symbols))


def first_session(journal: Journal) -> dt.date:
    """The earliest session that an order or an imported position names."""
    records = journal.records(kind=("order", "import"), desk="stocks")
    return min(dt.date.fromisoformat(each.payload["session"]) for each in records)


def current_book(home: Home, journal: Journal, view: View, capital_usd: float) -> Book:
    """The book at the view's moment."""
    symbols = named(journal)
    if not symbols:
        return book(journal, view.as_of, pl.DataFrame(schema=MARKS), capital_usd)
    first = home.sessions.shift(first_session(journal), -1)
    # The account is marked on every session of the market, so the sessions come from all bars, not from held names.
    grid = pl.DataFrame({"session": list(home.sessions.between(first, home.sessions.last_closed(view.as_of)))})
    bars = raw_bars(view, symbols, first).select("symbol", "session", pl.col("close").alias("price_usd"))
    marks = pl.concat(
        [bars, grid.select(pl.lit("").alias("symbol"), "session", pl.lit(None, dtype=pl.Float64).alias("price_usd"))]
    )
    return book(journal, view.as_of, marks, capital_usd)


MARKS = {"symbol": pl.String, "session": pl.Date, "price_usd": pl.Float64}


@contextmanager
def shadow(home: Home) -> Iterator[Journal]:
    """A copy of the account's records to settle in, so that a dry run, an audit or a look writes nothing."""
    with tempfile.TemporaryDirectory(prefix="openbell-") as folder:
        copy = Journal.open(f"sqlite:///{Path(folder) / 'shadow.db'}")
        records = home.journal.records(kind=BROKER_KINDS, desk="stocks")
        copy.append_many([Entry(each.kind, each.payload, each.at, each.key) for each in records])
        try:
            yield copy
        finally:
            copy.close()


def refuse_hindsight(journal: Journal, decision: Decision) -> None:
    """Refuse to execute for a session that was executed otherwise, or that the account has gone past.

    The broker refuses the first too, but only once the decision is written.
    """
    session, key = decision.session.isoformat(), decision.key
    records = journal.records(kind=("execution", "settled"), desk=decision.desk)
    executed = {each.payload["session"]: each.payload["decision"] for each in records if each.kind == "execution"}
    if session in executed and executed[session] != key:
        raise Refused(
            f"The desk `{decision.desk}` has executed another decision for {session} already "
            f"({executed[session][:12]}, now {key[:12]}). One decision is executed for a session, and its files stay; "
            "run without --execute and with another --out to see this one."
        )
    latest = max((each.payload["session"] for each in records), default="")
    if session not in executed and session <= latest:
        raise Refused(
            f"The account has gone on to {latest}; an order for {session} would be filled in hindsight. "
            "Run without --execute to see what would have been decided."
        )


def told(journal: Journal, session: dt.date) -> tuple[str, ...]:
    """What the broker noted from the last execution before `session` on: out of the journal, so the same each time."""
    records = journal.records(kind=("execution", "settled"), desk="stocks")
    own = session.isoformat()
    executed = (each.payload["session"] for each in records if each.kind == "execution")
    first = max((each for each in executed if each < own), default="")
    settled = [each for each in records if each.kind == "settled" and first <= each.payload["session"] <= own]
    return tuple(note for each in settled for note in each.payload["notes"])


def fills_of(journal: Journal, decision: Decision) -> int:
    """How many orders of `decision` are filled."""
    keys = {order.key for order in orders(decision)}
    return sum(each.payload["order"] in keys for each in journal.records(kind="fill", desk=decision.desk))


def latest_execution(journal: Journal, session: dt.date) -> dt.date:
    """The latest session that was executed, or `session` where that is later."""
    executed = journal.records(kind="execution", desk="stocks")
    return max([session, *(dt.date.fromisoformat(each.payload["session"]) for each in executed)])


def _after(home: Home, session: dt.date) -> View:
    """What is known after `session`, where its bars are there; else before it."""
    return home.view(home.sessions.shift(session, 1) if session <= home.stored[1] else session)


def history_after(home: Home, journal: Journal, session: dt.date, capital_usd: float) -> pl.DataFrame:
    """The account day by day beside its benchmark, up to the close of `session`."""
    view = _after(home, session)
    held = current_book(home, journal, view, capital_usd)
    return performance_history(held.equity, benchmark_closes(home, view, held.equity))


def account_files(home: Home, journal: Journal, session: dt.date, capital_usd: float) -> dict[str, str]:
    """``current_positions.csv`` and ``performance_history.csv`` after `session`, derived from the journal anew."""
    held = current_book(home, journal, _after(home, session), capital_usd)
    rows = [(symbol, count, held.price_usd[symbol]) for symbol, count in sorted(held.shares.items())]
    positions = pl.DataFrame(
        rows, schema={"symbol": pl.String, "shares": pl.Int64, "price": pl.Float64}, orient="row"
    ).with_columns((pl.col("shares") * pl.col("price")).alias("value_usd"))
    cash = pl.DataFrame({"symbol": ["CASH"], "shares": [None], "price": [None], "value_usd": [held.cash_usd]})
    history = history_after(home, journal, session, capital_usd)
    return {
        "current_positions.csv": pl.concat([positions, cash], how="vertical_relaxed").write_csv(float_precision=4),
        "performance_history.csv": history.write_csv(float_precision=10),
    }


def benchmark_closes(home: Home, view: View, equity: pl.DataFrame) -> pl.DataFrame:
    """Total-return closes of the benchmark over the account's sessions: ``session``, ``close``."""
    if not equity.height:
        return pl.DataFrame(schema={"session": pl.Date, "close": pl.Float64})
    name, first = home.settings.data.benchmark, home.sessions.shift(equity["session"].min(), -1)  # type: ignore[arg-type]
    if not is_equal_weight(name):
        return view.bars(first=first, symbols=[name]).select("session", "close").collect()
    universe = universe_of(view, home.settings.data.universe)
    last = home.sessions.last_closed(view.as_of)
    ready = prepared(
        view,
        [first, home.sessions.shift(last, 1)],
        universe=universe,
        benchmark=name,
        lead_minutes=home.settings.run.lead_minutes,
    )
    growth = pl.Series(ready.index_returns).fill_nan(0.0) + 1.0
    return pl.DataFrame({"session": ready.wide.sessions, "close": growth.cum_prod()})
