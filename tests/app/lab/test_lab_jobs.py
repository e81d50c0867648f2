"""Jobs in processes of their own: watched by anybody, queued, cancelled, killed, and run again."""

import contextlib
import os
import signal
import sys
import time
from pathlib import Path

import pytest
from labs import lab_at

from openbell.app.lab.job_kinds import checked, sets_of
from openbell.app.lab.jobs import title_of
from openbell.core.errors import BadInput

COMMAND = (sys.executable, str(Path(__file__).parent / "told_job.py"))
WAIT_SECONDS = 90.0


class Place:
    """A home whose jobs do what they are told."""

    def __init__(self, path, most=1):
        path.mkdir(exist_ok=True)
        self.path, self.most = path, most
        self.lab = lab_at(path, command=COMMAND, most=most)

    @property
    def jobs(self):
        return self.lab.jobs

    def tell(self, text):
        (self.path / "told").write_text(text)

    def until(self, id, status):
        """The job, once it has that status."""
        until = time.monotonic() + WAIT_SECONDS
        while (job := self.jobs.get(id)).status != status:
            assert time.monotonic() < until, (job, [line.text for line in self.jobs.lines(id)])
            assert job.alive, job
            time.sleep(0.05)
        return job

    def working(self, id):
        """The job, once its process is at work."""
        until = time.monotonic() + WAIT_SECONDS
        while not (job := self.jobs.get(id)).total:
            assert time.monotonic() < until, job
            assert job.alive, job
            time.sleep(0.05)
        return job


@pytest.fixture
def place(tmp_path):
    made = Place(tmp_path / "home")
    yield made
    for job in made.jobs.store.running():
        if job.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(job.pid, signal.SIGKILL)
    made.lab.presets.close()


def test_a_job_is_started_watched_and_done_and_others_see_the_same(place):
    """Two people; a server that starts anew; one job for both; its log without secrets."""
    place.tell("wait")
    asked = place.jobs.ask("train_gate", {"settings": {"gate.refit_days": "17"}}, by="ann")
    assert (
        place.jobs.ask("train_gate", {"settings": {"gate.refit_days": " 17 "}, "models": []}, by="ben").id == asked.id
    )
    job = place.working(asked.id)
    assert (job.status, job.asked_by, job.label, job.total) == ("running", "ann", "stage one, fold 1", 1_000)
    assert job.pid != os.getpid()
    other = Place(place.path)  # another server, or the same after a restart
    assert other.jobs.get(asked.id).status == "running"
    place.tell("talk")
    done = other.until(asked.id, "done")
    assert done.result["why"] == ["17 days"]
    log = [line.text for line in other.jobs.lines(asked.id)]
    assert log == ["fold: 1,000 pieces", "it says postgresql://u:***@host/db", "half a line"]
    other.lab.presets.close()


def test_the_next_one_begins_when_one_ends_though_no_server_looks(place):
    place.tell("wait")
    first = place.jobs.ask("train_gate", {}, by="ann")
    second = place.jobs.ask("train_gate", {"models": ["simple"]}, by="ben")
    place.working(first.id)
    assert place.jobs.get(second.id).status == "queued"
    place.tell("done")
    until = time.monotonic() + WAIT_SECONDS
    while place.jobs.store.get(second.id).status != "done":  # the record alone: nobody tends the jobs here
        assert time.monotonic() < until
        time.sleep(0.05)
    assert len(list(place.path.glob("began-*"))) == 2


def test_a_killed_job_is_lost_and_can_be_run_again(place):
    """Check: kill -9."""
    place.tell("wait")
    asked = place.jobs.ask("train_gate", {}, by="ann")
    with pytest.raises(BadInput, match="nothing to run again"):
        place.jobs.again(asked.id, by="ann")
    os.kill(place.working(asked.id).pid, signal.SIGKILL)
    lost = place.until(asked.id, "lost")
    assert lost.why == "Its process was ended from outside."
    place.tell("done")
    again = place.jobs.again(asked.id, by="ben")
    assert again.id != asked.id
    assert place.until(again.id, "done").arguments == lost.arguments


