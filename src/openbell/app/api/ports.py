"""What the service stands on, as it sees it; tests bring small ones of their own."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import polars as pl

from openbell.core.assessment import Asked, Assessment
from openbell.core.ticket import MarketState
from openbell.store.api_keys import ApiKey
from openbell.store.assignments import Assignment
from openbell.store.database import Database
from openbell.store.signal_pages import Page, Which
from openbell.store.signal_rows import Event, Stored


class Assessor(Protocol):
    """The gate: pure, and safe to be asked by several threads."""

    def assess(self, asked: Sequence[Asked]) -> list[Assessment]:
        """One assessment for each question, in their order."""
        ...


class Gates(Protocol):
    """Whichever gate answers now: a service that runs for days takes on what was trained meanwhile."""

    def current(self) -> tuple[Assessor, str]:
        """The gate, and what it is made of: models, thresholds, settings, code. `DataMissing` before it is loaded."""
        ...

    def models(self) -> Sequence[Mapping[str, Any]]:
        """Which models answer, in which versions."""
        ...


class FixedGate:
    """One gate for ever."""

    def __init__(self, gate: Assessor, made_of: str, models: Sequence[Mapping[str, Any]] = ()) -> None:
        self._current, self._models = (gate, made_of), models

    def current(self) -> tuple[Assessor, str]:
        """It."""
        return self._current

    def models(self) -> Sequence[Mapping[str, Any]]:
        """What it was told."""
        return self._models


class Markets(Protocol):
    """Where the market of a symbol comes from: `market.state_sources.Chain`."""

    async def state(self, symbol: str) -> MarketState:
        """A fresh state, or `NoMarket`."""
        ...

    def breakers(self) -> dict[str, str]:
        """Each source's circuit breaker: closed, open or half-open."""
        ...


class Cache(Protocol):
    """Bytes that may be forgotten; a store that is down is a miss, never an error."""

    def get(self, key: str) -> bytes | None:
        """What is kept under `key`."""
        ...

    def put(self, key: str, value: bytes, ttl_seconds: float) -> None:
        """Keep `value` for so long."""
        ...


class Keys(Protocol):
    """Who may come in: `store.api_keys.ApiKeys`."""

    def verify(self, key: str, scope: str | None = None) -> ApiKey | None:
        """Whose key it is."""
        ...

    def standing(self, id: str) -> ApiKey | None:
        """The key of this id, where it is not revoked."""
        ...

    def ready(self, key: str) -> bool:
        """Whether `verify` would answer without waiting."""
        ...


class Arms(Protocol):
    """Which arm of the A/B test answers which trade; the database may be asked, so in a thread."""

    def assigned(self, trade_ids: Sequence[str]) -> Mapping[str, Assignment]:
        """The arm of each trade; of none where no test is running."""
        ...

    def standing(self, wanted: Assignment) -> Assignment:
        """The arm that is stored of a trade, after storing `wanted` where there was none."""
        ...


class NoArms:
    """No A/B test."""

    def assigned(self, trade_ids: Sequence[str]) -> Mapping[str, Assignment]:
        """None is assigned."""
        return {}

    def standing(self, wanted: Assignment) -> Assignment:
        """What was wanted."""
        return wanted


class SignalStore(Protocol):
    """The signals of all processes: `store.signals.Signals`. Asked in threads."""

    @property
    def database(self) -> Database:
        """Where they are."""
        ...

    def get(self, id: int) -> Stored:
        """The signal of that id; `DataMissing` where there is none."""
        ...

    def active(self, symbol: str, at: dt.datetime) -> Sequence[Stored]:
        """What is active of a symbol at a moment."""
        ...

    def page(self, which: Which, limit: int, cursor: str | None) -> Page:
        """A page of `which`, newest first."""
        ...

    def execute(self, id: int, *, at: dt.datetime, by: str, word: str | None) -> Stored:
        """Say that a signal was acted on; done again with the same word it is done once."""
        ...

    def cancel(self, id: int, *, at: dt.datetime, by: str, why: str, word: str | None) -> Stored:
        """Say that a signal is not to be acted on."""
        ...

    def table(self, which: Which) -> pl.DataFrame:
        """Signals of `which` with the columns of `store.signal_pages.TABLE`."""
        ...

    def events_table(self) -> pl.DataFrame:
        """Events of all signals with the columns of `store.signal_pages.EVENTS`."""
        ...

    def events(self, id: int) -> Sequence[Event]:
        """What happened to a signal, oldest first."""
        ...
