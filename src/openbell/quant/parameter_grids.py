"""The parameter sets that are tried for each structure: 15 to 20, spread over the whole grid of Annex B."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

import numpy as np

from openbell.core.errors import BadInput, unknown
from openbell.quant.structures import (
    BEAR_PUT_SPREAD,
    BULL_CALL_SPREAD,
    CALENDAR_SPREAD,
    DIAGONAL_SPREAD,
    IRON_BUTTERFLY,
    IRON_CONDOR,
    LONG_CALL,
    LONG_PUT,
    LONG_STRADDLE,
    LONG_STRANGLE,
    STRUCTURES,
)

FEWEST, MOST, USUAL = 15, 20, 18

#: Dimensions of each grid (S0 Annex B), widened where it had fewer than 15 points. Moneyness is strike over spot; puts
#: use 2 minus it. Distances, wings and widths are shares of the spot; days are calendar days.
DIMENSIONS: Mapping[str, Mapping[str, tuple[float, ...]]] = MappingProxyType(
    {
        IRON_CONDOR: {
            "dte": (14, 21, 30),
            "put_distance": (0.05, 0.07, 0.10),
            "call_distance": (0.05, 0.07, 0.10),
            "wing": (0.02, 0.03),
        },
        IRON_BUTTERFLY: {"dte": (21, 30, 45), "wing": (0.02, 0.03, 0.05, 0.07, 0.10)},
        LONG_CALL: {"dte": (7, 14, 21, 45), "moneyness": (0.95, 0.98, 1.0, 1.02, 1.05)},
        LONG_PUT: {"dte": (7, 14, 21, 45), "moneyness": (0.95, 0.98, 1.0, 1.02, 1.05)},
        BULL_CALL_SPREAD: {"dte": (14, 21, 30), "width": (0.02, 0.03, 0.05), "moneyness": (0.98, 1.0, 1.02)},
        BEAR_PUT_SPREAD: {"dte": (14, 21, 30), "width": (0.02, 0.03, 0.05), "moneyness": (0.98, 1.0, 1.02)},
        LONG_STRADDLE: {"dte": (7, 14, 21, 30, 45), "moneyness": (0.98, 1.0, 1.02)},
        LONG_STRANGLE: {
            "dte": (14, 21, 30),
            "put_distance": (0.03, 0.05, 0.07),
            "call_distance": (0.03, 0.05, 0.07),
        },
        CALENDAR_SPREAD: {"near_dte": (7, 14, 21), "far_dte": (30, 35, 45, 60), "moneyness": (0.98, 1.0, 1.02)},
        DIAGONAL_SPREAD: {
            "near_dte": (14, 21),
            "far_dte": (35, 45),
            "long_moneyness": (0.98, 1.0, 1.02),
            "short_moneyness": (1.02, 1.05),
        },
    }
)


def _wings(v: Mapping[str, float]) -> dict[str, float]:
    put, call = 1 - v.get("put_distance", 0.0), 1 + v.get("call_distance", 0.0)
    return {"long_put": put - v["wing"], "short_put": put, "short_call": call, "long_call": call + v["wing"]}


#: Strike of each named leg over the spot.
_STRIKES: Mapping[str, Callable[[Mapping[str, float]], dict[str, float]]] = MappingProxyType(
    {
        IRON_CONDOR: _wings,
        IRON_BUTTERFLY: _wings,
        LONG_CALL: lambda v: {"strike": v["moneyness"]},
        LONG_PUT: lambda v: {"strike": 2 - v["moneyness"]},
        BULL_CALL_SPREAD: lambda v: {"long_strike": v["moneyness"], "short_strike": v["moneyness"] + v["width"]},
        BEAR_PUT_SPREAD: lambda v: {"long_strike": 2 - v["moneyness"], "short_strike": 2 - v["moneyness"] - v["width"]},
        LONG_STRADDLE: lambda v: {"strike": v["moneyness"]},
        LONG_STRANGLE: lambda v: {"put_strike": 1 - v["put_distance"], "call_strike": 1 + v["call_distance"]},
        CALENDAR_SPREAD: lambda v: {"strike": v["moneyness"]},
        DIAGONAL_SPREAD: lambda v: {"long_strike": v["long_moneyness"], "short_strike": v["short_moneyness"]},
    }
)


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """Parameter sets of one structure.

    Attributes
    ----------
    structure : one of `STRUCTURES`. values : c mappings of dimension to value, in the order of the grid.
    moneyness : (c, legs) strike over spot of each leg. dte : (c, legs) calendar days to its expiry.
    right, ratio : (legs,) int8 and int64, as in `STRUCTURES`.
    """

    structure: str
    values: tuple[Mapping[str, float], ...]
    moneyness: np.ndarray
    dte: np.ndarray
    right: np.ndarray
    ratio: np.ndarray

    def __len__(self) -> int:
        return len(self.values)


def whole_grid(structure: str) -> tuple[Mapping[str, float], ...]:
    """Every point of the grid of `structure`, the last dimension fastest.

    A calendar whose far expiry is not after its near one, and a diagonal whose strikes coincide (a calendar by another
    name), are no points.
    """
    if structure not in DIMENSIONS:
        raise unknown("structure", structure, DIMENSIONS)
    dimensions = DIMENSIONS[structure]
    points = (dict(zip(dimensions, each, strict=True)) for each in itertools.product(*dimensions.values()))
    return tuple(MappingProxyType(point) for point in points if _is_real(point))


def _is_real(point: Mapping[str, float]) -> bool:
    apart = point.get("far_dte", 1) > point.get("near_dte", 0)
    return apart and point.get("long_moneyness", 0) != point.get("short_moneyness", 1)


def _spread_out(points: tuple[Mapping[str, float], ...], count: int) -> list[int]:
    """`count` of `points` in which every value, then every pair of values, appears as evenly as it can; greedy.

    Each next point is the one whose values, then whose pairs of values, have been chosen least; ties by the order.
    """
    terms = [list(point.items()) for point in points]
    pairs = [list(itertools.combinations(each, 2)) for each in terms]
    seen: dict[object, int] = {}
    chosen: list[int] = []
    while len(chosen) < count:
        left = [i for i in range(len(points)) if i not in chosen]
        best = min(
            left,
            key=lambda i: (
                sum(4 ** seen.get(each, 0) for each in terms[i]) + sum(4 ** seen.get(each, 0) for each in pairs[i]),
                i,
            ),
        )
        chosen.append(best)
        for each in (*terms[best], *pairs[best]):
            seen[each] = seen.get(each, 0) + 1
    return sorted(chosen)


@lru_cache(maxsize=256)
def grid(structure: str, count: int | None = None) -> Grid:
    """The parameter sets of `structure` that are tried, the same ones every time.

    Parameters
    ----------
    count : 15 to 20; None takes the whole grid where it has at most 20 points, else 18. A grid of fewer than `count`
        points gives all it has, never fewer than 15.

    Raises
    ------
    BadInput
        On an unknown structure or another count.
    """
    points = whole_grid(structure)
    if count is not None and not FEWEST <= count <= MOST:
        raise BadInput(f"The number of parameter sets must lie in {FEWEST} to {MOST}; was {count}.")
    wanted = min(count or (MOST if len(points) <= MOST else USUAL), len(points))
    values = tuple(points[i] for i in _spread_out(points, wanted)) if wanted < len(points) else points
    parts = STRUCTURES[structure]
    strikes = [_STRIKES[structure](each) for each in values]
    moneyness = np.array([[round(each[part.strike], 12) for part in parts] for each in strikes])
    dte = np.array([[_days(each, part.far) for part in parts] for each in values], dtype=np.int64)
    right = np.array([part.right for part in parts], dtype=np.int8)
    ratio = np.array([part.ratio for part in parts], dtype=np.int64)
    for each in (moneyness, dte, right, ratio):
        each.flags.writeable = False
    return Grid(structure, values, moneyness, dte, right, ratio)


def _days(values: Mapping[str, float], far: bool) -> int:
    return int(values["far_dte" if far else "near_dte"] if "far_dte" in values else values["dte"])


def parameters(structure: str, strike: np.ndarray, dte: np.ndarray, contracts: int) -> dict[str, float]:
    """The named parameters of S0.10 of one position.

    Parameters
    ----------
    strike : (legs,) points. dte : (legs,) calendar days to each leg's expiry, both in the order of `STRUCTURES`.
    """
    if structure not in STRUCTURES:
        raise unknown("structure", structure, STRUCTURES)
    parts = STRUCTURES[structure]
    named = {part.strike: float(each) for part, each in zip(parts, strike, strict=True)}
    if structure in (IRON_CONDOR, IRON_BUTTERFLY):
        named = {"center_strike": (named["short_put"] + named["short_call"]) / 2, **named}
    if any(part.far for part in parts):
        days = {("far_dte" if part.far else "near_dte"): int(each) for part, each in zip(parts, dte, strict=True)}
    else:
        days = {"dte": int(dte[0])}
    return {**named, **days, "contracts": int(contracts)}
