"""Daily bars of Yahoo through yfinance. The download is handed in, so that it is tested on recorded answers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import polars as pl

from openbell.core.declare import provider
from openbell.core.errors import BadInput, DataMissing, PartlyDone
from openbell.core.time import Sessions
from openbell.market.batch import ACTIONS, BARS, INSTRUMENTS, NUMBERS, Batch, filled_fields, typed

#: (symbol, first day) -> Yahoo's history of the symbol from that day to today, unadjusted, as a pandas frame.
Download = Callable[[str, dt.date], Any]

#: Sessions asked for again at every increment, to see whether Yahoo tells them otherwise now.
OVERLAP_SESSIONS = 10
FIRST = dt.date(1990, 1, 1)
COLUMNS = {"Open": "open", "High": "high", "Low": "low", "Close": "close", "Adj Close": "adj_close", "Volume": "volume"}
SAME = 1e-4


def download(symbol: str, first: dt.date) -> Any:
    """The history of `symbol` from `first` to the newest session by yfinance: what alone reaches the network."""
    try:
        import yfinance  # type: ignore[import-untyped]
    except ImportError as missing:
        raise DataMissing("yfinance is not installed. Install it with `pip install 'openbell[yahoo]'`.") from missing
    # No end: Yahoo divides prices by all splits up to today, which can be undone only if all of them are in the answer.
    return yfinance.Ticker(symbol).history(
        start=first.isoformat(), auto_adjust=False, actions=True, repair=False, raise_errors=True
    )


@provider(name="yahoo", delay_minutes=15, fields=NUMBERS)
def declared(
    symbols: Sequence[str],
    sessions: Sessions,
    *,
    until: dt.date,
    stored: pl.DataFrame | None = None,
    kind: str = "STOCK",
) -> Batch:
    """Daily bars, splits and dividends of Yahoo, from the last stored session of each symbol on."""
    return yahoo(symbols, sessions, until=until, stored=stored, kind=kind)


def yahoo(
    symbols: Sequence[str],
    sessions: Sessions,
    *,
    until: dt.date,
    stored: pl.DataFrame | None = None,
    download: Download = download,
    kind: str = "STOCK",
) -> Batch:
    """Bars as they were traded, and splits and dividends as actions.

    Yahoo's prices come divided by all later splits. They are multiplied back, so that a later split never restates
    an earlier row; a dividend of D with the close P before it is the factor ``1 / (1 - D / P)``.

    Parameters
    ----------
    until : the last session wanted; a session that is still open does not belong here.
    stored : columns ``symbol``, ``session``, ``close`` as they stand. Each symbol is asked for from ten sessions before
        its last one on; where a stored close comes back otherwise, its whole history is asked for again, and the rows
        that differ will be stored as restatements.

    Returns
    -------
    A batch; `failed` says for each symbol without rows why.

    Raises
    ------
    BadInput : no symbols. DataMissing : none of the symbols gave a row.
    """
    wanted = list(dict.fromkeys(symbol.strip().upper() for symbol in symbols if symbol.strip()))
    if not wanted:
        raise BadInput("No symbols were named; name at least one, for example `openbell data fetch yahoo AAPL`.")
    parts: list[tuple[pl.DataFrame, pl.DataFrame]] = []
    failed: dict[str, str] = {}
    notes: list[str] = []
    for symbol in wanted:
        try:
            bars, actions, note = _history(symbol, sessions, until, _closes(stored, symbol), download)
        except PartlyDone as nothing:
            failed[symbol] = str(nothing)
            continue
        parts.append((bars, actions))
        notes.extend(note)
    if not parts:
        raise DataMissing(f"Yahoo gave nothing for {', '.join(wanted)}: {next(iter(failed.values()))}")
    bars = pl.concat([part[0] for part in parts])
    instruments = pl.DataFrame({"symbol": bars["symbol"].unique(maintain_order=True)}).with_columns(
        pl.lit(kind).alias("kind"), pl.lit(None, dtype=pl.String).alias("sector")
    )
    return Batch(
        "yahoo",
        bars,
        pl.concat([part[1] for part in parts]),
        typed(instruments, INSTRUMENTS),
        fields=filled_fields(bars),
        derive_actions=False,
        notes=tuple(notes),
        failed=failed,
    )


def raise_if_partial(failed: Mapping[str, str]) -> None:
    """Say which symbols gave nothing, with exit code 3; to be called when the others are stored."""
    if failed:
        told = "; ".join(f"{symbol}: {why}" for symbol, why in failed.items())
        raise PartlyDone(f"{len(failed)} symbols gave nothing and are unchanged: {told}. Fetch them again later.")


def _closes(stored: pl.DataFrame | None, symbol: str) -> pl.DataFrame:
    schema = {"session": pl.Date, "close": pl.Float64}
    if stored is None:
        return pl.DataFrame(schema=schema)
    return stored.filter(pl.col("symbol") == symbol).select("session", "close").sort("session")


def _history(
    symbol: str, sessions: Sessions, until: dt.date, closes: pl.DataFrame, download: Download
) -> tuple[pl.DataFrame, pl.DataFrame, list[str]]:
    """Bars and actions of one symbol, from the overlap on or, where the overlap was restated, from the beginning."""
    notes: list[str] = []
    first = FIRST
    if not closes.is_empty():
        last = sessions.index(closes["session"][-1])
        first = sessions.dates[max(last - OVERLAP_SESSIONS + 1, 0)]
    rows = _answer(symbol, first, download)
    if not closes.is_empty() and _restated(rows, closes):
        first = FIRST
        rows = _answer(symbol, first, download)
        notes.append(f"Yahoo tells stored closes of {symbol} otherwise now; its whole history was asked for again.")
    actions = _actions(rows).filter(pl.col("session") <= until)
    bars = rows.filter(pl.col("session") <= until).select(list(BARS))
    if bars.is_empty():
        raise PartlyDone(f"Yahoo has no row of {symbol} from {first} to {until}")
    if first is not FIRST:
        # What made the first row continuous with the one before lies outside the answer.
        actions = actions.filter(pl.col("session") > bars["session"].min())
    return bars, actions, notes


def _answer(symbol: str, first: dt.date, download: Download) -> pl.DataFrame:
    """Yahoo's answer as rows with prices as traded, `dividend` and `split`; no answer is PartlyDone."""
    try:
        frame = download(symbol, first)
    except DataMissing:
        raise
    except Exception as failure:
        raise PartlyDone(f"{type(failure).__name__}: {str(failure) or 'no reason given'}") from failure
    if frame is None or len(frame) == 0:
        raise PartlyDone("the answer was empty (a wrong or delisted symbol, or too many requests)")
    missing = [name for name in ("Open", "High", "Low", "Close", "Volume") if name not in frame.columns]
    if missing:
        raise PartlyDone(f"the answer has no column {', '.join(missing)}")
    nothing = [0.0] * len(frame)
    columns: dict[str, Any] = {
        ours: [float(value) for value in frame[theirs]] for theirs, ours in COLUMNS.items() if theirs in frame.columns
    }
    rows = pl.DataFrame(
        {
            # The index is midnight in the exchange's own zone: its date is the session.
            "session": [moment.date() for moment in frame.index],
            **columns,
            "dividend": [float(value) for value in frame["Dividends"]] if "Dividends" in frame.columns else nothing,
            "split": [float(value) for value in frame["Stock Splits"]] if "Stock Splits" in frame.columns else nothing,
        }
    )
    return _as_traded(rows.sort("session"), symbol)


