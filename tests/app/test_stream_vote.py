"""Members of a vote that raise, hang or answer nonsense: the stream goes on, says who was missing, and counts it."""

import threading
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import stream_parts as small

from openbell.app.stream.members import Members, Question
from openbell.app.stream.rings import Rings
from openbell.app.stream.speaking import Speaker
from openbell.core.errors import BadInput
from openbell.core.signal import Call, Signal

FEATURES = pl.DataFrame({"x": [1.0, -1.0]})
KEYS = pl.DataFrame({"t": [1, 1], "symbol": ["AAA", "BBB"]})
QUESTION = Question(FEATURES, KEYS, np.ones(2, dtype=bool))
GOOD = small.probabilities([1.0, -1.0])


def heard(answers, seconds=5.0, asks=1):
    members = Members(tuple(answers), lambda name, *_: answers[name](), seconds)
    found = [members.ask(dict.fromkeys(answers, QUESTION)) for _ in range(asks)]
    members.close()
    return found


def raised():
    raise ValueError("the file is torn")


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (raised, "It failed with ValueError: the file is torn"),
        (lambda: np.full((2, 3), np.nan), "NaN"),
        (lambda: np.where(np.eye(2, 3) > 0, np.inf, 0.2), "not finite"),
        (lambda: np.array([[0.2, np.nan, 0.8], [0.1, 0.2, 0.7]]), "not finite"),
        (lambda: np.array([[0.2, 0.2, 0.8], [0.1, 0.2, 0.7]]), "no probabilities"),
        (lambda: np.array([[-0.2, 0.4, 0.8], [0.1, 0.2, 0.7]]), "no probabilities"),
        (lambda: GOOD[:1], "shape"),
        (lambda: None, "It failed"),
        (lambda: (_ for _ in ()).throw(SystemExit), "SystemExit"),
    ],
)
def test_a_member_that_fails_is_left_out_and_named(answer, why) -> None:
    """Kills: a vote that stops with its member, and nonsense that is averaged in."""
    (found,) = heard({"good": lambda: GOOD, "bad": answer})
    assert list(found.said) == ["good"]
    assert why in found.missing["bad"]


def test_a_row_that_a_member_abstains_on_is_no_failure() -> None:
    """Kills: an LSTM that leaves the vote of all symbols because one of them is new."""
    partly = np.where(np.array([[True], [False]]), GOOD, np.nan)
    (found,) = heard({"partly": lambda: partly})
    assert found.missing == {}
    assert np.isnan(found.said["partly"]).any(axis=1).tolist() == [False, True]


def test_one_that_hangs_is_not_asked_again_until_it_returns() -> None:
    """Kills: a thread piled up at every moment, and a late answer that votes at the next one."""
    release, calls = threading.Event(), []

    def hangs():
        calls.append(1)
        release.wait(30)
        return GOOD[::-1]

    answers = {"slow": hangs, "good": lambda: GOOD}
    members = Members(tuple(answers), lambda name, *_: answers[name](), 0.05)
    first, second = (members.ask(dict.fromkeys(answers, QUESTION)) for _ in range(2))
    assert "within 0.05 s" in first.missing["slow"]
    assert "earlier question" in second.missing["slow"]
    assert len(calls) == 1
    release.set()
    members._members["slow"]._pending.result(30)
    third = members.ask(dict.fromkeys(answers, QUESTION), 30.0)
    assert len(calls) == 2
    assert third.missing == {}
    assert list(second.said) == ["good"]
    members.close()


def test_a_vote_without_members_is_refused() -> None:
    with pytest.raises(BadInput, match="at least one"):
        Members((), lambda *_: GOOD, 1.0)


def test_only_the_rows_that_are_asked_come_back() -> None:
    """A member that reads sequences is shown the past and answers for the last row alone."""
    members = Members(("net",), lambda *_: GOOD, 5.0)
    found = members.ask({"net": Question(FEATURES, KEYS, np.array([False, True]))})
    assert found.said["net"].tolist() == [GOOD[1].tolist()]
    members.close()


# ------------------------------------------------------------------------------------------------- in a running stream


def test_the_stream_goes_on_without_a_broken_member(tmp_path: Path) -> None:
    """The vote is that of the others, the signal names who was missing, and metrics count it at every moment."""
    model = small.Model({"forest": lambda *_: raised()})
    found = small.running(tmp_path, models=[model])
    found.stream.run()
    assert {tuple(each) for each in model.heard} == {("net", "trees")}
    assert found.metrics.by("missing") == {"forest": 12}
    assert found.metrics.by("signals")["BUY"] == 8
    assert {tuple(each["missing"]) for each in found.said} == {("forest",)}
    assert sum("forest" in each for each in found.told) == 1, "a sentence that repeats is told once"
    found.close()


