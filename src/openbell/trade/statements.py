"""Statements of positions from outside: imported as the truth, or compared with the book."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from openbell.core.errors import BadInput, nearest
from openbell.core.hashing import digest
from openbell.core.types import Book
from openbell.store.journal import Journal, Record

#: A row under this symbol states cash in USD instead of shares.
CASH = "CASH"

DIFFERENCES_SCHEMA = {
    "symbol": pl.String,
    "book_shares": pl.Int64,
    "broker_shares": pl.Int64,
    "difference": pl.Int64,
}


@dataclass(frozen=True, slots=True)
class Statement:
    """What a statement says is held. `cost_usd` is per share where the file gives it; `cash_usd` None if not told."""

    shares: Mapping[str, int]
    cost_usd: Mapping[str, float]
    cash_usd: float | None


@dataclass(frozen=True, slots=True, eq=False)
class Reconciliation:
    """Book against broker: rows of `DIFFERENCES_SCHEMA` that differ (broker less book), and cash where it was told."""

    differences: pl.DataFrame
    cash_difference_usd: float | None

    @property
    def agrees(self) -> bool:
        """Whether every position, and cash to the cent where it was told, is the same in both."""
        return not self.differences.height and abs(self.cash_difference_usd or 0.0) < 0.005


def read_statement(file: Path, known: Collection[str] | None = None) -> Statement:
    """Read ``symbol,shares[,cost]``; every row that cannot be used is refused, all of them in one sentence each.

    A row ``CASH`` states cash. `known` are the valid symbols; None accepts any.
    """
    rows = _rows(file)
    symbols = [row["symbol"] for row in rows]
    wrong: list[str] = []
    shares: dict[str, int] = {}
    cost: dict[str, float] = {}
    cash: float | None = None
    for number, row in enumerate(rows, start=2):
        symbol, reason = row["symbol"], _fault(row, symbols, known)
        if reason:
            wrong.append(f"line {number} ({symbol or 'no symbol'}): {reason}")
        elif symbol == CASH:
            cash = float(row["shares"])
        else:
            shares[symbol] = int(float(row["shares"]))
            if row.get("cost"):
                cost[symbol] = float(row["cost"])
    if wrong:
        raise BadInput(f"{len(wrong)} of {len(rows)} rows of {file.name} cannot be used: {'; '.join(wrong)}. "
                       "Nothing was written; mend the rows and import again.")  # fmt: skip
    return Statement(shares, cost, cash)


def import_positions(
    journal: Journal,
    file: Path,
    *,
    known: Collection[str],
    session: dt.date,
    at: dt.datetime,
    desk: str = "stocks",
) -> Record:
    """Journal the statement `file` as what is held from the open of `session` on; the same one again changes nothing.

    It replaces all positions, and cash where the statement tells it. The record's economic moment is `at`.
    """
    said = read_statement(file, known)
    payload = {
        "desk": desk,
        "session": session.isoformat(),
        "shares": dict(sorted(said.shares.items())),
        "cost_usd": dict(sorted(said.cost_usd.items())),
        "cash_usd": said.cash_usd,
    }
    return journal.append("import", payload, at=at, key=digest(["import", payload]))


def deposit(
    journal: Journal, usd: float, *, session: dt.date, at: dt.datetime, key: str | None = None, desk: str = "stocks"
) -> Record:
    """Journal cash paid in (or, negative, taken out) before the open of `session`."""
    return journal.append(
        "deposit",
        {"desk": desk, "session": session.isoformat(), "usd": usd},
        at=at,
        key=digest(["deposit", desk, key]) if key is not None else None,
    )


def reconcile(held: Book, file: Path) -> Reconciliation:
    """Differences between the book and a broker's statement, by symbol; nothing is changed."""
    said = read_statement(file)
    symbols = sorted(held.shares.keys() | said.shares.keys())
    ours = [held.shares.get(symbol, 0) for symbol in symbols]
    theirs = [said.shares.get(symbol, 0) for symbol in symbols]
    rows = pl.DataFrame(
        {
            "symbol": symbols,
            "book_shares": ours,
            "broker_shares": theirs,
            "difference": [broker - book for book, broker in zip(ours, theirs, strict=True)],
        },
        schema=DIFFERENCES_SCHEMA,
    ).filter(pl.col("difference") != 0)
    cash = None if said.cash_usd is None else said.cash_usd - held.cash_usd
    return Reconciliation(rows, cash)


def _rows(file: Path) -> list[dict[str, str]]:
    if not file.is_file():
        raise BadInput(f"There is no file {file.name} to read positions from. Name a CSV of symbol,shares[,cost].")
    try:
        frame = pl.read_csv(file, infer_schema=False)
    except (pl.exceptions.PolarsError, UnicodeDecodeError) as failure:
        raise BadInput(
            f"{file.name} is no readable CSV: {failure}. It needs the columns symbol,shares[,cost]."
        ) from None
    frame = frame.rename({name: name.strip().lower() for name in frame.columns})
    missing = [name for name in ("symbol", "shares") if name not in frame.columns]
    if missing:
        raise BadInput(
            f"{file.name} lacks the column {' and '.join(missing)}; it has {', '.join(frame.columns)}. "
            "The columns are symbol,shares[,cost]."
        )
    kept = [name for name in ("symbol", "shares", "cost") if name in frame.columns]
    return frame.select(pl.col(kept).fill_null("").str.strip_chars()).to_dicts()


def _fault(row: Mapping[str, str], symbols: list[str], known: Collection[str] | None) -> str | None:
    """Why a row cannot be used, or None."""
    symbol, amount = row["symbol"], _number(row["shares"])
    if not symbol:
        return "the symbol is empty"
    if symbols.count(symbol) > 1:
        return "the symbol stands there more than once"
    if amount is None:
        return f"`{row['shares']}` is no number"
    if amount < 0:
        return f"{row['shares']} is negative, and the account is long only"
    if row.get("cost") and not (_number(row["cost"]) or -1.0) >= 0:
        return f"the cost `{row['cost']}` is no number of 0 or more"
    if symbol == CASH:
        return None
    if amount != int(amount):
        return f"{row['shares']} is a fraction; positions are whole shares"
    if amount == 0:
        return "0 shares are no position; leave the row out"
    if known is not None and symbol not in known:
        return f"there is no instrument `{symbol}`. {nearest(symbol, known)}"
    return None


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if abs(value) < 1e15 else None
