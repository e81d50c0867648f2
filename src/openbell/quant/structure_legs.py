"""The legs of a named structure from its strikes and expiries."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import numpy as np

from openbell.core.errors import BadInput, unknown
from openbell.quant.legs import Legs
from openbell.quant.structures import BEAR_PUT_SPREAD, DIAGONAL_SPREAD, STRUCTURES


def strike_names(structure: str) -> tuple[str, ...]:
    """The names of the strikes of `structure`, from the lowest to the highest as a sound one has them.

    A diagonal names the bought strike first, whichever is higher.
    """
    if structure not in STRUCTURES:
        raise unknown("structure", structure, STRUCTURES)
    names = tuple(dict.fromkeys(part.strike for part in STRUCTURES[structure]))
    return names[::-1] if structure in (BEAR_PUT_SPREAD, DIAGONAL_SPREAD) else names


def legs_of(structure: str, strikes: Sequence[float], expiries: Sequence[dt.date]) -> Legs:
    """One unit of `structure`, its legs in the order of `STRUCTURES`.

    Parameters
    ----------
    strikes : as many as the structure has, in any order: the lowest takes the lowest place. A diagonal is the
        exception: the bought strike comes first. An iron butterfly may name its middle strike once or twice.
    expiries : one; two, the near one sold, for calendars and diagonals.

    Raises
    ------
    BadInput
        On an unknown structure, or another number of strikes or expiries.
    """
    names = strike_names(structure)
    given = list(strikes) if structure == DIAGONAL_SPREAD else sorted(strikes)
    if structure == "IRON_BUTTERFLY" and len(given) == 3:
        given.insert(1, given[1])
    if len(given) != len(names):
        raise BadInput(
            f"The structure {structure} has {len(names)} strike{'s' if len(names) > 1 else ''} ({', '.join(names)}); "
            f"{len(given)} were given."
        )
    parts = STRUCTURES[structure]
    days = sorted(set(expiries))
    wanted = 2 if any(part.far for part in parts) else 1
    if len(days) != wanted:
        raise BadInput(
            f"The structure {structure} has {wanted} expir{'ies, the near and the far' if wanted > 1 else 'y'}; "
            f"{len(days)} were given."
        )
    strike = dict(zip(names, given, strict=True))
    return Legs(
        right=np.array([part.right for part in parts], dtype=np.int8),
        strike=np.array([strike[part.strike] for part in parts], dtype=np.float64),
        ratio=np.array([part.ratio for part in parts], dtype=np.int64),
        expiry=np.array([days[-1] if part.far else days[0] for part in parts], dtype="datetime64[D]"),
    )
