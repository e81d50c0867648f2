"""Facts and features of rows that are no table: the very numbers that a table has."""

import datetime as dt
import sys
from pathlib import Path

import polars as pl
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from made_up_days import CALENDAR, made, market

from openbell.core.declare import Feature
from openbell.core.errors import BadInput
from openbell.core.trade_rows import TRADES
from openbell.research.trade_facts import FACTS, facts
from openbell.research.trade_features import row_features, trade_features, with_market
from openbell.research.trade_row_facts import row_facts, told_rows


def mixed() -> pl.DataFrame:
    """Trades with quotes and without, in both units, without price, market, legs or expiry, at night and on Sunday."""
    rows = with_market(made(), market())
    quotes = [f"{name}{i}" for name in ("bid", "ask", "mid") for i in range(1, 5)]
    bare = rows[:400].with_columns(pl.lit(None, pl.Float64).alias(name) for name in (*quotes, "expected_move"))
    usd = bare[:80].with_columns(pl.lit("usd").alias("unit"), pl.col("premium", "profit") * 100.0)
    lost = [
        bare[80:100].with_columns(pl.lit(None, kind).alias(name))
        for name, kind in (
            ("price", pl.Float64), ("market_volatility", pl.Float64), ("profit", pl.Float64), ("premium", pl.Float64),
            ("strike1", pl.Float64), ("direction2", pl.Int64), ("type1", pl.String), ("expiry", pl.Date),
        )
    ]  # fmt: skip
    moved = [
        bare[100:110].with_columns((pl.col("known_at") + dt.timedelta(hours=hours)).alias("known_at"))
        for hours in (9, 80, 700)
    ]
    naked = bare[110:130].with_columns(
        pl.lit(None, kind).alias(f"{name}{i}")
        for name, kind in (("strike", pl.Float64), ("direction", pl.Int64), ("type", pl.String))
        for i in (2, 3, 4)
    )
    return pl.concat([rows[:200], bare, usd, *lost, *moved, naked])


def test_each_row_alone_has_the_numbers_of_the_table() -> None:
    """Check 14, to the last bit. Kills: a fact that is computed twice, a null read as a number, another calendar."""
    table = mixed()
    for calendar in (CALENDAR, None):
        whole = facts(table, commission_usd=0.65, sessions=calendar)
        names = list(FACTS)
        wanted = whole.select(names).rows()
        rows = list(table.iter_rows(named=True))
        together = row_facts(rows, commission_usd=0.65, sessions=calendar)
        assert [tuple(row[name] for name in names) for row in together] == wanted
        assert {type(each["win"]) for each in together} == {bool, type(None)}
        alone = [row_facts([row], commission_usd=0.65, sessions=calendar)[0] for row in rows[::7]]
        if calendar is CALENDAR:  # without one, the weekdays that are looked at are those of the rows
            assert alone == together[::7]


def declared(expression: pl.Expr, name: str = "made") -> Feature:
    return Feature(name, "made", "A feature made here.", {}, expression=expression, reads="trades", unit="")


def test_features_of_rows_are_those_of_the_table() -> None:
    """Kills: a market that is not there read as an error, and a feature without a program left out."""
    table = mixed()[::11]
    known = facts(table, commission_usd=0.65, sessions=CALENDAR)
    simple = {"made": declared(pl.col("vix") / pl.col("ratio")), "other": declared(pl.col("price") - pl.col("sma20"))}
    without_program = {**simple, "raised": declared(pl.col("ratio").exp())}
    for features in (simple, without_program):
        wanted = trade_features(known, features).rows(named=True)
        rows = list(known.iter_rows(named=True))
        assert row_features(rows, features) == wanted
        told = told_rows(list(table.iter_rows(named=True)), features, commission_usd=0.65, sessions=CALENDAR)
        assert [{name: row[name] for name in features} for row in told] == wanted
    without = [{name: row[name] for name in (*TRADES, *FACTS)} for row in known[:3].iter_rows(named=True)]
    assert [row["made"] for row in row_features(without, without_program)] == [None] * 3


def test_what_cannot_be_read_is_refused() -> None:
    row = made().row(0, named=True) | {"market_volatility": None}
    with pytest.raises(BadInput, match="1 rows said `percent`"):
        row_facts([row | {"unit": "percent"}], commission_usd=0.65)
    with pytest.raises(BadInput, match="A commission is 0 USD or more"):
        row_facts([row], commission_usd=-1.0)
