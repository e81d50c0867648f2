"""Assessments, kept for a while: the key of the cache holds everything that changes an answer."""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import orjson

from openbell.app.api.metrics import Metrics
from openbell.app.api.ports import Arms, Cache, Gates
from openbell.core.assessment import Answer, Asked, Assessment
from openbell.store.assignments import Assignment

_FIELDS = tuple(each.name for each in dataclasses.fields(Assessment))


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked; `assignment` is given where the arm is settled already."""

    asked: Asked
    assignment: Assignment | None = None


@dataclass(frozen=True, slots=True)
class Assessed:
    """An assessment, whether it and its features came out of the cache, who was asked, and which arm answered."""

    said: Assessment
    from_cache: bool
    made_of: str
    assignment: Assignment | None = None


@dataclass(frozen=True, slots=True)
class CachedGate:
    """The gate behind its cache; to be called in a thread, since a shared cache is a call over the network.

    Other models, thresholds, settings or code are other keys. Features are of the minute they are
    asked in, so the key holds the `feature_seconds` that the question falls into, and an answer is kept no longer.
    """

    gates: Gates
    arms: Arms
    cache: Cache
    metrics: Metrics
    feature_seconds: float
    prediction_seconds: float

    def assess(self, questions: Sequence[Question]) -> list[Assessed]:
        """One answer for each question, in order; what is not in the cache is assessed in one call."""
        gate, made_of = self.gates.current()
        arms = self._arms(questions)
        asked = [
            each.asked if arm is None else dataclasses.replace(each.asked, arm=arm.arm)
            for each, arm in zip(questions, arms, strict=True)
        ]
        keys = [self.key(each, made_of) for each in asked]
        found = [self._kept(key, each) for key, each in zip(keys, asked, strict=True)]
        missing = [place for place, said in enumerate(found) if said is None]
        fresh: dict[int, Assessment] = {}
        if missing:
            self.metrics.batch_size.observe(len(missing))
            fresh = dict(zip(missing, gate.assess([asked[place] for place in missing]), strict=True))
        for place, said in fresh.items():
            self._keep(keys[place], said)
        for said in found:
            self.metrics.looked("features", said is not None)
            self.metrics.looked("predictions", said is not None)
        return [
            Assessed(said or fresh[place], said is not None, made_of, arms[place]) for place, said in enumerate(found)
        ]

    def _arms(self, questions: Sequence[Question]) -> list[Assignment | None]:
        """The arm of each question that names its trade."""
        open_ids = {
            each.asked.trade_id for each in questions if each.asked.trade_id is not None and each.assignment is None
        }
        assigned = self.arms.assigned(sorted(open_ids)) if open_ids else {}
        return [each.assignment or assigned.get(each.asked.trade_id or "") for each in questions]

    def key(self, asked: Asked, made_of: str) -> str:
        """The digest of the whole order, what was said beside it, the market it meets, the arm, and who answers."""
        part = 0 if self._seconds <= 0 else int(asked.at.timestamp() // self.feature_seconds)
        told = orjson.dumps([asked.ticket, asked.prophecy, asked.market, asked.arm, made_of, part])
        return f"prediction:{hashlib.sha256(told).hexdigest()}"

    @property
    def _seconds(self) -> float:
        return min(self.feature_seconds, self.prediction_seconds)

    def _kept(self, key: str, asked: Asked) -> Assessment | None:
        content = self.cache.get(key) if self._seconds > 0 else None
        said = None if content is None else read(content)
        if said is None:
            return None
        age = None if asked.market is None else (asked.at - asked.market.observed_at).total_seconds()
        return dataclasses.replace(said, at=asked.at, trade_id=asked.trade_id, data_age_seconds=age)

    def _keep(self, key: str, said: Assessment) -> None:
        if self._seconds > 0:
            self.cache.put(key, written(said), self._seconds)


def written(said: Assessment) -> bytes:
    """`said` as JSON."""
    return orjson.dumps({name: _plain(getattr(said, name)) for name in _FIELDS})


def read(content: bytes) -> Assessment | None:
    """The assessment that `written` wrote; None where it is another version's."""
    try:
        told: dict[str, Any] = orjson.loads(content)
        if set(told) != set(_FIELDS):
            return None
        return Assessment(
            **told
            | {
                "at": dt.datetime.fromisoformat(told["at"]),
                "answer": Answer(told["answer"]),
                "why": tuple(told["why"]),
                "breakevens": tuple(told["breakevens"]),
                "level_weights": MappingProxyType(told["level_weights"]),
                "features": MappingProxyType(told["features"]),
            }
        )
    except (ValueError, TypeError, KeyError):
        return None


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, (dict, MappingProxyType)) else value
