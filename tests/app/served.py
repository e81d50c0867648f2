"""A service of small parts: a gate with answers made by hand, a market that is told; real log, keys and signals."""

import datetime as dt
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import structlog
from starlette.testclient import TestClient

from openbell.app.api import logs
from openbell.app.api.create import Parts, SignalParts, create
from openbell.app.api.ports import FixedGate
from openbell.app.sections import Serve
from openbell.core.assessment import Answer, Asked, Assessment
from openbell.core.errors import OpenbellError
from openbell.core.hashing import digest
from openbell.core.ticket import MarketState, Prophecy, Reading, Refusal
from openbell.market.calendars import sessions
from openbell.market.state_sources import NoMarket
from openbell.quant.ticket_profile import instruction, risk_reward
from openbell.store.api_keys import ApiKeys
from openbell.store.cache import open_cache
from openbell.store.predictions import Predictions
from openbell.store.signals import Signals

#: A Thursday, 10:35 in New York.
AT = dt.datetime(2025, 5, 22, 14, 35, tzinfo=dt.UTC)
XNYS = sessions("XNYS", 2024, 2026)
BUTTERFLY = {
    "strategy": "Butterfly",
    "symbol": "SPX",
    "premium": 24.82,
    "predicted_price": 5862.0,
    "strikes": [5905, 5855, 5805],
    "action": "BUY",
    "option_type": "CALL",
    "expiry": "2025-05-22",
}
CONDOR = {
    "strategy": "Iron Condor",
    "symbol": "SPX",
    "premium": 0.63,
    "predicted_price": 5862.0,
    "strikes": [5905, 5910, 5780, 5775],
    "action": "SELL",
    "expiry": "2025-05-22",
}


class Clock:
    """A clock that goes when it is told to; in seconds it always goes forward."""

    def __init__(self, at: dt.datetime = AT) -> None:
        self.at = at

    def now(self) -> dt.datetime:
        return self.at

    def seconds(self) -> float:
        return self.at.timestamp()

    def go(self, seconds: float) -> None:
        self.at += dt.timedelta(seconds=seconds)


@dataclass
class SmallGate:
    """Says the same odds of every trade of a strategy; `fault` is raised instead, `calls` holds what was asked."""

    odds: dict[str, float] = field(default_factory=lambda: {"BUTTERFLY": 0.4, "IRON CONDOR": 0.9})
    fault: Exception | None = None
    poison: str | None = None
    calls: list[list[Asked]] = field(default_factory=list)
    hold: threading.Event | None = None

    def assess(self, asked: Sequence[Asked]) -> list[Assessment]:
        if self.hold is not None:
            self.hold.wait(10.0)
        self.calls.append(list(asked))
        if self.fault is not None:
            raise self.fault
        if self.poison is not None and self.poison in [each.trade_id for each in asked]:
            raise RuntimeError("a poisoned question")
        return [self._one(each) for each in asked]

    def _one(self, asked: Asked) -> Assessment:
        ticket, found = asked.ticket, risk_reward(asked.ticket)
        odds = self.odds.get(ticket.strategy, 0.5)
        features = {
            "width": ticket.legs[0].strike,
            "missing": None,
            "price": asked.market.price if asked.market else None,
        }
        age = (asked.at - asked.market.observed_at).total_seconds() if asked.market else None
        return Assessment(
            symbol=ticket.underlying,
            strategy={"BUTTERFLY": "Butterfly", "IRON CONDOR": "Iron Condor", "SONAR": "Sonar"}.get(
                ticket.strategy, "Vertical"
            ),
            at=asked.at,
            answer=Answer.ACCEPT if odds > 0.55 else Answer.REFUSE,
            quantity=ticket.quantity if odds > 0.55 else 0,
            why=(f"The odds are {odds}.",),
            risk_usd=found.risk_usd,
            reward_usd=found.reward_usd,
            ratio=found.ratio,
            breakevens=found.breakevens,
            fair_probability=0.5,
            price_probability=0.45,
            win_probability=odds,
            model_level="symbol_strategy",
            level_weights={"symbol_strategy": 0.75, "default": 0.25},
            effective_n=120.5,
            model_version="hierarchy@2025-05-21#abc",
            threshold=0.55,
            expected_value_usd=odds * 10.0,
            features=features,
            features_hash=digest(features),
            data_source=asked.market.source if asked.market else None,
            data_age_seconds=age,
            trade_id=asked.trade_id,
            arm=asked.arm,
        )


