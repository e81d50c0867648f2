"""The shapes of what is asked and answered on signals."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Literal

from pydantic import Field

from openbell.app.api.schemas import Asking, Listening
from openbell.app.api.shapes import Shape

CallWord = Literal["BUY", "SELL", "HOLD"]
StatusWord = Literal["ACTIVE", "EXECUTED", "EXPIRED", "SUPERSEDED", "CANCELLED"]
GroupWord = Literal["all", "symbol", "call", "band", "regime", "age", "model"]
#: The highest id that a database takes.
MOST_ID = 2**63 - 1

Who = Annotated[str, Field(min_length=1, max_length=80, pattern=r"^[\x20-\x7e]+$")]
Why = Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^\x00-\x1f\x7f]+$")]
Word = Annotated[
    str | None,
    Field(
        min_length=1,
        max_length=100,
        pattern=r"^[\x21-\x7e]+$",
        description="The caller's own name of this act: told again with the same word it is done once.",
    ),
]


class ExecutedRequest(Asking):
    """A signal is acted on."""

    word: Word = None
    by: Annotated[Who | None, Field(description="Who acted; the key's id is kept beside it.")] = None


class CancelRequest(Asking):
    """A signal is not to be acted on any more."""

    word: Word = None
    by: Annotated[Who | None, Field(description="Who says so; the key's id is kept beside it.")] = None
    why: Annotated[Why, Field(description="Kept in the audit.")]


class ListenSignals(Listening):
    """To hear signals; `after` is the id of the last event that was heard before."""

    after: Annotated[int | None, Field(ge=0, le=MOST_ID)] = None


class SignalRow(Shape):
    """A signal; prices in USD, `position_size` a fraction of the account, `performance` in per cent.

    `acted_at`, `acted_by` and `why` tell how it left ACTIVE; `hit` and `return_fraction` what it made, once known.
    """

    id: int
    symbol: str
    signal_type: CallWord
    status: StatusWord
    confidence: float
    probabilities: dict[CallWord, float]
    price: float
    target_price: float | None
    stop_loss: float | None
    position_size: float | None
    reasoning: list[str]
    model_version: str
    created_at: dt.datetime
    expires_at: dt.datetime
    executed: bool
    performance: float | None
    acted_at: dt.datetime | None
    acted_by: str | None
    why: str | None
    hit: bool | None
    return_fraction: float | None
    sigma: float | None
    horizon_seconds: float | None
    regime: str | None
    missing: list[str]


class SignalEvent(Shape):
    """A step of a signal's life; `other_id` is the signal that it met."""

    id: int
    at: dt.datetime
    what: str
    from_status: StatusWord | None
    to_status: StatusWord
    by: str
    why: str
    other_id: int | None
    confidence: float
    other_confidence: float | None


class SignalOutcome(Shape):
    """What a signal came to, entered at the open of the bar after it; prices in USD, the rest fractions."""

    known_at: dt.datetime
    came_true: CallWord | None
    entry_price: float | None
    exit_price: float | None
    exit_at: dt.datetime | None
    exit_reason: str | None
    return_fraction: float | None
    max_favourable: float | None
    max_adverse: float | None
    seconds_to_target: float | None
    hit: bool | None


class SignalWhole(SignalRow):
    """A signal with what it was made of, what it came to, and everything that happened to it, oldest first."""

    features: dict[str, float | None]
    made_of: dict[str, object]
    outcome: SignalOutcome | None
    archived: bool
    events: list[SignalEvent]


class SignalPage(Shape):
    """Signals, newest first; `cursor` goes on, null after the last."""

    signals: list[SignalRow]
    cursor: str | None


class ActiveSignals(Shape):
    """The active signals of a symbol, newest first, as they were at `as_of`."""

    symbol: str
    as_of: dt.datetime
    signals: list[SignalRow]


class Calibration(Shape):
    """Expected calibration error of the confidence, with its interval and what true probabilities would show."""

    error: float | None
    low: float | None
    high: float | None
    by_chance: float | None
    classwise: float | None


class SignalAnalytics(Shape):
    """What signals were worth at `as_of`; intervals are of 95 %, shares and returns fractions after costs."""

    as_of: dt.datetime
    by: GroupWord
    groups: list[dict[str, float | int | str | bool | None]]
    reliability: list[dict[str, float | int | str | bool | None]]
    calibration: Calibration
    counts: dict[str, int]
    notes: list[str]
