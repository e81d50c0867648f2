"""The book as a fold of the journal, the equity curve and its history, by hand (checks 45 to 49)."""

import datetime as dt
import math

import polars as pl
import pytest

from openbell.core.errors import DataMissing, IntegrityBroken
from openbell.core.types import Order, Side
from openbell.trade.actions import corporate_actions, journal_actions, split_ratio, vanished
from openbell.trade.history import performance_history
from openbell.trade.paper import PaperBroker
from openbell.trade.positions import EQUITY_SCHEMA, Account, book, equity_history
from openbell.trade.statements import deposit

MONDAY, TUESDAY, WEDNESDAY, THURSDAY, FRIDAY = (dt.date(2020, 3, day) for day in (16, 17, 18, 19, 20))
BEFORE = dt.date(2020, 3, 13)


def marks(rows: dict[tuple[str, dt.date], float | None]) -> pl.DataFrame:
    return pl.DataFrame(
        [(symbol, session, price) for (symbol, session), price in rows.items()],
        schema={"symbol": pl.String, "session": pl.Date, "price_usd": pl.Float64},
        orient="row",
    )


def of(prices: pl.DataFrame) -> pl.DataFrame:
    return prices.select("symbol", "session", pl.col("close").alias("price_usd"))


@pytest.fixture
def lived(journal, sessions, bars, actions, as_of):
    """10,000 USD; Monday 100 A at 50; Tuesday a distribution of 1 each; Wednesday 2 for 1; Thursday 50 sold at 26."""
    prices = bars(
        {
            ("A", BEFORE): (49.0, 49.5),
            ("A", MONDAY): (50.0, 50.0),
            ("A", TUESDAY): (49.0, 49.0),
            ("A", WEDNESDAY): (25.0, 25.5),
            ("A", THURSDAY): (26.0, 27.0),
        }
    )
    facts = actions(("A", TUESDAY, "distribution", 50 / 49), ("A", WEDNESDAY, "split", 2.0))
    broker = PaperBroker(journal, sessions, 10_000.0)
    broker.submit([Order("d1", "stocks", MONDAY, "A", Side.BUY, 100)], at=as_of(MONDAY))
    broker.settle(WEDNESDAY, prices, facts)
    broker.submit([Order("d2", "stocks", THURSDAY, "A", Side.SELL, 50)], at=as_of(THURSDAY))
    broker.settle(THURSDAY, prices, facts)
    return journal, of(prices)


def test_book_by_hand(lived, as_of) -> None:
    """check 45: cash is a line of the account and its value includes it."""
    journal, prices = lived
    held = book(journal, as_of(FRIDAY), prices, 10_000.0)
    spent = 5_000.0 + 1.5
    got = 50 * 26.0 - 50 * 26.0 * 3e-4
    assert held.shares == {"A": 150}
    assert held.cash_usd == pytest.approx(10_000.0 - spent + 100.0 + got)
    assert held.price_usd == {"A": 27.0}
    assert held.value_usd == pytest.approx(held.cash_usd + 150 * 27.0)


def test_equity_is_marked_every_day_by_hand(lived, as_of) -> None:
    """check 47: one mark per session, also on days without a trade."""
    journal, prices = lived
    equity = book(journal, as_of(FRIDAY), prices, 10_000.0).equity
    assert dict(equity.schema) == dict(EQUITY_SCHEMA)
    assert equity["session"].to_list() == [MONDAY, TUESDAY, WEDNESDAY, THURSDAY]
    cash = 10_000.0 - 5_001.5
    assert equity["equity_usd"].to_list() == pytest.approx(
        [
            cash + 5_000.0,
            cash + 100.0 + 4_900.0,
            cash + 100.0 + 200 * 25.5,
            cash + 100.0 + 50 * 26.0 * (1 - 3e-4) + 150 * 27.0,
        ]
    )
    assert equity["flow_usd"].to_list() == [10_000.0, 0.0, 0.0, 0.0]
    assert equity["costs_usd"].to_list() == pytest.approx([1.5, 0.0, 0.0, 0.39])


def test_the_book_sees_nothing_from_its_own_moment_on(lived, as_of) -> None:
    """A decision repeated later reads the book it read then: the fold takes `at < as_of` alone."""
    journal, prices = lived
    assert book(journal, as_of(MONDAY), prices, 10_000.0).shares == {}
    assert book(journal, as_of(MONDAY), prices, 10_000.0).cash_usd == 10_000.0
    assert book(journal, as_of(MONDAY), prices, 10_000.0).equity.height == 0
    tuesday = book(journal, as_of(TUESDAY), prices.filter(pl.col("session") <= MONDAY), 10_000.0)
    assert tuesday.shares == {"A": 100}
    thursday = book(journal, as_of(THURSDAY), prices.filter(pl.col("session") <= WEDNESDAY), 10_000.0)
    assert thursday.shares == {"A": 200}


