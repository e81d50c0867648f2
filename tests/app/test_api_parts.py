"""The parts of the service on their own: batching, group commit, limits, metrics, logs, the market desk."""

import asyncio
import datetime as dt
import tempfile
import threading
import time
from pathlib import Path

import pytest
from tests.app.served import AT, XNYS, Clock, SmallGate, SmallMarkets
from tests.store.conftest import RedisServer

from openbell.app.api.assessing import read, written
from openbell.app.api.batching import Batcher
from openbell.app.api.figures import LogFigures, calibration_error, probability_drift
from openbell.app.api.limiting import RateLimiter
from openbell.app.api.logs import without_secrets
from openbell.app.api.market_desk import MarketDesk
from openbell.app.api.metrics import Metrics
from openbell.app.api.orders import next_session, scale_of
from openbell.app.api.problems import Problem
from openbell.app.api.recorder import Recorder
from openbell.core.assessment import Asked
from openbell.core.errors import BadInput, StorageFailed
from openbell.market.state_sources import Freshness
from openbell.quant.ticket_profile import instruction
from openbell.store.cache import open_cache
from openbell.store.prediction_rows import Prediction
from openbell.store.predictions import Outcome, Predictions

# --- batching ---------------------------------------------------------------------------------------------------------


def test_waiting_questions_share_a_call_and_keep_their_answers():
    """While the only thread is busy, what waits collects; each gets its own answer, in calls of at most so many."""
    calls, gate = [], threading.Event()

    def work(questions):
        calls.append(list(questions))
        gate.wait(5.0)
        return [each * 10 for each in questions]

    async def ask():
        batcher = Batcher(work, most=4)
        first = asyncio.ensure_future(batcher.ask(0))
        await asyncio.sleep(0.02)
        rest = [asyncio.ensure_future(batcher.ask(each)) for each in range(1, 8)]
        left = rest.pop(2)
        await asyncio.sleep(0.02)
        left.cancel()  # its caller has left: it is not asked
        gate.set()
        answers = await asyncio.gather(first, *rest)
        await batcher.close()
        return answers

    assert asyncio.run(ask()) == [0, 10, 20, 40, 50, 60, 70]
    assert calls == [[0], [1, 2, 4, 5], [6, 7]]


def test_a_batch_is_one_call_and_the_event_loop_is_free_meanwhile():
    """Inference never blocks the event loop: another task runs while a call does."""
    ticks = []

    def work(questions):
        time.sleep(0.1)
        return list(questions)

    async def tick():
        while True:
            ticks.append(1)
            await asyncio.sleep(0.005)

    async def ask():
        batcher = Batcher(work)
        ticking = asyncio.ensure_future(tick())
        answers = await batcher.ask_all(range(50))
        ticking.cancel()
        await batcher.close()
        return answers, batcher.calls

    assert asyncio.run(ask()) == (list(range(50)), 1)
    assert len(ticks) >= 3


def test_answers_of_the_wrong_number_are_a_failure():
    async def ask():
        batcher = Batcher(lambda questions: [])
        with pytest.raises(RuntimeError, match="1 questions got 0 answers"):
            await batcher.ask(1)
        await batcher.close()

    asyncio.run(ask())


# --- group commit -----------------------------------------------------------------------------------------------------


def test_records_that_wait_are_committed_together_and_told_apart():
    commits, gate = [], threading.Event()

    def append(records):
        commits.append(list(records))
        gate.wait(5.0)
        return [each.upper() for each in records]

    async def keep():
        recorder = Recorder(append)
        first = asyncio.ensure_future(recorder.kept(["a"]))
        await asyncio.sleep(0.05)
        rest = [asyncio.ensure_future(recorder.kept(each)) for each in (["b", "c"], ["d"])]
        await asyncio.sleep(0.02)
        assert not first.done()  # nothing is told before it is on disk
        gate.set()
        told = await asyncio.gather(first, *rest)
        await recorder.close()
        return told

    assert asyncio.run(keep()) == [["A"], ["B", "C"], ["D"]]
    assert commits == [["a"], ["b", "c", "d"]]


