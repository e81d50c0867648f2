"""The process of a job whose work does what a file beside the home says: for tests of everything around the work."""

import os
import sys
import time
from pathlib import Path

from openbell.app.lab import job_kinds, job_process
from openbell.core.errors import DataMissing


def work(home, arguments, progress):
    """Do what ``told`` says: be slow, fail, talk; it is read again and again, so that a test can change its mind."""
    told = Path(home.path) / "told"
    (home.path / f"began-{os.getpid()}").touch()
    for at in range(1_000):
        text = told.read_text() if told.exists() else ""
        if text == "done":
            break
        if text == "missing":
            raise DataMissing("There are no trades yet. Import some.")
        if text == "fault":
            raise ValueError("with password=hunter2 in it")
        if text == "talk":
            print("it says postgresql://u:hunter2@host/db")
            print("half ", end="", file=sys.stderr)
            print("a line", file=sys.stderr)
            told.write_text("done")
        progress(at, 1_000, "stage one, fold 1")
        time.sleep(0.02)
    settings = home.settings.gate.refit_days
    return {"desk": "gate", "training": "abc", "session": "2020-01-02", "champion": None, "why": [f"{settings} days"]}


kind = job_kinds.KINDS["train_gate"]
job_kinds.KINDS = {
    **job_kinds.KINDS,
    "train_gate": job_kinds.Kind(kind.name, kind.desk, kind.title, work, kind.settings),
}

if __name__ == "__main__":
    raise SystemExit(job_process.main(sys.argv[1]))
