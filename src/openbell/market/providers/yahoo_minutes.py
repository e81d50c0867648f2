"""Bars within the session by Yahoo through yfinance. The download is handed in: it is tested on recorded answers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any

import polars as pl

from openbell.core.declare import provider
from openbell.core.errors import BadInput, DataMissing, unknown
from openbell.core.time import MOMENT, utc
from openbell.market.fetched_minutes import STARTED, fetched
from openbell.market.products import Product
from openbell.market.providers.minutes import MinuteBatch
from openbell.quant.bar_frames import FIELDS

#: (symbol, interval, first, until) -> Yahoo's history as a pandas frame with an aware index of the starts of bars.
Download = Callable[[str, str, dt.datetime, dt.datetime], Any]

#: How far back Yahoo keeps each frequency, and how much it gives at once, in days.
KEPT_DAYS: Mapping[str, int] = {"1m": 30, "5m": 60, "15m": 60, "1h": 730}
AT_ONCE_DAYS: Mapping[str, int] = {"1m": 7, "5m": 60, "15m": 60, "1h": 730}
_COLUMNS = {"Open": "open", "High": "high", "Low": "low", "Close": "close", "Volume": "volume"}


def download(symbol: str, interval: str, first: dt.datetime, until: dt.datetime) -> Any:
    """The history of `symbol` by yfinance: what alone reaches the network."""
    try:
        import yfinance  # type: ignore[import-untyped]
    except ImportError as missing:
        raise DataMissing("yfinance is not installed. Install it with `pip install 'openbell[yahoo]'`.") from missing
    return yfinance.Ticker(symbol).history(
        start=first, end=until, interval=interval, prepost=True, auto_adjust=False, actions=False, raise_errors=True
    )


def yahoo_symbol(product: Product) -> str:
    """What Yahoo calls `product`: ``ES=F``, ``6E=F``, ``ZN=F``, ``BTC-USD``; a stock as it is."""
    if product.kind == "FUTURE":
        return f"{product.also[0] if product.also else product.code}=F"
    return product.also[0] if product.kind == "SPOT" and product.also else product.code


def yahoo_minutes(
    product: Product, freq: str, first: dt.datetime, until: dt.datetime, *, download: Download = download
) -> MinuteBatch:
    """Bars from `first` on that had ended at `until`, asked for in as many pieces as Yahoo gives at once.

    A future's bars are of the contract that Yahoo takes for the nearest, without telling when it changed.

    Raises
    ------
    BadInput : `first` is longer ago than Yahoo keeps bars of `freq`. DataMissing : Yahoo gave none.
    """
    if freq not in KEPT_DAYS:
        raise unknown("frequency of bars within the session", freq, KEPT_DAYS)
    begin, end = utc(first), utc(until)
    if end <= begin:
        raise BadInput(f"Bars cannot end at {end} before they start at {begin}. Exchange the two.")
    if end - begin > dt.timedelta(days=KEPT_DAYS[freq]):
        raise BadInput(
            f"Yahoo keeps bars of {freq} for {KEPT_DAYS[freq]} days; {begin:%Y-%m-%d} lies before that. "
            f"Ask from {end - dt.timedelta(days=KEPT_DAYS[freq]):%Y-%m-%d} on, or for longer bars."
        )
    symbol, parts = yahoo_symbol(product), []
    while begin < end:
        upto = min(begin + dt.timedelta(days=AT_ONCE_DAYS[freq]), end)
        parts.append(_answer(symbol, freq, begin, upto, download))
        begin = upto
    rows = pl.concat(parts).unique("started_at", keep="last", maintain_order=True).sort("started_at")
    if rows.is_empty():
        raise DataMissing(f"Yahoo gave no bar of {symbol}: a wrong symbol, or too many requests.")
    return fetched("yahoo", rows, freq, product, until)


#: Its newest bars come a quarter of an hour late, but for crypto.
declared = provider(name="yahoo_minutes", delay_minutes=15, fields=FIELDS[:5])(yahoo_minutes)


def _answer(symbol: str, freq: str, first: dt.datetime, until: dt.datetime, download: Download) -> pl.DataFrame:
    try:
        frame = download(symbol, freq, first, until)
    except DataMissing:
        raise
    except Exception as failure:
        told = str(failure) or "no reason given"
        raise DataMissing(f"Yahoo gave nothing of {symbol}: {type(failure).__name__}: {told}") from failure
    if frame is None or len(frame) == 0:
        return pl.DataFrame(schema=STARTED)
    missing = [name for name in _COLUMNS if name not in frame.columns]
    if missing:
        raise DataMissing(f"Yahoo's answer of {symbol} has no column {', '.join(missing)}.")
    if frame.index.tz is None:
        raise DataMissing(f"Yahoo's answer of {symbol} tells times without a zone, such as {frame.index[0]}.")
    starts = pl.Series("started_at", [moment.to_pydatetime() for moment in frame.index.tz_convert("UTC")])
    numbers = {ours: frame[theirs].astype("float64").to_numpy() for theirs, ours in _COLUMNS.items()}
    rows = pl.DataFrame({"started_at": starts.cast(MOMENT), **numbers})
    return rows.with_columns(pl.col(*numbers).fill_nan(None)).select(list(STARTED))


__all__ = ["AT_ONCE_DAYS", "KEPT_DAYS", "declared", "download", "yahoo_minutes", "yahoo_symbol"]
