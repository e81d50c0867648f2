"""What people type into fields, as values, or the sentence that says how to write it."""

from __future__ import annotations

import datetime as dt

from openbell.core.errors import BadInput


def day(text: str | None, what: str) -> dt.date | None:
    """`text` as a date; None where the field was left empty."""
    if text is None or not text.strip():
        return None
    try:
        return dt.date.fromisoformat(text.strip())
    except ValueError:
        raise BadInput(f"`{text.strip()[:40]}` is no date for {what}. Write it like 2024-05-31.") from None


def number(text: str | float | None, what: str) -> float | None:
    """`text` as a finite number; None where the field was left empty."""
    if text is None or (isinstance(text, str) and not text.strip()):
        return None
    try:
        found = float(text)
    except ValueError:
        raise BadInput(f"`{str(text)[:40]}` is no number for {what}. Write it like 0.18.") from None
    if found in (float("inf"), float("-inf")) or found != found:
        raise BadInput(f"`{str(text)[:40]}` is no number for {what}. Write it like 0.18.")
    return found


def words(text: str | None) -> tuple[str, ...]:
    """The words of a field, separated by commas or spaces."""
    return tuple((text or "").replace(",", " ").split())
