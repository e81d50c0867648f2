"""Predictions as the tests of the gate's log write them."""

import datetime as dt

from openbell.store.prediction_rows import Prediction

#: 10:00 in New York.
AT = dt.datetime(2025, 6, 2, 14, tzinfo=dt.UTC)
LATER = AT + dt.timedelta(hours=6)


def said(id: str = "r1", **other) -> Prediction:
    """An answer of the gate, of a question that is its own where none is given."""
    fields = {
        "at": AT, "symbol": "SPX", "strategy": "Vertical", "answer": "ACCEPT", "quantity": 1, "probability": 0.6,
        "threshold": 0.5, "inputs": {"text": f"SELL {id}"}, "key_id": "k1",
    }  # fmt: skip
    return Prediction(**(fields | {"id": id} | other))
