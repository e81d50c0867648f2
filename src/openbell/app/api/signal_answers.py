"""What is answered on signals: plain values that become JSON. Features and lineage only where one is asked for."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from openbell.app.outputs import plain_rows
from openbell.core.signal import CALLS, Status
from openbell.store.signal_rows import Event, Outcome, Stored

if TYPE_CHECKING:
    from openbell.research.signal_analytics import Analytics

#: What signals are told apart by, and what `research.signal_analytics.BY` calls it.
GROUPS: Mapping[str, str] = MappingProxyType(
    {
        "all": "all",
        "symbol": "symbol",
        "call": "call",
        "band": "confidence",
        "regime": "regime",
        "age": "age",
        "model": "model_version",
    }
)


def status_at(stored: Stored, at: dt.datetime) -> Status:
    """Its status; one whose time is over at that moment is EXPIRED, also where the store was not yet told."""
    over = stored.status is Status.ACTIVE and at >= stored.signal.expires_at
    return Status.EXPIRED if over else stored.status


def signal_answer(stored: Stored, at: dt.datetime) -> dict[str, Any]:
    """A signal at a moment, as lists and listeners get it."""
    signal, outcome, rounded = stored.signal, stored.outcome, stored.decimals["performance"]
    return {
        "id": stored.id,
        "symbol": signal.symbol,
        "signal_type": signal.call.value,
        "status": status_at(stored, at).value,
        "confidence": signal.confidence,
        "probabilities": {call.value: odds for call, odds in zip(CALLS, signal.probabilities, strict=True)},
        "price": signal.price,
        "target_price": signal.target_price,
        "stop_loss": signal.stop_loss,
        "position_size": signal.position_size,
        "reasoning": list(signal.reasoning),
        "model_version": signal.model_version,
        "created_at": _text(signal.created_at),
        "expires_at": _text(signal.expires_at),
        "executed": stored.executed,
        "performance": None if rounded is None else float(rounded),
        "acted_at": _text(stored.acted_at),
        "acted_by": stored.acted_by,
        "why": stored.why,
        "hit": None if outcome is None else outcome.hit,
        "return_fraction": None if outcome is None else outcome.return_fraction,
        "sigma": signal.sigma,
        "horizon_seconds": signal.horizon_seconds,
        "regime": signal.regime,
        "missing": list(signal.missing),
    }


def whole_answer(stored: Stored, events: Sequence[Event], at: dt.datetime) -> dict[str, Any]:
    """A signal with what it was made of, what it came to, and everything that happened to it."""
    return signal_answer(stored, at) | {
        "features": dict(stored.signal.features),
        "made_of": dict(stored.signal.made_of),
        "outcome": _outcome(stored.outcome),
        "archived": stored.archived,
        "events": [event_answer(each) for each in events],
    }


def event_answer(event: Event) -> dict[str, Any]:
    """A step of a signal's life."""
    return {
        "id": event.id,
        "at": _text(event.at),
        "what": event.what,
        "from_status": None if event.from_status is None else event.from_status.value,
        "to_status": event.to_status.value,
        "by": event.acted_by,
        "why": event.why,
        "other_id": event.other_id,
        "confidence": event.confidence,
        "other_confidence": event.other_confidence,
    }


def pushed_answer(event: Event, stored: Stored, after: int, at: dt.datetime) -> dict[str, Any]:
    """A step of a signal's life with the signal as it is by now: what listeners are told."""
    return {"after": after, "event": event_answer(event), "signal": signal_answer(stored, at)}


def active_answer(symbol: str, at: dt.datetime, found: Sequence[Stored]) -> dict[str, Any]:
    """The active signals of a symbol at a moment."""
    return {"symbol": symbol, "as_of": _text(at), "signals": [signal_answer(each, at) for each in found]}


def page_answer(rows: Sequence[Stored], cursor: str | None, at: dt.datetime) -> Mapping[str, Any]:
    """A page, newest first."""
    return {"signals": [signal_answer(each, at) for each in rows], "cursor": cursor}


def analytics_answer(found: Analytics, as_of: dt.datetime) -> dict[str, Any]:
    """What signals were worth, by everything that they are told apart by: `one_group` of it is an answer."""
    rows = plain_rows(found.rows)
    said = found.calibration
    return {
        "as_of": _text(as_of),
        "groups": {
            word: [{name: each[name] for name in each if name != "by"} for each in rows if each["by"] == name_]
            for word, name_ in GROUPS.items()
        },
        "reliability": plain_rows(found.reliability),
        "calibration": {
            "error": said.value,
            "low": said.low,
            "high": said.high,
            "by_chance": found.calibration_by_chance,
            "classwise": found.calibration_classwise,
        },
        "counts": dict(found.counts),
        "notes": list(found.notes),
    }


def one_group(told: Mapping[str, Any], by: str) -> dict[str, Any]:
    """Of `analytics_answer` the groups by one thing."""
    return dict(told) | {"by": by, "groups": told["groups"][by]}


def _outcome(outcome: Outcome | None) -> dict[str, Any] | None:
    if outcome is None:
        return None
    return {
        "known_at": _text(outcome.known_at),
        "came_true": None if outcome.label is None else outcome.label.value,
        "entry_price": outcome.entry_price,
        "exit_price": outcome.exit_price,
        "exit_at": _text(outcome.exit_at),
        "exit_reason": outcome.exit_reason,
        "return_fraction": outcome.return_fraction,
        "max_favourable": outcome.max_favourable,
        "max_adverse": outcome.max_adverse,
        "seconds_to_target": outcome.seconds_to_target,
        "hit": outcome.hit,
    }


def _text(moment: dt.datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
