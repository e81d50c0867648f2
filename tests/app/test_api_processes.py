"""`openbell serve` as it is run: several processes over real HTTP, one of them killed, all of them told to stop."""

import contextlib
import datetime as dt
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest
import structlog
from tests.app.processes import Service, companion, ready, wait_for
from tests.app.served import CONDOR

from openbell.store.api_keys import ApiKeys
from openbell.store.predictions import Predictions

ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


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
