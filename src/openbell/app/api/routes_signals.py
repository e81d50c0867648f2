"""The endpoints of signals: what is active, what was said, what it was worth, and what became of it."""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import Response

from openbell.app.api import signal_shapes as shapes
from openbell.app.api.bodies import asks, body_of
from openbell.app.api.door import admitted
from openbell.app.api.problems import Problem, documented
from openbell.app.api.routes import json_response
from openbell.app.api.routes_state import MomentQuery
from openbell.app.api.shapes import Shape
from openbell.app.api.signal_answers import page_answer, signal_answer, whole_answer
from openbell.app.api.signal_desk import SignalDesk
from openbell.core.signal import Call, Status
from openbell.core.time import utc
from openbell.store.api_keys import ApiKey
from openbell.store.signal_pages import Which

router = APIRouter(prefix="/signals", tags=["signals"])
_ASKED = (401, 403, 422, 429, 503, 504)
_SENT = (400, *_ASKED, 404, 409, 413, 415)

#: Signals are counted apart from predictions: who looks often at the one may still ask the other.
Reader = Annotated[ApiKey, Depends(admitted("read", "signals"))]
Actor = Annotated[ApiKey, Depends(admitted("signals", "signals"))]
Id = Annotated[int, Path(ge=1, le=shapes.MOST_ID)]
Symbol = Annotated[str, Path(min_length=1, max_length=10, pattern=r"^[\x21-\x7e]+$")]
SymbolQuery = Annotated[str | None, Query(max_length=10)]
CallQuery = Annotated[shapes.CallWord | None, Query()]
StatusQuery = Annotated[shapes.StatusWord | None, Query()]
VersionQuery = Annotated[str | None, Query(max_length=50)]
Least = Annotated[float | None, Query(ge=0, le=1)]
Cursor = Annotated[str | None, Query(max_length=400)]


def desk_of(request: Request) -> SignalDesk:
    """The signals behind `request`."""
    desk: SignalDesk | None = request.app.state.signals
    if desk is None:
        raise Problem(503, "This service was started without a store of signals.")
    return desk


def _answers(shape: type[Shape], *statuses: int) -> dict[int | str, dict[str, Any]]:
    return {200: {"model": shape}, **documented(*statuses)}


@router.get("", responses=_answers(shapes.SignalPage, *_ASKED))
async def signals(
    request: Request,
    caller: Reader,
    symbol: SymbolQuery = None,
    type: CallQuery = None,
    status: StatusQuery = None,
    model_version: VersionQuery = None,
    first: MomentQuery = None,
    last: MomentQuery = None,
    min_confidence: Least = None,
    archived: bool = False,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
    cursor: Cursor = None,
) -> Response:
    """What was said, newest first; `first` and `last` bound the moment it was made."""
    which = _which(symbol, type, status, model_version, first, last, min_confidence, archived)
    desk = desk_of(request)
    page = await desk.asked(lambda store: store.page(which, limit, cursor))
    return json_response(page_answer(page.rows, page.cursor, desk.now()))


@router.get("/active/{symbol}", responses=_answers(shapes.ActiveSignals, *_ASKED, 404))
async def active(request: Request, symbol: Symbol, caller: Reader) -> Response:
    """The active signals of a symbol; a symbol that never had a signal is not found.

    The answer may be as old as `as_of` says, by some seconds, and never tells a signal past its end.
    """
    desk = desk_of(request)
    return Response(await asyncio.to_thread(desk.active.answer, symbol.upper()), media_type="application/json")


@router.get("/analytics", responses=_answers(shapes.SignalAnalytics, *_ASKED))
async def analytics(
    request: Request,
    caller: Reader,
    by: Annotated[shapes.GroupWord, Query()] = "all",
    symbol: SymbolQuery = None,
    type: CallQuery = None,
    status: StatusQuery = None,
    model_version: VersionQuery = None,
    first: MomentQuery = None,
    last: MomentQuery = None,
    min_confidence: Least = None,
    archived: bool = True,
) -> Response:
    """What signals were worth: shares with base rates, returns after costs and calibration, each with its interval."""
    which = _which(symbol, type, status, model_version, first, last, min_confidence, archived)
    return json_response(await desk_of(request).analytics(which, by))


@router.get("/{id}", responses=_answers(shapes.SignalWhole, *_ASKED, 404))
async def one(request: Request, id: Id, caller: Reader) -> Response:
    """A signal with its features, what it was made of, and everything that happened to it."""
    desk = desk_of(request)
    stored, events = await desk.asked(lambda store: (store.get(id), store.events(id)))
    return json_response(whole_answer(stored, events, desk.now()))


@router.post("/{id}/executed", responses=_answers(shapes.SignalRow, *_SENT), openapi_extra=asks(shapes.ExecutedRequest))
async def executed(request: Request, id: Id, caller: Actor) -> Response:
    """Say that a signal is acted on, before doing so: one that is no longer active is refused by 409.

    Only one of all who ask is told 200, but for the same `word` again: so two bots never act on one signal.
    """
    told = await body_of(request, shapes.ExecutedRequest)
    by = _who(told.by, caller)
    desk = desk_of(request)
    became = await desk.acted("executed", lambda store, at: store.execute(id, at=at, by=by, word=told.word))
    return json_response(signal_answer(became, desk.now()))


@router.post("/{id}/cancel", responses=_answers(shapes.SignalRow, *_SENT), openapi_extra=asks(shapes.CancelRequest))
async def cancel(request: Request, id: Id, caller: Actor) -> Response:
    """Say that a signal is not to be acted on any more, and why; what is cancelled already stays so."""
    told = await body_of(request, shapes.CancelRequest)
    by = _who(told.by, caller)
    word = told.word or "cancel"  # to cancel twice is to cancel
    desk = desk_of(request)
    became = await desk.acted("cancel", lambda store, at: store.cancel(id, at=at, by=by, why=told.why, word=word))
    return json_response(signal_answer(became, desk.now()))


def _who(by: str | None, caller: ApiKey) -> str:
    """Who acts, as the audit keeps it: what is told may be anything, the key's id is not."""
    return f"key {caller.id}" if by is None else f"{by} (key {caller.id})"


def _which(
    symbol: str | None,
    call: str | None,
    status: str | None,
    model_version: str | None,
    first: dt.datetime | None,
    last: dt.datetime | None,
    min_confidence: float | None,
    archived: bool,
) -> Which:
    """The signals that are looked for; a text that no database takes, or a moment without its zone, is refused."""
    for name, text in (("symbol", symbol), ("model_version", model_version)):
        if text is not None and not text.isprintable():
            raise Problem(422, f"`{name}` holds a character that no name has.")
    return Which(
        symbols=() if symbol is None else (symbol.upper(),),
        calls=() if call is None else (Call(call),),
        statuses=() if status is None else (Status(status),),
        model_versions=() if model_version is None else (model_version,),
        first=None if first is None else utc(first),
        last=None if last is None else utc(last),
        min_confidence=min_confidence,
        archived=archived,
    )
