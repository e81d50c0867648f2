"""The application: the parts are handed in, so that tests bring small ones and a worker brings the real ones."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.requests import Request
from starlette.responses import Response

from openbell import __version__
from openbell.app.api import (
    problems,
    routes,
    routes_signals,
    routes_state,
    schemas,
    signal_shapes,
    signal_stream,
    verdicts,
)
from openbell.app.api.assessing import Assessed, CachedGate, Question
from openbell.app.api.batching import Batcher
from openbell.app.api.checks import Checks
from openbell.app.api.door import Door
from openbell.app.api.edge import REQUEST_ID, Edge
from openbell.app.api.feed import Feed, Recent
from openbell.app.api.limiting import RateLimiter
from openbell.app.api.market_desk import MarketDesk
from openbell.app.api.metrics import Metrics
from openbell.app.api.ports import Arms, Cache, Gates, Keys, Markets, NoArms, SignalStore
from openbell.app.api.recorder import Recorder
from openbell.app.api.service import Service
from openbell.app.api.signal_desk import SignalDesk
from openbell.app.sections import Serve
from openbell.core.time import Sessions
from openbell.market.state_sources import Freshness

_MODELS = (
    schemas.TradeInstruction,
    schemas.TradeRequest,
    schemas.BatchRequest,
    schemas.ParseRequest,
    schemas.OutcomeRequest,
    signal_shapes.ExecutedRequest,
    signal_shapes.CancelRequest,
)
_ABOUT = (
    "Before a trade is placed: what it can make and lose, what its price says of its odds, what the model says, and "
    "whether the difference is worth anything after costs. **Anything but a verdict ACCEPT or REDUCE is a refusal: "
    "an error, a timeout, no answer.** And signals: to buy, sell or hold, how sure, until when; **only an ACTIVE one "
    "is to be acted on.** New ones are pushed over the websocket /signals/stream, verdicts over /verdicts. Every "
    "endpoint but /health and /ready needs a key in the header X-API-Key."
)


@dataclass(frozen=True)
class SignalParts:
    """What signals are told from: as in `signal_desk.SignalDesk`."""

    opened: Callable[[], SignalStore]
    of: str
    cache: Cache
    keep_seconds: float


@dataclass(frozen=True)
class Parts:
    """What the service is made of.

    Attributes
    ----------
    gates, markets, keys, arms : see `ports`. log : the prediction log. read : turns text into orders.
    market_cache, prediction_cache : of bytes. redis_password : of a Redis that counts the limits.
    recent : what was logged since a moment, where other workers log too. figures : bring metrics up to date that only
        the log tells. background : runs as long as the service.
    closing : is called at the very end. now, seconds : the clocks. signals : none where no signals are told.
    """

    settings: Serve
    gates: Gates
    markets: Markets
    keys: Keys
    log: Any
    read: Callable[..., Any]
    sessions: Sessions
    market_cache: Cache
    prediction_cache: Cache
    now: Callable[[], dt.datetime]
    seconds: Callable[[], float]
    arms: Arms = field(default_factory=NoArms)
    redis_password: str | None = None
    recent: Recent | None = None
    figures: Sequence[Callable[[Metrics], None]] = ()
    background: Sequence[Callable[[], Any]] = ()
    closing: Sequence[Callable[[], Any]] = ()
    signals: SignalParts | None = None


def create(parts: Parts) -> FastAPI:
    """The application of `parts`."""
    settings = parts.settings
    metrics = Metrics()
    app = FastAPI(
        title="Openbell, the gate",
        version=__version__,
        description=_ABOUT,
        lifespan=_lifespan,
        redirect_slashes=False,
        docs_url=None,  # the page would load scripts from elsewhere
        redoc_url=None,
    )
    service = _service(parts, metrics)
    app.state.service = service
    app.state.log = parts.log
    app.state.read = parts.read
    app.state.most_bytes = settings.max_body_bytes
    app.state.parts = parts
    app.state.signals = desk = _signals(parts, metrics)
    caches = {"market": parts.market_cache, "predictions": parts.prediction_cache}
    app.state.checks = Checks(
        metrics,
        lambda: parts.log.history(limit=1),
        caches if parts.signals is None else caches | {"signals": parts.signals.cache},
        parts.seconds,
        parts.gates.current,
        parts.figures,
        {"gate": lambda: _gate_lack(parts.gates), "signals": _no_signals if desk is None else desk.lack},
    )
    problems.handle(app)
    app.add_exception_handler(RequestValidationError, _wrong_parameters)
    app.add_middleware(Edge, timeout_seconds=settings.timeout_seconds, metrics=metrics, seconds=parts.seconds)
    for router in (routes.router, routes_state.router, routes_signals.router, verdicts.router, signal_stream.router):
        app.include_router(router)
    app.openapi = lambda: _document(app)  # type: ignore[method-assign]
    return app


def _service(parts: Parts, metrics: Metrics) -> Service:
    settings = parts.settings
    gate = CachedGate(
        parts.gates,
        parts.arms,
        parts.prediction_cache,
        metrics,
        settings.feature_seconds,
        settings.prediction_seconds,
    )
    markets = MarketDesk(
        parts.markets,
        Freshness(parts.sessions, settings.max_age_seconds),
        parts.market_cache,
        metrics,
        parts.now,
        parts.seconds,
        settings.market_seconds,
        settings.cache_entries,
    )
    limiter = RateLimiter(settings.cache, settings.workers, parts.redis_password, parts.seconds)
    batcher: Batcher[Question, Assessed] = Batcher(gate.assess)
    return Service(
        gate,
        batcher,
        markets,
        Recorder(parts.log.append),
        Door(parts.keys, limiter, settings.predict_per_minute, settings.batch_per_minute),
        Feed(parts.now, parts.recent),
        metrics,
        parts.sessions,
        parts.now,
        parts.seconds,
    )


def _signals(parts: Parts, metrics: Metrics) -> SignalDesk | None:
    told = parts.signals
    if told is None:
        return None
    return SignalDesk(told.opened, told.of, told.cache, metrics, parts.now, parts.seconds, told.keep_seconds)


def _gate_lack(gates: Gates) -> str:
    """``ok``, or what the gate is without."""
    gates.current()
    return "ok" if gates.models() else "No model is trained; the price alone speaks, and nothing is accepted."


def _no_signals() -> str:
    return "This service was started without a store of signals."


@contextlib.asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Up when the models are loaded; down when what was asked is answered and what was answered is on disk."""
    parts: Parts = app.state.parts
    service: Service = app.state.service
    tasks = [asyncio.get_running_loop().create_task(each()) for each in parts.background]
    try:
        yield
    finally:
        app.state.checks.stopping = True
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await service.batcher.close()
        await service.recorder.close()
        if app.state.signals is not None:
            app.state.signals.close()
        for close in parts.closing:
            done = close()
            if asyncio.iscoroutine(done):
                await done


