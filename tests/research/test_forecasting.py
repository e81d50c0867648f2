"""Sequences: what is scored live is what the walk-forward scored, from rows as far apart as those of the training."""

import dataclasses
import datetime as dt
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from openbell.core.declare import feature
from openbell.core.errors import BadInput
from openbell.core.types import Panel
from openbell.labels.forward import forward_rank
from openbell.models.linear import ridge
from openbell.models.lstm import lstm
from openbell.quant.expressions import close, high, low
from openbell.research import walkforward
from openbell.research.fitting import fit
from openbell.research.folds import Fold
from openbell.research.forecasting import FEATURES_READ, forecast
from openbell.research.panel import build_panel, ranked
from openbell.research.universe import decisions
from openbell.research.walkforward import WalkForward, walk_forward
from openbell.store.artifacts import FittedModel

sys.path.insert(0, str(Path(__file__).parent))
from market_of_weekdays import Memory, calendar, memory, view

CAL = calendar()
DAYS = CAL.dates
TABLES = memory(CAL)
RANK_5 = next(each for each in forward_rank if each.horizon_sessions == 5)
STRIDE, LENGTH = 5, 4
#: The walk-forward fits before `FIRST` and scores up to `LAST`.
FIRST, LAST = 391, 440
TINY = {"sequence_length": LENGTH, "hidden_size": 4, "epochs": 1}


@feature(unit="fraction")
def one_day() -> pl.Expr:
    """Return of the last bar."""
    return close / close.shift(1) - 1


@feature(unit="fraction")
def day_range() -> pl.Expr:
    """Range of the last bar over its close."""
    return (high - low) / close


FEATURES = [*one_day, *day_range]


class Everything:
    """A ledger that holds every configuration."""

    def __contains__(self, fingerprint: str) -> bool:
        return True


def panel(first: int = 250) -> Panel:
    """One session in `STRIDE` until the fold, then every one, as a training has it."""
    span = {"first": DAYS[first], "last": DAYS[LAST]}
    thin = {"stride": STRIDE, "every_session_from": DAYS[FIRST]}
    return ranked(build_panel(view(TABLES, CAL, DAYS[459]), FEATURES, [RANK_5], universe="all", **span, **thin))


def walked(models=lstm[:1], **more) -> WalkForward:
    dated = decisions(CAL, DAYS, 30)
    fold = Fold(1, dated["as_of"][FIRST], DAYS[FIRST], DAYS[LAST])
    own = {"lstm": TINY}
    plain = {"ledger": Everything(), "parameters": own, "stride": STRIDE, "jobs": 1}
    numbers = dict(dated.select("session", "number").iter_rows())
    return walk_forward(panel(), RANK_5.name, [fold], models, numbers=numbers, **{**plain, **more})


