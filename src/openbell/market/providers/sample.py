"""Real prices that lie inside installed packages, read in place. Nothing is downloaded and no package is imported."""

from __future__ import annotations

import gzip
import io
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import polars as pl

from openbell.core.declare import provider
from openbell.core.errors import DataMissing
from openbell.core.time import Sessions
from openbell.market.batch import BARS, INSTRUMENTS, MEMBERSHIP, RATES, Batch, filled_fields, typed
from openbell.market.calendars import sessions

UNIVERSE = "sample"
BENCHMARK = "EQUAL_WEIGHT"
LARGE = ("portfolio-backtester", "portfolio_backtester/data")
SMALL = ("skfolio", "skfolio/datasets/data/sp500_dataset.csv.gz")
TOTAL_RETURN = (
    "The closes of the sample are adjusted ones: a total-return series, no price that anybody traded at; there are no "
    "opens, highs and lows, so features that need them are switched off."
)
SURVIVORS = (
    "The sample is survivorship-biased: it holds today's names all the way back, and none of those that failed or left."
)
WEIGHTED = f"The benchmark of the sample is {BENCHMARK}, the equal-weight index of its own universe."


@provider(name="sample", fields=("close", "volume"))
def declared(*, small: bool = False) -> Batch:
    """About 500 US stocks from 2006 to 2021 with the extra `demo`, else 20 stocks; adjusted closes and volume."""
    return sample(small=small)


def sample(*, small: bool = False) -> Batch:
    """503 S&P 500 stocks of `portfolio-backtester` where it is installed, else (or if `small`) 20 of `skfolio`."""
    large = None if small else _folder(*LARGE)
    if large is not None:
        return _large(large)
    file = _folder(*SMALL)
    if file is not None:
        return _small(file)
    raise DataMissing(
        "There is no sample data here: neither `portfolio-backtester` nor `skfolio` is installed. "
        "Install the first with `pip install 'openbell[demo]'`."
    )


def _folder(package: str, inside: str) -> Path | None:
    """Where `inside` of an installed package lies, without importing the package."""
    try:
        place = Path(str(distribution(package).locate_file(inside)))
    except PackageNotFoundError:
        return None
    return place if place.exists() else None


def _large(folder: Path) -> Batch:
    closes = _long((folder / "SP500 20060901-20211015.csv").read_bytes(), "close")
    volumes = _long((folder / "SP500 20060901-20211015 volume.csv").read_bytes(), "volume")
    key = ["symbol", "session"]
    if closes.select(key).equals(volumes.select(key)):  # one pass where both files have the same grid, as they do
        rows = closes.with_columns(volumes["volume"])
    else:
        rows = closes.join(volumes, on=key, how="left")
    return _batch("sample:portfolio-backtester 0.1.0", rows.drop_nulls("close"), _bills(folder))


def _small(file: Path) -> Batch:
    closes = _long(gzip.decompress(file.read_bytes()), "close").drop_nulls("close")
    rows = closes.with_columns(pl.lit(None, dtype=pl.Float64).alias("volume"))
    return _batch("sample:skfolio", rows, pl.DataFrame(schema=dict(RATES)))


def _long(text: bytes, name: str) -> pl.DataFrame:
    """A frame of dates by symbols as rows, symbol after symbol; null where a cell holds no number."""
    date, *symbols = text[: text.index(b"\n")].decode().strip().split(",")
    types = pl.Schema({date: pl.String()} | dict.fromkeys(symbols, pl.Float64()))
    wide = pl.read_csv(io.BytesIO(text), schema=types)
    day = pl.col(date).str.head(10).str.to_date("%Y-%m-%d").alias("session")
    long = wide.with_columns(day).drop(date).unpivot(index="session", variable_name="symbol", value_name=name)
    return long.select("symbol", "session", name)


def _bills(folder: Path) -> pl.DataFrame:
    """Treasury bill rates, percent a year; the file writes day/month/year."""
    wide = pl.read_csv(folder / "T-bills 20020102-20211020.csv")
    day = pl.col("Date").str.to_date("%d/%m/%Y").alias("session")
    long = wide.with_columns(day).drop("Date").unpivot(index="session", variable_name="term", value_name="value")
    name = pl.lit("TBILL_") + pl.col("term").str.extract(r"(\d+)") + pl.lit("W")
    return (
        long.drop_nulls("value")
        .select(name.alias("name"), "session", pl.col("value").cast(pl.Float64))
        .sort("name", "session")
    )


def _batch(name: str, rows: pl.DataFrame, rates: pl.DataFrame) -> Batch:
    calendar: Sessions = sessions()
    on_session = pl.col("session").is_in(pl.Series(calendar.dates, dtype=pl.Date).implode())
    kept = rows.filter(on_session)
    bars = kept.select(
        (pl.col(column) if column in kept.columns else pl.lit(None)).cast(kind).alias(column)
        for column, kind in BARS.items()
    ).sort("symbol", "session")
    first = bars.group_by("symbol", maintain_order=True).agg(pl.col("session").first())
    member = first.select(pl.lit(UNIVERSE).alias("universe"), "symbol", "session", pl.lit(True).alias("member"))
    instruments = first.select("symbol", pl.lit("STOCK").alias("kind"), pl.lit(None, dtype=pl.String).alias("sector"))
    outside = rows.height - kept.height
    notes = [SURVIVORS, TOTAL_RETURN, WEIGHTED, "The sample names no sectors and no market values."]
    if outside:
        notes.append(f"{outside} prices of the sample stood on days without a session and were left out.")
    return Batch(
        name,
        bars,
        instruments=typed(instruments, INSTRUMENTS),
        membership=typed(member, MEMBERSHIP),
        rates=rates,
        fields=filled_fields(bars),
        notes=tuple(notes),
    )
