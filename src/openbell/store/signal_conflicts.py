"""What becomes of signals that meet: contrary ones of one symbol, and more of one direction than may be active.

Signals are judged in the order of the moments they were made at, and those of one moment together: a new one meets all
that stood just before that moment and all others of that moment, however they were ended there. The answer is therefore
the same in whatever order, batch or process signals of one moment arrive.
"""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from openbell.core.signal import Call
from openbell.store.upserts import microseconds

#: Confidences that are told apart; below it a difference is rounding (0.75 - 0.65 is under 0.1 in binary).
_DIGITS = 12


class What(StrEnum):
    """Kinds of events in the life of a signal."""

    MADE = "made"
    CONFLICT = "conflict"
    LIMIT = "limit"
    EXECUTED = "executed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


@dataclass(slots=True, eq=False)
class Side:
    """A BUY or SELL as it takes part: `superseded_at` is None as long as it stands; `id` is None where it is new."""

    key: str
    call: Call
    confidence: float
    created_at: dt.datetime
    expires_at: dt.datetime
    id: int | None = None
    superseded_at: dt.datetime | None = None

    def overlaps(self, other: Side) -> bool:
        """Whether both were valid at some moment."""
        return self.created_at < other.expires_at and other.created_at < self.expires_at

    def beats(self, other: Side, margin: float) -> bool:
        """Whether it is surer by the margin or more; of two equally sure ones neither is, with a margin of 0 too."""
        ahead = round(self.confidence - other.confidence, _DIGITS)
        return ahead > 0 and ahead >= round(margin, _DIGITS)

    @property
    def rank(self) -> tuple[int, float, str]:
        """Place among those of its direction: the newest first, of one moment the surest."""
        return (-microseconds(self.created_at), -self.confidence, self.key)


@dataclass(frozen=True, slots=True)
class Meeting:
    """What one side made of meeting `other`: superseded, or stood."""

    side: Side
    other: Side
    what: What
    superseded: bool
    why: str


def meetings(standing: Iterable[Side], new: Iterable[Side], *, max_active: int, margin: float) -> list[Meeting]:
    """What becomes of signals of ONE symbol; `superseded_at` of those that lose is set.

    Of two contrary ones that are valid at once the surer one stands if its exact confidence is higher by at least
    `margin`, else neither does: the desk holds. Of one direction the `max_active` newest stand. Each side that met
    others has one meeting for each moment, with the surest of them. `standing` are those that are active, and those
    that were superseded at or after the first of `new`.
    """
    known = list(standing)
    found: list[Meeting] = []
    ordered = sorted(new, key=lambda side: (side.created_at, side.key))
    for moment, group in itertools.groupby(ordered, key=lambda side: side.created_at):
        known = [side for side in known if side.superseded_at is None or side.superseded_at >= moment]
        fresh = list(group)
        found += _judged(known + fresh, fresh, max_active, margin)
        known += fresh
    return found


def _judged(field: Sequence[Side], fresh: Sequence[Side], max_active: int, margin: float) -> list[Meeting]:
    """The meetings of `fresh`, which are in `field` too; all are judged as they stood, then ended together."""
    young = {side.key for side in fresh}
    found: list[Meeting] = []
    for side in field:
        if side.superseded_at is not None:
            continue
        contrary = [each for each in field if each.call is not side.call and side.overlaps(each)]
        met = [each for each in contrary if side.key in young or each.key in young]
        if met:
            found.append(_conflict(side, met, margin))
    ended = {each.side.key for each in found if each.superseded}
    for call in {side.call for side in fresh}:
        ranked = sorted((side for side in field if side.call is call), key=lambda side: side.rank)
        beyond = [side for side in ranked[max_active:] if side.superseded_at is None and side.key not in ended]
        found += [_beyond(side, ranked[0], max_active) for side in beyond]
    for each in found:
        if each.superseded:
            each.side.superseded_at = max(each.side.created_at, each.other.created_at)
    return found


def _conflict(side: Side, met: Sequence[Side], margin: float) -> Meeting:
    """`side` against the surest of those it met, which decides."""
    other = min(met, key=lambda each: (-each.confidence, each.key))
    both = f"{side.call} at {side.confidence:.4g} met {other.call} at {other.confidence:.4g}"
    if side.beats(other, margin):
        return Meeting(side, other, What.CONFLICT, False, f"{both} and is surer by {margin:.4g} or more: it stands.")
    if other.beats(side, margin):
        why = f"{both}, which is surer by {margin:.4g} or more."
    else:
        why = f"{both}: less than {margin:.4g} apart, so neither stands and the desk holds."
    return Meeting(side, other, What.CONFLICT, True, why)


def _beyond(side: Side, newest: Side, max_active: int) -> Meeting:
    why = f"{max_active} newer {side.call} of this symbol are enough; the newest is of {newest.created_at.isoformat()}."
    return Meeting(side, newest, What.LIMIT, True, why)
