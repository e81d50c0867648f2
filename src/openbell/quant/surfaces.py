"""Option prices of one underlying on many sessions, as a few numbers per session."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from openbell.core.errors import BadInput


@dataclass(frozen=True, slots=True, eq=False)
class Surfaces:
    """One surface per session, at its close; row i stands for session i, in order of time.

    Attributes
    ----------
    sessions : (n,) datetime64[D], rising. spot : (n,) closes. settle : (n,) what an AM-settled option expiring that day
        settles on (the open).
    rate, dividend_yield : (n,) per year, continuously compounded.
    parameters : (n, 6) ``SHORT, LONG, REVERSION, RHO, ETA, GAMMA`` of `surface_kernel`; NaN rows have no surface.
    spread : coefficients of the spread model, see `quant.spread_kernel`.
    increment : (n,) distance of listed strikes near the money.
    modelled : (n,) whether the surface comes from the model instead of quotes of that session.
    displacement : points; finite only in markets made without an edge, which are priced by a displaced lognormal whose
        total variance between two sessions is the difference of `clock` ((m,) with m >= n, variance up to each close).
    """

    sessions: np.ndarray
    spot: np.ndarray
    settle: np.ndarray
    rate: np.ndarray
    dividend_yield: np.ndarray
    parameters: np.ndarray
    spread: np.ndarray
    increment: np.ndarray
    modelled: np.ndarray
    displacement: float = float("nan")
    clock: np.ndarray = field(default_factory=lambda: np.empty(0))

    def __post_init__(self) -> None:
        n = len(self.sessions)
        for name in ("spot", "settle", "rate", "dividend_yield", "increment", "modelled"):
            if getattr(self, name).shape != (n,):
                raise BadInput(f"`{name}` must have shape ({n},); had {getattr(self, name).shape}.")
        if self.parameters.shape != (n, 6):
            raise BadInput(f"`parameters` must have shape ({n}, 6); had {self.parameters.shape}.")
        if n and not np.all(np.diff(self.sessions) > np.timedelta64(0, "D")):
            raise BadInput("`sessions` must rise strictly.")
