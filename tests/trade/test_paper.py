"""The paper broker: fills by hand, once only, whatever is repeated or missing."""

import datetime as dt

import polars as pl
import pytest

from openbell.core.errors import BadInput, Refused
from openbell.core.types import Order, Side
from openbell.quant.costs import trade_costs
from openbell.trade.paper import PaperBroker
from openbell.trade.positions import KINDS, account

MONDAY, TUESDAY, WEDNESDAY, THURSDAY = (dt.date(2020, 3, day) for day in (16, 17, 18, 19))
FRIDAY_BEFORE = dt.date(2020, 3, 13)


def order(symbol: str, side: Side, shares: int, session: dt.date = MONDAY, decision: str = "d1") -> Order:
    return Order(decision, "stocks", session, symbol, side, shares)


@pytest.fixture
def broker(journal, sessions) -> PaperBroker:
    return PaperBroker(journal, sessions, 10_000.0)


def holdings(broker: PaperBroker) -> dict[str, int]:
    return account(broker.journal.records(kind=KINDS), broker.initial_cash_usd).shares


def cash(broker: PaperBroker) -> float:
    return account(broker.journal.records(kind=KINDS), broker.initial_cash_usd).cash_usd


def test_fill_at_the_open_by_hand(broker, bars, actions, as_of, sessions) -> None:
    """Trap 11: at the next open, not at the close the signal saw. 100 shares at 50 cost 5,000 and 1.50 on top."""
    broker.submit([order("A", Side.BUY, 100)], at=as_of(MONDAY))
    done = broker.settle(MONDAY, bars({("A", FRIDAY_BEFORE): (40.0, 41.0), ("A", MONDAY): (50.0, 60.0)}), actions())
    (fill,) = done.fills
    assert (fill.price_usd, fill.signed_shares, fill.at) == (50.0, 100, sessions.open(MONDAY))
    assert (fill.commission_usd, fill.slippage_usd) == trade_costs(5_000.0)
    assert cash(broker) == pytest.approx(10_000.0 - 5_000.0 - 1.5)
    assert holdings(broker) == {"A": 100}
    assert done.waiting == ()


def test_without_opens_it_fills_at_the_close_and_says_so(broker, bars, actions, as_of, sessions) -> None:
    broker.submit([order("A", Side.BUY, 10)], at=as_of(MONDAY))
    (fill,) = broker.settle(MONDAY, bars({("A", MONDAY): (None, 60.0)}), actions()).fills
    assert (fill.price_usd, fill.at) == (60.0, sessions.close(MONDAY))
    assert broker.journal.records(kind="fill")[0].payload["filled_at"] == "close"


def test_a_second_run_changes_nothing(broker, bars, actions, as_of) -> None:
    """Trap 17: submit and settle again, and again: the same records, the same account."""
    orders = [order("A", Side.BUY, 100), order("B", Side.BUY, 10)]
    prices = bars({("A", MONDAY): (50.0, 60.0), ("B", MONDAY): (10.0, 11.0)})
    broker.submit(orders, at=as_of(MONDAY))
    broker.settle(MONDAY, prices, actions())
    before = broker.journal.head
    for _ in range(3):
        broker.submit(orders, at=as_of(MONDAY))
        assert broker.settle(MONDAY, prices, actions()).fills == ()
    assert broker.journal.head == before
    assert broker.journal.verify() == before.records


def test_another_decision_for_the_same_session_is_refused(broker, as_of) -> None:
    broker.submit([order("A", Side.BUY, 100)], at=as_of(MONDAY))
    before = broker.journal.head
    with pytest.raises(Refused, match="another decision for 2020-03-16 already"):
        broker.submit([order("A", Side.BUY, 50, decision="d2")], at=as_of(MONDAY))
    assert broker.journal.head == before
    broker.submit([order("A", Side.BUY, 50, session=TUESDAY, decision="d2")], at=as_of(TUESDAY))


def test_a_killed_submit_is_finished_by_the_next(broker, as_of) -> None:
    """The marker is written, the orders are not: the same decision completes them, another one is refused."""
    orders = [order("A", Side.BUY, 100)]
    submit = type(broker.journal).append_many
    with pytest.MonkeyPatch.context() as patch:

        def dies(self, entries):
            entries = list(entries)
            if any(entry.kind == "order" for entry in entries):
                raise KeyboardInterrupt
            return submit(self, entries)

        patch.setattr(type(broker.journal), "append_many", dies)
        with pytest.raises(KeyboardInterrupt):
            broker.submit(orders, at=as_of(MONDAY))
    assert broker.open_orders() == ()
    broker.submit(orders, at=as_of(MONDAY))
    assert broker.open_orders() == tuple(orders)


def test_orders_of_a_settled_session_are_refused(broker, bars, actions, as_of) -> None:
    """An order placed into the past would be filled in hindsight."""
    broker.submit([order("A", Side.BUY, 100)], at=as_of(MONDAY))
    broker.settle(TUESDAY, bars({("A", MONDAY): (50.0, 60.0)}), actions())
    with pytest.raises(Refused, match="settled already"):
        broker.submit([order("A", Side.SELL, 100, session=TUESDAY, decision="d2")], at=as_of(TUESDAY))


