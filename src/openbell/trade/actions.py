"""Corporate actions on what is held: splits, distributions, and names whose prices have ended."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Mapping
from fractions import Fraction

import polars as pl

from openbell.core.hashing import digest
from openbell.core.time import Sessions
from openbell.store.journal import Entry, Journal, Record
from openbell.trade.positions import KINDS, Account, Happened, account

#: A factor this near (relative) to a ratio of whole numbers up to `_LARGEST` is that ratio: prices are rounded.
_NEAR = 5e-4
_LARGEST = 20


def split_ratio(factor: float) -> float:
    """New shares for one old share; a factor read off rounded prices is taken for the ratio it stands for."""
    inverse = factor < 1.0
    ratio = Fraction(1.0 / factor if inverse else factor).limit_denominator(_LARGEST)
    exact = float(1 / ratio if inverse else ratio)
    return exact if abs(exact / factor - 1.0) < _NEAR else factor


def corporate_actions(
    holder: Account,
    session: dt.date,
    actions: pl.DataFrame,
    closes_before: Mapping[str, float],
    *,
    at: dt.datetime,
    desk: str,
) -> tuple[list[Entry], list[str]]:
    """Entries for the actions of the ex-session `session` on what `holder` holds, and what was left out and why.

    Parameters
    ----------
    holder : the account before the open of `session`; not changed.
    actions : columns ``symbol``, ``session``, ``kind``, ``factor`` (see the table ``actions``).
    closes_before : raw close of the session before, USD; needed of each held name with an action.
    at : the open of `session`.

    Notes
    -----
    A distribution's factor f makes the price series continuous, ``f = close_before / (close_before - cash)``, so it
    pays ``close_before * (1 - 1 / f)`` for each share held before the open. A split turns n shares into
    ``floor(n * ratio)``; the fraction is paid in cash at ``close_before / ratio``.
    """
    entries: list[Entry] = []
    notes: list[str] = []
    here = actions.filter((pl.col("session") == session) & pl.col("symbol").is_in(sorted(holder.shares)))
    for symbol, kind, factor in here.sort("symbol", "kind").select("symbol", "kind", "factor").rows():
        close, count = closes_before.get(symbol), holder.shares[symbol]
        if close is None or not factor > 0 or (kind == "distribution" and factor < 1.0):
            notes.append(
                f"The {kind} of {symbol} on {session} (factor {factor}, close before {close}) cannot be paid out "
                "and was left alone. Check it with `openbell data check`."
            )
            continue
        payload = {"desk": desk, "session": session.isoformat(), "symbol": symbol, "factor": factor}
        if kind == "distribution":
            each = close * (1.0 - 1.0 / factor)
            payload |= {"usd_per_share": each, "shares": count, "cash_usd": each * count}
        else:
            ratio = split_ratio(factor)
            after = math.floor(count * ratio + 1e-9)
            lieu = max(count * ratio - after, 0.0) * close / ratio
            payload |= {"ratio": ratio, "shares_before": count, "shares_after": after, "cash_in_lieu_usd": lieu}
        entries.append(Entry(kind, payload, at, digest([kind, desk, symbol, session])))
    return entries, notes


def journal_actions(
    journal: Journal,
    actions: pl.DataFrame,
    bars: pl.DataFrame,
    sessions: Sessions,
    *,
    first: dt.date,
    last: dt.date,
    initial_cash_usd: float,
    desk: str = "stocks",
) -> tuple[list[Record], list[str]]:
    """Journal the actions on holdings in the sessions from `first` to `last`; a second call writes nothing new.

    For a broker that does not report them itself; the paper broker settles them with its fills.
    `bars` has ``symbol``, ``session`` and raw ``close``.
    """
    written: list[Record] = []
    notes: list[str] = []
    for session in actions.filter(pl.col("session").is_between(first, last))["session"].unique().sort():
        at = sessions.open(session)
        holder = account(journal.records(kind=KINDS, before=at, desk=desk), initial_cash_usd)
        entries, left = corporate_actions(
            holder, session, actions, closes_before(bars, session, holder.shares), at=at, desk=desk
        )
        written += journal.append_many(entries)
        notes += left
    return written, notes


def closes_before(bars: pl.DataFrame, session: dt.date, symbols: Iterable[str]) -> dict[str, float]:
    """Last raw close of each of `symbols` before `session`."""
    known = bars.filter((pl.col("session") < session) & pl.col("symbol").is_in(sorted(symbols)))
    return dict(known.sort("session").group_by("symbol").last().select("symbol", "close").rows())


def vanished(
    holder: Account, session: dt.date, bars: pl.DataFrame, sessions: Sessions, *, max_stale: int, desk: str
) -> list[Entry]:
    """Entries that turn names without a bar for more than `max_stale` sessions into cash at their last close.

    Such names have been bought up, merged or delisted; the back-test treats them alike.
    """
    known = bars.filter((pl.col("session") <= session) & pl.col("symbol").is_in(sorted(holder.shares)))
    last = known.sort("session").group_by("symbol", maintain_order=True).last()
    number = sessions.index(session)
    entries: list[Entry] = []
    for symbol, seen, close in last.sort("symbol").select("symbol", "session", "close").rows():
        if number - sessions.index(seen) > max_stale:
            count = holder.shares[symbol]
            payload = {
                "desk": desk,
                "session": session.isoformat(),
                "symbol": symbol,
                "shares": count,
                "price_usd": close,
                "price_session": seen.isoformat(),
                "cash_usd": count * close,
            }
            entries.append(
                Entry("vanished", payload, sessions.open(session), digest(["vanished", desk, symbol, session]))
            )
    return entries


def after(holder: Account, happened: Iterable[Happened]) -> Account:
    """A copy of `holder` to which `happened` has happened."""
    copy = Account(holder.cash_usd, dict(holder.shares))
    for each in happened:
        copy.apply(each.kind, each.payload)
    return copy
