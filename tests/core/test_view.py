"""A view holds what was known, and nothing else."""

import datetime as dt
from dataclasses import dataclass

import polars as pl
import pytest

from openbell.core.errors import BadInput, DataMissing
from openbell.core.time import MOMENT, Sessions
from openbell.core.view import View

DAYS = [dt.date(2020, 8, day) for day in (27, 28, 31)]
CLOSES = [dt.datetime.combine(day, dt.time(20), dt.UTC) for day in DAYS]
SESSIONS = Sessions("XNYS", tuple(DAYS), tuple(each - dt.timedelta(hours=6.5) for each in CLOSES), tuple(CLOSES))
LATER = dt.datetime(2020, 9, 1, tzinfo=dt.UTC)


@dataclass
class Memory:
    frames: dict[str, pl.DataFrame]

    def scan(self, name: str) -> pl.LazyFrame:
        return self.frames[name].lazy()

    def exists(self, name: str) -> bool:
        return name in self.frames


def bar(
    symbol: str, day: int, close: float, known_at: dt.datetime | None = None, volume: float = 100.0
) -> dict[str, object]:
    return {
        "symbol": symbol, "freq": "1d", "session": DAYS[day], "open": close, "high": close, "low": close,
        "close": close, "adj_close": None, "volume": volume, "known_at": known_at or CLOSES[day], "source": "test",
    }  # fmt: skip


def tables(bars: list[dict[str, object]], actions: list[tuple[str, int, str, float]] = ()) -> Memory:  # type: ignore[assignment]
    frames = {"bars": pl.DataFrame(bars, schema_overrides={"known_at": MOMENT, "adj_close": pl.Float64})}
    if actions:
        frames["actions"] = pl.DataFrame(
            [
                {"symbol": s, "session": DAYS[d], "kind": k, "factor": f, "known_at": CLOSES[d], "source": "test"}
                for s, d, k, f in actions
            ],
            schema_overrides={"known_at": MOMENT},
        )
    return Memory(frames)


def closes(view: View, column: str = "close") -> list[float]:
    return view.bars().collect()[column].to_list()


def test_later_rows_are_absent() -> None:
    """Kills: `known_at < as_of` for `<=`, and no filter at all."""
    source = tables([bar("A", 0, 1.0), bar("A", 1, 2.0), bar("A", 2, 3.0)])
    assert closes(View(source, CLOSES[1], SESSIONS)) == [1.0, 2.0]
    assert closes(View(source, CLOSES[1] - dt.timedelta(microseconds=1), SESSIONS)) == [1.0]


def test_a_restatement_is_seen_only_once_it_is_known() -> None:
    """Kills: keeping the first, or the last whatever the moment."""
    source = tables([bar("A", 0, 1.5, known_at=LATER), bar("A", 0, 1.0)])
    assert closes(View(source, CLOSES[2], SESSIONS)) == [1.0]
    assert closes(View(source, LATER, SESSIONS)) == [1.5]


def test_a_split_leaves_earlier_values_as_they_were() -> None:
    """DESIGN 4.8. Kills: backward adjustment, which rewrites the past when a split arrives."""
    source = tables(
        [bar("A", 0, 400.0), bar("A", 1, 500.0), bar("A", 2, 129.0, volume=400.0)], [("A", 2, "split", 4.0)]
    )
    before, after = View(source, CLOSES[1], SESSIONS), View(source, CLOSES[2], SESSIONS)
    assert closes(before) == closes(after)[:2] == [400.0, 500.0]
    assert closes(after)[2] == 516.0
    assert closes(after, "raw_close")[2] == 129.0
    assert closes(after, "volume") == [100.0, 100.0, 100.0]


def test_a_distribution_moves_prices_but_not_volume() -> None:
    """Kills: dividing volume by dividends."""
    source = tables([bar("A", 0, 100.0), bar("A", 1, 99.0)], [("A", 1, "distribution", 100.0 / 99.0)])
    view = View(source, CLOSES[2], SESSIONS)
    assert closes(view) == pytest.approx([100.0, 100.0])
    assert closes(view, "volume") == [100.0, 100.0]


def test_factors_of_one_name_do_not_touch_another_and_reach_over_a_missing_bar() -> None:
    """Kills: cumulating over all symbols; dropping an action whose own bar is missing."""
    source = tables([bar("A", 0, 10.0), bar("A", 2, 5.0), bar("B", 0, 7.0), bar("B", 2, 7.0)], [("A", 1, "split", 2.0)])
    assert closes(View(source, CLOSES[2], SESSIONS)) == [10.0, 10.0, 7.0, 7.0]


def test_a_split_and_a_distribution_on_one_day_both_count() -> None:
    """Kills: keeping one action per day."""
    source = tables([bar("A", 0, 10.0), bar("A", 1, 4.0)], [("A", 1, "split", 2.0), ("A", 1, "distribution", 1.25)])
    assert closes(View(source, CLOSES[2], SESSIONS)) == [10.0, 10.0]


def test_a_truncated_read_keeps_the_same_factors() -> None:
    """Kills: factors that start anew at the first row read (train and serve would differ)."""
    source = tables([bar("A", 0, 10.0), bar("A", 1, 5.0), bar("A", 2, 6.0)], [("A", 1, "split", 2.0)])
    view = View(source, CLOSES[2], SESSIONS)
    assert view.bars(first=DAYS[2]).collect()["close"].to_list() == closes(view)[2:] == [12.0]


def test_membership_is_dated() -> None:
    """check 10. Kills: today's members used in the past."""
    events = pl.DataFrame(
        [("A", 0, True), ("A", 1, False), ("B", 1, True), ("A", 2, True)],
        schema=["symbol", "day", "member"],
        orient="row",
    ).select(
        pl.lit("sp500").alias("universe"),
        "symbol",
        pl.col("day").replace_strict(dict(enumerate(DAYS)), return_dtype=pl.Date).alias("session"),
        "member",
        pl.col("day").replace_strict(dict(enumerate(CLOSES)), return_dtype=MOMENT).alias("known_at"),
    )
    view = View(Memory({"membership": events}), LATER, SESSIONS)
    assert [view.universe("sp500", day)["symbol"].to_list() for day in DAYS] == [["A"], ["B"], ["A", "B"]]


def test_a_table_that_is_not_there_says_so() -> None:
    """Kills: an empty frame where the data are missing."""
    with pytest.raises(DataMissing, match="no table `bars`"):
        View(Memory({}), LATER, SESSIONS).bars()
    with pytest.raises(BadInput, match="no time zone"):
        View(Memory({}), LATER.replace(tzinfo=None), SESSIONS)