def test_a_failing_store_tells_everybody_and_a_bad_record_only_its_own_caller():
    faults = {"down": StorageFailed("The store is down."), "bad": ValueError("no such record")}
    gate, calls = threading.Event(), []

    def append(records):
        calls.append(list(records))
        gate.wait(5.0)
        for each in records:
            if each in faults:
                raise faults[each]
        return list(records)

    async def keep(*names):
        gate.clear()
        recorder = Recorder(append)
        jobs = [asyncio.ensure_future(recorder.kept(["first"]))]
        await asyncio.sleep(0.05)
        jobs += [asyncio.ensure_future(recorder.kept([name])) for name in names]
        await asyncio.sleep(0.02)
        gate.set()
        told = await asyncio.gather(*jobs, return_exceptions=True)
        await recorder.close()
        return told[1:]

    good, bad = asyncio.run(keep("good", "bad"))
    assert good == ["good"]
    assert isinstance(bad, ValueError)
    both = asyncio.run(keep("good", "down"))
    assert [str(each) for each in both] == ["The store is down."] * 2


def test_closing_writes_what_waits_and_takes_no_more():
    kept = []

    def append(records):
        time.sleep(0.02)
        kept.extend(records)
        return list(records)

    async def keep():
        recorder = Recorder(append, most=2)
        jobs = [asyncio.ensure_future(recorder.kept([each])) for each in range(10)]
        await asyncio.sleep(0)
        await recorder.close()
        with pytest.raises(StorageFailed, match="going down"):
            await recorder.kept([99])
        await asyncio.gather(*jobs)

    asyncio.run(keep())
    assert kept == list(range(10))


# --- limits -----------------------------------------------------------------------------------------------------------


def hits(limiter: RateLimiter, times: int, key: str = "k", limit: int = 4) -> int:
    statuses: set[int] = set()

    async def hit():
        passed = 0
        for _ in range(times):
            try:
                await limiter.hit("predict", key, limit)
                passed += 1
            except Problem as refused:
                statuses.add(refused.status)
        return passed

    passed = asyncio.run(hit())
    assert statuses <= {429}
    return passed


def test_in_memory_each_worker_counts_alone_and_says_so():
    alone, two = RateLimiter("memory://"), RateLimiter("memory://", workers=2)
    assert (hits(alone, 6), hits(two, 6)) == (4, 4)  # nobody is refused below the limit
    assert hits(alone, 6, key="other") == 4
    assert "by the one worker" in alone.told()
    assert "up to 2 times as many" in two.told()


def test_the_window_moves_and_a_refused_request_does_not_count():
    """100 a minute means any minute, on both sides of its end; who is refused and waits is let in."""
    clock = Clock()
    limiter = RateLimiter("memory://", seconds=clock.seconds)
    assert hits(limiter, 3, limit=3) == 3
    clock.go(30)
    with pytest.raises(Problem) as refused:
        asyncio.run(limiter.hit("predict", "k", 3))
    assert refused.value.headers == {"Retry-After": "30"}
    clock.go(29.5)
    assert hits(limiter, 1, limit=3) == 0
    clock.go(0.5)
    assert hits(limiter, 4, limit=3) == 3


@pytest.fixture
def redis():
    with tempfile.TemporaryDirectory(prefix="openbell-redis-") as folder:  # a socket's path must be short
        server = RedisServer(Path(folder))
        server.start()
        try:
            yield server
        finally:
            server.stop()


def test_with_redis_all_workers_count_together_and_without_it_each_counts_alone(redis):
    """A Redis that is gone must neither let everybody in nor keep everybody out."""
    waits = []

    async def both():
        limiters = [RateLimiter(redis.url, workers=2) for _ in range(2)]
        passed = 0
        for number in range(8):
            try:
                await limiters[number % 2].hit("predict", "k", 4)
                passed += 1
            except Problem as refused:
                waits.append(int(refused.headers["Retry-After"]))
        redis.stop()
        for _ in range(3):
            try:
                await limiters[0].hit("predict", "k", 4)
                passed += 1
            except Problem:
                continue
        for each in limiters:
            await each._shared.storage.bridge.storage.aclose()
        return passed, limiters[0].fallbacks, limiters[0].told()

    passed, fallbacks, told = asyncio.run(both())
    assert (passed, fallbacks) == (4 + 3, 3)
    assert told == "Rate limits are counted in Redis, for all workers together."
    assert len(waits) == 4
    assert all(1 <= each <= 60 for each in waits)


