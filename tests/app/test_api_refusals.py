"""What the service refuses, and that it fails closed: keys, limits, bodies, fields, faults of every part."""

import json
import re
import threading
import time
from pathlib import Path

import pytest
import structlog
from tests.app.served import AT, BUTTERFLY, CONDOR, Served

from openbell.core.errors import BadInput, DataMissing, IntegrityBroken, StorageFailed
from openbell.market.state_sources import NoMarket


@pytest.fixture
def served(tmp_path: Path):
    with Served(tmp_path) as made:
        yield made


INSTRUCTION = {name: value for name, value in CONDOR.items() if name not in ("predicted_price", "expiry")}


def problem(answer, status: int) -> str:
    """The sentence of a refusal, after its form was looked at (RFC 9457)."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json()
    assert told["status"] == status
    assert {"type", "title", "detail", "instance"} <= set(told)
    assert told["detail"].endswith((".", ")", "?"))
    return told["detail"]


# --- keys -------------------------------------------------------------------------------------------------------------

ASKED = [
    ("POST", "/calculate_risk_reward", INSTRUCTION, "predict"),
    ("POST", "/predict", CONDOR, "predict"),
    ("POST", "/predict/batch", {"requests": [CONDOR]}, "predict"),
    ("POST", "/parse", {"text": "BUY"}, "predict"),
    ("POST", "/outcomes", {"trade_id": "x", "profit": 1.0}, "outcomes"),
    ("GET", "/market/SPX", None, "read"),
    ("GET", "/health/detailed", None, "read"),
    ("GET", "/metrics", None, "read"),
    ("GET", "/models", None, "read"),
    ("GET", "/confidence/history", None, "read"),
    ("GET", "/confidence/trends", None, "read"),
    ("GET", "/signals", None, "read"),
    ("GET", "/signals/active/SPY", None, "read"),
    ("GET", "/signals/analytics", None, "read"),
    ("GET", "/signals/1", None, "read"),
    ("POST", "/signals/1/executed", {}, "signals"),
    ("POST", "/signals/1/cancel", {"why": "Enough."}, "signals"),
]


def test_every_endpoint_needs_a_key_with_its_scope(served):
    """No key, a wrong one, a revoked one: 401. Another scope: 403. Nothing is answered, and nothing logged."""
    client = served.client
    held, _ = {}, None
    for scope in ("predict", "read", "outcomes", "signals"):
        held[scope], _ = served.keys.create(scope, [scope], at=AT)
    gone, record = served.keys.create("gone", ["admin"], at=AT)
    served.keys.revoke(record.id, at=AT)
    wrong = served.key[:-1] + ("a" if served.key[-1] != "a" else "b")
    for method, path, body, needed in ASKED:
        for bad in ("", wrong, gone, "ob_x", "é" * 10, "k" * 5_000):
            answer = client.request(method, path, json=body, headers={"X-API-Key": bad.encode()})
            problem(answer, 401)
            assert "WWW-Authenticate" in answer.headers
        for scope, key in held.items():
            answer = client.request(method, path, json=body, headers={"X-API-Key": key})
            if scope == needed:
                assert answer.status_code in (200, 404), (path, answer.text)
            else:
                assert f"needs the scope {needed}" in problem(answer, 403)
    assert {row.prediction.key_id for row in served.logged()} == {key.split("_")[1] for key in (held["predict"],)}


def test_health_and_readiness_need_no_key_and_a_bearer_token_is_a_key(served):
    bare = {"X-API-Key": ""}
    assert served.client.get("/health", headers=bare).json() == {"status": "ok"}
    assert served.client.get("/ready", headers=bare).status_code == 200
    del served.client.headers["X-API-Key"]
    problem(served.client.get("/metrics"), 401)
    assert served.client.get("/metrics", headers={"Authorization": f"Bearer {served.key}"}).status_code == 200


def test_a_revoked_key_is_refused_at_once(served):
    assert served.client.post("/predict", json=CONDOR).status_code == 200
    served.keys.revoke(served.caller.id, at=AT)
    problem(served.client.post("/predict", json=CONDOR), 401)


def test_no_key_is_written_to_the_log(served, tmp_path: Path):
    """Whatever a caller does with the key: header, bearer, body, path, query, trade id, and a fault that names it."""
    key = served.key
    served.client.post("/predict", json=CONDOR)
    served.client.post("/predict", json=CONDOR | {"trade_id": key})
    served.client.post("/predict", json=CONDOR | {key: 1})
    served.client.get(f"/market/{key}")
    served.client.get(f"/{key}", params={"key": key}, headers={"X-Request-ID": key, "Authorization": f"Bearer {key}"})
    served.gate.fault = RuntimeError(f"a fault that names {key} and redis://u:secret@host")
    served.client.post("/predict", json=BUTTERFLY)
    structlog.get_logger().warning("seen", api_key=key, headers={"x-api-key": key, "url": "redis://u:secret@h/0"})
    lines, text = served.log_lines, (tmp_path / "log.json").read_text()
    assert len([line for line in lines if line["event"] == "request"]) == 6
    assert key.split("_")[2] not in text
    assert "secret" not in text
    assert served.caller.id in text
    database = b"".join(path.read_bytes() for path in tmp_path.glob("predictions.db*"))
    assert key.split("_")[2].encode() not in database


# --- limits -----------------------------------------------------------------------------------------------------------


def test_a_key_that_asks_too_often_is_told_when_to_come_again(tmp_path: Path):
    """Predictions and batches are counted apart; another key has a count of its own, and may have its own limit."""
    with Served(tmp_path, {"predict_per_minute": 3, "batch_per_minute": 1}) as served:
        statuses = [served.client.post("/predict", json=CONDOR).status_code for _ in range(4)]
        assert statuses == [200, 200, 200, 429]
        over = served.client.post("/calculate_risk_reward", json=INSTRUCTION)
        assert "3 requests" in problem(over, 429)
        assert 1 <= int(over.headers["Retry-After"]) <= 60
        assert served.client.post("/predict/batch", json={"requests": [CONDOR]}).status_code == 200
        problem(served.client.post("/predict/batch", json={"requests": [CONDOR]}), 429)
        other, _ = served.keys.create("other", ["predict"], at=AT, predict_per_minute=5)
        again = [served.client.post("/predict", json=CONDOR, headers={"X-API-Key": other}) for _ in range(6)]
        assert [each.status_code for each in again] == [200] * 5 + [429]
        assert len(served.logged()) == 3 + 1 + 5


def test_a_body_above_the_limit_is_refused_also_in_chunks(tmp_path: Path):
    with Served(tmp_path, {"max_body_bytes": 1_024}) as served:
        headers = {"Content-Type": "application/json"}
        whole = served.client.post("/predict", content=b" " * 2_000, headers=headers)
        assert "1,024 bytes" in problem(whole, 413)
        read = []

        def chunks():
            for _ in range(5):
                read.append(1)
                yield b" " * 500

        problem(served.client.post("/predict", content=chunks(), headers=headers), 413)
        lie = served.client.post("/predict", content=b" " * 2_000, headers=headers | {"Content-Length": "10"})
        assert lie.status_code == 413
        assert served.client.post("/predict", json=CONDOR).status_code == 200


def test_an_answer_that_takes_too_long_is_a_refusal(tmp_path: Path):
    """504, and the caller need not wait for a gate that hangs; the next one is answered."""
    with Served(tmp_path, {"timeout_seconds": 0.3}) as served:
        served.gate.hold = threading.Event()
        began = time.monotonic()
        assert "treat it as a refusal" in problem(served.client.post("/predict", json=CONDOR), 504)
        assert time.monotonic() - began < 5.0
        served.gate.hold.set()
        assert served.client.post("/predict", json=CONDOR).status_code == 200


# --- bodies -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (CONDOR | {"strikes": []}, 422, "0 were given"),
        (CONDOR | {"strikes": [5905, 5910, 5780]}, 422, "4 strikes"),
        (CONDOR | {"strikes": [5905, 5905, 5780, 5775]}, 422, "5905"),
        (CONDOR | {"strikes": [5905, 5910, 5780, -5775]}, 422, "-5775"),
        (CONDOR | {"premium": -1.0}, 422, "-1.0"),
        (CONDOR | {"premium": 0}, 422, "above 0"),
        (CONDOR | {"premium": 5.0}, 422, "5"),
        (CONDOR | {"quantity": -3}, 422, "-3"),
        (CONDOR | {"quantity": 0}, 422, "0"),
        (CONDOR | {"quantity": 1.5}, 422, "quantity"),
        (CONDOR | {"quantity": True}, 422, "quantity"),
        (CONDOR | {"quantity": 10**30}, 422, ""),
        (CONDOR | {"action": "HOLD"}, 422, "HOLD"),
        (CONDOR | {"strategy": "Iron Condro"}, 400, "Iron Condor"),
        (CONDOR | {"strategy": "Calendar"}, 400, "calendar"),
        (CONDOR | {"symbol": "S P X"}, 422, "symbol"),
        (CONDOR | {"symbol": "/ES"}, 422, "multiplier"),
        (CONDOR | {"premium": "0.63"}, 422, "premium"),
        (CONDOR | {"premium": True}, 422, "premium"),
        (CONDOR | {"predicted_price": None}, 422, "predicted_price"),
        (CONDOR | {"preddicted_price": 1.0}, 422, "preddicted_price"),
        (CONDOR | {"expiry": "22 MAY 25"}, 422, "expiry"),
        (CONDOR | {"short_term": 0.5, "long_term": 5860}, 422, "both"),
        (CONDOR | {"trade_id": "a\u0000b"}, 422, "trade_id"),
        (CONDOR | {"option_type": "CALL"}, 422, "puts and calls"),
        ({k: v for k, v in BUTTERFLY.items() if k not in ("strikes",)}, 422, "strikes"),
        (BUTTERFLY | {"strategy": "Straddle", "strikes": [5855], "action": None, "option_type": None}, 422, "action"),
        ([CONDOR], 422, "body"),
    ],
)
def test_what_cannot_be_is_refused_with_its_sentence(served, body, status, said):
    """Check 19 over HTTP, and strict fields: never 200, never 500, nothing asked of the gate, nothing logged."""
    assert said in problem(served.client.post("/predict", json=body), status)
    assert served.gate.calls == []
    assert served.logged() == []


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"{", "application/json", 422),
        (b"\xff\xfe", "application/json", 422),
        (b"[" * 20_000, "application/json", 422),
        (json.dumps(CONDOR).replace("0.63", "NaN").encode(), "application/json", 422),
        (json.dumps(CONDOR).replace("0.63", "1e999").encode(), "application/json", 422),
        (json.dumps(CONDOR).replace('"SPX"', '"\\ud800"').encode(), "application/json", 422),
        (json.dumps(CONDOR).encode(), "text/plain", 415),
        (json.dumps(CONDOR).encode(), "", 415),
        (b"", "application/json", 422),
    ],
)
def test_a_body_that_is_no_such_json_is_refused(served, content, kind, status):
    headers = {"Content-Type": kind} if kind else {}
    answer = served.client.post("/predict", content=content, headers=headers)
    problem(answer, status)
    assert served.logged() == []


def test_the_refusal_of_a_field_does_not_repeat_what_was_sent(served):
    """What stands in a wrong field may be a secret that somebody pasted."""
    answer = served.client.post("/predict", json=CONDOR | {"trade_id": "hunter2 pass word", "premium": "hunter2"})
    assert "hunter2" not in answer.text
    assert {each["field"] for each in answer.json()["errors"]} == {"trade_id", "premium"}


def test_paths_methods_and_parameters_that_are_not_there(served):
    problem(served.client.get("/nothing"), 404)
    refused = served.client.get("/predict")
    problem(refused, 405)
    assert refused.headers["allow"] == "POST"
    problem(served.client.get("/confidence/history", params={"limit": 0}), 422)
    problem(served.client.get("/confidence/history", params={"cursor": "x"}), 422)
    problem(served.client.get("/confidence/history", params={"since": "2025-05-22T10:00:00"}), 422)
    problem(served.client.get("/confidence/trends", params={"symbol": "A\0B"}), 422)
    problem(served.client.get("/market/S!X"), 422)
    assert "There is no dialect" in problem(_unknown_dialect(served), 422)


def _unknown_dialect(served):
    from openbell.core.errors import unknown

    def read(text, *, dialect, at):
        raise unknown("dialect", dialect, ["tos"])

    served.app.state.read = read
    return served.client.post("/parse", json={"text": "x", "dialect": "klingon"})


def test_an_outcome_of_nothing_of_another_or_against_another_is_refused(served):
    told = served.client.post("/predict", json=CONDOR | {"trade_id": "a"}).json()
    served.clock.go(60)
    post = served.client.post
    problem(post("/outcomes", json={"trade_id": "b", "profit": 1.0}), 404)
    problem(post("/outcomes", json={"profit": 1.0}), 422)
    problem(post("/outcomes", json={"trade_id": "a", "prediction_id": told["prediction_id"], "profit": 1.0}), 422)
    problem(post("/outcomes", json={"trade_id": "a", "profit": 1.0, "known_at": "2025-05-22T23:00:00Z"}), 422)
    problem(post("/outcomes", json={"trade_id": "a", "profit": 1.0, "known_at": "2025-05-22T10:40:00"}), 422)
    assert post("/outcomes", json={"trade_id": "a", "profit": 1.0}).json() == {"joined": 1}
    problem(post("/outcomes", json={"trade_id": "a", "profit": 2.0}), 409)
    stranger, _ = served.keys.create("stranger", ["outcomes"], at=AT)
    other = post("/outcomes", json={"trade_id": "a", "profit": 1.0}, headers={"X-API-Key": stranger})
    problem(other, 404)


# --- faults -----------------------------------------------------------------------------------------------------------


def test_without_a_market_the_gate_refuses_and_says_why(served):
    """Check 39: fails closed. The gate likes the order, and the answer is REFUSE all the same, on record."""
    served.markets.fault = NoMarket("There is no fresh market of SPX. The companion cannot be reached.")
    answer = served.client.post("/predict", json=CONDOR).json()
    assert (answer["verdict"], answer["quantity"], answer["data_source"]) == ("REFUSE", 0, None)
    assert "companion cannot be reached" in answer["why"][0]
    (row,) = served.logged()
    assert (row.prediction.answer, row.prediction.quantity) == ("REFUSE", 0)
    problem(served.client.get("/market/SPX"), 503)
    problem(served.client.get("/market/NONE"), 503)
    served.markets.fault = None
    problem(served.client.get("/market/NONE"), 404)
    assert served.client.post("/predict", json=CONDOR).json()["verdict"] == "ACCEPT"


@pytest.mark.parametrize(
    "fault",
    [
        RuntimeError("a fault inside"),
        MemoryError(),
        DataMissing("No training."),
        IntegrityBroken("A model is changed."),
        BadInput("There is no trained model `x`."),
    ],
)
def test_a_model_that_fails_is_a_refusal(served, fault):
    """Check 39: 503; what is inside stays inside, and nothing is logged as an answer."""
    served.gate.fault = fault
    said = problem(served.client.post("/predict", json=CONDOR), 503)
    assert "a fault inside" not in said
    assert served.logged() == []
    served.gate.fault = None
    assert served.client.post("/predict", json=CONDOR).status_code == 200


def test_one_question_that_fails_fails_nobody_elses(served):
    """Questions share a call while the gate is busy; the poisoned one alone is refused."""
    served.gate.poison = "bad"
    served.gate.hold = threading.Event()
    results = {}

    def ask(name):
        results[name] = served.client.post("/predict", json=CONDOR | {"trade_id": name, "quantity": len(name)})

    threads = [threading.Thread(target=ask, args=(name,)) for name in ("first", "bad", "good", "better")]
    for each in threads:
        each.start()
        time.sleep(0.05)
    served.gate.hold.set()
    for each in threads:
        each.join()
    assert {name: each.status_code for name, each in results.items()} == {
        "first": 200, "bad": 503, "good": 200, "better": 200
    }  # fmt: skip


def test_an_answer_that_cannot_be_logged_is_not_given(served, monkeypatch):
    """Check 39, and requirement 5: what was acknowledged is in the log, so what is not logged is not acknowledged."""

    def fails(records):
        raise StorageFailed("The database failed while writing: disk full.")

    monkeypatch.setattr(served.service.recorder, "append", fails)
    assert "disk full" in problem(served.client.post("/predict", json=CONDOR), 503)
    problem(served.client.post("/predict/batch", json={"requests": [CONDOR]}), 503)
    monkeypatch.undo()
    assert served.client.post("/predict", json=CONDOR).status_code == 200
    assert len(served.logged()) == 1


def test_a_store_that_is_gone_lets_nobody_in_and_is_not_ready(tmp_path: Path):
    with Served(tmp_path) as served:
        served.log.database.engine.dispose()
        for path in tmp_path.glob("predictions.db*"):
            path.unlink()
        (tmp_path / "predictions.db").mkdir()
        stranger = "ob_aaaaaaaaaa_" + "b" * 43
        problem(served.client.post("/predict", json=CONDOR, headers={"X-API-Key": stranger}), 503)
        problem(served.client.post("/predict", json=CONDOR), 503)
        assert "log" in problem(served.client.get("/ready"), 503)
        problem(served.client.get("/confidence/history"), 503)
        assert served.client.get("/health").status_code == 200
        problem(served.client.get("/health/detailed"), 503)


def test_a_gate_that_is_not_loaded_yet_is_not_ready(tmp_path: Path):
    class Loading:
        def current(self):
            raise DataMissing("The models are being loaded. Ask again in a moment.")

        def models(self):
            return []

    with Served(tmp_path, parts_={"gates": Loading()}) as served:
        assert "models" in problem(served.client.get("/ready"), 503)
        problem(served.client.post("/predict", json=CONDOR), 503)
        problem(served.client.get("/models"), 503)
        assert served.client.get("/health").status_code == 200


def test_a_fault_of_the_service_is_a_problem_without_its_words(served, monkeypatch):
    monkeypatch.setattr(served.app.state.log.__class__, "trends", lambda *_: 1 / 0)
    answer = served.client.get("/confidence/trends", headers={"X-Request-ID": "mine-1"})
    assert "ZeroDivision" not in problem(answer, 500) + answer.text
    assert answer.json()["instance"] == "urn:openbell:request:mine-1"
    assert answer.headers["x-request-id"] == "mine-1"
    assert ["division by zero" in line["exception"] for line in served.log_lines if line["event"] == "fault"] == [True]


def test_a_request_has_an_id_of_its_own_unless_it_brings_a_good_one(served):
    ids = [
        served.client.get("/health", headers={"X-Request-ID": each}).headers["x-request-id"]
        for each in ("ok-1", "bad id", "x" * 200)
    ]
    assert ids[0] == "ok-1"
    assert all(re.fullmatch(r"[0-9a-f]{32}", each) for each in ids[1:])


def test_no_other_site_is_let_in(served):
    """CORS is off: a browser is not told that another site's script may ask."""
    answer = served.client.options(
        "/predict", headers={"Origin": "https://x.test", "Access-Control-Request-Method": "POST"}
    )
    assert answer.status_code == 405
    assert not [name for name in answer.headers if name.startswith("access-control")]
