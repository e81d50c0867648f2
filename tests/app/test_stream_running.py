"""One moment after the other: what is written, what is held back, whose word counts, and what a restart makes of it."""

import datetime as dt
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
import stream_parts as small

from openbell.app.stream.deciding import question_id
from openbell.app.stream.keeping import Keeping, Mark
from openbell.app.stream.moments import Batch
from openbell.app.stream.sources import Replay
from openbell.core.errors import BadInput, IntegrityBroken
from openbell.core.experiment import arm_of

BARS = small.bars()
START = small.OPENS[0]


class Handed:
    """A source that hands over what a test gives it, and can be read again from any place."""

    name = "handed"

    def __init__(self, batches) -> None:
        self.batches, self.place = list(batches), 0

    @property
    def ended(self) -> bool:
        return self.place >= len(self.batches)

    def resume(self, position):
        self.place = 0 if position is None else int(position)

    def read(self, seconds):
        self.place += 1
        bars = self.batches[self.place - 1]
        return Batch(bars, 0.0, before=str(self.place - 1), position=str(self.place))

    def close(self) -> None: ...


def replay(bars=BARS) -> Replay:
    time = small.Clock()
    return Replay(bars, "1m", 0.0, seconds=time.seconds, pause=time.pause)


def run(folder, *, most=None, **words):
    found = small.running(folder, **words)
    found.stream.run(most)
    return found


def at(number: int) -> dt.datetime:
    return START + number * small.MINUTE


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[tuple]:
    """What the store holds after one run that nobody stopped."""
    found = run(tmp_path_factory.mktemp("whole"))
    rows = small.stored(found.signals)
    found.close()
    return rows


def test_every_moment_is_decided_once_and_only_calls_are_kept(tmp_path: Path) -> None:
    """Each of the two symbols says SELL, HOLD, BUY in turn; HOLD is counted and not stored. Check 59."""
    found = run(tmp_path)
    assert found.metrics.by("signals") == {"BUY": 8, "HOLD": 8, "SELL": 6}
    assert found.metrics.by("held") == {"signal_price_jump": 2}, "nobody knows whether the first bar jumped"
    rows = small.stored(found.signals)
    assert len(rows) == 14
    assert {call for _, _, call, _ in rows} == {"BUY", "SELL"}
    assert [each["symbol"] for each in found.said[:2]] == ["AAA", "BBB"]
    assert found.metrics.by("moments") == {"decided": 12}
    assert found.metrics.by("bars") == {"taken": 24}
    found.close()


def test_holds_are_kept_where_the_settings_say_so(tmp_path: Path) -> None:
    found = run(tmp_path, keep_holds=True)
    assert len(small.stored(found.signals)) == 22
    found.close()


def test_signals_expire_as_moments_pass(tmp_path: Path) -> None:
    """They live two minutes; kills: a stream that begins lives and ends none. Those of the last moments still live."""
    found = run(tmp_path)
    active = [created for _, created, _, status in small.stored(found.signals) if status == "ACTIVE"]
    assert active
    assert min(active) > at(10)
    found.close()


@pytest.mark.parametrize(("stop", "snapshot"), [(1, 1), (7, 4), (11, 1000)])
def test_a_restart_leaves_no_gap_and_no_double(tmp_path: Path, whole, stop, snapshot) -> None:
    """Stopped after some moments and begun again, the store holds what one run leaves."""
    run(tmp_path, most=stop, snapshot=snapshot).close()
    again = run(tmp_path, snapshot=snapshot)
    assert small.stored(again.signals) == whole
    assert again.metrics.by("moments") == {"decided": 12 - stop}
    assert again.models[0].heard.count(["forest", "net", "trees"]) == 12 - stop
    again.close()


def killed_after(folder: Path, moments: int, before_mark: bool, **words):
    """A stream that dies within the moment after so many: with its signals stored, or with the moment marked too."""
    found = small.running(folder, **words)
    parts, count, real = found.stream.parts, [0], found.stream.parts.keeping.finish

    def dies(mark):
        count[0] += 1
        if count[0] > moments:
            if not before_mark:
                real(mark)
            raise KeyboardInterrupt
        real(mark)

    parts.keeping.finish = dies
    with pytest.raises(KeyboardInterrupt):
        found.stream.run()
    found.close()


