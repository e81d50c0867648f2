"""Any table with a row per contract, by a map from our columns to the file's."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path

import polars as pl

from openbell.core.declare import provider
from openbell.core.errors import BadInput, nearest
from openbell.core.time import MOMENT, Sessions
from openbell.dialects.occ import occ_columns
from openbell.market.calendars import sessions as calendar
from openbell.market.chain_batch import ChainBatch, chain_batch
from openbell.market.chain_layouts import Told, content, days, numbers, session_told, table, underlying_told
from openbell.market.layouts import plain

#: Our column -> other names it is recognised by without a map.
NAMES: Mapping[str, tuple[str, ...]] = {
    "symbol": ("symbol", "occ_symbol", "option_symbol", "contract"),
    "underlying": ("underlying", "underlying_symbol", "ticker"),
    "root": ("root",),
    "session": ("session", "quote_date", "date", "trade_date"),
    "quote_at": ("quote_at", "quote_datetime", "timestamp"),
    "expiry": ("expiry", "expiration", "expire_date", "expiration_date"),
    "strike": ("strike", "strike_price"),
    "right": ("right", "type", "option_type", "call_put", "cp", "put_call"),
    "bid": ("bid", "best_bid"),
    "ask": ("ask", "best_offer"),
    "last": ("last", "last_price"),
    "volume": ("volume", "trade_volume"),
    "open_interest": ("open_interest", "openinterest", "oi"),
    "spot": ("spot", "underlying_price", "underlying_last"),
    "vendor_iv": ("vendor_iv", "iv", "implied_volatility", "impliedvolatility"),
    "vendor_delta": ("vendor_delta", "delta"),
}
NUMBERS = ("bid", "ask", "last", "volume", "open_interest", "spot", "vendor_iv", "vendor_delta")
RIGHTS = {
    "c": "CALL",
    "call": "CALL",
    "calls": "CALL",
    "p": "PUT",
    "put": "PUT",
    "puts": "PUT",
    "1": "CALL",
    "-1": "PUT",
}
FIELDS = NUMBERS


def mapped_chain(
    path: str | Path,
    *,
    sessions: Sessions | None = None,
    underlying: str | None = None,
    session: dt.date | None = None,
    columns: Mapping[str, str] | None = None,
) -> ChainBatch:
    """Quotes out of any CSV or Parquet file with one row per contract.

    Parameters
    ----------
    columns : our column -> the file's, such as ``{"expiry": "exdate", "right": "cp_flag"}``; columns it does not name
        are recognised by their usual names. Either ``symbol`` (OCC) or ``expiry``, ``strike`` and ``right`` must be
        there, and ``bid`` and ``ask``.

    Notes
    -----
    ``quote_at`` needs a time zone in its texts; without that column quotes are those of the close of their session.
    """
    place = Path(path)
    open_days = sessions or calendar()
    told = Told(underlying, session)
    frame = table(place, content(place))
    found = _columns(frame, columns or {}, place)
    rows = _terms(frame, found, place)
    rows = rows.with_columns(numbers(frame[found[n]], place.name).alias(n) for n in NUMBERS if n in found)
    if "root" in found and "root" not in rows.columns:
        rows = rows.with_columns(frame[found["root"]].cast(pl.String).str.to_uppercase().alias("root"))
    if underlying is not None or ("underlying" not in found and "root" not in rows.columns):
        rows = rows.with_columns(pl.lit(underlying_told(told, place)).alias("underlying"))
    elif "underlying" in found:
        rows = rows.with_columns(
            frame[found["underlying"]].cast(pl.String).str.to_uppercase().str.strip_prefix("^").alias("underlying")
        )
    rows = _dated(frame, rows, found, told, place, open_days)
    return chain_batch(f"map:{place.name}", rows, open_days)


declared = provider(name="mapped_chain", fields=FIELDS)(mapped_chain)


def _columns(frame: pl.DataFrame, chosen: Mapping[str, str], place: Path) -> dict[str, str]:
    for ours, theirs in chosen.items():
        if ours not in NAMES:
            raise BadInput(f"The map names `{ours}`, which is no column of quotes. {nearest(ours, NAMES)}")
        if theirs not in frame.columns:
            raise BadInput(
                f"The map takes `{ours}` from `{theirs}`, which {place.name} does not have. "
                f"{nearest(theirs, frame.columns)}"
            )
    found = dict(chosen)
    for ours, words in NAMES.items():
        free = [name for name in frame.columns if name not in found.values()]
        fitting = [name for name in free if plain(name) in words]
        if ours not in found and len(fitting) > 1:
            raise BadInput(
                f"In {place.name} the columns {' and '.join(f'`{each}`' for each in fitting)} could each be `{ours}`. "
                f"Name it with `--map {ours}=COLUMN`."
            )
        if ours not in found and fitting:
            found[ours] = fitting[0]
    needed = ("bid", "ask") if "symbol" in found else ("expiry", "strike", "right", "bid", "ask")
    for ours in needed:
        if ours not in found:
            raise BadInput(
                f"There is no column for `{ours}` in {place.name}. {nearest(ours, frame.columns)} "
                f"Name it with `--map {ours}=COLUMN`."
            )
    return found


def _terms(frame: pl.DataFrame, found: Mapping[str, str], place: Path) -> pl.DataFrame:
    if "symbol" in found:
        said = frame[found["symbol"]]
        terms = occ_columns(said)
        if not terms["root"].null_count():
            return terms
        if not {"expiry", "strike", "right"} <= set(found):
            row = int(terms["root"].is_null().arg_max() or 0)
            raise BadInput(
                f"Row {row + 1} of `{found['symbol']}` in {place.name} is `{said[row]}`, which is no OCC symbol. "
                "Name the columns of expiry, strike and right instead."
            )
    said = frame[found["right"]].cast(pl.String).str.strip_chars().str.to_lowercase()
    right = said.replace_strict(RIGHTS, default=None, return_dtype=pl.String)
    if right.null_count():
        row = int(right.is_null().arg_max() or 0)
        raise BadInput(
            f"Row {row + 1} of `{found['right']}` in {place.name} is `{said[row]}`; write C or P, call or put."
        )
    return pl.DataFrame(
        {
            "expiry": days(frame[found["expiry"]], place.name),
            "strike": numbers(frame[found["strike"]], place.name),
            "right": right,
        }
    )


def _dated(
    frame: pl.DataFrame, rows: pl.DataFrame, found: Mapping[str, str], told: Told, place: Path, sessions: Sessions
) -> pl.DataFrame:
    """`rows` with their session and the moment of their quotes."""
    closes = sessions.frame.select("session", "open_at", "close_at")
    if "quote_at" in found:
        moments = pl.DataFrame({"quote_at": _moments(frame[found["quote_at"]], place)})
        shown = (
            moments.with_row_index("line")
            .sort("quote_at")
            .join_asof(closes.sort("open_at"), left_on="quote_at", right_on="open_at", strategy="backward")
        )
        shown = shown.sort("line").select("session", pl.min_horizontal("quote_at", "close_at").alias("quote_at"))
        return rows.with_columns(shown["session"], shown["quote_at"].cast(MOMENT))
    if "session" in found and told.session is None:
        day = days(frame[found["session"]], place.name)
    else:
        why = f"`{place.name}` has no column with the day of its quotes."
        day = pl.Series([session_told(told, place, sessions, why)], dtype=pl.Date).new_from_index(0, frame.height)
    midnight = pl.col("session").cast(pl.Datetime("us")).dt.replace_time_zone("UTC") + pl.duration(days=1)
    joined = rows.with_columns(day.alias("session")).join(closes, on="session", how="left", maintain_order="left")
    return joined.with_columns(pl.coalesce("close_at", midnight).cast(MOMENT).alias("quote_at")).drop(
        "open_at", "close_at"
    )


def _moments(series: pl.Series, place: Path) -> pl.Series:
    if isinstance(series.dtype, pl.Datetime) and series.dtype.time_zone:
        return series.dt.convert_time_zone("UTC").cast(MOMENT)
    said = series.cast(pl.String).str.strip_chars().str.replace("T", " ").str.replace(r"Z$", "+00:00")
    for form in ("%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%d %H:%M%#z"):
        read = said.str.to_datetime(form, strict=False, time_unit="us")
        if not read.null_count():
            return read.dt.convert_time_zone("UTC").cast(MOMENT)
    raise BadInput(
        f"`{series.name}` of {place.name} holds `{said.first()!s}`; the moment of a quote needs a day, a clock and a "
        "time zone, such as 2023-09-14T15:45:00-04:00. Map `session` instead where only the day is known."
    )


__all__ = ["declared", "mapped_chain"]
