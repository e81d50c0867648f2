"""A gate that takes over has answered already: models are read, kernels compiled, and what stays is left alone."""

from __future__ import annotations

import datetime as dt
import gc
from typing import TYPE_CHECKING

from openbell.app.api.orders import next_session
from openbell.core.assessment import Asked
from openbell.core.ticket import MarketState, Prophecy
from openbell.quant.ticket_profile import instruction

if TYPE_CHECKING:
    from openbell.app.gate import Gate

_LEVEL = 5_000.0
#: An order of each kind, none of which is anybody's; the answers are thrown away.
_ORDERS = (
    ("IRON CONDOR", [5_050.0, 5_060.0, 4_950.0, 4_940.0], 3.0, "SELL", None),
    ("BUTTERFLY", [4_980.0, 5_000.0, 5_020.0], 6.0, "BUY", "CALL"),
    ("VERTICAL", [5_010.0, 5_020.0], 4.0, "SELL", "CALL"),
)


def warm(gate: Gate, at: dt.datetime) -> None:
    """Ask `gate` once for each arm and kind of order: otherwise its first callers wait for seconds."""
    day = next_session(gate.sessions, at)
    # In the session, whenever the service starts: out of it the price says nothing and no model is asked.
    moment = gate.sessions.open(day) + dt.timedelta(hours=1)
    state = MarketState("SPX", _LEVEL, moment, "warming", 0.2)
    there = () if gate.training is None else gate.training.models.models
    arms = (None, *(arm for arm, model in gate.arms.items() if model in there))
    gate.assess(
        [
            Asked(instruction("SPX", *order[:4], 1, order[4], day), moment, state, Prophecy("SPX"), arm=arm)
            for order in _ORDERS
            for arm in arms
        ]
    )


def settle() -> None:
    """Take what is there now out of every further collection of garbage; one over all of it takes a tenth of a second.

    What an earlier gate has left is collected first.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
