"""The OpenAPI document against the service: no 5xx, no status that is not documented, no answer of another shape."""

import pytest
import schemathesis
from hypothesis import HealthCheck, given, seed, settings
from schemathesis import checks
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from tests.app.served import BUTTERFLY, CONDOR, Served

CHECKS = [
    checks.not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
OPERATIONS = [
    "POST /calculate_risk_reward", "POST /predict", "POST /predict/batch", "POST /parse", "POST /outcomes",
    "GET /market/{symbol}", "GET /health", "GET /ready", "GET /health/detailed", "GET /metrics", "GET /models",
    "GET /confidence/history", "GET /confidence/trends",
]  # fmt: skip
#: A request to any other has nothing in it that could be wrong.
WITH_PARTS = {*OPERATIONS[:6], *OPERATIONS[-2:]}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with Served(tmp_path_factory.mktemp("document"), {"predict_per_minute": 10**6, "batch_per_minute": 10**6}) as made:
        yield made


@pytest.fixture(scope="module")
def schema(served):
    return schemathesis.openapi.from_dict(served.app.openapi())


def ask(served: Served, case) -> None:
    told = case.as_transport_kwargs(base_url="http://testserver")
    headers = {name: value for name, value in dict(told.get("headers") or {}).items() if name.lower() != "x-api-key"}
    headers = {name: value.encode("latin-1", "replace") for name, value in headers.items() if name != "Authorization"}
    answer = served.client.request(
        told["method"],
        told["url"],
        params=told.get("params"),
        headers=headers | {"X-API-Key": served.key},
        **{name: told[name] for name in ("json",) if name in told},
        **({"content": told["data"]} if told.get("data") is not None else {}),
    )
    case.validate_response(answer, checks=CHECKS)


def test_every_endpoint_is_in_the_document(schema):
    assert [operation.ok().label for operation in schema.get_all_operations()] == OPERATIONS


ASKED = [(label, mode) for label in OPERATIONS for mode in GenerationMode if mode.is_positive or label in WITH_PARTS]


@pytest.mark.parametrize(("label", "mode"), ASKED, ids=lambda each: getattr(each, "value", each))
def test_the_service_does_what_its_document_says(served, schema, label, mode):
    """Requirement 6: schemathesis, with requests that the document allows and with others."""
    fuzz(served, schema, label, mode, 4)


@pytest.mark.slow
@pytest.mark.parametrize(("label", "mode"), ASKED, ids=lambda each: getattr(each, "value", each))
def test_the_service_does_what_its_document_says_at_length(served, schema, label, mode):
    fuzz(served, schema, label, mode, 400)


def fuzz(served: Served, schema, label: str, mode: GenerationMode, examples: int) -> None:
    strategy = schema.find_operation_by_label(label).as_strategy(generation_mode=mode)

    @seed(20250522)
    @settings(max_examples=examples, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(case=strategy)
    def asked(case):
        ask(served, case)

    asked()


def test_what_an_honest_caller_asks_is_answered_as_documented(served, schema):
    """Fuzzing seldom hits on an order that stands; these do, so that the documented shapes are looked at."""
    instruction = {name: value for name, value in BUTTERFLY.items() if name not in ("predicted_price", "expiry")}
    bodies = {
        "POST /calculate_risk_reward": instruction,
        "POST /predict": CONDOR | {"trade_id": "t"},
        "POST /predict/batch": {"requests": [CONDOR, BUTTERFLY]},
        "POST /parse": {"text": "BUY"},
    }
    for label, body in bodies.items():
        operation = schema.find_operation_by_label(label)
        answer = served.client.post(operation.path, json=body)
        assert answer.status_code == 200
        operation.Case(body=body, media_type="application/json").validate_response(answer, checks=CHECKS)
