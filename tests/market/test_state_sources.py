"""Sources of market states: the chain fails over, the breaker leaves alone what fails, nothing old passes for new."""

import asyncio
import datetime as dt
import json
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbell.core.errors import BadInput, DataMissing
from openbell.core.ticket import MarketState
from openbell.market import state_messages
from openbell.market.calendars import sessions
from openbell.market.circuit_breaker import CircuitBreaker, CircuitOpen
from openbell.market.state_providers import CompanionSource, LiveSource, RedisSource, StoredSource
from openbell.market.state_sources import Chain, Freshness, NoMarket, UnknownSymbol, guarded
from openbell.store.tables import Tables

XNYS = sessions("XNYS", 2024, 2026)
#: A Thursday, 10:35 in New York.
AT = dt.datetime(2025, 5, 22, 14, 35, tzinfo=dt.UTC)


@dataclass
class Clock:
    at: dt.datetime = AT

    def now(self) -> dt.datetime:
        return self.at

    def seconds(self) -> float:
        return self.at.timestamp()


@dataclass
class Made:
    """A source that says what it is told, or fails."""

    name: str
    clock: Clock
    age_seconds: float = 1.0
    fault: BaseException | None = None
    symbol: str | None = None
    asked: int = field(default=0)
    wait: float = 0.0

    async def state(self, symbol: str) -> MarketState:
        self.asked += 1
        if self.wait:
            await asyncio.sleep(self.wait)
        if self.fault is not None:
            raise self.fault
        seen = self.clock.now() - dt.timedelta(seconds=self.age_seconds)
        return MarketState(self.symbol or symbol, 100.0, seen, self.name)


def chain(clock: Clock, *sources: Made, timeout: float = 1.0) -> Chain:
    made = guarded(sources, failures=5, open_seconds=60.0, timeout_seconds=timeout, seconds=clock.seconds)
    return Chain(made, Freshness(XNYS, 300.0), clock.now)


def asked(of: Chain, symbol: str = "SPX") -> MarketState:
    return asyncio.run(of.state(symbol))


# --- the circuit breaker ----------------------------------------------------------------------------------------------


def test_five_failures_open_for_sixty_seconds_then_one_probe_decides():
    """5 failures / 60 s, on both sides of both limits; while the probe is out nobody else passes."""
    clock = Clock()
    breaker = CircuitBreaker("it", 5, 60.0, clock.seconds)
    for _ in range(4):
        breaker.admit()
        breaker.failed()
    assert breaker.state == "closed"
    breaker.admit()
    breaker.failed()
    assert breaker.state == "open"
    clock.at += dt.timedelta(seconds=59.9)
    with pytest.raises(CircuitOpen, match="failed 5 times in a row"):
        breaker.admit()
    clock.at += dt.timedelta(seconds=0.2)
    assert breaker.state == "half-open"
    breaker.admit()
    with pytest.raises(CircuitOpen, match="being tried again"):
        breaker.admit()
    breaker.failed()  # the probe: open for the whole time again
    clock.at += dt.timedelta(seconds=59.9)
    with pytest.raises(CircuitOpen):
        breaker.admit()
    clock.at += dt.timedelta(seconds=0.2)
    breaker.admit()
    breaker.succeeded()
    assert breaker.state == "closed"


def test_a_success_between_failures_begins_the_count_anew_and_a_caller_who_left_counts_for_nothing():
    clock = Clock()
    breaker = CircuitBreaker("it", 2, 60.0, clock.seconds)
    for end in (breaker.failed, breaker.succeeded, breaker.failed, breaker.abandoned):
        breaker.admit()
        end()
    assert breaker.state == "closed"
    breaker.admit()
    breaker.failed()
    clock.at += dt.timedelta(seconds=61)
    breaker.admit()
    breaker.abandoned()  # the probe's caller left: the next one may probe
    breaker.admit()
    with pytest.raises(BadInput):
        CircuitBreaker("it", 0, 60.0, clock.seconds)


# --- the chain --------------------------------------------------------------------------------------------------------