def test_history_is_total_return_on_both_sides(lived, as_of) -> None:
    """check 49: the distribution is in the account's return as it is in the benchmark's closes."""
    journal, prices = lived
    equity = book(journal, as_of(FRIDAY), prices, 10_000.0).equity
    benchmark = pl.DataFrame(
        {"session": [BEFORE, MONDAY, TUESDAY, WEDNESDAY, THURSDAY], "close": [100.0, 101.0, 101.0, 90.9, 99.99]}
    )
    history = performance_history(equity, benchmark)
    assert history["return"][0] == pytest.approx(-1.5 / 10_000.0)
    assert history["return"][1] == pytest.approx(0.0)
    assert history["benchmark_return"].to_list() == pytest.approx([0.01, 0.0, -0.1, 0.1])
    assert history["benchmark_drawdown"].to_list() == pytest.approx([0.0, 0.0, -0.1, -0.01])
    assert (history["drawdown"] <= 0).all()
    wealth = (1 + history["return"]).cum_prod()
    assert wealth[-1] * 10_000.0 == pytest.approx(equity["equity_usd"][-1])


def test_drawdown_has_one_sign(journal) -> None:
    """check 54: negative, and the first day's loss counts against the start."""
    equity = pl.DataFrame(
        {
            "session": [MONDAY, TUESDAY],
            "equity_usd": [90.0, 99.0],
            "cash_usd": [0.0, 0.0],
            "flow_usd": [100.0, 0.0],
            "costs_usd": [0.0, 0.0],
        }
    )
    history = performance_history(equity, pl.DataFrame(schema={"session": pl.Date, "close": pl.Float64}))
    assert history["drawdown"].to_list() == pytest.approx([-0.1, -0.01])
    assert history["benchmark_return"].to_list() == [None, None]


def test_a_missing_benchmark_close_is_null_not_zero(lived, as_of) -> None:
    journal, prices = lived
    equity = book(journal, as_of(FRIDAY), prices, 10_000.0).equity
    holes = pl.DataFrame({"session": [BEFORE, MONDAY, WEDNESDAY, THURSDAY], "close": [100.0, 101.0, 90.9, 99.99]})
    assert performance_history(equity, holes)["benchmark_return"].to_list() == [
        pytest.approx(0.01),
        None,
        None,
        pytest.approx(0.1),
    ]


def test_an_account_that_has_not_begun_has_no_history(journal, as_of) -> None:
    empty = book(journal, as_of(MONDAY), marks({}), 5_000.0)
    assert (empty.cash_usd, empty.shares, empty.equity.height) == (5_000.0, {}, 0)
    closes = pl.DataFrame(schema={"session": pl.Date, "close": pl.Float64})
    assert performance_history(empty.equity, closes).height == 0


def test_a_missing_price_is_carried_then_halts_and_is_never_zero(lived, as_of, sessions) -> None:
    """check 46: the last date lacks the name; the account keeps its value, and past the limit a human must look."""
    journal, prices = lived
    later = prices.filter(pl.col("session") <= THURSDAY)
    days = sessions.between(FRIDAY, dt.date(2020, 4, 10))
    grid = pl.concat([later, marks({("OTHER", day): 1.0 for day in days[:3]})])
    carried = book(journal, as_of(days[3]), grid, 10_000.0, max_stale_sessions=3)
    assert carried.price_usd == {"A": 27.0}
    assert carried.equity["equity_usd"][-1] == pytest.approx(carried.equity["equity_usd"][3])
    stale = pl.concat([grid, marks({("OTHER", days[3]): 1.0})])
    with pytest.raises(DataMissing, match=r"A has no price on 2020-03-25: its last price is of 2020-03-19"):
        book(journal, as_of(days[4]), stale, 10_000.0, max_stale_sessions=3)


def test_a_held_name_that_never_had_a_price_halts(lived, as_of) -> None:
    journal, _ = lived
    with pytest.raises(DataMissing, match="there has never been one"):
        book(journal, as_of(FRIDAY), marks({("B", MONDAY): 1.0}), 10_000.0)


def test_metrics_do_not_depend_on_when_it_was_rebalanced(lived, as_of) -> None:
    """check 47: the same daily curve gives the same ratio, whatever else is on record between the marks."""
    journal, prices = lived
    returns = book(journal, as_of(FRIDAY), prices, 10_000.0).equity["equity_usd"].pct_change().drop_nulls()
    journal.append("decision", {"desk": "stocks", "session": "2020-03-18"}, at=as_of(WEDNESDAY))
    again = book(journal, as_of(FRIDAY), prices, 10_000.0).equity["equity_usd"].pct_change().drop_nulls()
    ratio = lambda r: float(r.mean() / r.std()) * math.sqrt(252)  # noqa: E731
    assert ratio(again) == ratio(returns)