@pytest.mark.parametrize(("moments", "before_mark"), [(0, True), (5, True), (5, False), (8, True)])
def test_a_kill_between_the_signals_and_their_mark_doubles_nothing(tmp_path: Path, whole, moments, before_mark) -> None:
    """Kills: the mark before the signals (a gap), and a moment decided again on a store that it has changed itself.

    What is found of the moment in doubt is handed on again, for nobody knows whether it was.
    """
    killed_after(tmp_path, moments, before_mark, snapshot=4)
    again = run(tmp_path, snapshot=4)
    assert small.stored(again.signals) == whole
    first = {each["created_at"] for each in again.said if each["created_at"] <= at(moments + 1).isoformat()}
    assert first == (
        {at(6).isoformat()} if before_mark and moments == 5 else {at(9).isoformat()} if moments == 8 else set()
    )
    again.close()


def test_what_was_blocked_then_is_not_decided_anew(tmp_path: Path) -> None:
    """The store has gone on since: a moment worked through again must not find room that was not there.

    Room for one signal of a moment; after the kill the earlier ones have expired in a store that is ahead. Kills:
    deciding again from the snapshot on.
    """
    limits = {"signal_gross_exposure": {"max_signal_gross": 0.15}}
    whole = run(tmp_path / "whole", limits=limits)
    assert whole.metrics.by("held")["signal_gross_exposure"] > 4
    killed_after(tmp_path / "parts", 8, False, limits=limits)
    again = run(tmp_path / "parts", limits=limits)
    assert again.metrics.by("moments")["again"] == 9
    assert small.stored(again.signals) == small.stored(whole.signals)
    whole.close(), again.close()


def moments_of(bars=BARS):
    return bars.sort("at", "symbol").partition_by("at", maintain_order=True)


def test_a_source_that_is_read_again_a_little_earlier_tells_nothing_twice(tmp_path: Path, whole) -> None:
    """One bar at a time; the place that is kept lies before the open moment, so a bar comes again after the restart."""
    single = [moment[row : row + 1] for moment in moments_of() for row in range(moment.height)]
    run(tmp_path / "parts", most=9, source=Handed(single), symbols=(), snapshot=3).close()
    again = run(tmp_path / "parts", source=Handed(single), symbols=(), snapshot=3)
    assert small.stored(again.signals) == whole
    assert "late" not in again.metrics.by("bars")
    again.close()


def test_late_bars_move_the_features_on_and_decide_nothing(tmp_path: Path) -> None:
    """B's bar of minute 3 comes after A's of minute 4 and 5: taken, told, counted, no signal of that moment."""
    single = {(row[0, "symbol"], row[0, "at"]): row for moment in moments_of() for row in moment.iter_slices(1)}
    order = [("AAA", 1), ("BBB", 1), ("AAA", 2), ("BBB", 2), ("AAA", 3), ("AAA", 4), ("BBB", 3), ("BBB", 4)]
    found = run(tmp_path, source=Handed([single[symbol, at(number)] for symbol, number in order]))
    rows = small.stored(found.signals)
    assert ("BBB", at(3)) not in [row[:2] for row in rows]
    assert ("AAA", at(3), "BUY") in [row[:3] for row in rows]
    assert ("BBB", at(4), "SELL") in [row[:3] for row in rows], "its features did not skip the late bar"
    assert found.metrics.by("moments")["late"] == 1
    assert any("came after it was over" in each for each in found.told)
    found.close()


def test_a_bar_that_comes_twice_or_is_faulty_is_counted(tmp_path: Path) -> None:
    first, second, third = moments_of()[:3]
    bad = second.with_columns(pl.when(pl.col("symbol") == "BBB").then(50.0).otherwise("high").alias("high"))
    found = run(tmp_path, source=Handed([first, first, bad, third]), symbols=())
    assert found.metrics.by("bars") == {"faulty": 1, "late": 2, "taken": 5}
    found.close()


