"""What is to be allocated, what is measured on it once, and the base weights that each allocator makes of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from openbell.core.errors import BadInput
from openbell.quant import allocation_convex as convex
from openbell.quant.allocation_hierarchical import hrp
from openbell.quant.allocation_moments import (
    FEWEST_RETURNS,
    SESSIONS_PER_YEAR,
    Floats,
    Moments,
    NotSolved,
    Room,
    grinold_excess_returns,
    measurable,
    moments,
    room_of,
    shrunk_excess_returns,
)
from openbell.quant.weights import equal_weights, inverse_volatility_weights, score_weights, sector_names


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """What is to be allocated. Nothing in it is changed.

    Attributes
    ----------
    returns : daily simple returns, shape (t, n), NaN where missing. scores : shape (n,), in any unit, or None.
    sectors : n names, None where unknown (they count as one sector), or None. gross : the sum aimed at, 0 to 1.
    max_weight, max_sector_weight : caps, in (0, 1]. risk_free_annual : what cash earns.
    volatility : annual, shape (n,), NaN where unknown, for `inverse_volatility`; None measures it on `returns`.
    score_mean, score_deviation : of the cross-section that the names were chosen from; None takes that of the n names.
    symbols : names for sentences; None counts them from 1.
    """

    returns: Floats
    scores: Floats | None = None
    sectors: Sequence[str | None] | None = None
    gross: float = 1.0
    max_weight: float = 0.15
    max_sector_weight: float = 0.30
    risk_free_annual: float = 0.02
    volatility: Floats | None = None
    score_mean: float | None = None
    score_deviation: float | None = None
    symbols: Sequence[str] | None = None

    def __post_init__(self) -> None:
        shape = np.shape(self.returns)
        if len(shape) != 2 or shape[1] < 1:
            raise BadInput(f"`returns` must be a matrix of sessions by names with one name at least; was {shape}.")
        if np.isinf(self.returns).any():
            raise BadInput("A return must be a finite number, or NaN where it is missing; one is infinite.")
        for name in ("scores", "sectors", "volatility", "symbols"):
            value = getattr(self, name)
            if value is not None and len(value) != shape[1]:
                raise BadInput(
                    f"`{name}` must have one entry for each of the {shape[1]} names; there are {len(value)}."
                )
        if self.scores is not None and not np.isfinite(self.scores).all():
            raise BadInput("Every score must be a finite number; a model that abstains leaves the name out.")

    @property
    def count(self) -> int:
        """Number of names."""
        return int(self.returns.shape[1])


class Work:
    """A problem with what is measured on it, at most once."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem

    @cached_property
    def sectors(self) -> list[str] | None:
        """Sectors, the unknown ones named; None where none is known."""
        return sector_names(self.problem.sectors)

    @cached_property
    def usable(self) -> NDArray[np.int64]:
        """Names that can be optimised."""
        return np.flatnonzero(measurable(self.problem.returns))

    @cached_property
    def moments(self) -> Moments:
        """Of the usable names."""
        if not self.usable.size:
            raise NotSolved(f"no name has {FEWEST_RETURNS} returns and a price that moves")
        return moments(self.problem.returns[:, self.usable])

    @cached_property
    def room(self) -> Room:
        """Of the usable names."""
        problem = self.problem
        return room_of(
            self.some_sectors(self.usable),
            len(self.usable),
            problem.gross,
            problem.max_weight,
            problem.max_sector_weight,
        )

    @cached_property
    def volatility(self) -> Floats:
        """Annual, NaN where it is unknown or nothing moves, shape (n,)."""
        if self.problem.volatility is not None:
            known = np.asarray(self.problem.volatility, dtype=np.float64)
            return np.where(np.isfinite(known) & (known > 0), known, np.nan)
        found = np.full(self.problem.count, np.nan)
        if self.usable.size:
            found[self.usable] = self.moments.deviation * np.sqrt(SESSIONS_PER_YEAR)
        return found

    @cached_property
    def digest(self) -> bytes:
        """Hash of all that an allocator without scores reads."""
        problem = self.problem
        told = (self.sectors, problem.gross, problem.max_weight, problem.max_sector_weight, problem.symbols)
        parts = [repr((problem.returns.shape, told)).encode(), np.ascontiguousarray(problem.returns).tobytes()]
        parts.append(self.volatility.tobytes())
        return hashlib.sha256(b"".join(parts)).digest()

    def some_sectors(self, names: NDArray[np.int64]) -> list[str] | None:
        """The sectors of some of the names."""
        return None if self.sectors is None else [self.sectors[at] for at in names]

    # What the memory of answers compares.
    def __eq__(self, other: object) -> bool:
        return isinstance(other, Work) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)


#: The base weights of some of the names, and which.
Base = tuple[NDArray[np.int64], Floats]


def everyone(work: Work) -> NDArray[np.int64]:
    """All names of the problem."""
    return np.arange(work.problem.count)


def _equal(work: Work) -> Base:
    return everyone(work), equal_weights(work.problem.count)


def _score(work: Work) -> Base:
    if work.problem.scores is None:
        raise NotSolved("there are no scores")
    return everyone(work), score_weights(work.problem.scores)


def _inverse_volatility(work: Work) -> Base:
    names = np.flatnonzero(np.isfinite(work.volatility))
    if not names.size:
        raise NotSolved("no name has a volatility")
    return names, inverse_volatility_weights(work.volatility[names])


def _hybrid(work: Work) -> Base:
    names, weights = _inverse_volatility(work)
    return names, weights * _score(work)[1][names]


def _excess(work: Work) -> Floats:
    problem = work.problem
    if problem.scores is None:
        return shrunk_excess_returns(work.moments, problem.risk_free_annual)
    scores = np.asarray(problem.scores, dtype=np.float64)
    mean = float(scores.mean()) if problem.score_mean is None else problem.score_mean
    deviation = float(scores.std()) if problem.score_deviation is None else problem.score_deviation
    if not deviation > 1e-12 * float(np.abs(scores).max()):
        raise NotSolved("all scores are equal, so no expected return differs from another")
    return grinold_excess_returns(work.moments, (scores[work.usable] - mean) / deviation)


def _max_sharpe(work: Work) -> Base:
    return work.usable, convex.max_sharpe(work.moments.covariance, _excess(work), work.room)


def _min_volatility(work: Work) -> Base:
    return work.usable, convex.min_volatility(work.moments.covariance, work.room)


def _risk_parity(work: Work) -> Base:
    return work.usable, convex.risk_parity(work.moments.covariance, work.room)


def _hrp(work: Work) -> Base:
    return work.usable, hrp(work.moments.covariance, work.moments.correlation, min(work.room.name, 1.0))


BASES: Mapping[str, Callable[[Work], Base]] = {
    "equal": _equal,
    "inverse_volatility": _inverse_volatility,
    "score": _score,
    "max_sharpe": _max_sharpe,
    "min_volatility": _min_volatility,
    "hrp": _hrp,
    "risk_parity": _risk_parity,
    "hybrid": _hybrid,
}
