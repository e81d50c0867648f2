"""Runs one piece of work in this process and kills it, as ``kill -9`` would, at a place named on the command line.

``python killed.py WORK HOME OUT SESSION PLACE [NUMBER]``: the places are ``step`` (before the step NUMBER),
``write-before`` and ``write-after`` (around the file NUMBER), ``append-before`` and ``append-after`` (around the
journal entry NUMBER), ``commit`` (inside the journal's transaction NUMBER), ``tick`` (progress callback NUMBER),
``never``.
"""

import datetime as dt
import functools
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def killed(work: str, home: Path, out: Path, session: object, place: str, number: int) -> bool:
    """Whether the process was killed; False where it finished before it came to that place."""
    words = [sys.executable, str(HERE / "killed.py"), work, home, out, session, place, number]
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent.parent / "src"), "PYTHONHASHSEED": "7"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run([str(each) for each in words], env=environment, capture_output=True, text=True, check=False)
    if done.returncode == -signal.SIGKILL:
        return True
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith("finished")
    return False


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def around(function: Callable[..., Any], number: int, *, after: bool) -> Callable[..., Any]:
    """`function`, which kills the process before or after it is called for the time `number`, counted from 0."""
    calls = iter(range(1_000_000))

    def wrapped(*args: Any, **keywords: Any) -> Any:
        mine = next(calls) == number
        if mine and not after:
            die()
        result = function(*args, **keywords)
        if mine:
            die()
        return result

    return wrapped


def counted(number: int) -> Callable[..., None]:
    calls = iter(range(1_000_000))

    def called(*_: Any) -> None:
        if next(calls) == number:
            die()

    return called


def main(work: str, home: str, out: str, session: str, place: str, number: str = "0") -> None:
    import trained_homes as tiny

    from openbell.app import (
        daily,
        files,
        outputs,
        published,
        selection_files,
        tournament,
        tournament_record,
        training,
    )
    from openbell.store.journal import Journal

    at = int(number)
    what, _, when = place.partition("-")
    if what == "write":
        wrapped = around(files.write_whole, at, after=when == "after")
        for room in (outputs, training.evidence, tournament_record, selection_files, published):
            room.write_whole = wrapped
    if what == "rename":
        # In the middle of a file: its bytes are beside its place, and not in it.
        Path.replace = around(Path.replace, at, after=False)
    if what == "append":
        Journal.append_many = around(Journal.append_many, at, after=when == "after")
    if what == "commit":
        # Inside the transaction: its rows are inserted, and not committed.
        import openbell.store.journal as journal

        journal._chained = around(journal._chained, at, after=True)
    opened = tiny.opened(Path(home))
    wanted = dt.date.fromisoformat(session)
    if work == "run":
        on_step = counted(at) if what == "step" else lambda step: None
        daily.run_stocks(opened, wanted, execute=True, out=Path(out), on_step=on_step)
    elif work == "dry":
        daily.run_stocks(opened, wanted, out=Path(out), on_step=counted(at) if what == "step" else lambda step: None)
    else:
        progress = counted(at) if what == "tick" else None
        work_of = {"train": training.train_stocks, "tournament": tournament.hold_stocks}[work]
        tournament.write_selection = functools.partial(tournament.write_selection, replications=20)
        work_of(opened, wanted, progress=progress)
    print("finished")


if __name__ == "__main__":
    sys.path.insert(0, str(HERE))
    main(*sys.argv[1:])