def test_when_all_fail_there_is_no_signal_and_never_an_old_one(tmp_path: Path) -> None:
    """Kills: the last moment's answer used again. The first four moments have answers, the others have none."""
    calls = iter(range(10_000))

    def tires(features, keys):
        if next(calls) >= 12:
            raise ValueError("out of memory")
        return small.probabilities(np.nan_to_num(features[:, 0]))

    model = small.Model(dict.fromkeys(("trees", "forest", "net"), tires))
    found = small.running(tmp_path, models=[model])
    found.stream.run()
    moments = {created for _, created, _, _ in small.stored(found.signals)}
    assert max(moments) <= small.OPENS[0] + 4 * small.MINUTE
    assert found.metrics.by("moments") == {"decided": 12, "silent": 8}
    assert any("Nobody spoke" in each for each in found.told)
    found.close()


def test_a_matrix_that_cannot_be_made_silences_the_moment_not_the_stream(tmp_path: Path) -> None:
    """An infinite feature is refused by the model itself, before any member is asked."""
    model = small.Model()
    model.matrix = lambda frame: raised()
    found = small.running(tmp_path, models=[model])
    found.stream.run()
    assert small.stored(found.signals) == []
    assert found.metrics.by("missing") == {"forest": 12, "net": 12, "trees": 12}
    found.close()


def test_a_sequence_is_shown_the_last_rows_of_its_symbol_in_order(tmp_path: Path) -> None:
    """Kills: rings that mix symbols, and a row of the moment itself that is missing from its window."""
    model = small.Model(rows=4)
    found = small.running(tmp_path, models=[model])
    found.stream.run()
    keys = [keys for name, keys in model.asked if name == "net"][-1]
    ends = [small.OPENS[0] + number * small.MINUTE for number in (9, 10, 11, 12)]
    for symbol in ("AAA", "BBB"):
        own = keys.filter(pl.col("symbol") == symbol)["t"].to_list()
        assert own == [round(each.timestamp() * 1e6) for each in ends]
    plain = [keys for name, keys in model.asked if name == "trees"][-1]
    assert plain.height == 2
    found.close()


def test_a_ring_keeps_the_newest_rows_whether_they_come_one_by_one_or_together() -> None:
    frame = pl.DataFrame(
        {"symbol": ["A", "B", "A", "A", "A"], "as_of": [1, 1, 2, 3, 4], "x": [1.0, 9.0, None, 3.0, 4.0]}
    ).with_columns(pl.col("as_of").cast(pl.Datetime("us", "UTC")))
    whole, single = Rings(["x"], 3), Rings(["x"], 3)
    whole.add(frame)
    for row in range(frame.height):
        single.add(frame[row : row + 1])
    for ring in (whole, single):
        features, keys, latest = ring.windows(["B", "A"])
        assert features["x"].to_list() == [9.0, None, 3.0, 4.0]
        assert keys["t"].to_list() == [1, 2, 3, 4]
        assert latest.tolist() == [True, False, False, True]
    again = Rings(["x"], 3)
    again.from_arrays(whole.to_arrays())
    assert again.windows(["A"])[0].equals(whole.windows(["A"])[0])
    with pytest.raises(BadInput, match="--fresh"):
        Rings(["x"], 4).from_arrays(whole.to_arrays())


def test_reasons_that_are_late_or_fail_cost_no_signal() -> None:
    """Kills: an explanation that a signal waits for for ever, and one asked again while the last one hangs."""
    release = threading.Event()
    model, at = small.Model(), small.OPENS[0]

    def explain(model, features, calls, members):
        if features["x"][0] == 1.0:
            release.wait(30)
        if features["x"][0] == 2.0:
            raise ValueError("torn")
        return [(f"{call} by {'+'.join(members)}",) for call in calls]

    def reasons(x, *, waiting=True):
        made = Signal(
            symbol="A", call=Call.BUY, confidence=0.8, probabilities=(0.1, 0.1, 0.8), price=1.0, created_at=at,
            expires_at=at + small.MINUTE, model_version="toy@1", features={"x": x}, missing=("net",),
        )  # fmt: skip
        return speaker.reasons([made], waiting=waiting)[0][0]

    speaker = Speaker(small.live(model), 0.05, 60.0, explain)
    assert reasons(0.0, waiting=False) == "BUY by trees+forest"
    assert "ValueError" in reasons(2.0)
    assert "within 0.05 s" in reasons(1.0)
    assert "earlier" in reasons(0.0)
    release.set()
    speaker._explain._pending.result(30)
    assert reasons(0.0, waiting=False) == "BUY by trees+forest"
    speaker.close()
