"""From a request to an answer that is on record: order, market, assessment, log; in this order, or a refusal."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from openbell.app.api import answers
from openbell.app.api.assessing import Assessed, CachedGate, Question
from openbell.app.api.batching import Batcher
from openbell.app.api.door import Door
from openbell.app.api.feed import Feed
from openbell.app.api.market_desk import MarketDesk
from openbell.app.api.metrics import Metrics
from openbell.app.api.orders import prophecy_of, proposed
from openbell.app.api.problems import Problem
from openbell.app.api.recorder import Recorder
from openbell.app.api.schemas import TradeRequest
from openbell.core.assessment import Answer, Asked, Assessment
from openbell.core.errors import OpenbellError, StorageFailed
from openbell.core.ticket import MarketState, Ticket
from openbell.core.time import Sessions
from openbell.quant.ticket_profile import RiskReward
from openbell.store.api_keys import ApiKey
from openbell.store.prediction_rows import Kept, Prediction

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Look:
    """The market that an order meets, or why there is none."""

    state: MarketState | None
    why: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Order:
    """A request as an order: what is logged of it, and what it can make and lose."""

    request: TradeRequest
    ticket: Ticket
    payoff: RiskReward


@dataclass(frozen=True)
class Service:
    """Everything that answers. `now` and `seconds` are the clocks."""

    gate: CachedGate
    batcher: Batcher[Question, Assessed]
    markets: MarketDesk
    recorder: Recorder
    door: Door
    feed: Feed
    metrics: Metrics
    sessions: Sessions
    now: Callable[[], dt.datetime]
    seconds: Callable[[], float]

    async def predictions(
        self, requests: Sequence[TradeRequest], caller: ApiKey, *, share_market_data: bool = True
    ) -> list[dict[str, Any]]:
        """One answer for each request, in order; all of them are on record, or none is given."""
        started = self.seconds()
        orders = [self._order(each, place, len(requests)) for place, each in enumerate(requests)]
        looks = await self._looks([each.ticket.underlying for each in orders], share_market_data)
        questions = [self._question(order, look) for order, look in zip(orders, looks, strict=True)]
        assessed = await self._assessed(questions)
        assessed, records = await self._kept(orders, questions, assessed, caller, started)
        told = []
        for order, look, each, record in zip(orders, looks, assessed, records, strict=True):
            said = _closed(each.said, look)
            self._count(said)
            told.append(
                answers.prediction_answer(
                    said,
                    order.ticket,
                    order.payoff,
                    prediction_id=record.id,
                    from_cache=each.from_cache,
                    why=look.why,
                )
            )
        self.metrics.duration.observe(self.seconds() - started)
        self.feed.push(records)
        return told

    def _order(self, request: TradeRequest, place: int, count: int) -> Order:
        try:
            return Order(request, *proposed(request, self.now(), self.sessions))
        except Problem as problem:
            if count > 1:
                raise Problem(problem.status, f"Request {place + 1} of {count}: {problem.detail}") from None
            raise
        except OpenbellError as refused:
            if count > 1:
                raise Problem(422, f"Request {place + 1} of {count}: {refused}") from None
            raise

    async def _looks(self, symbols: Sequence[str], share: bool) -> list[Look]:
        if not share:
            return [await self._look(symbol) for symbol in symbols]
        found = {symbol: await self._look(symbol) for symbol in dict.fromkeys(symbols)}
        return [found[symbol] for symbol in symbols]

    async def _look(self, symbol: str) -> Look:
        try:
            return Look(await self.markets.state(symbol))
        except OpenbellError as missing:
            self.metrics.no_market.inc()
            return Look(None, (str(missing),))

    def _question(self, order: Order, look: Look) -> Question:
        request = order.request
        asked = Asked(
            ticket=order.ticket,
            at=self.now(),
            market=look.state,
            prophecy=prophecy_of(request, order.ticket.underlying),
            trade_id=request.trade_id,
        )
        return Question(asked)

    async def _assessed(self, questions: Sequence[Question]) -> list[Assessed]:
        try:
            return await self.batcher.ask_all(questions)
        except OpenbellError as failure:  # the order stands, so whatever is wrong is wrong here
            raise Problem(503, str(failure)) from failure
        except Exception as failure:
            _log.error("model failed", exc_info=failure)
            raise Problem(
                503, f"The model failed ({type(failure).__name__}), so nothing was decided: treat it as a refusal."
            ) from failure

    async def _kept(
        self,
        orders: Sequence[Order],
        questions: Sequence[Question],
        assessed: list[Assessed],
        caller: ApiKey,
        started: float,
    ) -> tuple[list[Assessed], list[Prediction]]:
        """The answers with their records, on disk. A trade that another arm answers already is asked of that arm."""
        ids = [uuid.uuid4().hex for _ in orders]
        records = self._records(orders, questions, assessed, ids, caller, started)
        became = await self.recorder.kept(records)
        strays = [place for place, kept in enumerate(became) if kept == Kept.OTHER_ARM]
        if strays:
            again = [await self._of_standing_arm(questions[place], assessed[place]) for place in strays]
            for place, each in zip(strays, await self._assessed(again), strict=True):
                assessed[place] = each
            records = self._records(orders, questions, assessed, ids, caller, started)
            became = await self.recorder.kept([records[place] for place in strays])
        if any(kept in (Kept.OTHER_ARM, Kept.CLASH) for kept in became):
            raise StorageFailed("The answer could not be recorded under its arm, so it is not given. Ask again.")
        return assessed, records

    async def _of_standing_arm(self, question: Question, before: Assessed) -> Question:
        assert before.assignment is not None
        standing = await asyncio.to_thread(self.gate.arms.standing, before.assignment)
        return dataclasses.replace(question, assignment=standing)

    def _records(
        self,
        orders: Sequence[Order],
        questions: Sequence[Question],
        assessed: Sequence[Assessed],
        ids: Sequence[str],
        caller: ApiKey,
        started: float,
    ) -> list[Prediction]:
        latency_ms = (self.seconds() - started) * 1_000.0
        return [
            Prediction.of(
                _closed(each.said, Look(question.asked.market)),
                id=id,
                inputs=_inputs(order, question.asked, each.made_of),
                latency_ms=latency_ms,
                key_id=caller.id,
                model_key=None if each.said.model_version is None else each.said.model_version.partition("@")[0],
                assignment=each.assignment,
            )
            for order, question, each, id in zip(orders, questions, assessed, ids, strict=True)
        ]

    def _count(self, said: Assessment) -> None:
        self.metrics.answered(said.symbol, said.strategy, said.answer.value)
        if said.data_source is not None and said.data_age_seconds is not None:
            self.metrics.market_age.labels(said.data_source).observe(said.data_age_seconds)


def _inputs(order: Order, asked: Asked, made_of: str) -> dict[str, Any]:
    """Everything that was asked and everything it was answered with."""
    market = asked.market
    return {
        "request": order.request.model_dump(mode="json", exclude_none=True),
        "expiry": order.ticket.expiries[0].isoformat(),
        "market": None
        if market is None
        else {
            "price": market.price,
            "volatility": market.volatility,
            "source": market.source,
            "observed_at": market.observed_at.isoformat(),
        },
        "made_of": made_of,
    }


def _closed(said: Assessment, look: Look) -> Assessment:
    """`said`, refused where no market was known: whatever the gate thinks of the price alone."""
    if look.state is not None or said.answer is Answer.REFUSE:
        return said
    return dataclasses.replace(said, answer=Answer.REFUSE, quantity=0)
