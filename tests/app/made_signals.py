"""Signals made by hand, around the moment that the small service believes in."""

import datetime as dt
from typing import Any

from tests.app.served import AT

from openbell.core.signal import Call, Signal


def made(symbol: str = "SPY", call: Call = Call.BUY, *, minutes: float = -1.0, **given: Any) -> Signal:
    """A signal that was made `minutes` after `AT` (before it where below 0) and lives for an hour."""
    at = given.pop("created_at", AT + dt.timedelta(minutes=minutes))
    side = {Call.BUY: 1.0, Call.SELL: -1.0, Call.HOLD: 0.0}[call]
    odds = {Call.SELL: (0.7, 0.2, 0.1), Call.HOLD: (0.1, 0.8, 0.1), Call.BUY: (0.1, 0.2, 0.7)}[call]
    whole: dict[str, Any] = {
        "confidence": max(odds),
        "probabilities": odds,
        "price": 500.0,
        "expires_at": at + dt.timedelta(hours=1),
        "model_version": "vote@1",
        "target_price": 500.0 + 10.0 * side if side else None,
        "stop_loss": 500.0 - 5.0 * side if side else None,
        "position_size": 0.05 if side else None,
        "reasoning": ("The average of 5 bars is above that of 20.", "Volume is high."),
        "features": {"rsi_14_1d": 61.25, "macd_1d": None},
        "sigma": 0.01,
        "horizon_seconds": 3600.0,
        "regime": "calm",
        "missing": ("lstm",),
        "made_of": {"model": "abc"},
    }
    return Signal(symbol=symbol, call=call, created_at=at, **whole | given)
