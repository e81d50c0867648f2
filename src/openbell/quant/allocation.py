"""How much of each chosen name: one problem, several allocators, and a cascade that always ends in weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from openbell.core.errors import IntegrityBroken, unknown
from openbell.quant.allocation_bases import BASES, Problem, Work
from openbell.quant.allocation_moments import FEWEST_RETURNS, Floats, NotSolved
from openbell.quant.weights import capped

__all__ = [
    "ALIASES",
    "ALLOCATORS",
    "CASCADE",
    "OPTIMISERS",
    "Allocation",
    "Problem",
    "allocate",
    "allocations",
    "allocator_name",
    "check_caps",
]

#: Each allocator and those asked after it where it has no answer. `equal` always has one.
CASCADE: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "equal": (),
        "inverse_volatility": ("equal",),
        "score": ("inverse_volatility", "equal"),
        "max_sharpe": ("min_volatility", "inverse_volatility", "equal"),
        "min_volatility": ("inverse_volatility", "equal"),
        "hrp": ("inverse_volatility", "equal"),
        "risk_parity": ("inverse_volatility", "equal"),
        "hybrid": ("score", "inverse_volatility", "equal"),
    }
)
ALLOCATORS = tuple(CASCADE)
#: Other words for them.
ALIASES: Mapping[str, str] = MappingProxyType(
    {
        "equal_weight": "equal",
        "score_weighted": "score",
        "inverse_vol": "inverse_volatility",
        "pypfopt": "max_sharpe",
        "min_vol": "min_volatility",
    }
)
#: Those that read the returns.
OPTIMISERS = ("max_sharpe", "min_volatility", "hrp", "risk_parity")
#: Those whose answer costs time and does not depend on scores.
_REMEMBERED = frozenset({"min_volatility", "hrp", "risk_parity"})
#: A weight below this share of what is invested is a solver's zero.
_DUST = 1e-6
_EXACT = 1e-9
#: Allocators whose answer holds every cap by itself, and how far it may be from what is returned.
_CONVEX = frozenset({"max_sharpe", "min_volatility", "risk_parity"})
_ROUNDING = 1e-4


@dataclass(frozen=True, slots=True, eq=False)
class Allocation:
    """Weights of the account, shape (n,), not negative, within all caps; the rest is cash.

    `method` is the allocator that was used; `fallback` says why it is not the one that was wanted, or which names it
    had to leave out, and is None where neither happened. `notes` counts what was filled.
    """

    weights: Floats
    method: str
    fallback: str | None = None
    notes: tuple[str, ...] = ()


def allocator_name(name: str) -> str:
    """The allocator that `name` or its alias means; an unknown one is refused with the nearest."""
    known = ALIASES.get(name, name)
    if known not in CASCADE:
        raise unknown("allocator", name, [*ALLOCATORS, *ALIASES])
    return known


def allocate(name: str, problem: Problem) -> Allocation:
    """Weights of `problem` by the allocator `name`, or by the next of its `CASCADE` that has an answer.

    Notes
    -----
    - ``equal``: ``1/n``. ``score``: rises in a straight line with the score, best 3 times worst.
    - ``inverse_volatility``: ``1/s_i``. ``hybrid``: the score weight times that, ``w_i ~ score_weight_i / s_i``.
    - ``min_volatility``, ``max_sharpe``, ``risk_parity``: convex problems on a Ledoit-Wolf covariance, the caps inside
      them. ``hrp``: hierarchical risk parity, the cap on names inside its splits.

    All but the convex ones then fill up to `gross` by `weights.capped`, which also holds the caps on sectors; for the
    convex ones that step only undoes the rounding of the solver. Where caps leave less room than `gross`, the rest is
    cash. A name with fewer than 60 returns, or whose price stands still, is left out by the allocators that read
    returns, and `fallback` names it.
    """
    return allocations((name,), problem)[name]


def allocations(names: Iterable[str], problem: Problem) -> dict[str, Allocation]:
    """`allocate` for several allocators, by the names asked for; what they share is computed once."""
    work = Work(problem)
    return {name: _allocated(allocator_name(name), work) for name in names}


def _allocated(name: str, work: Work) -> Allocation:
    if work.problem.gross == 0.0:
        return Allocation(_frozen(np.zeros(work.problem.count)), name)
    return _remembered(name, work) if name in _REMEMBERED else _cascaded(name, work)


@lru_cache(maxsize=64)
def _remembered(name: str, work: Work) -> Allocation:
    return _cascaded(name, work)


def _cascaded(name: str, work: Work) -> Allocation:
    """The first allocator of the cascade that has an answer which holds every cap."""
    gave_way: list[str] = []
    for method, following in zip((name, *CASCADE[name]), (*CASCADE[name], None), strict=True):
        try:
            names, base = BASES[method](work)
            weights = _held(names, base, work, exact=method in _CONVEX)
        except Exception as failure:
            if following is None:
                raise
            reason = str(failure) if isinstance(failure, NotSolved) else f"{type(failure).__name__}: {failure}"
            gave_way.append(f"`{method}` gave way to `{following}`: {reason.rstrip('.')}.")
            continue
        left_out = _left_out(method, names, work)
        said = " ".join([*gave_way, *([left_out] if left_out else [])])
        return Allocation(_frozen(weights), method, said or None, _notes(method, work))
    raise AssertionError("the cascade ends with a return or a raise")


def _held(names: NDArray[np.int64], base: Floats, work: Work, exact: bool) -> Floats:
    """Weights of all names from the base weights of some, filled up to `gross` under the caps, and checked.

    `exact`: the base holds the caps already, so that nothing but rounding may change.
    """
    problem = work.problem
    if not np.isfinite(base).all() or base.min() < -_DUST:
        raise NotSolved(f"its weights are negative or no finite numbers (lowest {base.min()})")
    base = np.where(base < _DUST * base.sum(), 0.0, base)
    weights = np.zeros(problem.count)
    weights[names] = capped(
        base, work.some_sectors(names), problem.gross, problem.max_weight, problem.max_sector_weight
    )
    if exact and np.abs(weights[names] - base * problem.max_weight / work.room.name).max() > _ROUNDING:
        raise NotSolved("its weights break the caps by more than rounding")
    check_caps(weights, work.sectors, problem.gross, problem.max_weight, problem.max_sector_weight)
    return weights


def check_caps(
    weights: Floats, sectors: Sequence[str] | None, gross: float, max_weight: float, max_sector_weight: float
) -> None:
    """Refuse weights that are negative, no numbers, or above a cap; shape (n,), sectors named."""
    highest = float(weights.max(initial=0.0))
    if not (np.isfinite(weights).all() and weights.min(initial=0.0) >= 0.0):
        raise IntegrityBroken("An allocator gave weights that are negative or no numbers.")
    if highest > max_weight + _EXACT or float(weights.sum()) > gross + _EXACT:
        raise IntegrityBroken(
            f"An allocator gave a weight of {highest} (cap {max_weight}) and {weights.sum()} in all (gross {gross})."
        )
    if sectors is not None:
        sums = np.bincount(np.unique(np.asarray(sectors, dtype=str), return_inverse=True)[1], weights=weights)
        if float(sums.max(initial=0.0)) > max_sector_weight + _EXACT:
            raise IntegrityBroken(f"An allocator gave a sector {sums.max()} under a cap of {max_sector_weight}.")


def _left_out(method: str, names: NDArray[np.int64], work: Work) -> str | None:
    """The sentence that names who could not be weighed, at most five of them."""
    out = np.setdiff1d(np.arange(work.problem.count), names)
    if not out.size:
        return None
    problem = work.problem
    counts = np.isfinite(problem.returns).sum(axis=0)
    called = [problem.symbols[at] if problem.symbols is not None else f"name {at + 1}" for at in out[:5]]
    told = ", ".join(f"{name} ({counts[at]} returns)" for name, at in zip(called, out[:5], strict=True))
    more = f" and {out.size - 5} more" if out.size > 5 else ""
    lacking = "a volatility" if method in ("inverse_volatility", "hybrid") else (
        f"{FEWEST_RETURNS} returns and a price that moves"
    )  # fmt: skip
    return f"`{method}` left out {out.size} of {problem.count} names without {lacking}: {told}{more}."


def _notes(method: str, work: Work) -> tuple[str, ...]:
    if method not in OPTIMISERS or not work.moments.missing:
        return ()
    return (
        f"{work.moments.missing} of {work.moments.deviations.size} returns were missing and count as the mean of their "
        "name in its covariances.",
    )


def _frozen(weights: Floats) -> Floats:
    weights.flags.writeable = False
    return weights