def test_a_check_turns_a_signal_into_none_with_its_sentence(tmp_path: Path) -> None:
    """A jump of 30 % within one bar; kills: a verdict that is only recorded."""
    jumped = BARS.with_columns(
        pl.when(pl.col("at") >= at(9)).then(pl.col(name) * 1.3).otherwise(name).alias(name)
        for name in ("open", "high", "low", "close")
    )
    found = run(tmp_path, source=replay(jumped))
    assert found.metrics.by("held") == {"signal_price_jump": 4}, "two of the first moment, two of the jump"
    assert at(9) not in {created for _, created, _, _ in small.stored(found.signals)}
    assert "moved by 30" in found.stream.reports["held signal_price_jump"]
    found.close()


def test_an_old_bar_gives_no_signal_where_the_clock_is_real(tmp_path: Path) -> None:
    """The machine's clock is ten open minutes ahead of every bar."""
    found = run(tmp_path, clock=lambda: at(22))
    assert small.stored(found.signals) == []
    assert found.metrics.by("held")["signal_fresh_bar"] == 16
    found.close()


# ----------------------------------------------------------------------------------------------------------- two models


def contrary():
    """A challenger that says the opposite of the champion."""
    answer = lambda features, keys: small.probabilities(-features[:, 0])  # noqa: E731
    return small.Model(dict.fromkeys(("trees", "forest", "net"), answer))


def test_each_symbol_and_moment_belongs_to_one_arm_and_the_other_is_kept_beside(tmp_path: Path) -> None:
    """Kills: both written, the arm by symbol alone, and the other arm lost."""
    arm = lambda question: arm_of(question, "salt", 0.5)  # noqa: E731
    bars = small.bars(minutes=26)
    found = run(tmp_path, source=replay(bars), models=[small.Model(), contrary()], arm_of=arm)
    rows = found.signals.page().rows
    assert len(rows) == 32
    arms = set()
    for each in rows:
        signal = each.signal
        wanted = arm(question_id(signal.symbol, signal.created_at))
        arms.add((signal.symbol, wanted))
        assert signal.model_version == {"control": "toy@1#aa", "test": "toy@2#aa"}[wanted]
        assert signal.made_of["arm"] == wanted
        beside = signal.made_of["beside"]
        assert beside["model_version"] != signal.model_version
        assert {beside["call"], signal.call.value} == {"BUY", "SELL"}
    assert len(arms) == 4
    assert {each["model"] for each in found.stream.parts.outcomes.summary({})} == {"toy@1#aa", "toy@2#aa"}
    found.close()


def test_an_arm_that_is_silent_is_not_stood_in_for(tmp_path: Path) -> None:
    def raises(*_):
        raise ValueError("torn")

    silent = small.Model(dict.fromkeys(("trees", "forest", "net"), raises))
    found = run(tmp_path, models=[small.Model(), silent], arm_of=lambda question: "test")
    assert small.stored(found.signals) == []
    found.close()


# ------------------------------------------------------------------------------------------------------ what came of it


def test_the_log_loss_is_that_of_the_labels_the_models_learnt(tmp_path: Path) -> None:
    """An oracle: labels of the whole history at once, against those that came to be known bar by bar."""
    from openbell.core.time import MOMENT
    from openbell.quant.reliability import log_loss
    from openbell.research.signal_rows import signal_rows

    bars = small.bars(minutes=45)
    found = run(tmp_path, source=replay(bars), snapshot=7)
    (told,) = found.stream.parts.outcomes.summary({"toy@1#aa": 1.0})
    keys = bars.select("symbol", "session", pl.col("at").cast(MOMENT).alias("as_of"), "close", sigma=pl.lit(0.002))
    rows, _ = signal_rows(
        keys, bars, small.CATALOGUE.labels["direction_1"], within_session=True, sessions=small.SESSIONS
    )
    number = pl.int_range(1, pl.len() + 1).over("symbol") % 3
    x = rows.sort("symbol", "as_of").with_columns(
        x=pl.when(number == 0).then(1).when(number == 1).then(-1).otherwise(0)
    )
    known = x.filter(pl.col("label").is_not_null())
    assert told["outcomes"] == known.height > 30
    expected = log_loss(small.probabilities(known["x"].to_numpy()), known["label"].to_numpy() + 1)
    assert told["log_loss"] == pytest.approx(expected)
    assert told["drifted"] is False
    assert found.metrics.registry.get_sample_value("stream_log_loss") == pytest.approx(expected)
    found.close()


