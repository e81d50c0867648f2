"""One suite over both caches: memory, and a real Redis; and what a Redis that fails does to whoever asks: nothing."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from openbell.core.errors import BadInput
from openbell.store.cache import ANSWER_SECONDS, PAUSE_SECONDS, CacheStats, RedisCache, cache_key, open_cache


class Clock:
    """Stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture(params=["memory", "redis"])
def cache(request, clock):
    url = "memory://" if request.param == "memory" else request.getfixturevalue("redis_server").url
    opened = open_cache(url, seconds=clock)
    yield opened
    opened.close()


def wait(cache, clock, seconds: float) -> None:
    """Redis has a clock of its own."""
    clock.now += seconds
    if isinstance(cache, RedisCache):
        time.sleep(seconds)


def test_what_was_put_is_had_until_its_time_is_over(cache, clock):
    """Kills: one time to live for all; seconds taken for milliseconds; a value that is decoded."""
    cache.put("short", b"\x00\xff", 0.05)
    cache.put("long", b"", 60)
    assert cache.get("short") == b"\x00\xff"
    assert cache.get("long") == b""
    assert cache.get("never") is None
    wait(cache, clock, 0.06)
    assert cache.get("short") is None
    assert cache.get("long") == b""
    cache.put("long", b"newer", 60)
    assert cache.get("long") == b"newer"
    assert cache.stats == CacheStats(hits=4, misses=2, puts=3)


def test_a_time_of_nothing_keeps_nothing(cache):
    """Settings may switch a cache off by 0 seconds. Kills: 0 as "for ever"."""
    cache.put("a", b"1", 0)
    assert cache.get("a") is None
    assert cache.stats == CacheStats(misses=1)


@pytest.mark.parametrize(("value", "ttl", "sentence"), [
    ("text", 1, "keeps bytes; it was given str"),
    (b"", -1, "must be 0 or more seconds; was -1"),
    (b"", float("inf"), "must be 0 or more seconds; was inf"),
])  # fmt: skip
def test_what_makes_no_sense_is_refused(cache, value, ttl, sentence):
    with pytest.raises(BadInput, match=sentence):
        cache.put("a", value, ttl)


def test_threads_share_it_and_no_count_is_lost(cache):
    def work(number: int) -> None:
        cache.put(f"k{number % 7}", b"%d" % number, 60)
        cache.get(f"k{number % 7}")

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(work, range(200)))
    assert cache.stats == CacheStats(hits=200, puts=200)


def test_memory_forgets_the_longest_unused_first_and_those_whose_time_is_over_before(clock):
    """Kills: a cache that grows without end; the oldest instead of the longest unused."""
    cache = open_cache("memory://", 3, seconds=clock)
    for name in ("a", "b", "c"):
        cache.put(name, b"", 10)
    cache.get("a")
    cache.put("d", b"", 10)
    assert [cache.get(name) is not None for name in "abcd"] == [True, False, True, True]
    cache.put("e", b"", 1)
    clock.now += 2
    cache.put("f", b"", 10)
    assert len(cache) == 3
    for number in range(1000):
        cache.put(f"{number}", b"", 10)
    assert len(cache) == 3


def test_a_key_holds_everything_and_is_namespaced():
    """check 35: another order, market or model is another key. Kills: a key of symbol and minute alone."""
    base = {"symbol": "SPX", "strikes": [1.0, 2.0], "strategy": "BUTTERFLY", "market": {"price": 5900.0}, "model": "1"}
    changed = [base | {"strategy": "IRON CONDOR"}, base | {"strikes": [2.0, 1.0]}, base | {"model": "2"},
               base | {"market": {"price": 5900.1}}]  # fmt: skip
    keys = {cache_key("features", **each) for each in (base, *changed)} | {cache_key("predictions", **base)}
    assert len(keys) == 6
    assert cache_key("features", **dict(reversed(base.items()))) in keys
    assert all(key.partition(":")[0] in ("features", "predictions") for key in keys)
    with pytest.raises(BadInput, match="word without a colon"):
        cache_key("a:b")


def test_every_key_in_redis_is_ours(redis_server, clock):
    """Kills: keys that another program on the same Redis may use too."""
    cache = open_cache(redis_server.url, seconds=clock)
    cache.put("market:x", b"1", 60)
    assert [bytes(key) for key in cache._client.scan_iter()] == [b"openbell:market:x"]
    assert 59_000 < cache._client.pttl("openbell:market:x") <= 60_000
    cache.close()


def test_a_redis_that_is_gone_is_a_miss_and_is_left_alone_for_a_moment(redis_server, clock):
    """Kills: an exception into the request; a wait at every request; never trying again."""
    cache = open_cache(redis_server.url, seconds=clock)
    cache.put("a", b"1", 60)
    redis_server.stop()
    assert cache.get("a") is None
    cache.put("a", b"2", 60)
    assert cache.get("a") is None
    assert cache.stats == CacheStats(misses=2, puts=1, errors=1, skipped=2)
    redis_server.start()
    assert cache.get("a") is None
    assert cache.stats.skipped == 3
    clock.now += PAUSE_SECONDS
    cache.put("a", b"3", 60)
    assert cache.get("a") == b"3"
    assert cache.stats == CacheStats(hits=1, misses=3, puts=2, errors=1, skipped=3)
    cache.close()


def test_a_redis_that_hangs_is_a_miss(redis_server, clock, monkeypatch):
    """Kills: the client's own tries, one after the other; a timeout of seconds."""
    cache = open_cache(redis_server.url, seconds=clock)
    cache.put("a", b"1", 60)
    asked = []
    send = type(cache._client.connection_pool.get_connection()).send_packed_command
    monkeypatch.setattr(
        "redis.connection.AbstractConnection.send_packed_command",
        lambda self, *a, **k: (asked.append(self.socket_timeout), send(self, *a, **k))[1],
    )
    os.kill(redis_server.process.pid, signal.SIGSTOP)
    try:
        assert cache.get("a") is None
    finally:
        os.kill(redis_server.process.pid, signal.SIGCONT)
    assert set(asked) == {ANSWER_SECONDS}
    assert len(asked) == 1
    assert dataclasses.astuple(cache.stats) == (0, 1, 1, 1, 0)
    clock.now += PAUSE_SECONDS
    assert cache.get("a") == b"1", "the late answer to the first question is not taken for that of the second"
    cache.close()


def test_a_redis_that_never_was_does_not_stop_the_start(tmp_path):
    cache = open_cache(f"unix://{tmp_path}/nobody.sock")
    assert cache.get("a") is None
    assert cache.stats.errors == 1
    cache.close()


def test_what_cannot_be_opened_is_told(monkeypatch):
    with pytest.raises(BadInput, match=r"`memcached` is not served.*Valid are: `memory`, `redis`"):
        open_cache("memcached://x")
    with pytest.raises(BadInput, match="room for 1 entry or more; was 0"):
        open_cache("memory://", 0)
    with pytest.raises(BadInput, match=r"`redis://:\*\*\*@h:x` cannot be read as the URL of Redis"):
        open_cache("redis://:hunter2@h:x")
    for name, url, extra in (("redis", "redis://h", "redis"), ("cachetools", "memory://", "serve")):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, name, None)
            with pytest.raises(BadInput, match=rf"pip install openbell\[{extra}\]"):
                open_cache(url)


def test_the_module_loads_without_any_client(root):
    script = (
        "import sys, openbell.store.cache, json; print(json.dumps([n in sys.modules for n in ('redis', 'cachetools')]))"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=root / "src", check=True)
    assert json.loads(said.stdout) == [False, False]
