"""Signals of `openbell serve` as it is run: two processes that answer, and a third that writes."""

import datetime as dt
import json
from pathlib import Path

import httpx2
import pytest
from tests.app.made_signals import made
from tests.app.processes import Service, companion, wait_for
from websockets.sync.client import connect

from openbell.client import ServiceError, SyncPredictionClient
from openbell.core.signal import Call, Status
from openbell.store.api_keys import ApiKeys
from openbell.store.signals import Signals


@pytest.mark.slow
def test_what_a_process_writes_others_tell_push_act_on_and_end(tmp_path: Path):
    """Every endpoint over real HTTP through the client; no gate was ever trained; no secret in any log."""
    with ApiKeys.open(f"sqlite:///{tmp_path}/predictions.db") as keys:
        key, record = keys.create("bot", ["read", "signals"], at=dt.datetime.now(dt.UTC))
    with companion() as url, Signals.open(f"sqlite:///{tmp_path}/signals.db") as store:
        service = Service(tmp_path, url, 2)
        try:
            base = service.base()
            wait_for(lambda: len(service.workers()) == 2)
            address = base.replace("http", "ws", 1) + "/signals/stream"
            with SyncPredictionClient({"api_url": base, "timeout": 30.0}, api_key=key) as client:
                told = httpx2.get(f"{base}/health/detailed", headers={"X-API-Key": key}, timeout=30.0).json()
                assert told["parts"]["gate"].startswith("No model is trained")
                assert told["parts"]["signals"].startswith("There are no signals yet")
                with connect(address, additional_headers={"X-API-Key": key}) as socket:
                    assert json.loads(socket.recv(30)) == {"listening": "all", "after": 0}
                    now = dt.datetime.now(dt.UTC)
                    one, two, short = store.write(
                        [
                            made("SPY", created_at=now),
                            made("QQQ", Call.SELL, created_at=now),
                            made("IWM", created_at=now, expires_at=now + dt.timedelta(seconds=8)),
                        ],
                        at=now,
                    )
                    heard = [json.loads(socket.recv(30)) for _ in range(3)]
                    assert [each["signal"]["id"] for each in heard] == [one.id, two.id, short.id]
                    assert [each["id"] for each in client.active_signals("SPY")["signals"]] == [one.id]
                    assert client.signal_executed(one.id, by="me")["status"] == "EXECUTED"
                    with pytest.raises(ServiceError, match="was executed") as refused:
                        client.signal_executed(one.id)
                    assert refused.value.status == 409
                    assert client.cancel_signal(two.id, "News.")["why"] == "News."
                    later = [json.loads(socket.recv(30))["event"] for _ in range(3)]
                assert [each["what"] for each in later] == ["executed", "cancelled", "expired"]
                assert store.get(short.id).status is Status.EXPIRED  # by the service itself
                assert client.signal(one.id)["acted_by"] == f"me (key {record.id})"
                assert {each["id"] for each in client.signals(limit=2)["signals"]} <= {one.id, two.id, short.id}
                assert client.signal_analytics(by="symbol")["by"] == "symbol"
                with pytest.raises(ServiceError, match="Did you mean `SPY`"):
                    client.active_signals("SPYX")
            with connect(f"{address}?after={later[0]['id']}", additional_headers={"X-API-Key": key}) as socket:
                socket.recv(30)
                assert json.loads(socket.recv(30))["event"] == later[1]
        finally:
            code = service.stop()
    assert code == 0
    assert key.split("_")[2] not in service.log_file.read_text()
