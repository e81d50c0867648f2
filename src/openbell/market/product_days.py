"""Days of a product out of a file, on its own calendar: futures trade on days that the stock exchange rests."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import polars as pl

from openbell.core.errors import BadInput
from openbell.market.batch import Batch
from openbell.market.layouts import SYNONYMS, plain
from openbell.market.products import Product, product
from openbell.market.providers.files import files, read_rows, symbol_of_name


def product_days(
    path: str | Path,
    *,
    code: str | None = None,
    symbol: str | None = None,
    columns: Mapping[str, str] | None = None,
    exchange: str = "XNYS",
    sort: bool = False,
) -> tuple[Batch, Product]:
    """Daily bars of one product, and the product whose sessions they lie in.

    Parameters
    ----------
    path : a CSV, text or Parquet file; without a header ``MM/DD/YYYY,open,high,low,close,volume``.
    code : of the product; unset it is told by `symbol`, or by the capitals the file's name begins with.
    symbol : what the bars are stored under; unset the code of the product.
    exchange : calendar that a symbol outside the catalogue trades by.

    Raises
    ------
    BadInput
        The file names no symbol, or several of them.
    """
    place = Path(path)
    rows = read_rows(place)
    if columns is None and "time" in (plain(name) for name in rows.columns):
        raise BadInput(
            f"{place.name} has a column of the time: its rows are bars within the session, and no days. Import them by "
            "`openbell data import minutes`."
        )
    told = one_symbol(rows, columns, place.name)
    told = code or symbol or told or symbol_of_name(place)
    if told is None:
        raise BadInput(
            f"The name of {place.name} does not begin with a symbol, such as ES_daily.txt. Name the product with "
            "`--product ES`, or the symbol with `--symbol SPY`."
        )
    found = product(told, exchange=exchange)
    under = symbol or found.code
    batch = files(place, columns=columns, symbol=under, kind=found.kind, layout="bars", sort=sort)
    said = f"The days of {place.name} are sessions of {found.code} ({found.name}), by the calendar {found.calendar}"
    cure = (
        "." if code else "; name another product with `--product`, or import a stock with `openbell data import bars`."
    )
    return dataclasses.replace(batch, notes=(*batch.notes, said + cure)), found


def one_symbol(frame: pl.DataFrame, chosen: Mapping[str, str] | None, path: str) -> str | None:
    """The one symbol of rows that have a column for it, None without; several are refused."""
    named = (chosen or {}).get("symbol") or next((c for c in frame.columns if plain(c) in SYNONYMS["symbol"]), None)
    if named is None or named not in frame.columns:
        return None
    symbols = frame[named].drop_nulls().cast(pl.String).unique(maintain_order=True)
    if len(symbols) > 1:
        raise BadInput(
            f"{path} has {len(symbols):,} symbols, such as {symbols[0]} and {symbols[1]}, and days are imported "
            "product by product. Split them, or import stocks with `openbell data import bars`."
        )
    return str(symbols[0]).strip() if len(symbols) else None
