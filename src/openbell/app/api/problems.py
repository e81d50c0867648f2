"""Refusals as problem+json (RFC 9457), with the sentences of the library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from openbell.core.errors import (
    BadInput,
    DataMissing,
    FeatureUnavailable,
    IntegrityBroken,
    OpenbellError,
    Refused,
    StorageFailed,
)

if TYPE_CHECKING:
    from fastapi import FastAPI
    from pydantic import ValidationError

MEDIA_TYPE = "application/problem+json"
#: Status -> its title and when it comes; every status but 200 that the service answers with.
STATUSES: Mapping[int, tuple[str, str]] = {
    400: ("Bad request", "The request cannot be read, or names a strategy, dialect or action that there is none of."),
    401: ("No valid key", "The header X-API-Key is missing, or its key is unknown or revoked."),
    403: ("Scope missing", "The key is valid and may not do this."),
    404: ("Not found", "There is nothing under this name."),
    405: ("Method not allowed", "The header Allow says which methods there are."),
    409: ("Conflict", "What is known already says otherwise."),
    413: ("Too large", "The body, or the number of requests in a batch, is above its limit. Nothing was cut off."),
    415: ("Not JSON", "The body must be sent as application/json."),
    422: ("Invalid", "The fields are wrong, or the trade cannot be; the sentence says what was received and the cure."),
    429: ("Too many requests", "The key has used up its limit; Retry-After says for how many seconds."),
    500: ("Fault of the service", "Nothing was decided: treat it as a refusal."),
    503: ("Unavailable", "Market, model or log cannot be reached, so nothing was decided: treat it as a refusal."),
    504: ("Too slow", "No answer within the time limit, so nothing was decided: treat it as a refusal."),
}
#: The status of each error of the library, the most special first.
ERRORS: Sequence[tuple[type[OpenbellError], int]] = (
    (StorageFailed, 503),
    (IntegrityBroken, 503),
    (FeatureUnavailable, 503),
    (DataMissing, 503),
    (BadInput, 422),
    (Refused, 409),
)


class Problem(Exception):
    """A refusal with its status and its sentence."""

    def __init__(
        self, status: int, detail: str, *, headers: Mapping[str, str] | None = None, errors: Sequence[Any] = ()
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers, self.errors = status, detail, dict(headers or {}), list(errors)

    def response(self, request_id: str | None = None) -> Response:
        """The answer that tells it."""
        told: dict[str, Any] = {
            "type": f"urn:openbell:problem:{self.status}",
            "title": STATUSES.get(self.status, ("Refused", ""))[0],
            "status": self.status,
            "detail": self.detail,
        }
        if request_id is not None:
            told["instance"] = f"urn:openbell:request:{request_id}"
        if self.errors:
            told["errors"] = self.errors
        return Response(orjson.dumps(told), self.status, self.headers, MEDIA_TYPE)


def of_error(error: OpenbellError) -> Problem:
    """The problem that tells an error of the library."""
    status = next((status for kind, status in ERRORS if isinstance(error, kind)), 500)
    return Problem(status, str(error))


def of_fields(error: ValidationError) -> Problem:
    """The problem that tells which fields are wrong; what was sent in them is not repeated."""
    faults = [
        {"field": ".".join(str(part) for part in each["loc"]) or "body", "message": _sentence(each["msg"])}
        for each in error.errors(include_url=False, include_input=False, include_context=False)[:20]
    ]
    first = faults[0]
    more = f" ({error.error_count() - 1} more faults.)" if error.error_count() > 1 else ""
    return Problem(422, f"`{first['field']}`: {first['message']}{more}", errors=faults)


def _sentence(message: str) -> str:
    said = message.removeprefix("Value error, ").replace("Input should", "It must")
    said = {"Extra inputs are not permitted": "There is no such field.", "Field required": "It is missing."}.get(
        said, said
    )
    return said if said.endswith(".") else f"{said}."


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The responses of an endpoint that can refuse with `statuses`, for the OpenAPI document."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        status: {"description": " ".join(STATUSES[status]), "content": {MEDIA_TYPE: {"schema": schema}}}
        for status in sorted({*statuses, 500})
    }


SCHEMA: Mapping[str, Any] = {
    "title": "Problem",
    "type": "object",
    "description": "A refusal (RFC 9457).",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "A sentence that says what was received, and the cure."},
        "instance": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
            },
        },
    },
}


def handle(app: FastAPI) -> None:
    """Let every error that leaves an endpoint be told as a problem."""

    async def told(request: Request, error: Exception) -> Response:
        problem = problem_of(error)
        return problem.response(request.scope.get("openbell.request_id"))

    for kind in (Problem, OpenbellError, HTTPException):
        app.add_exception_handler(kind, told)


def problem_of(error: Exception) -> Problem:
    """The problem that tells any error; what is no refusal is a fault of the service, and its words stay inside."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, OpenbellError):
        return of_error(error)
    if isinstance(error, HTTPException):
        title, why = STATUSES.get(error.status_code, ("Refused", str(error.detail)))
        return Problem(error.status_code, f"{title}: {why}", headers=error.headers)
    return Problem(500, "Internal error. This is a fault of Openbell, not of yours; nothing was decided.")