def test_the_first_source_that_answers_speaks_and_the_others_are_not_asked():
    clock = Clock()
    first, second = Made("a", clock), Made("b", clock)
    assert asked(chain(clock, first, second)).source == "a"
    assert second.asked == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"fault": DataMissing("It is gone.")}, "It is gone."),
        ({"fault": ValueError("secret words")}, "a failed: ValueError."),
        ({"age_seconds": 301.0}, "301 s ago"),
        ({"age_seconds": -6.0}, "still to come"),
        ({"symbol": "NDX"}, "answered with NDX"),
        ({"wait": 5.0}, "no answer within"),
        ({"fault": UnknownSymbol("Not here.")}, "Not here."),
    ],
)
def test_a_source_that_fails_lies_or_is_old_is_passed_over_and_its_reason_is_told(change, said):
    clock = Clock()
    bad = Made("a", clock, **change)
    assert asked(chain(clock, bad, Made("b", clock), timeout=0.05)).source == "b"
    with pytest.raises(NoMarket, match=said) as refused:
        asked(chain(clock, bad, timeout=0.05))
    assert "secret words" not in str(refused.value)


def test_a_clock_that_runs_ahead_a_little_is_no_lie_and_the_age_is_never_negative():
    clock = Clock()
    state = asked(chain(clock, Made("a", clock, age_seconds=-2.0)))
    assert state.observed_at == clock.now()


def test_a_source_that_keeps_failing_is_left_alone_and_asked_again_after_a_minute():
    clock = Clock()
    bad, good = Made("a", clock, fault=DataMissing("No.")), Made("b", clock)
    both = chain(clock, bad, good)
    for _ in range(8):
        assert asked(both).source == "b"
    assert bad.asked == 5
    assert both.breakers() == {"a": "open", "b": "closed"}
    clock.at += dt.timedelta(seconds=61)
    bad.fault = None
    assert asked(both).source == "a"
    assert both.breakers()["a"] == "closed"


def test_symbols_that_nobody_knows_open_no_breaker():
    """A caller who makes up symbols must not take the source from all others."""
    clock = Clock()
    source = Made("a", clock, fault=UnknownSymbol("Not here."))
    of = chain(clock, source)
    for _ in range(20):
        with pytest.raises(NoMarket) as refused:
            asked(of, "XYZ")
        assert refused.value.unknown
    assert of.breakers() == {"a": "closed"}
    source.fault = DataMissing("No.")
    with pytest.raises(NoMarket) as refused:
        asked(of)
    assert not refused.value.unknown


def test_a_caller_who_leaves_is_no_failure_of_the_source():
    clock = Clock()
    of = chain(clock, Made("a", clock, wait=5.0), timeout=10.0)

    async def leave():
        for _ in range(6):
            task = asyncio.ensure_future(of.state("SPX"))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(leave())
    assert of.breakers() == {"a": "closed"}


# --- how old is too old -----------------------------------------------------------------------------------------------

OPEN, CLOSE = dt.datetime(2025, 5, 22, 13, 30, tzinfo=dt.UTC), dt.datetime(2025, 5, 22, 20, 0, tzinfo=dt.UTC)
HALF = dt.datetime(2025, 11, 28, 18, 0, tzinfo=dt.UTC)  # the day after Thanksgiving closes at 13:00


@pytest.mark.parametrize(
    ("at", "seen", "fresh"),
    [
        (AT, AT - dt.timedelta(seconds=300), True),
        (AT, AT - dt.timedelta(seconds=301), False),
        (CLOSE + dt.timedelta(hours=5), CLOSE, True),
        (CLOSE + dt.timedelta(hours=5), CLOSE - dt.timedelta(seconds=300), True),
        (CLOSE + dt.timedelta(hours=5), CLOSE - dt.timedelta(seconds=301), False),
        (OPEN - dt.timedelta(seconds=1), CLOSE - dt.timedelta(days=1), True),  # the last close, to the last second
        (OPEN, CLOSE - dt.timedelta(days=1), False),
        (HALF + dt.timedelta(hours=1), HALF, True),
        (HALF + dt.timedelta(hours=1), HALF - dt.timedelta(seconds=301), False),
        (
            dt.datetime(2025, 5, 26, 15, 0, tzinfo=dt.UTC),
            dt.datetime(2025, 5, 23, 20, 0, tzinfo=dt.UTC),
            True,
        ),  # holiday
    ],
)
def test_old_is_told_from_the_session_early_closes_and_holidays_included(at, seen, fresh):
    state = MarketState("SPX", 1.0, seen, "a")
    assert (Freshness(XNYS, 300.0).stale(state, at) is None) is fresh