def test_a_name_without_a_bar_waits_one_session(broker, bars, actions, as_of) -> None:
    broker.submit([order("A", Side.BUY, 100), order("B", Side.BUY, 5)], at=as_of(MONDAY))
    prices = bars({("A", TUESDAY): (51.0, 52.0), ("B", MONDAY): (10.0, 10.0)})
    monday = broker.settle(MONDAY, prices, actions())
    assert [each.symbol for each in monday.waiting] == ["A"]
    tuesday = broker.settle(TUESDAY, prices, actions())
    assert [(fill.symbol, fill.price_usd, fill.session) for fill in tuesday.fills] == [("A", 51.0, TUESDAY)]


def test_then_it_expires_and_that_is_on_record(broker, bars, actions, as_of) -> None:
    broker.submit([order("A", Side.BUY, 100)], at=as_of(MONDAY))
    prices = bars({("A", WEDNESDAY): (51.0, 52.0)})
    done = broker.settle(WEDNESDAY, prices, actions())
    assert (done.fills, done.waiting) == ((), ())
    (expired,) = broker.journal.records(kind="expired")
    assert expired.payload["shares"] == 100
    assert expired.payload["session"] == TUESDAY.isoformat()
    assert any("expired" in note for note in done.notes)


def test_sales_pay_for_purchases_of_the_same_open(broker, bars, actions, as_of) -> None:
    broker.submit([order("A", Side.BUY, 190)], at=as_of(MONDAY))
    broker.settle(MONDAY, bars({("A", MONDAY): (50.0, 50.0)}), actions())
    assert cash(broker) < 500
    broker.submit(
        [order("B", Side.BUY, 90, TUESDAY, "d2"), order("A", Side.SELL, 190, TUESDAY, "d2")], at=as_of(TUESDAY)
    )
    done = broker.settle(TUESDAY, bars({("A", TUESDAY): (50.0, 50.0), ("B", TUESDAY): (100.0, 99.0)}), actions())
    assert [(fill.symbol, fill.signed_shares) for fill in done.fills] == [("A", -190), ("B", 90)]


def test_cash_is_never_overdrawn_when_the_open_gaps_up(broker, bars, actions, as_of) -> None:
    """Ordered at 50, opened at 55: both purchases are cut alike, the rest expires with its reason."""
    broker.submit([order("A", Side.BUY, 100), order("B", Side.BUY, 100)], at=as_of(MONDAY))
    done = broker.settle(MONDAY, bars({("A", MONDAY): (55.0, 50.0), ("B", MONDAY): (55.0, 50.0)}), actions())
    assert {fill.symbol: fill.signed_shares for fill in done.fills} == {"A": 90, "B": 90}
    assert 0.0 <= cash(broker) < 110.0
    assert {each.payload["shares"] for each in broker.journal.records(kind="expired")} == {10}
    assert any("20 of 200 shares were not bought" in note for note in done.notes)
    assert done.waiting == ()


def test_no_more_is_sold_than_is_held(broker, bars, actions, as_of) -> None:
    broker.submit([order("A", Side.SELL, 100)], at=as_of(MONDAY))
    done = broker.settle(MONDAY, bars({("A", MONDAY): (50.0, 60.0)}), actions())
    assert done.fills == ()
    assert broker.journal.records(kind="expired")[0].payload["why"] == "no more shares were held"


def test_a_split_between_decision_and_open_changes_the_order(broker, bars, actions, as_of) -> None:
    """100 shares at 400 were meant; after 4 for 1 that is 400 shares at 100."""
    rich = PaperBroker(broker.journal, broker.sessions, 100_000.0)
    rich.submit([order("A", Side.BUY, 100)], at=as_of(MONDAY))
    split = actions(("A", MONDAY, "split", 4.0))
    (fill,) = rich.settle(MONDAY, bars({("A", MONDAY): (100.0, 101.0)}), split).fills
    assert (fill.signed_shares, fill.order) == (400, order("A", Side.BUY, 100).key)
    rich.submit([order("A", Side.SELL, 400, TUESDAY, "d2")], at=as_of(TUESDAY))
    prices = bars({("A", MONDAY): (100.0, 100.0), ("A", TUESDAY): (1_000.0, 1_000.0)})
    (sold,) = rich.settle(TUESDAY, prices, actions(("A", TUESDAY, "split", 0.1))).fills
    assert sold.signed_shares == -40
    assert holdings(rich) == {}


