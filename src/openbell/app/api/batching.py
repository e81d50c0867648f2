"""Questions that wait are assessed together, in threads of their own: nobody waits for company when nobody is there."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Q = TypeVar("Q")
A = TypeVar("A")


@dataclass(frozen=True, slots=True)
class _Waiting(Generic[Q, A]):
    question: Q
    answer: asyncio.Future[A]


@dataclass
class Batcher(Generic[Q, A]):
    """Calls `work` with whatever waits, at most `most` questions at once and `threads` calls at a time.

    An idle thread takes a question at once; while all are busy, questions collect and share the next call. Where a call
    with several questions fails, each is asked alone, so that one bad question fails nobody else's.
    """

    work: Callable[[Sequence[Q]], Sequence[A]]
    threads: int = 1
    most: int = 128
    calls: int = field(default=0, init=False)
    _waiting: deque[_Waiting[Q, A]] = field(default_factory=deque, init=False)
    _busy: int = field(default=0, init=False)
    _pool: ThreadPoolExecutor = field(init=False)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set, init=False)

    def __post_init__(self) -> None:
        self._pool = ThreadPoolExecutor(self.threads, thread_name_prefix="gate")

    async def ask(self, question: Q) -> A:
        """The answer to `question`."""
        answer: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(question, answer))
        self._start()
        return await answer

    async def ask_all(self, questions: Sequence[Q]) -> list[A]:
        """The answers, in order; the first failure is raised."""
        return list(await asyncio.gather(*(self.ask(each) for each in questions)))

    async def close(self) -> None:
        """Finish what was asked, then end the threads."""
        while self._tasks:
            await asyncio.gather(*self._tasks)
        self._pool.shutdown(wait=False)

    def _start(self) -> None:
        if self._busy >= self.threads or not self._waiting:
            return
        self._busy += 1
        # A turn of the loop later, so that what arrives in the same turn (a batch) is in the same call.
        task = asyncio.get_running_loop().create_task(self._serve())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self) -> None:
        try:
            while self._waiting:
                taken: list[_Waiting[Q, A]] = []
                while self._waiting and len(taken) < self.most:
                    each = self._waiting.popleft()
                    if not each.answer.done():  # its caller may have left
                        taken.append(each)
                if taken:
                    await self._together(taken)
        finally:
            self._busy -= 1

    async def _together(self, taken: Sequence[_Waiting[Q, A]]) -> None:
        try:
            answers = await self._call(taken)
        except Exception as failure:
            if len(taken) == 1:
                _fail(taken[0], failure)
                return
            for each in taken:
                await self._together([each])
            return
        for each, answer in zip(taken, answers, strict=True):
            if not each.answer.done():
                each.answer.set_result(answer)

    async def _call(self, taken: Sequence[_Waiting[Q, A]]) -> Sequence[A]:
        self.calls += 1
        questions = [each.question for each in taken]
        answers = await asyncio.get_running_loop().run_in_executor(self._pool, self.work, questions)
        if len(answers) != len(questions):
            raise RuntimeError(f"{len(questions)} questions got {len(answers)} answers.")
        return answers


def _fail(waiting: _Waiting[Q, A], failure: Exception) -> None:
    if not waiting.answer.done():
        waiting.answer.set_exception(failure)