# --- messages ---------------------------------------------------------------------------------------------------------


@given(
    st.floats(0.01, 1e6),
    st.none() | st.floats(0.001, 5.0),
    st.datetimes(dt.datetime(2000, 1, 1), dt.datetime(2100, 1, 1)),
)
def test_a_written_state_reads_back(price, volatility, seen):
    state = MarketState("SPX", price, seen.replace(tzinfo=dt.UTC), "companion", volatility)
    assert state_messages.read(state_messages.written(state), "cache", own=True) == state
    assert state_messages.read(state_messages.written(state), "redis").source == "redis"


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ("no json", "no JSON"),
        ("[1]", "no object"),
        ({"price": 1.0}, "no moment"),
        ({"timestamp": "2025-05-22T14:35:00+00:00"}, "no price"),
        ({"price": 0, "timestamp": "2025-05-22T14:35:00+00:00"}, "above 0"),
        ({"price": True, "timestamp": "2025-05-22T14:35:00+00:00"}, "no number"),
        ({"price": "5860", "timestamp": "2025-05-22T14:35:00+00:00"}, "no number"),
        ({"price": 5860.0, "timestamp": "2025-05-22T10:35:00"}, "without its zone"),
        ({"price": 5860.0, "timestamp": "noon"}, "no moment"),
        ({"price": 5860.0, "timestamp": 1747924500}, "no moment"),
        ({"price": 5860.0, "volatility": 16.0, "timestamp": "2025-05-22T14:35:00+00:00"}, "fraction"),
    ],
)
def test_a_message_that_cannot_be_believed_is_refused(told, said):
    content = told if isinstance(told, str) else json.dumps(told)
    with pytest.raises(DataMissing, match=said):
        state_messages.read(content, "companion", "SPX")


# --- the sources ------------------------------------------------------------------------------------------------------


class Answer:
    def __init__(self, status: int, told: object) -> None:
        self.status_code, self.content = status, told if isinstance(told, bytes) else json.dumps(told).encode()


class Client:
    """An HTTP client that answers what it is told."""

    def __init__(self, answer: object) -> None:
        self.answer, self.urls = answer, []

    async def get(self, url: str) -> Answer:
        self.urls.append(url)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def companion(answer: object) -> tuple[CompanionSource, Client]:
    client = Client(answer)
    return CompanionSource(client, "http://127.0.0.1:8765/"), client


def test_the_companion_tells_its_own_json():
    source, client = companion(
        Answer(200, {"timestamp": "2025-05-22T10:35:00-04:00", "spot_price": 5860.5, "vix": 17.5})
    )
    state = asyncio.run(source.state("SPX"))
    assert state == MarketState("SPX", 5860.5, AT, "companion", 0.175)
    assert client.urls == ["http://127.0.0.1:8765/market/SPX"]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Answer(404, {}), UnknownSymbol),
        (Answer(500, {}), DataMissing),
        (Answer(200, b"x" * 300_000), DataMissing),
        (Answer(200, b"<html>"), DataMissing),
        (OSError("refused"), DataMissing),
    ],
)
def test_a_companion_that_fails_is_said_to(answer, kind):
    source, _ = companion(answer)
    with pytest.raises(kind):
        asyncio.run(source.state("SPX"))


def minutes(**prices):
    """What yfinance answers: the newest minute bars, by symbol."""
    pandas = pytest.importorskip("pandas")

    def download(symbol):
        found = prices[symbol]
        if isinstance(found, Exception):
            raise found
        index = pandas.DatetimeIndex(["2025-05-22T10:33:00-04:00", "2025-05-22T10:34:00-04:00"][: len(found)])
        return pandas.DataFrame({"Close": found}, index=index)

    return download


