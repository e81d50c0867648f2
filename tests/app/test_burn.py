"""Burn the future: no byte of a decision changes when all later rows are gone, or are nonsense."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import sys
from pathlib import Path

import polars as pl
import pytest
import trained_homes as tiny

from openbell.app import cli, daily
from openbell.app.audit import burn_run
from openbell.app.daily import run_stocks
from openbell.app.data import import_file
from openbell.app.training import train_stocks
from openbell.market.providers.generated import generated

TRAIN = dt.date(2011, 9, 1)
RUN = dt.date(2011, 9, 8)
PRICES = ("open", "high", "low", "close")
DECIDED = ("trades.csv", "signals.json", "portfolio_weights.csv")
REDUCED = tiny.SETTINGS.replace('["ridge", "lightgbm"]', '["ridge"]').replace("150", "100")


def as_received(rows: pl.DataFrame) -> pl.DataFrame:
    return rows


def removed(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.filter(pl.col("date") < RUN)


def nonsense(rows: pl.DataFrame) -> pl.DataFrame:
    """Crashes, negative prices and absurd volumes from the decision's own session on."""
    later = pl.col("date") >= RUN
    wild = pl.int_range(pl.len()) % 5 - 2
    prices = [pl.when(later).then(pl.col(name) * wild * 3.7).otherwise(name).alias(name) for name in PRICES]
    return rows.with_columns(*prices, pl.when(later).then(1e12).otherwise("volume").alias("volume"))


def decided(change, folder: Path) -> dict[str, bytes]:
    """Import the changed file into a new home, train there, and run with orders: the decision's files."""
    bars = generated(names=14, years=2.0, seed=5, edge=0.2).bars
    rows = bars.drop("adj_close").rename({"session": "date"}).sort("symbol", "date")
    path = folder / "home"
    path.mkdir(parents=True)
    (path / "openbell.toml").write_text(REDUCED)
    change(rows).write_parquet(folder / "bars.parquet")
    home = tiny.opened(path)
    import_file(home, folder / "bars.parquet")
    tiny.promoted(home, train_stocks(home, TRAIN), TRAIN)
    run_stocks(home, RUN, execute=True, out=folder / "live")
    tiny.close(home)
    return {name: (folder / "live" / RUN.isoformat() / name).read_bytes() for name in DECIDED}


@pytest.fixture(scope="module")
def honest(tmp_path_factory) -> dict[str, bytes]:
    return decided(as_received, tmp_path_factory.mktemp("honest"))


@pytest.mark.parametrize("change", [removed, nonsense])
def test_later_rows_of_the_file_change_no_byte(change, honest, tmp_path) -> None:
    """check 4, for the whole way: import, quality gate, training, score, regime, portfolio, trades."""
    assert json.loads(honest["signals.json"])["view"]
    assert honest["trades.csv"].count(b"\n") > 3
    assert decided(change, tmp_path) == honest


def test_an_earlier_row_does_change_it(honest, tmp_path) -> None:
    """The comparison above can fail: one close of the day before, a thousandth higher, gives another decision."""

    def earlier(rows: pl.DataFrame) -> pl.DataFrame:
        one = (pl.col("date") == dt.date(2011, 9, 7)) & (pl.col("symbol") == rows["symbol"][0])
        return rows.with_columns(pl.when(one).then(pl.col("close") * 1.001).otherwise("close").alias("close"))

    assert decided(earlier, tmp_path) != honest


def test_the_audit_finds_a_run_that_is_blind_to_the_future(fortnight, open_home) -> None:
    home = open_home(fortnight.tiny.path)
    before = home.journal.head
    result = burn_run(home, fortnight.days[3].session)
    assert result["files"] == dict.fromkeys(DECIDED, True)
    assert result["later_rows"] > 0
    assert home.journal.head == before, "an audit writes nothing"


def leaking_prices(view, sessions, **keywords):
    """The market with the very last closes there are, whenever they were known."""
    from openbell.research.snapshot import snapshots

    market = snapshots(view, sessions, **keywords)[sessions[0]]
    rows = view.tables.scan("bars").sort("session").group_by("symbol").agg(pl.col("close").abs().last())
    names = market.names.join(rows.collect(), on="symbol", how="left", maintain_order="left")
    return {
        sessions[0]: dataclasses.replace(
            market, names=names.with_columns(pl.col("close").alias("price_usd")).drop("close")
        )
    }


def test_the_audit_catches_a_planted_leak(fortnight, monkeypatch, capsys) -> None:
    """A market that reads rows without asking when they were known: `audit run` says which files changed, exit 1."""
    monkeypatch.setattr(daily, "snapshots", leaking_prices)
    words = ["audit", "run", "--home", str(fortnight.tiny.path), "--as-of", str(fortnight.days[3].session)]
    monkeypatch.setattr(sys, "argv", ["openbell", *words])
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert left.value.code == 1
    assert "trades.csv: CHANGED" in capsys.readouterr().out
