"""The gate that answers is the newest there is, and the A/B test begins with it."""

import datetime as dt
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest
import structlog
from tests.app.served import AT, Clock

from openbell.app import gate, gate_training
from openbell.app.api import logs
from openbell.app.api.live_gate import LiveGate
from openbell.app.api.worker import StoredArms, begin_test
from openbell.app.home import Home
from openbell.core.errors import DataMissing, IntegrityBroken
from openbell.store.assignments import Assignment


@dataclass
class Training:
    """As `gate_training.GateTraining`, as far as it is looked at here."""

    name: str
    models_: tuple[str, ...] = ("hierarchy", "simple")
    leader: str = "hierarchy"
    payload: dict = field(init=False)

    def __post_init__(self) -> None:
        self.payload = {"training": self.name}
        self.models = SimpleNamespace(models=dict.fromkeys(self.models_))

    def version(self, name: str) -> str:
        return f"{name}@{self.name}"

    def proven(self, name: str) -> bool:
        return name == "hierarchy"


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A home whose latest training is what `world.training` says; `world.opened` counts gates."""
    target = logs.configure("ERROR", str(tmp_path / "log.json"))
    home = Home.open(tmp_path)
    made = SimpleNamespace(home=home, clock=Clock(), training=Training("one"), opened=[], fault=None)

    def opened(_: Home, at: dt.datetime):
        if made.fault is not None:
            raise made.fault
        made.opened.append(at)
        return SimpleNamespace(training=made.training, arms={"control": "simple", "test": "hierarchy"})

    monkeypatch.setattr(gate.Gate, "open", staticmethod(opened))
    monkeypatch.setattr(gate_training, "latest_gate", lambda *_: made.training)
    yield made
    if "predictions" in vars(home):
        home.predictions.close()
    structlog.reset_defaults()
    target.close()


def test_it_is_opened_again_for_a_new_training_and_a_new_session_only(world):
    live = LiveGate(world.home, world.clock.now)
    with pytest.raises(DataMissing, match="being loaded"):
        live.current()
    live.look()
    first = live.current()
    live.look()
    assert (live.current(), len(world.opened)) == (first, 1)
    world.training = Training("two")
    live.look()
    second = live.current()
    world.clock.go(24 * 3600)
    live.look()
    assert len({first[1], second[1], live.current()[1]}) == 3  # other answers, other keys of the cache
    assert [each["version"] for each in live.models()] == ["hierarchy@two", "simple@two"]
    assert [(each["leads"], each["proven"], each["arm"]) for each in live.models()] == [
        (True, True, "test"),
        (False, False, "control"),
    ]


@pytest.mark.parametrize("fault", [IntegrityBroken("A model is not what its hash says."), RuntimeError("x")])
def test_a_training_that_cannot_be_opened_leaves_the_gate_there_is(world, fault):
    live = LiveGate(world.home, world.clock.now)
    world.fault = fault
    live.look()
    with pytest.raises(DataMissing, match="cannot be loaded"):
        live.current()
    world.fault = None
    live.look()
    before = live.current()
    world.training, world.fault = Training("two"), fault
    live.look()
    assert live.current() == before
    world.fault = None
    live.look()
    assert live.current() != before


def test_without_a_training_there_are_no_models_and_no_test(world):
    world.training = None
    live = LiveGate(world.home, world.clock.now, opened=lambda opened: begin_test(world.home, opened))
    live.look()
    assert live.models() == []
    assert world.home.experiments.all() == []


def test_the_test_of_the_settings_begins_and_a_new_training_is_a_new_version(world):
    for training, versions in (("one", 1), ("one", 1), ("two", 2)):
        begin_test(world.home, SimpleNamespace(training=Training(training)))
        assert len(world.home.experiments.all()) == versions
    latest = world.home.experiments.latest("gate")
    assert (latest.definition.control.version, latest.definition.test.model) == ("simple@two", "hierarchy")
    begin_test(world.home, SimpleNamespace(training=Training("three", models_=("hierarchy",))))
    assert len(world.home.experiments.all()) == 2  # an arm that nobody trained cannot answer


def test_a_test_that_somebody_stopped_is_not_begun_again_by_itself(world):
    begin_test(world.home, SimpleNamespace(training=Training("one")))
    world.home.experiments.stop("gate", at=AT, why="Enough.")
    begin_test(world.home, SimpleNamespace(training=Training("two")))
    assert not world.home.experiments.latest("gate").running
    assert StoredArms(world.home.experiments).assigned(["t"]) == {}


def test_arms_are_the_stored_ones(world):
    begin_test(world.home, SimpleNamespace(training=Training("one")))
    arms = StoredArms(world.home.experiments)
    found = arms.assigned([f"t{number}" for number in range(40)])
    assert {each.arm for each in found.values()} == {"control", "test"}
    kept = arms.standing(Assignment("gate", 1, "t0", "test"))
    other = Assignment("gate", 1, "t0", "control")
    assert arms.standing(other) == kept != other
