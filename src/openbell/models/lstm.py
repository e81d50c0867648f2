"""A recurrent network over the latest rows of each symbol, PyTorch (extra ``lstm``)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from openbell.core.declare import model
from openbell.core.errors import BadInput, FeatureUnavailable
from openbell.models.inner_folds import latest_fold
from openbell.quant.recurrent import WINDOWS_AT_ONCE, Recurrent, Windows, network, torch_library, windows

_SEARCH = {
    "hidden_size": {"choices": [32, 64, 128]},
    "dropout": {"low": 0.0, "high": 0.5},
    "learning_rate": {"low": 1e-4, "high": 1e-2, "log": True},
}
#: Gradients longer than this are shortened to it, without which a recurrent network may blow up.
MAX_GRADIENT_NORM = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """What a network is trained on: tensors of all rows, and which windows are which."""

    features: Any
    target: Any
    weight: Any
    found: Windows
    classes: int

    def batch(self, torch: Any, which: np.ndarray) -> tuple[Any, Any, Any]:
        """Windows, shape (b, sequence, p), with target and weight of their last rows; gathered only now."""
        index = torch.from_numpy(self.found.index(which)).to(self.features.device)
        last = index[:, -1]
        return self.features[index], self.target[last], self.weight[last]

    def loss(self, torch: Any, output: Any, target: Any, weight: Any) -> Any:
        """Weighted sum of the losses: cross-entropy, or the squared error of the standardised target."""
        if self.classes:
            each = torch.nn.functional.cross_entropy(output, target, reduction="none")
        else:
            each = (output[:, 0] - target) ** 2
        return (each * weight).sum()


class _Training:
    """Trains one network. All chance comes from its own generator, so that fits in other threads change nothing."""

    def __init__(self, settings: Any, rows: _Rows, outputs: int) -> None:
        self.torch, self.settings, self.rows = torch_library(), settings, rows
        self.chance = self.torch.Generator().manual_seed(settings.seed)
        self.net = network(self.torch, rows.features.shape[1], settings.hidden_size, outputs)
        bound = settings.hidden_size**-0.5  # the law by which PyTorch itself draws both layers
        for values in self.net.parameters():
            self.torch.nn.init.uniform_(values, -bound, bound, generator=self.chance)
        self.net.to(rows.features.device)
        self.optimiser = self.torch.optim.Adam(self.net.parameters(), lr=settings.learning_rate)

    def _output(self, batch: Any, *, dropout: float = 0.0) -> Any:
        hidden = self.net["lstm"](batch)[1][0][-1]
        if dropout > 0:
            kept = self.torch.rand(hidden.shape, generator=self.chance) >= dropout
            hidden = hidden * kept.to(hidden.device) / (1.0 - dropout)
        return self.net["head"](hidden)

    def _step(self, which: np.ndarray) -> None:
        batch, target, weight = self.rows.batch(self.torch, which)
        output = self._output(batch, dropout=self.settings.dropout)
        self.optimiser.zero_grad()
        (self.rows.loss(self.torch, output, target, weight) / weight.sum()).backward()
        self.torch.nn.utils.clip_grad_norm_(self.net.parameters(), MAX_GRADIENT_NORM)
        self.optimiser.step()

    def _mean_loss(self, which: np.ndarray) -> float:
        total = weights = 0.0
        with self.torch.no_grad():
            for start in range(0, len(which), WINDOWS_AT_ONCE):
                batch, target, weight = self.rows.batch(self.torch, which[start : start + WINDOWS_AT_ONCE])
                total += float(self.rows.loss(self.torch, self._output(batch), target, weight))
                weights += float(weight.sum())
        return total / weights

    def run(self, earlier: np.ndarray, later: np.ndarray) -> tuple[dict[str, np.ndarray], int]:
        """Weights of the epoch with the least loss on the `later` windows, and its number."""
        best, best_at, kept = np.inf, 0, self._tensors()
        for epoch in range(1, self.settings.epochs + 1):
            shuffled = earlier[self.torch.randperm(len(earlier), generator=self.chance).numpy()]
            for start in range(0, len(shuffled), self.settings.batch_size):
                self._step(shuffled[start : start + self.settings.batch_size])
            loss = self._mean_loss(later)
            if not np.isfinite(loss):
                raise BadInput(
                    f"The LSTM's loss became {loss} in epoch {epoch}. Its features must be of the order of 1, as ranks "
                    "are; or choose a smaller `learning_rate`."
                )
            if loss < best:
                best, best_at, kept = loss, epoch, self._tensors()
            elif epoch - best_at >= self.settings.patience:
                break
        return kept, best_at

    def _tensors(self) -> dict[str, np.ndarray]:
        return {name: values.detach().cpu().numpy().copy() for name, values in self.net.state_dict().items()}


def _device(torch: Any, wanted: str) -> str:
    there = bool(torch.cuda.is_available())
    if wanted == "auto":
        return "cuda" if there else "cpu"
    if wanted not in ("cpu", "cuda"):
        raise BadInput(f"`device` must be cpu, cuda or auto; was {wanted!r}.")
    if wanted == "cuda" and not there:
        raise FeatureUnavailable(
            "The LSTM was asked to train on a GPU, and PyTorch finds none. Say device=auto or cpu."
        )
    return wanted


@cache
def _estimators() -> tuple[type[Any], type[Any]]:
    """Regressor and classifier; defined on first use, for scikit-learn takes a second to import."""
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
    from sklearn.utils.validation import check_is_fitted

    class Lstm(BaseEstimator):
        """What both share; ``_target`` gives codes or standardised values, with classes, centre and scale."""

        def __init__(
            self,
            *,
            sequence_length: int = 50,
            hidden_size: int = 64,
            dropout: float = 0.2,
            learning_rate: float = 1e-3,
            batch_size: int = 32,
            epochs: int = 100,
            patience: int = 10,
            validation_fraction: float = 0.2,
            gap: int = 5,
            seed: int = 42,
            device: str = "cpu",
        ) -> None:
            self.sequence_length, self.hidden_size, self.dropout = sequence_length, hidden_size, dropout
            self.learning_rate, self.batch_size, self.epochs = learning_rate, batch_size, epochs
            self.patience, self.validation_fraction, self.gap = patience, validation_fraction, gap
            self.seed, self.device = seed, device

        def fit(
            self, X: Any, y: Any, sample_weight: Any = None, *, t: Any = None, symbol: Any = None, known_at: Any = None
        ) -> Any:
            """Train on the earlier moments and stop by the later ones; `t` and `symbol` order the rows."""
            torch = torch_library()
            if t is None or symbol is None:
                raise BadInput("The LSTM reads the rows of a symbol in their order: hand in `t` and `symbol`.")
            found = windows(np.asarray(t), np.asarray(symbol), self.sequence_length)
            weight = np.ones(len(X)) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
            earlier, later = self._split(found, np.asarray(t), weight, known_at)
            target, classes, centre, scale = self._target(np.asarray(y), found.rows[earlier])
            device = _device(torch, self.device)
            rows = _Rows(
                features=torch.from_numpy(np.nan_to_num(np.asarray(X, dtype=np.float32), nan=0.0)).to(device),
                target=torch.from_numpy(target).to(device),
                weight=torch.from_numpy((weight / weight[found.rows[earlier]].mean()).astype(np.float32)).to(device),
                found=found,
                classes=classes,
            )
            tensors, self.n_iter_ = _Training(self, rows, max(classes, 1)).run(earlier, later)
            shape = {"features": rows.features.shape[1], "hidden_size": self.hidden_size}
            self.predictor_ = Recurrent(
                **shape,
                sequence_length=self.sequence_length,
                classes=classes,
                centre=centre,
                scale=scale,
                spacing=found.spacing,
                tensors=tensors,
            )
            return self

        def _split(
            self, found: Windows, t: np.ndarray, weight: np.ndarray, known_at: Any
        ) -> tuple[np.ndarray, np.ndarray]:
            """Windows to train on and windows to stop by; a row without weight is neither."""
            which = np.flatnonzero(weight[found.rows] > 0)
            if not len(which):
                raise FeatureUnavailable(
                    f"No symbol has the {self.sequence_length} rows that the LSTM reads at once. Give a longer "
                    "history, or a smaller `sequence_length`."
                )
            last = found.rows[which]
            known = None if known_at is None else np.asarray(known_at)[last]
            earlier, later = latest_fold(t[last], self.validation_fraction, known_at=known, gap=self.gap)
            return which[earlier], which[later]

    class LstmRegressor(RegressorMixin, Lstm):
        """Scores; the target is standardised by the rows that are trained on."""

        def _target(self, y: np.ndarray, earlier: np.ndarray) -> tuple[np.ndarray, int, float, float]:
            centre, spread = float(y[earlier].mean()), float(y[earlier].std())
            scale = spread if spread > 0 else 1.0
            return ((y - centre) / scale).astype(np.float32), 0, centre, scale

        def predict(self, X: Any, *, t: Any, symbol: Any) -> np.ndarray:
            """See `quant.recurrent.Recurrent.predict`."""
            check_is_fitted(self, "predictor_")
            return self.predictor_.predict(np.asarray(X), t=np.asarray(t), symbol=np.asarray(symbol))

    class LstmClassifier(ClassifierMixin, Lstm):
        """Probabilities of classes."""

        def _target(self, y: np.ndarray, earlier: np.ndarray) -> tuple[np.ndarray, int, float, float]:
            self.classes_, codes = np.unique(y, return_inverse=True)
            return codes.astype(np.int64), len(self.classes_), 0.0, 1.0

        def predict_proba(self, X: Any, *, t: Any, symbol: Any) -> np.ndarray:
            """See `quant.recurrent.Recurrent.predict_proba`."""
            check_is_fitted(self, "predictor_")
            return self.predictor_.predict_proba(np.asarray(X), t=np.asarray(t), symbol=np.asarray(symbol))

    return LstmRegressor, LstmClassifier


@model(search=_SEARCH, handles_missing=True, sequential=True)
def lstm(
    *,
    sequence_length: int = 50,
    hidden_size: int = 64,
    dropout: float = 0.2,
    learning_rate: float = 1e-3,
    batch_size: int = 32,
    epochs: int = 100,
    patience: int = 10,
    validation_fraction: float = 0.2,
    gap: int = 5,
    seed: int = 42,
    device: str = "cpu",
) -> Any:
    """LSTM on the last rows of a symbol; it abstains where there are fewer. A missing value counts as 0.

    It stops where the loss on the last `validation_fraction` of the training moments is least; `gap` moments between
    the two are left out, or, where it is told when labels became known, those not known by then. `dropout` is that of
    the last hidden state. On a GPU (`device` auto or cuda) the bits are not promised to be the same again.

    References
    ----------
    Hochreiter and Schmidhuber (1997), Neural Computation 9, 1735-1780.
    """
    return _estimators()[0](**locals())


@model(search=_SEARCH, handles_missing=True, sequential=True, task="classification")
def lstm_classifier(
    *,
    sequence_length: int = 50,
    hidden_size: int = 64,
    dropout: float = 0.2,
    learning_rate: float = 1e-3,
    batch_size: int = 32,
    epochs: int = 100,
    patience: int = 10,
    validation_fraction: float = 0.2,
    gap: int = 5,
    seed: int = 42,
    device: str = "cpu",
) -> Any:
    """LSTM for classes (S3.11); as `lstm`, with the cross-entropy as its loss.

    References
    ----------
    Hochreiter and Schmidhuber (1997), Neural Computation 9, 1735-1780.
    """
    return _estimators()[1](**locals())
