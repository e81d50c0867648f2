"""A signal as a row of the store and back: checked where it is made, so that writing never fails for what it holds."""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa

from openbell.core.errors import BadInput
from openbell.core.hashing import canonical_json
from openbell.core.signal import PROBABILITIES, Call, Signal, Status
from openbell.store.database import json_text
from openbell.store.redaction import refuse_secrets

#: What ``DECIMAL(10, 4)`` holds.
MOST = 999_999.9999
#: What ``DECIMAL(5, 2)`` holds, as a percentage.
MOST_PERCENT = 999.99
_EXACT = ("target_price", "stop_loss", "position_size")
_SAME = ("symbol", "created_at", "expires_at", "model_version", "price", "sigma", "horizon_seconds", "regime")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a signal came to, entered at the open of the next bar; see `research.signal_outcomes`.

    Attributes
    ----------
    known_at : end of the last bar it rests on. label : the class that came true, None where none can be told.
    entry_price, exit_price : USD, and exit_at, exit_reason (time, stop, target) : of BUY and SELL; None for HOLD.
    return_fraction : after costs, above 0 is a gain for either side. hit : whether it is above 0.
    max_favourable, max_adverse : excursions as fractions of the entry price. seconds_to_target : None if not reached.
    """

    known_at: dt.datetime
    label: Call | None = None
    entry_price: float | None = None
    exit_price: float | None = None
    exit_at: dt.datetime | None = None
    exit_reason: str | None = None
    return_fraction: float | None = None
    max_favourable: float | None = None
    max_adverse: float | None = None
    seconds_to_target: float | None = None
    hit: bool | None = None


@dataclass(frozen=True, slots=True)
class Stored:
    """A signal in the store.

    Attributes
    ----------
    acted_at, acted_by, why : when it left ACTIVE (of one that expired: when it did), by whom and why; None before.
    word : what whoever acted called the act, so that acting twice is once.
    decimals : the request's rounded columns, for display: confidence, target_price, stop_loss, position_size and
        performance (percent, of an executed signal whose outcome is known; None where ``DECIMAL(5,2)`` cannot hold it).
    """

    id: int
    signal: Signal
    status: Status
    acted_at: dt.datetime | None
    acted_by: str | None
    why: str | None
    word: str | None
    outcome: Outcome | None
    decimals: Mapping[str, Decimal | None]
    archived: bool

    @property
    def executed(self) -> bool:
        """The request's column."""
        return self.status is Status.EXECUTED


@dataclass(frozen=True, slots=True)
class Event:
    """One step in the life of a signal: `what` is a word of `signal_conflicts.What`; `other_id` is whom it met."""

    id: int
    signal_id: int
    at: dt.datetime
    what: str
    from_status: Status | None
    to_status: Status
    acted_by: str
    why: str
    other_id: int | None
    confidence: float
    other_confidence: float | None