@pytest.fixture(scope="module")
def walk() -> tuple[WalkForward, FittedModel]:
    """The walk-forward of a tiny network, and the very model that it scored with."""
    kept = []

    def kept_fit(*given, **more):
        kept.append(fit(*given, **more))
        return kept[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(walkforward, "fit", kept_fit)
        found = walked()
    meta = {"as_of": decisions(CAL, DAYS, 30)["as_of"][FIRST].isoformat(), "horizon_sessions": 5, "stride": STRIDE}
    (model,) = kept
    return found, dataclasses.replace(model, meta=meta)


def spoken(model: FittedModel, at: int, tables: Memory = TABLES):
    return forecast(view(tables, CAL, DAYS[at]), model, FEATURES, DAYS[at], universe="all", version="m@1")


# 395 stands on the training's own grid; the others have a whole sequence of their own phase inside the fold.
@pytest.mark.parametrize("at", [395, 406, 412, 438, LAST])
def test_the_live_score_is_the_walk_forwards(walk, at: int) -> None:
    """Check 14 for sequences: kills a forecast from neighbouring sessions, and a fold that reads them."""
    found, model = walk
    theirs = found.scores.filter(pl.col("session") == DAYS[at]).select("symbol", "lstm").sort("symbol")
    said = spoken(model, at)
    assert said.scores["symbol"].to_list() == theirs["symbol"].to_list()
    np.testing.assert_allclose(said.scores["score"], theirs["lstm"], rtol=1e-5)
    assert theirs["lstm"].n_unique() > 6
    assert said.evidence[FEATURES_READ].columns == ["symbol", "one_day", "day_range"]
    assert said.evidence[FEATURES_READ]["symbol"].to_list() == theirs["symbol"].to_list()


def test_every_session_of_the_fold_is_scored(walk) -> None:
    """Also those whose phase the panel holds only from the fold on."""
    found, _ = walk
    assert found.scores["session"].unique().sort().to_list() == list(DAYS[FIRST : LAST + 1])
    assert found.scores["lstm"].null_count() == 0


def test_the_rows_of_a_sequence_are_a_stride_apart() -> None:
    """By hand: one session in 5 up to 10, and every one from 12 on; what stands in is at least a stride before."""
    number = np.array([0, 5, 5, 10, *range(12, 21), 20])
    read = {phase: number[walkforward._sequence_rows(number, 5, phase)].tolist() for phase in range(5)}
    assert read == {
        0: [0, 5, 5, 10, 15, 20, 20],
        1: [0, 5, 5, 10, 16],
        2: [0, 5, 5, 12, 17],
        3: [0, 5, 5, 13, 18],
        4: [0, 5, 5, 14, 19],
    }
    assert walkforward._sequence_rows(number, 1, 0).tolist() == list(range(len(number)))


@pytest.mark.parametrize(("bars", "left_out"), [(12, 1), (17, 0)])
def test_a_name_with_too_short_a_history_is_left_out_and_counted(walk, bars: int, left_out: int) -> None:
    """Four decisions 5 sessions apart begin 16 bars ago: the fourth last stands on the bar before it."""
    _, model = walk
    table = TABLES.frames["bars"]
    young = table.filter((pl.col("symbol") != "S04") | (pl.col("session") >= DAYS[LAST - bars]))
    said = spoken(model, LAST, Memory({**TABLES.frames, "bars": young}))
    assert ("S04" in said.scores["symbol"]) == (left_out == 0)
    assert said.why == ((f"1 of {said.scores.height + 1} names have no score: the model abstains on them.",) * left_out)


def test_where_no_name_has_its_sequence_there_is_no_view(walk) -> None:
    """The calendar itself may begin too late; that is said, and nothing is made up."""
    _, model = walk
    young = TABLES.frames["bars"].filter(pl.col("session") >= DAYS[LAST - 6])
    said = spoken(model, LAST, Memory({**TABLES.frames, "bars": young}))
    assert not said.has_view
    assert "the model abstains on them" in said.why[0]


def test_a_day_without_rows_is_refused_though_the_history_has_some(walk) -> None:
    """Else yesterday's scores would be read as today's."""
    _, model = walk
    stale = TABLES.frames["bars"].filter(pl.col("session") < DAYS[LAST - 2])
    with pytest.raises(BadInput, match=f"No member has features at the decision of {DAYS[LAST]}"):
        spoken(model, LAST, Memory({**TABLES.frames, "bars": stale}))


def test_a_sequence_without_its_stride_is_refused(walk) -> None:
    _, model = walk
    meta = {name: value for name, value in model.meta.items() if name != "stride"}
    with pytest.raises(BadInput, match="how many sessions apart"):
        spoken(dataclasses.replace(model, meta=meta), LAST)


class Looked:
    """An examination that remembers whom it was shown."""

    name = "looked"

    def __init__(self) -> None:
        self.at: list[str] = []

    def __call__(self, model, fitted, features, rows) -> pl.DataFrame:
        self.at.append(model.name)
        return pl.DataFrame({"rows": [rows.height]})


def test_a_sequence_is_not_examined_on_rows_that_stand_alone(tmp_path: Path, monkeypatch) -> None:
    """And what is kept of it is read again, though nothing was examined."""
    looked = Looked()
    given = {"models": [*lstm[:1], *ridge], "examine": looked, "cache": tmp_path}
    first = walked(**given)
    assert looked.at == ["ridge"]
    assert first.examined is not None
    assert first.examined["model"].to_list() == ["ridge"]
    monkeypatch.setattr(walkforward, "fit", lambda *_, **__: pytest.fail("it was fitted again"))
    assert walked(**given).scores.equals(first.scores)


def test_the_phase_of_a_panel() -> None:
    """The grid of sessions ends where it is asked to; the default is bit-equal to what it was."""
    span = {"universe": "all", "first": DAYS[400], "last": DAYS[423]}
    seen = view(TABLES, CAL, DAYS[459])
    plain, zero, three = (
        build_panel(seen, FEATURES, [], stride=5, **span, **more) for more in ({}, {"phase": 0}, {"phase": 3})
    )
    assert (plain.recipe, plain.frame.to_dict(as_series=False)) == (zero.recipe, zero.frame.to_dict(as_series=False))
    assert three.recipe != zero.recipe
    assert three.frame["session"].unique().sort().to_list() == [DAYS[at] for at in (403, 408, 413, 418, 423)]
    for phase in (-1, 5):
        with pytest.raises(BadInput, match=f"from 0 to 4 at a stride of 5; was {phase}"):
            build_panel(seen, FEATURES, [], stride=5, phase=phase, **span)


def test_the_calendar_may_begin_within_a_sequence(walk) -> None:
    """Nothing before the first session is asked for, and a model that was trained later is still refused."""
    _, model = walk
    early = dataclasses.replace(model, meta={**model.meta, "as_of": dt.datetime(2017, 1, 1, tzinfo=dt.UTC).isoformat()})
    said = spoken(early, 8)
    assert not said.has_view
    with pytest.raises(BadInput, match="after this decision"):
        spoken(model, 8)