def test_a_running_job_is_cancelled(place):
    place.tell("wait")
    asked = place.jobs.ask("train_gate", {}, by="ann")
    pid = place.working(asked.id).pid
    place.jobs.cancel(asked.id)
    assert place.until(asked.id, "cancelled").why == "It was cancelled."
    until = time.monotonic() + WAIT_SECONDS
    while Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2][:4]:
        assert time.monotonic() < until
        time.sleep(0.05)


def test_what_a_job_fails_at_is_told(place):
    place.tell("missing")
    asked = place.jobs.ask("train_gate", {}, by="ann")
    assert place.until(asked.id, "failed").why == "There are no trades yet. Import some."
    place.tell("fault")
    again = place.jobs.again(asked.id, by="ann")
    found = place.until(again.id, "failed")
    assert found.why.startswith("Internal error: ValueError: with password=***")
    log = " ".join(line.text for line in place.jobs.lines(again.id))
    assert "Traceback" in log
    assert "hunter2" not in log + found.why


def test_a_process_that_cannot_be_started_is_a_failure(tmp_path):
    (tmp_path / "home").mkdir()
    lab = lab_at(tmp_path / "home", command=("/nowhere/python",))
    found = lab.jobs.ask("train_gate", {}, by="ann")
    assert (found.status, "could not be started" in found.why) == ("failed", True)
    lab.presets.close()


@pytest.mark.parametrize(
    ("kind", "arguments", "said"),
    [
        ("format_disk", {}, "There is no kind of job `format_disk`"),
        ("../x", {}, "There is no kind of job"),
        ("train_gat", {}, "Did you mean `train_gate`"),
        ("train_gate", {"home": "/etc"}, "There is no argument of `train_gate` `home`"),
        ("train_gate", {"session": "2020-13-01"}, "`2020-13-01` is not a date"),
        ("train_gate", {"session": 7}, "`7` is not a date"),
        ("train_gate", {"models": "simple"}, "a list of the names"),
        ("train_gate", {"models": ["a; rm"]}, "cannot name a model"),
        ("train_gate", {"settings": {"store.lab": "sqlite:////tmp/x"}}, "may change the settings `gate.*`"),
        ("train_gate", {"settings": {"gate.refit_days": "0"}}, "`gate.refit_days` must be greater than or equal to 1"),
        ("train_gate", {"settings": {"gate.refit_day": "1"}}, "There is no setting `gate.refit_day`"),
        ("train_gate", {"settings": {"gate.refit_days": "1\nx = 2"}}, "must be one line"),
        ("train_gate", {"settings": [1]}, "maps at most"),
        ("train_options", {"underlying": "SPX"}, "Say as of which session"),
        ("train_options", {"session": "2020-01-02"}, "Say which underlying"),
        ("train_options", {"session": "2020-01-02", "underlying": "../.."  + "x" * 20}, "is no underlying"),
    ],
)  # fmt: skip
def test_a_job_that_cannot_be_is_refused_and_nothing_is_queued(place, kind, arguments, said):
    with pytest.raises(BadInput, match=None) as refused:
        place.jobs.ask(kind, arguments, by="ann")
    assert said in str(refused.value)
    assert place.jobs.newest() == []


def test_arguments_have_one_form():
    """So that the same job is the same, however its form was filled in."""
    told = {"session": "", "models": ["b", "a", "b"], "settings": {"train.folds": " 3 ", "train.stride": ""}}
    found = checked("train_stocks", told)
    assert found == {"models": ["a", "b"], "settings": {"train.folds": "3"}}
    assert sets_of("train_stocks", found) == ('train.candidates=["a", "b"]', "train.folds=3")
    assert sets_of("train_gate", {"models": ["simple"]}) == ()
    assert checked("train_session", {"product": "es"}) == {"product": "ES"}


def test_a_job_is_called_by_what_it_does(place):
    place.tell("done")
    asked = place.jobs.store.ask(
        "train_options", {"underlying": "SPX", "session": "2020-01-02"}, by="a", at=place.jobs.now()
    )
    assert title_of(asked) == "Train the options desk SPX as of 2020-01-02"