def test_the_live_provider_tells_the_newest_minute_seen_at_its_start():
    state = asyncio.run(LiveSource(minutes(SPX=[5850.0, 5860.0], VIX=[17.0, 18.0])).state("SPX"))
    assert state == MarketState("SPX", 5860.0, AT - dt.timedelta(minutes=1), "live", 0.18)
    without = asyncio.run(LiveSource(minutes(SPX=[5850.0], VIX=[])).state("SPX"))
    assert (without.price, without.volatility) == (5850.0, None)


def test_a_live_provider_that_fails_or_knows_nothing_is_said_to():
    missing = type("YFPricesMissingError", (Exception,), {})("gone")
    for prices, kind in (
        (missing, UnknownSymbol),
        (OSError("x"), DataMissing),
        ([], DataMissing),
        ([float("nan")], DataMissing),
    ):
        with pytest.raises(kind):
            asyncio.run(LiveSource(minutes(SPX=prices, VIX=[17.0])).state("SPX"))


class Redis:
    def __init__(self, kept: dict[str, bytes] | Exception) -> None:
        self.kept = kept

    async def get(self, key: str) -> bytes | None:
        if isinstance(self.kept, Exception):
            raise self.kept
        return self.kept.get(key)


def published(price: float, minute: int) -> bytes:
    return json.dumps({"symbol": "SPX", "price": price, "timestamp": f"2025-05-22T14:{minute}:00+00:00"}).encode()


def test_redis_tells_the_newer_of_what_it_keeps_and_what_was_heard():
    source = RedisSource(Redis({"openbell:market:SPX": published(5850.0, 30)}))
    assert asyncio.run(source.state("SPX")).price == 5850.0
    source.hear(b"broken")
    source.hear(published(5860.0, 33))
    source.hear(published(5855.0, 32))  # late: older than what was heard
    assert asyncio.run(source.state("SPX")).price == 5860.0
    source.client.kept = {"openbell:market:SPX": published(5870.0, 34)}
    assert asyncio.run(source.state("SPX")).price == 5870.0
    with pytest.raises(UnknownSymbol):
        asyncio.run(source.state("NDX"))
    source.client.kept = OSError("gone")
    with pytest.raises(DataMissing, match="cannot be reached"):
        asyncio.run(source.state("SPX"))


def test_what_is_heard_is_bounded():
    source = RedisSource(Redis({}), most_symbols=2)
    for symbol in ("A", "B", "C"):
        source.hear(json.dumps({"symbol": symbol, "price": 1.0, "timestamp": "2025-05-22T14:30:00+00:00"}).encode())
    with pytest.raises(UnknownSymbol):
        asyncio.run(source.state("C"))
    assert asyncio.run(source.state("A")).price == 1.0


def test_the_stored_close_is_seen_at_the_close_of_its_session(tmp_path: Path):
    """The volatility index of another session is not that of the price."""
    tables = Tables.open(f"file://{tmp_path}")
    source = StoredSource(tables, XNYS)
    with pytest.raises(UnknownSymbol, match="no stored bars"):
        asyncio.run(source.state("SPX"))
    day, before = dt.date(2025, 5, 21), dt.date(2025, 5, 20)
    rows = [("SPX", before, 5900.0), ("SPX", day, 5844.0), ("VIX", day, 20.0), ("NDX", before, 21000.0)]
    frame = pl.DataFrame(rows, schema=["symbol", "session", "close"], orient="row").with_columns(
        pl.col("session").map_elements(XNYS.close, pl.Datetime("us", "UTC")).alias("known_at")
    )
    tables.append("bars", frame)
    state = asyncio.run(source.state("SPX"))
    assert state == MarketState("SPX", 5844.0, XNYS.close(day), "stored", 0.20)
    assert asyncio.run(source.state("NDX")).volatility is None
    with pytest.raises(UnknownSymbol, match="XYZ"):
        asyncio.run(source.state("XYZ"))