# --- metrics ----------------------------------------------------------------------------------------------------------


def test_symbols_that_callers_make_up_are_no_new_series():
    """No cardinality bomb: whatever is asked, the series are those of the symbols and strategies there are."""
    metrics = Metrics()
    for number in range(500):
        metrics.answered(f"S{number}", f"T{number}", "REFUSE")
    metrics.answered("SPX", "Sonar", "ACCEPT")
    text = metrics.text().decode()
    assert 'predictions_total{result="REFUSE",strategy="other",symbol="other"} 500.0' in text
    assert text.count("predictions_total{") == 2


def test_statuses_are_counted_as_errors_only_from_500():
    metrics = Metrics()
    for status in (200, 422, 429, 503, 504):
        metrics.request("/predict", status)
    text = metrics.text().decode()
    assert 'api_errors_total{status="503"} 1.0' in text
    assert 'api_errors_total{status="422"}' not in text
    assert 'api_refusals_total{status="429"} 1.0' in text


def test_accuracy_shows_only_with_enough_joined_outcomes(tmp_path: Path):
    """S1.33: a model is not called bad on five trades. Calibration and drift come out of the log too."""
    with Predictions.open(f"sqlite:///{tmp_path}/p.db") as log:
        rows = [
            Prediction(
                f"{symbol}{number}", AT - dt.timedelta(days=number % 30), symbol, "Vertical", "ACCEPT", 1,
                {"n": number},
                probability=0.8, threshold=0.5, trade_id=f"{symbol}{number}", key_id="k",
            )
            for symbol, many in (("SPX", 100), ("NDX", 40))
            for number in range(many)
        ]  # fmt: skip
        log.append(rows)
        known_at = AT + dt.timedelta(hours=1)
        log.outcomes([Outcome(1.0 if n % 5 else -1.0, known_at, id=row.id) for n, row in enumerate(rows)])
        metrics = Metrics()
        LogFigures(log, lambda: AT + dt.timedelta(days=1))(metrics)
    text = metrics.text().decode()
    assert 'model_accuracy{strategy="Vertical",symbol="SPX"} 0.8' in text
    assert 'model_accuracy{strategy="Vertical",symbol="NDX"}' not in text
    assert 'model_outcomes{strategy="Vertical",symbol="NDX"} 40.0' in text
    (calibration,) = [
        float(line.split()[1]) for line in text.splitlines() if line.startswith("model_calibration_error ")
    ]
    assert calibration == pytest.approx(0.0, abs=0.01)
    assert "model_drift_distance 0.0" in text


def test_calibration_and_drift_by_hand():
    import polars as pl

    days = [dt.date(2025, 1, 1) + dt.timedelta(days=each) for each in range(40)]
    frame = pl.DataFrame({"session": days, "probability": [0.2] * 20 + [0.9] * 20, "win": [True, False] * 20})
    # half of the rows said 0.2 and half 0.9, and half of each won: |0.2 - 0.5| and |0.9 - 0.5|, equally weighted
    assert calibration_error(frame) == pytest.approx(0.5 * 0.3 + 0.5 * 0.4)
    assert probability_drift(frame) == pytest.approx(1.0)
    assert probability_drift(frame.head(20)) is None


# --- logs -------------------------------------------------------------------------------------------------------------


def test_what_may_be_a_secret_is_hidden_and_what_we_need_is_not():
    told = without_secrets(None, "", {
        "event": "x", "request_id": "a" * 32, "key_id": "k1", "api_key": "short", "X-API-Key": "short",
        "url": "redis://u:pw@host/0", "said": "it was ob_aaaaaaaaaa_" + "b1" * 21 + "c", "n": 5,
        "inner": [{"password": "pw"}],
    })  # fmt: skip
    assert told["request_id"] == "a" * 32
    assert (told["key_id"], told["n"]) == ("k1", 5)
    assert told["api_key"] == told["X-API-Key"] == "***"
    assert "pw" not in str(told)
    assert "b1b1" not in str(told)


