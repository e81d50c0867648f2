"""A/B tests: versions of a definition, arms that stand, outcomes by arm; one suite over both databases."""

import datetime as dt
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from openbell.core.errors import BadInput
from openbell.core.experiment import Arm, Definition, arm_of
from openbell.store.assignments import Assignment
from openbell.store.experiments import FRESH_SECONDS, Experiments
from openbell.store.prediction_rows import Kept
from openbell.store.predictions import Predictions

sys.path.insert(0, str(Path(__file__).parent))
from gate_log import AT, LATER, said

DEFINED = Definition("gate", "salt", 0.5, Arm("simple", "v1"), Arm("hierarchy", "v7"))
TRADES = [f"t{number}" for number in range(40)]


class Clock:
    """Stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def tests(journal_url, clock):
    with Experiments.open(journal_url, seconds=clock) as opened:
        yield opened


def answered(assigned: Assignment, id: str | None = None, **other):
    """The prediction of the arm that was assigned."""
    return said(
        id or assigned.trade_id, trade_id=assigned.trade_id, experiment=assigned.experiment,
        experiment_version=assigned.version, arm=assigned.arm, **other,
    )  # fmt: skip


def test_a_changed_definition_is_a_new_version(tests):
    first = tests.begin(DEFINED, at=AT)
    assert (first.version, first.running, first.definition) == (1, True, DEFINED)
    assert tests.begin(DEFINED, at=LATER) == first
    for number, change in enumerate(
        ({"share": 0.2}, {"salt": "other"}, {"test": Arm("hierarchy", "v8")}, {"control": Arm("price", "v1")}), start=2
    ):
        assert tests.begin(replace(DEFINED, **change), at=LATER).version == number
    assert tests.begin(replace(DEFINED, name="other"), at=AT).version == 1
    versions = [each for each in tests.all() if each.name == "gate"]
    assert [each.running for each in versions] == [False, False, False, False, True]
    assert versions[0] == replace(first, stopped_at=LATER, why_stopped="Its definition changed.")
    assert tests.latest("gate") == versions[-1]
    assert tests.latest("nobody") is None


def test_arms_are_those_of_the_definition_and_no_look_at_the_database_is_needed(tests):
    tests.begin(DEFINED, at=AT)
    assert tests.assigned("nobody", TRADES) == {}
    tests.assigned("gate", [])
    asked = []
    sa.event.listen(tests.database.engine, "before_cursor_execute", lambda *words: asked.append(words[2]))
    assigned = tests.assigned("gate", TRADES)
    assert assigned == {each: Assignment("gate", 1, each, arm_of(each, "salt", 0.5)) for each in TRADES}
    assert asked == []


def test_a_stored_trade_is_never_assigned_again(tests):
    """Kills: a changed share that moves a trade that was answered already."""
    log = Predictions(tests.database)
    tests.begin(replace(DEFINED, share=1.0), at=AT)
    first = tests.assigned("gate", TRADES[:10])
    assert set(log.append([answered(each) for each in first.values()])) == {Kept.NEW}
    tests.begin(replace(DEFINED, share=0.0), at=LATER)
    second = tests.assigned("gate", TRADES)
    assert {each: second[each] for each in TRADES[:10]} == first
    assert {each.arm for each in first.values()} == {"test"}
    assert {(second[each].arm, second[each].version) for each in TRADES[10:]} == {("control", 2)}
    again = answered(Assignment("gate", 2, "t0", "control"), id="again")
    assert log.append([again]) == (Kept.OTHER_ARM,)
    assert tests.keep([Assignment("gate", 2, "t0", "control"), second["t10"]], at=AT) == {
        "t0": first["t0"], "t10": second["t10"],
    }  # fmt: skip


def test_a_stopped_test_assigns_nobody_here_at_once_and_elsewhere_within_seconds(tests, journal_url, clock):
    tests.begin(DEFINED, at=AT)
    with Experiments.open(journal_url, seconds=clock) as elsewhere:
        assert elsewhere.assigned("gate", ["t"])
        assert tests.assigned("gate", ["t"])
        ended = tests.stop("gate", at=LATER, why=" The test arm loses. ")
        assert (ended.running, ended.stopped_at, ended.why_stopped) == (False, LATER, "The test arm loses.")
        assert tests.assigned("gate", ["t"]) == {}
        assert elsewhere.assigned("gate", ["t"])
        clock.now += FRESH_SECONDS
        assert elsewhere.assigned("gate", ["t"]) == {}
    assert tests.stop("gate", at=LATER + dt.timedelta(days=1), why="Again.") == ended
    assert tests.begin(DEFINED, at=LATER) == ended, "a restart of the service does not begin it again"
    assert tests.begin(replace(DEFINED, salt="anew"), at=LATER).running
    with pytest.raises(BadInput, match=r"There is no A/B test `gates`. Did you mean `gate`"):
        tests.stop("gates", at=AT, why="x")
    with pytest.raises(BadInput, match="Say why"):
        tests.stop("gate", at=AT, why=" ")


def test_outcomes_are_by_trade_and_of_one_version(tests):
    """Kills: a retry that counts twice; two keys' trades of one name as one; an open trade as lost."""
    log = Predictions(tests.database)
    tests.begin(DEFINED, at=AT)
    assigned = tests.assigned("gate", ["a", "b", "c"])
    log.append([
        answered(assigned["a"], "a2", at=AT + dt.timedelta(minutes=1), probability=0.9), answered(assigned["a"], "a1"),
        answered(assigned["a"], "theirs", key_id="k2"), answered(assigned["b"], at=AT + dt.timedelta(days=1)),
        said("no test"),
    ])  # fmt: skip
    log.outcome(12.0, known_at=LATER, id="a1")
    found = tests.outcomes("gate")
    assert found.select("trade_id", "key_id", "probability", "win", "profit_usd", "day").rows() == [
        ("a", "k1", 0.6, True, 12.0, AT.date()),
        ("a", "k2", 0.6, None, None, AT.date()),
        ("b", "k1", 0.6, None, None, AT.date() + dt.timedelta(days=1)),
    ]
    assert found["arm"].to_list() == [assigned[each].arm for each in "aab"]
    assert found["outcome_known_at"].to_list() == [LATER, None, None]
    assert found["at"][0] == AT
    tests.begin(replace(DEFINED, salt="anew"), at=LATER)
    assert tests.outcomes("gate").is_empty()
    assert tests.outcomes("gate", 1).equals(found)
    with pytest.raises(BadInput, match="There is no A/B test `x`"):
        tests.outcomes("x")
