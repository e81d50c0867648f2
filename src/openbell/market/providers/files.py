"""CSV and Parquet files, in the layouts that data of this kind come in."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from openbell.core.declare import provider
from openbell.core.errors import BadInput, DataMissing, nearest
from openbell.core.types import Kind
from openbell.market.batch import (
    INSTRUMENTS,
    MEMBERSHIP,
    NUMBERS,
    PRICES,
    RATES,
    Batch,
    bars_frame,
    filled_fields,
    typed,
)
from openbell.market.headerless import headerless_rows
from openbell.market.layouts import Columns, dates, number, numbers, plain, require
from openbell.market.layouts import columns as recognised

LAYOUTS = ("bars", "closes", "membership", "rates", "sectors", "yfinance_wide")
#: Unless another file is said to be, bars are of stocks. A future's days need its own sessions: see `product_days`.
KINDS = (Kind.STOCK.value, Kind.ETF.value, Kind.INDEX.value, Kind.FUTURE.value, "SPOT")


def files(
    path: str | Path,
    *,
    columns: Mapping[str, str] | None = None,
    symbol: str | None = None,
    kind: str = "STOCK",
    universe: str = "sp500",
    layout: str | None = None,
    sort: bool = False,
) -> Batch:
    """Bars, rates, sectors or index membership out of one CSV or Parquet file, as received.

    Parameters
    ----------
    path : the file. Its layout is recognised from its columns unless `layout` names one of ``bars`` (long, one or
        many symbols), ``closes`` (a date column, every other column the closes of one symbol), ``yfinance_wide`` (two
        header rows), ``rates`` (``date,value``), ``membership`` (``ticker,start_date,end_date``), ``sectors``.
    columns : our name -> the file's column (``--map close=adj_close``).
    symbol : for a file without a symbol column; else the capitals its name begins with (``SPY_daily.csv``).
    kind : STOCK, ETF, INDEX, FUTURE or SPOT. universe : what the members of a membership file are members of.
    sort : take rows that go back in time, in the right order, instead of refusing them.
    """
    place = Path(path)
    if kind not in KINDS:
        raise BadInput(f"The kind `{kind}` is none of bars. {nearest(kind, KINDS)}")
    frame = read_rows(place)
    chosen = _layout(frame, layout, columns)
    if chosen == "membership":
        return _membership(frame, place, universe)
    if chosen == "rates":
        return _rates(frame, place, symbol, columns)
    if chosen == "sectors":
        return _sectors(frame, place, kind)
    if chosen == "yfinance_wide":
        frame = _unpivoted_yfinance(place)
    if chosen == "closes":
        frame = _unpivoted_closes(frame, place)
    return days_of(frame, place, f"files:{place.name}", columns=columns, symbol=symbol, kind=kind, sort=sort)


#: Declared under a name of its own, so that it can be called as a function too.
declared = provider(name="files", fields=NUMBERS)(files)


def read_rows(place: Path) -> pl.DataFrame:
    """The rows of a CSV or Parquet file as they are."""
    if not place.exists():
        beside = [each.name for each in place.parent.iterdir()] if place.parent.is_dir() else []
        raise DataMissing(f"There is no file `{place}`. {nearest(place.name, beside)}")
    if place.is_dir():
        raise BadInput(f"`{place}` is a folder; name one CSV or Parquet file in it.")
    plain_rows = headerless_rows(place)
    if plain_rows is not None:
        return plain_rows
    ending = place.name.lower().removesuffix(".gz").rpartition(".")[2]
    try:
        if ending == "parquet":
            frame = pl.read_parquet(place)
        elif ending in ("csv", "txt"):
            frame = pl.read_csv(place, infer_schema_length=None, truncate_ragged_lines=False)
        else:
            raise BadInput(f"`{place.name}` ends in `{ending}`; files end in .csv, .csv.gz or .parquet.")
    except pl.exceptions.NoDataError as nothing:
        raise BadInput(f"The file `{place.name}` is empty; there is nothing to import.") from nothing
    except (pl.exceptions.ComputeError, pl.exceptions.SchemaError) as unreadable:
        raise BadInput(f"The file `{place.name}` cannot be read as {ending}: {unreadable}") from unreadable
    if frame.is_empty():
        raise BadInput(f"The file `{place.name}` has columns but no rows; there is nothing to import.")
    return frame


def _layout(frame: pl.DataFrame, asked: str | None, chosen: Mapping[str, str] | None) -> str:
    if asked is not None:
        if asked not in LAYOUTS:
            raise BadInput(f"There is no layout `{asked}`. {nearest(asked, LAYOUTS)}")
        return asked
    names = {plain(name) for name in frame.columns}
    if frame.columns[0] in ("Price", "Ticker") and str(frame[frame.columns[0]][1]) in ("Date", "Datetime"):
        return "yfinance_wide"
    if {"ticker", "start_date", "end_date"} <= names:
        return "membership"
    if chosen:
        return "bars"
    if names == {"date", "value"}:
        return "rates"
    if {"symbol", "gics_sector"} <= names and not names & {"date", "close"}:
        return "sectors"
    return "bars"


def symbol_of_name(place: Path) -> str | None:
    """The symbol a file name begins with: capitals up to "_", "-" or the end."""
    name = place.name
    for ending in (".csv", ".txt", ".parquet"):
        name = name.partition(ending)[0]
    match = re.match(r"\^?([A-Z][A-Z0-9.]{0,5})(?=[_\- ]|$)", name)
    return match.group(1) if match else None


def days_of(
    frame: pl.DataFrame,
    place: Path,
    name: str,
    *,
    columns: Mapping[str, str] | None,
    symbol: str | None,
    kind: str,
    sort: bool,
) -> Batch:
    """Daily bars out of the rows of any source that names its columns as files do; sentences call it `place`."""
    chosen = columns
    found = recognised(frame.columns, chosen, path=place.name)
    day = dates(frame[require(found, "session", frame.columns, path=place.name)], path=place.name)
    require(found, "close", frame.columns, path=place.name)
    rows = pl.DataFrame(
        [_symbols(frame, found, place, symbol), day.alias("session"), *numbers(frame, found, path=place.name)]
    )
    if "sector" in found.of:
        rows = rows.with_columns(frame[found.of["sector"]].cast(pl.String).alias("sector"))
    back = _first_step_back(rows)
    if back is not None and not sort:
        raise BadInput(
            f"The rows of {place.name} are not in order of time: {back}. "
            "Sort the file, or let it be sorted with `--sort`."
        )
    rows = rows.sort("symbol", "session", maintain_order=True)
    bars = bars_frame(rows)
    fields = filled_fields(bars)
    notes = _notes(place, found, fields, chosen)
    if back is not None:
        notes.append(f"The rows of {place.name} were not in order of time and were sorted: {back}.")
    instruments, more = _instruments(rows, place, kind)
    return Batch(name, bars, instruments=instruments, fields=fields, notes=(*notes, *more))


def _symbols(frame: pl.DataFrame, found: Columns, place: Path, symbol: str | None) -> pl.Series:
    if symbol is not None:
        return pl.Series("symbol", [symbol]).new_from_index(0, frame.height)
    if "symbol" in found.of:
        symbols = frame[found.of["symbol"]].cast(pl.String).str.strip_chars().alias("symbol")
        if symbols.null_count() or (symbols == "").any():
            raise BadInput(
                f"{symbols.null_count()} rows of {place.name} have no symbol. Fill the column or remove the rows."
            )
        return symbols
    named = symbol_of_name(place)
    if named is None:
        raise BadInput(
            f"There is no column for `symbol` in {place.name}, and its name does not begin with one. "
            "Name it with `--symbol SPY`, or the column with `--map symbol=COLUMN`."
        )
    return pl.Series("symbol", [named]).new_from_index(0, frame.height)


def _first_step_back(rows: pl.DataFrame) -> str | None:
    before = pl.col("session").shift(1).over("symbol")
    steps = rows.with_columns(before.alias("before")).filter(pl.col("session") < pl.col("before"))
    if steps.is_empty():
        return None
    step = steps.row(0, named=True)
    return f"{step['symbol']} goes back from {step['before']} to {step['session']} ({steps.height} such rows)"


def _notes(place: Path, found: Columns, fields: Sequence[str], chosen: Mapping[str, str] | None) -> list[str]:
    notes = []
    absent = [name for name in (*PRICES, "volume") if name not in fields]
    if absent:
        notes.append(f"{place.name} has no {', '.join(absent)}; what needs them is switched off.")
    if chosen and plain(chosen.get("close", "")) in ("adj_close", "adjusted_close"):
        notes.append(
            f"The close of {place.name} is an adjusted one: a total-return series, no price anybody traded at."
        )
    if "adj_close" not in fields:
        notes.append(f"{place.name} has no adjusted close; splits and distributions are not known from it.")
    if found.ignored:
        notes.append(f"Columns of {place.name} that mean nothing here: {', '.join(found.ignored)}.")
    return notes


def _instruments(rows: pl.DataFrame, place: Path, kind: str) -> tuple[pl.DataFrame, list[str]]:
    if "sector" not in rows.columns:
        rows = rows.with_columns(pl.lit(None, dtype=pl.String).alias("sector"))
    told = rows.group_by("symbol").agg(
        pl.col("sector").drop_nulls().first(), pl.col("sector").drop_nulls().n_unique().alias("sectors")
    )
    notes = []
    changing = told.filter(pl.col("sectors") > 1).height
    if changing:
        notes.append(f"{changing} symbols of {place.name} change their sector; the first one is kept for all time.")
    if told["sector"].null_count() < told.height:
        notes.append(f"The sectors of {place.name} are as of the file, not dated.")
    frame = told.sort("symbol").select("symbol", pl.lit(kind).alias("kind"), "sector")
    return typed(frame, INSTRUMENTS), notes


def _rates(frame: pl.DataFrame, place: Path, symbol: str | None, chosen: Mapping[str, str] | None) -> Batch:
    found = recognised(frame.columns, chosen, path=place.name)
    day = dates(frame[require(found, "session", frame.columns, path=place.name)], path=place.name)
    value = number(frame, require(found, "value", frame.columns, path=place.name), "value", path=place.name)
    name = symbol or place.name.partition(".")[0].removeprefix("FRED_")
    rows = pl.DataFrame({"session": day, "value": value}).with_columns(pl.lit(name).alias("name")).select(*RATES)
    missing = rows["value"].null_count()
    notes = (f"{missing} dates of {place.name} have no value.",) if missing else ()
    return Batch(f"files:{place.name}", rates=rows.drop_nulls("value"), fields=("value",), notes=notes)


def _membership(frame: pl.DataFrame, place: Path, universe: str) -> Batch:
    """Spells as events; the end date is exclusive: on that day the symbol is no member any more."""
    names = {plain(name): name for name in frame.columns}
    symbol = frame[names["ticker"]].cast(pl.String).str.strip_chars()
    starts = dates(frame[names["start_date"]], path=place.name)
    ended = frame[names["end_date"]].cast(pl.String).str.strip_chars().replace("", None)
    ends = ended.str.to_date("%Y-%m-%d", strict=False)
    unread = ended.filter(ends.is_null() & ended.is_not_null())
    if len(unread):
        raise BadInput(
            f"The end date `{unread[0]}` in {place.name} is no date. Write it as YYYY-MM-DD or leave it empty."
        )
    spells = pl.DataFrame({"symbol": symbol, "start": starts, "end": ends})
    turned = spells.filter(pl.col("end") < pl.col("start"))
    if turned.height:
        raise BadInput(
            f"In {place.name} {turned['symbol'][0]} ends on {turned['end'][0]} before it starts on "
            f"{turned['start'][0]}. Exchange the two dates."
        )
    entries = spells.select("symbol", pl.col("start").alias("session"), pl.lit(True).alias("member"))
    exits = spells.drop_nulls("end").select("symbol", pl.col("end").alias("session"), pl.lit(False).alias("member"))
    # Where one spell ends on the day the next begins the symbol stays a member.
    events = pl.concat([exits, entries]).group_by("symbol", "session").agg(pl.col("member").any())
    rows = events.with_columns(pl.lit(universe).alias("universe")).select(*MEMBERSHIP).sort("symbol", "session")
    return Batch(f"files:{place.name}", membership=rows, fields=("member",))


def _sectors(frame: pl.DataFrame, place: Path, kind: str) -> Batch:
    found = recognised(frame.columns, None, path=place.name)
    rows = pl.DataFrame(
        {
            "symbol": frame[found.of["symbol"]].cast(pl.String),
            "kind": [kind] * frame.height,
            "sector": frame[found.of["sector"]].cast(pl.String),
        },
        schema=dict(INSTRUMENTS),
    )
    note = f"The sectors of {place.name} are as of the file: they are known from the moment of the import on."
    return Batch(f"files:{place.name}", instruments=rows, fields=("sector",), notes=(note,))


def _unpivoted_closes(frame: pl.DataFrame, place: Path) -> pl.DataFrame:
    found = recognised(frame.columns[:1], path=place.name)
    date = require(found, "session", frame.columns[:1], path=place.name)
    long = frame.unpivot(index=date, variable_name="symbol", value_name="close")
    return long.drop_nulls("close").select(pl.col(date).alias("date"), "symbol", "close")


def _unpivoted_yfinance(place: Path) -> pl.DataFrame:
    """Yfinance's frame of several symbols: a header row of fields, one of tickers, and a row that names the index."""
    raw = pl.read_csv(place, has_header=False, infer_schema=False)
    top, second = raw.row(0), raw.row(1)
    fields, tickers = (top, second) if top[0] == "Price" else (second, top)
    body = raw[3:]
    parts = []
    for ticker in dict.fromkeys(tickers[1:]):
        mine = [place_of for place_of, name in enumerate(tickers) if place_of and name == ticker]
        parts.append(
            body.select(
                pl.col(body.columns[0]).alias("Date"),
                pl.lit(ticker).alias("Ticker"),
                *(pl.col(body.columns[at]).alias(fields[at]) for at in mine),
            )
        )
    rows = pl.concat(parts, how="diagonal")
    filled = pl.any_horizontal(pl.col(name).is_not_null() for name in rows.columns if name not in ("Date", "Ticker"))
    return rows.filter(filled)


__all__ = ["LAYOUTS", "days_of", "declared", "files", "read_rows", "symbol_of_name"]
