"""The market of a symbol now: a chain of sources; the first fresh answer speaks, and none is no answer, never a guess.

Each source gives a `MarketState` with the moment it was seen. A circuit breaker stands before each, and what is too old
is passed over, so that whoever asks fails closed.
"""

from __future__ import annotations

import asyncio
import bisect
import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from openbell.core.errors import BadInput, DataMissing, OpenbellError
from openbell.core.ticket import MarketState
from openbell.core.time import Sessions, utc
from openbell.market.circuit_breaker import CircuitBreaker, CircuitOpen

#: A source whose clock runs ahead of ours by no more than this is believed: it saw the market when its word reached us.
CLOCK_SKEW = dt.timedelta(seconds=5)


class Source(Protocol):
    """Where market states come from. `state` raises `DataMissing` with the reason where there is none."""

    @property
    def name(self) -> str:
        """How answers name it."""
        ...

    async def state(self, symbol: str) -> MarketState:
        """The newest state of `symbol`."""
        ...


class UnknownSymbol(DataMissing):
    """The source works, and does not know the symbol."""


class NoMarket(DataMissing):
    """No source has a fresh state of the symbol; the sentence says of each why.

    `unknown` says that every source works and none knows the symbol.
    """

    unknown = False


@dataclass(frozen=True, slots=True)
class Freshness:
    """When a market state is too old to decide on.

    While the session is open it may be `max_age_seconds` old. While it is closed the market stands where it stood at
    the last close, so anything seen at most `max_age_seconds` before that close is fresh.
    """

    sessions: Sessions
    max_age_seconds: float

    def oldest(self, at: dt.datetime) -> dt.datetime:
        """The earliest moment at which a state must have been seen to be fresh at `at`, UTC."""
        moment = utc(at)
        opened = bisect.bisect_right(self.sessions.opens, moment) - 1
        if opened < 0:
            raise BadInput(f"The calendar of {self.sessions.exchange} has no session before {moment.isoformat()}.")
        reference = min(moment, self.sessions.closes[opened])
        return reference - dt.timedelta(seconds=self.max_age_seconds)

    def stale(self, state: MarketState, at: dt.datetime) -> str | None:
        """Why `state` is too old at `at`; None where it is fresh."""
        oldest = self.oldest(at)
        if state.observed_at >= oldest:
            return None
        age = (utc(at) - state.observed_at).total_seconds()
        return (
            f"{state.source} saw {state.symbol} at {state.observed_at.isoformat(timespec='seconds')}, {age:.0f} s ago; "
            f"it must be from {oldest.isoformat(timespec='seconds')} or later."
        )


@dataclass(frozen=True, slots=True)
class Guarded:
    """A source behind its circuit breaker, which has `timeout_seconds` for an answer."""

    source: Source
    breaker: CircuitBreaker
    timeout_seconds: float

    async def state(self, symbol: str) -> MarketState:
        """The source's answer; anything but an answer counts as a failure of the source, save a caller that left."""
        self.breaker.admit()
        try:
            async with asyncio.timeout(self.timeout_seconds):
                state = await self.source.state(symbol)
        except asyncio.CancelledError:
            self.breaker.abandoned()
            raise
        except UnknownSymbol:
            self.breaker.succeeded()  # it answered: it does not know the symbol
            raise
        except TimeoutError:
            self.breaker.failed()
            raise DataMissing(f"{self.source.name} gave no answer within {self.timeout_seconds:g} s.") from None
        except OpenbellError:
            self.breaker.failed()
            raise
        except Exception as failure:
            self.breaker.failed()
            raise DataMissing(f"{self.source.name} failed: {type(failure).__name__}.") from failure
        self.breaker.succeeded()
        return state


@dataclass(frozen=True, slots=True)
class Chain:
    """Sources in order; the first fresh answer speaks.

    `clock` tells the moment by which an answer's age is told.
    """

    sources: Sequence[Guarded]
    freshness: Freshness
    clock: Callable[[], dt.datetime]

    async def state(self, symbol: str) -> MarketState:
        """The state of `symbol`, or `NoMarket` with the reason of every source."""
        whys: list[str] = []
        unknown = 0
        for guarded in self.sources:
            try:
                seen = self._believed(await guarded.state(symbol), symbol)
            except OpenbellError as failure:
                whys.append(str(failure))
                unknown += isinstance(failure, UnknownSymbol)
                continue
            stale = self.freshness.stale(seen, self.clock())
            if stale is None:
                return seen
            whys.append(stale)
        told = " ".join(whys) or "No source is set up: see `serve.sources`."
        refusal = NoMarket(f"There is no fresh market of {symbol}. {told}")
        refusal.unknown = 0 < unknown == len(self.sources)
        raise refusal

    def breakers(self) -> dict[str, str]:
        """The state of each source's circuit breaker."""
        return {guarded.source.name: guarded.breaker.state for guarded in self.sources}

    def _believed(self, state: MarketState, symbol: str) -> MarketState:
        """`state`, whose symbol is the one asked for and whose moment is not in the future."""
        if state.symbol != symbol:
            raise DataMissing(f"{state.source} was asked for {symbol} and answered with {state.symbol}.")
        now = self.clock()
        if state.observed_at > now + CLOCK_SKEW:
            raise DataMissing(
                f"{state.source} says it saw {symbol} at {state.observed_at.isoformat()}, which is still to come."
            )
        return state if state.observed_at <= now else replace(state, observed_at=now)


def guarded(
    sources: Sequence[Source],
    *,
    failures: int,
    open_seconds: float,
    timeout_seconds: float,
    seconds: Callable[[], float],
) -> tuple[Guarded, ...]:
    """Each source behind a circuit breaker of its own."""
    return tuple(
        Guarded(each, CircuitBreaker(each.name, failures, open_seconds, seconds), timeout_seconds) for each in sources
    )


__all__ = [
    "CLOCK_SKEW", "Chain", "CircuitOpen", "Freshness", "Guarded", "NoMarket", "Source", "UnknownSymbol", "guarded",
]  # fmt: skip