def _as_traded(rows: pl.DataFrame, symbol: str) -> pl.DataFrame:
    """`rows` with prices, dividends and volume as they were on their day: without the splits that came after it."""
    if "adj_close" not in rows.columns:
        rows = rows.with_columns(pl.lit(None, dtype=pl.Float64).alias("adj_close"))
    ratio = pl.when(pl.col("split") > 0).then(pl.col("split")).otherwise(1.0)
    rows = rows.with_columns(pl.col(*NUMBERS, "dividend", "split").fill_nan(None), ratio.alias("ratio"))
    later = (pl.col("ratio").cum_prod(reverse=True) / pl.col("ratio")).alias("later")
    prices = [(pl.col(name) * pl.col("later")).alias(name) for name in ("open", "high", "low", "close", "dividend")]
    rows = rows.with_columns(later).with_columns(*prices, (pl.col("volume") / pl.col("later")).alias("volume"))
    return rows.with_columns(pl.lit(symbol).alias("symbol"))


def _restated(rows: pl.DataFrame, closes: pl.DataFrame) -> bool:
    both = rows.select("session", "close").join(closes, on="session", suffix="_stored")
    return bool(((both["close"] / both["close_stored"] - 1).abs() > SAME).any())


def _actions(rows: pl.DataFrame) -> pl.DataFrame:
    split = rows.filter(pl.col("split") > 0).select(
        "symbol", "session", pl.lit("split").alias("kind"), pl.col("split").alias("factor")
    )
    # A dividend is paid on the shares before a split of the same day.
    before = pl.col("close").shift(1)
    kept = 1 - pl.col("dividend") * pl.col("ratio") / before
    paid = rows.with_columns(kept.alias("kept")).filter((pl.col("dividend") > 0) & (pl.col("kept") > 0))
    dividend = paid.select(
        "symbol", "session", pl.lit("distribution").alias("kind"), (1 / pl.col("kept")).alias("factor")
    )
    return typed(pl.concat([split, dividend]), ACTIONS).sort("session", "kind")
