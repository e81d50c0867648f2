"""OptionsDX: one row per strike with the call and the put beside each other, column names in brackets."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import polars as pl

from openbell.core.declare import provider
from openbell.core.errors import BadInput
from openbell.core.time import MOMENT, Sessions
from openbell.market.calendars import sessions as calendar
from openbell.market.chain_batch import ChainBatch, chain_batch
from openbell.market.chain_layouts import Told, content, days, numbers, table, underlying_told
from openbell.market.contracts import NEW_YORK, WEEKLY
from openbell.market.layouts import plain

FIELDS = ("bid", "ask", "last", "volume", "vendor_iv", "vendor_delta")
SIDES = {"c": "CALL", "p": "PUT"}


def optionsdx(
    path: str | Path, *, sessions: Sessions | None = None, underlying: str | None = None, session: dt.date | None = None
) -> ChainBatch:
    """Quotes out of one file of OptionsDX (.csv, .txt, gz), whose rows hold a call and a put of one strike each.

    Notes
    -----
    Its moments are New York's clock; ``[QUOTE_UNIXTIME]`` is used where it is there. It tells no open interest, and no
    class: an index's third Friday is taken for the monthly AM-settled class, every other expiry for the weekly one.
    The underlying is `underlying`, or what the file's name begins with (``spx_eod_202301.txt``).
    """
    place = Path(path)
    open_days = sessions or calendar()
    told = Told(underlying, session)
    frame = table(place, content(place))
    frame = frame.rename({name: plain(name) for name in frame.columns})
    for needed in ("quote_date", "expire_date", "strike", "c_bid", "c_ask", "p_bid", "p_ask"):
        if needed not in frame.columns:
            raise BadInput(f"`{place.name}` has no column `[{needed.upper()}]`, which OptionsDX's files have.")
    symbol = underlying_told(told, place)
    shared = pl.DataFrame(
        {
            "session": days(frame["quote_date"], place.name),
            "quote_at": _moments(frame, place),
            "expiry": days(frame["expire_date"], place.name),
            "strike": numbers(frame["strike"], place.name),
        }
    ).with_columns(pl.lit(symbol).alias("underlying"), _spot(frame, place))
    shared = _at_most_close(shared, open_days)
    if session is not None:
        shared = shared.filter(pl.col("session") == session)
    rows = both_sides(frame, shared, place)
    notes = (f"OptionsDX tells no open interest; it is null in the quotes of {place.name}.",)
    if symbol in WEEKLY:
        notes += (
            f"{place.name} names no option classes: third Fridays are taken for {symbol} (AM), all other expiries for "
            f"{WEEKLY[symbol]}.",
        )
    return chain_batch(f"optionsdx:{place.name}", rows, open_days, notes)


declared = provider(name="optionsdx", fields=FIELDS)(optionsdx)


def both_sides(frame: pl.DataFrame, shared: pl.DataFrame, place: Path) -> pl.DataFrame:
    """A row per contract: `shared` twice, with the numbers of the call and of the put."""
    halves = []
    for side, right in SIDES.items():
        own = {
            ours: numbers(frame[f"{side}_{theirs}"], place.name).alias(ours)
            for ours, theirs in {
                "bid": "bid", "ask": "ask", "last": "last", "volume": "volume", "vendor_iv": "iv",
                "vendor_delta": "delta",
            }.items()
            if f"{side}_{theirs}" in frame.columns
        }  # fmt: skip
        halves.append(shared.with_columns(pl.lit(right).alias("right"), *own.values()).with_row_index("line"))
    return pl.concat(halves).sort("line", maintain_order=True).drop("line")


def _spot(frame: pl.DataFrame, place: Path) -> pl.Series:
    if "underlying_last" not in frame.columns:
        return pl.Series("spot", [None], dtype=pl.Float64).new_from_index(0, frame.height)
    return numbers(frame["underlying_last"], place.name).alias("spot")


def _moments(frame: pl.DataFrame, place: Path) -> pl.Series:
    """Moments of the quotes; null where only the day is told."""
    if "quote_unixtime" in frame.columns:
        seconds = numbers(frame["quote_unixtime"], place.name)
        return (seconds * 1e6).cast(pl.Int64).cast(pl.Datetime("us")).dt.replace_time_zone("UTC").cast(MOMENT)
    if "quote_readtime" not in frame.columns:
        return pl.Series("quote_at", [None], dtype=MOMENT).new_from_index(0, frame.height)
    said = frame["quote_readtime"].cast(pl.String).str.strip_chars()
    local = said.str.to_datetime("%Y-%m-%d %H:%M", strict=False, time_unit="us")
    if local.null_count() > said.null_count():
        local = said.str.to_datetime("%Y-%m-%d %H:%M:%S", strict=False, time_unit="us")
    if local.null_count() > said.null_count():
        wrong = said.filter(local.is_null() & said.is_not_null()).first()
        raise BadInput(f"`[QUOTE_READTIME]` of {place.name} holds `{wrong!s}`; OptionsDX writes 2023-01-03 16:00.")
    return local.dt.replace_time_zone(NEW_YORK.key, non_existent="null", ambiguous="earliest").dt.convert_time_zone(
        "UTC"
    )


def _at_most_close(rows: pl.DataFrame, sessions: Sessions) -> pl.DataFrame:
    """`rows` with the close for a moment that is missing or after it; a day without a session ends at midnight."""
    closes = sessions.frame.select("session", "close_at")
    midnight = pl.col("session").cast(pl.Datetime("us")).dt.replace_time_zone("UTC") + pl.duration(days=1)
    moment = pl.coalesce(pl.min_horizontal("quote_at", "close_at"), "close_at", midnight)
    joined = rows.join(closes, on="session", how="left", maintain_order="left")
    return joined.with_columns(moment.cast(MOMENT).alias("quote_at")).drop("close_at")


__all__ = ["both_sides", "declared", "optionsdx"]
