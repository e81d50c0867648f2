"""Labels of structures on a table small enough to be worked by hand."""

import datetime as dt

import polars as pl
import pytest

from openbell.core.declare import Label, collect
from openbell.labels import structures
from openbell.quant.structures import STRUCTURES
from openbell.research.counterfactuals import label_rows

LABELS = tuple(collect([structures], Label).values())


def at(day: int) -> dt.datetime:
    return dt.datetime(2024, 1, day, 21, tzinfo=dt.UTC)


@pytest.fixture
def table() -> pl.DataFrame:
    """Two days, three structures of two sets; on the second day one set is open and one structure could not be had."""
    rows = [
        (2, "IRON_CONDOR", 0.10, 5), (2, "IRON_CONDOR", 0.30, 9), (2, "LONG_CALL", -0.50, 8), (2, "LONG_CALL", 0.70, 4),
        (2, "LONG_PUT", None, 3), (2, "LONG_PUT", 0.15, 12),
        (3, "IRON_CONDOR", 0.20, 5), (3, "IRON_CONDOR", None, None), (3, "LONG_CALL", 0.1, 4), (3, "LONG_CALL", 0.1, 4),
        (3, "LONG_PUT", None, 3), (3, "LONG_PUT", None, 3),
    ]  # fmt: skip
    return pl.DataFrame(
        {
            "session": [dt.date(2024, 1, day) for day, *_ in rows],
            "structure": pl.Series([name for _, name, *_ in rows], dtype=pl.Enum(list(STRUCTURES))),
            "utility": [value for *_, value, _ in rows],
            "known_at": [None if day is None else at(day) for *_, day in rows],
        }
    )


def test_the_mean_of_what_could_be_had_is_the_label(table):
    made = label_rows(table, [each for each in LABELS if each.reads == "counterfactuals"])
    values = {(row["session"].day, row["structure"]): row for row in made.iter_rows(named=True)}
    assert values[2, "IRON_CONDOR"]["structure_utility"] == pytest.approx(0.20)
    assert values[2, "LONG_CALL"]["structure_utility"] == pytest.approx(0.10)
    assert values[2, "LONG_PUT"]["structure_utility"] == pytest.approx(0.15)
    assert values[2, "LONG_CALL"]["structure_utility_known_at"] == at(8)
    assert values[3, "IRON_CONDOR"]["structure_utility"] is None
    assert values[3, "IRON_CONDOR"]["structure_utility_known_at"] is None
    assert values[3, "LONG_PUT"]["structure_utility"] is None
    assert values[3, "LONG_PUT"]["structure_utility_known_at"] == at(3)


def test_the_best_and_its_margin_are_known_with_the_last_set(table):
    made = label_rows(table, LABELS)
    first, second = made.row(0, named=True), made.row(1, named=True)
    assert first["hindsight_structure"] == "IRON_CONDOR"
    assert first["hindsight_margin"] == pytest.approx(0.05)
    assert first["hindsight_structure_known_at"] == at(12)
    assert second["hindsight_structure"] is None
    assert second["hindsight_margin"] is None
    assert second["hindsight_structure_known_at"] is None


def test_of_equal_structures_the_first_of_the_desk_and_alone_there_is_no_margin(table):
    day = table.filter(pl.col("session") == dt.date(2024, 1, 2))
    even = day.with_columns(pl.lit(0.1).alias("utility"))
    assert label_rows(even, LABELS)["hindsight_structure"].item() == "IRON_CONDOR"
    assert label_rows(even, LABELS)["hindsight_margin"].item() == 0.0
    alone = day.filter(pl.col("structure") == "LONG_PUT")
    made = label_rows(alone, LABELS)
    assert made["hindsight_structure"].item() == "LONG_PUT"
    assert made["hindsight_margin"].item() is None


def test_the_order_of_the_rows_changes_nothing(table):
    shuffled = table.sample(fraction=1.0, shuffle=True, seed=3)
    assert label_rows(shuffled, LABELS).sort("session").equals(label_rows(table, LABELS))


def test_the_labels_are_those_the_desk_and_stage_one_ask_for():
    assert {each.name for each in LABELS} == {"structure_utility", "hindsight_structure", "hindsight_margin"}
    assert all(each.horizon_sessions == structures.HORIZON for each in LABELS)
