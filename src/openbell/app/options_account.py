"""The paper account of the options desk: what the executed decisions in the journal made of the chains."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from openbell.app.options_history import costs_of
from openbell.app.options_market import OptionMarketData, real_quotes
from openbell.app.options_training import desk_of
from openbell.core.types import Book, Exercise, Instrument, Kind, Leg, Right, Settlement, Structure
from openbell.dialects.occ import occ_symbol
from openbell.market.contracts import option_class
from openbell.research.option_backtest import Entry, OptionBacktest, Rules, decisions, option_backtest
from openbell.research.option_quotes import Quotes, Spots, SurfaceQuotes, TableQuotes

if TYPE_CHECKING:
    from openbell.app.home import Home


@dataclass(frozen=True, eq=False)
class OptionAccount:
    """The account as it stood at the last close: its book, what is open, what that may lose, and what it binds."""

    book: Book
    open_positions: int = 0
    open_risk_usd: float = 0.0
    margin_usd: float = 0.0
    history: OptionBacktest | None = None


def account_of(home: Home, data: OptionMarketData, capital_usd: float) -> OptionAccount:
    """Walk every executed decision before today through the chains up to the last close.

    The journal is the only memory: the same records and chains give the same account.
    """
    entries = _executed(home, data)
    as_of = data.view.as_of
    if not entries:
        return OptionAccount(Book(as_of, capital_usd))
    found = option_backtest(
        decisions(entries),
        quotes_of(data),
        spots_of(data),
        rules=rules_of(home, data, capital_usd),
        exits=costs_of(home)[0],
        costs=costs_of(home)[1],
        first=min(entries),
        last=len(data.sessions) - 1,
    )
    last = found.daily.row(-1, named=True)
    still = found.positions.filter(pl.col("exit_session").is_null())
    equity = found.daily.select("session", "equity_usd")
    return OptionAccount(
        Book(as_of, last["equity_usd"], equity=equity),
        still.height,
        float(still["max_loss_usd"].sum()),
        float(last["margin_usd"]),
        found,
    )


def rules_of(home: Home, data: OptionMarketData, capital_usd: float) -> Rules:
    """The account's rules, the same for the paper account and the back-test."""
    desk = home.settings.desks["options"]
    return Rules(
        capital_usd=capital_usd,
        risk_fraction=desk["risk_fraction"],
        max_contracts=desk["max_contracts"],
        max_open_positions=home.settings.options.max_positions,
        american=data.american,
        delivered=data.american,
        broad_index=not data.american,
    )


def quotes_of(data: OptionMarketData) -> Quotes:
    """Stored quotes where there are some, modelled ones for the rest."""
    modelled = SurfaceQuotes(data.surfaces, data.american, data.calendar)
    stored = real_quotes(data.view, data.underlying)
    stored = stored.filter(pl.col("session").is_in(pl.Series(data.sessions).cast(pl.Date).implode()))
    if stored.is_empty():
        return modelled
    newest = stored.sort("quote_at").unique(
        ["session", "expiry", "strike", "right", "settlement"], keep="last", maintain_order=True
    )
    return TableQuotes.of(newest, data.sessions, modelled)


def spots_of(data: OptionMarketData) -> Spots:
    """The underlying through time; a session without a price keeps the one before, and trades nothing."""
    surfaces = data.surfaces
    close = _carried(surfaces.spot)
    opens = np.where(surfaces.settle > 0, surfaces.settle, close)
    return Spots(
        data.sessions, opens, close, surfaces.settle, np.nan_to_num(surfaces.rate), _dividends(data), data.calendar
    )


def _carried(values: np.ndarray) -> np.ndarray:
    return pl.Series(values).fill_nan(None).forward_fill().backward_fill().to_numpy()


def _dividends(data: OptionMarketData) -> np.ndarray:
    """USD per share by ex-session, from the stored distributions; 0 for an index."""
    out = np.zeros(len(data.sessions))
    if not data.american or not data.view.tables.exists("actions"):
        return out
    rows = (
        data.view.facts("actions")
        .filter(pl.col("symbol") == data.underlying, pl.col("kind") == "distribution")
        .sort("known_at")
        .unique("session", keep="last")
        .select("session", "factor")
        .collect()
    )
    for session, factor in rows.iter_rows():
        row = int(np.searchsorted(data.sessions, np.datetime64(session)))
        if 0 < row < len(out) and data.sessions[row] == np.datetime64(session):
            # A forward factor f = close before / (close before - dividend).
            out[row] = max(data.surfaces.spot[row - 1] * (1.0 - 1.0 / factor), 0.0)
    return out


def _executed(home: Home, data: OptionMarketData) -> dict[int, Entry]:
    """The executed decisions whose session has closed, by the place of their session."""
    records = home.journal.records(kind="decision", before=data.view.as_of, desk=desk_of(data.underlying))
    found = {}
    for record in records:
        payload = record.payload
        session = np.datetime64(dt.date.fromisoformat(payload["session"]))
        row = int(np.searchsorted(data.sessions, session))
        if payload["execute"] and payload["targets"] and row < len(data.sessions) and data.sessions[row] == session:
            details = payload["details"]
            legs = {each["contract"]: each["ratio"] for each in details["legs"]}
            found[row] = Entry.of(details["structure"], _structure(legs), int(details["contracts"]))
    return found


def _structure(legs: dict[str, int]) -> Structure:
    """Typed legs out of OCC symbols and ratios."""
    out = []
    for symbol, ratio in legs.items():
        named = occ_symbol(symbol)
        facts = option_class(named.root)
        out.append(
            Leg(
                Instrument(
                    symbol, Kind.OPTION, facts.multiplier, underlying=facts.underlying, expiry=named.expiry,
                    strike=named.strike, right=Right(named.right), exercise=Exercise(facts.exercise),
                    settlement=Settlement(facts.settlement),
                ),
                int(ratio),
            )
        )  # fmt: skip
    return Structure(tuple(out))
