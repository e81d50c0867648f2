"""Bars as they come in: JSON to rows, the session of each, and what is wrong with a message in a sentence."""

from __future__ import annotations

import bisect
import datetime as dt
import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from openbell.core.bars import FRAMES
from openbell.core.errors import BadInput
from openbell.core.time import MOMENT, Sessions, utc

#: A bar that came in, within the session.
BARS: Mapping[str, pl.DataType | type[pl.DataType]] = {
    "symbol": pl.String,
    "session": pl.Date,
    "at": MOMENT,
    "open": pl.Float64,
    "high": pl.Float64,
    "low": pl.Float64,
    "close": pl.Float64,
    "volume": pl.Float64,
    "bid": pl.Float64,
    "ask": pl.Float64,
}
_RAW = ("open", "high", "low", "close", "volume")
#: Daily bars carry what was received beside what is adjusted forward.
DAILY: Mapping[str, pl.DataType | type[pl.DataType]] = {
    **{name: kind for name, kind in BARS.items() if name not in ("bid", "ask")},
    **{f"raw_{name}": pl.Float64 for name in _RAW},
}
_NEEDED = ("open", "high", "low", "close", "volume")
#: More bars than this in one message are refused.
MOST_BARS = 10_000


def schema_of(base: str) -> Mapping[str, pl.DataType | type[pl.DataType]]:
    """The columns of bars of `base`."""
    return DAILY if FRAMES[base] is None else BARS


@dataclass(frozen=True, eq=False)
class Reader:
    """Turns messages into rows.

    Parameters
    ----------
    base : frame of the bars. sessions : the calendar. told : is handed a sentence for everything that cannot be read.
    factors : price and share factors of each symbol, by which daily bars are adjusted forward as the stored ones are.
    """

    base: str
    sessions: Sessions
    told: Callable[[str], None]
    factors: Mapping[str, tuple[float, float]]

    def frame(self, messages: Iterable[bytes | str]) -> pl.DataFrame:
        """The bars of `messages`, in their order; what cannot be read is told and left out."""
        rows: list[dict[str, Any]] = []
        for message in messages:
            for told in self._told(message):
                try:
                    rows.append(self._row(told))
                except BadInput as refusal:
                    self.told(str(refusal))
        return pl.DataFrame(rows, schema=dict(schema_of(self.base)))

    def _told(self, message: bytes | str) -> list[Any]:
        try:
            told = json.loads(message)
        except (ValueError, RecursionError):
            self.told(f"A message of {len(message):,} bytes is no JSON.")
            return []
        bars = told if isinstance(told, list) else [told]
        if len(bars) > MOST_BARS:
            self.told(f"A message holds {len(bars):,} bars; at most {MOST_BARS:,} are read at once.")
            return []
        return bars

    def _row(self, told: Any) -> dict[str, Any]:
        if not isinstance(told, dict):
            raise BadInput(f"A bar is a JSON object; this is {json.dumps(told)[:40]}.")
        symbol = told.get("symbol")
        if not isinstance(symbol, str) or not 1 <= len(symbol) <= 10:
            raise BadInput(f"A bar names a symbol of 1 to 10 characters; this one names {symbol!r:.40}.")
        at, session = self._moment(symbol, told)
        numbers = {name: _number(symbol, told, name) for name in (*_NEEDED, "bid", "ask")}
        for name in _NEEDED:
            if numbers[name] is None:
                raise BadInput(f"The bar of {symbol} at {at.isoformat()} has no {name}.")
        row = {"symbol": symbol, "session": session, "at": at, **numbers}
        return row if FRAMES[self.base] is not None else self._adjusted(row)

    def _moment(self, symbol: str, told: Mapping[str, Any]) -> tuple[dt.datetime, dt.date]:
        """The end of the bar and its session. `start` is where it begins, `at` where it ends."""
        minutes = FRAMES[self.base]
        if minutes is None:
            return self._day(symbol, told)
        word = "at" if told.get("at") is not None else "start"
        given = _stamp(symbol, told, word)
        find = bisect.bisect_left if word == "at" else bisect.bisect_right
        place = find(self.sessions.closes, given)
        inside = place < len(self.sessions.dates) and (
            self.sessions.opens[place] < given or (word == "start" and given == self.sessions.opens[place])
        )
        if not inside:
            raise BadInput(f"The bar of {symbol}, {word} {given.isoformat()}, lies in no session of the calendar.")
        end = given if word == "at" else min(self.sessions.closes[place], given + dt.timedelta(minutes=minutes))
        return end, self.sessions.dates[place]

    def _day(self, symbol: str, told: Mapping[str, Any]) -> tuple[dt.datetime, dt.date]:
        """The close and the session of a daily bar: its `session`, or the one that had just closed `at` a moment."""
        if told.get("session") is not None:
            try:
                session = dt.date.fromisoformat(told["session"])
            except (TypeError, ValueError):
                raise BadInput(f"The session of the bar of {symbol} is {told['session']!r:.40}, no date.") from None
            return self.sessions.close(session), session
        given = _stamp(symbol, told, "at")
        session = self.sessions.last_closed(given)
        if given >= self.sessions.open(self.sessions.shift(session, 1)):
            raise BadInput(
                f"The daily bar of {symbol} at {given.isoformat()} would not be complete: its session closes at "
                f"{self.sessions.close(self.sessions.shift(session, 1)).isoformat()}."
            )
        return self.sessions.close(session), session

    def _adjusted(self, row: dict[str, Any]) -> dict[str, Any]:
        """A daily bar as received beside the same adjusted as the stored ones were last; quotes are not kept."""
        price, share = self.factors.get(row["symbol"], (1.0, 1.0))
        raw = {f"raw_{name}": row[name] for name in _RAW}
        adjusted = {name: row[name] * price for name in _RAW[:4]} | {"volume": row["volume"] / share}
        return {"symbol": row["symbol"], "session": row["session"], "at": row["at"], **adjusted, **raw}


def _number(symbol: str, told: Mapping[str, Any], name: str) -> float | None:
    value = told.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise BadInput(f"The {name} of the bar of {symbol} is {value!r:.40}, which is no number.")
    return float(value)


def _stamp(symbol: str, told: Mapping[str, Any], word: str) -> dt.datetime:
    stamp = told.get(word)
    try:
        return utc(dt.datetime.fromisoformat(stamp))  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise BadInput(f"The bar of {symbol} tells no moment: its `{word}` is {stamp!r:.40}.") from None
    except BadInput as naive:
        raise BadInput(f"The bar of {symbol} tells a moment nobody can place. {naive}") from None