# --- the market desk --------------------------------------------------------------------------------------------------


def desk(clock: Clock, sources: SmallMarkets, **changes) -> MarketDesk:
    given = {
        "sources": sources, "freshness": Freshness(XNYS, 300.0), "cache": open_cache("memory://", 10),
        "metrics": Metrics(), "now": clock.now, "seconds": clock.seconds, "keep_seconds": 300.0, "entries": 10,
    }  # fmt: skip
    return MarketDesk(**given | changes)


def test_many_who_ask_at_once_ask_the_sources_once_and_one_who_leaves_takes_nothing_away():
    clock = Clock()
    sources = SmallMarkets(clock)
    own = desk(clock, sources)

    async def ask():
        jobs = [asyncio.ensure_future(own.state("SPX")) for _ in range(20)]
        await asyncio.sleep(0)
        jobs.pop(0).cancel()
        return await asyncio.gather(*jobs)

    assert len({each.price for each in asyncio.run(ask())}) == 1
    assert sources.asked == ["SPX"]


def test_a_kept_state_that_grows_too_old_is_looked_up_again():
    """Kept for 300 s, but already 200 s old when it came: after 100 s more it may not be decided on."""
    clock = Clock()
    sources = SmallMarkets(clock, age_seconds=200.0)
    own = desk(clock, sources)
    asyncio.run(own.state("SPX"))
    clock.go(99)
    asyncio.run(own.state("SPX"))
    assert sources.asked == ["SPX"]
    clock.go(2)
    assert asyncio.run(own.state("SPX")).observed_at > AT - dt.timedelta(seconds=200)
    assert sources.asked == ["SPX", "SPX"]


def test_workers_share_states_by_the_cache_and_believe_no_other_symbols():
    clock = Clock()
    shared, first, second = open_cache("memory://", 10), SmallMarkets(clock), SmallMarkets(clock)
    asyncio.run(desk(clock, first, cache=shared).state("SPX"))
    state = asyncio.run(desk(clock, second, cache=shared).state("SPX"))
    assert (second.asked, state.source) == ([], "made")
    shared.put("market:NDX", shared.get("market:SPX"), 60.0)
    assert asyncio.run(desk(clock, second, cache=shared).state("NDX")).symbol == "NDX"
    shared.put("market:RUT", b"broken", 60.0)
    assert asyncio.run(desk(clock, second, cache=shared).state("RUT")).symbol == "RUT"


# --- small things -----------------------------------------------------------------------------------------------------


def test_an_assessment_reads_back_as_it_was_written_and_another_versions_is_none():
    ticket = instruction("SPX", "Butterfly", [5905, 5855, 5805], 24.82, "BUY", 1, "CALL", dt.date(2025, 5, 22))
    (said,) = SmallGate().assess([Asked(ticket, AT)])
    assert read(written(said)) == said
    assert read(written(said).replace(b'"threshold"', b'"limit"')) is None
    assert read(b"[]") is None
    assert read(b"{") is None


@pytest.mark.parametrize(
    ("at", "session"),
    [
        (AT, dt.date(2025, 5, 22)),
        (dt.datetime(2025, 5, 22, 2, 0, tzinfo=dt.UTC), dt.date(2025, 5, 22)),  # the evening before, in New York
        (dt.datetime(2025, 5, 22, 20, 0, tzinfo=dt.UTC), dt.date(2025, 5, 23)),  # at the close
        (dt.datetime(2025, 5, 24, 15, 0, tzinfo=dt.UTC), dt.date(2025, 5, 27)),  # the weekend, then Memorial Day
        (dt.datetime(2025, 11, 28, 18, 30, tzinfo=dt.UTC), dt.date(2025, 12, 1)),  # after an early close
    ],
)
def test_an_order_without_an_expiry_ends_in_the_session_that_comes(at, session):
    assert next_session(XNYS, at) == session


def test_numbers_are_levels_or_scores_and_never_both():
    assert scale_of(None, None) is None
    assert scale_of(0.65, -1.0).value == "SCORE"
    assert scale_of(None, 5860.0).value == "LEVEL"
    for pair in ((0.5, 5860.0), (-5.0, None)):
        with pytest.raises(BadInput):
            scale_of(*pair)
