"""500 names over ten years as a home on disk: real prices where the data lie beside the project, else made-up ones."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import polars as pl

from benchmarks.measuring import ROOT

NAMES, YEARS = 500, 10
SESSIONS_PER_YEAR = 252
#: Sessions before the ten years, so that the longest look-back of the first one is full.
WARMUP = 760
REAL = ROOT.parent / "shared" / "data"
#: The session that is trained for and decided.
AS_OF = dt.date(2020, 1, 2)
SETTINGS = {
    True: '[data]\nbenchmark = "SPY"\nuniverse = "bench"\n',
    False: '[data]\nbenchmark = "equal_weight"\nuniverse = "bench"\n',
}


def is_real() -> bool:
    """Whether the real prices are there."""
    return (REAL / "stocks").is_dir()


def described() -> str:
    """What the numbers were measured on."""
    if is_real():
        return f"{NAMES} US stocks, daily bars 2007 to 2019 (the {NAMES} with the most bars), SPY as benchmark"
    return f"{NAMES} generated names, {YEARS} years and {WARMUP} sessions of warm-up, their equal-weight benchmark"


def made(home: Path) -> dt.date:
    """Import the market into `home` through the quality gate; the session to decide."""
    from openbell.app.data import take_in
    from openbell.app.files import write_whole
    from openbell.app.home import Home

    write_whole(home / "openbell.toml", SETTINGS[is_real()])
    opened = Home.open(home)
    for batch in _real() if is_real() else _generated():
        take_in(opened, batch)
    return AS_OF if is_real() else opened.sessions.shift(opened.stored[1], 1)


def _generated():
    from dataclasses import replace

    from openbell.market.providers.generated import generated

    batch = generated(names=NAMES, years=YEARS + WARMUP / SESSIONS_PER_YEAR, seed=1)
    yield replace(batch, membership=batch.membership.with_columns(pl.lit("bench").alias("universe")))


def _real():
    from dataclasses import replace

    from openbell.market.providers.files import files

    batch = files(REAL / "stocks" / "sp500_members_daily_2000_2021.parquet", columns=None, symbol=None)
    bars = batch.bars.filter(pl.col("session").is_between(dt.date(2007, 1, 3), dt.date(2019, 12, 31)))
    most = bars.group_by("symbol").len().sort("len", "symbol", descending=[True, False]).head(NAMES)["symbol"].sort()
    kept = pl.col("symbol").is_in(most.implode())
    members = pl.DataFrame({"symbol": most}).select(
        pl.lit("bench").alias("universe"),
        "symbol",
        pl.lit(dt.date(2007, 1, 3)).alias("session"),
        pl.lit(True).alias("member"),
    )
    yield replace(batch, bars=bars.filter(kept), instruments=batch.instruments.filter(kept), membership=members)
    yield files(REAL / "macro" / "SPY_daily.csv", columns=None, symbol="SPY", kind="ETF")