def test_deposits_are_flows_not_gains(lived, as_of) -> None:
    journal, prices = lived
    before = book(journal, as_of(FRIDAY), prices, 10_000.0)
    for _ in range(2):
        deposit(journal, 2_500.0, session=WEDNESDAY, at=as_of(WEDNESDAY), key="wire 1")
    after = book(journal, as_of(FRIDAY), prices, 10_000.0)
    assert after.cash_usd == pytest.approx(before.cash_usd + 2_500.0)
    assert after.equity["flow_usd"].to_list() == [10_000.0, 0.0, 2_500.0, 0.0]
    closes = pl.DataFrame(schema={"session": pl.Date, "close": pl.Float64})
    history = performance_history(after.equity, closes)
    assert history["return"][2] == pytest.approx(200.0 / (9_998.5 + 2_500.0))


@pytest.mark.parametrize(
    ("factor", "ratio"), [(2.0, 2.0), (3.9997, 4.0), (1.4999, 1.5), (0.1, 0.1), (0.33329, 1 / 3), (1.0372, 1.0372)]
)
def test_split_ratio_is_the_ratio_it_stands_for(factor: float, ratio: float) -> None:
    assert split_ratio(factor) == pytest.approx(ratio, rel=1e-12)


def test_fractions_of_a_split_are_paid_in_cash(actions, sessions) -> None:
    """3 for 2 on 101 shares at 30: 151 shares, and half a share at 20 in cash; nothing is lost."""
    holder = Account(0.0, {"A": 101})
    (entry,), notes = corporate_actions(
        holder, MONDAY, actions(("A", MONDAY, "split", 1.5)), {"A": 30.0}, at=sessions.open(MONDAY), desk="stocks"
    )
    assert notes == []
    assert (entry.payload["shares_after"], entry.payload["cash_in_lieu_usd"]) == (151, pytest.approx(10.0))
    assert holder.shares == {"A": 101}, "the account it was given is not changed"
    holder.apply(entry.kind, entry.payload)
    assert holder.cash_usd + holder.shares["A"] * 20.0 == pytest.approx(101 * 30.0)


def test_a_reverse_split_can_leave_no_share(actions, sessions) -> None:
    holder = Account(0.0, {"A": 7})
    (entry,), _ = corporate_actions(
        holder, MONDAY, actions(("A", MONDAY, "split", 0.1)), {"A": 2.0}, at=sessions.open(MONDAY), desk="stocks"
    )
    holder.apply(entry.kind, entry.payload)
    assert holder.shares == {}
    assert holder.cash_usd == pytest.approx(14.0)


def test_actions_that_cannot_be_paid_are_told(actions, sessions) -> None:
    holder = Account(0.0, {"A": 10, "B": 10})
    facts = actions(("A", MONDAY, "distribution", 0.9), ("B", MONDAY, "split", 2.0), ("C", MONDAY, "split", 2.0))
    entries, notes = corporate_actions(holder, MONDAY, facts, {"A": 5.0}, at=sessions.open(MONDAY), desk="stocks")
    assert entries == []
    assert len(notes) == 2
    assert "distribution of A" in notes[0]


def test_actions_are_journaled_once(lived, actions, bars, sessions) -> None:
    """For brokers that do not report them: between two dates, keyed, so that a second call adds nothing."""
    journal, _ = lived
    facts = actions(("A", FRIDAY, "distribution", 1.02), ("Z", FRIDAY, "split", 2.0))
    prices = bars({("A", THURSDAY): (26.0, 27.0)})
    for round_number in range(2):
        written, notes = journal_actions(
            journal, facts, prices, sessions, first=THURSDAY, last=FRIDAY, initial_cash_usd=10_000.0
        )
        assert notes == []
        assert [record.kind for record in written] == ["distribution"], round_number
    paid = journal.records(kind="distribution")[-1].payload
    assert paid["cash_usd"] == pytest.approx(150 * 27.0 * (1 - 1 / 1.02))
    assert len(journal.records(kind="distribution")) == 2


def test_a_name_still_trading_has_not_vanished(bars, sessions) -> None:
    prices = bars({("A", MONDAY): (1.0, 1.0)})
    holder = Account(0.0, {"A": 1})
    assert vanished(holder, WEDNESDAY, prices, sessions, max_stale=2, desk="stocks") == []
    assert len(vanished(holder, THURSDAY, prices, sessions, max_stale=2, desk="stocks")) == 1


def test_a_journal_that_sells_what_was_never_held_is_broken() -> None:
    with pytest.raises(IntegrityBroken, match="3 shares of A"):
        Account().apply("fill", {"symbol": "A", "signed_shares": -3, "cash_usd": 3.0})


def test_no_marks_at_all_gives_no_curve(lived) -> None:
    journal, _ = lived
    assert equity_history(journal.records(), marks({}), 10_000.0).height == 0
