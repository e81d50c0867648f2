"""Signals as the tests of their store write them."""

import datetime as dt

from openbell.core.signal import CALLS, Call, Signal

AT = dt.datetime(2025, 6, 2, 14, 0, 0, 123456, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
HOUR = dt.timedelta(hours=1)


def made(symbol="AAPL", call="BUY", confidence=0.7, at=AT, model="m1", life=DAY, **other) -> Signal:
    """A signal at a price of 100, with stop and target 10 away."""
    call = Call(call)
    rest = (1.0 - confidence) / 2.0
    said = tuple(confidence if each is call else rest for each in CALLS)
    away = {Call.BUY: 10.0, Call.SELL: -10.0}.get(call)
    levels = {}
    if away is not None:
        levels = {"target_price": 100.0 + away, "stop_loss": 100.0 - away, "position_size": 0.05}
    fields = {
        "symbol": symbol, "call": call, "confidence": confidence, "probabilities": said, "price": 100.0,
        "created_at": at, "expires_at": at + life, "model_version": model, "sigma": 0.01, "horizon_seconds": 432000.0,
        **levels,
    }  # fmt: skip
    return Signal(**(fields | other))
