"""The ten option structures of the desk: their legs, and how parameters name them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from openbell.quant.legs import CALL, PUT

IRON_CONDOR = "IRON_CONDOR"
IRON_BUTTERFLY = "IRON_BUTTERFLY"
LONG_CALL = "LONG_CALL"
LONG_PUT = "LONG_PUT"
BULL_CALL_SPREAD = "BULL_CALL_SPREAD"
BEAR_PUT_SPREAD = "BEAR_PUT_SPREAD"
LONG_STRADDLE = "LONG_STRADDLE"
LONG_STRANGLE = "LONG_STRANGLE"
CALENDAR_SPREAD = "CALENDAR_SPREAD"
DIAGONAL_SPREAD = "DIAGONAL_SPREAD"


@dataclass(frozen=True, slots=True)
class Part:
    """One leg of a structure: its right, its signed ratio, the name of its strike, and whether it is the far expiry."""

    right: int
    ratio: int
    strike: str
    far: bool = False


#: The legs of each structure, in the order of S0.05; strikes are named as in the output (S0.10). Calendars and
#: diagonals are of calls: the near one is sold.
STRUCTURES: Mapping[str, tuple[Part, ...]] = MappingProxyType(
    {
        IRON_CONDOR: (
            Part(PUT, +1, "long_put"), Part(PUT, -1, "short_put"),
            Part(CALL, -1, "short_call"), Part(CALL, +1, "long_call"),
        ),
        IRON_BUTTERFLY: (
            Part(PUT, +1, "long_put"), Part(PUT, -1, "short_put"),
            Part(CALL, -1, "short_call"), Part(CALL, +1, "long_call"),
        ),
        LONG_CALL: (Part(CALL, +1, "strike"),),
        LONG_PUT: (Part(PUT, +1, "strike"),),
        BULL_CALL_SPREAD: (Part(CALL, +1, "long_strike"), Part(CALL, -1, "short_strike")),
        BEAR_PUT_SPREAD: (Part(PUT, +1, "long_strike"), Part(PUT, -1, "short_strike")),
        LONG_STRADDLE: (Part(CALL, +1, "strike"), Part(PUT, +1, "strike")),
        LONG_STRANGLE: (Part(PUT, +1, "put_strike"), Part(CALL, +1, "call_strike")),
        CALENDAR_SPREAD: (Part(CALL, -1, "strike"), Part(CALL, +1, "strike", far=True)),
        DIAGONAL_SPREAD: (Part(CALL, -1, "short_strike"), Part(CALL, +1, "long_strike", far=True)),
    }
)  # fmt: skip