def test_a_restart_scores_what_one_run_does(tmp_path: Path) -> None:
    bars = small.bars(minutes=32)
    whole = run(tmp_path / "whole", source=replay(bars))
    killed_after(tmp_path / "parts", 25, True, source=replay(bars), snapshot=9)
    again = run(tmp_path / "parts", source=replay(bars), snapshot=9)
    first, second = (each.stream.parts.outcomes.summary({})[0] for each in (whole, again))
    assert second["outcomes"] == first["outcomes"]
    assert second["log_loss"] == pytest.approx(first["log_loss"])
    whole.close(), again.close()


# ------------------------------------------------------------------------------------------------------ what is kept


def test_only_one_process_holds_a_stream(tmp_path: Path) -> None:
    with (
        Keeping(tmp_path / "one").held(),
        pytest.raises(BadInput, match="runs already"),
        Keeping(tmp_path / "one").held(),
    ):
        pass
    with Keeping(tmp_path / "one").held():
        assert Keeping(tmp_path / "one").found() is None


def test_a_torn_line_and_a_half_written_snapshot_are_passed_over(tmp_path: Path) -> None:
    """Kills: trust in the last line, and in a folder that no `current` names."""
    keeping = Keeping(tmp_path)
    keeping.snapshot(Mark(at(1), "1"), {"a": 1}, lambda folder: None)
    keeping.finish(Mark(at(2), "2"))
    keeping.finish(Mark(at(3), None))
    with (tmp_path / "progress.jsonl").open("a") as file:
        file.write('{"at": "2024-03-1')
    (tmp_path / "2").mkdir()
    found = Keeping(tmp_path).found()
    assert found is not None
    assert found.snapshot == Mark(at(1), "1")
    assert found.finished == Mark(at(3), "2")
    Keeping(tmp_path).snapshot(Mark(at(4), "4"), {}, lambda folder: None)
    later = Keeping(tmp_path).found()
    assert later is not None
    assert later.finished == Mark(at(4), "4")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["2", "current", "progress.jsonl"]


def test_a_snapshot_that_cannot_be_read_says_what_to_do(tmp_path: Path) -> None:
    Keeping(tmp_path).snapshot(Mark(at(1)), {}, lambda folder: None)
    state = tmp_path / "1" / "state.json"
    state.write_text(json.dumps(json.loads(state.read_text()) | {"format": 99}))
    with pytest.raises(BadInput, match="--fresh"):
        Keeping(tmp_path).found()
    state.write_text("{")
    with pytest.raises(IntegrityBroken, match="--fresh"):
        Keeping(tmp_path).found()


def test_warming_up_leaves_no_signal_and_the_same_bars_later_are_known(tmp_path: Path, whole) -> None:
    """Kills: warm bars that vote, and a source that overlaps them told as faults."""
    found = small.running(tmp_path)
    found.stream.warm(BARS.filter(pl.col("at") <= at(8)))
    assert small.stored(found.signals) == []
    found.stream.run()
    assert found.metrics.by("moments") == {"decided": 4}
    assert found.metrics.by("bars") == {"again": 16, "taken": 8, "warmed": 16}
    wanted = [row for row in whole if row[1] > at(8)]
    assert [row[:3] for row in small.stored(found.signals)] == [row[:3] for row in wanted]
    found.close()


_KILLED = """\
import os, signal, sys
from pathlib import Path
import stream_parts as small
from openbell.app.stream import keeping

real, calls = keeping.write_whole, iter(range(1, 1000))

def dies(path, content):
    if next(calls) == {number}:
        os.kill(os.getpid(), signal.SIGKILL)
    real(path, content)

keeping.write_whole = dies
small.running(Path({folder!r}), snapshot=3).stream.run()
"""


@pytest.mark.parametrize("number", [7, *(pytest.param(each, marks=pytest.mark.slow) for each in (2, 9))])
def test_kill_9_within_a_snapshot_loses_and_doubles_nothing(tmp_path: Path, whole, number) -> None:
    """A process of its own, killed while it writes its first snapshot, or between two files of a later one."""
    script = _KILLED.format(folder=str(tmp_path), number=number)
    paths = [str(Path(small.__file__).parent), *filter(None, sys.path)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "TZ": "Asia/Tokyo"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    again = run(tmp_path, snapshot=3)
    assert small.stored(again.signals) == whole
    again.close()
