"""Bars within the session out of CSV and Parquet files, in the columns and clocks that data of this kind come in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from openbell.core.declare import provider
from openbell.core.errors import BadInput, unknown
from openbell.core.time import MOMENT
from openbell.market.contract_months import of_contract
from openbell.market.layouts import Columns, columns, numbers, plain, require
from openbell.market.minute_times import FREQUENCIES, frequency, moments
from openbell.market.product_minutes import clock_of, contract_symbols, refuse_other_clock, said_of
from openbell.market.products import Product
from openbell.market.providers.files import read_rows, symbol_of_name
from openbell.quant.bar_frames import FIELDS, fields_of

#: What each of our columns is called in the files we know.
SYNONYMS: Mapping[str, tuple[str, ...]] = {
    "at": ("at", "ts", "datetime", "date_time", "timestamp", "start", "end", "bar_time", "t"),
    "symbol": ("symbol", "ticker"),
    "open": ("open", "o"),
    "high": ("high", "h"),
    "low": ("low", "l"),
    "close": ("close", "c"),
    "volume": ("volume", "v", "vol"),
    "bid": ("bid", "bid_price"),
    "ask": ("ask", "ask_price"),
}
STAMPS = ("start", "end")
#: Bars as received: `at` is the end of the bar.
RECEIVED: Mapping[str, pl.DataType | type[pl.DataType]] = {
    "symbol": pl.String,
    "at": MOMENT,
    **dict.fromkeys(FIELDS, pl.Float64),
}


@dataclass(frozen=True, eq=False)
class MinuteBatch:
    """What one file gave.

    Attributes
    ----------
    name : the provider, with what it read; it becomes the `source` of every row.
    bars : columns of `RECEIVED`, in the order received. freq : their frame. fields : those that hold a value.
    notes : sentences that every report on these data must carry.
    product : whose sessions the bars lie in; None: the exchange's own.
    known : ``symbol``, ``at``, ``known_at``: before which moments bars were not known, where they were made of others.
    """

    name: str
    bars: pl.DataFrame
    freq: str
    fields: tuple[str, ...]
    notes: tuple[str, ...] = ()
    product: Product | None = None
    known: pl.DataFrame | None = None

    def __post_init__(self) -> None:
        if dict(self.bars.schema) != dict(RECEIVED):
            raise BadInput(
                f"The bars of `{self.name}` must have the columns {dict(RECEIVED)}; had {dict(self.bars.schema)}."
            )
        if self.freq not in FREQUENCIES:
            raise unknown("frequency of bars within the session", self.freq, FREQUENCIES)


def minutes(
    path: str | Path,
    *,
    columns: Mapping[str, str] | None = None,
    symbol: str | None = None,
    freq: str | None = None,
    timezone: str | None = None,
    stamp: str | None = None,
    product: Product | None = None,
) -> MinuteBatch:
    """Bars within the session out of one CSV, text or Parquet file of one or many symbols.

    Parameters
    ----------
    columns : our name -> the file's column (``--map at=timestamp``).
    symbol : for a file without a symbol column; else the capitals its name begins with (``SPY_1min.parquet``).
    freq : 1m, 5m, 15m or 1h. It is measured from the times, and must be this one where it is named.
    timezone : where the clock stood that times without an offset were read from.
    stamp : whether a bar is stamped with its ``start`` or its ``end``. Unsaid, ``start`` is taken: it is the custom of
        most sources, and where it is wrong every bar is known one bar too late, never too early.
    product : what the bars are of. It gives them its sessions, and its clock where `timezone` is not named; the symbol
        is its code where the file names none, and one per delivery month where the file has a column ``contract``.
    """
    place = Path(path)
    return minutes_of(
        read_rows(place), place, f"minutes:{place.name}", columns=columns, symbol=symbol, freq=freq,
        timezone=timezone, stamp=stamp, product=product,
    )  # fmt: skip


def minutes_of(
    frame: pl.DataFrame,
    place: Path,
    name: str,
    *,
    columns: Mapping[str, str] | None,
    symbol: str | None,
    freq: str | None,
    timezone: str | None,
    stamp: str | None,
    product: Product | None,
) -> MinuteBatch:
    """Bars out of the rows of any source that names its columns as files do; `place` is what sentences call it."""
    if stamp is not None and stamp not in STAMPS:
        raise unknown("stamp of a bar", stamp, STAMPS)
    found, told = _recognised(frame, columns, place)
    symbols = _symbols(frame, found, place, symbol, product)
    rows = pl.DataFrame([symbols, _stamps(frame, found, place).alias("stamp")])
    zone, notes = clock_of(rows["stamp"], timezone, product, path=place.name)
    at, said = moments(rows["stamp"].alias(told), zone, path=place.name)
    notes += said
    rows = rows.with_columns(at.alias("stamp"), *numbers(frame, found, path=place.name, names=FIELDS))
    measured = frequency(rows, freq, path=place.name)
    shift = pl.duration(minutes=FREQUENCIES[measured] if stamp != "end" else 0)
    bars = rows.with_columns((pl.col("stamp") + shift).cast(MOMENT).alias("at")).select(
        (pl.col(name) if name in (*rows.columns, "at") else pl.lit(None)).cast(kind).alias(name)
        for name, kind in RECEIVED.items()
    )
    if product is not None and timezone is None:
        refuse_other_clock(bars["at"], FREQUENCIES[measured], product, zone, path=place.name)
    fields = fields_of(bars)
    used = "contract" if product is not None and of_contract(str(symbols[0])) else ""
    notes += [*_notes(place, found, fields, told, stamp, used), *said_of(symbols, product)]
    return MinuteBatch(name, bars, measured, fields, tuple(notes), product)


#: Declared under a name of its own, so that it can be called as a function too.
declared = provider(name="minutes", fields=FIELDS)(minutes)


def _recognised(frame: pl.DataFrame, chosen: Mapping[str, str] | None, place: Path) -> tuple[Columns, str]:
    """Which column is which, and what the time is called in the file.

    Where several columns could be the time the first of the words in `SYNONYMS` is taken, and the others are told.
    """
    chosen = dict(chosen or {})
    if "at" not in chosen:
        words = {plain(name): name for name in reversed(frame.columns) if name not in chosen.values()}
        first = next((words[word] for word in SYNONYMS["at"] if word in words), None)
        pair = [words.get("date"), words.get("time")]
        if first is not None:
            chosen["at"] = first
        elif all(pair):
            return columns(frame.columns, chosen, path=place.name, synonyms=SYNONYMS), f"{pair[0]} {pair[1]}"
        elif pair[0] or pair[1]:
            chosen["at"] = str(pair[0] or pair[1])
    found = columns(frame.columns, chosen, path=place.name, synonyms=SYNONYMS)
    return found, require(found, "at", frame.columns, path=place.name)


def _stamps(frame: pl.DataFrame, found: Columns, place: Path) -> pl.Series:
    """The column of the time; a day and a clock in two columns become one text."""
    if "at" in found.of:
        return frame[found.of["at"]]
    words = {plain(name): name for name in frame.columns}
    both = pl.concat_str(pl.col(words["date"]).cast(pl.String), pl.col(words["time"]).cast(pl.String), separator=" ")
    return frame.select(both).to_series()


def _symbols(
    frame: pl.DataFrame, found: Columns, place: Path, symbol: str | None, product: Product | None
) -> pl.Series:
    if symbol is not None:
        return pl.Series("symbol", [symbol.strip()]).new_from_index(0, frame.height)
    contracts = contract_symbols(frame, product, path=place.name)
    if contracts is not None:
        return contracts
    if "symbol" in found.of:
        symbols = frame[found.of["symbol"]].cast(pl.String).str.strip_chars().alias("symbol")
        empty = int((symbols.fill_null("") == "").sum())
        if empty:
            raise BadInput(f"{empty:,} rows of {place.name} have no symbol. Fill the column or remove the rows.")
        if product is not None and symbols.n_unique() > 1:
            several = ", ".join(symbols.unique(maintain_order=True).head(3))
            raise BadInput(
                f"`--product {product.code}` is one product, and {place.name} has {symbols.n_unique():,} symbols "
                f"({several} …). Import one file for each product, or leave `--product` away."
            )
        return symbols
    named = product.code if product is not None else symbol_of_name(place)
    if named is None:
        raise BadInput(
            f"There is no column for `symbol` in {place.name}, and its name does not begin with one. "
            "Name it with `--symbol SPY`, or the column with `--map symbol=COLUMN`."
        )
    return pl.Series("symbol", [named]).new_from_index(0, frame.height)


def _notes(place: Path, found: Columns, fields: tuple[str, ...], told: str, stamp: str | None, used: str) -> list[str]:
    notes = []
    absent = [name for name in ("open", "high", "low", "close") if name not in fields]
    if absent:
        raise BadInput(
            f"{place.name} has no {', '.join(absent)}; bars within the session need open, high, low and close. "
            f"Name the columns with `--map {absent[0]}=COLUMN`."
        )
    lacking = [name for name in ("volume", "bid", "ask") if name not in fields]
    if lacking:
        notes.append(f"{place.name} has no {', '.join(lacking)}; what needs them is switched off.")
    if stamp is None:
        notes.append(
            f"The times of {place.name} (`{told}`) were taken as the starts of its bars. Name `--stamp end` if they "
            "are ends: the bars are known one bar too late until then."
        )
    ignored = [name for name in found.ignored if name not in (*told.split(" "), used)]
    if ignored:
        notes.append(f"Columns of {place.name} that mean nothing here: {', '.join(ignored)}.")
    return notes


__all__ = ["FIELDS", "RECEIVED", "SYNONYMS", "MinuteBatch", "declared", "minutes", "minutes_of"]
