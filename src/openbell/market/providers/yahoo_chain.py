"""yfinance's frames of option chains, saved as CSV or Parquet: one snapshot, or many of them put together."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import polars as pl

from openbell.core.declare import provider
from openbell.core.errors import BadInput
from openbell.core.time import MOMENT, Sessions
from openbell.dialects.occ import occ_columns
from openbell.market.calendars import sessions as calendar
from openbell.market.chain_batch import ChainBatch, chain_batch
from openbell.market.chain_layouts import Told, content, days, numbers, session_told, table
from openbell.market.chain_times import NEW_YORK
from openbell.market.layouts import plain

#: Our column -> what it is called by yfinance and by those who saved its frames.
NAMES: dict[str, tuple[str, ...]] = {
    "symbol": ("contractsymbol", "contract_symbol"),
    "last_trade_at": ("lasttradedate", "last_trade_date"),
    "last": ("lastprice", "last_price"),
    "bid": ("bid",),
    "ask": ("ask",),
    "volume": ("volume",),
    "open_interest": ("openinterest", "open_interest"),
    "vendor_iv": ("impliedvolatility", "implied_volatility"),
    "session": ("snap_date", "date_pulled", "snapshot_date", "quote_date", "as_of", "session", "date"),
    "spot": ("spot_price", "underlying_price", "underlyingprice", "spot", "stock_price"),
    "underlying": ("underlying", "ticker"),
}  # fmt: skip
FIELDS = ("bid", "ask", "last", "volume", "open_interest", "vendor_iv")
NUMBERS = ("bid", "ask", "last", "volume", "open_interest", "vendor_iv", "spot")


def yahoo_chain(
    path: str | Path, *, sessions: Sessions | None = None, underlying: str | None = None, session: dt.date | None = None
) -> ChainBatch:
    """Quotes out of one file of yfinance's option frames (.csv, .csv.gz, .parquet).

    Notes
    -----
    The frames tell the day they were pulled, if somebody added it, and never the moment. The latest trade of a day's
    snapshot is the best lower bound of it, so that is the moment of its quotes, the session's close at the latest. A
    snapshot without a day takes `session`, or the one day its file's name tells. `volume` of a contract that last
    traded before the session is 0 of that session: Yahoo keeps showing the one of the last day with a trade.
    """
    place = Path(path)
    open_days = sessions or calendar()
    frame = table(place, content(place))
    found = {
        ours: name for ours, words in NAMES.items() for word in words for name in frame.columns if plain(name) == word
    }
    terms = _terms(frame, found, place)
    rows = terms.with_columns(
        *(numbers(frame[found[name]], place.name).alias(name) for name in NUMBERS if name in found),
        _moments(frame[found["last_trade_at"]], place).alias("last_trade_at"),
        _sessions(frame, found, Told(underlying, session), place, open_days).alias("session"),
    )
    if underlying is not None:
        rows = rows.filter(pl.col("root") == underlying.upper()) if (rows["root"] == underlying.upper()).any() else rows
        rows = rows.with_columns(pl.lit(underlying.upper()).alias("underlying"))
    elif "underlying" in found:
        rows = rows.with_columns(frame[found["underlying"]].cast(pl.String).str.to_uppercase().alias("underlying"))
    rows, notes = _dated(rows, open_days, place)
    return chain_batch(f"yahoo:{place.name}", rows, open_days, notes)


declared = provider(name="yahoo_chain", delay_minutes=15, fields=FIELDS)(yahoo_chain)


def _terms(frame: pl.DataFrame, found: dict[str, str], place: Path) -> pl.DataFrame:
    for needed in ("symbol", "bid", "ask", "last_trade_at"):
        if needed not in found:
            raise BadInput(f"`{place.name}` has no column `{NAMES[needed][0]}`, which yfinance's frames have.")
    said = frame[found["symbol"]]
    terms = occ_columns(said)
    unread = terms["root"].is_null()
    if unread.any():
        row = int(unread.arg_max() or 0)
        raise BadInput(
            f"Row {row + 1} of `{found['symbol']}` in {place.name} is `{said[row]}`, which is no OCC symbol "
            f"({int(unread.sum())} such rows)."
        )
    return terms


def _moments(series: pl.Series, place: Path) -> pl.Series:
    if isinstance(series.dtype, pl.Datetime):
        zoned = series if series.dtype.time_zone else series.dt.replace_time_zone("UTC")
        return zoned.dt.convert_time_zone("UTC").cast(MOMENT)
    said = series.cast(pl.String).str.strip_chars().replace("", None)
    read = said.str.to_datetime("%Y-%m-%d %H:%M:%S%#z", strict=False, time_unit="us")
    if read.null_count() > said.null_count():
        read = said.str.to_datetime("%Y-%m-%d %H:%M:%S", strict=False, time_unit="us").dt.replace_time_zone("UTC")
    if read.null_count() > said.null_count():
        wrong = said.filter(read.is_null() & said.is_not_null()).first()
        raise BadInput(f"`{series.name}` of {place.name} holds `{wrong!s}`; yfinance writes 2025-10-06 15:59:58+00:00.")
    return read.dt.convert_time_zone("UTC").cast(MOMENT)


def _sessions(frame: pl.DataFrame, found: dict[str, str], told: Told, place: Path, sessions: Sessions) -> pl.Series:
    if "session" in found and told.session is None:
        return days(frame[found["session"]], place.name)
    why = f"`{place.name}` does not say on which day it was pulled: yfinance's frames have no column for it."
    day = session_told(told, place, sessions, why)
    return pl.Series("session", [day], dtype=pl.Date).new_from_index(0, frame.height)


def _dated(rows: pl.DataFrame, sessions: Sessions, place: Path) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """`rows` with the moment of their quotes, and volumes of the session alone."""
    hours = sessions.frame.select("session", "open_at", "close_at")
    rows = rows.join(hours, on="session", how="left", maintain_order="left")
    traded = pl.col("last_trade_at").dt.convert_time_zone(NEW_YORK.key).dt.date()
    key = ["root", "session"]
    during = pl.col("last_trade_at").filter(pl.col("last_trade_at") >= pl.col("open_at")).max().over(key)
    midnight = pl.col("session").cast(pl.Datetime("us")).dt.replace_time_zone("UTC") + pl.duration(days=1)
    moment = pl.coalesce(pl.min_horizontal(during, "close_at"), "close_at", midnight).cast(MOMENT)
    rows = rows.with_columns(moment.alias("quote_at"), (traded < pl.col("session")).fill_null(False).alias("_before"))
    idle = int(rows.select((pl.col("_before") & (pl.col("volume") > 0)).sum()).item())
    rows = rows.with_columns(pl.when("_before").then(0.0).otherwise("volume").alias("volume"))
    first, last = rows["session"].min(), rows["session"].max()
    notes = [
        f"{place.name} does not tell the moment of its quotes; the latest trade of each day's snapshot stands for it."
    ]
    if idle:
        notes.append(
            f"{idle:,} contracts of {place.name} ({first} to {last}) last traded before their session; their volume of "
            "it is 0, not the one of that earlier day."
        )
    return rows.drop("open_at", "close_at", "_before"), tuple(notes)


__all__ = ["declared", "yahoo_chain"]
