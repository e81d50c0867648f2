"""Inputs of the option formulas: brought to one shape, checked by name and row, and cut into one part per thread."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from openbell.core.errors import BadInput

#: What any option formula takes for one of its inputs.
Numbers = npt.ArrayLike
#: Contracts under which a second thread costs more than it brings.
WORTH_A_THREAD = 2_000
#: Inputs that must lie above 0, and those that may also be 0; any other must only be finite.
_ABOVE_ZERO = frozenset({"spot", "forward", "strike", "discount"})
_NOT_BELOW_ZERO = frozenset({"years", "volatility"})


def aligned(**inputs: Numbers) -> tuple[list[np.ndarray], tuple[int, ...]]:
    """Every input as a contiguous float64 array (n,), and the shape they broadcast to together."""
    arrays = {name: np.asarray(each, dtype=np.float64) for name, each in inputs.items()}
    try:
        shape = np.broadcast_shapes(*(each.shape for each in arrays.values()))
    except ValueError as error:
        told = ", ".join(f"`{name}` {each.shape}" for name, each in arrays.items())
        raise BadInput(f"The inputs must have shapes that broadcast together; they were {told}.") from error
    return [_filled(each, shape) for each in arrays.values()], shape


def _filled(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """`values` in `shape`, flat, copied only where they must be: compiled code is made once, for one layout."""
    whole = values if values.shape == shape else np.broadcast_to(values, shape)
    return np.require(whole, requirements=["C", "W"]).reshape(-1)


def refuse_impossible(inputs: Mapping[str, np.ndarray]) -> None:
    """Raise on the first row that holds something no option has; NaN is not known, and is let through."""
    bad = {name: _impossible(name, each) for name, each in inputs.items()}
    rows = [int(np.argmax(each)) for each in bad.values() if each.any()]
    if not rows:
        return
    row = min(rows)
    name = next(name for name, each in bad.items() if each[row])
    raise BadInput(f"`{name}` must be {_wanted(name)}; row {row} was {inputs[name][row]:g}. Leave such rows out.")


def _impossible(name: str, values: np.ndarray) -> np.ndarray:
    """Where `values` are known and cannot be."""
    if name == "right":
        return np.asarray(~np.isnan(values) & (np.abs(values) != 1.0))
    below = values <= 0.0 if name in _ABOVE_ZERO else values < 0.0 if name in _NOT_BELOW_ZERO else False
    return np.asarray(np.isinf(values) | below)


def _wanted(name: str) -> str:
    """What the input `name` must be, in words."""
    if name == "right":
        return "+1 for a call or -1 for a put"
    return "above 0 and finite" if name in _ABOVE_ZERO else "0 or more" if name in _NOT_BELOW_ZERO else "finite"


def run_in_parts(work: Callable[[int, int], None], count: int, threads: int) -> None:
    """Call `work` with starts and stops that cover `count` contracts, one per thread; kernels hold no lock."""
    if threads < 1:
        raise BadInput(f"`threads` must be at least 1; was {threads}.")
    parts = max(1, min(threads, count // WORTH_A_THREAD))
    if parts == 1:
        return work(0, count)
    edges = [count * at // parts for at in range(parts + 1)]
    with ThreadPoolExecutor(parts) as pool:
        for done in [pool.submit(work, *pair) for pair in itertools.pairwise(edges)]:
            done.result()
    return None
