"""A model of the signals desk: its members, what each says, and a vote that is calibrated whoever is missing."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from openbell.core.declare import Model
from openbell.core.errors import BadInput, unknown
from openbell.core.signal import LABELS
from openbell.quant.calibration import Calibrator
from openbell.quant.conformal import Sets
from openbell.research.inner import aligned
from openbell.research.signal_ranks import Ranks
from openbell.store.artifacts import FittedModel
from openbell.store.predictors import outputs
from openbell.store.trials import Trial

#: The candidate that knows nothing but how often each class happened in training.
BASE_RATE = "base_rate"


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """A declared classifier with its parameters (over the defaults) and its weight in the vote, above 0."""

    model: Model
    parameters: Mapping[str, Any] = field(default_factory=dict)
    weight: float = 1.0

    @property
    def name(self) -> str:
        """Its registered name."""
        return self.model.name


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """What may be trained: one classifier, or several that vote."""

    name: str
    members: tuple[Member, ...]


def candidate(
    name: str,
    models: Mapping[str, Model],
    *,
    weights: Sequence[float] | None = None,
    parameters: Mapping[str, Mapping[str, Any]] | None = None,
    called: str | None = None,
) -> Candidate:
    """The candidate `name`: a classifier of `models`, one that is made of members (``voting``), or ``base_rate``.

    Parameters
    ----------
    weights : of the members of a vote, none below 0; None takes those of its declaration. A member of weight 0 is left
        out. parameters : by member, over the defaults. called : another name for it, for example of a tuned one.
    """
    known = {**models, BASE_RATE: _base_rate()}
    usable = [each for each, model in known.items() if model.task == "classification"]
    if name not in usable:
        raise unknown("candidate of the signals desk", name, usable)
    own, declared = parameters or {}, known[name]
    if not declared.members:
        return Candidate(called or name, (Member(declared, dict(own.get(name, {}))),))
    given = tuple(weights if weights is not None else declared.settings.get("weights", (1.0,) * len(declared.members)))
    if len(given) != len(declared.members) or not all(math.isfinite(w) and w >= 0 for w in given) or not sum(given) > 0:
        raise BadInput(
            f"The weights of `{name}` are one for each of {', '.join(declared.members)}, none below 0 and not all 0; "
            f"were {given}."
        )
    members = [
        Member(known[each], dict(own.get(each, {})), weight)
        for each, weight in zip(declared.members, given, strict=True)
        if weight > 0
    ]
    return Candidate(called or name, tuple(members))


def _base_rate() -> Model:
    return Model(
        name=BASE_RATE,
        module=__name__,
        doc="The share of each class among the training rows: what every other candidate has to beat.",
        settings={},
        build=build_base_rate,
        handles_missing=True,
        task="classification",
    )


def build_base_rate() -> Any:
    """The estimator, scikit-learn's own."""
    from sklearn.dummy import DummyClassifier

    return DummyClassifier(strategy="prior")


def trials_of(candidates: Sequence[Candidate], *, desk: str, data: str) -> list[Trial]:
    """What is to be recorded before any of `candidates` is fitted: each classifier, and each vote, once."""
    from openbell.research.fitting import fingerprint

    found: dict[str, Trial] = {}
    for each in candidates:
        marks = [fingerprint(member.model, member.parameters) for member in each.members]
        named = [(member.name, mark, dict(member.parameters)) for member, mark in zip(each.members, marks, strict=True)]
        if len(marks) > 1:
            weights = [member.weight for member in each.members]
            named.append((each.name, digest_of(marks, weights), {"weights": weights}))
        for name, mark, parameters in named:
            found[mark] = Trial(
                desk=desk, kind="candidate", name=name, fingerprint=mark, data=data, parameters=parameters
            )
    return list(found.values())


def digest_of(marks: Sequence[str], weights: Sequence[float]) -> str:
    """Hash of a vote: its members and how they are weighted."""
    from openbell.core.hashing import digest

    return digest({"vote": list(marks), "weights": list(weights)})


