"""A market state as JSON, as the companion, a Redis publisher and our own cache write it."""

from __future__ import annotations

import datetime as dt
import json
import math
from typing import Any

from openbell.core.errors import BadInput, DataMissing
from openbell.core.ticket import MarketState
from openbell.core.time import utc

#: A volatility above this is a percentage that was taken for a fraction.
MOST_VOLATILE = 5.0


def written(state: MarketState) -> bytes:
    """`state` as JSON."""
    return json.dumps(
        {
            "symbol": state.symbol,
            "price": state.price,
            "volatility": state.volatility,
            "source": state.source,
            "timestamp": state.observed_at.isoformat(),
        },
        allow_nan=False,
    ).encode()


def read(content: bytes | str, source: str, symbol: str | None = None, *, own: bool = False) -> MarketState:
    """The state that `content` tells: ``price`` or ``spot_price``, ``timestamp`` with its zone, ``symbol``.

    ``volatility`` is a fraction per year, ``vix`` the same in percentage points; without either there is none. A
    message without a symbol is about `symbol`, where that is given. `own` messages, those that `written` wrote, tell
    their source themselves; any other is from `source`, whatever it says.

    Raises
    ------
    DataMissing
        Where a field is missing, no number, not above 0, or has no time zone: the message is then worth nothing.
    """
    try:
        told = json.loads(content)
    except (ValueError, RecursionError):
        raise DataMissing(f"{source} answered with something that is no JSON.") from None
    if not isinstance(told, dict):
        raise DataMissing(f"{source} answered with JSON that is no object.")
    about = told.get("symbol", symbol)
    if not isinstance(about, str) or not about:
        raise DataMissing(f"{source} does not say which symbol it speaks of.")
    price = _positive(told, ("price", "spot_price"), source)
    if price is None:
        raise DataMissing(f"{source} tells no price of {about}.")
    name = str(told["source"]) if own and told.get("source") else source
    return MarketState(about.upper(), price, _moment(told, source), name, _volatility(told, source))


def _positive(told: dict[str, Any], names: tuple[str, ...], source: str) -> float | None:
    for name in names:
        value = told.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not (math.isfinite(value) and value > 0):
            raise DataMissing(f"{source} tells the {name} {value!r:.40}, which is no number above 0.")
        return float(value)
    return None


def _volatility(told: dict[str, Any], source: str) -> float | None:
    volatility = _positive(told, ("volatility",), source)
    points = _positive(told, ("vix",), source)
    value = volatility if volatility is not None else None if points is None else points / 100.0
    if value is not None and value > MOST_VOLATILE:
        raise DataMissing(f"{source} tells a volatility of {value:g} per year; it must be a fraction, such as 0.16.")
    return value


def _moment(told: dict[str, Any], source: str) -> dt.datetime:
    stamp = told.get("timestamp")
    try:
        return utc(dt.datetime.fromisoformat(stamp))
    except (TypeError, ValueError):
        raise DataMissing(f"{source} tells no moment: its timestamp is {stamp!r:.40}.") from None
    except BadInput as naive:
        raise DataMissing(f"{source} tells a moment without its zone. {naive}") from None
