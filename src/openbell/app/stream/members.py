"""The members of a vote, each in a thread of its own: one that fails, or is late, is left out and named."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from openbell.core.errors import BadInput
from openbell.core.signal import CALLS

#: ``(name, features, keys) -> (n, 3)`` raw probabilities of one member, NaN rows where it abstains.
Say = Callable[[str, Any, pl.DataFrame], np.ndarray]
#: How far the probabilities of one row may be from a sum of 1: members answer in single precision.
ROUNDING = 1e-3
#: The first question of all loads libraries; it is asked before the first bar and may take this long.
WARM_SECONDS = 60.0


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """What a member is shown: rows of features with their keys ``t`` and ``symbol``, and which of them are asked.

    `features` are columns by name, or the matrix that the model itself makes of them once for several members.
    """

    features: Any
    keys: pl.DataFrame
    asked: np.ndarray


@dataclass(frozen=True, slots=True)
class Heard:
    """What was said at one moment, (n, 3) by member, and why the others were not heard."""

    said: Mapping[str, np.ndarray]
    missing: Mapping[str, str] = field(default_factory=dict)


class Worker:
    """Answers in a thread of its own, a daemon: one that hangs for ever must not keep the process alive."""

    def __init__(self, name: str, answer: Callable[..., Any]) -> None:
        self._answer = answer
        self._pending: Future[Any] | None = None
        self._questions: queue.SimpleQueue[tuple[tuple[Any, ...], Future[Any]] | None] = queue.SimpleQueue()
        threading.Thread(target=self._serve, name=name, daemon=True).start()

    @property
    def free(self) -> bool:
        """Whether it has answered all it was asked, in time or not."""
        return self._pending is None or self._pending.done()

    def ask(self, *question: Any) -> Future[Any]:
        """Its answer, when it has one."""
        self._pending = Future()
        self._questions.put((question, self._pending))
        return self._pending

    def dismiss(self) -> None:
        """Let its thread end once it has answered."""
        self._questions.put(None)

    def _serve(self) -> None:
        while (item := self._questions.get()) is not None:
            question, answer = item
            try:
                answer.set_result(self._answer(*question))
            except BaseException as failure:  # whatever a library throws, the thread lives and the vote goes on
                answer.set_exception(failure)


class Members:
    """All members of one model.

    Parameters
    ----------
    names : of the members. say : asks one. seconds : what takes longer is left out of the vote of that moment.
    """

    def __init__(self, names: Sequence[str], say: Say, seconds: float) -> None:
        if not names:
            raise BadInput("A vote needs at least one member; there was none.")
        self.seconds = seconds

        def answer(name: str, question: Question) -> np.ndarray:
            return _checked(say(name, question.features, question.keys), question)

        self._members = {name: Worker(f"member {name}", answer) for name in names}

    def ask(self, questions: Mapping[str, Question], seconds: float | None = None) -> Heard:
        """Ask every member its question, all at once, and wait `seconds` at most, by default those of the vote.

        A member that has not answered an earlier question yet is not asked again, so no thread is piled up; what it
        answers late is never used.
        """
        limit = self.seconds if seconds is None else seconds
        asked = {
            name: self._members[name].ask(name, each) for name, each in questions.items() if self._members[name].free
        }
        wait(asked.values(), timeout=limit)
        said, missing = {}, {}
        for name in questions:
            answer = asked.get(name)
            if answer is None:
                missing[name] = "It has not answered an earlier question yet."
            elif not answer.done():
                missing[name] = f"It had no answer within {limit:g} s."
            elif (failure := answer.exception()) is not None:
                missing[name] = sentence(failure)
            else:
                said[name] = answer.result()
        return Heard(said, missing)

    def close(self) -> None:
        """Let the threads end."""
        for each in self._members.values():
            each.dismiss()


def sentence(failure: BaseException) -> str:
    """What a library threw, in one line."""
    told = " ".join(str(failure).split()) or "without a word"
    return f"It failed with {type(failure).__name__}: {told[:200]}"


def _checked(answer: Any, question: Question) -> np.ndarray:
    """The probabilities of the rows that are asked; a row is whole or NaN throughout, which is an abstention."""
    rows = np.asarray(answer, dtype=np.float64)
    if rows.shape != (question.keys.height, len(CALLS)):
        raise BadInput(f"It answered with the shape {rows.shape}, not {(question.keys.height, len(CALLS))}.")
    rows = rows[question.asked]
    silent = np.isnan(rows).all(axis=1)
    if silent.all():
        raise BadInput("It abstained on every symbol, or answered with NaN.")
    told = rows[~silent]
    if not np.isfinite(told).all():
        raise BadInput("It answered with numbers that are not finite.")
    if (told < 0).any() or (np.abs(told.sum(axis=1) - 1.0) > ROUNDING).any():
        raise BadInput("It answered with numbers that are no probabilities.")
    return rows
