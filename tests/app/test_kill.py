"""Killed at any moment, a run or a training is finished by the next one, as if nothing had happened."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import trained_homes as tiny
from killed import killed

from openbell.app.daily import STEPS, run_stocks
from openbell.app.training import train_stocks

#: A wiring test can take these; the full sweep is slow.
FEW = {
    ("step", 6),
    ("step", 9),
    ("write-after", 1),
    ("rename", 0),
    ("append-after", 3),
}
SWEEP = [
    *(("step", number) for number in range(len(STEPS))),
    *((place, number) for place in ("write-before", "write-after") for number in range(7)),
    *(("rename", number) for number in range(7)),
    *((place, number) for place in ("append-before", "append-after", "commit") for number in range(6)),
]


def files(folder: Path) -> dict[str, bytes]:
    return {str(each.relative_to(folder)): each.read_bytes() for each in sorted(folder.rglob("*")) if each.is_file()}


def told(home: Path, open_home) -> list[tuple]:
    """The journal but for the chain, in the order in which things happened."""
    records = open_home(home).journal.records()
    return [(each.kind, each.at, each.key, each.payload) for each in records]


@pytest.fixture(scope="session")
def ready(trained_with_edge, tmp_path_factory) -> tuple[tiny.Fortnight, Path, dict[str, bytes], list[tuple]]:
    """A home before its second session, and what an undisturbed run of that makes: files and records.

    Its first session was executed on the last bars there were, so that the second one fills and settles too.
    """
    begun = tiny.traded(trained_with_edge, tmp_path_factory.mktemp("begun"), 1)
    to = tmp_path_factory.mktemp("undisturbed")
    out = shutil.copytree(begun.out, to / "live")
    home = tiny.opened(tiny.copied(begun.tiny, to / "home"))
    run_stocks(home, tiny.later(home, begun.tiny, 1), execute=True, out=out)
    records = [(each.kind, each.at, each.key, each.payload) for each in home.journal.records()]
    tiny.close(home)
    return begun, out, files(out), records


def check_place(place: str, number: int, ready, tmp_path: Path, open_home) -> None:
    begun, _, expected, records = ready
    out = shutil.copytree(begun.out, tmp_path / "live")
    path = tiny.copied(begun.tiny, tmp_path / "home")
    session = tiny.later(open_home(path), begun.tiny, 1)
    was_killed = killed("run", path, out, session, place, number)
    for name, content in files(out).items():
        if not name.rpartition("/")[2].startswith("."):
            before = begun.out / name
            assert content == expected.get(name) or (before.exists() and content == before.read_bytes()), (
                f"{name} is half-written"
            )
    home = open_home(path)
    home.journal.verify()
    run_stocks(home, session, execute=True, out=out)
    assert files(out) == expected, "the same outputs, byte for byte, and nothing else in the folder"
    assert told(path, open_home) == records
    assert home.journal.verify() == len(records)
    if place == "step":
        assert was_killed


@pytest.mark.parametrize(("place", "number"), sorted(FEW))
def test_a_killed_run_is_finished_by_the_next(place, number, ready, tmp_path, open_home) -> None:
    check_place(place, number, ready, tmp_path, open_home)


@pytest.mark.slow
@pytest.mark.parametrize(("place", "number"), [each for each in SWEEP if each not in FEW])
def test_a_run_killed_anywhere_is_finished_by_the_next(place, number, ready, tmp_path, open_home) -> None:
    check_place(place, number, ready, tmp_path, open_home)


def check_training(place: str, number: int, trained: tiny.Tiny, tmp_path: Path, open_home) -> None:
    """Killed while it trains: the next one goes on, and finds what an undisturbed one finds."""
    path = tmp_path / "home"
    shutil.copytree(trained.path, path, ignore=shutil.ignore_patterns("models", "cache", "*.db*"))
    was_killed = killed("train", path, tmp_path / "live", trained.trained_on, place, number)
    home = open_home(path)
    again = train_stocks(home, trained.trained_on)
    assert again.payload == trained.trained.payload
    mine, theirs = files(path / "models"), files(trained.path / "models")
    assert mine == theirs, "the same models and evidence, byte for byte"
    assert len(home.journal.records(kind="training")) == 1
    assert was_killed


@pytest.mark.parametrize(("place", "number"), [("tick", 6)])
def test_a_killed_training_goes_on(place, number, trained_with_edge, tmp_path, open_home) -> None:
    check_training(place, number, trained_with_edge, tmp_path, open_home)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("place", "number"),
    [
        *(("tick", number) for number in (0, 2, 4, 5, 7, 8, 9)),
        *(("write-after", number) for number in (0, 3, 8)),
        *(("append-before", 0), ("append-after", 0)),
    ],
)
def test_a_training_killed_anywhere_goes_on(place, number, trained_with_edge, tmp_path, open_home) -> None:
    check_training(place, number, trained_with_edge, tmp_path, open_home)
