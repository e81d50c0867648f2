"""The endpoints that decide: risk and reward, predictions, parsing, outcomes, the market."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Path, Request
from starlette.responses import Response

from openbell.app.api import answers, shapes
from openbell.app.api.bodies import asks, body_of
from openbell.app.api.door import admitted
from openbell.app.api.orders import instructed
from openbell.app.api.parsing import reading_answer
from openbell.app.api.problems import Problem, documented
from openbell.app.api.schemas import (
    MOST_REQUESTS,
    BatchRequest,
    OutcomeRequest,
    ParseRequest,
    TradeInstruction,
    TradeRequest,
)
from openbell.app.api.service import Service
from openbell.core.errors import BadInput, DataMissing
from openbell.core.time import utc
from openbell.market.state_sources import NoMarket
from openbell.quant.ticket_profile import risk_reward
from openbell.store.api_keys import ApiKey

router = APIRouter()
_SENT = (400, 401, 403, 413, 415, 422, 429, 503, 504)
_ASKED = (401, 403, 422, 429, 503, 504)


def json_response(value: Any) -> Response:
    """`value` as JSON, written once."""
    return Response(orjson.dumps(value), media_type="application/json")


def service_of(request: Request) -> Service:
    """The service behind `request`."""
    service: Service = request.app.state.service
    return service


def _answers(shape: type[shapes.Shape], *statuses: int) -> dict[int | str, dict[str, Any]]:
    return {200: {"model": shape}, **documented(*statuses)}


@router.post(
    "/calculate_risk_reward",
    tags=["gate"],
    responses=_answers(shapes.Payoff, *_SENT),
    openapi_extra=asks(TradeInstruction),
)
async def calculate_risk_reward(request: Request, caller: Annotated[ApiKey, Depends(admitted("predict"))]) -> Response:
    """What an order can make and lose at expiry, USD before costs, and where it breaks even."""
    ticket = instructed(await body_of(request, TradeInstruction))
    return json_response(answers.risk_answer(ticket, risk_reward(ticket)))


@router.post(
    "/predict",
    tags=["gate"],
    responses=_answers(shapes.Prediction, *_SENT),
    openapi_extra=asks(TradeRequest),
)
async def predict(request: Request, caller: Annotated[ApiKey, Depends(admitted("predict"))]) -> Response:
    """The odds of a proposed trade, and whether to take it; the answer is on record when it comes.

    Where there is no fresh market the verdict is REFUSE and `why` says so.
    """
    told = await service_of(request).predictions([await body_of(request, TradeRequest)], caller)
    return json_response(told[0])


@router.post(
    "/predict/batch",
    tags=["gate"],
    responses=_answers(shapes.BatchPrediction, *_SENT),
    openapi_extra=asks(BatchRequest),
)
async def predict_batch(request: Request, caller: Annotated[ApiKey, Depends(admitted("predict", "batch"))]) -> Response:
    """The odds of up to 100 trades, in order. One that cannot be fails the batch, and its sentence says which."""
    batch = await body_of(request, BatchRequest)
    if len(batch.requests) > MOST_REQUESTS:
        raise Problem(
            413,
            f"A batch holds at most {MOST_REQUESTS} requests; {len(batch.requests)} were sent and none was answered. "
            "Send them in several.",
        )
    told = await service_of(request).predictions(batch.requests, caller, share_market_data=batch.share_market_data)
    hits = sum(each["from_cache"] for each in told)
    counts = {"hits": hits, "misses": len(told) - hits}
    return json_response(
        {
            "predictions": told,
            "batch_metrics": {f"{kind}_{name}": n for kind in ("feature", "prediction") for name, n in counts.items()},
        }
    )


@router.post("/parse", tags=["gate"], responses=_answers(shapes.Parsed, *_SENT), openapi_extra=asks(ParseRequest))
async def parse(request: Request, caller: Annotated[ApiKey, Depends(admitted("predict"))]) -> Response:
    """The orders in a text, what each can make and lose, and what the text says of the underlying."""
    asked = await body_of(request, ParseRequest)
    at = None if asked.at is None else utc(asked.at)
    read = request.app.state.read
    reading = await asyncio.to_thread(read, asked.text, dialect=asked.dialect, at=at)
    return json_response(reading_answer(reading))


@router.post(
    "/outcomes",
    tags=["log"],
    responses=_answers(shapes.Joined, *_SENT, 404, 409),
    openapi_extra=asks(OutcomeRequest),
)
async def outcomes(request: Request, caller: Annotated[ApiKey, Depends(admitted("outcomes"))]) -> Response:
    """Join what a trade made to its predictions: told by `prediction_id`, or by the key's own `trade_id`."""
    told = await body_of(request, OutcomeRequest)
    if (told.prediction_id is None) == (told.trade_id is None):
        raise Problem(422, "Name the `prediction_id` or the `trade_id`: one of both.")
    now = service_of(request).now()
    known_at = now if told.known_at is None else utc(told.known_at)
    if known_at > now:
        raise Problem(422, f"`known_at` {known_at.isoformat()} is still to come; an outcome is told when it is known.")
    mine = None if caller.may("admin") else caller.id
    try:
        joined = await asyncio.to_thread(
            request.app.state.log.outcome,
            told.profit,
            known_at=known_at,
            id=told.prediction_id,
            trade_id=told.trade_id,
            key_id=mine,
        )
    except DataMissing as missing:
        raise Problem(404, str(missing)) from None
    except BadInput as other:
        raise Problem(409, str(other)) from None
    return json_response({"joined": joined})


@router.get("/market/{symbol}", tags=["market"], responses=_answers(shapes.Market, *_ASKED, 404))
async def market(
    request: Request,
    symbol: Annotated[str, Path(min_length=1, max_length=12, pattern=r"^/?[A-Za-z][A-Za-z0-9.]*$")],
    caller: Annotated[ApiKey, Depends(admitted("read"))],
) -> Response:
    """The market of a symbol as the gate sees it, with its source and its age."""
    service = service_of(request)
    try:
        state = await service.markets.state(symbol.upper())
    except NoMarket as missing:
        raise Problem(404 if missing.unknown else 503, str(missing)) from None
    age = (service.now() - state.observed_at).total_seconds()
    return json_response(answers.market_answer(state, age))
