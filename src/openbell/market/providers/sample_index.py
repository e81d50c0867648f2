"""Real indices that lie inside an installed package, read in place: what the options desk is shown on, offline."""

from __future__ import annotations

import gzip
import io
from importlib.metadata import PackageNotFoundError, distribution

import polars as pl

from openbell.core.declare import provider
from openbell.core.errors import DataMissing
from openbell.market.batch import BARS, INSTRUMENTS, Batch, filled_fields, typed

PACKAGE = "arch"
UNDERLYING, BENCHMARK, VOLATILITY_INDEX = "SPX", "COMP", "VIX"
_FILES = {UNDERLYING: "sp500/sp500", BENCHMARK: "nasdaq/nasdaq", VOLATILITY_INDEX: "vix/vix"}
_COLUMNS = {"Open": "open", "High": "high", "Low": "low", "Close": "close", "Volume": "volume", "vix": "close"}
NOTE = (
    "The index sample holds the S&P 500 and the NASDAQ Composite of 1999 to 2018 and VIX closes of 2014 to 2018. An "
    "index pays no dividends into its price: its returns are price returns."
)


@provider(name="sample_index", fields=("open", "high", "low", "close", "volume"))
def declared() -> Batch:
    """S&P 500, NASDAQ Composite and VIX out of the package `arch`: daily, up to the end of 2018."""
    return sample_index()


def sample_index() -> Batch:
    """The three series as received; `VIX` has closes alone."""
    bars = pl.concat([_bars(symbol, _text(file)) for symbol, file in _FILES.items()])
    kinds = pl.DataFrame({"symbol": list(_FILES)}).with_columns(
        pl.lit("INDEX").alias("kind"), pl.lit(None, dtype=pl.String).alias("sector")
    )
    return Batch(
        f"sample_index:{PACKAGE} {distribution(PACKAGE).version}",
        bars,
        instruments=typed(kinds, INSTRUMENTS),
        fields=filled_fields(bars),
        derive_actions=False,
        notes=(NOTE,),
    )


def _text(file: str) -> bytes:
    try:
        return gzip.decompress(distribution(PACKAGE).locate_file(f"arch/data/{file}.csv.gz").read_bytes())  # type: ignore[attr-defined]
    except (PackageNotFoundError, FileNotFoundError) as failure:
        raise DataMissing(
            f"There is no index sample here: the package `{PACKAGE}` or its data are not installed ({failure}). "
            "Install it with `pip install arch`."
        ) from failure


def _bars(symbol: str, text: bytes) -> pl.DataFrame:
    """Bars of one file, whose dates are month/day/year; a holiday's line holds a point and is no bar."""
    table = pl.read_csv(io.BytesIO(text), infer_schema_length=None, null_values=".")
    named = {ours: pl.col(theirs) for theirs, ours in _COLUMNS.items() if theirs in table.columns}
    return (
        table.select(
            pl.lit(symbol).alias("symbol"),
            pl.col("Date").str.to_date("%m/%d/%Y").alias("session"),
            *(
                named.get(name, pl.lit(None)).cast(kind).alias(name)
                for name, kind in BARS.items()
                if name not in ("symbol", "session")
            ),
        )
        .drop_nulls("close")
        .sort("session")
    )
