"""One look at what was held out: folds from its first session on, trained on what was known, figures of the curves."""

import datetime as dt
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from openbell.core.errors import BadInput
from openbell.research import last_look as module
from openbell.research.last_look import last_look
from openbell.research.meeting import Meeting, meet
from openbell.store.trials import Trials

sys.path.insert(0, str(Path(__file__).parent))
import small_tournament as small
from memory_tables import MemoryTables


def after() -> dt.date:
    """The session after the last that has bars: at its decision all of the hold-out is known."""
    return small.market()[1].shift(small.market()[0].frames["bars"]["session"].max(), 1)


@dataclass
class Looked:
    """A look, and the meeting it was made of."""

    said: dict[str, Any] = field(default_factory=dict)
    folds: tuple = ()
    met: Meeting | None = None


def look(folder: Path, *, first: dt.date | None = None, seen: Any = None, **changes: Any) -> Looked:
    looked = Looked()

    def watched(venue: Any, panel: Any, folds: Any, *rest: Any, **more: Any) -> Meeting:
        looked.folds = folds
        looked.met = meet(venue, panel, folds, *rest, **more)
        return looked.met

    folder.mkdir(parents=True, exist_ok=True)
    with pytest.MonkeyPatch.context() as patch, Trials.open(f"sqlite:///{folder}/trials.db") as trials:
        patch.setattr(module, "meet", watched)
        place = small.venue(trials, seen or small.view(after()), **changes)
        looked.said = last_look(place, small.entrants(("ridge",), ("equal",)), first or small.market()[2])
    return looked


@pytest.fixture(scope="module")
def looked(tmp_path_factory) -> Looked:
    """60 sessions, refitted after 25."""
    return look(tmp_path_factory.mktemp("look"), refit_sessions=25)


def test_the_folds_begin_with_what_is_held_out(looked):
    """60 sessions and the decision after them: 25, 25 and 11."""
    calendar, first = small.market()[1], small.market()[2]
    assert [fold.number for fold in looked.folds] == [1, 2, 3]
    assert [fold.test_first for fold in looked.folds] == [first, calendar.shift(first, 25), calendar.shift(first, 50)]
    assert [fold.test_last for fold in looked.folds] == [
        calendar.shift(first, 24), calendar.shift(first, 49), after(),
    ]  # fmt: skip
    assert [fold.train_first for fold in looked.folds] == [
        calendar.shift(fold.test_first, -252) for fold in looked.folds
    ]
    lead = dt.timedelta(minutes=30)
    assert [fold.fit_at for fold in looked.folds] == [calendar.open(fold.test_first) - lead for fold in looked.folds]


def test_each_fold_is_trained_on_labels_that_were_known(looked):
    """And on those of the hold-out itself once they are."""
    described = looked.met.walked.folds
    assert (described["last_label_known_at"] <= described["fit_at"]).all()
    assert (described["train_last"] < described["test_first"]).all()
    assert described["train_last"][0] < small.market()[2] < described["train_last"][1]
    scored = looked.met.walked.scores["session"]
    assert scored.min() >= small.market()[2]


def test_the_figures_are_those_of_its_curves(looked):
    played, said = looked.met.played, looked.said
    assert len(played.curves) == 2
    own, base = played.curves
    days = played.dates
    per_year = (len(days) - 1) / ((days[-1] - days[0]).days / 365.25)
    moves = own[1:] / own[:-1] - 1.0
    excess = moves - (1.02 ** (1.0 / per_year) - 1.0)
    active = moves - (base[1:] / base[:-1] - 1.0)
    wanted = {
        "total_return": own[-1] - 1.0,
        "baseline_return": base[-1] - 1.0,
        "benchmark_return": played.benchmark[-1] - 1.0,
        "sharpe": excess.mean() / moves.std(ddof=1) * np.sqrt(per_year),
        "active_return": active.mean() * per_year,
        "max_drawdown": (own / np.maximum.accumulate(own) - 1.0).min(),
        "turnover": played.turnover[0].mean(),
    }
    assert {name: said[name] for name in wanted} == pytest.approx(wanted)
    assert said["sessions"] == len(moves)
    assert said["first"] == str(days[1]) >= str(small.market()[2])
    assert said["last"] == str(days[-1]) == str(small.market()[0].frames["bars"]["session"].max())
    assert days[1] == looked.met.arena.sessions[0]
    assert said["sharpe_lower"] is None or said["sharpe_lower"] < said["sharpe"] < said["sharpe_upper"]
    assert said["active_return_lower"] is None or said["active_return_lower"] < said["active_return_upper"]
    assert said["total_return"] != said["baseline_return"]


def test_what_comes_after_the_view_is_not_read(looked, tmp_path):
    """Seen 20 sessions before the end: the rows after that may say what they like."""
    tables, calendar, _ = small.market()
    until = calendar.shift(after(), -20)
    moment = calendar.open(until) - dt.timedelta(minutes=30)
    bars = tables.frames["bars"]
    wild = [
        pl.when(pl.col("known_at") > moment).then(pl.col(name) * (pl.int_range(pl.len()) % 3 + 0.1)).otherwise(name)
        .alias(name) for name in ("open", "close", "volume")
    ]  # fmt: skip
    burnt = MemoryTables({**tables.frames, "bars": bars.with_columns(wild)})
    one, other = (
        look(tmp_path / str(at), seen=small.view(until, held)).said for at, held in enumerate((tables, burnt))
    )
    assert one == other
    assert one["sessions"] < looked.said["sessions"]
    assert one["first"] == looked.said["first"]


def test_the_last_sessions_without_a_rebalance_belong_to_the_segment_before(tmp_path):
    """60 sessions and a decision, refitted after 30: one session is left over, and no fold is made of it."""
    found = look(tmp_path, refit_sessions=30)
    calendar, first = small.market()[1], small.market()[2]
    assert [fold.test_first for fold in found.folds] == [first, calendar.shift(first, 30)]
    assert found.folds[-1].test_last == after()


def test_a_first_day_without_a_rebalance_is_begun_at_the_next_one(tmp_path, looked):
    """The figures begin where something is decided, the folds where the hold-out does."""
    calendar = small.market()[1]
    rebalance = looked.met.arena.sessions[1]
    found = look(tmp_path, first=calendar.shift(rebalance, -1))
    assert calendar.index(rebalance) % 5 == 0
    assert found.said["first"] == str(rebalance)


@pytest.mark.parametrize("first", [dt.date(1990, 1, 1), dt.date(2030, 1, 1)])
def test_nothing_before_or_nothing_after_is_refused(tmp_path, first):
    with pytest.raises(BadInput, match=f"nothing to train on before {first}, or nothing to look at"):
        look(tmp_path, first=first)
