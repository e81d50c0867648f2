"""The endpoints that tell how it is: health, readiness, metrics, models, and what was said before."""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from openbell import __version__
from openbell.app.api import shapes
from openbell.app.api.answers import history_answer
from openbell.app.api.checks import Checks
from openbell.app.api.door import admitted
from openbell.app.api.metrics import CONTENT_TYPE
from openbell.app.api.problems import Problem, documented
from openbell.app.api.routes import json_response, service_of
from openbell.app.outputs import plain_rows
from openbell.core.time import utc
from openbell.store.api_keys import ApiKey
from openbell.store.prediction_measures import Chosen

router = APIRouter()
_ASKED = (401, 403, 422, 429, 503, 504)
#: Outcomes that an accuracy needs before it is shown.
LEAST_OUTCOMES = 100

Reader = Annotated[ApiKey, Depends(admitted("read"))]
SymbolQuery = Annotated[str | None, Query(max_length=12)]
StrategyQuery = Annotated[str | None, Query(max_length=40)]
MomentQuery = Annotated[dt.datetime | None, Query(description="With its zone.")]


@router.get("/health", tags=["health"], responses={200: {"model": shapes.Health}, **documented(504)})
async def health() -> Response:
    """It is alive. No key is needed."""
    return json_response({"status": "ok"})


@router.get("/ready", tags=["health"], responses={200: {"model": shapes.Ready}, **documented(503, 504)})
async def ready(request: Request) -> Response:
    """It can answer: models are loaded, the log can be reached, and it is not going down. No key is needed."""
    checks: Checks = request.app.state.checks
    found = await checks.needed()
    bad = {name: said for name, said in found.items() if said != "ok"}
    if bad:
        raise Problem(503, "Not ready: " + "; ".join(f"{name}: {said}" for name, said in sorted(bad.items())))
    return json_response({"status": "ready", "checks": found})


@router.get("/health/detailed", tags=["health"], responses={200: {"model": shapes.Detailed}, **documented(*_ASKED)})
async def health_detailed(request: Request, caller: Reader) -> Response:
    """How each part is: log, model, sources with their circuit breakers, cache, limits; and what each desk lacks."""
    checks: Checks = request.app.state.checks
    service = service_of(request)
    found = await checks.needed()
    sources = service.markets.breakers()
    well = all(said == "ok" for said in found.values()) and all(state == "closed" for state in sources.values())
    return json_response(
        {
            "status": "ok" if well else "degraded",
            "checks": found,
            "parts": await checks.parts(),
            "sources": sources,
            "cache": checks.cache(),
            "rate_limits": service.door.limiter.told(),
            "log": {"commits": service.recorder.commits, "waiting": service.recorder.waiting},
            "workers": service.door.limiter.workers,
            "uptime_seconds": checks.uptime_seconds(),
            "version": __version__,
        }
    )


@router.get(
    "/metrics",
    tags=["health"],
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, **documented(*_ASKED)},
)
async def metrics(request: Request, caller: Reader) -> Response:
    """Prometheus metrics of all workers. It needs a key with the scope `read`, which Prometheus sends as bearer token.

    A service behind a proxy sees every caller come from this machine, so that is no reason to let one in.
    """
    checks: Checks = request.app.state.checks
    text = await asyncio.to_thread(checks.metrics_text)
    return Response(text, media_type=CONTENT_TYPE)


@router.get("/models", tags=["gate"], responses={200: {"model": shapes.Models}, **documented(*_ASKED)})
async def models(request: Request, caller: Reader) -> Response:
    """Which models answer, in which versions."""
    gates = service_of(request).gate.gates
    return json_response({"models": list(gates.models()), "made_of": gates.current()[1]})


@router.get("/confidence/history", tags=["log"], responses={200: {"model": shapes.History}, **documented(*_ASKED)})
async def confidence_history(
    request: Request,
    caller: Reader,
    symbol: SymbolQuery = None,
    strategy: StrategyQuery = None,
    trade_id: Annotated[str | None, Query(max_length=120)] = None,
    since: MomentQuery = None,
    until: MomentQuery = None,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
    cursor: Annotated[str | None, Query(max_length=400)] = None,
) -> Response:
    """What was predicted, newest first, with the outcome where it is known."""
    which = _chosen(symbol=symbol, strategy=strategy, trade_id=trade_id, since=since, until=until)
    page = await asyncio.to_thread(request.app.state.log.history, which, limit=limit, cursor=cursor)
    return json_response(history_answer(page.rows, page.cursor))


@router.get("/confidence/trends", tags=["log"], responses={200: {"model": shapes.Trends}, **documented(*_ASKED)})
async def confidence_trends(
    request: Request,
    caller: Reader,
    symbol: SymbolQuery = None,
    strategy: StrategyQuery = None,
    since: MomentQuery = None,
    until: MomentQuery = None,
) -> Response:
    """Odds and outcomes by day, and the accuracy of each symbol and strategy that has 100 outcomes or more."""
    which = _chosen(symbol=symbol, strategy=strategy, since=since, until=until)
    log = request.app.state.log
    days = await asyncio.to_thread(log.trends, which)
    accuracy = await asyncio.to_thread(log.accuracy, which, minimum=LEAST_OUTCOMES)
    return json_response({"days": plain_rows(days), "accuracy": plain_rows(accuracy)})


def _chosen(**wanted: Any) -> Chosen:
    """Which rows of the log; a text that no database takes, or a moment without its zone, is refused."""
    for name, value in wanted.items():
        if isinstance(value, dt.datetime):
            wanted[name] = utc(value)
        elif isinstance(value, str) and not value.isprintable():
            raise Problem(422, f"`{name}` holds a character that no name has.")
    return Chosen(**wanted)
