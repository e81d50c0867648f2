"""A recurrent network over the latest rows of a symbol: the windows that it reads, and what it says of them.

It is kept as plain arrays, so that what trained it, what stores it and what asks it share nothing but this file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from importlib import import_module
from typing import Any

import numpy as np
import polars as pl

from openbell.core.errors import BadInput, FeatureUnavailable

#: Windows that go through the network at once when it is asked.
WINDOWS_AT_ONCE = 2048
#: Rows this many times closer or farther apart than those it was trained on are another kind of series.
SPACING_TOLERANCE = 1.5


def torch_library() -> Any:
    """PyTorch, on one thread like every model here: then a result does not depend on the machine's cores."""
    try:
        torch = import_module("torch")
    except ImportError as failure:
        raise FeatureUnavailable(
            f"The LSTM needs PyTorch, which cannot be had here ({failure}). Install it with `pip install "
            "openbell[lstm]`, or leave out the models that need it."
        ) from failure
    torch.set_num_threads(1)
    return torch


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """Where the windows of `length` rows lie.

    Attributes
    ----------
    order : row numbers sorted by symbol and time, shape (n,). ends : places in `order` where a whole window ends,
        shape (m,); a row with fewer than `length` rows of its symbol up to itself ends none.
    spacing : median distance in time of neighbouring rows of one symbol, in days for dates; 0 where there is none.
    """

    order: np.ndarray
    ends: np.ndarray
    length: int
    spacing: float

    @property
    def rows(self) -> np.ndarray:
        """Row number that each window ends with, shape (m,)."""
        return np.asarray(self.order[self.ends])

    def index(self, which: np.ndarray) -> np.ndarray:
        """Row numbers of the windows `which`, oldest first, shape (len(which), length)."""
        return np.asarray(self.order[self.ends[which][:, None] + np.arange(1 - self.length, 1)])


def windows(t: np.ndarray, symbol: np.ndarray, length: int) -> Windows:
    """Windows of `length` consecutive rows of one symbol in the order of `t`.

    A window counts rows, not days: one that spans a gap in a symbol's rows is read all the same.

    Parameters
    ----------
    t, symbol : of each row, shape (n,), in any order.

    Raises
    ------
    BadInput
        Where a symbol has two rows of one moment, or `length` is below 1.
    """
    if length < 1:
        raise BadInput(f"The sequence length must be at least 1; was {length}.")
    keys = pl.DataFrame({"t": t, "symbol": symbol}, strict=False)
    if keys.null_count().sum_horizontal().item():
        raise BadInput("Every row of a sequence needs its `session` and its `symbol`; some are missing.")
    ordered = keys.with_row_index("row").sort("symbol", "t")
    same = ordered["symbol"] == ordered["symbol"].shift(1)
    step = ordered["t"].diff().filter(same.fill_null(False))
    days = step.dt.total_seconds() / 86_400 if step.dtype == pl.Duration else step.cast(pl.Float64)
    if (days == 0).any():
        raise BadInput("A symbol has two rows of one session; the order of a sequence is then not defined.")
    place = ordered.select(pl.int_range(pl.len()).over("symbol")).to_series()
    median = days.median()
    return Windows(
        order=ordered["row"].to_numpy().astype(np.intp),
        ends=(place >= length - 1).arg_true().to_numpy().astype(np.intp),
        length=length,
        spacing=float(median) if isinstance(median, (int, float)) else 0.0,
    )


def network(torch: Any, features: int, hidden_size: int, outputs: int) -> Any:
    """One LSTM layer and a linear head, without weights yet."""
    lstm = torch.nn.LSTM(features, hidden_size, batch_first=True, device="meta")
    head = torch.nn.Linear(hidden_size, outputs, device="meta")
    return torch.nn.ModuleDict({"lstm": lstm, "head": head}).to_empty(device="cpu")


@dataclass(frozen=True, eq=False)
class Recurrent:
    """A fitted network.

    Attributes
    ----------
    features, hidden_size, sequence_length : its shape. classes : how many; 0 for a regression.
    centre, scale : of the regression's target on its training rows. spacing : see `Windows`, of the training rows.
    tensors : its weights by name.
    """

    features: int
    hidden_size: int
    sequence_length: int
    classes: int
    centre: float
    scale: float
    spacing: float
    tensors: Mapping[str, np.ndarray] = field(repr=False)

    sequential = True

    def predict(self, matrix: np.ndarray, *, t: np.ndarray, symbol: np.ndarray) -> np.ndarray:
        """Scores, shape (n,); NaN for a row with fewer than `sequence_length` rows of its symbol, itself included."""
        return np.asarray(self._outputs(matrix, t, symbol)[:, 0] * self.scale + self.centre)

    def predict_proba(self, matrix: np.ndarray, *, t: np.ndarray, symbol: np.ndarray) -> np.ndarray:
        """Probabilities, shape (n, classes); NaN where `predict` has NaN."""
        from scipy.special import softmax

        return np.asarray(softmax(self._outputs(matrix, t, symbol), axis=1))

    def _outputs(self, matrix: np.ndarray, t: np.ndarray, symbol: np.ndarray) -> np.ndarray:
        torch = torch_library()
        found = windows(t, symbol, self.sequence_length)
        self._check_spacing(found.spacing)
        outputs = np.full((len(matrix), self.tensors["head.bias"].shape[0]), np.nan)
        net = network(torch, self.features, self.hidden_size, outputs.shape[1])
        net.load_state_dict({name: torch.from_numpy(np.array(values)) for name, values in self.tensors.items()})
        rows = torch.from_numpy(np.nan_to_num(np.asarray(matrix, dtype=np.float32), nan=0.0))
        with torch.inference_mode():
            for start in range(0, len(found.ends), WINDOWS_AT_ONCE):
                which = np.arange(start, min(start + WINDOWS_AT_ONCE, len(found.ends)))
                batch = rows[torch.from_numpy(found.index(which))]
                outputs[found.rows[which]] = net["head"](net["lstm"](batch)[1][0][-1]).numpy()
        return outputs

    def _check_spacing(self, spacing: float) -> None:
        if not self.spacing > 0 or not spacing > 0:  # also where there is none
            return
        if max(spacing / self.spacing, self.spacing / spacing) > SPACING_TOLERANCE:
            raise BadInput(
                f"The rows of a symbol are {spacing:g} days apart; this network was trained on rows {self.spacing:g} "
                "days apart. Hand in rows at its own distance, with those before them as context."
            )

    def to_tensors(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """What `from_tensors` makes an equal network of: plain fields, and the arrays."""
        plain = {each.name: getattr(self, each.name) for each in fields(self) if each.name != "tensors"}
        return plain, dict(self.tensors)

    @classmethod
    def from_tensors(cls, plain: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> Recurrent:
        """The network that `to_tensors` took apart."""
        return cls(**plain, tensors=tensors)