async def _wrong_parameters(request: Request, error: Exception) -> Response:
    """Wrong path or query parameters, as a problem; what was sent in them is not repeated."""
    assert isinstance(error, RequestValidationError)
    faults = [
        {"field": ".".join(str(part) for part in each["loc"][1:]) or str(each["loc"][0]), "message": each["msg"]}
        for each in error.errors()[:20]
    ]
    problem = problems.Problem(422, f"`{faults[0]['field']}`: {faults[0]['message']}.", errors=faults)
    return problem.response(request.scope.get(REQUEST_ID))


def _document(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document with the bodies, the problems and the key that FastAPI cannot see."""
    if app.openapi_schema:
        return app.openapi_schema
    from fastapi.openapi.utils import get_openapi

    told = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    parts = told.setdefault("components", {})
    own = {**schemas.document(*_MODELS), "Problem": dict(problems.SCHEMA)}
    kept = {name: each for name, each in parts.get("schemas", {}).items() if name not in _FASTAPI}
    parts["schemas"] = {**kept, **own}
    parts["securitySchemes"] = {
        "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        "bearer": {"type": "http", "scheme": "bearer"},
    }
    for path, operations in told["paths"].items():
        for operation in operations.values():
            if path not in ("/health", "/ready"):
                operation["security"] = [{"key": []}, {"bearer": []}]
            wrong = operation["responses"].get("422", {}).get("content", {})
            if "application/json" in wrong:  # FastAPI's own shape of a validation error, which is not ours
                operation["responses"]["422"] = problems.documented(422)[422]
    app.openapi_schema = told
    return told


_FASTAPI = ("HTTPValidationError", "ValidationError")
