"""`openbell serve` as it is run: several processes over real HTTP, one of them killed, all of them told to stop."""

import contextlib
import datetime as dt
import http.server
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import orjson
import pytest
import structlog
from tests.app.served import CONDOR

from openbell.store.api_keys import ApiKeys
from openbell.store.predictions import Predictions

ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
_MAIN = "from openbell.app.cli import main; main()"


class Companion(http.server.BaseHTTPRequestHandler):
    """A companion that sees every symbol at 5860, now."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        now = dt.datetime.now(dt.UTC).isoformat()
        told = json.dumps({"spot_price": 5860.0, "volatility": 0.16, "timestamp": now}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(told)))
        self.end_headers()
        self.wfile.write(told)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def companion() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Companion) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


class Service:
    """`openbell serve` in a folder of its own."""

    def __init__(self, folder: Path, url: str, workers: int, **settings: object) -> None:
        self.folder, self.log_file = folder, folder / "log.json"
        words = {
            "serve.sources": '["companion"]', "serve.companion_url": url, "serve.log_file": str(self.log_file),
            "serve.predict_per_minute": 1_000_000, **settings,
        }  # fmt: skip
        sets = [word for name, value in words.items() for word in ("--set", f"{name}={value}")]
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                _MAIN,
                "serve",
                "--home",
                str(folder),
                "--port",
                "0",
                "--workers",
                str(workers),
                *sets,
            ],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def lines(self) -> list[dict]:
        return (
            [orjson.loads(line) for line in self.log_file.read_bytes().splitlines()] if self.log_file.exists() else []
        )

    def base(self) -> str:
        """Its address, once all is up."""
        wait_for(lambda: any(line["event"] == "listening" for line in self.lines()) or self.process.poll() is not None)
        assert self.process.poll() is None, self.process.stdout.read().decode()
        (port,) = [line["port"] for line in self.lines() if line["event"] == "listening"]
        url = f"http://127.0.0.1:{port}"
        wait_for(lambda: ready(url))
        return url

    def workers(self) -> list[int]:
        """Process numbers of those that answer."""
        started = [line["event"] for line in self.lines() if line["event"].startswith("Started server process")]
        return [int(each.partition("[")[2].rstrip("]")) for each in started]

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        with self.process:
            return self.process.wait(60)


def wait_for(what, seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "It took too long."
        time.sleep(0.05)


def ready(url: str) -> bool:
    with contextlib.suppress(httpx2.HTTPError):
        return httpx2.get(f"{url}/ready", timeout=5.0).status_code == 200
    return False


def total(client: httpx2.Client, name: str) -> float:
    text = client.get("/metrics").raise_for_status().text
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name))


@pytest.mark.slow
def test_two_processes_answer_count_together_and_survive_the_death_of_one(tmp_path: Path):
    """Metrics are right with several workers; kill -9 loses nothing that was acknowledged; SIGTERM ends well."""
    with ApiKeys.open(f"sqlite:///{tmp_path}/predictions.db") as keys:
        key, record = keys.create("bot", ["predict", "read"], at=dt.datetime.now(dt.UTC))
    with companion() as url:
        service = Service(tmp_path, url, workers=2)
        try:
            base = service.base()
            wait_for(lambda: len(service.workers()) == 2)
            acknowledged = ask(base, key, 24)
            with httpx2.Client(base_url=base, headers={"X-API-Key": key}, timeout=30.0) as client:
                assert [total(client, "predictions_total{") for _ in range(4)] == [24.0] * 4
                assert client.get("/health/detailed").json()["workers"] == 2
            os.kill(service.workers()[0], signal.SIGKILL)
            wait_for(lambda: len(service.workers()) == 3)  # the dead one was replaced
            wait_for(lambda: ready(base))
            acknowledged += ask(base, key, 8)
        finally:
            code = service.stop()
    assert code == 0
    with Predictions.open(f"sqlite:///{tmp_path}/predictions.db") as log:
        assert {row.prediction.id for row in log.history(limit=1000).rows} >= set(acknowledged)
    text = service.log_file.read_text()
    assert key.split("_")[2] not in text
    assert record.id in text


def ask(base: str, key: str, times: int) -> list[str]:
    """Ids of so many predictions, each over a connection of its own, so that both processes get some."""
    found = []
    for number in range(times):
        for _ in range(20):  # a connection to a process that was just killed is no answer: ask again
            with contextlib.suppress(httpx2.HTTPError):
                answer = httpx2.post(
                    f"{base}/predict", json=CONDOR | {"quantity": number + 1}, headers={"X-API-Key": key}, timeout=30.0
                )
                if answer.status_code == 200:
                    found.append(answer.json()["prediction_id"])
                    break
    assert len(found) == times
    return found


#: What a worker does with its metrics, and what it sees of all.
_COUNT = """
import sys
from openbell.app.api.metrics import Metrics
metrics = Metrics()
for _ in range(int(sys.argv[1])):
    metrics.answered("SPX", "Sonar", "ACCEPT")
    metrics.duration.observe(0.003)
metrics.judge([{"symbol": "SPX", "strategy": "Sonar", "n": 120, "accuracy": float(sys.argv[2])}], 100)
print(metrics.text().decode())
"""


def test_metrics_of_several_processes_are_added_up_and_the_newest_gauge_stands(tmp_path: Path):
    """S1.31 with several workers: whoever is scraped tells of all of them."""
    for times, accuracy in ((3, 0.5), (4, 0.75)):
        done = subprocess.run(
            [sys.executable, "-c", _COUNT, str(times), str(accuracy)],
            env=ENVIRONMENT | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)},
            capture_output=True,
            timeout=120,
            check=True,
        )
    text = done.stdout.decode()
    assert 'predictions_total{result="ACCEPT",strategy="Sonar",symbol="SPX"} 7.0' in text
    assert "prediction_duration_seconds_count 7.0" in text
    assert 'model_accuracy{strategy="Sonar",symbol="SPX"} 0.75' in text


def test_a_port_that_is_taken_and_sqlite_in_production_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from openbell.app.api import worker
    from openbell.app.home import Home
    from openbell.core.errors import BadInput

    monkeypatch.setenv(worker.SERVED, "")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        for word, said in (
            (f"serve.port={taken.getsockname()[1]}", "cannot be listened on"),
            ("serve.environment=production", "must be PostgreSQL"),
        ):
            try:
                with pytest.raises(BadInput, match=said):
                    worker.run(Home.open(tmp_path, sets=(word,)), {"home": str(tmp_path), "sets": [], "file": None})
            finally:
                structlog.reset_defaults()


@pytest.mark.parametrize("name", ["companion", "live", "redis", "stored"])
def test_every_source_of_the_settings_is_wired(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The default order, each alone, and a name that is none."""
    from openbell.app.api.worker import parts_of
    from openbell.app.home import Home
    from openbell.core.errors import BadInput

    cache = "redis://127.0.0.1:1/0" if name == "redis" else "memory://"
    home = Home.open(tmp_path, sets=(f'serve.sources=["{name}"]', f"serve.cache={cache}"))
    parts = parts_of(home)
    assert parts.markets.breakers() == {name: "closed"}
    with pytest.raises(BadInput, match="source of market data"):
        parts_of(Home.open(tmp_path, sets=('serve.sources=["moon"]',)))
    home.predictions.close()
