"""The body of a request: JSON of at most so many bytes, read as a strict model."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import ValidationError
from starlette.requests import Request

from openbell.app.api.problems import Problem, of_fields
from openbell.app.api.schemas import Asking

M = TypeVar("M", bound=Asking)


async def body_of(request: Request, model: type[M]) -> M:
    """What was sent, as `model`; a `Problem` 413, 415 or 422 where it cannot be.

    The bytes are counted as they come, so that neither a wrong length nor a body in chunks is read past the limit.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Problem(415, f"The body must be sent as application/json; was {kind[:80] or 'without a content type'!r}.")
    most: int = request.app.state.most_bytes
    told = request.headers.get("content-length", "")
    if told.isdigit() and int(told) > most:
        raise _too_large(most)
    content = bytearray()
    async for part in request.stream():
        content += part
        if len(content) > most:
            raise _too_large(most)
    try:
        return model.model_validate_json(bytes(content))
    except ValidationError as wrong:
        raise of_fields(wrong) from None


def _too_large(most: int) -> Problem:
    return Problem(413, f"The body is above the limit of {most:,} bytes (`serve.max_body_bytes`).")


def asks(model: type[Asking]) -> dict[str, Any]:
    """How the OpenAPI document tells that a body is read as `model`."""
    schema = {"$ref": f"#/components/schemas/{model.__name__}"}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
