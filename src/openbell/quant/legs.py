"""An option position as arrays, one entry per leg; the order of the legs carries no meaning."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from openbell.core.errors import BadInput
from openbell.core.types import Right, Structure

CALL, PUT, UNDERLYING = 1, -1, 0


@dataclass(frozen=True, slots=True, eq=False)
class Legs:
    """Signed legs of one underlying.

    Attributes
    ----------
    right : (n,) int8, +1 call, -1 put, 0 the underlying itself (then `strike` is 0).
    strike : (n,) points. ratio : (n,) int64, positive long, negative short, never 0.
    expiry : (n,) datetime64[D]; NaT for the underlying.
    """

    right: np.ndarray
    strike: np.ndarray
    ratio: np.ndarray
    expiry: np.ndarray

    def __post_init__(self) -> None:
        n = len(self.right)
        if n == 0:
            raise BadInput("A position needs at least one leg; it had none.")
        for name in ("strike", "ratio", "expiry"):
            if len(getattr(self, name)) != n:
                raise BadInput(f"`{name}` must have one entry per leg ({n}); had {len(getattr(self, name))}.")
        if np.any(self.ratio == 0):
            raise BadInput("A leg with ratio 0 is no leg; write a signed whole number.")
        options = self.right != UNDERLYING
        bad = self.strike[options & ~(self.strike > 0)]
        if len(bad):
            raise BadInput(f"A strike must be above 0; was {bad[0]}.")

    @classmethod
    def of(cls, structure: Structure) -> Legs:
        """The arrays of `structure`."""
        rights = {Right.CALL: CALL, Right.PUT: PUT, None: UNDERLYING}
        terms = [leg.instrument for leg in structure.legs]
        return cls(
            right=np.array([rights[each.right] for each in terms], dtype=np.int8),
            strike=np.array([each.strike or 0.0 for each in terms], dtype=np.float64),
            ratio=np.array([leg.ratio for leg in structure.legs], dtype=np.int64),
            expiry=np.array([each.expiry for each in terms], dtype="datetime64[D]"),
        )

    def take(self, chosen: np.ndarray) -> Legs:
        """The legs that `chosen` (a mask or places, at least one) names."""
        return Legs(self.right[chosen], self.strike[chosen], self.ratio[chosen], self.expiry[chosen])

    @property
    def options(self) -> np.ndarray:
        """(n,) which legs are options, not the underlying itself."""
        return np.asarray(self.right != UNDERLYING)


def netted(legs: Legs) -> Legs:
    """One leg per contract, in one order whatever the order of `legs`; what cancels itself is gone.

    Sorted by expiry, strike and right, the underlying first, so that sums over the legs are the same to the last bit.
    A position of which nothing is left is refused.
    """
    days = np.where(legs.options, legs.expiry, np.datetime64("0001-01-01")).astype("datetime64[D]").astype(np.int64)
    order = np.lexsort((legs.right, legs.strike, days))
    sorted_keys = np.stack([days[order].astype(np.float64), legs.strike[order], legs.right[order].astype(np.float64)])
    first = np.concatenate([[True], np.any(np.diff(sorted_keys, axis=1) != 0, axis=0)])
    ratio = np.bincount(np.cumsum(first) - 1, weights=legs.ratio[order]).astype(np.int64)
    kept = order[first][ratio != 0]
    if not len(kept):
        raise BadInput("The legs cancel each other, so there is no position left. Leave out what is bought and sold.")
    return Legs(legs.right[kept], legs.strike[kept], ratio[ratio != 0], legs.expiry[kept])
