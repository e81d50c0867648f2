"""Delta coverage: every share beside what it is of."""

import datetime as dt

import polars as pl
import pytest

from openbell.core.errors import DataMissing
from openbell.market.delta_coverage import delta_coverage


def rows(*told):
    """(date, symbol, trades, with delta, of these with a short term)."""
    out = []
    for date, symbol, count, delta, short in told:
        for number in range(count):
            there = number < delta
            out.append(
                {
                    "date": dt.date.fromisoformat(date),
                    "symbol": symbol,
                    "source_file": "profit,delta" if there else "profit",
                    "short_term": 5900.0 if number < short else None,
                    "long_term": 5900.0 if there else None,
                }
            )
    schema = {"date": pl.Date, "symbol": pl.String, "source_file": pl.String}
    return pl.DataFrame(out, schema={**schema, "short_term": pl.Float64, "long_term": pl.Float64})


STORY = (
    ("2023-01-03", "SPX", 10, 0, 0),  # before the first delta sheet
    ("2023-02-01", "SPX", 10, 10, 8),
    ("2023-02-01", "SPY", 10, 0, 0),
    ("2023-02-02", "SPX", 10, 0, 0),  # a gap of two sessions with trades
    ("2023-02-06", "SPX", 10, 0, 0),
    ("2023-02-07", "SPX", 10, 9, 9),  # a day in part
    ("2023-03-01", "SPX", 10, 10, 10),
    ("2023-03-02", "SPX", 10, 0, 0),  # after the last
)


def test_shares_stand_beside_their_denominators():
    """By hand: 29 of 80 trades, 60 of them from the first to the last delta, 50 of these on SPX. Kills: a share of
    another number, a period that holds the days before the first sheet."""
    found = delta_coverage(rows(*STORY))
    assert (found.trades, found.with_delta, found.trades_in_period, found.trades_of_symbols) == (80, 29, 60, 50)
    assert (found.first, found.last) == (dt.date(2023, 2, 1), dt.date(2023, 3, 1))
    assert found.symbols == ("SPX",)
    assert found.share_of_all == pytest.approx(29 / 80)
    assert found.share_in_period == pytest.approx(29 / 60)
    assert found.share_of_symbols == pytest.approx(29 / 50)
    assert not found.reached


def test_months_count_short_and_long_terms_apart():
    """Kills: a month without sheets shown as 0 %, a row with a delta but no short term counted for it."""
    months = delta_coverage(rows(*STORY)).months
    assert months["month"].to_list() == ["2023-01", "2023-02", "2023-03"]
    assert months["trades"].to_list() == [10, 50, 20]
    assert months["in_period"].to_list() == [0, 50, 10]
    assert months["short_term"].to_list() == [0, 17, 10]
    assert months["long_term"].to_list() == [0, 19, 10]
    assert months["short_term_share"].to_list() == [None, pytest.approx(17 / 50), pytest.approx(10 / 20)]


def test_gaps_are_runs_of_sessions_with_trades():
    """Kills: calendar days counted, a gap before the first sheet, a day in part taken for a gap."""
    found = delta_coverage(rows(*STORY))
    assert found.gaps.rows() == [(dt.date(2023, 2, 2), dt.date(2023, 2, 6), 2, 20)]
    assert found.partial.rows() == [(dt.date(2023, 2, 7), 10, 9, 0.9)]


def test_the_target_is_reached_at_95_percent_of_the_period():
    """The boundary itself counts. Kills: above instead of at least."""
    assert delta_coverage(rows(("2023-02-01", "SPX", 20, 19, 19))).reached
    assert not delta_coverage(rows(("2023-02-01", "SPX", 100, 94, 94))).reached


def test_without_any_delta_there_is_no_period():
    found = delta_coverage(rows(("2023-02-01", "SPX", 5, 0, 0)))
    assert (found.first, found.share_of_all, found.share_in_period, found.reached) == (None, 0.0, None, False)
    assert (found.gaps.height, found.partial.height, found.by_symbol.height) == (0, 0, 0)
    with pytest.raises(DataMissing, match="no trades"):
        delta_coverage(rows())
