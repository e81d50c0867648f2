"""Yahoo on recorded answers: the frames that yfinance gives, typed here."""

import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from openbell.core.errors import BadInput, DataMissing, PartlyDone
from openbell.core.time import Sessions
from openbell.core.view import View
from openbell.market.importing import import_batch
from openbell.market.providers.yahoo import FIRST, raise_if_partial, yahoo

from .conftest import AT, Memory

DAYS = [dt.date(2020, 8, 26), dt.date(2020, 8, 27), dt.date(2020, 8, 28), dt.date(2020, 8, 31), dt.date(2020, 9, 1)]
#: Yahoo's closes: divided by the split 4:1 of the 31st wherever they lie before it.
CLOSES = [126.5225, 125.01, 124.8075, 129.04, 134.18]


def answer(
    days: list[dt.date],
    closes: list[float],
    dividends: Mapping[dt.date, float] | None = None,
    splits: Mapping[dt.date, float] | None = None,
) -> pd.DataFrame:
    index = pd.DatetimeIndex([pd.Timestamp(day, tz="America/New_York") for day in days], name="Date")
    return pd.DataFrame(
        {
            "Open": closes,
            "High": [close * 1.01 for close in closes],
            "Low": [close * 0.99 for close in closes],
            "Close": closes,
            "Adj Close": [close * 0.97 for close in closes],
            "Volume": [4_000_000] * len(days),
            "Dividends": [(dividends or {}).get(day, 0.0) for day in days],
            "Stock Splits": [(splits or {}).get(day, 0.0) for day in days],
        },
        index=index,
    )


def recorded(
    answers: Mapping[str, Any], asked: list[tuple[str, dt.date]] | None = None
) -> Callable[[str, dt.date], Any]:
    def download(symbol: str, first: dt.date) -> Any:
        if asked is not None:
            asked.append((symbol, first))
        told = answers[symbol]
        if isinstance(told, Exception):
            raise told
        return None if told is None else told[[moment.date() >= first for moment in told.index]]

    return download


APPLE = answer(DAYS, CLOSES, {DAYS[1]: 0.25}, {DAYS[3]: 4.0})


def test_prices_are_as_they_were_traded(calendar: Sessions) -> None:
    """Apple closed at 499.23 before its split, and nobody knew of it in the price of the day."""
    batch = yahoo(["aapl"], calendar, until=DAYS[-1], download=recorded({"AAPL": APPLE}))
    assert batch.bars["close"].to_list() == pytest.approx([506.09, 500.04, 499.23, 129.04, 134.18])
    assert batch.bars["volume"].to_list() == [1e6, 1e6, 1e6, 4e6, 4e6]
    assert batch.bars["session"].to_list() == DAYS
    assert batch.derive_actions is False


def test_splits_and_dividends_are_actions(calendar: Sessions) -> None:
    actions = yahoo(["AAPL"], calendar, until=DAYS[-1], download=recorded({"AAPL": APPLE})).actions
    assert actions.select("session", "kind").rows() == [(DAYS[1], "distribution"), (DAYS[3], "split")]
    assert actions["factor"].to_list() == pytest.approx([1 / (1 - 1.0 / 506.09), 4.0])


def test_the_total_return_of_the_view_is_yahoo_s_own(memory: Memory, calendar: Sessions) -> None:
    """Check 49: the way over traded prices and actions ends at the return of the adjusted closes."""
    import_batch(memory, yahoo(["AAPL"], calendar, until=DAYS[-1], download=recorded({"AAPL": APPLE})), calendar, at=AT)
    assert "quarantine" not in memory.frames, "the split explains the fall"
    seen = View(memory, AT, calendar).bars().collect()
    kept = 1 - 0.25 / CLOSES[0]
    assert seen["close"][-1] / seen["close"][0] == pytest.approx(CLOSES[-1] / CLOSES[0] / kept)
    assert seen["volume"].to_list() == pytest.approx([1e6] * 5)


def test_an_increment_overlaps_and_a_later_split_restates_nothing(memory: Memory, calendar: Sessions) -> None:
    asked: list[tuple[str, dt.date]] = []
    single = [float(np.float32(close * 4)) for close in CLOSES[:3]]
    before = answer(DAYS[:3], single, {DAYS[1]: 1.0}).assign(Volume=1_000_000)
    import_batch(
        memory, yahoo(["AAPL"], calendar, until=DAYS[2], download=recorded({"AAPL": before}, asked)), calendar, at=AT
    )
    stored = memory.frames["bars"].select("symbol", "session", "close")
    batch = yahoo(["AAPL"], calendar, until=DAYS[-1], stored=stored, download=recorded({"AAPL": APPLE}, asked))
    assert asked == [("AAPL", FIRST), ("AAPL", calendar.shift(DAYS[2], -9))]
    report = import_batch(memory, batch, calendar, at=AT)
    assert (report.stored, report.restated, report.quarantined) == (2, 0, 0)
    assert memory.frames["actions"]["kind"].to_list() == ["distribution", "split"]


def test_a_restated_history_is_asked_for_again_from_the_beginning(calendar: Sessions) -> None:
    asked: list[tuple[str, dt.date]] = []
    stored = pl.DataFrame({"symbol": ["AAPL"] * 2, "session": DAYS[:2], "close": [506.09, 777.0]})
    batch = yahoo(["AAPL"], calendar, until=DAYS[-1], stored=stored, download=recorded({"AAPL": APPLE}, asked))
    assert [first for _, first in asked][-1] == FIRST
    assert batch.bars.height == 5
    assert any("otherwise now" in note for note in batch.notes)


def test_one_of_three_missing_is_told_by_name(calendar: Sessions) -> None:
    answers = {"AAPL": APPLE, "NONE": APPLE[:0], "LIMIT": RuntimeError("Too Many Requests. Rate limited.")}
    batch = yahoo(["AAPL", "NONE", "LIMIT"], calendar, until=DAYS[-1], download=recorded(answers))
    assert batch.bars["symbol"].unique().to_list() == ["AAPL"]
    assert "the answer was empty" in batch.failed["NONE"]
    assert batch.failed["LIMIT"] == "RuntimeError: Too Many Requests. Rate limited."
    with pytest.raises(PartlyDone, match=r"2 symbols gave nothing.*NONE.*LIMIT"):
        raise_if_partial(batch.failed)
    raise_if_partial({})


def test_no_answer_at_all_and_no_symbols(calendar: Sessions) -> None:
    with pytest.raises(DataMissing, match="Yahoo gave nothing for X"):
        yahoo(["X"], calendar, until=DAYS[-1], download=recorded({"X": None}))
    with pytest.raises(BadInput, match="No symbols"):
        yahoo([" "], calendar, until=DAYS[-1], download=recorded({}))
    narrow = recorded({"X": APPLE.drop(columns="Close")})
    with pytest.raises(DataMissing, match="no column Close"):
        yahoo(["X"], calendar, until=DAYS[-1], download=narrow)


def test_an_unfinished_session_is_left_out(calendar: Sessions) -> None:
    batch = yahoo(["AAPL"], calendar, until=DAYS[3], download=recorded({"AAPL": APPLE}))
    assert batch.bars["session"].max() == DAYS[3]
    assert batch.bars["close"][0] == pytest.approx(506.09), "the splits up to today are undone all the same"
