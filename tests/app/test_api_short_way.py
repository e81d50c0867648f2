"""The short way to an endpoint answers as its route does, whatever is sent."""

from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.app.served import BUTTERFLY, CONDOR, Served

from openbell.app.api.create import create
from openbell.app.api.short_way import WAYS, ShortWay

PAYOFF = {name: value for name, value in CONDOR.items() if name not in ("predicted_price", "expiry")}
#: What is sent: the body, or the words of the request.
SENT: list[dict[str, Any]] = [
    {"json": CONDOR},
    {"json": BUTTERFLY | {"trade_id": "t-1"}},
    {"json": PAYOFF},
    {"json": CONDOR | {"strategy": "Condor"}},
    {"json": CONDOR | {"premium": 7.0}},
    {"json": CONDOR | {"colour": "red"}},
    {"json": CONDOR | {"symbol": "NONE"}},
    {"content": b"{", "headers": {"content-type": "application/json"}},
    {"content": b"{}"},
    {"content": b" " * 300_000, "headers": {"content-type": "application/json"}},
    {"json": CONDOR, "headers": {"x-api-key": ""}},
    {"json": CONDOR, "headers": {"x-api-key": "ob_aaaaaaaaaa_" + "b" * 43}},
    {"json": CONDOR, "headers": {"x-api-key": "reader"}},
    {"json": CONDOR, "params": {"more": "1"}},
]


@pytest.mark.parametrize("path", sorted(WAYS))
def test_the_short_way_and_the_route_say_the_same(path: str, tmp_path) -> None:
    """Kills: a refusal, a header, a metric or a line of the log that only one of both has."""
    told = []
    for short in (True, False):
        folder = tmp_path / str(short)
        folder.mkdir()
        served = Served(folder, settings={"predict_per_minute": 10})
        if not short:
            served.app = create(served.parts())
            served.app.user_middleware = [each for each in served.app.user_middleware if each.cls is not ShortWay]
            served.client = TestClient(served.app, raise_server_exceptions=False, headers={"X-API-Key": served.key})
        with served:
            reader, _ = served.keys.create("reader", ["read"], at=served.clock.now())
            answers = [said(served, path, sent, reader) for sent in SENT]
            lines = [
                {name: value for name, value in line.items() if name not in ("ms", "request_id", "timestamp", "key_id")}
                for line in served.log_lines
                if line["event"] == "request"
            ]
            counted = [line for line in served.service.metrics.text().decode().splitlines() if "api_re" in line]
        told.append((answers, lines, counted))
    assert told[0] == told[1]
    statuses = {status for status, _, _ in told[0][0]}
    assert statuses >= {200, 401, 403, 413, 415, 422, 429}


def said(served: Served, path: str, sent: dict[str, Any], reader: str) -> tuple[int, dict, Any]:
    words = {**sent}
    if words.get("headers", {}).get("x-api-key") == "reader":
        words["headers"] = {"x-api-key": reader}
    answer = served.client.post(path, **words)
    headers = {name: value for name, value in answer.headers.items() if name not in ("x-request-id", "content-length")}
    body = answer.json()
    for name in ("instance", "prediction_id"):
        body.pop(name, None)
    return answer.status_code, headers, hidden(body, reader)


def hidden(body: dict, reader: str) -> dict:
    """Without the id of the key, which is another each time."""
    id = reader.split("_")[1]
    return {name: value.replace(id, "…") if isinstance(value, str) else value for name, value in body.items()}


def test_other_paths_and_methods_go_the_usual_way(tmp_path) -> None:
    with Served(tmp_path) as served:
        assert served.client.get("/predict").status_code == 405
        assert served.client.post("/predict/").status_code == 404
        assert served.client.get("/health").status_code == 200