def signal_row(signal: Signal, made_of: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """`signal` as the table has it, without its status; `made_of` as `made_of_row` gives it, where that is at hand.

    Raises
    ------
    BadInput
        Where a price does not fit the request's ``DECIMAL(10,4)``, a number is not finite, a text holds what no
        database keeps, a reason has several lines, or what it was made of seems to hold a secret.
    """
    called = f"signal {signal.symbol} of {signal.created_at.isoformat()}"
    for name in (*_EXACT, "sigma", "horizon_seconds"):
        _check_number(called, name, getattr(signal, name))
    reasoning = "\n".join(signal.reasoning)
    if any("\n" in each for each in signal.reasoning):
        raise BadInput(f"A reason of {called} has several lines: {list(signal.reasoning)!r}. Write one line for each.")
    texts = [("symbol", signal.symbol), ("model_version", signal.model_version), ("regime", signal.regime)]
    for name, text in (*texts, ("reasoning", reasoning), ("missing", " ".join(signal.missing))):
        _check_text(called, name, text)
    # The minus of a zero would not come back from every database.
    features = {name: None if value is None else float(value) + 0.0 for name, value in signal.features.items()}
    _check_json(called, "features", lambda: json_text(features))
    row: dict[str, Any] = {name: getattr(signal, name) for name in (*_SAME, *_EXACT)}
    row |= {f"{name}_exact": getattr(signal, name) for name in ("confidence", *_EXACT)}
    row |= dict(zip(PROBABILITIES, signal.probabilities, strict=True))
    return row | {
        "key": signal.key,
        "signal_type": signal.call.value,
        "confidence": signal.confidence,
        "reasoning": reasoning,
        "features": features,
        "missing": list(signal.missing),
        "made_of": made_of_row(signal) if made_of is None else made_of,
    }


def made_of_row(signal: Signal) -> dict[str, Any]:
    """What `signal` was made of as JSON holds it, so that what is written equals what is read back."""
    refuse_secrets(signal.made_of, "made_of")
    found: dict[str, Any] = json.loads(
        _check_json(f"signal {signal.symbol}", "made_of", lambda: canonical_json(signal.made_of))
    )
    return found


def stored(row: sa.Row[Any], *, archived: bool = False) -> Stored:
    """`row` of the table as it was written."""
    cells = row._mapping
    signal = Signal(
        call=Call(cells["signal_type"]),
        confidence=cells["confidence_exact"],
        probabilities=(cells["p_sell"], cells["p_hold"], cells["p_buy"]),
        reasoning=tuple(cells["reasoning"].split("\n")) if cells["reasoning"] else (),
        features=cells["features"],
        missing=tuple(cells["missing"]),
        made_of=cells["made_of"],
        **{name: cells[name] for name in _SAME},
        **{name: cells[f"{name}_exact"] for name in _EXACT},
    )
    rounded = {name: cells[name] for name in ("confidence", *_EXACT, "performance")}
    return Stored(
        id=cells["id"],
        signal=signal,
        status=Status(cells["status"]),
        acted_at=cells["acted_at"],
        acted_by=cells["acted_by"],
        why=cells["why"],
        word=cells["acted_word"],
        outcome=_outcome(cells),
        decimals=MappingProxyType(rounded),
        archived=archived,
    )


def event(row: sa.Row[Any]) -> Event:
    """`row` of the events as it was written."""
    cells = dict(row._mapping)
    before = cells["from_status"]
    cells |= {"from_status": None if before is None else Status(before), "to_status": Status(cells["to_status"])}
    return Event(**cells)


_OUTCOME = ("entry_price", "exit_price", "exit_at", "exit_reason", "return_fraction", "max_favourable", "max_adverse",
            "seconds_to_target", "hit")  # fmt: skip


def _outcome(cells: sa.RowMapping) -> Outcome | None:
    known_at = cells["outcome_known_at"]
    if known_at is None:
        return None
    label = cells["outcome"]
    return Outcome(known_at, None if label is None else Call(label), **{name: cells[name] for name in _OUTCOME})


def performance_percent(return_fraction: float | None) -> float | None:
    """The request's `performance`; None where it is unknown or does not fit its column."""
    if return_fraction is None or not abs(100.0 * return_fraction) <= MOST_PERCENT:
        return None
    return 100.0 * return_fraction


def _check_number(called: str, name: str, value: float | None) -> None:
    if value is None:
        return
    if not math.isfinite(value):
        raise BadInput(f"The {name} of {called} must be a finite number, or None where it is missing; was {value}.")
    if name in _EXACT and abs(value) > MOST:
        raise BadInput(f"The {name} of {called} must fit DECIMAL(10,4), at most {MOST:,.4f}; was {value:,.4f}.")


def _check_text(called: str, name: str, text: str | None) -> None:
    if text is not None and ("\0" in text or not _encodes(text)):
        raise BadInput(f"The {name} of {called} holds a character that no database keeps: {text[:60]!r}. Leave it out.")


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_json(called: str, name: str, write: Callable[[], str]) -> str:
    try:
        text = write()
    except (ValueError, TypeError) as failure:
        raise BadInput(f"The {name} of {called} cannot be recorded: {failure}. Numbers are finite, or null.") from None
    _check_text(called, name, text.replace("\\u0000", "\0"))
    return text
