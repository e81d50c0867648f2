"""The daily run on real prices with dated members: every constraint, checked from the files and the source alone."""

from __future__ import annotations

import datetime as dt
import hashlib
from pathlib import Path

import constraints_of_outputs as outputs
import polars as pl
import pytest
import trained_homes as tiny

from openbell.app.daily import run_stocks
from openbell.app.data import import_file
from openbell.app.home import Home
from openbell.app.training import train_stocks

TRAINED_ON = dt.date(2020, 1, 2)
#: The worst days of the pandemic, the vaccine's rotation, and quiet ones between.
DATES = tuple(map(dt.date.fromisoformat, ("2020-01-02", "2020-03-16", "2020-03-17", "2020-06-12", "2020-11-09")))
SETTINGS = """\
[data]
universe = "sp500"
[train]
candidates = ["ridge", "lightgbm"]
history_years = {years}
folds = 2
min_train_sessions = 252
stride = 20
replications = 1000
[models.lightgbm]
n_estimators = 30
"""


def built(real_data: Path, folder: Path, rows: pl.DataFrame, years: float) -> tuple[Home, pl.DataFrame]:
    """A home of `rows`, the benchmark and dated members, with a training."""
    path = folder / "home"
    path.mkdir(parents=True)
    (path / "openbell.toml").write_text(SETTINGS.format(years=years))
    rows.write_parquet(folder / "bars.parquet")
    home = tiny.opened(path)
    import_file(home, folder / "bars.parquet")
    import_file(home, real_data / "macro" / "SPY_daily.csv", kind="ETF")
    spells = pl.read_csv(real_data / "reference" / "sp500_ticker_start_end.csv")
    # Members without a single bar in a reduced market would read as a gap in the data, and block.
    spells.filter(pl.col("ticker").is_in(rows["symbol"].unique().implode())).write_csv(folder / "members.csv")
    import_file(home, folder / "members.csv", layout="membership", universe="sp500")
    train_stocks(home, TRAINED_ON)
    return home, rows


def source(real_data: Path) -> pl.LazyFrame:
    return pl.scan_parquet(real_data / "stocks" / "sp500_members_daily_2000_2021.parquet")


def members(real_data: Path, session: dt.date) -> set[str]:
    """Who was in the index on `session`: the spells as they are written, the end exclusive."""
    spells = pl.read_csv(real_data / "reference" / "sp500_ticker_start_end.csv", try_parse_dates=True)
    inside = (pl.col("start_date") <= session) & (pl.col("end_date").is_null() | (pl.col("end_date") > session))
    return set(spells.filter(inside)["ticker"])


def known(rows: pl.DataFrame, session: dt.date) -> tuple[dict[str, float], dict[str, float]]:
    """Last close as received and mean volume of 20 sessions, straight from the source."""
    before = rows.filter(pl.col("date").is_between(session - dt.timedelta(days=60), session, closed="left"))
    last = (
        before.sort("symbol", "date").group_by("symbol").agg(pl.col("close").last(), pl.col("volume").tail(20).mean())
    )
    return dict(last.select("symbol", "close").rows()), dict(last.select("symbol", "volume").rows())


def check_days(home: Home, rows: pl.DataFrame, real_data: Path, out: Path) -> None:
    shares: dict[str, int] = {}
    cash, invested = 100_000.0, 0
    for session in DATES:
        done = run_stocks(home, session, execute=True, out=out)
        folder = out / session.isoformat()
        inside = members(real_data, session)
        account = done.decided.book
        # Dividends arrive between two runs; what is held is told by the account before this one.
        assert set(account.shares) <= set(shares) | inside
        day = outputs.check(folder, account.shares, account.cash_usd, *known(rows, session), universe=inside)
        assert account.cash_usd >= cash - 0.01
        assert set(done.decided.market.names.filter(pl.col("member"))["symbol"]) <= inside
        written = {each.name: hashlib.sha256(each.read_bytes()).digest() for each in folder.iterdir()}
        records = home.journal.head
        assert run_stocks(home, session, execute=True, out=out).as_json() == done.as_json()
        assert {each.name: hashlib.sha256(each.read_bytes()).digest() for each in folder.iterdir()} == written
        assert home.journal.head == records, "no second order"
        if session in (dt.date(2020, 3, 16), dt.date(2020, 3, 17)):
            assert day.signals["details"]["regime_name"] == "Risk-Off"
        shares, cash = outputs.positions((out / "current_positions.csv").read_text())
        invested += len(day.trades)
    assert invested > 20
    home.journal.verify()


def test_the_days_of_2020_hold_every_constraint(real_data, tmp_path) -> None:
    """The 60 most traded names of 2019, five years of bars: small enough for every commit."""
    frame = source(real_data).filter(pl.col("date").is_between(dt.date(2016, 6, 1), dt.date(2020, 12, 31))).collect()
    in_2019 = frame.filter(pl.col("date").dt.year() == 2019)
    traded = in_2019.group_by("symbol").agg((pl.col("close") * pl.col("volume")).mean().alias("usd"))
    chosen = traded.sort("usd", "symbol", descending=[True, False])["symbol"].head(60)
    rows = frame.filter(pl.col("symbol").is_in(chosen.implode())).sort("symbol", "date")
    home, rows = built(real_data, tmp_path, rows, 2.0)
    check_days(home, rows, real_data, tmp_path / "live")
    tiny.close(home)


@pytest.mark.slow
def test_the_days_of_2020_hold_every_constraint_over_all_members(real_data, tmp_path) -> None:
    """All 700 names that were members since 2000, with their real dates."""
    home, rows = built(real_data, tmp_path, source(real_data).collect().sort("symbol", "date"), 4.0)
    check_days(home, rows, real_data, tmp_path / "live")
    tiny.close(home)
