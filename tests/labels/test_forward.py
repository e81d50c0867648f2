"""Labels: from the next open, known when the furthest bar is, null until then."""

import datetime as dt
import sys
from pathlib import Path

import polars as pl
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "research"))
from memory_tables import MemoryTables, market, view_of

from openbell.core.declare import Label as Declared
from openbell.core.declare import collect
from openbell.labels import forward
from openbell.quant.reach import label_reach
from openbell.research.compute import label_rows

LABELS = collect([forward], Declared)
RETURN_5 = LABELS["forward_return_5d"]
TABLES, CALENDAR = market(symbols=2, sessions=120)
OPENS = TABLES.frames["bars"].filter(pl.col("symbol") == "S0")["open"]
CLOSES = TABLES.frames["bars"].filter(pl.col("symbol") == "S0")["close"]


def rows_of(tables=TABLES, at=None, symbol="S0", labels=(RETURN_5,), **span):
    rows = label_rows(view_of(tables, CALENDAR, at), labels, **span)
    return rows.filter(pl.col("symbol") == symbol)


def test_the_declared_labels():
    assert set(LABELS) == {f"forward_{kind}_{h}d" for kind in ("return", "rank") for h in (1, 5, 10, 20)}
    for each in LABELS.values():
        assert label_reach(each).forward == each.horizon_sessions + 1
        assert (each.cross_section == "rank") == ("rank" in each.name)


@pytest.mark.parametrize("horizon", [1, 5, 10, 20])
def test_from_the_next_open_to_the_open_h_sessions_later(horizon):
    """Check 11 of the traps: never from the close the features were computed on."""
    name = f"forward_return_{horizon}d"
    row = rows_of(labels=(LABELS[name],)).row(30, named=True)
    assert row["session"] == CALENDAR.dates[30]
    assert row[name] == pytest.approx(OPENS[31 + horizon] / OPENS[31] - 1, rel=1e-12)
    assert row[f"{name}_known_at"] == CALENDAR.closes[31 + horizon]


def test_without_any_opens_it_is_the_twin_on_closes():
    """Decided for the data set, not for a row: the sample has closes alone."""
    bare = MemoryTables({"bars": TABLES.frames["bars"].with_columns(pl.lit(None, dtype=pl.Float64).alias("open"))})
    row = rows_of(bare).row(30, named=True)
    assert row[RETURN_5.name] == pytest.approx(CLOSES[36] / CLOSES[31] - 1, rel=1e-12)


def test_one_missing_open_is_not_filled_by_its_close():
    holed = TABLES.frames["bars"].with_columns(
        pl.when(pl.col("session") == CALENDAR.dates[36]).then(None).otherwise("open").alias("open")
    )
    rows = rows_of(MemoryTables({"bars": holed}))
    assert rows[RETURN_5.name][30] is None
    assert rows[f"{RETURN_5.name}_known_at"][30] is None
    assert rows[RETURN_5.name][31] is not None


def test_unresolved_outcomes_are_null_and_resolved_ones_do_not_change():
    """What is known at the decision of session 60 is a prefix of what is known later; nothing later shows."""
    early, late = rows_of(at=60), rows_of()
    name = RETURN_5.name
    assert early.height == 60
    known = early[name].is_not_null()
    # Bars up to 59 are known: row 53 reaches to 59, row 54 would need 60.
    assert known.arg_true().to_list() == list(range(54))
    assert early[name][:54].to_list() == late[name][:54].to_list()
    moment = CALENDAR.opens[60] - dt.timedelta(minutes=30)
    assert (early[f"{name}_known_at"].drop_nulls() <= moment).all()
    assert early[f"{name}_known_at"].null_count() == 6


def test_a_missing_session_counts_as_a_session():
    """Horizons count sessions of the exchange, not rows: a name that skipped a day has no outcome through it."""
    gone = TABLES.frames["bars"].filter(pl.col("session") != CALENDAR.dates[36])
    rows = rows_of(MemoryTables({"bars": gone}))
    at = {session: number for number, session in enumerate(rows["session"].to_list())}
    assert CALENDAR.dates[36] not in at
    value = rows[RETURN_5.name]
    assert value[at[CALENDAR.dates[30]]] is None
    assert value[at[CALENDAR.dates[32]]] == pytest.approx(OPENS[38] / OPENS[33] - 1, rel=1e-12)


def test_a_restated_bar_makes_the_outcome_known_later():
    """The moment is derived from the rows touched: a correction of the entry's bar counts, not only the last bar."""
    late = dt.datetime(2010, 6, 1, tzinfo=dt.UTC)
    restated = (
        TABLES.frames["bars"]
        .filter((pl.col("symbol") == "S0") & (pl.col("session") == CALENDAR.dates[31]))
        .with_columns(pl.lit(late).cast(pl.Datetime("us", "UTC")).alias("known_at"), pl.col("open") * 1.01)
    )
    tables = MemoryTables({"bars": pl.concat([TABLES.frames["bars"], restated])})
    rows = rows_of(tables)
    assert rows[f"{RETURN_5.name}_known_at"][30] == late
    assert rows[f"{RETURN_5.name}_known_at"][33] == CALENDAR.closes[39]
    assert rows[RETURN_5.name][30] == pytest.approx(OPENS[36] / (OPENS[31] * 1.01) - 1, rel=1e-12)


def test_a_span_of_sessions_gives_the_same_values():
    span = {"first": CALENDAR.dates[20], "last": CALENDAR.dates[25]}
    assert rows_of(**span).equals(rows_of()[20:26])
