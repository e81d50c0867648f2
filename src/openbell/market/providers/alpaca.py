"""Bars of stocks by Alpaca through alpaca-py. The client is handed in, so that it is tested on recorded answers."""

from __future__ import annotations

import datetime as dt
import importlib
import json
import warnings
from collections.abc import Mapping
from typing import Any

import polars as pl

from openbell.core.declare import provider
from openbell.core.errors import BadInput, DataMissing, unknown
from openbell.core.time import MOMENT, utc
from openbell.market.batch import INSTRUMENTS, Batch, bars_frame, filled_fields, typed
from openbell.market.fetched_minutes import STARTED, fetched
from openbell.market.minute_times import FREQUENCIES
from openbell.market.products import Product
from openbell.market.providers.minutes import MinuteBatch
from openbell.quant.bar_frames import FIELDS

FEEDS = ("iex", "sip")
#: What the answer calls each field, and what we do.
_FIELDS = {"t": "started_at", "o": "open", "h": "high", "l": "low", "c": "close", "v": "volume"}
_KEYS = "Put the keys of your account into APCA_API_KEY_ID and APCA_API_SECRET_KEY."


def client(key: str | None, secret: str | None) -> Any:
    """Alpaca's client for stock bars: what alone reaches the network."""
    if not key or not secret:
        raise DataMissing(f"Alpaca gives bars to known accounts only. {_KEYS}")
    return _alpaca("data.historical").StockHistoricalDataClient(key, secret, raw_data=True)


def _alpaca(module: str) -> Any:
    """A module of alpaca-py, imported when it is needed."""
    try:
        with warnings.catch_warnings():
            # alpaca-py 0.44 imports the part of websockets that is to go.
            warnings.filterwarnings("ignore", message="websockets", category=DeprecationWarning)
            return importlib.import_module(f"alpaca.{module}")
    except ImportError as missing:
        raise DataMissing("alpaca-py is not installed. Install it with `pip install 'openbell[alpaca]'`.") from missing


def alpaca_minutes(
    client: Any, product: Product, freq: str, first: dt.datetime, until: dt.datetime, *, feed: str = "sip"
) -> MinuteBatch:
    """Bars within the session as they were traded, nights before and after the market included.

    Parameters
    ----------
    client : of `client`, or one that answers `get_stock_bars` from a recording, raw. All pages are read by it.
    first, until : from the first bar that starts at or after, to the last one that had ended at. feed : sip or iex.
    """
    if freq not in FREQUENCIES:
        raise unknown("frequency of bars within the session", freq, FREQUENCIES)
    rows = _asked(client, product, FREQUENCIES[freq], utc(first), utc(until), feed)
    return fetched(f"alpaca:{feed}", rows, freq, product, until)


def alpaca_days(client: Any, product: Product, first: dt.date, last: dt.date, *, feed: str = "sip") -> Batch:
    """Daily bars as they were traded, from `first` to `last`, both included. Splits and dividends are not in them."""
    begin = dt.datetime.combine(first, dt.time(), dt.UTC)
    rows = _asked(client, product, None, begin, begin + (last - first) + dt.timedelta(days=1), feed)
    day = pl.col("started_at").dt.convert_time_zone(product.time_zone).dt.date().alias("session")
    rows = rows.with_columns(day, pl.lit(product.code).alias("symbol")).filter(pl.col("session") <= last)
    bars = bars_frame(rows)
    if bars.is_empty():
        raise DataMissing(f"Alpaca has no day of {product.code} from {first} to {last}.")
    told = pl.DataFrame({"symbol": [product.code], "kind": [product.kind], "sector": [None]})
    note = f"Alpaca's days of {product.code} are as traded; splits and dividends are not known from them."
    return Batch(
        f"alpaca:{feed}",
        bars,
        instruments=typed(told, INSTRUMENTS),
        fields=filled_fields(bars),
        derive_actions=False,
        notes=(note,),
    )


#: The plan without fees hides the newest quarter of an hour; name `--delay 0` where yours does not.
declared = provider(name="alpaca", delay_minutes=15, fields=FIELDS[:5])(alpaca_minutes)


def _asked(
    client: Any, product: Product, minutes: int | None, first: dt.datetime, until: dt.datetime, feed: str
) -> pl.DataFrame:
    if product.kind != "STOCK":
        raise BadInput(
            f"Alpaca gives bars of stocks, and {product.code} is {product.name}. Name another provider, such as yahoo."
        )
    if feed not in FEEDS:
        raise unknown("feed of Alpaca", feed, FEEDS)
    if until <= first:
        raise BadInput(f"Bars cannot end at {until} before they start at {first}. Exchange the two.")
    frames, enums = _alpaca("data.timeframe"), _alpaca("data.enums")
    units = frames.TimeFrameUnit
    unit = units.Day if minutes is None else units.Hour if minutes == 60 else units.Minute
    request = _alpaca("data.requests").StockBarsRequest(
        symbol_or_symbols=product.code,
        timeframe=frames.TimeFrame((minutes or 1) if unit is units.Minute else 1, unit),
        start=first,
        end=until,
        adjustment=enums.Adjustment.RAW,
        feed=enums.DataFeed(feed),
    )
    try:
        answer = client.get_stock_bars(request)
    except _alpaca("common.exceptions").APIError as refused:
        raise DataMissing(_why(refused, product.code)) from None
    except (ValueError, AttributeError, TypeError, KeyError) as failure:
        # What alpaca-py raises of an answer that is no JSON, or none of bars.
        raise DataMissing(
            f"What Alpaca answered for {product.code} are no bars ({type(failure).__name__})."
        ) from failure
    except OSError as failure:
        raise DataMissing(f"Alpaca cannot be reached for {product.code} ({type(failure).__name__}).") from failure
    return _rows(answer, product.code)


def _why(refused: Any, symbol: str) -> str:
    """What Alpaca's refusal means, without what was sent."""
    status = refused.status_code
    if status == 429:
        return f"Alpaca refused {symbol}: too many requests in a minute (429), also when asked again. Fetch it later."
    try:
        said = str(json.loads(str(refused))["message"])
    except (ValueError, KeyError, TypeError):
        said = "no reason given"
    cure = f" {_KEYS}" if status in (401, 403) else ""
    return f"Alpaca refused {symbol} with status {status}: {said.rstrip('.')}.{cure}"


def _rows(answer: Any, symbol: str) -> pl.DataFrame:
    bars = answer.get(symbol) if isinstance(answer, Mapping) else None
    if not bars:
        raise DataMissing(f"Alpaca has no bar of {symbol} in that time. Is the symbol right?")
    lacking = [ours for theirs, ours in _FIELDS.items() if theirs not in bars[0]]
    if lacking:
        raise DataMissing(f"The bars that Alpaca gave of {symbol} have no {', '.join(lacking)}.")
    columns = {ours: [bar.get(theirs) for bar in bars] for theirs, ours in _FIELDS.items()}
    started = pl.Series("started_at", columns.pop("started_at"), dtype=pl.String)
    times = started.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%#z", time_unit="us", strict=False).cast(MOMENT)
    if times.null_count():
        raise DataMissing(f"Alpaca told the time `{started.filter(times.is_null())[0]}` of {symbol}, which is none.")
    prices = {name: pl.Series(values, dtype=pl.Float64, strict=False) for name, values in columns.items()}
    return pl.DataFrame({"started_at": times, **prices}).select(list(STARTED))


__all__ = ["FEEDS", "alpaca_days", "alpaca_minutes", "client", "declared"]