@dataclass
class SmallMarkets:
    """The market it is told, seen `age_seconds` ago; `fault` is raised instead."""

    clock: Clock
    price: float = 5860.0
    age_seconds: float = 2.0
    fault: OpenbellError | None = None
    asked: list[str] = field(default_factory=list)

    async def state(self, symbol: str) -> MarketState:
        self.asked.append(symbol)
        if self.fault is not None:
            raise self.fault
        if symbol == "NONE":
            refusal = NoMarket("There is no fresh market of NONE.")
            refusal.unknown = True
            raise refusal
        seen = self.clock.now() - dt.timedelta(seconds=self.age_seconds)
        return MarketState(symbol, self.price, seen, "made", 0.16)

    def breakers(self) -> dict[str, str]:
        return {"made": "closed"}


def small_reader(text: str, *, dialect: str = "auto", at: Any = None) -> Reading:
    """Reads one order, whatever the text says, but for a text that says nothing."""
    if "nothing" in text:
        return Reading(refusals=(Refusal(text, 0, "It says nothing."),), dialect="tos")
    ticket = instruction("SPX", "Butterfly", [5905, 5855, 5805], 24.82, "BUY", 1, "CALL")
    return Reading((ticket,), (), Prophecy(symbol="SPX", predicted_close=5862.0), "tos")


@dataclass
class Served:
    """A service and what it is made of. `key` may do all but administer; `client` is inside the service's life."""

    folder: Path
    settings: dict[str, Any] = field(default_factory=dict)
    parts_: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.clock = Clock()
        self.gate = SmallGate()
        self.markets = SmallMarkets(self.clock)
        self.log = Predictions.open(f"sqlite:///{self.folder}/predictions.db")
        self.keys = ApiKeys(self.log.database, self.clock.seconds)
        self.signals = Signals.open(f"sqlite:///{self.folder}/signals.db")
        self.key, self.caller = self.keys.create("bot", ["predict", "read", "outcomes", "signals"], at=AT)
        self.app = create(self.parts())
        self.client = TestClient(self.app, raise_server_exceptions=False, headers={"X-API-Key": self.key})

    def parts(self) -> Parts:
        given: dict[str, Any] = {
            "settings": Serve(**self.settings),
            "gates": FixedGate(self.gate, "made-of-1", [{"name": "hierarchy", "version": "1"}]),
            "markets": self.markets,
            "keys": self.keys,
            "log": self.log,
            "read": small_reader,
            "sessions": XNYS,
            "market_cache": open_cache("memory://", 100, seconds=self.clock.seconds),
            "prediction_cache": open_cache("memory://", 100, seconds=self.clock.seconds),
            "now": self.clock.now,
            "seconds": self.clock.seconds,
            "signals": SignalParts(
                lambda: self.signals, "here", open_cache("memory://", 100, seconds=self.clock.seconds), 2.0
            ),
        }
        return Parts(**given | self.parts_)

    @property
    def service(self) -> Any:
        return self.app.state.service

    def logged(self) -> list[Any]:
        return list(self.log.history(limit=1000).rows)

    @property
    def log_lines(self) -> list[dict[str, Any]]:
        return [orjson.loads(line) for line in (self.folder / "log.json").read_bytes().splitlines()]

    def __enter__(self) -> "Served":
        self._target = logs.configure("DEBUG", str(self.folder / "log.json"))
        self.client.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.client.__exit__(None, None, None)
        self.log.close()
        self.signals.close()
        structlog.reset_defaults()
        self._target.close()