def test_distributions_and_splits_of_held_names(broker, bars, actions, as_of) -> None:
    """check 49: 1 USD on a close of 50 is factor 50/49; it is cash on the ex-date, for shares held before it."""
    broker.submit([order("A", Side.BUY, 100)], at=as_of(MONDAY))
    prices = bars({("A", MONDAY): (50.0, 50.0), ("A", TUESDAY): (49.0, 49.0), ("A", WEDNESDAY): (24.5, 24.5)})
    facts = actions(("A", TUESDAY, "distribution", 50 / 49), ("A", WEDNESDAY, "split", 2.0))
    broker.settle(MONDAY, prices, facts)
    before = cash(broker)
    broker.settle(WEDNESDAY, prices, facts)
    assert cash(broker) == pytest.approx(before + 100.0)
    assert holdings(broker) == {"A": 200}
    bought_on_the_ex_date = PaperBroker(broker.journal, broker.sessions, 10_000.0, desk="other")
    bought_on_the_ex_date.submit([Order("d", "other", TUESDAY, "A", Side.BUY, 10)], at=as_of(TUESDAY))
    bought_on_the_ex_date.settle(TUESDAY, prices, facts)
    assert broker.journal.records(kind="distribution", desk="other") == []


def test_a_vanished_name_becomes_cash_at_its_last_close(journal, sessions, bars, actions, as_of) -> None:
    """check 46: carried for the limit, then cash at the last price; never zero."""
    broker = PaperBroker(journal, sessions, 10_000.0, max_stale_sessions=2)
    broker.submit([order("A", Side.BUY, 100)], at=as_of(MONDAY))
    prices = bars({("A", MONDAY): (50.0, 52.0)})
    broker.settle(WEDNESDAY, prices, actions())
    assert holdings(broker) == {"A": 100}
    before = cash(broker)
    done = broker.settle(THURSDAY, prices, actions())
    assert holdings(broker) == {}
    assert cash(broker) == pytest.approx(before + 5_200.0)
    assert any("no bar since 2020-03-16" in note for note in done.notes)


def test_one_walk_over_many_sessions_equals_day_by_day(journal, sessions, bars, actions, as_of, tmp_path) -> None:
    """A machine that was off for three days ends where one that ran every day does, record by record."""
    from openbell.store.journal import Journal

    facts = actions(("A", TUESDAY, "distribution", 1.01), ("A", WEDNESDAY, "split", 3.0))
    prices = bars(
        {("A", day): (50.0 + number, 51.0) for number, day in enumerate((MONDAY, TUESDAY, WEDNESDAY, THURSDAY))}
    )
    with Journal.open(f"sqlite:///{tmp_path / 'other.db'}") as other:
        daily, late = PaperBroker(journal, sessions, 10_000.0), PaperBroker(other, sessions, 10_000.0)
        for each in (daily, late):
            each.submit([order("A", Side.BUY, 50)], at=as_of(MONDAY))
        for day in (MONDAY, TUESDAY, WEDNESDAY, THURSDAY):
            daily.settle(day, prices, facts)
        late.settle(THURSDAY, prices, facts)
        assert journal.head == other.head


def test_a_settle_that_fails_leaves_nothing_half_done(broker, bars, actions, as_of, monkeypatch) -> None:
    broker.submit([order("A", Side.BUY, 100)], at=as_of(MONDAY))
    before = broker.journal.head
    prices = bars({("A", MONDAY): (50.0, 60.0)})
    with monkeypatch.context() as patch:
        patch.setattr("openbell.store.journal._chained", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            broker.settle(MONDAY, prices, actions())
    assert broker.journal.head == before
    assert len(broker.settle(MONDAY, prices, actions()).fills) == 1


def test_no_orders_and_foreign_orders(broker, bars, actions, as_of) -> None:
    assert broker.submit([], at=as_of(MONDAY)) == ()
    assert broker.settle(MONDAY, bars({}), actions()).fills == ()
    with pytest.raises(BadInput, match="one decision at a time"):
        broker.submit([order("A", Side.BUY, 1), order("B", Side.BUY, 1, decision="d2")], at=as_of(MONDAY))
    with pytest.raises(BadInput, match="`options`"):
        broker.submit([Order("d", "options", MONDAY, "A", Side.BUY, 1)], at=as_of(MONDAY))


def test_a_later_capital_does_not_change_the_past(broker, bars, actions, as_of) -> None:
    broker.submit([order("A", Side.BUY, 100)], at=as_of(MONDAY))
    broker.settle(MONDAY, bars({("A", MONDAY): (50.0, 60.0)}), actions())
    richer = PaperBroker(broker.journal, broker.sessions, 1_000_000.0)
    assert cash(richer) == cash(broker)
    richer.submit([order("B", Side.BUY, 1, TUESDAY, "d2")], at=as_of(TUESDAY))
    assert [each.payload["usd"] for each in broker.journal.records(kind="opening")] == [10_000.0]


def test_an_impossible_price_is_no_bar(broker, bars, actions, as_of) -> None:
    broker.submit([order("A", Side.BUY, 100), order("B", Side.BUY, 1)], at=as_of(MONDAY))
    prices = bars({("A", MONDAY): (0.0, 0.0), ("B", MONDAY): (0.0, 7.0)})
    done = broker.settle(MONDAY, prices, actions())
    assert [(fill.symbol, fill.price_usd) for fill in done.fills] == [("B", 7.0)]
    assert isinstance(prices, pl.DataFrame)