@dataclass(frozen=True, slots=True, eq=False)
class Vote:
    """What a vote says of n rows.

    Attributes
    ----------
    probabilities : calibrated, of SELL, HOLD and BUY, shape (n, 3); NaN where no member was heard.
    in_set : whether each class is in the conformal set, shape (n, 3); nothing is where no member was heard.
    heard : which members took part, shape (n, k), in the order of the model's members.
    """

    probabilities: np.ndarray
    in_set: np.ndarray
    heard: np.ndarray


def subsets(names: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Every way in which at least one of `names` is there."""
    for count in range(1, len(names) + 1):
        yield from itertools.combinations(names, count)


def together(names: Sequence[str]) -> str:
    """What a subset is kept under."""
    return "+".join(names)


def soft_vote(said: Sequence[np.ndarray], weights: Sequence[float]) -> np.ndarray:
    """Weighted mean of probabilities of shape (n, 3), each row summing to 1."""
    mean = np.tensordot(np.asarray(weights, dtype=np.float64) / sum(weights), np.stack(said), axes=1)
    return np.asarray(mean / mean.sum(axis=1, keepdims=True))


@dataclass(frozen=True, eq=False)
class SignalModel:
    """A fitted candidate.

    Attributes
    ----------
    name : of the candidate. members, weights : by registered name. features : columns that it reads, in order.
    ranks : turns them into what the members were fitted on. calibrators, sets : by subset of the members that are
        heard (see `together`). coverage : that the conformal sets promise. report : what it was made of, plain values.
    """

    name: str
    members: Mapping[str, FittedModel]
    weights: Mapping[str, float]
    features: tuple[str, ...]
    ranks: Ranks
    calibrators: Mapping[str, Calibrator]
    sets: Mapping[str, Sets]
    coverage: float
    report: Mapping[str, Any] = field(default_factory=dict)

    @property
    def history_rows(self) -> int:
        """Decisions of a symbol that an answer is made of, its own included: 1 without a member that reads sequences.

        They are counted in decisions, as in training, not in bars.
        """
        return max(each.history_rows for each in self.members.values())

    def matrix(self, features: pl.DataFrame) -> np.ndarray:
        """The features by name as the members read them, shape (n, p), Float32, NaN where missing.

        They are rounded to single precision first, as those that the members learned from were.
        """
        return self.ranks.apply(raw_matrix(features, self.features, self.name).astype(np.float32))

    def say(self, name: str, features: pl.DataFrame | np.ndarray, keys: pl.DataFrame | None = None) -> np.ndarray:
        """What the member `name` says on its own, uncalibrated: shape (n, 3), NaN rows where it abstains.

        A class that never happened in its training has the probability 0.

        Parameters
        ----------
        features : columns by name (others are not read), or what `matrix` gave of them, to ask several members.
        keys : ``t`` (the moment of each row; Int64 in microseconds since 1970, or a Datetime) and ``symbol``, for a
            member that reads sequences: the `history_rows` - 1 decisions before those that are wanted must be among
            them, or it abstains on these.
        """
        if name not in self.members:
            raise unknown(f"member of `{self.name}`", name, self.members)
        fitted = self.members[name]
        matrix = features if isinstance(features, np.ndarray) else self.matrix(features)
        if not len(matrix):
            return np.empty((0, len(LABELS)))
        if not fitted.handles_missing and np.isnan(matrix).any():
            raise BadInput(f"The member `{name}` of `{self.name}` does not handle missing values; there are some.")
        said = outputs(fitted.predictor, matrix, len(fitted.classes), **_where(fitted, keys, len(matrix)))
        if ((said < 0) | (said > 1 + 1e-6) | np.isinf(said)).any():
            raise BadInput(f"The member `{name}` of `{self.name}` gave numbers that are no probabilities.")
        return aligned(said, fitted.classes, LABELS)

    def vote(self, said: Mapping[str, np.ndarray]) -> Vote | None:
        """The calibrated vote of those who are heard, row by row; None where nobody is.

        Parameters
        ----------
        said : by member, what `say` gave, shape (n, 3); a member that is missing altogether has no entry. Calibrator
            and conformal set are those of the very members that are heard in a row.
        """
        strange = [name for name in said if name not in self.members]
        if strange:
            raise unknown(f"member of `{self.name}`", strange[0], self.members)
        rows = {len(each) for each in said.values()}
        if len(rows) > 1:
            raise BadInput(f"The members of `{self.name}` speak of different numbers of rows: {sorted(rows)}.")
        n = rows.pop() if rows else 0
        names = list(self.members)
        heard = np.column_stack([_spoken(said.get(name), n) for name in names])
        if not heard.any():
            return None
        probabilities, in_set = np.full((n, len(LABELS)), np.nan), np.zeros((n, len(LABELS)), dtype=bool)
        for pattern in np.unique(heard[heard.any(axis=1)], axis=0):
            own = (heard == pattern).all(axis=1)
            there = [name for name, is_there in zip(names, pattern, strict=True) if is_there]
            raw = soft_vote([said[name][own] for name in there], [self.weights[name] for name in there])
            probabilities[own] = self.calibrators[together(there)].apply(raw)
            in_set[own] = self.sets[together(there)].of(probabilities[own], confidence=self.coverage)
        return Vote(probabilities, in_set, heard)


#: Up to so many rows are taken out of a frame one by one.
FEW_ROWS = 16


def raw_matrix(features: pl.DataFrame, names: Sequence[str], model: str) -> np.ndarray:
    """The columns `names` by name, Float64, shape (n, p), null as NaN; refuses missing columns and infinite values."""
    there = {name: at for at, name in enumerate(features.columns)}
    missing = [name for name in names if name not in there]
    if missing:
        raise BadInput(
            f"The model `{model}` was fitted on {len(names)} columns; missing here: {', '.join(missing[:10])}"
            f"{f' and {len(missing) - 10} more' if len(missing) > 10 else ''}."
        )
    if features.height <= FEW_ROWS:  # a query over a thousand columns takes milliseconds, whatever its rows
        places = [there[name] for name in names]
        rows = [[row[at] for at in places] for row in features.rows()]
        matrix = np.array(rows, dtype=np.float64).reshape(len(rows), len(places))
    else:
        matrix = features.select(pl.col(list(names)).cast(pl.Float64)).to_numpy()
    infinite = np.isinf(matrix).any(axis=0)
    if infinite.any():
        named = ", ".join(f"`{names[at]}`" for at in np.flatnonzero(infinite))
        raise BadInput(f"The columns {named} hold infinite values; write null.")
    return matrix


def moments(t: pl.Series) -> pl.Series:
    """Moments as Datetime without a zone (UTC), from those with one or from microseconds since 1970."""
    plain = t.cast(pl.Datetime("us")) if t.dtype == pl.Int64 else t.dt.cast_time_unit("us")
    return plain.dt.replace_time_zone(None)


def _where(fitted: FittedModel, keys: pl.DataFrame | None, rows: int) -> dict[str, np.ndarray]:
    if not fitted.sequential:
        return {}
    if keys is None or not {"t", "symbol"} <= set(keys.columns) or keys.height != rows:
        raise BadInput(
            f"The member `{fitted.name}` reads the rows of a symbol in their order: hand in `keys` with the columns "
            f"`t` and `symbol` of the same {rows} rows."
        )
    return {"t": moments(keys["t"]).to_numpy(), "symbol": keys["symbol"].to_numpy()}


def _spoken(said: np.ndarray | None, rows: int) -> np.ndarray:
    return np.zeros(rows, dtype=bool) if said is None else np.isfinite(said).all(axis=1)
