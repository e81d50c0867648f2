"""ORATS-like wide files: a row per strike with both sides' quotes, in the spelling of its files or of its service."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import polars as pl

from openbell.core.declare import provider
from openbell.core.errors import BadInput
from openbell.core.time import MOMENT, Sessions
from openbell.market.calendars import sessions as calendar
from openbell.market.chain_batch import ChainBatch, chain_batch
from openbell.market.chain_layouts import Told, content, days, numbers, session_told, table, underlying_told
from openbell.market.contracts import WEEKLY
from openbell.market.layouts import plain

#: Our column -> its names in the files (``cBidPx``) and in the service (``callBidPrice``), in lower case.
SHARED: dict[str, tuple[str, ...]] = {
    "underlying": ("ticker", "symbol"),
    "session": ("trade_date", "tradedate", "quotedate", "quote_date"),
    "expiry": ("expirdate", "expir_date", "expirationdate"),
    "strike": ("strike",),
    "spot": ("stkpx", "stockprice", "stock_price", "spotprice"),
    "delta": ("delta",),
}
CALL: dict[str, tuple[str, ...]] = {
    "bid": ("cbidpx", "callbidprice"),
    "ask": ("caskpx", "callaskprice"),
    "volume": ("cvolu", "callvolume"),
    "open_interest": ("coi", "callopeninterest"),
    "vendor_iv": ("cmidiv", "callmidiv"),
}
PUT: dict[str, tuple[str, ...]] = {
    "bid": ("pbidpx", "putbidprice"),
    "ask": ("paskpx", "putaskprice"),
    "volume": ("pvolu", "putvolume"),
    "open_interest": ("poi", "putopeninterest"),
    "vendor_iv": ("pmidiv", "putmidiv"),
}
FIELDS = ("bid", "ask", "volume", "open_interest", "vendor_iv", "vendor_delta")


def orats(
    path: str | Path, *, sessions: Sessions | None = None, underlying: str | None = None, session: dt.date | None = None
) -> ChainBatch:
    """Quotes out of one ORATS-like wide file (.csv, .csv.gz, .parquet).

    Notes
    -----
    The files tell the day and not the moment; their quotes are taken for those of the close. ``delta`` is the call's;
    the put's is one less. An index's third Friday is taken for the monthly AM-settled class.
    """
    place = Path(path)
    open_days = sessions or calendar()
    told = Told(underlying, session)
    frame = table(place, content(place))
    found = {ours: _column(frame, words) for ours, words in SHARED.items()}
    for needed in ("expiry", "strike"):
        if found[needed] is None:
            raise BadInput(f"`{place.name}` has no column `{SHARED[needed][0]}`, which ORATS' files have.")
    shared = _shared(frame, found, told, place, open_days)
    halves = []
    for right, names in (("CALL", CALL), ("PUT", PUT)):
        own = [
            numbers(frame[name], place.name).alias(ours)
            for ours, words in names.items()
            if (name := _column(frame, words)) is not None
        ]
        delta = pl.col("vendor_delta") - (1.0 if right == "PUT" else 0.0)
        half = shared.with_columns(pl.lit(right).alias("right"), delta.alias("vendor_delta"), *own)
        halves.append(half.with_row_index("line"))
    rows = pl.concat(halves).sort("line", maintain_order=True).drop("line")
    notes = [f"{place.name} does not tell the moment of its quotes; they are taken for those of the close."]
    indices = sorted(set(rows["underlying"].unique()) & set(WEEKLY))
    notes += [f"{place.name} names no classes: third Fridays of {each} are taken for {each} (AM)." for each in indices]
    return chain_batch(f"orats:{place.name}", rows, open_days, tuple(notes))


declared = provider(name="orats", fields=FIELDS)(orats)


def _column(frame: pl.DataFrame, words: tuple[str, ...]) -> str | None:
    return next((name for word in words for name in frame.columns if plain(name) == word), None)


def _shared(
    frame: pl.DataFrame, found: dict[str, str | None], told: Told, place: Path, sessions: Sessions
) -> pl.DataFrame:
    """What the call and the put of a row have in common."""
    no_numbers = pl.Series([None], dtype=pl.Float64).new_from_index(0, frame.height)
    day = found["session"]
    if day is not None:
        session = days(frame[day], place.name)
    else:
        shown = session_told(told, place, sessions, f"`{place.name}` has no column with the day of its quotes.")
        session = pl.Series([shown], dtype=pl.Date).new_from_index(0, frame.height)
    symbol = found["underlying"]
    named = frame[symbol].cast(pl.String).str.to_uppercase() if symbol is not None and not told.underlying else None
    if named is None:
        named = pl.Series([underlying_told(told, place)]).new_from_index(0, frame.height)
    rows = pl.DataFrame(
        {
            "underlying": named,
            "session": session,
            "expiry": days(frame[str(found["expiry"])], place.name),
            "strike": numbers(frame[str(found["strike"])], place.name),
            "spot": numbers(frame[found["spot"]], place.name) if found["spot"] else no_numbers,
            "vendor_delta": numbers(frame[found["delta"]], place.name) if found["delta"] else no_numbers,
        }
    )
    closes = sessions.frame.select("session", "close_at")
    midnight = pl.col("session").cast(pl.Datetime("us")).dt.replace_time_zone("UTC") + pl.duration(days=1)
    joined = rows.join(closes, on="session", how="left", maintain_order="left")
    return joined.with_columns(pl.coalesce("close_at", midnight).cast(MOMENT).alias("quote_at")).drop("close_at")


__all__ = ["declared", "orats"]
