"""What the service does beside answering: the first questions of a new gate, and the tidying of its log."""

import asyncio
import datetime as dt
import gc
from dataclasses import dataclass, field, replace

import pytest
from structlog.testing import capture_logs

from openbell.app.api.tidying import Tidying
from openbell.app.api.warming import settle, warm
from openbell.app.gate import Gate
from openbell.app.home import Home
from openbell.core.errors import StorageFailed

SUNDAY = dt.datetime(2019, 1, 6, 3, 0, tzinfo=dt.UTC)


@dataclass
class Watched:
    """A gate, and what it said."""

    gate: Gate
    said: list = field(default_factory=list)

    def __getattr__(self, name: str):
        return getattr(self.gate, name)

    def assess(self, asked):
        self.said += self.gate.assess(asked)
        return self.said


@pytest.mark.xdist_group("gate")
def test_a_new_gate_has_asked_every_model_it_answers_with(gate_home) -> None:
    """Also on a Sunday, when no price says anything. Kills: models that are read by the first caller."""
    watched = Watched(Gate.open(Home.open(gate_home.path), SUNDAY))
    warm(watched, SUNDAY)
    assert len(watched.said) == 9
    assert all(each.win_probability is not None for each in watched.said)
    assert {each.model_version.partition("@")[0] for each in watched.said if each.arm} == {"hierarchy", "simple"}


@pytest.mark.xdist_group("gate")
def test_a_gate_without_the_models_of_its_arms_or_without_any_can_take_over(gate_home) -> None:
    gate = Gate.open(Home.open(gate_home.path), SUNDAY)
    for other in (replace(gate, arms={"control": "simple", "test": "fallback"}), replace(gate, training=None)):
        watched = Watched(other)
        warm(watched, SUNDAY)
        assert {each.arm for each in watched.said} <= {None, "control"}


def test_what_stays_is_left_alone_and_what_an_earlier_gate_left_is_collected() -> None:
    """Kills: garbage that is frozen for ever."""

    class Left:
        pass

    try:
        gc.disable()
        left = Left()
        left.itself = left
        gc.freeze()
        del left
        settle()
        assert gc.get_freeze_count() > 0
        assert not [each for each in gc.get_objects() if type(each) is Left]
        gc.unfreeze()
        assert not [each for each in gc.get_objects() if type(each) is Left]
    finally:
        gc.unfreeze()
        gc.enable()


class Failing:
    """A database that is away at first."""

    def __init__(self) -> None:
        self.asked = 0

    def tidy(self) -> None:
        self.asked += 1
        if self.asked == 1:
            raise StorageFailed("The disk is full.")


def test_a_failure_to_tidy_is_told_and_it_is_tried_again() -> None:
    database = Failing()

    async def some_time() -> None:
        task = asyncio.get_running_loop().create_task(Tidying(database, 0.001).keep())
        while database.asked < 3:
            await asyncio.sleep(0.001)
        task.cancel()

    with capture_logs() as lines:
        asyncio.run(some_time())
    assert [(each["event"], each["why"]) for each in lines] == [("log not tidied", "The disk is full.")]
